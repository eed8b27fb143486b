/*
 * store.c - facts become state: the switch, and the facts of queues.
 *
 * Nothing here decides. What a fact says is asserted, not checked: a fact was
 * decided by us, or came from a log whose checksums held.
 */
#include "broker/core/store.h"

#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/names.h"
#include "broker/core/shelf.h"
#include "broker/core/tally.h"
#include "common/planted.h"

struct bao_queue *bao_queue_look(const struct bao_core *core,
                                 uint64_t incarnation)
{
    struct bao_table_node *node = bao_table_first(
        &core->queues_by_incarnation, bao_hash_number(incarnation, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_queue *queue =
            BAO_OF(node, struct bao_queue, by_incarnation);
        if (queue->incarnation == incarnation) {
            return queue;
        }
    }
    return NULL;
}

struct bao_queue *bao_queue_of(struct bao_core *core, uint64_t incarnation)
{
    if (core->last_queue != NULL &&
        core->last_queue->incarnation == incarnation) {
        return core->last_queue;
    }
    struct bao_queue *queue = bao_queue_look(core, incarnation);
    if (queue != NULL) {
        core->last_queue = queue;
    }
    return queue;
}

struct bao_queue *bao_queue_named(struct bao_core *core, struct bao_span name)
{
    if (core->last_queue != NULL &&
        bao_span_equal(bao_text_span(core->last_queue->name), name)) {
        return core->last_queue;
    }
    struct bao_table_node *node =
        bao_table_first(&core->queues_by_name, bao_hash_bytes(name, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_queue *queue = BAO_OF(node, struct bao_queue, by_name);
        if (bao_span_equal(bao_text_span(queue->name), name)) {
            core->last_queue = queue;
            return queue;
        }
    }
    return NULL;
}

struct bao_session *bao_session_of(const struct bao_core *core, uint64_t number)
{
    return bao_tree_find(&core->sessions, number);
}

/* What tells its counts from those of all others in the digest. */
static void queue_weigh(struct bao_queue *queue)
{
    queue->weight = bao_digest_mix(queue->incarnation * 2 + 1) | 1;
    queue->ledger.weight = bao_digest_mix(queue->incarnation * 2 + 2) | 1;
}

static void queue_init(struct bao_core *core, struct bao_queue *queue)
{
    bao_tree_init(&queue->shelves, core->arena);
    bao_heap_init(&queue->order, core->arena);
    bao_heap_init(&queue->worst, core->arena);
    bao_heap_init(&queue->up_to, core->arena);
    bao_list_init(&queue->finished);
    bao_list_init(&queue->open_groups);
    bao_list_init(&queue->dedups);
    bao_list_init(&queue->leases);
    bao_list_init(&queue->tallies);
    bao_list_init(&queue->outcomes);
    bao_list_init(&queue->puts);
    bao_list_init(&queue->gets);
    bao_list_init(&queue->chores);
    bao_ledger_init(&queue->ledger, 0);
    queue_weigh(queue);
}

static enum bao_level level_of(const struct bao_core *core,
                               const struct bao_queue_options *options)
{
    if (options->durability == BAO_LEVEL_DEFAULT) {
        return core->config.level;
    }
    return (enum bao_level)options->durability;
}

struct bao_queue *bao_queue_new(struct bao_core *core,
                                uint64_t incarnation,
                                struct bao_span name,
                                const struct bao_queue_options *options)
{
    BAO_ASSERT(bao_queue_named(core, name) == NULL);
    struct bao_queue *queue = bao_take(core, sizeof(*queue));
    memset(queue, 0, sizeof(*queue));
    queue->incarnation = incarnation;
    queue->name = bao_text_make(core, name);
    queue->stamp = core->stamp;
    queue->options = *options;
    queue->level = level_of(core, options);
    queue->logged = queue->level != BAO_LEVEL_MEMORY;
    queue->indexed = queue->options.overflow == BAO_OVERFLOW_DROP_OLDEST;
    queue_init(core, queue);
    bao_table_put(
        &core->queues_by_name, &queue->by_name, bao_hash_bytes(name, 0));
    bao_table_put(&core->queues_by_incarnation,
                  &queue->by_incarnation,
                  bao_hash_number(incarnation, 0));
    core->queue_count++;
    core->last_queue = queue;
    return queue;
}

void bao_store_queue_made(struct bao_core *core, const struct bao_fact *fact)
{
    BAO_ASSERT(fact->queue > core->last_incarnation);
    struct bao_queue *queue =
        bao_queue_new(core, fact->queue, fact->name, fact->options);
    queue->made_us = fact->time_us;
    queue->last = core->first_n;
    bao_names_add(core, queue);
    core->digest -= bao_digest_core(core);
    core->last_incarnation = fact->queue;
    core->digest += bao_digest_core(core) + bao_digest_queue(queue) +
                    bao_digest_counts(queue);
    core->fact_queue = queue;
    if (fact->verb != 0) {
        bao_answer_keep(core, fact, 1)->first_id = 0;
    }
}

void bao_store_queue_set(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    core->digest -= bao_digest_queue(queue);
    queue->options = *fact->options;
    queue->level = level_of(core, fact->options);
    if (!queue->logged && queue->level != BAO_LEVEL_MEMORY) {
        BAO_ASSERT(queue->ledger.accepted == 0);
        queue->logged = true;
    }
    core->digest += bao_digest_queue(queue);
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, 1);
    }
}

void bao_store_queue_shut(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    BAO_ASSERT(fact->state <= 2);
    core->digest -= bao_digest_queue(queue);
    queue->shut = (uint8_t)fact->state;
    core->digest += bao_digest_queue(queue);
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, 1);
    }
}

/* What a queue is made of is always logged; what is in a memory queue is
 * not. A queue that is gone has nothing in it any more. */
bool bao_store_logs(const struct bao_core *core, const struct bao_fact *fact)
{
    const struct bao_queue *queue = core->fact_queue;
    if (queue == NULL || queue->logged) {
        return true;
    }
    return fact->kind == BAO_FACT_QUEUE_MADE ||
           fact->kind == BAO_FACT_QUEUE_SET ||
           fact->kind == BAO_FACT_QUEUE_SHUT;
}

/* All items were settled and all that is kept forgotten before. */
void bao_store_queue_gone(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    BAO_ASSERT(fact->queue == queue->incarnation);
    BAO_ASSERT(bao_shelf_none(queue));
    BAO_ASSERT(queue->group_count == 0);
    BAO_ASSERT(queue->dedup_count == 0);
    BAO_ASSERT(queue->outcomes.count == 0);
    BAO_ASSERT(queue->leases.count == 0);
    BAO_ASSERT(queue->puts.count == 0);
    BAO_ASSERT(queue->gets.count == 0);
    struct bao_link *link = bao_list_first(&queue->tallies);
    while (link != NULL) {
        struct bao_tally *tally = BAO_OF(link, struct bao_tally, of_queue);
        BAO_ASSERT(tally->live == 0);
        BAO_ASSERT(tally->uses == 0);
        bao_image_touch_tally(core, tally);
        link = bao_list_next(&queue->tallies, link);
        bao_ledger_fini(core, &tally->ledger);
        bao_timer_stop(core, &tally->timer);
        bao_table_remove(&core->tallies, &tally->by_pair);
        if (tally->session != NULL) {
            bao_list_remove(&tally->session->tallies, &tally->of_session);
        }
        bao_pool_give(&core->tallies_pool, tally);
    }
    core->digest -= bao_digest_queue(queue) + bao_digest_counts(queue);
    bao_ledger_fini(core, &queue->ledger);
    bao_errors_drop(core, queue->recent);
    bao_names_remove(core, queue);
    bao_table_remove(&core->queues_by_name, &queue->by_name);
    bao_table_remove(&core->queues_by_incarnation, &queue->by_incarnation);
    bao_heap_fini(&queue->order);
    bao_heap_fini(&queue->worst);
    bao_heap_fini(&queue->up_to);
    bao_tree_fini(&queue->shelves);
    if (bao_link_is_listed(&queue->dirty)) {
        bao_list_remove(&core->dirty, &queue->dirty);
    }
    if (bao_link_is_listed(&queue->starved)) {
        bao_list_remove(&core->starved, &queue->starved);
    }
    core->queue_count--;
    core->last_queue = NULL;
    core->fact_queue = NULL;
    bao_text_drop(core, queue->name);
    bao_arena_give(core->arena, queue);
}

/* A memory queue begins anew: its items were never in a log. */
static void begin_anew(struct bao_core *core, struct bao_queue *queue)
{
    BAO_ASSERT(queue->ledger.accepted == 0);
    core->digest -= bao_digest_queue(queue) + bao_digest_counts(queue);
    bao_table_remove(&core->queues_by_incarnation, &queue->by_incarnation);
    if (!BAO_PLANTED(ANEW_KEPT)) {
        core->last_incarnation++;
        queue->incarnation = core->last_incarnation;
    }
    queue->last = core->first_n;
    queue_weigh(queue);
    bao_table_put(&core->queues_by_incarnation,
                  &queue->by_incarnation,
                  bao_hash_number(queue->incarnation, 0));
    core->digest += bao_digest_queue(queue) + bao_digest_counts(queue);
}

/* Every queue's ids jump, so that no id of an unsynced put comes again. */
void bao_store_epoch(struct bao_core *core, const struct bao_fact *fact)
{
    BAO_ASSERT(fact->epoch >= core->epoch);
    BAO_ASSERT(core->image == NULL);
    core->digest -= bao_digest_core(core);
    core->epoch = fact->epoch;
    core->token = fact->token;
    core->first_n = fact->token;
    if (core->last_incarnation + 1 < fact->epoch) {
        /* A broker without a log remembers none; epochs grow all the same. */
        core->last_incarnation = fact->epoch - 1;
    }
    for (struct bao_queue *queue = core->names[0]; queue != NULL;
         queue = queue->next_name[0]) {
        if (!queue->logged) {
            begin_anew(core, queue);
            continue;
        }
        core->digest -= bao_digest_counts(queue);
        queue->last += BAO_ID_JUMP;
        core->digest += bao_digest_counts(queue);
    }
    core->digest += bao_digest_core(core);
    core->last_queue = NULL;
}

static void apply_forgotten(struct bao_core *core, const struct bao_fact *fact)
{
    BAO_ASSERT(core->fact_queue != NULL);
    if (fact->kind == BAO_FACT_GROUP_FORGOTTEN) {
        struct bao_group *group =
            bao_group_find(core, core->fact_queue, fact->name);
        BAO_ASSERT(group != NULL);
        bao_group_forget(core, group);
        return;
    }
    if (fact->kind == BAO_FACT_DEDUP_FORGOTTEN) {
        struct bao_dedup *dedup =
            bao_dedup_find(core, core->fact_queue, fact->name);
        BAO_ASSERT(dedup != NULL);
        bao_dedup_forget(core, dedup);
        return;
    }
    BAO_ASSERT(fact->kind == BAO_FACT_OUTCOME_FORGOTTEN);
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_outcome *outcome = bao_outcome_find(core, fact->ids[i]);
        BAO_ASSERT(outcome != NULL);
        bao_outcome_forget(core, outcome);
    }
}

void bao_store_apply(struct bao_core *core, const struct bao_fact *fact)
{
    core->fact_queue = NULL;
    if (fact->queue != 0 && fact->kind != BAO_FACT_QUEUE_MADE) {
        core->fact_queue = bao_queue_of(core, fact->queue);
        BAO_ASSERT(core->fact_queue != NULL || fact->kind == BAO_FACT_ANSWERED);
        if (core->fact_queue != NULL) {
            bao_image_touch_queue(core, core->fact_queue);
        }
    }
    switch (fact->kind) {
    case BAO_FACT_EPOCH: bao_store_epoch(core, fact); return;
    case BAO_FACT_SESSION_OPENED: bao_store_opened(core, fact); return;
    case BAO_FACT_SESSION_ENDED: bao_store_ended(core, fact); return;
    case BAO_FACT_SESSION_REVIVED: bao_store_revived(core, fact); return;
    case BAO_FACT_SESSION_FORGOTTEN: bao_store_forgotten(core, fact); return;
    case BAO_FACT_ACKED: bao_store_acked(core, fact); return;
    case BAO_FACT_QUEUE_MADE: bao_store_queue_made(core, fact); return;
    case BAO_FACT_QUEUE_SET: bao_store_queue_set(core, fact); return;
    case BAO_FACT_QUEUE_SHUT: bao_store_queue_shut(core, fact); return;
    case BAO_FACT_QUEUE_GONE: bao_store_queue_gone(core, fact); return;
    case BAO_FACT_ITEM_PUT: bao_store_put(core, fact); return;
    case BAO_FACT_ITEM_READY: bao_store_ready(core, fact); return;
    case BAO_FACT_ITEM_LEASED: bao_store_leased(core, fact); return;
    case BAO_FACT_ITEM_RETURNED: bao_store_returned(core, fact); return;
    case BAO_FACT_ITEM_TAKEN: bao_store_taken(core, fact); return;
    case BAO_FACT_ITEM_SETTLED: bao_store_settled(core, fact); return;
    case BAO_FACT_ITEM_DEAD: bao_store_dead(core, fact); return;
    case BAO_FACT_DEAD_FORGOTTEN: bao_store_dead_forgotten(core, fact); return;
    case BAO_FACT_CANCEL_ASKED: bao_store_cancel_asked(core, fact); return;
    case BAO_FACT_PREPAID: bao_store_prepaid(core, fact); return;
    case BAO_FACT_OUTCOME_FORGOTTEN:
    case BAO_FACT_GROUP_FORGOTTEN:
    case BAO_FACT_DEDUP_FORGOTTEN: apply_forgotten(core, fact); return;
    case BAO_FACT_ANSWERED: bao_store_answered(core, fact); return;
    }
    bao_panic(__FILE__, __LINE__, "a kind of fact");
}
