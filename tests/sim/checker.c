/*
 * checker.c - the judges, one after the other.
 */
#include "tests/sim/checker.h"

void checker_run(struct sim_history *history, struct sim *sim)
{
    (void)history;
    (void)sim;
}
