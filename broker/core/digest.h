/*
 * digest.h - one number for all durable state, kept up to date in O(1).
 *
 * It is the sum of a hash of every record: whoever changes one takes the old
 * hash away and adds the new. Counts enter linearly (count * weight), so a
 * change of n is one multiplication. Left out: what clients tell again
 * (waiters, credit, touches), addresses, the order of free memory.
 */
#ifndef BAO_CORE_DIGEST_H
#define BAO_CORE_DIGEST_H

#include "broker/core/state.h"

static inline uint64_t bao_digest_mix(uint64_t value)
{
    value ^= value >> 32;
    value *= UINT64_C(0xd6e8feb86659fd93);
    value ^= value >> 29;
    value *= UINT64_C(0xa0761d6478bd642f);
    return value ^ value >> 32;
}

struct bao_run;

uint64_t bao_digest_item(const struct bao_item *item);
/* The same of an item at rest. */
uint64_t bao_digest_resting(uint64_t id,
                            const struct bao_run *run,
                            uint32_t bytes,
                            uint32_t header_bytes);
uint64_t bao_digest_session(const struct bao_session *session);
uint64_t bao_digest_answer(const struct bao_answer *answer);
uint64_t bao_digest_progress(const struct bao_progress *progress);
uint64_t bao_digest_queue(const struct bao_queue *queue);
uint64_t bao_digest_dedup(const struct bao_dedup *dedup);
uint64_t bao_digest_group(const struct bao_group *group);
uint64_t bao_digest_outcome(const struct bao_outcome *outcome);
uint64_t bao_digest_ledger(const struct bao_ledger *ledger);
uint64_t bao_digest_counts(const struct bao_queue *queue);
/* The counters of the broker itself: epoch, token, ... */
uint64_t bao_digest_core(const struct bao_core *core);

/* An item that has a record is about to change or go: what it added comes out
 * as it went in, so that each change costs one hash. */
static inline void bao_digest_leave(struct bao_core *core,
                                    const struct bao_item *item)
{
    core->digest -= item->digest;
}

/* It is new, or has changed. */
static inline void bao_digest_enter(struct bao_core *core,
                                    struct bao_item *item)
{
    item->digest = bao_digest_item(item);
    core->digest += item->digest;
}
#endif
