/*
 * memory.h - taking from the arena what must not fail, and shared texts.
 *
 * A cushion (a sixteenth of the memory, at least 4 MiB) is set aside in pieces
 * of 64 KiB, so that it is found again in memory that is not in one block.
 * Growth is admitted only while it is whole and every item that is there could
 * still be leased (bao_memory_admits()), so what was admitted, and all that
 * hands out or settles, finds memory: pieces are given up when the
 * arena is empty, and taken back as soon as they fit again.
 */
#ifndef BAO_CORE_MEMORY_H
#define BAO_CORE_MEMORY_H

#include "broker/core/state.h"

#define BAO_CUSHION_BYTES_MIN   ((size_t)4 << 20)
#define BAO_CUSHION_SHARE       16u
#define BAO_CUSHION_PIECE_BYTES ((size_t)64 << 10)

/* Sets the cushion aside; false if the memory is too small for it. */
bool bao_memory_open(struct bao_core *core);
/* Bytes of the cushion that are still set aside. */
size_t bao_memory_spared(const struct bao_core *core);

/* True if items, queues and keys may be let in. */
bool bao_memory_admits(struct bao_core *core);
/* True if half of the cushion is gone: then nothing new is let in at all, be it
 * a session or a request that waits, and gets wait. Until then these are
 * bounded by limits of their own, so that workers can come and drain. */
bool bao_memory_is_low(const struct bao_core *core);

/* For what may fail: NULL if the arena is empty and half of the cushion is
 * gone. Not cleared. */
void *bao_take_spare(struct bao_core *core, size_t bytes);
/* Never NULL; not cleared. */
void *bao_take(struct bao_core *core, size_t bytes);
/* Never NULL; cleared. */
void *bao_take_slot(struct bao_core *core, struct bao_pool *pool);
void bao_put_in_tree(struct bao_core *core,
                     struct bao_tree *tree,
                     uint64_t key,
                     void *value,
                     unsigned colour);
void bao_put_in_heap(struct bao_core *core,
                     struct bao_heap *heap,
                     struct bao_heap_node *node,
                     uint64_t key,
                     uint64_t tie);

/* A copy with one reference; NULL for no bytes. */
struct bao_text *bao_text_make(struct bao_core *core, struct bao_span span);
struct bao_text *bao_text_share(struct bao_text *text);
void bao_text_drop(struct bao_core *core, struct bao_text *text);
struct bao_span bao_text_span(const struct bao_text *text);

/* Starts, moves or stops a timer of broker time; `at` BAO_NEVER stops it. */
void bao_timer_set(struct bao_core *core,
                   struct bao_timer *timer,
                   enum bao_timer_kind kind,
                   uint64_t at_us,
                   uint64_t tie);
void bao_timer_stop(struct bao_core *core, struct bao_timer *timer);

#endif
