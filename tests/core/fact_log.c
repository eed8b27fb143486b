/*
 * fact_log.c - each fact as the record that a log would have of it; zeros
 * stand for the payloads.
 */
#include "tests/core/fact_log.h"

#include "tests/lib/random_fact.h"
#include "tests/lib/unit.h"

struct fact_record {
    size_t bytes;
    uint8_t data[];
};

static struct fact_record *record_of(const struct bao_fact *fact)
{
    static uint8_t code[BAO_FACT_CODE_MAX];
    size_t code_bytes = bao_fact_encode(fact, code);
    size_t bytes = code_bytes + fact_payload_bytes(fact);
    struct fact_record *record = calloc(1, sizeof(*record) + bytes);
    assert_non_null(record);
    record->bytes = bytes;
    memcpy(record->data, code, code_bytes);
    return record;
}

static void apply(const struct fact_record *record, struct bao_core *core)
{
    static struct bao_fact_room room;
    struct bao_fact fact;
    const char *why = "";
    struct bao_span bytes = bao_span_of(record->data, record->bytes);
    if (bao_fact_decode(bytes, &room, &fact, &why) != BAOZI_OK) {
        fail_msg("a fact of the core is not valid: %s", why);
    }
    bao_core_apply(core, &fact);
}

void fact_log_add(struct fact_log *log, const struct bao_fact *fact)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : log->capacity * 2;
        void *records =
            realloc(log->records, log->capacity * sizeof(struct fact_record *));
        assert_non_null(records);
        log->records = records;
    }
    log->records[log->count++] = record_of(fact);
}

void fact_log_replay(const struct fact_log *log,
                     size_t from,
                     struct bao_core *core)
{
    for (size_t i = from; i < log->count; i++) {
        apply(log->records[i], core);
    }
}

void fact_log_fini(struct fact_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->records[i]);
    }
    free(log->records);
    *log = (struct fact_log){0};
}

void fact_log_pass(const struct bao_fact *fact, struct bao_core *core)
{
    struct fact_record *record = record_of(fact);
    apply(record, core);
    free(record);
}
