/*
 * order.c - first and worst of the three kinds.
 *
 * Invariant: the heap `order` of a priority queue holds exactly its READY
 * items; `worst` holds those too when `indexed`, else some of them.
 */
#include "broker/core/order.h"

#include "broker/core/memory.h"
#include "common/planted.h"

/* Priorities as unsigned numbers in the same order. */
static uint64_t urgency(const struct bao_item *item)
{
    return (uint64_t)((uint32_t)item->priority ^ 0x80000000u);
}

struct bao_item *bao_order_from(struct bao_core *core,
                                struct bao_queue *queue,
                                unsigned states,
                                uint64_t n)
{
    n = bao_shelf_next(queue, states, n);
    return n == 0 ? NULL : bao_item_at(core, queue, n);
}

const struct bao_item *bao_order_look(const struct bao_queue *queue,
                                      unsigned states,
                                      uint64_t n,
                                      struct bao_item *room)
{
    n = bao_shelf_next(queue, states, n);
    return n == 0 ? NULL : bao_item_look(queue, n, room);
}

/* n of the ready item that lies behind number `n` (0: the first) in the order
 * of a fifo or lifo queue; 0 if there is none. */
static uint64_t behind(const struct bao_queue *queue, uint64_t n)
{
    if (queue->options.kind == BAO_KIND_FIFO) {
        return bao_shelf_next(queue, BAO_COLOUR(READY), n + 1);
    }
    return bao_shelf_last(
        queue, BAO_COLOUR(READY), n == 0 ? BAO_N_MASK : n - 1);
}

static struct bao_item *most_urgent(const struct bao_queue *queue)
{
    const struct bao_heap_entry *entry = bao_heap_first(&queue->order);
    return entry == NULL ? NULL : BAO_OF(entry->node, struct bao_item, order);
}

const struct bao_item *bao_order_peek(const struct bao_queue *queue,
                                      struct bao_item *room)
{
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        return most_urgent(queue);
    }
    const uint64_t n = behind(queue, 0);
    return n == 0 ? NULL : bao_item_look(queue, n, room);
}

struct bao_item *bao_order_first(struct bao_core *core, struct bao_queue *queue)
{
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        return most_urgent(queue);
    }
    const uint64_t n = behind(queue, 0);
    return n == 0 ? NULL : bao_item_at(core, queue, n);
}

struct bao_item *bao_order_worst(struct bao_core *core, struct bao_queue *queue)
{
    if (queue->options.kind != BAO_KIND_PRIORITY) {
        return bao_order_from(core, queue, BAO_COLOUR(READY), 0);
    }
    BAO_ASSERT(queue->indexed);
    const struct bao_heap_entry *entry = bao_heap_first(&queue->worst);
    return entry == NULL ? NULL : BAO_OF(entry->node, struct bao_item, worst);
}

struct bao_item *bao_order_take(struct bao_core *core,
                                struct bao_queue *queue,
                                const struct bao_item *before)
{
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        struct bao_item *item = most_urgent(queue);
        if (item != NULL) {
            bao_heap_remove(&queue->order, &item->order);
        }
        return item;
    }
    uint64_t n = behind(queue, before == NULL ? 0 : before->id & BAO_N_MASK);
    if (BAO_PLANTED(ORDER_BROKEN) && before == NULL &&
        queue->options.kind == BAO_KIND_FIFO) {
        n = bao_shelf_last(queue, BAO_COLOUR(READY), BAO_N_MASK);
    }
    return n == 0 ? NULL : bao_item_at(core, queue, n);
}

void bao_order_untake(struct bao_core *core,
                      struct bao_queue *queue,
                      struct bao_item *item)
{
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        bao_put_in_heap(
            core, &queue->order, &item->order, urgency(item), item->id);
        return;
    }
    bao_item_rest(core, item);
}

static bool needs_worst(const struct bao_queue *queue)
{
    return queue->indexed || queue->index_next > 0 ||
           queue->options.overflow == BAO_OVERFLOW_DROP_OLDEST;
}

void bao_order_add(struct bao_core *core,
                   struct bao_queue *queue,
                   struct bao_item *item)
{
    BAO_ASSERT(item->state == BAO_STATE_READY);
    if (queue->options.kind != BAO_KIND_PRIORITY) {
        return;
    }
    bao_put_in_heap(core, &queue->order, &item->order, urgency(item), item->id);
    if (needs_worst(queue)) {
        bao_put_in_heap(
            core, &queue->worst, &item->worst, ~urgency(item), item->id);
    }
}

void bao_order_remove(struct bao_queue *queue, struct bao_item *item)
{
    if (queue->options.kind != BAO_KIND_PRIORITY) {
        return;
    }
    if (bao_heap_is_listed(&item->order)) {
        bao_heap_remove(&queue->order, &item->order);
    }
    if (bao_heap_is_listed(&item->worst)) {
        bao_heap_remove(&queue->worst, &item->worst);
    }
}

bool bao_order_index(struct bao_core *core, struct bao_queue *queue)
{
    if (queue->indexed || queue->options.kind != BAO_KIND_PRIORITY) {
        return true;
    }
    if (queue->index_next == 0) {
        queue->index_next = 1;
    }
    while (core->budget > 0) {
        struct bao_item *item =
            bao_order_from(core, queue, BAO_COLOUR(READY), queue->index_next);
        if (item == NULL) {
            queue->indexed = true;
            BAO_ASSERT(queue->worst.count == queue->order.count);
            return true;
        }
        queue->index_next = (item->id & BAO_N_MASK) + 1;
        if (!bao_heap_is_listed(&item->worst)) {
            BAO_MARK("the second heap is built for items that were there");
            bao_put_in_heap(
                core, &queue->worst, &item->worst, ~urgency(item), item->id);
        }
        core->budget--;
    }
    return false;
}
