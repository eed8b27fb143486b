/*
 * table.h - find an element by a hash of its key.
 *
 * Linear hashing (Litwin, VLDB 1980): each insert splits at most one bucket,
 * and each removal merges a few, so there is never a pause to rehash. Nodes
 * live in their elements; buckets lie in segments of 512 (the first begins with
 * 8). Callers compare keys themselves:
 *
 *   for (n = bao_table_first(&t, hash); n; n = bao_table_next(n))
 *       if (same(BAO_OF(n, struct thing, node), key)) ...
 */
#ifndef BAO_TABLE_H
#define BAO_TABLE_H

#include "common/arena.h"
#include "common/list.h"

struct bao_table_node {
    struct bao_table_node *next;
    uint64_t hash;
};

struct bao_table {
    struct bao_arena *arena;
    struct bao_table_node ***segments;
    uint32_t segment_capacity; /* of the directory */
    uint32_t segment_count;
    uint32_t buckets;
    uint32_t first_buckets; /* of the first segment: up to 512 */
    uint32_t level;         /* buckets of the round's start = 1 << level */
    uint32_t low;           /* all buckets below are empty */
    size_t count;
};

/* False if memory ran out. */
bool bao_table_init(struct bao_table *table, struct bao_arena *arena);
void bao_table_fini(struct bao_table *table);

/* Adds a node. Never fails: without memory the chains only grow longer. */
void bao_table_put(struct bao_table *table,
                   struct bao_table_node *node,
                   uint64_t hash);
/* Removes a node that is in the table. */
void bao_table_remove(struct bao_table *table, struct bao_table_node *node);
/* The first and next node with exactly this hash, or NULL. */
struct bao_table_node *bao_table_first(const struct bao_table *table,
                                       uint64_t hash);
struct bao_table_node *bao_table_next(const struct bao_table_node *node);
/* Any node, in no order, for emptying: or NULL. */
struct bao_table_node *bao_table_any(const struct bao_table *table);

/* Hashes: bytes with a seed (from wyhash's final mix), and one number. */
uint64_t bao_hash_bytes(struct bao_span bytes, uint64_t seed);
uint64_t bao_hash_number(uint64_t number, uint64_t seed);

#endif
