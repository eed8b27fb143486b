/*
 * redis.c - a work queue in Redis, in pipelines, in two ways.
 *
 * streams  XADD; XREADGROUP; XACK and XDEL, both answered
 * lists    LPUSH; LMOVE to a list of this consumer; LREM from it, answered.
 *          While BLMOVE waits the server reads no further command of that
 *          connection, so only a lone one is sent, when the list was empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/compare/driver.h"
#include "tests/bench/compare/stream.h"

static struct stream stream;
static bool streams;
static uint64_t reading;  /* XREADGROUPs or BLMOVEs without an answer */
static uint64_t settling; /* XDELs or LREMs without an answer */
static bool empty;        /* the last LMOVE found nothing */
static char mine[64];     /* this consumer, or its list */

/* What answers are due, in order: 'r' read, 'a' XACK, 'd' XDEL or LREM. */
static char due[16384];
static size_t due_first, due_count;

static void expect(char what)
{
    if (due_count == sizeof due) {
        abort();
    }
    due[(due_first + due_count++) % sizeof due] = what;
}

static void word(const void *data, size_t bytes)
{
    stream_print(&stream, "$%zu\r\n", bytes);
    stream_add(&stream, data, bytes);
    stream_add(&stream, "\r\n", 2);
}

/* A command of `count` texts. */
static void command(size_t count, const char *const *words)
{
    stream_print(&stream, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        word(words[i], strlen(words[i]));
    }
}
#define COMMAND(...)                                    \
    do {                                                \
        const char *const words[] = {__VA_ARGS__};      \
        command(sizeof words / sizeof words[0], words); \
    } while (0)

static bool make(struct driver *driver)
{
    bool any;
    if (strcmp(driver->mode, "streams") != 0) {
        return true; /* a list is there when something is in it */
    }
    if (!stream_open(&stream, driver->url)) {
        return false;
    }
    COMMAND("XGROUP", "CREATE", driver->queue, "g", "0", "MKSTREAM");
    return stream_flush(&stream) && stream_fill(&stream, -1, &any) &&
           (*stream_look(&stream, 0, 1) == '+' || driver_fail("XGROUP failed"));
}

static bool start(struct driver *driver, bool takes)
{
    (void)takes;
    streams = strcmp(driver->mode, "streams") == 0;
    snprintf(mine, sizeof mine, "%.40s.%u", driver->queue, driver->number);
    return stream_open(&stream, driver->url);
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    if (streams) {
        stream_print(&stream, "*5\r\n");
        word("XADD", 4);
        word(driver->queue, strlen(driver->queue));
        word("*", 1);
        word("d", 1);
    } else {
        stream_print(&stream, "*3\r\n");
        word("LPUSH", 5);
        word(driver->queue, strlen(driver->queue));
    }
    word(data, bytes);
    return true;
}

/* The bytes of a whole value ("$5..hello..", ":1..", "+OK.."); 0: not here
 * yet. *data is a bulk text's, NULL for nil. */
static size_t value(size_t skip, const char **data, size_t *bytes)
{
    long length = stream_line(&stream, skip);
    *data = NULL;
    *bytes = 0;
    if (length < 0) {
        return 0;
    }
    const char *line = stream_look(&stream, skip, (size_t)length + 2);
    size_t head = (size_t)length + 2;
    if (line[0] != '$' || line[1] == '-') {
        return head;
    }
    *bytes = strtoull(line + 1, NULL, 10);
    *data = stream_look(&stream, skip + head, *bytes + 2);
    return *data == NULL ? 0 : head + *bytes + 2;
}

static bool is_error(void)
{
    const char *first = stream_look(&stream, 0, 1);
    return first != NULL && *first == '-';
}

static bool confirm(struct driver *driver)
{
    bool any;
    size_t whole;
    size_t bytes;
    const char *data;
    if (!stream_flush(&stream) || !stream_fill(&stream, -1, &any)) {
        return false;
    }
    while ((whole = value(0, &data, &bytes)) > 0) {
        if (is_error()) {
            return driver_fail("a put was refused");
        }
        stream_consume(&stream, whole);
        driver_confirmed(driver, 1);
    }
    return true;
}

/* --- taking --- */

static void settle(struct driver *driver, const char *what, size_t bytes)
{
    if (streams) {
        stream_print(&stream, "*4\r\n");
        word("XACK", 4);
        word(driver->queue, strlen(driver->queue));
        word("g", 1);
        word(what, bytes);
        expect('a');
        stream_print(&stream, "*3\r\n");
        word("XDEL", 4);
        word(driver->queue, strlen(driver->queue));
    } else {
        stream_print(&stream, "*4\r\n");
        word("LREM", 4);
        word(mine, strlen(mine));
        word("-1", 2);
    }
    word(what, bytes);
    expect('d');
    settling++;
}

/* "*1 *2 $queue *N" and then N times "*2 $id *2 $1 d $data"; nil: "*-1".
 * First its size, then its items: false if it is not whole. */
static bool take_entries(struct driver *driver)
{
    const char *data;
    size_t bytes;
    size_t at = value(0, &data, &bytes);
    if (at == 0) {
        return false;
    }
    if (stream_look(&stream, 1, 1)[0] == '-') {
        stream_consume(&stream, at);
        return true;
    }
    for (int i = 0; i < 2; i++) { /* *2, $queue */
        size_t whole = value(at, &data, &bytes);
        if (whole == 0) {
            return false;
        }
        at += whole;
    }
    size_t head = value(at, &data, &bytes);
    if (head == 0) {
        return false;
    }
    size_t count = strtoull(stream_look(&stream, at + 1, 1), NULL, 10);
    size_t begin = at + head;
    for (int looks = 0; looks < 2; looks++) {
        at = begin;
        for (size_t i = 0; i < count * 5; i++) {
            static const char *id;
            static size_t id_bytes;
            size_t whole = value(at, &data, &bytes);
            if (whole == 0) {
                return false;
            }
            at += whole;
            if (i % 5 == 1) {
                id = data;
                id_bytes = bytes;
            }
            if (looks == 1 && i % 5 == 4) {
                driver_took(driver, (const uint8_t *)data, bytes);
                settle(driver, id, id_bytes);
            }
        }
    }
    stream_consume(&stream, at);
    return true;
}

static bool take_moved(struct driver *driver)
{
    const char *data;
    size_t bytes;
    size_t whole = value(0, &data, &bytes);
    if (whole == 0) {
        return false;
    }
    if (data != NULL) {
        driver_took(driver, (const uint8_t *)data, bytes);
        settle(driver, data, bytes);
    }
    empty = data == NULL;
    stream_consume(&stream, whole);
    return true;
}

/* One answer; false if it is not whole yet. */
static bool take_answer(struct driver *driver, bool *good)
{
    const char *data;
    size_t bytes;
    if (due_count == 0 || stream_look(&stream, 0, 1) == NULL) {
        return false;
    }
    char what = due[due_first];
    if (is_error()) {
        *good = driver_fail("an error instead of '%c'", what);
        return false;
    }
    if (what == 'r') {
        if (!(streams ? take_entries(driver) : take_moved(driver))) {
            return false;
        }
        reading--;
    } else {
        size_t whole = value(0, &data, &bytes);
        if (whole == 0) {
            return false;
        }
        stream_consume(&stream, whole);
        if (what == 'd') {
            settling--;
            driver_confirmed(driver, 1);
        }
    }
    due_first = (due_first + 1) % sizeof due;
    due_count--;
    return true;
}

static void ask_streams(struct driver *driver)
{
    char count[24];
    char idle_ms[24];
    uint64_t half = driver->window > 1 ? driver->window / 2 : 1;
    snprintf(count, sizeof count, "%llu", (unsigned long long)half);
    snprintf(idle_ms, sizeof idle_ms, "%d", DRIVER_IDLE_MS);
    for (; (reading + 1) * half + settling <= driver->window; reading++) {
        COMMAND("XREADGROUP",
                "GROUP",
                "g",
                mine,
                "COUNT",
                count,
                "BLOCK",
                idle_ms,
                "STREAMS",
                driver->queue,
                ">");
        expect('r');
    }
}

static void ask_lists(struct driver *driver)
{
    if (empty && reading == 0) {
        COMMAND("BLMOVE", driver->queue, mine, "RIGHT", "LEFT", "0.1");
        expect('r');
        reading++;
    }
    for (; !empty && reading + settling < driver->window; reading++) {
        COMMAND("LMOVE", driver->queue, mine, "RIGHT", "LEFT");
        expect('r');
    }
}

static bool take(struct driver *driver)
{
    bool any;
    bool good = true;
    if (streams) {
        ask_streams(driver);
    } else {
        ask_lists(driver);
    }
    if (!stream_flush(&stream) || !stream_fill(&stream, DRIVER_IDLE_MS, &any)) {
        return false;
    }
    while (take_answer(driver, &good)) {
    }
    return good;
}

static bool finish(struct driver *driver)
{
    bool good = stream_flush(&stream);
    while (good && settling > 0) {
        bool any;
        good = stream_fill(&stream, -1, &any);
        while (good && take_answer(driver, &good)) {
        }
    }
    return good;
}

const struct system bench_system = {.name = "redis",
                                    .make = make,
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
