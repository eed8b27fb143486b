/*
 * image_loader.h - an image being loaded, as the loader's own files see it.
 *
 * Rows are taken as they come: what one leads to came before it. What hangs
 * together in another order (leases by the order of granting, finished groups
 * and dead sessions by time) is linked at the end.
 */
#ifndef BAO_CORE_IMAGE_LOADER_H
#define BAO_CORE_IMAGE_LOADER_H

#include "broker/core/image.h"
#include "broker/core/image_row.h"
#include "broker/core/state.h"

/* In the core's memory, core->loader, until everything is loaded. */
struct bao_image_loader {
    struct bao_core *core;
    struct bao_unpacker in;
    struct bao_image_past past;
    uint64_t rows;
    uint64_t digest;        /* as the end says */
    bool begun;             /* the core's row was there */
    bool ended;             /* the last one was */
    struct bao_list leases; /* by of_session */
    struct bao_list ended_sessions;
    /* Of the last item: where the next one is, most often. */
    struct bao_queue *queue;
    struct bao_tally *owner;
    struct bao_tally *holder;
    struct bao_group *group;
    struct bao_span group_name; /* in the piece */
};

/* Each takes a row that was unpacked, and answers NULL or what is wrong. */
const char *bao_image_take_queue(struct bao_image_loader *loader);
const char *bao_image_take_group(struct bao_image_loader *loader);
const char *bao_image_take_dedup(struct bao_image_loader *loader);
const char *bao_image_take_tally(struct bao_image_loader *loader);
const char *bao_image_take_outcome(struct bao_image_loader *loader);
const char *bao_image_take_item(struct bao_image_loader *loader);

/* Links and checks everything. */
const char *bao_image_finish(struct bao_image_loader *loader);

/* A queue whose contents are in the image, or NULL. */
struct bao_queue *bao_image_queue(struct bao_image_loader *loader,
                                  uint64_t incarnation);

#endif
