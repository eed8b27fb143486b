/*
 * fate.c - what becomes of an item, decided in one place.
 *
 * Order of the questions for a returned item: was it asked to be cancelled,
 * has it expired, is its queue shut, was it rejected or handed out too often;
 * else it waits again. Nothing returned is ever lost or refused for room.
 */
#include "broker/core/items.h"
#include "broker/core/push.h"
#include "broker/core/settle.h"

#define DOOMED_MS_MIN 1000u

/* xorshift64*: the jitter of backoff (Vigna, "An experimental exploration of
 * Marsaglia's xorshift generators", 2016). */
static uint64_t draw(struct bao_core *core, uint64_t below)
{
    uint64_t x = core->random;
    BAO_ASSERT(x != 0);
    BAO_ASSERT(below > 0);
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    core->random = x;
    return (x * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below;
}

/* Between half of the delay and all of it. */
static uint64_t jittered(struct bao_core *core, uint64_t delay_us)
{
    return delay_us - draw(core, delay_us / 2 + 1);
}

/* min(cap, base * 2^n) with jitter, n = failures before this one. */
static uint64_t backoff_us(struct bao_core *core, const struct bao_item *item)
{
    const struct bao_queue_options *options = &item->queue->options;
    const uint64_t cap = options->backoff_cap_ms;
    uint64_t delay = options->backoff_base_ms;
    for (uint32_t n = 1; n < item->deliveries && delay < cap; n++) {
        delay *= 2;
    }
    delay = delay < cap ? delay : cap;
    return delay == 0 ? 0 : jittered(core, delay * BAO_MS);
}

static uint32_t keep_flag(const struct bao_core *core,
                          const struct bao_item *item)
{
    if ((item->flags & BAO_ITEM_WATCHED) != 0) {
        return BAO_FLAG_WANT_RESULT;
    }
    if ((item->flags & BAO_ITEM_WANT_RESULT) == 0 || item->tally == NULL) {
        return 0;
    }
    const uint64_t ended = item->tally->ended_us;
    const uint64_t ttl = bao_us_of_ms(item->queue->options.result_ttl_ms);
    return ended == 0 || bao_later(ended, ttl) > core->now_us
               ? BAO_FLAG_WANT_RESULT
               : 0;
}

struct bao_fate bao_fate_of_end(const struct bao_core *core,
                                const struct bao_item *item,
                                enum bao_state state)
{
    return (struct bao_fate){.kind = BAO_FACT_ITEM_SETTLED,
                             .state = (uint16_t)state,
                             .flags = keep_flag(core, item)};
}

/* True if the dead may be one more (SPEC S5.4). */
static bool dead_has_room(const struct bao_item *item)
{
    const struct bao_queue *queue = item->queue;
    const struct bao_queue_options *options = &queue->options;
    if (options->dead_max > 0 &&
        queue->counts[BAO_STATE_DEAD] >= options->dead_max) {
        return false;
    }
    if (options->max_bytes == 0) {
        return true;
    }
    const bool total = options->bound == BAO_BOUND_TOTAL;
    uint64_t held = queue->bytes[BAO_STATE_READY] +
                    queue->bytes[BAO_STATE_DELAYED] +
                    queue->bytes[BAO_STATE_DEAD];
    held += total ? queue->bytes[BAO_STATE_LEASED] : 0;
    if (item->state == BAO_STATE_DELAYED || total) {
        held -= item->bytes; /* it is counted already */
    }
    return held + item->bytes <= options->max_bytes;
}

static struct bao_fate fate_of_death(struct bao_core *core,
                                     const struct bao_item *item,
                                     enum bao_cause cause)
{
    if (dead_has_room(item) || cause == BAO_CAUSE_SHUTDOWN) {
        return (struct bao_fate){.kind = BAO_FACT_ITEM_DEAD,
                                 .state = BAO_STATE_DEAD,
                                 .cause = (uint16_t)cause,
                                 .flags = keep_flag(core, item)};
    }
    BAO_MARK("the dead are full");
    uint64_t cap_ms = item->queue->options.backoff_cap_ms;
    cap_ms = cap_ms > DOOMED_MS_MIN ? cap_ms : DOOMED_MS_MIN;
    return (struct bao_fate){
        .kind = BAO_FACT_ITEM_RETURNED,
        .cause = (uint16_t)cause,
        .flags = BAO_FLAG_DEAD,
        .due_us = bao_later(core->now_us, jittered(core, cap_ms * BAO_MS))};
}

struct bao_fate bao_fate_of_doomed(struct bao_core *core,
                                   const struct bao_item *item)
{
    BAO_ASSERT((item->flags & BAO_ITEM_DOOMED) != 0);
    const enum bao_cause cause = (enum bao_cause)(item->history & 15u);
    if (item->queue->shut == 2) {
        return fate_of_death(core, item, BAO_CAUSE_SHUTDOWN);
    }
    return fate_of_death(core, item, cause);
}

static bool is_counted(enum bao_cause cause)
{
    return cause == BAO_CAUSE_RETRIED || cause == BAO_CAUSE_LEASE_ENDED ||
           cause == BAO_CAUSE_DIED;
}

struct bao_fate bao_fate_of_return(struct bao_core *core,
                                   const struct bao_item *item,
                                   enum bao_cause cause,
                                   uint64_t due_us)
{
    const struct bao_queue *queue = item->queue;
    BAO_ASSERT(item->state == BAO_STATE_LEASED);
    if ((item->flags & BAO_ITEM_CANCEL) != 0) {
        BAO_MARK("an item asked to be cancelled returns");
        return bao_fate_of_end(core, item, BAO_STATE_CANCELLED);
    }
    if (item->expires_us != 0 && item->expires_us <= core->now_us) {
        BAO_MARK("a leased item expires when it returns");
        return bao_fate_of_end(core, item, BAO_STATE_EXPIRED);
    }
    if (queue->shut == 2 || (queue->shut > 0 && queue->options.accounting ==
                                                    BAO_ACCOUNTING_COUNT)) {
        return fate_of_death(core, item, BAO_CAUSE_SHUTDOWN);
    }
    if (cause == BAO_CAUSE_REJECTED) {
        return fate_of_death(core, item, cause);
    }
    const uint64_t most = queue->options.max_deliveries;
    if (is_counted(cause) && most > 0 && item->deliveries >= most) {
        BAO_MARK("an item was handed out too often");
        return fate_of_death(core, item, cause);
    }
    if (due_us == BAO_NEVER) {
        const uint64_t delay = backoff_us(core, item);
        due_us = delay == 0 ? 0 : bao_later(core->now_us, delay);
    }
    return (struct bao_fate){.kind = BAO_FACT_ITEM_RETURNED,
                             .cause = (uint16_t)cause,
                             .due_us = due_us};
}

enum bao_cause bao_cause_of_death(struct bao_lease *lease)
{
    if (lease->tally->session->restarted ||
        (lease->flags & (BAO_LEASE_AUTO | BAO_LEASE_PREPAID)) != 0) {
        return BAO_CAUSE_UNSTARTED;
    }
    if ((lease->flags & BAO_LEASE_PUSHED) != 0 &&
        !bao_push_was_started(lease)) {
        return BAO_CAUSE_UNSTARTED;
    }
    return BAO_CAUSE_DIED;
}

/* --- vectors ------------------------------------------------------------ */

void bao_vector_open(struct bao_core *core,
                     struct bao_vector *vector,
                     uint32_t capacity)
{
    BAO_ASSERT(capacity > 0);
    BAO_ASSERT(capacity <= BAO_STEP_ITEMS_MAX);
    *vector = (struct bao_vector){.capacity = capacity};
    vector->items = bao_scratch_take(core, capacity * sizeof(*vector->items));
}

static bool same_fate(const struct bao_fate *a, const struct bao_fate *b)
{
    return a->kind == b->kind && a->state == b->state && a->cause == b->cause &&
           a->flags == b->flags && a->due_us == b->due_us;
}

/* The next one's fate may depend on this one's being dead already. */
static bool is_alone(const struct bao_item *item, const struct bao_fate *fate)
{
    const struct bao_queue_options *options = &item->queue->options;
    return fate->kind == BAO_FACT_ITEM_DEAD &&
           (options->max_bytes > 0 ||
            (options->dead_max > 0 &&
             item->queue->counts[BAO_STATE_DEAD] + BAO_STEP_ITEMS_MAX >=
                 options->dead_max));
}

void bao_vector_add(struct bao_core *core,
                    struct bao_vector *vector,
                    struct bao_item *item,
                    struct bao_fate fate,
                    uint64_t rid)
{
    BAO_ASSERT((item->flags & BAO_ITEM_MARKED) == 0);
    if (vector->count > 0 &&
        (vector->queue != item->queue || !same_fate(&vector->fate, &fate) ||
         vector->count == vector->capacity ||
         (vector->verb != 0 && vector->rid + vector->count != rid))) {
        bao_vector_flush(core, vector);
    }
    if (vector->count == 0) {
        vector->queue = item->queue;
        vector->fate = fate;
        vector->rid = rid;
    }
    item->flags |= BAO_ITEM_MARKED;
    vector->items[vector->count] = item;
    vector->count++;
    if (is_alone(item, &fate)) {
        bao_vector_flush(core, vector);
    }
}

static void vector_answer(struct bao_core *core,
                          const struct bao_vector *vector)
{
    struct bao_operation *op = bao_reply(core,
                                         vector->session,
                                         vector->queue,
                                         vector->verb,
                                         vector->rid,
                                         BAOZI_OK);
    if (vector->count > 1) {
        BAO_SET(op, COUNT, count, vector->count);
    }
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

void bao_vector_flush(struct bao_core *core, struct bao_vector *vector)
{
    if (vector->count == 0) {
        return;
    }
    uint64_t *ids = bao_scratch_take(core, vector->count * sizeof(*ids));
    for (uint32_t i = 0; i < vector->count; i++) {
        ids[i] = vector->items[i]->id;
        vector->items[i]->flags &= (uint8_t)~BAO_ITEM_MARKED;
    }
    struct bao_fact *fact = bao_fact_new(core, vector->fate.kind);
    if (vector->verb != 0) {
        fact->session = vector->session->number;
        fact->rid = vector->rid;
        fact->verb = vector->verb;
    }
    fact->queue = vector->queue->incarnation;
    fact->ids = ids;
    fact->count = vector->count;
    fact->state = vector->fate.state;
    fact->cause = vector->fate.cause;
    fact->flags = vector->fate.flags;
    fact->due_us = vector->fate.due_us;
    if (vector->fate.kind != BAO_FACT_ITEM_SETTLED) {
        fact->error = vector->error;
    }
    if (vector->fate.state == BAO_STATE_DONE) {
        fact->result = vector->result;
    }
    bao_decide(core, fact);
    if (vector->verb != 0) {
        vector_answer(core, vector);
    }
    vector->count = 0;
}

void bao_settle_one(struct bao_core *core,
                    struct bao_item *item,
                    enum bao_state state)
{
    struct bao_vector vector;
    bao_vector_open(core, &vector, 1);
    bao_vector_add(core, &vector, item, bao_fate_of_end(core, item, state), 0);
    bao_vector_flush(core, &vector);
}

void bao_return_one(struct bao_core *core,
                    struct bao_item *item,
                    enum bao_cause cause)
{
    struct bao_vector vector;
    bao_vector_open(core, &vector, 1);
    bao_vector_add(
        core, &vector, item, bao_fate_of_return(core, item, cause, 0), 0);
    bao_vector_flush(core, &vector);
}
