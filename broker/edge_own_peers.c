/*
 * edge_own_peers.c - connections come and go.
 *
 * A descriptor is closed when CLOSED was told, so its number cannot come back
 * before that. Invariant: slots[d].peer has descriptor d, and a handle of the
 * slot's generation, which grows at each use.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/edge_own_inner.h"
#include "common/check.h"

#define ACCEPTS_MAX     16u    /* a listener and turn */
#define CLOSED_MAX      32u    /* a turn */
#define CLOSED_DELAY_US 10000u /* until a dying process is known as dead */
#define DEAF_US         10000u

struct bao_own_peer *bao_own_find(const struct bao_edge_own *edge,
                                  uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= edge->connections.slot_count)
        return NULL;
    struct bao_own_peer *peer = edge->slots[index].peer;
    return peer != NULL && peer->handle == handle ? peer : NULL;
}

static void forget_descriptor(struct bao_edge_own *edge, int descriptor)
{
    struct bao_connection gone =
        bao_connections_gone(&edge->connections, descriptor);
    if (gone.pidfd >= 0)
        (void)close(gone.pidfd);
    (void)close(descriptor);
}

/* True if it may stay. */
static bool take_in(struct bao_edge_own *edge, int descriptor)
{
    struct epoll_event event = {
        .events = EPOLLIN,
        .data = {.u64 = BAO_OWN_OF_PEER | (uint64_t)(unsigned)descriptor}};
    struct bao_own_slot *slot = &edge->slots[descriptor];
    bao_connections_accepted(&edge->connections, descriptor);
    const struct bao_connection *connection =
        bao_connections_find(&edge->connections, descriptor);
    if (connection->why != NULL || slot->generation == UINT32_MAX)
        return false;
    struct bao_own_peer *peer = bao_pool_take(&edge->peers);
    if (peer == NULL)
        return false;
    if (epoll_ctl(edge->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
        bao_pool_give(&edge->peers, peer);
        return false;
    }
    slot->generation++;
    slot->peer = peer;
    peer->handle =
        (uint64_t)slot->generation << 32 | (uint64_t)(unsigned)descriptor;
    peer->descriptor = descriptor;
    peer->pidfd = -1;
    bao_list_init(&peer->parked);
    bao_own_say(edge, peer, bao_zmtp_greeting());
    return true;
}

void bao_own_accept(struct bao_edge_own *edge, int listener)
{
    for (unsigned i = 0; i < ACCEPTS_MAX; i++) {
        int descriptor =
            accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (descriptor < 0) {
            /* No descriptor, no memory: what waits would wake us for ever. */
            edge->deaf = errno != EAGAIN;
            edge->deaf_until_us = edge->now_us + DEAF_US;
            return;
        }
        if ((size_t)descriptor >= edge->connections.slot_count)
            (void)close(descriptor);
        else if (!take_in(edge, descriptor))
            forget_descriptor(edge, descriptor);
    }
}

void bao_own_dies(struct bao_edge_own *edge,
                  struct bao_own_peer *peer,
                  const char *why)
{
    if (bao_link_is_listed(&peer->closing))
        return;
    (void)epoll_ctl(edge->epoll, EPOLL_CTL_DEL, peer->descriptor, NULL);
    bao_own_unpark(edge, peer);
    struct bao_connection gone =
        bao_connections_gone(&edge->connections, peer->descriptor);
    peer->pidfd = gone.pidfd;
    peer->process_gone = gone.process_gone;
    peer->why = gone.why != NULL ? gone.why : why;
    peer->closed_due_us = edge->now_us;
    if (gone.pidfd < 0) {
        bao_list_push_front(&edge->closing, &peer->closing);
        return;
    }
    peer->closed_due_us += CLOSED_DELAY_US;
    bao_list_push(&edge->closing, &peer->closing);
}

void bao_own_cut(struct bao_edge_own *edge,
                 struct bao_own_peer *peer,
                 const char *why,
                 bool offence)
{
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, peer->descriptor);
    if (connection == NULL || bao_link_is_listed(&peer->closing))
        return;
    if (offence)
        bao_connections_punish(&edge->connections, connection, why);
    else
        bao_connections_cut(&edge->connections, connection, why);
    bao_own_dies(edge, peer, why);
}

void bao_own_remove(struct bao_edge_own *edge, struct bao_own_peer *peer)
{
    struct bao_own_slot *slot = &edge->slots[peer->descriptor];
    BAO_ASSERT(slot->peer == peer);
    BAO_ASSERT(edge->reading != peer);
    if (bao_link_is_listed(&peer->ready))
        bao_list_remove(peer->has_much ? &edge->much : &edge->ready,
                        &peer->ready);
    if (bao_link_is_listed(&peer->closing))
        bao_list_remove(&edge->closing, &peer->closing);
    bao_own_unpark(edge, peer);
    if (peer->arrival != NULL) {
        bao_own_arrival_reset(peer->arrival);
        bao_pool_give(&edge->arrivals, peer->arrival);
    }
    if (peer->pidfd >= 0)
        (void)close(peer->pidfd);
    (void)close(peer->descriptor);
    slot->peer = NULL;
    bao_pool_give(&edge->peers, peer);
}

bool bao_own_next_closed(struct bao_edge_own *edge,
                         struct bao_edge_event *event)
{
    struct bao_link *link = bao_list_first(&edge->closing);
    while (link != NULL && edge->turn_closed < CLOSED_MAX) {
        struct bao_own_peer *peer = BAO_OF(link, struct bao_own_peer, closing);
        bool ended = peer->process_gone ||
                     (peer->pidfd >= 0 && bao_process_ended(peer->pidfd));
        if (!ended && peer->closed_due_us > edge->now_us)
            return false;
        *event = (struct bao_edge_event){.kind = BAO_EDGE_CLOSED,
                                         .peer = peer->handle,
                                         .process_gone = ended,
                                         .why = peer->why};
        const bool opened = peer->opened;
        bao_own_remove(edge, peer);
        edge->turn_closed++;
        if (opened)
            return true;
        link = bao_list_first(&edge->closing);
    }
    return false;
}
