/*
 * text.c - numbers, durations and sizes as people write and read them.
 *
 * Everything is computed in integers: a text with a decimal part is read as
 * digits and a scale, so "0.1s" is 100 ms exactly.
 */
#include "common/text.h"

#include <stdio.h>
#include <string.h>

#define DECIMALS_MAX 9u /* digits after the point that are looked at */

struct unit {
    const char *name;
    uint64_t worth;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool bao_read_number(const char *text, uint64_t *value)
{
    uint64_t sum = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (!is_digit(*text))
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return true;
}

bool bao_read_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    uint64_t size;
    if (*text == '-' || *text == '+')
        text++;
    if (!bao_read_number(text, &size))
        return false;
    if (size > (uint64_t)INT64_MAX + (negative ? 1u : 0u))
        return false;
    if (negative)
        *value = size == 0 ? 0 : -(int64_t)(size - 1) - 1;
    else
        *value = (int64_t)size;
    return true;
}

/* sum += whole.decimals * worth; false when it does not fit. */
static bool
add_scaled(uint64_t *sum, uint64_t whole, const char *decimals, uint64_t worth)
{
    uint64_t part = 0;
    uint64_t scale = 1;
    for (unsigned i = 0; i < DECIMALS_MAX && is_digit(decimals[i]); i++) {
        part = part * 10 + (uint64_t)(decimals[i] - '0');
        scale *= 10;
    }
    if (whole != 0 && worth > UINT64_MAX / whole)
        return false;
    uint64_t add = whole * worth;
    /* part < scale <= 10^9, so neither product below can overflow. */
    uint64_t more = worth / scale * part + worth % scale * part / scale;
    if (add > UINT64_MAX - more || *sum > UINT64_MAX - (add + more))
        return false;
    *sum += add + more;
    return true;
}

static const struct unit *
unit_find(const struct unit *units, const char *name, size_t bytes)
{
    for (; units->name != NULL; units++) {
        if (strlen(units->name) == bytes &&
            memcmp(units->name, name, bytes) == 0)
            return units;
    }
    return NULL;
}

/* Reads number and unit at *text and moves behind them. The unit "" is what
 * a number without one counts. */
static bool
read_measure(const char **text, const struct unit *units, uint64_t *sum)
{
    const char *at = *text;
    const char *decimals = "";
    uint64_t whole = 0;
    if (!is_digit(*at))
        return false;
    for (; is_digit(*at); at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (whole > (UINT64_MAX - digit) / 10)
            return false;
        whole = whole * 10 + digit;
    }
    if (*at == '.') {
        decimals = ++at;
        if (!is_digit(*at))
            return false;
        while (is_digit(*at))
            at++;
    }
    const char *name = at;
    while (*at != '\0' && !is_digit(*at) && *at != '.')
        at++;
    const struct unit *unit = unit_find(units, name, (size_t)(at - name));
    if (unit == NULL)
        return false;
    *text = at;
    return add_scaled(sum, whole, decimals, unit->worth);
}

bool bao_read_size(const char *text, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"k", UINT64_C(1) << 10},
        {"K", UINT64_C(1) << 10},
        {"KiB", UINT64_C(1) << 10},
        {"M", UINT64_C(1) << 20},
        {"MiB", UINT64_C(1) << 20},
        {"G", UINT64_C(1) << 30},
        {"GiB", UINT64_C(1) << 30},
        {"T", UINT64_C(1) << 40},
        {"TiB", UINT64_C(1) << 40},
        {"kB", UINT64_C(1000)},
        {"MB", UINT64_C(1000000)},
        {"GB", UINT64_C(1000000000)},
        {"TB", UINT64_C(1000000000000)},
        {NULL, 0},
    };
    uint64_t sum = 0;
    if (!read_measure(&text, units, &sum) || *text != '\0')
        return false;
    *bytes = sum;
    return true;
}

bool bao_read_duration(const char *text, uint64_t *ms)
{
    static const struct unit alone[] = {{"", 1000}, {NULL, 0}};
    static const struct unit units[] = {
        {"ms", 1},
        {"s", 1000},
        {"m", 60000},
        {"min", 60000},
        {"h", 3600000},
        {"d", 86400000},
        {NULL, 0},
    };
    const char *at = text;
    uint64_t sum = 0;
    if (read_measure(&at, alone, &sum) && *at == '\0') {
        *ms = sum;
        return true;
    }
    sum = 0;
    do {
        if (!read_measure(&text, units, &sum))
            return false;
    } while (*text != '\0');
    *ms = sum;
    return true;
}

bool bao_read_flag(const char *text, bool *value)
{
    static const char *const words[] = {
        "no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i], text) == 0) {
            *value = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* value / worth with about three digits: "12.3", "4.56", "950"; trailing
 * zeros after the point go if `trim`. */
static void
write_three(char *text, size_t bytes, uint64_t value, uint64_t worth, bool trim)
{
    uint64_t whole = value / worth;
    unsigned decimals = whole < 10 ? 2 : whole < 100 ? 1 : 0;
    unsigned scale = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;
    uint64_t rest = value % worth;
    unsigned part = (unsigned)(rest <= UINT64_MAX / 100 ? rest * 100 / worth
                                                        : rest / (worth / 100));
    part = part > 99 ? 99 : part;
    part = scale == 100 ? part : scale == 10 ? part / 10 : 0;
    while (trim && decimals > 0 && part % 10 == 0) {
        part /= 10;
        decimals--;
    }
    if (decimals == 0)
        (void)snprintf(text, bytes, "%llu", (unsigned long long)whole);
    else
        (void)snprintf(text,
                       bytes,
                       "%llu.%0*u",
                       (unsigned long long)whole,
                       (int)decimals,
                       part);
}

static void append(char *text, size_t bytes, const char *tail)
{
    size_t used = strlen(text);
    (void)snprintf(text + used, bytes - used, "%s", tail);
}

char *bao_write_count(char *text, size_t bytes, uint64_t count)
{
    static const char *const tails[] = {" k", " M", " G", " T", " P", " E"};
    uint64_t worth = 1000;
    size_t i = 0;
    if (count < 1000) {
        (void)snprintf(text, bytes, "%llu", (unsigned long long)count);
        return text;
    }
    while (count / worth >= 1000) {
        worth *= 1000;
        i++;
    }
    write_three(text, bytes, count, worth, false);
    append(text, bytes, tails[i]);
    return text;
}

char *bao_write_size(char *text, size_t bytes, uint64_t size)
{
    static const char *const tails[] = {
        " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    unsigned shift = 10;
    if (size < 1024) {
        (void)snprintf(text, bytes, "%llu B", (unsigned long long)size);
        return text;
    }
    while (shift < 60 && size >> shift >= 1024)
        shift += 10;
    write_three(text, bytes, size, UINT64_C(1) << shift, true);
    append(text, bytes, tails[shift / 10 - 1]);
    return text;
}

char *bao_write_duration(char *text, size_t bytes, uint64_t ms)
{
    static const struct unit units[] = {
        {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    size_t i = 0;
    if (ms < 1000) {
        (void)snprintf(text, bytes, "%llu ms", (unsigned long long)ms);
        return text;
    }
    while (units[i + 1].name != NULL && ms >= units[i + 1].worth)
        i++;
    if (i == 0) {
        write_three(text, bytes, ms, 1000, true);
        append(text, bytes, " s");
        return text;
    }
    uint64_t rest = ms % units[i].worth / units[i - 1].worth;
    if (rest == 0)
        (void)snprintf(text,
                       bytes,
                       "%llu %s",
                       (unsigned long long)(ms / units[i].worth),
                       units[i].name);
    else
        (void)snprintf(text,
                       bytes,
                       "%llu %s %llu %s",
                       (unsigned long long)(ms / units[i].worth),
                       units[i].name,
                       (unsigned long long)rest,
                       units[i - 1].name);
    return text;
}

char *bao_write_duration_exact(char *text, size_t bytes, uint64_t ms)
{
    static const struct unit units[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    if (ms == 0) {
        (void)snprintf(text, bytes, "0s");
        return text;
    }
    while (ms % units[i].worth != 0)
        i++;
    (void)snprintf(text,
                   bytes,
                   "%llu%s",
                   (unsigned long long)(ms / units[i].worth),
                   units[i].name);
    return text;
}

/* How many bytes the valid UTF-8 character at `at` has; 0: it is not one. */
static size_t character_bytes(const uint8_t *at, size_t left)
{
    size_t bytes = at[0] < 0x80   ? 1
                   : at[0] < 0xc2 ? 0
                   : at[0] < 0xe0 ? 2
                   : at[0] < 0xf0 ? 3
                   : at[0] < 0xf5 ? 4
                                  : 0;
    if (bytes == 0 || bytes > left)
        return 0;
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    bool overlong =
        (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = at[0] == 0xf4 && at[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : bytes;
}

/* One character of data as text of at most 4 bytes and NUL; returns how much
 * of the data it stands for. */
static size_t escape_one(const uint8_t *at, size_t left, char out[5])
{
    size_t bytes = character_bytes(at, left);
    bool control = at[0] < 0x20 || at[0] == 0x7f ||
                   (bytes == 2 && at[0] == 0xc2 && at[1] < 0xa0);
    if (bytes != 0 && !control && at[0] != '\\') {
        memcpy(out, at, bytes);
        out[bytes] = '\0';
        return bytes;
    }
    switch (at[0]) {
    case '\\': (void)snprintf(out, 5, "\\\\"); break;
    case '\n': (void)snprintf(out, 5, "\\n"); break;
    case '\r': (void)snprintf(out, 5, "\\r"); break;
    case '\t': (void)snprintf(out, 5, "\\t"); break;
    default: (void)snprintf(out, 5, "\\x%02x", at[0]); break;
    }
    return 1;
}

char *
bao_write_escaped(char *text, size_t bytes, const void *data, size_t length)
{
    const uint8_t *at = data;
    size_t used = 0;
    size_t safe = 0; /* where "..." still fits */
    if (bytes == 0)
        return text;
    while (length > 0) {
        char one[5];
        size_t taken = escape_one(at, length, one);
        size_t wrote = strlen(one);
        if (used + wrote + 1 > bytes) {
            (void)snprintf(text + safe, bytes - safe, "...");
            return text;
        }
        memcpy(text + used, one, wrote);
        used += wrote;
        if (used + 4 <= bytes)
            safe = used;
        at += taken;
        length -= taken;
    }
    text[used] = '\0';
    return text;
}
