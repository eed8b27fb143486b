/*
 * world_inside.h - what the world's own files share.
 */
#ifndef BAO_TESTS_WORLD_INSIDE_H
#define BAO_TESTS_WORLD_INSIDE_H

#include "tests/core/world.h"

/* The client that speaks through `peer`, or did before it reconnected. */
struct world_client *world_client_of(struct world *world, uint64_t peer);

/* A core with memory of its own, which the caller frees. */
struct bao_core *world_core_open(struct bao_core_config config, void **memory);

#endif
