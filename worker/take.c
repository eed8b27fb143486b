/*
 * take.c - idle slots take items in turn.
 *
 * One idle slot has the turn and waits at the broker, the others wait for
 * the turn: however many slots are idle, one call waits. The subscription
 * belongs to who has the turn.
 */
#include <poll.h>
#include <unistd.h>

#include "worker/pool.h"

#define LOOK_MS  200  /* how often the waiting one looks around */
#define AGAIN_MS 1000 /* after a queue went away */

static bool goes_on(struct bao_slot *slot)
{
    return bao_pool_phase(slot->pool) == BAO_PHASE_RUNNING && slot->asked;
}

static enum baozi_status subscribe(struct bao_pool *pool)
{
    const struct bao_settings *settings = pool->settings;
    const struct baozi_get_options options = {
        .size = sizeof options, .lease_ms = (uint32_t)settings->lease_ms};
    return baozi_subscribe(pool->client,
                           settings->queue,
                           (uint32_t)(settings->children + settings->prefetch),
                           0,
                           &options,
                           &pool->subscription);
}

/* Says once that the broker is away, and once that it is back. */
static void note_away(struct bao_pool *pool, bool away)
{
    if (pool->away == away)
        return;
    pool->away = away;
    if (away)
        BAO_POOL_LOG(pool,
                     BAO_LOG_WARNING,
                     bao_event("broker_away"),
                     bao_text("url", baozi_url(pool->client)));
    else
        BAO_POOL_LOG(pool,
                     BAO_LOG_INFO,
                     bao_event("broker_back"),
                     bao_text("url", baozi_url(pool->client)));
}

/* The queue was empty: is that the end? */
static void look_whether_over(struct bao_pool *pool)
{
    struct baozi_queue_stat stat = {.size = sizeof stat};
    if (pool->settings->until_empty &&
        baozi_stat(pool->client, pool->settings->queue, &stat) == BAOZI_OK &&
        stat.unfinished == 0)
        bao_pool_want_drain(pool, 0);
}

/* The subscription cannot go on; makes room for a new one, or ends it all. */
static void subscription_ended(struct bao_pool *pool, enum baozi_status status)
{
    char why[512];
    (void)baozi_explain(pool->client, why, sizeof why);
    if (pool->subscription != NULL)
        (void)baozi_unsubscribe(pool->subscription);
    pool->subscription = NULL;
    if (status == BAOZI_SHUTDOWN) {
        BAO_POOL_LOG(pool,
                     BAO_LOG_INFO,
                     bao_event("queue_shut_down"),
                     bao_text("queue", pool->settings->queue));
        bao_pool_want_drain(pool, 0);
        return;
    }
    if (status == BAOZI_DENIED || status == BAOZI_BAD_REQUEST ||
        status == BAOZI_BAD_VERSION) {
        (void)pthread_mutex_lock(&pool->lock);
        (void)bao_complain(bao_worker_program.name,
                           baozi_status_exit_code(status),
                           why,
                           NULL,
                           NULL);
        (void)pthread_mutex_unlock(&pool->lock);
        bao_pool_want_drain(pool, baozi_status_exit_code(status));
        return;
    }
    BAO_POOL_LOG(pool,
                 BAO_LOG_WARNING,
                 bao_event("subscription_ended"),
                 bao_text("why", why));
    struct pollfd polled = {.fd = pool->drain_fd, .events = POLLIN};
    (void)poll(&polled, 1, AGAIN_MS);
}

/* Waits for an item, having the turn. */
static bool take_in_turn(struct bao_slot *slot, struct baozi_item *item)
{
    struct bao_pool *pool = slot->pool;
    for (;;) {
        (void)pthread_mutex_lock(&pool->lock);
        bool on = goes_on(slot);
        (void)pthread_mutex_unlock(&pool->lock);
        if (!on)
            return false;
        enum baozi_status status =
            pool->subscription != NULL ? BAOZI_OK : subscribe(pool);
        if (status == BAOZI_OK)
            status = baozi_next(pool->subscription, LOOK_MS, item);
        if (status == BAOZI_OK || status == BAOZI_EMPTY)
            note_away(pool, false);
        if (status == BAOZI_OK)
            return true;
        if (status == BAOZI_EMPTY)
            look_whether_over(pool);
        else if (status == BAOZI_CONNECTION_LOST)
            note_away(pool, true);
        else if (status != BAOZI_INTERRUPTED)
            subscription_ended(pool, status);
    }
}

bool bao_pool_take(struct bao_slot *slot, struct baozi_item *item)
{
    struct bao_pool *pool = slot->pool;
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->turn && goes_on(slot))
        (void)pthread_cond_wait(&pool->changed, &pool->lock);
    bool mine = goes_on(slot) && !pool->turn;
    if (mine)
        pool->turn = true;
    (void)pthread_mutex_unlock(&pool->lock);
    if (!mine)
        return false;

    bool taken = take_in_turn(slot, item);

    (void)pthread_mutex_lock(&pool->lock);
    pool->turn = false;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    return taken;
}
