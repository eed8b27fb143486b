/*
 * edge_zmq_peers.h - which handle is which ZeroMQ routing id.
 *
 * The part of the ZeroMQ edge that needs no socket. A routing id is only
 * accepted in the form that the ROUTER itself gives: a zero and four bytes of
 * a counter that starts at a random number. So it is kept as that number, and
 * of two ids seen on one descriptor the later number is the younger peer.
 */
#ifndef BAO_EDGE_ZMQ_PEERS_H
#define BAO_EDGE_ZMQ_PEERS_H

#include "common/table.h"

#define BAO_ROUTING_BYTES 5u

struct bao_zmq_peer {
    struct bao_table_node node; /* by routing id */
    struct bao_link closing;    /* listed: its connection is gone */
    struct bao_link parked;     /* listed: messages wait, or have just left */
    struct bao_list messages;   /* that wait */
    size_t backlog_bytes;
    uint64_t handle;
    uint64_t closed_due_us; /* when CLOSED may be told */
    const char *why;
    uint32_t routing;
    int descriptor; /* -1 = it has no connection any more */
    int pidfd;      /* of a closing peer, -1 = none */
    bool process_gone;
    bool cut; /* hears nothing and is not heard */
};

struct bao_zmq_peers {
    struct bao_arena *arena;
    struct bao_table table;
    struct bao_zmq_peer_slot *slots; /* by index */
    uint32_t slot_count;
    uint32_t first_free; /* index + 1, 0 = none */
};

/* False if memory ran out. */
bool bao_zmq_peers_open(struct bao_zmq_peers *peers, struct bao_arena *arena);
void bao_zmq_peers_close(struct bao_zmq_peers *peers);

/* True and the number, if the bytes have the ROUTER's own form. */
bool bao_routing_read(const void *data, size_t bytes, uint32_t *routing);
void bao_routing_write(uint32_t routing, uint8_t data[BAO_ROUTING_BYTES]);

/* True if id `a` was given after id `b`. */
bool bao_routing_is_younger(uint32_t a, uint32_t b);

/* A new peer with a fresh handle; NULL if memory ran out. */
struct bao_zmq_peer *bao_zmq_peers_add(struct bao_zmq_peers *peers,
                                       uint32_t routing);
/* Forgets a peer that is in no list; its handle never comes back. */
void bao_zmq_peers_remove(struct bao_zmq_peers *peers,
                          struct bao_zmq_peer *peer);
struct bao_zmq_peer *bao_zmq_peers_by_routing(const struct bao_zmq_peers *peers,
                                              uint32_t routing);
struct bao_zmq_peer *bao_zmq_peers_by_handle(const struct bao_zmq_peers *peers,
                                             uint64_t handle);

#endif
