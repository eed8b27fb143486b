/*
 * log.h - the log of a program: one event a line on stderr.
 *
 *     BAO_LOG(BAO_LOG_WARNING, bao_event("strike"),
 *             bao_number("peer", peer), bao_text("why", why));
 *
 *     time=2026-03-01T09:00:00.000Z level=warning event=strike peer=7
 *     why="no such verb"                                    (on one line)
 *
 * Names of events and fields are stable, lower_case and part of the
 * interface. Values may come from a peer: what is not printable is escaped
 * and long texts are cut, so that nobody can forge a line. A line is one
 * write. Events repeated more than BAO_LOG_BURST times in a second (by the
 * address of their name) are counted and summed up in one line
 * event=suppressed, so that a flood of faults is not a flood of lines.
 *
 * For one thread; the pure core never logs.
 */
#ifndef BAO_LOG_H
#define BAO_LOG_H

#include <stdint.h>

#include "common/span.h"

#define BAO_LOG_BURST 20u

enum bao_log_level { BAO_LOG_ERROR, BAO_LOG_WARNING, BAO_LOG_INFO };

enum bao_log_format {
    BAO_LOG_TEXT, /* logfmt */
    BAO_LOG_JSON
};

struct bao_log_field {
    const char *name; /* NULL ends the list */
    const char *text; /* NULL: the number counts */
    size_t text_bytes;
    uint64_t number;
};

/* Before the first line; may be changed later. The default is TEXT. */
void bao_log_format_set(enum bao_log_format format);

/* Writes one line; `fields` ends with a zero row, the first is the event. */
void bao_log_line(enum bao_log_level level, const struct bao_log_field *fields);

#define BAO_LOG(level, ...) \
    bao_log_line((level), (const struct bao_log_field[]){__VA_ARGS__, {0}})

/* Texts are lent for the call; NULL is shown as "". */
static inline struct bao_log_field bao_text(const char *name, const char *text)
{
    const char *shown = text == NULL ? "" : text;
    return (struct bao_log_field){
        .name = name, .text = shown, .text_bytes = strlen(shown)};
}

static inline struct bao_log_field bao_event(const char *text)
{
    return bao_text("event", text);
}

static inline struct bao_log_field bao_bytes(const char *name,
                                             struct bao_span bytes)
{
    return (struct bao_log_field){
        .name = name,
        .text = bytes.data == NULL ? "" : (const char *)bytes.data,
        .text_bytes = bytes.bytes};
}

static inline struct bao_log_field bao_number(const char *name, uint64_t number)
{
    return (struct bao_log_field){.name = name, .number = number};
}

#endif
