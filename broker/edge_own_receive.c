/*
 * edge_own_receive.c - bytes become messages.
 *
 * A peer is read as far as the buffer goes, and all its messages are told
 * before the next peer is read. Level-triggered: what was left in the socket
 * is reported again. Who sent more than one read takes waits with others of
 * its kind, behind all that have little to say, and a turn reads so many bytes
 * of theirs and no more, whether they are whole messages or not. If no turn
 * came to them one of them is the first of the next.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "broker/edge_own_inner.h"
#include "common/check.h"
#include "common/limits.h"

#define SURPLUS_MAX    1000u /* parts beyond those that are kept */
#define SURPLUS_BYTES  (UINT64_C(1) << 20)  /* of these */
#define GREETING_BYTES (UINT64_C(64) << 10) /* of a message, before HELLO */
#define DIRECT_BYTES   ((size_t)16 << 10)   /* read where they belong */
#define STEP_BYTES     ((size_t)128 << 10)  /* of a long frame, at once */
#define TURN_BYTES     (UINT64_C(128) << 10)
#define BEHIND_BYTES   ((size_t)16 << 10) /* read beyond a long frame */
#define LENT_PARTS     2u                 /* header and bodies */

enum taken {
    TAKEN_MESSAGE,
    TAKEN_ALL, /* the buffer is empty */
    TAKEN_BAD  /* edge->why: the peer must go */
};

static struct bao_own_arrival *arrival_of(struct bao_edge_own *edge,
                                          const struct bao_own_peer *peer)
{
    return peer->arrival != NULL ? peer->arrival : &edge->spare;
}

static enum taken
refuse(struct bao_edge_own *edge, const char *why, bool offence)
{
    edge->why = why;
    edge->offence = offence;
    return TAKEN_BAD;
}

/* What a frame takes on the wire. */
static uint64_t wire_bytes(uint64_t bytes)
{
    return bytes + (bytes > UINT8_MAX ? 9 : 2);
}

/* --- reading --- */

/* The bytes that a long frame still waits for are read where they belong: how
 * many of them this time; 0 if it is not worth it. Its room doubles. */
static size_t direct_room(struct bao_own_arrival *arrival)
{
    struct bao_own_frame *partial = arrival->partial;
    if (!arrival->in_frame || partial == NULL || arrival->left < DIRECT_BYTES)
        return 0;
    const size_t have = partial->frame.bytes.bytes;
    size_t room = have > STEP_BYTES ? have : STEP_BYTES;
    if (partial->own != NULL && partial->capacity - have >= DIRECT_BYTES)
        room = partial->capacity - have;
    if (room > arrival->left)
        room = (size_t)arrival->left;
    if (!bao_own_frame_room(partial, room))
        return 0;
    return room < STEP_BYTES ? room : STEP_BYTES;
}

/* Fills the buffer from the peer's socket; false if nothing came. */
static bool fill(struct bao_edge_own *edge, struct bao_own_peer *peer)
{
    struct bao_own_arrival *arrival = arrival_of(edge, peer);
    const size_t direct = direct_room(arrival);
    struct bao_own_frame *partial = arrival->partial;
    struct iovec to[2] = {
        {.iov_base = edge->buffer, .iov_len = BAO_OWN_READ_BYTES}};
    int count = 1;
    ssize_t got;
    if (direct > 0) {
        to[1] = to[0];
        to[0].iov_base = partial->own + partial->frame.bytes.bytes;
        to[0].iov_len = direct;
        to[1].iov_len = BEHIND_BYTES;
        count = 2;
    }
    do {
        got = count == 1 ? read(peer->descriptor, edge->buffer, to[0].iov_len)
                         : readv(peer->descriptor, to, count);
    } while (got < 0 && errno == EINTR);
    edge->at = 0;
    edge->end = 0;
    edge->filled = false;
    edge->turn_bytes += got > 0 ? (uint64_t)got : 0;
    if (got < 0 && (errno == EAGAIN))
        return false;
    if (got <= 0) {
        bao_own_dies(edge, peer, "connection closed");
        return false;
    }
    size_t bytes = (size_t)got;
    size_t there = bytes < direct ? bytes : direct;
    if (there > 0) {
        partial->frame.bytes.bytes += there;
        arrival->left -= there;
    }
    edge->end = bytes - there;
    edge->filled =
        bytes == (count == 1 ? to[0].iov_len : direct + BEHIND_BYTES);
    return true;
}

/* --- the handshake --- */

/* True once the whole greeting is there and good. */
static enum taken take_greeting(struct bao_edge_own *edge,
                                struct bao_own_arrival *arrival)
{
    while (edge->at < edge->end &&
           arrival->head_count < BAO_ZMTP_GREETING_BYTES)
        arrival->head_bytes[arrival->head_count++] = edge->buffer[edge->at++];
    const char *why = bao_zmtp_check_greeting(
        bao_span_of(arrival->head_bytes, arrival->head_count));
    if (why != NULL)
        return refuse(edge, why, false);
    if (arrival->head_count < BAO_ZMTP_GREETING_BYTES)
        return TAKEN_ALL;
    arrival->head_count = 0;
    return TAKEN_MESSAGE;
}

/* --- frames --- */

/* Reads the head of the next frame. */
static enum taken take_head(struct bao_edge_own *edge,
                            struct bao_own_arrival *arrival)
{
    size_t used = 0;
    if (arrival->head_count == 0) {
        used = bao_zmtp_head_read(
            bao_span_of(edge->buffer + edge->at, edge->end - edge->at),
            &arrival->head);
        edge->at += used;
    }
    while (used == 0 && edge->at < edge->end) {
        arrival->head_bytes[arrival->head_count++] = edge->buffer[edge->at++];
        used = bao_zmtp_head_read(
            bao_span_of(arrival->head_bytes, arrival->head_count),
            &arrival->head);
    }
    if (used == 0)
        return TAKEN_ALL;
    arrival->head_count = 0;
    if (arrival->head.bad)
        return refuse(edge, "its frames are not ZMTP", true);
    return TAKEN_MESSAGE;
}

/* What of this frame may come at all. */
static enum taken check_frame(struct bao_edge_own *edge,
                              const struct bao_own_peer *peer,
                              const struct bao_own_arrival *arrival)
{
    const struct bao_zmtp_head *head = &arrival->head;
    if (head->command && head->bytes > BAO_ZMTP_COMMAND_BYTES_MAX)
        return refuse(edge, "it sent a command that is too long", true);
    if (head->bytes > edge->frame_bytes_max)
        return refuse(edge, "it sent a frame that is too long", true);
    if (peer->state == BAO_OWN_SAYS_READY && !head->command)
        return refuse(edge, "it does not say READY", false);
    if (arrival->surplus_bytes + head->bytes > SURPLUS_BYTES &&
        arrival->part_count == BAO_PARTS_MAX && !head->command)
        return refuse(edge, "a message of endless parts", true);
    if (!peer->welcomed && arrival->wire_bytes + head->bytes > GREETING_BYTES)
        return refuse(edge, "it sent too much before HELLO", true);
    return TAKEN_MESSAGE;
}

/* Begins to take a frame: where it lies, in memory of its own, or not. A big
 * frame never lies in the buffer: replies that wait point to its bytes. */
static bool begin_frame(struct bao_edge_own *edge,
                        struct bao_own_arrival *arrival)
{
    const struct bao_zmtp_head *head = &arrival->head;
    arrival->in_frame = true;
    arrival->left = head->bytes;
    arrival->partial = NULL;
    if (!head->command && arrival->part_count == BAO_PARTS_MAX) {
        arrival->malformed = "too many parts";
        arrival->surplus_bytes += head->bytes;
        return true; /* it is passed over */
    }
    if (head->bytes > edge->end - edge->at ||
        arrival->part_count >= LENT_PARTS) {
        arrival->partial = bao_own_frame_new(edge);
        if (arrival->partial != NULL && head->bytes >= BAO_OWN_SPARE_BYTES)
            bao_own_frame_reuse(arrival->partial, head->bytes);
        return arrival->partial != NULL;
    }
    arrival->partial = bao_own_frame_lent(edge, (size_t)head->bytes);
    edge->at += (size_t)head->bytes;
    arrival->left = 0;
    return arrival->partial != NULL;
}

/* Takes what has come of the frame; false if memory ran out. */
static bool take_bytes(struct bao_edge_own *edge,
                       struct bao_own_arrival *arrival)
{
    struct bao_own_frame *partial = arrival->partial;
    size_t count = edge->end - edge->at;
    if (count > arrival->left)
        count = (size_t)arrival->left;
    if (partial != NULL && count > 0) {
        if (!bao_own_frame_room(partial, count))
            return false;
        memcpy(partial->own + partial->frame.bytes.bytes,
               edge->buffer + edge->at,
               count);
        partial->frame.bytes.bytes += count;
    }
    edge->at += count;
    arrival->left -= count;
    return true;
}

static enum taken take_command(struct bao_edge_own *edge,
                               struct bao_own_peer *peer,
                               struct bao_own_arrival *arrival)
{
    BAO_ASSERT(arrival->partial != NULL); /* no command is passed over */
    const struct bao_span command = arrival->partial->frame.bytes;
    enum taken taken = TAKEN_MESSAGE;
    uint8_t pong[BAO_ZMTP_PONG_BYTES_MAX];
    if (peer->state == BAO_OWN_SAYS_READY) {
        struct bao_zmtp_socket socket;
        const char *why = bao_zmtp_check_ready(command, &socket);
        if (why == NULL && socket.is_named)
            why = "it chose its own routing id";
        if (why != NULL)
            taken = refuse(edge, why, socket.is_named);
        peer->state = BAO_OWN_TALKS;
    } else {
        size_t bytes = bao_zmtp_pong(command, pong);
        if (bytes > 0)
            bao_own_say(edge, peer, bao_span_of(pong, bytes));
    }
    bao_guard_consumed(
        edge->guard, peer->descriptor, wire_bytes(command.bytes));
    bao_frame_release(&arrival->partial->frame);
    arrival->partial = NULL;
    return taken;
}

/* A whole part of a message; MESSAGE: it was the last. */
static enum taken end_part(struct bao_edge_own *edge,
                           struct bao_own_arrival *arrival)
{
    arrival->wire_bytes += wire_bytes(arrival->head.bytes);
    if (arrival->partial != NULL)
        arrival->parts[arrival->part_count++] = arrival->partial;
    else if (++arrival->surplus_count == SURPLUS_MAX)
        return refuse(edge, "a message of endless parts", true);
    arrival->partial = NULL;
    return arrival->head.more ? TAKEN_ALL : TAKEN_MESSAGE;
}

/* Takes one frame as far as it is there: ALL if it is not whole. */
static enum taken take_frame(struct bao_edge_own *edge,
                             struct bao_own_peer *peer,
                             struct bao_own_arrival *arrival)
{
    if (!arrival->in_frame) {
        enum taken taken = take_head(edge, arrival);
        if (taken == TAKEN_MESSAGE)
            taken = check_frame(edge, peer, arrival);
        if (taken != TAKEN_MESSAGE)
            return taken;
        if (!begin_frame(edge, arrival))
            return refuse(edge, "no memory for its frames", false);
    }
    if (!take_bytes(edge, arrival))
        return refuse(edge, "no memory for its frames", false);
    if (arrival->left > 0)
        return TAKEN_ALL;
    arrival->in_frame = false;
    return TAKEN_MESSAGE;
}

/* The next whole message of the peer being read. */
static enum taken take_message(struct bao_edge_own *edge,
                               struct bao_own_peer *peer,
                               struct bao_own_arrival *arrival)
{
    if (peer->state == BAO_OWN_GREETS) {
        enum taken taken = take_greeting(edge, arrival);
        if (taken != TAKEN_MESSAGE)
            return taken;
        peer->state = BAO_OWN_SAYS_READY;
        bao_own_say(edge, peer, bao_zmtp_ready_of_router());
        bao_guard_consumed(
            edge->guard, peer->descriptor, BAO_ZMTP_GREETING_BYTES);
    }
    for (;;) {
        enum taken taken = take_frame(edge, peer, arrival);
        if (taken != TAKEN_MESSAGE)
            return taken;
        if (arrival->head.command) {
            taken = take_command(edge, peer, arrival);
            if (taken != TAKEN_MESSAGE)
                return taken;
            continue;
        }
        taken = end_part(edge, arrival);
        if (taken != TAKEN_ALL)
            return taken;
    }
}

/* --- telling --- */

/* Bytes that somebody holds beyond the event are theirs alone. */
static void let_go(struct bao_own_frame *frame)
{
    if (frame->frame.references > 1) {
        bool kept = bao_own_frame_keep(frame);
        BAO_ASSERT(kept); /* as the library would: it cannot be given back */
    }
}

void bao_own_forget(struct bao_edge_own *edge)
{
    if (edge->lent == NULL)
        return;
    for (uint32_t i = 0; i < edge->lent->part_count; i++)
        let_go(edge->lent->parts[i]);
    bao_own_arrival_reset(edge->lent);
    edge->lent = NULL;
    edge->held_back = false;
}

static void tell_opened(struct bao_edge_own *edge,
                        struct bao_own_peer *peer,
                        struct bao_edge_event *event)
{
    struct bao_connection *connection =
        bao_connections_find(&edge->connections, peer->descriptor);
    BAO_ASSERT(connection != NULL);
    connection->peer = peer->handle;
    *event = (struct bao_edge_event){.kind = BAO_EDGE_OPENED,
                                     .peer = peer->handle,
                                     .local = connection->local,
                                     .pid = connection->pid};
    peer->opened = true;
    edge->held_back = true;
}

static void tell_message(struct bao_edge_own *edge,
                         const struct bao_own_peer *peer,
                         struct bao_edge_event *event)
{
    const struct bao_own_arrival *arrival = edge->lent;
    const uint32_t count = arrival->malformed == NULL ? arrival->part_count : 0;
    for (uint32_t i = 0; i < arrival->part_count; i++) {
        struct bao_own_frame *frame = arrival->parts[i];
        frame->told = true;
        edge->frame_bytes += frame->frame.bytes.bytes;
        edge->lent_frames[i] = &frame->frame;
    }
    *event = (struct bao_edge_event){
        .kind = BAO_EDGE_MESSAGE,
        .peer = peer->handle,
        .frames = edge->lent_frames,
        .frame_count = count,
        .malformed = arrival->malformed,
    };
}

/* The buffer is given up; what was cut short is kept with its peer. */
static void read_no_more(struct bao_edge_own *edge)
{
    struct bao_own_peer *peer = edge->reading;
    struct bao_own_arrival *arrival = arrival_of(edge, peer);
    edge->reading = NULL;
    edge->at = 0;
    edge->end = 0;
    if (bao_link_is_listed(&peer->closing)) {
        bao_own_arrival_reset(arrival);
        return;
    }
    if (!bao_own_arrival_keep(edge, peer, arrival)) {
        bao_own_arrival_reset(arrival);
        bao_own_cut(edge, peer, "no memory for its frames", false);
        return;
    }
    if (edge->filled && !bao_link_is_listed(&peer->ready)) {
        peer->has_much = true;
        bao_list_push(&edge->much, &peer->ready);
    }
}

/* Takes the next peer to be read off its list; NULL: enough for this turn. */
static struct bao_own_peer *next_ready(struct bao_edge_own *edge)
{
    const bool much_first = edge->much_waits && edge->much.count > 0;
    struct bao_link *link = NULL;
    if (!much_first)
        link = bao_list_pop(&edge->ready);
    if (link != NULL)
        return BAO_OF(link, struct bao_own_peer, ready);
    if (edge->turn_bytes >= TURN_BYTES)
        return NULL;
    link = bao_list_pop(&edge->much);
    if (link == NULL)
        return NULL;
    struct bao_own_peer *peer = BAO_OF(link, struct bao_own_peer, ready);
    peer->has_much = false;
    edge->much_waits = false;
    edge->much_read = true;
    return peer;
}

/* The next peer that has something; false if there is none. */
static bool read_next(struct bao_edge_own *edge)
{
    while (edge->reading == NULL) {
        struct bao_own_peer *peer = next_ready(edge);
        if (peer == NULL)
            return false;
        if (!bao_link_is_listed(&peer->closing) && fill(edge, peer))
            edge->reading = peer;
    }
    return true;
}

static bool next_received(struct bao_edge_own *edge,
                          struct bao_edge_event *event)
{
    while (read_next(edge)) {
        struct bao_own_peer *peer = edge->reading;
        struct bao_own_arrival *arrival = arrival_of(edge, peer);
        enum taken taken = TAKEN_ALL;
        if (!bao_link_is_listed(&peer->closing))
            taken = take_message(edge, peer, arrival);
        if (taken == TAKEN_MESSAGE) {
            bao_guard_consumed(
                edge->guard, peer->descriptor, arrival->wire_bytes);
            edge->lent = arrival;
            if (peer->opened)
                tell_message(edge, peer, event);
            else
                tell_opened(edge, peer, event);
            return true;
        }
        if (taken == TAKEN_BAD)
            bao_own_cut(edge, peer, edge->why, edge->offence);
        read_no_more(edge);
    }
    return false;
}

bool bao_edge_own_next(struct bao_edge *base, struct bao_edge_event *event)
{
    struct bao_edge_own *edge = bao_edge_own_of(base);
    if (edge->held_back && !bao_link_is_listed(&edge->reading->closing)) {
        edge->held_back = false;
        tell_message(edge, edge->reading, event);
        return true;
    }
    bao_own_forget(edge);
    struct bao_link *link = bao_list_pop(&edge->writable);
    if (link != NULL) {
        *event = (struct bao_edge_event){
            .kind = BAO_EDGE_WRITABLE,
            .peer = BAO_OF(link, struct bao_own_peer, writable)->handle,
        };
        return true;
    }
    if (edge->reading != NULL && bao_link_is_listed(&edge->reading->closing))
        read_no_more(edge);
    if (bao_own_next_closed(edge, event) || next_received(edge, event))
        return true;
    /* Everybody was read at least once: who is still silent now, is. A flood
     * that goes on must not put that off. */
    if (edge->ready.count == 0)
        bao_connections_expire(&edge->connections);
    return bao_own_next_closed(edge, event);
}
