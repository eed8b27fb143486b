/*
 * settle.c - the verbs of a holder: done, retry, release, reject, touch,
 * task_done without an item, receipt; and cancel of an item.
 *
 * Each entry of a vector is a request of its own with an answer of its own;
 * neighbours with one fate share a fact and an answer.
 */
#include "broker/core/settle.h"

#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/room.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"
#include "common/planted.h"
#include "common/wire.h"

/* No such lease: what to say depends on what was lost. */
static enum baozi_status status_of_loss(const struct bao_core *core,
                                        const struct bao_queue *queue,
                                        uint64_t token)
{
    const bool older = token >> BAO_ID_SHIFT < core->epoch;
    if (queue == NULL || queue->deleting) {
        return older ? BAOZI_LOST : BAOZI_NOT_FOUND;
    }
    return older && !queue->logged ? BAOZI_LOST : BAOZI_STALE;
}

struct bao_item *bao_lease_find(struct bao_core *core,
                                const struct bao_session *session,
                                uint64_t id,
                                uint64_t token,
                                enum baozi_status *status)
{
    struct bao_queue *queue = bao_queue_of(core, id >> BAO_ID_SHIFT);
    *status = BAOZI_OK;
    if (queue != NULL && !queue->deleting && token != 0) {
        struct bao_item *item = bao_item_find(queue, id);
        if (item != NULL && item->lease != NULL &&
            (item->lease->token == token || BAO_PLANTED(STALE_ACCEPTED)) &&
            (item->lease->tally->session == session ||
             BAO_PLANTED(STALE_ACCEPTED)) &&
            item->lease->order > session->doomed) {
            BAO_ASSERT(item->state == BAO_STATE_LEASED);
            return item;
        }
    }
    *status = status_of_loss(core, queue, token);
    return NULL;
}

static struct bao_span text_of_loss(enum baozi_status status)
{
    if (status == BAOZI_NOT_FOUND) {
        return BAO_LITERAL("the queue of this item is gone; drop the work");
    }
    if (status == BAOZI_LOST) {
        return BAO_LITERAL("the item was lost in a restart of the broker; "
                           "drop the work");
    }
    return BAO_LITERAL("this lease has ended; drop the work, the item was or "
                       "will be handed out again");
}

/* What the verb asks for. */
struct wish {
    enum bao_cause cause; /* NONE = done */
    uint64_t due_us;
    bool has_results;
    struct bao_body_cursor cursor; /* of the results */
};

static bool wish_of(struct bao_core *core,
                    const struct bao_operation *op,
                    struct wish *wish)
{
    *wish = (struct wish){.cause = BAO_CAUSE_NONE};
    if (bao_has(op, BAO_BIT(DELAY_MS)) && op->delay_ms > 0) {
        wish->due_us = bao_due_us(core->now_us, bao_us_of_ms(op->delay_ms));
    }
    switch (op->verb) {
    case BAO_VERB_DONE:
        wish->has_results = bao_has(op, BAO_BIT(LENGTHS));
        wish->cursor = op->bodies;
        return true;
    case BAO_VERB_RETRY:
        wish->cause = BAO_CAUSE_RETRIED;
        if (!bao_has(op, BAO_BIT(DELAY_MS))) {
            wish->due_us = BAO_NEVER;
        }
        return true;
    case BAO_VERB_RELEASE: wish->cause = BAO_CAUSE_RELEASED; return true;
    case BAO_VERB_REJECT: wish->cause = BAO_CAUSE_REJECTED; return true;
    default: return false;
    }
}

static struct bao_body result_of(struct bao_core *core,
                                 const struct bao_call *call,
                                 struct wish *wish,
                                 uint32_t i)
{
    const uint32_t length = bao_column32(call->operation->lengths, i);
    struct bao_body_place at = bao_body_next(&wish->cursor, length);
    struct bao_body body = {.hold = call->hold,
                            .part = at.part,
                            .offset = at.offset,
                            .bytes = at.bytes};
    if (body.bytes == 0 || call->hold == 0 ||
        core->body_bytes + body.bytes > core->config.body_bytes_max) {
        return (struct bao_body){.hold = 0};
    }
    return body;
}

static void settle_entry(struct bao_core *core,
                         const struct bao_call *call,
                         struct bao_vector *vector,
                         struct wish *wish,
                         uint32_t i)
{
    const struct bao_operation *op = call->operation;
    const uint64_t rid = call->rid + (i - call->from);
    const uint64_t id = bao_column64(op->ids, i);
    const uint64_t token = bao_column64(op->tokens, i);
    enum baozi_status status = BAOZI_OK;
    struct bao_body result = {.hold = 0};
    if (wish->has_results && !BAO_PLANTED(RESULT_SHIFTED)) {
        /* Of a stale entry too: the next one's lies behind it. */
        result = result_of(core, call, wish, i);
    }
    struct bao_item *item =
        bao_lease_find(core, call->session, id, token, &status);
    if (item != NULL && (item->flags & BAO_ITEM_MARKED) != 0) {
        BAO_MARK("one lease is settled twice in one vector");
        bao_vector_flush(core, vector);
        item = bao_lease_find(core, call->session, id, token, &status);
    }
    if (item == NULL) {
        bao_vector_flush(core, vector);
        struct bao_call one = *call;
        one.rid = rid;
        one.count = 1;
        bao_refuse(
            core, &one, status, bao_span_of(NULL, 0), text_of_loss(status));
        return;
    }
    struct bao_fate fate =
        wish->cause == BAO_CAUSE_NONE
            ? bao_fate_of_end(core, item, BAO_STATE_DONE)
            : bao_fate_of_return(core, item, wish->cause, wish->due_us);
    if (!wish->has_results) {
        bao_vector_add(core, vector, item, fate, rid);
        return;
    }
    bao_vector_flush(core, vector);
    if (BAO_PLANTED(RESULT_SHIFTED)) {
        result = result_of(core, call, wish, i);
    }
    if ((fate.flags & BAO_FLAG_WANT_RESULT) != 0 &&
        bao_room_for_result(core, item->queue, result.bytes)) {
        vector->result = result;
    }
    bao_vector_add(core, vector, item, fate, rid);
    bao_vector_flush(core, vector);
    vector->result = (struct bao_body){.hold = 0};
}

void bao_settle(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const size_t entries = bao_column64_count(op->ids);
    struct wish wish;
    if (entries == 0 || entries != bao_column64_count(op->tokens) ||
        (bao_has(op, BAO_BIT(LENGTHS)) &&
         bao_column32_count(op->lengths) != entries)) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("a settle needs one token, and at most one "
                               "result, for each of 1 to 1,024 ids"));
        return;
    }
    const bool known = wish_of(core, op, &wish);
    BAO_ASSERT(known);
    BAO_ASSERT(call->from + call->count <= entries);
    struct bao_vector vector;
    bao_vector_open(core, &vector, call->count);
    vector.verb = call->verb;
    vector.session = call->session;
    if (bao_has(op, BAO_BIT(ERROR)) && !bao_memory_is_low(core) &&
        core->log_lease_room > 0) {
        vector.error = op->error;
    }
    for (uint32_t i = 0; i < call->from && wish.has_results; i++) {
        (void)bao_body_next(&wish.cursor, bao_column32(op->lengths, i));
    }
    for (uint32_t i = 0; i < call->count; i++) {
        settle_entry(core, call, &vector, &wish, call->from + i);
    }
    core->budget -= call->count < core->budget ? call->count : core->budget;
    bao_vector_flush(core, &vector);
}

/* --- touch -------------------------------------------------------------- */

void bao_lease_prolong(struct bao_core *core, struct bao_lease *lease)
{
    if (lease->until_us == BAO_NEVER) {
        return;
    }
    const uint64_t until = bao_later(core->now_us, lease->lease_us);
    lease->until_us = until < lease->run_until_us ? until : lease->run_until_us;
    bao_item_time(core, lease->item);
}

/* A new deadline; false past max_run. `granted_us` 0 = it has none. */
static bool touch_one(struct bao_core *core,
                      struct bao_item *item,
                      uint64_t lease_us,
                      uint64_t *granted_us)
{
    struct bao_lease *lease = item->lease;
    *granted_us = 0;
    if (lease->until_us == BAO_NEVER) {
        return true;
    }
    if (lease->run_until_us <= core->now_us) {
        BAO_MARK("touch past max_run");
        return false;
    }
    uint64_t until =
        bao_later(core->now_us, lease_us > 0 ? lease_us : lease->lease_us);
    if (until > lease->run_until_us) {
        until = lease->run_until_us;
    }
    if (!BAO_PLANTED(TOUCH_IGNORED)) {
        lease->until_us = until;
    }
    *granted_us = until - core->now_us;
    bao_item_time(core, item);
    return true;
}

void bao_touch(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const size_t entries = bao_column64_count(op->ids);
    if (entries == 0 || entries != bao_column64_count(op->tokens)) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("touch needs one token for each id"));
        return;
    }
    const uint64_t lease_us =
        bao_has(op, BAO_BIT(LEASE_MS)) ? op->lease_ms * BAO_MS : 0;
    uint8_t *stale = bao_scratch_take(core, entries * 8);
    size_t stale_count = 0;
    uint64_t least_us = BAO_NEVER;
    for (size_t i = 0; i < entries; i++) {
        enum baozi_status status = BAOZI_OK;
        uint64_t granted_us = 0;
        const uint64_t id = bao_column64(op->ids, i);
        struct bao_item *item = bao_lease_find(
            core, call->session, id, bao_column64(op->tokens, i), &status);
        if (item == NULL || !touch_one(core, item, lease_us, &granted_us)) {
            bao_store64(stale + 8 * stale_count, id);
            stale_count++;
        } else if (granted_us > 0 && granted_us < least_us) {
            least_us = granted_us;
        }
    }
    struct bao_operation *answer =
        bao_reply(core,
                  call->session,
                  NULL,
                  BAO_VERB_TOUCH,
                  call->rid,
                  stale_count == 0 ? BAOZI_OK : BAOZI_STALE);
    BAO_SET(answer,
            LEASE_MS,
            lease_ms,
            least_us == BAO_NEVER ? 0 : least_us / BAO_MS);
    if (stale_count > 0) {
        BAO_SET(answer, IDS, ids, bao_span_of(stale, 8 * stale_count));
    }
}

/* --- task_done() without an item ---------------------------------------- */

static void done_one(struct bao_core *core,
                     const struct bao_call *call,
                     struct bao_item *item)
{
    const uint64_t id = item->id;
    struct bao_queue *queue = item->queue;
    uint64_t *ids = bao_scratch_take(core, sizeof(*ids));
    ids[0] = id;
    struct bao_fate fate = bao_fate_of_end(core, item, BAO_STATE_DONE);
    struct bao_fact *fact = bao_fact_new(core, fate.kind);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_DONE_NEXT;
    fact->queue = queue->incarnation;
    fact->ids = ids;
    fact->count = 1;
    fact->state = fate.state;
    fact->flags = fate.flags;
    bao_decide(core, fact);
    struct bao_operation *op = bao_reply(
        core, call->session, queue, BAO_VERB_DONE_NEXT, call->rid, BAOZI_OK);
    BAO_SET(op, ID, id, id);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

static void prepay(struct bao_core *core,
                   const struct bao_call *call,
                   struct bao_queue *queue)
{
    BAO_MARK("task_done comes before its item is taken");
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_PREPAID);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_DONE_NEXT;
    fact->queue = queue->incarnation;
    fact->count = 1;
    bao_decide(core, fact);
    (void)bao_reply(
        core, call->session, queue, BAO_VERB_DONE_NEXT, call->rid, BAOZI_OK);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

/* The session's oldest lease, then (for `count`) one taken item, then the
 * queue's oldest lease (SPEC S4.4); or NULL. */
static struct bao_item *next_done(struct bao_core *core,
                                  const struct bao_call *call,
                                  struct bao_queue *queue)
{
    struct bao_tally *tally =
        bao_tally_find(core, call->session->number, queue);
    if (tally != NULL && tally->leases.count > 0) {
        return BAO_OF(
                   bao_list_first(&tally->leases), struct bao_lease, of_tally)
            ->item;
    }
    if (queue->options.accounting != BAO_ACCOUNTING_COUNT) {
        return NULL;
    }
    struct bao_item *item = bao_order_from(core, queue, BAO_COLOUR(TAKEN), 0);
    if (item != NULL || queue->leases.count == 0) {
        return item;
    }
    return BAO_OF(bao_list_first(&queue->leases), struct bao_lease, of_queue)
        ->item;
}

void bao_done_next(struct bao_core *core, const struct bao_call *call)
{
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    const bool counts = queue->options.accounting == BAO_ACCOUNTING_COUNT;
    if (!counts || queue->ledger.unfinished > 0) {
        struct bao_item *item = next_done(core, call, queue);
        if (item != NULL) {
            done_one(core, call, item);
            return;
        }
        if (counts) {
            prepay(core, call, queue);
            return;
        }
    }
    bao_refuse(core,
               call,
               BAOZI_TOO_MANY,
               bao_text_span(queue->name),
               counts ? BAO_LITERAL("nothing in it is unfinished; call "
                                    "task_done once for each item")
                      : BAO_LITERAL("this session holds no item of it; call "
                                    "task_done once for each item taken"));
}

/* --- receipt, cancel of an item ------------------------------------------ */

void bao_receipt(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const size_t entries = bao_column64_count(op->ids);
    if (entries == 0 || entries > BAO_OPERATION_ITEMS_MAX ||
        entries != bao_column64_count(op->tokens)) {
        return;
    }
    struct bao_vector vector;
    bao_vector_open(core, &vector, (uint32_t)entries);
    for (size_t i = 0; i < entries; i++) {
        enum baozi_status status = BAOZI_OK;
        struct bao_item *item = bao_lease_find(core,
                                               call->session,
                                               bao_column64(op->ids, i),
                                               bao_column64(op->tokens, i),
                                               &status);
        if (item != NULL && (item->lease->flags & BAO_LEASE_AUTO) != 0 &&
            (item->flags & BAO_ITEM_MARKED) == 0) {
            bao_vector_add(core,
                           &vector,
                           item,
                           bao_fate_of_end(core, item, BAO_STATE_DONE),
                           0);
        }
    }
    bao_vector_flush(core, &vector);
}

static void ask_holder(struct bao_core *core,
                       const struct bao_call *call,
                       struct bao_item *item)
{
    BAO_MARK("a leased item is asked to be cancelled");
    const struct bao_lease *lease = item->lease;
    uint64_t *ids = bao_scratch_take(core, sizeof(*ids));
    ids[0] = item->id;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_CANCEL_ASKED);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_CANCEL_ITEM;
    fact->queue = item->queue->incarnation;
    fact->ids = ids;
    fact->count = 1;
    fact->flags = BAO_FLAG_ASKED;
    bao_decide(core, fact);
    struct bao_operation *op = bao_notice(
        core, lease->tally->session, item->queue, BAO_VERB_PLEASE_CANCEL);
    BAO_SET(op, ID, id, item->id);
    BAO_SET(op, TOKEN, token, lease->token);
    op = bao_reply(core,
                   call->session,
                   item->queue,
                   BAO_VERB_CANCEL_ITEM,
                   call->rid,
                   BAOZI_OK);
    BAO_SET(op, FLAGS, flags, BAO_FLAG_ASKED);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

void bao_cancel_item(struct bao_core *core, const struct bao_call *call)
{
    const uint64_t id = call->operation->id;
    struct bao_queue *queue = bao_queue_of(core, id >> BAO_ID_SHIFT);
    struct bao_item *item = queue == NULL ? NULL : bao_item_at(core, queue, id);
    if (item == NULL || item->state == BAO_STATE_DEAD ||
        item->state == BAO_STATE_TAKEN) {
        bao_refuse(core,
                   call,
                   BAOZI_NOT_FOUND,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("no such item is waiting or leased, it may "
                               "be settled already"));
        return;
    }
    if (item->state == BAO_STATE_LEASED) {
        ask_holder(core, call, item);
        return;
    }
    struct bao_vector vector;
    bao_vector_open(core, &vector, 1);
    vector.verb = BAO_VERB_CANCEL_ITEM;
    vector.session = call->session;
    bao_vector_add(core,
                   &vector,
                   item,
                   bao_fate_of_end(core, item, BAO_STATE_CANCELLED),
                   call->rid);
    bao_vector_flush(core, &vector);
}
