/*
 * broker.c - `baozi workers` and `baozi health`: who is there.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "common/text.h"

static struct values {
    struct cli_common common;
    uint64_t wait_ms;
    bool ready;
} values;

#define AT(member) .offset = offsetof(struct values, member)

/* --- workers --- */

static const char *const titles[] = {">SESSION",
                                     "HOST",
                                     ">PID",
                                     "PROGRAM",
                                     ">LEASES",
                                     ">SILENT",
                                     "STATE",
                                     NULL};

struct shelf {
    struct cli_table table;
    json_t *array; /* NULL: a table is wanted */
};

static json_t *session_json(const struct baozi_session_info *info)
{
    json_t *object = json_object();
    (void)json_object_set_new(
        object, "session", cli_json_number(info->session));
    (void)json_object_set_new(object, "host", json_string(info->host));
    (void)json_object_set_new(object, "pid", cli_json_number(info->pid));
    (void)json_object_set_new(object, "program", json_string(info->program));
    (void)json_object_set_new(object, "leases", cli_json_number(info->leases));
    (void)json_object_set_new(
        object, "silent_ms", cli_json_number(info->silent_ms));
    (void)json_object_set_new(
        object, "connected", json_boolean(info->connected));
    return object;
}

static int listed(void *context, const struct baozi_session_info *info)
{
    struct shelf *shelf = context;
    char text[BAO_TEXT_BYTES];
    if (shelf->array != NULL)
        return json_array_append_new(shelf->array, session_json(info));
    cli_table_number(&shelf->table, info->session);
    cli_table_add(&shelf->table, info->host);
    cli_table_number(&shelf->table, info->pid);
    cli_table_add(&shelf->table, info->program);
    cli_table_number(&shelf->table, info->leases);
    cli_table_add(&shelf->table,
                  bao_write_duration(text, sizeof text, info->silent_ms));
    cli_table_add(&shelf->table, info->connected ? "connected" : "gone");
    return 0;
}

static int run_workers(struct cli *cli)
{
    struct shelf shelf = {.array = NULL};
    int exit_code = BAO_EXIT_OK;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    if (cli_json(cli))
        shelf.array = json_array();
    cli_table_init(&shelf.table, titles);
    enum baozi_status status = baozi_sessions(cli->client, listed, &shelf);
    if (status != BAOZI_OK) {
        json_decref(shelf.array);
        cli_table_free(&shelf.table);
        return cli_fail(cli, status);
    }
    if (shelf.array != NULL)
        return cli_print_json(cli, shelf.array, false);
    cli_table_print(&shelf.table);
    return BAO_EXIT_OK;
}

static const struct bao_option workers_options[] = {
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program workers_program = {
    .name = "baozi workers",
    .purpose = "list the sessions: workers, producers and others",
    .options = workers_options,
    .examples = "  baozi workers\n",
    .notes = "This command is a session too.\n",
    .exits = "0 listed",
};
const struct cli_command cli_workers = {.program = &workers_program,
                                        .values = &values,
                                        .run = run_workers};

/* --- health --- */

static int run_health(struct cli *cli)
{
    struct baozi_broker_info info = {.size = sizeof info};
    int exit_code = BAO_EXIT_OK;
    uint32_t wait_ms = (uint32_t)values.wait_ms;
    char uptime[BAO_TEXT_BYTES];
    if (!cli_open(cli, wait_ms, &exit_code))
        return exit_code;
    enum baozi_status status =
        baozi_connect(cli->client, (int64_t)values.wait_ms);
    if (status == BAOZI_OK)
        status = baozi_broker(cli->client, (int64_t)values.wait_ms, &info);
    /* An answer that is late is as bad as none. */
    if (status == BAOZI_TIMEOUT)
        status = BAOZI_CONNECTION_LOST;
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    if (values.ready && info.draining)
        exit_code = bao_complain_status(cli->name, NULL, BAOZI_DRAINING);
    if (cli_json(cli)) {
        json_t *object = json_pack("{s:b,s:b,s:s,s:o}",
                                   "alive",
                                   1,
                                   "ready",
                                   !info.draining,
                                   "version",
                                   info.version,
                                   "uptime_ms",
                                   cli_json_number(info.uptime_ms));
        int printed = cli_print_json(cli, object, false);
        return printed != BAO_EXIT_OK ? printed : exit_code;
    }
    char version[CLI_SAFE_BYTES];
    (void)printf("%s, version %s, up %s\n",
                 info.draining ? "draining" : "ok",
                 cli_safe(version, info.version),
                 bao_write_duration(uptime, sizeof uptime, info.uptime_ms));
    return exit_code;
}

static const struct bao_option health_options[] = {
    {.name = "ready",
     .letter = 'r',
     AT(ready),
     .help = "a broker that is draining is not well"},
    {.name = "timeout",
     .letter = 't',
     .takes = BAO_TAKES_DURATION,
     AT(wait_ms),
     .initial = "1s",
     .least = 1,
     .most = 3600000,
     .help = "how long it may take to answer"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program health_program = {
    .name = "baozi health",
    .purpose = "ask whether the broker is well",
    .options = health_options,
    .examples = "  baozi health && echo well\n"
                "  baozi health --ready --timeout 200ms\n",
    .exits = "0 it answers; 69 it does not; 75 with --ready: it is draining",
};
const struct cli_command cli_health = {.program = &health_program,
                                       .values = &values,
                                       .run = run_health};
