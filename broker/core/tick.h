/*
 * tick.h - what time and long work do.
 */
#ifndef BAO_CORE_TICK_H
#define BAO_CORE_TICK_H

#include "broker/core/state.h"

/* Carries out what is due by either clock, as far as the budget goes. */
void bao_tick_timers(struct bao_core *core);
/* A slice of each session's and queue's long work. */
void bao_tick_work(struct bao_core *core);

#endif
