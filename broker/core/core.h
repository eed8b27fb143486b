/*
 * core.h - the heart of the broker: a pure state machine.
 *
 * It takes commands and the time, and says what became true (facts) and what
 * the edge must do (effects). It calls no clock, socket, disk, allocator or
 * random source; its memory is given at open. One thread owns it.
 *
 *   for each command:  bao_core_step(core, now_us, &command, &out)
 *                      bodies and journal follow out.facts, in order;
 *                      then the edge carries out out.effects, in order
 *   each turn:         bao_core_tick(core, now_us, &out)      the same again
 *   sleep until        bao_core_deadline(core)
 *
 * Time is microseconds of broker time (SPEC S3.4); it never goes back.
 */
#ifndef BAO_CORE_H
#define BAO_CORE_H

#include "broker/core/fact.h"
#include "common/arena.h"
#include "common/baozi.h"

struct bao_core;

#define BAO_CORE_APPLY_BYTES ((size_t)2 << 20)

struct bao_core_config {
    void *memory; /* 4096-aligned, lent for the core's life */
    size_t memory_bytes;
    uint64_t body_bytes_max;     /* payload bytes it may let in */
    uint64_t unlogged_bytes_max; /* of these, into memory queues; 0 = all */
    uint64_t parked_bytes_max;
    uint64_t now_us;
    int64_t wall_offset_us; /* wall clock - broker time */
    uint64_t epoch;         /* 1 at the first start, more at each */
    uint64_t first_n; /* numbers of tokens and of new queues' items lie above
                         it; 0 but where two starts may share an epoch */
    uint64_t boot;    /* random: tells this start from others */
    uint64_t seed;    /* of backoff jitter */
    enum bao_level level;         /* the strongest that the journal offers */
    uint32_t answers_max;         /* a session; 0 = BAO_ANSWERS_MAX */
    uint32_t waiting_max;         /* a session; 0 = BAO_WAITING_MAX */
    uint32_t heartbeat_leased_ms; /* 0 = the default */
    uint32_t heartbeat_idle_ms;
    uint32_t resume_grace_ms;
    uint32_t sessions_max; /* 0 = the default */
    uint32_t queues_max;
};

enum bao_command_kind {
    BAO_COMMAND_OPERATION,      /* from `peer`: `operation`, `hold` */
    BAO_COMMAND_PEER_CLOSED,    /* `peer`'s connection is gone */
    BAO_COMMAND_PROCESS_GONE,   /* and so is its process: no grace */
    BAO_COMMAND_DRAIN,          /* put and get answer DRAINING from now on */
    BAO_COMMAND_WALL_JUMPED,    /* wall_offset_us changed */
    BAO_COMMAND_STORAGE_FAILED, /* all who wait are told so; repeat it while
                                   bao_core_waiting() */
    BAO_COMMAND_PAYLOAD_LOST    /* the log has no bytes for `payload` */
};

/* Bytes that an item, or the result of a done one, has besides its record. */
struct bao_core_payload {
    uint64_t id;
    uint32_t bytes;
    bool result;
};

struct bao_command {
    enum bao_command_kind kind;
    uint64_t peer; /* the edge's handle, never reused, never 0 */
    const struct bao_operation *operation; /* lent for the step */
    uint64_t hold;      /* the received message; 0 = it had no bodies */
    uint8_t random[16]; /* fresh, for HELLO's secret */
    int64_t wall_offset_us;
    struct bao_core_payload payload;
};

/* What a reply must wait for (DESIGN section 3, architecture section 2). */
enum bao_wait {
    BAO_WAIT_NONE,  /* FULL, EMPTY, TIMEOUT, STALE, BAD_REQUEST, ... */
    BAO_WAIT_LEVEL, /* the facts of this step have `level` */
    BAO_WAIT_LEASE, /* written, and the puts of `ids` have `level` */
    BAO_WAIT_SEEN   /* what `queue` held has `level` */
};

enum bao_effect_kind {
    BAO_EFFECT_REPLY, /* send `operation` to `peer` */
    BAO_EFFECT_KEEP,  /* one more reference to `hold` */
    BAO_EFFECT_DROP,  /* one reference less */
    BAO_EFFECT_CLOSE  /* cut `peer`; `reason` for the log */
};

struct bao_effect {
    enum bao_effect_kind kind;
    enum bao_wait wait;
    enum bao_level level;
    uint64_t peer;
    uint64_t hold;
    uint64_t queue; /* incarnation, of what the reply speaks of; 0 = none */
    /* REPLY: lent until the next step. If it has LENGTHS, its bodies are the
     * bodies of operation->ids (or operation->id), in order; `result` says
     * that it is that id's result instead. */
    const struct bao_operation *operation;
    bool result;
    const char *reason;
};

/* Lent by the core until the next step or tick. */
struct bao_out {
    const struct bao_fact *facts;
    size_t fact_count;
    const struct bao_effect *effects;
    size_t effect_count;
};

/* Makes a core in `config->memory`. NO_MEMORY if that is under 16 MiB. */
BAOZI_MUST_USE enum baozi_status
bao_core_open(const struct bao_core_config *config, struct bao_core **core);

/* Carries out one command. */
void bao_core_step(struct bao_core *core,
                   uint64_t now_us,
                   const struct bao_command *command,
                   struct bao_out *out);

/* What is due: lease ends, delays, TTLs, timeouts, dead sessions, and a slice
 * of long work. At most BAO_STEP_ITEMS_MAX items move. */
void bao_core_tick(struct bao_core *core, uint64_t now_us, struct bao_out *out);

/* When the next tick is due: 0 = now, UINT64_MAX = never. */
uint64_t bao_core_deadline(const struct bao_core *core);

/* Applies one fact of a log to a fresh core (replay, replica). */
void bao_core_apply(struct bao_core *core, const struct bao_fact *fact);

/* Before bao_core_recovered(): epochs up to this one may have been used by
 * what a repair cut off the log. */
void bao_core_epoch_floor(struct bao_core *core, uint64_t epoch);

/* Names every payload that there must be, none of no bytes (lost.c). */
typedef void bao_core_take_payload(void *context,
                                   const struct bao_core_payload *payload);
void bao_core_payloads(const struct bao_core *core,
                       bao_core_take_payload *take,
                       void *context);

/* Replay is over: this start has a later epoch than all that were logged, and
 * begins at `now_us`, which is not before bao_core_now_us(). The next tick
 * says EPOCH; nobody may be answered before that is as durable as can be. */
void bao_core_recovered(struct bao_core *core,
                        uint64_t now_us,
                        int64_t wall_offset_us);

/* Broker time of the last step, or of the last fact applied. */
uint64_t bao_core_now_us(const struct bao_core *core);

/* So many bytes may be put from now on (for the log's sake); puts beyond are
 * answered STORAGE_FULL. With less than `lease_bytes` for all else only what
 * frees room goes on: settles, returns, cancel, purge, join. */
void bao_core_log_room(struct bao_core *core,
                       uint64_t put_bytes,
                       uint64_t lease_bytes);
/* True if something was refused for its sake since this was asked last. */
bool bao_core_log_was_short(struct bao_core *core);

/* A place of the log was found damaged: "FILE, offset N". BROKER tells of the
 * first different ones. */
void bao_core_damaged(struct bao_core *core, const char *place);

/* Requests that wait; after STORAGE_FAILED, those still to be answered. */
uint64_t bao_core_waiting(const struct bao_core *core);

/* A number that is equal for equal durable state. O(1). */
uint64_t bao_core_digest(const struct bao_core *core);

/* Asserts every invariant by recounting everything: for tests. */
void bao_core_check(const struct bao_core *core);

/* What its records lie in, for whoever gives idle pages back. */
struct bao_arena *bao_core_arena(const struct bao_core *core);

/* Bytes of core memory in use; sessions alive; queues. */
size_t bao_core_memory_used(const struct bao_core *core);
/* Bytes that are left, what is kept for settling included, but not what items
 * at rest grow by when they are handed out and come back. A replay must not go
 * on with less than BAO_CORE_APPLY_BYTES: a fact may need as much. */
size_t bao_core_memory_left(const struct bao_core *core);
uint64_t bao_core_sessions(const struct bao_core *core);

/* Leases that run; a broker that drains waits until there are none. */
uint64_t bao_core_leases(const struct bao_core *core);

#endif
