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

#include "tests/bench/core_load.h"

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
