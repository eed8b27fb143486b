/*
 * loop.h - the broker's one thread: turn after turn.
 *
 * A turn: look at the signals, read the clock once, let the core do what is
 * due, step all that came up to the caps, write the journal once, release the
 * replies, one message a peer. Then sleep until something comes or is due.
 *
 * SIGTERM or SIGINT drains: put and get answer DRAINING while leases are
 * still settled, for at most `grace_ms`, then half a second for farewells (it
 * ends as soon as no session is left); the second one ends at once. SIGHUP
 * reloads. The caller has blocked these signals in all threads.
 */
#ifndef BAO_LOOP_H
#define BAO_LOOP_H

#include "broker/disk.h"
#include "broker/guard.h"

/* Caps of one turn (architecture section 3). */
#define BAO_TURN_MESSAGES   256u
#define BAO_TURN_OPERATIONS 4096u
#define BAO_TURN_BYTES      (1024u * 1024u)
#define BAO_TURN_US         1000u

/* Broker time (SPEC S3.4): the wall clock at the start, then the monotonic
 * clock, which counts suspension and never goes back. */
struct bao_clock {
    uint64_t wall_us;
    uint64_t monotonic_us;
};

void bao_clock_open(struct bao_clock *clock);
/* It goes on from `now_us` at least: what was logged is not in the future. */
void bao_clock_not_before(struct bao_clock *clock, uint64_t now_us);
uint64_t bao_clock_now_us(const struct bao_clock *clock);
/* The wall clock less broker time. */
int64_t bao_clock_wall_offset_us(const struct bao_clock *clock);

struct bao_loop_config {
    struct bao_edge *edge; /* all lent */
    struct bao_core *core;
    struct bao_gateway *gateway;
    struct bao_guard *guard; /* told what memory is used for; or NULL */
    struct bao_disk *disk;   /* without a log in it: in memory */
    const struct bao_clock *clock;
    /* Asked at SIGHUP; answers the new grace. */
    uint64_t (*reload)(void *context);
    void *context;
    uint64_t grace_ms;
};

/* Runs until a signal ends it; the exit code: 0 after a drain, 128 + the
 * signal if it was told twice, 74 if a system call or the disk failed. */
int bao_loop_run(const struct bao_loop_config *config);

#endif
