/*
 * judge_items.c - stored once, no ghosts, one lease at a time, done once.
 */
#include "tests/sim/count.h"
#include "tests/sim/judges.h"
#include "tests/sim/tell.h"

/* A third of it is longer than any message takes. */
#define RENEWABLE_MS 1000u

static const struct history_op *put_of(const struct view *view,
                                       const struct history_delivery *delivery)
{
    const struct sim_history *history = view->history;
    return &history->ops[history->payloads[delivery->payload - 1]];
}

/* --- storing [P2, S3.5] --------------------------------------------------- */

/* What was refused, or answered as a duplicate, is never handed out; what was
 * accepted is handed out under the id that was told. */
static void judge_delivery(const struct view *view,
                           const struct history_delivery *delivery)
{
    const struct history_op *put = put_of(view, delivery);
    bool here = put->told && put->life == delivery->life;
    uint64_t at = delivery->payload - put->first_payload;
    VIEW_CHECK(view,
               put->queue == delivery->queue,
               "p%llu came out of another queue",
               VIEW_NUMBER(delivery->payload));
    VIEW_CHECK(view,
               !here || !view_is_refusal(put->status),
               "p%llu was refused, and is handed out all the same as %s",
               VIEW_NUMBER(delivery->payload),
               tell_id(delivery->id));
    if (!here || put->status != BAOZI_OK) {
        return;
    }
    VIEW_CHECK(view,
               (put->told_flags & BAO_FLAG_DUPLICATE) == 0,
               "p%llu was a duplicate, and is handed out as %s",
               VIEW_NUMBER(delivery->payload),
               tell_id(delivery->id));
    VIEW_CHECK(view,
               sim_queues[put->queue].redriven ||
                   put->told_id + at == delivery->id,
               "p%llu was stored as %s and is handed out as %s",
               VIEW_NUMBER(delivery->payload),
               tell_id(put->told_id + at),
               tell_id(delivery->id));
}

void judge_storing(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->delivery_count; i++) {
        judge_delivery(view, &history->deliveries[i]);
    }
    /* Two ids of one payload in one life of the broker. */
    for (size_t i = 0; i < view->item_count; i++) {
        const struct view_item *a = &view->items[i];
        for (size_t k = i + 1; k < view->item_count; k++) {
            const struct view_item *b = &view->items[k];
            VIEW_CHECK(view,
                       a->payload != b->payload || a->life != b->life ||
                           sim_queues[a->queue].redriven,
                       "p%llu was stored twice, as %s and %s",
                       VIEW_NUMBER(a->payload),
                       tell_id(a->id),
                       tell_id(b->id));
        }
    }
}

/* --- tokens [P3] ---------------------------------------------------------- */

/* No token comes twice; they grow in the order in which items were handed
 * out, as far as anybody can tell. */
void judge_tokens(const struct view *view)
{
    for (size_t i = 0; i < view->grant_count; i++) {
        const struct view_grant *grant = &view->grants[i];
        VIEW_CHECK(view,
                   i == 0 || view->grants[i - 1].token != grant->token,
                   "token %s was given twice",
                   tell_id(grant->token));
        VIEW_CHECK(view,
                   grant->time.from_us <= grant->time.to_us,
                   "token %s was not given in its order",
                   tell_id(grant->token));
    }
    for (size_t i = 0; i < view->item_count; i++) {
        VIEW_CHECK(view,
                   view->items[i].accepted.from_us <=
                       view->items[i].accepted.to_us,
                   "id %s was not given in its order",
                   tell_id(view->items[i].id));
    }
}

/* --- settling [P4] -------------------------------------------------------- */

/* Handed out under a larger token than this one, and not taken back by a power
 * cut until then: a lease is on the disk before anybody is told, but synced
 * only with the next batch. */
static const struct view_grant *later_grant(const struct view *view,
                                            uint64_t id,
                                            uint64_t token,
                                            uint64_t until_us)
{
    const struct view_item *item = view_item(view, id);
    for (size_t i = 0; item != NULL && i < item->grant_count; i++) {
        const struct view_grant *grant = view_item_grant(view, item, i);
        struct view_time since = {grant->time.from_us, until_us};
        if (grant->token > token && !view_was_cut(view, since)) {
            return grant;
        }
    }
    return NULL;
}

static bool is_settle(uint64_t verb)
{
    return verb == BAO_VERB_DONE || verb == BAO_VERB_REJECT ||
           verb == BAO_VERB_RETRY || verb == BAO_VERB_RELEASE ||
           verb == BAO_VERB_TOUCH;
}

/* Done is done: never handed out again. A settle that counts was made under
 * the youngest token there was. */
static void judge_settle(const struct view *view, uint64_t index)
{
    const struct history_op *op = &view->history->ops[index];
    if (!is_settle(op->verb) || !op->told || op->status != BAOZI_OK) {
        return;
    }
    bool final = op->verb == BAO_VERB_DONE || op->verb == BAO_VERB_REJECT;
    const struct view_grant *later =
        later_grant(view, op->id, op->token, op->told_us);
    VIEW_CHECK(view,
               !final || later == NULL,
               "#%llu settled %s, but it is handed out again",
               VIEW_NUMBER(index),
               tell_id(op->id));
    VIEW_CHECK(view,
               later == NULL || later->time.to_us >= op->asked_us,
               "#%llu counted although the lease had ended: %s was already "
               "handed out under token %s",
               VIEW_NUMBER(index),
               tell_id(op->id),
               tell_id(later->token));
}

/* An automatic item is settled by being handed over, if its holder is well. */
static void judge_automatic(const struct view *view,
                            const struct history_delivery *delivery)
{
    const struct view_grant *later =
        later_grant(view, delivery->id, delivery->token, 0);
    uint64_t asked_us = view->history->ops[delivery->op].asked_us;
    VIEW_CHECK(view,
               !delivery->automatic || delivery->token == 0 || later == NULL ||
                   view_disturbed_us(view, delivery, asked_us) <=
                       later->time.to_us,
               "%s was handed over by an automatic get, and comes again",
               tell_id(delivery->id));
}

void judge_settling(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        judge_settle(view, i);
    }
    for (size_t i = 0; i < history->delivery_count; i++) {
        const struct history_delivery *delivery = &history->deliveries[i];
        uint64_t most = sim_queues[delivery->queue].options.max_deliveries;
        judge_automatic(view, delivery);
        VIEW_CHECK(view,
                   sim_queues[delivery->queue].operated ||
                       delivery->deliveries <= most,
                   "%s is handed out for the %u. time, of at most %llu",
                   tell_id(delivery->id),
                   delivery->deliveries,
                   VIEW_NUMBER(most));
    }
}

/* --- leases [S5.2] -------------------------------------------------------- */

/* For how long nobody else may get it: its holder renews it up to max_run, if
 * there is time to. */
static uint64_t least_us(const struct history_delivery *delivery)
{
    uint64_t max_run_ms = sim_queues[delivery->queue].options.max_run_ms;
    return SIM_MS * (delivery->lease_ms >= RENEWABLE_MS ? max_run_ms
                                                        : delivery->lease_ms);
}

/* While its holder is well and says nothing, an item is nobody else's; also
 * when the broker is killed and comes back [S8]. */
static void judge_kept(const struct view *view,
                       const struct view_item *item,
                       const struct view_grant *now,
                       const struct view_grant *next)
{
    const struct history_delivery *delivery =
        &view->history->deliveries[now->delivery];
    if (delivery->return_us <= next->time.to_us || delivery->automatic ||
        view_disturbed_us(view, delivery, now->time.from_us) <=
            next->time.to_us) {
        return;
    }
    VIEW_CHECK(view,
               next->time.to_us - now->time.from_us >= least_us(delivery),
               "%s under token %s went to somebody else too early",
               tell_id(item->id),
               tell_id(now->token));
}

/* Its holder said task_done() at that time, which is of any item it holds. */
static bool may_be_task_done(const struct view *view,
                             const struct history_op *settle,
                             uint64_t from_us)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *op = &view->history->ops[i];
        if (op->verb == BAO_VERB_DONE_NEXT && op->queue == settle->queue &&
            op->client == settle->client && op->asked_us <= settle->told_us &&
            (!op->told || op->told_us >= from_us)) {
            return true;
        }
    }
    return false;
}

/* Its first settle counts then. */
static void judge_first_settle(const struct view *view, uint64_t index)
{
    const struct history_op *op = &view->history->ops[index];
    const struct history_delivery *delivery =
        &view->history->deliveries[op->delivery];
    const struct sim_queue *queue = &sim_queues[op->queue];
    uint64_t from_us = view_grant(view, delivery->token)->time.from_us;
    if (!op->told || op->verb == BAO_VERB_TOUCH || queue->operated ||
        queue->redriven || op->queue == SIM_COUNTED || delivery->automatic ||
        delivery->return_us != op->asked_us ||
        op->told_us - from_us >= least_us(delivery) ||
        view_disturbed_us(view, delivery, from_us) <= op->told_us ||
        may_be_task_done(view, op, from_us)) {
        return;
    }
    VIEW_CHECK(view,
               op->status != BAOZI_STALE,
               "#%llu settles %s in time, and nothing befell its holder, but "
               "the lease is lost",
               VIEW_NUMBER(index),
               tell_id(op->id));
    if (op->status == BAOZI_OK &&
        view_restarted(view, (struct view_time){from_us, op->asked_us})) {
        SIM_COUNT(view->sim, LEASES_OUTLIVED);
    }
}

void judge_leases(const struct view *view)
{
    for (size_t i = 0; i < view->item_count; i++) {
        const struct view_item *item = &view->items[i];
        for (size_t k = 0; k + 1 < item->grant_count; k++) {
            judge_kept(view,
                       item,
                       view_item_grant(view, item, k),
                       view_item_grant(view, item, k + 1));
        }
    }
    for (size_t i = 0; i < view->history->op_count; i++) {
        if (view->history->ops[i].delivery != HISTORY_NONE &&
            is_settle(view->history->ops[i].verb)) {
            judge_first_settle(view, i);
        }
    }
}
