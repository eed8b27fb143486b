/*
 * gearman.c - background jobs in gearmand, in pipelines. It confirms puts
 * (JOB_CREATED), never the end of a job (WORK_COMPLETE).
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/compare/driver.h"
#include "tests/bench/compare/stream.h"

enum {
    CAN_DO = 1,
    PRE_SLEEP = 4,
    NOOP = 6,
    JOB_CREATED = 8,
    GRAB_JOB = 9,
    NO_JOB = 10,
    JOB_ASSIGN = 11,
    WORK_COMPLETE = 13,
    ECHO = 16,
    ECHOED = 17,
    SUBMIT_BACKGROUND = 18
};

static struct stream stream;
static uint64_t grabbing; /* GRAB_JOBs without an answer */
static bool asleep;
static bool echoed;

static void head(uint32_t kind, size_t bytes)
{
    uint32_t words[3] = {
        htonl(0x00524551), htonl(kind), htonl((uint32_t)bytes)};
    stream_add(&stream, words, sizeof words);
}

/* The packet at the front: its kind and data; false: not here yet. */
static bool front(uint32_t *kind, const char **data, size_t *bytes)
{
    uint32_t words[3];
    const char *at = stream_look(&stream, 0, sizeof words);
    if (at == NULL) {
        return false;
    }
    memcpy(words, at, sizeof words);
    *kind = ntohl(words[1]);
    *bytes = ntohl(words[2]);
    *data = stream_look(&stream, sizeof words, *bytes);
    return *data != NULL;
}

static bool start(struct driver *driver, bool takes)
{
    if (!stream_open(&stream, driver->url)) {
        return false;
    }
    if (takes) {
        head(CAN_DO, strlen(driver->queue));
        stream_add(&stream, driver->queue, strlen(driver->queue));
    }
    return stream_flush(&stream);
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    size_t name = strlen(driver->queue) + 1;
    head(SUBMIT_BACKGROUND, name + 1 + bytes);
    stream_add(&stream, driver->queue, name);
    stream_add(&stream, "", 1); /* no unique name */
    stream_add(&stream, data, bytes);
    return true;
}

static bool confirm(struct driver *driver)
{
    bool any;
    uint32_t kind;
    size_t bytes;
    const char *data;
    if (!stream_flush(&stream) || !stream_fill(&stream, -1, &any)) {
        return false;
    }
    while (front(&kind, &data, &bytes)) {
        if (kind != JOB_CREATED) {
            return driver_fail("a put was refused");
        }
        stream_consume(&stream, 12 + bytes);
        driver_confirmed(driver, 1);
    }
    return true;
}

static bool assigned(struct driver *driver, const char *data, size_t bytes)
{
    const char *name = memchr(data, 0, bytes); /* behind the handle */
    if (name == NULL) {
        return driver_fail("a job without a handle");
    }
    size_t handle = (size_t)(name - data);
    size_t skip = handle + 1 + strlen(driver->queue) + 1;
    driver_took(driver, (const uint8_t *)data + skip, bytes - skip);
    head(WORK_COMPLETE, handle + 1);
    stream_add(&stream, data, handle + 1);
    driver_confirmed(driver, 1);
    grabbing--;
    return true;
}

static bool take_packets(struct driver *driver)
{
    uint32_t kind;
    size_t bytes;
    const char *data;
    while (front(&kind, &data, &bytes)) {
        switch (kind) {
        case NOOP: asleep = false; break;
        case NO_JOB: grabbing--; break;
        case ECHOED: echoed = true; break;
        case JOB_ASSIGN:
            if (!assigned(driver, data, bytes)) {
                return false;
            }
            break;
        default: return driver_fail("packet %u is not expected", kind);
        }
        stream_consume(&stream, 12 + bytes);
    }
    return true;
}

static bool take(struct driver *driver)
{
    static bool dry;     /* the last round of grabs brought nothing */
    static bool grabbed; /* this round has grabs */
    bool any;
    uint64_t before = driver->taken;
    grabbed = grabbing > 0;
    if (dry && !asleep && grabbing == 0) {
        head(PRE_SLEEP, 0);
        asleep = true;
    } else if (!asleep) {
        grabbed = true;
        for (; grabbing < driver->window; grabbing++) {
            head(GRAB_JOB, 0);
        }
    }
    if (!stream_flush(&stream) || !stream_fill(&stream, DRIVER_IDLE_MS, &any) ||
        !take_packets(driver)) {
        return false;
    }
    if (!any) {
        asleep = false; /* look again: others may have taken it */
    }
    /* NOOP only says that it is worth grabbing again. */
    dry = grabbed && grabbing == 0 && driver->taken == before;
    return true;
}

/* The server handles a connection's packets in order. */
static bool finish(struct driver *driver)
{
    bool good;
    head(ECHO, 1);
    stream_add(&stream, "x", 1);
    good = stream_flush(&stream);
    while (good && !echoed) {
        bool any;
        good = stream_fill(&stream, -1, &any) && take_packets(driver);
    }
    driver_confirmed(driver, 0);
    return good;
}

const struct system bench_system = {.name = "gearmand",
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
