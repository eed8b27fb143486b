/*
 * edge_own.c - the own edge: opening, turning, the end.
 *
 * One epoll descriptor has the listeners, the connections and the pidfds of
 * local peers. The library's edge takes two threads and two wake-ups for a
 * message in, and two for its answer; here the thread that wakes reads,
 * decides and writes.
 */
#include "broker/edge_own.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/edge_own_inner.h"
#include "common/check.h"
#include "common/poison.h"

#define MEMORY_BYTES (UINT64_C(256) << 20) /* reserved, touched as needed */
#define HELLO_MS     4000u
#define EVENTS_MAX   256

/* Const all the way: the operations take a const edge. */
static const struct bao_edge_own *look(const struct bao_edge *edge)
{
    return (const struct bao_edge_own *)(const void *)edge;
}

/* --- the turn --- */

/* Listeners are heard, or not, because accepting failed. */
static void listen_again(struct bao_edge_own *edge, bool hear)
{
    for (size_t i = 0; i < edge->doors.count; i++) {
        struct epoll_event event = {.events = hear ? EPOLLIN : 0,
                                    .data = {.u64 = BAO_OWN_OF_LISTENER | i}};
        (void)epoll_ctl(edge->epoll,
                        EPOLL_CTL_MOD,
                        edge->doors.listeners[i].descriptor,
                        &event);
    }
}

static void take_event(struct bao_edge_own *edge,
                       const struct epoll_event *event)
{
    const uint64_t of = event->data.u64;
    const uint32_t which = (uint32_t)of;
    if ((of & BAO_OWN_OF_LISTENER) != 0) {
        bao_own_accept(edge, edge->doors.listeners[which].descriptor);
        return;
    }
    if ((of & BAO_OWN_OF_PEER) == 0) {
        bao_connections_process_gone(&edge->connections, (int)which);
        return;
    }
    struct bao_own_peer *peer = edge->slots[which].peer;
    if (peer == NULL || bao_link_is_listed(&peer->closing))
        return;
    if ((event->events & EPOLLOUT) != 0)
        bao_own_write_on(edge, peer);
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0 &&
        !bao_link_is_listed(&peer->ready))
        bao_list_push(&edge->ready, &peer->ready);
}

static void edge_turn(struct bao_edge *base, uint64_t now_us)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    struct epoll_event events[EVENTS_MAX];
    edge->now_us = now_us;
    edge->connections.now_us = now_us;
    edge->much_waits = edge->much.count > 0 && !edge->much_read;
    edge->much_read = false;
    edge->turn_bytes = 0;
    edge->turn_closed = 0;
    bao_own_spares_turn(edge);
    bao_guard_explain(edge->guard,
                      BAO_USE_FRAMES,
                      edge->frame_bytes + edge->parked_bytes +
                          edge->spare_bytes);
    if (edge->deaf && now_us >= edge->deaf_until_us) {
        edge->deaf = false;
        listen_again(edge, true);
    }
    const bool deaf = edge->deaf;
    int count = epoll_wait(edge->epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++)
        take_event(edge, &events[i]);
    if (edge->deaf && !deaf)
        listen_again(edge, false);
    bao_doors_mind_the_load(&edge->doors, &edge->connections);
}

static void edge_flush(struct bao_edge *base)
{
    (void)base; /* every message was written when it was sent */
}

static void edge_admit(struct bao_edge *base, uint64_t handle)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    struct bao_own_peer *peer = bao_own_find(edge, handle);
    if (peer == NULL || bao_link_is_listed(&peer->closing))
        return;
    peer->welcomed = true;
    bao_connections_welcome(
        &edge->connections,
        bao_connections_find(&edge->connections, peer->descriptor));
}

static void edge_close(struct bao_edge *base, uint64_t handle, const char *why)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    struct bao_own_peer *peer = bao_own_find(edge, handle);
    if (peer != NULL)
        bao_own_cut(edge, peer, why, false);
}

static void edge_punish(struct bao_edge *base, uint64_t handle, const char *why)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    struct bao_own_peer *peer = bao_own_find(edge, handle);
    if (peer != NULL)
        bao_own_cut(edge, peer, why, true);
}

static size_t edge_backlog(const struct bao_edge *base, uint64_t handle)
{
    const struct bao_own_peer *peer = bao_own_find(look(base), handle);
    return peer == NULL ? 0 : peer->backlog_bytes;
}

static bool edge_ready(struct bao_edge *base)
{
    const struct bao_edge_own *edge = look(base);
    return edge->reading != NULL || edge->ready.count > 0 ||
           edge->much.count > 0 || edge->writable.count > 0 ||
           bao_own_has_spares_due(edge);
}

static int edge_pollfd(const struct bao_edge *base)
{
    return look(base)->epoll;
}

static uint64_t edge_deadline(const struct bao_edge *base)
{
    const struct bao_edge_own *edge = look(base);
    uint64_t due = bao_connections_deadline(&edge->connections);
    struct bao_link *link = bao_list_first(&edge->closing);
    if (link != NULL) {
        uint64_t closed =
            BAO_OF(link, struct bao_own_peer, closing)->closed_due_us;
        due = closed < due ? closed : due;
    }
    if (edge->deaf && edge->deaf_until_us < due)
        due = edge->deaf_until_us;
    if (edge->spare_count > 0 && edge->spares_until_us < due)
        due = edge->spares_until_us;
    return due;
}

/* --- the end --- */

/* What is parked may leave until `linger_ms` are over. */
static void linger(struct bao_edge_own *edge, int linger_ms)
{
    struct epoll_event events[EVENTS_MAX];
    for (int ms = 0; ms < linger_ms && edge->parked_bytes > 0; ms += 10) {
        int count = epoll_wait(edge->epoll, events, EVENTS_MAX, 10);
        for (int i = 0; i < count; i++) {
            if ((events[i].events & EPOLLOUT) != 0)
                take_event(edge, &events[i]);
        }
    }
}

/* Bytes that were not read would end the connection with a reset, which takes
 * away what was sent last. */
static void read_away(struct bao_edge_own *edge, int descriptor)
{
    (void)shutdown(descriptor, SHUT_WR);
    for (unsigned i = 0; i < 16; i++) {
        if (read(descriptor, edge->buffer, BAO_OWN_READ_BYTES) <= 0)
            return;
    }
}

static void close_peers(struct bao_edge_own *edge)
{
    const size_t count = edge->slots == NULL ? 0 : edge->connections.slot_count;
    edge->reading = NULL;
    for (size_t i = 0; i < count && edge->peers.taken > 0; i++) {
        struct bao_own_peer *peer = edge->slots[i].peer;
        if (peer == NULL)
            continue;
        read_away(edge, peer->descriptor);
        bao_own_dies(edge, peer, "the broker ends");
        bao_own_remove(edge, peer);
    }
}

static void edge_end(struct bao_edge *base, int linger_ms)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    if (edge->memory != NULL && edge->out != NULL) {
        bao_own_forget(edge);
        bao_own_arrival_reset(&edge->spare);
        linger(edge, linger_ms);
        close_peers(edge);
        BAO_ASSERT(edge->frames.taken == 0);
        bao_own_spares_end(edge);
    }
    for (size_t i = 0; i < edge->doors.count; i++) {
        if (edge->doors.listeners[i].descriptor >= 0)
            (void)close(edge->doors.listeners[i].descriptor);
    }
    bao_doors_close(&edge->doors);
    bao_connections_close(&edge->connections);
    if (edge->memory != NULL) {
        BAO_UNPOISON(edge->memory, MEMORY_BYTES);
        (void)munmap(edge->memory, MEMORY_BYTES);
    }
    if (edge->epoll >= 0)
        (void)close(edge->epoll);
    free(edge->slots);
    free(edge->buffer);
    free(edge->out);
    free(edge);
}

static const struct bao_edge_operations operations = {
    .turn = edge_turn,
    .next = bao_edge_own_next,
    .send = bao_edge_own_send,
    .flush = edge_flush,
    .admit = edge_admit,
    .close = edge_close,
    .punish = edge_punish,
    .backlog = edge_backlog,
    .ready = edge_ready,
    .pollfd = edge_pollfd,
    .deadline = edge_deadline,
    .end = edge_end,
};

/* --- opening --- */

static bool open_memory(struct bao_edge_own *edge)
{
    void *memory = mmap(NULL,
                        MEMORY_BYTES,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    if (memory == MAP_FAILED)
        return false;
    edge->memory = memory;
    edge->arena = bao_arena_init(memory, MEMORY_BYTES);
    bao_pool_init(&edge->frames, edge->arena, sizeof(struct bao_own_frame));
    bao_pool_init(&edge->peers, edge->arena, sizeof(struct bao_own_peer));
    bao_pool_init(&edge->arrivals, edge->arena, sizeof(struct bao_own_arrival));
    edge->buffer = malloc(BAO_OWN_READ_BYTES);
    edge->out = malloc(bao_own_out_bytes());
    return edge->buffer != NULL && edge->out != NULL;
}

static bool open_tables(struct bao_edge_own *edge,
                        const struct bao_edge_config *config)
{
    const uint64_t hello_ms =
        config->hello_ms != 0 ? config->hello_ms : HELLO_MS;
    bao_doors_raise_limit();
    const struct bao_connections_config connections = {
        .open_max = config->clients_max,
        .open_address_max = config->clients_address_max,
        .hello_us = hello_ms * 1000,
        .strikes_max = config->strikes_max,
        .users = config->users,
        .epoll = edge->epoll,
        .guard = config->guard,
        .arena = edge->arena,
    };
    if (bao_connections_open(&edge->connections, &connections) != BAOZI_OK)
        return false;
    edge->slots = calloc(edge->connections.slot_count, sizeof *edge->slots);
    return edge->slots != NULL;
}

static bool open_listener(struct bao_edge_own *edge,
                          const char *url,
                          struct bao_problem *problem)
{
    const size_t i = edge->doors.count;
    struct bao_listener *listener = &edge->doors.listeners[i];
    struct epoll_event event = {.events = EPOLLIN,
                                .data = {.u64 = BAO_OWN_OF_LISTENER | i}};
    if (!bao_listener_open(listener, url, problem))
        return false;
    edge->doors.count++;
    if (!bao_own_listen(
            listener, bao_doors_backlog(&edge->connections), problem))
        return false;
    if (epoll_ctl(edge->epoll, EPOLL_CTL_ADD, listener->descriptor, &event) ==
        0)
        return true;
    bao_doors_refuse_room(problem);
    return false;
}

bool bao_edge_own_open(const struct bao_edge_config *config,
                       struct bao_edge **edge,
                       struct bao_problem *problem)
{
    struct bao_edge_own *made = calloc(1, sizeof *made);
    bao_doors_refuse_room(problem);
    if (made == NULL)
        return false;
    made->edge = (struct bao_edge){.operations = &operations,
                                   .doors = &made->doors,
                                   .connections = &made->connections};
    made->guard = config->guard;
    made->frame_bytes_max =
        config->frame_bytes_max != 0
            ? config->frame_bytes_max
            : BAO_ITEM_BYTES_MAX + BAO_ITEM_HEADER_BYTES_MAX;
    bao_list_init(&made->ready);
    bao_list_init(&made->much);
    bao_list_init(&made->writable);
    bao_list_init(&made->closing);
    made->epoll = epoll_create1(EPOLL_CLOEXEC);
    bool good =
        made->epoll >= 0 && open_memory(made) && open_tables(made, config);
    for (size_t i = 0; good && i < config->url_count; i++)
        good = open_listener(made, config->urls[i], problem);
    if (good && bao_doors_settle(&made->doors, &made->connections)) {
        *edge = &made->edge;
        return true;
    }
    if (good)
        bao_doors_refuse_room(problem);
    edge_end(&made->edge, 0);
    return false;
}
