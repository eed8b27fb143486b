/*
 * checker.c - the judges, one after the other.
 */
#include "tests/sim/checker.h"

#include "tests/sim/judges.h"

/* Every request has its one outcome; that none has two was seen as they came
 * [S3.2]. */
static void judge_outcomes(const struct view *view)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *op = &view->history->ops[i];
        VIEW_CHECK(view,
                   op->told || op->forgotten,
                   "#%llu has no outcome",
                   VIEW_NUMBER(i));
    }
}

void checker_run(struct sim_history *history, struct sim *sim)
{
    static void (*const judges[])(const struct view *view) = {
        judge_outcomes,
        judge_storing,
        judge_tokens,
        judge_settling,
        judge_leases,
        judge_producers,
        judge_order,
        judge_bounds,
        judge_credit,
        judge_times,
        judge_empty,
        judge_full,
        judge_joins,
        judge_waits,
        judge_keys,
        judge_readings,
        judge_end,
    };
    struct view *view = view_open(history, sim);
    for (size_t i = 0; i < sizeof judges / sizeof judges[0]; i++) {
        judges[i](view);
    }
    view_close(view);
}
