/*
 * image_facts.h - cores to make images of, built from facts.
 */
#ifndef BAO_TESTS_IMAGE_FACTS_H
#define BAO_TESTS_IMAGE_FACTS_H

#include "broker/core/core.h"
#include "tests/core/world.h"

#define IMAGE_CORE_BYTES ((size_t)16 << 20)
#define T0_US            (WORLD_BASE_MS * 1000)
#define ID(queue, n)     ((uint64_t)(queue) << BAO_ID_SHIFT | (n))

enum { FIFO = 1, PRIORITY, COUNTED, MEMORY };

/* A fresh core; there are two, each in memory that is used again. */
struct bao_core *image_core(unsigned which);

/* Applies a fact, after it was bytes; requests get their ids here. */
void image_say(struct bao_core *core, struct bao_fact fact);
/* Sessions 1 to 3. */
void image_open_sessions(struct bao_core *core);
/* A durable queue, unless `change` says otherwise. */
void image_make_queue(struct bao_core *core,
                      uint64_t incarnation,
                      const char *name,
                      void (*change)(struct bao_queue_options *options));
void image_fifo(struct bao_queue_options *options);

/* Core 0 with items of every state, leases, groups, keys, outcomes, answers;
 * it has begun. */
struct bao_core *image_core_with_everything(void);

#endif
