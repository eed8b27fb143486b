/*
 * judge.h - what must be true of the facts, whatever made them.
 *
 * The judge follows facts and knows nothing of the core's inside. It keeps
 * every item's state and every payload in the simplest way there is, and
 * fails the test when a fact breaks a promise: an id or token that comes
 * twice, a lease of what is not ready or not first in order, an accept above
 * the bound, a settle of what is settled, a delay that ends early, a payload
 * that is dropped twice or never.
 */
#ifndef BAO_TESTS_JUDGE_H
#define BAO_TESTS_JUDGE_H

#include "broker/core/core.h"
#include "common/arena.h"
#include "common/tree.h"

#define JUDGE_QUEUES_MAX 256u
#define JUDGE_PARTS_MAX  BAO_PARTS_MAX

/* A received message whose bytes somebody still needs. */
struct judge_hold {
    uint64_t hold;
    unsigned references;
    struct bao_span parts[JUDGE_PARTS_MAX]; /* owned; 0 = the bodies frame */
    struct judge_hold *next;
};

static inline bool judge_is_final(enum bao_state state)
{
    return state >= BAO_STATE_DONE;
}

struct judge_item {
    uint64_t id;
    uint64_t queue;
    uint64_t token;   /* of its lease */
    uint64_t session; /* that holds it */
    uint64_t due_us;
    uint64_t ttl_us;
    enum bao_state state;
    int32_t priority;
    bool by_wall;   /* due_us is wall clock */
    bool prepaid;   /* its lease was paid for by an earlier task_done */
    bool passing;   /* its result is for those who wait now, then dropped */
    uint8_t *body;  /* owned; NULL once dropped */
    uint32_t bytes; /* header included */
    uint32_t header_bytes;
    bool has_body;
    uint8_t *result; /* owned; kept until forgotten */
    uint32_t result_bytes;
    bool has_result;
};

struct judge_queue {
    uint64_t queue; /* incarnation */
    char name[201];
    struct bao_queue_options options;
    uint64_t last_id;
    uint64_t counts[BAO_STATE_PURGED + 1]; /* by state, final ones ever */
    uint64_t accepted;
    uint64_t prepaid;
    unsigned shut;
    bool gone;
    bool durable;
};

struct judge {
    void *memory;
    struct bao_arena *arena;
    struct bao_tree items; /* by id: live, taken, dead, or with a result */
    struct judge_queue queues[JUDGE_QUEUES_MAX];
    unsigned queue_count;
    struct judge_hold *holds;
    uint64_t last_token;
    uint64_t facts;
    uint64_t bodies; /* payloads kept */
    uint64_t results;
    uint64_t sessions_opened, sessions_ended;
    bool late;              /* its timers did not run yet at this moment */
    enum bao_level level;   /* the broker's strongest */
    int64_t wall_offset_us; /* wall clock - broker time */
};

void judge_init(struct judge *judge);
void judge_fini(struct judge *judge);

/* Follows one fact. */
void judge_fact(struct judge *judge, const struct bao_fact *fact);

/* A step was carried out: results that nobody keeps go. */
void judge_step_end(struct judge *judge, const struct bao_out *out);

/* A message arrives: its parts are copied; one reference is the edge's. */
void judge_hold_open(struct judge *judge,
                     uint64_t hold,
                     const struct bao_span *parts,
                     unsigned part_count);
void judge_hold_keep(struct judge *judge, uint64_t hold);
void judge_hold_drop(struct judge *judge, uint64_t hold);
unsigned judge_hold_count(const struct judge *judge);

/* The item, or NULL if nothing of it is kept. */
struct judge_item *judge_item(const struct judge *judge, uint64_t id);
/* By name: the living one; or NULL. */
struct judge_queue *judge_queue_named(struct judge *judge, const char *name);
struct judge_queue *judge_queue(struct judge *judge, uint64_t queue);

#endif
