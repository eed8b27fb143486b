/*
 * world.h - a broker's core, its clients and the clock, all in one process.
 *
 * Every message passes the real wire, both ways, before the core or a client
 * sees it. After every step the core recounts itself (bao_core_check), the
 * judge follows its facts, and a second core that only ever applied those
 * facts must have the same digest. Time stands still unless the world is
 * told to move on; then the core is ticked exactly when it asked to be, and
 * clients that are not silent send their heartbeats.
 *
 * Stories (story.h) and the random test drive it; `heard` is how they listen.
 */
#ifndef BAO_TESTS_WORLD_H
#define BAO_TESTS_WORLD_H

#include "broker/core/core.h"
#include "common/wire.h"
#include "tests/core/fact_log.h"
#include "tests/core/judge.h"
#include "tests/core/world_image.h"

#define WORLD_CLIENTS_MAX  16u
#define WORLD_PAYLOADS_MAX 1024u
#define WORLD_BASE_MS      UINT64_C(1000000) /* broker time of [0] */

/* A lease as its holder knows it. */
struct world_lease {
    uint64_t id;
    uint64_t token;
};

struct world_client {
    char name[24];
    uint8_t id[BAO_CLIENT_ID_BYTES];
    uint8_t secret[BAO_CLIENT_ID_BYTES];
    uint64_t peer; /* 0: never connected */
    uint64_t old_peer;
    uint64_t session;
    uint64_t epoch;
    uint64_t next_rid;
    uint64_t heartbeat_ms;
    uint64_t sent_ms; /* when it last sent something */
    bool connected;
    bool silent;
    struct world_lease leases[4096];
    size_t lease_count;
};

/* One thing that a client heard. */
struct world_heard {
    struct world_client *client; /* NULL: a peer that nobody is any more */
    uint64_t peer;
    const struct bao_operation *operation;
    const struct bao_effect *effect;
};

struct world;
struct world_message;
typedef void world_listen(struct world *world, const struct world_heard *heard);

struct world {
    struct bao_core_config config;
    struct bao_core *core;
    struct bao_core *replay;
    void *memory;
    void *replay_memory;
    struct judge judge;
    struct world_client clients[WORLD_CLIENTS_MAX];
    unsigned client_count;
    uint64_t now_ms; /* since the base */
    uint64_t last_peer;
    uint64_t last_hold;
    uint64_t random;
    uint64_t steps;
    uint64_t moved_most; /* items that one step moved, at most */
    struct fact_log log; /* of queues that are not in memory only */
    bool partial;        /* there were other facts too */
    struct world_image image;
    bool down;                  /* the broker is dead */
    bool quick;                 /* no recount, no log: for very many steps */
    struct world_message *keep; /* of the next message; NULL = none */
    world_listen *listen;
    void *context; /* the listener's */
};

struct world_payload {
    const uint8_t *data; /* header and payload */
    uint32_t bytes;
    uint32_t header_bytes;
};

/* Opens a world; `config` may be NULL: the defaults. */
struct world *world_open(const struct bao_core_config *config);
/* Every session says BYE, every queue is deleted: nothing may be left. */
void world_close(struct world *world);
/* The config that world_open(NULL) uses, to be changed. */
struct bao_core_config world_config(void);

/* The broker dies: nothing is heard or ticked until it comes back with the
 * facts that it had; queues of level memory lost theirs. */
void world_die(struct world *world);
void world_restart(struct world *world);
/* The core is told that these items (numbers, blanks between them) have no
 * payload, or result, of all that it says must have one. */
void world_lose(struct world *world, const char *numbers);

/* The client of that name, made if it is new (not connected). */
struct world_client *world_client(struct world *world, const char *name);

/* Sends one operation with its bodies from `peer`. LENGTHS and HEADER_LENGTHS
 * are filled in from the payloads unless NO_BODY is set (then only they). */
void world_send(struct world *world,
                uint64_t peer,
                struct bao_operation *operation,
                const struct world_payload *payloads,
                size_t payload_count);
/* Several in one message; the payloads lie in the order of the operations. */
struct world_part {
    struct bao_operation *operation;
    const struct world_payload *payloads;
    size_t payload_count;
};
void world_send_all(struct world *world,
                    uint64_t peer,
                    struct world_part *parts,
                    size_t count);

/* A message as it was sent, for sending it again. */
struct world_message {
    uint8_t *header; /* owned, as the frames are */
    size_t header_bytes;
    struct bao_span frames[BAO_PARTS_MAX];
    size_t frame_count;
};
/* Keeps what the next world_send() sends in `message`. */
void world_keep(struct world *world, struct world_message *message);
void world_send_again(struct world *world,
                      uint64_t peer,
                      const struct world_message *message);
void world_message_fini(struct world_message *message);

/* Says HELLO from a new peer. A resuming client keeps its session. */
void world_hello(struct world *world,
                 struct world_client *client,
                 bool resume,
                 uint32_t protocol);
/* The same from another peer, with the client id it already had. */
void world_hello_again(struct world *world, struct world_client *client);
/* A command that is not an operation. */
void world_command(struct world *world, const struct bao_command *command);

/* The clock moves on and the broker is late: it ticks at the next step. */
void world_lag(struct world *world, uint64_t ms);

/* Lets time pass up to and including `ms`. */
void world_run(struct world *world, uint64_t ms);
/* When something is due next: UINT64_MAX = never. */
uint64_t world_next(struct world *world);

/* Declares a queue with the defaults; nobody listens. */
void world_declare(struct world *world,
                   struct world_client *client,
                   const char *name);

/* The bytes of an item's body or result; fails if they are not kept. */
struct bao_span world_body(const struct world *world, uint64_t id, bool result);

#endif
