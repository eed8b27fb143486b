/*
 * group.c - named counters inside a queue (SPEC S1).
 *
 * A group lives while something in it is open, in `open_groups` of its
 * queue; then its counts stay for group_ttl, in `finished`, oldest first.
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/items.h"
#include "broker/core/memory.h"
#include "broker/core/tally.h"

static uint64_t name_hash(const struct bao_queue *queue, struct bao_span name)
{
    return bao_hash_bytes(name, queue->incarnation);
}

struct bao_group *bao_group_find(const struct bao_core *core,
                                 const struct bao_queue *queue,
                                 struct bao_span name)
{
    struct bao_table_node *node =
        bao_table_first(&core->groups, name_hash(queue, name));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_group *group = BAO_OF(node, struct bao_group, by_name);
        if (group->queue == queue &&
            bao_span_equal(bao_text_span(group->name), name)) {
            return group;
        }
    }
    return NULL;
}

struct bao_group *bao_group_make(struct bao_core *core,
                                 struct bao_queue *queue,
                                 struct bao_span name)
{
    BAO_ASSERT(name.bytes > 0);
    BAO_ASSERT(name.bytes <= BAO_GROUP_NAME_BYTES_MAX);
    uint64_t hash = name_hash(queue, name);
    struct bao_group *group = bao_take_slot(core, &core->groups_pool);
    bao_ledger_init(&group->ledger, bao_digest_mix(hash + 1));
    group->queue = queue;
    group->stamp = core->stamp;
    group->name = bao_text_make(core, name);
    bao_table_put(&core->groups, &group->by_name, hash);
    bao_list_push(&queue->open_groups, &group->finished);
    queue->group_count++;
    core->digest += bao_digest_group(group);
    return group;
}

void bao_group_accept(struct bao_core *core,
                      struct bao_group *group,
                      uint64_t count)
{
    bao_image_touch_group(core, group);
    if (group->ledger.unfinished == 0 && group->ledger.accepted > 0) {
        bao_list_remove(&group->queue->finished, &group->finished);
        bao_list_push(&group->queue->open_groups, &group->finished);
        bao_timer_stop(core, &group->timer);
    }
    bao_ledger_accept(core, &group->ledger, count);
}

void bao_group_settle(struct bao_core *core,
                      struct bao_group *group,
                      enum bao_ending ending)
{
    bao_image_touch_group(core, group);
    bao_ledger_settle(core, &group->ledger, ending);
    if (group->ledger.unfinished > 0) {
        return;
    }
    bao_list_remove(&group->queue->open_groups, &group->finished);
    bao_group_finish(core, group, core->now_us);
}

void bao_group_finish(struct bao_core *core,
                      struct bao_group *group,
                      uint64_t finished_us)
{
    group->finished_us = finished_us;
    bao_list_push(&group->queue->finished, &group->finished);
    bao_timer_set(core,
                  &group->timer,
                  BAO_TIMER_GROUP,
                  bao_later(finished_us,
                            bao_us_of_ms(group->queue->options.group_ttl_ms)),
                  group->ledger.weight);
}

void bao_group_forget(struct bao_core *core, struct bao_group *group)
{
    struct bao_queue *queue = group->queue;
    BAO_ASSERT(group->ledger.unfinished == 0);
    BAO_ASSERT(queue->group_count > 0);
    bao_image_touch_group(core, group);
    bao_list_remove(&queue->finished, &group->finished);
    bao_timer_stop(core, &group->timer);
    bao_table_remove(&core->groups, &group->by_name);
    queue->group_count--;
    core->digest -= bao_digest_group(group);
    bao_ledger_fini(core, &group->ledger);
    bao_text_drop(core, group->name);
    bao_pool_give(&core->groups_pool, group);
}
