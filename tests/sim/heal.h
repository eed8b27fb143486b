/*
 * heal.h - afterwards: nothing breaks any more, nobody begins anything new,
 * and everything that was begun must come to its end.
 */
#ifndef BAO_TESTS_SIM_HEAL_H
#define BAO_TESTS_SIM_HEAL_H

#include "tests/sim/sim.h"

/* Fails the run if a request is not answered, a queue does not drain, a join
 * does not end. The last things asked are a STAT of each queue. */
void heal(struct sim *sim);

#endif
