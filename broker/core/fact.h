/*
 * fact.h - what became true: the only thing that changes durable state.
 *
 * A step decides, emits facts, and applies each at once with the same
 * function that will replay a log (store.c). A fact is a vector: many items
 * of one queue in one record. It carries the request that caused it (session,
 * rid), so that replay rebuilds every session's answers too. A second
 * follower, `bodies`, keeps the payloads.
 *
 * Everything a fact points at is lent until the next step.
 */
#ifndef BAO_FACT_H
#define BAO_FACT_H

#include "common/operation.h"

enum bao_fact_kind {
    BAO_FACT_EPOCH = 1,       /* epoch, token = first_n: a start */
    BAO_FACT_SESSION_OPENED,  /* session, client, secret, host, pid, program */
    BAO_FACT_SESSION_ENDED,   /* session, cause: dead (remembered) or bye */
    BAO_FACT_SESSION_REVIVED, /* session: a dead one came back */
    BAO_FACT_SESSION_FORGOTTEN, /* session */
    BAO_FACT_ACKED,             /* session, ids = (first, last) pairs of rids */
    BAO_FACT_QUEUE_MADE,        /* queue, name, options */
    BAO_FACT_QUEUE_SET,         /* queue, options */
    BAO_FACT_QUEUE_SHUT,        /* queue, state: 0 open, 1 shut, 2 at once */
    BAO_FACT_QUEUE_GONE,        /* queue: all its items are gone too */
    BAO_FACT_ITEM_PUT,          /* queue, items[count], ids first_id.. */
    BAO_FACT_ITEM_READY,        /* queue, ids: a delay ran out */
    BAO_FACT_ITEM_LEASED,       /* queue, ids, token.., until_us, flags */
    BAO_FACT_ITEM_RETURNED,     /* queue, ids, cause, due_us, error */
    BAO_FACT_ITEM_TAKEN,        /* queue, ids: consumed, not yet task_done */
    BAO_FACT_ITEM_SETTLED,      /* queue, ids, state (final), result */
    BAO_FACT_ITEM_DEAD,         /* queue, ids, cause, error */
    BAO_FACT_DEAD_FORGOTTEN,    /* queue, ids: redriven, purged, dead_ttl */
    BAO_FACT_CANCEL_ASKED,      /* queue, ids */
    BAO_FACT_PREPAID,           /* queue, count: task_done ahead of the item */
    BAO_FACT_OUTCOME_FORGOTTEN, /* queue, ids: nobody will ask any more */
    BAO_FACT_GROUP_FORGOTTEN,   /* queue, name */
    BAO_FACT_DEDUP_FORGOTTEN,   /* queue, name = the key */
    BAO_FACT_ANSWERED           /* session, rid, verb, status, first_id: an
                                   answer that no other fact implies */
};

/* Why an item came back, or died. */
enum bao_cause {
    BAO_CAUSE_NONE,
    BAO_CAUSE_RELEASED,    /* not counted */
    BAO_CAUSE_CANCELLED,   /* the get was cancelled: not counted */
    BAO_CAUSE_BYE,         /* not counted */
    BAO_CAUSE_UNSTARTED,   /* pushed, never begun: not counted */
    BAO_CAUSE_RETRIED,     /* counted, backs off */
    BAO_CAUSE_LEASE_ENDED, /* counted */
    BAO_CAUSE_DIED,        /* its session died: counted */
    BAO_CAUSE_REJECTED,
    BAO_CAUSE_SHUTDOWN
};

/* Bit of `flags`, ITEM_PUT: due_us is wall clock (not_before), not broker
 * time. Other bits are BAO_FLAG_...; ITEM_RETURNED has DEAD when the item
 * waits only because the dead are full, ITEM_SETTLED and ITEM_DEAD have
 * WANT_RESULT when the outcome (and `result`) is to be kept. */
#define BAO_FACT_WALL 0x80000000u

/* Where a payload lies in what the edge received: `hold` names the message
 * in the hold table, `part` its frame; [headers][payload]. */
struct bao_body {
    uint64_t hold; /* 0: no bytes */
    uint32_t part;
    uint32_t offset;
    uint32_t bytes;        /* headers included */
    uint32_t header_bytes; /* of these, the item header */
};

struct bao_put_item {
    struct bao_body body;
    int32_t priority;
};

struct bao_fact {
    enum bao_fact_kind kind;
    uint32_t count; /* of ids or items */
    uint64_t time_us;
    uint64_t session;  /* the request that caused it; 0 = none */
    uint64_t rid;      /* of the first; a vector put or settle uses rid.. */
    uint64_t queue;    /* incarnation */
    uint64_t first_id; /* ITEM_LEASED by SUBSCRIBE: the sequence */
    const uint64_t *ids;
    const struct bao_put_item *items; /* ITEM_PUT */
    uint64_t token;    /* first of `count` consecutive ones; 0 = prepaid */
    uint64_t until_us; /* lease deadline; UINT64_MAX = none */
    uint64_t due_us;   /* not before; 0 = at once */
    uint64_t ttl_us;   /* ITEM_PUT: expires at; 0 = never */
    uint64_t origin;   /* ITEM_PUT by redrive: the dead one's id */
    uint64_t dedup_until_us;
    uint64_t epoch;
    uint32_t flags; /* BAO_FLAG_..., BAO_FACT_WALL */
    uint16_t verb;  /* of the request that this answers; 0 = of none */
    uint16_t status;
    uint16_t state;       /* final state, or shut level */
    uint16_t cause;       /* enum bao_cause */
    struct bao_span name; /* queue, group key; SESSION_OPENED: program */
    struct bao_span group;
    struct bao_span dedup_key;
    struct bao_span fairness_key;
    struct bao_span error;
    struct bao_span host;
    struct bao_span client; /* 16 bytes */
    struct bao_span secret; /* 16 bytes */
    uint32_t pid;
    struct bao_body result; /* ITEM_SETTLED as done, with a result */
    bool unlogged; /* of the contents of a memory queue: no log has it */
    const struct bao_queue_options *options;
};

#endif
