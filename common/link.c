/*
 * link.c - one line to the broker.
 */
#include "common/link.h"

#include <errno.h>
#include <stdio.h>

#define SEND_HWM          64
#define RECEIVE_HWM       256
#define RECONNECT_MS      100
#define RECONNECT_MS_MAX  1000
#define KEEPALIVE_IDLE_S  30
#define KEEPALIVE_EVERY_S 10
#define KEEPALIVE_COUNT   3
#define HANDSHAKE_MS      2000
/* One attempt. The kernel repeats a lost SYN after 1, 3 and 7 s: a new attempt
 * is sooner, and finds a network that healed within 2 s. */
#define CONNECT_MS_MAX    2000
#define MESSAGE_BYTES_MAX (BAO_ITEM_BYTES_MAX + (1u << 20))

enum baozi_status
bao_line_open(struct bao_line *line, const char *url, uint32_t connect_ms)
{
    *line = (struct bao_line){
        .socket_fd = -1, .monitor_fd = -1, .connect_ms = connect_ms};
    bool known =
        strncmp(url, "ipc://", 6) == 0 || strncmp(url, "tcp://", 6) == 0;
    if (!known || url[6] == '\0' || strlen(url) >= sizeof line->url) {
        return BAOZI_BAD_REQUEST;
    }
    memcpy(line->url, url, strlen(url) + 1);
    line->context = zmq_ctx_new();
    if (line->context == NULL) {
        return BAOZI_NO_MEMORY;
    }
    (void)zmq_ctx_set(line->context, ZMQ_BLOCKY, 0);
    (void)zmq_ctx_set(line->context, ZMQ_MAX_SOCKETS, 64);
    return BAOZI_OK;
}

void bao_line_close(struct bao_line *line)
{
    bao_line_cut(line);
    if (line->context != NULL) {
        while (zmq_ctx_term(line->context) != 0 && errno == EINTR) {
        }
        line->context = NULL;
    }
}

static bool set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof value) == 0;
}

static bool set_options(const struct bao_line *line, void *socket)
{
    int64_t bytes_max = MESSAGE_BYTES_MAX;
    uint32_t attempt_ms =
        line->connect_ms < CONNECT_MS_MAX ? line->connect_ms : CONNECT_MS_MAX;
    return set_int(socket, ZMQ_LINGER, 0) &&
           set_int(socket, ZMQ_IMMEDIATE, 1) &&
           set_int(socket, ZMQ_SNDHWM, SEND_HWM) &&
           set_int(socket, ZMQ_RCVHWM, RECEIVE_HWM) &&
           set_int(socket, ZMQ_RECONNECT_IVL, RECONNECT_MS) &&
           set_int(socket, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX) &&
           set_int(socket, ZMQ_CONNECT_TIMEOUT, (int)attempt_ms) &&
           set_int(socket, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) &&
           set_int(socket, ZMQ_IPV6, 1) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE, 1) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_INTVL, KEEPALIVE_EVERY_S) &&
           set_int(socket, ZMQ_TCP_KEEPALIVE_CNT, KEEPALIVE_COUNT) &&
           zmq_setsockopt(
               socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0;
}

static bool get_fd(void *socket, int *fd)
{
    size_t bytes = sizeof *fd;
    return zmq_getsockopt(socket, ZMQ_FD, fd, &bytes) == 0;
}

static bool watch(struct bao_line *line)
{
    char name[64];
    int events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    (void)snprintf(name,
                   sizeof name,
                   "inproc://baozi-monitor-%llu",
                   (unsigned long long)line->number);
    line->monitor = zmq_socket(line->context, ZMQ_PAIR);
    return line->monitor != NULL && set_int(line->monitor, ZMQ_LINGER, 0) &&
           set_int(line->monitor, ZMQ_RCVHWM, 0) &&
           zmq_socket_monitor(line->socket, name, events) == 0 &&
           zmq_connect(line->monitor, name) == 0 &&
           get_fd(line->monitor, &line->monitor_fd);
}

enum baozi_status bao_line_connect(struct bao_line *line)
{
    line->number++;
    line->socket = zmq_socket(line->context, ZMQ_DEALER);
    if (line->socket == NULL || !set_options(line, line->socket) ||
        !get_fd(line->socket, &line->socket_fd) || !watch(line)) {
        bao_line_cut(line);
        return BAOZI_NO_MEMORY;
    }
    if (zmq_connect(line->socket, line->url) != 0) {
        bao_line_cut(line);
        return BAOZI_BAD_REQUEST;
    }
    return BAOZI_OK;
}

void bao_line_cut(struct bao_line *line)
{
    if (line->socket != NULL) {
        (void)zmq_socket_monitor(line->socket, NULL, 0);
        (void)zmq_close(line->socket);
        line->socket = NULL;
    }
    if (line->monitor != NULL) {
        (void)zmq_close(line->monitor);
        line->monitor = NULL;
    }
    line->socket_fd = -1;
    line->monitor_fd = -1;
}

static int events_of(void *socket)
{
    int events = 0;
    size_t bytes = sizeof events;
    while (zmq_getsockopt(socket, ZMQ_EVENTS, &events, &bytes) != 0) {
        if (errno != EINTR) {
            return 0;
        }
    }
    return events;
}

unsigned bao_line_ready(struct bao_line *line, bool news)
{
    if (line->socket == NULL) {
        return 0;
    }
    int events = events_of(line->socket);
    unsigned ready = 0;
    ready |= (events & ZMQ_POLLIN) != 0 ? BAO_LINE_READABLE : 0u;
    ready |= (events & ZMQ_POLLOUT) != 0 ? BAO_LINE_WRITABLE : 0u;
    if (news && (events_of(line->monitor) & ZMQ_POLLIN) != 0) {
        ready |= BAO_LINE_NEWS;
    }
    return ready;
}

/* A monitor's event: [event u16, value u32] and the address. */
enum bao_line_news bao_line_news(struct bao_line *line)
{
    if (line->monitor == NULL) {
        return BAO_LINE_NOTHING;
    }
    uint8_t frame[8];
    char address[256];
    int bytes;
    do {
        bytes = zmq_recv(line->monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 6) {
        return BAO_LINE_NOTHING;
    }
    while (zmq_recv(line->monitor, address, sizeof address, ZMQ_DONTWAIT) < 0 &&
           errno == EINTR) {
    }
    uint16_t event;
    memcpy(&event, frame, sizeof event);
    return event == ZMQ_EVENT_DISCONNECTED ? BAO_LINE_DOWN : BAO_LINE_UP;
}

/* --- messages ----------------------------------------------------------- */

/* True if another frame of the message follows. */
static bool keep_frame(struct bao_received *received, zmq_msg_t *frame)
{
    bool more = zmq_msg_more(frame) != 0;
    if (received->frame_count == BAO_PARTS_MAX) {
        received->malformed = true;
        (void)zmq_msg_close(frame);
        return more;
    }
    zmq_msg_t *kept = &received->frames[received->frame_count];
    (void)zmq_msg_init(kept);
    (void)zmq_msg_move(kept, frame);
    struct bao_span bytes = bao_span_of(zmq_msg_data(kept), zmq_msg_size(kept));
    if (received->frame_count == 0) {
        received->message.header = bytes;
    } else {
        received->parts[received->message.part_count++] = bytes;
    }
    received->frame_count++;
    return more;
}

enum baozi_status bao_line_receive(struct bao_line *line,
                                   struct bao_received *received)
{
    received->message = (struct bao_message){.parts = received->parts};
    received->frame_count = 0;
    received->malformed = false;
    bool more = true;
    while (more) {
        zmq_msg_t frame;
        (void)zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, line->socket, ZMQ_DONTWAIT) < 0) {
            int error = errno;
            (void)zmq_msg_close(&frame);
            if (error == EINTR) {
                continue;
            }
            bool none = error == EAGAIN && received->frame_count == 0;
            bao_line_release(received);
            return none ? BAOZI_EMPTY : BAOZI_CONNECTION_LOST;
        }
        more = keep_frame(received, &frame);
    }
    return BAOZI_OK;
}

void bao_line_release(struct bao_received *received)
{
    for (size_t i = 0; i < received->frame_count; i++) {
        (void)zmq_msg_close(&received->frames[i]);
    }
    received->frame_count = 0;
}

static bool send_frame(struct bao_line *line, zmq_msg_t *frame, bool more)
{
    int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
    while (zmq_msg_send(frame, line->socket, flags) < 0) {
        if (errno != EINTR) {
            (void)zmq_msg_close(frame);
            return false;
        }
    }
    return true;
}

/* Gathers the pieces of one part into a frame. */
static bool
fill_part(const struct bao_outgoing *outgoing, uint32_t part, zmq_msg_t *frame)
{
    size_t bytes = 0;
    const struct bao_piece *pieces = outgoing->pieces;
    for (size_t i = 0; i < outgoing->piece_count; i++) {
        bytes += pieces[i].part == part ? pieces[i].bytes.bytes : 0;
    }
    if (zmq_msg_init_size(frame, bytes) != 0) {
        return false;
    }
    uint8_t *at = zmq_msg_data(frame);
    for (size_t i = 0; i < outgoing->piece_count; i++) {
        if (pieces[i].part == part) {
            memcpy(at, pieces[i].bytes.data, pieces[i].bytes.bytes);
            at += pieces[i].bytes.bytes;
        }
    }
    return true;
}

enum baozi_status bao_line_send(struct bao_line *line,
                                const struct bao_outgoing *outgoing)
{
    zmq_msg_t frame;
    if (zmq_msg_init_size(&frame, outgoing->header.bytes) != 0) {
        return BAOZI_CONNECTION_LOST;
    }
    memcpy(zmq_msg_data(&frame), outgoing->header.data, outgoing->header.bytes);
    if (!send_frame(line, &frame, outgoing->part_count > 0)) {
        return BAOZI_CONNECTION_LOST;
    }
    for (uint32_t part = 0; part < outgoing->part_count; part++) {
        bool more = part + 1 < outgoing->part_count;
        if (!fill_part(outgoing, part, &frame) ||
            !send_frame(line, &frame, more)) {
            return BAOZI_CONNECTION_LOST;
        }
    }
    return BAOZI_OK;
}
