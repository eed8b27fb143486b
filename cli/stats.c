/*
 * stats.c - `baozi stats`: what is where and how fast it moves, once or again
 * and again.
 *
 * Rates are taken between two readings, so the first table has none.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/queue.h"
#include "common/progress.h"
#include "common/text.h"
#include "common/time.h"

static struct values {
    struct cli_common common;
    const char *queue;
    uint64_t watch_ms;
    uint64_t count;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    {.name = "watch",
     .letter = 'w',
     .takes = BAO_TAKES_DURATION,
     AT(watch_ms),
     .least = 100,
     .value = "SECONDS",
     .help = "again and again, that far apart, with rates"},
    {.name = "count",
     .letter = 'c',
     .takes = BAO_TAKES_NUMBER,
     AT(count),
     .help = "end after so many (default: never)"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_operand operands[] = {
    {.name = "QUEUE",
     AT(queue),
     .optional = true,
     .help = "one queue; without it all of them"},
    {0},
};

static const struct bao_program program = {
    .name = "baozi stats",
    .purpose = "show counts and rates",
    .options = options,
    .operands = operands,
    .examples = "  baozi stats\n  baozi stats jobs --watch 2\n",
    .notes = "As JSON each reading is one line: broker and queues, or with "
             "QUEUE the queue.\n",
    .exits = "0 shown; 1 no such queue",
};

/* One reading of one or all queues. */
struct reading {
    struct baozi_queue_stat *queues;
    size_t count;
    size_t room;
    uint64_t at_us;
};

static int collect(void *context, const struct baozi_queue_stat *stat)
{
    struct reading *reading = context;
    if (reading->count == reading->room) {
        size_t room = reading->room == 0 ? 16 : reading->room * 2;
        struct baozi_queue_stat *grown =
            realloc(reading->queues, room * sizeof *grown);
        if (grown == NULL)
            return 1;
        reading->queues = grown;
        reading->room = room;
    }
    reading->queues[reading->count++] = *stat;
    return 0;
}

static enum baozi_status take_reading(struct cli *cli, struct reading *reading)
{
    struct baozi_queue_stat stat = {.size = sizeof stat};
    reading->count = 0;
    reading->at_us = bao_time_monotonic_us();
    if (values.queue == NULL)
        return baozi_list(cli->client, collect, reading);
    enum baozi_status status = baozi_stat(cli->client, values.queue, &stat);
    if (status == BAOZI_OK && collect(reading, &stat) != 0)
        return BAOZI_NO_MEMORY;
    return status;
}

/* The same queue in the reading before; NULL: it was not there. Both are in
 * order of names, `*from` remembers where. */
static const struct baozi_queue_stat *
find_before(const struct reading *before, const char *name, size_t *from)
{
    while (*from < before->count &&
           strcmp(before->queues[*from].name, name) < 0)
        (*from)++;
    if (*from < before->count && strcmp(before->queues[*from].name, name) == 0)
        return &before->queues[*from];
    return NULL;
}

static void add_rate(struct cli_table *table,
                     uint64_t now,
                     const uint64_t *before,
                     uint64_t passed_us)
{
    char text[BAO_TEXT_BYTES];
    if (before == NULL || passed_us == 0 || now < *before) {
        cli_table_add(table, "-");
        return;
    }
    uint64_t tenths = (now - *before) * 10000000 / passed_us;
    if (tenths < 1000)
        (void)snprintf(text,
                       sizeof text,
                       "%llu.%llu",
                       (unsigned long long)(tenths / 10),
                       (unsigned long long)(tenths % 10));
    else
        (void)bao_write_count(text, sizeof text, tenths / 10);
    cli_table_add(table, text);
}

static void print_table(const struct reading *now, const struct reading *before)
{
    static const char *const titles[] = {CLI_QUEUE_TITLES,
                                         ">PUT/s",
                                         ">DONE/s",
                                         ">RETRY/s",
                                         ">OLDEST",
                                         "STATE",
                                         NULL};
    struct cli_table table;
    char text[BAO_TEXT_BYTES];
    uint64_t passed_us = before->at_us == 0 ? 0 : now->at_us - before->at_us;
    size_t from = 0;
    cli_table_init(&table, titles);
    for (size_t i = 0; i < now->count; i++) {
        const struct baozi_queue_stat *stat = &now->queues[i];
        const struct baozi_queue_stat *old =
            find_before(before, stat->name, &from);
        cli_queue_cells(&table, stat);
        add_rate(&table,
                 stat->accepted,
                 old == NULL ? NULL : &old->accepted,
                 passed_us);
        add_rate(
            &table, stat->done, old == NULL ? NULL : &old->done, passed_us);
        add_rate(&table,
                 stat->retried,
                 old == NULL ? NULL : &old->retried,
                 passed_us);
        cli_table_add(
            &table,
            stat->ready == 0
                ? "-"
                : bao_write_duration(text, sizeof text, stat->oldest_ready_ms));
        cli_table_add(&table, cli_queue_condition(stat));
    }
    cli_table_print(&table);
}

static json_t *broker_json(const struct baozi_broker_info *info)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "version", json_string(info->version));
    (void)json_object_set_new(
        object, "uptime_ms", cli_json_number(info->uptime_ms));
    (void)json_object_set_new(object, "epoch", cli_json_number(info->epoch));
    (void)json_object_set_new(object, "queues", cli_json_number(info->queues));
    (void)json_object_set_new(
        object, "sessions", cli_json_number(info->sessions));
    (void)json_object_set_new(
        object, "memory_bytes", cli_json_number(info->memory_bytes));
    (void)json_object_set_new(
        object, "memory_bytes_max", cli_json_number(info->memory_bytes_max));
    (void)json_object_set_new(
        object, "durability", json_string(cli_durability(info->level)));
    (void)json_object_set_new(object, "draining", json_boolean(info->draining));
    json_t *damages = json_array();
    for (unsigned i = 0; i < info->damage_count; i++)
        (void)json_array_append_new(damages, json_string(info->damages[i]));
    (void)json_object_set_new(object, "damages", damages);
    return object;
}

static void print_broker(const struct cli *cli,
                         const struct baozi_broker_info *info)
{
    char uptime[BAO_TEXT_BYTES];
    char used[BAO_TEXT_BYTES];
    char most[BAO_TEXT_BYTES];
    char version[CLI_SAFE_BYTES];
    char url[CLI_SAFE_BYTES];
    (void)printf("broker %s at %s, up %s%s\n"
                 "%llu queues, %llu sessions, %s of %s used, durability %s\n",
                 cli_safe(version, info->version),
                 cli_safe(url, baozi_url(cli->client)),
                 bao_write_duration(uptime, sizeof uptime, info->uptime_ms),
                 info->draining ? ", draining" : "",
                 (unsigned long long)info->queues,
                 (unsigned long long)info->sessions,
                 bao_write_size(used, sizeof used, info->memory_bytes),
                 bao_write_size(most, sizeof most, info->memory_bytes_max),
                 cli_durability(info->level));
    for (unsigned i = 0; i < info->damage_count; i++)
        (void)printf("DAMAGE on its disk: %s\n",
                     cli_safe(version, info->damages[i]));
    if (info->damage_count > 0)
        (void)printf("`baozi log verify` tells whether anything needs that\n");
    (void)putchar('\n');
}

static int print_reading(const struct cli *cli,
                         const struct baozi_broker_info *info,
                         const struct reading *now,
                         const struct reading *before)
{
    if (!cli_json(cli)) {
        if (values.queue == NULL)
            print_broker(cli, info);
        print_table(now, before);
        return cli_end(cli, BAO_EXIT_OK);
    }
    if (values.queue != NULL)
        return cli_print_json(
            cli, cli_queue_json(&now->queues[0]), values.watch_ms != 0);
    json_t *object = json_object();
    json_t *array = json_array();
    for (size_t i = 0; i < now->count; i++)
        (void)json_array_append_new(array, cli_queue_json(&now->queues[i]));
    (void)json_object_set_new(object, "broker", broker_json(info));
    (void)json_object_set_new(object, "queues", array);
    return cli_print_json(cli, object, values.watch_ms != 0);
}

/* Pauses between two readings; false when a signal says to end. */
static bool pause_reading(void)
{
    struct timespec time = {
        .tv_sec = (time_t)(values.watch_ms / 1000),
        .tv_nsec = (long)(values.watch_ms % 1000) * 1000000,
    };
    while (cli_signal() == 0) {
        if (nanosleep(&time, &time) == 0)
            break;
    }
    return cli_signal() == 0;
}

static int run(struct cli *cli)
{
    struct reading readings[2] = {{.queues = NULL}, {.queues = NULL}};
    int exit_code = BAO_EXIT_OK;
    bool clears = values.watch_ms != 0 && !cli_json(cli) &&
                  isatty(STDOUT_FILENO) && bao_progress_may_colour(1);
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    for (uint64_t i = 0;; i++) {
        struct baozi_broker_info info = {.size = sizeof info};
        struct reading *now = &readings[i % 2];
        enum baozi_status status = BAOZI_OK;
        if (values.queue == NULL)
            status = baozi_broker(cli->client, BAOZI_FOREVER, &info);
        if (status == BAOZI_OK)
            status = take_reading(cli, now);
        if (status != BAOZI_OK) {
            exit_code = cli_fail(cli, status);
            break;
        }
        if (clears)
            (void)fputs("\033[H\033[2J", stdout);
        exit_code = print_reading(cli, &info, now, &readings[(i + 1) % 2]);
        if (exit_code != BAO_EXIT_OK || values.watch_ms == 0 ||
            i + 1 == values.count)
            break;
        if (!pause_reading()) {
            exit_code = BAO_EXIT_SIGNAL + cli_signal();
            break;
        }
        if (!clears && !cli_json(cli))
            (void)putchar('\n');
    }
    free(readings[0].queues);
    free(readings[1].queues);
    return exit_code;
}

const struct cli_command cli_stats = {.program = &program,
                                      .values = &values,
                                      .run = run};
