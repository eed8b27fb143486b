/*
 * push.h - subscriptions: items pushed ahead, never more than the credit.
 */
#ifndef BAO_CORE_PUSH_H
#define BAO_CORE_PUSH_H

#include "broker/core/out.h"

/* A subscription at the head of the line gets its share and goes to the
 * tail, or out of the line while it has no credit. `left` waiters, itself the
 * first, are to be served before one has its second turn. */
void bao_push_serve(struct bao_core *core,
                    struct bao_waiter *waiter,
                    size_t left);
/* The time that a lease of this queue gets; 0 = no deadline. */
uint64_t bao_lease_us_of(const struct bao_queue *queue,
                         const struct bao_operation *op,
                         bool automatic);
/* What is left of a lease; 0 = it has no deadline. */
uint64_t bao_lease_left(const struct bao_core *core,
                        const struct bao_lease *lease);
/* How many leases from the first on one answer can speak of. */
uint32_t bao_get_first_run(struct bao_lease *const *leases, uint32_t count);
/* At its session's death: had this pushed item been started? */
bool bao_push_was_started(struct bao_lease *lease);

#endif
