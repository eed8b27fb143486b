/*
 * sim.c - the clock, the chances, the schedule.
 */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/broker.h"
#include "tests/sim/checker.h"
#include "tests/sim/client.h"
#include "tests/sim/count.h"
#include "tests/sim/disk.h"
#include "tests/sim/heal.h"
#include "tests/sim/history.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/network.h"
#include "tests/sim/prefix.h"
#include "tests/sim/queues.h"

#define ARENA_BYTES (UINT64_C(4) << 20)
#define EVENTS_MAX  UINT64_C(2000000)

struct sim *sim_current;
bool sim_shows;
unsigned sim_tail_lines = 60;

/* --- chances: splitmix64 -------------------------------------------------- */

uint64_t sim_number(struct sim *sim)
{
    sim->chance += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = sim->chance;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

uint64_t sim_below(struct sim *sim, uint64_t below)
{
    return sim_number(sim) % below;
}

uint64_t sim_between(struct sim *sim, uint64_t least, uint64_t most)
{
    return least + sim_below(sim, most - least + 1);
}

bool sim_chance(struct sim *sim, unsigned permille)
{
    return sim_below(sim, 1000) < permille;
}

/* --- the schedule --------------------------------------------------------- */

void sim_at(struct sim *sim,
            uint64_t at_us,
            sim_run *run,
            void *subject,
            uint64_t number)
{
    struct sim_event *event = calloc(1, sizeof *event);
    if (event == NULL || at_us < sim->now_us) {
        sim_fail(sim, "an event cannot be scheduled");
    }
    event->at_us = at_us;
    event->run = run;
    event->subject = subject;
    event->number = number;
    if (!bao_heap_push(&sim->schedule, &event->node, at_us, ++sim->sequence)) {
        sim_fail(sim, "too much is scheduled");
    }
}

void sim_in(struct sim *sim,
            uint64_t delay_us,
            sim_run *run,
            void *subject,
            uint64_t number)
{
    sim_at(sim, sim->now_us + delay_us, run, subject, number);
}

void sim_run_until(struct sim *sim, uint64_t until_us)
{
    for (;;) {
        const struct bao_heap_entry *first = bao_heap_first(&sim->schedule);
        if (first == NULL || first->key > until_us) {
            break;
        }
        struct sim_event *event = BAO_OF(first->node, struct sim_event, node);
        bao_heap_remove(&sim->schedule, &event->node);
        sim->now_us = event->at_us;
        if (++sim->events > EVENTS_MAX) {
            sim_fail(sim, "it does not come to rest");
        }
        event->run(sim, event);
        free(event);
    }
    if (sim->now_us < until_us) {
        sim->now_us = until_us;
    }
}

/* --- a run ---------------------------------------------------------------- */

_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list list;
    if (!sim_shows) {
        sim_picture_print(&sim->picture, sim_tail_lines);
    }
    (void)printf("seed %llu FAILED at %.2f ms: ",
                 (unsigned long long)sim->seed,
                 (double)(sim->now_us - SIM_START_US) / 1000);
    va_start(list, format);
    (void)vprintf(format, list);
    va_end(list);
    (void)printf("\nsee it again: sim%s --seed %llu --picture\n",
                 sim->disk != NULL ? " --durable" : "",
                 (unsigned long long)sim->seed);
    (void)fflush(stdout);
    _exit(1);
}

struct sim *sim_open(uint64_t seed, bool durable)
{
    struct sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL) {
        abort();
    }
    sim_current = sim;
    sim->seed = seed;
    sim->chance = seed * UINT64_C(0xD1342543DE82EF95) + 1;
    sim->now_us = SIM_START_US;
    sim->memory = aligned_alloc(4096, ARENA_BYTES);
    if (sim->memory == NULL) {
        abort();
    }
    sim->arena = bao_arena_init(sim->memory, ARENA_BYTES);
    bao_heap_init(&sim->schedule, sim->arena);
    for (unsigned i = 0; i < SIM_PARTIES; i++) {
        sim->picture.states[i] = 'x';
    }
    sim->counts = sim_counts_open();
    sim->history = history_open();
    sim->network = network_open(sim);
    if (durable) {
        disk_open(sim);
        prefix_open(sim);
    }
    queues_choose_levels(sim);
    broker_open(sim);
    clients_open(sim);
    return sim;
}

void sim_play(struct sim *sim)
{
    nemesis_start(sim);
    sim_run_until(sim, sim->work_until_us);
    heal(sim);
    checker_run(sim->history, sim);
}

void sim_close(struct sim *sim)
{
    const struct bao_heap_entry *first;
    clients_close(sim);
    broker_close(sim);
    prefix_close(sim);
    disk_close(sim);
    while ((first = bao_heap_first(&sim->schedule)) != NULL) {
        struct sim_event *event = BAO_OF(first->node, struct sim_event, node);
        bao_heap_remove(&sim->schedule, &event->node);
        free(event);
    }
    network_close(sim->network);
    history_close(sim->history);
    sim_picture_fini(&sim->picture);
    free(sim->counts);
    free(sim->clients);
    free(sim->memory);
    free(sim);
    sim_current = NULL;
}
