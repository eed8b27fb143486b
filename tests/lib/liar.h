/*
 * liar.h - a disk in memory that lies as real ones do, from a seed.
 *
 * It offers the calls of broker/storage.h. What is written lies in a cache
 * until it is synced; names that were made, changed or removed lie there until
 * the folder is synced. A power cut forgets of the cache what it likes: any
 * sectors of 512 bytes, in any order; of names the last ones. A failed sync
 * marks the cache as clean and has not written it, as Linux does. Writes and
 * reads may be short; any call may be made to fail; room is limited.
 *
 * Everything follows from the seed and the calls. One thread at a time may be
 * inside; it locks.
 */
#ifndef BAO_TESTS_LIAR_H
#define BAO_TESTS_LIAR_H

#include "broker/storage.h"

struct liar;

enum liar_call {
    LIAR_OPEN,
    LIAR_READ,
    LIAR_WRITE,
    LIAR_SYNC,
    LIAR_RESIZE,
    LIAR_RENAME,
    LIAR_REMOVE,
    LIAR_LIST,
    LIAR_SYNC_DIR,
    LIAR_SPACE,
    LIAR_CALL_COUNT
};

/* What of the cache a power cut leaves. */
enum liar_cut {
    LIAR_CUT_ALL,     /* nothing: exactly what was synced */
    LIAR_CUT_NOTHING, /* everything: it was all written back in time */
    LIAR_CUT_PAGES,   /* some pages of 4 KiB */
    LIAR_CUT_SECTORS, /* some sectors of 512 bytes */
    LIAR_CUT_FRONT,   /* in each file, a last part of what was not synced */
    LIAR_CUT_BACK,    /* in each file, a first part */
    LIAR_CUT_COUNT
};

struct liar *liar_new(uint64_t seed);
void liar_free(struct liar *liar);
/* Another disk with the same bytes, cached and synced, and the same seed. */
struct liar *liar_copy(const struct liar *liar);
/* The table of calls; lent as long as the disk lives. */
const struct bao_storage *liar_storage(struct liar *liar);

/* The process died: files are closed, the cache stays. */
void liar_kill(struct liar *liar);
/* The power was cut: files are closed, the cache is gone but for `cut`. */
void liar_cut_power(struct liar *liar, enum liar_cut cut);

/* --- faults --- */

/* The n-th call from now on (1 = the next one) answers -error; 0: none. With
 * `call` LIAR_CALL_COUNT every call counts, else only those. */
void liar_fail(struct liar *liar, enum liar_call call, uint64_t n, int error);
/* All calls after it fail too. */
void liar_fail_on(struct liar *liar, bool always);
/* Calls so far (LIAR_CALL_COUNT: of every kind). */
uint64_t liar_calls(const struct liar *liar, enum liar_call call);
/* One in `n` reads and writes moves fewer bytes than asked, or -EINTR. */
void liar_shorten(struct liar *liar, uint32_t n);
/* One in `n` files that are to be overwritten is being read by a backup. */
void liar_read_by_others(struct liar *liar, uint32_t n);
/* Files may have so many bytes in all, and the disk says what is left. */
void liar_limit(struct liar *liar, uint64_t bytes);
/* Bytes of all files. */
uint64_t liar_bytes(const struct liar *liar);
/* How often a file was synced after a sync of it had failed. */
uint64_t liar_syncs_after_failure(const struct liar *liar);

/* --- files, as a hand on the disk sees them --- */

/* The bytes in the cache (changes go to both), or NULL. */
uint8_t *liar_file(struct liar *liar, const char *name, uint64_t *bytes);
/* Changes one byte on the disk and in the cache. */
void liar_flip(struct liar *liar,
               const char *name,
               uint64_t offset,
               uint8_t mask);
void liar_truncate(struct liar *liar, const char *name, uint64_t bytes);
void liar_delete(struct liar *liar, const char *name);
/* `to` becomes a copy of `from`. */
void liar_duplicate(struct liar *liar, const char *from, const char *to);
/* The i-th name in order of their making, or NULL. */
const char *liar_name(const struct liar *liar, size_t i);

#endif
