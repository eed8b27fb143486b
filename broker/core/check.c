/*
 * check.c - every invariant by recounting everything, for tests.
 *
 * Walks all sessions, queues and items, counts again what is kept as a sum,
 * and adds the hash of every record to see that the digest was kept right.
 */
#include "broker/core/core.h"
#include "broker/core/digest.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/order.h"
#include "broker/core/store.h"

/* What is summed up over everything. */
struct sums {
    uint64_t digest;
    uint64_t body_bytes;
    uint64_t items; /* that have a record */
    uint64_t resting;
    uint64_t leases;
    uint64_t parked_bytes;
    uint64_t queues;
    uint64_t live;
    uint64_t dead_answers;
};

/* --- items ------------------------------------------------------------------
 */

static void check_lease(const struct bao_item *item)
{
    const struct bao_lease *lease = item->lease;
    BAO_ASSERT((lease != NULL) == (item->state == BAO_STATE_LEASED));
    if (lease == NULL) {
        return;
    }
    const bool prepaid = (lease->flags & BAO_LEASE_PREPAID) != 0;
    BAO_ASSERT(lease->item == item);
    BAO_ASSERT(lease->tally->queue == item->queue);
    BAO_ASSERT(lease->tally->session != NULL);
    BAO_ASSERT(prepaid == (lease->token == 0));
    BAO_ASSERT(bao_link_is_listed(&lease->of_session));
    BAO_ASSERT(bao_link_is_listed(&lease->of_tally) == !prepaid);
    BAO_ASSERT(bao_link_is_listed(&lease->of_queue) == !prepaid);
    BAO_ASSERT(bao_link_is_listed(&lease->of_answer) ==
               (lease->answer != NULL));
    BAO_ASSERT(bao_link_is_listed(&lease->of_stream) ==
               (lease->stream != NULL));
    BAO_ASSERT(item->deliveries > 0);
}

static void check_item(const struct bao_queue *queue,
                       const struct bao_item *item)
{
    const bool priority = queue->options.kind == BAO_KIND_PRIORITY;
    const bool ready = item->state == BAO_STATE_READY;
    BAO_ASSERT(item->queue == queue);
    BAO_ASSERT(item->id >> BAO_ID_SHIFT == queue->incarnation);
    BAO_ASSERT((item->flags & BAO_ITEM_MARKED) == 0);
    BAO_ASSERT(bao_heap_is_listed(&item->order) == (priority && ready));
    BAO_ASSERT(!queue->indexed || !priority ||
               bao_heap_is_listed(&item->worst) == ready);
    BAO_ASSERT(item->state != BAO_STATE_TAKEN || item->bytes == 0);
    BAO_ASSERT(item->header_bytes <= item->bytes);
    if (item->state == BAO_STATE_DEAD) {
        BAO_ASSERT(item->tally == NULL);
        BAO_ASSERT(item->group == NULL);
    }
    if (item->state == BAO_STATE_DELAYED) {
        BAO_ASSERT(bao_heap_is_listed(&item->timer.node) ||
                   bao_heap_is_listed(&item->note->wall.node));
    }
    check_lease(item);
}

static void check_items(const struct bao_queue *queue, struct sums *sums)
{
    uint64_t counts[BAO_STATE_TAKEN + 1] = {0};
    uint64_t bytes[BAO_STATE_TAKEN + 1] = {0};
    uint64_t prepaid = 0;
    uint64_t doomed = 0;
    uint64_t shelves = 0;
    uint64_t from = 0;
    const struct bao_shelf *shelf = NULL;
    for (;;) {
        struct bao_item room;
        const struct bao_item *item =
            bao_order_look(queue, BAO_TREE_ANY, from, &room);
        if (item == NULL) {
            break;
        }
        from = (item->id & BAO_N_MASK) + 1;
        if (shelf != bao_shelf_from(queue, from - 1)) {
            shelf = bao_shelf_from(queue, from - 1);
            bao_shelf_check(queue, shelf);
            shelves++;
        }
        BAO_ASSERT(item->state > BAO_STATE_NONE);
        BAO_ASSERT(item->state <= BAO_STATE_TAKEN);
        counts[item->state]++;
        bytes[item->state] += item->bytes;
        prepaid += item->lease != NULL && item->lease->token == 0;
        doomed += (item->flags & BAO_ITEM_DOOMED) != 0;
        sums->digest += bao_digest_item(item);
        sums->body_bytes += item->bytes;
        sums->items += item != &room;
        sums->resting += item == &room;
        sums->leases += item->lease != NULL;
        BAO_ASSERT(item == &room || item->digest == bao_digest_item(item));
        BAO_ASSERT(bao_item_can_rest(item) == (item == &room));
        check_item(queue, item);
    }
    BAO_ASSERT(shelves == queue->shelves.count + queue->few_count);
    for (unsigned state = 1; state <= BAO_STATE_TAKEN; state++) {
        BAO_ASSERT(counts[state] == queue->counts[state]);
        BAO_ASSERT(bytes[state] == queue->bytes[state]);
    }
    BAO_ASSERT(prepaid == queue->reserved);
    BAO_ASSERT(doomed == queue->doomed);
    BAO_ASSERT(queue->leases.count + prepaid ==
               queue->counts[BAO_STATE_LEASED]);
}

/* --- queues -----------------------------------------------------------------
 */

static void check_ledger(const struct bao_ledger *ledger, struct sums *sums)
{
    uint64_t settled = 0;
    for (unsigned i = 0; i < BAO_ENDINGS; i++) {
        settled += ledger->settled[i];
    }
    BAO_ASSERT(ledger->accepted == settled + ledger->unfinished);
    BAO_ASSERT(ledger->joiners.count == 0 || ledger->unfinished > 0 ||
               bao_link_is_listed(&ledger->woken));
    sums->digest += bao_digest_ledger(ledger);
}

static void check_tallies(const struct bao_queue *queue, struct sums *sums)
{
    uint64_t holders = 0;
    uint64_t consumers = 0;
    struct bao_link *link = bao_list_first(&queue->tallies);
    for (; link != NULL; link = bao_list_next(&queue->tallies, link)) {
        const struct bao_tally *tally =
            BAO_OF(link, struct bao_tally, of_queue);
        BAO_ASSERT(tally->queue == queue);
        BAO_ASSERT(tally->uses ==
                   tally->leases.count + tally->prepaid + tally->gets.count);
        BAO_ASSERT(tally->ledger.unfinished == tally->live);
        holders += tally->leases.count > 0;
        consumers += tally->uses > 0;
        check_ledger(&tally->ledger, sums);
    }
    BAO_ASSERT(holders == queue->holders);
    BAO_ASSERT(consumers == queue->consumers);
}

static void check_kept(const struct bao_queue *queue, struct sums *sums)
{
    struct bao_link *link = bao_list_first(&queue->dedups);
    for (; link != NULL; link = bao_list_next(&queue->dedups, link)) {
        const struct bao_dedup *dedup =
            BAO_OF(link, struct bao_dedup, of_queue);
        BAO_ASSERT(dedup->live > 0 || dedup->until_us > 0);
        sums->digest += bao_digest_dedup(dedup);
    }
    link = bao_list_first(&queue->outcomes);
    for (; link != NULL; link = bao_list_next(&queue->outcomes, link)) {
        const struct bao_outcome *outcome =
            BAO_OF(link, struct bao_outcome, of_queue);
        sums->digest += bao_digest_outcome(outcome);
        sums->body_bytes += outcome->result_bytes;
    }
    BAO_ASSERT(queue->dedups.count == queue->dedup_count);
    link = bao_list_first(&queue->finished);
    for (; link != NULL; link = bao_list_next(&queue->finished, link)) {
        BAO_ASSERT(
            BAO_OF(link, struct bao_group, finished)->ledger.unfinished == 0);
    }
}

static void check_lines(const struct bao_queue *queue, struct sums *sums)
{
    uint64_t gets = 0;
    struct bao_link *link = bao_list_first(&queue->puts);
    for (; link != NULL; link = bao_list_next(&queue->puts, link)) {
        const struct bao_waiter *waiter =
            BAO_OF(link, struct bao_waiter, place);
        BAO_ASSERT(waiter->kind == BAO_WAITER_PUT);
        BAO_ASSERT(waiter->queue == queue);
        BAO_ASSERT(waiter->request.count > 0);
    }
    link = bao_list_first(&queue->gets);
    for (; link != NULL; link = bao_list_next(&queue->gets, link)) {
        const struct bao_waiter *waiter =
            BAO_OF(link, struct bao_waiter, place);
        BAO_ASSERT(waiter->kind == BAO_WAITER_GET ||
                   waiter->stream->items < waiter->stream->limit);
        gets += waiter->kind == BAO_WAITER_GET;
    }
    BAO_ASSERT(gets <= queue->parked_gets);
    sums->parked_bytes += queue->parked_bytes;
}

static void check_queue(const struct bao_queue *queue, struct sums *sums)
{
    const uint64_t *counts = queue->counts;
    BAO_ASSERT(queue->ledger.unfinished + queue->prepaid ==
               counts[BAO_STATE_READY] + counts[BAO_STATE_DELAYED] +
                   counts[BAO_STATE_LEASED] + counts[BAO_STATE_TAKEN]);
    BAO_ASSERT(queue->reserved <= queue->prepaid);
    BAO_ASSERT(queue->options.kind != BAO_KIND_PRIORITY ||
               queue->order.count == counts[BAO_STATE_READY]);
    check_items(queue, sums);
    check_ledger(&queue->ledger, sums);
    check_tallies(queue, sums);
    check_kept(queue, sums);
    check_lines(queue, sums);
    sums->digest += bao_digest_queue(queue) + bao_digest_counts(queue);
    sums->queues++;
}

/* --- groups: found by their items, or finished ------------------------------
 */

static void check_groups(const struct bao_core *core, struct sums *sums)
{
    /* The table has no order; its groups are reached through the queues'
     * finished ones and, for the others, through their items, once each. */
    for (const struct bao_queue *queue = core->names[0]; queue != NULL;
         queue = queue->next_name[0]) {
        uint64_t seen = 0;
        struct bao_link *link = bao_list_first(&queue->finished);
        for (; link != NULL; link = bao_list_next(&queue->finished, link)) {
            const struct bao_group *group =
                BAO_OF(link, struct bao_group, finished);
            check_ledger(&group->ledger, sums);
            sums->digest += bao_digest_group(group);
            seen++;
        }
        link = bao_list_first(&queue->open_groups);
        for (; link != NULL; link = bao_list_next(&queue->open_groups, link)) {
            const struct bao_group *group =
                BAO_OF(link, struct bao_group, finished);
            BAO_ASSERT(group->ledger.unfinished > 0);
            check_ledger(&group->ledger, sums);
            sums->digest += bao_digest_group(group);
            seen++;
        }
        BAO_ASSERT(seen == queue->group_count);
    }
}

/* --- sessions ---------------------------------------------------------------
 */

static void check_window(const struct bao_core *core,
                         const struct bao_session *session,
                         struct sums *sums)
{
    uint64_t from = 0;
    uint64_t answers = 0;
    uint64_t waiting = 0;
    uint64_t subscriptions = 0;
    struct bao_request *request = bao_window_from(session, from);
    for (; request != NULL; request = bao_window_from(session, from)) {
        BAO_ASSERT(request->first >= from);
        BAO_ASSERT(request->count > 0);
        from = request->first + request->count;
        BAO_ASSERT(from - 1 <= session->top);
        if (!request->waiting) {
            const struct bao_answer *answer = bao_answer_of(request);
            BAO_ASSERT(answer->session == session);
            answers += request->count;
            sums->digest += bao_digest_answer(answer);
            continue;
        }
        const struct bao_waiter *waiter = bao_waiter_of(request);
        BAO_ASSERT(waiter->session == session);
        if (waiter->kind == BAO_WAITER_SUBSCRIBE) {
            subscriptions++;
        } else {
            waiting += request->count;
        }
    }
    struct bao_link *link = bao_list_first(&session->progresses);
    for (; link != NULL; link = bao_list_next(&session->progresses, link)) {
        const struct bao_progress *one =
            BAO_OF(link, struct bao_progress, of_session);
        request = bao_window_find(session, one->rid);
        BAO_ASSERT(one->session == session && one->moved > 0);
        BAO_ASSERT(request == NULL || request->waiting);
        sums->digest += bao_digest_progress(one);
    }
    BAO_ASSERT(answers == session->answers);
    BAO_ASSERT(waiting == session->waiting);
    BAO_ASSERT(subscriptions == session->subscriptions);
    BAO_ASSERT(waiting <= core->config.waiting_max);
    if (session->state == BAO_SESSION_DEAD) {
        sums->dead_answers += answers;
    }
}

static void check_session(const struct bao_core *core,
                          const struct bao_session *session,
                          struct sums *sums)
{
    uint64_t leases = 0;
    struct bao_link *link = bao_list_first(&session->tallies);
    for (; link != NULL; link = bao_list_next(&session->tallies, link)) {
        const struct bao_tally *tally =
            BAO_OF(link, struct bao_tally, of_session);
        BAO_ASSERT(tally->session == session);
        leases += tally->leases.count + tally->prepaid;
    }
    BAO_ASSERT(leases == session->leases.count);
    BAO_ASSERT(session->connected == false || session->peer != 0);
    BAO_ASSERT(session->state == BAO_SESSION_LIVE || !session->connected);
    BAO_ASSERT(bao_link_is_listed(&session->ended) ==
               (session->state == BAO_SESSION_DEAD));
    sums->live += session->state == BAO_SESSION_LIVE;
    sums->digest += bao_digest_session(session);
    check_window(core, session, sums);
}

static void check_sessions(const struct bao_core *core, struct sums *sums)
{
    uint64_t from = 0;
    uint64_t parked = 0;
    for (;;) {
        struct bao_tree_entry entry =
            bao_tree_first(&core->sessions, BAO_TREE_ANY, from);
        const struct bao_session *session = entry.value;
        if (session == NULL) {
            break;
        }
        from = entry.key + 1;
        parked += session->parked_bytes;
        check_session(core, session, sums);
    }
    BAO_ASSERT(parked == core->parked_bytes);
}

void bao_core_check(const struct bao_core *core)
{
    struct sums sums = {.digest = bao_digest_core(core)};
    bao_arena_check(core->arena);
    for (const struct bao_queue *queue = core->names[0]; queue != NULL;
         queue = queue->next_name[0]) {
        check_queue(queue, &sums);
    }
    check_groups(core, &sums);
    check_sessions(core, &sums);
    BAO_ASSERT(sums.queues == core->queue_count);
    BAO_ASSERT(sums.live == core->live_sessions);
    BAO_ASSERT(sums.items == core->items.taken);
    BAO_ASSERT(sums.resting == core->resting);
    BAO_ASSERT(sums.leases == core->leases.taken);
    BAO_ASSERT(sums.body_bytes == core->body_bytes);
    BAO_ASSERT(sums.parked_bytes == core->parked_bytes);
    BAO_ASSERT(sums.dead_answers == core->dead_answers);
    BAO_ASSERT(sums.digest == core->digest);
}
