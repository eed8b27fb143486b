/*
 * beanstalkd.c - put, reserve and delete in pipelines.
 *
 * While a connection waits in reserve the server reads no further command of
 * it, so reserves do not wait as long as anything comes; only a lone one does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/compare/driver.h"
#include "tests/bench/compare/stream.h"

static struct stream stream;
static uint64_t reserving; /* reserves without an answer */
static uint64_t deleting;  /* deletes without an answer */
static bool empty;         /* the last reserve found nothing */

static bool start(struct driver *driver, bool takes)
{
    bool any;
    if (!stream_open(&stream, driver->url)) {
        return false;
    }
    stream_print(&stream, "%s %s\r\n", takes ? "watch" : "use", driver->queue);
    if (!stream_flush(&stream)) {
        return false;
    }
    while (stream_line(&stream, 0) < 0) {
        if (!stream_fill(&stream, -1, &any)) {
            return false;
        }
    }
    stream_consume(&stream, (size_t)stream_line(&stream, 0) + 2);
    return true;
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    (void)driver;
    stream_print(&stream, "put 0 0 120 %zu\r\n", bytes);
    stream_add(&stream, data, bytes);
    stream_add(&stream, "\r\n", 2);
    return true;
}

static bool confirm(struct driver *driver)
{
    bool any;
    long length;
    if (!stream_flush(&stream) || !stream_fill(&stream, -1, &any)) {
        return false;
    }
    while ((length = stream_line(&stream, 0)) >= 0) {
        if (memcmp(stream_look(&stream, 0, 9), "INSERTED ", 9) != 0) {
            return driver_fail("a put was refused");
        }
        stream_consume(&stream, (size_t)length + 2);
        driver_confirmed(driver, 1);
    }
    return true;
}

/* One answer; false if it is not whole yet, *good false if it is strange. */
static bool take_answer(struct driver *driver, bool *good)
{
    unsigned long long id;
    size_t bytes;
    long length = stream_line(&stream, 0);
    if (length < 0) {
        return false;
    }
    size_t head = (size_t)length + 2;
    const char *line = stream_look(&stream, 0, head);
    if (sscanf(line, "RESERVED %llu %zu", &id, &bytes) == 2) {
        const char *data = stream_look(&stream, head, bytes + 2);
        if (data == NULL) {
            return false;
        }
        driver_took(driver, (const uint8_t *)data, bytes);
        stream_print(&stream, "delete %llu\r\n", id);
        head += bytes + 2;
        reserving--;
        deleting++;
        empty = false;
    } else if (strncmp(line, "DELETED", 7) == 0) {
        driver_confirmed(driver, 1);
        deleting--;
    } else if (strncmp(line, "TIMED_OUT", 9) == 0) {
        empty = true;
        reserving--;
    } else {
        *good = driver_fail("unexpected: %.*s", (int)length, line);
    }
    stream_consume(&stream, head);
    return true;
}

static bool take(struct driver *driver)
{
    bool any;
    bool good = true;
    if (empty && reserving == 0) {
        stream_print(&stream, "reserve-with-timeout 1\r\n");
        reserving++;
    }
    for (; !empty && reserving + deleting < driver->window; reserving++) {
        stream_print(&stream, "reserve-with-timeout 0\r\n");
    }
    if (!stream_flush(&stream) || !stream_fill(&stream, DRIVER_IDLE_MS, &any)) {
        return false;
    }
    while (good && take_answer(driver, &good)) {
    }
    return good;
}

static bool finish(struct driver *driver)
{
    bool good = stream_flush(&stream);
    while (good && deleting > 0) {
        bool any;
        good = stream_fill(&stream, -1, &any);
        while (good && take_answer(driver, &good)) {
        }
    }
    return good;
}

const struct system bench_system = {.name = "beanstalkd",
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
