/*
 * wait.h - an item's final state as an event (SPEC S2 wait).
 */
#ifndef BAO_CORE_WAIT_H
#define BAO_CORE_WAIT_H

#include "broker/core/out.h"

void bao_wait(struct bao_core *core, const struct bao_call *call);
/* Answers those who wait for items that are settled now. */
void bao_watch_wake(struct bao_core *core);
/* A waiter gives up. */
void bao_watch_leave(struct bao_core *core, struct bao_waiter *waiter);
/* A kept WAIT answer, again. */
void bao_wait_again(struct bao_core *core, const struct bao_answer *kept);

#endif
