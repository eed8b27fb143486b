/*
 * edge.c - events for the gateway out of what arrives on the wires.
 *
 * As over ZeroMQ a peer is OPENED by its first message, and no more than
 * `window` messages are under way to it: then one is parked, and WRITABLE
 * follows when there is room.
 */
#include "tests/sim/edge.h"

#include <stdlib.h>

#include "tests/sim/broker.h"
#include "tests/sim/count.h"
#include "tests/sim/network.h"

#define PEERS_MAX 4096u
#define HELLO_US  (4 * SIM_SECOND)

struct frame {
    struct bao_frame frame;
    struct sim_edge *edge;
};

struct peer {
    uint64_t handle;
    struct sim_wire *wire; /* NULL: the slot is free */
    struct sim_message *parked;
    uint64_t hello_us; /* it must have said HELLO by then; 0 = it did */
    bool closing;      /* CLOSED is queued */
};

struct event {
    struct bao_link link;
    struct bao_edge_event told;
    struct bao_frame *frames[BAO_PARTS_MAX];
};

struct sim_edge {
    struct bao_edge edge;
    struct sim *sim;
    struct peer peers[PEERS_MAX];
    uint32_t peer_count;
    uint64_t generation;
    uint32_t window;
    struct bao_list events;
    struct event *lent;
    uint32_t frames_alive;
};

/* --- events --------------------------------------------------------------- */

static struct event *
add_event(struct sim_edge *edge, enum bao_edge_event_kind kind, uint64_t peer)
{
    struct event *event = calloc(1, sizeof *event);
    if (event == NULL) {
        abort();
    }
    event->told = (struct bao_edge_event){.kind = kind, .peer = peer};
    event->told.frames = event->frames;
    bao_list_push(&edge->events, &event->link);
    broker_poke(edge->sim);
    return event;
}

static void event_free(struct event *event)
{
    for (uint32_t i = 0; i < event->told.frame_count; i++) {
        bao_frame_release(event->frames[i]);
    }
    free(event);
}

static bool next(struct bao_edge *base, struct bao_edge_event *told)
{
    struct sim_edge *edge = (struct sim_edge *)(void *)base;
    if (edge->lent != NULL) {
        event_free(edge->lent);
        edge->lent = NULL;
    }
    struct bao_link *link = bao_list_pop(&edge->events);
    if (link == NULL) {
        return false;
    }
    edge->lent = BAO_OF(link, struct event, link);
    *told = edge->lent->told;
    return true;
}

/* --- peers ---------------------------------------------------------------- */

static struct peer *find(struct sim_edge *edge, uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= edge->peer_count || edge->peers[index].handle != handle ||
        edge->peers[index].wire == NULL) {
        return NULL;
    }
    return &edge->peers[index];
}

static struct peer *open_peer(struct sim_edge *edge, struct sim_wire *wire)
{
    uint32_t index = 0;
    while (index < edge->peer_count && edge->peers[index].wire != NULL) {
        index++;
    }
    if (index == PEERS_MAX) {
        sim_fail(edge->sim, "more than %u peers", PEERS_MAX);
    }
    edge->peer_count += index == edge->peer_count ? 1u : 0u;
    wire->peer = ++edge->generation << 32 | index;
    edge->peers[index] =
        (struct peer){.handle = wire->peer,
                      .wire = wire,
                      .hello_us = edge->sim->now_us + HELLO_US};
    struct event *event = add_event(edge, BAO_EDGE_OPENED, wire->peer);
    event->told.local = wire->local;
    event->told.pid = wire->pid;
    return &edge->peers[index];
}

static void
close_peer(struct sim_edge *edge, struct peer *peer, const char *why)
{
    struct sim_wire *wire = peer->wire;
    struct event *event = add_event(edge, BAO_EDGE_CLOSED, peer->handle);
    event->told.process_gone = wire->gone && wire->local;
    event->told.why = why;
    if (peer->parked != NULL) {
        message_free(peer->parked);
    }
    *peer = (struct peer){0};
    wire->peer = 0;
}

/* --- what the network tells ----------------------------------------------- */

static struct sim_edge *edge_of(struct sim *sim)
{
    return (struct sim_edge *)(void *)broker_edge(sim);
}

static void frame_free(struct bao_frame *base)
{
    struct frame *frame = (struct frame *)(void *)base;
    frame->edge->frames_alive--;
    free((void *)(uintptr_t)base->bytes.data);
    free(frame);
}

/* Makes frames of a message's bytes, which move over. */
static void take_frames(struct sim_edge *edge,
                        struct event *event,
                        struct sim_message *message)
{
    for (uint32_t i = 0; i < message->frame_count; i++) {
        struct frame *frame = calloc(1, sizeof *frame);
        if (frame == NULL) {
            abort();
        }
        frame->frame = (struct bao_frame){
            .bytes = message->frames[i], .references = 1, .free = frame_free};
        frame->edge = edge;
        edge->frames_alive++;
        event->frames[i] = &frame->frame;
    }
    event->told.frame_count = message->frame_count;
    message->frame_count = 0;
}

void edge_arrived(struct sim *sim, struct sim_message *message)
{
    struct sim_edge *edge = edge_of(sim);
    struct sim_wire *wire = message->wire;
    struct peer *peer = wire->peer == 0 ? NULL : find(edge, wire->peer);
    if (peer == NULL) {
        peer = open_peer(edge, wire);
    }
    struct event *event = add_event(edge, BAO_EDGE_MESSAGE, peer->handle);
    take_frames(edge, event, message);
    message_free(message);
}

void edge_closed(struct sim *sim, struct sim_wire *wire, const char *why)
{
    struct sim_edge *edge = edge_of(sim);
    struct peer *peer = wire->peer == 0 ? NULL : find(edge, wire->peer);
    if (peer != NULL) {
        close_peer(edge, peer, why);
    }
}

void edge_room(struct sim *sim, struct sim_wire *wire)
{
    if (broker_edge(sim) == NULL || wire->peer == 0) {
        return;
    }
    struct sim_edge *edge = edge_of(sim);
    struct peer *peer = find(edge, wire->peer);
    if (peer != NULL && peer->parked != NULL &&
        wire->down.flying.count < edge->window) {
        struct sim_message *parked = peer->parked;
        peer->parked = NULL;
        wire_send(sim, parked);
        (void)add_event(edge, BAO_EDGE_WRITABLE, peer->handle);
    }
}

/* --- what the gateway asks ------------------------------------------------ */

static void turn(struct bao_edge *base, uint64_t now_us)
{
    struct sim_edge *edge = (struct sim_edge *)(void *)base;
    for (uint32_t i = 0; i < edge->peer_count; i++) {
        struct peer *peer = &edge->peers[i];
        if (peer->wire != NULL && peer->hello_us != 0 &&
            peer->hello_us <= now_us) {
            wire_refuse(edge->sim, peer->wire, false);
            close_peer(edge, peer, "it did not say HELLO in time");
        }
    }
}

static uint64_t deadline(const struct bao_edge *base)
{
    const struct sim_edge *edge = (const struct sim_edge *)(const void *)base;
    uint64_t due_us = SIM_NEVER;
    for (uint32_t i = 0; i < edge->peer_count; i++) {
        const struct peer *peer = &edge->peers[i];
        if (peer->wire != NULL && peer->hello_us != 0 &&
            peer->hello_us < due_us) {
            due_us = peer->hello_us;
        }
    }
    return due_us;
}

static void gather(struct sim_message *message,
                   uint32_t at,
                   const struct bao_piece *pieces,
                   size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += pieces[i].bytes.bytes;
    }
    uint8_t *data = message_frame(message, at, bytes);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].bytes.bytes > 0) {
            memcpy(data, pieces[i].bytes.data, pieces[i].bytes.bytes);
        }
        data += pieces[i].bytes.bytes;
    }
}

static struct sim_message *message_of(struct sim_wire *wire,
                                      const struct bao_outgoing *outgoing)
{
    uint32_t frames = 1;
    if (outgoing->body_count > 0 || outgoing->big_count > 0) {
        frames = 2 + (uint32_t)outgoing->big_count;
    }
    struct sim_message *message = network_message(wire, false, frames);
    struct bao_piece header = {.bytes = outgoing->header};
    gather(message, 0, &header, 1);
    if (frames > 1) {
        gather(message, 1, outgoing->bodies, outgoing->body_count);
    }
    for (uint32_t i = 2; i < frames; i++) {
        gather(message, i, &outgoing->big[i - 2], 1);
    }
    return message;
}

static enum bao_sent send_message(struct bao_edge *base,
                                  uint64_t handle,
                                  const struct bao_outgoing *outgoing)
{
    struct sim_edge *edge = (struct sim_edge *)(void *)base;
    struct peer *peer = find(edge, handle);
    if (peer == NULL) {
        return BAO_GONE;
    }
    if (peer->parked != NULL) {
        sim_fail(edge->sim, "the gateway sent behind a parked message");
    }
    struct sim_message *message = message_of(peer->wire, outgoing);
    if (peer->wire->down.flying.count >= edge->window) {
        SIM_COUNT(edge->sim, PARKED);
        peer->parked = message;
        return BAO_PARKED;
    }
    wire_send(edge->sim, message);
    return BAO_SENT;
}

static void flush(struct bao_edge *base)
{
    (void)base;
}

static void admit(struct bao_edge *base, uint64_t handle)
{
    struct peer *peer = find((struct sim_edge *)(void *)base, handle);
    if (peer != NULL) {
        peer->hello_us = 0;
    }
}

static void cut(struct bao_edge *base, uint64_t handle, const char *why)
{
    struct sim_edge *edge = (struct sim_edge *)(void *)base;
    struct peer *peer = find(edge, handle);
    if (peer != NULL) {
        sim_say(edge->sim, SIM_BROKER, '=', "cuts a connection: %s", why);
        wire_refuse(edge->sim, peer->wire, false);
        close_peer(edge, peer, why);
    }
}

static size_t backlog(const struct bao_edge *base, uint64_t handle)
{
    (void)base;
    (void)handle;
    return 0;
}

static bool ready(struct bao_edge *base)
{
    return ((struct sim_edge *)(void *)base)->events.count > 0;
}

static int pollfd(const struct bao_edge *base)
{
    (void)base;
    return -1;
}

static const struct bao_edge_operations operations = {
    .turn = turn,
    .next = next,
    .send = send_message,
    .flush = flush,
    .admit = admit,
    .close = cut,
    .backlog = backlog,
    .ready = ready,
    .pollfd = pollfd,
    .deadline = deadline,
};

/* --- opening and closing -------------------------------------------------- */

struct bao_edge *edge_open(struct sim *sim)
{
    struct sim_edge *edge = calloc(1, sizeof *edge);
    if (edge == NULL) {
        abort();
    }
    edge->edge.operations = &operations;
    edge->sim = sim;
    edge->window = sim_chance(sim, 300) ? 2 : 64;
    bao_list_init(&edge->events);
    return &edge->edge;
}

void edge_close(struct sim *sim, struct bao_edge *base)
{
    struct sim_edge *edge = (struct sim_edge *)(void *)base;
    struct bao_link *link;
    if (edge->lent != NULL) {
        event_free(edge->lent);
    }
    while ((link = bao_list_pop(&edge->events)) != NULL) {
        event_free(BAO_OF(link, struct event, link));
    }
    if (edge->frames_alive > 0) {
        sim_fail(sim, "%u frames are still held", edge->frames_alive);
    }
    for (uint32_t i = 0; i < edge->peer_count; i++) {
        if (edge->peers[i].parked != NULL) {
            message_free(edge->peers[i].parked);
        }
    }
    for (link = bao_list_first(&sim->network->wires); link != NULL;
         link = bao_list_next(&sim->network->wires, link)) {
        struct sim_wire *wire = BAO_OF(link, struct sim_wire, link);
        if (wire->broker_end) {
            wire->peer = 0;
            wire_refuse(sim, wire, false);
            wire->down.broken = true;
        }
    }
    free(edge);
}
