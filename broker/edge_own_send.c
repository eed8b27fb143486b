/*
 * edge_own_send.c - messages go out, or wait for room in their socket.
 *
 * A message is gathered once and written at once: the gateway has merged a
 * turn's answers into one. What the socket does not take is parked, whole or
 * in part, and nothing overtakes it.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "broker/edge_own_inner.h"
#include "common/check.h"
#include "common/limits.h"

#define PIECES_MAX  (1 + 2 * (BAO_PARTS_MAX - 2)) /* small; a head and a big */
#define HEADS_BYTES (BAO_PARTS_MAX * BAO_ZMTP_HEAD_BYTES_MAX)

/* Bytes that wait: behind this, or of a frame that is held. */
struct parked {
    struct bao_link link;
    struct bao_frame *frame;
    size_t bytes;
    size_t written;
};

size_t bao_own_out_bytes(void)
{
    return HEADS_BYTES + BAO_HEADER_BYTES_MAX + BAO_BODIES_BYTES_MAX;
}

/* A message as pieces to write. */
struct outgoing {
    struct iovec pieces[PIECES_MAX];
    struct bao_frame *frames[PIECES_MAX]; /* whose bytes a piece is, or NULL */
    int count;
    size_t bytes;
};

static void
add(struct outgoing *out, struct bao_frame *frame, void *data, size_t bytes)
{
    out->pieces[out->count] = (struct iovec){data, bytes};
    out->frames[out->count++] = frame;
    out->bytes += bytes;
}

/* --- parking --- */

static void watch(const struct bao_edge_own *edge,
                  const struct bao_own_peer *peer,
                  uint32_t events)
{
    struct epoll_event event = {
        .events = events,
        .data = {.u64 =
                     BAO_OWN_OF_PEER | (uint64_t)(unsigned)peer->descriptor}};
    (void)epoll_ctl(edge->epoll, EPOLL_CTL_MOD, peer->descriptor, &event);
}

static void parked_free(struct bao_edge_own *edge,
                        struct bao_own_peer *peer,
                        struct parked *parked)
{
    const size_t left = parked->bytes - parked->written;
    peer->backlog_bytes -= left;
    edge->parked_bytes -= left;
    bao_list_remove(&peer->parked, &parked->link);
    bao_frame_release(parked->frame);
    bao_arena_give(edge->arena, parked);
}

void bao_own_unpark(struct bao_edge_own *edge, struct bao_own_peer *peer)
{
    struct bao_link *link;
    while ((link = bao_list_first(&peer->parked)) != NULL)
        parked_free(edge, peer, BAO_OF(link, struct parked, link));
    BAO_ASSERT(peer->backlog_bytes == 0);
    if (bao_link_is_listed(&peer->writable))
        bao_list_remove(&edge->writable, &peer->writable);
}

/* Keeps one piece from `from` on; false if memory ran out. */
static bool park_piece(struct bao_edge_own *edge,
                       struct bao_own_peer *peer,
                       const struct outgoing *out,
                       int i,
                       size_t from)
{
    const struct iovec *piece = &out->pieces[i];
    struct bao_frame *frame = out->frames[i];
    const size_t left = piece->iov_len - from;
    struct parked *parked = bao_arena_take(
        edge->arena, sizeof *parked + (frame == NULL ? left : 0));
    if (parked == NULL)
        return false;
    *parked = (struct parked){.bytes = left};
    if (frame != NULL) {
        parked->frame = bao_frame_hold(frame);
        parked->bytes = piece->iov_len;
        parked->written = from;
    } else if (left > 0) {
        memcpy(parked + 1, (const uint8_t *)piece->iov_base + from, left);
    }
    bao_list_push(&peer->parked, &parked->link);
    peer->backlog_bytes += left;
    edge->parked_bytes += left;
    return true;
}

/* Keeps what is behind the first `written` bytes. */
static bool park(struct bao_edge_own *edge,
                 struct bao_own_peer *peer,
                 const struct outgoing *out,
                 size_t written)
{
    const bool first = peer->parked.count == 0;
    for (int i = 0; i < out->count; i++) {
        const size_t bytes = out->pieces[i].iov_len;
        const size_t from = written < bytes ? written : bytes;
        written -= from;
        if (from < bytes && !park_piece(edge, peer, out, i, from))
            return false;
    }
    if (bao_link_is_listed(&peer->writable))
        bao_list_remove(&edge->writable, &peer->writable);
    if (first)
        watch(edge, peer, EPOLLIN | EPOLLOUT);
    return true;
}

/* --- writing --- */

/* How much the socket took; -1: the connection is broken. */
static ssize_t
write_some(int descriptor, const struct iovec *pieces, size_t count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = count};
    ssize_t written;
    do {
        written = sendmsg(descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (written < 0 && errno == EINTR);
    if (written >= 0)
        return written;
    return errno == EAGAIN || errno == ENOBUFS ? 0 : -1;
}

static enum bao_sent send_all(struct bao_edge_own *edge,
                              struct bao_own_peer *peer,
                              const struct outgoing *out)
{
    ssize_t written = 0;
    if (peer->parked.count == 0)
        written = write_some(peer->descriptor, out->pieces, (size_t)out->count);
    if (written < 0)
        return BAO_GONE; /* what it sent is still read; then CLOSED */
    if ((size_t)written == out->bytes)
        return BAO_SENT;
    if (park(edge, peer, out, (size_t)written))
        return BAO_PARKED;
    bao_own_cut(edge, peer, "no memory for its messages", false);
    return BAO_GONE;
}

static uint8_t *put_head(uint8_t *to, size_t bytes, bool more)
{
    return to + bao_zmtp_head_write(to, bytes, more);
}

static uint8_t *put_bytes(uint8_t *to, struct bao_span bytes)
{
    if (bytes.bytes > 0)
        memcpy(to, bytes.data, bytes.bytes);
    return to + bytes.bytes;
}

/* Header and bodies are gathered; big frames are written where they are. */
static void gather(struct bao_edge_own *edge,
                   const struct bao_outgoing *message,
                   struct outgoing *out)
{
    const bool bodies = message->body_count > 0 || message->big_count > 0;
    uint8_t *to = edge->out;
    size_t bytes = 0;
    BAO_ASSERT(message->big_count <= BAO_PARTS_MAX - 2);
    to = put_head(to, message->header.bytes, bodies);
    to = put_bytes(to, message->header);
    if (bodies) {
        for (size_t i = 0; i < message->body_count; i++)
            bytes += message->bodies[i].bytes.bytes;
        BAO_ASSERT(bytes <= BAO_BODIES_BYTES_MAX);
        to = put_head(to, bytes, message->big_count > 0);
        for (size_t i = 0; i < message->body_count; i++)
            to = put_bytes(to, message->bodies[i].bytes);
    }
    *out = (struct outgoing){.count = 0};
    add(out, NULL, edge->out, (size_t)(to - edge->out));
    for (size_t i = 0; i < message->big_count; i++) {
        const struct bao_piece *big = &message->big[i];
        uint8_t *head = to;
        to = put_head(to, big->bytes.bytes, i + 1 < message->big_count);
        add(out, NULL, head, (size_t)(to - head));
        add(out,
            big->frame,
            (void *)(uintptr_t)big->bytes.data,
            big->bytes.bytes);
    }
}

enum bao_sent bao_edge_own_send(struct bao_edge *base,
                                uint64_t handle,
                                const struct bao_outgoing *message)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    struct bao_own_peer *peer = bao_own_find(edge, handle);
    struct outgoing out;
    if (peer == NULL || bao_link_is_listed(&peer->closing))
        return BAO_GONE;
    gather(edge, message, &out);
    return send_all(edge, peer, &out);
}

void bao_own_say(struct bao_edge_own *edge,
                 struct bao_own_peer *peer,
                 struct bao_span bytes)
{
    struct outgoing out = {.count = 0};
    add(&out, NULL, (void *)(uintptr_t)bytes.data, bytes.bytes);
    (void)send_all(edge, peer, &out);
}

void bao_own_write_on(struct bao_edge_own *edge, struct bao_own_peer *peer)
{
    struct bao_link *link;
    if (bao_link_is_listed(&peer->closing))
        return;
    while ((link = bao_list_first(&peer->parked)) != NULL) {
        struct parked *parked = BAO_OF(link, struct parked, link);
        const uint8_t *data = parked->frame != NULL
                                  ? parked->frame->bytes.data
                                  : (const uint8_t *)(parked + 1);
        const struct iovec piece = {(void *)(uintptr_t)(data + parked->written),
                                    parked->bytes - parked->written};
        ssize_t written = write_some(peer->descriptor, &piece, 1);
        if (written <= 0)
            return; /* a broken one shows when it is read */
        peer->backlog_bytes -= (size_t)written;
        edge->parked_bytes -= (size_t)written;
        parked->written += (size_t)written;
        if (parked->written < parked->bytes)
            return;
        parked_free(edge, peer, parked);
    }
    watch(edge, peer, EPOLLIN);
    if (!bao_link_is_listed(&peer->writable))
        bao_list_push(&edge->writable, &peer->writable);
}
