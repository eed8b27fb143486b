/*
 * redrive.c - the dead are accepted anew (SPEC S2 redrive).
 *
 * Each one moved is a new item with a new id and `origin`; the dead one is
 * forgotten but stays counted as dead, so counters never fall. A redrive
 * stands behind no line: where a put would have to wait, it ends.
 *
 * What it has moved is kept with its request until it is answered
 * (progress.c): sent again after a start, or by a session that came back from
 * the dead, it goes on.
 */
#include "broker/core/admin.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/look.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/put.h"
#include "broker/core/room.h"
#include "broker/core/waiter.h"
#include "common/planted.h"

void bao_redrive(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL || bao_line_drains(core, call)) {
        return;
    }
    const struct bao_progress *before =
        bao_progress_find(call->session, call->rid);
    if (before != NULL && (before->queue != queue->incarnation ||
                           (BAO_PLANTED(REDRIVE_ANEW) && core->epoch > 1))) {
        before = NULL;
    }
    if (queue->shut > 0 && before == NULL) {
        bao_refuse(core,
                   call,
                   BAOZI_SHUTDOWN,
                   op->queue,
                   BAO_LITERAL("it is shut down; reopen it first"));
        return;
    }
    struct bao_chore *chore =
        bao_chore_new(core, call, BAO_CHORE_REDRIVE, queue);
    if (chore == NULL) {
        return;
    }
    if (before != NULL) {
        BAO_MARK("a redrive goes on where it was");
        chore->mark = before->mark;
        chore->moved = before->moved;
    }
    chore->next_us = core->now_us;
    chore->limit = bao_has(op, BAO_BIT(LIMIT)) && op->limit > 0
                       ? (uint32_t)op->limit
                       : UINT32_MAX;
    if (bao_has(op, BAO_BIT(RATE))) {
        chore->rate = (uint32_t)op->rate;
    }
    if (bao_has(op, BAO_BIT(MATCH))) {
        chore->match = bao_text_make(core, op->match);
    }
    const size_t entries =
        bao_has(op, BAO_BIT(IDS)) ? bao_column64_count(op->ids) : 0;
    if (entries > 0) {
        chore->ids = bao_take(core, entries * sizeof(*chore->ids));
        chore->id_count = (uint32_t)entries;
        for (size_t i = 0; i < entries; i++) {
            chore->ids[i] = bao_column64(op->ids, i);
        }
    }
}

bool bao_span_contains(struct bao_span text, struct bao_span part)
{
    for (size_t i = 0; i + part.bytes <= text.bytes; i++) {
        if (memcmp(text.data + i, part.data, part.bytes) == 0) {
            return true;
        }
    }
    return part.bytes == 0;
}

static bool matches(const struct bao_chore *chore, const struct bao_item *item)
{
    if (chore->match == NULL) {
        return true;
    }
    const struct bao_text *error =
        item->note == NULL ? NULL : item->note->error;
    return bao_span_contains(bao_text_span(error), bao_text_span(chore->match));
}

/* The next dead item that is meant, or NULL when there is none; `*wait` when
 * this step has looked at enough. */
static struct bao_item *
next_dead(struct bao_core *core, struct bao_chore *chore, bool *wait)
{
    *wait = false;
    for (;;) {
        if (core->budget == 0 || !bao_out_has_room(core)) {
            *wait = true;
            return NULL;
        }
        struct bao_item *item = NULL;
        if (chore->id_count > 0) {
            if (chore->cursor >= chore->id_count) {
                return NULL;
            }
            const uint64_t id = chore->ids[chore->cursor];
            item = id >> BAO_ID_SHIFT == chore->queue->incarnation
                       ? bao_item_find(chore->queue, id)
                       : NULL;
            chore->cursor++;
        } else {
            item = bao_order_from(
                core, chore->queue, BAO_COLOUR(DEAD), chore->cursor);
            if (item == NULL || (item->id & BAO_N_MASK) > chore->mark) {
                return NULL;
            }
            chore->cursor = (item->id & BAO_N_MASK) + 1;
        }
        core->budget--;
        if (item != NULL && item->state == BAO_STATE_DEAD &&
            matches(chore, item)) {
            return item;
        }
    }
}

static void offer_of(struct bao_core *core,
                     const struct bao_item *item,
                     struct bao_parked *offer)
{
    const struct bao_queue *queue = item->queue;
    *offer = (struct bao_parked){.count = 1};
    offer->items = bao_scratch_take(core, sizeof(*offer->items));
    offer->items[0] = (struct bao_put_item){
        .body = {.bytes = item->bytes, .header_bytes = item->header_bytes}};
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        offer->items[0].priority = item->priority;
    }
    offer->ttl_us = bao_us_of_ms(queue->options.ttl_ms);
    if (item->note == NULL) {
        return;
    }
    offer->group =
        bao_scratch_copy(core, bao_text_span(item->note->group_name));
    offer->fairness_key =
        bao_scratch_copy(core, bao_text_span(item->note->fairness_key));
    if ((item->flags & BAO_ITEM_UNIQUE) != 0) {
        offer->flags = BAO_FLAG_UNIQUE;
        offer->dedup_key =
            bao_scratch_copy(core, bao_text_span(item->note->dedup_key));
    }
}

static bool is_taken(const struct bao_core *core,
                     const struct bao_queue *queue,
                     const struct bao_parked *offer)
{
    if (offer->dedup_key.bytes == 0) {
        return false;
    }
    const struct bao_dedup *dedup =
        bao_dedup_find(core, queue, offer->dedup_key);
    return dedup != NULL && dedup->live > 0;
}

static void move(struct bao_core *core,
                 const struct bao_chore *chore,
                 const struct bao_item *item,
                 const struct bao_parked *offer)
{
    const struct bao_queue *queue = chore->queue;
    uint64_t *ids = bao_scratch_take(core, sizeof(*ids));
    ids[0] = item->id;
    struct bao_fact *put = bao_fact_new(core, BAO_FACT_ITEM_PUT);
    if (chore->waiter != NULL) {
        put->session = chore->waiter->session->number;
        put->rid = chore->waiter->request.first;
    }
    put->queue = queue->incarnation;
    put->count = 1;
    put->first_id = (queue->incarnation << BAO_ID_SHIFT) | (queue->last + 1);
    put->items = offer->items;
    put->origin = item->id;
    put->flags = offer->flags;
    put->group = offer->group;
    put->dedup_key = offer->dedup_key;
    put->fairness_key = offer->fairness_key;
    if (offer->ttl_us > 0) {
        put->ttl_us = bao_later(core->now_us, offer->ttl_us);
    }
    bao_decide(core, put);
    struct bao_fact *gone = bao_fact_new(core, BAO_FACT_DEAD_FORGOTTEN);
    gone->queue = queue->incarnation;
    gone->ids = ids;
    gone->count = 1;
    bao_decide(core, gone);
}

/* OK, or why no more can be moved. */
static enum baozi_status
try_move(struct bao_core *core, struct bao_chore *chore, struct bao_item *item)
{
    struct bao_queue *queue = chore->queue;
    struct bao_parked offer;
    struct bao_span why;
    offer_of(core, item, &offer);
    if (is_taken(core, queue, &offer)) {
        BAO_MARK("a unique key keeps an item among the dead");
        return BAOZI_OK;
    }
    if (queue->shut > 0) {
        return BAOZI_SHUTDOWN;
    }
    core->budget++; /* next_dead() has paid for this one */
    const bool room = queue->puts.count == 0 &&
                      bao_offer_place(core, queue, &offer, 0, 1).count > 0;
    core->budget -= core->budget > 0 ? 1 : 0;
    if (!room) {
        return BAOZI_FULL;
    }
    const enum baozi_status status =
        bao_offer_admit(core, queue, &offer, 0, 0, &why);
    if (status != BAOZI_OK) {
        return status;
    }
    /* In memory its payload is there; the log gets it once more. */
    if (!bao_room_for_put(core, queue, item->bytes, 1)) {
        BAO_MARK("the log has no room for a redriven payload");
        return BAOZI_STORAGE_FULL;
    }
    if (queue->options.overflow == BAO_OVERFLOW_DROP_OLDEST &&
        item->state != BAO_STATE_DEAD) {
        return BAOZI_OK;
    }
    move(core, chore, item, &offer);
    chore->moved++;
    return BAOZI_OK;
}

bool bao_redrive_run(struct bao_core *core,
                     struct bao_chore *chore,
                     enum baozi_status *status)
{
    bool wait = false;
    *status = BAOZI_OK;
    while (chore->moved < chore->limit && !chore->queue->deleting &&
           !chore->orphan) {
        struct bao_item *item = next_dead(core, chore, &wait);
        if (item == NULL) {
            return !wait;
        }
        if (chore->rate > 0 && chore->next_us > core->now_us) {
            /* Not yet: look at it again then. */
            chore->cursor =
                chore->id_count > 0 ? chore->cursor - 1 : item->id & BAO_N_MASK;
            bao_timer_set(core,
                          &chore->timer,
                          BAO_TIMER_CHORE,
                          chore->next_us,
                          chore->mark);
            bao_list_remove(&core->chores, &chore->task);
            return false;
        }
        enum baozi_status moved = try_move(core, chore, item);
        if (moved != BAOZI_OK) {
            *status = chore->moved > 0 ? BAOZI_OK : moved;
            return true;
        }
        if (chore->rate > 0) {
            chore->next_us += 1000000u / chore->rate;
        }
    }
    return true;
}
