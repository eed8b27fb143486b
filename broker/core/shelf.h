/*
 * shelf.h - 64 items of a queue that follow each other, and items at rest.
 *
 * The tree of a queue leads to shelves; a shelf says of each of its items in
 * which state it is, and where its record lies. Most items have none: one that
 * is READY and nothing else (no group, key, note, priority or time to live,
 * never handed out) is *at rest*. All that can be said of it is a bit, a
 * length, and who brought it when - which it shares with the neighbours that
 * came in the same put: a run. So it costs 4 bytes, at most 20, where a record
 * costs 137.
 *
 *              bao_shelf_put
 *   (nothing) ---------------> at rest --- bao_item_at ---> record
 *                                 ^                           |
 *                                 '------ bao_item_rest ------'
 *
 * It is the same item either way: digest, counts, images and answers are those
 * of its record. Who changes an item, or keeps a pointer to it, asks for its
 * record with bao_item_at(); who only looks, with bao_item_look(). Whoever
 * undoes what kept an item from resting calls bao_item_rest() behind it.
 * Invariant after a step: no item has a record that could rest.
 */
#ifndef BAO_CORE_SHELF_H
#define BAO_CORE_SHELF_H

#include "broker/core/state.h"

#define BAO_SHELF_ITEMS       64u
#define BAO_SHELF_RUNS        2u /* that need no memory of their own */
#define BAO_REST_BYTES_MAX    UINT16_MAX
#define BAO_REST_RECORD_BYTES (sizeof(struct bao_item) + 16u)

/* Neighbours that came together. */
struct bao_run {
    uint64_t accepted_us;
    struct bao_tally *tally; /* of the session that put them, or NULL; only
                                an item that is there keeps it alive */
};

struct bao_shelf {
    uint64_t number;                  /* n of its items / 64 */
    uint64_t masks[BAO_TREE_COLOURS]; /* its items in each state */
    uint64_t resting;                 /* of those that are READY */
    uint64_t held;                    /* those that have a record */
    uint64_t begins;                  /* here a run of resting ones begins */
    uint64_t unsaved;          /* resting ones that the image under way has not
                                  got yet, if the stamp is its own (volatile) */
    struct bao_run *runs;      /* by their place; `inside`, or memory */
    struct bao_item **records; /* a column; NULL if none has a record */
    uint16_t *header_bytes;    /* a column; NULL if none has a header */
    uint32_t stamp;            /* of the last image that asked (volatile) */
    uint8_t run_count;
    uint8_t run_capacity;
    struct bao_run inside[BAO_SHELF_RUNS];
    uint16_t bytes[BAO_SHELF_ITEMS]; /* of resting ones */
};

/* The column of records, as its pool has it. */
struct bao_records {
    struct bao_item *items[BAO_SHELF_ITEMS];
};

/* --- looking ------------------------------------------------------------- */

/* True if nothing is in the queue, in whatever state. */
static inline bool bao_shelf_none(const struct bao_queue *queue)
{
    return queue->few_count == 0 && queue->shelves.count == 0;
}

/* n of the first item at or after `n` in a state of the colour mask, or of the
 * last one at or before it; 0 if there is none. */
uint64_t
bao_shelf_next(const struct bao_queue *queue, unsigned colours, uint64_t n);
uint64_t
bao_shelf_last(const struct bao_queue *queue, unsigned colours, uint64_t n);

/* The item `id` (or n), to look at: its record, or *room filled in like one.
 * NULL if it is not there. */
const struct bao_item *bao_item_look(const struct bao_queue *queue,
                                     uint64_t id,
                                     struct bao_item *room);

/* True if the item `n` is there. */
bool bao_shelf_has(const struct bao_queue *queue, uint64_t n);

/* The record of the item `id` (or n): NULL if it has none. */
struct bao_item *bao_item_find(const struct bao_queue *queue, uint64_t id);

/* --- leaving rest, and back ---------------------------------------------- */

/* The same, and if it is at rest it gets one. NULL if it is not there. */
struct bao_item *
bao_item_at(struct bao_core *core, struct bao_queue *queue, uint64_t id);

/* True if its record says no more than that it is there. */
bool bao_item_can_rest(const struct bao_item *item);

/* Takes the record of an item that can rest away; leaves any other alone. */
void bao_item_rest(struct bao_core *core, struct bao_item *item);

/* --- for those that keep a queue's counts (item.c, store_item.c) ---------- */

/* Puts `count` items of a fact at rest, from its item `from` on; they come
 * after all that are in the queue. */
void bao_shelf_put(struct bao_core *core,
                   const struct bao_fact *fact,
                   struct bao_tally *tally,
                   uint32_t from,
                   uint32_t count);
/* An item with a record comes in, in its state; changes it; goes. */
void bao_shelf_add(struct bao_core *core, struct bao_item *item);
void bao_shelf_recolour(const struct bao_item *item, enum bao_state from);
void bao_shelf_remove(struct bao_core *core,
                      const struct bao_item *item,
                      enum bao_state from);

/* --- for images ----------------------------------------------------------- */

/* The first shelf with items at or after `n`, or NULL. */
struct bao_shelf *bao_shelf_from(const struct bao_queue *queue, uint64_t n);
/* Before its resting items change while an image is under way. */
void bao_shelf_stamp(const struct bao_core *core, struct bao_shelf *shelf);
/* What a resting item would have in its record. */
void bao_shelf_read(const struct bao_queue *queue,
                    const struct bao_shelf *shelf,
                    unsigned slot,
                    struct bao_item *item);
/* Asserts what holds of a shelf by itself: for tests. */
void bao_shelf_check(const struct bao_queue *queue,
                     const struct bao_shelf *shelf);

#endif
