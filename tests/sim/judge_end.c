/*
 * judge_end.c - the counts: in themselves, and against what clients know.
 */
#include "tests/sim/judges.h"

/* --- readings [S4.1] ------------------------------------------------------ */

static void judge_stat(const struct view *view, uint64_t index)
{
    const struct history_op *op = &view->history->ops[index];
    const struct bao_readings *stat = op->stat;
    uint64_t settled = stat->done + stat->died + stat->expired +
                       stat->cancelled + stat->dropped + stat->purged;
    uint64_t unfinished = stat->ready + stat->delayed + stat->leased;
    VIEW_CHECK(view,
               stat->unfinished == stat->accepted - settled,
               "#%llu: %llu accepted, %llu settled, but %llu unfinished",
               VIEW_NUMBER(index),
               VIEW_NUMBER(stat->accepted),
               VIEW_NUMBER(settled),
               VIEW_NUMBER(stat->unfinished));
    VIEW_CHECK(view,
               stat->unfinished + stat->prepaid == unfinished + stat->taken,
               "#%llu: ready, delayed and leased are not what is unfinished",
               VIEW_NUMBER(index));
}

void judge_readings(const struct view *view)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        if (view->history->ops[i].stat != NULL) {
            judge_stat(view, i);
        }
    }
}

/* --- the end -------------------------------------------------------------- */

/* What clients know of a queue in the broker's last life: at least, at most. */
struct known {
    uint64_t accepted_least;
    uint64_t accepted_most;
    uint64_t redriven;   /* and told so */
    uint64_t duplicates; /* each told an id that nobody else was told */
    uint64_t done_least;
    uint64_t done_most;
    uint64_t never_seen;  /* accepted, and handed out to nobody we know */
    uint64_t unseen_done; /* settled by task_done(), perhaps on their way */
};

static const struct history_op *last_stat(const struct view *view,
                                          unsigned queue)
{
    for (size_t i = view->history->op_count; i-- > 0;) {
        const struct history_op *op = &view->history->ops[i];
        if (op->stat != NULL && op->queue == queue) {
            return op;
        }
    }
    return NULL;
}

static bool is_later_life(const struct history_op *op, unsigned life)
{
    return op->told && op->life != life;
}

static void
know_put(struct known *known, const struct history_op *put, unsigned life)
{
    bool accepted = put->told && put->status == BAOZI_OK && put->life == life;
    if (accepted && (put->told_flags & BAO_FLAG_DUPLICATE) == 0) {
        known->accepted_least += put->count;
        known->accepted_most += put->count;
    } else if (!accepted && !(put->told && put->life == life &&
                              view_is_refusal(put->status))) {
        known->accepted_most += put->count;
    }
}

/* A duplicate was told an id that nobody else was told of: that one was
 * accepted before, and is as safe. */
static bool is_first_of(const struct view *view, uint64_t index)
{
    const struct history_op *op = &view->history->ops[index];
    if (op->verb != BAO_VERB_PUT || !op->told || op->status != BAOZI_OK ||
        (op->told_flags & BAO_FLAG_DUPLICATE) == 0 ||
        view_item(view, op->told_id) != NULL) {
        return false;
    }
    for (uint64_t i = 0; i < index; i++) {
        const struct history_op *other = &view->history->ops[i];
        if (other->verb == BAO_VERB_PUT && other->told &&
            other->status == BAOZI_OK && other->told_id == op->told_id) {
            return false;
        }
    }
    return true;
}

static void
know_settle(struct known *known, const struct history_op *op, unsigned life)
{
    bool unknown = !op->told || op->status == BAOZI_CONNECTION_LOST ||
                   op->status == BAOZI_SESSION_GONE ||
                   op->status == BAOZI_STORAGE_FAILED;
    bool counts = op->told && op->status == BAOZI_OK && op->life == life;
    if (op->verb == BAO_VERB_DONE_NEXT && op->queue == SIM_COUNTED) {
        counts = false; /* it may pay ahead */
        unknown = true;
    }
    known->done_least += counts;
    known->done_most += counts || unknown;
    known->unseen_done += op->verb == BAO_VERB_DONE_NEXT && (counts || unknown);
}

/* However often it was sent, it moved what it was told, and never more than it
 * asked for: a start of the broker does not make it begin anew. */
static void know_redrive(const struct view *view,
                         struct known *known,
                         const struct history_op *op)
{
    if (!op->told || op->status != BAOZI_OK) {
        known->accepted_most += op->limit;
        return;
    }
    VIEW_CHECK(view,
               op->told_count <= op->limit,
               "a redrive of at most %llu moved %llu",
               VIEW_NUMBER(op->limit),
               VIEW_NUMBER(op->told_count));
    known->redriven += op->told_count;
    known->accepted_most += op->told_count;
}

static void know_ops(const struct view *view,
                     struct known *known,
                     unsigned queue,
                     unsigned life)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *op = &view->history->ops[i];
        if (op->queue != queue || is_later_life(op, life)) {
            continue;
        }
        if (op->verb == BAO_VERB_PUT) {
            know_put(known, op, life);
            known->duplicates += is_first_of(view, i);
        } else if (op->verb == BAO_VERB_DONE ||
                   op->verb == BAO_VERB_DONE_NEXT) {
            know_settle(known, op, life);
        } else if (op->verb == BAO_VERB_REDRIVE) {
            know_redrive(view, known, op);
        }
    }
    /* A duplicate's first may be one that was redriven. */
    known->accepted_least += known->duplicates > known->redriven
                                 ? known->duplicates
                                 : known->redriven;
}

static void know_items(const struct view *view,
                       struct known *known,
                       unsigned queue,
                       unsigned life)
{
    for (size_t i = 0; i < view->history->delivery_count; i++) {
        const struct history_delivery *delivery = &view->history->deliveries[i];
        known->done_most += delivery->queue == queue &&
                            delivery->life == life &&
                            (delivery->automatic || delivery->token == 0);
    }
    for (size_t i = 0; i < view->item_count; i++) {
        const struct view_item *item = &view->items[i];
        known->never_seen += item->told && item->queue == queue &&
                             item->life == life && item->grant_count == 0 &&
                             !item->prepaid;
    }
}

static void judge_queue(const struct view *view, unsigned queue)
{
    const struct history_op *op = last_stat(view, queue);
    struct known known = {0};
    VIEW_CHECK(view, op != NULL, "nobody looked at %s", sim_queues[queue].name);
    const struct bao_readings *stat = op->stat;
    VIEW_CHECK(view,
               stat->unfinished == 0,
               "at the end %llu items of %s are unfinished",
               VIEW_NUMBER(stat->unfinished),
               sim_queues[queue].name);
    if (sim_queues[queue].operated) {
        return; /* it may have been deleted and made again */
    }
    know_ops(view, &known, queue, op->life);
    know_items(view, &known, queue, op->life);
    VIEW_CHECK(view,
               stat->accepted >= known.accepted_least &&
                   stat->accepted <= known.accepted_most,
               "%s accepted %llu items, but clients know of %llu to %llu",
               sim_queues[queue].name,
               VIEW_NUMBER(stat->accepted),
               VIEW_NUMBER(known.accepted_least),
               VIEW_NUMBER(known.accepted_most));
    VIEW_CHECK(view,
               queue == SIM_COUNTED || (stat->done >= known.done_least &&
                                        stat->done <= known.done_most),
               "%s counts %llu items done, but clients know of %llu to %llu",
               sim_queues[queue].name,
               VIEW_NUMBER(stat->done),
               VIEW_NUMBER(known.done_least),
               VIEW_NUMBER(known.done_most));
    VIEW_CHECK(view,
               queue == SIM_COUNTED ||
                   known.never_seen <= stat->died + stat->expired +
                                           stat->cancelled + stat->dropped +
                                           stat->purged + known.unseen_done,
               "%s lost %llu items that were accepted",
               sim_queues[queue].name,
               VIEW_NUMBER(known.never_seen));
}

void judge_end(const struct view *view)
{
    for (unsigned queue = 0; queue < SIM_QUEUES; queue++) {
        judge_queue(view, queue);
    }
}
