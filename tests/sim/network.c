/*
 * network.c - wires that delay, double, stall and break.
 */
#include "tests/sim/network.h"

#include <stdlib.h>

#include "tests/sim/client.h"
#include "tests/sim/count.h"

#define HANDSHAKE_TRIPS 3u
#define LONG_US         (150 * SIM_MS) /* so slow that leases may end */

struct sim_network *network_open(struct sim *sim)
{
    struct sim_network *network = calloc(1, sizeof *network);
    if (network == NULL) {
        sim_fail(sim, "no memory");
    }
    bao_list_init(&network->wires);
    network->slow = sim_chance(sim, 150) ? 40 : 1;
    network->double_permille = sim_chance(sim, 500) ? 30 : 0;
    return network;
}

static void drop_all(struct sim_pipe *pipe)
{
    struct bao_link *link;
    while ((link = bao_list_pop(&pipe->flying)) != NULL) {
        message_free(BAO_OF(link, struct sim_message, link));
    }
}

void network_close(struct sim_network *network)
{
    struct bao_link *link;
    while ((link = bao_list_pop(&network->wires)) != NULL) {
        struct sim_wire *wire = BAO_OF(link, struct sim_wire, link);
        drop_all(&wire->up);
        drop_all(&wire->down);
        free(wire);
    }
    free(network);
}

/* --- messages ------------------------------------------------------------- */

struct sim_message *
network_message(struct sim_wire *wire, bool up, uint32_t frame_count)
{
    struct sim_message *message = calloc(1, sizeof *message);
    if (message == NULL) {
        abort();
    }
    message->wire = wire;
    message->up = up;
    message->frame_count = frame_count;
    return message;
}

uint8_t *message_frame(struct sim_message *message, uint32_t at, size_t bytes)
{
    uint8_t *data = malloc(bytes + 1);
    if (data == NULL) {
        abort();
    }
    message->frames[at] = bao_span_of(data, bytes);
    return data;
}

void message_free(struct sim_message *message)
{
    for (uint32_t i = 0; i < message->frame_count; i++) {
        free((void *)(uintptr_t)message->frames[i].data);
    }
    free(message);
}

static struct sim_message *message_copy(const struct sim_message *message)
{
    struct sim_message *copy =
        network_message(message->wire, message->up, message->frame_count);
    for (uint32_t i = 0; i < message->frame_count; i++) {
        struct bao_span from = message->frames[i];
        uint8_t *to = message_frame(copy, i, from.bytes);
        if (from.bytes > 0) {
            memcpy(to, from.data, from.bytes);
        }
    }
    copy->copy = true;
    return copy;
}

/* --- under way ------------------------------------------------------------ */

static struct sim_pipe *pipe_of(struct sim_wire *wire, bool up)
{
    return up ? &wire->up : &wire->down;
}

/* When something sent now arrives: never before what was sent earlier. */
static uint64_t arrival(struct sim *sim, struct sim_wire *wire, bool up)
{
    struct sim_pipe *pipe = pipe_of(wire, up);
    uint64_t delay_us =
        sim_between(sim, wire->latency_us / 2, wire->latency_us);
    if (sim_chance(sim, 20)) {
        delay_us *= sim_between(sim, 2, 50);
    }
    uint64_t at_us = sim->now_us + delay_us;
    at_us = at_us > pipe->stalled_us ? at_us : pipe->stalled_us;
    at_us = at_us > pipe->last_us ? at_us : pipe->last_us;
    pipe->last_us = at_us;
    if (at_us - sim->now_us > LONG_US) {
        history_event(sim->history,
                      &(struct history_event){.kind = HISTORY_STALLED,
                                              .client = wire->client->index,
                                              .us = at_us,
                                              .from_us = sim->now_us});
    }
    return at_us;
}

/* True if it must wait longer: a partition began meanwhile. */
static bool is_held_back(struct sim *sim,
                         struct sim_pipe *pipe,
                         const struct sim_event *event)
{
    if (pipe->stalled_us <= sim->now_us) {
        return false;
    }
    if (pipe->last_us < pipe->stalled_us) {
        pipe->last_us = pipe->stalled_us;
    }
    SIM_COUNT(sim, STALLED);
    sim_at(sim, pipe->stalled_us, event->run, event->subject, event->number);
    return true;
}

/* Who arrives is the first that was sent, whatever moment it was to come. */
static void arrive(struct sim *sim, struct sim_event *event)
{
    struct sim_wire *wire = event->subject;
    bool up = event->number != 0;
    struct sim_pipe *pipe = pipe_of(wire, up);
    bool open = up ? wire->broker_end : wire->client_end;
    if (!pipe->broken && open && is_held_back(sim, pipe, event)) {
        return;
    }
    struct sim_message *message =
        BAO_OF(bao_list_pop(&pipe->flying), struct sim_message, link);
    if (pipe->broken || !open) {
        SIM_COUNT(sim, DROPPED);
        message_free(message);
        return;
    }
    if (message->number < sim->network->last_number) {
        SIM_COUNT(sim, REORDERED);
    } else {
        sim->network->last_number = message->number;
    }
    if (up && !wire->client_end) {
        SIM_COUNT(sim, LATE);
    }
    if (message->copy) {
        SIM_COUNT(sim, DOUBLED);
    }
    if (up) {
        edge_arrived(sim, message);
    } else {
        client_arrived(sim, message);
        edge_room(sim, wire);
    }
}

static void launch(struct sim *sim, struct sim_message *message)
{
    struct sim_wire *wire = message->wire;
    bao_list_push(&pipe_of(wire, message->up)->flying, &message->link);
    message->number = ++sim->network->sent;
    SIM_COUNT(sim, MESSAGES);
    sim_at(sim,
           arrival(sim, wire, message->up),
           arrive,
           wire,
           message->up ? 1 : 0);
}

void wire_send(struct sim *sim, struct sim_message *message)
{
    bool may_double = tap_sent(sim, message);
    struct sim_message *copy = NULL;
    if (may_double && !sim->healing &&
        sim_chance(sim, sim->network->double_permille)) {
        copy = message_copy(message);
    }
    launch(sim, message);
    if (copy != NULL) {
        launch(sim, copy);
    }
}

/* --- connecting ----------------------------------------------------------- */

static void establish(struct sim *sim, struct sim_event *event)
{
    struct sim_wire *wire = event->subject;
    if (!wire->client_end) {
        return;
    }
    if (!broker_listens(sim) || wire->up.stalled_us > sim->now_us ||
        wire->down.stalled_us > sim->now_us) {
        sim_in(sim,
               sim_between(sim, 100 * SIM_MS, 300 * SIM_MS),
               establish,
               wire,
               0);
        return;
    }
    wire->broker_end = true;
    client_connected(sim, wire);
}

struct sim_wire *wire_new(struct sim *sim, struct sim_client *client)
{
    struct sim_wire *wire = calloc(1, sizeof *wire);
    if (wire == NULL) {
        sim_fail(sim, "no memory");
    }
    bao_list_push(&sim->network->wires, &wire->link);
    wire->number = ++sim->network->wire_count;
    wire->client = client;
    bao_list_init(&wire->up.flying);
    bao_list_init(&wire->down.flying);
    wire->client_end = true;
    wire->latency_us =
        sim_between(sim, 100, 3000) * (sim->healing ? 1 : sim->network->slow);
    sim_in(sim, HANDSHAKE_TRIPS * wire->latency_us, establish, wire, 0);
    return wire;
}

/* --- ends ----------------------------------------------------------------- */

static void broker_learns_it(struct sim *sim, struct sim_event *event)
{
    struct sim_wire *wire = event->subject;
    if (wire->broker_end && !is_held_back(sim, &wire->up, event)) {
        wire->broker_end = false;
        edge_closed(sim, wire, "the client closed it");
    }
}

static void client_learns_it(struct sim *sim, struct sim_event *event)
{
    struct sim_wire *wire = event->subject;
    if (wire->client_end && !is_held_back(sim, &wire->down, event)) {
        wire->client_end = false;
        client_lost(sim, wire);
    }
}

void wire_leave(struct sim *sim, struct sim_wire *wire, bool late, bool silent)
{
    wire->client_end = false;
    wire->down.broken = true;
    wire->up.broken = wire->up.broken || !late;
    if (silent) {
        SIM_COUNT(sim, HALF_OPEN);
    } else if (wire->broker_end) {
        sim_at(sim, arrival(sim, wire, true), broker_learns_it, wire, 0);
    }
}

void wire_refuse(struct sim *sim, struct sim_wire *wire, bool silent)
{
    wire->broker_end = false;
    wire->up.broken = true;
    if (silent) {
        SIM_COUNT(sim, HALF_OPEN);
    } else if (wire->client_end) {
        sim_at(sim, arrival(sim, wire, false), client_learns_it, wire, 0);
    }
}

void wire_break(struct sim *sim,
                struct sim_wire *wire,
                bool client_learns,
                bool broker_learns)
{
    wire->up.broken = true;
    wire->down.broken = true;
    wire->up.stalled_us = 0;
    wire->down.stalled_us = 0;
    SIM_COUNT(sim, CUTS);
    if (!client_learns || !broker_learns) {
        SIM_COUNT(sim, HALF_OPEN);
    }
    if (client_learns) {
        sim_in(sim, wire->latency_us, client_learns_it, wire, 0);
    }
    if (broker_learns) {
        sim_in(sim, wire->latency_us, broker_learns_it, wire, 0);
    }
}

void wire_stall(struct sim_wire *wire, bool up, bool down, uint64_t until_us)
{
    if (up && wire->up.stalled_us < until_us) {
        wire->up.stalled_us = until_us;
    }
    if (down && wire->down.stalled_us < until_us) {
        wire->down.stalled_us = until_us;
    }
}
