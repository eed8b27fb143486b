/*
 * look.c - stat, list, peek, browse, sessions, broker.
 *
 * Nothing here changes anything. A page has at most BAO_ROWS_MAX rows and
 * looks at no more than BAO_LOOK_MAX items; a cursor leads on.
 */
#include "broker/core/look.h"

#include "broker/core/items.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/store.h"
#include "common/texts.h"

#define CAUSES_KEPT 16u

/* --- queues -----------------------------------------------------------------
 */

static struct bao_readings *readings_of(struct bao_core *core,
                                        const struct bao_queue *queue)
{
    struct bao_readings *r = bao_scratch_take(core, sizeof(*r));
    const struct bao_ledger *ledger = &queue->ledger;
    struct bao_item room;
    const struct bao_item *oldest =
        bao_order_look(queue, BAO_COLOUR(READY), 0, &room);
    *r = (struct bao_readings){
        .ready = queue->counts[BAO_STATE_READY],
        .leased = queue->counts[BAO_STATE_LEASED],
        .delayed = queue->counts[BAO_STATE_DELAYED],
        .dead = queue->counts[BAO_STATE_DEAD],
        .unfinished = ledger->unfinished,
        .accepted = ledger->accepted,
        .done = ledger->settled[BAO_ENDING_DONE],
        .died = ledger->settled[BAO_ENDING_DEAD],
        .expired = ledger->settled[BAO_ENDING_EXPIRED],
        .cancelled = ledger->settled[BAO_ENDING_CANCELLED],
        .dropped = ledger->settled[BAO_ENDING_DROPPED],
        .purged = ledger->settled[BAO_ENDING_PURGED],
        .taken = queue->counts[BAO_STATE_TAKEN],
        .prepaid = queue->prepaid,
        .bytes = queue->bytes[BAO_STATE_READY] +
                 queue->bytes[BAO_STATE_DELAYED] +
                 queue->bytes[BAO_STATE_LEASED],
        .dead_bytes = queue->bytes[BAO_STATE_DEAD],
        .parked_puts = queue->puts.count,
        .parked_gets = queue->parked_gets,
        .parked_bytes = queue->parked_bytes,
        .joiners = queue->joiners,
        .consumers = queue->consumers,
        .groups = queue->group_count,
        .dedup_keys = queue->dedup_count,
        .retried = queue->retried,
        .redelivered = queue->redelivered,
        .shut = queue->shut,
        .dead_full = queue->doomed > 0,
        .last_id = queue->last == 0
                       ? 0
                       : (queue->incarnation << BAO_ID_SHIFT) | queue->last,
        .made_ms =
            (queue->made_us + (uint64_t)core->config.wall_offset_us) / BAO_MS,
    };
    if (oldest != NULL) {
        r->oldest_ready_ms = (core->now_us - oldest->accepted_us) / BAO_MS;
    }
    return r;
}

static void say_queue(struct bao_core *core,
                      struct bao_operation *op,
                      const struct bao_queue *queue)
{
    struct bao_queue_options *options =
        bao_scratch_take(core, sizeof(*options));
    *options = queue->options;
    BAO_SET(
        op, QUEUE, queue, bao_scratch_copy(core, bao_text_span(queue->name)));
    op->options = options;
    op->readings = readings_of(core, queue);
    bao_reply_waits(core, BAO_WAIT_SEEN);
}

void bao_stat(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    struct bao_operation *op = bao_reply(
        core, call->session, queue, BAO_VERB_STAT, call->rid, BAOZI_OK);
    BAO_SET(op, ID, id, queue->incarnation);
    say_queue(core, op, queue);
}

static uint64_t rows_of(const struct bao_operation *op)
{
    if (!bao_has(op, BAO_BIT(LIMIT)) || op->limit == 0 ||
        op->limit > BAO_ROWS_MAX) {
        return BAO_ROWS_MAX;
    }
    return op->limit;
}

void bao_list_queues(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *request = call->operation;
    struct bao_span after = bao_span_of(NULL, 0);
    if (bao_has(request, BAO_BIT(CURSOR))) {
        after = request->cursor;
    }
    uint64_t rows = rows_of(request);
    struct bao_queue *queue = bao_queue_after(core, after);
    while (queue != NULL && rows > 0) {
        struct bao_operation *row = bao_reply(
            core, call->session, queue, BAO_VERB_LIST, call->rid, BAOZI_OK);
        BAO_SET(row, FLAGS, flags, BAO_FLAG_MORE);
        say_queue(core, row, queue);
        after = row->queue;
        rows--;
        queue = queue->next_name[0];
    }
    struct bao_operation *end = bao_reply(
        core, call->session, NULL, BAO_VERB_LIST, call->rid, BAOZI_OK);
    if (queue != NULL) {
        BAO_SET(end, CURSOR, cursor, after);
    }
}

/* --- items ------------------------------------------------------------------
 */

static struct bao_span cause_name(uint64_t cause)
{
    switch ((enum bao_cause)cause) {
    case BAO_CAUSE_NONE: break;
    case BAO_CAUSE_RELEASED: return BAO_LITERAL("released");
    case BAO_CAUSE_CANCELLED: return BAO_LITERAL("get cancelled");
    case BAO_CAUSE_BYE: return BAO_LITERAL("worker said bye");
    case BAO_CAUSE_UNSTARTED: return BAO_LITERAL("not started");
    case BAO_CAUSE_RETRIED: return BAO_LITERAL("retried");
    case BAO_CAUSE_LEASE_ENDED: return BAO_LITERAL("lease ended");
    case BAO_CAUSE_DIED: return BAO_LITERAL("worker died");
    case BAO_CAUSE_REJECTED: return BAO_LITERAL("rejected");
    case BAO_CAUSE_SHUTDOWN: return BAO_LITERAL("queue shut down");
    }
    return BAO_LITERAL("?");
}

/* What ended each delivery, the oldest of the last 16 first. */
static struct bao_span history_of(struct bao_core *core, uint64_t history)
{
    const size_t capacity = BAO_TEXTS_BYTES(CAUSES_KEPT, CAUSES_KEPT * 16u);
    uint8_t *data = bao_scratch_take(core, capacity);
    size_t used = 0;
    for (unsigned i = CAUSES_KEPT; i-- > 0;) {
        const uint64_t cause = history >> (4 * i) & 15u;
        if (cause == 0) {
            continue;
        }
        enum baozi_status status =
            bao_texts_add(data, capacity, &used, cause_name(cause));
        BAO_ASSERT(status == BAOZI_OK);
    }
    return bao_span_of(data, used);
}

static uint64_t ms_left(const struct bao_core *core, uint64_t at_us)
{
    return at_us > core->now_us ? (at_us - core->now_us + BAO_MS - 1) / BAO_MS
                                : 0;
}

static void say_note(struct bao_core *core,
                     struct bao_operation *row,
                     const struct bao_item *item)
{
    const struct bao_note *note = item->note;
    if (item->group != NULL) {
        BAO_SET(row,
                GROUP,
                group,
                bao_scratch_copy(core, bao_text_span(item->group->name)));
    }
    if (note == NULL) {
        return;
    }
    if (note->group_name != NULL) {
        BAO_SET(row,
                GROUP,
                group,
                bao_scratch_copy(core, bao_text_span(note->group_name)));
    }
    if (note->error != NULL) {
        BAO_SET(row,
                ERROR,
                error,
                bao_scratch_copy(core, bao_text_span(note->error)));
    }
    if (note->dedup_key != NULL) {
        BAO_SET(row,
                DEDUP_KEY,
                dedup_key,
                bao_scratch_copy(core, bao_text_span(note->dedup_key)));
    }
    if (note->origin != 0) {
        BAO_SET(row, ORIGIN, origin, note->origin);
    }
}

static void say_times(struct bao_core *core,
                      struct bao_operation *row,
                      const struct bao_item *item)
{
    BAO_SET(row,
            TIME_MS,
            time_ms,
            (item->accepted_us + (uint64_t)core->config.wall_offset_us) /
                BAO_MS);
    if (item->state == BAO_STATE_DELAYED) {
        uint64_t due = item->due_us;
        if (due == BAO_NEVER && item->note != NULL) {
            due = item->note->wall_us - (uint64_t)core->config.wall_offset_us;
        }
        BAO_SET(row, DELAY_MS, delay_ms, ms_left(core, due));
    }
    if (item->expires_us != 0 && item->state != BAO_STATE_DEAD) {
        BAO_SET(row, TTL_MS, ttl_ms, ms_left(core, item->expires_us));
    }
    if (item->lease != NULL) {
        const uint64_t until = item->lease->until_us;
        BAO_SET(row, SESSION, session, item->lease->tally->session_number);
        BAO_SET(row,
                LEASE_MS,
                lease_ms,
                until == BAO_NEVER ? 0 : ms_left(core, until));
    }
}

static void say_item(struct bao_core *core,
                     const struct bao_call *call,
                     const struct bao_item *item)
{
    struct bao_operation *row = bao_reply(
        core, call->session, item->queue, call->verb, call->rid, BAOZI_OK);
    uint8_t *lengths = bao_scratch_take(core, 8);
    bao_store32(lengths, item->bytes);
    bao_store32(lengths + 4, item->header_bytes);
    BAO_SET(row, FLAGS, flags, BAO_FLAG_MORE);
    BAO_SET(row, ID, id, item->id);
    BAO_SET(row, STATE, state, item->state);
    BAO_SET(row, PRIORITY, priority, item->priority);
    BAO_SET(row, COUNT, count, item->deliveries);
    if (item->state != BAO_STATE_TAKEN) {
        BAO_SET(row, LENGTHS, lengths, bao_span_of(lengths, 4));
        if (item->header_bytes > 0) {
            BAO_SET(row,
                    HEADER_LENGTHS,
                    header_lengths,
                    bao_span_of(lengths + 4, 4));
        }
    }
    if (item->history != 0) {
        BAO_SET(row, ERRORS, errors, history_of(core, item->history));
    }
    say_times(core, row, item);
    say_note(core, row, item);
    bao_reply_waits(core, BAO_WAIT_SEEN);
}

void bao_peek(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    const bool named = bao_has(op, BAO_BIT(ID)) && op->id != 0;
    const struct bao_item *item = NULL;
    struct bao_item room;
    if (!named) {
        item = bao_order_peek(queue, &room);
    } else if (op->id >> BAO_ID_SHIFT == queue->incarnation) {
        item = bao_item_look(queue, op->id, &room);
    }
    if (item == NULL) {
        bao_refuse(core,
                   call,
                   named ? BAOZI_NOT_FOUND : BAOZI_EMPTY,
                   op->queue,
                   named ? BAO_LITERAL("it has no such item, it may be "
                                       "settled already")
                         : BAO_LITERAL("nothing in it is ready"));
        return;
    }
    say_item(core, call, item);
    (void)bao_reply(
        core, call->session, queue, BAO_VERB_PEEK, call->rid, BAOZI_OK);
    bao_reply_waits(core, BAO_WAIT_SEEN);
}

static bool is_wanted(const struct bao_operation *op,
                      const struct bao_item *item)
{
    if (!bao_has(op, BAO_BIT(MATCH)) || op->match.bytes == 0) {
        return true;
    }
    const struct bao_text *error =
        item->note == NULL ? NULL : item->note->error;
    return bao_span_contains(bao_text_span(error), op->match);
}

void bao_browse(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    if (op->state < BAO_STATE_READY || op->state > BAO_STATE_TAKEN) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   op->queue,
                   BAO_LITERAL("browse ready, delayed, leased, dead or taken "
                               "items"));
        return;
    }
    const unsigned colour = 1u << (op->state - 1);
    uint64_t cursor = bao_has(op, BAO_BIT(ID)) ? op->id & BAO_N_MASK : 0;
    uint64_t rows = rows_of(op);
    uint64_t bytes = 0;
    struct bao_item room;
    const struct bao_item *item =
        bao_order_look(queue, colour, cursor + 1, &room);
    for (unsigned looked = 0; item != NULL && rows > 0 && looked < BAO_LOOK_MAX;
         looked++) {
        if (bytes > 0 && bytes + item->bytes > BAO_BODIES_BYTES_MAX) {
            break;
        }
        if (is_wanted(op, item)) {
            say_item(core, call, item);
            bytes += item->bytes;
            rows--;
        }
        cursor = item->id & BAO_N_MASK;
        item = bao_order_look(queue, colour, cursor + 1, &room);
    }
    struct bao_operation *end = bao_reply(
        core, call->session, queue, BAO_VERB_BROWSE, call->rid, BAOZI_OK);
    if (item != NULL) {
        BAO_SET(end, ID, id, (queue->incarnation << BAO_ID_SHIFT) | cursor);
    }
    bao_reply_waits(core, BAO_WAIT_SEEN);
}

/* --- the broker -------------------------------------------------------------
 */

static void say_session(struct bao_core *core,
                        const struct bao_call *call,
                        const struct bao_session *session)
{
    struct bao_operation *row = bao_reply(
        core, call->session, NULL, BAO_VERB_SESSIONS, call->rid, BAOZI_OK);
    BAO_SET(row, FLAGS, flags, BAO_FLAG_MORE);
    BAO_SET(row, SESSION, session, session->number);
    BAO_SET(
        row, HOST, host, bao_scratch_copy(core, bao_text_span(session->host)));
    BAO_SET(row,
            PROGRAM,
            program,
            bao_scratch_copy(core, bao_text_span(session->program)));
    BAO_SET(row, PID, pid, session->pid);
    BAO_SET(row, COUNT, count, session->leases.count);
    BAO_SET(row, TIME_MS, time_ms, (core->now_us - session->heard_us) / BAO_MS);
    BAO_SET(row, STATE, state, session->connected ? 1 : 0);
}

void bao_sessions(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    uint64_t from = bao_has(op, BAO_BIT(SESSION)) ? op->session + 1 : 1;
    uint64_t rows = rows_of(op);
    uint64_t last = 0;
    struct bao_tree_entry entry =
        bao_tree_first(&core->sessions, BAO_TREE_ANY, from);
    for (unsigned looked = 0;
         entry.value != NULL && rows > 0 && looked < BAO_LOOK_MAX;
         looked++) {
        const struct bao_session *session = entry.value;
        last = entry.key;
        if (session->state == BAO_SESSION_LIVE) {
            say_session(core, call, session);
            rows--;
        }
        entry = bao_tree_first(&core->sessions, BAO_TREE_ANY, last + 1);
    }
    struct bao_operation *end = bao_reply(
        core, call->session, NULL, BAO_VERB_SESSIONS, call->rid, BAOZI_OK);
    if (entry.value != NULL) {
        BAO_SET(end, SESSION, session, last);
    }
}

void bao_core_damaged(struct bao_core *core, const char *place)
{
    for (uint32_t i = 0; i < core->damage_count; i++) {
        if (strcmp(core->damages[i], place) == 0) {
            return;
        }
    }
    if (core->damage_count < BAO_DAMAGES_MAX) {
        char *text = core->damages[core->damage_count++];
        BAO_ASSERT(strlen(place) < BAO_DAMAGE_BYTES);
        memcpy(text, place, strlen(place) + 1);
    }
}

static struct bao_span damages_of(struct bao_core *core)
{
    const size_t capacity = BAO_TEXTS_BYTES(
        core->damage_count, core->damage_count * (size_t)BAO_DAMAGE_BYTES);
    uint8_t *data = bao_scratch_take(core, capacity);
    size_t used = 0;
    for (uint32_t i = 0; i < core->damage_count; i++) {
        enum baozi_status status = bao_texts_add(
            data, capacity, &used, bao_span_text(core->damages[i]));
        BAO_ASSERT(status == BAOZI_OK);
    }
    return bao_span_of(data, used);
}

void bao_broker(struct bao_core *core, const struct bao_call *call)
{
    struct bao_operation *op = bao_reply(
        core, call->session, NULL, BAO_VERB_BROKER, call->rid, BAOZI_OK);
    BAO_SET(op, VERSION, version, BAO_LITERAL(BAOZI_VERSION));
    BAO_SET(op, TIME_MS, time_ms, (core->now_us - core->opened_us) / BAO_MS);
    BAO_SET(op, EPOCH, epoch, core->epoch);
    BAO_SET(op, BOOT, boot, core->config.boot);
    BAO_SET(op, COUNT, count, core->queue_count);
    BAO_SET(op, SESSION, session, core->live_sessions);
    BAO_SET(op, BYTES, bytes, bao_core_memory_used(core) + core->body_bytes);
    BAO_SET(op,
            LIMIT,
            limit,
            (core->config.memory_bytes + core->config.unlogged_bytes_max) >>
                20);
    BAO_SET(op, LEVEL, level, (uint64_t)core->config.level);
    BAO_SET(op, STATE, state, core->draining ? 1 : 0);
    if (core->damage_count > 0) {
        BAO_SET(op, ERRORS, errors, damages_of(core));
    }
}
