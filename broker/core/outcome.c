/*
 * outcome.c - how items ended, for those who asked (SPEC S2 wait).
 *
 * Invariant: an outcome is owned by one tally at most; with its session gone
 * for result_ttl it is forgotten. Result bytes count as body bytes.
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/tally.h"

struct bao_outcome *bao_outcome_find(const struct bao_core *core, uint64_t id)
{
    struct bao_table_node *node =
        bao_table_first(&core->outcomes, bao_hash_number(id, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_outcome *outcome = BAO_OF(node, struct bao_outcome, by_id);
        if (outcome->id == id) {
            return outcome;
        }
    }
    return NULL;
}

struct bao_outcome *
bao_outcome_new(struct bao_core *core, struct bao_queue *queue, uint64_t id)
{
    BAO_ASSERT(bao_outcome_find(core, id) == NULL);
    struct bao_outcome *outcome = bao_take_slot(core, &core->outcomes_pool);
    outcome->id = id;
    outcome->queue = queue;
    outcome->stamp = core->stamp;
    bao_table_put(&core->outcomes, &outcome->by_id, bao_hash_number(id, 0));
    bao_list_push(&queue->outcomes, &outcome->of_queue);
    return outcome;
}

struct bao_outcome *bao_outcome_make(struct bao_core *core,
                                     struct bao_item *item,
                                     enum bao_state state,
                                     struct bao_text *error,
                                     const struct bao_body *result)
{
    struct bao_outcome *outcome = bao_outcome_new(core, item->queue, item->id);
    outcome->state = (uint8_t)state;
    outcome->error = bao_text_share(error);
    outcome->result = result->hold != 0;
    outcome->result_bytes = result->bytes;
    core->body_bytes += result->bytes;
    core->unlogged_bytes += item->queue->logged ? 0 : result->bytes;
    core->digest += bao_digest_outcome(outcome);
    if ((item->flags & BAO_ITEM_WANT_RESULT) != 0 && item->tally != NULL) {
        bao_outcome_own(core, outcome, item->tally);
    }
    return outcome;
}

void bao_outcome_own(struct bao_core *core,
                     struct bao_outcome *outcome,
                     struct bao_tally *tally)
{
    if (outcome->owner != NULL) {
        return;
    }
    bao_image_touch_outcome(core, outcome);
    core->digest -= bao_digest_outcome(outcome);
    outcome->owner = tally;
    bao_list_push(&tally->outcomes, &outcome->of_owner);
    core->digest += bao_digest_outcome(outcome);
    bao_tally_ended(core, tally, tally->ended_us);
}

void bao_outcome_forget(struct bao_core *core, struct bao_outcome *outcome)
{
    struct bao_tally *owner = outcome->owner;
    bao_image_touch_outcome(core, outcome);
    core->digest -= bao_digest_outcome(outcome);
    BAO_ASSERT(core->body_bytes >= outcome->result_bytes);
    core->body_bytes -= outcome->result_bytes;
    core->unlogged_bytes -= outcome->queue->logged ? 0 : outcome->result_bytes;
    bao_table_remove(&core->outcomes, &outcome->by_id);
    bao_list_remove(&outcome->queue->outcomes, &outcome->of_queue);
    if (owner != NULL) {
        bao_list_remove(&owner->outcomes, &outcome->of_owner);
    }
    bao_text_drop(core, outcome->error);
    bao_pool_give(&core->outcomes_pool, outcome);
    if (owner != NULL) {
        bao_tally_tidy(core, owner);
    }
}

struct bao_watch *bao_watch_find(const struct bao_core *core, uint64_t id)
{
    struct bao_table_node *node =
        bao_table_first(&core->watches, bao_hash_number(id, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_watch *watch = BAO_OF(node, struct bao_watch, by_id);
        if (watch->id == id) {
            return watch;
        }
    }
    return NULL;
}
