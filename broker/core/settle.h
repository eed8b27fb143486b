/*
 * settle.h - how leases end: done, retry, release, reject, death, expiry.
 */
#ifndef BAO_CORE_SETTLE_H
#define BAO_CORE_SETTLE_H

#include "broker/core/out.h"

/* What becomes of an item: the fact that will say so. */
struct bao_fate {
    enum bao_fact_kind kind; /* ITEM_SETTLED, ITEM_RETURNED, ITEM_DEAD */
    uint16_t state;
    uint16_t cause;
    uint32_t flags;
    uint64_t due_us;
};

/* Items of one queue with one fate, said in one fact. A vector that answers
 * requests has a verb and takes consecutive rids. */
struct bao_vector {
    struct bao_queue *queue;
    struct bao_session *session;
    struct bao_fate fate;
    struct bao_span error;
    struct bao_body result;
    struct bao_item **items;
    uint64_t rid;
    uint32_t count;
    uint32_t capacity;
    uint16_t verb;
};

void bao_vector_open(struct bao_core *core,
                     struct bao_vector *vector,
                     uint32_t capacity);
/* Adds an item; says the fact first if it does not fit to those before. */
void bao_vector_add(struct bao_core *core,
                    struct bao_vector *vector,
                    struct bao_item *item,
                    struct bao_fate fate,
                    uint64_t rid);
void bao_vector_flush(struct bao_core *core, struct bao_vector *vector);

/* The fate of a leased item that comes back; `due_us` 0 = at once, BAO_NEVER
 * = the queue's own backoff. */
struct bao_fate bao_fate_of_return(struct bao_core *core,
                                   const struct bao_item *item,
                                   enum bao_cause cause,
                                   uint64_t due_us);
struct bao_fate bao_fate_of_end(const struct bao_core *core,
                                const struct bao_item *item,
                                enum bao_state state);
/* The fate of an item that is delayed only because the dead are full. */
struct bao_fate bao_fate_of_doomed(struct bao_core *core,
                                   const struct bao_item *item);
/* The cause that death, BYE or silence gives a lease. */
enum bao_cause bao_cause_of_death(struct bao_lease *lease);

/* One item, on nobody's request. */
void bao_settle_one(struct bao_core *core,
                    struct bao_item *item,
                    enum bao_state state);
void bao_return_one(struct bao_core *core,
                    struct bao_item *item,
                    enum bao_cause cause);

/* The log has no bytes for it: it is over (lost.c). */
void bao_lost(struct bao_core *core, const struct bao_core_payload *payload);

/* The lease of (id, token) if it is this session's; else NULL and why. */
struct bao_item *bao_lease_find(struct bao_core *core,
                                const struct bao_session *session,
                                uint64_t id,
                                uint64_t token,
                                enum baozi_status *status);

/* A whole lease time from now on, but not past max_run. */
void bao_lease_prolong(struct bao_core *core, struct bao_lease *lease);

void bao_settle(struct bao_core *core, const struct bao_call *call);
void bao_touch(struct bao_core *core, const struct bao_call *call);
void bao_done_next(struct bao_core *core, const struct bao_call *call);
void bao_receipt(struct bao_core *core, const struct bao_call *call);
void bao_cancel_item(struct bao_core *core, const struct bao_call *call);

#endif
