/*
 * fact_log.h - facts kept in memory: the log of a test's broker.
 */
#ifndef BAO_TESTS_FACT_LOG_H
#define BAO_TESTS_FACT_LOG_H

#include "broker/core/core.h"

struct fact_log {
    struct bao_fact **facts; /* owned, all that they point at too */
    size_t count;
    size_t capacity;
};

/* Copies a fact and everything that it points at. */
void fact_log_add(struct fact_log *log, const struct bao_fact *fact);
/* Applies all of them to a fresh core. */
void fact_log_replay(const struct fact_log *log, struct bao_core *core);
void fact_log_fini(struct fact_log *log);

#endif
