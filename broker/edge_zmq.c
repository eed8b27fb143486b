/*
 * edge_zmq.c - the edge over ZeroMQ: one ROUTER socket, one monitor.
 *
 * What bites here, and what is done about it, is listed as Z1..Z27 in
 * broker/DESIGN.md.
 */
#include "broker/edge_zmq.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/edge_zmq_inner.h"
#include "common/check.h"
#include "common/poison.h"
#include "common/random.h"

#define MEMORY_BYTES (UINT64_C(256) << 20) /* reserved, touched as needed */
#define HELLO_MS     4000u                 /* 2 s for ZMTP, 2 s for HELLO */
#define HANDSHAKE_MS 2000
#define MESSAGES_MAX 64u
#define SOCKET_BYTES (256 * 1024) /* the kernel's, a peer and direction */
#define RETRY_US     10000u       /* of parked messages */
#define OF_ROUTER    UINT64_MAX   /* epoll data; else a connection's */
#define OF_MONITOR   (UINT64_MAX - 1)
#define MONITOR      "inproc://baozi-monitor"

/* Const all the way: the operations take a const edge. */
static const struct bao_edge_zmq *look(const struct bao_edge *edge)
{
    return (const struct bao_edge_zmq *)(const void *)edge;
}

/* --- the turn --- */

static void edge_turn(struct bao_edge *base, uint64_t now_us)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    struct epoll_event events[64];
    edge->now_us = now_us;
    edge->connections.now_us = now_us;
    bao_guard_explain(edge->guard, BAO_USE_FRAMES, edge->frame_bytes);
    int count = epoll_wait(edge->epoll, events, 64, 0);
    /* The monitor was read empty before, so it tells when it has more. */
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == OF_MONITOR)
            bao_edge_zmq_monitor(edge);
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 < OF_MONITOR)
            bao_connections_process_gone(&edge->connections,
                                         (int)events[i].data.u64);
    }
    bao_doors_mind_the_load(&edge->doors, &edge->connections);
}

static void edge_admit(struct bao_edge *base, uint64_t handle)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    const struct bao_zmq_peer *peer =
        bao_zmq_peers_by_handle(&edge->peers, handle);
    if (peer == NULL)
        return;
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, peer->descriptor);
    if (connection != NULL)
        bao_connections_welcome(&edge->connections, connection);
}

static size_t edge_backlog(const struct bao_edge *base, uint64_t handle)
{
    const struct bao_zmq_peer *peer =
        bao_zmq_peers_by_handle(&look(base)->peers, handle);
    return peer == NULL ? 0 : peer->backlog_bytes;
}

static bool readable(void *socket)
{
    int events = 0;
    size_t bytes = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &bytes) == 0 &&
           (events & ZMQ_POLLIN) != 0;
}

static bool edge_ready(struct bao_edge *base)
{
    struct bao_edge_zmq *edge = bao_edge_zmq_of(base);
    return edge->held_back != 0 || edge->writable.count > 0 ||
           readable(edge->router);
}

static int edge_pollfd(const struct bao_edge *base)
{
    return look(base)->epoll;
}

static uint64_t edge_deadline(const struct bao_edge *base)
{
    const struct bao_edge_zmq *edge = look(base);
    uint64_t due = bao_connections_deadline(&edge->connections);
    struct bao_link *link = bao_list_first(&edge->closing);
    if (link != NULL) {
        uint64_t closed =
            BAO_OF(link, struct bao_zmq_peer, closing)->closed_due_us;
        due = closed < due ? closed : due;
    }
    if (edge->parked.count > 0 && edge->now_us + RETRY_US < due)
        due = edge->now_us + RETRY_US;
    return due;
}

/* --- the end --- */

static bool set_number(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static void close_peers(struct bao_edge_zmq *edge)
{
    for (;;) {
        struct bao_table_node *node = bao_table_any(&edge->peers.table);
        if (node == NULL)
            break;
        struct bao_zmq_peer *peer = BAO_OF(node, struct bao_zmq_peer, node);
        bao_edge_zmq_unpark(edge, peer);
        if (bao_link_is_listed(&peer->closing))
            bao_list_remove(&edge->closing, &peer->closing);
        if (peer->pidfd >= 0)
            (void)close(peer->pidfd);
        bao_zmq_peers_remove(&edge->peers, peer);
    }
    bao_zmq_peers_close(&edge->peers);
}

static void edge_end(struct bao_edge *edge, int linger_ms)
{
    struct bao_edge_zmq *own = bao_edge_zmq_of(edge);
    if (own->memory != NULL) {
        bao_edge_zmq_forget(own);
        close_peers(own);
        BAO_ASSERT(own->frames.taken == 0);
    }
    if (own->router != NULL) {
        (void)zmq_socket_monitor(own->router, NULL, 0);
        (void)set_number(own->router, ZMQ_LINGER, linger_ms);
        (void)zmq_close(own->router);
    }
    if (own->monitor != NULL)
        (void)zmq_close(own->monitor);
    while (own->context != NULL && zmq_ctx_term(own->context) != 0 &&
           errno == EINTR)
        continue;
    bao_doors_close(&own->doors);
    bao_connections_close(&own->connections);
    if (own->memory != NULL) {
        BAO_UNPOISON(own->memory, MEMORY_BYTES);
        (void)munmap(own->memory, MEMORY_BYTES);
    }
    if (own->epoll >= 0)
        (void)close(own->epoll);
    free(own);
}

static const struct bao_edge_operations operations = {
    .turn = edge_turn,
    .next = bao_edge_zmq_next,
    .send = bao_edge_zmq_send,
    .flush = bao_edge_zmq_flush,
    .admit = edge_admit,
    .close = bao_edge_zmq_cut,
    .punish = bao_edge_zmq_punish,
    .backlog = edge_backlog,
    .ready = edge_ready,
    .pollfd = edge_pollfd,
    .deadline = edge_deadline,
    .end = edge_end,
};

/* --- opening --- */

static bool
refuse_zmq(struct bao_problem *problem, const char *what, const char *url)
{
    int error = zmq_errno();
    return bao_doors_refuse(
        problem, what, url, error == EADDRINUSE, zmq_strerror(error));
}

static bool set_options(struct bao_edge_zmq *edge,
                        const struct bao_edge_config *config)
{
    void *router = edge->router;
    int messages =
        (int)(config->messages_max != 0 ? config->messages_max : MESSAGES_MAX);
    int64_t bytes_max = (int64_t)config->frame_bytes_max;
    if (bytes_max == 0)
        bytes_max = BAO_ITEM_BYTES_MAX + BAO_ITEM_HEADER_BYTES_MAX;
    return set_number(router, ZMQ_ROUTER_HANDOVER, 0) &&
           set_number(router, ZMQ_ROUTER_MANDATORY, 1) &&
           set_number(router, ZMQ_SNDTIMEO, 0) &&
           set_number(router, ZMQ_RCVTIMEO, 0) &&
           set_number(router, ZMQ_LINGER, 0) &&
           set_number(router, ZMQ_RCVHWM, messages) &&
           set_number(router, ZMQ_SNDHWM, messages) &&
           set_number(router, ZMQ_RCVBUF, SOCKET_BYTES) &&
           set_number(router, ZMQ_SNDBUF, SOCKET_BYTES) &&
           set_number(router, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
           set_number(
               router, ZMQ_BACKLOG, bao_doors_backlog(&edge->connections)) &&
           set_number(router, ZMQ_TCP_KEEPALIVE, 1) &&
           set_number(router, ZMQ_TCP_KEEPALIVE_IDLE, 60) &&
           set_number(router, ZMQ_TCP_KEEPALIVE_INTVL, 10) &&
           set_number(router, ZMQ_TCP_KEEPALIVE_CNT, 6) &&
           zmq_setsockopt(
               router, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0;
}

/* Lets epoll wake us for one of the two sockets. */
static bool watch(const struct bao_edge_zmq *edge, void *socket, uint64_t of)
{
    int descriptor;
    size_t bytes = sizeof descriptor;
    struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = of}};
    return zmq_getsockopt(socket, ZMQ_FD, &descriptor, &bytes) == 0 &&
           epoll_ctl(edge->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

/* Before the first socket: then the I/O thread begins. */
static bool place_thread(void *context, const struct bao_edge_config *config)
{
    for (unsigned cpu = 0; cpu < BAO_CPUS_MAX; cpu++) {
        if (bao_cpus_has(&config->io_cpus, cpu) &&
            zmq_ctx_set(context, ZMQ_THREAD_AFFINITY_CPU_ADD, (int)cpu) != 0)
            return false;
    }
    return true;
}

static bool open_sockets(struct bao_edge_zmq *edge,
                         const struct bao_edge_config *config)
{
    int events =
        ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED;
    /* Routing ids count up from rand(); unseeded, anybody could know the next
     * one and end the broker with it [Z7]. */
    srand((unsigned)bao_random_number());
    edge->context = zmq_ctx_new();
    if (edge->context == NULL || !place_thread(edge->context, config))
        return false;
    edge->router = zmq_socket(edge->context, ZMQ_ROUTER);
    if (edge->router == NULL || !set_options(edge, config) ||
        zmq_socket_monitor(edge->router, MONITOR, events) != 0)
        return false;
    edge->monitor = zmq_socket(edge->context, ZMQ_PAIR);
    return edge->monitor != NULL && set_number(edge->monitor, ZMQ_RCVHWM, 0) &&
           set_number(edge->monitor, ZMQ_LINGER, 0) &&
           zmq_connect(edge->monitor, MONITOR) == 0 &&
           watch(edge, edge->router, OF_ROUTER) &&
           watch(edge, edge->monitor, OF_MONITOR);
}

static bool open_listener(struct bao_edge_zmq *edge,
                          const char *url,
                          struct bao_problem *problem)
{
    struct bao_listener *listener = &edge->doors.listeners[edge->doors.count];
    size_t bytes = sizeof listener->address;
    if (!bao_listener_open(listener, url, problem))
        return false;
    edge->doors.count++;
    /* Only where it is asked for: an IPv4 address would be shown mapped. */
    if (!set_number(edge->router, ZMQ_IPV6, strchr(url, '[') != NULL))
        return refuse_zmq(problem, "IPv6", url);
    /* The socket file gets its rights from the mask: owner and group. */
    mode_t mask = umask(007);
    int answer = zmq_bind(edge->router, url);
    (void)umask(mask);
    if (answer != 0)
        return refuse_zmq(problem, "bind", url);
    listener->bound = true;
    if (zmq_getsockopt(
            edge->router, ZMQ_LAST_ENDPOINT, listener->address, &bytes) != 0)
        return refuse_zmq(problem, "asking for the address", url);
    listener->descriptor = bao_edge_zmq_listening(edge);
    return true;
}

static bool open_memory(struct bao_edge_zmq *edge)
{
    edge->memory = mmap(NULL,
                        MEMORY_BYTES,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    if (edge->memory == MAP_FAILED) {
        edge->memory = NULL;
        return false;
    }
    edge->arena = bao_arena_init(edge->memory, MEMORY_BYTES);
    bao_pool_init(&edge->frames, edge->arena, sizeof(struct bao_zmq_frame));
    return bao_zmq_peers_open(&edge->peers, edge->arena);
}

static struct bao_edge_zmq *make(const struct bao_edge_config *config)
{
    struct bao_edge_zmq *edge = calloc(1, sizeof *edge);
    uint64_t hello_ms = config->hello_ms != 0 ? config->hello_ms : HELLO_MS;
    if (edge == NULL)
        return NULL;
    edge->edge = (struct bao_edge){.operations = &operations,
                                   .doors = &edge->doors,
                                   .connections = &edge->connections};
    edge->guard = config->guard;
    bao_list_init(&edge->closing);
    bao_list_init(&edge->parked);
    bao_list_init(&edge->writable);
    edge->epoll = epoll_create1(EPOLL_CLOEXEC);
    bao_doors_raise_limit();
    struct bao_connections_config connections = {
        .open_max = config->clients_max,
        .open_address_max = config->clients_address_max,
        .hello_us = hello_ms * 1000,
        .strikes_max = config->strikes_max,
        .users = config->users,
        .epoll = edge->epoll,
        .guard = config->guard,
    };
    bool good = edge->epoll >= 0 && open_memory(edge);
    connections.arena = edge->arena;
    if (!good ||
        bao_connections_open(&edge->connections, &connections) != BAOZI_OK) {
        edge_end(&edge->edge, 0);
        return NULL;
    }
    return edge;
}

bool bao_edge_zmq_open(const struct bao_edge_config *config,
                       struct bao_edge **edge,
                       struct bao_problem *problem)
{
    struct bao_edge_zmq *made = make(config);
    if (made == NULL) {
        bao_doors_refuse_room(problem);
        return false;
    }
    bool good = open_sockets(made, config);
    if (!good)
        (void)refuse_zmq(problem, "making the sockets", "");
    for (size_t i = 0; good && i < config->url_count; i++)
        good = open_listener(made, config->urls[i], problem);
    if (good && !bao_doors_settle(&made->doors, &made->connections)) {
        bao_doors_refuse_room(problem);
        good = false;
    }
    if (!good) {
        edge_end(&made->edge, 0);
        return false;
    }
    *edge = &made->edge;
    return true;
}
