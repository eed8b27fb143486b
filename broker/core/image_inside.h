/*
 * image_inside.h - an image under way, as its own files see it.
 */
#ifndef BAO_CORE_IMAGE_INSIDE_H
#define BAO_CORE_IMAGE_INSIDE_H

#include "broker/core/image.h"
#include "broker/core/image_row.h"
#include "broker/core/image_touch.h"
#include "broker/core/memory.h"

/* Where the slices are. Sessions go first, then queue after queue. */
enum bao_image_stage {
    BAO_IMAGE_AT_SESSIONS, /* `number` */
    BAO_IMAGE_AT_ANSWERS,  /* of session `number`, from `rid` on */
    BAO_IMAGE_AT_QUEUES,   /* the next one after `name` */
    BAO_IMAGE_AT_FINISHED, /* of queue `incarnation`: its lists, by `link` */
    BAO_IMAGE_AT_GROUPS,
    BAO_IMAGE_AT_DEDUPS,
    BAO_IMAGE_AT_TALLIES,
    BAO_IMAGE_AT_OUTCOMES,
    BAO_IMAGE_AT_ITEMS, /* and its items, from `rid` on */
    BAO_IMAGE_AT_END
};

/* In the core's memory, 64 KiB with the rest of it: as large as a piece of
 * the cushion. */
struct bao_image_piece {
    struct bao_link link; /* in image->full, or being filled */
    size_t bytes;
    uint8_t data[BAO_IMAGE_PIECE_BYTES];
};

struct bao_image {
    struct bao_packer packer;      /* into `piece` */
    struct bao_image_piece *piece; /* being filled; NULL = it failed */
    struct bao_list full;
    uint64_t begun; /* the digest of the moment */
    uint64_t saved; /* of what was saved */
    bool partial;   /* something was left out: it is in no log */
    uint64_t rows;
    enum bao_image_stage stage;
    uint64_t number;
    uint64_t rid;
    uint64_t incarnation;
    /* The next record of a list. It is not saved yet, so whoever unlists it
     * saves it first, and that moves the cursor on. */
    struct bao_link *link;
    struct bao_list *list;
    size_t name_bytes;
    uint8_t name[BAO_QUEUE_NAME_BYTES_MAX];
    struct bao_image_past past;
    struct bao_image_row row;          /* being made */
    const struct bao_errors *lists[2]; /* behind it */
};

_Static_assert(sizeof(struct bao_image_piece) < BAO_CUSHION_PIECE_BYTES,
               "the cushion can give one");

/* `link`, where the cursor may be, is saved: it goes on. */
void bao_image_passed(struct bao_core *core, const struct bao_link *link);

/* Saves an item at rest that was not saved yet. */
void bao_image_save_resting(struct bao_core *core,
                            const struct bao_queue *queue,
                            struct bao_shelf *shelf,
                            unsigned slot);

/* Appends image->row and image->lists, in another piece if this one is
 * full. */
void bao_image_add(struct bao_core *core, enum bao_image_kind kind);

#endif
