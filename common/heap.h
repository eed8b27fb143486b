/*
 * heap.h - the smallest (key, tie) first; any element removed by handle.
 *
 * A 4-ary heap whose nodes live in their elements and know their position, so
 * remove and update are O(log n) without a search. Entries lie in segments of
 * 1,024, so growing never copies more than the first one (which begins with
 * 16, for a heap of its own costs little); they go back as the heap shrinks,
 * and an empty heap holds no memory. A node that is in no heap has position
 * 0; zeroed memory is a valid unlisted node.
 */
#ifndef BAO_HEAP_H
#define BAO_HEAP_H

#include "common/arena.h"

struct bao_heap_node {
    uint32_t position; /* 1 + index, 0 = in no heap */
};

struct bao_heap_entry {
    uint64_t key;
    uint64_t tie;
    struct bao_heap_node *node;
};

struct bao_heap {
    struct bao_arena *arena;
    struct bao_heap_entry **segments;
    uint32_t segment_count;    /* allocated */
    uint32_t segment_capacity; /* of the directory */
    uint32_t first_entries;    /* of the first segment: up to 1,024 */
    uint32_t count;
};

void bao_heap_init(struct bao_heap *heap, struct bao_arena *arena);
void bao_heap_fini(struct bao_heap *heap); /* gives its memory back */

/* Adds an unlisted node; false if memory ran out (nothing changed). */
bool bao_heap_push(struct bao_heap *heap,
                   struct bao_heap_node *node,
                   uint64_t key,
                   uint64_t tie);
/* The smallest entry (lent until the next change), or NULL. */
const struct bao_heap_entry *bao_heap_first(const struct bao_heap *heap);
/* Takes a listed node out. */
void bao_heap_remove(struct bao_heap *heap, struct bao_heap_node *node);
/* Gives a listed node a new key. */
void bao_heap_update(struct bao_heap *heap,
                     struct bao_heap_node *node,
                     uint64_t key,
                     uint64_t tie);

static inline bool bao_heap_is_listed(const struct bao_heap_node *node)
{
    return node->position != 0;
}

#endif
