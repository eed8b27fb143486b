/*
 * join.h - waiting until everything in a scope is settled (SPEC S4).
 */
#ifndef BAO_CORE_JOIN_H
#define BAO_CORE_JOIN_H

#include "broker/core/out.h"

void bao_join(struct bao_core *core, const struct bao_call *call);
/* Answers the joiners of ledgers that reached 0, as far as there is room. */
void bao_join_wake(struct bao_core *core);
/* Answers those who join "up to now" and whose mark is passed. */
void bao_join_serve(struct bao_core *core, struct bao_queue *queue);
/* Its time is over. */
void bao_join_due(struct bao_core *core, struct bao_waiter *waiter);
/* True if its answer is only waiting for room. */
bool bao_join_is_woken(const struct bao_waiter *waiter);
/* A kept JOIN answer, again. */
void bao_join_again(struct bao_core *core, const struct bao_answer *kept);

#endif
