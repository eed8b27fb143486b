/*
 * bench.c - `baozi bench`: load on a broker, measured and checked.
 *
 * Every producer and every consumer is a process of its own, as real ones
 * are. The queue is made for the run and deleted after it, however it ends.
 */
#include "cli/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/progress.h"
#include "common/random.h"
#include "common/text.h"
#include "common/time.h"

#define READY_US    (15u * 1000000u)
#define LOOK_NS     5000000
#define KILL_US     3000000u
#define COUNT_MAX   1000000000
#define EACH_MAX    (UINT64_C(1) << 28) /* where no count is given */
#define CLEAN_MS    2000u
#define DEFAULT_MS  10000u
#define MAXSIZE_MAX INT64_MAX

static struct bench_settings values;

#define AT(member) .offset = offsetof(struct bench_settings, member)

static const struct bao_option options[] = {
    {.name = "producers",
     .letter = 'p',
     .takes = BAO_TAKES_NUMBER,
     AT(producers),
     .initial = "1",
     .least = 1,
     .most = BENCH_SIDES_MAX / 2,
     .help = "processes that put"},
    {.name = "consumers",
     .letter = 'c',
     .takes = BAO_TAKES_NUMBER,
     AT(consumers),
     .initial = "1",
     .least = 1,
     .most = BENCH_SIDES_MAX / 2,
     .help = "processes that take and settle"},
    {.name = "size",
     .letter = 's',
     .takes = BAO_TAKES_SIZE,
     AT(item_bytes),
     .initial = "100",
     .least = BENCH_ITEM_BYTES_MIN,
     .most = BAO_ITEM_BYTES_MAX,
     .help = "bytes of an item"},
    {.name = "window",
     .letter = 'w',
     .takes = BAO_TAKES_NUMBER,
     AT(window),
     .initial = "128",
     .least = 1,
     .most = BAO_ANSWERS_MAX,
     .help = "unconfirmed puts, and unsettled items, of one process"},
    {.name = "count",
     .letter = 'n',
     .takes = BAO_TAKES_NUMBER,
     AT(count),
     .least = 1,
     .most = COUNT_MAX,
     .help = "end after so many items in all"},
    {.name = "duration",
     .letter = 'd',
     .takes = BAO_TAKES_DURATION,
     AT(duration_ms),
     .least = 1,
     .most = INT64_C(86400000) * 365,
     .help = "put for so long (default: 10s, or until --count)"},
    {.name = "rate",
     .letter = 'r',
     .takes = BAO_TAKES_NUMBER,
     AT(rate),
     .least = 1,
     .most = COUNT_MAX,
     .help = "items a second in all; without it: as fast as it goes"},
    {.name = "maxsize",
     .takes = BAO_TAKES_NUMBER,
     AT(maxsize),
     .initial = "10000",
     .most = MAXSIZE_MAX,
     .help = "bound of the queue; 0 = none"},
    {.name = "durability",
     .takes = BAO_TAKES_CHOICE,
     AT(durability),
     .choices = "default|memory|os|disk|quorum",
     .initial = "default",
     .help = "of the queue; default: the broker's strongest"},
    {.name = "csv", AT(csv), .help = "a line of names and a line of values"},
    {.name = "quiet", .letter = 'q', AT(quiet), .help = "no progress line"},
    CLI_COMMON_OPTIONS(struct bench_settings),
    {0},
};

static const struct bao_program program = {
    .name = "baozi bench",
    .purpose = "load a broker; measure and check it",
    .options = options,
    .examples = "  baozi bench\n"
                "  baozi bench -p 4 -c 4 --size 1k --duration 30s\n"
                "  baozi bench --rate 5000 --window 1024 --format json\n",
    .notes =
        "Every put is confirmed, every item goes to one consumer and is "
        "settled by itself.\nThe queue is made for the run and deleted after "
        "it. With --rate each put has its\nmoment, and latencies count from "
        "there even if it had to leave later; without,\nthey count from the "
        "call, so waiting for the window is in them.\n",
    .exits = "0 all items came; 1 some are missing, doubled or altered",
};

/* --- the processes --- */

struct running {
    pid_t pids[BENCH_SIDES_MAX]; /* 0: reaped */
    size_t count;
    size_t producers;
    int exit_code; /* of the first that failed */
};

/* In the child. */
_Noreturn static void become(struct bench *bench, uint32_t i, pid_t parent)
{
    uint32_t producers = (uint32_t)values.producers;
    (void)setpgid(0, 0); /* Ctrl-C is the parent's business */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(BAO_EXIT_IO);
    int exit_code = i < producers ? bench_producer(bench, i)
                                  : bench_consumer(bench, i - producers);
    if (exit_code == BAO_EXIT_OK && baozi_close(bench->cli->client) != BAOZI_OK)
        exit_code = BAO_EXIT_UNREACHABLE;
    _exit(exit_code);
}

static int start_all(struct bench *bench, struct running *running)
{
    size_t count = (size_t)(values.producers + values.consumers);
    pid_t parent = getpid();
    running->producers = (size_t)values.producers;
    for (; running->count < count; running->count++) {
        pid_t pid = fork();
        if (pid == 0)
            become(bench, (uint32_t)running->count, parent);
        if (pid < 0)
            return bao_complain_errno(bench->cli->name,
                                      BAO_EXIT_IO,
                                      "a process cannot be started",
                                      errno);
        running->pids[running->count] = pid;
    }
    return BAO_EXIT_OK;
}

/* Tells why a process failed, once. */
static void take_exit(const struct bench *bench,
                      struct running *running,
                      size_t i,
                      int status)
{
    const struct bao_problem *problem = &bench->shared->sides[i].problem;
    int exit_code = WIFEXITED(status) ? WEXITSTATUS(status)
                                      : BAO_EXIT_SIGNAL + WTERMSIG(status);
    if (exit_code == BAO_EXIT_OK || running->exit_code != BAO_EXIT_OK)
        return;
    running->exit_code = exit_code;
    if (cli_signal() != 0)
        running->exit_code = BAO_EXIT_SIGNAL + cli_signal();
    else if (problem->what[0] != '\0')
        (void)bao_problem_print(problem, bench->cli->name);
    else
        (void)bao_complain(bench->cli->name,
                           exit_code,
                           i < running->producers ? "a producer ended early"
                                                  : "a consumer ended early",
                           "it was ended from outside",
                           "repeat, and leave it alone");
}

/* Reaps those that ended; how many of [from, to) still run. */
static size_t
reap(const struct bench *bench, struct running *running, size_t from, size_t to)
{
    size_t left = 0;
    for (size_t i = from; i < to; i++) {
        int status;
        if (running->pids[i] == 0)
            continue;
        if (waitpid(running->pids[i], &status, WNOHANG) == running->pids[i]) {
            running->pids[i] = 0;
            take_exit(bench, running, i, status);
        } else {
            left++;
        }
    }
    return left;
}

static void signal_all(const struct running *running, int number)
{
    for (size_t i = 0; i < running->count; i++) {
        if (running->pids[i] != 0)
            (void)kill(running->pids[i], number);
    }
}

static void take_a_look_later(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

static void stop_all(const struct bench *bench, struct running *running)
{
    uint64_t end_us = bao_time_monotonic_us() + KILL_US;
    signal_all(running, SIGTERM);
    while (reap(bench, running, 0, running->count) > 0) {
        if (bao_time_monotonic_us() > end_us)
            signal_all(running, SIGKILL);
        take_a_look_later();
    }
}

/* True once all are ready; false if one ended, or it takes too long. */
static bool await_ready(const struct bench *bench, struct running *running)
{
    uint64_t end_us = bao_time_monotonic_us() + READY_US;
    size_t ready = 0;
    while (ready < running->count && bao_time_monotonic_us() < end_us &&
           cli_signal() == 0) {
        ready = 0;
        for (size_t i = 0; i < running->count; i++)
            ready += __atomic_load_n(&bench->shared->sides[i].ready,
                                     __ATOMIC_ACQUIRE);
        if (reap(bench, running, 0, running->count) < running->count)
            return false;
        take_a_look_later();
    }
    return ready == running->count;
}

static void draw(const struct bench *bench, struct bao_progress *progress)
{
    const struct bench_side *sides = bench->shared->sides;
    char note[64];
    char text[BAO_TEXT_BYTES];
    uint64_t put = 0;
    uint64_t taken = 0;
    for (size_t i = 0; i < values.producers; i++)
        put += __atomic_load_n(&sides[i].count, __ATOMIC_RELAXED);
    for (size_t i = 0; i < values.consumers; i++)
        taken += __atomic_load_n(&sides[values.producers + i].count,
                                 __ATOMIC_RELAXED);
    (void)snprintf(
        note,
        sizeof note,
        "%s queued",
        bao_write_count(text, sizeof text, put > taken ? put - taken : 0));
    bao_progress_draw(progress, taken, note);
}

/* From the beginning until every process has ended. */
static int watch(struct bench *bench, struct running *running)
{
    struct bao_progress progress;
    bool shut = false;
    if (!await_ready(bench, running)) {
        stop_all(bench, running);
        return running->exit_code != BAO_EXIT_OK ? running->exit_code
                                                 : BAO_EXIT_UNREACHABLE;
    }
    bench->shared->begin_us = bao_time_monotonic_us();
    __atomic_store_n(&bench->shared->go, 1, __ATOMIC_RELEASE);
    bao_progress_begin(&progress, "bench", values.count, values.quiet);
    while (running->exit_code == BAO_EXIT_OK && cli_signal() == 0) {
        size_t putting = reap(bench, running, 0, running->producers);
        size_t taking =
            reap(bench, running, running->producers, running->count);
        if (putting + taking == 0 || running->exit_code != BAO_EXIT_OK)
            break;
        if (putting == 0 && !shut) {
            enum baozi_status status =
                baozi_shutdown(bench->cli->client, bench->queue, 0);
            if (status != BAOZI_OK)
                running->exit_code = cli_fail(bench->cli, status);
            shut = true;
        }
        draw(bench, &progress);
        take_a_look_later();
    }
    bao_progress_hide(&progress);
    stop_all(bench, running);
    return cli_signal() != 0 ? BAO_EXIT_SIGNAL + cli_signal()
                             : running->exit_code;
}

/* --- the queue and the memory --- */

static int make_queue(struct bench *bench)
{
    struct baozi_queue_options wanted;
    struct baozi_queue_stat stat = {.size = sizeof stat};
    baozi_queue_options_init(&wanted);
    baozi_queue_option(&wanted, BAOZI_OPTION_MAXSIZE, values.maxsize);
    if (values.durability != BAOZI_DURABILITY_DEFAULT)
        baozi_queue_option(
            &wanted, BAOZI_OPTION_DURABILITY, (uint64_t)values.durability);
    (void)snprintf(bench->queue,
                   sizeof bench->queue,
                   "bench-%016llx",
                   (unsigned long long)bao_random_number());
    struct baozi *client = bench->cli->client;
    enum baozi_status status = baozi_declare(client, bench->queue, &wanted);
    if (status == BAOZI_OK)
        status = baozi_stat(client, bench->queue, &stat);
    if (status != BAOZI_OK)
        return cli_fail(bench->cli, status);
    values.durability = (int)stat.options.values[BAOZI_OPTION_DURABILITY];
    return BAO_EXIT_OK;
}

/* With a client of its own, which no signal interrupts. */
static int delete_queue(const struct bench *bench)
{
    const struct baozi_options quick = {.size = sizeof quick,
                                        .url = values.common.url,
                                        .connect_timeout_ms = CLEAN_MS,
                                        .close_timeout_ms = CLEAN_MS,
                                        .program = bench->cli->name};
    struct baozi *client = NULL;
    int exit_code = BAO_EXIT_OK;
    enum baozi_status status = baozi_open(&quick, &client);
    if (status == BAOZI_OK)
        status = baozi_delete(client, bench->queue, 1);
    if (status != BAOZI_OK)
        exit_code = bao_complain_status(bench->cli->name, client, status);
    (void)baozi_close(client);
    return exit_code;
}

/* Pages of it are made as they are written. */
static void *map(size_t bytes)
{
    void *memory = mmap(NULL,
                        bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool make_shared(struct bench *bench)
{
    uint32_t producers = (uint32_t)values.producers;
    bench->each = values.count == 0 ? EACH_MAX : values.count / producers + 1;
    bench->shared = map(sizeof *bench->shared);
    uint64_t *bits = map(bench_seen_bytes(producers, bench->each));
    if (bench->shared == NULL || bits == NULL)
        return false;
    bench->shared->seen = (struct bench_seen){
        .producers = producers, .each = bench->each, .bits = bits};
    return true;
}

static void settle_values(void)
{
    if (values.count == 0 && values.duration_ms == 0)
        values.duration_ms = DEFAULT_MS;
}

static int run(struct cli *cli)
{
    static struct bench_result result;
    struct bench bench = {.cli = cli, .settings = &values};
    struct running running = {0};
    int exit_code = BAO_EXIT_OK;
    settle_values();
    if (values.csv && cli_json(cli))
        return cli_usage(cli,
                         "--csv and --format json contradict each other",
                         "each names how results are written",
                         "give one of them");
    if (!make_shared(&bench))
        return bao_complain_errno(
            cli->name, BAO_EXIT_IO, "there is no memory for the counts", errno);
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    exit_code = make_queue(&bench);
    if (exit_code != BAO_EXIT_OK)
        return exit_code;
    struct baozi *client = cli->client; /* a child has one of its own */
    exit_code = start_all(&bench, &running);
    if (exit_code == BAO_EXIT_OK)
        exit_code = watch(&bench, &running);
    else
        stop_all(&bench, &running);
    cli->client = client;
    if (exit_code == BAO_EXIT_OK) {
        bench_add_up(&bench, &result);
        exit_code = bench_report(&bench, &result);
    }
    int deleted = delete_queue(&bench);
    return exit_code != BAO_EXIT_OK ? exit_code : deleted;
}

const struct cli_command cli_bench = {.program = &program,
                                      .values = &values,
                                      .run = run};
