/*
 * pool.h - slots of one size, carved from an arena 64 at a time.
 *
 * take and give are O(1). A chunk whose 64 slots are all free goes back to
 * the arena (one empty chunk is kept), so a peak is not kept for ever.
 */
#ifndef BAO_POOL_H
#define BAO_POOL_H

#include "common/arena.h"
#include "common/list.h"

struct bao_pool {
    struct bao_arena *arena;
    struct bao_list partial; /* chunks with free and taken slots */
    size_t slot_bytes;
    size_t taken; /* slots that are out */
    struct bao_pool_chunk *spare;
};

void bao_pool_init(struct bao_pool *pool,
                   struct bao_arena *arena,
                   size_t slot_bytes);

/* A cleared slot, 8-aligned; NULL if the arena is empty. */
void *bao_pool_take(struct bao_pool *pool);

/* Gives back a slot that came from this pool. */
void bao_pool_give(struct bao_pool *pool, void *slot);

#endif
