/*
 * put.h - accepting items, and puts that wait for room.
 */
#ifndef BAO_CORE_PUT_H
#define BAO_CORE_PUT_H

#include "broker/core/out.h"

void bao_put(struct bao_core *core, const struct bao_call *call);
/* BODY: what SEND_BODY asked for. */
void bao_put_body(struct bao_core *core, const struct bao_call *call);

/* Serves the waiting puts of a queue in order, as far as there is room. */
void bao_put_serve(struct bao_core *core, struct bao_queue *queue);
/* Makes `rid` of a waiting vector a waiter of its own; what lies before and
 * behind it keeps its place in the line. */
struct bao_waiter *
bao_put_split(struct bao_core *core, struct bao_waiter *waiter, uint64_t rid);
/* SEND_BODY is asked again by who comes back. */
void bao_put_unask(struct bao_core *core, struct bao_waiter *waiter);
/* Copies `call->count` items of an offer, from `call->from` on, to where they
 * may wait; bodies are kept while the caps allow, else they are asked for
 * when their turn comes (SPEC S3.3). */
struct bao_parked *bao_park(struct bao_core *core,
                            const struct bao_call *call,
                            struct bao_queue *queue,
                            const struct bao_parked *offer);
/* One waiter less has what it parked. */
void bao_parked_drop(struct bao_core *core, struct bao_waiter *waiter);

/* The rules of one accept, shared with redrive (offer.c). */
struct bao_place {
    enum baozi_status status; /* OK: `count` items may come in now; FULL */
    uint32_t count;
    bool later; /* what does not come in is only too much for this step */
    struct bao_span why;
};
struct bao_place bao_offer_place(struct bao_core *core,
                                 struct bao_queue *queue,
                                 const struct bao_parked *offer,
                                 uint32_t from,
                                 uint32_t count);
/* The record that makes the offer a duplicate, or NULL. One whose time is
 * over is forgotten first. */
const struct bao_dedup *bao_offer_twin(struct bao_core *core,
                                       struct bao_queue *queue,
                                       const struct bao_parked *offer);
/* QUOTA if a new key, group or payload cannot be kept, STORAGE_FULL if the log
 * has no room for `count` payloads, `bytes` in all. */
enum baozi_status bao_offer_admit(struct bao_core *core,
                                  struct bao_queue *queue,
                                  const struct bao_parked *offer,
                                  uint64_t bytes,
                                  uint32_t count,
                                  struct bao_span *why);
/* Reads the items of a PUT that the call stands for (all, if it is ATOMIC)
 * into an offer in scratch. False: it was refused. */
bool bao_offer_read(struct bao_core *core,
                    const struct bao_call *call,
                    struct bao_queue *queue,
                    struct bao_parked *offer);
/* Items of the queue that its bound counts. */
uint64_t bao_queue_held(const struct bao_queue *queue);

static inline bool bao_offer_is_atomic(const struct bao_parked *offer)
{
    return (offer->flags & BAO_FLAG_ATOMIC) != 0;
}

/* Its bodies are still with the client. */
static inline bool bao_offer_is_bodyless(const struct bao_parked *offer)
{
    return (offer->flags & BAO_FLAG_NO_BODY) != 0 && offer->bytes > 0;
}

#endif
