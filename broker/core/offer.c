/*
 * offer.c - may these items come in: bounds, duplicates, quotas.
 *
 * The bound is checked where an item is accepted and nowhere else: a returned
 * item is never refused, so a queue may exceed its bound that way.
 */
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/put.h"
#include "broker/core/room.h"
#include "broker/core/settle.h"
#include "broker/core/tally.h"
#include "common/planted.h"
#include "common/wire.h"

uint64_t bao_queue_held(const struct bao_queue *queue)
{
    uint64_t held =
        queue->counts[BAO_STATE_READY] + queue->counts[BAO_STATE_DELAYED];
    if (queue->options.bound == BAO_BOUND_TOTAL) {
        held += queue->counts[BAO_STATE_LEASED];
    }
    return held;
}

static uint64_t bytes_held(const struct bao_queue *queue)
{
    uint64_t held = queue->bytes[BAO_STATE_READY] +
                    queue->bytes[BAO_STATE_DELAYED] +
                    queue->bytes[BAO_STATE_DEAD];
    if (queue->options.bound == BAO_BOUND_TOTAL) {
        held += queue->bytes[BAO_STATE_LEASED];
    }
    return held;
}

/* How many of the offer's items fit into maxsize and max_bytes now. */
static uint32_t fitting(const struct bao_queue *queue,
                        const struct bao_parked *offer,
                        uint32_t from,
                        uint32_t count)
{
    const struct bao_queue_options *options = &queue->options;
    uint64_t most = count;
    if (options->maxsize > 0) {
        uint64_t held = bao_queue_held(queue);
        uint64_t room = options->maxsize > held ? options->maxsize - held : 0;
        room += BAO_PLANTED(BOUND_PLUS_ONE) && held == options->maxsize;
        most = room < most ? room : most;
    }
    if (options->max_bytes == 0) {
        return (uint32_t)most;
    }
    uint64_t bytes = bytes_held(queue);
    for (uint32_t i = 0; i < most; i++) {
        bytes += offer->items[from + i].body.bytes;
        if (bytes > options->max_bytes) {
            return i;
        }
    }
    return (uint32_t)most;
}

/* True if dropping every ready item would make room for `count`. */
static bool droppable(const struct bao_queue *queue,
                      const struct bao_parked *offer,
                      uint32_t from,
                      uint32_t count)
{
    const struct bao_queue_options *options = &queue->options;
    uint64_t fixed = bao_queue_held(queue) - queue->counts[BAO_STATE_READY];
    if (options->maxsize > 0 && fixed + count > options->maxsize) {
        return false;
    }
    if (options->max_bytes == 0) {
        return true;
    }
    uint64_t bytes = bytes_held(queue) - queue->bytes[BAO_STATE_READY];
    for (uint32_t i = 0; i < count; i++) {
        bytes += offer->items[from + i].body.bytes;
    }
    return bytes <= options->max_bytes;
}

/* Drops the oldest of the least urgent until `count` fit; false if this step
 * may not move enough. */
static bool drop_oldest(struct bao_core *core,
                        struct bao_queue *queue,
                        const struct bao_parked *offer,
                        uint32_t from,
                        uint32_t count)
{
    if (!bao_order_index(core, queue)) {
        return false;
    }
    while (fitting(queue, offer, from, count) < count) {
        struct bao_item *item = bao_order_worst(core, queue);
        if (item == NULL || core->budget == 0) {
            return false;
        }
        BAO_MARK("drop_oldest drops");
        core->budget--;
        bao_settle_one(core, item, BAO_STATE_DROPPED);
    }
    return true;
}

/* The most that one accept takes in from a full queue that drops. */
static uint32_t drop_for(struct bao_core *core,
                         struct bao_queue *queue,
                         const struct bao_parked *offer,
                         uint32_t from,
                         uint32_t count)
{
    if ((offer->flags & BAO_FLAG_ATOMIC) == 0) {
        count = 1;
    }
    if (!droppable(queue, offer, from, count) ||
        !drop_oldest(core, queue, offer, from, count)) {
        return 0;
    }
    return count;
}

struct bao_place bao_offer_place(struct bao_core *core,
                                 struct bao_queue *queue,
                                 const struct bao_parked *offer,
                                 uint32_t from,
                                 uint32_t count)
{
    const bool atomic = (offer->flags & BAO_FLAG_ATOMIC) != 0;
    struct bao_place place = {.status = BAOZI_FULL};
    if ((queue->options.paused & BAO_DIRECTION_IN) != 0) {
        place.why = BAO_LITERAL("it is paused; resume it");
        return place;
    }
    uint32_t fit = fitting(queue, offer, from, count);
    if (atomic && fit < count) {
        fit = 0;
    }
    if (fit == 0 && queue->options.overflow == BAO_OVERFLOW_DROP_OLDEST) {
        fit = drop_for(core, queue, offer, from, count);
        place.later = fit == 0 && core->budget == 0;
    }
    if (fit == 0) {
        place.why = BAO_LITERAL("it is at its bound; wait, add workers or "
                                "raise maxsize or max_bytes");
        return place;
    }
    if (fit > core->budget) {
        place.later = true;
        fit = atomic ? 0 : core->budget;
    }
    place.count = fit;
    place.status = fit > 0 ? BAOZI_OK : BAOZI_FULL;
    return place;
}

const struct bao_dedup *bao_offer_twin(struct bao_core *core,
                                       struct bao_queue *queue,
                                       const struct bao_parked *offer)
{
    if (offer->dedup_key.bytes == 0 || BAO_PLANTED(KEY_FORGOTTEN) ||
        (BAO_PLANTED(KEYS_LOST) && core->epoch > 1)) {
        return NULL;
    }
    const struct bao_dedup *dedup =
        bao_dedup_find(core, queue, offer->dedup_key);
    if (dedup == NULL || dedup->live > 0 || dedup->until_us > core->now_us) {
        return dedup;
    }
    BAO_MARK("a dedup window ended just before the put");
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_DEDUP_FORGOTTEN);
    fact->queue = queue->incarnation;
    fact->name = offer->dedup_key;
    bao_decide(core, fact);
    return NULL;
}

/* Room for one more group: the oldest finished one goes. */
static bool admit_group(struct bao_core *core,
                        struct bao_queue *queue,
                        struct bao_span name)
{
    if (name.bytes == 0 || queue->group_count < queue->options.group_max ||
        bao_group_find(core, queue, name) != NULL) {
        return true;
    }
    struct bao_link *oldest = bao_list_first(&queue->finished);
    if (oldest == NULL) {
        return false;
    }
    BAO_MARK("the oldest finished group makes room");
    struct bao_group *group = BAO_OF(oldest, struct bao_group, finished);
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_GROUP_FORGOTTEN);
    fact->queue = queue->incarnation;
    fact->name = bao_scratch_copy(core, bao_text_span(group->name));
    bao_decide(core, fact);
    return true;
}

enum baozi_status bao_offer_admit(struct bao_core *core,
                                  struct bao_queue *queue,
                                  const struct bao_parked *offer,
                                  uint64_t bytes,
                                  uint32_t count,
                                  struct bao_span *why)
{
    if (!bao_memory_admits(core)) {
        *why = BAO_LITERAL("the broker's memory is full; settle items, then "
                           "repeat");
        return BAOZI_QUOTA;
    }
    if (core->body_bytes + bytes > core->config.body_bytes_max ||
        (!queue->logged &&
         core->unlogged_bytes + bytes > core->config.unlogged_bytes_max)) {
        *why = BAO_LITERAL("the broker's room for payloads is full; settle "
                           "items, then repeat");
        return BAOZI_QUOTA;
    }
    const bool keyed =
        offer->dedup_key.bytes > 0 &&
        (offer->window_us > 0 || (offer->flags & BAO_FLAG_UNIQUE) != 0);
    if (keyed && queue->dedup_count >= queue->options.dedup_max) {
        BAO_MARK("too many dedup keys");
        *why = BAO_LITERAL("it has dedup_max keys; wait until some end");
        return BAOZI_QUOTA;
    }
    if (!admit_group(core, queue, offer->group)) {
        *why = BAO_LITERAL("it has group_max groups with open items");
        return BAOZI_QUOTA;
    }
    if (!bao_room_for_put(core, queue, bytes, count)) {
        BAO_MARK("the log has no room for a put");
        *why = BAO_LITERAL("the broker's disk is full; make room there, or "
                           "settle items");
        return BAOZI_STORAGE_FULL;
    }
    return BAOZI_OK;
}

static bool refuse(struct bao_core *core,
                   const struct bao_call *call,
                   struct bao_queue *queue,
                   struct bao_span why)
{
    bao_refuse(core, call, BAOZI_BAD_REQUEST, bao_text_span(queue->name), why);
    return false;
}

static bool read_items(struct bao_core *core,
                       const struct bao_call *call,
                       struct bao_queue *queue,
                       struct bao_parked *offer)
{
    const struct bao_operation *op = call->operation;
    const bool has_headers = bao_has(op, BAO_BIT(HEADER_LENGTHS));
    const bool has_priorities = bao_has(op, BAO_BIT(PRIORITIES));
    const bool bodyless = (offer->flags & BAO_FLAG_NO_BODY) != 0;
    const uint32_t from =
        (offer->flags & BAO_FLAG_ATOMIC) != 0 ? 0 : call->from;
    const int32_t priority =
        bao_has(op, BAO_BIT(PRIORITY)) ? (int32_t)op->priority : 0;
    struct bao_body_cursor cursor = op->bodies;
    for (uint32_t i = 0; i < from && !bodyless; i++) {
        (void)bao_body_next(&cursor, bao_column32(op->lengths, i));
    }
    for (uint32_t i = from; i < from + offer->count; i++) {
        struct bao_put_item *item = &offer->items[i - from];
        const uint32_t length = bao_column32(op->lengths, i);
        *item = (struct bao_put_item){.priority = priority};
        item->body.bytes = length & ~BAO_BIG_BIT;
        if (!bodyless) {
            struct bao_body_place place = bao_body_next(&cursor, length);
            item->body.part = place.part;
            item->body.offset = place.offset;
            item->body.hold = item->body.bytes == 0 ? 0 : call->hold;
        }
        if (has_headers) {
            item->body.header_bytes = bao_column32(op->header_lengths, i);
        }
        if (has_priorities) {
            item->priority = (int32_t)bao_column32(op->priorities, i);
        }
        if (item->body.header_bytes > item->body.bytes) {
            return refuse(core,
                          call,
                          queue,
                          BAO_LITERAL("a header is longer than its item"));
        }
        if (item->priority != 0 && queue->options.kind != BAO_KIND_PRIORITY) {
            return refuse(core,
                          call,
                          queue,
                          BAO_LITERAL("it is not a priority queue; put with "
                                      "priority 0 or declare it as one"));
        }
        offer->bytes += item->body.bytes;
    }
    return true;
}

static bool columns_match(const struct bao_operation *op, uint32_t count)
{
    return (!bao_has(op, BAO_BIT(HEADER_LENGTHS)) ||
            bao_column32_count(op->header_lengths) == count) &&
           (!bao_has(op, BAO_BIT(PRIORITIES)) ||
            bao_column32_count(op->priorities) == count);
}

bool bao_offer_read(struct bao_core *core,
                    const struct bao_call *call,
                    struct bao_queue *queue,
                    struct bao_parked *offer)
{
    const struct bao_operation *op = call->operation;
    *offer = (struct bao_parked){.hold = call->hold};
    const size_t entries = bao_column32_count(op->lengths);
    if (bao_has(op, BAO_BIT(FLAGS))) {
        offer->flags = (uint32_t)op->flags;
    }
    if (entries == 0 || entries > BAO_OPERATION_ITEMS_MAX ||
        !columns_match(op, (uint32_t)entries)) {
        return refuse(core,
                      call,
                      queue,
                      BAO_LITERAL("a put needs 1 to 1,024 lengths, and as "
                                  "many of every other column"));
    }
    if (bao_has(op, BAO_BIT(DELAY_MS))) {
        offer->delay_us = bao_us_of_ms(op->delay_ms);
    }
    if (bao_has(op, BAO_BIT(NOT_BEFORE_MS))) {
        offer->timed = true;
        offer->not_before_ms = op->not_before_ms;
    }
    offer->ttl_us = bao_us_of_ms(queue->options.ttl_ms);
    if (bao_has(op, BAO_BIT(TTL_MS)) && op->ttl_ms > 0) {
        offer->ttl_us = bao_us_of_ms(op->ttl_ms);
    }
    if (bao_has(op, BAO_BIT(GROUP))) {
        offer->group = op->group;
    }
    if (bao_has(op, BAO_BIT(FAIRNESS_KEY))) {
        offer->fairness_key = op->fairness_key;
    }
    if (bao_has(op, BAO_BIT(DEDUP_KEY))) {
        offer->dedup_key = op->dedup_key;
        offer->window_us = bao_us_of_ms(queue->options.dedup_window_ms);
    }
    if (bao_has(op, BAO_BIT(DEDUP_WINDOW_MS)) && op->dedup_window_ms > 0) {
        offer->window_us = bao_us_of_ms(op->dedup_window_ms);
    }
    if ((offer->flags & BAO_FLAG_UNIQUE) != 0 && offer->dedup_key.bytes == 0) {
        return refuse(
            core, call, queue, BAO_LITERAL("unique needs a dedup_key"));
    }
    offer->count = call->count;
    if ((offer->flags & BAO_FLAG_ATOMIC) != 0) {
        offer->count = (uint32_t)entries;
    }
    BAO_ASSERT(offer->count <= entries);
    offer->items = bao_scratch_take(core, offer->count * sizeof(*offer->items));
    return read_items(core, call, queue, offer);
}
