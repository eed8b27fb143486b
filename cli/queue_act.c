/*
 * queue_act.c - what an operator does to a queue: pause, resume, purge, shut
 * down, reopen, remove. What throws items away asks on a terminal first.
 */
#include <stdio.h>

#include "cli/cli.h"

static struct values {
    struct cli_common common;
    const char *queue;
    bool in, out;
    bool dead;
    bool immediate;
    bool force;
    bool yes;
} values;

#define AT(member) .offset = offsetof(struct values, member)
#define YES                                                         \
    {                                                               \
        .name = "yes", .letter = 'y', AT(yes), .help = "do not ask" \
    }

static const struct bao_operand operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name"},
    {0},
};

static int end(struct cli *cli, enum baozi_status status)
{
    return status == BAOZI_OK ? BAO_EXIT_OK : cli_fail(cli, status);
}

/* Asks "`act` QUEUE`rest`?"; false: the exit code is set. */
static bool
agreed(const struct cli *cli, const char *act, const char *rest, int *exit_code)
{
    char question[320];
    (void)snprintf(
        question, sizeof question, "%s '%s'%s?", act, values.queue, rest);
    if (cli_agrees(cli, values.yes, question))
        return true;
    *exit_code = bao_complain(cli->name,
                              BAO_EXIT_NEGATIVE,
                              "nothing was done",
                              "the question was not answered with y",
                              "answer y, or give --yes");
    return false;
}

/* --- pause, resume --- */

static int direction(void)
{
    int both = values.in == values.out;
    return both ? 3 : values.in ? 1 : 2;
}

static int run_pause(struct cli *cli)
{
    int exit_code;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    return end(cli, baozi_pause(cli->client, values.queue, direction()));
}

static int run_resume(struct cli *cli)
{
    int exit_code;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    return end(cli, baozi_resume(cli->client, values.queue, direction()));
}

static const struct bao_option pause_options[] = {
    {.name = "in", AT(in), .help = "only puts"},
    {.name = "out", AT(out), .help = "only gets"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program pause_program = {
    .name = "baozi queue pause",
    .purpose = "let puts and gets wait",
    .options = pause_options,
    .operands = operands,
    .examples = "  baozi queue pause jobs\n  baozi queue pause jobs --out\n",
    .notes = "Work that was taken already is settled as ever, and joins go "
             "on.\n",
    .exits = "0 paused; 1 no such queue",
};
const struct cli_command cli_queue_pause = {.program = &pause_program,
                                            .values = &values,
                                            .run = run_pause};

static const struct bao_program resume_program = {
    .name = "baozi queue resume",
    .purpose = "let puts and gets go on",
    .options = pause_options,
    .operands = operands,
    .examples = "  baozi queue resume jobs\n",
    .exits = "0 resumed; 1 no such queue",
};
const struct cli_command cli_queue_resume = {.program = &resume_program,
                                             .values = &values,
                                             .run = run_resume};

/* --- purge --- */

static int run_purge(struct cli *cli)
{
    uint64_t purged = 0;
    int exit_code;
    if (!agreed(cli, "throw away the items of queue", "", &exit_code) ||
        !cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status =
        baozi_purge(cli->client, values.queue, values.dead, &purged);
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    if (cli_json(cli))
        return cli_print_json(
            cli, json_pack("{s:o}", "purged", cli_json_number(purged)), false);
    (void)printf("%llu purged\n", (unsigned long long)purged);
    return BAO_EXIT_OK;
}

static const struct bao_option purge_options[] = {
    {.name = "dead", AT(dead), .help = "the dead items too"},
    YES,
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program purge_program = {
    .name = "baozi queue purge",
    .purpose = "throw away ready and delayed items",
    .options = purge_options,
    .operands = operands,
    .examples = "  baozi queue purge jobs --yes\n",
    .notes = "Leased items stay with their holders.\n",
    .exits = "0 purged; 1 no such queue, or the question was not answered "
             "with y",
};
const struct cli_command cli_queue_purge = {.program = &purge_program,
                                            .values = &values,
                                            .run = run_purge};

/* --- shutdown, reopen --- */

static int run_shutdown(struct cli *cli)
{
    const char *rest = values.immediate ? " and throw away its items" : "";
    int exit_code;
    if (!agreed(cli, "shut down queue", rest, &exit_code) ||
        !cli_open(cli, 0, &exit_code))
        return exit_code;
    return end(cli,
               baozi_shutdown(cli->client, values.queue, values.immediate));
}

static const struct bao_option shutdown_options[] = {
    {.name = "immediate",
     AT(immediate),
     .help = "throw away what is ready and delayed"},
    YES,
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program shutdown_program = {
    .name = "baozi queue shutdown",
    .purpose = "refuse puts; gets drain the queue, then end",
    .options = shutdown_options,
    .operands = operands,
    .examples = "  baozi queue shutdown jobs\n",
    .notes = "The rules are those of Python's queue.shutdown.\n",
    .exits = "0 shut down; 1 no such queue, or the question was not answered "
             "with y",
};
const struct cli_command cli_queue_shutdown = {.program = &shutdown_program,
                                               .values = &values,
                                               .run = run_shutdown};

static int run_reopen(struct cli *cli)
{
    int exit_code;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    return end(cli, baozi_reopen(cli->client, values.queue));
}

static const struct bao_option reopen_options[] = {
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program reopen_program = {
    .name = "baozi queue reopen",
    .purpose = "undo a shutdown",
    .options = reopen_options,
    .operands = operands,
    .examples = "  baozi queue reopen jobs\n",
    .exits = "0 open; 1 no such queue",
};
const struct cli_command cli_queue_reopen = {.program = &reopen_program,
                                             .values = &values,
                                             .run = run_reopen};

/* --- rm --- */

static int run_rm(struct cli *cli)
{
    const char *rest = values.force ? " with all its items" : " if it is empty";
    int exit_code;
    if (!agreed(cli, "remove queue", rest, &exit_code) ||
        !cli_open(cli, 0, &exit_code))
        return exit_code;
    return end(cli, baozi_delete(cli->client, values.queue, values.force));
}

static const struct bao_option rm_options[] = {
    {.name = "force",
     .letter = 'f',
     AT(force),
     .help = "even if there are items in it: they count as purged"},
    YES,
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_program rm_program = {
    .name = "baozi queue rm",
    .purpose = "remove a queue",
    .options = rm_options,
    .operands = operands,
    .examples = "  baozi queue rm jobs\n  baozi queue rm jobs --force --yes\n",
    .exits = "0 removed; 1 no such queue, or the question was not answered "
             "with y; 64 not empty",
};
const struct cli_command cli_queue_rm = {.program = &rm_program,
                                         .values = &values,
                                         .run = run_rm};
