/*
 * store_item.c - facts of items: accepted, handed out, back, settled, dead.
 *
 * Invariant after each fact: unfinished = ready + delayed + leased + taken -
 * prepaid in its queue (SPEC S4.1).
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/shelf.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"
#include "common/planted.h"

/* The item of a fact, which is about to change or go. */
static struct bao_item *item_of(struct bao_core *core, uint64_t id)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    BAO_ASSERT(id >> BAO_ID_SHIFT == queue->incarnation);
    struct bao_item *item = bao_item_at(core, queue, id);
    BAO_ASSERT(item != NULL);
    BAO_ASSERT(item->id == id);
    bao_image_touch_item(core, item);
    return item;
}

static void bytes_come(struct bao_core *core, const struct bao_item *item)
{
    core->body_bytes += item->bytes;
    core->unlogged_bytes += item->queue->logged ? 0 : item->bytes;
}

static void bytes_go(struct bao_core *core, const struct bao_item *item)
{
    BAO_ASSERT(core->body_bytes >= item->bytes);
    core->body_bytes -= item->bytes;
    core->unlogged_bytes -= item->queue->logged ? 0 : item->bytes;
}

static void counts_change(struct bao_core *core,
                          struct bao_queue *queue,
                          uint64_t *count,
                          uint64_t by)
{
    core->digest -= bao_digest_counts(queue);
    *count += by;
    core->digest += bao_digest_counts(queue);
}

static void
note_error(struct bao_core *core, struct bao_item *item, struct bao_text *error)
{
    if (error == NULL) {
        return;
    }
    struct bao_note *note = bao_item_note(core, item);
    bao_text_drop(core, note->error);
    note->error = bao_text_share(error);
}

/* What the first item of a put needs to know, shared by all of them. */
struct batch {
    struct bao_tally *tally;
    struct bao_group *group;
    struct bao_dedup *dedup;
    struct bao_text *dedup_key;
    struct bao_text *fairness_key;
    bool noted;
};

static void batch_open(struct bao_core *core,
                       const struct bao_fact *fact,
                       struct batch *batch)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    *batch = (struct batch){.tally = NULL};
    if (fact->session != 0 && fact->origin == 0) {
        struct bao_session *session = bao_session_of(core, fact->session);
        BAO_ASSERT(session != NULL);
        batch->tally = bao_tally_get(core, session, queue);
        bao_image_touch_tally(core, batch->tally);
        bao_ledger_accept(core, &batch->tally->ledger, fact->count);
        batch->tally->live += fact->count;
    }
    if (fact->group.bytes > 0) {
        batch->group = bao_group_find(core, queue, fact->group);
        if (batch->group == NULL) {
            batch->group = bao_group_make(core, queue, fact->group);
        }
        bao_group_accept(core, batch->group, fact->count);
    }
    if (fact->dedup_key.bytes > 0) {
        batch->dedup = bao_dedup_take(
            core, queue, fact->dedup_key, fact->first_id, fact->dedup_until_us);
        batch->dedup_key = batch->dedup->key;
    }
    batch->fairness_key = bao_text_make(core, fact->fairness_key);
    batch->noted = batch->dedup_key != NULL || batch->fairness_key != NULL ||
                   fact->origin != 0 || (fact->flags & BAO_FACT_WALL) != 0;
}

static void batch_note(struct bao_core *core,
                       struct bao_item *item,
                       const struct bao_fact *fact,
                       const struct batch *batch)
{
    struct bao_note *note = bao_item_note(core, item);
    note->origin = fact->origin;
    note->dedup_key = bao_text_share(batch->dedup_key);
    note->fairness_key = bao_text_share(batch->fairness_key);
    if (batch->dedup != NULL && (fact->flags & BAO_FLAG_UNIQUE) != 0) {
        note->dedup = batch->dedup;
        item->flags |= BAO_ITEM_UNIQUE;
        bao_dedup_hold(core, batch->dedup);
    }
    if ((fact->flags & BAO_FACT_WALL) != 0) {
        note->wall_us = fact->due_us;
        item->due_us = BAO_NEVER;
    }
}

static void put_one(struct bao_core *core,
                    const struct bao_fact *fact,
                    const struct batch *batch,
                    uint32_t i)
{
    const struct bao_put_item *put = &fact->items[i];
    struct bao_item *item = bao_take_slot(core, &core->items);
    item->id = fact->first_id + i;
    item->queue = core->fact_queue;
    item->stamp = core->stamp;
    item->tally = batch->tally;
    item->group = batch->group;
    item->accepted_us = fact->time_us;
    item->due_us = fact->due_us;
    item->expires_us = fact->ttl_us;
    item->priority = put->priority;
    item->bytes = put->body.bytes;
    item->header_bytes = put->body.header_bytes;
    if ((fact->flags & BAO_FLAG_WANT_RESULT) != 0) {
        item->flags |= BAO_ITEM_WANT_RESULT;
    }
    if (batch->noted) {
        batch_note(core, item, fact, batch);
    }
    bytes_come(core, item);
    bao_item_move(
        core, item, item->due_us == 0 ? BAO_STATE_READY : BAO_STATE_DELAYED);
    bao_digest_enter(core, item);
}

/* True if the items of this put are at rest at once, if they are small. */
static bool batch_rests(const struct bao_core *core,
                        const struct bao_fact *fact,
                        const struct batch *batch)
{
    return !batch->noted && batch->group == NULL && fact->due_us == 0 &&
           fact->ttl_us == 0 && (fact->flags & BAO_FLAG_WANT_RESULT) == 0 &&
           core->fact_queue->options.kind != BAO_KIND_PRIORITY;
}

/* How many items from `i` on are small. */
static uint32_t small_ones(const struct bao_fact *fact, uint32_t i)
{
    const uint32_t from = i;
    while (i < fact->count && fact->items[i].priority == 0 &&
           fact->items[i].body.bytes <= BAO_REST_BYTES_MAX) {
        i++;
    }
    return i - from;
}

static void put_all(struct bao_core *core,
                    const struct bao_fact *fact,
                    const struct batch *batch)
{
    const bool rests = batch_rests(core, fact, batch);
    for (uint32_t i = 0; i < fact->count;) {
        const uint32_t count = rests ? small_ones(fact, i) : 0;
        if (count > 0) {
            bao_shelf_put(core, fact, batch->tally, i, count);
            i += count;
        } else {
            put_one(core, fact, batch, i);
            i++;
        }
    }
}

void bao_store_put(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    struct batch batch;
    BAO_ASSERT(fact->count > 0);
    BAO_ASSERT((fact->first_id & BAO_N_MASK) > queue->last);
    batch_open(core, fact, &batch);
    put_all(core, fact, &batch);
    bao_text_drop(core, batch.fairness_key);
    if (batch.dedup != NULL && batch.dedup->live == 0 &&
        batch.dedup->until_us == 0) {
        bao_dedup_forget(core, batch.dedup);
    }
    uint64_t last = (fact->first_id & BAO_N_MASK) + fact->count - 1;
    counts_change(core, queue, &queue->last, last - queue->last);
    bao_ledger_accept(core, &queue->ledger, fact->count);
    if (fact->origin != 0 && fact->session != 0) {
        bao_progress_count(core, fact);
    }
    if (fact->verb != 0) {
        bool one = (fact->flags & BAO_FLAG_ATOMIC) != 0;
        (void)bao_answer_keep(core, fact, one ? 1 : fact->count);
    }
}

void bao_store_ready(struct bao_core *core, const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        bao_digest_leave(core, item);
        item->due_us = 0;
        bao_item_move(core, item, BAO_STATE_READY);
        bao_digest_enter(core, item);
        bao_item_rest(core, item);
    }
}

void bao_store_leased(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    struct bao_session *session = bao_session_of(core, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(fact->count > 0);
    struct bao_tally *tally = bao_tally_get(core, session, queue);
    struct bao_answer *answer = NULL;
    if (fact->verb == BAO_VERB_GET) {
        answer = bao_answer_keep(core, fact, 1);
    }
    uint64_t again = 0;
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        uint64_t token = fact->token == 0 ? 0 : fact->token + i;
        bao_digest_leave(core, item);
        struct bao_lease *lease =
            bao_lease_make(core, item, tally, fact, token);
        if (answer != NULL) {
            lease->answer = answer;
            bao_list_push(&answer->leases, &lease->of_answer);
        }
        again += item->history != 0;
        item->deliveries++;
        if (BAO_PLANTED(NOT_REPLAYED) && tally->session->connected) {
            item->deliveries++;
        }
        item->due_us = 0;
        bao_item_move(core, item, BAO_STATE_LEASED);
        bao_digest_enter(core, item);
    }
    if (again > 0) {
        counts_change(core, queue, &queue->redelivered, again);
    }
    if (fact->token != 0) {
        core->digest -= bao_digest_core(core);
        core->token = (fact->token & BAO_N_MASK) + fact->count - 1;
        core->digest += bao_digest_core(core);
    }
}

static bool is_counted(uint16_t cause)
{
    return cause == BAO_CAUSE_RETRIED || cause == BAO_CAUSE_LEASE_ENDED ||
           cause == BAO_CAUSE_DIED || cause == BAO_CAUSE_REJECTED ||
           cause == BAO_CAUSE_SHUTDOWN;
}

/* A lease ends without settling: what that says about the item. */
static void item_returns(struct bao_core *core,
                         struct bao_item *item,
                         const struct bao_fact *fact)
{
    BAO_ASSERT(item->deliveries > 0);
    bao_lease_end(core,
                  item,
                  fact->cause == BAO_CAUSE_RETRIED ||
                      fact->cause == BAO_CAUSE_REJECTED);
    item->history = item->history << 4 | (fact->cause & 15u);
    if (!is_counted(fact->cause)) {
        item->deliveries--;
    }
}

static void doomed_set(struct bao_item *item, bool doomed)
{
    bool was = (item->flags & BAO_ITEM_DOOMED) != 0;
    if (was == doomed) {
        return;
    }
    item->flags ^= BAO_ITEM_DOOMED;
    item->queue->doomed += doomed ? 1 : UINT64_MAX;
}

void bao_store_returned(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    struct bao_text *error = bao_text_make(core, fact->error);
    uint64_t retried = 0;
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        bao_digest_leave(core, item);
        if (item->state == BAO_STATE_LEASED) {
            item_returns(core, item, fact);
            retried += fact->cause == BAO_CAUSE_RETRIED;
        }
        note_error(core, item, error);
        doomed_set(item, (fact->flags & BAO_FLAG_DEAD) != 0);
        item->due_us = fact->due_us;
        bao_item_move(core,
                      item,
                      fact->due_us == 0 ? BAO_STATE_READY : BAO_STATE_DELAYED);
        bao_digest_enter(core, item);
    }
    bao_text_drop(core, error);
    if (retried > 0) {
        counts_change(core, queue, &queue->retried, retried);
    }
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, fact->count);
    }
}

/* Its payload is gone, its count is not (SPEC S4.4). */
void bao_store_taken(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        bao_digest_leave(core, item);
        bao_lease_end(core, item, true);
        bao_item_move(core, item, BAO_STATE_TAKEN);
        bytes_go(core, item);
        queue->bytes[BAO_STATE_TAKEN] -= item->bytes;
        item->bytes = 0;
        item->header_bytes = 0;
        bao_digest_enter(core, item);
    }
}

/* The queue's own count; a task_done that came ahead may have paid. */
static void settle_queue(struct bao_core *core,
                         struct bao_queue *queue,
                         bool prepaid,
                         enum bao_ending ending)
{
    if (prepaid || queue->ledger.unfinished == 0) {
        BAO_MARK("a task_done ahead of its item is used up");
        BAO_ASSERT(queue->prepaid > 0);
        counts_change(core, queue, &queue->prepaid, UINT64_MAX);
        return;
    }
    bao_ledger_settle(core, &queue->ledger, ending);
    const bool twice = BAO_PLANTED(TWICE_DONE) ||
                       (BAO_PLANTED(REPLAY_COUNTS) && !core->started);
    if (twice && ending == BAO_ENDING_DONE && queue->ledger.unfinished > 0) {
        bao_ledger_settle(core, &queue->ledger, ending);
    }
}

/* What counts an item lets go of it: group, session, key. */
static void uncount(struct bao_core *core,
                    struct bao_item *item,
                    enum bao_ending ending,
                    struct bao_text *error)
{
    struct bao_tally *tally = item->tally;
    if (item->group != NULL) {
        bao_image_touch_group(core, item->group);
        if (ending == BAO_ENDING_DEAD) {
            bao_ledger_error(core, &item->group->ledger, error);
            bao_item_note(core, item)->group_name =
                bao_text_share(item->group->name);
        }
        bao_group_settle(core, item->group, ending);
        item->group = NULL;
    }
    if (item->note != NULL && item->note->dedup != NULL) {
        bao_dedup_release(core, item->note->dedup);
        item->note->dedup = NULL;
    }
    if (tally != NULL) {
        BAO_ASSERT(tally->live > 0);
        bao_image_touch_tally(core, tally);
        if (ending == BAO_ENDING_DEAD) {
            bao_ledger_error(core, &tally->ledger, error);
        }
        bao_ledger_settle(core, &tally->ledger, ending);
        tally->live--;
        item->tally = NULL;
        bao_tally_tidy(core, tally);
    }
}

static enum bao_ending ending_of(uint16_t state)
{
    switch ((enum bao_state)state) {
    case BAO_STATE_DONE: return BAO_ENDING_DONE;
    case BAO_STATE_DEAD: return BAO_ENDING_DEAD;
    case BAO_STATE_EXPIRED: return BAO_ENDING_EXPIRED;
    case BAO_STATE_CANCELLED: return BAO_ENDING_CANCELLED;
    case BAO_STATE_DROPPED: return BAO_ENDING_DROPPED;
    case BAO_STATE_PURGED: return BAO_ENDING_PURGED;
    case BAO_STATE_NONE:
    case BAO_STATE_READY:
    case BAO_STATE_DELAYED:
    case BAO_STATE_LEASED:
    case BAO_STATE_TAKEN: break;
    }
    bao_panic(__FILE__, __LINE__, "a final state");
}

/* Keeps how it ended if somebody may ask, and tells those who wait. */
static void keep_outcome(struct bao_core *core,
                         struct bao_item *item,
                         const struct bao_fact *fact,
                         enum bao_state state,
                         struct bao_text *error)
{
    if ((fact->flags & BAO_FLAG_WANT_RESULT) != 0) {
        (void)bao_outcome_make(core, item, state, error, &fact->result);
    }
    if ((item->flags & BAO_ITEM_WATCHED) == 0) {
        return;
    }
    struct bao_watch *watch = bao_watch_find(core, item->id);
    BAO_ASSERT(watch != NULL);
    item->flags &= (uint8_t)~BAO_ITEM_WATCHED;
    watch->state = (uint8_t)state;
    watch->error = bao_text_share(error);
    watch->result = fact->result.hold != 0;
    watch->result_bytes = fact->result.bytes;
    bao_list_push(&core->woken_watches, &watch->woken);
}

void bao_store_settled(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    const enum bao_ending ending = ending_of(fact->state);
    BAO_ASSERT(fact->state != BAO_STATE_DEAD);
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        bool prepaid = false;
        bao_digest_leave(core, item);
        if (item->lease != NULL) {
            prepaid = (item->lease->flags & BAO_LEASE_PREPAID) != 0;
            bao_lease_end(core, item, fact->state == BAO_STATE_DONE);
        }
        doomed_set(item, false);
        bytes_go(core, item);
        bao_item_move(core, item, BAO_STATE_NONE);
        keep_outcome(core, item, fact, (enum bao_state)fact->state, NULL);
        uncount(core, item, ending, NULL);
        bao_item_free(core, item);
        settle_queue(core, queue, prepaid, ending);
    }
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, fact->count);
    }
}

void bao_store_dead(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    struct bao_text *error = bao_text_make(core, fact->error);
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        bao_digest_leave(core, item);
        bool prepaid = false;
        if (item->lease != NULL) {
            prepaid = (item->lease->flags & BAO_LEASE_PREPAID) != 0;
            item_returns(core, item, fact);
        }
        note_error(core, item, error);
        struct bao_text *last =
            item->note == NULL ? NULL : bao_text_share(item->note->error);
        doomed_set(item, false);
        item->due_us = fact->time_us;
        item->expires_us = 0;
        bao_item_move(core, item, BAO_STATE_DEAD);
        keep_outcome(core, item, fact, BAO_STATE_DEAD, last);
        uncount(core, item, BAO_ENDING_DEAD, last);
        bao_ledger_error(core, &queue->ledger, last);
        bao_errors_recent(core, queue, last);
        bao_text_drop(core, last);
        bao_digest_enter(core, item);
        settle_queue(core, queue, prepaid, BAO_ENDING_DEAD);
    }
    bao_text_drop(core, error);
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, fact->count);
    }
}

void bao_store_dead_forgotten(struct bao_core *core,
                              const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        BAO_ASSERT(item->state == BAO_STATE_DEAD);
        bao_digest_leave(core, item);
        bytes_go(core, item);
        bao_item_move(core, item, BAO_STATE_NONE);
        bao_item_free(core, item);
    }
}

void bao_store_cancel_asked(struct bao_core *core, const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct bao_item *item = item_of(core, fact->ids[i]);
        BAO_ASSERT(item->state == BAO_STATE_LEASED);
        bao_digest_leave(core, item);
        item->flags |= BAO_ITEM_CANCEL;
        bao_digest_enter(core, item);
    }
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, 1);
    }
}

void bao_store_prepaid(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_queue *queue = core->fact_queue;
    BAO_ASSERT(queue != NULL);
    BAO_ASSERT(queue->options.accounting == BAO_ACCOUNTING_COUNT);
    BAO_ASSERT(fact->count == 1);
    counts_change(core, queue, &queue->prepaid, 1);
    bao_ledger_settle(core, &queue->ledger, BAO_ENDING_DONE);
    if (fact->verb != 0) {
        (void)bao_answer_keep(core, fact, 1);
    }
}
