/*
 * items.h - moving items between states, and sums of time that cannot wrap.
 */
#ifndef BAO_CORE_ITEMS_H
#define BAO_CORE_ITEMS_H

#include "broker/core/state.h"

/* Moves an item along an arrow of item.h. Members that the new state needs
 * (lease, due_us) are set before. NONE takes it out of its queue. */
void bao_item_move(struct bao_core *core,
                   struct bao_item *item,
                   enum bao_state to);
/* Puts a new item into its queue, in the state that it has. */
void bao_item_place(struct bao_core *core, struct bao_item *item);
/* Sets the timer again after a deadline was moved. */
void bao_item_time(struct bao_core *core, struct bao_item *item);
/* Its note, made if it has none. */
struct bao_note *bao_item_note(struct bao_core *core, struct bao_item *item);
/* Gives back the record of an item that was moved to NONE. */
void bao_item_free(struct bao_core *core, struct bao_item *item);

static inline uint64_t bao_later(uint64_t from_us, uint64_t by_us)
{
    return from_us > BAO_NEVER - by_us ? BAO_NEVER : from_us + by_us;
}

/* When a delay is over: never BAO_NEVER, which stands for the wall clock (and
 * in a return for the queue's backoff). */
static inline uint64_t bao_due_us(uint64_t now_us, uint64_t delay_us)
{
    uint64_t due_us = bao_later(now_us, delay_us);
    return due_us == BAO_NEVER ? BAO_NEVER - 1 : due_us;
}

static inline uint64_t bao_us_of_ms(uint64_t ms)
{
    return ms > BAO_NEVER / BAO_MS ? BAO_NEVER : ms * BAO_MS;
}

/* The wall clock, in microseconds since 1970. */
static inline uint64_t bao_wall_us(const struct bao_core *core)
{
    return core->now_us + (uint64_t)core->config.wall_offset_us;
}

#endif
