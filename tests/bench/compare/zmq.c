/*
 * zmq.c - clients of zmq_server.c, by mode:
 *
 * broker    the work through a broker that does nothing else
 * forward   the same frames through PULL and PUSH: no answers at all
 * lockstep  a round trip for each put, and one for each item taken
 * hop       DEALER to ROUTER to the one consumer's DEALER: no answers
 *
 * Batches are what is at hand, at most half the window in one frame, so that
 * two are on their way.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "tests/bench/compare/driver.h"
#include "tests/bench/compare/zmq_frames.h"

static void *context;
static void *wire;
static enum { BROKER, FORWARD, LOCKSTEP, HOP } mode;
static uint32_t numbers[FRAME_NUMBERS_MAX];
static uint32_t kept; /* numbers behind the first two */
static uint8_t bodies[FRAME_NUMBERS_MAX * 1024u];
static size_t bodies_bytes;
static uint64_t settling;

static bool fails(const char *what)
{
    return driver_fail("%s: %s", what, zmq_strerror(errno));
}

/* Nothing is answered. */
static bool is_one_way(void)
{
    return mode == FORWARD || mode == HOP;
}

static bool connect_to(struct driver *driver, bool takes)
{
    const int none = 0;
    const int some = 64;
    context = zmq_ctx_new();
    int kind = takes ? ZMQ_PULL : ZMQ_PUSH;
    mode = strcmp(driver->mode, "forward") == 0    ? FORWARD
           : strcmp(driver->mode, "lockstep") == 0 ? LOCKSTEP
           : strcmp(driver->mode, "hop") == 0      ? HOP
                                                   : BROKER;
    if (driver->window > 1024 || driver->bytes > 1024) {
        return driver_fail("a number is out of range");
    }
    wire = zmq_socket(context, mode == FORWARD ? kind : ZMQ_DEALER);
    if (!is_one_way()) {
        zmq_setsockopt(wire, ZMQ_LINGER, &none, sizeof none);
    }
    zmq_setsockopt(wire, ZMQ_SNDHWM, &some, sizeof some);
    zmq_setsockopt(wire, ZMQ_RCVHWM, &some, sizeof some);
    /* Two addresses: where items go in, and where they come out. */
    char url[256];
    snprintf(url,
             sizeof url,
             "%s%s",
             driver->url,
             mode == FORWARD && takes ? ".out" : "");
    if (mode == FORWARD && takes && strncmp(driver->url, "tcp", 3) == 0) {
        const char *colon = strrchr(driver->url, ':');
        snprintf(url,
                 sizeof url,
                 "%.*s:%d",
                 (int)(colon - driver->url),
                 driver->url,
                 atoi(colon + 1) + 1);
    }
    return zmq_connect(wire, url) == 0 || fails(url);
}

static bool send_numbers(uint32_t kind, uint32_t count)
{
    numbers[0] = kind;
    numbers[1] = count;
    size_t bytes = (2 + kept) * sizeof numbers[0];
    int more = bodies_bytes > 0 ? ZMQ_SNDMORE : 0;
    if (zmq_send(wire, numbers, bytes, more) < 0 ||
        (more != 0 && zmq_send(wire, bodies, bodies_bytes, 0) < 0)) {
        return fails("send");
    }
    kept = 0;
    bodies_bytes = 0;
    return true;
}

/* --- put --- */

static uint64_t half(const struct driver *driver)
{
    return driver->window > 1 ? driver->window / 2 : 1;
}

static bool send_kept(struct driver *driver)
{
    uint32_t count = kept;
    if (count == 0) {
        return true;
    }
    if (is_one_way()) {
        driver_confirmed(driver, count);
    }
    return send_numbers(FRAME_PUT, count);
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    numbers[2 + kept++] = (uint32_t)bytes;
    memcpy(bodies + bodies_bytes, data, bytes);
    bodies_bytes += bytes;
    return kept < half(driver) || send_kept(driver);
}

/* Receives a message of numbers, and its bodies. False: none came in time.
 * The frames stay open until the next call. */
static bool receive(int wait_ms,
                    const uint32_t **head,
                    uint32_t *count,
                    const uint8_t **body)
{
    static zmq_msg_t frames[2];
    static bool open[2];
    zmq_pollitem_t item = {.socket = wire, .events = ZMQ_POLLIN};
    for (int i = 0; i < 2; i++) {
        if (open[i]) {
            zmq_msg_close(&frames[i]);
        }
        open[i] = false;
    }
    if (wait_ms >= 0 && zmq_poll(&item, 1, wait_ms) <= 0) {
        return false;
    }
    *body = NULL;
    for (int i = 0; i < 2; i++) {
        zmq_msg_init(&frames[i]);
        open[i] = true;
        if (zmq_msg_recv(&frames[i],
                         wire,
                         i == 0 && wait_ms >= 0 ? ZMQ_DONTWAIT : 0) < 0) {
            return false;
        }
        if (i == 1) {
            *body = zmq_msg_data(&frames[1]);
        }
        if (!zmq_msg_more(&frames[i])) {
            break;
        }
    }
    *head = zmq_msg_data(&frames[0]);
    *count = (uint32_t)(zmq_msg_size(&frames[0]) / sizeof **head);
    return *count >= 2;
}

static bool confirm(struct driver *driver)
{
    const uint32_t *head;
    const uint8_t *body;
    uint32_t count;
    if (!send_kept(driver)) {
        return false;
    }
    if (is_one_way()) {
        if (driver->confirmed == driver->count) {
            zmq_close(wire); /* all of it leaves before we do */
            zmq_ctx_term(context);
        }
        return true;
    }
    if (!receive(-1, &head, &count, &body)) {
        return fails("receive");
    }
    do {
        driver_confirmed(driver, head[1]);
    } while (receive(0, &head, &count, &body));
    return true;
}

/* --- open --- */

/* The consumer of a hop is known to the server before any item is. */
static bool start(struct driver *driver, bool takes)
{
    const uint32_t *head;
    const uint8_t *body;
    uint32_t count;
    return connect_to(driver, takes) && (mode != HOP || !takes ||
                                         (send_numbers(FRAME_CREDIT, 0) &&
                                          receive(-1, &head, &count, &body)) ||
                                         fails("the greeting"));
}

/* --- take --- */

static void take_items(struct driver *driver,
                       const uint32_t *head,
                       uint32_t count,
                       const uint8_t *body)
{
    uint32_t each = is_one_way() ? 1 : 2;
    for (uint32_t i = 0; i < head[1] && 2 + each * i < count; i++) {
        uint32_t bytes = head[2 + each * i + each - 1];
        driver_took(driver, body, bytes);
        body += bytes;
        if (mode == BROKER) {
            numbers[2 + kept++] = head[2 + each * i];
            settling++;
        }
    }
}

/* A round trip that brings an item's worth of bytes. */
static bool take_a_trip(struct driver *driver)
{
    const uint32_t *head;
    const uint8_t *body;
    uint32_t count;
    if (!send_numbers(FRAME_CREDIT, 1) || !receive(-1, &head, &count, &body)) {
        return fails("a round trip");
    }
    if (__atomic_add_fetch(&driver->file->taken, 1, __ATOMIC_RELAXED) <=
        driver->count) {
        driver->taken++;
        driver_confirmed(driver, 1);
    }
    return true;
}

static bool take(struct driver *driver)
{
    static bool asked;
    const uint32_t *head;
    const uint8_t *body;
    uint32_t count;
    if (mode == LOCKSTEP) {
        return take_a_trip(driver);
    }
    if (mode == BROKER && !asked) {
        asked = true;
        if (!send_numbers(FRAME_CREDIT, (uint32_t)driver->window)) {
            return false;
        }
    }
    if (!receive(DRIVER_IDLE_MS, &head, &count, &body)) {
        return true;
    }
    do {
        if (is_one_way()) {
            take_items(driver, head, count, body);
            driver_confirmed(driver, head[1]);
        } else if (head[0] == FRAME_OK) {
            driver_confirmed(driver, head[1]);
            settling -= head[1];
        } else {
            take_items(driver, head, count, body);
            if (!send_numbers(FRAME_DONE, kept)) {
                return false;
            }
        }
    } while (receive(0, &head, &count, &body));
    return true;
}

static bool finish(struct driver *driver)
{
    bool good = true;
    while (good && settling > 0) {
        good = take(driver);
    }
    return good;
}

const struct system bench_system = {.name = "zmq",
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
