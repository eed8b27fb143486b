/*
 * bodies_inner.h - what the files of the bodies share. No other file includes
 * this.
 *
 * bodies.c follows the facts and gives memory back; bodies_spot.c says where
 * the payload of an id is; bodies_rack.c and bodies_tray.c have the trays;
 * bodies_log.c and bodies_image.c are about the log.
 */
#ifndef BAO_BODIES_INNER_H
#define BAO_BODIES_INNER_H

#include "broker/bodies_rack.h"
#include "common/table.h"

struct bao_bodies_queue {
    struct bao_table_node node;
    struct bao_link gone; /* listed: deleted, still to be emptied */
    struct bao_link here; /* in bodies->here until it is deleted */
    uint64_t incarnation;
    uint64_t image_last;   /* number of the last item that an image has */
    struct bao_rack trays; /* none is without a payload */
    struct bao_tree alone; /* by number: what lies on no tray */
    struct bao_tray *tail; /* the tray of the highest numbers, or NULL */
    struct bao_tray *last; /* the one last asked for, or NULL */
    uint64_t tail_key;
    uint64_t last_key;
};

/* A payload that lies alone: a large one, or a result. */
struct bao_alone {
    struct bao_chunk *chunk; /* NULL = cold */
    uint64_t address;
    uint32_t bytes;
    uint32_t crc;
    bool result;
};

/* Where a payload is; valid until anything changes. */
struct bao_spot {
    struct bao_bodies_queue *queue;
    uint64_t number;         /* of the item */
    struct bao_tray *tray;   /* it lies on, or */
    struct bao_alone *alone; /* that it is */
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
    uint64_t kept;      /* counted in chunks by others */
    size_t waste_bytes; /* that dead entries of trays take */
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

/* A block of the arena, never NULL: the core admitted these bytes, and our
 * range is larger than what it may admit. */
void *bao_bodies_room(struct bao_bodies *bodies, size_t bytes);
void bao_bodies_note_peak(struct bao_bodies *bodies);

static inline uint64_t bao_number_of(uint64_t id)
{
    return id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
}

/* --- bodies_spot.c --- */

/* The queue, or NULL; made if it is not there. */
struct bao_bodies_queue *bao_bodies_queue(struct bao_bodies *bodies,
                                          uint64_t incarnation);
struct bao_bodies_queue *bao_bodies_queue_get(struct bao_bodies *bodies,
                                              uint64_t incarnation);

/* The tray of these numbers / 64, or NULL. */
struct bao_tray *bao_queue_seek(struct bao_bodies_queue *queue, uint64_t key);
static inline struct bao_tray *bao_queue_tray(struct bao_bodies_queue *queue,
                                              uint64_t number)
{
    const uint64_t key = number >> BAO_TRAY_BITS;
    if (queue->last != NULL && queue->last_key == key)
        return queue->last;
    if (queue->tail != NULL && queue->tail_key == key)
        return queue->tail;
    return bao_queue_seek(queue, key);
}
static inline unsigned bao_slot_of(uint64_t number)
{
    return (unsigned)number & (BAO_TRAY_SLOTS - 1);
}
/* True if the number's payload is on this tray, which may be NULL. */
static inline bool bao_tray_has(const struct bao_tray *tray, uint64_t number)
{
    return tray != NULL && (tray->live >> bao_slot_of(number) & 1) != 0;
}
/* A tray of it that was made, moved, or is gone (NULL): `before` is what
 * bao_queue_tray() answered. */
void bao_queue_set_tray(struct bao_bodies *bodies,
                        struct bao_bodies_queue *queue,
                        uint64_t number,
                        struct bao_tray *before,
                        struct bao_tray *tray);

bool bao_spot_find(struct bao_bodies *bodies,
                   uint64_t id,
                   struct bao_spot *spot);
/* The first payload of a queue whose number is at least `from`, and the last
 * one's number (0: there is none). */
bool bao_spot_first(struct bao_bodies_queue *queue,
                    uint64_t from,
                    struct bao_spot *spot);
uint64_t bao_spot_last(struct bao_bodies_queue *queue);
void bao_spot_look(const struct bao_spot *spot, struct bao_payload *payload);

/* It lies elsewhere in the log from now on. */
void bao_spot_move(struct bao_bodies *bodies,
                   struct bao_spot *spot,
                   uint64_t address,
                   uint32_t crc);
/* It is forgotten; its bytes in the log are not touched. */
void bao_spot_end(struct bao_bodies *bodies,
                  const struct bao_spot *spot,
                  struct bao_death *death);

/* Keeps what is no tray's: its chunk (taken, NULL = cold), address, bytes,
 * checksum, result. */
void bao_bodies_put_alone(struct bao_bodies *bodies,
                          uint64_t id,
                          const struct bao_payload *payload);
/* Keeps a payload whose bytes are in the log only. */
void bao_bodies_put_cold(struct bao_bodies *bodies,
                         uint64_t id,
                         const struct bao_payload *payload);
/* Keeps a payload of which the caller has the chunk: as it is, or copied. */
void bao_bodies_put(struct bao_bodies *bodies,
                    uint64_t id,
                    const struct bao_payload *payload);

/* --- bodies.c --- */

void bao_bodies_drop_one(struct bao_bodies *bodies, uint64_t id, bool result);

/* --- bodies_log.c --- */

/* `bytes` of payloads with an address were stored, the first of them `id`. */
void bao_bodies_note_hot(struct bao_bodies *bodies, uint64_t id, size_t bytes);
/* Makes cold what came beyond the limit. */
void bao_bodies_cool(struct bao_bodies *bodies);
/* A redriven item: its payload gets a new place in the log, as that of `id`.
 * In: kept by the caller, with its old address. */
void bao_bodies_readdress(struct bao_bodies *bodies,
                          uint64_t id,
                          struct bao_payload *payload);

/* --- bodies_image.c --- */

/* An image goes on with the next queue. */
void bao_bodies_image_skip(struct bao_bodies *bodies);

#endif
