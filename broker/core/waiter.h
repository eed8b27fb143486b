/*
 * waiter.h - requests that wait: their place in the window, their time, and
 * how each kind leaves its line.
 */
#ifndef BAO_CORE_WAITER_H
#define BAO_CORE_WAITER_H

#include "broker/core/out.h"

/* True if the session may have so many more waiting requests; else the call
 * is refused with QUOTA. */
bool bao_waiter_has_place(struct bao_core *core, const struct bao_call *call);
/* The same, and there is memory for what grows. */
bool bao_waiter_admits(struct bao_core *core, const struct bao_call *call);
/* A waiter for the call's requests, in the window; its timer follows
 * WAIT_MS. The caller puts it into its line. */
struct bao_waiter *bao_waiter_new(struct bao_core *core,
                                  const struct bao_call *call,
                                  enum bao_waiter_kind kind,
                                  struct bao_queue *queue);
/* The time that is left for a request, from now; BAO_NEVER = for ever. */
uint64_t bao_waiter_until(const struct bao_core *core,
                          const struct bao_operation *operation);
void bao_waiter_time(struct bao_core *core,
                     struct bao_waiter *waiter,
                     uint64_t until_us);
/* The first `count` of its requests are answered; with the last one it ends. */
void bao_waiter_shrink(struct bao_core *core,
                       struct bao_waiter *waiter,
                       uint32_t count);
/* Takes it out of everything and gives it back. It says nothing. */
void bao_waiter_end(struct bao_core *core, struct bao_waiter *waiter);
/* What a refusal of all its requests is written for. */
struct bao_call bao_waiter_call(const struct bao_waiter *waiter);
/* Refuses all its requests and ends it. */
void bao_waiter_refuse(struct bao_core *core,
                       struct bao_waiter *waiter,
                       enum baozi_status status,
                       struct bao_span why);
/* Its deadline came. */
void bao_waiter_due(struct bao_core *core, struct bao_waiter *waiter);
/* CANCEL of one of its requests. */
void bao_waiter_cancel(struct bao_core *core,
                       struct bao_waiter *waiter,
                       uint64_t rid);
/* True if its session may still be served. */
static inline bool bao_waiter_lives(const struct bao_waiter *waiter)
{
    return waiter->session->state == BAO_SESSION_LIVE &&
           !waiter->session->leaving;
}

#endif
