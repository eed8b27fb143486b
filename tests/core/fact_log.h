/*
 * fact_log.h - facts kept in memory, as bytes: the log of a test's broker.
 */
#ifndef BAO_TESTS_FACT_LOG_H
#define BAO_TESTS_FACT_LOG_H

#include "broker/core/core.h"

struct fact_record;

struct fact_log {
    struct fact_record **records; /* owned */
    size_t count;
    size_t capacity;
};

void fact_log_add(struct fact_log *log, const struct bao_fact *fact);
/* Applies those from the `from`-th on to a core that has all before. */
void fact_log_replay(const struct fact_log *log,
                     size_t from,
                     struct bao_core *core);
void fact_log_fini(struct fact_log *log);

/* Applies one fact, after it was bytes. */
void fact_log_pass(const struct bao_fact *fact, struct bao_core *core);

#endif
