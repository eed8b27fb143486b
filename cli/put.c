/*
 * put.c - `baozi put`: items from the command line or stdin.
 *
 * Each payload given as a word is one item; without one, all of stdin is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/options_put.h"

static struct values {
    struct cli_common common;
    const char *queue;
    struct bao_texts payloads;
    struct bao_put_settings put;
    const char *not_before;
    uint64_t not_before_ms; /* made from it */
    int64_t wait_ms;
    bool no_wait;
    bool result;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    BAO_OPTIONS_PUT(struct values, put),
    {.name = "not-before",
     .takes = BAO_TAKES_TEXT,
     AT(not_before),
     .value = "WHEN",
     .help = "hand it out then: 09:00, 2026-12-24 18:30:00, or with T and Z"},
    {.name = "timeout",
     .letter = 't',
     .takes = BAO_TAKES_WAIT,
     AT(wait_ms),
     .initial = "forever",
     .help = "how long to wait for room, and with --result for the outcome"},
    {.name = "no-wait",
     .letter = 'n',
     AT(no_wait),
     .help = "do not wait for room: end with 75 if the queue is full"},
    {.name = "result",
     AT(result),
     .help = "wait until the item is settled; print its result"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_operand operands[] = {
    {.name = "QUEUE", AT(queue), .help = "its name; made if not there"},
    {.name = "PAYLOAD",
     AT(payloads),
     .optional = true,
     .repeated = true,
     .help = "one item each; without any, stdin is one item"},
    {0},
};

/* A moment of the wall clock; a time alone is the next such time. */
static bool read_moment(const char *text, uint64_t *ms)
{
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S",
                                          "%Y-%m-%d %H:%M:%S",
                                          "%Y-%m-%dT%H:%M",
                                          "%Y-%m-%d %H:%M",
                                          "%H:%M"};
    time_t now = time(NULL);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct tm parts;
        (void)localtime_r(&now, &parts);
        parts.tm_sec = 0;
        const char *end = strptime(text, formats[i], &parts);
        if (end == NULL || (strcmp(end, "Z") != 0 && *end != '\0'))
            continue;
        bool today = i + 1 == sizeof formats / sizeof formats[0];
        parts.tm_isdst = -1;
        time_t then = *end == 'Z' ? timegm(&parts) : mktime(&parts);
        if (today && then <= now) {
            parts.tm_mday++;
            then = *end == 'Z' ? timegm(&parts) : mktime(&parts);
        }
        if (then <= 0)
            return false;
        *ms = (uint64_t)then * 1000;
        return true;
    }
    return false;
}

static bool
check(void *of, struct bao_options *parsed, struct bao_problem *problem)
{
    struct values *given = of;
    if (given->not_before != NULL &&
        !read_moment(given->not_before, &given->not_before_ms))
        return bao_problem_usage(problem,
                                 "--not-before: this is no moment",
                                 "a time such as 09:00 or 2026-12-24 18:30 is "
                                 "needed",
                                 "put it in quotes if it has a space");
    return bao_put_settings_check(&given->put, parsed, problem);
}

static const struct bao_program program = {
    .name = "baozi put",
    .purpose = "put items into a queue; print their ids",
    .options = options,
    .operands = operands,
    .examples = "  baozi put jobs hello\n"
                "  baozi put jobs --delay 5m --group night < job.json\n"
                "  baozi put sums '2+2' --result\n",
    .notes = "As JSON each item is one line: id, duplicate, durability, and "
             "with --result\nstate, result and error.\n",
    .exits = "0 accepted (with --result: done); 1 timed out, shut down, or "
             "with --result not done; 75 full",
    .check = check,
};

/* All of stdin; owned. NULL: *exit_code is set and a message printed. */
static char *read_stdin(const struct cli *cli, size_t *bytes, int *exit_code)
{
    size_t room = 64u * 1024u;
    char *data = malloc(room);
    *bytes = 0;
    while (data != NULL) {
        ssize_t got = read(STDIN_FILENO, data + *bytes, room - *bytes);
        if (got == 0)
            return data;
        if (got < 0) {
            *exit_code =
                cli_signal() != 0
                    ? BAO_EXIT_SIGNAL + cli_signal()
                    : bao_complain_errno(
                          cli->name, BAO_EXIT_IO, "cannot read stdin", errno);
            break;
        }
        *bytes += (size_t)got;
        if (*bytes > BAO_ITEM_BYTES_MAX) {
            *exit_code = bao_complain(cli->name,
                                      BAO_EXIT_DATA,
                                      "the payload is too big",
                                      "an item has at most 32 MiB",
                                      "put a reference to it instead");
            break;
        }
        if (*bytes == room) {
            char *grown = realloc(data, room * 2);
            if (grown == NULL) {
                *exit_code = cli_fail(cli, BAOZI_NO_MEMORY);
                break;
            }
            data = grown;
            room *= 2;
        }
    }
    if (data == NULL)
        *exit_code = cli_fail(cli, BAOZI_NO_MEMORY);
    free(data);
    return NULL;
}

/* Waits for the outcome of an item and says it. */
static int
say_outcome(struct cli *cli, uint64_t id, uint64_t end_us, json_t *object)
{
    struct baozi_outcome outcome = {0};
    enum baozi_status status =
        baozi_wait(cli->client, id, cli_left_ms(end_us), &outcome);
    if (status != BAOZI_OK) {
        json_decref(object);
        return cli_fail(cli, status);
    }
    int exit_code =
        outcome.state == BAOZI_STATE_DONE ? BAO_EXIT_OK : BAO_EXIT_NEGATIVE;
    if (object != NULL) {
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

static int put_one(struct cli *cli, const void *data, size_t bytes)
{
    struct baozi_receipt receipt = {0};
    struct baozi_put_options put;
    char key[BAO_KEY_BYTES_MAX];
    if (!bao_put_settings_apply(&values.put, data, bytes, key, &put))
        return bao_complain(cli->name,
                            BAO_EXIT_DATA,
                            "the payload gives no dedup key",
                            "a key has 1 to 256 bytes",
                            "say --dedup-key KEY without {}");
    put.not_before_ms = values.not_before_ms;
    put.want_result = values.result;
    uint64_t end_us = cli_end_us(values.wait_ms);
    enum baozi_status status = baozi_put(cli->client,
                                         values.queue,
                                         data,
                                         bytes,
                                         &put,
                                         values.no_wait ? 0 : values.wait_ms,
                                         &receipt);
    if (status != BAOZI_OK)
        return cli_fail(cli, status);
    json_t *object = NULL;
    if (cli_json(cli)) {
        object = json_object();
        (void)json_object_set_new(object, "id", cli_json_number(receipt.id));
        (void)json_object_set_new(
            object, "duplicate", json_boolean(receipt.duplicate));
        (void)json_object_set_new(
            object, "durability", json_string(cli_durability(receipt.level)));
    }
    if (values.result)
        return say_outcome(cli, receipt.id, end_us, object);
    if (object != NULL)
        return cli_print_json(cli, object, true);
    (void)printf("%llu\n", (unsigned long long)receipt.id);
    return cli_end(cli, BAO_EXIT_OK);
}

static int put_all(struct cli *cli)
{
    int exit_code = BAO_EXIT_OK;
    for (size_t i = 0; i < values.payloads.count; i++) {
        const char *text = values.payloads.texts[i];
        int one = put_one(cli, text, strlen(text));
        exit_code = one > exit_code ? one : exit_code;
        if (one > BAO_EXIT_NEGATIVE)
            return one;
    }
    if (values.payloads.count > 0)
        return exit_code;
    size_t bytes;
    char *data = read_stdin(cli, &bytes, &exit_code);
    if (data == NULL)
        return exit_code;
    exit_code = put_one(cli, data, bytes);
    free(data);
    return exit_code;
}

static int run(struct cli *cli)
{
    int exit_code = BAO_EXIT_OK;
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status = baozi_declare(cli->client, values.queue, NULL);
    return status == BAOZI_OK ? put_all(cli) : cli_fail(cli, status);
}

const struct cli_command cli_put = {.program = &program,
                                    .values = &values,
                                    .run = run};
