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
#include "common/limits.h"

static struct values {
    struct cli_common common;
    const char *queue;
    struct bao_texts payloads;
    int64_t priority;
    uint64_t delay_ms;
    const char *not_before;
    uint64_t ttl_ms;
    const char *group;
    const char *dedup_key;
    uint64_t dedup_window_ms;
    struct bao_texts headers;
    int64_t wait_ms;
    bool unique;
    bool no_wait;
    bool result;
} values;

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    {.name = "priority",
     .takes = BAO_TAKES_INTEGER,
     AT(priority),
     .least = INT32_MIN,
     .most = INT32_MAX,
     .help = "smaller comes first; for queues of kind priority"},
    {.name = "delay",
     .takes = BAO_TAKES_DURATION,
     AT(delay_ms),
     .help = "hand it out that much later"},
    {.name = "not-before",
     .takes = BAO_TAKES_TEXT,
     AT(not_before),
     .value = "WHEN",
     .help = "hand it out then: 09:00, 2026-12-24 18:30:00, or with T and Z"},
    {.name = "ttl",
     .takes = BAO_TAKES_DURATION,
     AT(ttl_ms),
     .help = "forget it if it was not taken by then (default: the queue's)"},
    {.name = "group",
     .letter = 'g',
     .takes = BAO_TAKES_TEXT,
     AT(group),
     .value = "GROUP",
     .help = "count it in this group; see baozi join --group"},
    {.name = "header",
     .letter = 'H',
     .takes = BAO_TAKES_TEXTS,
     AT(headers),
     .value = "KEY=VALUE",
     .help = "a header of the item"},
    {.name = "dedup-key",
     .takes = BAO_TAKES_TEXT,
     AT(dedup_key),
     .value = "KEY",
     .help = "an item with the same key is put once"},
    {.name = "dedup-window",
     .takes = BAO_TAKES_DURATION,
     AT(dedup_window_ms),
     .help = "how long the key holds (default: the queue's)"},
    {.name = "unique",
     .takes = BAO_TAKES_NOTHING,
     AT(unique),
     .help = "the key holds while the item is not settled"},
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

/* Splits KEY=VALUE words; the keys are copied into *keys. False: usage. */
static bool
read_headers(const struct cli *cli, struct baozi_header *headers, char **keys)
{
    for (size_t i = 0; i < values.headers.count; i++) {
        const char *text = values.headers.texts[i];
        const char *equals = strchr(text, '=');
        if (equals == NULL || equals == text) {
            (void)cli_usage(cli,
                            "--header needs KEY=VALUE",
                            "there is no key before a '='",
                            "write it as --header lang=en");
            return false;
        }
        keys[i] = strndup(text, (size_t)(equals - text));
        headers[i] = (struct baozi_header){keys[i], equals + 1};
    }
    return true;
}

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

static int put_one(struct cli *cli,
                   const struct baozi_put_options *put,
                   const void *data,
                   size_t bytes)
{
    struct baozi_receipt receipt = {0};
    uint64_t end_us = cli_end_us(values.wait_ms);
    enum baozi_status status = baozi_put(cli->client,
                                         values.queue,
                                         data,
                                         bytes,
                                         put,
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

static int put_all(struct cli *cli, const struct baozi_put_options *put)
{
    int exit_code = BAO_EXIT_OK;
    for (size_t i = 0; i < values.payloads.count; i++) {
        const char *text = values.payloads.texts[i];
        int one = put_one(cli, put, text, strlen(text));
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
    exit_code = put_one(cli, put, data, bytes);
    free(data);
    return exit_code;
}

static int run(struct cli *cli)
{
    size_t count = values.headers.count;
    struct baozi_header *headers = calloc(count + 1, sizeof *headers);
    char **keys = calloc(count + 1, sizeof *keys);
    int exit_code = BAO_EXIT_USAGE;
    struct baozi_put_options put = {
        .size = sizeof put,
        .priority = (int32_t)values.priority,
        .delay_ms = values.delay_ms,
        .ttl_ms = values.ttl_ms,
        .group = values.group,
        .dedup_key = values.dedup_key,
        .dedup_key_bytes =
            values.dedup_key == NULL ? 0 : strlen(values.dedup_key),
        .dedup_window_ms = values.dedup_window_ms,
        .unique = values.unique,
        .want_result = values.result,
        .headers = headers,
        .header_count = count,
    };
    if (headers == NULL || keys == NULL) {
        exit_code = cli_fail(cli, BAOZI_NO_MEMORY);
    } else if (values.not_before != NULL &&
               !read_moment(values.not_before, &put.not_before_ms)) {
        exit_code = cli_usage(cli,
                              "--not-before: this is no moment",
                              "a time such as 09:00 or 2026-12-24 18:30 is "
                              "needed",
                              "put it in quotes if it has a space");
    } else if (values.dedup_key == NULL &&
               (values.unique || values.dedup_window_ms != 0)) {
        exit_code = cli_usage(cli,
                              "there is no key to compare",
                              "--unique and --dedup-window speak of one",
                              "add --dedup-key KEY");
    } else if (read_headers(cli, headers, keys) &&
               cli_open(cli, 0, &exit_code)) {
        enum baozi_status status =
            baozi_declare(cli->client, values.queue, NULL);
        exit_code =
            status == BAOZI_OK ? put_all(cli, &put) : cli_fail(cli, status);
    }
    for (size_t i = 0; keys != NULL && i < count; i++)
        free(keys[i]);
    free(keys);
    free(headers);
    return exit_code;
}

const struct cli_command cli_put = {.program = &program,
                                    .values = &values,
                                    .run = run};
