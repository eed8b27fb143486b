/*
 * checker.h - the judges: what must be true of what clients were told,
 * whatever told it to them.
 */
#ifndef BAO_TESTS_SIM_CHECKER_H
#define BAO_TESTS_SIM_CHECKER_H

#include "tests/sim/history.h"

/* Judges a whole run; fails it through sim_fail(). */
void checker_run(struct sim_history *history, struct sim *sim);

#endif
