/*
 * feed.c - items on their way into the queue.
 *
 * The library's calls are made in slices of 100 ms, so that progress is
 * drawn and signals are noticed while the queue is full.
 */
#include "producer/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/input.h"
#include "common/limits.h"
#include "common/text.h"
#include "common/time.h"

#define SLICE_MS       100
#define LAST_CHANCE_US 1000000 /* for confirmations after a signal */

struct bao_ticket {
    struct bao_feed *feed;
    struct bao_ticket *next; /* free ones */
    uint64_t number;         /* of the item among all, from 1 */
};

bool bao_feed_init(struct bao_feed *feed,
                   const struct bao_producer_settings *settings,
                   const struct bao_producer_signals *signals,
                   struct baozi *client)
{
    /* answers may be told a little after their places are free again */
    size_t count = 2 * (size_t)settings->window;
    *feed = (struct bao_feed){
        .settings = settings,
        .signals = signals,
        .client = client,
        .tickets = calloc(count, sizeof *feed->tickets),
        .begin_us = bao_time_monotonic_us(),
    };
    feed->end_us = feed->begin_us;
    if (feed->tickets == NULL)
        return false;
    (void)pthread_mutex_init(&feed->lock, NULL);
    for (size_t i = 0; i < count; i++) {
        feed->tickets[i].feed = feed;
        feed->tickets[i].next = feed->free_tickets;
        feed->free_tickets = &feed->tickets[i];
    }
    bao_progress_begin(&feed->progress,
                       "put",
                       settings->cooks ? settings->count : 0,
                       settings->quiet);
    return true;
}

void bao_feed_fini(struct bao_feed *feed)
{
    free(feed->tickets);
    feed->tickets = NULL;
    (void)pthread_mutex_destroy(&feed->lock);
}

struct bao_fed_counts bao_feed_counts(struct bao_feed *feed)
{
    (void)pthread_mutex_lock(&feed->lock);
    struct bao_fed_counts counts = {
        .put = feed->put,
        .confirmed = feed->confirmed,
        .duplicates = feed->duplicates,
        .refused = feed->refused,
        .failed_number = feed->failed_number,
        .failure = feed->failure,
    };
    (void)pthread_mutex_unlock(&feed->lock);
    counts.unknown =
        counts.put - counts.confirmed - counts.duplicates - counts.refused;
    return counts;
}

/* Counts one answer. The lock is held. */
static void count_answer(struct bao_feed *feed,
                         uint64_t number,
                         enum baozi_status status,
                         const struct baozi_receipt *receipt)
{
    if (status == BAOZI_OK && receipt != NULL && receipt->duplicate)
        feed->duplicates++;
    else if (status == BAOZI_OK)
        feed->confirmed++;
    else if (status != BAOZI_CONNECTION_LOST && status != BAOZI_SESSION_GONE &&
             status != BAOZI_CLOSED)
        feed->refused++; /* else nobody knows */
    if (status != BAOZI_OK &&
        (feed->failure == BAOZI_OK || number < feed->failed_number)) {
        feed->failure = status;
        feed->failed_number = number;
    }
}

/* Called by the library, from any thread. */
static void on_answer(void *context,
                      enum baozi_status status,
                      const struct baozi_receipt *receipt)
{
    struct bao_ticket *ticket = context;
    struct bao_feed *feed = ticket->feed;
    (void)pthread_mutex_lock(&feed->lock);
    count_answer(feed, ticket->number, status, receipt);
    ticket->next = feed->free_tickets;
    feed->free_tickets = ticket;
    (void)pthread_mutex_unlock(&feed->lock);
}

/* A ticket for the next item; NULL: all are under way. */
static struct bao_ticket *take_ticket(struct bao_feed *feed)
{
    (void)pthread_mutex_lock(&feed->lock);
    struct bao_ticket *ticket = feed->free_tickets;
    if (ticket != NULL)
        feed->free_tickets = ticket->next;
    (void)pthread_mutex_unlock(&feed->lock);
    return ticket;
}

static void draw(struct bao_feed *feed)
{
    char note[64] = "";
    char blocked[BAO_TEXT_BYTES];
    if (!feed->progress.shows)
        return;
    if (feed->blocked_us >= 100000)
        (void)snprintf(note,
                       sizeof note,
                       "blocked %s",
                       bao_write_duration(
                           blocked, sizeof blocked, feed->blocked_us / 1000));
    struct bao_fed_counts counts = bao_feed_counts(feed);
    bao_progress_draw(
        &feed->progress, counts.confirmed + counts.duplicates, note);
}

static bool has_failed(struct bao_feed *feed)
{
    return bao_feed_counts(feed).failure != BAOZI_OK;
}

/* Waits until --rate allows one more. False: a signal came. */
static bool wait_for_rate(struct bao_feed *feed)
{
    if (feed->settings->rate == 0)
        return feed->signals->count == 0;
    uint64_t now_us = bao_time_monotonic_us();
    if (feed->next_us == 0 || now_us > feed->next_us + 1000000)
        feed->next_us = now_us; /* what was missed is not caught up */
    while (now_us < feed->next_us) {
        uint64_t wait_ms = (feed->next_us - now_us) / 1000 + 1;
        draw(feed);
        if (bao_input_wait(-1,
                           feed->signals->fd,
                           wait_ms < SLICE_MS ? (int64_t)wait_ms : SLICE_MS) <
            0)
            return false;
        now_us = bao_time_monotonic_us();
    }
    feed->next_us += 1000000 / feed->settings->rate;
    return feed->signals->count == 0;
}

/* Hands the item to the library, waiting for room. */
static enum bao_fed put_in_window(struct bao_feed *feed,
                                  const struct baozi_payload *payload,
                                  const struct baozi_put_options *options)
{
    uint64_t begin_us = bao_time_monotonic_us();
    struct bao_ticket *ticket = NULL;
    enum baozi_status status = BAOZI_FULL;
    while (status == BAOZI_FULL || status == BAOZI_INTERRUPTED) {
        if (feed->signals->count > 0 || has_failed(feed))
            break;
        if (ticket == NULL && (ticket = take_ticket(feed)) == NULL) {
            /* the window is full; waiting in the library drives the socket */
            (void)!baozi_flush(feed->client, 1);
        } else {
            ticket->number = feed->put + 1;
            status = baozi_put_async(feed->client,
                                     feed->settings->queue,
                                     payload->data,
                                     payload->bytes,
                                     options,
                                     SLICE_MS,
                                     on_answer,
                                     ticket);
        }
        uint64_t now_us = bao_time_monotonic_us();
        if (now_us - begin_us > 1000) {
            feed->blocked_us += now_us - begin_us;
            begin_us = now_us;
        }
        draw(feed);
    }
    if (status == BAOZI_OK) {
        feed->put++;
        return BAO_FED_OK;
    }
    if (ticket != NULL) { /* no answer will come for it */
        (void)pthread_mutex_lock(&feed->lock);
        ticket->next = feed->free_tickets;
        feed->free_tickets = ticket;
        if (status != BAOZI_FULL && status != BAOZI_INTERRUPTED) {
            feed->put++;
            count_answer(feed, feed->put, status, NULL);
        }
        (void)pthread_mutex_unlock(&feed->lock);
    }
    return has_failed(feed) ? BAO_FED_FAILED : BAO_FED_STOPPED;
}

/* Puts the item and waits for its answer. */
static enum bao_fed put_alone(struct bao_feed *feed,
                              const struct baozi_payload *payload,
                              const struct baozi_put_options *options)
{
    struct baozi_receipt receipt = {0};
    uint64_t begin_us = bao_time_monotonic_us();
    enum baozi_status status = baozi_put(feed->client,
                                         feed->settings->queue,
                                         payload->data,
                                         payload->bytes,
                                         options,
                                         feed->settings->timeout_ms,
                                         &receipt);
    uint64_t took_us = bao_time_monotonic_us() - begin_us;
    if (took_us > 1000)
        feed->blocked_us += took_us;
    if (status == BAOZI_INTERRUPTED || status == BAOZI_CANCELLED)
        return BAO_FED_STOPPED;
    (void)pthread_mutex_lock(&feed->lock);
    feed->put++;
    count_answer(feed, feed->put, status, &receipt);
    (void)pthread_mutex_unlock(&feed->lock);
    draw(feed);
    return status == BAOZI_OK ? BAO_FED_OK : BAO_FED_FAILED;
}

enum bao_fed
bao_feed_put(struct bao_feed *feed, const void *payload, size_t bytes)
{
    const struct bao_producer_settings *settings = feed->settings;
    const struct baozi_payload whole = {.data = payload, .bytes = bytes};
    char key[BAO_KEY_BYTES_MAX];
    struct baozi_put_options options;
    if (!bao_put_settings_apply(&settings->put, payload, bytes, key, &options))
        return BAO_FED_BAD_KEY;
    if (!wait_for_rate(feed))
        return BAO_FED_STOPPED;
    enum bao_fed fed = settings->has_timeout || settings->cooks
                           ? put_alone(feed, &whole, &options)
                           : put_in_window(feed, &whole, &options);
    feed->end_us = bao_time_monotonic_us();
    return fed;
}

void bao_feed_flush(struct bao_feed *feed)
{
    uint64_t signalled_us = 0;
    for (;;) {
        uint64_t begin_us = bao_time_monotonic_us();
        struct bao_fed_counts counts = bao_feed_counts(feed);
        if (counts.unknown == 0)
            break;
        int signals = feed->signals->count;
        if (signals > 0 && signalled_us == 0)
            signalled_us = begin_us;
        if (signals > 1 ||
            (signalled_us != 0 && begin_us - signalled_us > LAST_CHANCE_US))
            break;
        enum baozi_status status = baozi_flush(feed->client, SLICE_MS);
        uint64_t took_us = bao_time_monotonic_us() - begin_us;
        if (took_us > 1000)
            feed->blocked_us += took_us;
        draw(feed);
        if (status == BAOZI_CLOSED || status == BAOZI_NO_MEMORY)
            break;
        if (status != BAOZI_TIMEOUT && took_us < 1000 && /* never spin */
            bao_feed_counts(feed).unknown > 0)
            (void)bao_input_wait(-1, -1, 5);
    }
    feed->end_us = bao_time_monotonic_us();
    draw(feed);
}
