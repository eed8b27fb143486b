/*
 * program.c - a process thinks for a while, does something, thinks again.
 */
#include "tests/sim/program.h"

#include "tests/sim/broker.h"
#include "tests/sim/client_calls.h"
#include "tests/sim/count.h"
#include "tests/sim/network.h"

#define THINK_LEAST_US (2 * SIM_MS)
#define THINK_MOST_US  (110 * SIM_MS)

enum role { PRODUCER, WORKER, SUBSCRIBER, OPERATOR, ANYTHING, ROLES };

enum deed {
    PUT,
    GET,
    SUBSCRIBE,
    SETTLE,
    TASK_DONE,
    JOIN,
    ITEM,
    LOOK,
    REDRIVE,
    OPERATE,
    MISTAKE,
    GIVE_UP,
    BYE,
    DEEDS
};

/* How often a role does what, out of 1,000. */
static const unsigned weights[ROLES][DEEDS] = {
    [PRODUCER] = {600, 30, 0, 60, 10, 110, 70, 50, 10, 5, 15, 38, 2},
    [WORKER] = {40, 330, 10, 470, 30, 15, 20, 25, 10, 5, 10, 33, 2},
    [SUBSCRIBER] = {60, 60, 100, 600, 20, 30, 30, 40, 10, 5, 10, 33, 2},
    [OPERATOR] = {150, 120, 5, 200, 20, 60, 120, 90, 70, 120, 20, 24, 1},
    [ANYTHING] = {300, 200, 20, 260, 30, 60, 30, 30, 15, 15, 10, 29, 1},
};

/* --- headers -------------------------------------------------------------- */

bool program_has_header(uint64_t payload)
{
    return payload % 5 == 0;
}

/* {"k": "xxxx"}: the number in hex. */
void program_header(uint8_t *header, uint64_t payload)
{
    static const char digits[] = "0123456789abcdef";
    header[0] = 0x81;
    header[1] = 0xa1;
    header[2] = 'k';
    header[3] = 0xa4;
    for (unsigned i = 0; i < 4; i++) {
        header[4 + i] = (uint8_t)digits[payload >> (4 * i) & 15];
    }
}

/* --- choosing ------------------------------------------------------------- */

static enum deed choose(struct sim_client *client)
{
    const unsigned *row = weights[client->role];
    unsigned total = 0;
    for (unsigned i = 0; i < DEEDS; i++) {
        total += row[i];
    }
    uint64_t at = sim_below(client->sim, total);
    unsigned deed = 0;
    while (at >= row[deed]) {
        at -= row[deed++];
    }
    return (enum deed)deed;
}

static void act(struct sim_client *client)
{
    struct sim *sim = client->sim;
    unsigned queue = (unsigned)sim_below(sim, SIM_QUEUES);
    bool busy = client->calls.count >= SIM_CALLS_MAX;
    enum deed deed = choose(client);
    if (busy && deed != SETTLE && deed != GIVE_UP) {
        return;
    }
    if ((client->opened & 1u << queue) == 0) {
        do_declare(client, queue);
    }
    switch (deed) {
    case PUT: do_put(client, queue); return;
    case GET: do_get(client, queue); return;
    case SUBSCRIBE: do_subscribe(client, queue); return;
    case SETTLE: do_settle(client); return;
    case TASK_DONE: do_task_done(client, queue); return;
    case JOIN: do_join(client, queue); return;
    case ITEM: do_item(client); return;
    case LOOK: do_look(client, queue); return;
    case REDRIVE: do_redrive(client, queue); return;
    case OPERATE: do_operate(client, queue); return;
    case MISTAKE: do_mistake(client); return;
    case GIVE_UP: do_give_up(client); return;
    case BYE: client->leaving = true; return;
    case DEEDS: return;
    }
}

/* A process that wants to go lets its calls end, then says BYE. */
static void leave(struct sim_client *client)
{
    struct bao_link *link = bao_list_first(&client->calls);
    if (link == NULL) {
        do_bye(client);
        return;
    }
    call_cancel(BAO_OF(link, struct sim_call, link));
}

static void think(struct sim *sim, struct sim_event *event)
{
    struct sim_client *client = event->subject;
    if (!client->exists || client->process != event->number) {
        return;
    }
    bool asleep = sim->now_us >= sim->long_night_us && sim->long_night_us != 0;
    if (sim->healing || asleep || sim->now_us >= sim->work_until_us) {
        return;
    }
    if (client_runs(client)) {
        if (client->leaving) {
            leave(client);
        } else {
            act(client);
        }
        client_pump(client);
    }
    sim_in(sim,
           sim_between(sim, THINK_LEAST_US, THINK_MOST_US),
           think,
           client,
           client->process);
}

void program_start(struct sim_client *client)
{
    client->role = (unsigned)sim_below(client->sim, ROLES);
    sim_in(client->sim,
           sim_between(client->sim, THINK_LEAST_US, THINK_MOST_US),
           think,
           client,
           client->process);
}

void program_welcomed(struct sim_client *client)
{
    client->opened = 0;
}

void program_delivered(struct sim_client *client)
{
    (void)client;
}

/* --- outcomes ------------------------------------------------------------- */

static void count_ok(struct sim *sim, const struct history_op *op)
{
    bool waited = op->told_us - op->asked_us > 60 * SIM_MS;
    switch (op->verb) {
    case BAO_VERB_PUT:
        if (waited) {
            SIM_COUNT(sim, PUTS_WAITED);
        }
        if ((op->told_flags & BAO_FLAG_DUPLICATE) != 0) {
            SIM_COUNT(sim, DUPLICATES);
        }
        if ((op->flags & BAO_FLAG_ATOMIC) != 0) {
            SIM_COUNT(sim, PUT_MANY);
        }
        if (sim->disk != NULL && !queue_is_kept(sim, op->queue)) {
            SIM_COUNT(sim, MEMORY_PUTS);
        }
        return;
    case BAO_VERB_GET:
        if (waited) {
            SIM_COUNT(sim, GETS_WAITED);
        }
        if ((op->flags & BAO_FLAG_AUTO) != 0) {
            SIM_COUNT(sim, AUTO_GETS);
        }
        return;
    case BAO_VERB_JOIN:
        if (waited) {
            SIM_COUNT(sim, JOINS_WAITED);
        }
        sim_count(sim, SIM_COUNT_NAMED, SIM_JOINS_QUEUE + op->scope);
        return;
    case BAO_VERB_WAIT: SIM_COUNT(sim, WAITS_OK); return;
    default: return;
    }
}

void program_told(struct sim_call *call, const struct history_op *op)
{
    struct sim_client *client = call->client;
    sim_count(client->sim, SIM_COUNT_STATUS, op->status);
    if (op->status == BAOZI_OK) {
        count_ok(client->sim, op);
    }
    if (op->verb == BAO_VERB_BYE) {
        client->ended = true;
    }
    if (op->status == BAOZI_NOT_FOUND && op->queue < SIM_QUEUES) {
        client->opened &= ~(1u << op->queue);
    }
}

/* A result says which item it is of. */
void program_outcome(struct sim_client *client,
                     const struct sim_call *call,
                     const struct bao_operation *answer,
                     const struct bao_message *message)
{
    struct bao_letter letter;
    if (!bao_message_letter(message, answer, &letter)) {
        sim_fail(client->sim, "a result that cannot be read");
    }
    if (letter.payload.bytes == 0) {
        return;
    }
    SIM_COUNT(client->sim, RESULTS);
    const struct history_op *op = history_op(client->sim->history, call->op);
    if (payload_number(letter.payload) != op->id) {
        sim_fail(client->sim,
                 "#%llu was told the result of another item",
                 (unsigned long long)call->op);
    }
}

void client_end(struct sim_client *client)
{
    if (client->wire != NULL && client->wire->client_end) {
        wire_leave(client->sim, client->wire, true, false);
    }
    client_bury(client);
}
