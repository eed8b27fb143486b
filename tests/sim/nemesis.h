/*
 * nemesis.h - what befalls the broker, its clients and the network.
 */
#ifndef BAO_TESTS_SIM_NEMESIS_H
#define BAO_TESTS_SIM_NEMESIS_H

#include "tests/sim/sim.h"

/* Plans a run: how long work lasts, what happens how often. */
void nemesis_start(struct sim *sim);

/* The power goes at some moment of the next `within_us` (> 0), where there is
 * a disk: for what a start in just that time would break. */
void nemesis_cut_soon(struct sim *sim, uint64_t within_us);

/* Everything is well again: nobody stands still, nothing is held back. */
void nemesis_end(struct sim *sim);

#endif
