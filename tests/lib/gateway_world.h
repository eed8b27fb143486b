/*
 * gateway_world.h - a gateway between a fake edge and a fake core.
 *
 * The fake edge keeps what is sent, and fails if the other side would not take
 * it. The fake core notes what it is asked and answers with what the test
 * wrote down; its functions are in tests/unit/fake_core.h.
 */
#ifndef BAO_TESTS_GATEWAY_WORLD_H
#define BAO_TESTS_GATEWAY_WORLD_H

#include "broker/gateway.h"
#include "common/wire.h"
#include "tests/lib/unit.h"

#define PEER  (UINT64_C(1) << 32 | 3)
#define OTHER (UINT64_C(1) << 32 | 4)

/* What the core was asked last, and what it answers next. */
struct bao_core {
    unsigned steps;
    unsigned ticks;
    enum bao_command_kind last_kind;
    uint64_t last_peer;
    uint64_t last_hold;
    uint64_t last_verb;
    uint64_t last_flags;
    bool last_random; /* it was not all zero */
    struct bao_fact facts[4];
    size_t fact_count;
    struct bao_effect effects[2048];
    size_t effect_count;
};
extern struct bao_core fake_core;

#define GATEWAY_SENT_MAX 64

/* What was sent and done, and how the next message is taken. */
struct fake_edge {
    struct bao_edge edge;
    enum bao_sent answer;
    unsigned sent_count;
    struct {
        uint64_t peer;
        size_t bodies;
        size_t body_bytes;
        size_t big;
        size_t shared; /* of the big ones, without a copy */
        size_t header_bytes;
        uint8_t header[BAO_HEADER_BYTES_MAX];
    } sent[GATEWAY_SENT_MAX];
    unsigned flushes;
    unsigned admitted;
    uint64_t cut_peer;
    unsigned cuts;
    const char *why;
};
extern struct fake_edge fake_edge;

extern struct bao_gateway *gateway;
extern unsigned frames_alive;

/* A gateway that PEER and OTHER are connected to; 0 = its own limits. */
void gateway_world_open_with(size_t memory, size_t hold, size_t outbox);
void gateway_world_open(void);
/* Fails if a frame is still held. */
void gateway_world_close(void);

/* A frame of these bytes, or of so many 'b'. */
struct bao_frame *frame_new(const void *data, size_t bytes);
/* The edge tells of a peer. */
void peer_event(enum bao_edge_event_kind kind, uint64_t peer);

/* The header that writer_of() writes. */
extern uint8_t message_header[BAO_HEADER_BYTES_MAX];
struct bao_writer writer_of(const struct bao_operation *operation);
/* PEER says a message of frames; the header is `writer`'s. */
struct bao_work
message(struct bao_writer *writer, const size_t *sizes, uint32_t count);
/* The same with one operation. */
void message_of(const struct bao_operation *operation,
                const size_t *sizes,
                uint32_t count);

struct bao_operation put_of(const uint32_t *sizes, size_t count);
struct bao_operation heartbeat(void);
struct bao_operation answer_of(uint64_t rid);

/* The core's next answer has this for the peer. */
void will_reply(uint64_t peer, const struct bao_operation *operation);
/* The only operation of the i-th message sent. */
struct bao_operation sent_operation(unsigned i);

#endif
