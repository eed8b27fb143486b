/*
 * broker.h - the broker of the simulation: the real core, gateway, outbox,
 * bodies and journal behind the simulated edge, turned as loop.c turns them.
 *
 * It may be stopped and continued, drained, and killed. In a durable run it
 * has a log on the lying disk (disk.h), and each start recovers from it; else
 * its queues are in memory, and a new start knows nothing of the old one.
 */
#ifndef BAO_TESTS_SIM_BROKER_H
#define BAO_TESTS_SIM_BROKER_H

#include "tests/sim/sim.h"

struct bao_edge;
struct bao_core;

void broker_open(struct sim *sim);
void broker_close(struct sim *sim);

/* NULL while it is down. */
struct bao_edge *broker_edge(struct sim *sim);
struct bao_core *broker_core(struct sim *sim);
bool broker_is_up(const struct sim *sim);
/* Which start of it this is, from 1. */
unsigned broker_life(const struct sim *sim);

/* Something happened: it turns soon. */
void broker_poke(struct sim *sim);

/* It is killed, or its power is cut, and it comes back after so long. */
void broker_kill(struct sim *sim, uint64_t down_us, bool cut);
/* It drains, ends after so long, and comes back a second later. */
void broker_drain(struct sim *sim, uint64_t grace_us);
/* It does not run before then. */
void broker_stop(struct sim *sim, uint64_t until_us);
/* It runs on now. */
void broker_wake(struct sim *sim);

/* replay.c: a second core follows `core`, which was just opened with this
 * config; if it was recovered since, the second one begins with its image. */
struct bao_core_config;
void replay_open(struct bao_core *core, const struct bao_core_config *config);
/* So does the second one. */
void replay_recovered(uint64_t now_us);
/* The digest of what a start must find as it was. Beside memory queues that is
 * not the broker's own counters: an image has them as they are, the facts of a
 * log as they were when one of them was last logged. */
uint64_t replay_digest(const struct bao_core *core);
void replay_close(void);

#endif
