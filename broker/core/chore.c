/*
 * chore.c - long work in slices: purge, delete, shutdown at once, redrive.
 *
 * A chore looks only at what was there when it began (`mark`), so new puts
 * lie behind it, and answers its request when it is finished. A crash forgets
 * it; the client's repeated request begins it again (a redrive goes on).
 */
#include "broker/core/admin.h"
#include "broker/core/items.h"
#include "broker/core/join.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/settle.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"
#include "broker/core/waiter.h"

struct bao_chore *bao_chore_new(struct bao_core *core,
                                const struct bao_call *call,
                                enum bao_chore_kind kind,
                                struct bao_queue *queue)
{
    /* Most of this work sets memory free, so that it needs none beyond the
     * reserve. */
    if (!bao_waiter_has_place(core, call)) {
        return NULL;
    }
    struct bao_chore *chore = bao_take(core, sizeof(*chore));
    *chore = (struct bao_chore){.kind = kind, .queue = queue};
    chore->mark = queue->last;
    chore->cursor = 0;
    chore->waiter = bao_waiter_new(core, call, BAO_WAITER_CHORE, queue);
    chore->waiter->chore = chore;
    bao_list_push(&queue->chores, &chore->of_queue);
    bao_list_push(&core->chores, &chore->task);
    return chore;
}

static void chore_free(struct bao_core *core, struct bao_chore *chore)
{
    bao_timer_stop(core, &chore->timer);
    if (bao_link_is_listed(&chore->task)) {
        bao_list_remove(&core->chores, &chore->task);
    }
    if (chore->queue != NULL) {
        bao_list_remove(&chore->queue->chores, &chore->of_queue);
    }
    bao_text_drop(core, chore->match);
    bao_arena_give(core->arena, chore->ids);
    bao_arena_give(core->arena, chore);
}

void bao_chore_end(struct bao_core *core,
                   struct bao_chore *chore,
                   enum baozi_status status)
{
    struct bao_waiter *waiter = chore->waiter;
    const uint64_t moved = chore->moved;
    const uint64_t incarnation =
        chore->queue == NULL ? chore->mark : chore->queue->incarnation;
    const struct bao_queue *queue = chore->queue;
    chore_free(core, chore);
    if (waiter == NULL) {
        return;
    }
    waiter->chore = NULL;
    if (status != BAOZI_OK) {
        bao_waiter_refuse(core,
                          waiter,
                          status,
                          BAO_LITERAL("nothing could be moved: it is at its "
                                      "bound, shut down, or other puts wait"));
        return;
    }
    struct bao_call call = bao_waiter_call(waiter);
    bao_waiter_end(core, waiter);
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ANSWERED);
    fact->session = call.session->number;
    fact->rid = call.rid;
    fact->verb = call.verb;
    fact->queue = incarnation;
    fact->count = moved < UINT32_MAX ? (uint32_t)moved : UINT32_MAX;
    bao_decide(core, fact);
    struct bao_operation *op =
        bao_reply(core, call.session, queue, call.verb, call.rid, BAOZI_OK);
    if (call.verb == BAO_VERB_REDRIVE) {
        BAO_SET(op, COUNT, count, moved);
    } else {
        BAO_SET(op, PURGED, purged, moved);
    }
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

/* --- purging ---------------------------------------------------------------
 */

/* Ends items of these states from the cursor to the mark; true when done. */
static bool
purge_slice(struct bao_core *core, struct bao_chore *chore, unsigned states)
{
    struct bao_vector vector;
    if (core->budget == 0) {
        return false;
    }
    bao_vector_open(core, &vector, core->budget);
    bool finished = false;
    while (core->budget > 0 && bao_out_has_room(core)) {
        const uint64_t n = bao_shelf_next(chore->queue, states, chore->cursor);
        if (n == 0 || n > chore->mark) {
            finished = true;
            break;
        }
        struct bao_item *item = bao_item_at(core, chore->queue, n);
        chore->cursor = n + 1;
        chore->moved++;
        core->budget--;
        struct bao_fate fate = {.kind = BAO_FACT_DEAD_FORGOTTEN};
        if (item->state != BAO_STATE_DEAD) {
            fate = bao_fate_of_end(core, item, BAO_STATE_PURGED);
        }
        bao_vector_add(core, &vector, item, fate, 0);
    }
    bao_vector_flush(core, &vector);
    return finished;
}

static unsigned purge_states(const struct bao_chore *chore)
{
    unsigned states = BAO_COLOUR(READY) | BAO_COLOUR(DELAYED);
    if ((chore->flags & BAO_FLAG_DEAD) != 0) {
        states |= BAO_COLOUR(DEAD);
    }
    return states;
}

void bao_purge(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    struct bao_chore *chore = bao_chore_new(core, call, BAO_CHORE_PURGE, queue);
    if (chore != NULL && bao_has(op, BAO_BIT(FLAGS))) {
        chore->flags = (uint32_t)op->flags;
    }
}

void bao_shutdown(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    const bool at_once =
        bao_has(op, BAO_BIT(FLAGS)) && (op->flags & BAO_FLAG_IMMEDIATE) != 0;
    struct bao_chore *chore =
        bao_chore_new(core, call, BAO_CHORE_SHUTDOWN, queue);
    if (chore == NULL) {
        return;
    }
    if (!at_once) {
        chore->mark = 0; /* nothing is emptied */
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_QUEUE_SHUT);
    fact->queue = queue->incarnation;
    fact->state = at_once || queue->shut == 2 ? 2 : 1;
    bao_decide(core, fact);
}

/* --- deleting --------------------------------------------------------------
 */

void bao_delete(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    const bool forced =
        bao_has(op, BAO_BIT(FLAGS)) && (op->flags & BAO_FLAG_FORCE) != 0;
    if (!bao_shelf_none(queue) && !forced) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   op->queue,
                   BAO_LITERAL("it is not empty; drain it, or delete it by "
                               "force"));
        return;
    }
    struct bao_chore *chore =
        bao_chore_new(core, call, BAO_CHORE_DELETE, queue);
    if (chore != NULL) {
        chore->mark = BAO_N_MASK;
        queue->deleting = true;
    }
}

static void forget_named(struct bao_core *core,
                         const struct bao_queue *queue,
                         enum bao_fact_kind kind,
                         const struct bao_text *name)
{
    struct bao_fact *fact = bao_fact_new(core, kind);
    fact->queue = queue->incarnation;
    fact->name = bao_scratch_copy(core, bao_text_span(name));
    core->budget--;
    bao_decide(core, fact);
}

/* Forgets one thing that is kept beside the items; false if there is none. */
static bool forget_one(struct bao_core *core, struct bao_queue *queue)
{
    struct bao_link *link = bao_list_first(&queue->finished);
    if (link != NULL) {
        forget_named(core,
                     queue,
                     BAO_FACT_GROUP_FORGOTTEN,
                     BAO_OF(link, struct bao_group, finished)->name);
        return true;
    }
    link = bao_list_first(&queue->dedups);
    if (link != NULL) {
        forget_named(core,
                     queue,
                     BAO_FACT_DEDUP_FORGOTTEN,
                     BAO_OF(link, struct bao_dedup, of_queue)->key);
        return true;
    }
    link = bao_list_first(&queue->outcomes);
    if (link == NULL) {
        return false;
    }
    uint64_t *ids = bao_scratch_take(core, sizeof(*ids));
    ids[0] = BAO_OF(link, struct bao_outcome, of_queue)->id;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_OUTCOME_FORGOTTEN);
    fact->queue = queue->incarnation;
    fact->ids = ids;
    fact->count = 1;
    core->budget--;
    bao_decide(core, fact);
    return true;
}

/* One waiter of the queue, in line or not; NULL if there is none. */
static struct bao_waiter *any_waiter(struct bao_queue *queue)
{
    struct bao_link *link = bao_list_first(&queue->puts);
    if (link == NULL) {
        link = bao_list_first(&queue->gets);
    }
    if (link != NULL) {
        return BAO_OF(link, struct bao_waiter, place);
    }
    link = bao_list_first(&queue->tallies);
    for (; link != NULL; link = bao_list_next(&queue->tallies, link)) {
        struct bao_tally *tally = BAO_OF(link, struct bao_tally, of_queue);
        if (tally->gets.count > 0) {
            return BAO_OF(
                bao_list_first(&tally->gets), struct bao_waiter, mine);
        }
    }
    return NULL;
}

/* The queue's other long work ends now: it sees that the queue goes. */
static void wake_chores(struct bao_core *core, struct bao_queue *queue)
{
    struct bao_link *link = bao_list_first(&queue->chores);
    for (; link != NULL; link = bao_list_next(&queue->chores, link)) {
        bao_chore_due(core, BAO_OF(link, struct bao_chore, of_queue));
    }
}

static bool delete_slice(struct bao_core *core, struct bao_chore *chore)
{
    struct bao_queue *queue = chore->queue;
    const unsigned all = BAO_COLOURS_UNSETTLED | BAO_COLOUR(DEAD);
    if (!purge_slice(core, chore, all)) {
        return false;
    }
    BAO_ASSERT(bao_shelf_none(queue));
    bao_join_serve(core, queue);
    wake_chores(core, queue);
    if (queue->joiners > 0 || core->woken_watches.count > 0 ||
        queue->chores.count > 1) {
        core->awake = true;
        return false;
    }
    while (forget_one(core, queue)) {
        if (core->budget == 0 || !bao_out_has_room(core)) {
            return false;
        }
    }
    struct bao_waiter *waiter = any_waiter(queue);
    for (; waiter != NULL; waiter = any_waiter(queue)) {
        if (!bao_out_has_room(core)) {
            return false;
        }
        bao_waiter_refuse(
            core, waiter, BAOZI_NOT_FOUND, BAO_LITERAL("it was deleted"));
    }
    chore->mark = queue->incarnation;
    bao_list_remove(&queue->chores, &chore->of_queue);
    chore->queue = NULL;
    if (chore->waiter != NULL) {
        chore->waiter->queue = NULL;
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_QUEUE_GONE);
    fact->queue = queue->incarnation;
    bao_decide(core, fact);
    return true;
}

/* --- running ----------------------------------------------------------------
 */

void bao_chore_run(struct bao_core *core, struct bao_chore *chore)
{
    enum baozi_status status = BAOZI_OK;
    bool finished = false;
    switch (chore->kind) {
    case BAO_CHORE_PURGE:
        finished = chore->queue->deleting ||
                   purge_slice(core, chore, purge_states(chore));
        break;
    case BAO_CHORE_SHUTDOWN:
        finished = chore->queue->deleting || chore->mark == 0 ||
                   purge_slice(core, chore, purge_states(chore));
        break;
    case BAO_CHORE_DELETE: finished = delete_slice(core, chore); break;
    case BAO_CHORE_REDRIVE:
        finished = bao_redrive_run(core, chore, &status);
        break;
    }
    if (finished) {
        bao_chore_end(core, chore, status);
        return;
    }
    BAO_MARK("long work goes on in the next tick");
    if (bao_link_is_listed(&chore->task)) {
        /* The others come first. */
        bao_list_remove(&core->chores, &chore->task);
        bao_list_push(&core->chores, &chore->task);
    }
}

void bao_chore_due(struct bao_core *core, struct bao_chore *chore)
{
    if (!bao_link_is_listed(&chore->task)) {
        bao_list_push(&core->chores, &chore->task);
    }
}
