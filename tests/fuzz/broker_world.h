/*
 * broker_world.h - the gateway and the real core between a fake edge and a
 * second core, for fuzzing: bytes in, bytes out, and always checked.
 *
 * The second core only applies the facts; its digest must be the first one's
 * after every step. An image that is taken while work goes on makes a third
 * one, with the digest of the moment at which it was begun. What is sent must
 * be what a client would take: whole, valid, to a peer that is connected, with
 * the bodies that were put. A body of n bytes is n times the byte n & 255, as
 * long as no raw message was said.
 */
#ifndef BAO_TESTS_FUZZ_BROKER_WORLD_H
#define BAO_TESTS_FUZZ_BROKER_WORLD_H

#include "broker/gateway.h"
#include "tests/fuzz/compose.h"

enum { FUZZ_PEERS = 4 };

struct fuzz_peer {
    uint64_t handle; /* 0: not connected */
    uint32_t generation;
    bool cut;            /* the gateway closed it; CLOSED follows */
    enum bao_sent sends; /* what the edge answers */
    struct fuzz_known known;
};

struct fuzz_broker {
    struct bao_edge edge; /* first: the fake edge */
    struct bao_core *core;
    struct bao_core *replica;
    struct bao_gateway *gateway;
    struct bao_journal journal;
    struct fuzz_peer peers[FUZZ_PEERS];
    uint64_t now_us;
    uint64_t random;
    unsigned turns;
    unsigned frames;         /* alive */
    bool raw;                /* bodies are no longer known */
    bool partial;            /* there was a queue that no image holds */
    struct bao_core *imaged; /* what the pieces of an image are loaded into */
    uint64_t image_digest;   /* of the moment of the image */
    /* Hears each message that is sent; NULL: nobody does. */
    void (*hears)(struct fuzz_broker *broker,
                  struct fuzz_peer *peer,
                  const struct bao_outgoing *message);
};

/* There is one at a time. */
void fuzz_broker_open(struct fuzz_broker *broker);
/* Everybody goes, time passes, and nothing is left. */
void fuzz_broker_close(struct fuzz_broker *broker);

void fuzz_peer_open(struct fuzz_broker *broker, struct fuzz_peer *peer);
void fuzz_peer_close(struct fuzz_broker *broker,
                     struct fuzz_peer *peer,
                     bool process_gone);
/* What was parked has left. */
void fuzz_peer_writable(struct fuzz_broker *broker, struct fuzz_peer *peer);
/* A header with frames of these sizes; filled as the header says. */
void fuzz_peer_says(struct fuzz_broker *broker,
                    struct fuzz_peer *peer,
                    struct bao_span header,
                    const size_t *sizes,
                    uint32_t count);
void fuzz_broker_command(struct fuzz_broker *broker,
                         const struct bao_command *command);
/* Begins an image, unless one is under way; turns go on with it. */
void fuzz_broker_image(struct fuzz_broker *broker);
/* Ticks what is due, sends what may leave, tells who was cut, checks. */
void fuzz_broker_turn(struct fuzz_broker *broker);

#endif
