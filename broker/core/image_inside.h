/*
 * image_inside.h - an image under way, as its own files see it.
 */
#ifndef BAO_CORE_IMAGE_INSIDE_H
#define BAO_CORE_IMAGE_INSIDE_H

#include "broker/core/image.h"
#include "broker/core/image_row.h"
#include "broker/core/image_touch.h"

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

struct bao_image {
    struct bao_image_sink sink;
    struct bao_packer packer;
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
    uint8_t piece[BAO_IMAGE_PIECE_BYTES];
};

_Static_assert(sizeof(struct bao_image) <= BAO_IMAGE_MEMORY_BYTES,
               "an image fits into what is lent for it");

/* `link`, where the cursor may be, is saved: it goes on. */
void bao_image_passed(struct bao_core *core, const struct bao_link *link);

/* Appends image->row and image->lists; writes the piece if it is full. */
void bao_image_add(struct bao_image *image, enum bao_image_kind kind);
/* Writes what is in the piece. */
void bao_image_flush(struct bao_image *image);

#endif
