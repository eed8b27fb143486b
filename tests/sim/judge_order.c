/*
 * judge_order.c - who comes first, how many there may be.
 */
#include <stdlib.h>

#include "tests/sim/judges.h"
#include "tests/sim/tell.h"

/* --- each producer's order [P6] ------------------------------------------- */

static bool was_accepted(const struct history_op *op)
{
    return op->verb == BAO_VERB_PUT && op->told && op->status == BAOZI_OK &&
           (op->told_flags & BAO_FLAG_DUPLICATE) == 0;
}

static bool may_be_late(const struct history_op *put)
{
    return put->attempts > 1 &&
           (put->wait_ms != SIM_NEVER || sim_queues[put->queue].operated);
}

/* What one client puts into one queue gets ids in the order of its calls. One
 * that was refused, as its time was over or its queue gone, and was not told so
 * may be tried again, behind those that came after it. */
void judge_producers(const struct view *view)
{
    const struct sim_history *history = view->history;
    const struct history_op *last[SIM_CLIENTS][SIM_QUEUES] = {{0}};
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (!was_accepted(op) || may_be_late(op)) {
            continue;
        }
        const struct history_op **before = &last[op->client][op->queue];
        if (*before != NULL && (*before)->session == op->session &&
            (*before)->process == op->process &&
            (*before)->told_id >> BAO_ID_SHIFT == op->told_id >> BAO_ID_SHIFT &&
            (*before)->life == op->life) {
            VIEW_CHECK(view,
                       (*before)->told_id < op->told_id,
                       "#%llu overtook an earlier put of its client",
                       VIEW_NUMBER(i));
        }
        *before = op;
    }
}

/* --- order of handing out [S6, P6] ---------------------------------------- */

/* True if a get takes `a` before `b`, both there. */
static bool precedes(const struct view *view,
                     const struct view_item *a,
                     const struct view_item *b)
{
    const struct history_op *ops = view->history->ops;
    switch ((enum bao_kind)sim_queues[a->queue].options.kind) {
    case BAO_KIND_FIFO: return a->id < b->id;
    case BAO_KIND_LIFO: return a->id > b->id;
    case BAO_KIND_PRIORITY:
        return ops[a->op].priority != ops[b->op].priority
                   ? ops[a->op].priority < ops[b->op].priority
                   : a->id < b->id;
    }
    return false;
}

/* `grant` gave out `item`; was `other` there, and before it? */
static void judge_pair(const struct view *view,
                       const struct view_grant *grant,
                       const struct view_item *item,
                       const struct view_item *other)
{
    if (other == item || other->life != item->life ||
        other->id >> BAO_ID_SHIFT != item->id >> BAO_ID_SHIFT ||
        other->accepted.to_us >= grant->time.from_us ||
        !precedes(view, other, item)) {
        return;
    }
    VIEW_CHECK(view,
               !view_was_there(view, other, grant->time.to_us),
               "%s was handed out under token %s while %s stood before it",
               tell_id(item->id),
               tell_id(grant->token),
               tell_id(other->id));
}

void judge_order(const struct view *view)
{
    for (size_t i = 0; i < view->grant_count; i++) {
        const struct view_grant *grant = &view->grants[i];
        const struct view_item *item = view_item(view, grant->id);
        const struct sim_queue *queue = &sim_queues[item->queue];
        if (queue->delays || queue->redriven) {
            continue;
        }
        for (size_t k = 0; k < view->item_count; k++) {
            judge_pair(view, grant, item, &view->items[k]);
        }
    }
}

/* --- bounds [P6] ---------------------------------------------------------- */

/* At the moment at which an item was accepted, all that surely waited in the
 * queue with it were not more than maxsize. */
void judge_bounds(const struct view *view)
{
    for (size_t i = 0; i < view->item_count; i++) {
        const struct view_item *item = &view->items[i];
        const struct sim_queue *queue = &sim_queues[item->queue];
        uint64_t there = 1;
        if (!item->told || queue->options.maxsize == 0 || queue->redriven) {
            continue;
        }
        for (size_t k = i; k-- > 0;) {
            const struct view_item *other = &view->items[k];
            if (other->life != item->life ||
                other->id >> BAO_ID_SHIFT != item->id >> BAO_ID_SHIFT) {
                break;
            }
            there += view_was_there(view, other, item->accepted.to_us);
        }
        VIEW_CHECK(view,
                   there <= queue->options.maxsize,
                   "%s was accepted as the %llu. item of a queue for %llu",
                   tell_id(item->id),
                   VIEW_NUMBER(there),
                   VIEW_NUMBER(queue->options.maxsize));
    }
}

/* --- credit [S5.5] -------------------------------------------------------- */

/* Pushed items that surely were still leased when another came. */
void judge_credit(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->delivery_count; i++) {
        const struct history_delivery *last = &history->deliveries[i];
        const struct history_op *op = &history->ops[last->op];
        uint64_t held = 1;
        /* With accounting `count` anybody's task_done ends a lease. */
        if (op->verb != BAO_VERB_SUBSCRIBE || op->queue == SIM_COUNTED) {
            continue;
        }
        for (size_t k = i; k-- > 0;) {
            const struct history_delivery *other = &history->deliveries[k];
            if (other->us + other->lease_ms * SIM_MS < last->us) {
                break;
            }
            struct view_time since = {other->us - other->lease_ms * SIM_MS,
                                      last->us};
            if (view_befell(view, HISTORY_PAUSED, last->client, since) ||
                view_befell(view, HISTORY_STALLED, last->client, since) ||
                view_befell(view, HISTORY_CUT, last->client, since)) {
                break;
            }
            held += other->op == last->op && other->return_us > last->us &&
                    other->session == last->session && other->token != 0;
        }
        VIEW_CHECK(view,
                   held <= op->limit,
                   "#%llu was pushed %llu items, more than it ever allowed",
                   VIEW_NUMBER(last->op),
                   VIEW_NUMBER(held));
    }
}
