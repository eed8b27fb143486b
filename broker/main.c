/*
 * main.c - the program baozi-broker: opens the rooms, runs the loop, ends.
 *
 * stdout tells machines where it listens and when it is ready:
 *
 *     listening tcp://127.0.0.1:40123
 *     ready
 *
 * (--format json: {"listening":"..."} and {"ready":true}). stderr is the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/config.h"
#include "broker/edge_open.h"
#include "broker/loop.h"
#include "common/poison.h"
#include "common/random.h"
#include "common/text.h"
#include "common/time.h"

#define PROGRAM        "baozi-broker"
#define LINGER_MS      500 /* for last answers to leave */
#define GATEWAY_LEAST  (UINT64_C(64) << 20)
#define PAGE_BYTES     UINT64_C(4096)
#define MINUTE_US      UINT64_C(60000000)
#define MINUTE_OF_2026 UINT64_C(29453760) /* since 1970 */
#define FRAME_MAP_FROM (128 * 1024)

struct broker {
    struct bao_config config;
    struct bao_clock clock;
    struct bao_journal journal;
    struct bao_guard *guard;
    struct bao_disk disk;
    struct bao_edge *edge;
    struct bao_core *core;
    struct bao_gateway *gateway;
    void *core_memory;
    size_t core_bytes;
    int argc;
    char *const *argv;
};

/* Sockets must not land on the numbers of stdin, stdout and stderr. */
static void open_standard_files(void)
{
    int file;
    do {
        file = open("/dev/null", O_RDWR);
    } while (file >= 0 && file <= STDERR_FILENO);
    if (file > STDERR_FILENO)
        (void)close(file);
}

/* Before any thread starts, so that all of them have the same mask. */
static void block_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

/* Of the limit the core's records get two fifths and payloads two fifths; the
 * rest is for peers, replies and what memory loses to its own order. The
 * ranges are reserved larger than that, and only touched as used. */
static size_t two_fifths(uint64_t bytes)
{
    return (size_t)(bytes / 5 * 2 / PAGE_BYTES * PAGE_BYTES);
}

/* Bodies of waiting puts, and so the most put credit of a session. */
static uint64_t parked_bytes_max(uint64_t limit)
{
    return limit / 16;
}

/*
 * Without a log nobody remembers earlier starts, yet tokens must grow and ids
 * must not come again. The epoch is the minute since 2026 (24 bits last until
 * 2057); within a minute a start counts on from its microseconds times 2^14,
 * which no earlier start of that minute has reached: it would have had to hand
 * out 16 items in each nanosecond.
 */
static uint64_t start_epoch(uint64_t wall_us)
{
    const uint64_t minute = wall_us / MINUTE_US;
    return minute > MINUTE_OF_2026 ? (minute - MINUTE_OF_2026) & 0xffffffu : 1;
}

static uint64_t start_first_n(uint64_t wall_us)
{
    return wall_us % MINUTE_US << 14;
}

static bool has_disk(const struct broker *broker)
{
    return broker->config.data != NULL;
}

static bool open_core(struct broker *broker)
{
    const uint64_t wall_us = bao_time_wall_us();
    uint64_t limit = broker->config.memory_bytes;
    broker->core_bytes = two_fifths(limit);
    broker->core_memory = mmap(NULL,
                               broker->core_bytes,
                               PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                               -1,
                               0);
    if (broker->core_memory == MAP_FAILED) {
        broker->core_memory = NULL;
        return false;
    }
    struct bao_core_config config = {
        .memory = broker->core_memory,
        .memory_bytes = broker->core_bytes,
        /* With a data directory the disk has the payloads. */
        .body_bytes_max = has_disk(broker) ? UINT64_MAX / 2 : two_fifths(limit),
        .unlogged_bytes_max = two_fifths(limit),
        .parked_bytes_max = parked_bytes_max(limit),
        /* A log tells the time it was written. */
        .now_us = has_disk(broker) ? 0 : bao_clock_now_us(&broker->clock),
        .wall_offset_us = bao_clock_wall_offset_us(&broker->clock),
        .epoch = start_epoch(wall_us),
        .first_n = has_disk(broker) ? 0 : start_first_n(wall_us),
        .boot = bao_random_number(),
        .seed = bao_random_number(),
        .level = has_disk(broker) ? BAO_LEVEL_DISK : BAO_LEVEL_MEMORY,
        .resume_grace_ms = (uint32_t)broker->config.resume_grace_ms,
    };
    return bao_core_open(&config, &broker->core) == BAOZI_OK;
}

static bool open_gateway(struct broker *broker)
{
    uint64_t limit = broker->config.memory_bytes;
    struct bao_gateway_config config = {
        .edge = broker->edge,
        .core = broker->core,
        .journal = &broker->journal,
        .memory_bytes = (size_t)(limit / 8) + GATEWAY_LEAST,
        /* Of address space: see bodies.h. */
        .bodies_bytes = 2 * (size_t)limit,
        .hold_bytes = (size_t)(limit / 8),
        .outbox_bytes = (size_t)(limit / 8),
    };
    return bao_gateway_open(&config, &broker->gateway) == BAOZI_OK;
}

/* One peer may have its put credit on the way, all a quarter. */
static bool open_guard(struct broker *broker)
{
    uint64_t limit = broker->config.memory_bytes;
    uint64_t credit = parked_bytes_max(limit);
    struct bao_guard_config config = {
        .credit_bytes = credit < BAO_PARKED_SESSION_BYTES
                            ? credit
                            : BAO_PARKED_SESSION_BYTES,
        .total_bytes = limit / 4,
    };
    return bao_guard_open(&config, &broker->guard) == BAOZI_OK;
}

static bool open_edge(struct broker *broker, int *exit_code)
{
    struct bao_problem problem;
    struct bao_edge_config config = {
        .kind = broker->config.edge,
        .urls = broker->config.urls,
        .url_count = broker->config.url_count,
        .clients_max = broker->config.clients_max,
        .clients_address_max = broker->config.clients_address_max,
        .strikes_max = (uint32_t)broker->config.strikes_max,
        .users = broker->config.users,
        .io_cpus = broker->config.io_cpus,
        .guard = broker->guard,
    };
    if (bao_edge_open(&config, &broker->edge, &problem))
        return true;
    *exit_code = bao_problem_print(&problem, PROGRAM);
    return false;
}

/* The log is applied; from here on it is written. The epoch of this start is
 * on the disk before anybody is answered, so that no token comes twice. */
static bool recover(struct broker *broker, int *exit_code)
{
    struct bao_core *core = broker->core;
    struct bao_disk *disk = &broker->disk;
    struct bao_bodies *bodies = bao_gateway_bodies(broker->gateway);
    if (!bao_disk_recover(disk, core, bodies, exit_code))
        return false;
    bao_clock_not_before(&broker->clock, bao_core_now_us(core));
    const uint64_t now_us = bao_clock_now_us(&broker->clock);
    bao_core_recovered(core, now_us, bao_clock_wall_offset_us(&broker->clock));
    if (!bao_disk_serve(disk,
                        &broker->journal,
                        bao_gateway_arena(broker->gateway),
                        two_fifths(broker->config.memory_bytes),
                        now_us,
                        exit_code))
        return false;
    bao_gateway_tick(broker->gateway, now_us);
    bao_disk_end_lost(disk, broker->gateway, now_us);
    if (bao_disk_settle(disk, now_us))
        return true;
    *exit_code = bao_complain(PROGRAM,
                              BAO_EXIT_IO,
                              "cannot write the log",
                              bao_log_failure(disk->log),
                              "mend the disk, or name another --data");
    return false;
}

static bool open_broker(struct broker *broker, int *exit_code)
{
    bao_clock_open(&broker->clock);
    bao_journal_open(&broker->journal);
    bool guarded = open_guard(broker);
    if (guarded && !open_edge(broker, exit_code))
        return false;
    if (guarded && has_disk(broker) &&
        !bao_disk_open(&broker->disk,
                       broker->config.data,
                       broker->config.checkpoint_bytes,
                       exit_code))
        return false;
    if (guarded && open_core(broker) && open_gateway(broker))
        return !has_disk(broker) || recover(broker, exit_code);
    *exit_code = bao_complain(PROGRAM,
                              BAO_EXIT_IO,
                              "cannot reserve memory",
                              "the system refuses that much address space",
                              "lower --memory-limit");
    return false;
}

/* The exit code is worse if the log could not be closed. */
static int close_broker(struct broker *broker, int exit_code)
{
    const bool drained = exit_code == BAO_EXIT_OK;
    const uint64_t now_us = bao_clock_now_us(&broker->clock);
    if (!bao_disk_close(&broker->disk, drained, now_us) && drained)
        exit_code = bao_complain(PROGRAM,
                                 BAO_EXIT_IO,
                                 "the log was not closed well",
                                 "its last write or sync failed",
                                 "look at the disk before the next start");
    bao_gateway_close(broker->gateway);
    bao_edge_end(broker->edge, LINGER_MS);
    bao_guard_close(broker->guard);
    bao_journal_close(&broker->journal);
    if (broker->core_memory != NULL) {
        BAO_UNPOISON(broker->core_memory, broker->core_bytes);
        (void)munmap(broker->core_memory, broker->core_bytes);
    }
    return exit_code;
}

/* --- what it says --- */

static void say_start(const struct broker *broker)
{
    char memory[BAO_TEXT_BYTES];
    bao_write_size(memory, sizeof memory, broker->config.memory_bytes);
    BAO_LOG(BAO_LOG_INFO,
            bao_event("start"),
            bao_text("version", BAOZI_VERSION),
            bao_number("pid", (uint64_t)getpid()),
            bao_text("memory_limit", memory));
    if (has_disk(broker))
        BAO_LOG(BAO_LOG_INFO,
                bao_event("durability"),
                bao_text("level", "disk"),
                bao_text("data", broker->config.data),
                bao_text("meaning",
                         "what is confirmed is synced to the disk; a restart "
                         "finds it there"));
    else
        BAO_LOG(BAO_LOG_INFO,
                bao_event("durability"),
                bao_text("level", "memory"),
                bao_text("meaning",
                         "queues live in this process only: a restart loses "
                         "them"));
    BAO_LOG(BAO_LOG_INFO, bao_event("http"), bao_text("address", "off"));
}

static void say_listening(const struct broker *broker)
{
    bool json = broker->config.json;
    for (size_t i = 0; i < broker->config.url_count; i++) {
        const char *address = bao_edge_address(broker->edge, i);
        (void)printf(json ? "{\"listening\":\"%s\"}\n" : "listening %s\n",
                     address);
        BAO_LOG(
            BAO_LOG_INFO, bao_event("listening"), bao_text("address", address));
        if (!bao_url_is_local(address))
            BAO_LOG(BAO_LOG_WARNING,
                    bao_event("insecure"),
                    bao_text("address", address),
                    bao_text("meaning",
                             "everybody who reaches it may do "
                             "everything"));
    }
    (void)printf(json ? "{\"ready\":true}\n" : "ready\n");
    (void)fflush(stdout);
    BAO_LOG(BAO_LOG_INFO, bao_event("ready"));
}

static void say_counts(const struct broker *broker)
{
    struct bao_connection_counts counts = bao_edge_counts(broker->edge);
    struct bao_guard_counts guard = bao_guard_counts(broker->guard);
    BAO_LOG(BAO_LOG_INFO,
            bao_event("connections"),
            bao_number("accepted", counts.accepted),
            bao_number("too_many", counts.too_many),
            bao_number("of_address", counts.addresses),
            bao_number("of_user", counts.users),
            bao_number("mute", counts.mute),
            bao_number("punished", counts.punished),
            bao_number("guard_greeting", guard.greeting),
            bao_number("guard_credit", guard.credit),
            bao_number("guard_total", guard.total),
            bao_number("guard_memory", guard.memory));
}

/* --- SIGHUP --- */

static uint64_t reload(void *context)
{
    struct broker *broker = context;
    struct bao_config fresh;
    int exit_code;
    if (!bao_config_open(&fresh, broker->argc, broker->argv, &exit_code)) {
        BAO_LOG(BAO_LOG_ERROR,
                bao_event("reload_failed"),
                bao_text("meaning", "everything stays as it was"));
        return broker->config.grace_ms;
    }
    broker->config.grace_ms = fresh.grace_ms;
    bao_log_format_set(fresh.log);
    bool other = fresh.memory_bytes != broker->config.memory_bytes ||
                 fresh.clients_max != broker->config.clients_max ||
                 fresh.url_count != broker->config.url_count;
    bao_config_close(&fresh);
    BAO_LOG(BAO_LOG_INFO,
            bao_event("reloaded"),
            bao_number("grace_ms", broker->config.grace_ms),
            bao_text("restart_needed", other ? "yes" : "no"));
    return broker->config.grace_ms;
}

int main(int argc, char **argv)
{
    struct broker broker = {.argc = argc, .argv = argv};
    int exit_code = BAO_EXIT_OK;
    open_standard_files();
    if (!bao_config_open(&broker.config, argc, argv, &exit_code))
        return exit_code;
    bao_log_format_set(broker.config.log);
    block_signals();
    /* Large received frames go back to the system when they are freed. */
    (void)mallopt(M_MMAP_THRESHOLD, FRAME_MAP_FROM);
    if (open_broker(&broker, &exit_code)) {
        struct bao_loop_config loop = {
            .edge = broker.edge,
            .core = broker.core,
            .gateway = broker.gateway,
            .guard = broker.guard,
            .disk = &broker.disk,
            .clock = &broker.clock,
            .reload = reload,
            .context = &broker,
            .grace_ms = broker.config.grace_ms,
        };
        say_start(&broker);
        say_listening(&broker);
        /* The threads that wait for disks go where they like. */
        if (!bao_cpus_pin(&broker.config.cpus))
            BAO_LOG(BAO_LOG_WARNING, bao_event("cpu_refused"));
        exit_code = bao_loop_run(&loop);
        say_counts(&broker);
        BAO_LOG(BAO_LOG_INFO,
                bao_event("end"),
                bao_number("exit_code", (uint64_t)exit_code));
    }
    exit_code = close_broker(&broker, exit_code);
    bao_config_close(&broker.config);
    return exit_code;
}
