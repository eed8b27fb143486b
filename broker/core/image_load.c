/*
 * image_load.c - pieces to rows; the rows of the core and of sessions.
 *
 * An image comes from a disk, so everything that a later assertion takes for
 * granted is looked at here and refused. What only the digest covers is
 * compared with it at the end.
 */
#include "broker/core/digest.h"
#include "broker/core/image_loader.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"

/* A row is loaded while so much of the cushion is left. */
#define CUSHION_SHARE 4u

static void load_begin(struct bao_core *core)
{
    BAO_ASSERT(!core->started);
    BAO_ASSERT(core->queue_count == 0);
    BAO_ASSERT(core->sessions.count == 0);
    struct bao_image_loader *loader = bao_take(core, sizeof(*loader));
    memset(loader, 0, sizeof(*loader));
    loader->core = core;
    bao_list_init(&loader->leases);
    bao_list_init(&loader->ended_sessions);
    core->loader = loader;
}

static const char *take_core(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const uint64_t *numbers = loader->past.rows[BAO_IMAGE_CORE].numbers;
    if (loader->begun || numbers[BAO_CORE_TOKEN] > BAO_N_MASK ||
        numbers[BAO_CORE_FIRST_N] > BAO_N_MASK ||
        numbers[BAO_CORE_INCARNATION] > BAO_N_MASK >> 16) {
        return "a second beginning, or counters out of range";
    }
    loader->begun = true;
    core->digest -= bao_digest_core(core);
    core->epoch = numbers[BAO_CORE_EPOCH];
    core->token = numbers[BAO_CORE_TOKEN];
    core->first_n = numbers[BAO_CORE_FIRST_N];
    core->order = numbers[BAO_CORE_ORDER];
    core->last_incarnation = numbers[BAO_CORE_INCARNATION];
    core->last_session = numbers[BAO_CORE_SESSION];
    core->digest += bao_digest_core(core);
    if (numbers[BAO_CORE_NOW] > core->now_us) {
        core->now_us = numbers[BAO_CORE_NOW];
    }
    return NULL;
}

static const char *take_session(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_SESSION];
    const struct bao_fact opened = {
        .time_us = core->now_us,
        .session = row->numbers[BAO_SESSION_NUMBER],
        .pid = (uint32_t)row->numbers[BAO_SESSION_PID],
        .client = row->texts[BAO_SESSION_CLIENT],
        .secret = row->texts[BAO_SESSION_SECRET],
        .host = row->texts[BAO_SESSION_HOST],
        .name = row->texts[BAO_SESSION_PROGRAM],
    };
    if (opened.session == 0 || opened.session > core->last_session ||
        bao_session_of(core, opened.session) != NULL) {
        return "a session that is there twice, or whose number is too high";
    }
    if (opened.client.bytes != BAO_CLIENT_ID_BYTES ||
        opened.secret.bytes != BAO_CLIENT_ID_BYTES ||
        row->numbers[BAO_SESSION_PID] > UINT32_MAX ||
        row->numbers[BAO_SESSION_STATE] > BAO_SESSION_DEAD) {
        return "a session with a member out of range";
    }
    struct bao_session *session = bao_session_new(core, &opened);
    session->state = (uint8_t)row->numbers[BAO_SESSION_STATE];
    session->ended_us = row->numbers[BAO_SESSION_ENDED];
    core->digest += bao_digest_session(session);
    if (session->state == BAO_SESSION_DEAD) {
        bao_list_push(&loader->ended_sessions, &session->ended);
    } else {
        core->live_sessions++;
    }
    return NULL;
}

/* What an answer brings besides its numbers, as answering it again reads. */
static bool has_its_extra(uint16_t verb, struct bao_span extra)
{
    return verb != BAO_VERB_JOIN ||
           extra.bytes >= (BAO_ENDINGS + 1) * sizeof(uint64_t);
}

static const char *take_answer(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_ANSWER];
    const uint64_t *numbers = row->numbers;
    const uint64_t first = numbers[BAO_ANSWER_FIRST];
    const uint64_t count = numbers[BAO_ANSWER_COUNT];
    struct bao_session *session =
        bao_session_of(core, numbers[BAO_ANSWER_SESSION]);
    if (session == NULL || first == 0 || count == 0 || count > UINT32_MAX ||
        first > UINT64_MAX - count || numbers[BAO_ANSWER_FLAGS] > UINT32_MAX ||
        numbers[BAO_ANSWER_VERB] == 0 || numbers[BAO_ANSWER_VERB] > UINT8_MAX ||
        numbers[BAO_ANSWER_STATUS] > UINT8_MAX ||
        !has_its_extra((uint16_t)numbers[BAO_ANSWER_VERB], row->texts[0])) {
        return "an answer of no session, or with a member out of range";
    }
    const struct bao_request *before =
        bao_tree_last(&session->window, BAO_TREE_ANY, first + count - 1).value;
    if ((before != NULL && before->first + before->count > first) ||
        bao_progress_within(session, first, first + count - 1) != NULL) {
        return "two answers to one request";
    }
    struct bao_answer *answer =
        bao_answer_new(core, session, first, (uint32_t)count);
    answer->queue = numbers[BAO_ANSWER_QUEUE];
    answer->first_id = numbers[BAO_ANSWER_FIRST_ID];
    answer->number = numbers[BAO_ANSWER_NUMBER];
    answer->flags = (uint32_t)numbers[BAO_ANSWER_FLAGS] & ~BAO_ANSWER_LAST;
    answer->verb = (uint16_t)numbers[BAO_ANSWER_VERB];
    answer->status = (uint16_t)numbers[BAO_ANSWER_STATUS];
    answer->extra = bao_text_make(core, row->texts[0]);
    core->digest += bao_digest_answer(answer);
    if ((numbers[BAO_ANSWER_FLAGS] & BAO_ANSWER_LAST) != 0) {
        session->last_answers[false] = answer;
    }
    return NULL;
}

static const char *take_progress(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const uint64_t *numbers = loader->past.rows[BAO_IMAGE_PROGRESS].numbers;
    const uint64_t rid = numbers[BAO_PROGRESS_RID];
    struct bao_session *session =
        bao_session_of(core, numbers[BAO_PROGRESS_SESSION]);
    if (session == NULL || rid == 0 || numbers[BAO_PROGRESS_MOVED] == 0 ||
        numbers[BAO_PROGRESS_MARK] > BAO_N_MASK ||
        bao_window_find(session, rid) != NULL ||
        bao_progress_find(session, rid) != NULL) {
        return "a redrive of no session, or that is there twice";
    }
    struct bao_progress *one = bao_progress_new(core, session, rid);
    one->queue = numbers[BAO_PROGRESS_QUEUE];
    one->mark = numbers[BAO_PROGRESS_MARK];
    one->moved = numbers[BAO_PROGRESS_MOVED];
    core->digest += bao_digest_progress(one);
    return NULL;
}

static const char *take_end(struct bao_image_loader *loader)
{
    const uint64_t *numbers = loader->past.rows[BAO_IMAGE_END].numbers;
    loader->digest = numbers[BAO_END_DIGEST];
    loader->ended = true;
    if (numbers[BAO_END_ROWS] != loader->rows) {
        return "a row is missing or there twice";
    }
    return NULL;
}

static const char *take(struct bao_image_loader *loader,
                        enum bao_image_kind kind)
{
    if (kind != BAO_IMAGE_CORE && !loader->begun) {
        return "it does not begin with its beginning";
    }
    switch (kind) {
    case BAO_IMAGE_CORE: return take_core(loader);
    case BAO_IMAGE_SESSION: return take_session(loader);
    case BAO_IMAGE_ANSWER: return take_answer(loader);
    case BAO_IMAGE_QUEUE: return bao_image_take_queue(loader);
    case BAO_IMAGE_GROUP: return bao_image_take_group(loader);
    case BAO_IMAGE_DEDUP: return bao_image_take_dedup(loader);
    case BAO_IMAGE_TALLY: return bao_image_take_tally(loader);
    case BAO_IMAGE_OUTCOME: return bao_image_take_outcome(loader);
    case BAO_IMAGE_ITEM: return bao_image_take_item(loader);
    case BAO_IMAGE_END: return take_end(loader);
    case BAO_IMAGE_PROGRESS: return take_progress(loader);
    case BAO_IMAGE_KINDS: break;
    }
    return "a kind of row that there is not";
}

static const char *take_row(struct bao_image_loader *loader)
{
    const uint64_t number = bao_unpack_most(&loader->in, BAO_IMAGE_KINDS - 1);
    const enum bao_image_kind kind = (enum bao_image_kind)number;
    if (number == 0 || loader->ended) {
        return "a kind of row that there is not, or a row behind the end";
    }
    bao_image_unpack(&loader->in, &loader->past, kind);
    if (loader->in.bad) {
        return "a row that ends too early, or a number that is none";
    }
    const char *why = take(loader, kind);
    if (why == NULL && loader->in.bad) {
        why = "a list of errors that ends too early";
    }
    bao_image_expect(&loader->past, kind);
    loader->rows++;
    return why;
}

enum baozi_status
bao_image_load(struct bao_core *core, struct bao_span piece, const char **why)
{
    if (core->loader == NULL) {
        load_begin(core);
    }
    struct bao_image_loader *loader = core->loader;
    loader->in = (struct bao_unpacker){.at = piece.data,
                                       .end = piece.data + piece.bytes};
    bao_image_past_init(&loader->past);
    loader->group = NULL;
    const uint64_t version = bao_unpack_number(&loader->in);
    if (version > BAO_IMAGE_VERSION) {
        *why = "a newer baozi wrote it";
        return BAOZI_BAD_VERSION;
    }
    *why = version == 0 ? "an empty piece" : NULL;
    while (*why == NULL && loader->in.at < loader->in.end) {
        if (core->cushion_pieces < core->cushion_whole / CUSHION_SHARE ||
            bao_core_memory_left(core) < BAO_CORE_APPLY_BYTES) {
            *why = "it is larger than the memory there is";
            return BAOZI_NO_MEMORY;
        }
        *why = take_row(loader);
    }
    return *why == NULL ? BAOZI_OK : BAOZI_BAD_REQUEST;
}

enum baozi_status bao_image_loaded(struct bao_core *core, const char **why)
{
    struct bao_image_loader *loader = core->loader;
    *why = "its end is missing";
    if (loader != NULL && loader->ended) {
        *why = bao_image_finish(loader);
    }
    if (*why == NULL && core->digest != loader->digest) {
        *why = "its digest is not that of what it says";
    }
    bao_arena_give(core->arena, loader);
    core->loader = NULL;
    return *why == NULL ? BAOZI_OK : BAOZI_BAD_REQUEST;
}
