/*
 * items.c - `baozi redrive`, `baozi cancel`, `baozi wait`: verbs about items
 * named by their ids.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

static struct values {
    struct cli_common common;
    const char *queue;
    const char *id;
    struct bao_texts ids;
    const char *match;
    uint64_t rate;
    uint64_t limit;
    bool all;
    int64_t wait_ms;
} values;

#define AT(member) .offset = offsetof(struct values, member)

/* --- redrive --- */

static const struct bao_option redrive_options[] = {
    {.name = "match",
     .letter = 'm',
     .takes = BAO_TAKES_TEXT,
     AT(match),
     .help = "those whose error contains this"},
    {.name = "limit",
     .letter = 'l',
     .takes = BAO_TAKES_NUMBER,
     AT(limit),
     .least = 1,
     .most = UINT32_MAX,
     .help = "at most so many, the oldest first"},
    {.name = "all", .letter = 'a', AT(all), .help = "all dead items"},
    {.name = "rate",
     .takes = BAO_TAKES_NUMBER,
     AT(rate),
     .least = 1,
     .most = UINT32_MAX,
     .help = "so many a second (default: at once)"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_operand redrive_operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name"},
    {.name = "ID",
     AT(ids),
     .optional = true,
     .repeated = true,
     .help = "dead items; else say --match, --limit or --all"},
    {0},
};
static const struct bao_program redrive_program = {
    .name = "baozi redrive",
    .purpose = "give dead items another life",
    .options = redrive_options,
    .operands = redrive_operands,
    .examples = "  baozi redrive jobs --all\n"
                "  baozi redrive jobs --match timeout --rate 100\n",
    .notes = "Each is put anew, with a new id; the dead one is gone. It obeys "
             "the bounds of\nthe queue.\n",
    .exits = "0 all that were asked for; 1 none was there, or some ids were "
             "not",
};

static int run_redrive(struct cli *cli)
{
    size_t count = values.ids.count;
    bool chosen = values.match != NULL || values.limit > 0;
    int exit_code = BAO_EXIT_USAGE;
    if (count == 0 && !chosen && !values.all)
        return cli_usage(cli,
                         "which items?",
                         "neither an id nor --match, --limit or --all is given",
                         "say --all if you mean all dead items");
    if (count > 0 && (chosen || values.all))
        return cli_usage(cli,
                         "ids and a choice contradict each other",
                         "with ids --match, --limit and --all mean nothing",
                         "give one or the other");
    uint64_t *ids = calloc(count + 1, sizeof *ids);
    if (ids == NULL)
        return cli_fail(cli, BAOZI_NO_MEMORY);
    bool good = true;
    for (size_t i = 0; i < count && good; i++)
        good = cli_read_id(cli, values.ids.texts[i], &ids[i]);
    if (!good || !cli_open(cli, 0, &exit_code)) {
        free(ids);
        return exit_code;
    }
    uint64_t moved = 0;
    enum baozi_status status = baozi_redrive(cli->client,
                                             values.queue,
                                             count > 0 ? ids : NULL,
                                             count,
                                             values.match,
                                             (uint32_t)values.limit,
                                             (uint32_t)values.rate,
                                             &moved);
    free(ids);
    exit_code = moved == 0 || moved < count ? BAO_EXIT_NEGATIVE : BAO_EXIT_OK;
    if (status != BAOZI_OK)
        exit_code = cli_fail(cli, status);
    if (status != BAOZI_OK && moved == 0)
        return exit_code;
    if (cli_json(cli)) {
        int printed = cli_print_json(
            cli, json_pack("{s:o}", "moved", cli_json_number(moved)), false);
        return printed != BAO_EXIT_OK ? printed : exit_code;
    }
    (void)printf("%llu moved\n", (unsigned long long)moved);
    return exit_code;
}

const struct cli_command cli_redrive = {.program = &redrive_program,
                                        .values = &values,
                                        .run = run_redrive};

/* --- cancel --- */

static int cancel_one(struct cli *cli, uint64_t id)
{
    int asked = 0;
    enum baozi_status status = baozi_cancel(cli->client, id, &asked);
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    const char *how = asked ? "asked" : "cancelled";
    if (cli_json(cli))
        return cli_print_json(
            cli,
            json_pack("{s:o,s:s}", "id", cli_json_number(id), "answer", how),
            true);
    (void)printf("%llu %s\n", (unsigned long long)id, how);
    return BAO_EXIT_OK;
}

static int run_cancel(struct cli *cli)
{
    int exit_code = BAO_EXIT_OK;
    uint64_t id;
    for (size_t i = 0; i < values.ids.count; i++) {
        if (!cli_read_id(cli, values.ids.texts[i], &id))
            return BAO_EXIT_USAGE;
    }
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    for (size_t i = 0; i < values.ids.count; i++) {
        (void)cli_read_id(cli, values.ids.texts[i], &id);
        int one = cancel_one(cli, id);
        exit_code = one > exit_code ? one : exit_code;
        if (one > BAO_EXIT_NEGATIVE)
            break;
    }
    return exit_code;
}

static const struct bao_option cancel_options[] = {
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_operand cancel_operands[] = {
    {.name = "ID", AT(ids), .repeated = true, .help = "as put prints them"},
    {0},
};
static const struct bao_program cancel_program = {
    .name = "baozi cancel",
    .purpose = "take items out of their queue",
    .options = cancel_options,
    .operands = cancel_operands,
    .examples = "  baozi cancel 1099511627777\n",
    .notes = "An item that somebody holds is only asked for: it is cancelled "
             "when it\nreturns, and done if its holder finishes it.\n",
    .exits = "0 cancelled or asked for; 1 there is no such item",
};
const struct cli_command cli_cancel = {.program = &cancel_program,
                                       .values = &values,
                                       .run = run_cancel};

/* --- wait --- */

static int run_wait(struct cli *cli)
{
    struct baozi_outcome outcome = {0};
    uint64_t id;
    int exit_code = BAO_EXIT_OK;
    if (!cli_read_id(cli, values.id, &id))
        return BAO_EXIT_USAGE;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status =
        baozi_wait(cli->client, id, values.wait_ms, &outcome);
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    exit_code =
        outcome.state == BAOZI_STATE_DONE ? BAO_EXIT_OK : BAO_EXIT_NEGATIVE;
    if (cli_json(cli)) {
        json_t *object = json_pack("{s:o}", "id", cli_json_number(id));
        int printed = cli_print_outcome(cli, &outcome, object);
        exit_code = printed != BAO_EXIT_OK ? printed : exit_code;
    } else if (outcome.state == BAOZI_STATE_DONE) {
        (void)fwrite(outcome.result, 1, outcome.bytes, stdout);
    } else {
        (void)cli_ended(cli, id, &outcome);
    }
    baozi_outcome_free(&outcome);
    return exit_code;
}

static const struct bao_option wait_options[] = {
    {.name = "timeout",
     .letter = 't',
     .takes = BAO_TAKES_WAIT,
     AT(wait_ms),
     .initial = "forever",
     .help = "how long to wait"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_operand wait_operands[] = {
    {.name = "ID", AT(id), .help = "as put prints it"},
    {0},
};
static const struct bao_program wait_program = {
    .name = "baozi wait",
    .purpose = "wait until an item is settled; print its result",
    .options = wait_options,
    .operands = wait_operands,
    .examples = "  baozi wait 1099511627777 --timeout 1m\n",
    .notes = "Outcomes are kept for items that are waited for, or were put "
             "with a wish for\ntheir result, and only for a while.\n",
    .exits = "0 done; 1 dead, expired, cancelled, dropped, purged, timed out "
             "or unknown",
};
const struct cli_command cli_wait = {.program = &wait_program,
                                     .values = &values,
                                     .run = run_wait};
