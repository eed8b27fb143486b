/*
 * gateway_inner.h - what the files of the gateway share.
 *
 * gateway.c takes events in; gateway_reply.c encodes what the core answers;
 * gateway_send.c merges and sends it. No other file includes this.
 */
#ifndef BAO_GATEWAY_INNER_H
#define BAO_GATEWAY_INNER_H

#include "broker/bodies.h"
#include "broker/gateway.h"
#include "broker/hold.h"
#include "broker/journal.h"
#include "broker/outbox.h"
#include "common/wire.h"

/* Bodies of one message; more are split. */
#define BAO_PIECES_MAX 8192u

struct bao_gateway_peer {
    struct bao_outbox_peer box;
    uint64_t handle; /* of the edge */
    uint32_t strikes;
    bool blocked; /* the edge parked something: hold back */
    bool cut;     /* hears nothing any more */
    /* Its last DELIVER waits for this to be synced: they leave in order. */
    uint64_t delivered;
};

struct bao_gateway {
    struct bao_edge *edge;
    struct bao_core *core;
    void *memory;
    size_t memory_bytes;
    struct bao_arena *arena;
    struct bao_bodies *bodies;
    struct bao_holds holds;
    struct bao_journal *journal;
    struct bao_outbox outbox;
    uint64_t now_us; /* of the last event, tick or command */
    bool failed;     /* the journal is, and everybody was told */
    struct bao_gateway_peer **peers; /* by the handle's index */
    uint32_t peer_slots;
    size_t peer_count;
    size_t outbox_bytes_max;
    size_t outbox_peer_bytes_max;
    size_t hold_bytes_max;
    uint8_t encoded[BAO_HEADER_BYTES_MAX];        /* one operation */
    uint8_t lengths[4 * BAO_OPERATION_ITEMS_MAX]; /* with big bits */
    uint8_t header[BAO_HEADER_BYTES_MAX];         /* a message's */
    struct bao_piece pieces[BAO_PIECES_MAX];
    struct bao_piece big[BAO_BIG_FRAMES_MAX];
};

/* The peer of this handle, or NULL. */
struct bao_gateway_peer *bao_gateway_find(const struct bao_gateway *gateway,
                                          uint64_t handle);

/* Ends a peer's connection and forgets its replies. `why` is static. */
void bao_gateway_cut(struct bao_gateway *gateway,
                     struct bao_gateway_peer *peer,
                     const char *why);

/* Encodes an answer or notice for `peer` and holds it as long as it needs. If
 * it has LENGTHS, they are those of the stored bodies of its ids. */
void bao_gateway_reply(struct bao_gateway *gateway,
                       struct bao_gateway_peer *peer,
                       const struct bao_operation *operation,
                       const struct bao_need *need);

/* The journal failed: every answer that waits for it becomes STORAGE_FAILED,
 * and so are the requests that wait in the core. */
void bao_gateway_fail(struct bao_gateway *gateway);

/* Sends what is ready. */
void bao_gateway_send(struct bao_gateway *gateway);

#endif
