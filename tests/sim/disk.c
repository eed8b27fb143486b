/*
 * disk.c - the lying disk, and the lanes of the log in virtual time.
 *
 * The program is linked so that what broker/disk.c asks of the machine comes
 * here (-Wl,--wrap): the folder, the threads, the time, sleeping, and the
 * size of segments.
 */
#include "tests/sim/disk.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "broker/disk.h"
#include "tests/lib/liar.h"
#include "tests/sim/broker.h"
#include "tests/sim/count.h"

#define SEGMENT_BIG_BYTES  (256u * 1024u)
#define POLLS_MAX          200000u
#define ROOM_LEFT_MOST     (128u * 1024u)
#define START_CALLS        400u
#define FAIL_CALLS         60u
#define ITEM_BYTES_CLAIMED (UINT64_C(64) << 20)

struct lane {
    struct bao_log_job *job; /* taken */
    bool ran;
    bool due; /* an event will come */
};

struct sim_disk {
    struct sim *sim;
    struct liar *liar;
    struct bao_log_jobs *jobs; /* NULL while no log is open */
    struct lane lanes[BAO_LOG_LANE_COUNT];
    uint64_t life; /* of the lanes: events of an earlier one do nothing */
    uint64_t segment_bytes;
    uint64_t slow_until_us;
    uint64_t full_until_us;
    uint32_t polls;
    bool dying;   /* what the lanes have under way ends by chance */
    bool cuts;    /* its power may be cut */
    bool bad;     /* something fails, or failed in this life */
    bool failing; /* that is a call, and not want of room */
    struct bao_log_stats stats; /* of the last turn */
};

/* --- lanes ---------------------------------------------------------------- */

static uint64_t some_delay(struct sim_disk *disk, const struct lane *lane)
{
    struct sim *sim = disk->sim;
    if (!lane->ran) {
        return sim_between(sim, 5, 200);
    }
    if (disk->slow_until_us > sim->now_us) {
        return sim_between(sim, 20 * SIM_MS, 800 * SIM_MS);
    }
    return sim_chance(sim, 50) ? sim_between(sim, 5 * SIM_MS, 40 * SIM_MS)
                               : sim_between(sim, 60, 2000);
}

/* Takes, runs or ends a job; false if there is nothing to do. */
static bool step(struct sim_disk *disk, unsigned number)
{
    struct lane *lane = &disk->lanes[number];
    if (lane->job == NULL) {
        lane->job = bao_log_job_take(disk->jobs, (enum bao_log_lane)number);
        lane->ran = false;
        return lane->job != NULL;
    }
    if (!lane->ran) {
        bao_log_job_run(lane->job);
        lane->ran = true;
        return true;
    }
    struct bao_log_job *job = lane->job;
    lane->job = NULL;
    lane->ran = false;
    bao_log_job_end(disk->jobs, job);
    broker_poke(disk->sim);
    return true;
}

static void lane_runs(struct sim *sim, struct sim_event *event);

static void lane_later(struct sim_disk *disk, unsigned number)
{
    struct lane *lane = &disk->lanes[number];
    if (!lane->due) {
        lane->due = true;
        sim_in(disk->sim,
               some_delay(disk, lane),
               lane_runs,
               disk,
               disk->life * BAO_LOG_LANE_COUNT + number);
    }
}

static void lane_runs(struct sim *sim, struct sim_event *event)
{
    struct sim_disk *disk = event->subject;
    unsigned number = (unsigned)(event->number % BAO_LOG_LANE_COUNT);
    (void)sim;
    if (disk->jobs == NULL ||
        event->number / BAO_LOG_LANE_COUNT != disk->life) {
        return;
    }
    disk->lanes[number].due = false;
    if (step(disk, number)) {
        lane_later(disk, number);
    }
}

static int start(void *context, struct bao_log_jobs *jobs)
{
    struct sim_disk *disk = context;
    disk->jobs = jobs;
    disk->life++;
    memset(disk->lanes, 0, sizeof disk->lanes);
    return 0;
}

static void wake(void *context, enum bao_log_lane lane)
{
    lane_later(context, lane);
}

static void wait_for(void *context, enum bao_log_lane lane)
{
    struct sim_disk *disk = context;
    while (!bao_log_job_is_settled(disk->jobs, lane)) {
        (void)step(disk, lane);
    }
}

/* A thread that is inside the system when its process dies may have got
 * through with it. */
static void stop(void *context)
{
    struct sim_disk *disk = context;
    for (unsigned i = 0; i < BAO_LOG_LANE_COUNT; i++) {
        struct lane *lane = &disk->lanes[i];
        if (lane->job == NULL) {
            continue;
        }
        if (!lane->ran && (!disk->dying || sim_chance(disk->sim, 500))) {
            bao_log_job_run(lane->job);
        }
        bao_log_job_end(disk->jobs, lane->job);
        lane->job = NULL;
    }
    disk->jobs = NULL;
}

/* --- what broker/disk.c asks of the machine ------------------------------- */

enum baozi_status wrapped_storage_open(
    const char *folder,
    struct bao_storage *storage,
    struct bao_problem *problem) __asm__("__wrap_bao_storage_open");
void wrapped_storage_close(struct bao_storage *storage) __asm__(
    "__wrap_bao_storage_close");
enum baozi_status wrapped_threads_open(
    struct bao_log_threads **threads) __asm__("__wrap_bao_log_threads_open");
void wrapped_threads_close(struct bao_log_threads *threads) __asm__(
    "__wrap_bao_log_threads_close");
struct bao_log_executor wrapped_executor(
    struct bao_log_threads *threads) __asm__("__wrap_bao_log_threads_executor");
void wrapped_clear(const struct bao_log_threads *threads) __asm__(
    "__wrap_bao_log_threads_clear");
uint64_t wrapped_monotonic(void) __asm__("__wrap_bao_time_monotonic_us");
int wrapped_poll(struct pollfd *fds,
                 nfds_t count,
                 int timeout_ms) __asm__("__wrap_poll");
enum baozi_status
real_log_open(const struct bao_log_config *config,
              struct bao_log **log,
              struct bao_log_report *report) __asm__("__real_bao_log_open");
enum baozi_status
wrapped_log_open(const struct bao_log_config *config,
                 struct bao_log **log,
                 struct bao_log_report *report) __asm__("__wrap_bao_log_open");
uint64_t wrapped_record_max(const struct bao_log *log) __asm__(
    "__wrap_bao_log_record_bytes_max");
int wrapped_problem(const struct bao_problem *problem,
                    const char *program) __asm__("__wrap_bao_problem_print");

enum baozi_status wrapped_storage_open(const char *folder,
                                       struct bao_storage *storage,
                                       struct bao_problem *problem)
{
    (void)folder;
    (void)problem;
    *storage = *liar_storage(sim_current->disk->liar);
    return BAOZI_OK;
}

void wrapped_storage_close(struct bao_storage *storage)
{
    (void)storage;
}

enum baozi_status wrapped_threads_open(struct bao_log_threads **threads)
{
    *threads = NULL;
    return BAOZI_OK;
}

void wrapped_threads_close(struct bao_log_threads *threads)
{
    (void)threads;
}

struct bao_log_executor wrapped_executor(struct bao_log_threads *threads)
{
    (void)threads;
    return (struct bao_log_executor){.context = sim_current->disk,
                                     .start = start,
                                     .wake = wake,
                                     .wait = wait_for,
                                     .stop = stop};
}

void wrapped_clear(const struct bao_log_threads *threads)
{
    (void)threads;
}

uint64_t wrapped_monotonic(void)
{
    return sim_current->now_us;
}

/* The broker sleeps until its disk has done something: it is at once. */
int wrapped_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    struct sim_disk *disk = sim_current->disk;
    (void)fds;
    (void)timeout_ms;
    if (count != 0 || disk == NULL || disk->jobs == NULL) {
        sim_fail(sim_current, "somebody sleeps who must not");
    }
    if (++disk->polls > POLLS_MAX) {
        sim_fail(sim_current, "the broker waits for its disk for ever");
    }
    for (unsigned i = 0; i < BAO_LOG_LANE_COUNT; i++) {
        (void)step(disk, i);
    }
    return 0;
}

enum baozi_status wrapped_log_open(const struct bao_log_config *config,
                                   struct bao_log **log,
                                   struct bao_log_report *report)
{
    struct bao_log_config small = *config;
    small.segment_bytes = sim_current->disk->segment_bytes;
    return real_log_open(&small, log, report);
}

/* An item of 32 MiB does not fit here, and none comes. */
uint64_t wrapped_record_max(const struct bao_log *log)
{
    (void)log;
    return ITEM_BYTES_CLAIMED;
}

int wrapped_problem(const struct bao_problem *problem, const char *program)
{
    struct sim *sim = sim_current;
    (void)program;
    sim_say(sim,
            SIM_BROKER,
            '=',
            "does not start: %s: %s",
            problem->what,
            problem->why);
    if (!sim->disk->bad) {
        sim_fail(
            sim, "a start is refused: %s: %s", problem->what, problem->why);
    }
    return problem->exit_code;
}

/* --- lives ---------------------------------------------------------------- */

void disk_open(struct sim *sim)
{
    static const uint64_t sizes[] = {
        64u * 1024u, 64u * 1024u, 128u * 1024u, SEGMENT_BIG_BYTES};
    struct sim_disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL) {
        abort();
    }
    disk->sim = sim;
    disk->liar = liar_new(sim_number(sim));
    disk->cuts = sim_chance(sim, 750);
    disk->segment_bytes = sizes[sim_below(sim, 4)];
    if (sim_chance(sim, 300)) {
        liar_shorten(disk->liar, (uint32_t)sim_between(sim, 3, 30));
        liar_read_by_others(disk->liar, 4);
    }
    sim->disk = disk;
}

void disk_close(struct sim *sim)
{
    if (sim->disk != NULL) {
        liar_free(sim->disk->liar);
        free(sim->disk);
        sim->disk = NULL;
    }
}

bool disk_may_be_cut(const struct sim *sim)
{
    return sim->disk->cuts;
}

bool disk_takes_big(const struct sim *sim)
{
    return sim->disk->segment_bytes >= SEGMENT_BIG_BYTES;
}

static void no_faults(struct sim_disk *disk)
{
    for (unsigned i = 0; i <= LIAR_CALL_COUNT; i++) {
        liar_fail(disk->liar, (enum liar_call)i, 0, 0);
    }
    liar_fail_on(disk->liar, false);
    disk->failing = false;
    disk->bad = disk->full_until_us > disk->sim->now_us;
}

void disk_dies(struct sim *sim)
{
    sim->disk->dying = true;
}

void disk_ended(struct sim *sim, enum sim_end end)
{
    struct sim_disk *disk = sim->disk;
    disk->dying = false;
    if (end == SIM_END_CUT) {
        liar_cut_power(disk->liar,
                       (enum liar_cut)sim_below(sim, LIAR_CUT_COUNT));
        SIM_COUNT(sim, POWER_CUTS);
    } else {
        liar_kill(disk->liar);
    }
    no_faults(disk);
}

void disk_start_begins(struct sim *sim)
{
    struct sim_disk *disk = sim->disk;
    disk->polls = 0;
    if (!sim->healing && sim_chance(sim, 300)) {
        disk->bad = true;
        disk->failing = true;
        liar_fail_on(disk->liar, true);
        liar_fail(
            disk->liar, LIAR_CALL_COUNT, 1 + sim_below(sim, START_CALLS), EIO);
    }
}

bool disk_start_ends(struct sim *sim)
{
    bool was_bad = sim->disk->bad;
    no_faults(sim->disk);
    return !was_bad;
}

void disk_started(struct sim *sim, const struct bao_log_report *report)
{
    SIM_COUNT(sim, RECOVERIES);
    if (report->has_checkpoint) {
        SIM_COUNT(sim, CHECKPOINTS_LOADED);
    }
    if (report->torn_bytes > 0) {
        SIM_COUNT(sim, TORN_TAILS);
    }
    sim->disk->stats = (struct bao_log_stats){0};
}

void disk_turned(struct sim *sim, const struct bao_log *log)
{
    struct bao_log_stats *last = &sim->disk->stats;
    struct bao_log_stats now;
    bao_log_stats(log, &now);
    if (now.checkpoints > last->checkpoints) {
        SIM_COUNT(sim, CHECKPOINTS);
    }
    if (now.moved_bytes > last->moved_bytes) {
        SIM_COUNT(sim, COMPACTIONS);
    }
    if (now.recycled > last->recycled) {
        SIM_COUNT(sim, RECYCLED);
    }
    if (now.full && !last->full) {
        SIM_COUNT(sim, DISK_FULL);
    }
    if (now.scrubbed_bytes > last->scrubbed_bytes) {
        SIM_COUNT(sim, SCRUBS);
    }
    *last = now;
}

/* --- what befalls it ------------------------------------------------------ */

void disk_slow(struct sim *sim, uint64_t until_us)
{
    sim->disk->slow_until_us = until_us;
}

static void has_room(struct sim *sim, struct sim_event *event)
{
    struct sim_disk *disk = event->subject;
    if (disk->full_until_us <= sim->now_us) {
        liar_limit(disk->liar, 0);
    }
}

void disk_full(struct sim *sim, uint64_t until_us)
{
    struct sim_disk *disk = sim->disk;
    disk->full_until_us = until_us;
    disk->bad = true;
    liar_limit(disk->liar,
               liar_bytes(disk->liar) + 1 + sim_below(sim, ROOM_LEFT_MOST));
    sim_at(sim, until_us, has_room, disk, 0);
}

void disk_fail(struct sim *sim)
{
    static const enum liar_call calls[] = {LIAR_SYNC,
                                           LIAR_SYNC,
                                           LIAR_WRITE,
                                           LIAR_RENAME,
                                           LIAR_SYNC_DIR,
                                           LIAR_CALL_COUNT};
    struct sim_disk *disk = sim->disk;
    disk->bad = true;
    disk->failing = true;
    liar_fail_on(disk->liar, sim_chance(sim, 500));
    const uint64_t after = 1 + sim_below(sim, FAIL_CALLS);
    liar_fail(disk->liar, calls[sim_below(sim, 6)], after, EIO);
}

void disk_heal(struct sim *sim)
{
    struct sim_disk *disk = sim->disk;
    disk->slow_until_us = 0;
    disk->full_until_us = 0;
    liar_limit(disk->liar, 0);
}

bool disk_fails(const struct sim *sim)
{
    return sim->disk->failing;
}

bool disk_is_bad(const struct sim *sim)
{
    return sim->disk->bad;
}
