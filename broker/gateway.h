/*
 * gateway.h - messages become commands, effects become messages.
 *
 * The room between the edge and the core. It reads headers, checks that a
 * message's frames are exactly what its operations claim, steps the core with
 * each operation, lets bodies and journal follow the facts, and gathers the
 * replies of a turn into one message for each peer.
 *
 * What is malformed costs its sender and nobody else: an operation that can
 * be answered is answered BAD_REQUEST; a message that cannot be trusted is
 * dropped and is a strike, and BAO_STRIKES_MAX strikes end the connection. A
 * peer that does not read is given BAO_OUTBOX_PEER_BYTES, then it is cut; its
 * session goes on when it comes back.
 *
 *   each event:     bao_gateway_event(gateway, now_us, &event, &work)
 *   each tick:      bao_gateway_tick(gateway, now_us)
 *   once a turn:    bao_gateway_release(gateway)
 */
#ifndef BAO_GATEWAY_H
#define BAO_GATEWAY_H

#include "broker/core/core.h"
#include "broker/edge.h"
#include "broker/journal.h"

#define BAO_STRIKES_MAX 3u

struct bao_gateway;

struct bao_gateway_config {
    struct bao_edge *edge;       /* lent */
    struct bao_core *core;       /* lent */
    struct bao_journal *journal; /* lent */
    size_t memory_bytes;         /* reserved for peers, replies and holds */
    size_t bodies_bytes;         /* reserved for payloads */
    size_t outbox_bytes;      /* of all blocked peers; 0 = memory_bytes / 2 */
    size_t outbox_peer_bytes; /* of one blocked peer; 0 = 64 MiB */
    size_t hold_bytes;        /* parked bodies; beyond it puts are taken
                                 without; 0 = memory_bytes / 2 */
};

/* What an event cost, for the caps of a turn. */
struct bao_work {
    uint32_t messages;
    uint32_t operations;
    uint64_t bytes;
};

/* OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status
bao_gateway_open(const struct bao_gateway_config *config,
                 struct bao_gateway **gateway);
/* Before the edge is closed. NULL is allowed. */
void bao_gateway_close(struct bao_gateway *gateway);

/* Carries out one event of the edge; adds its cost to `work`. */
void bao_gateway_event(struct bao_gateway *gateway,
                       uint64_t now_us,
                       const struct bao_edge_event *event,
                       struct bao_work *work);

/* Carries out a command that no peer sent. */
void bao_gateway_command(struct bao_gateway *gateway,
                         uint64_t now_us,
                         const struct bao_command *command);

/* Lets the core do what is due. */
void bao_gateway_tick(struct bao_gateway *gateway, uint64_t now_us);

/* The turn is over: writes the journal and sends all replies that may leave.
 * True if there is more to clean up: come back without sleeping. */
bool bao_gateway_release(struct bao_gateway *gateway);

/* The journal failed: everybody was told, and nothing more is confirmed. The
 * broker must end. */
bool bao_gateway_failed(const struct bao_gateway *gateway);

/* Where the payloads are, for recovery and compaction. */
struct bao_bodies *bao_gateway_bodies(struct bao_gateway *gateway);

/* Its memory, for what the journal has in flight. */
struct bao_arena *bao_gateway_arena(struct bao_gateway *gateway);

/* Peers that are connected; bytes of payloads and replies. */
size_t bao_gateway_peers(const struct bao_gateway *gateway);
size_t bao_gateway_bytes(const struct bao_gateway *gateway);

#endif
