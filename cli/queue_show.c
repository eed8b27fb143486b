/*
 * queue_show.c - `baozi queue ls` and `baozi queue show`.
 */
#include <stdio.h>
#include <string.h>

#include "cli/queue.h"
#include "common/text.h"

static struct values {
    struct cli_common common;
    const char *queue;
} values;

static const struct bao_option options[] = {
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

/* --- ls --- */

static const char *const titles[] =
    {CLI_QUEUE_TITLES, ">MAXSIZE", "KIND", ">OLDEST", "STATE", NULL};

struct shelf {
    struct cli_table table;
    json_t *array; /* NULL: a table is wanted */
};

static int listed(void *context, const struct baozi_queue_stat *stat)
{
    struct shelf *shelf = context;
    char text[BAO_TEXT_BYTES];
    if (shelf->array != NULL)
        return json_array_append_new(shelf->array, cli_queue_json(stat));
    cli_queue_cells(&shelf->table, stat);
    cli_table_number(&shelf->table, stat->options.values[BAOZI_OPTION_MAXSIZE]);
    for (const struct cli_queue_option *row = cli_queue_options; row->name;
         row++) {
        if (row->option == BAOZI_OPTION_KIND)
            cli_table_add(
                &shelf->table,
                cli_queue_option_text(
                    row, stat->options.values[row->option], text, sizeof text));
    }
    cli_table_add(
        &shelf->table,
        stat->ready == 0
            ? "-"
            : bao_write_duration(text, sizeof text, stat->oldest_ready_ms));
    cli_table_add(&shelf->table, cli_queue_condition(stat));
    return 0;
}

static int run_ls(struct cli *cli)
{
    struct shelf shelf = {.array = NULL};
    int exit_code = BAO_EXIT_OK;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    if (cli_json(cli))
        shelf.array = json_array();
    cli_table_init(&shelf.table, titles);
    enum baozi_status status = baozi_list(cli->client, listed, &shelf);
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

static const struct bao_program ls_program = {
    .name = "baozi queue ls",
    .purpose = "list all queues",
    .options = options,
    .examples = "  baozi queue ls\n"
                "  baozi queue ls --format json\n",
    .exits = "0 listed, even if there is none",
};
const struct cli_command cli_queue_ls = {.program = &ls_program,
                                         .values = &values,
                                         .run = run_ls};

/* --- show --- */

static void print_pair(const char *name, const char *text)
{
    char safe[512];
    bao_write_escaped(safe, sizeof safe, text, strlen(text));
    (void)printf("%-16s %s\n", name, safe);
}

static int run_show(struct cli *cli)
{
    struct baozi_queue_stat stat = {.size = sizeof stat};
    char text[BAO_TEXT_BYTES];
    int exit_code = BAO_EXIT_OK;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status = baozi_stat(cli->client, values.queue, &stat);
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    if (cli_json(cli))
        return cli_print_json(cli, cli_queue_json(&stat), false);
    print_pair("name", stat.name);
    print_pair("state", cli_queue_condition(&stat));
    for (const struct cli_member *row = cli_queue_readings; row->name; row++) {
        uint64_t number;
        memcpy(&number, (const char *)&stat + row->offset, sizeof number);
        (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
        print_pair(row->name, text);
    }
    (void)putchar('\n');
    for (const struct cli_queue_option *row = cli_queue_options; row->name;
         row++)
        print_pair(
            row->name,
            cli_queue_option_text(
                row, stat.options.values[row->option], text, sizeof text));
    return BAO_EXIT_OK;
}

static const struct bao_operand show_operands[] = {
    {.name = "QUEUE",
     .offset = offsetof(struct values, queue),
     .help = "its name"},
    {0},
};
static const struct bao_program show_program = {
    .name = "baozi queue show",
    .purpose = "show all readings and options of a queue",
    .options = options,
    .operands = show_operands,
    .examples = "  baozi queue show jobs\n",
    .notes = "In JSON durations are milliseconds and sizes are bytes.\n",
    .exits = "0 shown; 1 no such queue",
};
const struct cli_command cli_queue_show = {.program = &show_program,
                                           .values = &values,
                                           .run = run_show};
