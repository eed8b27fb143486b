/*
 * edge_doors.h - the addresses of an edge, and when they are shut.
 *
 * When 90 % of the descriptors are used, new connections are kept out; at
 * 80 % they may come again. Both edges share these rules.
 */
#ifndef BAO_EDGE_DOORS_H
#define BAO_EDGE_DOORS_H

#include "broker/edge_connections.h"
#include "broker/edge_listen.h"

struct bao_doors {
    struct bao_listener listeners[BAO_LISTENERS_MAX];
    size_t count;
    bool paused;
};

/* As many descriptors as the system lets this process have. */
void bao_doors_raise_limit(void);

/* Connections that may wait for each listener: never more than fit below the
 * limit of descriptors. */
int bao_doors_backlog(const struct bao_connections *connections);

/* All listeners are open: the rest of the descriptors is for connections.
 * False if memory ran out. */
bool bao_doors_settle(const struct bao_doors *doors,
                      struct bao_connections *connections);

/* Shuts or opens them, by how many descriptors are used. */
void bao_doors_mind_the_load(struct bao_doors *doors,
                             struct bao_connections *connections);

/* Why an edge cannot be opened. */
void bao_doors_refuse_room(struct bao_problem *problem);
bool bao_doors_refuse(struct bao_problem *problem,
                      const char *what,
                      const char *url,
                      bool in_use,
                      const char *why);

/* After the sockets were closed: removes files and locks. */
void bao_doors_close(struct bao_doors *doors);

#endif
