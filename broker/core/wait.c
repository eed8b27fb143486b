/*
 * wait.c - who waits for which item's outcome.
 *
 * Invariant: an item is flagged WATCHED exactly while a watch with waiters
 * exists for it and it is not settled.
 */
#include "broker/core/wait.h"

#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/store.h"
#include "broker/core/waiter.h"

/* How an item ended, as an answer says it. */
struct ending {
    uint64_t id;
    struct bao_span error;
    uint32_t result_bytes;
    uint16_t state;
    bool result;
};

static void say(struct bao_core *core,
                const struct bao_session *session,
                const struct bao_queue *queue,
                uint64_t rid,
                const struct ending *ending)
{
    struct bao_operation *op =
        bao_reply(core, session, queue, BAO_VERB_WAIT, rid, BAOZI_OK);
    BAO_SET(op, ID, id, ending->id);
    BAO_SET(op, STATE, state, ending->state);
    if (ending->error.bytes > 0) {
        BAO_SET(op, ERROR, error, ending->error);
    }
    if (ending->result) {
        uint8_t *length = bao_scratch_take(core, 4);
        bao_store32(length, ending->result_bytes);
        BAO_SET(op, LENGTHS, lengths, bao_span_of(length, 4));
        bao_reply_is_result(core);
    }
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

static void answer(struct bao_core *core,
                   const struct bao_call *call,
                   struct bao_queue *queue,
                   const struct ending *ending)
{
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ANSWERED);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_WAIT;
    fact->queue = queue->incarnation;
    fact->first_id = ending->id;
    fact->state = ending->state;
    fact->error = ending->error;
    bao_decide(core, fact);
    say(core, call->session, queue, call->rid, ending);
}

void bao_wait_again(struct bao_core *core, const struct bao_answer *kept)
{
    struct ending ending = {.id = kept->first_id,
                            .state = (uint16_t)kept->number};
    ending.error = bao_scratch_copy(core, bao_text_span(kept->extra));
    const struct bao_outcome *outcome = bao_outcome_find(core, kept->first_id);
    if (outcome != NULL) {
        ending.result = outcome->result;
        ending.result_bytes = outcome->result_bytes;
    }
    say(core,
        kept->session,
        bao_queue_of(core, kept->queue),
        kept->request.first,
        &ending);
}

/* --- watches -------------------------------------------------------------- */

static void watch_free(struct bao_core *core, struct bao_watch *watch)
{
    BAO_ASSERT(watch->waiters.count == 0);
    if (bao_link_is_listed(&watch->woken)) {
        bao_list_remove(&core->woken_watches, &watch->woken);
    }
    bao_table_remove(&core->watches, &watch->by_id);
    bao_text_drop(core, watch->error);
    bao_pool_give(&core->watches_pool, watch);
}

void bao_watch_leave(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_watch *watch = waiter->watch;
    bao_list_remove(&watch->waiters, &waiter->place);
    if (watch->waiters.count > 0) {
        return;
    }
    struct bao_queue *queue = bao_queue_of(core, watch->id >> BAO_ID_SHIFT);
    struct bao_item *item =
        queue == NULL ? NULL : bao_item_find(queue, watch->id);
    if (item != NULL) {
        item->flags &= (uint8_t)~BAO_ITEM_WATCHED;
        bao_item_rest(core, item);
    }
    watch_free(core, watch);
}

void bao_watch_wake(struct bao_core *core)
{
    while (core->woken_watches.count > 0 && bao_out_has_room(core)) {
        struct bao_watch *watch = BAO_OF(
            bao_list_first(&core->woken_watches), struct bao_watch, woken);
        struct bao_waiter *waiter =
            BAO_OF(bao_list_first(&watch->waiters), struct bao_waiter, place);
        struct bao_call call = bao_waiter_call(waiter);
        struct bao_queue *queue = bao_queue_of(core, watch->id >> BAO_ID_SHIFT);
        struct ending ending = {.id = watch->id,
                                .state = watch->state,
                                .result = watch->result,
                                .result_bytes = watch->result_bytes};
        ending.error = bao_scratch_copy(core, bao_text_span(watch->error));
        const bool lives = bao_waiter_lives(waiter);
        bao_waiter_end(core, waiter); /* the last one ends the watch */
        if (lives) {
            BAO_MARK("a wait is answered");
            answer(core, &call, queue, &ending);
        }
    }
    if (core->woken_watches.count > 0) {
        core->awake = true;
    }
}

static void watch(struct bao_core *core,
                  const struct bao_call *call,
                  struct bao_queue *queue)
{
    const uint64_t id = call->operation->id;
    struct bao_watch *watch = bao_watch_find(core, id);
    if (watch == NULL) {
        watch = bao_take_slot(core, &core->watches_pool);
        watch->id = id;
        bao_list_init(&watch->waiters);
        bao_table_put(&core->watches, &watch->by_id, bao_hash_number(id, 0));
        bao_item_at(core, queue, id)->flags |= BAO_ITEM_WATCHED;
    }
    struct bao_waiter *waiter =
        bao_waiter_new(core, call, BAO_WAITER_OUTCOME, NULL);
    waiter->watch = watch;
    bao_list_push(&watch->waiters, &waiter->place);
}

/* --- the verb ------------------------------------------------------------- */

/* Neither live nor kept. */
static void refuse(struct bao_core *core,
                   const struct bao_call *call,
                   const struct bao_queue *queue)
{
    const struct bao_operation *op = call->operation;
    if (bao_has(op, BAO_BIT(BOOT)) && op->boot != core->config.boot &&
        (queue == NULL || !queue->logged)) {
        bao_refuse(core,
                   call,
                   BAOZI_LOST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("the item was lost in a restart of the broker; "
                               "put it again"));
        return;
    }
    bao_refuse(core,
               call,
               BAOZI_NOT_FOUND,
               bao_span_of(NULL, 0),
               BAO_LITERAL("no such item, or nobody keeps its outcome any "
                           "more; put with want_result to keep it"));
}

void bao_wait(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_queue_of(core, op->id >> BAO_ID_SHIFT);
    const struct bao_outcome *outcome = bao_outcome_find(core, op->id);
    struct ending ending = {.id = op->id};
    if (queue != NULL && outcome != NULL) {
        ending.state = outcome->state;
        ending.error = bao_scratch_copy(core, bao_text_span(outcome->error));
        ending.result = outcome->result;
        ending.result_bytes = outcome->result_bytes;
        answer(core, call, queue, &ending);
        return;
    }
    struct bao_item room;
    const struct bao_item *item =
        queue == NULL ? NULL : bao_item_look(queue, op->id, &room);
    if (item == NULL || queue->deleting) {
        refuse(core, call, queue);
        return;
    }
    if (item->state == BAO_STATE_DEAD) {
        ending.state = BAO_STATE_DEAD;
        if (item->note != NULL) {
            ending.error =
                bao_scratch_copy(core, bao_text_span(item->note->error));
        }
        answer(core, call, queue, &ending);
        return;
    }
    if (bao_has(op, BAO_BIT(WAIT_MS)) && op->wait_ms == 0) {
        bao_refuse(core,
                   call,
                   BAOZI_TIMEOUT,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("the item is not settled yet"));
        return;
    }
    if (bao_waiter_admits(core, call)) {
        watch(core, call, queue);
    }
}
