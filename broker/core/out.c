/*
 * out.c - the scratch memory of a step and what is written there.
 *
 * Invariant: nothing in scratch outlives the next bao_out_begin(); facts were
 * applied in the order in which they stand.
 */
#include "broker/core/out.h"

#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"

#define SCRATCH_BYTES   ((size_t)5 << 20)
#define FACTS_MAX       3072u
#define EFFECTS_MAX     4096u
#define FACTS_RESERVE   1100u /* kept for one operation's own facts */
#define EFFECTS_RESERVE 1300u
#define BYTES_RESERVE   ((size_t)5 << 18)

_Static_assert(FACTS_MAX > 2 * FACTS_RESERVE, "room beside one operation");
_Static_assert(FACTS_RESERVE > BAO_OPERATION_ITEMS_MAX,
               "an operation's facts fit, one each item");
_Static_assert(EFFECTS_RESERVE > BAO_OPERATION_ITEMS_MAX + BAO_ROWS_MAX,
               "an operation's answers fit, one each item");
_Static_assert(BYTES_RESERVE >
                   BAO_OPERATION_ITEMS_MAX * sizeof(struct bao_operation),
               "and their operations");

void bao_out_init(struct bao_core *core)
{
    struct bao_scratch *scratch = &core->scratch;
    scratch->fact_capacity = FACTS_MAX;
    scratch->effect_capacity = EFFECTS_MAX;
    scratch->facts = bao_take(core, FACTS_MAX * sizeof(struct bao_fact));
    scratch->effects = bao_take(core, EFFECTS_MAX * sizeof(struct bao_effect));
    scratch->capacity = SCRATCH_BYTES - FACTS_MAX * sizeof(struct bao_fact);
    scratch->data = bao_take(core, scratch->capacity);
}

void bao_out_begin(struct bao_core *core)
{
    core->scratch.used = 0;
    core->scratch.fact_count = 0;
    core->scratch.effect_count = 0;
    core->scratch.last = &core->unsent_effect;
    while (core->unparked != NULL) {
        struct bao_parked *next = core->unparked->next;
        bao_arena_give(core->arena, core->unparked);
        core->unparked = next;
    }
}

void bao_out_end(struct bao_core *core, struct bao_out *out)
{
    BAO_ASSERT(core->scratch.fact_count <= core->scratch.fact_capacity);
    BAO_ASSERT(core->scratch.effect_count <= core->scratch.effect_capacity);
    out->facts = core->scratch.facts;
    out->fact_count = core->scratch.fact_count;
    out->effects = core->scratch.effects;
    out->effect_count = core->scratch.effect_count;
}

bool bao_out_has_room(const struct bao_core *core)
{
    const struct bao_scratch *scratch = &core->scratch;
    return scratch->fact_count + FACTS_RESERVE < scratch->fact_capacity &&
           scratch->effect_count + EFFECTS_RESERVE < scratch->effect_capacity &&
           scratch->used + BYTES_RESERVE < scratch->capacity;
}

void *bao_scratch_take(struct bao_core *core, size_t bytes)
{
    struct bao_scratch *scratch = &core->scratch;
    size_t rounded = (bytes + 15u) & ~(size_t)15u;
    BAO_ASSERT(rounded >= bytes);
    BAO_ASSERT(scratch->capacity - scratch->used >= rounded);
    void *block = scratch->data + scratch->used;
    scratch->used += rounded;
    return block;
}

struct bao_span bao_scratch_copy(struct bao_core *core, struct bao_span span)
{
    if (span.bytes == 0) {
        return bao_span_of(NULL, 0);
    }
    void *copy = bao_scratch_take(core, span.bytes);
    memcpy(copy, span.data, span.bytes);
    return bao_span_of(copy, span.bytes);
}

struct bao_fact *bao_fact_new(struct bao_core *core, enum bao_fact_kind kind)
{
    struct bao_scratch *scratch = &core->scratch;
    BAO_ASSERT(scratch->fact_count < scratch->fact_capacity);
    struct bao_fact *fact = &scratch->facts[scratch->fact_count];
    memset(fact, 0, sizeof(*fact));
    fact->kind = kind;
    fact->time_us = core->now_us;
    return fact;
}

void bao_decide(struct bao_core *core, struct bao_fact *fact)
{
    struct bao_scratch *scratch = &core->scratch;
    BAO_ASSERT(fact == &scratch->facts[scratch->fact_count]);
    BAO_ASSERT(fact->time_us == core->now_us);
    scratch->fact_count++;
    bao_store_apply(core, fact);
    fact->unlogged = !bao_store_logs(core, fact);
    bao_line_after(core);
}

static struct bao_effect *effect_new(struct bao_core *core,
                                     enum bao_effect_kind kind)
{
    struct bao_scratch *scratch = &core->scratch;
    BAO_ASSERT(scratch->effect_count < scratch->effect_capacity);
    struct bao_effect *effect = &scratch->effects[scratch->effect_count];
    scratch->effect_count++;
    *effect = (struct bao_effect){.kind = kind, .wait = BAO_WAIT_NONE};
    return effect;
}

/* Only what `present` speaks of is ever read, so the rest is not cleared. */
static void operation_init(struct bao_operation *operation, uint16_t verb)
{
    operation->present = BAO_BIT(VERB);
    operation->verb = verb;
    operation->options = NULL;
    operation->readings = NULL;
    operation->bodies = (struct bao_body_cursor){.offset = 0};
}

struct bao_operation *bao_notice(struct bao_core *core,
                                 const struct bao_session *session,
                                 const struct bao_queue *queue,
                                 uint16_t verb)
{
    if (session == NULL || !session->connected) {
        core->scratch.last = &core->unsent_effect;
        operation_init(&core->unsent, verb);
        return &core->unsent;
    }
    BAO_ASSERT(session->peer != 0);
    struct bao_operation *operation =
        bao_scratch_take(core, sizeof(*operation));
    operation_init(operation, verb);
    struct bao_effect *effect = effect_new(core, BAO_EFFECT_REPLY);
    effect->peer = session->peer;
    effect->operation = operation;
    effect->level = BAO_LEVEL_MEMORY;
    if (queue != NULL) {
        effect->queue = queue->incarnation;
        effect->level = queue->level;
    }
    core->scratch.last = effect;
    return operation;
}

struct bao_operation *bao_reply(struct bao_core *core,
                                const struct bao_session *session,
                                const struct bao_queue *queue,
                                uint16_t verb,
                                uint64_t rid,
                                enum baozi_status status)
{
    struct bao_operation *operation = bao_notice(core, session, queue, verb);
    BAO_SET(operation, RID, rid, rid);
    BAO_SET(operation, STATUS, status, (uint64_t)status);
    return operation;
}

void bao_reply_waits(struct bao_core *core, enum bao_wait wait)
{
    core->scratch.last->wait = wait;
}

void bao_reply_is_result(struct bao_core *core)
{
    core->scratch.last->result = true;
}

void bao_say_gone(struct bao_core *core,
                  uint64_t peer,
                  enum baozi_status status,
                  struct bao_span why)
{
    BAO_ASSERT(peer != 0);
    struct bao_operation *operation =
        bao_scratch_take(core, sizeof(*operation));
    operation_init(operation, BAO_VERB_GONE);
    BAO_SET(operation, STATUS, status, (uint64_t)status);
    BAO_SET(operation, ERROR, error, why);
    struct bao_effect *effect = effect_new(core, BAO_EFFECT_REPLY);
    effect->peer = peer;
    effect->operation = operation;
    effect->level = BAO_LEVEL_MEMORY;
}

void bao_say_hold(struct bao_core *core,
                  enum bao_effect_kind kind,
                  uint64_t hold)
{
    BAO_ASSERT(kind == BAO_EFFECT_KEEP || kind == BAO_EFFECT_DROP);
    BAO_ASSERT(hold != 0);
    effect_new(core, kind)->hold = hold;
}

/* "queue 'name': why" in scratch, cut at what an error may have. */
static struct bao_span
text_of(struct bao_core *core, struct bao_span queue, struct bao_span why)
{
    static const char before[] = "queue '";
    static const char after[] = "': ";
    if (queue.bytes == 0) {
        return why;
    }
    BAO_ASSERT(queue.bytes <= BAO_QUEUE_NAME_BYTES_MAX);
    BAO_ASSERT(why.bytes + 32 < BAO_ERROR_BYTES_MAX - BAO_QUEUE_NAME_BYTES_MAX);
    size_t bytes = sizeof(before) + sizeof(after) - 2 + queue.bytes + why.bytes;
    uint8_t *text = bao_scratch_take(core, bytes);
    uint8_t *at = text;
    memcpy(at, before, sizeof(before) - 1);
    at += sizeof(before) - 1;
    memcpy(at, queue.data, queue.bytes);
    at += queue.bytes;
    memcpy(at, after, sizeof(after) - 1);
    at += sizeof(after) - 1;
    memcpy(at, why.data, why.bytes);
    return bao_span_of(text, bytes);
}

void bao_refuse(struct bao_core *core,
                const struct bao_call *call,
                enum baozi_status status,
                struct bao_span queue,
                struct bao_span why)
{
    BAO_ASSERT(status != BAOZI_OK);
    BAO_ASSERT(call->count > 0);
    struct bao_operation *operation =
        bao_reply(core, call->session, NULL, call->verb, call->rid, status);
    if (call->count > 1) {
        BAO_SET(operation, COUNT, count, call->count);
    }
    if (why.bytes > 0) {
        BAO_SET(operation, ERROR, error, text_of(core, queue, why));
    }
}
