/*
 * out.h - what a step says: facts, effects, texts, all in scratch memory.
 *
 * Scratch is reset at the start of a step or tick; everything handed out is
 * lent until then. Loops that could say more than fits ask
 * bao_out_has_room() and go on in the next tick.
 */
#ifndef BAO_CORE_OUT_H
#define BAO_CORE_OUT_H

#include "broker/core/state.h"

/* A part of a request: `count` requests from entry `from` of its operation
 * on, the first of which is `rid`. */
struct bao_call {
    const struct bao_operation *operation; /* NULL: from a waiter */
    struct bao_session *session;
    uint64_t hold;
    uint64_t rid;
    uint32_t from;
    uint32_t count;
    uint16_t verb;
};

#define BAO_LITERAL(text) bao_span_of((text), sizeof(text) - 1)

void bao_out_init(struct bao_core *core);
void bao_out_begin(struct bao_core *core);
void bao_out_end(struct bao_core *core, struct bao_out *out);
/* Room for one more piece of unbounded work. */
bool bao_out_has_room(const struct bao_core *core);

/* Never NULL; not cleared. */
void *bao_scratch_take(struct bao_core *core, size_t bytes);
struct bao_span bao_scratch_copy(struct bao_core *core, struct bao_span span);

/* The next fact, cleared, with its kind and time: fill it, then decide. */
struct bao_fact *bao_fact_new(struct bao_core *core, enum bao_fact_kind kind);
/* Says the fact and makes it true. */
void bao_decide(struct bao_core *core, struct bao_fact *fact);

/* An answer to `rid` of a session; it goes nowhere if that is not connected.
 * VERB, RID and STATUS are set; all other keys are absent. */
struct bao_operation *bao_reply(struct bao_core *core,
                                const struct bao_session *session,
                                const struct bao_queue *queue,
                                uint16_t verb,
                                uint64_t rid,
                                enum baozi_status status);
/* A notice to a session, with VERB. */
struct bao_operation *bao_notice(struct bao_core *core,
                                 const struct bao_session *session,
                                 const struct bao_queue *queue,
                                 uint16_t verb);
/* What the reply or notice made last must wait for; nothing if not said. */
void bao_reply_waits(struct bao_core *core, enum bao_wait wait);
void bao_reply_is_result(struct bao_core *core);

/* GONE to a peer without a session (or that lost it). */
void bao_say_gone(struct bao_core *core,
                  uint64_t peer,
                  enum baozi_status status,
                  struct bao_span why);
void bao_say_hold(struct bao_core *core,
                  enum bao_effect_kind kind,
                  uint64_t hold);

/* A negative answer for all of a call's requests, with a text: what the queue
 * is, why, what to do. `queue` may be absent. */
void bao_refuse(struct bao_core *core,
                const struct bao_call *call,
                enum baozi_status status,
                struct bao_span queue,
                struct bao_span why);
#endif
