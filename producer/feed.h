/*
 * feed.h - items on their way into the queue, and what became of them.
 *
 * Puts run in the background, up to --window at once, and are confirmed one
 * by one; with --timeout they go one after another. The first failure ends
 * the feed: what is under way is still confirmed or refused, nothing new is
 * accepted. Every item ends in exactly one of the counts confirmed,
 * duplicate, refused, or stays unknown if the producer ends before the
 * broker answered.
 */
#ifndef BAO_PRODUCER_FEED_H
#define BAO_PRODUCER_FEED_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/baozi.h"
#include "common/complain.h"
#include "common/progress.h"
#include "producer/settings.h"

/* Signals that came so far; written by their handler. */
struct bao_producer_signals {
    int fd; /* an eventfd, written with each one and never read */
    volatile sig_atomic_t count;
    volatile sig_atomic_t last;
};

struct bao_ticket; /* a put under way */

struct bao_feed {
    const struct bao_producer_settings *settings;
    const struct bao_producer_signals *signals;
    struct baozi *client;
    struct bao_progress progress;
    struct bao_ticket *tickets;
    uint64_t begin_us;
    uint64_t end_us;     /* of the last put or flush */
    uint64_t blocked_us; /* waiting for room */
    uint64_t next_us;    /* when --rate allows the next put */
    uint64_t put;        /* handed to the library */

    pthread_mutex_t lock; /* what follows changes in callbacks */
    struct bao_ticket *free_tickets;
    uint64_t confirmed; /* stored, without the duplicates */
    uint64_t duplicates;
    uint64_t refused;
    enum baozi_status failure; /* of the refused item put first; OK = none */
    uint64_t failed_number;    /* its place among all items, from 1 */
};

/* False: no memory. */
bool bao_feed_init(struct bao_feed *feed,
                   const struct bao_producer_settings *settings,
                   const struct bao_producer_signals *signals,
                   struct baozi *client);
/* After the client was closed: until then callbacks may come. */
void bao_feed_fini(struct bao_feed *feed);

/* What a put came to. */
enum bao_fed {
    BAO_FED_OK,
    BAO_FED_STOPPED, /* a signal came; the item was not put */
    BAO_FED_FAILED,  /* this or an earlier item was refused */
    BAO_FED_BAD_KEY  /* the payload is no good key; the item was not put */
};

/* Puts one item; waits for --rate and for room. The payload is copied. */
enum bao_fed
bao_feed_put(struct bao_feed *feed, const void *payload, size_t bytes);

/* Waits until all that was put is confirmed or refused. After a signal it
 * gives up soon, and after a second one at once. */
void bao_feed_flush(struct bao_feed *feed);

/* Under the lock taken by itself. */
struct bao_fed_counts {
    uint64_t put, confirmed, duplicates, refused, unknown, failed_number;
    enum baozi_status failure;
};
struct bao_fed_counts bao_feed_counts(struct bao_feed *feed);

#endif
