/*
 * heal.c - a janitor mends the queues, all clients eat what there is.
 *
 *   1  the network is well, everybody runs, subscriptions are cancelled
 *   2  queues are resumed and reopened, items taken and settled, until each
 *      queue says that nothing is unfinished
 *   3  gets that still wait are given up: now every request has its outcome,
 *      or 2 again for what came meanwhile
 *   4  STAT of each queue, for the judges
 */
#include "tests/sim/heal.h"

#include "tests/sim/broker.h"
#include "tests/sim/client.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/program.h"

#define STEP_US       (60 * SIM_MS)
#define STEPS_MAX     1500u
#define STEPS_QUIET   40u
#define ROUNDS_MAX    20u
#define LAST_WORDS_US (20 * SIM_SECOND)
#define EAT_WAIT      40u
#define ITEMS_TAKE    4u

static bool is_waiting_get(const struct sim_call *call)
{
    return call->request.operation.verb == BAO_VERB_GET || call->subscription;
}

static void settle_all(struct sim_client *client)
{
    struct bao_link *link;
    while ((link = bao_list_first(&client->holds)) != NULL) {
        ask_settle(client, BAO_OF(link, struct sim_hold, link), BAO_VERB_DONE);
    }
}

/* One call of a kind on each queue at a time, and one client for all. */
static struct sim_client *janitor(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        if (sim->clients[i].exists) {
            return &sim->clients[i];
        }
    }
    client_start(sim, 0);
    return &sim->clients[0];
}

static void resume(struct sim_client *client, unsigned queue)
{
    struct sim_call *call = ask_begin(client, BAO_VERB_RESUME, queue);
    struct history_op op = {.queue = queue,
                            .wait_ms = SIM_NEVER,
                            .delivery = HISTORY_NONE,
                            .scope = 3};
    BAO_SET(&call->request.operation, STATE, state, 3);
    call_submit(call, &op);
    ask_simple(client, BAO_VERB_REOPEN, queue);
}

/* The dead may hold up the living: those that are to die wait for room among
 * them, and puts wait for their bytes. */
static void bury(struct sim_client *client, unsigned queue)
{
    struct sim_call *call = ask_begin(client, BAO_VERB_PURGE, queue);
    struct history_op op = {
        .queue = queue, .wait_ms = SIM_NEVER, .delivery = HISTORY_NONE};
    BAO_SET(&call->request.operation, FLAGS, flags, BAO_FLAG_DEAD);
    call_submit(call, &op);
}

static void mend(struct sim_client *client)
{
    for (unsigned queue = 0; queue < SIM_QUEUES; queue++) {
        do_declare(client, queue);
        if (sim_queues[queue].operated) {
            resume(client, queue);
        }
        if (queue == SIM_REJECT || queue == SIM_BULK || queue == SIM_WILD) {
            bury(client, queue);
        }
    }
}

/* The last STAT of a queue that was told, if it was asked since `from`. */
static const struct history_op *
last_stat(const struct sim *sim, unsigned queue, size_t from)
{
    for (size_t i = sim->history->op_count; i-- > from;) {
        const struct history_op *op = &sim->history->ops[i];
        if (op->verb == BAO_VERB_STAT && op->queue == queue && op->told &&
            op->status == BAOZI_OK && op->stat != NULL) {
            return op;
        }
    }
    return NULL;
}

/* Leases that their holders let go of without being told that it counts. With
 * accounting `count` they end with the session; another task_done was counted
 * for them. */
static uint64_t orphans(const struct sim *sim, unsigned queue)
{
    uint64_t count = 0;
    for (size_t i = 0; i < sim->history->op_count; i++) {
        const struct history_op *op = &sim->history->ops[i];
        count += queue == SIM_COUNTED && op->queue == queue &&
                 op->delivery != HISTORY_NONE && op->told &&
                 op->status != BAOZI_OK && op->status != BAOZI_STALE;
    }
    return count;
}

static bool is_drained(const struct sim *sim, unsigned queue, size_t from)
{
    const struct history_op *stat = last_stat(sim, queue, from);
    return stat != NULL && stat->stat->unfinished == 0 &&
           stat->stat->ready == 0 &&
           stat->stat->leased <= orphans(sim, queue) &&
           stat->stat->delayed == 0 && stat->stat->parked_puts == 0 &&
           stat->stat->joiners == 0;
}

static bool is_all_drained(const struct sim *sim, size_t from)
{
    for (unsigned queue = 0; queue < SIM_QUEUES; queue++) {
        if (!is_drained(sim, queue, from)) {
            return false;
        }
    }
    return true;
}

static void eat(struct sim_client *client, size_t from)
{
    for (unsigned queue = 0; queue < SIM_QUEUES; queue++) {
        if (!is_drained(client->sim, queue, from)) {
            ask_get(client, queue, EAT_WAIT, ITEMS_TAKE);
            if (queue == SIM_COUNTED) {
                do_task_done(client, queue);
                ask_simple(client, BAO_VERB_DONE_NEXT, queue);
            }
        }
        ask_simple(client, BAO_VERB_STAT, queue);
    }
}

/* Gives up what would wait for ever. */
static void give_up_gets(struct sim_client *client)
{
    struct bao_link *link = bao_list_first(&client->calls);
    while (link != NULL) {
        struct sim_call *call = BAO_OF(link, struct sim_call, link);
        link = bao_list_next(&client->calls, link);
        if (is_waiting_get(call)) {
            call_cancel(call);
        }
    }
}

static void step(struct sim *sim, size_t from, bool eats)
{
    struct sim_client *first = janitor(sim);
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *client = &sim->clients[i];
        if (!client->exists) {
            continue;
        }
        settle_all(client);
        if (client == first && eats && client->calls.count < 40) {
            eat(client, from);
        }
        client_pump(client);
    }
    sim_run_until(sim, sim->now_us + STEP_US);
}

static void complain(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *client = &sim->clients[i];
        if (client->exists && client->calls.count > 0) {
            struct sim_call *call =
                BAO_OF(bao_list_first(&client->calls), struct sim_call, link);
            sim_fail(sim,
                     "all is well, but #%llu is not answered",
                     (unsigned long long)call->op);
        }
    }
}

static bool is_quiet(const struct sim *sim)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        if (sim->clients[i].exists && (sim->clients[i].calls.count > 0 ||
                                       sim->clients[i].holds.count > 0)) {
            return false;
        }
    }
    return true;
}

static void drain(struct sim *sim)
{
    size_t from = sim->history->op_count;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        if (i % 16 == 0) {
            mend(janitor(sim));
        }
        step(sim, from, true);
        if (is_all_drained(sim, from)) {
            return;
        }
        from = i % 8 == 0 ? sim->history->op_count : from;
    }
    for (unsigned queue = 0; queue < SIM_QUEUES; queue++) {
        if (!is_drained(sim, queue, from)) {
            sim_fail(sim,
                     "all is well, but queue %s does not drain",
                     sim_queues[queue].name);
        }
    }
}

/* True if every call came to its end. */
static bool end_calls(struct sim *sim)
{
    for (unsigned i = 0; i < STEPS_QUIET && !is_quiet(sim); i++) {
        for (unsigned slot = 0; slot < SIM_CLIENTS; slot++) {
            if (sim->clients[slot].exists) {
                give_up_gets(&sim->clients[slot]);
            }
        }
        step(sim, 0, false);
    }
    return is_quiet(sim);
}

/* The last look at each queue; true if nothing is left. */
static bool look(struct sim *sim)
{
    struct sim_client *client = janitor(sim);
    size_t from = sim->history->op_count;
    for (unsigned queue = 0; queue < SIM_QUEUES; queue++) {
        ask_simple(client, BAO_VERB_STAT, queue);
    }
    client_pump(client);
    sim_run_until(sim, sim->now_us + LAST_WORDS_US);
    return is_quiet(sim) && is_all_drained(sim, from);
}

void heal(struct sim *sim)
{
    nemesis_end(sim);
    sim_say(sim, SIM_NOBODY, ' ', "all is well from now on");
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        if (sim->clients[i].exists) {
            sim->clients[i].leaving = false;
            give_up_gets(&sim->clients[i]);
        }
    }
    /* Who comes back late may bring something: then it begins again. */
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        drain(sim);
        if (end_calls(sim) && look(sim)) {
            return;
        }
    }
    complain(sim);
    sim_fail(sim, "all is well, but it does not come to rest");
}
