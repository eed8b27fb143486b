/*
 * keep.h - what is kept beside the items: dedup keys, outcomes, leases,
 * answers. Called by the store alone (and, to look, by everybody).
 */
#ifndef BAO_CORE_KEEP_H
#define BAO_CORE_KEEP_H

#include "broker/core/state.h"

/* --- dedup keys (SPEC S7) ---------------------------------------------- */

struct bao_dedup *bao_dedup_find(const struct bao_core *core,
                                 const struct bao_queue *queue,
                                 struct bao_span key);
/* A record without window, found by key; not in the digest. */
struct bao_dedup *bao_dedup_new(struct bao_core *core,
                                struct bao_queue *queue,
                                struct bao_span key);
/* The record of `key` as of now: made, or its window and first id set. */
struct bao_dedup *bao_dedup_take(struct bao_core *core,
                                 struct bao_queue *queue,
                                 struct bao_span key,
                                 uint64_t first_id,
                                 uint64_t until_us);
void bao_dedup_hold(struct bao_core *core, struct bao_dedup *dedup);
/* An item that held it is settled; the last one ends a key without window. */
void bao_dedup_release(struct bao_core *core, struct bao_dedup *dedup);
void bao_dedup_forget(struct bao_core *core, struct bao_dedup *dedup);

/* --- outcomes (wait, results) ------------------------------------------ */

struct bao_outcome *bao_outcome_find(const struct bao_core *core, uint64_t id);
/* One that nothing is said of yet, found by id; not in the digest. */
struct bao_outcome *
bao_outcome_new(struct bao_core *core, struct bao_queue *queue, uint64_t id);
struct bao_outcome *bao_outcome_make(struct bao_core *core,
                                     struct bao_item *item,
                                     enum bao_state state,
                                     struct bao_text *error,
                                     const struct bao_body *result);
void bao_outcome_own(struct bao_core *core,
                     struct bao_outcome *outcome,
                     struct bao_tally *tally);
void bao_outcome_forget(struct bao_core *core, struct bao_outcome *outcome);
struct bao_watch *bao_watch_find(const struct bao_core *core, uint64_t id);

/* --- leases (SPEC S5) --------------------------------------------------- */

/* Hands a READY item to a session; `fact` says how. */
struct bao_lease *bao_lease_make(struct bao_core *core,
                                 struct bao_item *item,
                                 struct bao_tally *tally,
                                 const struct bao_fact *fact,
                                 uint64_t token);
/* Puts a lease behind all others in the lists of whoever has to do with it. */
void bao_lease_link(struct bao_lease *lease);
/* `settled`: its holder finished with it, so it had been started. */
void bao_lease_end(struct bao_core *core, struct bao_item *item, bool settled);

/* --- the request window of a session (SPEC S3.5) ------------------------ */

/* The request or range that covers `rid`, or NULL: then it is new. */
struct bao_request *bao_window_find(const struct bao_session *session,
                                    uint64_t rid);
/* The first one at or after `rid`, or NULL. */
struct bao_request *bao_window_from(const struct bao_session *session,
                                    uint64_t rid);
void bao_window_add(struct bao_core *core,
                    struct bao_session *session,
                    struct bao_request *request);
void bao_window_remove(struct bao_session *session,
                       struct bao_request *request);
/* An answer in the window, for whoever fills it in and counts its digest. */
struct bao_answer *bao_answer_new(struct bao_core *core,
                                  struct bao_session *session,
                                  uint64_t first,
                                  uint32_t count);
/* Keeps the answer that a fact implies, for `count` requests. */
struct bao_answer *bao_answer_keep(struct bao_core *core,
                                   const struct bao_fact *fact,
                                   uint32_t count);
/* Forgets the kept answers of [first, last]. */
void bao_answer_ack(struct bao_core *core,
                    struct bao_session *session,
                    uint64_t first,
                    uint64_t last);
void bao_answer_drop(struct bao_core *core, struct bao_answer *answer);

/* --- how far a redrive has come (SPEC S2 redrive, S3.5) ------------------ */

/* One of the requests [first, last]; NULL: they moved nothing yet. */
struct bao_progress *bao_progress_within(const struct bao_session *session,
                                         uint64_t first,
                                         uint64_t last);
static inline struct bao_progress *
bao_progress_find(const struct bao_session *session, uint64_t rid)
{
    return bao_progress_within(session, rid, rid);
}
/* One that has moved nothing; not in the digest. */
struct bao_progress *bao_progress_new(struct bao_core *core,
                                      struct bao_session *session,
                                      uint64_t rid);
/* Counts what a fact of the request has moved. */
void bao_progress_count(struct bao_core *core, const struct bao_fact *fact);
void bao_progress_drop(struct bao_core *core, struct bao_progress *one);
/* Forgets those of the requests [first, last]. */
void bao_progress_ack(struct bao_core *core,
                      struct bao_session *session,
                      uint64_t first,
                      uint64_t last);

static inline struct bao_answer *bao_answer_of(struct bao_request *request)
{
    BAO_ASSERT(!request->waiting);
    return BAO_OF(request, struct bao_answer, request);
}

static inline struct bao_waiter *bao_waiter_of(struct bao_request *request)
{
    BAO_ASSERT(request->waiting);
    return BAO_OF(request, struct bao_waiter, request);
}

#endif
