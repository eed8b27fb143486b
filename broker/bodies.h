/*
 * bodies.h - the payloads, by item id: the second follower of the facts.
 *
 * The core decides and counts, but never sees a payload. This room keeps them
 * from ITEM_PUT until the fact that ends the item, and the result of a done
 * item until OUTCOME_FORGOTTEN. A body is [item header][payload], as it was
 * received. Bodies that came as a frame of their own are not copied.
 *
 * A step's facts are followed in two halves, so that its replies still find
 * what it ended (a prepaid item is settled in the step that hands it out):
 *
 *     bao_bodies_store(bodies, fact, holds)   before the effects, and after
 *                                             the journal took the fact
 *     ...                                     the effects are carried out
 *     bao_bodies_drop(bodies, fact)           after them
 *
 * Over a log (bao_bodies_over) every payload of a durable queue also has an
 * address there. Above a limit those that come are *cold*: only the address
 * stays in memory, and the bytes are read when a reply needs them. A checksum
 * that is kept here, not beside the bytes, tells whether the right ones came.
 *
 * Payloads lie side by side, up to 64 of them on a tray (bodies_tray.h), so
 * that one of 100 bytes costs 106 in memory, and 114 if it has an address too.
 * What dies leaves a hole until half of its tray is holes; large ones and
 * results lie alone.
 *
 * The memory is one reserved range; pages are touched as they are used and
 * given back when everything has been dropped after a peak. The range should
 * be twice the bytes that the core may let in, and more: holes, open trays
 * and what replies keep are beyond the core's ledger.
 */
#ifndef BAO_BODIES_H
#define BAO_BODIES_H

#include "broker/core/core.h"
#include "broker/hold.h"
#include "broker/journal.h"
#include "common/baozi.h"

struct bao_bodies;

/* Bytes of one payload or of many, counted by those who need them. */
struct bao_chunk;

/* A stored body, as find() sees it. */
struct bao_payload {
    struct bao_chunk *chunk; /* has its bytes; NULL = the log alone has them */
    const uint8_t *data;     /* in the chunk */
    uint64_t address;        /* in the log; 0 = it is not there */
    uint32_t bytes;
    uint32_t crc; /* of its bytes, if it is in the log */
    bool result;  /* of a done item, no longer its body */
};

/* Reserves `bytes` of address space (at least 1 MiB). OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status bao_bodies_open(size_t bytes,
                                                 struct bao_bodies **bodies);
/* Everything taken from it must have been given back. NULL is allowed. */
void bao_bodies_close(struct bao_bodies *bodies);

/* From now on the journal (lent, over a log) has the payloads of durable
 * queues, and at most `hot_bytes` of them stay in memory, one turn's more. */
void bao_bodies_over(struct bao_bodies *bodies,
                     struct bao_journal *journal,
                     size_t hot_bytes);

void bao_bodies_store(struct bao_bodies *bodies,
                      const struct bao_fact *fact,
                      const struct bao_holds *holds);
void bao_bodies_drop(struct bao_bodies *bodies, const struct bao_fact *fact);

/* The body (or result) of an item; false if it has none or is gone. Lent until
 * anything is stored or dropped; bao_bodies_keep() keeps it longer. */
bool bao_bodies_find(struct bao_bodies *bodies,
                     uint64_t id,
                     struct bao_payload *payload);

/* Counts one more who needs the bytes of the payload that was just found for
 * `id`; a cold one is read. False if the log has other bytes there, or none:
 * then bao_bodies_damage() says what is wrong. The chunk is given back later.
 */
bool bao_bodies_keep(struct bao_bodies *bodies,
                     uint64_t id,
                     struct bao_payload *payload);
void bao_bodies_give(struct bao_bodies *bodies, struct bao_chunk *chunk);

/* The received frame that the bytes of a chunk are, or NULL; lent as long as
 * it is kept. */
struct bao_frame *bao_chunk_frame(const struct bao_chunk *chunk);

/* Once a turn, after the journal was written: makes cold what came beyond the
 * limit, drops at most BAO_STEP_ITEMS_MAX bodies of deleted queues and
 * gives pages back when nothing is left. True if there is more to do. */
bool bao_bodies_sweep(struct bao_bodies *bodies);

/* --- over a log (bodies_log.c) --- */

/* While replaying: follows a decoded fact whose record lies at `address`. */
void bao_bodies_recover(struct bao_bodies *bodies,
                        const struct bao_fact *fact,
                        struct bao_span record,
                        uint64_t address);
/* While replaying: a COPY says where a payload lies now. */
void bao_bodies_recover_copy(struct bao_bodies *bodies,
                             uint64_t id,
                             bool result,
                             struct bao_span bytes,
                             uint64_t address);

/* Replay is over: true if the log has so many bytes for this item, as its body
 * or as its result. */
bool bao_bodies_recovered(struct bao_bodies *bodies,
                          const struct bao_log *log,
                          const struct bao_core_payload *payload);
/* Whatever is known of a payload of it is forgotten. */
void bao_bodies_lose(struct bao_bodies *bodies, uint64_t id);

/* Replay is over: tells the log of every payload that it has to keep. False
 * if one has no place in it: a fact came without its payload. */
bool bao_bodies_count_live(struct bao_bodies *bodies, struct bao_log *log);

/* A checkpoint has the address of every payload, beside the core's image of
 * the same moment. It is written in slices while things change: what the
 * facts behind it say again wins. `next` looks at `items` payloads and answers
 * how many bytes it wrote (at most `capacity`); it is complete when no image
 * is under way any more. */
void bao_bodies_image_begin(struct bao_bodies *bodies);
bool bao_bodies_image_under_way(const struct bao_bodies *bodies);
size_t bao_bodies_image_next(struct bao_bodies *bodies,
                             uint32_t items,
                             uint8_t *to,
                             size_t capacity);
/* Takes a piece of it. False if it is damaged. */
bool bao_bodies_image_load(struct bao_bodies *bodies, struct bao_span piece);

/* The log empties a segment: copies what of this record still lives. */
void bao_bodies_move(struct bao_bodies *bodies,
                     const struct bao_log_record *record);

/* Why a payload could not be read; NULL if all could. */
const char *bao_bodies_damage(const struct bao_bodies *bodies,
                              uint64_t *id,
                              uint64_t *address);

/* What they lie in, for whoever gives idle pages back. */
struct bao_arena *bao_bodies_arena(const struct bao_bodies *bodies);

/* Bytes in use, overhead included, and bodies stored. */
size_t bao_bodies_used(const struct bao_bodies *bodies);
uint64_t bao_bodies_count(const struct bao_bodies *bodies);

/* Asserts every invariant by recounting everything: for tests. */
void bao_bodies_check(const struct bao_bodies *bodies);

#endif
