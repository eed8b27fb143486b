/*
 * edge_zmq_receive.c - messages, new peers and deaths come in.
 *
 * Two rules tell a dead peer at once and for sure: (a) before the first frame
 * of an unknown routing id is tied to its descriptor, the monitor is drained,
 * so that the descriptor's earlier life is over; (b) frames of a dead peer
 * may arrive after its end, so CLOSED waits until the socket was read empty
 * and 10 ms have passed.
 */
#include <errno.h>
#include <unistd.h>

#include "broker/edge_zmq_inner.h"

#define CLOSED_DELAY_US  10000u   /* rule (b) */
#define CLOSED_LATEST_US 1000000u /* even if the socket is never empty */
#define SURPLUS_MAX      1000u    /* parts beyond those that are kept */

/* --- frames --- */

static void frame_free(struct bao_frame *frame)
{
    struct bao_zmq_frame *ours = (struct bao_zmq_frame *)(void *)frame;
    ours->edge->frame_bytes -= frame->bytes.bytes;
    (void)zmq_msg_close(&ours->message);
    bao_pool_give(&ours->edge->frames, ours);
}

static struct bao_zmq_frame *frame_take(struct bao_edge_zmq *edge)
{
    struct bao_zmq_frame *frame = bao_pool_take(&edge->frames);
    if (frame == NULL)
        return NULL;
    frame->edge = edge;
    frame->frame.bytes = (struct bao_span){0};
    frame->frame.references = 1;
    frame->frame.free = frame_free;
    (void)zmq_msg_init(&frame->message);
    return frame;
}

void bao_edge_zmq_forget(struct bao_edge_zmq *edge)
{
    for (uint32_t i = 0; i < edge->part_count; i++)
        bao_frame_release(edge->parts[i]);
    edge->part_count = 0;
    edge->malformed = NULL;
    edge->held_back = 0;
}

/* Its connection is gone: CLOSED follows by rule (b). */
void bao_edge_zmq_dies(struct bao_edge_zmq *edge,
                       struct bao_zmq_peer *peer,
                       const char *why)
{
    if (bao_link_is_listed(&peer->closing))
        return;
    bao_edge_zmq_unpark(edge, peer);
    peer->descriptor = -1;
    peer->why = peer->why != NULL ? peer->why : why;
    peer->closed_due_us = edge->now_us + CLOSED_DELAY_US;
    bao_list_push(&edge->closing, &peer->closing);
}

static void connection_gone(struct bao_edge_zmq *edge, int descriptor)
{
    struct bao_connection gone =
        bao_connections_gone(&edge->connections, descriptor);
    struct bao_zmq_peer *peer =
        gone.peer == 0 ? NULL
                       : bao_zmq_peers_by_handle(&edge->peers, gone.peer);
    if (peer == NULL || peer->descriptor != descriptor) {
        if (gone.pidfd >= 0)
            (void)close(gone.pidfd);
        return;
    }
    peer->pidfd = gone.pidfd;
    peer->process_gone = gone.process_gone;
    bao_edge_zmq_dies(
        edge, peer, gone.why != NULL ? gone.why : "connection closed");
}

/* --- the monitor --- */

/* One event; false if there is none. */
static bool monitor_next(struct bao_edge_zmq *edge, int *kind, int *value)
{
    zmq_msg_t part;
    uint8_t data[6] = {0};
    bool more;
    (void)zmq_msg_init(&part);
    int bytes = zmq_msg_recv(&part, edge->monitor, ZMQ_DONTWAIT);
    if (bytes < 0) {
        (void)zmq_msg_close(&part);
        return false;
    }
    if ((size_t)bytes >= sizeof data)
        memcpy(data, zmq_msg_data(&part), sizeof data);
    /* The address that follows is the listener's, not the peer's. */
    for (more = zmq_msg_more(&part); more; more = zmq_msg_more(&part)) {
        if (zmq_msg_recv(&part, edge->monitor, ZMQ_DONTWAIT) < 0)
            break;
    }
    (void)zmq_msg_close(&part);
    uint16_t event;
    int32_t number;
    memcpy(&event, data, sizeof event);
    memcpy(&number, data + sizeof event, sizeof number);
    *kind = event;
    *value = number;
    return true;
}

int bao_edge_zmq_listening(struct bao_edge_zmq *edge)
{
    int kind;
    int value;
    int descriptor = -1;
    while (monitor_next(edge, &kind, &value)) {
        if (kind == ZMQ_EVENT_LISTENING)
            descriptor = value;
        if (kind == ZMQ_EVENT_ACCEPTED || kind == ZMQ_EVENT_DISCONNECTED)
            connection_gone(edge, value);
        if (kind == ZMQ_EVENT_ACCEPTED)
            bao_connections_accepted(&edge->connections, value);
    }
    return descriptor;
}

void bao_edge_zmq_monitor(struct bao_edge_zmq *edge)
{
    (void)bao_edge_zmq_listening(edge);
}

/* --- receiving --- */

/* So many parts are no mistake: no more of them shall come. */
static void cut_flood(struct bao_edge_zmq *edge)
{
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, edge->descriptor);
    if (connection != NULL)
        bao_connections_punish(
            &edge->connections, connection, "a message of endless parts");
}

/* Receives the part that is certain to be there. False: `more` is not
 * known, the message is lost. */
static bool receive_part(struct bao_edge_zmq *edge, bool *more)
{
    struct bao_zmq_frame *frame = NULL;
    if (edge->part_count < BAO_PARTS_MAX)
        frame = frame_take(edge);
    zmq_msg_t surplus;
    zmq_msg_t *message = &surplus;
    if (frame != NULL)
        message = &frame->message;
    else
        (void)zmq_msg_init(&surplus);
    bool good = zmq_msg_recv(message, edge->router, ZMQ_DONTWAIT) >= 0;
    *more = good && zmq_msg_more(message) != 0;
    if (good && edge->part_count == 0)
        edge->descriptor = zmq_msg_get(message, ZMQ_SRCFD);
    if (good)
        edge->wire_bytes += bao_wire_bytes(zmq_msg_size(message));
    if (frame == NULL) {
        edge->malformed = edge->part_count == BAO_PARTS_MAX
                              ? "too many parts"
                              : "no memory for its frames";
        (void)zmq_msg_close(&surplus);
        if (++edge->surplus_count == SURPLUS_MAX)
            cut_flood(edge);
        return good;
    }
    frame->frame.bytes =
        bao_span_of(zmq_msg_data(message), good ? zmq_msg_size(message) : 0);
    edge->frame_bytes += frame->frame.bytes.bytes;
    edge->parts[edge->part_count++] = &frame->frame;
    return good;
}

/* Receives one whole message; false if there is none. */
static bool receive(struct bao_edge_zmq *edge, bool *own_id)
{
    zmq_msg_t id;
    bool more;
    (void)zmq_msg_init(&id);
    int bytes;
    do {
        bytes = zmq_msg_recv(&id, edge->router, ZMQ_DONTWAIT);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0) {
        (void)zmq_msg_close(&id);
        return false;
    }
    *own_id =
        bao_routing_read(zmq_msg_data(&id), zmq_msg_size(&id), &edge->routing);
    more = zmq_msg_more(&id) != 0;
    (void)zmq_msg_close(&id);
    edge->descriptor = -1;
    edge->surplus_count = 0;
    edge->wire_bytes = 0;
    while (more && receive_part(edge, &more))
        continue;
    return true;
}

/* The first message of an unknown routing id: rule (a). NULL if it cannot
 * be taken in. */
static struct bao_zmq_peer *peer_arrives(struct bao_edge_zmq *edge)
{
    bao_edge_zmq_monitor(edge);
    struct bao_zmq_peer *peer = bao_zmq_peers_add(&edge->peers, edge->routing);
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, edge->descriptor);
    if (peer == NULL) {
        if (connection != NULL)
            bao_connections_cut(
                &edge->connections, connection, "no memory for a peer");
        return NULL;
    }
    if (connection == NULL) {
        /* It died before its first message was read. */
        bao_edge_zmq_dies(edge, peer, "connection closed");
        return peer;
    }
    struct bao_zmq_peer *other =
        connection->peer == 0
            ? NULL
            : bao_zmq_peers_by_handle(&edge->peers, connection->peer);
    /* Two peers on one descriptor: only the younger can be alive. */
    if (other != NULL &&
        !bao_routing_is_younger(peer->routing, other->routing)) {
        bao_edge_zmq_dies(edge, peer, "connection closed");
        return peer;
    }
    if (other != NULL)
        bao_edge_zmq_dies(edge, other, "connection closed");
    connection->peer = peer->handle;
    peer->descriptor = edge->descriptor;
    bao_guard_consumed(edge->guard, peer->descriptor, edge->wire_bytes);
    return peer;
}

static void refuse_foreign_id(struct bao_edge_zmq *edge)
{
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, edge->descriptor);
    if (connection == NULL) {
        bao_edge_zmq_monitor(edge);
        connection = bao_connections_find(&edge->connections, edge->descriptor);
    }
    if (connection != NULL)
        bao_connections_punish(
            &edge->connections, connection, "it chose its own routing id");
}

static void tell_opened(struct bao_edge_zmq *edge,
                        const struct bao_zmq_peer *peer,
                        struct bao_edge_event *event)
{
    const struct bao_connection *connection =
        bao_connections_find(&edge->connections, peer->descriptor);
    *event =
        (struct bao_edge_event){.kind = BAO_EDGE_OPENED, .peer = peer->handle};
    if (connection != NULL) {
        event->local = connection->local;
        event->pid = connection->pid;
    }
    edge->held_back = peer->handle;
}

static void tell_message(struct bao_edge_zmq *edge,
                         uint64_t handle,
                         struct bao_edge_event *event)
{
    *event = (struct bao_edge_event){
        .kind = BAO_EDGE_MESSAGE,
        .peer = handle,
        .frames = edge->parts,
        .frame_count = edge->malformed == NULL ? edge->part_count : 0,
        .malformed = edge->malformed,
    };
}

/* The next message or new peer; false if the socket is empty. */
static bool next_received(struct bao_edge_zmq *edge,
                          struct bao_edge_event *event)
{
    bool own_id;
    const struct bao_zmq_peer *told =
        bao_zmq_peers_by_handle(&edge->peers, edge->held_back);
    edge->held_back = 0;
    if (told != NULL && !told->cut) {
        tell_message(edge, told->handle, event);
        return true;
    }
    for (;;) {
        bao_edge_zmq_forget(edge);
        if (!receive(edge, &own_id))
            return false;
        if (!own_id) {
            refuse_foreign_id(edge);
            continue;
        }
        struct bao_zmq_peer *peer =
            bao_zmq_peers_by_routing(&edge->peers, edge->routing);
        if (peer == NULL) {
            peer = peer_arrives(edge);
            if (peer == NULL)
                continue;
            tell_opened(edge, peer, event);
            return true;
        }
        bao_guard_consumed(edge->guard, peer->descriptor, edge->wire_bytes);
        if (peer->cut)
            continue;
        tell_message(edge, peer->handle, event);
        return true;
    }
}

/* CLOSED of the peer whose time has come, if one is `late_us` past it. */
static bool next_closed(struct bao_edge_zmq *edge,
                        uint64_t late_us,
                        struct bao_edge_event *event)
{
    struct bao_link *link = bao_list_first(&edge->closing);
    if (link == NULL)
        return false;
    struct bao_zmq_peer *peer = BAO_OF(link, struct bao_zmq_peer, closing);
    if (peer->closed_due_us + late_us > edge->now_us)
        return false;
    bool ended = peer->process_gone ||
                 (peer->pidfd >= 0 && bao_process_ended(peer->pidfd));
    *event = (struct bao_edge_event){
        .kind = BAO_EDGE_CLOSED,
        .peer = peer->handle,
        .process_gone = ended,
        .why = peer->why,
    };
    if (peer->pidfd >= 0)
        (void)close(peer->pidfd);
    bao_list_remove(&edge->closing, &peer->closing);
    bao_zmq_peers_remove(&edge->peers, peer);
    return true;
}

bool bao_edge_zmq_next(struct bao_edge *base, struct bao_edge_event *event)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    /* Not between OPENED and its MESSAGE. */
    if (edge->held_back == 0 && next_closed(edge, CLOSED_LATEST_US, event))
        return true;
    struct bao_link *link =
        edge->held_back == 0 ? bao_list_pop(&edge->writable) : NULL;
    if (link != NULL) {
        *event = (struct bao_edge_event){
            .kind = BAO_EDGE_WRITABLE,
            .peer = BAO_OF(link, struct bao_zmq_peer, parked)->handle,
        };
        return true;
    }
    if (next_received(edge, event))
        return true;
    /* The socket is empty: what is still silent or dead now, is. */
    bao_connections_expire(&edge->connections);
    return next_closed(edge, 0, event);
}
