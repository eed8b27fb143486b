/*
 * store.h - the only code that changes durable state: facts, applied.
 *
 * A step applies each fact as it decides it; replay applies those of a log.
 * Both end in the same state: digest(live) == digest(replay(facts)).
 */
#ifndef BAO_CORE_STORE_H
#define BAO_CORE_STORE_H

#include "broker/core/state.h"

/* Applies one fact; core->fact_queue is its queue afterwards, or NULL. */
void bao_store_apply(struct bao_core *core, const struct bao_fact *fact);

/* True if a log must have this fact, which was just applied. */
bool bao_store_logs(const struct bao_core *core, const struct bao_fact *fact);

/* The parts: facts of items, and of sessions. */
void bao_store_put(struct bao_core *core, const struct bao_fact *fact);
void bao_store_ready(struct bao_core *core, const struct bao_fact *fact);
void bao_store_leased(struct bao_core *core, const struct bao_fact *fact);
void bao_store_returned(struct bao_core *core, const struct bao_fact *fact);
void bao_store_taken(struct bao_core *core, const struct bao_fact *fact);
void bao_store_settled(struct bao_core *core, const struct bao_fact *fact);
void bao_store_dead(struct bao_core *core, const struct bao_fact *fact);
void bao_store_dead_forgotten(struct bao_core *core,
                              const struct bao_fact *fact);
void bao_store_cancel_asked(struct bao_core *core, const struct bao_fact *fact);
void bao_store_prepaid(struct bao_core *core, const struct bao_fact *fact);

void bao_store_opened(struct bao_core *core, const struct bao_fact *fact);
void bao_store_ended(struct bao_core *core, const struct bao_fact *fact);
void bao_store_revived(struct bao_core *core, const struct bao_fact *fact);
void bao_store_forgotten(struct bao_core *core, const struct bao_fact *fact);
void bao_store_acked(struct bao_core *core, const struct bao_fact *fact);
void bao_store_answered(struct bao_core *core, const struct bao_fact *fact);

void bao_store_queue_made(struct bao_core *core, const struct bao_fact *fact);
void bao_store_queue_set(struct bao_core *core, const struct bao_fact *fact);
void bao_store_queue_shut(struct bao_core *core, const struct bao_fact *fact);
void bao_store_queue_gone(struct bao_core *core, const struct bao_fact *fact);
void bao_store_epoch(struct bao_core *core, const struct bao_fact *fact);

/* A queue with nothing in it, found by name and incarnation; whoever makes it
 * counts it in the digest and puts it among the names. */
struct bao_queue *bao_queue_new(struct bao_core *core,
                                uint64_t incarnation,
                                struct bao_span name,
                                const struct bao_queue_options *options);

/* A session as a SESSION_OPENED says, found by number and client; whoever
 * makes it counts it. `remember` is for one that is dead. */
struct bao_session *bao_session_new(struct bao_core *core,
                                    const struct bao_fact *fact);
void bao_session_remember(struct bao_core *core, struct bao_session *session);

/* The queue of an incarnation, or NULL; of a name, or NULL. */
struct bao_queue *bao_queue_of(struct bao_core *core, uint64_t incarnation);
/* The same, and nothing is remembered. */
struct bao_queue *bao_queue_look(const struct bao_core *core,
                                 uint64_t incarnation);
struct bao_queue *bao_queue_named(struct bao_core *core, struct bao_span name);
/* The first queue whose name is after `name`, in byte order, or NULL. */
struct bao_queue *bao_queue_after(const struct bao_core *core,
                                  struct bao_span name);
struct bao_session *bao_session_of(const struct bao_core *core,
                                   uint64_t number);

#endif
