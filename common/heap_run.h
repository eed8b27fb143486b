/*
 * heap_run.h - a heap that costs nothing where keys come in order.
 *
 * Deadlines mostly do: leases of one length end in the order in which they
 * began, and most are over long before. What comes in order is appended to one
 * of a few runs - rings, for deadlines of a few lengths - and taken out of it
 * by marking its place; what does not, or finds the runs full, goes into a
 * heap. The order is the heap's: the smallest (key, tie) first, wherever it is.
 */
#ifndef BAO_HEAP_RUN_H
#define BAO_HEAP_RUN_H

#include "common/heap.h"

#define BAO_HEAP_RUNS        4u
#define BAO_HEAP_RUN_ENTRIES 1024u

struct bao_heap_ring {
    struct bao_heap_entry *entries; /* NULL: it has no room */
    uint32_t head;                  /* counts up; the place is its remainder */
    uint32_t tail;
    uint32_t live; /* entries of [head, tail) whose node is not NULL */
};

struct bao_heap_run {
    struct bao_heap heap;
    struct bao_heap_ring runs[BAO_HEAP_RUNS];
    uint32_t recent; /* the run that was last appended to */
};

/* Without memory for runs it is a heap. */
void bao_heap_run_init(struct bao_heap_run *heap, struct bao_arena *arena);
void bao_heap_run_fini(struct bao_heap_run *heap); /* gives its memory back */

/* As those of heap.h; a node is bao_heap_is_listed() wherever it is. */
bool bao_heap_run_push(struct bao_heap_run *heap,
                       struct bao_heap_node *node,
                       uint64_t key,
                       uint64_t tie);
const struct bao_heap_entry *
bao_heap_run_first(const struct bao_heap_run *heap);
void bao_heap_run_remove(struct bao_heap_run *heap, struct bao_heap_node *node);
/* False if memory ran out: then the node is listed no more. */
bool bao_heap_run_update(struct bao_heap_run *heap,
                         struct bao_heap_node *node,
                         uint64_t key,
                         uint64_t tie);

uint32_t bao_heap_run_count(const struct bao_heap_run *heap);

#endif
