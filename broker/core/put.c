/*
 * put.c - put and put_many: at once, or in line.
 *
 * Invariant: the line of a queue is served from its head only, so no put
 * overtakes one that waits (SPEC S3.1). A put whose bodies were too many to
 * park holds the line while SEND_BODY is under way.
 */
#include "broker/core/put.h"

#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"
#include "broker/core/waiter.h"
#include "common/planted.h"
#include "common/wire.h"

/* Fills a PUT answer for `count` requests. */
static void answer(struct bao_core *core,
                   const struct bao_call *call,
                   const struct bao_queue *queue,
                   uint64_t id,
                   uint32_t flags)
{
    struct bao_operation *op = bao_reply(
        core, call->session, queue, BAO_VERB_PUT, call->rid, BAOZI_OK);
    BAO_SET(op, ID, id, id);
    BAO_SET(op, LEVEL, level, (uint64_t)queue->level);
    if (call->count > 1) {
        BAO_SET(op, COUNT, count, call->count);
    }
    if (flags != 0) {
        BAO_SET(op, FLAGS, flags, flags);
    }
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

static void accept(struct bao_core *core,
                   const struct bao_call *call,
                   struct bao_queue *queue,
                   const struct bao_parked *offer,
                   uint32_t items)
{
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ITEM_PUT);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_PUT;
    fact->queue = queue->incarnation;
    fact->count = items;
    fact->first_id = (queue->incarnation << BAO_ID_SHIFT) | (queue->last + 1);
    fact->items = &offer->items[call->from];
    fact->flags = offer->flags &
                  (BAO_FLAG_ATOMIC | BAO_FLAG_UNIQUE | BAO_FLAG_WANT_RESULT);
    if (offer->delay_us > 0) {
        fact->due_us = bao_due_us(core->now_us, offer->delay_us);
    }
    if (offer->timed) {
        uint64_t wall_us = bao_us_of_ms(offer->not_before_ms);
        if (wall_us > bao_wall_us(core)) {
            fact->due_us = wall_us;
            fact->flags |= BAO_FACT_WALL;
        }
    }
    if (offer->ttl_us > 0) {
        fact->ttl_us = bao_later(core->now_us, offer->ttl_us);
    }
    fact->group = offer->group;
    fact->fairness_key = offer->fairness_key;
    fact->dedup_key = offer->dedup_key;
    if (offer->dedup_key.bytes > 0 && offer->window_us > 0) {
        fact->dedup_until_us = bao_later(core->now_us, offer->window_us);
    }
    const uint64_t id = fact->first_id;
    core->budget -= items < core->budget ? items : core->budget;
    bao_decide(core, fact);
    answer(core, call, queue, id, 0);
}

static void answer_twin(struct bao_core *core,
                        const struct bao_call *call,
                        struct bao_queue *queue,
                        uint64_t first_id)
{
    BAO_MARK("a duplicate is answered with the first id");
    for (uint32_t i = 0; i < call->count; i++) {
        struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ANSWERED);
        fact->session = call->session->number;
        fact->rid = call->rid + i;
        fact->verb = BAO_VERB_PUT;
        fact->queue = queue->incarnation;
        fact->first_id = first_id;
        fact->flags = BAO_FLAG_DUPLICATE;
        bao_decide(core, fact);
    }
    answer(core, call, queue, first_id, BAO_FLAG_DUPLICATE);
}

/* What of the call's requests was answered, and why the rest was not. */
struct progress {
    uint32_t answered;
    bool later;
    struct bao_span why;
};

static struct progress all_refused(struct bao_core *core,
                                   const struct bao_call *call,
                                   struct bao_queue *queue,
                                   enum baozi_status status,
                                   struct bao_span why)
{
    bao_refuse(core, call, status, bao_text_span(queue->name), why);
    return (struct progress){.answered = call->count};
}

/* Everything about one accept but the line. `call->from` is the item. A
 * waiter gives up its requests first (`waiter` may be NULL). */
static struct progress place(struct bao_core *core,
                             const struct bao_call *call,
                             struct bao_queue *queue,
                             const struct bao_parked *offer,
                             struct bao_waiter *waiter)
{
    const uint32_t items =
        bao_offer_is_atomic(offer) ? offer->count : call->count;
    if (queue->shut > 0) {
        if (waiter != NULL) {
            bao_waiter_shrink(core, waiter, call->count);
        }
        return all_refused(core,
                           call,
                           queue,
                           BAOZI_SHUTDOWN,
                           BAO_LITERAL("it is shut down; reopen it to put"));
    }
    const struct bao_dedup *twin = bao_offer_twin(core, queue, offer);
    if (twin != NULL) {
        const uint64_t first_id = twin->first_id;
        if (waiter != NULL) {
            bao_waiter_shrink(core, waiter, call->count);
        }
        answer_twin(core, call, queue, first_id);
        return (struct progress){.answered = call->count};
    }
    struct bao_place room =
        bao_offer_place(core, queue, offer, call->from, items);
    if (room.count == 0) {
        return (struct progress){.later = room.later, .why = room.why};
    }
    struct bao_call part = *call;
    uint32_t taken = room.count;
    if (!bao_offer_is_atomic(offer)) {
        taken = offer->dedup_key.bytes > 0 ? 1 : room.count;
        part.count = taken;
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < taken; i++) {
        bytes += offer->items[call->from + i].body.bytes;
    }
    struct bao_span why;
    enum baozi_status status =
        bao_offer_admit(core, queue, offer, bytes, taken, &why);
    if (status != BAOZI_OK) {
        if (waiter != NULL) {
            bao_waiter_shrink(core, waiter, call->count);
        }
        return all_refused(core, call, queue, status, why);
    }
    if (waiter != NULL) {
        bao_waiter_shrink(core, waiter, part.count);
    }
    accept(core, &part, queue, offer, taken);
    return (struct progress){.answered = part.count, .later = room.later};
}

/* --- the verb ----------------------------------------------------------- */

static bool fits_alone(const struct bao_queue *queue,
                       const struct bao_put_item *item)
{
    const uint64_t most = queue->options.max_bytes;
    return item->body.bytes <= BAO_ITEM_BYTES_MAX &&
           item->body.header_bytes <= BAO_ITEM_HEADER_BYTES_MAX &&
           (most == 0 || item->body.bytes <= most);
}

static void refuse_too_big(struct bao_core *core,
                           const struct bao_call *call,
                           const struct bao_queue *queue)
{
    bao_refuse(core,
               call,
               BAOZI_TOO_BIG,
               bao_text_span(queue->name),
               BAO_LITERAL("this can never fit: it is larger than an item, "
                           "maxsize or max_bytes may be; put less at once or "
                           "raise the limit"));
}

static bool too_big(struct bao_core *core,
                    const struct bao_call *call,
                    const struct bao_queue *queue,
                    const struct bao_parked *offer)
{
    const struct bao_queue_options *options = &queue->options;
    bool big = (options->max_bytes > 0 && offer->bytes > options->max_bytes) ||
               (options->maxsize > 0 && offer->count > options->maxsize);
    for (uint32_t i = 0; i < offer->count && !big; i++) {
        big = !fits_alone(queue, &offer->items[i]);
    }
    if (big) {
        refuse_too_big(core, call, queue);
    }
    return big;
}

/* What could not be placed at once: FULL, or a place in the line. */
static void wait_or_full(struct bao_core *core,
                         const struct bao_call *call,
                         struct bao_queue *queue,
                         const struct bao_parked *offer,
                         struct progress progress)
{
    const struct bao_operation *op = call->operation;
    const bool try = bao_has(op, BAO_BIT(WAIT_MS)) && op->wait_ms == 0;
    const bool paused = (queue->options.paused & BAO_DIRECTION_IN) != 0;
    const uint64_t overflow = queue->options.overflow;
    const bool refused = try || overflow == BAO_OVERFLOW_REJECT ||
                         (overflow == BAO_OVERFLOW_DROP_OLDEST && !paused &&
                          queue->puts.count == 0);
    if (refused && !progress.later) {
        bao_refuse(core,
                   call,
                   BAOZI_FULL,
                   bao_text_span(queue->name),
                   progress.why.bytes > 0
                       ? progress.why
                       : BAO_LITERAL("other puts wait before this one"));
        return;
    }
    if (!bao_waiter_admits(core, call)) {
        return;
    }
    BAO_MARK("a put waits");
    struct bao_waiter *waiter =
        bao_waiter_new(core, call, BAO_WAITER_PUT, queue);
    waiter->parked = bao_park(core, call, queue, offer);
    waiter->at = 0;
    if (BAO_PLANTED(PUT_LINE_LIFO)) {
        bao_list_push_front(&queue->puts, &waiter->place);
    } else {
        bao_list_push(&queue->puts, &waiter->place);
    }
    bao_line_touch(core, queue);
}

/* Items [call->from, +count) of the offer, all of which can fit. */
static void put_run(struct bao_core *core,
                    struct bao_call call,
                    struct bao_queue *queue,
                    const struct bao_parked *offer)
{
    struct progress progress = {.answered = 0};
    while (queue->puts.count == 0 && !bao_offer_is_bodyless(offer)) {
        progress = place(core, &call, queue, offer, NULL);
        if (progress.answered == call.count) {
            return;
        }
        if (progress.answered == 0) {
            break;
        }
        call.rid += progress.answered;
        call.from += progress.answered;
        call.count -= progress.answered;
    }
    if (queue->shut > 0 || bao_offer_twin(core, queue, offer) != NULL) {
        (void)place(core, &call, queue, offer, NULL);
        return;
    }
    if (bao_offer_is_bodyless(offer) && queue->puts.count == 0) {
        uint32_t items = bao_offer_is_atomic(offer) ? offer->count : call.count;
        struct bao_place room =
            bao_offer_place(core, queue, offer, call.from, items);
        progress.later = room.count > 0 || room.later;
        progress.why = room.why;
    }
    wait_or_full(core, &call, queue, offer, progress);
}

void bao_put(struct bao_core *core, const struct bao_call *call)
{
    struct bao_queue *queue = bao_line_queue(core, call);
    struct bao_parked offer;
    if (queue == NULL || bao_line_drains(core, call) ||
        !bao_offer_read(core, call, queue, &offer)) {
        return;
    }
    struct bao_call run = *call;
    run.from = 0;
    if (bao_offer_is_atomic(&offer)) {
        if (!too_big(core, call, queue, &offer)) {
            put_run(core, run, queue, &offer);
        }
        return;
    }
    BAO_ASSERT(offer.count == call->count);
    for (uint32_t i = 0; i < offer.count;) {
        const bool fits = fits_alone(queue, &offer.items[i]);
        uint32_t next = i + 1;
        while (next < offer.count &&
               fits_alone(queue, &offer.items[next]) == fits) {
            next++;
        }
        run.from = i;
        run.rid = call->rid + i;
        run.count = next - i;
        if (fits) {
            put_run(core, run, queue, &offer);
        } else {
            refuse_too_big(core, &run, queue);
        }
        i = next;
    }
}

/* --- the line ----------------------------------------------------------- */

/* How many bodies one message can carry. */
static uint32_t
sendable(const struct bao_parked *parked, uint32_t from, uint32_t count)
{
    uint64_t small = 0;
    uint32_t big = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t bytes = parked->items[from + i].body.bytes;
        if (bytes >= BAO_BIG_BYTES) {
            big++;
        } else {
            small += bytes;
        }
        if (big > BAO_PARTS_MAX - 2 || small > BAO_BODIES_BYTES_MAX) {
            return i;
        }
    }
    return count;
}

static void ask_body(struct bao_core *core, struct bao_waiter *waiter)
{
    const struct bao_parked *parked = waiter->parked;
    const bool atomic = bao_offer_is_atomic(parked);
    uint32_t items = atomic ? parked->count : waiter->request.count;
    if (waiter->asked || !waiter->session->connected) {
        return;
    }
    struct bao_place room =
        bao_offer_place(core, waiter->queue, parked, waiter->at, items);
    if (room.count == 0) {
        return;
    }
    BAO_MARK("a body is asked for");
    struct bao_operation *op =
        bao_notice(core, waiter->session, NULL, BAO_VERB_SEND_BODY);
    BAO_SET(op, TARGET, target, waiter->request.first);
    BAO_SET(op,
            COUNT,
            count,
            atomic ? items : sendable(parked, waiter->at, room.count));
    waiter->asked = true;
    bao_timer_set(core,
                  &waiter->timer,
                  BAO_TIMER_WAITER,
                  bao_later(core->now_us, BAO_BODY_WAIT_US),
                  waiter->serial);
}

void bao_put_unask(struct bao_core *core, struct bao_waiter *waiter)
{
    if (waiter->kind == BAO_WAITER_PUT && waiter->asked) {
        waiter->asked = false;
        bao_waiter_time(core, waiter, waiter->until_us);
        bao_line_touch(core, waiter->queue);
    }
}

/* One accept of the head of the line; false if it must go on waiting. */
static bool serve_head(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_queue *queue = waiter->queue;
    if (!bao_waiter_lives(waiter)) {
        bao_waiter_end(core, waiter);
        return true;
    }
    if (queue->shut > 0) {
        bao_waiter_refuse(
            core, waiter, BAOZI_SHUTDOWN, BAO_LITERAL("it was shut down"));
        return true;
    }
    if (core->draining) {
        bao_waiter_refuse(core,
                          waiter,
                          BAOZI_DRAINING,
                          BAO_LITERAL("the broker is going down; put again "
                                      "when it is back"));
        return true;
    }
    if (bao_offer_is_bodyless(waiter->parked) &&
        bao_offer_twin(core, queue, waiter->parked) == NULL) {
        ask_body(core, waiter);
        return false;
    }
    struct bao_call call = bao_waiter_call(waiter);
    struct bao_parked offer = *waiter->parked;
    call.from = waiter->at;
    struct progress progress = place(core, &call, queue, &offer, waiter);
    if (progress.answered == 0 && progress.later) {
        core->budget = 0; /* the next tick has all of it */
    }
    return progress.answered > 0;
}

void bao_put_serve(struct bao_core *core, struct bao_queue *queue)
{
    while (queue->puts.count > 0 && core->budget > 0 &&
           bao_out_has_room(core)) {
        struct bao_link *link = bao_list_first(&queue->puts);
        if (!serve_head(core, BAO_OF(link, struct bao_waiter, place))) {
            return;
        }
    }
}

static bool body_matches(const struct bao_operation *op,
                         const struct bao_waiter *waiter,
                         uint32_t count)
{
    const struct bao_parked *parked = waiter->parked;
    const uint32_t most =
        bao_offer_is_atomic(parked) ? parked->count : waiter->request.count;
    if (count == 0 || count > most ||
        (bao_offer_is_atomic(parked) && count != parked->count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = bao_column32(op->lengths, i) & ~BAO_BIG_BIT;
        if (bytes != parked->items[waiter->at + i].body.bytes) {
            return false;
        }
    }
    return true;
}

void bao_put_body(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_request *request = bao_window_find(call->session, op->target);
    if (request == NULL || !request->waiting) {
        return; /* it was cancelled or timed out meanwhile */
    }
    struct bao_waiter *waiter = bao_waiter_of(request);
    const uint32_t count = (uint32_t)bao_column32_count(op->lengths);
    if (waiter->kind != BAO_WAITER_PUT || !waiter->asked ||
        request->first != op->target || !body_matches(op, waiter, count)) {
        return;
    }
    waiter->asked = false;
    bao_waiter_time(core, waiter, waiter->until_us);
    struct bao_queue *queue = waiter->queue;
    struct bao_parked offer = *waiter->parked;
    struct bao_call part = bao_waiter_call(waiter);
    struct bao_body_cursor cursor = op->bodies;
    offer.flags &= ~BAO_FLAG_NO_BODY;
    offer.items = bao_scratch_take(core, count * sizeof(*offer.items));
    for (uint32_t i = 0; i < count; i++) {
        struct bao_body_place at =
            bao_body_next(&cursor, bao_column32(op->lengths, i));
        offer.items[i] = waiter->parked->items[waiter->at + i];
        struct bao_body *body = &offer.items[i].body;
        body->hold = body->bytes == 0 ? 0 : call->hold;
        body->part = at.part;
        body->offset = at.offset;
    }
    if (!bao_offer_is_atomic(&offer)) {
        part.count = count;
    }
    part.from = 0;
    (void)place(core, &part, queue, &offer, waiter);
    bao_line_touch(core, queue);
}
