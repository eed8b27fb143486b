/*
 * sim.h - one broker, its clients and the network between them, in one
 * process, with a clock and chances of their own.
 *
 * A simulation is a function of its seed: it reads no clock, no random source
 * and no address, so the same seed tells the same story, byte for byte, in
 * every build and on every machine. Broker core, gateway, outbox, bodies and
 * journal are the real ones behind a simulated edge; clients are the real
 * dialogue; every message passes between them as the bytes of the wire.
 *
 *   sim.c        the clock, chances, what is to happen, failing
 *   network.c    wires that delay, double, stall and break
 *   edge.c       the broker's end of the wires
 *   broker.c     a broker that turns, stops, drains, dies and comes back
 *   disk.c       a disk that lies, and the lanes of the log
 *   prefix.c     a start finds what was, and all that was safe
 *   replay.c     a second core that only follows the facts
 *   client.c     a process with a dialogue
 *   program*.c   what the clients do, by chance
 *   nemesis.c    what befalls them
 *   heal.c       afterwards: everything must come to its end
 *   history.c    what clients asked and were told
 *   checker*.c   the judges of that history; they see nothing else
 */
#ifndef BAO_TESTS_SIM_H
#define BAO_TESTS_SIM_H

#include <setjmp.h>

#include "common/arena.h"
#include "common/heap.h"
#include "common/limits.h"
#include "tests/sim/picture.h"

#define SIM_CLIENTS  6u
#define SIM_QUEUES   8u
#define SIM_MS       UINT64_C(1000)
#define SIM_SECOND   UINT64_C(1000000)
#define SIM_NEVER    UINT64_MAX
#define SIM_START_US (UINT64_C(1000000) * SIM_MS)

struct sim;
struct sim_event;
typedef void sim_run(struct sim *sim, struct sim_event *event);

/* Something that will happen. */
struct sim_event {
    struct bao_heap_node node;
    uint64_t at_us;
    sim_run *run;
    void *subject;
    uint64_t number;
};

struct sim_broker;
struct sim_client;
struct sim_history;
struct sim_network;

/* What the run exercised: one row each in count.c. */
struct sim_counts;

/* Of a durable run. */
struct sim_disk;
struct sim_prefix;

struct sim {
    uint64_t seed;
    uint64_t chance; /* state of the generator */
    uint64_t now_us; /* true time */
    uint64_t sequence;
    uint64_t events;
    void *memory;
    struct bao_arena *arena;
    struct bao_heap schedule;
    struct sim_picture picture;
    struct sim_network *network;
    struct sim_disk *disk; /* NULL: queues are in memory */
    struct sim_prefix *prefix;
    struct sim_broker *broker;
    struct sim_client *clients; /* SIM_CLIENTS of them */
    struct sim_history *history;
    struct sim_counts *counts;
    bool healing; /* no more faults, no new work */
    uint64_t work_until_us;
    uint64_t long_night_us; /* when everybody sleeps for an hour; 0 = never */
    uint64_t last_key;      /* of dedup, that a put had; 0 = none */
    uint8_t levels[SIM_QUEUES]; /* as declared: queues.h */
    uint32_t last_pid;
};

/* --- chances -------------------------------------------------------------- */

uint64_t sim_number(struct sim *sim);
/* Below `below`, which is not 0. */
uint64_t sim_below(struct sim *sim, uint64_t below);
uint64_t sim_between(struct sim *sim, uint64_t least, uint64_t most);
bool sim_chance(struct sim *sim, unsigned permille);

/* --- time ----------------------------------------------------------------- */

/* Has `run` called at a time that is not before now. */
void sim_at(struct sim *sim,
            uint64_t at_us,
            sim_run *run,
            void *subject,
            uint64_t number);
void sim_in(struct sim *sim,
            uint64_t delay_us,
            sim_run *run,
            void *subject,
            uint64_t number);
/* Lets happen what is due until then. */
void sim_run_until(struct sim *sim, uint64_t until_us);

/* --- ends ----------------------------------------------------------------- */

/* Runs one seed. Does not come back if it fails: prints why, the picture and
 * how to see it again, and ends the program with 1. */
struct sim *sim_open(uint64_t seed, bool durable);
void sim_play(struct sim *sim);
void sim_close(struct sim *sim);

_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The one that runs; for what the real code calls back (replay.c). */
extern struct sim *sim_current;
/* Set by options: print all of the picture as it happens; the last lines only
 * on failure. */
extern bool sim_shows;
extern unsigned sim_tail_lines;

#endif
