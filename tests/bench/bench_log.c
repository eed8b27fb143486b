/*
 * bench_log.c - the durable log against a bare loop of pwrite and fdatasync.
 *
 * Both write batches of the same bytes into the same folder of the same disk,
 * in turns; the bare loop into a file that was filled with zeros before. The
 * folder is the first argument, else one under TMPDIR or /var/tmp, which is
 * on a disk where /tmp may not be.
 *
 *   window 1    one entry at a time, the next when it is synced
 *   window 512  as four producers with 128 unconfirmed puts each: a turn
 *               takes what one of them sent, while a sync runs
 *
 * With bytes and a count behind the folder, only the bare loop: batches of so
 * many bytes, so many rounds.
 *
 * The ratio is what counts; disks differ, and the same one from minute to
 * minute.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/log.h"
#include "broker/log_threads.h"
#include "common/check.h"
#include "common/time.h"

#define ROUNDS        5
#define ROUND_US      600000u
#define PAYLOAD_BYTES 100u
#define TURN_ENTRIES  128 /* what one producer sends at once */
#define SAMPLES_MAX   100000u
#define FILE_BYTES    (64u * 1024u * 1024u)

struct run {
    uint64_t entries;
    uint64_t batches; /* syncs */
    uint64_t bytes;
    double seconds;
    uint32_t *samples; /* us from append to synced, of the first of a batch */
    size_t sample_count;
};

static double rate(const struct run *run)
{
    return (double)run->entries / run->seconds;
}

static int compare(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;
    return *left < *right ? -1 : *left > *right;
}

static uint32_t percentile(struct run *run, size_t percent)
{
    if (run->sample_count == 0)
        return 0;
    qsort(run->samples, run->sample_count, sizeof *run->samples, compare);
    return run->samples[run->sample_count * percent / 100];
}

static void sample(struct run *run, uint64_t us)
{
    if (run->sample_count < SAMPLES_MAX)
        run->samples[run->sample_count++] = (uint32_t)us;
}

/* --- the engine --- */

struct engine {
    struct bao_storage storage;
    struct bao_log_threads *threads;
    struct bao_log *log;
    uint64_t index;
};

static enum baozi_status take(void *context,
                              const struct bao_log_record *record)
{
    (void)context;
    (void)record;
    return BAOZI_OK;
}

static void move(void *context, const struct bao_log_record *record)
{
    (void)context;
    (void)record;
}

static void damaged(void *context, const struct bao_log_report *report)
{
    (void)context;
    (void)report;
}

static void engine_open(struct engine *engine, const char *folder)
{
    struct bao_problem problem;
    struct bao_log_report report;
    *engine = (struct engine){0};
    if (bao_storage_open(folder, &engine->storage, &problem) != BAOZI_OK)
        exit(bao_problem_print(&problem, "bench_log"));
    if (bao_log_threads_open(&engine->threads) != BAOZI_OK)
        exit(BAO_EXIT_IO);
    struct bao_log_config config = {
        .storage = &engine->storage,
        .folder = folder,
        .executor = bao_log_threads_executor(engine->threads),
        .seed = bao_time_wall_us(),
    };
    if (bao_log_open(&config, &engine->log, &report) != BAOZI_OK ||
        bao_log_replay(engine->log, take, NULL, &report) != BAOZI_OK)
        exit(bao_problem_print(&report.problem, "bench_log"));
    bao_log_serve(engine->log,
                  &(struct bao_log_owner){.move = move, .damaged = damaged},
                  bao_time_monotonic_us());
}

static void append(struct engine *engine)
{
    static uint8_t data[PAYLOAD_BYTES + 24];
    struct bao_span span = bao_span_of(data, sizeof data);
    struct bao_log_place place;
    memcpy(data, &engine->index, sizeof engine->index);
    enum baozi_status status =
        bao_log_append(engine->log,
                       &(struct bao_log_entry){.kind = BAO_RECORD_ENTRY,
                                               .index = ++engine->index,
                                               .term = 1,
                                               .spans = &span,
                                               .span_count = 1},
                       &place);
    BAO_ASSERT(status == BAOZI_OK);
}

/* Sleeps until a job has ended, as the broker's loop does, unless there is
 * more to do. */
static void sleep_for_job(struct engine *engine, bool idle)
{
    struct pollfd fd = {.fd = bao_log_threads_pollfd(engine->threads),
                        .events = POLLIN};
    if (idle && bao_log_marks(engine->log).synced < bao_log_last(engine->log))
        (void)poll(&fd, 1, 1000);
    bao_log_threads_clear(engine->threads);
    bao_log_turn(engine->log, bao_time_monotonic_us());
}

static void run_engine(struct engine *engine, uint64_t window, struct run *run)
{
    static uint64_t lsns[4096]; /* of entries that are not synced, a ring */
    static uint64_t times[4096];
    uint64_t first = engine->index;
    uint64_t safe = first;
    struct bao_log_stats before;
    struct bao_log_stats after;
    uint64_t begun_us = bao_time_monotonic_us();
    uint64_t now_us = begun_us;
    bao_log_stats(engine->log, &before);
    while (now_us - begun_us < ROUND_US) {
        for (int i = 0; i < TURN_ENTRIES && engine->index - safe < window;
             i++) {
            append(engine);
            lsns[engine->index % 4096] = bao_log_last(engine->log);
            times[engine->index % 4096] = now_us;
        }
        bao_log_write(engine->log, now_us, false);
        sleep_for_job(engine, engine->index - safe == window);
        now_us = bao_time_monotonic_us();
        BAO_ASSERT(!bao_log_failed(engine->log));
        uint64_t synced = bao_log_marks(engine->log).synced;
        uint64_t from = safe;
        while (safe < engine->index && lsns[(safe + 1) % 4096] <= synced)
            safe++;
        if (safe > from)
            sample(run, now_us - times[(from + 1) % 4096]);
    }
    bao_log_stats(engine->log, &after);
    run->entries += safe - first;
    run->batches += after.syncs - before.syncs;
    run->bytes += after.bytes - before.bytes;
    run->seconds += (double)(now_us - begun_us) / 1e6;
}

/* --- the bare loop --- */

static int open_bare(const char *folder)
{
    static uint8_t zeros[1024 * 1024];
    char name[4200];
    (void)snprintf(name, sizeof name, "%s/bare", folder);
    int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    BAO_ASSERT(file >= 0);
    for (size_t at = 0; at < FILE_BYTES; at += sizeof zeros)
        BAO_ASSERT(pwrite(file, zeros, sizeof zeros, (off_t)at) ==
                   (ssize_t)sizeof zeros);
    BAO_ASSERT(fsync(file) == 0);
    return file;
}

/* Batches of `bytes`, each of which carries `entries`. */
static void run_bare(int file, size_t bytes, double entries, struct run *run)
{
    static uint8_t data[FILE_BYTES / 4];
    static uint64_t at;
    uint64_t begun_us = bao_time_monotonic_us();
    uint64_t now_us = begun_us;
    double count = 0;
    BAO_ASSERT(bytes <= sizeof data);
    memset(data, (int)begun_us, bytes);
    while (now_us - begun_us < ROUND_US) {
        uint64_t from_us = now_us;
        if (at + bytes > FILE_BYTES)
            at = 0;
        BAO_ASSERT(pwrite(file, data, bytes, (off_t)at) == (ssize_t)bytes);
        BAO_ASSERT(fdatasync(file) == 0);
        at += bytes;
        count += entries;
        run->batches++;
        run->bytes += bytes;
        now_us = bao_time_monotonic_us();
        sample(run, now_us - from_us);
    }
    run->entries += (uint64_t)count;
    run->seconds += (double)(now_us - begun_us) / 1e6;
}

/* --- both --- */

static void show(const char *name, struct run *run)
{
    (void)printf("  %-8s %9.0f entries/s %7.0f syncs/s %7.0f bytes a sync  "
                 "p50 %5u us  p99 %6u us\n",
                 name,
                 rate(run),
                 (double)run->batches / run->seconds,
                 (double)run->bytes / (double)run->batches,
                 percentile(run, 50),
                 percentile(run, 99));
}

static void compare_both(struct engine *engine, int file, uint64_t window)
{
    struct run with = {.samples = calloc(SAMPLES_MAX, sizeof(uint32_t))};
    struct run bare = {.samples = calloc(SAMPLES_MAX, sizeof(uint32_t))};
    BAO_ASSERT(with.samples != NULL && bare.samples != NULL);
    for (int i = 0; i < ROUNDS; i++) {
        run_engine(engine, window, &with);
        run_bare(file,
                 (size_t)(with.bytes / with.batches),
                 (double)with.entries / (double)with.batches,
                 &bare);
    }
    (void)printf("window %llu:\n", (unsigned long long)window);
    show("log", &with);
    show("bare", &bare);
    (void)printf("  ratio    %.2f of the bare loop; p50 %.2f times its\n",
                 rate(&with) / rate(&bare),
                 (double)percentile(&with, 50) / (double)percentile(&bare, 50));
    free(with.samples);
    free(bare.samples);
}

/* Only the bare loop, for bench_durable.py: syncs a second, median of one. */
static int run_bare_alone(const char *folder, size_t bytes, uint64_t rounds)
{
    struct run bare = {.samples = calloc(SAMPLES_MAX, sizeof(uint32_t))};
    BAO_ASSERT(bare.samples != NULL);
    int file = open_bare(folder);
    for (uint64_t i = 0; i < rounds; i++)
        run_bare(file, bytes, 1, &bare);
    (void)printf("%.1f %u\n", rate(&bare), percentile(&bare, 50));
    (void)close(file);
    free(bare.samples);
    return BAO_EXIT_OK;
}

int main(int argc, char **argv)
{
    char folder[4096];
    const char *above =
        getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/var/tmp";
    struct engine engine;
    if (argc == 4)
        return run_bare_alone(
            argv[1], strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
    (void)snprintf(folder, sizeof folder, "%s/baozi-bench-XXXXXX", above);
    if (argc > 1)
        (void)snprintf(folder, sizeof folder, "%s", argv[1]);
    else if (mkdtemp(folder) == NULL)
        return BAO_EXIT_IO;
    engine_open(&engine, folder);
    int file = open_bare(folder);
    compare_both(&engine, file, 1);
    compare_both(&engine, file, 512);
    (void)close(file);
    enum baozi_status status = bao_log_close(engine.log);
    bao_log_threads_close(engine.threads);
    bao_storage_close(&engine.storage);
    if (argc <= 1) {
        char command[4200];
        (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
        if (system(command) != 0)
            return BAO_EXIT_IO;
    }
    return status == BAOZI_OK ? BAO_EXIT_OK : BAO_EXIT_IO;
}
