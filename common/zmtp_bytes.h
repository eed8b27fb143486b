/*
 * zmtp_bytes.h - ZMTP 3.1, security NULL, as bytes: what the client library
 * and the broker's own edge speak.
 *
 *     greeting (64 bytes)  both sides at once: signature, version, mechanism
 *     READY                a command each: the socket's type
 *     messages             frames; a frame is flags, length, bytes
 *
 * Pure: no memory of its own, no socket. Nothing that a peer sent is believed
 * before it was compared with the bytes that are there. See
 * https://rfc.zeromq.org/spec/37/ .
 */
#ifndef BAO_ZMTP_BYTES_H
#define BAO_ZMTP_BYTES_H

#include "common/span.h"

#define BAO_ZMTP_GREETING_BYTES    64u
#define BAO_ZMTP_HEAD_BYTES_MAX    9u
#define BAO_ZMTP_COMMAND_BYTES_MAX 4096u
#define BAO_ZMTP_PONG_BYTES_MAX    32u

/* What is said to a peer: at once, and when its greeting was good. */
struct bao_span bao_zmtp_greeting(void);
struct bao_span bao_zmtp_ready_of_router(void);
struct bao_span bao_zmtp_ready_of_dealer(void);

/* NULL if `bytes` of a peer's greeting are good so far, else what is wrong:
 * static. */
const char *bao_zmtp_check_greeting(struct bao_span bytes);

/* The socket that a READY is of. */
struct bao_zmtp_socket {
    bool is_router;
    bool is_named; /* it chose a routing id */
};

/* NULL if this is a READY of a socket that may talk to a ROUTER (another
 * ROUTER may), else what is wrong: static. */
const char *bao_zmtp_check_ready(struct bao_span command,
                                 struct bao_zmtp_socket *socket);

/* True if the command has this name. */
bool bao_zmtp_is_command(struct bao_span command, const char *name);

/* What comes before the bytes of a frame. */
struct bao_zmtp_head {
    uint64_t bytes; /* of the frame */
    bool more;
    bool command;
    bool bad; /* not ZMTP: the other members mean nothing */
};

/* Reads one; the bytes that it takes, or 0 if it is cut short. */
size_t bao_zmtp_head_read(struct bao_span bytes, struct bao_zmtp_head *head);

/* Writes the head of a message's frame; the bytes that it takes. */
size_t bao_zmtp_head_write(uint8_t *to, uint64_t bytes, bool more);

/* The frame that answers a PING; 0 bytes if the command is none. */
size_t bao_zmtp_pong(struct bao_span command,
                     uint8_t to[BAO_ZMTP_PONG_BYTES_MAX]);

#endif
