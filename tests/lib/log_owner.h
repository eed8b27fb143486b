/*
 * log_owner.h - an owner of a log that keeps items in it: puts them, settles
 * them, moves them when asked, makes images, and reads them back.
 *
 * What is in the n-th item follows from n. After a start every item that was
 * put and not settled (as far as synced) must be there, and its payload must
 * be right wherever it lies now.
 */
#ifndef BAO_TESTS_LOG_OWNER_H
#define BAO_TESTS_LOG_OWNER_H

#include "tests/lib/log_world.h"

#define LOG_OWNER_ITEMS_MAX 400000u

struct log_owner_item {
    uint64_t address; /* of its cell; 0: not there */
    uint64_t put;     /* index of the entry that put it */
    uint64_t settled; /* index of the entry that settled it, or 0 */
};

struct log_owner {
    struct log_world *world;      /* lent; its entries are not used */
    struct log_owner_item *items; /* by id, from 1 */
    uint64_t next_id;
    uint64_t index; /* of the last entry */
    uint64_t safe_index;
    uint64_t *lsns; /* of entries, by index */
    uint64_t lsn_room;
    uint64_t live_count;
    uint64_t moved;
    uint64_t disk_peak_bytes;
    bool imaging; /* an image is being written: of items up to ... */
    uint64_t image_id;
    uint64_t image_next_id;
    uint64_t image_index;
};

void log_owner_init(struct log_owner *owner, struct log_world *world);
void log_owner_fini(struct log_owner *owner);

enum baozi_status log_owner_open(struct log_owner *owner);
/* False if the log refused. */
bool log_owner_put(struct log_owner *owner, uint32_t count);
bool log_owner_settle(struct log_owner *owner, const uint64_t *ids, uint32_t n);
/* A turn: writes, lets jobs run, goes on with an image if one is due. */
void log_owner_turn(struct log_owner *owner, uint64_t us);
/* Reads the payload and compares. */
void log_owner_check(struct log_owner *owner, uint64_t id);
void log_owner_check_all(struct log_owner *owner);
bool log_owner_has(const struct log_owner *owner, uint64_t id);
/* Bytes that the promise of log.h allows now. */
uint64_t log_owner_bound(const struct log_owner *owner);

#endif
