/*
 * link.h - one line to the broker: a DEALER socket and its monitor.
 *
 * One connection lives as long as one socket. When it is gone the socket is
 * cut and a new one made: no message of an old connection is read on a new
 * one, and none that was meant for the old one is sent on it.
 *
 * Not thread-safe: its owner calls under one lock. Descriptors may be slept
 * on outside of it. ZeroMQ's are edge-triggered: they say that something may
 * have changed since the last call, so after every batch of calls ask
 * bao_line_ready() again before sleeping.
 */
#ifndef BAO_LINE_H
#define BAO_LINE_H

#include <zmq.h>

#include "common/dialogue.h"

struct bao_line {
    void *context;
    void *socket;  /* NULL: cut */
    void *monitor; /* NULL: cut */
    int socket_fd;
    int monitor_fd;
    uint64_t number; /* of sockets made */
    uint32_t connect_ms;
    char url[256];
};

enum bao_line_news {
    BAO_LINE_NOTHING,
    BAO_LINE_UP,  /* the connection stands */
    BAO_LINE_DOWN /* it is gone: cut it */
};

enum bao_line_ready {
    BAO_LINE_READABLE = 1,
    BAO_LINE_WRITABLE = 2,
    BAO_LINE_NEWS = 4
};

/* A message that came; lives until bao_line_release(). */
struct bao_received {
    struct bao_message message;
    struct bao_span parts[BAO_PARTS_MAX];
    zmq_msg_t frames[BAO_PARTS_MAX];
    size_t frame_count;
    bool malformed; /* too many parts */
};

/* Makes the ZeroMQ context; nothing connects yet. `url` and times are copied.
 * OK | BAD_REQUEST (no such transport, too long) | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status
bao_line_open(struct bao_line *line, const char *url, uint32_t connect_ms);
/* Ends everything, drops what was not sent, does not wait. */
void bao_line_close(struct bao_line *line);

/* Makes a socket and lets it connect. OK | BAD_REQUEST (the address) |
 * NO_MEMORY (or descriptors) */
BAOZI_MUST_USE enum baozi_status bao_line_connect(struct bao_line *line);
/* Closes the socket; its descriptors are gone. */
void bao_line_cut(struct bao_line *line);

/* What is ready now, as bits of bao_line_ready; NEWS only if it is asked for,
 * which is a call to the system of its own. */
unsigned bao_line_ready(struct bao_line *line, bool news);
enum bao_line_news bao_line_news(struct bao_line *line);
/* OK | EMPTY | CONNECTION_LOST */
BAOZI_MUST_USE enum baozi_status
bao_line_receive(struct bao_line *line, struct bao_received *received);
void bao_line_release(struct bao_received *received);
/* Copies and sends all of a message, never waits. OK | CONNECTION_LOST (not
 * sent: cut the line) */
BAOZI_MUST_USE enum baozi_status
bao_line_send(struct bao_line *line, const struct bao_outgoing *outgoing);

#endif
