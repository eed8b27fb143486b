/*
 * options_put.h - what may be said of the items that a program puts.
 *
 * `baozi put` and baozi-producer read the same options into the same struct:
 *
 *     struct values { ...; struct bao_put_settings put; };
 *     static const struct bao_option options[] = {
 *         BAO_OPTIONS_PUT(struct values, put), ...
 *
 * and call bao_put_settings_check() from the check of their program.
 */
#ifndef BAO_OPTIONS_PUT_H
#define BAO_OPTIONS_PUT_H

#include "common/baozi.h"
#include "common/limits.h"
#include "common/options.h"

struct bao_put_settings {
    int64_t priority;
    uint64_t delay_ms;
    uint64_t ttl_ms;
    const char *group;
    struct bao_texts headers; /* K=V */
    const char *dedup_key;    /* {} is the payload */
    uint64_t dedup_window_ms;
    bool unique; /* without a dedup_key the payload is the key */

    struct baozi_header *pairs; /* of `headers`; the options own them */
};

#define BAO_OPTIONS_PUT(type, member)                                    \
    {.name = "priority",                                                 \
     .takes = BAO_TAKES_INTEGER,                                         \
     .offset = offsetof(type, member.priority),                          \
     .least = INT32_MIN,                                                 \
     .most = INT32_MAX,                                                  \
     .help = "smaller comes first; for queues of that kind"},            \
        {.name = "delay",                                                \
         .takes = BAO_TAKES_DURATION,                                    \
         .offset = offsetof(type, member.delay_ms),                      \
         .help = "hand items out this much later"},                      \
        {.name = "ttl",                                                  \
         .takes = BAO_TAKES_DURATION,                                    \
         .offset = offsetof(type, member.ttl_ms),                        \
         .help = "items expire after this (default: the queue's)"},      \
        {.name = "group",                                                \
         .letter = 'g',                                                  \
         .takes = BAO_TAKES_TEXT,                                        \
         .offset = offsetof(type, member.group),                         \
         .value = "GROUP",                                               \
         .help = "count items in this group; see baozi join --group"},   \
        {.name = "header",                                               \
         .letter = 'H',                                                  \
         .takes = BAO_TAKES_TEXTS,                                       \
         .offset = offsetof(type, member.headers),                       \
         .value = "K=V",                                                 \
         .help = "give each item this header"},                          \
        {.name = "dedup-key",                                            \
         .takes = BAO_TAKES_TEXT,                                        \
         .offset = offsetof(type, member.dedup_key),                     \
         .value = "KEY",                                                 \
         .help = "a second item with this key is not stored; {} is the " \
                 "payload"},                                             \
        {.name = "dedup-window",                                         \
         .takes = BAO_TAKES_DURATION,                                    \
         .offset = offsetof(type, member.dedup_window_ms),               \
         .help = "how long the key holds (default: the queue's)"},       \
    {                                                                    \
        .name = "unique", .takes = BAO_TAKES_NOTHING,                    \
        .offset = offsetof(type, member.unique),                         \
        .help = "the key holds until its item is settled; without "      \
                "--dedup-key it is the payload"                          \
    }

/* What is wrong with them together; makes the pairs. */
bool bao_put_settings_check(struct bao_put_settings *settings,
                            struct bao_options *options,
                            struct bao_problem *problem);

/*
 * The settings as options of one put; `key` holds its dedup key and is lent
 * to them. False: the key of this payload is empty or has more than 256
 * bytes.
 */
bool bao_put_settings_apply(const struct bao_put_settings *settings,
                            const void *payload,
                            size_t bytes,
                            char key[BAO_KEY_BYTES_MAX],
                            struct baozi_put_options *put);

#endif
