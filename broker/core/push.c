/*
 * push.c - subscribe, credit, deliver.
 *
 * A subscription is a standing waiter among the gets. Its credit is what its
 * leases leave over; one that holds none gets one item whatever its size. Rule
 * for a dead subscriber (SPEC S5.1): what it said to have STARTED counts, and,
 * as clients hand out in order, what lies at or before the last item that it
 * settled; of what is left, the oldest counts too, the rest do not.
 */
#include "broker/core/push.h"

#include "broker/core/get.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/settle.h"
#include "broker/core/tally.h"
#include "broker/core/waiter.h"
#include "common/planted.h"

static uint32_t credit_of(const struct bao_operation *op)
{
    return op->limit < BAO_CREDIT_MAX ? (uint32_t)op->limit : BAO_CREDIT_MAX;
}

static void adopt(struct bao_stream *stream, struct bao_lease *lease)
{
    BAO_ASSERT(lease->stream == NULL);
    lease->stream = stream;
    bao_list_push(&stream->leases, &lease->of_stream);
    stream->references++;
    stream->items++;
    stream->bytes += lease->item->bytes;
    if (lease->sequence > stream->sequence) {
        stream->sequence = lease->sequence;
    }
}

/* After a restart the leases are there, but not their subscription. */
static void adopt_all(struct bao_waiter *waiter)
{
    struct bao_list *leases = &waiter->tally->leases;
    struct bao_link *link = bao_list_first(leases);
    for (; link != NULL; link = bao_list_next(leases, link)) {
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_tally);
        if ((lease->flags & BAO_LEASE_PUSHED) != 0 && lease->stream == NULL &&
            lease->rid == waiter->request.first) {
            BAO_MARK("a subscription takes up the leases of before");
            adopt(waiter->stream, lease);
        }
    }
}

static void line_up(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_stream *stream = waiter->stream;
    const bool credit = stream->items < stream->limit;
    const bool listed = bao_link_is_listed(&waiter->place);
    if (credit && !listed) {
        bao_list_push(&waiter->queue->gets, &waiter->place);
    }
    if (!credit && listed) {
        bao_list_remove(&waiter->queue->gets, &waiter->place);
    }
    bao_line_touch(core, waiter->queue);
}

void bao_subscribe(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    if (call->session->subscriptions >= BAO_SUBSCRIPTIONS_MAX ||
        bao_memory_is_low(core)) {
        bao_refuse(core,
                   call,
                   BAOZI_QUOTA,
                   bao_text_span(queue->name),
                   BAO_LITERAL("this session has too many subscriptions, or "
                               "the broker's memory is full"));
        return;
    }
    struct bao_tally *tally = bao_tally_get(core, call->session, queue);
    if (bao_get_is_over(queue, tally)) {
        bao_tally_tidy(core, tally);
        bao_refuse(core,
                   call,
                   BAOZI_SHUTDOWN,
                   bao_text_span(queue->name),
                   BAO_LITERAL("it is shut down and drained"));
        return;
    }
    struct bao_waiter *waiter =
        bao_waiter_new(core, call, BAO_WAITER_SUBSCRIBE, queue);
    struct bao_stream *stream = bao_take_slot(core, &core->streams);
    waiter->stream = stream;
    stream->waiter = waiter;
    stream->references = 1;
    stream->limit = credit_of(op);
    stream->bytes_limit = bao_has(op, BAO_BIT(BYTES)) ? op->bytes : 0;
    bao_list_init(&stream->leases);
    waiter->lease_us = bao_lease_us_of(queue, op, false);
    waiter->tally = tally;
    bao_tally_use(tally);
    bao_list_push(&tally->gets, &waiter->mine);
    if (bao_has(op, BAO_BIT(SEQUENCE))) {
        stream->sequence = op->sequence;
        adopt_all(waiter);
        bao_subscribe_again(core, call, waiter);
    }
    line_up(core, waiter);
}

void bao_credit(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_request *request = bao_window_find(call->session, op->target);
    if (request == NULL || !request->waiting) {
        return;
    }
    struct bao_waiter *waiter = bao_waiter_of(request);
    if (waiter->kind != BAO_WAITER_SUBSCRIBE) {
        return;
    }
    waiter->stream->limit = credit_of(op);
    if (bao_has(op, BAO_BIT(BYTES))) {
        waiter->stream->bytes_limit = op->bytes;
    }
    line_up(core, waiter);
}

static void deliver(struct bao_core *core,
                    struct bao_waiter *waiter,
                    const struct bao_grant *grant)
{
    struct bao_operation *op =
        bao_notice(core, waiter->session, waiter->queue, BAO_VERB_DELIVER);
    BAO_SET(op, TARGET, target, waiter->request.first);
    BAO_SET(op, SEQUENCE, sequence, grant->sequence);
    BAO_SET(op, TOKEN, token, grant->token);
    BAO_SET(op, LEASE_MS, lease_ms, grant->lease_us / BAO_MS);
    bao_grant_columns(core, op, grant->items, grant->count);
    bao_reply_waits(core, BAO_WAIT_LEASE);
}

/* Its share: min(credit, 64, ceil(ready / those that this round has left)).
 * So what one put brings reaches each of them in one delivery. */
static uint32_t share(const struct bao_queue *queue,
                      const struct bao_stream *stream,
                      size_t left)
{
    BAO_ASSERT(left > 0);
    BAO_ASSERT(stream->items < stream->limit);
    uint64_t most = stream->limit - stream->items;
    most += BAO_PLANTED(CREDIT_EXCEEDED);
    const uint64_t ready = queue->counts[BAO_STATE_READY];
    const uint64_t each = (ready + left - 1) / left;
    most = most < BAO_GRANT_MAX ? most : BAO_GRANT_MAX;
    return (uint32_t)(most < each ? most : each);
}

void bao_push_serve(struct bao_core *core,
                    struct bao_waiter *waiter,
                    size_t left)
{
    struct bao_queue *queue = waiter->queue;
    struct bao_stream *stream = waiter->stream;
    struct bao_grant grant = {.session = waiter->session,
                              .rid = waiter->request.first,
                              .verb = BAO_VERB_SUBSCRIBE,
                              .lease_us = waiter->lease_us,
                              .sequence = stream->sequence + 1};
    grant.most = share(queue, stream, left);
    bao_list_remove(&queue->gets, &waiter->place);
    if (stream->bytes_limit > 0 && stream->items > 0) {
        struct bao_item room;
        const struct bao_item *first = bao_order_peek(queue, &room);
        if (stream->bytes >= stream->bytes_limit ||
            stream->bytes_limit - stream->bytes < first->bytes) {
            BAO_MARK("a subscription is out of bytes");
            return; /* a settle brings it back */
        }
    }
    if (stream->bytes_limit > stream->bytes) {
        grant.bytes = stream->bytes_limit - stream->bytes;
    } else if (stream->bytes_limit > 0) {
        grant.most = 1;
    }
    if (!bao_grant(core, queue, &grant)) {
        bao_list_push(&queue->gets, &waiter->place);
        return;
    }
    for (uint32_t i = 0; i < grant.count; i++) {
        adopt(stream, grant.items[i]->lease);
    }
    stream->sequence = grant.sequence;
    deliver(core, waiter, &grant);
    if (stream->items < stream->limit) {
        bao_list_push(&queue->gets, &waiter->place);
    }
}

/* The leases of one delivery, pushed again; returns the first behind it. */
static struct bao_link *push_again(struct bao_core *core,
                                   struct bao_waiter *waiter,
                                   struct bao_link *link)
{
    struct bao_list *list = &waiter->stream->leases;
    struct bao_lease *leases[BAO_GRANT_MAX];
    struct bao_item *items[BAO_GRANT_MAX];
    const uint64_t sequence =
        BAO_OF(link, struct bao_lease, of_stream)->sequence;
    uint32_t count = 0;
    while (link != NULL && count < BAO_GRANT_MAX) {
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_stream);
        if (lease->sequence != sequence) {
            break;
        }
        leases[count] = lease;
        items[count] = lease->item;
        lease->held = waiter->session->held_round;
        bao_lease_prolong(core, lease);
        count++;
        link = bao_list_next(list, link);
    }
    struct bao_grant grant = {.session = waiter->session,
                              .sequence = sequence,
                              .lease_us = bao_lease_left(core, leases[0]),
                              .token = leases[0]->token,
                              .items = items};
    grant.count = bao_get_first_run(leases, count);
    deliver(core, waiter, &grant);
    for (uint32_t i = grant.count; i < count; i++) {
        bao_return_one(core, items[i], BAO_CAUSE_UNSTARTED);
    }
    return link;
}

void bao_subscribe_again(struct bao_core *core,
                         const struct bao_call *call,
                         struct bao_waiter *waiter)
{
    const struct bao_operation *op = call->operation;
    const uint64_t seen = bao_has(op, BAO_BIT(SEQUENCE)) ? op->sequence : 0;
    struct bao_list *list = &waiter->stream->leases;
    struct bao_link *link = bao_list_first(list);
    while (link != NULL) {
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_stream);
        if (lease->sequence > seen && bao_out_has_room(core)) {
            BAO_MARK("what was pushed and not received is pushed again");
            link = push_again(core, waiter, link);
            continue;
        }
        link = bao_list_next(list, link);
        if (lease->sequence <= seen &&
            lease->held != waiter->session->held_round) {
            bao_return_one(core, lease->item, BAO_CAUSE_UNSTARTED);
        }
    }
}

/* Begins the lease's time, and that of max_run, when its holder does. */
static void start(struct bao_core *core, struct bao_lease *lease)
{
    BAO_MARK("a pushed item is started");
    lease->started = true;
    if (lease->until_us == BAO_NEVER) {
        return;
    }
    const struct bao_queue *queue = lease->item->queue;
    lease->run_until_us =
        bao_later(core->now_us, bao_us_of_ms(queue->options.max_run_ms));
    bao_lease_prolong(core, lease);
}

void bao_started(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const size_t entries = bao_column64_count(op->ids);
    if (entries != bao_column64_count(op->tokens)) {
        return;
    }
    for (size_t i = 0; i < entries; i++) {
        enum baozi_status status = BAOZI_OK;
        struct bao_item *item = bao_lease_find(core,
                                               call->session,
                                               bao_column64(op->ids, i),
                                               bao_column64(op->tokens, i),
                                               &status);
        if (item != NULL && !item->lease->started &&
            (item->lease->flags & BAO_LEASE_PUSHED) != 0) {
            start(core, item->lease);
        }
    }
}

bool bao_push_was_started(struct bao_lease *lease)
{
    struct bao_stream *stream = lease->stream;
    if (lease->started || (lease->flags & BAO_LEASE_PUSHED) == 0) {
        return true;
    }
    if (stream == NULL) {
        return false;
    }
    if (!stream->judged) {
        stream->judged = true;
        struct bao_link *link = bao_list_first(&stream->leases);
        for (; link != NULL; link = bao_list_next(&stream->leases, link)) {
            const struct bao_lease *other =
                BAO_OF(link, struct bao_lease, of_stream);
            if (other->order > stream->started && !other->started) {
                stream->oldest = other->order;
                break;
            }
        }
    }
    return lease->order <= stream->started || lease->order == stream->oldest;
}
