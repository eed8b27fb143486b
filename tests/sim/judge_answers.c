/*
 * judge_answers.c - what is told is so, and not told too early.
 */
#include "tests/sim/judges.h"
#include "tests/sim/tell.h"

/* --- times [S3.1] --------------------------------------------------------- */

/* FULL, EMPTY and TIMEOUT are never told before their time, and never to
 * somebody who waits for ever. */
void judge_times(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool timed = op->told &&
                     (op->status == BAOZI_FULL || op->status == BAOZI_EMPTY ||
                      op->status == BAOZI_TIMEOUT);
        if (!timed || op->verb == BAO_VERB_PEEK ||
            op->verb == BAO_VERB_REDRIVE ||
            (op->verb == BAO_VERB_PUT &&
             sim_queues[op->queue].options.overflow != BAO_OVERFLOW_BLOCK)) {
            continue;
        }
        VIEW_CHECK(view,
                   op->wait_ms != SIM_NEVER,
                   "#%llu waits for ever, but its time is said to be over",
                   VIEW_NUMBER(i));
        VIEW_CHECK(view,
                   op->told_us - op->asked_us >= op->wait_ms * SIM_MS,
                   "#%llu is told too early that its time is over",
                   VIEW_NUMBER(i));
    }
}

/* --- EMPTY and FULL [S3.1] ------------------------------------------------ */

/* EMPTY, and an item was there all the time? */
void judge_empty(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->verb != BAO_VERB_GET || op->status != BAOZI_EMPTY ||
            sim_queues[op->queue].operated || !view_in_one_life(view, op)) {
            continue;
        }
        for (size_t k = 0; k < view->item_count; k++) {
            const struct view_item *item = &view->items[k];
            VIEW_CHECK(view,
                       item->queue != op->queue ||
                           item->accepted.to_us >= op->asked_us ||
                           !view_was_there(view, item, op->told_us),
                       "#%llu was told EMPTY while %s was there",
                       VIEW_NUMBER(i),
                       tell_id(item->id));
        }
    }
}

/* How many items may have been in the queue at some moment of `op`; SIM_NEVER
 * if that cannot be said. */
static uint64_t most_there(const struct view *view, const struct history_op *op)
{
    const struct sim_history *history = view->history;
    uint64_t most = 0;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *put = &history->ops[i];
        if (put == op || put->verb != BAO_VERB_PUT || put->queue != op->queue ||
            put->asked_us > op->told_us) {
            continue;
        }
        bool over = put->told && put->told_us < op->asked_us;
        if (!over) {
            return SIM_NEVER; /* it may have stood before us in the line */
        }
        if (over && view_is_refusal(put->status)) {
            continue;
        }
        for (uint32_t k = 0; k < put->count; k++) {
            const struct view_item *item =
                put->told && put->status == BAOZI_OK
                    ? view_item(view, put->told_id + k)
                    : NULL;
            most += item == NULL || item->settled_us >= op->asked_us;
        }
    }
    return most;
}

/* FULL, and there was room all the time? */
void judge_full(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        const struct sim_queue *queue = &sim_queues[op->queue];
        if (op->verb != BAO_VERB_PUT || op->status != BAOZI_FULL ||
            queue->operated || queue->redriven || queue->large ||
            !view_in_one_life(view, op)) {
            continue;
        }
        uint64_t most = most_there(view, op);
        VIEW_CHECK(view,
                   most == SIM_NEVER ||
                       most + op->count > queue->options.maxsize,
                   "#%llu was told FULL while there was room",
                   VIEW_NUMBER(i));
    }
}

/* --- join [P5, S4.3] ------------------------------------------------------ */

/* True if the join stands for what this put brought. */
static bool is_joined(const struct history_op *join,
                      const struct history_op *put)
{
    if (!put->told || put->told_us >= join->asked_us ||
        put->queue != join->queue || put->life != join->life) {
        return false;
    }
    switch ((enum bao_scope)join->scope) {
    case BAO_SCOPE_QUEUE:
    case BAO_SCOPE_UP_TO: return true;
    case BAO_SCOPE_GROUP: return put->group == join->group;
    case BAO_SCOPE_MINE:
        return put->client == join->client && put->session == join->session &&
               put->told_session == join->session &&
               join->told_session == join->session;
    }
    return false;
}

static void
judge_join(const struct view *view, uint64_t index, uint64_t *covered)
{
    const struct history_op *join = &view->history->ops[index];
    *covered = 0;
    for (size_t i = 0; i < view->item_count; i++) {
        const struct view_item *item = &view->items[i];
        if (!item->told || !is_joined(join, &view->history->ops[item->op])) {
            continue;
        }
        (*covered)++;
        for (size_t k = 0; k < item->grant_count; k++) {
            const struct view_grant *grant = view_item_grant(view, item, k);
            VIEW_CHECK(view,
                       grant->time.from_us <= join->told_us,
                       "#%llu was told that all is settled, but %s is handed "
                       "out afterwards",
                       VIEW_NUMBER(index),
                       tell_id(item->id));
        }
    }
}

/* What was settled in the queue at most, as far as clients know. */
static uint64_t most_accepted(const struct view *view,
                              const struct history_op *join)
{
    uint64_t most = 0;
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *put = &view->history->ops[i];
        if (put->verb == BAO_VERB_PUT && put->queue == join->queue &&
            put->asked_us <= join->told_us &&
            !(put->told && put->life == join->life &&
              view_is_refusal(put->status))) {
            most += put->count;
        }
    }
    return most;
}

/* After the join's answer somebody settles an item that it stood for. */
static void judge_late_settles(const struct view *view, uint64_t index)
{
    const struct sim_history *history = view->history;
    const struct history_op *join = &history->ops[index];
    for (size_t i = index; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        const struct view_item *item =
            op->verb == BAO_VERB_DONE ? view_item(view, op->id) : NULL;
        if (item == NULL || !op->told || op->status != BAOZI_OK ||
            op->asked_us <= join->told_us || !item->told ||
            !is_joined(join, &history->ops[item->op])) {
            continue;
        }
        VIEW_CHECK(view,
                   false,
                   "#%llu was told that all is settled, but #%llu settles %s "
                   "only afterwards",
                   VIEW_NUMBER(index),
                   VIEW_NUMBER(i),
                   tell_id(op->id));
    }
}

void judge_joins(const struct view *view)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *join = &view->history->ops[i];
        const struct sim_queue *queue = &sim_queues[join->queue];
        uint64_t covered;
        uint64_t sum = 0;
        if (join->verb != BAO_VERB_JOIN || join->status != BAOZI_OK ||
            join->queue == SIM_COUNTED || !view_in_one_memory(view, join)) {
            continue;
        }
        judge_join(view, i, &covered);
        judge_late_settles(view, i);
        for (unsigned k = 0; k < HISTORY_COUNT; k++) {
            sum += join->counts[k];
        }
        if (join->scope == BAO_SCOPE_QUEUE && !queue->operated) {
            VIEW_CHECK(view,
                       sum >= covered,
                       "#%llu counts %llu items, but %llu were put",
                       VIEW_NUMBER(i),
                       VIEW_NUMBER(sum),
                       VIEW_NUMBER(covered));
            VIEW_CHECK(view,
                       queue->redriven || sum <= most_accepted(view, join),
                       "#%llu counts %llu items, more than were ever put",
                       VIEW_NUMBER(i),
                       VIEW_NUMBER(sum));
        }
    }
}

/* --- wait [S2] ------------------------------------------------------------ */

static bool
was_asked(const struct view *view, const struct history_op *wait, uint64_t verb)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *op = &view->history->ops[i];
        if (op->verb == verb && op->asked_us <= wait->told_us &&
            (op->id == wait->id || (op->id == 0 && op->queue == wait->queue))) {
            return true;
        }
    }
    return false;
}

/* Somebody did what is said to have happened. */
static bool is_possible(const struct view *view, const struct history_op *wait)
{
    const struct sim_queue *queue = &sim_queues[wait->queue];
    const struct view_item *item = view_item(view, wait->id);
    switch ((enum bao_state)wait->told_state) {
    case BAO_STATE_DONE:
        return was_asked(view, wait, BAO_VERB_DONE) ||
               was_asked(view, wait, BAO_VERB_DONE_NEXT) ||
               (item != NULL && item->grant_count > 0);
    case BAO_STATE_DEAD: return true;
    case BAO_STATE_EXPIRED: return queue->expires;
    case BAO_STATE_CANCELLED:
        return was_asked(view, wait, BAO_VERB_CANCEL_ITEM);
    case BAO_STATE_DROPPED:
        return queue->options.overflow == BAO_OVERFLOW_DROP_OLDEST;
    case BAO_STATE_PURGED:
        return queue->operated || was_asked(view, wait, BAO_VERB_PURGE);
    case BAO_STATE_NONE:
    case BAO_STATE_READY:
    case BAO_STATE_DELAYED:
    case BAO_STATE_LEASED:
    case BAO_STATE_TAKEN: return false;
    }
    return false;
}

void judge_waits(const struct view *view)
{
    for (size_t i = 0; i < view->history->op_count; i++) {
        const struct history_op *wait = &view->history->ops[i];
        const struct view_item *item = view_item(view, wait->id);
        if (wait->verb != BAO_VERB_WAIT || !wait->told ||
            wait->status != BAOZI_OK) {
            continue;
        }
        VIEW_CHECK(view,
                   wait->told_id == wait->id && is_possible(view, wait),
                   "#%llu was told that %s is %s, which it cannot be",
                   VIEW_NUMBER(i),
                   tell_id(wait->id),
                   bao_state_name(wait->told_state));
        for (size_t k = 0; item != NULL && k < item->grant_count; k++) {
            VIEW_CHECK(view,
                       view_item_grant(view, item, k)->time.from_us <=
                           wait->told_us,
                       "#%llu was told the end of %s, but it is handed out "
                       "afterwards",
                       VIEW_NUMBER(i),
                       tell_id(wait->id));
        }
    }
}

/* --- dedup keys [S7] ------------------------------------------------------ */

static void judge_key_pair(const struct view *view,
                           const struct history_op *first,
                           const struct history_op *second)
{
    const struct sim_queue *queue = &sim_queues[first->queue];
    uint64_t earliest_us =
        first->asked_us < second->asked_us ? first->asked_us : second->asked_us;
    uint64_t latest_us =
        first->told_us > second->told_us ? first->told_us : second->told_us;
    bool stored_twice =
        ((first->told_flags | second->told_flags) & BAO_FLAG_DUPLICATE) == 0;
    VIEW_CHECK(view,
               !stored_twice || latest_us - earliest_us >=
                                    queue->options.dedup_window_ms * SIM_MS,
               "key %llu was stored twice, as %s and %s",
               VIEW_NUMBER(first->key),
               tell_id(first->told_id),
               tell_id(second->told_id));
}

void judge_keys(const struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *first = &history->ops[i];
        if (first->key == 0 || !first->told || first->status != BAOZI_OK) {
            continue;
        }
        for (size_t k = i + 1; k < history->op_count; k++) {
            const struct history_op *second = &history->ops[k];
            if (second->key == first->key && second->told &&
                second->status == BAOZI_OK && second->life == first->life &&
                second->queue == first->queue) {
                judge_key_pair(view, first, second);
            }
        }
    }
}
