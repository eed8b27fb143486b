/*
 * world_image.h - images of the world's core, made while it works.
 *
 * Now and then an image begins; its slices, from one record upward, lie
 * between the steps. A finished one is loaded into a fresh core, which must
 * have the digest of the moment when it began, be sound, and with the facts
 * of the log since then have the digest of the whole log. The last one is
 * what the broker restarts from, every other time.
 */
#ifndef BAO_TESTS_WORLD_IMAGE_H
#define BAO_TESTS_WORLD_IMAGE_H

#include "broker/core/image.h"
#include "tests/core/fact_log.h"

/* An image as it was written. */
struct image_copy {
    uint8_t *data; /* owned */
    size_t bytes;
    size_t capacity;
    size_t *ends; /* owned; of each piece */
    size_t pieces;
    size_t log_count; /* facts of the log that it has */
    uint64_t digest;  /* of the moment */
    bool whole;       /* nothing was left out, as of memory queues */
};

struct world_image {
    struct image_copy making;
    struct image_copy made;
    uint64_t random;
    uint64_t count; /* made so far */
    uint64_t restarts;
};

struct world;

void world_image_init(struct world_image *image);
void world_image_fini(struct world_image *image);

/* A step is over. */
void world_image_step(struct world *world);

/* The broker died. */
void world_image_die(struct world *world);

/* Gives a fresh core what was there: from the last image and the log, or
 * from the log alone, as `replay` does if the log has all facts. */
void world_image_recover(struct world *world,
                         struct bao_core *core,
                         struct bao_core *replay);

/* --- for tests of their own --- */

/* Makes an image at once. */
void image_make(struct bao_core *core,
                struct image_copy *copy,
                uint32_t records);
/* The same in steps; `copy` must hold nothing. */
void image_begin(struct bao_core *core, struct image_copy *copy);
/* True while there is more to come. */
bool image_next(struct bao_core *core,
                struct image_copy *copy,
                uint32_t records);
/* Loads it; `why` may be NULL. */
enum baozi_status image_load(const struct image_copy *copy,
                             struct bao_core *core,
                             const char **why);
void image_copy_fini(struct image_copy *copy);

#endif
