/*
 * edge_zmq_inner.h - what the files of the ZeroMQ edge share.
 *
 * edge_zmq.c opens, closes and turns; edge_zmq_receive.c takes messages and
 * deaths in; edge_zmq_send.c sends and parks. No other file includes this.
 */
#ifndef BAO_EDGE_ZMQ_INNER_H
#define BAO_EDGE_ZMQ_INNER_H

#include <zmq.h>

#include "broker/edge_connections.h"
#include "broker/edge_doors.h"
#include "broker/edge_zmq.h"
#include "broker/edge_zmq_peers.h"
#include "broker/guard.h"
#include "common/pool.h"

struct bao_zmq_frame {
    struct bao_frame frame;
    struct bao_edge_zmq *edge;
    zmq_msg_t message;
};

struct bao_edge_zmq {
    struct bao_edge edge;
    void *context;
    void *router;
    void *monitor;
    void *memory;
    struct bao_arena *arena;
    struct bao_pool frames;
    uint64_t frame_bytes;    /* of all frames that are held */
    struct bao_guard *guard; /* lent, or NULL */
    struct bao_connections connections;
    struct bao_zmq_peers peers;
    struct bao_list closing;  /* peers without connection, by due time */
    struct bao_list parked;   /* peers to try again: they have messages */
    struct bao_list writable; /* peers to tell of: they have none */
    struct bao_doors doors;
    int epoll;
    uint64_t now_us;
    /* The message last received. */
    struct bao_frame *parts[BAO_PARTS_MAX];
    uint32_t part_count;
    const char *malformed;
    uint32_t surplus_count; /* parts that were dropped */
    uint64_t wire_bytes;
    uint32_t routing;
    int descriptor;
    uint64_t held_back; /* its peer, if OPENED was told first; or 0 */
};

static inline struct bao_edge_zmq *bao_edge_zmq_of(struct bao_edge *edge)
{
    return (struct bao_edge_zmq *)(void *)edge;
}

/* What a frame takes on the wire: flags and length go before it. (With CURVE
 * it will be more: a frame is sealed in a command of its own.) */
static inline uint64_t bao_wire_bytes(size_t bytes)
{
    return bytes + (bytes > UINT8_MAX ? 9 : 2);
}

/* --- edge_zmq_receive.c --- */

bool bao_edge_zmq_next(struct bao_edge *base, struct bao_edge_event *event);

/* Takes in what the monitor says. */
void bao_edge_zmq_monitor(struct bao_edge_zmq *edge);

/* The socket that the monitor reported as listening last, or -1. */
int bao_edge_zmq_listening(struct bao_edge_zmq *edge);

/* Gives up the frames of the message last received. */
void bao_edge_zmq_forget(struct bao_edge_zmq *edge);

/* This peer's connection is gone: CLOSED with `why` follows. */
void bao_edge_zmq_dies(struct bao_edge_zmq *edge,
                       struct bao_zmq_peer *peer,
                       const char *why);

/* --- edge_zmq_send.c --- */

enum bao_sent bao_edge_zmq_send(struct bao_edge *base,
                                uint64_t handle,
                                const struct bao_outgoing *message);
void bao_edge_zmq_flush(struct bao_edge *base);
void bao_edge_zmq_cut(struct bao_edge *base, uint64_t handle, const char *why);
void bao_edge_zmq_punish(struct bao_edge *base,
                         uint64_t handle,
                         const char *why);

/* Forgets what waits for this peer, and takes it off the lists. */
void bao_edge_zmq_unpark(struct bao_edge_zmq *edge, struct bao_zmq_peer *peer);

#endif
