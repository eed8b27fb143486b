/*
 * bench_core.c - how fast the pure core alone goes.
 *
 * Prints put/get/done cycles a second through bao_core_step(), without wire,
 * socket or disk: each kind of queue, batches of 1 and of 64, on an empty
 * queue and with a backlog. Every cycle is whole: put, get, done, and the
 * acknowledgement of the three answers.
 *
 *   build/tests/bench/bench_core [SECONDS [BACKLOG]]    0.4 and 1,000,000
 *   bench_core fixed fifo|lifo|priority BATCH CYCLES    prints nothing
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "broker/core/core.h"
#include "common/check.h"

#define MEMORY_BYTES ((size_t)1 << 30)
#define BATCH_MAX    64u
#define ITEM_BYTES   100u
#define PEER         1u

struct bench {
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
static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_core: %s\n", what);
    exit(1);
}

/* What the answers say: the leases of a get, and that nothing failed. */
static void read_answers(struct bench *bench, const struct bao_out *out)
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

static void step(struct bench *bench, const struct bao_operation *op)
{
    struct bao_command command = {.kind = BAO_COMMAND_OPERATION,
                                  .peer = PEER,
                                  .operation = op,
                                  .hold = 1};
    struct bao_out out;
    bench->now_us++;
    bao_core_step(bench->core, bench->now_us, &command, &out);
    bench->facts += out.fact_count;
    bench->steps++;
    read_answers(bench, &out);
}

static struct bao_operation *
operation_new(struct bao_operation *op, uint64_t verb, uint64_t rid)
{
    op->present = 0;
    op->options = NULL;
    op->readings = NULL;
    op->bodies = (struct bao_body_cursor){.offset = 0};
    BAO_SET(op, VERB, verb, verb);
    BAO_SET(op, RID, rid, rid);
    BAO_SET(op, QUEUE, queue, bao_span_of("jobs", 4));
    return op;
}

static void put(struct bench *bench, struct bao_operation *op, uint32_t count)
{
    (void)operation_new(op, BAO_VERB_PUT, bench->rid);
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

static void ack(struct bench *bench,
                struct bao_operation *op,
                uint64_t first,
                uint64_t last)
{
    (void)operation_new(op, BAO_VERB_ACK, 0);
    op->present = BAO_BIT(VERB);
    bao_store64(bench->ranges, first);
    bao_store64(bench->ranges + 8, last);
    BAO_SET(op, RANGES, ranges, bao_span_of(bench->ranges, 16));
    step(bench, op);
}

/* put, get, done, ack of `batch` items. */
static void cycle(struct bench *bench, struct bao_operation *op)
{
    const uint64_t first = bench->rid;
    put(bench, op, bench->batch);
    (void)operation_new(op, BAO_VERB_GET, bench->rid);
    BAO_SET(op, LIMIT, limit, bench->batch);
    step(bench, op);
    bench->rid++;
    for (uint32_t i = 0; i < bench->got; i++) {
        bao_store64(bench->tokens + 8 * (size_t)i, bench->token + i);
    }
    (void)operation_new(op, BAO_VERB_DONE, bench->rid);
    BAO_SET(op, IDS, ids, bao_span_of(bench->ids, 8u * bench->got));
    BAO_SET(op, TOKENS, tokens, bao_span_of(bench->tokens, 8u * bench->got));
    step(bench, op);
    bench->rid += bench->got;
    ack(bench, op, first, bench->rid - 1);
}

static void hello(struct bench *bench, struct bao_operation *op)
{
    static const uint8_t client[BAO_CLIENT_ID_BYTES] = {7};
    (void)operation_new(op, BAO_VERB_HELLO, 0);
    op->present &= ~BAO_BIT(QUEUE);
    BAO_SET(op, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
    BAO_SET(op, CLIENT, client, bao_span_of(client, sizeof(client)));
    step(bench, op);
}

static void
declare(struct bench *bench, struct bao_operation *op, enum bao_kind kind)
{
    const struct bao_queue_options options = {.present = BAO_OPTION_BIT(KIND),
                                              .kind = kind};
    struct bao_operation request = {.options = NULL};
    (void)operation_new(&request, BAO_VERB_DECLARE, bench->rid);
    request.options = &options;
    step(bench, &request);
    ack(bench, op, bench->rid, bench->rid);
    bench->rid++;
}

static void fill(struct bench *bench, struct bao_operation *op, uint64_t items)
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

static void open_core(struct bench *bench, void *memory)
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

static void prepare(struct bench *bench,
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

static const char *const names[] = {"fifo", "lifo", "priority"};

/* A known amount of work, for counting its instructions. */
static void run_fixed(const char *name, uint32_t batch, uint64_t cycles)
{
    static struct bench bench;
    struct bao_operation op = {.present = 0};
    unsigned kind = 0;
    while (kind < BAO_KIND_PRIORITY && strcmp(names[kind], name) != 0) {
        kind++;
    }
    if (batch == 0 || batch > BATCH_MAX) {
        fail("no such batch");
    }
    prepare(&bench, &op, (enum bao_kind)kind, batch);
    for (; cycles > 0; cycles--) {
        cycle(&bench, &op);
    }
}

static void run(enum bao_kind kind, uint32_t batch, uint64_t backlog, double s)
{
    static struct bench bench;
    struct bao_operation op = {.present = 0};
    prepare(&bench, &op, kind, batch);
    fill(&bench, &op, backlog);
    const size_t before = bao_core_memory_used(bench.core);
    uint64_t cycles = 0;
    uint64_t most_ns = 0;
    bench.facts = 0;
    bench.steps = 0;
    const double start = seconds_now();
    double now = start;
    while (now - start < s) {
        for (unsigned i = 0; i < 256; i++) {
            cycle(&bench, &op);
            cycles += batch;
        }
        const double then = now;
        now = seconds_now();
        const uint64_t ns = (uint64_t)((now - then) * 1e9 / 256);
        most_ns = ns > most_ns ? ns : most_ns;
    }
    printf("%-8s %5u %9" PRIu64 " %9.2f %8.0f %7.2f %9zu\n",
           names[kind],
           batch,
           backlog,
           (double)cycles / (now - start) / 1e6,
           (now - start) * 1e9 / (double)cycles,
           (double)bench.facts / (double)cycles,
           backlog == 0 ? 0 : before / (size_t)backlog);
    (void)munmap(bench.memory, MEMORY_BYTES);
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "fixed") == 0) {
        run_fixed(words[2],
                  (uint32_t)strtoul(words[3], NULL, 10),
                  strtoull(words[4], NULL, 10));
        return 0;
    }
    const double seconds = count > 1 ? strtod(words[1], NULL) : 0.4;
    const uint64_t backlog = count > 2 ? strtoull(words[2], NULL, 10) : 1000000;
    printf("put/get/done cycles through bao_core_step(), %u-byte items\n",
           ITEM_BYTES);
    printf("%-8s %5s %9s %9s %8s %7s %9s\n",
           "kind",
           "batch",
           "backlog",
           "million/s",
           "ns/item",
           "facts",
           "core B/it");
    for (unsigned kind = 0; kind <= BAO_KIND_PRIORITY; kind++) {
        run((enum bao_kind)kind, 1, 0, seconds);
        run((enum bao_kind)kind, BATCH_MAX, 0, seconds);
        run((enum bao_kind)kind, 1, backlog, seconds);
        run((enum bao_kind)kind, BATCH_MAX, backlog, seconds);
    }
    return 0;
}
