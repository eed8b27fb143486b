/*
 * take.c - idle slots take items in turn.
 *
 * One idle slot has the turn and waits at the broker, the others wait for
 * the turn: however many slots are idle, one call waits. The subscription
 * belongs to who has the turn.
 */
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "worker/crew.h"

#define LOOK_MS  200  /* how often the waiting one looks around */
#define AGAIN_MS 1000 /* after a queue went away */

static bool goes_on(struct bao_slot *slot)
{
    return bao_crew_phase(slot->crew) == BAO_PHASE_RUNNING && slot->asked;
}

static enum baozi_status subscribe(struct bao_crew *crew)
{
    const struct bao_worker_settings *settings = crew->settings;
    const struct baozi_get_options options = {
        .size = sizeof options, .lease_ms = (uint32_t)settings->lease_ms};
    return baozi_subscribe(crew->client,
                           settings->queue,
                           (uint32_t)(settings->children + settings->prefetch),
                           0,
                           &options,
                           &crew->subscription);
}

/* Says once that the broker is away, and once that it is back. */
static void note_away(struct bao_crew *crew, bool away)
{
    if (crew->away == away)
        return;
    crew->away = away;
    if (away)
        BAO_CREW_LOG(crew,
                     BAO_LOG_WARNING,
                     bao_event("broker_away"),
                     bao_text("url", baozi_url(crew->client)));
    else
        BAO_CREW_LOG(crew,
                     BAO_LOG_INFO,
                     bao_event("broker_back"),
                     bao_text("url", baozi_url(crew->client)));
}

/* Says once that the queue was deleted, or lost with the broker's memory, and
 * once that it is back. It is not made again: whoever deleted it may be about
 * to make it with other options. */
static void note_gone(struct bao_crew *crew, bool gone)
{
    if (crew->gone == gone)
        return;
    crew->gone = gone;
    if (gone)
        BAO_CREW_LOG(crew,
                     BAO_LOG_WARNING,
                     bao_event("queue_gone"),
                     bao_text("queue", crew->settings->queue),
                     bao_text("meaning",
                              "it was deleted, or the broker restarted without "
                              "it; waiting until it is made again"));
    else
        BAO_CREW_LOG(crew,
                     BAO_LOG_INFO,
                     bao_event("queue_back"),
                     bao_text("queue", crew->settings->queue));
}

/* Nothing came: is the broker away, or is that the end? */
static void look_around(struct bao_crew *crew)
{
    bool away = baozi_connect(crew->client, 0) != BAOZI_OK;
    note_away(crew, away);
    if (away)
        return;
    note_gone(crew, false);
    struct baozi_queue_stat stat = {.size = sizeof stat};
    if (crew->settings->until_empty &&
        baozi_stat(crew->client, crew->settings->queue, &stat) == BAOZI_OK &&
        stat.unfinished == 0)
        bao_crew_want_drain(crew, 0);
}

/* The subscription cannot go on; makes room for a new one, or ends it all. */
static void subscription_ended(struct bao_crew *crew, enum baozi_status status)
{
    char why[512];
    (void)baozi_explain(crew->client, why, sizeof why);
    why[strcspn(why, "\n")] = '\0';
    if (crew->subscription != NULL)
        (void)baozi_unsubscribe(crew->subscription);
    crew->subscription = NULL;
    if (status == BAOZI_SHUTDOWN) {
        BAO_CREW_LOG(crew,
                     BAO_LOG_INFO,
                     bao_event("queue_shut_down"),
                     bao_text("queue", crew->settings->queue));
        bao_crew_want_drain(crew, 0);
        return;
    }
    if (status == BAOZI_DENIED || status == BAOZI_BAD_REQUEST ||
        status == BAOZI_BAD_VERSION) {
        (void)pthread_mutex_lock(&crew->lock);
        (void)bao_complain_status(
            bao_worker_program.name, crew->client, status);
        (void)pthread_mutex_unlock(&crew->lock);
        bao_crew_want_drain(crew, baozi_status_exit_code(status));
        return;
    }
    if (status == BAOZI_NOT_FOUND && crew->settings->until_empty) {
        bao_crew_want_drain(crew, 0);
        return;
    }
    if (status == BAOZI_NOT_FOUND)
        note_gone(crew, true);
    else
        BAO_CREW_LOG(crew,
                     BAO_LOG_WARNING,
                     bao_event("subscription_ended"),
                     bao_text("why", why));
    struct pollfd polled = {.fd = crew->drain_fd, .events = POLLIN};
    (void)poll(&polled, 1, AGAIN_MS);
}

/* Waits for an item, having the turn. */
static bool take_in_turn(struct bao_slot *slot, struct baozi_item *item)
{
    struct bao_crew *crew = slot->crew;
    for (;;) {
        (void)pthread_mutex_lock(&crew->lock);
        bool on = goes_on(slot);
        (void)pthread_mutex_unlock(&crew->lock);
        if (!on)
            return false;
        enum baozi_status status =
            crew->subscription != NULL ? BAOZI_OK : subscribe(crew);
        if (status == BAOZI_OK)
            status = baozi_next(crew->subscription, LOOK_MS, item);
        if (status == BAOZI_OK) {
            note_away(crew, false);
            note_gone(crew, false);
            return true;
        }
        if (status == BAOZI_EMPTY)
            look_around(crew);
        else if (status == BAOZI_CONNECTION_LOST)
            note_away(crew, true);
        else if (status != BAOZI_INTERRUPTED)
            subscription_ended(crew, status);
    }
}

bool bao_crew_take(struct bao_slot *slot, struct baozi_item *item)
{
    struct bao_crew *crew = slot->crew;
    (void)pthread_mutex_lock(&crew->lock);
    while (crew->turn && goes_on(slot))
        (void)pthread_cond_wait(&crew->changed, &crew->lock);
    bool mine = goes_on(slot) && !crew->turn;
    if (mine)
        crew->turn = true;
    (void)pthread_mutex_unlock(&crew->lock);
    if (!mine)
        return false;

    bool taken = take_in_turn(slot, item);

    (void)pthread_mutex_lock(&crew->lock);
    crew->turn = false;
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
    return taken;
}

void bao_crew_stop_taking(struct bao_crew *crew)
{
    (void)pthread_mutex_lock(&crew->lock);
    struct baozi_subscription *subscription = NULL;
    if (!crew->turn) {
        subscription = crew->subscription;
        crew->subscription = NULL;
    }
    (void)pthread_mutex_unlock(&crew->lock);
    if (subscription != NULL)
        (void)baozi_unsubscribe(subscription);
}
