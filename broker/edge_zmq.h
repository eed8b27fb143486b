/*
 * edge_zmq.h - an edge (edge.h) made of one ZeroMQ ROUTER socket.
 */
#ifndef BAO_EDGE_ZMQ_H
#define BAO_EDGE_ZMQ_H

#include "broker/edge_open.h"

/* See bao_edge_open(). */
bool bao_edge_zmq_open(const struct bao_edge_config *config,
                       struct bao_edge **edge,
                       struct bao_problem *problem);

#endif
