/*
 * prefix.h - what a start finds is exactly what was: some first part of all
 * facts, with everything in it that the journal called safe.
 */
#ifndef BAO_TESTS_SIM_PREFIX_H
#define BAO_TESTS_SIM_PREFIX_H

#include "tests/sim/sim.h"

struct bao_journal;

void prefix_open(struct sim *sim);
void prefix_close(struct sim *sim);

/* One fact more that a log has, and the digest of what all of these say. */
void prefix_fact(struct sim *sim, uint64_t digest);
/* A turn of the broker is over: notes how safe its facts are. */
void prefix_turn(struct sim *sim, const struct bao_journal *journal);
/* The life ended; everything `written` must be found again, or what was synced
 * alone. */
void prefix_ended(struct sim *sim, bool written);
/* A start found so many facts, which gave this digest. */
void prefix_found(struct sim *sim, uint64_t index, uint64_t digest);

#endif
