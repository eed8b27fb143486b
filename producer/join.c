/*
 * join.c - waits until what was put is settled.
 *
 * The wait is cut into slices that each answer how much is unfinished; a
 * broker that is away for a while is waited for, as the put was.
 */
#include "producer/join.h"

#include <stdio.h>

#include "common/input.h"
#include "common/text.h"
#include "common/time.h"

#define SLICE_MS 200

static int64_t slice_ms(int64_t timeout_ms, uint64_t passed_us)
{
    if (timeout_ms < 0)
        return SLICE_MS;
    int64_t left_ms = timeout_ms - (int64_t)(passed_us / 1000);
    if (left_ms < 0)
        left_ms = 0;
    return left_ms < SLICE_MS ? left_ms : SLICE_MS;
}

static void draw(struct bao_progress *progress,
                 uint64_t all,
                 const struct baozi_counts *counts,
                 bool away)
{
    char note[96] = "";
    uint64_t open = counts->unfinished < all ? counts->unfinished : all;
    uint64_t failed = counts->dead + counts->expired + counts->cancelled +
                      counts->dropped + counts->purged;
    if (away)
        (void)snprintf(note, sizeof note, "the broker is away");
    else if (failed > 0)
        (void)snprintf(
            note, sizeof note, "%llu not done", (unsigned long long)failed);
    bao_progress_draw(progress, all - open, note);
}

void bao_producer_join(struct bao_feed *feed, struct bao_joined *joined)
{
    int64_t timeout_ms = feed->settings->join_timeout_ms;
    uint64_t all = bao_feed_counts(feed).confirmed;
    uint64_t begin_us = bao_time_monotonic_us();
    struct bao_progress progress;
    bao_progress_begin(&progress, "join", all, feed->settings->quiet);
    *joined = (struct bao_joined){.tried = true, .counts = {.unfinished = all}};
    for (;;) {
        uint64_t call_us = bao_time_monotonic_us();
        struct baozi_counts counts = {0};
        int64_t wait_ms = slice_ms(timeout_ms, call_us - begin_us);
        enum baozi_status status = baozi_join(feed->client,
                                              feed->settings->queue,
                                              BAOZI_SCOPE_MINE,
                                              NULL,
                                              wait_ms,
                                              &counts);
        joined->took_us = bao_time_monotonic_us() - begin_us;
        bool away = status == BAOZI_CONNECTION_LOST;
        if (status == BAOZI_OK || status == BAOZI_TIMEOUT)
            joined->counts = counts;
        joined->status = status;
        draw(&progress, all, &joined->counts, away);
        if (feed->signals->count > 0 && status != BAOZI_OK)
            joined->status = BAOZI_INTERRUPTED;
        bool over =
            timeout_ms >= 0 && joined->took_us / 1000 >= (uint64_t)timeout_ms;
        if ((status != BAOZI_TIMEOUT && !away) || over ||
            feed->signals->count > 0)
            break;
        if (away && bao_time_monotonic_us() - call_us < 1000) /* never spin */
            (void)bao_input_wait(-1, feed->signals->fd, SLICE_MS);
    }
    uint64_t open =
        joined->counts.unfinished < all ? joined->counts.unfinished : all;
    bao_progress_end(&progress, all - open, NULL);
}
