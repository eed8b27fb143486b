/*
 * join.c - `baozi join`: waits until the work is done and says how it ended.
 *
 * With --progress a second thread reads the queue now and then and draws a
 * line on stderr while the first one waits in join.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "common/progress.h"

static struct values {
    struct cli_common common;
    const char *queue;
    const char *group;
    int64_t wait_ms;
    bool up_to;
    bool progress;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    {.name = "group",
     .letter = 'g',
     .takes = BAO_TAKES_TEXT,
     AT(group),
     .value = "GROUP",
     .help = "only the items of this group"},
    {.name = "up-to-now",
     .letter = 'u',
     AT(up_to),
     .help = "only what was accepted before this call"},
    {.name = "timeout",
     .letter = 't',
     .takes = BAO_TAKES_WAIT,
     AT(wait_ms),
     .initial = "forever",
     .help = "how long to wait"},
    {.name = "progress",
     .letter = 'p',
     AT(progress),
     .help = "show on the terminal how far it is"},
    CLI_COMMON_OPTIONS(struct values),
    /* The short way to say it. */
    {.name = "up-to", AT(up_to)},
    {0},
};

static const struct bao_operand operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name"},
    {0},
};

static const struct bao_program program = {
    .name = "baozi join",
    .purpose = "wait until all items are settled",
    .options = options,
    .operands = operands,
    .examples = "  baozi join jobs --progress\n"
                "  baozi join jobs --group night --timeout 8h && report\n"
                "  baozi join jobs --up-to-now\n",
    .notes = "The counts are those since the queue or group began, with "
             "--up-to-now those\nsince the call. Dead items are settled: "
             "they end a join and make it exit 1.\n",
    .exits = "0 all settled, none dead; 1 timed out, or some are dead",
};

struct watcher {
    struct baozi *client;
    atomic_bool stop;
};

/* Asks for the queue's counts five times a second and draws them. */
static void *watch(void *context)
{
    struct watcher *watcher = context;
    struct bao_progress line;
    struct timespec pause = {.tv_nsec = 200000000};
    uint64_t begin = UINT64_MAX;
    uint64_t done = 0;
    char note[96] = "";
    bao_progress_begin(&line, "join", 0, false);
    while (!atomic_load(&watcher->stop)) {
        struct baozi_queue_stat stat = {.size = sizeof stat};
        if (baozi_stat(watcher->client, values.queue, &stat) != BAOZI_OK)
            break;
        uint64_t settled = stat.accepted - stat.unfinished;
        begin = begin == UINT64_MAX ? settled : begin;
        done = settled - begin;
        line.total = stat.accepted - begin;
        (void)snprintf(note,
                       sizeof note,
                       "ready %llu  leased %llu  dead %llu",
                       (unsigned long long)stat.ready,
                       (unsigned long long)stat.leased,
                       (unsigned long long)stat.dead);
        bao_progress_draw(&line, done, note);
        (void)nanosleep(&pause, NULL);
    }
    bao_progress_end(&line, done, note);
    return NULL;
}

/* Starts the watcher with all signals blocked: the waiting thread gets
 * them. */
static bool watch_begin(struct watcher *watcher, pthread_t *thread)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = pthread_create(thread, NULL, watch, watcher);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}

static enum baozi_status join(struct cli *cli, struct baozi_counts *counts)
{
    struct watcher watcher = {.client = cli->client};
    pthread_t thread = 0;
    enum baozi_scope scope = values.group != NULL ? BAOZI_SCOPE_GROUP
                             : values.up_to       ? BAOZI_SCOPE_UP_TO
                                                  : BAOZI_SCOPE_QUEUE;
    bool watched = values.progress && watch_begin(&watcher, &thread);
    enum baozi_status status = baozi_join(
        cli->client, values.queue, scope, values.group, values.wait_ms, counts);
    if (watched) {
        atomic_store(&watcher.stop, true);
        (void)pthread_join(thread, NULL);
    }
    return status;
}

static const struct cli_member members[] = {
    {"unfinished", offsetof(struct baozi_counts, unfinished)},
    {"done", offsetof(struct baozi_counts, done)},
    {"dead", offsetof(struct baozi_counts, dead)},
    {"expired", offsetof(struct baozi_counts, expired)},
    {"cancelled", offsetof(struct baozi_counts, cancelled)},
    {"dropped", offsetof(struct baozi_counts, dropped)},
    {"purged", offsetof(struct baozi_counts, purged)},
    {NULL, 0},
};

static int print_counts(const struct cli *cli,
                        const struct baozi_counts *counts)
{
    if (cli_json(cli)) {
        json_t *object = json_object();
        json_t *errors = json_array();
        cli_json_members(object, members, counts);
        for (size_t i = 0; i < counts->error_count; i++)
            (void)json_array_append_new(errors, json_string(counts->errors[i]));
        (void)json_object_set_new(object, "errors", errors);
        return cli_print_json(cli, object, false);
    }
    for (const struct cli_member *member = members; member->name; member++) {
        uint64_t number;
        memcpy(&number, (const char *)counts + member->offset, sizeof number);
        (void)printf("%s%llu %s",
                     member == members ? "" : ", ",
                     (unsigned long long)number,
                     member->name);
    }
    (void)putchar('\n');
    for (size_t i = 0; i < counts->error_count; i++) {
        char safe[CLI_SAFE_BYTES];
        (void)fprintf(stderr, "dead: %s\n", cli_safe(safe, counts->errors[i]));
    }
    return cli_end(cli, BAO_EXIT_OK);
}

static int run(struct cli *cli)
{
    struct baozi_counts counts = {0};
    int exit_code = BAO_EXIT_OK;
    if (values.group != NULL && values.up_to)
        return cli_usage(cli,
                         "--group and --up-to-now contradict each other",
                         "each names what to wait for",
                         "give one of them");
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status = join(cli, &counts);
    if (status != BAOZI_OK)
        exit_code = cli_fail(cli, status);
    if (status == BAOZI_OK || status == BAOZI_TIMEOUT) {
        int printed = print_counts(cli, &counts);
        exit_code = printed != BAO_EXIT_OK ? printed : exit_code;
    }
    if (exit_code == BAO_EXIT_OK && counts.dead > 0)
        exit_code = BAO_EXIT_NEGATIVE;
    return exit_code;
}

const struct cli_command cli_join = {.program = &program,
                                     .values = &values,
                                     .run = run};
