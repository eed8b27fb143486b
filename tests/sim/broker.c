/*
 * broker.c - lives of a broker.
 */
#include "tests/sim/broker.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "broker/gateway.h"
#include "common/poison.h"
#include "tests/sim/count.h"
#include "tests/sim/edge.h"
#include "tests/sim/history.h"
#include "tests/sim/network.h"

#define CORE_BYTES     (UINT64_C(24) << 20)
#define GATEWAY_BYTES  (UINT64_C(8) << 20)
#define BODIES_BYTES   (UINT64_C(32) << 20)
#define BODY_BYTES_MAX (UINT64_C(16) << 20)
#define TURN_MESSAGES  8u
#define COMES_BACK_US  SIM_SECOND

struct sim_broker {
    struct bao_edge *edge;
    struct bao_core *core;
    struct bao_gateway *gateway;
    struct bao_journal journal;
    void *memory;
    unsigned starts;
    uint64_t turn_us;    /* when it turns next; NEVER = nothing is due */
    uint64_t stopped_us; /* it does not run before */
    bool draining;
    uint32_t parked_bytes;
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

unsigned broker_starts(const struct sim *sim)
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
    while (bao_edge_next(broker->edge, &event)) {
        bao_gateway_event(broker->gateway, sim->now_us, &event, &work);
        if (work.messages >= TURN_MESSAGES) {
            return true;
        }
    }
    return false;
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
    bao_gateway_tick(broker->gateway, sim->now_us);
    bao_edge_turn(broker->edge, sim->now_us);
    bool spent = take_events(sim);
    bool more = bao_gateway_release(broker->gateway);
    if (spent || more || bao_edge_ready(broker->edge)) {
        turn_at(sim, sim->now_us + sim_between(sim, 20, 200));
        return;
    }
    uint64_t due_us = bao_core_deadline(broker->core);
    uint64_t edge_us = bao_edge_deadline(broker->edge);
    due_us = due_us < edge_us ? due_us : edge_us;
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

static void start(struct sim *sim)
{
    struct sim_broker *broker = sim->broker;
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
    bao_journal_open(&broker->journal);
    struct bao_core_config core = {
        .memory = broker->memory,
        .memory_bytes = CORE_BYTES,
        .body_bytes_max = BODY_BYTES_MAX,
        .parked_bytes_max = broker->parked_bytes,
        .now_us = sim->now_us,
        .wall_offset_us = 0,
        .epoch = broker->starts,
        .first_n = (uint64_t)broker->starts << 20,
        .boot = sim_number(sim) | 1,
        .seed = sim_number(sim),
        .level = bao_journal_level(&broker->journal),
        .heartbeat_idle_ms = 4000,
    };
    broker->edge = edge_open(sim);
    if (bao_core_open(&core, &broker->core) != BAOZI_OK) {
        sim_fail(sim, "the core does not open");
    }
    replay_open(broker->core, &core);
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
    broker->turn_us = SIM_NEVER;
    broker->stopped_us = 0;
    broker->draining = false;
    sim_state(sim, SIM_BROKER, '.');
    sim_say(sim, SIM_BROKER, '=', "starts, the %u. time", broker->starts);
    turn_at(sim, sim->now_us);
}

static void stop(struct sim *sim)
{
    struct sim_broker *broker = sim->broker;
    struct bao_edge *edge = broker->edge;
    history_event(sim->history,
                  &(struct history_event){.kind = HISTORY_BROKER,
                                          .client = SIM_CLIENTS,
                                          .us = sim->now_us});
    bao_gateway_close(broker->gateway);
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
    start(sim);
}

void broker_close(struct sim *sim)
{
    if (broker_is_up(sim)) {
        stop(sim);
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

void broker_kill(struct sim *sim, uint64_t down_us)
{
    if (broker_is_up(sim)) {
        SIM_COUNT(sim, RESTARTS);
        sim_say(sim, SIM_BROKER, '*', "is killed, its queues are lost");
        stop(sim);
        sim_in(sim, down_us, come_back, NULL, 0);
    }
}

static void drained(struct sim *sim, struct sim_event *event)
{
    if (broker_is_up(sim) && event->number == sim->broker->starts) {
        sim_say(sim, SIM_BROKER, '=', "has drained and ends");
        stop(sim);
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
