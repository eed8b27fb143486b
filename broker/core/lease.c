/*
 * lease.c - who holds which item, and until when.
 *
 * A lease is in the lists of its session, its tally, its queue, the kept
 * answer of its get and its subscription, each oldest first. Prepaid leases
 * are in no list that task_done() without an item would look at.
 * Invariant: an item has a lease exactly when it is LEASED.
 */
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/tally.h"
#include "common/planted.h"

void bao_lease_link(struct bao_lease *lease)
{
    struct bao_tally *tally = lease->tally;
    struct bao_queue *queue = tally->queue;
    bao_list_push(&tally->session->leases, &lease->of_session);
    bao_tally_use(tally);
    if ((lease->flags & BAO_LEASE_PREPAID) != 0) {
        tally->prepaid++;
        queue->reserved++;
        return;
    }
    if (tally->leases.count == 0) {
        queue->holders++;
    }
    bao_list_push(&tally->leases, &lease->of_tally);
    bao_list_push(&queue->leases, &lease->of_queue);
}

struct bao_lease *bao_lease_make(struct bao_core *core,
                                 struct bao_item *item,
                                 struct bao_tally *tally,
                                 const struct bao_fact *fact,
                                 uint64_t token)
{
    struct bao_queue *queue = item->queue;
    struct bao_lease *lease = bao_take_slot(core, &core->leases);
    BAO_ASSERT(item->lease == NULL);
    item->lease = lease;
    lease->item = item;
    lease->tally = tally;
    lease->token = token;
    lease->since_us = fact->time_us;
    lease->until_us = fact->until_us;
    lease->run_until_us = BAO_NEVER;
    if (fact->until_us != BAO_NEVER) {
        lease->lease_us = fact->until_us - fact->time_us;
        if (BAO_PLANTED(LEASE_SHORT)) {
            lease->until_us -= lease->lease_us / 4 * 3;
        }
        lease->run_until_us =
            bao_later(fact->time_us, bao_us_of_ms(queue->options.max_run_ms));
    }
    lease->rid = fact->rid;
    core->order++;
    lease->order = core->order;
    lease->held = tally->session->held_round;
    if ((fact->flags & BAO_FLAG_AUTO) != 0) {
        lease->flags |= BAO_LEASE_AUTO;
    }
    if (fact->verb == BAO_VERB_SUBSCRIBE) {
        lease->flags |= BAO_LEASE_PUSHED;
        lease->sequence = fact->first_id;
    }
    if (token == 0) {
        lease->flags |= BAO_LEASE_PREPAID;
    }
    bao_lease_link(lease);
    return lease;
}

/* Credit comes back to the subscription, and with it its place in the line. */
static void
stream_unlist(struct bao_core *core, struct bao_lease *lease, bool settled)
{
    struct bao_stream *stream = lease->stream;
    struct bao_waiter *waiter = stream->waiter;
    BAO_ASSERT(stream->items > 0);
    BAO_ASSERT(stream->bytes >= lease->item->bytes);
    stream->items--;
    stream->bytes -= lease->item->bytes;
    if (settled && stream->started < lease->order) {
        stream->started = lease->order;
    }
    bao_list_remove(&stream->leases, &lease->of_stream);
    BAO_ASSERT(stream->references > 0);
    stream->references--;
    if (stream->references == 0) {
        BAO_ASSERT(waiter == NULL);
        bao_pool_give(&core->streams, stream);
        return;
    }
    if (waiter != NULL && !bao_link_is_listed(&waiter->place) &&
        stream->items < stream->limit) {
        bao_list_push(&waiter->queue->gets, &waiter->place);
    }
}

void bao_lease_end(struct bao_core *core, struct bao_item *item, bool settled)
{
    struct bao_lease *lease = item->lease;
    BAO_ASSERT(lease != NULL);
    BAO_ASSERT(lease->item == item);
    struct bao_tally *tally = lease->tally;
    struct bao_queue *queue = item->queue;

    if (lease->stream != NULL) {
        stream_unlist(core, lease, settled);
    }
    if (lease->answer != NULL) {
        bao_list_remove(&lease->answer->leases, &lease->of_answer);
    }
    bao_list_remove(&tally->session->leases, &lease->of_session);
    if ((lease->flags & BAO_LEASE_PREPAID) != 0) {
        BAO_ASSERT(tally->prepaid > 0);
        BAO_ASSERT(queue->reserved > 0);
        tally->prepaid--;
        queue->reserved--;
    } else {
        bao_list_remove(&tally->leases, &lease->of_tally);
        bao_list_remove(&queue->leases, &lease->of_queue);
        if (tally->leases.count == 0) {
            BAO_ASSERT(queue->holders > 0);
            queue->holders--;
        }
    }
    bao_tally_unuse(tally);
    item->lease = NULL;
    bao_pool_give(&core->leases, lease);
    bao_tally_tidy(core, tally);
}
