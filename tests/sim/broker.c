/*
 * broker.c - lives of a broker.
 */
#include "tests/sim/broker.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "broker/disk.h"
#include "common/poison.h"
#include "tests/sim/count.h"
#include "tests/sim/disk.h"
#include "tests/sim/edge.h"
#include "tests/sim/history.h"
#include "tests/sim/network.h"
#include "tests/sim/prefix.h"

#define CORE_BYTES     (UINT64_C(24) << 20)
#define GATEWAY_BYTES  (UINT64_C(8) << 20)
#define BODIES_BYTES   (UINT64_C(32) << 20)
#define BODY_BYTES_MAX (UINT64_C(16) << 20)
#define TURN_MESSAGES  8u
#define COMES_BACK_US  SIM_SECOND
#define LAST_WORDS_US  (50 * SIM_MS) /* as in loop.c */

struct sim_broker {
    struct bao_edge *edge;
    struct bao_core *core;
    struct bao_gateway *gateway;
    struct bao_journal journal;
    struct bao_disk disk;
    void *memory;
    unsigned starts;
    uint64_t turn_us;    /* when it turns next; NEVER = nothing is due */
    uint64_t stopped_us; /* it does not run before */
    bool draining;
    bool failed; /* its disk did: it ends soon */
    uint32_t parked_bytes;
    size_t hot_bytes; /* of payloads that stay in memory */
};

struct bao_edge *broker_edge(struct sim *sim)
{
    return sim->broker->edge;
}

struct bao_core *broker_core(struct sim *sim)
{
    return sim->broker->core;
}

bool broker_is_up(const struct sim *sim)
{
    return sim->broker->core != NULL;
}

bool broker_listens(const struct sim *sim)
{
    return broker_is_up(sim) && sim->broker->stopped_us <= sim->now_us;
}

unsigned broker_life(const struct sim *sim)
{
    return sim->broker->starts;
}

/* --- turns ---------------------------------------------------------------- */

static void turn_at(struct sim *sim, uint64_t at_us);

static bool take_events(struct sim *sim)
{
    struct sim_broker *broker = sim->broker;
    struct bao_edge_event event;
    struct bao_work work = {0};
    while (!broker->failed && bao_edge_next(broker->edge, &event)) {
        bao_gateway_event(broker->gateway, sim->now_us, &event, &work);
        if (work.messages >= TURN_MESSAGES) {
            return true;
        }
    }
    return false;
}

static void fails(struct sim *sim, struct sim_event *event);

/* What loop.c does about the disk, once a turn. */
static void look_at_disk(struct sim *sim)
{
    struct sim_broker *broker = sim->broker;
    if (sim->disk == NULL) {
        return;
    }
    prefix_turn(sim, &broker->journal);
    disk_turned(sim, broker->disk.log);
    if (bao_gateway_failed(broker->gateway) && !broker->failed) {
        broker->failed = true;
        sim_in(sim, LAST_WORDS_US, fails, NULL, broker->starts);
    }
}

static uint64_t due(const struct sim_broker *broker)
{
    uint64_t due_us = bao_core_deadline(broker->core);
    uint64_t edge_us = bao_edge_deadline(broker->edge);
    uint64_t disk_us = bao_disk_deadline(&broker->disk);
    due_us = due_us < edge_us ? due_us : edge_us;
    if (broker->failed) {
        return SIM_NEVER;
    }
    return due_us < disk_us ? due_us : disk_us;
}

static void turn(struct sim *sim, struct sim_event *event)
{
    struct sim_broker *broker = sim->broker;
    if (broker->core == NULL || event->at_us != broker->turn_us) {
        return; /* it was called for another time meanwhile */
    }
    broker->turn_us = SIM_NEVER;
    if (broker->stopped_us > sim->now_us) {
        turn_at(sim, broker->stopped_us);
        return;
    }
    bao_disk_look(&broker->disk, sim->now_us);
    bao_gateway_tick(broker->gateway, sim->now_us);
    bao_edge_turn(broker->edge, sim->now_us);
    bool spent = take_events(sim);
    bool more = bao_disk_turn(&broker->disk, sim->now_us);
    more = bao_gateway_release(broker->gateway) || more;
    look_at_disk(sim);
    if (spent || more || bao_edge_ready(broker->edge)) {
        turn_at(sim, sim->now_us + sim_between(sim, 20, 200));
        return;
    }
    uint64_t due_us = due(broker);
    if (due_us != SIM_NEVER) {
        due_us = due_us > sim->now_us ? due_us : sim->now_us;
        turn_at(sim, due_us + sim_between(sim, 1, 400));
    }
}

static void turn_at(struct sim *sim, uint64_t at_us)
{
    if (at_us < sim->broker->turn_us) {
        sim->broker->turn_us = at_us;
        sim_at(sim, at_us, turn, sim->broker, 0);
    }
}

void broker_poke(struct sim *sim)
{
    if (broker_is_up(sim)) {
        turn_at(sim, sim->now_us + sim_between(sim, 5, 300));
    }
}

/* --- lives ---------------------------------------------------------------- */

static void open_core(struct sim *sim, struct bao_core_config *config)
{
    struct sim_broker *broker = sim->broker;
    bool durable = sim->disk != NULL;
    *config = (struct bao_core_config){
        .memory = broker->memory,
        .memory_bytes = CORE_BYTES,
        .body_bytes_max = durable ? UINT64_MAX / 2 : BODY_BYTES_MAX,
        .unlogged_bytes_max = durable ? BODY_BYTES_MAX : 0,
        .parked_bytes_max = broker->parked_bytes,
        .now_us = durable ? 0 : sim->now_us,
        .wall_offset_us = 0,
        .epoch = durable ? 1 : broker->starts,
        .first_n = durable ? 0 : (uint64_t)broker->starts << 20,
        .boot = sim_number(sim) | 1,
        .seed = sim_number(sim),
        .level = durable ? BAO_LEVEL_DISK : BAO_LEVEL_MEMORY,
        .heartbeat_idle_ms = 4000,
    };
    broker->edge = edge_open(sim);
    if (bao_core_open(config, &broker->core) != BAOZI_OK) {
        sim_fail(sim, "the core does not open");
    }
}

static void open_gateway(struct sim *sim)
{
    struct sim_broker *broker = sim->broker;
    struct bao_gateway_config gateway = {
        .edge = broker->edge,
        .core = broker->core,
        .journal = &broker->journal,
        .memory_bytes = GATEWAY_BYTES,
        .bodies_bytes = BODIES_BYTES,
        .hold_bytes = broker->parked_bytes,
    };
    if (bao_gateway_open(&gateway, &broker->gateway) != BAOZI_OK) {
        sim_fail(sim, "the gateway does not open");
    }
}

/* As recover() of broker/main.c does it. False if the disk failed. */
static bool recover(struct sim *sim, const struct bao_core_config *config)
{
    struct sim_broker *broker = sim->broker;
    int exit_code = 0;
    if (!bao_disk_recover(&broker->disk,
                          broker->core,
                          bao_gateway_bodies(broker->gateway),
                          &exit_code)) {
        return false;
    }
    prefix_found(sim, broker->disk.last_index, replay_digest(broker->core));
    replay_open(broker->core, config);
    bao_core_recovered(broker->core, sim->now_us, 0);
    replay_recovered(sim->now_us);
    if (!bao_disk_serve(&broker->disk,
                        &broker->journal,
                        bao_gateway_arena(broker->gateway),
                        broker->hot_bytes,
                        sim->now_us,
                        &exit_code)) {
        sim_fail(sim, "the log does not serve");
    }
    bao_gateway_tick(broker->gateway, sim->now_us);
    bao_disk_end_lost(&broker->disk, broker->gateway, sim->now_us);
    if (!bao_disk_settle(&broker->disk, sim->now_us)) {
        return false;
    }
    prefix_turn(sim, &broker->journal);
    return true;
}

static void stop(struct sim *sim, enum sim_end end);
static void come_back(struct sim *sim, struct sim_event *event);

/* The start is at its end because its disk is; it is tried again. */
static void start_failed(struct sim *sim)
{
    enum sim_end end = disk_may_be_cut(sim) && sim_chance(sim, 500)
                           ? SIM_END_CUT
                           : SIM_END_KILLED;
    SIM_COUNT(sim, STARTS_FAILED);
    if (disk_start_ends(sim)) {
        sim_fail(sim, "a start fails, and nothing is wrong with the disk");
    }
    sim_say(sim,
            SIM_BROKER,
            '*',
            "does not start%s",
            end == SIM_END_CUT ? ", and the power is cut" : "");
    stop(sim, end);
    sim_in(sim, sim_between(sim, 10, 400) * SIM_MS, come_back, NULL, 0);
}

static void start(struct sim *sim)
{
    struct sim_broker *broker = sim->broker;
    struct bao_core_config core;
    int exit_code = 0;
    broker->memory = mmap(NULL,
                          CORE_BYTES,
                          PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                          -1,
                          0);
    if (broker->memory == MAP_FAILED) {
        sim_fail(sim, "no memory for a core");
    }
    broker->starts++;
    broker->turn_us = SIM_NEVER;
    broker->stopped_us = 0;
    broker->draining = false;
    broker->failed = false;
    broker->disk = (struct bao_disk){.log = NULL};
    bao_journal_open(&broker->journal);
    open_core(sim, &core);
    open_gateway(sim);
    if (sim->disk == NULL) {
        replay_open(broker->core, &core);
    } else {
        disk_start_begins(sim);
        if (!bao_disk_open(&broker->disk, "sim", 0, &exit_code) ||
            !recover(sim, &core)) {
            start_failed(sim);
            return;
        }
        disk_started(sim, &broker->disk.report);
        (void)disk_start_ends(sim);
    }
    history_event(sim->history,
                  &(struct history_event){.kind = HISTORY_STARTED,
                                          .client = SIM_CLIENTS,
                                          .us = sim->now_us});
    sim_state(sim, SIM_BROKER, '.');
    sim_say(sim, SIM_BROKER, '=', "starts, the %u. time", broker->starts);
    turn_at(sim, sim->now_us);
}

static void end_disk(struct sim *sim, enum sim_end end)
{
    struct bao_disk *disk = &sim->broker->disk;
    if (end == SIM_END_KILLED || end == SIM_END_CUT) {
        disk_dies(sim);
        if (disk->log != NULL) {
            bao_log_abandon(disk->log);
        }
        *disk = (struct bao_disk){.log = NULL};
    } else if (!bao_disk_close(disk, end == SIM_END_CLEAN, sim->now_us) &&
               !disk_is_bad(sim)) {
        sim_fail(sim, "the log is not closed well");
    }
    prefix_ended(sim, end != SIM_END_CUT);
    disk_ended(sim, end);
}

static void stop(struct sim *sim, enum sim_end end)
{
    struct sim_broker *broker = sim->broker;
    struct bao_edge *edge = broker->edge;
    history_event(sim->history,
                  &(struct history_event){.kind = HISTORY_BROKER,
                                          .client = SIM_CLIENTS,
                                          .us = sim->now_us,
                                          .cut = end == SIM_END_CUT});
    if (sim->disk != NULL) {
        end_disk(sim, end);
    }
    bao_gateway_close(broker->gateway);
    bao_journal_close(&broker->journal);
    replay_close();
    edge_close(sim, edge);
    broker->edge = NULL;
    BAO_UNPOISON(broker->memory, CORE_BYTES);
    (void)munmap(broker->memory, CORE_BYTES);
    broker->gateway = NULL;
    broker->core = NULL;
    sim_state(sim, SIM_BROKER, 'x');
}

void broker_open(struct sim *sim)
{
    static const uint32_t parked[] = {1u << 20, 200000, 80000};
    struct sim_broker *broker = calloc(1, sizeof *broker);
    if (broker == NULL) {
        sim_fail(sim, "no memory");
    }
    sim->broker = broker;
    broker->parked_bytes = parked[sim_below(sim, 3)];
    if (sim->disk != NULL) {
        broker->hot_bytes = sim_chance(sim, 500) ? 0 : 1u << 20;
    }
    start(sim);
}

void broker_close(struct sim *sim)
{
    if (broker_is_up(sim)) {
        stop(sim, SIM_END_CLEAN);
    }
    free(sim->broker);
    sim->broker = NULL;
}

static void come_back(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!broker_is_up(sim)) {
        start(sim);
    }
}

void broker_kill(struct sim *sim, uint64_t down_us, bool cut)
{
    const char *what = "is killed, its queues are lost";
    if (!broker_is_up(sim)) {
        return;
    }
    if (sim->disk != NULL) {
        what = cut ? "its power is cut" : "is killed";
    }
    SIM_COUNT(sim, RESTARTS);
    sim_say(sim, SIM_BROKER, '*', "%s", what);
    stop(sim, cut ? SIM_END_CUT : SIM_END_KILLED);
    sim_in(sim, down_us, come_back, NULL, 0);
}

/* Its disk failed, and the last answers had their time. */
static void fails(struct sim *sim, struct sim_event *event)
{
    if (broker_is_up(sim) && event->number == sim->broker->starts) {
        SIM_COUNT(sim, DISK_FAILURES);
        sim_say(sim, SIM_BROKER, '*', "ends, for its disk failed");
        stop(sim, SIM_END_FAILED);
        sim_in(sim, COMES_BACK_US, come_back, NULL, 0);
    }
}

static void drained(struct sim *sim, struct sim_event *event)
{
    if (broker_is_up(sim) && event->number == sim->broker->starts) {
        sim_say(sim, SIM_BROKER, '=', "has drained and ends");
        stop(sim, SIM_END_CLEAN);
        sim_in(sim, COMES_BACK_US, come_back, NULL, 0);
    }
}

void broker_drain(struct sim *sim, uint64_t grace_us)
{
    struct bao_command command = {.kind = BAO_COMMAND_DRAIN};
    if (!broker_is_up(sim) || sim->broker->draining) {
        return;
    }
    SIM_COUNT(sim, DRAINS);
    sim_say(sim, SIM_BROKER, '*', "drains");
    sim->broker->draining = true;
    bao_gateway_command(sim->broker->gateway, sim->now_us, &command);
    broker_poke(sim);
    sim_in(sim, grace_us, drained, NULL, sim->broker->starts);
}

static void goes_on(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (broker_is_up(sim) && sim->broker->stopped_us <= sim->now_us) {
        sim_state(sim, SIM_BROKER, '.');
        sim_say(sim, SIM_BROKER, '=', "runs on");
        broker_poke(sim);
    }
}

void broker_wake(struct sim *sim)
{
    if (broker_is_up(sim) && sim->broker->stopped_us > sim->now_us) {
        sim->broker->stopped_us = 0;
        sim->broker->turn_us = SIM_NEVER;
        sim_state(sim, SIM_BROKER, '.');
        broker_poke(sim);
    }
}

void broker_stop(struct sim *sim, uint64_t until_us)
{
    if (broker_is_up(sim) && until_us > sim->broker->stopped_us) {
        SIM_COUNT(sim, BROKER_PAUSES);
        sim->broker->stopped_us = until_us;
        sim_say(sim,
                SIM_BROKER,
                '*',
                "stands still for %llu ms",
                (unsigned long long)((until_us - sim->now_us) / 1000));
        sim_state(sim, SIM_BROKER, 'z');
        sim_at(sim, until_us, goes_on, NULL, 0);
    }
}
