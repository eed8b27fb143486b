/*
 * cli.c - what the subcommands share: the client, signals, JSON.
 */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "common/time.h"
#include "common/utf8.h"

static volatile sig_atomic_t caught;

static void catch (int number)
{
    caught = number;
}

static int interrupted(void *context)
{
    (void)context;
    return caught != 0;
}

int cli_signal(void)
{
    return caught;
}

static void catch_signals(void)
{
    /* No SA_RESTART: what blocks must return. */
    struct sigaction action = {.sa_handler = catch};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

bool cli_open(struct cli *cli, uint32_t connect_ms, int *exit_code)
{
    const struct baozi_options options = {
        .size = sizeof options,
        .url = cli->common->url,
        .connect_timeout_ms = connect_ms,
        .close_timeout_ms = 1000,
        .program = cli->name,
        .interrupted = interrupted,
    };
    catch_signals();
    enum baozi_status status = baozi_open(&options, &cli->client);
    if (status == BAOZI_OK)
        return true;
    cli->client = NULL;
    *exit_code = bao_complain_open(cli->name, cli->common->url, status);
    return false;
}

int cli_fail(const struct cli *cli, enum baozi_status status)
{
    if (status == BAOZI_INTERRUPTED && caught != 0)
        return BAO_EXIT_SIGNAL + caught;
    return bao_complain_status(cli->name, cli->client, status);
}

int cli_usage(const struct cli *cli,
              const char *what,
              const char *why,
              const char *remedy)
{
    return bao_complain(cli->name, BAO_EXIT_USAGE, what, why, remedy);
}

int cli_end(const struct cli *cli, int exit_code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    return bao_complain_errno(
        cli->name, BAO_EXIT_IO, "stdout took not all of it", errno);
}

bool cli_agrees(const struct cli *cli, bool yes, const char *question)
{
    char answer[16];
    if (yes || !isatty(STDIN_FILENO))
        return true;
    (void)fprintf(stderr, "%s: %s [y/N] ", cli->name, question);
    (void)fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        return false;
    return answer[0] == 'y' || answer[0] == 'Y';
}

bool cli_read_id(const struct cli *cli, const char *text, uint64_t *id)
{
    char what[128];
    if (bao_read_number(text, id) && *id != 0)
        return true;
    (void)snprintf(what, sizeof what, "'%s' is not an id", text);
    (void)cli_usage(cli,
                    what,
                    "ids are whole numbers above 0, as put prints them",
                    "see `baozi browse` for the ids of a queue");
    return false;
}

uint64_t cli_end_us(int64_t wait_ms)
{
    uint64_t now_us = bao_time_monotonic_us();
    if (wait_ms < 0 || (uint64_t)wait_ms > (UINT64_MAX - now_us) / 1000)
        return UINT64_MAX;
    return now_us + (uint64_t)wait_ms * 1000;
}

int64_t cli_left_ms(uint64_t end_us)
{
    uint64_t now_us = bao_time_monotonic_us();
    if (end_us == UINT64_MAX)
        return BAOZI_FOREVER;
    return end_us <= now_us ? 0 : (int64_t)((end_us - now_us + 999) / 1000);
}

const char *cli_safe(char safe[CLI_SAFE_BYTES], const char *text)
{
    return bao_write_escaped(safe, CLI_SAFE_BYTES, text, strlen(text));
}

/* --- JSON --- */

bool cli_json(const struct cli *cli)
{
    return cli->common->format == BAO_FORMAT_JSON;
}

json_t *cli_json_number(uint64_t number)
{
    char text[BAO_TEXT_BYTES];
    if (number <= INT64_MAX)
        return json_integer((json_int_t)number);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return json_string(text);
}

json_t *cli_json_text(const char *text)
{
    if (text == NULL)
        return json_null();
    return json_string(text);
}

/* `data` as base64; owned. NULL: no memory. */
static char *base64(const uint8_t *data, size_t bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((bytes + 2) / 3 * 4 + 1);
    size_t used = 0;
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        uint32_t three = (uint32_t)data[i] << 16;
        three |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        three |= left > 2 ? (uint32_t)data[i + 2] : 0;
        text[used++] = letters[three >> 18];
        text[used++] = letters[three >> 12 & 63];
        text[used++] = left > 1 ? letters[three >> 6 & 63] : '=';
        text[used++] = left > 2 ? letters[three & 63] : '=';
    }
    text[used] = '\0';
    return text;
}

void cli_json_bytes(json_t *object,
                    const char *key,
                    const void *data,
                    size_t bytes)
{
    char name[64];
    if (bytes == 0 || bao_text_valid(bao_span_of(data, bytes))) {
        (void)json_object_set_new(
            object, key, json_stringn(bytes == 0 ? "" : data, bytes));
        return;
    }
    char *text = base64(data, bytes);
    (void)snprintf(name, sizeof name, "%s_base64", key);
    (void)json_object_set_new(
        object, name, text == NULL ? json_null() : json_string(text));
    free(text);
}

/* A piece of JSON on its way out. jansson lets DEL and the control characters
 * U+0080 to U+009F pass, which some terminals obey. */
static int print_piece(const char *piece, size_t bytes, void *context)
{
    size_t done = 0;
    (void)context;
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)piece[i];
        const unsigned char next =
            i + 1 < bytes ? (unsigned char)piece[i + 1] : 0;
        const bool high = c == 0xc2 && next >= 0x80 && next < 0xa0;
        if (c != 0x7f && !high)
            continue;
        (void)fwrite(piece + done, 1, i - done, stdout);
        (void)printf("\\u%04x", high ? (unsigned)next : (unsigned)c);
        i += high ? 1 : 0;
        done = i + 1;
    }
    (void)fwrite(piece + done, 1, bytes - done, stdout);
    return ferror(stdout) ? -1 : 0;
}

int cli_print_json(const struct cli *cli, json_t *value, bool line)
{
    size_t flags = line ? JSON_COMPACT : JSON_INDENT(2);
    int failed = value == NULL ||
                 json_dump_callback(value, print_piece, NULL, flags) != 0;
    json_decref(value);
    if (failed && !ferror(stdout))
        return bao_complain(cli->name,
                            BAO_EXIT_IO,
                            "the answer could not be written as JSON",
                            "memory ran out",
                            "free memory, then repeat");
    (void)putchar('\n');
    return cli_end(cli, BAO_EXIT_OK);
}

void cli_json_members(json_t *object,
                      const struct cli_member *members,
                      const void *values)
{
    for (; members->name != NULL; members++) {
        uint64_t number;
        memcpy(&number, (const char *)values + members->offset, sizeof number);
        (void)json_object_set_new(
            object, members->name, cli_json_number(number));
    }
}

const char *cli_durability(enum baozi_durability level)
{
    static const char *const names[] = {
        "default", "memory", "os", "disk", "quorum"};
    size_t i = (size_t)level;
    return i < sizeof names / sizeof names[0] ? names[i] : "unknown";
}

int cli_print_outcome(const struct cli *cli,
                      const struct baozi_outcome *outcome,
                      json_t *object)
{
    (void)json_object_set_new(
        object, "state", json_string(baozi_state_name(outcome->state)));
    if (outcome->bytes > 0)
        cli_json_bytes(object, "result", outcome->result, outcome->bytes);
    if (outcome->error[0] != '\0')
        (void)json_object_set_new(object, "error", json_string(outcome->error));
    return cli_print_json(cli, object, true);
}

int cli_ended(const struct cli *cli,
              uint64_t id,
              const struct baozi_outcome *outcome)
{
    char what[64];
    (void)snprintf(what,
                   sizeof what,
                   "item %llu ended %s",
                   (unsigned long long)id,
                   baozi_state_name(outcome->state));
    bool dead = outcome->state == BAOZI_STATE_DEAD;
    return bao_complain(cli->name,
                        BAO_EXIT_NEGATIVE,
                        what,
                        outcome->error,
                        dead ? "see baozi browse --state dead, baozi redrive"
                             : NULL);
}
