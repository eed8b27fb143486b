/*
 * report.c - the last words: what was put, confirmed, and came of it.
 */
#include "producer/report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "common/time.h"

uint64_t bao_joined_failed(const struct bao_joined *joined)
{
    const struct baozi_counts *counts = &joined->counts;
    return counts->dead + counts->expired + counts->cancelled +
           counts->dropped + counts->purged;
}

/* ", 3 duplicates"; nothing for 0. */
static void also(uint64_t count, const char *what)
{
    if (count > 0)
        (void)printf(", %llu %s", (unsigned long long)count, what);
}

static void print_fed(struct bao_feed *feed)
{
    struct bao_fed_counts counts = bao_feed_counts(feed);
    uint64_t took_us = feed->end_us - feed->begin_us;
    char duration[BAO_TEXT_BYTES];
    char queue[1024];
    (void)bao_write_escaped(queue,
                            sizeof queue,
                            feed->settings->queue,
                            strlen(feed->settings->queue));
    (void)printf("put %llu into '%s'", (unsigned long long)counts.put, queue);
    (void)printf(": %llu confirmed", (unsigned long long)counts.confirmed);
    also(counts.duplicates, "duplicates");
    also(counts.refused, "refused");
    also(counts.unknown, "not answered");
    (void)printf(" in %s",
                 bao_write_duration(duration, sizeof duration, took_us / 1000));
    if (feed->blocked_us >= 100000)
        (void)printf(", blocked %s",
                     bao_write_duration(
                         duration, sizeof duration, feed->blocked_us / 1000));
    (void)printf("\n");
}

static void print_joined(const struct bao_joined *joined)
{
    const struct baozi_counts *counts = &joined->counts;
    char duration[BAO_TEXT_BYTES];
    (void)printf("%s: %llu done",
                 joined->status == BAOZI_OK ? "joined" : "not joined",
                 (unsigned long long)counts->done);
    (void)printf(", %llu dead", (unsigned long long)counts->dead);
    also(counts->expired, "expired");
    also(counts->cancelled, "cancelled");
    also(counts->dropped, "dropped");
    also(counts->purged, "purged");
    also(counts->unfinished, "unfinished");
    (void)printf(
        " in %s\n",
        bao_write_duration(duration, sizeof duration, joined->took_us / 1000));
    for (size_t i = 0; i < counts->error_count; i++) {
        char line[1024];
        (void)printf("  error: %s\n",
                     bao_write_escaped(
                         line,
                         sizeof line,
                         counts->errors[i],
                         strnlen(counts->errors[i], sizeof counts->errors[i])));
    }
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
    (void)json_object_set_new(object, name, json_integer((json_int_t)number));
}

static void add_joined(json_t *object, const struct bao_joined *joined)
{
    const struct baozi_counts *counts = &joined->counts;
    json_t *errors = json_array();
    (void)json_object_set_new(
        object, "joined", json_boolean(joined->status == BAOZI_OK));
    set_number(object, "unfinished", counts->unfinished);
    set_number(object, "done", counts->done);
    set_number(object, "dead", counts->dead);
    set_number(object, "expired", counts->expired);
    set_number(object, "cancelled", counts->cancelled);
    set_number(object, "dropped", counts->dropped);
    set_number(object, "purged", counts->purged);
    set_number(object, "join_ms", joined->took_us / 1000);
    for (size_t i = 0; i < counts->error_count; i++) {
        char line[1024];
        (void)json_array_append_new(
            errors,
            json_string(bao_write_escaped(
                line,
                sizeof line,
                counts->errors[i],
                strnlen(counts->errors[i], sizeof counts->errors[i]))));
    }
    (void)json_object_set_new(object, "errors", errors);
}

static void print_json(struct bao_feed *feed, const struct bao_joined *joined)
{
    struct bao_fed_counts counts = bao_feed_counts(feed);
    json_t *object = json_object();
    (void)json_object_set_new(
        object, "queue", json_string(feed->settings->queue));
    set_number(object, "put", counts.put);
    set_number(object, "confirmed", counts.confirmed);
    set_number(object, "duplicates", counts.duplicates);
    set_number(object, "refused", counts.refused);
    set_number(object, "unknown", counts.unknown);
    set_number(object, "put_ms", (feed->end_us - feed->begin_us) / 1000);
    set_number(object, "blocked_ms", feed->blocked_us / 1000);
    if (joined->tried)
        add_joined(object, joined);
    (void)json_dumpf(object, stdout, JSON_COMPACT);
    (void)printf("\n");
    json_decref(object);
}

bool bao_producer_report(struct bao_feed *feed, const struct bao_joined *joined)
{
    if (feed->settings->format == BAO_FORMAT_JSON) {
        print_json(feed, joined);
    } else if (!feed->settings->quiet) {
        print_fed(feed);
        if (joined->tried)
            print_joined(joined);
    }
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}
