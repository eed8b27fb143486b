/*
 * queues.h - the queues that clients use: what they are declared with, and
 * what may be done to them. A judge may know this: it is what clients asked
 * for.
 */
#ifndef BAO_TESTS_SIM_QUEUES_H
#define BAO_TESTS_SIM_QUEUES_H

#include "common/operation.h"
#include "tests/sim/sim.h"

enum sim_queue_index {
    SIM_FIFO,
    SIM_LIFO,
    SIM_PRIO,
    SIM_COUNTED, /* accounting count */
    SIM_DROP,    /* overflow drop_oldest */
    SIM_REJECT,  /* overflow reject, dedup, redrive, cancel */
    SIM_WILD,    /* everything that an operator may do */
    SIM_BULK     /* large bodies, max_bytes */
};

struct sim_queue {
    const char *name;
    struct bao_queue_options options; /* `present` = what DECLARE says */
    bool delays;                      /* items may be put with a delay */
    bool expires;                     /* items may have a TTL */
    bool operated; /* paused, purged, shut, deleted, configured */
    bool redriven; /* dead items may come back, items may be cancelled */
    bool keyed;    /* puts may carry a dedup key */
    bool large;    /* bodies may be big */
};

extern const struct sim_queue sim_queues[SIM_QUEUES];

/* The levels that clients declare in this run: in memory without a disk, with
 * one of every kind. Once, before anything else knows a queue. */
void queues_choose_levels(struct sim *sim);
enum bao_level queue_level(const struct sim *sim, unsigned queue);
/* What is in it outlives the broker. SIM_QUEUES: what is of no queue. */
bool queue_is_kept(const struct sim *sim, unsigned queue);

#endif
