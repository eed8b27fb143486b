/*
 * shelf_inside.h - a shelf, as its own files see it: shelf.c has where it is
 * and which items are on it, shelf_rest.c those at rest.
 */
#ifndef BAO_CORE_SHELF_INSIDE_H
#define BAO_CORE_SHELF_INSIDE_H

#include "broker/core/shelf.h"

static inline unsigned bao_shelf_slot(uint64_t n)
{
    return (unsigned)(n % BAO_SHELF_ITEMS);
}

static inline uint64_t bao_shelf_bit(unsigned slot)
{
    return UINT64_C(1) << slot;
}

/* Bits of the slots below this one. */
static inline uint64_t bao_shelf_below(unsigned slot)
{
    return bao_shelf_bit(slot) - 1;
}

/* And this one's. */
static inline uint64_t bao_shelf_upto(unsigned slot)
{
    return bao_shelf_below(slot) | bao_shelf_bit(slot);
}

/* Its items. */
static inline uint64_t bao_shelf_all(const struct bao_shelf *shelf)
{
    return shelf->resting | shelf->held;
}

static inline unsigned bao_shelf_colour(enum bao_state state)
{
    BAO_ASSERT(state >= BAO_STATE_READY && state <= BAO_STATE_TAKEN);
    return (unsigned)state - 1;
}

/* The shelf that `n` belongs to, or NULL. */
struct bao_shelf *bao_shelf_of(const struct bao_queue *queue, uint64_t n);
/* Made for an item of this colour if there is none. */
struct bao_shelf *bao_shelf_get(struct bao_core *core,
                                struct bao_queue *queue,
                                uint64_t n,
                                unsigned colour);
/* Items come in with a colour; they are held or resting right afterwards. */
void bao_shelf_mark(struct bao_queue *queue,
                    struct bao_shelf *shelf,
                    unsigned colour,
                    uint64_t bits);
/* An item gets a record, or loses it. */
void bao_shelf_hold(struct bao_core *core,
                    struct bao_shelf *shelf,
                    unsigned slot,
                    struct bao_item *item);
void bao_shelf_let_go(struct bao_core *core,
                      struct bao_shelf *shelf,
                      unsigned slot);

#endif
