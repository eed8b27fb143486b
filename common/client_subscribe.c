/*
 * client_subscribe.c - items that are pushed ahead.
 *
 * The request lives as long as the subscription; what it brings waits in
 * `items` until baozi_next() hands it over. All of it is guarded by the
 * engine's lock. In a forked child a subscription is the parent's: it can only
 * be let go.
 */
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/time.h"

static void drop_items(struct bao_engine *e,
                       struct baozi_subscription *subscription,
                       bool only_gone)
{
    struct bao_list *items = &subscription->items;
    struct bao_link *link;
    while ((link = bao_list_first(items)) != NULL) {
        struct bao_holder *holder = BAO_OF(link, struct bao_holder, link);
        if (only_gone && holder->lease.gone == BAOZI_OK) {
            return;
        }
        (void)bao_list_pop(items);
        uint64_t id = holder->lease.id;
        uint64_t token =
            holder->lease.gone != BAOZI_OK ? 0 : holder->lease.token;
        bao_dialogue_drop(e->dialogue, &holder->lease);
        bao_dialogue_give_back(e->dialogue, bao_time_monotonic_us(), id, token);
        bao_holder_give(e, holder);
    }
}

static void delivered(struct bao_engine *e,
                      struct bao_request *request,
                      const struct bao_operation *operation,
                      const struct bao_message *message)
{
    struct baozi_subscription *subscription =
        BAO_OF(request, struct baozi_subscription, request);
    struct bao_items items;
    struct bao_item_in item;
    if (!bao_items_open(&items, operation, message)) {
        return; /* they come back when their leases end */
    }
    uint64_t now_us = bao_time_monotonic_us();
    while (bao_items_next(&items, &item)) {
        struct bao_holder *holder = bao_holder_make(
            subscription->client, e, &item, (uint32_t)operation->lease_ms);
        if (holder != NULL &&
            (item.token == 0 ||
             bao_dialogue_hold(e->dialogue, now_us, &holder->lease))) {
            bao_list_push(&subscription->items, &holder->link);
            continue;
        }
        if (holder != NULL) {
            bao_holder_give(e, holder);
        }
        bao_dialogue_give_back(e->dialogue, now_us, item.id, item.token);
    }
    bao_wake_watchers(e);
}

static void answered(struct bao_engine *e,
                     struct bao_request *request,
                     const struct bao_operation *answer,
                     const struct bao_message *message)
{
    (void)message;
    struct baozi_subscription *subscription =
        BAO_OF(request, struct baozi_subscription, request);
    subscription->ended = true;
    subscription->status = (enum baozi_status)answer->status;
    if (bao_has(answer, BAO_BIT(ERROR))) {
        bao_copy_text(
            subscription->detail, sizeof subscription->detail, answer->error);
    }
    bao_wake_watchers(e);
}

static const char *check(const char *queue,
                         const struct baozi_get_options *options)
{
    const char *why = bao_check_queue(queue);
    if (why == NULL && options != NULL && options->automatic != 0) {
        why = "a subscription's items are leased, never automatic";
    }
    return why;
}

enum baozi_status baozi_subscribe(struct baozi *client,
                                  const char *queue,
                                  uint32_t items,
                                  uint64_t bytes,
                                  const struct baozi_get_options *options,
                                  struct baozi_subscription **subscription)
{
    struct bao_call stat;
    const char *why = check(queue, options);
    *subscription = NULL;
    bao_call_init(
        &stat, BAO_VERB_STAT, "subscribe", why == NULL ? queue : NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &stat, why);
    }
    struct baozi_subscription *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return bao_note(client, BAOZI_NO_MEMORY, stat.verb, stat.queue, "");
    }
    bao_list_init(&made->items);
    bao_copy_text(made->queue, sizeof made->queue, stat.queue);
    made->owner =
        (struct bao_owner){.answered = answered, .delivered = delivered};
    made->request.owner = &made->owner;
    made->request.until_us = BAO_NEVER_US;
    made->client = client;
    struct bao_operation *op = &made->request.operation;
    BAO_SET(op, VERB, verb, BAO_VERB_SUBSCRIBE);
    BAO_SET(op, QUEUE, queue, bao_span_text(made->queue));
    BAO_SET(op, LIMIT, limit, items);
    if (bytes > 0) {
        BAO_SET(op, BYTES, bytes, bytes);
    }
    if (options != NULL && options->lease_ms > 0) {
        BAO_SET(op, LEASE_MS, lease_ms, options->lease_ms);
    }
    /* SUBSCRIBE is answered only when it ends; STAT says whether the queue is
     * there, and its answer that the broker has both. */
    enum baozi_status status;
    struct bao_engine *e = bao_enter(client, &status);
    if (e == NULL) {
        free(made);
        return bao_note(client, status, stat.verb, stat.queue, "");
    }
    made->engine = e;
    uint64_t now_us = bao_time_monotonic_us();
    bao_dialogue_submit(e->dialogue, now_us, &made->request);
    bao_dialogue_submit(e->dialogue, now_us, &stat.request);
    bao_pump(e);
    bao_call_wait(e, &stat);
    if (stat.status != BAOZI_OK) {
        bao_dialogue_forget(e->dialogue, &made->request);
        drop_items(e, made, false);
        free(made);
        made = NULL;
    }
    bao_unlock(e);
    *subscription = made;
    (void)bao_note(client, stat.status, stat.verb, stat.queue, stat.detail);
    bao_unpin(e);
    return stat.status;
}

static bool has_next(struct bao_engine *e, void *thing)
{
    struct baozi_subscription *subscription = thing;
    drop_items(e, subscription, true);
    return subscription->items.count > 0 || subscription->ended;
}

/* The engine, entered, or NULL with *status. */
static struct bao_engine *enter(struct baozi_subscription *subscription,
                                enum baozi_status *status)
{
    struct bao_engine *e = bao_enter(subscription->client, status);
    if (e != NULL && e != subscription->engine) {
        bao_unlock(e);
        bao_unpin(e);
        *status = BAOZI_SESSION_GONE; /* the parent's, seen in a child */
        return NULL;
    }
    return e;
}

/* Items that are here are worked off one after the other: their settles go
 * together, at the latest when half of the credit is used. */
static size_t gather_count(const struct baozi_subscription *subscription)
{
    size_t here = subscription->items.count + 1;
    size_t half = (size_t)subscription->request.operation.limit / 2;
    return here < half ? here : half;
}

/* The time, or a time a little ago: whoever settles one item and asks for the
 * next does so at once, as a rule. If not, nothing is worse than that a lease
 * is renewed and a message sent sooner than need be. */
static uint64_t now_or_settled_us(const struct bao_engine *e)
{
    if (e->settled + 1 != e->activity) {
        return bao_time_monotonic_us();
    }
    return e->settled_us > e->pumped_us ? e->settled_us : e->pumped_us;
}

/* The first item is the caller's, if there is one. */
static void hand_over(struct bao_engine *e,
                      struct baozi_subscription *subscription,
                      uint64_t now_us,
                      struct baozi_item *item)
{
    struct bao_waiter waiter = {0};
    struct bao_link *link = bao_list_pop(&subscription->items);
    if (link != NULL) {
        struct bao_holder *holder = BAO_OF(link, struct bao_holder, link);
        if (!bao_gathers(e, now_us)) {
            bao_pump_soon(e, now_us);
        }
        bao_dialogue_started(e->dialogue, now_us, &holder->lease);
        if (e->gather_count == 0 && subscription->items.count > 0) {
            bao_gather(e, gather_count(subscription), now_us);
        }
        bao_mind_deadline(e);
        bao_holder_show(holder, item);
    }
    bao_waiter_leave(e, &waiter); /* what it pumped may be another's */
}

enum baozi_status baozi_next(struct baozi_subscription *subscription,
                             int64_t wait_ms,
                             struct baozi_item *item)
{
    enum baozi_status status;
    char detail[BAO_DETAIL_BYTES];
    detail[0] = '\0'; /* not all of it: this is called for each item */
    struct baozi *client = subscription->client;
    struct bao_span queue = bao_span_text(subscription->queue);
    const char *why = bao_check_wait(wait_ms);
    *item = (struct baozi_item){0};
    if (why != NULL) {
        return bao_note(client, BAOZI_BAD_REQUEST, "get", queue, why);
    }
    struct bao_engine *e = enter(subscription, &status);
    if (e == NULL) {
        return bao_note(client, status, "get", queue, "");
    }
    if (has_next(e, subscription)) {
        hand_over(e, subscription, now_or_settled_us(e), item);
    } else {
        status = bao_wait_for(e, has_next, subscription, wait_ms);
        status = status == BAOZI_TIMEOUT ? BAOZI_EMPTY : status;
        if (status == BAOZI_OK) {
            hand_over(e, subscription, bao_time_monotonic_us(), item);
        }
    }
    if (status == BAOZI_OK && item->hidden == NULL) {
        status = subscription->status;
        memcpy(detail, subscription->detail, sizeof detail);
    }
    if (status == BAOZI_OK) {
        bao_leave(e);
        return status;
    }
    bao_unlock(e);
    (void)bao_note(client, status, "get", queue, detail);
    bao_unpin(e);
    return status;
}

enum baozi_status baozi_credit(struct baozi_subscription *subscription,
                               uint32_t items,
                               uint64_t bytes)
{
    enum baozi_status status;
    struct bao_engine *e = enter(subscription, &status);
    if (e != NULL) {
        if (subscription->ended) {
            status = subscription->status;
        } else {
            bao_dialogue_credit(
                e->dialogue, &subscription->request, items, bytes);
            bao_pump(e);
        }
    }
    bao_unlock(e);
    (void)bao_note(subscription->client,
                   status,
                   "credit",
                   bao_span_text(subscription->queue),
                   "");
    bao_unpin(e);
    return status;
}

static bool has_ended(struct bao_engine *e, void *thing)
{
    (void)e;
    const struct baozi_subscription *subscription = thing;
    return subscription->ended;
}

enum baozi_status baozi_unsubscribe(struct baozi_subscription *subscription)
{
    enum baozi_status status;
    struct bao_engine *e = enter(subscription, &status);
    if (e == NULL && status == BAOZI_SESSION_GONE) {
        free(subscription); /* its buffer is the parent's */
        return BAOZI_OK;
    }
    if (e != NULL) {
        if (!subscription->ended) {
            bao_dialogue_cancel(
                e->dialogue, bao_time_monotonic_us(), &subscription->request);
            status = bao_wait_for(e,
                                  has_ended,
                                  subscription,
                                  (int64_t)e->settings->connect_timeout_ms);
            bao_dialogue_forget(e->dialogue, &subscription->request);
        }
        drop_items(e, subscription, false);
        bao_pump(e);
        bao_unlock(e);
        bao_unpin(e);
        free(subscription);
    }
    return status == BAOZI_TIMEOUT ? BAOZI_CONNECTION_LOST : status;
}
