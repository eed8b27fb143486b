/*
 * get.c - get and get_many: at once, or in line, and answered again.
 *
 * Invariant: waiting gets are served from the head of the line only; those
 * whose client is cut off step aside and come back to the head.
 */
#include "broker/core/get.h"

#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/push.h"
#include "broker/core/room.h"
#include "broker/core/settle.h"
#include "broker/core/tally.h"
#include "broker/core/waiter.h"
#include "common/planted.h"

bool bao_get_is_over(const struct bao_queue *queue,
                     const struct bao_tally *tally)
{
    if (queue->shut == 0) {
        return false;
    }
    if (queue->shut == 2) {
        return true;
    }
    if (queue->counts[BAO_STATE_READY] > 0 ||
        queue->counts[BAO_STATE_DELAYED] > 0) {
        return false;
    }
    if (queue->options.accounting == BAO_ACCOUNTING_COUNT) {
        return true;
    }
    const bool mine = tally != NULL && tally->leases.count > 0;
    return queue->holders == (mine ? 1 : 0);
}

static struct bao_operation *answer(struct bao_core *core,
                                    const struct bao_queue *queue,
                                    const struct bao_grant *grant)
{
    struct bao_operation *op = bao_reply(
        core, grant->session, queue, BAO_VERB_GET, grant->rid, BAOZI_OK);
    BAO_SET(op, TOKEN, token, grant->token);
    BAO_SET(op, LEASE_MS, lease_ms, grant->lease_us / BAO_MS);
    bao_grant_columns(core, op, grant->items, grant->count);
    bao_reply_waits(core, BAO_WAIT_LEASE);
    return op;
}

uint64_t bao_lease_us_of(const struct bao_queue *queue,
                         const struct bao_operation *op,
                         bool automatic)
{
    if (automatic || queue->options.accounting == BAO_ACCOUNTING_COUNT) {
        return 0;
    }
    if (bao_has(op, BAO_BIT(LEASE_MS))) {
        return op->lease_ms * BAO_MS;
    }
    return queue->options.lease_ms * BAO_MS;
}

static void get_wait(struct bao_core *core,
                     const struct bao_call *call,
                     struct bao_queue *queue,
                     const struct bao_grant *grant)
{
    if (!bao_waiter_admits(core, call)) {
        return;
    }
    BAO_MARK("a get waits");
    struct bao_waiter *waiter =
        bao_waiter_new(core, call, BAO_WAITER_GET, queue);
    waiter->limit = grant->most;
    waiter->bytes = grant->bytes;
    waiter->flags = grant->flags;
    waiter->lease_us = grant->lease_us;
    waiter->tally = bao_tally_get(core, call->session, queue);
    bao_tally_use(waiter->tally);
    bao_list_push(&waiter->tally->gets, &waiter->mine);
    bao_list_push(&queue->gets, &waiter->place);
    queue->parked_gets++;
    bao_line_touch(core, queue);
}

/* True if a get may be served now, before any that wait. */
static bool is_open(const struct bao_core *core, const struct bao_queue *queue)
{
    return queue->gets.count == 0 && queue->counts[BAO_STATE_READY] > 0 &&
           (queue->options.paused & BAO_DIRECTION_OUT) == 0 &&
           !bao_memory_is_low(core) && !bao_room_is_low(core, queue) &&
           queue->shut != 2;
}

void bao_get(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL || bao_line_drains(core, call)) {
        return;
    }
    struct bao_grant grant = {.session = call->session,
                              .rid = call->rid,
                              .verb = BAO_VERB_GET,
                              .most = 1};
    if (bao_has(op, BAO_BIT(FLAGS))) {
        grant.flags = (uint32_t)op->flags & BAO_FLAG_AUTO;
    }
    if (bao_has(op, BAO_BIT(LIMIT)) && op->limit > 0) {
        grant.most = op->limit < BAO_OPERATION_ITEMS_MAX
                         ? (uint32_t)op->limit
                         : BAO_OPERATION_ITEMS_MAX;
    }
    if (bao_has(op, BAO_BIT(BYTES))) {
        grant.bytes = op->bytes;
    }
    grant.lease_us = bao_lease_us_of(queue, op, grant.flags != 0);
    if (bao_room_is_low(core, queue) && queue->counts[BAO_STATE_READY] > 0) {
        BAO_MARK("the log has no room for a lease");
        bao_refuse(core,
                   call,
                   BAOZI_STORAGE_FULL,
                   bao_text_span(queue->name),
                   BAO_LITERAL("the broker's disk is full, and what it keeps "
                               "for settling is used; make room there, settle "
                               "or purge"));
        return;
    }
    struct bao_grant wish = grant;
    const bool blind = BAO_PLANTED(EMPTY_LIES) &&
                       bao_has(op, BAO_BIT(WAIT_MS)) && op->wait_ms == 0 &&
                       queue->counts[BAO_STATE_READY] == 1;
    if (!blind && is_open(core, queue) && bao_grant(core, queue, &grant)) {
        (void)answer(core, queue, &grant);
        return;
    }
    if (queue->shut > 0 &&
        bao_get_is_over(queue,
                        bao_tally_find(core, call->session->number, queue))) {
        bao_refuse(core,
                   call,
                   BAOZI_SHUTDOWN,
                   bao_text_span(queue->name),
                   BAO_LITERAL("it is shut down and drained"));
        return;
    }
    if (bao_has(op, BAO_BIT(WAIT_MS)) && op->wait_ms == 0 &&
        !(is_open(core, queue) && core->budget == 0)) {
        bao_refuse(core,
                   call,
                   BAOZI_EMPTY,
                   bao_text_span(queue->name),
                   BAO_LITERAL("there is nothing to take now"));
        return;
    }
    get_wait(core, call, queue, &wish);
}

/* --- the line ----------------------------------------------------------- */

static void serve_get(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_queue *queue = waiter->queue;
    struct bao_grant grant = {.session = waiter->session,
                              .rid = waiter->request.first,
                              .verb = BAO_VERB_GET,
                              .most = waiter->limit,
                              .bytes = waiter->bytes,
                              .flags = waiter->flags,
                              .lease_us = waiter->lease_us};
    if (!bao_grant_ready(core, queue)) {
        return;
    }
    bao_waiter_end(core, waiter);
    bool granted = bao_grant(core, queue, &grant);
    BAO_ASSERT(granted);
    (void)answer(core, queue, &grant);
}

/* Ends what waits in vain once the queue is shut (SPEC S8). */
static void serve_shut(struct bao_core *core, struct bao_queue *queue)
{
    while (queue->gets.count > 0 && bao_out_has_room(core)) {
        struct bao_waiter *waiter =
            BAO_OF(bao_list_first(&queue->gets), struct bao_waiter, place);
        if (!bao_get_is_over(queue, NULL)) {
            break;
        }
        bao_waiter_refuse(core,
                          waiter,
                          BAOZI_SHUTDOWN,
                          BAO_LITERAL("it is shut down and drained"));
    }
    if (queue->holders != 1 || queue->leases.count == 0) {
        return;
    }
    /* Only one session holds something: its own gets wait in vain. */
    struct bao_lease *lease =
        BAO_OF(bao_list_first(&queue->leases), struct bao_lease, of_queue);
    struct bao_tally *tally = lease->tally;
    while (tally->gets.count > 0 && bao_get_is_over(queue, tally) &&
           bao_out_has_room(core)) {
        struct bao_waiter *waiter =
            BAO_OF(bao_list_first(&tally->gets), struct bao_waiter, mine);
        bao_waiter_refuse(core,
                          waiter,
                          BAOZI_SHUTDOWN,
                          BAO_LITERAL("it is shut down and drained"));
    }
}

/* One turn of the head of the line; `left` of it are to be served before it
 * begins anew. */
static void
serve_one(struct bao_core *core, struct bao_queue *queue, size_t left)
{
    struct bao_waiter *waiter =
        BAO_OF(bao_list_first(&queue->gets), struct bao_waiter, place);
    if (!bao_waiter_lives(waiter)) {
        bao_waiter_end(core, waiter);
        return;
    }
    if (core->draining && waiter->kind == BAO_WAITER_GET) {
        bao_waiter_refuse(core,
                          waiter,
                          BAOZI_DRAINING,
                          BAO_LITERAL("the broker is going down; get again "
                                      "when it is back"));
        return;
    }
    if (!waiter->session->connected) {
        BAO_MARK("a get steps aside while its client is cut off");
        bao_list_remove(&queue->gets, &waiter->place);
        return;
    }
    if (waiter->kind == BAO_WAITER_SUBSCRIBE) {
        bao_push_serve(core, waiter, left);
        return;
    }
    BAO_ASSERT(waiter->kind == BAO_WAITER_GET);
    serve_get(core, waiter);
}

void bao_get_serve(struct bao_core *core, struct bao_queue *queue)
{
    size_t left = 0;
    while (queue->gets.count > 0 && core->budget > 0 &&
           bao_out_has_room(core)) {
        const bool low =
            bao_memory_is_low(core) || bao_room_is_low(core, queue);
        const bool open = queue->counts[BAO_STATE_READY] > 0 &&
                          (queue->options.paused & BAO_DIRECTION_OUT) == 0 &&
                          queue->shut != 2 && !low;
        if (!open && !core->draining) {
            if (low && !bao_link_is_listed(&queue->starved)) {
                bao_list_push(&core->starved, &queue->starved);
            }
            break;
        }
        if (core->draining) {
            struct bao_waiter *first =
                BAO_OF(bao_list_first(&queue->gets), struct bao_waiter, place);
            if (first->kind == BAO_WAITER_SUBSCRIBE) {
                bao_list_remove(&queue->gets, &first->place);
                continue;
            }
        }
        if (left == 0 || left > queue->gets.count) {
            left = queue->gets.count;
        }
        serve_one(core, queue, left);
        left--;
    }
    if (queue->shut > 0) {
        serve_shut(core, queue);
    }
}

void bao_get_rejoin(struct bao_core *core, struct bao_waiter *waiter)
{
    if (bao_link_is_listed(&waiter->place)) {
        return;
    }
    if (waiter->kind == BAO_WAITER_GET ||
        (waiter->kind == BAO_WAITER_SUBSCRIBE &&
         waiter->stream->items < waiter->stream->limit)) {
        bao_list_push_front(&waiter->queue->gets, &waiter->place);
        bao_line_touch(core, waiter->queue);
    }
}

/* --- again -------------------------------------------------------------- */

/* The leases that a repeated answer can speak of have consecutive tokens (or
 * none): the first run of them. The others go back, uncounted. */
uint32_t bao_get_first_run(struct bao_lease *const *leases, uint32_t count)
{
    uint32_t run = 1;
    while (run < count &&
           (leases[0]->token == 0
                ? leases[run]->token == 0
                : leases[run]->token == leases[0]->token + run)) {
        run++;
    }
    return run;
}

uint64_t bao_lease_left(const struct bao_core *core,
                        const struct bao_lease *lease)
{
    if (lease->until_us == BAO_NEVER) {
        return 0;
    }
    return lease->until_us > core->now_us ? lease->until_us - core->now_us : 1;
}

bool bao_get_again(struct bao_core *core, struct bao_answer *kept)
{
    const uint32_t all = (uint32_t)kept->leases.count;
    if (all == 0) {
        return false;
    }
    struct bao_lease **leases = bao_scratch_take(core, all * sizeof(*leases));
    struct bao_item **items = bao_scratch_take(core, all * sizeof(*items));
    struct bao_link *link = bao_list_first(&kept->leases);
    for (uint32_t i = 0; i < all; i++) {
        leases[i] = BAO_OF(link, struct bao_lease, of_answer);
        items[i] = leases[i]->item;
        bao_lease_prolong(core, leases[i]);
        link = bao_list_next(&kept->leases, link);
    }
    const uint32_t run = bao_get_first_run(leases, all);
    struct bao_grant grant = {.session = kept->session,
                              .rid = kept->request.first,
                              .lease_us = bao_lease_left(core, leases[0]),
                              .token = leases[0]->token,
                              .items = items,
                              .count = run};
    (void)answer(core, items[0]->queue, &grant);
    for (uint32_t i = run; i < all; i++) {
        BAO_MARK("what a repeated answer cannot speak of goes back");
        bao_return_one(core, items[i], BAO_CAUSE_UNSTARTED);
    }
    return true;
}
