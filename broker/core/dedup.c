/*
 * dedup.c - the callers' own keys: one record each, while it may answer.
 *
 * Invariant: a record exists while its window runs or an unsettled item holds
 * it; queue->dedup_count counts them.
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"

static uint64_t key_hash(const struct bao_queue *queue, struct bao_span key)
{
    return bao_hash_bytes(key, queue->incarnation);
}

struct bao_dedup *bao_dedup_find(const struct bao_core *core,
                                 const struct bao_queue *queue,
                                 struct bao_span key)
{
    struct bao_table_node *node =
        bao_table_first(&core->dedups, key_hash(queue, key));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_dedup *dedup = BAO_OF(node, struct bao_dedup, by_key);
        if (dedup->queue == queue &&
            bao_span_equal(bao_text_span(dedup->key), key)) {
            return dedup;
        }
    }
    return NULL;
}

struct bao_dedup *bao_dedup_new(struct bao_core *core,
                                struct bao_queue *queue,
                                struct bao_span key)
{
    struct bao_dedup *dedup = bao_take_slot(core, &core->dedups_pool);
    dedup->queue = queue;
    dedup->key = bao_text_make(core, key);
    dedup->stamp = core->stamp;
    bao_table_put(&core->dedups, &dedup->by_key, key_hash(queue, key));
    bao_list_push(&queue->dedups, &dedup->of_queue);
    queue->dedup_count++;
    return dedup;
}

struct bao_dedup *bao_dedup_take(struct bao_core *core,
                                 struct bao_queue *queue,
                                 struct bao_span key,
                                 uint64_t first_id,
                                 uint64_t until_us)
{
    BAO_ASSERT(key.bytes > 0);
    BAO_ASSERT(key.bytes <= BAO_KEY_BYTES_MAX);
    struct bao_dedup *dedup = bao_dedup_find(core, queue, key);
    if (dedup == NULL) {
        dedup = bao_dedup_new(core, queue, key);
    } else {
        bao_image_touch_dedup(core, dedup);
        core->digest -= bao_digest_dedup(dedup);
    }
    dedup->first_id = first_id;
    if (until_us > dedup->until_us) {
        dedup->until_us = until_us;
        bao_timer_set(core, &dedup->timer, BAO_TIMER_DEDUP, until_us, first_id);
    }
    core->digest += bao_digest_dedup(dedup);
    return dedup;
}

void bao_dedup_hold(struct bao_core *core, struct bao_dedup *dedup)
{
    bao_image_touch_dedup(core, dedup);
    core->digest -= bao_digest_dedup(dedup);
    dedup->live++;
    core->digest += bao_digest_dedup(dedup);
}

void bao_dedup_release(struct bao_core *core, struct bao_dedup *dedup)
{
    BAO_ASSERT(dedup->live > 0);
    bao_image_touch_dedup(core, dedup);
    core->digest -= bao_digest_dedup(dedup);
    dedup->live--;
    core->digest += bao_digest_dedup(dedup);
    if (dedup->live == 0 && dedup->until_us == 0) {
        bao_dedup_forget(core, dedup);
    }
}

void bao_dedup_forget(struct bao_core *core, struct bao_dedup *dedup)
{
    bao_image_touch_dedup(core, dedup);
    core->digest -= bao_digest_dedup(dedup);
    bao_timer_stop(core, &dedup->timer);
    if (dedup->live > 0) {
        /* The window is over, but the item is not settled. */
        dedup->until_us = 0;
        core->digest += bao_digest_dedup(dedup);
        return;
    }
    BAO_ASSERT(dedup->queue->dedup_count > 0);
    dedup->queue->dedup_count--;
    bao_list_remove(&dedup->queue->dedups, &dedup->of_queue);
    bao_table_remove(&core->dedups, &dedup->by_key);
    bao_text_drop(core, dedup->key);
    bao_pool_give(&core->dedups_pool, dedup);
}
