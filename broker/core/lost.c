/*
 * lost.c - items whose payload is in the log no more.
 *
 * A repair cuts the log (`baozi log repair`). What it cuts off may have ended
 * items, and the segment with their bytes went for it; with their end gone the
 * items are here again, and their bytes are not. A start asks for everything
 * that should have bytes, and tells the core what has none: the item ends as
 * purged, a dead one and a kept result are forgotten. These are facts like
 * any other, so a later start need not know of the repair.
 */
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/order.h"
#include "broker/core/settle.h"
#include "broker/core/shelf.h"
#include "broker/core/store.h"

static void list_items(const struct bao_queue *queue,
                       bao_core_take_payload *take,
                       void *context)
{
    uint64_t from = 0;
    for (;;) {
        struct bao_item room;
        const struct bao_item *item =
            bao_order_look(queue, BAO_TREE_ANY, from, &room);
        if (item == NULL) {
            return;
        }
        from = (item->id & BAO_N_MASK) + 1;
        if (item->bytes > 0) {
            take(context,
                 &(struct bao_core_payload){.id = item->id,
                                            .bytes = item->bytes});
        }
    }
}

static void list_results(const struct bao_queue *queue,
                         bao_core_take_payload *take,
                         void *context)
{
    struct bao_link *link = bao_list_first(&queue->outcomes);
    for (; link != NULL; link = bao_list_next(&queue->outcomes, link)) {
        const struct bao_outcome *outcome =
            BAO_OF(link, struct bao_outcome, of_queue);
        if (outcome->result_bytes > 0) {
            take(context,
                 &(struct bao_core_payload){.id = outcome->id,
                                            .bytes = outcome->result_bytes,
                                            .result = true});
        }
    }
}

void bao_core_payloads(const struct bao_core *core,
                       bao_core_take_payload *take,
                       void *context)
{
    for (const struct bao_queue *queue = core->names[0]; queue != NULL;
         queue = queue->next_name[0]) {
        list_items(queue, take, context);
        list_results(queue, take, context);
    }
}

static void
forget_result(struct bao_core *core, const struct bao_queue *queue, uint64_t id)
{
    if (bao_outcome_find(core, id) == NULL) {
        return;
    }
    uint64_t *ids = bao_scratch_take(core, sizeof(*ids));
    ids[0] = id;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_OUTCOME_FORGOTTEN);
    fact->queue = queue->incarnation;
    fact->ids = ids;
    fact->count = 1;
    bao_decide(core, fact);
}

void bao_lost(struct bao_core *core, const struct bao_core_payload *payload)
{
    struct bao_queue *queue = bao_queue_of(core, payload->id >> BAO_ID_SHIFT);
    if (queue == NULL) {
        return;
    }
    if (payload->result) {
        BAO_MARK("a result is forgotten, for its bytes were cut off");
        forget_result(core, queue, payload->id);
        return;
    }
    struct bao_item *item = bao_item_at(core, queue, payload->id);
    if (item == NULL) {
        return;
    }
    BAO_MARK("an item ends, for its bytes were cut off");
    struct bao_vector vector;
    struct bao_fate fate = {.kind = BAO_FACT_DEAD_FORGOTTEN};
    if (item->state != BAO_STATE_DEAD) {
        fate = bao_fate_of_end(core, item, BAO_STATE_PURGED);
    }
    bao_vector_open(core, &vector, 1);
    bao_vector_add(core, &vector, item, fate, 0);
    bao_vector_flush(core, &vector);
}
