/*
 * link.h - one line to the broker: a socket that speaks ZMTP (zmtp.h).
 *
 * The library brings its own few lines of ZeroMQ's protocol instead of
 * libzmq: the thread that wants an answer writes to the kernel and sleeps on
 * it, and no I/O thread stands in between. Each way there and back has two
 * wake-ups less, and that is what counts on small machines.
 *
 *   [CUT] -- connect --> RESOLVING -> CONNECTING -> SHAKING -> UP
 *
 * bao_line_step() goes on as far as it can without waiting. One connection
 * lives as long as one number: when it is gone it is cut and another one
 * made, so no message of an old connection is read on a new one, and none
 * that was meant for the old one is sent on it.
 *
 * Not thread-safe: its owner calls under one lock. Its descriptor may be slept
 * on outside of it; it is level-triggered, so what is there stays there. Who
 * sleeps on one that is cut meanwhile must be woken by the owner.
 */
#ifndef BAO_LINE_H
#define BAO_LINE_H

#include <netdb.h>
#include <sys/un.h>

#include "common/zmtp.h"

struct bao_resolve;

enum bao_line_state {
    BAO_LINE_CUT,
    BAO_LINE_RESOLVING,
    BAO_LINE_CONNECTING,
    BAO_LINE_SHAKING, /* hands, as ZMTP does */
    BAO_LINE_UP
};

struct bao_line {
    enum bao_line_state state;
    int fd;            /* -1: none */
    uint64_t number;   /* of connections made */
    uint64_t until_us; /* the attempt, or the handshake, ends */
    uint32_t connect_ms;
    bool drained; /* the last read took all that was there */
    char host[256];
    char port[8];
    struct sockaddr_un path; /* of ipc; sun_family is 0 for tcp */
    socklen_t path_bytes;
    struct bao_resolve *resolve;
    struct addrinfo *addresses; /* owned */
    struct addrinfo *address;   /* the one that is tried */
    struct bao_zmtp zmtp;
};

/* Looks at the address; nothing connects yet. `url` and times are copied.
 * OK | BAD_REQUEST (no such transport, no such form, too long) */
BAOZI_MUST_USE enum baozi_status
bao_line_open(struct bao_line *line, const char *url, uint32_t connect_ms);

/* Begins to connect. OK | NO_MEMORY (or descriptors) */
BAOZI_MUST_USE enum baozi_status bao_line_connect(struct bao_line *line,
                                                  uint64_t now_us);
/* Ends a connection or an attempt; drops what was not sent, does not wait. A
 * line that is cut holds no memory. */
void bao_line_cut(struct bao_line *line);

/* Goes on with connecting. OK (see `state`) | CONNECTION_LOST (cut it) */
BAOZI_MUST_USE enum baozi_status bao_line_step(struct bao_line *line,
                                               uint64_t now_us);
/* What to sleep on (-1: nothing), for which events of poll(), until when. */
int bao_line_fd(const struct bao_line *line);
short bao_line_events(const struct bao_line *line);
uint64_t bao_line_deadline(const struct bao_line *line);

/* The next message. OK | EMPTY (all that came was taken) | CONNECTION_LOST */
BAOZI_MUST_USE enum baozi_status
bao_line_receive(struct bao_line *line, struct bao_received *received);
void bao_line_release(struct bao_line *line, struct bao_received *received);

/* True if a message may be added now. */
bool bao_line_writable(const struct bao_line *line);
/* Adds all of a message, copied. OK | CONNECTION_LOST (cut the line) */
BAOZI_MUST_USE enum baozi_status
bao_line_send(struct bao_line *line, const struct bao_outgoing *outgoing);
/* Gives the kernel what was added, as far as it takes it; the rest waits for
 * POLLOUT. OK | CONNECTION_LOST */
BAOZI_MUST_USE enum baozi_status bao_line_flush(struct bao_line *line);

#endif
