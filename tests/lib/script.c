/*
 * script.c - operations as text.
 */
#include "tests/lib/script.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/baozi.h"
#include "common/texts.h"

enum type { NUMBER, SIGNED, TEXT, BYTES, COLUMN32, COLUMN64, TEXTS };

struct key {
    const char *name;
    unsigned number;
    enum type type;
    size_t offset;
};

static const struct key keys[] = {
#define X(number, NAME, field, type, max) \
    {#field, (number), type, offsetof(struct bao_operation, field)},
    BAO_KEY_TABLE(X)
#undef X
};

#define KEY_COUNT (sizeof keys / sizeof keys[0])

static const struct {
    const char *name;
    uint64_t verb;
} verbs[] = {
#define X(number, NAME, required, optional, answer) {#NAME, (number)},
    BAO_VERB_TABLE(X)
#undef X
};

static const struct {
    const char *name;
    uint64_t status;
} statuses[] = {
#define X(number, NAME, exit_code, what, remedy) {#NAME, (number)},
    BAOZI_STATUS_TABLE(X)
#undef X
};

_Noreturn static void give_up(const char *line, const char *why)
{
    (void)fprintf(stderr, "script: %s: %s\n", why, line);
    exit(1);
}

/* --- reading ------------------------------------------------------------ */

static uint64_t status_of(const char *line, const char *text, size_t bytes)
{
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (strlen(statuses[i].name) == bytes &&
            memcmp(statuses[i].name, text, bytes) == 0) {
            return statuses[i].status;
        }
    }
    give_up(line, "no such status");
}

static struct bao_span
keep(struct script_operation *parsed, const void *data, size_t bytes)
{
    uint8_t *at = parsed->bytes + parsed->used;
    if (bytes > sizeof parsed->bytes - parsed->used) {
        give_up("", "too long");
    }
    memcpy(at, data, bytes);
    parsed->used += bytes;
    return bao_span_of(at, bytes);
}

static struct bao_span read_column(struct script_operation *parsed,
                                   const char *text,
                                   size_t entry_bytes)
{
    uint8_t *start = parsed->bytes + parsed->used;
    size_t bytes = 0;
    char *end;
    do {
        uint64_t value = strtoull(text, &end, 10);
        if (entry_bytes == 4) {
            bao_store32(start + bytes, (uint32_t)value);
        } else {
            bao_store64(start + bytes, value);
        }
        bytes += entry_bytes;
        text = end + 1;
    } while (*end == ',');
    parsed->used += bytes;
    return bao_span_of(start, bytes);
}

static struct bao_span
read_hex(struct script_operation *parsed, const char *text, size_t bytes)
{
    uint8_t value[256];
    for (size_t i = 0; i < bytes / 2; i++) {
        char pair[3] = {text[2 * i], text[2 * i + 1], '\0'};
        value[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return keep(parsed, value, bytes / 2);
}

static void set_value(struct script_operation *parsed,
                      const struct key *key,
                      const char *text,
                      size_t bytes)
{
    char *field = (char *)&parsed->operation + key->offset;
    uint64_t number;
    int64_t signed_number;
    struct bao_span span = {0};
    parsed->operation.present |= UINT64_C(1) << key->number;
    switch (key->type) {
    case NUMBER:
        number = key->number == BAO_KEY_STATUS ? status_of(text, text, bytes)
                                               : strtoull(text, NULL, 10);
        memcpy(field, &number, sizeof number);
        return;
    case SIGNED:
        signed_number = strtoll(text, NULL, 10);
        memcpy(field, &signed_number, sizeof signed_number);
        return;
    case TEXT: span = keep(parsed, text, bytes); break;
    case BYTES: span = read_hex(parsed, text, bytes); break;
    case COLUMN32: span = read_column(parsed, text, 4); break;
    case COLUMN64: span = read_column(parsed, text, 8); break;
    case TEXTS: give_up(text, "lists of texts are not supported");
    }
    memcpy(field, &span, sizeof span);
}

static const struct key *find_key(const char *name, size_t bytes)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strlen(keys[i].name) == bytes &&
            memcmp(keys[i].name, name, bytes) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

void script_parse(const char *line, struct script_operation *parsed)
{
    memset(parsed, 0, sizeof *parsed);
    size_t verb_bytes = strcspn(line, " ");
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strlen(verbs[i].name) == verb_bytes &&
            memcmp(verbs[i].name, line, verb_bytes) == 0) {
            BAO_SET(&parsed->operation, VERB, verb, verbs[i].verb);
        }
    }
    if (parsed->operation.verb == 0) {
        give_up(line, "no such verb");
    }
    const char *at = line + verb_bytes;
    while (*(at += strspn(at, " ")) != '\0') {
        size_t name_bytes = strcspn(at, "=");
        const struct key *key = find_key(at, name_bytes);
        if (key == NULL || at[name_bytes] != '=') {
            give_up(line, "no such key");
        }
        const char *value = at + name_bytes + 1;
        bool quoted = *value == '\'';
        value += quoted ? 1 : 0;
        size_t bytes = strcspn(value, quoted ? "'" : " ");
        set_value(parsed, key, value, bytes);
        at = value + bytes + (quoted ? 1 : 0);
    }
}

/* --- writing ------------------------------------------------------------ */

struct script_text {
    char *data;
    size_t bytes;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void
add(struct script_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *end = text->data + text->used;
    size_t left = text->bytes - text->used;
    int n = vsnprintf(end, left, format, arguments);
    va_end(arguments);
    text->used += n < 0 || left == 0 ? 0
                  : (size_t)n < left ? (size_t)n
                                     : left - 1;
}

static void
add_column(struct script_text *text, struct bao_span column, size_t entry_bytes)
{
    for (size_t i = 0; i < column.bytes / entry_bytes; i++) {
        uint64_t value = entry_bytes == 4 ? bao_column32(column, i)
                                          : bao_column64(column, i);
        add(text, "%s%" PRIu64, i == 0 ? "" : ",", value);
    }
}

static void add_value(struct script_text *text,
                      const struct key *key,
                      const struct bao_operation *operation)
{
    const char *field = (const char *)operation + key->offset;
    uint64_t number;
    int64_t signed_number;
    struct bao_span span;
    switch (key->type) {
    case NUMBER:
        memcpy(&number, field, sizeof number);
        if (key->number == BAO_KEY_STATUS) {
            add(text, "%s", baozi_status_name((enum baozi_status)number));
        } else {
            add(text, "%" PRIu64, number);
        }
        return;
    case SIGNED:
        memcpy(&signed_number, field, sizeof signed_number);
        add(text, "%" PRId64, signed_number);
        return;
    case TEXT:
        memcpy(&span, field, sizeof span);
        add(text, "%.*s", (int)span.bytes, (const char *)span.data);
        return;
    case COLUMN32:
        memcpy(&span, field, sizeof span);
        add_column(text, span, 4);
        return;
    case COLUMN64:
        memcpy(&span, field, sizeof span);
        add_column(text, span, 8);
        return;
    case BYTES:
    case TEXTS:
        memcpy(&span, field, sizeof span);
        add(text, "(%zu bytes)", span.bytes);
        return;
    }
}

void script_write(const struct bao_operation *operation,
                  char *text_data,
                  size_t bytes)
{
    text_data[0] = '\0';
    struct script_text text = {.data = text_data, .bytes = bytes};
    add(&text, "%s", bao_verb_name(operation->verb));
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (keys[i].number == BAO_KEY_VERB ||
            (operation->present >> keys[i].number & 1) == 0) {
            continue;
        }
        add(&text, " %s=", keys[i].name);
        add_value(&text, &keys[i], operation);
    }
}
