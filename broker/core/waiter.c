/*
 * waiter.c - enrolled, served, timed out, cancelled: each exactly once.
 *
 * Invariant: a waiter is in its session's window under the requests that are
 * still to be answered; ending it takes it out of its line, too.
 */
#include "broker/core/waiter.h"

#include "broker/core/items.h"
#include "broker/core/join.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/put.h"
#include "broker/core/tally.h"
#include "broker/core/wait.h"
#include "common/planted.h"

bool bao_waiter_has_place(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_session *session = call->session;
    if (session->waiting + call->count > core->config.waiting_max) {
        BAO_MARK("too many waiting requests");
        bao_refuse(core,
                   call,
                   BAOZI_QUOTA,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("this session has too many requests waiting; "
                               "let some be answered first"));
        return false;
    }
    return true;
}

bool bao_waiter_admits(struct bao_core *core, const struct bao_call *call)
{
    if (!bao_waiter_has_place(core, call)) {
        return false;
    }
    if (bao_memory_is_low(core)) {
        bao_refuse(core,
                   call,
                   BAOZI_QUOTA,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("the broker's memory is full; it cannot let "
                               "more requests wait"));
        return false;
    }
    return true;
}

uint64_t bao_waiter_until(const struct bao_core *core,
                          const struct bao_operation *operation)
{
    if (operation == NULL || !bao_has(operation, BAO_BIT(WAIT_MS))) {
        return BAO_NEVER;
    }
    if (BAO_PLANTED(TIMEOUT_EARLY)) {
        return bao_later(core->now_us,
                         bao_us_of_ms(operation->wait_ms) / 4 * 3);
    }
    return bao_later(core->now_us, bao_us_of_ms(operation->wait_ms));
}

void bao_waiter_time(struct bao_core *core,
                     struct bao_waiter *waiter,
                     uint64_t until_us)
{
    waiter->until_us = until_us;
    bao_timer_set(
        core, &waiter->timer, BAO_TIMER_WAITER, until_us, waiter->serial);
}

struct bao_waiter *bao_waiter_new(struct bao_core *core,
                                  const struct bao_call *call,
                                  enum bao_waiter_kind kind,
                                  struct bao_queue *queue)
{
    struct bao_waiter *waiter = bao_take_slot(core, &core->waiters);
    waiter->request.first = call->rid;
    waiter->request.count = call->count;
    waiter->request.waiting = true;
    waiter->kind = kind;
    waiter->verb = call->verb;
    waiter->session = call->session;
    waiter->queue = queue;
    core->serial++;
    waiter->serial = core->serial;
    if (kind == BAO_WAITER_SUBSCRIBE) {
        call->session->subscriptions++;
    } else {
        call->session->waiting += call->count;
    }
    bao_window_add(core, call->session, &waiter->request);
    bao_waiter_time(core, waiter, bao_waiter_until(core, call->operation));
    return waiter;
}

void bao_waiter_shrink(struct bao_core *core,
                       struct bao_waiter *waiter,
                       uint32_t count)
{
    BAO_ASSERT(count > 0);
    BAO_ASSERT(count <= waiter->request.count);
    if (count == waiter->request.count) {
        bao_waiter_end(core, waiter);
        return;
    }
    BAO_ASSERT(waiter->kind == BAO_WAITER_PUT);
    bao_window_remove(waiter->session, &waiter->request);
    waiter->request.first += count;
    waiter->request.count -= count;
    waiter->at += count;
    waiter->session->waiting -= count;
    bao_window_add(core, waiter->session, &waiter->request);
}

static void leave_gets(struct bao_core *core, struct bao_waiter *waiter)
{
    if (bao_link_is_listed(&waiter->place)) {
        bao_list_remove(&waiter->queue->gets, &waiter->place);
    }
    if (waiter->kind == BAO_WAITER_GET) {
        BAO_ASSERT(waiter->queue->parked_gets > 0);
        waiter->queue->parked_gets--;
    }
    struct bao_tally *tally = waiter->tally;
    bao_list_remove(&tally->gets, &waiter->mine);
    bao_tally_unuse(tally);
    bao_tally_tidy(core, tally);
}

static void leave_stream(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_stream *stream = waiter->stream;
    stream->waiter = NULL;
    BAO_ASSERT(stream->references > 0);
    stream->references--;
    if (stream->references == 0) {
        bao_pool_give(&core->streams, stream);
    }
}

static void leave_join(struct bao_core *core, struct bao_waiter *waiter)
{
    BAO_ASSERT(waiter->queue->joiners > 0);
    waiter->queue->joiners--;
    if (waiter->ledger != NULL) {
        bao_list_remove(&waiter->ledger->joiners, &waiter->place);
        if (waiter->tally != NULL) {
            bao_tally_tidy(core, waiter->tally);
        }
        return;
    }
    bao_heap_remove(&waiter->queue->up_to, &waiter->up_to);
}

void bao_waiter_end(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_session *session = waiter->session;
    BAO_ASSERT(waiter->request.waiting);
    bao_timer_stop(core, &waiter->timer);
    bao_window_remove(session, &waiter->request);
    if (waiter->kind == BAO_WAITER_SUBSCRIBE) {
        BAO_ASSERT(session->subscriptions > 0);
        session->subscriptions--;
    } else {
        BAO_ASSERT(session->waiting >= waiter->request.count);
        session->waiting -= waiter->request.count;
    }
    switch (waiter->kind) {
    case BAO_WAITER_PUT:
        bao_list_remove(&waiter->queue->puts, &waiter->place);
        bao_parked_drop(core, waiter);
        if (waiter->queue->puts.count > 0) {
            bao_line_touch(core, waiter->queue); /* the next may fit */
        }
        break;
    case BAO_WAITER_GET: leave_gets(core, waiter); break;
    case BAO_WAITER_SUBSCRIBE:
        leave_gets(core, waiter);
        leave_stream(core, waiter);
        break;
    case BAO_WAITER_JOIN: leave_join(core, waiter); break;
    case BAO_WAITER_OUTCOME: bao_watch_leave(core, waiter); break;
    case BAO_WAITER_CHORE:
        if (waiter->chore != NULL) {
            waiter->chore->waiter = NULL;
            waiter->chore->orphan = !session->leaving;
        }
        break;
    }
    bao_pool_give(&core->waiters, waiter);
}

struct bao_call bao_waiter_call(const struct bao_waiter *waiter)
{
    return (struct bao_call){.session = waiter->session,
                             .rid = waiter->request.first,
                             .count = waiter->request.count,
                             .verb = waiter->verb};
}

void bao_waiter_refuse(struct bao_core *core,
                       struct bao_waiter *waiter,
                       enum baozi_status status,
                       struct bao_span why)
{
    struct bao_call call = bao_waiter_call(waiter);
    struct bao_span queue = bao_span_of(NULL, 0);
    if (waiter->queue != NULL) {
        queue = bao_text_span(waiter->queue->name);
    }
    bao_refuse(core, &call, status, queue, why);
    bao_waiter_end(core, waiter);
}

static void due_put(struct bao_core *core, struct bao_waiter *waiter)
{
    if (waiter->asked && waiter->until_us > core->now_us) {
        bao_waiter_refuse(core,
                          waiter,
                          BAOZI_QUOTA,
                          BAO_LITERAL("the body that the broker asked for did "
                                      "not come in time"));
        return;
    }
    bao_waiter_refuse(
        core,
        waiter,
        BAOZI_FULL,
        BAO_LITERAL("no room came in time; wait longer, add workers or raise "
                    "its bound"));
}

/* Its line is still to be served: it is not late by its own fault. */
static bool is_pending(struct bao_core *core, struct bao_waiter *waiter)
{
    if (waiter->queue == NULL || !bao_link_is_listed(&waiter->queue->dirty)) {
        return false;
    }
    BAO_MARK("a deadline waits for its line to be served");
    bao_timer_set(core,
                  &waiter->timer,
                  BAO_TIMER_WAITER,
                  core->now_us + BAO_MS,
                  waiter->serial);
    return true;
}

void bao_waiter_due(struct bao_core *core, struct bao_waiter *waiter)
{
    if (is_pending(core, waiter)) {
        return;
    }
    switch (waiter->kind) {
    case BAO_WAITER_PUT: due_put(core, waiter); return;
    case BAO_WAITER_GET:
        bao_waiter_refuse(
            core, waiter, BAOZI_EMPTY, BAO_LITERAL("no item came in time"));
        return;
    case BAO_WAITER_JOIN: bao_join_due(core, waiter); return;
    case BAO_WAITER_OUTCOME:
        bao_waiter_refuse(core,
                          waiter,
                          BAOZI_TIMEOUT,
                          BAO_LITERAL("the item is not settled yet; wait "
                                      "longer"));
        return;
    case BAO_WAITER_SUBSCRIBE:
    case BAO_WAITER_CHORE: break;
    }
    bao_panic(__FILE__, __LINE__, "a waiter with a deadline");
}

void bao_waiter_cancel(struct bao_core *core,
                       struct bao_waiter *waiter,
                       uint64_t rid)
{
    if (waiter->kind == BAO_WAITER_CHORE ||
        (waiter->kind == BAO_WAITER_JOIN && bao_join_is_woken(waiter)) ||
        (waiter->kind == BAO_WAITER_OUTCOME &&
         bao_link_is_listed(&waiter->watch->woken))) {
        return; /* its outcome is on the way */
    }
    if (BAO_PLANTED(CANCEL_LIES) && waiter->kind == BAO_WAITER_PUT) {
        struct bao_call call = bao_waiter_call(waiter);
        call.count = 1;
        call.rid = rid;
        bao_refuse(core,
                   &call,
                   BAOZI_CANCELLED,
                   bao_span_of(NULL, 0),
                   bao_span_of(NULL, 0));
        return;
    }
    struct bao_waiter *one = waiter;
    if (waiter->request.count > 1) {
        BAO_MARK("one put of a waiting vector is cancelled");
        one = bao_put_split(core, waiter, rid);
    }
    BAO_ASSERT(one->request.first == rid);
    BAO_ASSERT(one->request.count == 1);
    bao_waiter_refuse(core, one, BAOZI_CANCELLED, bao_span_of(NULL, 0));
}
