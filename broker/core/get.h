/*
 * get.h - handing items out: get, get_many, subscribe, deliver.
 */
#ifndef BAO_CORE_GET_H
#define BAO_CORE_GET_H

#include "broker/core/out.h"

void bao_get(struct bao_core *core, const struct bao_call *call);
void bao_subscribe(struct bao_core *core, const struct bao_call *call);
void bao_started(struct bao_core *core, const struct bao_call *call);
void bao_credit(struct bao_core *core, const struct bao_call *call);
/* Serves the waiting gets and subscriptions of a queue. */
void bao_get_serve(struct bao_core *core, struct bao_queue *queue);
/* A SUBSCRIBE was repeated: what came after `sequence` is pushed again. */
void bao_subscribe_again(struct bao_core *core,
                         const struct bao_call *call,
                         struct bao_waiter *waiter);
/* The kept answer of a get, again, from the leases that are still valid.
 * False if there is none: then the request is new. */
bool bao_get_again(struct bao_core *core, struct bao_answer *kept);
/* Those who came back stand in line again. */
void bao_get_rejoin(struct bao_core *core, struct bao_waiter *waiter);

/* What a grant may be: from what was asked and what there is. */
struct bao_grant {
    struct bao_session *session;
    uint64_t rid;
    uint64_t lease_us; /* 0 = no deadline */
    uint64_t bytes;    /* most; at least one item is granted all the same */
    uint64_t sequence; /* SUBSCRIBE */
    uint32_t most;
    uint32_t flags;          /* BAO_FLAG_AUTO */
    uint16_t verb;           /* GET or SUBSCRIBE */
    struct bao_item **items; /* what was granted */
    uint32_t count;
    uint64_t token;
};
/* True if there is something to hand out that has not expired; bao_grant()
 * must follow in this step. */
bool bao_grant_ready(struct bao_core *core, struct bao_queue *queue);
/* Leases up to grant->most items; false if there is none. */
bool bao_grant(struct bao_core *core,
               struct bao_queue *queue,
               struct bao_grant *grant);
/* The columns of items in an answer or delivery. */
void bao_grant_columns(struct bao_core *core,
                       struct bao_operation *op,
                       struct bao_item *const *items,
                       uint32_t count);
/* True if nothing will ever come for this session (SPEC S8). */
bool bao_get_is_over(const struct bao_queue *queue,
                     const struct bao_tally *tally);

#endif
