/*
 * nemesis.c - each run has a mood: which faults it knows, and how often one
 * comes. A quiet run finds other bugs than a stormy one.
 */
#include "tests/sim/nemesis.h"

#include "tests/sim/broker.h"
#include "tests/sim/client.h"
#include "tests/sim/count.h"
#include "tests/sim/disk.h"
#include "tests/sim/network.h"

#define WORK_LEAST_US (6 * SIM_SECOND)
#define WORK_MOST_US  (14 * SIM_SECOND)
#define NIGHT_US      (62 * 60 * SIM_SECOND)
#define NIGHT_REST    100u

enum fault {
    CUT,
    PARTITION,
    CRASH,
    FORK,
    PAUSE,
    BROKER_PAUSE,
    RESTART,
    DRAIN,
    NEWCOMER,
    FAULTS
};

/* How often each comes in a stormy run, out of 1,000. */
static const unsigned weights[FAULTS] = {
    [CUT] = 300,
    [PARTITION] = 170,
    [CRASH] = 110,
    [FORK] = 50,
    [PAUSE] = 180,
    [BROKER_PAUSE] = 50,
    [RESTART] = 35,
    [DRAIN] = 15,
    [NEWCOMER] = 90,
};

static unsigned some_client(struct sim *sim)
{
    return (unsigned)sim_below(sim, SIM_CLIENTS);
}

static unsigned free_slot(const struct sim *sim)
{
    unsigned slot = 0;
    while (slot < SIM_CLIENTS && sim->clients[slot].exists) {
        slot++;
    }
    return slot;
}

static void newcomer(struct sim *sim)
{
    unsigned slot = free_slot(sim);
    if (slot < SIM_CLIENTS) {
        client_start(sim, slot);
    }
}

/* A child has nothing of its parent's session: it begins one of its own, and
 * when it ends, it ends without a word. */
static void child_ends(struct sim *sim, struct sim_event *event)
{
    struct sim_client *child = event->subject;
    if (child->exists && child->process == event->number && !sim->healing) {
        client_kill(sim, child->index, false);
    }
}

static void fork_one(struct sim *sim)
{
    unsigned parent = some_client(sim);
    unsigned slot = free_slot(sim);
    if (slot == SIM_CLIENTS || !client_runs(&sim->clients[parent])) {
        return;
    }
    SIM_COUNT(sim, FORKS);
    sim_say(sim, SIM_PARTY(parent), '*', "forks into slot %u", slot);
    client_start(sim, slot);
    sim_in(sim,
           sim_between(sim, 500 * SIM_MS, 4 * SIM_SECOND),
           child_ends,
           &sim->clients[slot],
           sim->clients[slot].process);
}

static void partition(struct sim *sim)
{
    uint64_t until_us =
        sim->now_us + sim_between(sim, 200 * SIM_MS, 5 * SIM_SECOND);
    bool both = sim_chance(sim, 600);
    bool up = both || sim_chance(sim, 500);
    bool down = both || !up;
    unsigned first = some_client(sim);
    unsigned count = 1 + (unsigned)sim_below(sim, SIM_CLIENTS - 1);
    SIM_COUNT(sim, PARTITIONS);
    for (unsigned i = 0; i < count; i++) {
        struct sim_client *client = &sim->clients[(first + i) % SIM_CLIENTS];
        if (client->exists && client->wire != NULL) {
            wire_stall(client->wire, up, down, until_us);
            history_event(sim->history,
                          &(struct history_event){.kind = HISTORY_STALLED,
                                                  .client = client->index,
                                                  .us = until_us,
                                                  .from_us = sim->now_us});
            sim_say(sim,
                    SIM_PARTY(client->index),
                    '*',
                    "is parted from the broker%s for %llu ms",
                    both ? ""
                    : up ? ", one way up,"
                         : ", one way down,",
                    (unsigned long long)((until_us - sim->now_us) / 1000));
        }
    }
}

static uint64_t pause_end(struct sim *sim)
{
    return sim->now_us + (sim_chance(sim, 400)
                              ? sim_between(sim, 10 * SIM_MS, SIM_SECOND)
                              : sim_between(sim, SIM_SECOND, 6 * SIM_SECOND));
}

/* The broker cannot say anything before then. */
static void all_stalled(struct sim *sim, uint64_t until_us)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        history_event(sim->history,
                      &(struct history_event){.kind = HISTORY_STALLED,
                                              .client = i,
                                              .us = until_us,
                                              .from_us = sim->now_us});
    }
}

static void stop_broker(struct sim *sim, uint64_t until_us)
{
    broker_stop(sim, until_us);
    all_stalled(sim, until_us);
}

/* What was granted meanwhile may come a sync or two later. */
static void slow_disk(struct sim *sim, uint64_t until_us)
{
    SIM_COUNT(sim, DISK_SLOW);
    sim_say(sim, SIM_BROKER, '*', "its disk is slow");
    disk_slow(sim, until_us);
    all_stalled(sim, until_us + 2 * SIM_SECOND);
}

/* Draws come one behind the other: of two in one expression each compiler may
 * take another first. */
static void cut_line(struct sim *sim, unsigned slot)
{
    const bool broker_learns = sim_chance(sim, 800);
    const bool learns = sim_chance(sim, 800);
    client_cut(sim, slot, learns, broker_learns);
}

static void befall(struct sim *sim, enum fault fault)
{
    unsigned slot = some_client(sim);
    switch (fault) {
    case CUT: cut_line(sim, slot); return;
    case PARTITION: partition(sim); return;
    case CRASH: client_kill(sim, slot, sim_chance(sim, 400)); return;
    case FORK: fork_one(sim); return;
    case PAUSE: client_pause(sim, slot, pause_end(sim)); return;
    case BROKER_PAUSE: stop_broker(sim, pause_end(sim)); return;
    case RESTART:
        broker_kill(sim, sim_between(sim, 50 * SIM_MS, 2 * SIM_SECOND), false);
        return;
    case DRAIN:
        broker_drain(sim, sim_between(sim, 100 * SIM_MS, 2 * SIM_SECOND));
        return;
    case NEWCOMER: newcomer(sim); return;
    case FAULTS: return;
    }
}

/* The power goes. */
static void cut_power(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->healing && sim->now_us < sim->work_until_us) {
        broker_kill(sim,
                    sim_between(sim, 20 * SIM_MS, 2 * SIM_SECOND),
                    disk_may_be_cut(sim));
    }
}

void nemesis_cut_soon(struct sim *sim, uint64_t within_us)
{
    if (sim->disk != NULL) {
        sim_in(sim, sim_below(sim, within_us), cut_power, NULL, 0);
    }
}

/* Where the disk is slow, most is on its way when the power goes. */
static void slow_and_cut(struct sim *sim, uint64_t until_us)
{
    slow_disk(sim, until_us);
    if (sim_chance(sim, 500)) {
        nemesis_cut_soon(sim, until_us - sim->now_us);
    }
}

/* What only a durable broker suffers. */
static void befall_disk(struct sim *sim)
{
    uint64_t least_us = sim->now_us + 200 * SIM_MS;
    switch (sim_below(sim, 8)) {
    case 0:
    case 1:
        broker_kill(sim, sim_between(sim, 20 * SIM_MS, 2 * SIM_SECOND), false);
        return;
    case 2:
    case 3:
    case 4: cut_power(sim, NULL); return;
    case 5:
        slow_and_cut(sim, least_us + sim_below(sim, 3 * SIM_SECOND));
        return;
    case 6:
        sim_say(sim, SIM_BROKER, '*', "its disk is full");
        disk_full(sim, least_us + sim_below(sim, 4 * SIM_SECOND));
        return;
    default:
        sim_say(sim, SIM_BROKER, '*', "its disk is about to fail");
        disk_fail(sim);
        return;
    }
}

static void strike_any(struct sim *sim)
{
    uint64_t at = sim_below(sim, 1000);
    unsigned fault = 0;
    while (fault < FAULTS && at >= weights[fault]) {
        at -= weights[fault++];
    }
    befall(sim, (enum fault)fault);
}

static void strike(struct sim *sim, struct sim_event *event)
{
    uint64_t every_us = event->number;
    if (sim->healing || sim->now_us >= sim->work_until_us) {
        return;
    }
    if (sim->disk != NULL && sim_chance(sim, 300)) {
        befall_disk(sim);
    } else {
        strike_any(sim);
    }
    uint64_t pause_us = sim_between(sim, every_us / 4, every_us * 2);
    if (sim->disk != NULL && sim->long_night_us != 0 &&
        sim->now_us > sim->long_night_us) {
        pause_us *= NIGHT_REST; /* there are no thousand starts in an hour */
    }
    sim_in(sim, pause_us, strike, NULL, every_us);
}

/* Everybody sleeps for more than an hour, one behind a broken line: the
 * broker forgets its session. */
static void night(struct sim *sim, struct sim_event *event)
{
    (void)event;
    unsigned slot = some_client(sim);
    SIM_COUNT(sim, NIGHTS);
    sim_say(sim, SIM_NOBODY, ' ', "night falls");
    client_cut(sim, slot, false, true);
    client_pause(sim, slot, sim->now_us + NIGHT_US);
}

void nemesis_start(struct sim *sim)
{
    static const uint64_t moods_us[] = {
        0, 2000 * SIM_MS, 800 * SIM_MS, 300 * SIM_MS, 150 * SIM_MS};
    uint64_t every_us = moods_us[sim_below(sim, 5)];
    sim->work_until_us =
        sim->now_us + sim_between(sim, WORK_LEAST_US, WORK_MOST_US);
    if (every_us > 0) {
        sim_in(sim, every_us, strike, NULL, every_us);
    }
    if (sim_chance(sim, 100)) {
        sim->long_night_us = sim->work_until_us;
        sim_at(sim, sim->long_night_us, night, NULL, 0);
        sim->work_until_us += NIGHT_US + SIM_SECOND;
    }
}

void nemesis_end(struct sim *sim)
{
    sim->healing = true;
    if (sim->disk != NULL) {
        disk_heal(sim);
    }
    for (struct bao_link *link = bao_list_first(&sim->network->wires);
         link != NULL;
         link = bao_list_next(&sim->network->wires, link)) {
        struct sim_wire *wire = BAO_OF(link, struct sim_wire, link);
        wire->up.stalled_us = 0;
        wire->down.stalled_us = 0;
    }
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        client_wake(sim, i);
    }
    broker_wake(sim);
}
