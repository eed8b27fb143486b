/*
 * command_words.h - the words of a story's commands, as tables.
 */
#ifndef BAO_TESTS_COMMAND_WORDS_H
#define BAO_TESTS_COMMAND_WORDS_H

#include "common/operation.h"

#define KEYWORD(word, KEY, field)                                   \
    {                                                               \
        (word), BAO_BIT(KEY), offsetof(struct bao_operation, field) \
    }

struct keyword {
    const char *word;
    uint64_t bit;
    size_t offset;
};

/* A number follows. */
static const struct keyword numbers[] = {
    KEYWORD("wait", WAIT_MS, wait_ms),
    KEYWORD("lease", LEASE_MS, lease_ms),
    KEYWORD("limit", LIMIT, limit),
    KEYWORD("items", LIMIT, limit),
    KEYWORD("bytes", BYTES, bytes),
    KEYWORD("delay", DELAY_MS, delay_ms),
    KEYWORD("ttl", TTL_MS, ttl_ms),
    KEYWORD("window", DEDUP_WINDOW_MS, dedup_window_ms),
    KEYWORD("rate", RATE, rate),
    KEYWORD("boot", BOOT, boot),
    KEYWORD("sequence", SEQUENCE, sequence),
    KEYWORD("session", SESSION, session),
    KEYWORD("had_done", DONE, done),
    KEYWORD("had_dead", DEAD, dead),
    KEYWORD("had_expired", EXPIRED, expired),
    KEYWORD("had_cancelled", CANCELLED, cancelled),
    KEYWORD("had_dropped", DROPPED, dropped),
    KEYWORD("had_purged", PURGED, purged),
};

/* A text follows. */
static const struct keyword texts[] = {
    KEYWORD("group", GROUP, group),
    KEYWORD("key", DEDUP_KEY, dedup_key),
    KEYWORD("fairness", FAIRNESS_KEY, fairness_key),
    KEYWORD("error", ERROR, error),
    KEYWORD("match", MATCH, match),
    KEYWORD("cursor", CURSOR, cursor),
};

/* The word says it all. */
static const struct {
    const char *word;
    uint64_t flag;
} flags[] = {
    {"many", BAO_FLAG_ATOMIC},
    {"unique", BAO_FLAG_UNIQUE},
    {"want_result", BAO_FLAG_WANT_RESULT},
    {"auto", BAO_FLAG_AUTO},
    {"force", BAO_FLAG_FORCE},
    {"immediate", BAO_FLAG_IMMEDIATE},
    {"with_dead", BAO_FLAG_DEAD},
    {"no_body", BAO_FLAG_NO_BODY},
    {"more", BAO_FLAG_MORE},
};

static const struct {
    const char *word;
    uint64_t state;
} states[] = {
    {"ready", BAO_STATE_READY},
    {"delayed", BAO_STATE_DELAYED},
    {"leased", BAO_STATE_LEASED},
    {"dead", BAO_STATE_DEAD},
    {"taken", BAO_STATE_TAKEN},
};

/* Values of options that have names. */
static const struct {
    const char *word;
    uint64_t value;
} values[] = {
    {"fifo", BAO_KIND_FIFO},
    {"lifo", BAO_KIND_LIFO},
    {"priority", BAO_KIND_PRIORITY},
    {"ready", BAO_BOUND_READY},
    {"total", BAO_BOUND_TOTAL},
    {"block", BAO_OVERFLOW_BLOCK},
    {"reject", BAO_OVERFLOW_REJECT},
    {"drop_oldest", BAO_OVERFLOW_DROP_OLDEST},
    {"lease", BAO_ACCOUNTING_LEASE},
    {"count", BAO_ACCOUNTING_COUNT},
    {"memory", BAO_LEVEL_MEMORY},
    {"os", BAO_LEVEL_OS},
    {"disk", BAO_LEVEL_DISK},
    {"quorum", BAO_LEVEL_QUORUM},
    {"in", BAO_DIRECTION_IN},
    {"out", BAO_DIRECTION_OUT},
    {"both", BAO_DIRECTION_IN | BAO_DIRECTION_OUT},
};

static const struct {
    const char *name;
    uint64_t bit;
    size_t offset;
} options[] = {
#define X(number, NAME, field, fallback, max) \
    {#field, BAO_OPTION_BIT(NAME), offsetof(struct bao_queue_options, field)},
    BAO_OPTION_TABLE(X)
#undef X
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#endif
