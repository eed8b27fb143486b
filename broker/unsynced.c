/*
 * unsynced.c - see unsynced.h.
 *
 * Invariant: a queue is in the table exactly as long as its last position is
 * not synced; its puts are in a ring, oldest first, ids and positions growing.
 */
#include "broker/unsynced.h"

#include "common/check.h"
#include "common/limits.h"

#define PUTS_FIRST 4u

struct put {
    uint64_t first_id;
    uint64_t last_id;
    uint64_t position;
};

struct queue {
    struct bao_table_node node;
    struct bao_link order;
    uint64_t incarnation;
    uint64_t last;
    uint64_t made;    /* 0: before any of these */
    struct put *puts; /* a ring of `capacity`, a power of 2 */
    uint32_t capacity;
    uint32_t first;
    uint32_t count;
};

bool bao_unsynced_open(struct bao_unsynced *unsynced, struct bao_arena *arena)
{
    *unsynced = (struct bao_unsynced){.arena = arena};
    bao_list_init(&unsynced->order);
    return bao_table_init(&unsynced->queues, arena);
}

static struct queue *find(const struct bao_unsynced *unsynced,
                          uint64_t incarnation)
{
    struct bao_table_node *node =
        bao_table_first(&unsynced->queues, bao_hash_number(incarnation, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct queue *queue = BAO_OF(node, struct queue, node);
        if (queue->incarnation == incarnation)
            return queue;
    }
    return NULL;
}

static struct put *put_at(const struct queue *queue, uint32_t i)
{
    return &queue->puts[(queue->first + i) & (queue->capacity - 1)];
}

static bool grow(struct bao_unsynced *unsynced, struct queue *queue)
{
    const uint32_t capacity =
        queue->capacity == 0 ? PUTS_FIRST : 2 * queue->capacity;
    struct put *puts = bao_arena_take(unsynced->arena, capacity * sizeof *puts);
    if (puts == NULL)
        return false;
    for (uint32_t i = 0; i < queue->count; i++)
        puts[i] = *put_at(queue, i);
    bao_arena_give(unsynced->arena, queue->puts);
    queue->puts = puts;
    queue->capacity = capacity;
    queue->first = 0;
    return true;
}

static bool note_put(struct bao_unsynced *unsynced,
                     struct queue *queue,
                     struct put put,
                     uint64_t written)
{
    struct put *last = NULL;
    if (queue->count > 0)
        last = put_at(queue, queue->count - 1);
    if (last != NULL && last->position > written) {
        BAO_ASSERT(last->last_id < put.first_id);
        last->last_id = put.last_id;
        last->position = put.position;
        return true;
    }
    if (queue->count == queue->capacity && !grow(unsynced, queue))
        return false;
    queue->count++;
    *put_at(queue, queue->count - 1) = put;
    return true;
}

static void end(struct bao_unsynced *unsynced, struct queue *queue)
{
    bao_list_remove(&unsynced->order, &queue->order);
    bao_table_remove(&unsynced->queues, &queue->node);
    bao_arena_give(unsynced->arena, queue->puts);
    bao_arena_give(unsynced->arena, queue);
}

void bao_unsynced_note(struct bao_unsynced *unsynced,
                       uint64_t position,
                       const struct bao_fact *fact,
                       uint64_t written)
{
    const uint64_t incarnation = fact->queue;
    struct queue *queue = find(unsynced, incarnation);
    if (queue != NULL) {
        bao_list_remove(&unsynced->order, &queue->order);
    } else {
        queue = bao_arena_take(unsynced->arena, sizeof *queue);
        if (queue == NULL) {
            unsynced->all = position;
            return;
        }
        *queue = (struct queue){.incarnation = incarnation};
        bao_table_put(
            &unsynced->queues, &queue->node, bao_hash_number(incarnation, 0));
    }
    BAO_ASSERT(position >= queue->last);
    queue->last = position;
    if (fact->kind == BAO_FACT_QUEUE_MADE)
        queue->made = position;
    bao_list_push(&unsynced->order, &queue->order);
    if (fact->kind != BAO_FACT_ITEM_PUT)
        return;
    struct put put = {.first_id = fact->first_id,
                      .last_id = fact->first_id + fact->count - 1,
                      .position = position};
    if (!note_put(unsynced, queue, put, written))
        unsynced->all = position;
}

void bao_unsynced_passed(struct bao_unsynced *unsynced, uint64_t synced)
{
    struct bao_link *link;
    while ((link = bao_list_first(&unsynced->order)) != NULL) {
        struct queue *queue = BAO_OF(link, struct queue, order);
        if (queue->last > synced)
            break;
        end(unsynced, queue);
    }
    for (; link != NULL; link = bao_list_next(&unsynced->order, link)) {
        struct queue *queue = BAO_OF(link, struct queue, order);
        while (queue->count > 0 && put_at(queue, 0)->position <= synced) {
            queue->first++;
            queue->count--;
        }
    }
    if (unsynced->all <= synced)
        unsynced->all = 0;
}

uint64_t bao_unsynced_last(const struct bao_unsynced *unsynced,
                           uint64_t incarnation)
{
    const struct queue *queue = find(unsynced, incarnation);
    const uint64_t last = queue == NULL ? 0 : queue->last;
    return last > unsynced->all ? last : unsynced->all;
}

uint64_t bao_unsynced_made(const struct bao_unsynced *unsynced,
                           uint64_t incarnation)
{
    const struct queue *queue = find(unsynced, incarnation);
    const uint64_t made = queue == NULL ? 0 : queue->made;
    return made > unsynced->all ? made : unsynced->all;
}

uint64_t bao_unsynced_put(const struct bao_unsynced *unsynced, uint64_t id)
{
    const struct queue *queue = find(unsynced, id >> BAO_ID_SHIFT);
    if (unsynced->all > 0)
        return bao_unsynced_last(unsynced, id >> BAO_ID_SHIFT);
    if (queue == NULL)
        return 0;
    /* The first entry that reaches up to the id. */
    uint32_t low = 0;
    uint32_t high = queue->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (put_at(queue, middle)->last_id < id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == queue->count || put_at(queue, low)->first_id > id)
        return 0;
    return put_at(queue, low)->position;
}
