/*
 * bodies_inner.h - what bodies.c and bodies_log.c share. No other file
 * includes this.
 */
#ifndef BAO_BODIES_INNER_H
#define BAO_BODIES_INNER_H

#include "broker/bodies.h"
#include "common/table.h"
#include "common/tree.h"

struct bao_bodies_queue {
    struct bao_table_node node;
    struct bao_link gone; /* listed: deleted, still to be emptied */
    struct bao_link here; /* in bodies->here until it is deleted */
    uint64_t incarnation;
    uint64_t image_last; /* number of the last item that an image has */
    struct bao_tree items;
};

struct bao_bodies {
    void *memory;
    size_t bytes;
    struct bao_arena *arena;
    struct bao_table queues;
    struct bao_list gone;
    struct bao_list here;          /* queues, in no order that means anything */
    struct bao_bodies_queue *last; /* the queue last asked for, or NULL */
    uint64_t count;
    uint64_t kept; /* references beyond the trees' own */
    size_t peak_bytes;
    /* Over a log: */
    struct bao_journal *journal; /* NULL = in memory only */
    size_t hot_bytes;            /* in memory, of payloads with an address */
    size_t hot_bytes_max;
    uint64_t *fresh; /* ids that came beyond the limit since it was cooled */
    size_t fresh_count;
    size_t fresh_capacity;
    struct bao_bodies_queue *image_at; /* NULL = no image is under way */
    uint64_t image_next;               /* number of an item of that queue */
    const char *damage; /* of the last payload that could not be read */
    uint64_t damaged_id;
    uint64_t damaged_address;
};

/* A payload with one reference, and room for `bytes` behind it. */
struct bao_payload *bao_payload_new(struct bao_bodies *bodies, size_t bytes);
/* The queue, or NULL. */
struct bao_bodies_queue *bao_bodies_queue(struct bao_bodies *bodies,
                                          uint64_t incarnation);
/* Into and out of the tree of its queue; `take` may answer NULL. */
void bao_bodies_put(struct bao_bodies *bodies,
                    uint64_t id,
                    struct bao_payload *payload);
struct bao_payload *bao_bodies_take(struct bao_bodies *bodies, uint64_t id);
void bao_bodies_drop_one(struct bao_bodies *bodies, uint64_t id, bool result);

/* A copy with its bytes, for whoever keeps it; NULL: see bao_bodies_damage. */
struct bao_payload *bao_bodies_load(struct bao_bodies *bodies,
                                    const struct bao_payload *payload);
/* A payload with an address is about to be stored. */
void bao_bodies_note_hot(struct bao_bodies *bodies, uint64_t id, size_t bytes);
/* Makes cold what came beyond the limit. */
void bao_bodies_cool(struct bao_bodies *bodies);
/* A payload whose bytes are in the log only. */
struct bao_payload *bao_bodies_cold_new(struct bao_bodies *bodies,
                                        uint64_t address,
                                        uint32_t bytes);
/* An image goes on with the next queue. */
void bao_bodies_image_skip(struct bao_bodies *bodies);
/* Writes a payload once more under its (new) id. */
void bao_bodies_readdress(struct bao_bodies *bodies, uint64_t id);

#endif
