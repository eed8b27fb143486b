/*
 * core_load.h - requests that a bench puts to a core without wire, socket or
 * disk: put, get, done, ack, in batches.
 */
#ifndef BAO_BENCH_CORE_LOAD_H
#define BAO_BENCH_CORE_LOAD_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "broker/core/core.h"
#include "common/check.h"

#ifndef MEMORY_BYTES
#define MEMORY_BYTES ((size_t)1 << 30)
#endif
#define BATCH_MAX  64u
#define ITEM_BYTES 100u

/* One client, or many in turn, of a core alone. */
struct bench {
    const char *queue; /* of the next request */
    uint64_t peer;     /* who asks */
    void *memory;
    struct bao_core *core;
    uint64_t now_us;
    uint64_t rid;
    uint64_t facts;
    uint64_t steps;
    uint32_t batch;
    uint32_t got; /* items of the last GET answer */
    uint64_t token;
    uint8_t lengths[4 * BAO_OPERATION_ITEMS_MAX];
    uint8_t priorities[4 * BAO_OPERATION_ITEMS_MAX];
    uint8_t ids[8 * BATCH_MAX];
    uint8_t tokens[8 * BATCH_MAX];
    uint8_t ranges[16];
};

/* Seconds of processor time: nothing here ever waits. */
static inline double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline void fail(const char *what)
{
    (void)fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

/* What the answers say: the leases of a get, and that nothing failed. */
static inline void read_answers(struct bench *bench, const struct bao_out *out)
{
    for (size_t i = 0; i < out->effect_count; i++) {
        const struct bao_operation *op = out->effects[i].operation;
        if (out->effects[i].kind != BAO_EFFECT_REPLY) {
            continue;
        }
        if (bao_has(op, BAO_BIT(STATUS)) && op->status != BAOZI_OK) {
            fail("a request was refused");
        }
        if (op->verb == BAO_VERB_GET) {
            bench->got = (uint32_t)bao_column64_count(op->ids);
            memcpy(bench->ids, op->ids.data, op->ids.bytes);
            bench->token = op->token;
        }
    }
}

static inline void step(struct bench *bench, const struct bao_operation *op)
{
    struct bao_command command = {.kind = BAO_COMMAND_OPERATION,
                                  .peer = bench->peer,
                                  .operation = op,
                                  .hold = 1};
    struct bao_out out;
    bench->now_us++;
    bao_core_step(bench->core, bench->now_us, &command, &out);
    bench->facts += out.fact_count;
    bench->steps++;
    read_answers(bench, &out);
}

static inline struct bao_operation *operation_new(const struct bench *bench,
                                                  struct bao_operation *op,
                                                  uint64_t verb,
                                                  uint64_t rid)
{
    op->present = 0;
    op->options = NULL;
    op->readings = NULL;
    op->bodies = (struct bao_body_cursor){.offset = 0};
    BAO_SET(op, VERB, verb, verb);
    BAO_SET(op, RID, rid, rid);
    BAO_SET(op, QUEUE, queue, bao_span_text(bench->queue));
    return op;
}

static inline void
put(struct bench *bench, struct bao_operation *op, uint32_t count)
{
    (void)operation_new(bench, op, BAO_VERB_PUT, bench->rid);
    BAO_SET(op, LENGTHS, lengths, bao_span_of(bench->lengths, 4u * count));
    if (bench->priorities[0] != 0) {
        BAO_SET(op,
                PRIORITIES,
                priorities,
                bao_span_of(bench->priorities, 4u * count));
    }
    step(bench, op);
    bench->rid += count;
}

static inline void ack(struct bench *bench,
                       struct bao_operation *op,
                       uint64_t first,
                       uint64_t last)
{
    (void)operation_new(bench, op, BAO_VERB_ACK, 0);
    op->present = BAO_BIT(VERB);
    bao_store64(bench->ranges, first);
    bao_store64(bench->ranges + 8, last);
    BAO_SET(op, RANGES, ranges, bao_span_of(bench->ranges, 16));
    step(bench, op);
}

/* put, get, done, ack of `batch` items. */
static inline void cycle(struct bench *bench, struct bao_operation *op)
{
    const uint64_t first = bench->rid;
    put(bench, op, bench->batch);
    (void)operation_new(bench, op, BAO_VERB_GET, bench->rid);
    BAO_SET(op, LIMIT, limit, bench->batch);
    step(bench, op);
    bench->rid++;
    for (uint32_t i = 0; i < bench->got; i++) {
        bao_store64(bench->tokens + 8 * (size_t)i, bench->token + i);
    }
    (void)operation_new(bench, op, BAO_VERB_DONE, bench->rid);
    BAO_SET(op, IDS, ids, bao_span_of(bench->ids, 8u * bench->got));
    BAO_SET(op, TOKENS, tokens, bao_span_of(bench->tokens, 8u * bench->got));
    step(bench, op);
    bench->rid += bench->got;
    ack(bench, op, first, bench->rid - 1);
}

static inline void hello(struct bench *bench, struct bao_operation *op)
{
    uint8_t client[BAO_CLIENT_ID_BYTES] = {0};
    bao_store64(client, bench->peer);
    (void)operation_new(bench, op, BAO_VERB_HELLO, 0);
    op->present &= ~BAO_BIT(QUEUE);
    BAO_SET(op, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
    BAO_SET(op, CLIENT, client, bao_span_of(client, sizeof(client)));
    step(bench, op);
}

static inline void
declare(struct bench *bench, struct bao_operation *op, enum bao_kind kind)
{
    const struct bao_queue_options options = {.present = BAO_OPTION_BIT(KIND),
                                              .kind = kind};
    struct bao_operation request = {.options = NULL};
    (void)operation_new(bench, &request, BAO_VERB_DECLARE, bench->rid);
    request.options = &options;
    step(bench, &request);
    ack(bench, op, bench->rid, bench->rid);
    bench->rid++;
}

static inline void
fill(struct bench *bench, struct bao_operation *op, uint64_t items)
{
    while (items > 0) {
        const uint32_t count = items < BAO_OPERATION_ITEMS_MAX
                                   ? (uint32_t)items
                                   : BAO_OPERATION_ITEMS_MAX;
        const uint64_t first = bench->rid;
        put(bench, op, count);
        ack(bench, op, first, bench->rid - 1);
        items -= count;
    }
}

static inline void open_core(struct bench *bench, void *memory)
{
    const struct bao_core_config config = {.memory = memory,
                                           .memory_bytes = MEMORY_BYTES,
                                           .body_bytes_max = UINT64_MAX / 2,
                                           .parked_bytes_max = 1u << 20,
                                           .now_us = 1000000,
                                           .epoch = 1,
                                           .seed = 1,
                                           .level = BAO_LEVEL_MEMORY};
    bench->now_us = config.now_us;
    if (bao_core_open(&config, &bench->core) != BAOZI_OK) {
        fail("the core did not open");
    }
}

static inline void prepare(struct bench *bench,
                           struct bao_operation *op,
                           enum bao_kind kind,
                           uint32_t batch)
{
    void *memory = mmap(NULL,
                        MEMORY_BYTES,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    if (memory == MAP_FAILED) {
        fail("no memory");
    }
    memset(bench, 0, sizeof(*bench));
    bench->memory = memory;
    bench->rid = 1;
    bench->batch = batch;
    bench->queue = "jobs";
    bench->peer = 1;
    for (uint32_t i = 0; i < BAO_OPERATION_ITEMS_MAX; i++) {
        bao_store32(bench->lengths + 4 * (size_t)i, ITEM_BYTES);
        if (kind == BAO_KIND_PRIORITY) {
            bao_store32(bench->priorities + 4 * (size_t)i,
                        1 + i * 2654435761u % 1000);
        }
    }
    open_core(bench, memory);
    hello(bench, op);
    declare(bench, op, kind);
}

#endif
