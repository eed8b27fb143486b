/*
 * edge.h - the broker's end of the wires: an edge as broker/edge.h asks for,
 * with the network of the simulation instead of sockets.
 */
#ifndef BAO_TESTS_SIM_EDGE_H
#define BAO_TESTS_SIM_EDGE_H

#include "broker/edge.h"
#include "tests/sim/sim.h"

struct bao_edge *edge_open(struct sim *sim);
/* Breaks all its connections: the process is gone. Fails the run if somebody
 * still holds a frame. */
void edge_close(struct sim *sim, struct bao_edge *base);

#endif
