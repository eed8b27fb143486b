/*
 * queues.c - one row a queue. Times are short, so that in some seconds of a
 * run everything ends, comes back, dies and expires.
 */
#include "tests/sim/queues.h"

#include "tests/sim/disk.h"

#define SET(NAME) BAO_OPTION_BIT(NAME)
#define USUAL                                                         \
    (SET(MAXSIZE) | SET(LEASE) | SET(MAX_RUN) | SET(MAX_DELIVERIES) | \
     SET(BACKOFF_BASE) | SET(BACKOFF_CAP) | SET(RESULT_TTL))
#define TIMES                                                    \
    .lease_ms = 1500, .max_run_ms = 6000, .backoff_base_ms = 20, \
    .backoff_cap_ms = 300, .result_ttl_ms = 4000

const struct sim_queue sim_queues[SIM_QUEUES] = {
    [SIM_FIFO] = {.name = "fifo",
                  .options = {.present = USUAL,
                              .maxsize = 5,
                              .max_deliveries = 6,
                              TIMES}},
    [SIM_LIFO] = {.name = "lifo",
                  .options = {.present = USUAL | SET(KIND),
                              .kind = BAO_KIND_LIFO,
                              .maxsize = 6,
                              .max_deliveries = 5,
                              TIMES}},
    [SIM_PRIO] = {.name = "prio",
                  .options = {.present = USUAL | SET(KIND) | SET(BOUND),
                              .kind = BAO_KIND_PRIORITY,
                              .bound = BAO_BOUND_TOTAL,
                              .maxsize = 6,
                              .max_deliveries = 5,
                              TIMES}},
    [SIM_COUNTED] = {.name = "count",
                     .options = {.present = USUAL | SET(ACCOUNTING),
                                 .accounting = BAO_ACCOUNTING_COUNT,
                                 .maxsize = 4,
                                 .max_deliveries = 8,
                                 TIMES}},
    [SIM_DROP] = {.name = "drop",
                  .options = {.present = USUAL | SET(OVERFLOW),
                              .overflow = BAO_OVERFLOW_DROP_OLDEST,
                              .maxsize = 4,
                              .max_deliveries = 3,
                              TIMES}},
    [SIM_REJECT] = {.name = "reject",
                    .options = {.present = USUAL | SET(OVERFLOW) |
                                           SET(DEDUP_WINDOW) | SET(DEDUP_MAX) |
                                           SET(DEAD_MAX),
                                .overflow = BAO_OVERFLOW_REJECT,
                                .maxsize = 4,
                                .max_deliveries = 2,
                                .dedup_window_ms = 3000,
                                .dedup_max = 4,
                                .dead_max = 3,
                                TIMES},
                    .redriven = true,
                    .keyed = true},
    [SIM_WILD] = {.name = "wild",
                  .options = {.present = USUAL | SET(TTL) | SET(DEAD_TTL) |
                                         SET(GROUP_TTL),
                              .maxsize = 8,
                              .max_deliveries = 2,
                              .ttl_ms = 2500,
                              .dead_ttl_ms = 3000,
                              .group_ttl_ms = 1000,
                              TIMES},
                  .delays = true,
                  .expires = true,
                  .operated = true,
                  .redriven = true},
    [SIM_BULK] = {.name = "bulk",
                  .options = {.present = USUAL | SET(MAX_BYTES),
                              .maxsize = 0,
                              .max_bytes = 300000,
                              .max_deliveries = 4,
                              TIMES},
                  .large = true},
};

void queues_choose_levels(struct sim *sim)
{
    bool mixed = sim->disk != NULL && sim_chance(sim, 500);
    for (unsigned i = 0; i < SIM_QUEUES; i++) {
        enum bao_level level = BAO_LEVEL_DEFAULT;
        if (mixed && sim_chance(sim, 300)) {
            level = BAO_LEVEL_MEMORY;
        } else if (sim->disk != NULL && !disk_may_be_cut(sim) &&
                   (i == SIM_FIFO || i == SIM_PRIO)) {
            level = BAO_LEVEL_OS;
        }
        sim->levels[i] = (uint8_t)level;
    }
}

enum bao_level queue_level(const struct sim *sim, unsigned queue)
{
    return (enum bao_level)sim->levels[queue];
}

bool queue_is_kept(const struct sim *sim, unsigned queue)
{
    return sim->disk != NULL &&
           (queue >= SIM_QUEUES || sim->levels[queue] != BAO_LEVEL_MEMORY);
}
