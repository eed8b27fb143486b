/*
 * zmtp.h - the bytes of a ZeroMQ connection, seen by a DEALER: ZMTP 3.1 with
 * the NULL mechanism (rfc.zeromq.org/spec/37), without a socket.
 *
 * Bytes that came are written into bao_zmtp_room() and taken out as messages;
 * messages are added and leave as the bytes of `out`. The greeting and READY
 * are in `out` from the beginning: they wait for nobody. A ROUTER of libzmq
 * sees no difference to libzmq's own DEALER.
 *
 * Nothing that comes is believed: a frame that is longer than the protocol
 * allows, or a message of too many of them, ends the connection, and memory
 * for bytes that did not come yet is asked for but not touched.
 *
 * One thread at a time. Memory: malloc, given back when it was a peak.
 */
#ifndef BAO_ZMTP_H
#define BAO_ZMTP_H

#include "common/buffer.h"
#include "common/dialogue.h"

/* A message that came; lives until bao_zmtp_release(). */
struct bao_received {
    struct bao_message message;
    struct bao_span parts[BAO_PARTS_MAX];
    size_t bytes; /* all of it, with the heads of its frames */
};

enum bao_zmtp_state {
    BAO_ZMTP_GREETING, /* the peer's greeting is to come */
    BAO_ZMTP_READY,    /* its READY */
    BAO_ZMTP_OPEN      /* messages */
};

struct bao_zmtp {
    enum bao_zmtp_state state;
    struct bao_buffer in;
    struct bao_buffer out;
    size_t wanted; /* bytes that the message in `in` has in all, as far as its
                      heads are known */
};

/* Begins a connection. OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status bao_zmtp_open(struct bao_zmtp *zmtp);
void bao_zmtp_close(struct bao_zmtp *zmtp); /* may be called twice */

/* Where bytes that come are to be written, at least one; lent until the next
 * call. Then bao_zmtp_came() says how many. OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status
bao_zmtp_room(struct bao_zmtp *zmtp, uint8_t **room, size_t *bytes);
void bao_zmtp_came(struct bao_zmtp *zmtp, size_t bytes);

/* The next whole message; what a peer says before its first one is taken on
 * the way (see `state`). OK | EMPTY (more must come) | CONNECTION_LOST (not
 * ZMTP, or against our limits: end it) */
BAOZI_MUST_USE enum baozi_status bao_zmtp_next(struct bao_zmtp *zmtp,
                                               struct bao_received *received);
void bao_zmtp_release(struct bao_zmtp *zmtp, struct bao_received *received);

/* Adds a message to `out`, copied. OK | FULL | NO_MEMORY (end it) */
BAOZI_MUST_USE enum baozi_status
bao_zmtp_add(struct bao_zmtp *zmtp, const struct bao_outgoing *outgoing);
/* The first `bytes` of `out` left. */
void bao_zmtp_left(struct bao_zmtp *zmtp, size_t bytes);

#endif
