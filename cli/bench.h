/*
 * bench.h - what the processes of `baozi bench` share.
 *
 * The parent makes the queue, forks producers and consumers, says when to
 * begin, and reads what each left in its struct bench_side, which lies in
 * memory shared with it. When all producers are done it shuts the queue
 * down; consumers drain it, are told SHUTDOWN, and end.
 */
#ifndef BAO_CLI_BENCH_H
#define BAO_CLI_BENCH_H

#include "cli/bench_item.h"
#include "cli/cli.h"
#include "common/histogram.h"

#define BENCH_SIDES_MAX 256u

struct bench_settings {
    struct cli_common common;
    uint64_t producers, consumers;
    uint64_t item_bytes;
    uint64_t window;
    uint64_t count;       /* 0: until the time is over */
    uint64_t duration_ms; /* 0: until all are put */
    uint64_t rate;        /* items a second in all; 0: closed loop */
    uint64_t maxsize;
    int durability; /* enum baozi_durability */
    bool csv;
    bool quiet;
};

/* One process. `count` and `put` are read while it runs. */
struct bench_side {
    uint64_t put;   /* producer: handed to the library */
    uint64_t count; /* producer: confirmed; consumer: taken and settled */
    uint64_t begin_us, end_us;
    uint64_t failed;           /* producer: puts that were not confirmed */
    uint64_t doubled, altered; /* consumer */
    uint64_t late;             /* producer: left after its time */
    bool ready;
    enum baozi_status status; /* the first failure */
    struct bao_problem problem;
    struct bao_histogram latency; /* us: producer: until confirmed;
                                     consumer: until handed over */
};

struct bench_shared {
    uint32_t go; /* set by the parent once */
    uint64_t begin_us;
    struct bench_seen seen;
    struct bench_side sides[BENCH_SIDES_MAX]; /* producers first */
};

struct bench {
    struct cli *cli;
    const struct bench_settings *settings;
    struct bench_shared *shared;
    char queue[64];
    uint64_t each; /* items of one producer at most */
};

/* What was measured, in all. */
struct bench_result {
    uint64_t put, confirmed, failed, late;
    uint64_t taken, missing, doubled, altered;
    double seconds;     /* from the beginning to the last settle */
    double put_seconds; /* to the last confirmation */
    struct bao_histogram confirm, delivery;
};

/* The life of one process; returns its exit code (bench_worker.c). */
int bench_producer(struct bench *bench, uint32_t number);
int bench_consumer(struct bench *bench, uint32_t number);

/* Adds up what the sides say; prints it (bench_report.c). The exit code is 1
 * if something was missing, doubled or altered. */
void bench_add_up(const struct bench *bench, struct bench_result *result);
int bench_report(const struct bench *bench, const struct bench_result *result);

#endif
