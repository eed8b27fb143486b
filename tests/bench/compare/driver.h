/*
 * driver.h - one client process of the comparison: the same loop for every
 * system, which gives a table of functions.
 *
 *     SYSTEM make URL QUEUE MODE
 *     SYSTEM put  URL QUEUE MODE NUMBER COUNT BYTES WINDOW PRODUCERS SEEN
 *     SYSTEM take URL QUEUE MODE NUMBER COUNT BYTES WINDOW PRODUCERS SEEN
 *     SYSTEM put  ... SEEN PAUSE_US
 *
 * COUNT is what one producer puts, and what all consumers take together. SEEN
 * is a file of zeros that all consumers map: how many were taken, and one bit
 * for each item. A process says "ready", waits for a line, works, and prints
 * one JSON object.
 *
 * With PAUSE_US a producer puts one item, waits for its confirmation and then
 * so long, and each item tells when its put was called: how long it took to
 * the consumer's hands is in the consumer's object.
 *
 * The work: every put is confirmed, every item comes to one consumer, and
 * each is settled by itself; at most WINDOW puts are unconfirmed, and at most
 * WINDOW items unsettled, in one process.
 */
#ifndef BAO_BENCH_DRIVER_H
#define BAO_BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/bench_item.h"
#include "common/histogram.h"

#define ITEM_BYTES_MAX (64u * 1024u)
/* A consumer that is given nothing for so long looks whether all is taken. It
 * counts as work where the last settles are confirmed behind it. */
#define DRIVER_IDLE_MS 2

struct driver {
    const char *url;
    const char *queue;
    const char *mode; /* the system's own: "streams", "disk", ... */
    uint32_t number;
    uint64_t count;
    size_t bytes;
    uint64_t window;
    uint32_t producers;
    uint32_t pause_us; /* producer: after each item; 0: none */
    void *system;      /* the system's own memory */

    uint64_t sent;      /* producer */
    uint64_t confirmed; /* producer: puts; consumer: settles */
    uint64_t taken;     /* consumer */
    uint64_t doubled, altered;
    uint64_t begin_us, end_us;  /* to the last confirmation */
    struct bao_histogram delay; /* consumer, us: from the put's call */
    struct seen_file {
        uint64_t taken; /* by all consumers */
        uint64_t bits[];
    } * file;
    struct bench_seen seen;
};

/*
 * Each function returns false when the system failed (it has said so).
 *
 * put      sends one item, or keeps it for a batch
 * confirm  sends what was kept, waits for one confirmation at least, and
 *          calls driver_confirmed()
 * take     sends what was kept, waits at most 100 ms for items, and calls
 *          driver_took() for each and, sooner or later, driver_confirmed()
 * finish   waits until every settle is confirmed, or has surely arrived
 */
struct system {
    const char *name;
    bool window_inside;                  /* put itself waits for the window */
    bool (*make)(struct driver *driver); /* makes the queue; may be NULL */
    bool (*open)(struct driver *driver, bool takes);
    bool (*put)(struct driver *driver, const uint8_t *data, size_t bytes);
    bool (*confirm)(struct driver *driver);
    bool (*take)(struct driver *driver);
    bool (*finish)(struct driver *driver);
};

extern const struct system bench_system;

/* Looks at an item and counts it. */
void driver_took(struct driver *driver, const uint8_t *data, size_t bytes);
/* `count` puts or settles were confirmed now. */
void driver_confirmed(struct driver *driver, uint64_t count);
/* True if all items of all producers were taken. */
bool driver_all_taken(const struct driver *driver);

/* Says what went wrong on stderr; returns false. */
__attribute__((format(printf, 1, 2))) bool driver_fail(const char *format, ...);

#endif
