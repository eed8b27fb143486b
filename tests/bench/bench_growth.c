/*
 * bench_growth.c - what an operation of the core costs as things grow.
 *
 *     bench_growth [SCALE]    one tenth of all sizes with SCALE 10, default 1
 *
 * Prints "what,size,ns" lines: nanoseconds of processor time for one item.
 *
 * items    put, get, done, ack of one item beside a backlog of that many
 * queues   the same, each time on another of that many queues
 * waiting  a put that one of that many waiting consumers gets, its done, and
 *          its next get
 * leases   one lease of that many that run out in the same moment
 */
#include <inttypes.h>

/* Addresses, not memory: a core lets in only what it could hand out at once,
 * a record and a lease for each item. */
#define MEMORY_BYTES ((size_t)8 << 30)
#include "tests/bench/core_load.h"

#define LEAST_S 0.15

static void say(const char *what, uint64_t size, double ns)
{
    (void)printf("%s,%" PRIu64 ",%.0f\n", what, size, ns);
    (void)fflush(stdout);
}

static void close_bench(struct bench *bench)
{
    (void)munmap(bench->memory, MEMORY_BYTES);
}

static void grow_items(struct bench *bench, uint64_t size)
{
    struct bao_operation op = {.present = 0};
    prepare(bench, &op, BAO_KIND_FIFO, 1);
    fill(bench, &op, size);
    uint64_t count = 0;
    const double start = seconds_now();
    while (seconds_now() - start < LEAST_S) {
        for (int i = 0; i < 256; i++, count++) {
            cycle(bench, &op);
        }
    }
    say("items", size, (seconds_now() - start) * 1e9 / (double)count);
    close_bench(bench);
}

static void grow_queues(struct bench *bench, uint64_t size)
{
    char name[32];
    struct bao_operation op = {.present = 0};
    prepare(bench, &op, BAO_KIND_FIFO, 1);
    bench->queue = name;
    for (uint64_t i = 0; i < size; i++) {
        (void)snprintf(name, sizeof name, "q%" PRIu64, i);
        declare(bench, &op, BAO_KIND_FIFO);
    }
    uint64_t count = 0;
    const double start = seconds_now();
    while (seconds_now() - start < LEAST_S) {
        for (int i = 0; i < 256; i++, count++) {
            (void)snprintf(name,
                           sizeof name,
                           "q%" PRIu64,
                           count * UINT64_C(2654435761) % size);
            cycle(bench, &op);
        }
    }
    say("queues", size, (seconds_now() - start) * 1e9 / (double)count);
    close_bench(bench);
}

/* A get of one more consumer that waits for ever. */
static void
wait_for_item(struct bench *bench, struct bao_operation *op, uint64_t rid)
{
    (void)operation_new(bench, op, BAO_VERB_GET, rid);
    BAO_SET(op, LIMIT, limit, 1);
    step(bench, op);
}

/* All consumers but the first wait; the first puts. They are served in their
 * order, so who got an item is known. */
static void grow_waiting(struct bench *bench, uint64_t size)
{
    struct bao_operation op = {.present = 0};
    prepare(bench, &op, BAO_KIND_FIFO, 1);
    uint64_t *rids = calloc(size, sizeof *rids);
    if (rids == NULL) {
        fail("no memory");
    }
    uint64_t put_rid = bench->rid;
    for (uint64_t i = 0; i < size; i++) {
        bench->peer = 2 + i;
        hello(bench, &op);
        wait_for_item(bench, &op, ++rids[i]);
    }
    uint64_t count = 0;
    const double start = seconds_now();
    while (seconds_now() - start < LEAST_S) {
        for (int i = 0; i < 64; i++, count++) {
            uint64_t who = count % size;
            bench->peer = 1;
            bench->rid = put_rid++;
            put(bench, &op, 1);
            ack(bench, &op, bench->rid - 1, bench->rid - 1);
            bench->peer = 2 + who;
            bao_store64(bench->tokens, bench->token);
            (void)operation_new(bench, &op, BAO_VERB_DONE, ++rids[who]);
            BAO_SET(&op, IDS, ids, bao_span_of(bench->ids, 8));
            BAO_SET(&op, TOKENS, tokens, bao_span_of(bench->tokens, 8));
            step(bench, &op);
            ack(bench, &op, rids[who] - 1, rids[who]);
            wait_for_item(bench, &op, ++rids[who]);
        }
    }
    say("waiting", size, (seconds_now() - start) * 1e9 / (double)count);
    free(rids);
    close_bench(bench);
}

/* Leases all of `size` items for a second, lets it pass, and returns the
 * seconds that their end takes. */
static double end_leases(struct bench *bench, uint64_t size)
{
    struct bao_operation op = {.present = 0};
    prepare(bench, &op, BAO_KIND_FIFO, 1);
    fill(bench, &op, size);
    for (uint64_t left = size; left > 0; left -= bench->got) {
        (void)operation_new(bench, &op, BAO_VERB_GET, bench->rid);
        BAO_SET(&op, LIMIT, limit, left < BATCH_MAX ? left : BATCH_MAX);
        BAO_SET(&op, LEASE_MS, lease_ms, 1000);
        step(bench, &op);
        ack(bench, &op, bench->rid, bench->rid);
        bench->rid++;
    }
    if (bao_core_leases(bench->core) != size) {
        fail("not all are leased");
    }
    bench->now_us += 1100000;
    const double start = seconds_now();
    do {
        struct bao_out out;
        bao_core_tick(bench->core, bench->now_us, &out);
    } while (bao_core_deadline(bench->core) <= bench->now_us);
    const double used = seconds_now() - start;
    if (bao_core_leases(bench->core) != 0) {
        fail("a lease did not end");
    }
    close_bench(bench);
    return used;
}

static void grow_leases(struct bench *bench, uint64_t size)
{
    double used = 0;
    uint64_t rounds = 0;
    while (used < LEAST_S && rounds < 200 && rounds * size < 100000) {
        used += end_leases(bench, size);
        rounds++;
    }
    say("leases", size, used * 1e9 / (double)(rounds * size));
}

int main(int count, char **words)
{
    static struct bench bench;
    const uint64_t scale = count > 1 ? strtoull(words[1], NULL, 10) : 1;
    const uint64_t by = scale == 0 ? 1 : scale;
    for (uint64_t size = 1000; size <= 10000000 / by; size *= 10) {
        grow_items(&bench, size);
    }
    for (uint64_t size = 1; size <= 10000 / by; size *= 10) {
        grow_queues(&bench, size);
    }
    static const uint64_t waiting[] = {1, 10, 100, 1000, 5000};
    for (size_t i = 0; i < 5 && waiting[i] <= 5000 / by; i++) {
        grow_waiting(&bench, waiting[i]);
    }
    for (uint64_t size = 1; size <= 10000 / by; size *= 10) {
        grow_leases(&bench, size);
    }
    return 0;
}
