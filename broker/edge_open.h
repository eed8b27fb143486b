/*
 * edge_open.h - which edges (edge.h) there are, and what each is told.
 *
 *   own     edge_own.c: this broker's thread speaks ZMTP on its own sockets.
 *           No second thread is woken on the way in or out.
 *   libzmq  edge_zmq.c: a ROUTER socket, with the library's I/O thread.
 *
 * Peers cannot tell them apart: both speak ZMTP 3.1 to any ZeroMQ DEALER.
 */
#ifndef BAO_EDGE_OPEN_H
#define BAO_EDGE_OPEN_H

#include "broker/cpus.h"
#include "broker/edge.h"
#include "broker/edge_connections.h"
#include "common/complain.h"

enum bao_edge_kind { BAO_EDGE_OWN, BAO_EDGE_LIBZMQ };

struct bao_edge_config {
    enum bao_edge_kind kind;
    const char *const *urls; /* at most BAO_LISTENERS_MAX */
    size_t url_count;
    size_t clients_max;         /* 0 = as many as descriptors allow */
    size_t clients_address_max; /* of one address; 0 = a quarter of that */
    uint32_t strikes_max;       /* of one address; 0 = no ban */
    struct bao_users users;     /* who may connect to a local socket */
    uint32_t hello_ms;          /* from accept to welcome; 0 = 4000 */
    uint32_t messages_max;      /* libzmq: queued each way; 0 = 64 */
    struct bao_cpus io_cpus;    /* libzmq: of its I/O thread */
    uint64_t frame_bytes_max;   /* 0 = the largest item and its header */
    struct bao_guard *guard;    /* lent, outlives the edge; NULL = none */
};

/*
 * Listens on all addresses. *edge is owned by the caller. False fills
 * *problem with what to print and the exit code.
 */
bool bao_edge_open(const struct bao_edge_config *config,
                   struct bao_edge **edge,
                   struct bao_problem *problem);

/* Ends all connections; what was sent has `linger_ms` to leave. All received
 * frames must have been released. NULL is allowed. */
void bao_edge_end(struct bao_edge *edge, int linger_ms);

/* The i-th address as bound, its port resolved; lent. */
const char *bao_edge_address(const struct bao_edge *edge, size_t i);

/* What became of connections since the start, for the log. */
struct bao_connection_counts bao_edge_counts(const struct bao_edge *edge);

/* Connections that are open, for the log and for tests. */
size_t bao_edge_connections(const struct bao_edge *edge);

#endif
