/*
 * log.c - writes the lines of log.h.
 *
 * A line is built in a buffer on the stack and written with one call; what
 * does not fit is cut. A failing stderr is no reason to stop a broker, so the
 * result of the write is looked at and forgotten.
 */
#include "common/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "common/time.h"

#define LINE_BYTES  2048u
#define VALUE_BYTES 512u
#define EVENTS_MAX  16u /* whose floods are told apart */

static enum bao_log_format log_format = BAO_LOG_TEXT;

/* How often an event was written in this second, and how often not. */
static struct {
    const char *name;
    uint64_t second;
    uint32_t written;
    uint32_t suppressed;
} floods[EVENTS_MAX];

struct line {
    char bytes[LINE_BYTES];
    size_t used; /* always leaves room for the closing bytes */
};

void bao_log_format_set(enum bao_log_format format)
{
    log_format = format;
}

static void add(struct line *line, const char *text)
{
    size_t bytes = strlen(text);
    size_t room = LINE_BYTES - 4 - line->used;
    if (bytes > room)
        bytes = room;
    memcpy(line->bytes + line->used, text, bytes);
    line->used += bytes;
}

static void add_number(struct line *line, uint64_t number)
{
    char text[BAO_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    add(line, text);
}

/* In double quotes, as both formats want it: bao_write_escaped() has made it
 * one printable line, quotes and backslashes are left to us. Its own \xNN is
 * no JSON, so the backslash before it is doubled there like any other. */
static void add_quoted(struct line *line, const char *text, size_t bytes)
{
    char shown[VALUE_BYTES];
    char pair[3] = {'\\', 0, 0};
    bao_write_escaped(shown, sizeof shown, text, bytes);
    add(line, "\"");
    for (const char *at = shown; *at != '\0'; at++) {
        bool special =
            *at == '"' || (*at == '\\' && log_format == BAO_LOG_JSON);
        pair[1] = *at;
        add(line, special ? pair : pair + 1);
    }
    add(line, "\"");
}

/* logfmt needs no quotes around a plain word. */
static bool is_word(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c >= 127)
            return false;
    }
    return bytes > 0 && bytes < VALUE_BYTES;
}

static void add_field(struct line *line, const struct bao_log_field *field)
{
    bool json = log_format == BAO_LOG_JSON;
    add(line, json ? ",\"" : " ");
    add(line, field->name);
    add(line, json ? "\":" : "=");
    if (field->text == NULL) {
        add_number(line, field->number);
    } else if (!json && is_word(field->text, field->text_bytes)) {
        char word[VALUE_BYTES];
        memcpy(word, field->text, field->text_bytes);
        word[field->text_bytes] = '\0';
        add(line, word);
    } else {
        add_quoted(line, field->text, field->text_bytes);
    }
}

static void add_time(struct line *line, uint64_t wall_us)
{
    char text[48];
    struct tm parts;
    time_t seconds = (time_t)(wall_us / 1000000);
    unsigned ms = (unsigned)(wall_us / 1000 % 1000);
    if (gmtime_r(&seconds, &parts) == NULL)
        return;
    size_t used = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text + used, sizeof text - used, ".%03uZ", ms);
    bool json = log_format == BAO_LOG_JSON;
    add(line, json ? "{\"time\":\"" : "time=");
    add(line, text);
    add(line, json ? "\"" : "");
}

static void write_line(enum bao_log_level level,
                       const struct bao_log_field *fields,
                       uint64_t wall_us)
{
    static const char *const names[] = {"error", "warning", "info"};
    struct line line = {.used = 0};
    struct bao_log_field shown = bao_text("level", names[level]);
    add_time(&line, wall_us);
    add_field(&line, &shown);
    for (; fields->name != NULL; fields++)
        add_field(&line, fields);
    if (log_format == BAO_LOG_JSON)
        line.bytes[line.used++] = '}';
    line.bytes[line.used++] = '\n';
    ssize_t written = write(STDERR_FILENO, line.bytes, line.used);
    (void)written;
}

/* False if this event was written often enough in this second, which is none
 * of the wall clock: that may be set back by hours. */
static bool flood_admits(const char *name, uint64_t wall_us)
{
    uint64_t second = bao_time_monotonic_us() / 1000000;
    size_t i = 0;
    while (i < EVENTS_MAX && floods[i].name != NULL && floods[i].name != name)
        i++;
    if (i == EVENTS_MAX)
        return true;
    if (floods[i].second != second) {
        uint32_t suppressed = floods[i].suppressed;
        floods[i].name = name;
        floods[i].second = second;
        floods[i].written = 0;
        floods[i].suppressed = 0;
        if (suppressed > 0) {
            const struct bao_log_field fields[] = {
                bao_event("suppressed"),
                bao_text("of", name),
                bao_number("count", suppressed),
                {0}};
            write_line(BAO_LOG_WARNING, fields, wall_us);
        }
    }
    if (floods[i].written < BAO_LOG_BURST) {
        floods[i].written++;
        return true;
    }
    floods[i].suppressed++;
    return false;
}

void bao_log_line(enum bao_log_level level, const struct bao_log_field *fields)
{
    uint64_t wall_us = bao_time_wall_us();
    if (flood_admits(fields->text, wall_us))
        write_line(level, fields, wall_us);
}
