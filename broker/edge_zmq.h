/*
 * edge_zmq.h - an edge (edge.h) made of one ZeroMQ ROUTER socket.
 */
#ifndef BAO_EDGE_ZMQ_H
#define BAO_EDGE_ZMQ_H

#include "broker/edge.h"
#include "broker/edge_connections.h"
#include "common/complain.h"

struct bao_edge_zmq_config {
    const char *const *urls; /* at most BAO_LISTENERS_MAX */
    size_t url_count;
    size_t clients_max;         /* 0 = as many as descriptors allow */
    size_t clients_address_max; /* of one address; 0 = a quarter of that */
    uint32_t strikes_max;       /* of one address; 0 = no ban */
    struct bao_users users;     /* who may connect to a local socket */
    uint32_t hello_ms;          /* from accept to welcome; 0 = 4000 */
    uint32_t messages_max;      /* a peer's, queued each way; 0 = 64 */
    uint64_t frame_bytes_max;   /* 0 = the largest item and its header */
    struct bao_guard *guard;    /* lent, outlives the edge; NULL = none */
};

/*
 * Listens on all addresses. *edge is owned by the caller. False fills
 * *problem with what to print and the exit code.
 */
bool bao_edge_zmq_open(const struct bao_edge_zmq_config *config,
                       struct bao_edge **edge,
                       struct bao_problem *problem);

/* Ends all connections; what was sent has `linger_ms` to leave. All received
 * frames must have been released. NULL is allowed. */
void bao_edge_zmq_close(struct bao_edge *edge, int linger_ms);

/* The i-th address as bound, its port resolved; lent. */
const char *bao_edge_zmq_address(const struct bao_edge *edge, size_t i);

/* What became of connections since the start, for the log. */
struct bao_connection_counts bao_edge_zmq_counts(const struct bao_edge *edge);

/* Connections that are open, for the log and for tests. */
size_t bao_edge_zmq_connections(const struct bao_edge *edge);

#endif
