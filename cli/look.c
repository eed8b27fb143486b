/*
 * look.c - `baozi peek` and `baozi browse`: items as they lie in the queue.
 *
 * Looking changes nothing. Payloads may be anything, so tables show their
 * beginning, escaped; JSON has them whole.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "common/text.h"

/* The states one can browse, in this order. */
static const enum baozi_state states[] = {BAOZI_STATE_READY,
                                          BAOZI_STATE_DELAYED,
                                          BAOZI_STATE_LEASED,
                                          BAOZI_STATE_DEAD};

static struct values {
    struct cli_common common;
    const char *queue;
    const char *id;
    int state;
    const char *match;
    uint64_t limit;
    const char *after;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static json_t *view_json(const struct baozi_view *view)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "id", cli_json_number(view->id));
    (void)json_object_set_new(
        object, "state", json_string(baozi_state_name(view->state)));
    (void)json_object_set_new(object, "priority", json_integer(view->priority));
    (void)json_object_set_new(
        object, "deliveries", cli_json_number(view->deliveries));
    (void)json_object_set_new(
        object, "accepted_ms", cli_json_number(view->accepted_ms));
    if (view->state == BAOZI_STATE_DELAYED)
        (void)json_object_set_new(
            object, "due_ms", cli_json_number(view->due_ms));
    if (view->origin != 0)
        (void)json_object_set_new(
            object, "origin", cli_json_number(view->origin));
    if (view->session != 0)
        (void)json_object_set_new(
            object, "session", cli_json_number(view->session));
    (void)json_object_set_new(object, "group", cli_json_text(view->group));
    (void)json_object_set_new(object, "error", cli_json_text(view->error));
    if (view->history != NULL)
        (void)json_object_set_new(
            object, "history", cli_json_text(view->history));
    cli_json_bytes(object, "payload", view->payload, view->bytes);
    return object;
}

static void print_line(const char *name, const char *text)
{
    char safe[CLI_SAFE_BYTES];
    if (text != NULL)
        (void)printf("%-11s %s\n", name, cli_safe(safe, text));
}

static void print_number(const char *name, uint64_t number)
{
    (void)printf("%-11s %llu\n", name, (unsigned long long)number);
}

/* --- peek --- */

static int peeked(void *context, const struct baozi_view *view)
{
    const struct cli *cli = context;
    char safe[2048];
    char duration[BAO_TEXT_BYTES];
    if (cli_json(cli))
        return cli_print_json(cli, view_json(view), false);
    print_number("id", view->id);
    print_line("state", baozi_state_name(view->state));
    (void)printf("%-11s %d\n", "priority", view->priority);
    print_number("deliveries", view->deliveries);
    if (view->state == BAOZI_STATE_DELAYED)
        print_line("due in",
                   bao_write_duration(duration, sizeof duration, view->due_ms));
    if (view->origin != 0)
        print_number("origin", view->origin);
    if (view->session != 0)
        print_number("session", view->session);
    print_line("group", view->group);
    print_line("error", view->error);
    print_line("history", view->history);
    (void)printf("%-11s %zu\n", "bytes", view->bytes);
    bao_write_escaped(safe, sizeof safe, view->payload, view->bytes);
    (void)printf("%-11s %s\n", "payload", safe);
    return 0;
}

static int run_peek(struct cli *cli)
{
    uint64_t id = 0;
    int exit_code = BAO_EXIT_USAGE;
    if (values.id != NULL && !cli_read_id(cli, values.id, &id))
        return BAO_EXIT_USAGE;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status =
        baozi_peek(cli->client, values.queue, id, peeked, cli);
    return status == BAOZI_OK ? BAO_EXIT_OK : cli_fail(cli, status);
}

static const struct bao_option peek_options[] = {
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_operand peek_operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name"},
    {.name = "ID",
     AT(id),
     .optional = true,
     .help = "an item; without it the next ready one"},
    {0},
};
static const struct bao_program peek_program = {
    .name = "baozi peek",
    .purpose = "look at one item",
    .options = peek_options,
    .operands = peek_operands,
    .examples = "  baozi peek jobs\n  baozi peek jobs 1099511627777\n",
    .exits = "0 shown; 1 there is none",
};
const struct cli_command cli_peek = {.program = &peek_program,
                                     .values = &values,
                                     .run = run_peek};

/* --- browse --- */

static const char *const titles[] = {">ID",
                                     ">PRIO",
                                     ">DELIVERIES",
                                     ">BYTES",
                                     "GROUP",
                                     "ERROR",
                                     "PAYLOAD",
                                     NULL};

struct shelf {
    const struct cli *cli;
    struct cli_table table;
    json_t *array;
};

static int browsed(void *context, const struct baozi_view *view)
{
    struct shelf *shelf = context;
    char text[BAO_TEXT_BYTES];
    if (shelf->array != NULL)
        return json_array_append_new(shelf->array, view_json(view));
    cli_table_number(&shelf->table, view->id);
    (void)snprintf(text, sizeof text, "%d", view->priority);
    cli_table_add(&shelf->table, text);
    cli_table_number(&shelf->table, view->deliveries);
    cli_table_number(&shelf->table, view->bytes);
    cli_table_add(&shelf->table, view->group == NULL ? "-" : view->group);
    const char *error = view->error == NULL ? "-" : view->error;
    cli_table_bytes(&shelf->table, error, strlen(error));
    cli_table_bytes(&shelf->table, view->payload, view->bytes);
    return 0;
}

static int run_browse(struct cli *cli)
{
    struct shelf shelf = {.cli = cli};
    uint64_t cursor = 0;
    int exit_code = BAO_EXIT_USAGE;
    if (values.after != NULL && !cli_read_id(cli, values.after, &cursor))
        return BAO_EXIT_USAGE;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    if (cli_json(cli))
        shelf.array = json_array();
    cli_table_init(&shelf.table, titles);
    enum baozi_status status = baozi_browse(cli->client,
                                            values.queue,
                                            states[values.state],
                                            values.match,
                                            &cursor,
                                            values.limit,
                                            browsed,
                                            &shelf);
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

static const struct bao_option browse_options[] = {
    {.name = "state",
     .letter = 's',
     .takes = BAO_TAKES_CHOICE,
     AT(state),
     .choices = "ready|delayed|leased|dead",
     .initial = "ready",
     .help = "which items"},
    {.name = "match",
     .letter = 'm',
     .takes = BAO_TAKES_TEXT,
     AT(match),
     .help = "only those whose error contains this"},
    {.name = "limit",
     .letter = 'l',
     .takes = BAO_TAKES_NUMBER,
     AT(limit),
     .initial = "100",
     .help = "how many at most; 0 = all"},
    {.name = "after",
     .takes = BAO_TAKES_TEXT,
     AT(after),
     .value = "ID",
     .help = "go on behind this one"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_operand browse_operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name"},
    {0},
};
static const struct bao_program browse_program = {
    .name = "baozi browse",
    .purpose = "look at many items",
    .options = browse_options,
    .operands = browse_operands,
    .examples = "  baozi browse jobs\n"
                "  baozi browse jobs --state dead --match timeout "
                "--format json\n",
    .exits = "0 shown, even if there was none; 1 no such queue",
};
const struct cli_command cli_browse = {.program = &browse_program,
                                       .values = &values,
                                       .run = run_browse};
