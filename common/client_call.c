/*
 * client_call.c - one blocking call, from its arguments to its outcome.
 */
#include "common/client_inside.h"
#include "common/time.h"
#include "common/utf8.h"

#define ASK_US 500000u /* a signal that came just before we slept */

uint64_t bao_until_us(int64_t wait_ms)
{
    if (wait_ms == BAOZI_FOREVER) {
        return BAO_NEVER_US;
    }
    uint64_t now_us = bao_time_monotonic_us();
    uint64_t wait = (uint64_t)wait_ms;
    return wait > (BAO_NEVER_US - now_us - 1) / 1000 ? BAO_NEVER_US - 1
                                                     : now_us + wait * 1000;
}

const char *bao_check_queue(const char *queue)
{
    if (queue == NULL ||
        !bao_name_valid(bao_span_text(queue), BAO_QUEUE_NAME_BYTES_MAX)) {
        return "a queue's name has 1 to 200 bytes of UTF-8 and no control "
               "characters";
    }
    return NULL;
}

const char *bao_check_wait(int64_t wait_ms)
{
    return wait_ms < BAOZI_FOREVER
               ? "wait_ms is BAOZI_FOREVER, 0 or milliseconds"
               : NULL;
}

enum baozi_status bao_client_refuse(struct baozi *client,
                                    const struct bao_call *call,
                                    const char *why)
{
    return bao_note(client, BAOZI_BAD_REQUEST, call->verb, call->queue, why);
}

void bao_call_answered(struct bao_engine *e,
                       struct bao_request *request,
                       const struct bao_operation *answer,
                       const struct bao_message *message)
{
    struct bao_call *call = BAO_OF(request, struct bao_call, request);
    call->status = (enum baozi_status)answer->status;
    if (bao_has(answer, BAO_BIT(ERROR))) {
        bao_copy_text(call->detail, sizeof call->detail, answer->error);
    }
    if (call->status == BAOZI_CANCELLED) {
        if (request->cancel == BAO_CANCEL_ASKED) {
            call->status = BAOZI_INTERRUPTED;
        } else if (request->cancel == BAO_CANCEL_DEADLINE) {
            call->status = call->late; /* the broker says: it still waited */
        }
    }
    if (call->take != NULL) {
        call->take(e, call, answer, message);
    }
    call->done = true;
    bao_wake(e, &call->waiter);
}

void bao_call_init(struct bao_call *call,
                   uint64_t verb,
                   const char *name,
                   const char *queue)
{
    *call = (struct bao_call){.verb = name, .late = BAOZI_TIMEOUT};
    call->owner.answered = bao_call_answered;
    call->request.owner = &call->owner;
    call->request.until_us = BAO_NEVER_US;
    struct bao_operation *op = &call->request.operation;
    BAO_SET(op, VERB, verb, verb);
    if (queue != NULL) {
        call->queue = bao_span_text(queue);
        BAO_SET(op, QUEUE, queue, call->queue);
    }
}

/* True if the program wants to be back. The lock is not held meanwhile. */
static bool wants_back(struct bao_engine *e)
{
    if (e->settings->interrupted == NULL) {
        return false;
    }
    (void)pthread_mutex_unlock(&e->lock);
    bool wants = e->settings->interrupted(e->settings->context) != 0;
    (void)pthread_mutex_lock(&e->lock);
    return wants;
}

static uint64_t ask_at(const struct bao_engine *e)
{
    return e->settings->interrupted == NULL ? BAO_NEVER_US
                                            : bao_time_monotonic_us() + ASK_US;
}

void bao_call_wait(struct bao_engine *e, struct bao_call *call)
{
    uint64_t ask_us = ask_at(e);
    while (!call->done && !e->closing) {
        bool signalled = bao_sleep(e, &call->waiter, ask_us);
        if (call->done || call->interrupted ||
            (!signalled && bao_time_monotonic_us() < ask_us)) {
            continue;
        }
        ask_us = ask_at(e);
        if (wants_back(e) && !call->done) {
            call->interrupted = true;
            bao_dialogue_cancel(
                e->dialogue, bao_time_monotonic_us(), &call->request);
            bao_pump(e);
            ask_us = BAO_NEVER_US;
        }
    }
    if (!call->done) {
        bao_dialogue_forget(e->dialogue, &call->request);
        call->status = BAOZI_CLOSED;
    }
    bao_waiter_leave(e, &call->waiter);
}

enum baozi_status
bao_call_run(struct baozi *client, struct bao_call *call, int64_t wait_ms)
{
    struct bao_engine *e = bao_enter(client, &call->status);
    if (e != NULL) {
        call->request.until_us = bao_until_us(wait_ms);
        uint64_t now_us = bao_time_monotonic_us();
        bao_dialogue_submit(e->dialogue, now_us, &call->request);
        bao_push(e, now_us);
        bao_call_wait(e, call);
    }
    bao_unlock(e);
    (void)bao_note(client, call->status, call->verb, call->queue, call->detail);
    bao_unpin(e);
    return call->status;
}

/* --- waiting for a condition -------------------------------------------- */

/* When a wait without a session ends. */
static uint64_t reach_us(const struct bao_engine *e, uint64_t start_us)
{
    if (bao_dialogue_is_open(e->dialogue)) {
        return BAO_NEVER_US;
    }
    uint64_t since_us = bao_dialogue_down_since(e->dialogue);
    since_us = since_us > start_us ? since_us : start_us;
    return since_us + (uint64_t)e->settings->connect_timeout_ms * 1000;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What ends the wait now, or OK. */
static enum baozi_status
wait_ends(struct bao_engine *e, uint64_t start_us, uint64_t until_us)
{
    uint64_t now_us = bao_time_monotonic_us();
    if (e->closing) {
        return BAOZI_CLOSED;
    }
    if (now_us >= reach_us(e, start_us)) {
        return BAOZI_CONNECTION_LOST;
    }
    return now_us >= until_us ? BAOZI_TIMEOUT : BAOZI_OK;
}

enum baozi_status bao_wait_for(struct bao_engine *e,
                               bool (*is_ready)(struct bao_engine *engine,
                                                void *thing),
                               void *thing,
                               int64_t wait_ms)
{
    struct bao_waiter waiter = {0};
    uint64_t start_us = bao_time_monotonic_us();
    enum baozi_status status = BAOZI_OK;
    if (is_ready(e, thing)) {
        bao_pump_soon(e, start_us);
        bao_waiter_leave(e, &waiter);
        return BAOZI_OK;
    }
    uint64_t until_us = bao_until_us(wait_ms);
    uint64_t ask_us = ask_at(e);
    bao_list_push(&e->watchers, &waiter.watch);
    bao_dialogue_press(e->dialogue);
    bao_push(e, start_us); /* what came is read by who sleeps on the socket */
    while (status == BAOZI_OK && !is_ready(e, thing)) {
        status = wait_ends(e, start_us, until_us);
        if (status != BAOZI_OK) {
            break;
        }
        uint64_t wake_us =
            least(least(until_us, ask_us), reach_us(e, start_us));
        bool signalled = bao_sleep(e, &waiter, wake_us);
        if (signalled || bao_time_monotonic_us() >= ask_us) {
            ask_us = ask_at(e);
            status = wants_back(e) ? BAOZI_INTERRUPTED : BAOZI_OK;
        }
    }
    bao_list_remove(&e->watchers, &waiter.watch);
    bao_waiter_leave(e, &waiter);
    return status;
}
