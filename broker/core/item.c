/*
 * item.c - the arrows of item.h as a table, and the one function along them.
 *
 * Invariant: counts[s] and bytes[s] of a queue are what its items in state s
 * sum up to, those at rest included (shelf.c counts them in); an item has a
 * timer exactly when its state can end by time.
 */
#include "broker/core/items.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/shelf.h"

#define TO(STATE) (1u << BAO_STATE_##STATE)

/* NONE as a source: it is new; as a target: it is gone. */
static const uint16_t arrows[BAO_STATE_TAKEN + 1] = {
    [BAO_STATE_NONE] = TO(READY) | TO(DELAYED),
    [BAO_STATE_READY] = TO(LEASED) | TO(NONE),
    [BAO_STATE_DELAYED] = TO(READY) | TO(DELAYED) | TO(DEAD) | TO(NONE),
    [BAO_STATE_LEASED] =
        TO(READY) | TO(DELAYED) | TO(DEAD) | TO(TAKEN) | TO(NONE),
    [BAO_STATE_DEAD] = TO(NONE),
    [BAO_STATE_TAKEN] = TO(NONE),
};

static void timer_of_wall(struct bao_core *core, struct bao_item *item)
{
    struct bao_note *note = item->note;
    note->wall.kind = BAO_TIMER_WALL;
    bao_put_in_heap(
        core, &core->wall, &note->wall.node, note->wall_us, item->id);
}

static void timer_stop(struct bao_core *core, struct bao_item *item)
{
    bao_timer_stop(core, &item->timer);
    if (item->note != NULL && bao_heap_is_listed(&item->note->wall.node)) {
        bao_heap_remove(&core->wall, &item->note->wall.node);
    }
}

/* When its state ends by itself. */
static uint64_t ends_us(const struct bao_item *item)
{
    uint64_t expires = item->expires_us == 0 ? BAO_NEVER : item->expires_us;
    switch ((enum bao_state)item->state) {
    case BAO_STATE_READY: return expires;
    case BAO_STATE_DELAYED:
        return item->due_us < expires ? item->due_us : expires;
    case BAO_STATE_LEASED: return item->lease->until_us;
    case BAO_STATE_DEAD:
        if (item->queue->options.dead_ttl_ms == 0) {
            return BAO_NEVER;
        }
        return bao_later(item->due_us,
                         bao_us_of_ms(item->queue->options.dead_ttl_ms));
    case BAO_STATE_NONE:
    case BAO_STATE_TAKEN:
    case BAO_STATE_DONE:
    case BAO_STATE_EXPIRED:
    case BAO_STATE_CANCELLED:
    case BAO_STATE_DROPPED:
    case BAO_STATE_PURGED: return BAO_NEVER;
    }
    return BAO_NEVER;
}

void bao_item_time(struct bao_core *core, struct bao_item *item)
{
    uint64_t at = ends_us(item);
    if (at != BAO_NEVER || bao_heap_is_listed(&item->timer.node)) {
        bao_timer_set(core, &item->timer, BAO_TIMER_ITEM, at, item->id);
    }
    if (item->state == BAO_STATE_DELAYED && item->due_us == BAO_NEVER) {
        BAO_ASSERT(item->note != NULL);
        BAO_ASSERT(item->note->wall_us > 0);
        timer_of_wall(core, item);
    }
}

static void leave(struct bao_core *core, struct bao_item *item)
{
    struct bao_queue *queue = item->queue;
    BAO_ASSERT(queue->counts[item->state] > 0);
    BAO_ASSERT(queue->bytes[item->state] >= item->bytes);
    queue->counts[item->state]--;
    queue->bytes[item->state] -= item->bytes;
    if (item->state == BAO_STATE_READY) {
        bao_order_remove(queue, item);
    }
    if (item->state == BAO_STATE_DELAYED) {
        timer_stop(core, item);
    }
}

static void enter(struct bao_core *core, struct bao_item *item)
{
    struct bao_queue *queue = item->queue;
    queue->counts[item->state]++;
    queue->bytes[item->state] += item->bytes;
    if (item->state == BAO_STATE_READY) {
        bao_order_add(core, queue, item);
    }
    bao_item_time(core, item);
}

void bao_item_place(struct bao_core *core, struct bao_item *item)
{
    BAO_ASSERT(item->state != BAO_STATE_NONE);
    bao_shelf_add(core, item);
    enter(core, item);
}

void bao_item_move(struct bao_core *core,
                   struct bao_item *item,
                   enum bao_state to)
{
    const enum bao_state from = (enum bao_state)item->state;
    BAO_ASSERT(from <= BAO_STATE_TAKEN);
    BAO_ASSERT(to <= BAO_STATE_TAKEN);
    BAO_ASSERT((arrows[from] >> to & 1) != 0);

    if (from != BAO_STATE_NONE) {
        leave(core, item);
    }
    item->state = (uint8_t)to;
    if (to == BAO_STATE_NONE) {
        timer_stop(core, item);
        bao_shelf_remove(core, item, from);
        return;
    }
    if (from == BAO_STATE_NONE) {
        bao_item_place(core, item);
        return;
    }
    if (from != to) {
        bao_shelf_recolour(item, from);
    }
    enter(core, item);
}

struct bao_note *bao_item_note(struct bao_core *core, struct bao_item *item)
{
    if (item->note == NULL) {
        item->note = bao_take_slot(core, &core->notes);
        item->note->item = item;
    }
    BAO_ASSERT(item->note->item == item);
    return item->note;
}

void bao_item_free(struct bao_core *core, struct bao_item *item)
{
    BAO_ASSERT(item->state == BAO_STATE_NONE);
    BAO_ASSERT(item->lease == NULL);
    BAO_ASSERT(!bao_heap_is_listed(&item->timer.node));
    if (item->note != NULL) {
        BAO_ASSERT(item->note->dedup == NULL);
        bao_text_drop(core, item->note->dedup_key);
        bao_text_drop(core, item->note->fairness_key);
        bao_text_drop(core, item->note->group_name);
        bao_text_drop(core, item->note->error);
        bao_pool_give(&core->notes, item->note);
    }
    bao_pool_give(&core->items, item);
}
