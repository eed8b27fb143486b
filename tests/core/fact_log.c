/*
 * fact_log.c - each fact is one block: the struct, then what it points at.
 */
#include "tests/core/fact_log.h"

#include "tests/lib/unit.h"

static size_t rounded(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

/* Copies `bytes` to *at and moves it on; NULL stays NULL. */
static const void *put(uint8_t **at, const void *data, size_t bytes)
{
    if (data == NULL) {
        return NULL;
    }
    uint8_t *copy = *at;
    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    *at += rounded(bytes);
    return copy;
}

static void put_span(uint8_t **at, struct bao_span *span)
{
    span->data = put(at, span->data, span->bytes);
}

void fact_log_add(struct fact_log *log, const struct bao_fact *fact)
{
    size_t ids = fact->ids == NULL ? 0 : 8u * (size_t)fact->count;
    if (fact->kind == BAO_FACT_ACKED) {
        ids *= 2; /* pairs */
    }
    size_t items =
        fact->items == NULL ? 0 : fact->count * sizeof(struct bao_put_item);
    size_t bytes =
        sizeof(*fact) + ids + items + sizeof(struct bao_queue_options) +
        fact->name.bytes + fact->group.bytes + fact->dedup_key.bytes +
        fact->fairness_key.bytes + fact->error.bytes + fact->host.bytes +
        fact->client.bytes + fact->secret.bytes + 16 * 8;
    struct bao_fact *copy = malloc(bytes);
    assert_non_null(copy);
    uint8_t *at = (uint8_t *)(copy + 1);
    *copy = *fact;
    copy->ids = put(&at, fact->ids, ids);
    copy->items = put(&at, fact->items, items);
    copy->options = put(&at, fact->options, sizeof(struct bao_queue_options));
    put_span(&at, &copy->name);
    put_span(&at, &copy->group);
    put_span(&at, &copy->dedup_key);
    put_span(&at, &copy->fairness_key);
    put_span(&at, &copy->error);
    put_span(&at, &copy->host);
    put_span(&at, &copy->client);
    put_span(&at, &copy->secret);
    assert_true(at <= (uint8_t *)copy + bytes);

    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        void *facts = realloc(log->facts, log->capacity * sizeof(*log->facts));
        assert_non_null(facts);
        log->facts = facts;
    }
    log->facts[log->count++] = copy;
}

void fact_log_replay(const struct fact_log *log, struct bao_core *core)
{
    for (size_t i = 0; i < log->count; i++) {
        bao_core_apply(core, log->facts[i]);
    }
}

void fact_log_fini(struct fact_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->facts[i]);
    }
    free(log->facts);
    *log = (struct fact_log){0};
}
