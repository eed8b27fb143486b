/*
 * get.c - `baozi get`: takes items, writes them to stdout, settles each once
 * stdout took it.
 *
 * What stdout does not take goes back to its place, uncounted. With --peek
 * every item is held until the end and then goes back, so that none is shown
 * twice.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static struct values {
    struct cli_common common;
    const char *queue;
    uint64_t count;
    int64_t wait_ms;
    bool no_wait;
    bool peek;
    bool lines;
    bool nuls;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    {.name = "count",
     .letter = 'c',
     .takes = BAO_TAKES_NUMBER,
     AT(count),
     .initial = "1",
     .help = "how many; 0 = until none comes in time"},
    {.name = "timeout",
     .letter = 't',
     .takes = BAO_TAKES_WAIT,
     AT(wait_ms),
     .initial = "forever",
     .help = "how long to wait for each"},
    {.name = "no-wait",
     .letter = 'n',
     AT(no_wait),
     .help = "do not wait: end with 1 if the queue is empty"},
    {.name = "peek",
     AT(peek),
     .help = "leave the items in the queue, as if not taken"},
    {.name = "lines", AT(lines), .help = "write a newline behind each item"},
    {.name = "null",
     .letter = '0',
     AT(nuls),
     .help = "write a NUL behind each item"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_operand operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name"},
    {0},
};

static const struct bao_program program = {
    .name = "baozi get",
    .purpose = "take items, print them, settle them",
    .options = options,
    .operands = operands,
    .examples = "  baozi get jobs > job.json\n"
                "  baozi get jobs --no-wait --count 0 --lines\n"
                "  baozi get jobs --peek --timeout 2s\n",
    .notes = "Payloads are written byte by byte as they are. An item is "
             "settled when stdout\ntook all of it; else it goes back to its "
             "place. As JSON each item is one line.\n",
    .exits = "0 all that were asked for; 1 empty or shut down",
};

#define BATCH 64 /* items of one request */

/* Items held until the end (--peek). */
struct held {
    struct baozi_item *items;
    size_t count;
    size_t room;
};

static json_t *item_json(const struct baozi_item *item)
{
    json_t *object = json_object();
    json_t *headers = json_object();
    struct baozi_header header;
    (void)json_object_set_new(object, "id", cli_json_number(item->id));
    (void)json_object_set_new(
        object, "deliveries", cli_json_number(item->deliveries));
    (void)json_object_set_new(object, "priority", json_integer(item->priority));
    (void)json_object_set_new(object, "group", cli_json_text(item->group));
    for (size_t i = 0; baozi_item_header_at(item, i, &header); i++)
        (void)json_object_set_new(
            headers, header.key, json_string(header.value));
    (void)json_object_set_new(object, "headers", headers);
    cli_json_bytes(object, "payload", item->payload, item->bytes);
    return object;
}

static int write_item(const struct cli *cli, const struct baozi_item *item)
{
    if (cli_json(cli))
        return cli_print_json(cli, item_json(item), true);
    if (item->bytes > 0)
        (void)fwrite(item->payload, 1, item->bytes, stdout);
    if (values.lines)
        (void)putchar('\n');
    if (values.nuls)
        (void)putchar('\0');
    return cli_end(cli, BAO_EXIT_OK);
}

/* Gives back an item; what fails now is told by the exit code already. */
static void give_back(struct cli *cli, struct baozi_item *item)
{
    enum baozi_status status = baozi_release(cli->client, item, 0);
    if (status != BAOZI_OK && status != BAOZI_INTERRUPTED)
        (void)cli_fail(cli, status);
}

static int keep(struct cli *cli, struct held *held, struct baozi_item *item)
{
    if (held->count == held->room) {
        size_t room = held->room == 0 ? 16 : held->room * 2;
        struct baozi_item *grown = realloc(held->items, room * sizeof *grown);
        if (grown == NULL) {
            give_back(cli, item);
            return cli_fail(cli, BAOZI_NO_MEMORY);
        }
        held->items = grown;
        held->room = room;
    }
    held->items[held->count++] = *item;
    return BAO_EXIT_OK;
}

/* One item that is ours: printed, then settled in the background or kept. */
static int hand_out(struct cli *cli, struct held *held, struct baozi_item *item)
{
    int exit_code = write_item(cli, item);
    if (exit_code != BAO_EXIT_OK) {
        give_back(cli, item);
        return exit_code;
    }
    if (values.peek)
        return keep(cli, held, item);
    enum baozi_status status = baozi_done_async(cli->client, item);
    return status == BAOZI_OK ? BAO_EXIT_OK : cli_fail(cli, status);
}

/* The next items, at most `most` and BATCH; *got is how many came. What lies
 * behind an item that could not be printed goes back to its place. */
static int get_some(struct cli *cli,
                    struct held *held,
                    int64_t wait_ms,
                    uint64_t most,
                    size_t *got)
{
    struct baozi_item items[BATCH] = {0};
    int exit_code = BAO_EXIT_OK;
    enum baozi_status status =
        baozi_get_many(cli->client,
                       values.queue,
                       most < BATCH ? (size_t)most : BATCH,
                       NULL,
                       wait_ms,
                       items,
                       got);
    if (status == BAOZI_EMPTY && values.count == 0)
        return -1; /* the end that was asked for */
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    for (size_t i = 0; i < *got; i++) {
        if (exit_code == BAO_EXIT_OK)
            exit_code = hand_out(cli, held, &items[i]);
        else
            give_back(cli, &items[i]);
    }
    return exit_code;
}

static int run(struct cli *cli)
{
    struct held held = {0};
    int exit_code = BAO_EXIT_OK;
    int64_t wait_ms = values.no_wait ? 0 : values.wait_ms;
    if (values.lines && values.nuls)
        return cli_usage(cli,
                         "--lines and --null contradict each other",
                         "each names what is written behind an item",
                         "give one of them");
    /* A reader that left is a failed write, not our death: the item has to
     * go back. */
    (void)signal(SIGPIPE, SIG_IGN);
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    uint64_t left = values.count == 0 ? UINT64_MAX : values.count;
    while (exit_code == BAO_EXIT_OK && left > 0) {
        size_t got = 0;
        exit_code = get_some(cli, &held, wait_ms, left, &got);
        left -= got;
    }
    for (size_t i = held.count; i > 0; i--)
        give_back(cli, &held.items[i - 1]);
    free(held.items);
    enum baozi_status status = baozi_flush(cli->client, BAOZI_FOREVER);
    if (status != BAOZI_OK && exit_code <= BAO_EXIT_OK)
        return cli_fail(cli, status);
    return exit_code < 0 ? BAO_EXIT_OK : exit_code;
}

const struct cli_command cli_get = {.program = &program,
                                    .values = &values,
                                    .run = run};
