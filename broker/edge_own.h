/*
 * edge_own.h - an edge (edge.h) on sockets of its own, without libzmq.
 */
#ifndef BAO_EDGE_OWN_H
#define BAO_EDGE_OWN_H

#include "broker/edge_open.h"

/* See bao_edge_open(). */
bool bao_edge_own_open(const struct bao_edge_config *config,
                       struct bao_edge **edge,
                       struct bao_problem *problem);

#endif
