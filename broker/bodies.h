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
 *     bao_bodies_store(bodies, fact, holds)   before the effects
 *     ...                                     the effects are carried out
 *     bao_bodies_drop(bodies, fact)           after them
 *
 * The memory is one reserved range; pages are touched as they are used and
 * given back when everything has been dropped after a peak.
 */
#ifndef BAO_BODIES_H
#define BAO_BODIES_H

#include "broker/hold.h"
#include "common/baozi.h"

struct bao_bodies;

/* A stored body, counted by its holders. */
struct bao_payload {
    struct bao_frame *frame; /* its bytes, or NULL: they follow */
    uint32_t references;
    uint32_t bytes;
    bool result; /* of a done item, no longer its body */
};

/* Reserves `bytes` of address space (at least 1 MiB). OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status bao_bodies_open(size_t bytes,
                                                 struct bao_bodies **bodies);
/* Everything taken from it must have been given back. NULL is allowed. */
void bao_bodies_close(struct bao_bodies *bodies);

void bao_bodies_store(struct bao_bodies *bodies,
                      const struct bao_fact *fact,
                      const struct bao_holds *holds);
void bao_bodies_drop(struct bao_bodies *bodies, const struct bao_fact *fact);

/* The body (or result) of an item, or NULL if it has none or is gone. Lent
 * until it is dropped; bao_bodies_keep() keeps it longer. */
struct bao_payload *bao_bodies_find(struct bao_bodies *bodies, uint64_t id);

struct bao_payload *bao_bodies_keep(struct bao_bodies *bodies,
                                    struct bao_payload *payload);
void bao_bodies_give(struct bao_bodies *bodies, struct bao_payload *payload);

/* Its bytes, lent as long as it is kept. */
struct bao_span bao_payload_bytes(const struct bao_payload *payload);

/* Once a turn: drops at most BAO_STEP_ITEMS_MAX bodies of deleted queues and
 * gives pages back when nothing is left. True if there is more to do. */
bool bao_bodies_sweep(struct bao_bodies *bodies);

/* Bytes in use, overhead included, and bodies stored. */
size_t bao_bodies_used(const struct bao_bodies *bodies);
uint64_t bao_bodies_count(const struct bao_bodies *bodies);

#endif
