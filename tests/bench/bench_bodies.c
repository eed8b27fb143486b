/*
 * bench_bodies.c - what payloads cost in memory and time, without a core.
 *
 * Prints bytes of the bodies' memory for a queued payload of 100 bytes, and
 * nanoseconds to store one and to find, lend and drop it. "log" has addresses
 * beside the bytes, "cold" addresses alone. Numbers of a queue are put in
 * batches; queues take turns.
 *
 *   build/release/tests/bench/bench_bodies [ITEMS]     default 1,000,000
 *   bench_bodies fixed memory|log|cold BATCH CYCLES    prints nothing
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "broker/bodies.h"
#include "common/check.h"

#define BODIES_BYTES ((size_t)4 << 30)
#define HOLDS_BYTES  ((size_t)8 << 20)
#define ITEM_BYTES   100u
#define BATCH_MAX    64u
#define BACKLOG      4096u

enum where { MEMORY, LOG, COLD };

static const char *const names[] = {"memory", "log", "cold"};

/* Payloads that are put and dropped, as facts of a core would say it. */
struct bench {
    enum where where;
    uint32_t batch;
    struct bao_bodies *bodies;
    struct bao_holds holds;
    struct bao_journal journal; /* gives out addresses; has no log */
    uint64_t address;
    struct bao_frame *frames[2];
    uint8_t data[BATCH_MAX * ITEM_BYTES];
    struct bao_frame small[2];
    void *memory;
};

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void stays(struct bao_frame *frame)
{
    frame->references = 0;
}

static void prepare(struct bench *bench, enum where where, uint32_t batch)
{
    *bench = (struct bench){.where = where, .batch = batch};
    bench->memory = aligned_alloc(4096, HOLDS_BYTES);
    BAO_ASSERT(bench->memory != NULL);
    bao_holds_open(&bench->holds, bao_arena_init(bench->memory, HOLDS_BYTES));
    if (bao_bodies_open(BODIES_BYTES, &bench->bodies) != BAOZI_OK)
        exit(1);
    for (unsigned i = 0; i < 2; i++) {
        bench->small[i] = (struct bao_frame){.free = stays};
        bench->frames[i] = &bench->small[i];
    }
    bench->small[1].bytes = bao_span_of(bench->data, batch * ITEM_BYTES);
    bench->address = 4096;
    if (where != MEMORY)
        bao_bodies_over(
            bench->bodies, &bench->journal, where == LOG ? BODIES_BYTES : 0);
}

static void end(struct bench *bench)
{
    bao_bodies_close(bench->bodies);
    bao_holds_close(&bench->holds);
    free(bench->memory);
}

static void put(struct bench *bench, uint64_t queue, uint64_t number)
{
    static struct bao_put_item items[BATCH_MAX];
    const uint32_t count = bench->batch;
    const struct bao_body_cursor begin = {.offset = 0};
    const struct bao_body_cursor end_at = {.offset = count * ITEM_BYTES};
    for (unsigned i = 0; i < 2; i++)
        bench->small[i].references = 1;
    const uint64_t hold =
        bao_holds_take(&bench->holds, bench->frames, begin, end_at);
    for (uint32_t i = 0; i < count; i++) {
        items[i].body = (struct bao_body){
            .hold = hold, .offset = i * ITEM_BYTES, .bytes = ITEM_BYTES};
        bench->journal.address[i] = bench->address;
        bench->address += ITEM_BYTES;
    }
    bench->address += 52; /* the next record's head, and its code */
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                                  .queue = queue,
                                  .count = count,
                                  .first_id = queue << BAO_ID_SHIFT | number,
                                  .items = items};
    bao_bodies_store(bench->bodies, &fact, &bench->holds);
    bao_bodies_drop(bench->bodies, &fact);
    bao_holds_settle(&bench->holds, hold);
    if (bench->where == COLD)
        (void)bao_bodies_sweep(bench->bodies);
}

static void take(struct bench *bench, uint64_t queue, uint64_t number)
{
    uint64_t ids[BATCH_MAX];
    struct bao_chunk *chunks[BATCH_MAX];
    const uint32_t count = bench->batch;
    for (uint32_t i = 0; i < count; i++) {
        struct bao_payload payload;
        ids[i] = queue << BAO_ID_SHIFT | (number + i);
        BAO_ASSERT(bao_bodies_find(bench->bodies, ids[i], &payload));
        chunks[i] = payload.chunk;
        if (bench->where != COLD)
            BAO_ASSERT(bao_bodies_keep(bench->bodies, ids[i], &payload));
    }
    for (uint32_t i = 0; bench->where != COLD && i < count; i++)
        bao_bodies_give(bench->bodies, chunks[i]);
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_SETTLED,
                                  .queue = queue,
                                  .count = count,
                                  .ids = ids};
    bao_bodies_store(bench->bodies, &fact, &bench->holds);
    bao_bodies_drop(bench->bodies, &fact);
}

/* A known amount of work beside a backlog, for counting its instructions. */
static void run_fixed(enum where where, uint32_t batch, uint64_t cycles)
{
    static struct bench bench;
    uint64_t tail = 1;
    uint64_t head = 1;
    prepare(&bench, where, batch);
    for (; tail < BACKLOG; tail += batch)
        put(&bench, 1, tail);
    for (; cycles > 0; cycles--, head += batch, tail += batch) {
        put(&bench, 1, tail);
        take(&bench, 1, head);
    }
}

static void
run(enum where where, uint32_t batch, uint64_t items, uint64_t queues)
{
    static struct bench bench;
    const uint64_t each = items / queues / batch * batch;
    const double count = (double)(each * queues);
    prepare(&bench, where, batch);
    const size_t before = bao_bodies_used(bench.bodies);
    const double start = seconds_now();
    for (uint64_t number = 1; number <= each; number += batch)
        for (uint64_t queue = 1; queue <= queues; queue++)
            put(&bench, queue, number);
    const double full = seconds_now();
    const size_t used = bao_bodies_used(bench.bodies) - before;
    for (uint64_t number = 1; number <= each; number += batch)
        for (uint64_t queue = 1; queue <= queues; queue++)
            take(&bench, queue, number);
    const double empty = seconds_now();
    BAO_ASSERT(bao_bodies_count(bench.bodies) == 0);
    printf("%-6s %6" PRIu64 " queues, %8.0f items, %2u at a time: %6.2f B, "
           "put %4.0f ns, lend and drop %4.0f ns\n",
           names[where],
           queues,
           count,
           batch,
           (double)used / count,
           (full - start) * 1e9 / count,
           (empty - full) * 1e9 / count);
    end(&bench);
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "fixed") == 0) {
        unsigned where = MEMORY;
        while (where < COLD && strcmp(names[where], words[2]) != 0)
            where++;
        run_fixed((enum where)where,
                  (uint32_t)strtoul(words[3], NULL, 10),
                  strtoull(words[4], NULL, 10));
        return 0;
    }
    const uint64_t items = count > 1 ? strtoull(words[1], NULL, 10) : 1000000;
    for (unsigned where = MEMORY; where <= COLD; where++) {
        run((enum where)where, 1, items, 1);
        run((enum where)where, BATCH_MAX, items, 1);
        run((enum where)where, 1, items, items / 1000);
        run((enum where)where, 1, items, items / 100);
    }
    return 0;
}
