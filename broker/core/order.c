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

struct bao_item *
bao_order_from(const struct bao_queue *queue, unsigned states, uint64_t n)
{
    return bao_tree_first(&queue->items, states, n).value;
}

struct bao_item *bao_order_first(const struct bao_queue *queue)
{
    const struct bao_heap_entry *entry = NULL;
    switch ((enum bao_kind)queue->options.kind) {
    case BAO_KIND_FIFO:
        return bao_tree_first(&queue->items, BAO_COLOUR(READY), 0).value;
    case BAO_KIND_LIFO:
        return bao_tree_last(&queue->items, BAO_COLOUR(READY), UINT64_MAX)
            .value;
    case BAO_KIND_PRIORITY:
        entry = bao_heap_first(&queue->order);
        return entry == NULL ? NULL
                             : BAO_OF(entry->node, struct bao_item, order);
    }
    bao_panic(__FILE__, __LINE__, "a kind");
}

struct bao_item *bao_order_worst(const struct bao_queue *queue)
{
    if (queue->options.kind != BAO_KIND_PRIORITY) {
        return bao_order_from(queue, BAO_COLOUR(READY), 0);
    }
    BAO_ASSERT(queue->indexed);
    const struct bao_heap_entry *entry = bao_heap_first(&queue->worst);
    return entry == NULL ? NULL : BAO_OF(entry->node, struct bao_item, worst);
}

struct bao_item *bao_order_take(struct bao_queue *queue,
                                const struct bao_item *before)
{
    struct bao_item *item = NULL;
    const uint64_t n = before == NULL ? 0 : before->id & BAO_N_MASK;
    switch ((enum bao_kind)queue->options.kind) {
    case BAO_KIND_FIFO:
        if (BAO_PLANTED(ORDER_BROKEN) && before == NULL) {
            return bao_tree_last(&queue->items, BAO_COLOUR(READY), UINT64_MAX)
                .value;
        }
        return bao_tree_first(&queue->items, BAO_COLOUR(READY), n + 1).value;
    case BAO_KIND_LIFO:
        return bao_tree_last(&queue->items,
                             BAO_COLOUR(READY),
                             before == NULL ? UINT64_MAX : n - 1)
            .value;
    case BAO_KIND_PRIORITY:
        item = bao_order_first(queue);
        if (item != NULL) {
            bao_heap_remove(&queue->order, &item->order);
        }
        return item;
    }
    bao_panic(__FILE__, __LINE__, "a kind");
}

void bao_order_untake(struct bao_core *core,
                      struct bao_queue *queue,
                      struct bao_item *item)
{
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        bao_put_in_heap(
            core, &queue->order, &item->order, urgency(item), item->id);
    }
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
            bao_order_from(queue, BAO_COLOUR(READY), queue->index_next);
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
