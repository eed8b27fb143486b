/*
 * judges.h - each judges one kind of promise, over a whole history.
 */
#ifndef BAO_TESTS_SIM_JUDGES_H
#define BAO_TESTS_SIM_JUDGES_H

#include "tests/sim/view.h"

/* judge_items.c: stored once, no ghosts, tokens, done once [P2 P3 P4]. */
void judge_storing(const struct view *view);
void judge_tokens(const struct view *view);
void judge_settling(const struct view *view);
void judge_leases(const struct view *view);

/* judge_order.c: order, bounds [P6]. */
void judge_producers(const struct view *view);
void judge_order(const struct view *view);
void judge_bounds(const struct view *view);
void judge_credit(const struct view *view);

/* judge_answers.c: what is told is so, and in time [S3 P5 S7]. */
void judge_times(const struct view *view);
void judge_empty(const struct view *view);
void judge_full(const struct view *view);
void judge_joins(const struct view *view);
void judge_waits(const struct view *view);
void judge_keys(const struct view *view);

/* judge_end.c: the counts, in between and at the end [S4]. */
void judge_readings(const struct view *view);
void judge_end(const struct view *view);

#endif
