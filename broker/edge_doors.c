/*
 * edge_doors.c - the rules of edge_doors.h; and edge_open.h, which asks one
 * of the two edges.
 */
#include "broker/edge_doors.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/edge_open.h"
#include "broker/edge_own.h"
#include "broker/edge_zmq.h"
#include "common/check.h"
#include "common/log.h"

#define BACKLOG_MAX 4096
#define SPARES_MAX  64u /* more are left free by pausing in time */
#define PAUSE_LOAD  90u /* per cent of the descriptors */
#define RESUME_LOAD 80u
#define TABLE_MAX   65536u /* descriptors; half a megabyte of the kernel's */

/* The kernel doubles the table of descriptors when one does not fit, and in a
 * process of several threads it waits until no processor looks at the old one:
 * 10 ms at 256, 512, 1,024 ... connections. So it gets its size at once. */
static void lengthen_table(rlim_t limit)
{
    const int last = (int)(limit < TABLE_MAX ? limit : TABLE_MAX) - 1;
    int any = eventfd(0, EFD_CLOEXEC);
    int high = any < 0 ? -1 : fcntl(any, F_DUPFD_CLOEXEC, last);
    if (high >= 0)
        (void)close(high);
    if (any >= 0)
        (void)close(any);
}

void bao_doors_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        lengthen_table(limit.rlim_cur);
}

int bao_doors_backlog(const struct bao_connections *connections)
{
    size_t backlog = connections->slot_count / 20;
    if (backlog < 4)
        backlog = 4;
    return backlog > BACKLOG_MAX ? BACKLOG_MAX : (int)backlog;
}

bool bao_doors_settle(const struct bao_doors *doors,
                      struct bao_connections *connections)
{
    size_t slots = connections->slot_count;
    size_t spares = (size_t)bao_doors_backlog(connections) * doors->count + 4;
    if (spares > slots / 10)
        spares = slots / 10;
    if (spares > SPARES_MAX)
        spares = SPARES_MAX;
    return bao_connections_settle(connections, spares) == BAOZI_OK;
}

void bao_doors_mind_the_load(struct bao_doors *doors,
                             struct bao_connections *connections)
{
    unsigned load = bao_connections_load(connections);
    bool pause = doors->paused ? load >= RESUME_LOAD : load >= PAUSE_LOAD;
    if (pause == doors->paused)
        return;
    doors->paused = pause;
    BAO_LOG(BAO_LOG_WARNING,
            bao_event(pause ? "listeners_paused" : "listeners_resumed"),
            bao_number("descriptors_percent", load),
            bao_number("connections", connections->open_count));
    /* What waits in the kernel's backlog must be taken in, or it would be
     * tried again and again. */
    if (pause)
        bao_connections_give_spares(connections);
    else
        bao_connections_keep_spares(connections);
    for (size_t i = 0; i < doors->count; i++) {
        if (pause)
            bao_listener_pause(&doors->listeners[i]);
        else
            bao_listener_resume(&doors->listeners[i]);
    }
}

void bao_doors_refuse_room(struct bao_problem *problem)
{
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_IO};
    bao_problem_what(problem, "cannot make room for connections");
    bao_problem_why(problem, "memory or descriptors ran out");
    bao_problem_remedy(problem, "raise the limits of this process");
}

bool bao_doors_refuse(struct bao_problem *problem,
                      const char *what,
                      const char *url,
                      bool in_use,
                      const char *why)
{
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_CONFIGURATION};
    bao_problem_what(problem, "cannot listen%s%s", *url ? " on " : "", url);
    bao_problem_why(problem, "%s: %s", what, why);
    bao_problem_remedy(problem,
                       "%s",
                       in_use ? "end the program that listens there, or listen "
                                "somewhere else with --listen"
                              : "mend that, or listen somewhere else with "
                                "--listen");
    return false;
}

void bao_doors_close(struct bao_doors *doors)
{
    for (size_t i = 0; i < doors->count; i++)
        bao_listener_close(&doors->listeners[i]);
}

/* --- edge_open.h --- */

bool bao_edge_open(const struct bao_edge_config *config,
                   struct bao_edge **edge,
                   struct bao_problem *problem)
{
    BAO_ASSERT(config->url_count <= BAO_LISTENERS_MAX);
    switch (config->kind) {
    case BAO_EDGE_OWN: return bao_edge_own_open(config, edge, problem);
    case BAO_EDGE_LIBZMQ: return bao_edge_zmq_open(config, edge, problem);
    }
    return false;
}

void bao_edge_end(struct bao_edge *edge, int linger_ms)
{
    if (edge != NULL)
        edge->operations->end(edge, linger_ms);
}

const char *bao_edge_address(const struct bao_edge *edge, size_t i)
{
    const struct bao_doors *doors = edge->doors;
    BAO_ASSERT(i < doors->count);
    return doors->listeners[i].address;
}

struct bao_connection_counts bao_edge_counts(const struct bao_edge *edge)
{
    return edge->connections->counts;
}

size_t bao_edge_connections(const struct bao_edge *edge)
{
    return edge->connections->open_count;
}
