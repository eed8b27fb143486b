/*
 * arena.h - blocks of any size out of memory that the caller gave.
 *
 * Two-level segregated fit (Masmano et al., "TLSF: a new dynamic memory
 * allocator for real-time systems", ECRTS 2004): take and give are O(1),
 * neighbours merge at once, and no system call is ever made, so the pure core
 * may use it. Pages that were never used are never touched; pages that are not
 * used any more are named, so that the owner can give them back to the system.
 *
 * Invariant: used + free = capacity; no two neighbouring blocks are free.
 */
#ifndef BAO_ARENA_H
#define BAO_ARENA_H

#include "common/span.h"

struct bao_arena; /* lives at the start of the memory */

/* Makes an arena of `memory` (16-aligned, at least 64 KiB, lent for its
 * life). */
struct bao_arena *bao_arena_init(void *memory, size_t bytes);

/* A block of at least `bytes`, 16-aligned, not cleared; NULL if none fits. */
void *bao_arena_take(struct bao_arena *arena, size_t bytes);

/* Gives a block back; NULL is allowed. */
void bao_arena_give(struct bao_arena *arena, void *payload);

/* Shortens a block to `bytes`, where it lies; what is behind is free. */
void bao_arena_trim(struct bao_arena *arena, void *payload, size_t bytes);

/* Lengthens a block to `bytes`, where it lies, if what is behind it is free.
 * False if it is not: then nothing changed. */
bool bao_arena_extend(struct bao_arena *arena, void *payload, size_t bytes);

/* Bytes in blocks that are taken, their overhead included. */
size_t bao_arena_used(const struct bao_arena *arena);

/* All bytes the arena was made of, less its own bookkeeping. */
size_t bao_arena_capacity(const struct bao_arena *arena);

/* About so many bytes of idle pages were not named yet: those that were in use
 * at the peak since, and are free now in blocks of 64 KiB and more. */
size_t bao_arena_kept(const struct bao_arena *arena);

/*
 * Names free pages, once each while they stay free: *bytes of them, at most
 * BAO_ARENA_IDLE_BYTES. Until the next call of any function here they may be
 * given back to the system (madvise), whatever is in them then. NULL: all were
 * named, but perhaps what was given since the last NULL.
 */
#define BAO_ARENA_IDLE_BYTES ((size_t)16 << 20)
#define BAO_ARENA_PAGE_BYTES 4096u
void *bao_arena_idle(struct bao_arena *arena, size_t *bytes);

/* Walks every block and asserts the invariants: O(blocks), for tests. */
void bao_arena_check(const struct bao_arena *arena);

#endif
