/*
 * edge_zmq_send.c - messages go out, or wait for room at their peer.
 *
 * A message is built once, as ZeroMQ frames, and then either passed on whole
 * or parked whole. What is parked leaves in order; meanwhile the caller is
 * expected to hold back, so little gathers here.
 */
#include <errno.h>

#include "broker/edge_zmq_inner.h"
#include "common/check.h"

#define RETRY_PEERS_MAX 256u /* a turn */

/* A message that waits for room at its peer. */
struct parked {
    struct bao_link link;
    size_t bytes;
    uint32_t count;
    zmq_msg_t frames[];
};

static void parked_drop(struct bao_edge_zmq *edge, struct bao_zmq_peer *peer)
{
    struct bao_link *link;
    while ((link = bao_list_pop(&peer->messages)) != NULL) {
        struct parked *parked = BAO_OF(link, struct parked, link);
        for (uint32_t i = 0; i < parked->count; i++)
            (void)zmq_msg_close(&parked->frames[i]);
        bao_arena_give(edge->arena, parked);
    }
    peer->backlog_bytes = 0;
}

static void parked_unlist(struct bao_edge_zmq *edge, struct bao_zmq_peer *peer)
{
    if (!bao_link_is_listed(&peer->parked))
        return;
    /* With messages it is in `parked`, without in `writable`. */
    bao_list_remove(peer->messages.count > 0 ? &edge->parked : &edge->writable,
                    &peer->parked);
}

void bao_edge_zmq_unpark(struct bao_edge_zmq *edge, struct bao_zmq_peer *peer)
{
    parked_unlist(edge, peer);
    parked_drop(edge, peer);
}

/* Gives the frames to the socket, which closes them. Untouched if PARKED. */
static enum bao_sent pass_on(struct bao_edge_zmq *edge,
                             const struct bao_zmq_peer *peer,
                             zmq_msg_t *frames,
                             uint32_t count)
{
    uint8_t id[BAO_ROUTING_BYTES];
    uint64_t wire_bytes = 0;
    int answer;
    if (!bao_guard_has_room(edge->guard, peer->descriptor))
        return BAO_PARKED;
    bao_routing_write(peer->routing, id);
    do {
        answer =
            zmq_send(edge->router, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    } while (answer < 0 && errno == EINTR);
    if (answer < 0)
        return errno == EAGAIN ? BAO_PARKED : BAO_GONE;
    for (uint32_t i = 0; i < count; i++) {
        int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0);
        wire_bytes += bao_wire_bytes(zmq_msg_size(&frames[i]));
        do {
            answer = zmq_msg_send(&frames[i], edge->router, flags);
        } while (answer < 0 && errno == EINTR);
        /* Once the id is taken, ROUTER takes or swallows the rest. */
        BAO_ASSERT(answer >= 0);
    }
    bao_guard_sent(edge->guard, peer->descriptor, wire_bytes);
    return BAO_SENT;
}

static bool fill(zmq_msg_t *frame, const struct bao_piece *piece)
{
    if (piece->frame != NULL) {
        struct bao_zmq_frame *source =
            (struct bao_zmq_frame *)(void *)piece->frame;
        (void)zmq_msg_init(frame);
        return zmq_msg_copy(frame, &source->message) == 0;
    }
    if (zmq_msg_init_size(frame, piece->bytes.bytes) != 0) {
        (void)zmq_msg_init(frame);
        return false;
    }
    if (piece->bytes.bytes > 0)
        memcpy(zmq_msg_data(frame), piece->bytes.data, piece->bytes.bytes);
    return true;
}

static bool
gather(zmq_msg_t *frame, const struct bao_piece *pieces, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += pieces[i].bytes.bytes;
    if (zmq_msg_init_size(frame, bytes) != 0) {
        (void)zmq_msg_init(frame);
        return false;
    }
    uint8_t *at = zmq_msg_data(frame);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].bytes.bytes > 0)
            memcpy(at, pieces[i].bytes.data, pieces[i].bytes.bytes);
        at += pieces[i].bytes.bytes;
    }
    return true;
}

/* Makes the frames of a message; *count counts those to close. */
static bool
build(const struct bao_outgoing *message, zmq_msg_t *frames, uint32_t *count)
{
    struct bao_piece header = {.bytes = message->header};
    BAO_ASSERT(message->big_count <= BAO_PARTS_MAX - 2);
    *count = 1;
    bool good = fill(&frames[0], &header);
    if (message->body_count == 0 && message->big_count == 0)
        return good;
    (*count)++;
    good &= gather(&frames[1], message->bodies, message->body_count);
    for (size_t i = 0; i < message->big_count; i++)
        good &= fill(&frames[(*count)++], &message->big[i]);
    return good;
}

static bool park(struct bao_edge_zmq *edge,
                 struct bao_zmq_peer *peer,
                 zmq_msg_t *frames,
                 uint32_t count)
{
    struct parked *parked =
        bao_arena_take(edge->arena, sizeof *parked + count * sizeof(zmq_msg_t));
    if (parked == NULL)
        return false;
    *parked = (struct parked){.count = count};
    for (uint32_t i = 0; i < count; i++) {
        (void)zmq_msg_init(&parked->frames[i]);
        (void)zmq_msg_move(&parked->frames[i], &frames[i]);
        parked->bytes += zmq_msg_size(&parked->frames[i]);
    }
    /* It may stand in `writable`, told or not: now it waits again. */
    parked_unlist(edge, peer);
    bao_list_push(&peer->messages, &parked->link);
    bao_list_push(&edge->parked, &peer->parked);
    peer->backlog_bytes += parked->bytes;
    return true;
}

static void close_frames(zmq_msg_t *frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        (void)zmq_msg_close(&frames[i]);
}

/* The peer is forgotten; its connection, if it still has one. */
static struct bao_connection *
end_peer(struct bao_edge_zmq *edge, uint64_t handle, const char *why)
{
    struct bao_zmq_peer *peer = bao_zmq_peers_by_handle(&edge->peers, handle);
    if (peer == NULL || peer->cut)
        return NULL;
    peer->cut = true;
    peer->why = peer->why != NULL ? peer->why : why;
    bao_edge_zmq_unpark(edge, peer);
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, peer->descriptor);
    if (connection == NULL)
        bao_edge_zmq_dies(edge, peer, why);
    return connection;
}

void bao_edge_zmq_cut(struct bao_edge *base, uint64_t handle, const char *why)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    struct bao_connection *connection = end_peer(edge, handle, why);
    if (connection != NULL)
        bao_connections_cut(&edge->connections, connection, why);
}

void bao_edge_zmq_punish(struct bao_edge *base,
                         uint64_t handle,
                         const char *why)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    struct bao_connection *connection = end_peer(edge, handle, why);
    if (connection != NULL)
        bao_connections_punish(&edge->connections, connection, why);
}

enum bao_sent bao_edge_zmq_send(struct bao_edge *base,
                                uint64_t handle,
                                const struct bao_outgoing *message)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    zmq_msg_t frames[BAO_PARTS_MAX];
    uint32_t count;
    struct bao_zmq_peer *peer = bao_zmq_peers_by_handle(&edge->peers, handle);
    if (peer == NULL || peer->cut || bao_link_is_listed(&peer->closing))
        return BAO_GONE;
    bool good = build(message, frames, &count);
    enum bao_sent sent = BAO_PARKED;
    if (good && peer->messages.count == 0)
        sent = pass_on(edge, peer, frames, count);
    if (sent == BAO_SENT)
        return BAO_SENT;
    if (good && sent == BAO_PARKED && park(edge, peer, frames, count))
        return BAO_PARKED;
    close_frames(frames, count);
    if (sent == BAO_PARKED)
        bao_edge_zmq_cut(base, handle, "no memory for its messages");
    return BAO_GONE;
}

/* Tries what waits for one peer; true if nothing waits any more. */
static bool retry(struct bao_edge_zmq *edge, struct bao_zmq_peer *peer)
{
    for (;;) {
        struct bao_link *link = bao_list_first(&peer->messages);
        if (link == NULL)
            return true;
        struct parked *parked = BAO_OF(link, struct parked, link);
        enum bao_sent sent = pass_on(edge, peer, parked->frames, parked->count);
        if (sent == BAO_PARKED)
            return false;
        if (sent == BAO_GONE) /* CLOSED is on its way */
            close_frames(parked->frames, parked->count);
        peer->backlog_bytes -= parked->bytes;
        bao_list_remove(&peer->messages, link);
        bao_arena_give(edge->arena, parked);
    }
}

void bao_edge_zmq_flush(struct bao_edge *base)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    size_t count = edge->parked.count;
    if (count > RETRY_PEERS_MAX)
        count = RETRY_PEERS_MAX;
    for (; count > 0; count--) {
        struct bao_link *link = bao_list_pop(&edge->parked);
        struct bao_zmq_peer *peer = BAO_OF(link, struct bao_zmq_peer, parked);
        bool empty = retry(edge, peer);
        bao_list_push(empty ? &edge->writable : &edge->parked, link);
    }
}
