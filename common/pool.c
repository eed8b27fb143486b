/*
 * pool.c - the slots of pool.h.
 *
 * A chunk is 64 slots and a mask of the free ones; each slot is preceded by a
 * pointer to its chunk. Chunks with both free and taken slots are listed, the
 * last one that became free first, so that others run empty and go back.
 */
#include "common/pool.h"

#include "common/check.h"
#include "common/poison.h"

#define CHUNK_SLOTS 64u

struct bao_pool_chunk {
    struct bao_link link; /* in pool->partial, unless full or spare */
    uint64_t free;        /* bit i: slot i is free */
};

struct slot_head {
    struct bao_pool_chunk *chunk;
};

_Static_assert(sizeof(struct bao_pool_chunk) % 8 == 0, "slots are 8-aligned");

static size_t stride_of(const struct bao_pool *pool)
{
    return sizeof(struct slot_head) + pool->slot_bytes;
}

static struct slot_head *head_at(const struct bao_pool *pool,
                                 struct bao_pool_chunk *chunk,
                                 unsigned index)
{
    return (struct slot_head *)(void *)((uint8_t *)(chunk + 1) +
                                        index * stride_of(pool));
}

void bao_pool_init(struct bao_pool *pool,
                   struct bao_arena *arena,
                   size_t slot_bytes)
{
    BAO_ASSERT(slot_bytes > 0);
    *pool = (struct bao_pool){.arena = arena,
                              .slot_bytes = (slot_bytes + 7) / 8 * 8};
    bao_list_init(&pool->partial);
}

/* A chunk of which all slots are free, in no list; or NULL. */
static struct bao_pool_chunk *chunk_take(struct bao_pool *pool)
{
    struct bao_pool_chunk *chunk = pool->spare;
    if (chunk != NULL) {
        pool->spare = NULL;
        return chunk;
    }

    size_t slots_bytes = CHUNK_SLOTS * stride_of(pool);
    chunk = bao_arena_take(pool->arena, sizeof(*chunk) + slots_bytes);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct bao_pool_chunk){.free = UINT64_MAX};
    for (unsigned i = 0; i < CHUNK_SLOTS; i++)
        head_at(pool, chunk, i)->chunk = chunk;
    BAO_POISON(chunk + 1, slots_bytes);
    return chunk;
}

static void chunk_give(struct bao_pool *pool, struct bao_pool_chunk *chunk)
{
    if (pool->spare == NULL) {
        pool->spare = chunk;
        return;
    }
    BAO_UNPOISON(chunk + 1, CHUNK_SLOTS * stride_of(pool));
    bao_arena_give(pool->arena, chunk);
}

void *bao_pool_take(struct bao_pool *pool)
{
    struct bao_pool_chunk *chunk;
    struct bao_link *link = bao_list_first(&pool->partial);
    if (link != NULL) {
        chunk = BAO_OF(link, struct bao_pool_chunk, link);
    } else {
        chunk = chunk_take(pool);
        if (chunk == NULL)
            return NULL;
        bao_list_push_front(&pool->partial, &chunk->link);
    }

    BAO_ASSERT(chunk->free != 0);
    unsigned index = (unsigned)__builtin_ctzll(chunk->free);
    chunk->free &= chunk->free - 1;
    if (chunk->free == 0)
        bao_list_remove(&pool->partial, &chunk->link);
    pool->taken++;

    struct slot_head *head = head_at(pool, chunk, index);
    BAO_UNPOISON(head, stride_of(pool));
    BAO_ASSERT(head->chunk == chunk);
    memset(head + 1, 0, pool->slot_bytes);
    return head + 1;
}

void bao_pool_give(struct bao_pool *pool, void *slot)
{
    struct slot_head *head = (struct slot_head *)slot - 1;
    struct bao_pool_chunk *chunk = head->chunk;
    size_t offset = (size_t)((uint8_t *)head - (uint8_t *)(chunk + 1));
    size_t index = offset / stride_of(pool);
    BAO_ASSERT(index < CHUNK_SLOTS && offset % stride_of(pool) == 0);
    uint64_t bit = UINT64_C(1) << index;
    BAO_ASSERT((chunk->free & bit) == 0);
    BAO_ASSERT(pool->taken > 0);

    if (chunk->free == 0)
        bao_list_push_front(&pool->partial, &chunk->link);
    chunk->free |= bit;
    pool->taken--;
    BAO_POISON(head, stride_of(pool));
    if (chunk->free == UINT64_MAX) {
        bao_list_remove(&pool->partial, &chunk->link);
        chunk_give(pool, chunk);
    }
}
