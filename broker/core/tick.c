/*
 * tick.c - timers in order of time, and slices of long work.
 *
 * Only what is due is touched: the heaps lead to it. Neighbours with one fate
 * share a fact.
 */
#include "broker/core/tick.h"

#include "broker/core/admin.h"
#include "broker/core/items.h"
#include "broker/core/memory.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "broker/core/store.h"
#include "broker/core/waiter.h"

#define WORK_RESERVE 128u /* of the budget, kept for long work */

/* What has become of an item whose timer is due. */
static struct bao_fate fate_of(struct bao_core *core, struct bao_item *item)
{
    const bool expired =
        item->expires_us != 0 && item->expires_us <= core->now_us;
    switch ((enum bao_state)item->state) {
    case BAO_STATE_READY:
        BAO_ASSERT(expired);
        return bao_fate_of_end(core, item, BAO_STATE_EXPIRED);
    case BAO_STATE_DELAYED:
        if (expired) {
            return bao_fate_of_end(core, item, BAO_STATE_EXPIRED);
        }
        if ((item->flags & BAO_ITEM_DOOMED) != 0) {
            return bao_fate_of_doomed(core, item);
        }
        return (struct bao_fate){.kind = BAO_FACT_ITEM_READY};
    case BAO_STATE_LEASED:
        BAO_MARK("a lease runs out");
        return bao_fate_of_return(core, item, BAO_CAUSE_LEASE_ENDED, 0);
    case BAO_STATE_DEAD:
        return (struct bao_fate){.kind = BAO_FACT_DEAD_FORGOTTEN};
    case BAO_STATE_NONE:
    case BAO_STATE_TAKEN:
    case BAO_STATE_DONE:
    case BAO_STATE_EXPIRED:
    case BAO_STATE_CANCELLED:
    case BAO_STATE_DROPPED:
    case BAO_STATE_PURGED: break;
    }
    bao_panic(__FILE__, __LINE__, "an item with a timer");
}

static void forget_group(struct bao_core *core, const struct bao_group *group)
{
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_GROUP_FORGOTTEN);
    fact->queue = group->queue->incarnation;
    fact->name = bao_scratch_copy(core, bao_text_span(group->name));
    bao_decide(core, fact);
}

static void forget_key(struct bao_core *core, const struct bao_dedup *dedup)
{
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_DEDUP_FORGOTTEN);
    fact->queue = dedup->queue->incarnation;
    fact->name = bao_scratch_copy(core, bao_text_span(dedup->key));
    bao_decide(core, fact);
}

/* The results that a session, gone for result_ttl, did not ask for. */
static void forget_outcomes(struct bao_core *core, struct bao_tally *tally)
{
    uint32_t count = (uint32_t)tally->outcomes.count;
    if (count == 0 || core->budget == 0) {
        return;
    }
    count = count < core->budget ? count : core->budget;
    core->budget -= count;
    uint64_t *ids = bao_scratch_take(core, count * sizeof(*ids));
    struct bao_link *link = bao_list_first(&tally->outcomes);
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = BAO_OF(link, struct bao_outcome, of_owner)->id;
        link = bao_list_next(&tally->outcomes, link);
    }
    if (link != NULL) {
        bao_timer_set(core,
                      &tally->timer,
                      BAO_TIMER_TALLY,
                      core->now_us,
                      tally->session_number);
    }
    BAO_MARK("results nobody asked for are forgotten");
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_OUTCOME_FORGOTTEN);
    fact->queue = tally->queue->incarnation;
    fact->ids = ids;
    fact->count = count;
    bao_decide(core, fact);
}

static void due_other(struct bao_core *core, struct bao_timer *timer)
{
    switch ((enum bao_timer_kind)timer->kind) {
    case BAO_TIMER_WAITER:
        bao_waiter_due(core, BAO_OF(timer, struct bao_waiter, timer));
        return;
    case BAO_TIMER_SESSION:
        bao_session_due(core, BAO_OF(timer, struct bao_session, timer));
        return;
    case BAO_TIMER_GROUP:
        forget_group(core, BAO_OF(timer, struct bao_group, timer));
        return;
    case BAO_TIMER_DEDUP:
        forget_key(core, BAO_OF(timer, struct bao_dedup, timer));
        return;
    case BAO_TIMER_TALLY:
        forget_outcomes(core, BAO_OF(timer, struct bao_tally, timer));
        return;
    case BAO_TIMER_CHORE:
        bao_chore_due(core, BAO_OF(timer, struct bao_chore, timer));
        return;
    case BAO_TIMER_NONE:
    case BAO_TIMER_ITEM:
    case BAO_TIMER_WALL: break;
    }
    bao_panic(__FILE__, __LINE__, "a kind of timer");
}

/* Items whose not-before of the wall clock came. */
static void due_wall(struct bao_core *core, struct bao_vector *vector)
{
    const uint64_t now = bao_wall_us(core);
    const struct bao_heap_entry *entry = bao_heap_first(&core->wall);
    while (entry != NULL && entry->key <= now && core->budget > 0 &&
           bao_out_has_room(core)) {
        struct bao_note *note = BAO_OF(entry->node, struct bao_note, wall.node);
        struct bao_item *item = note->item;
        bao_heap_remove(&core->wall, &note->wall.node);
        core->budget--;
        if ((item->flags & BAO_ITEM_MARKED) != 0) {
            bao_vector_flush(core, vector); /* it expires at this moment */
        } else {
            struct bao_fate fate = {.kind = BAO_FACT_ITEM_READY};
            bao_vector_add(core, vector, item, fate, 0);
        }
        entry = bao_heap_first(&core->wall);
    }
    bao_vector_flush(core, vector);
}

void bao_tick_timers(struct bao_core *core)
{
    struct bao_vector vector;
    const uint32_t reserve =
        core->chores.count + core->busy.count > 0 ? WORK_RESERVE : 0;
    if (core->budget <= reserve) {
        core->awake = true;
        return;
    }
    bao_vector_open(core, &vector, core->budget);
    const struct bao_heap_entry *entry = bao_heap_run_first(&core->timers);
    while (entry != NULL && entry->key <= core->now_us &&
           core->budget > reserve && bao_out_has_room(core)) {
        struct bao_timer *timer = BAO_OF(entry->node, struct bao_timer, node);
        if (timer->kind != BAO_TIMER_ITEM && vector.count > 0) {
            /* What these items were may answer this very waiter. */
            bao_vector_flush(core, &vector);
            entry = bao_heap_run_first(&core->timers);
            continue;
        }
        bao_timer_stop(core, timer);
        core->budget--;
        if (timer->kind == BAO_TIMER_ITEM) {
            struct bao_item *item = BAO_OF(timer, struct bao_item, timer);
            bao_vector_add(core, &vector, item, fate_of(core, item), 0);
        } else {
            due_other(core, timer);
        }
        entry = bao_heap_run_first(&core->timers);
    }
    bao_vector_flush(core, &vector);
    due_wall(core, &vector);
    if (entry != NULL && entry->key <= core->now_us) {
        BAO_MARK("timers are left for the next tick");
        core->awake = true;
    }
}

void bao_tick_work(struct bao_core *core)
{
    size_t turns = core->busy.count;
    while (turns > 0 && core->busy.count > 0 && core->budget > 0 &&
           bao_out_has_room(core)) {
        struct bao_link *link = bao_list_pop(&core->busy);
        bao_list_push(&core->busy, link);
        (void)bao_session_work(core, BAO_OF(link, struct bao_session, task));
        turns--;
    }
    turns = core->chores.count;
    while (turns > 0 && core->chores.count > 0 && core->budget > 0 &&
           bao_out_has_room(core)) {
        struct bao_link *link = bao_list_first(&core->chores);
        bao_chore_run(core, BAO_OF(link, struct bao_chore, task));
        turns--;
    }
}
