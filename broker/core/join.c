/*
 * join.c - joiners stand at a ledger, or at a mark in the order of ids.
 *
 * A joiner at a ledger is answered at the transition to 0, in the same step
 * (SPEC S4.2); one at a mark when the lowest unsettled id has passed it.
 */
#include "broker/core/join.h"

#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"
#include "broker/core/waiter.h"
#include "common/planted.h"
#include "common/texts.h"

/* The counts of an answer: unfinished, then the endings. */
struct counts {
    uint64_t numbers[BAO_ENDINGS + 1];
    struct bao_span errors; /* TEXTS in scratch */
};

static void say_counts(struct bao_operation *op, const struct counts *counts)
{
    const uint64_t *numbers = counts->numbers;
    BAO_SET(op, UNFINISHED, unfinished, numbers[0]);
    BAO_SET(op, DONE, done, numbers[1 + BAO_ENDING_DONE]);
    BAO_SET(op, DEAD, dead, numbers[1 + BAO_ENDING_DEAD]);
    BAO_SET(op, EXPIRED, expired, numbers[1 + BAO_ENDING_EXPIRED]);
    BAO_SET(op, CANCELLED, cancelled, numbers[1 + BAO_ENDING_CANCELLED]);
    BAO_SET(op, DROPPED, dropped, numbers[1 + BAO_ENDING_DROPPED]);
    BAO_SET(op, PURGED, purged, numbers[1 + BAO_ENDING_PURGED]);
    if (counts->errors.bytes > 0) {
        BAO_SET(op, ERRORS, errors, counts->errors);
    }
}

/* At most BAO_ERROR_KEPT bytes, cut between characters. */
static struct bao_span shortened(const struct bao_text *text)
{
    size_t bytes = text->bytes;
    if (bytes > BAO_ERROR_KEPT) {
        bytes = BAO_ERROR_KEPT;
        while (bytes > 0 && (text->data[bytes] & 0xc0) == 0x80) {
            bytes--;
        }
    }
    return bao_span_of(text->data, bytes);
}

/* `count` texts of a ring from its `from`-th on, as TEXTS. */
static struct bao_span texts_of(struct bao_core *core,
                                const struct bao_errors *errors,
                                uint64_t from,
                                uint64_t count)
{
    if (errors == NULL || count == 0) {
        return bao_span_of(NULL, 0);
    }
    BAO_ASSERT(count <= BAO_JOIN_ERRORS_MAX);
    const size_t capacity =
        BAO_TEXTS_BYTES(count, count * (size_t)BAO_ERROR_KEPT);
    uint8_t *data = bao_scratch_take(core, capacity);
    size_t used = 0;
    for (uint64_t i = 0; i < count; i++) {
        enum baozi_status status = bao_texts_add(
            data,
            capacity,
            &used,
            shortened(errors->texts[(from + i) % BAO_JOIN_ERRORS_MAX]));
        BAO_ASSERT(status == BAOZI_OK);
    }
    return bao_span_of(data, used);
}

static void count_ledger(struct bao_core *core,
                         const struct bao_ledger *ledger,
                         struct counts *counts)
{
    *counts = (struct counts){.numbers = {ledger->unfinished}};
    memcpy(counts->numbers + 1, ledger->settled, sizeof(ledger->settled));
    if (ledger->errors != NULL) {
        counts->errors =
            texts_of(core, ledger->errors, 0, ledger->errors->count);
    }
}

/* Totals now less totals at the call (SPEC S4.3). */
static void count_up_to(struct bao_core *core,
                        const struct bao_queue *queue,
                        const uint64_t *base,
                        uint64_t errors_seen,
                        struct counts *counts)
{
    const struct bao_ledger *ledger = &queue->ledger;
    *counts = (struct counts){.numbers = {ledger->unfinished}};
    for (unsigned i = 0; i < BAO_ENDINGS; i++) {
        const uint64_t now = ledger->settled[i];
        counts->numbers[1 + i] = now > base[i] ? now - base[i] : 0;
    }
    uint64_t fresh = queue->recent_total - errors_seen;
    fresh = fresh < BAO_JOIN_ERRORS_MAX ? fresh : BAO_JOIN_ERRORS_MAX;
    counts->errors =
        texts_of(core, queue->recent, queue->recent_total - fresh, fresh);
}

/* The answer OK, kept until it is acknowledged. */
static void answer(struct bao_core *core,
                   const struct bao_call *call,
                   struct bao_queue *queue,
                   struct counts *counts)
{
    counts->numbers[0] = 0;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ANSWERED);
    uint64_t *numbers = bao_scratch_take(core, sizeof(counts->numbers));
    memcpy(numbers, counts->numbers, sizeof(counts->numbers));
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_JOIN;
    fact->queue = queue->incarnation;
    fact->ids = numbers;
    fact->count = BAO_ENDINGS + 1;
    fact->error = counts->errors;
    bao_decide(core, fact);
    struct bao_operation *op = bao_reply(
        core, call->session, queue, BAO_VERB_JOIN, call->rid, BAOZI_OK);
    say_counts(op, counts);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

void bao_join_again(struct bao_core *core, const struct bao_answer *kept)
{
    struct counts counts;
    const size_t bytes = sizeof(counts.numbers);
    BAO_ASSERT(kept->verb == BAO_VERB_JOIN);
    BAO_ASSERT(kept->extra != NULL);
    BAO_ASSERT(kept->extra->bytes >= bytes);
    memcpy(counts.numbers, kept->extra->data, bytes);
    counts.errors = bao_scratch_copy(
        core,
        bao_span_of(kept->extra->data + bytes, kept->extra->bytes - bytes));
    struct bao_operation *op = bao_reply(core,
                                         kept->session,
                                         bao_queue_of(core, kept->queue),
                                         BAO_VERB_JOIN,
                                         kept->request.first,
                                         BAOZI_OK);
    say_counts(op, &counts);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

/* --- at a ledger ---------------------------------------------------------- */

bool bao_join_is_woken(const struct bao_waiter *waiter)
{
    return waiter->ledger != NULL &&
           waiter->serial <= waiter->ledger->woken_serial;
}

static void wake_one(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_call call = bao_waiter_call(waiter);
    struct bao_queue *queue = waiter->queue;
    struct counts counts;
    count_ledger(core, waiter->ledger, &counts);
    const bool lives = bao_waiter_lives(waiter);
    bao_waiter_end(core, waiter);
    if (lives) {
        BAO_MARK("a joiner is answered");
        answer(core, &call, queue, &counts);
    }
}

void bao_join_wake(struct bao_core *core)
{
    while (core->woken.count > 0 && bao_out_has_room(core)) {
        struct bao_ledger *ledger =
            BAO_OF(bao_list_first(&core->woken), struct bao_ledger, woken);
        struct bao_link *link = bao_list_first(&ledger->joiners);
        struct bao_waiter *waiter =
            link == NULL ? NULL : BAO_OF(link, struct bao_waiter, place);
        if (waiter == NULL || !bao_join_is_woken(waiter)) {
            bao_list_remove(&core->woken, &ledger->woken);
            continue;
        }
        if (ledger->joiners.count == 1) {
            /* Ending the last one may end the ledger (a tally). */
            bao_list_remove(&core->woken, &ledger->woken);
        }
        wake_one(core, waiter);
    }
    if (core->woken.count > 0) {
        core->awake = true;
    }
}

/* --- up to a mark --------------------------------------------------------- */

static bool is_passed(const struct bao_queue *queue, uint64_t mark)
{
    if (queue->ledger.unfinished == 0) {
        return true;
    }
    const uint64_t lowest = bao_shelf_next(queue, BAO_COLOURS_UNSETTLED, 0);
    return lowest == 0 || lowest > mark;
}

void bao_join_serve(struct bao_core *core, struct bao_queue *queue)
{
    while (queue->up_to.count > 0 && bao_out_has_room(core)) {
        const struct bao_heap_entry *entry = bao_heap_first(&queue->up_to);
        struct bao_waiter *waiter =
            BAO_OF(entry->node, struct bao_waiter, up_to);
        if (!is_passed(queue, waiter->mark)) {
            return;
        }
        struct bao_call call = bao_waiter_call(waiter);
        struct counts counts;
        count_up_to(core, queue, waiter->base, waiter->errors_seen, &counts);
        const bool lives = bao_waiter_lives(waiter);
        bao_waiter_end(core, waiter);
        if (lives) {
            BAO_MARK("a join up to now is answered");
            answer(core, &call, queue, &counts);
        }
    }
}

void bao_join_due(struct bao_core *core, struct bao_waiter *waiter)
{
    if (bao_join_is_woken(waiter)) {
        return; /* its answer waits for room only */
    }
    struct counts counts;
    if (waiter->ledger != NULL) {
        count_ledger(core, waiter->ledger, &counts);
    } else {
        count_up_to(
            core, waiter->queue, waiter->base, waiter->errors_seen, &counts);
    }
    struct bao_operation *op = bao_reply(core,
                                         waiter->session,
                                         waiter->queue,
                                         BAO_VERB_JOIN,
                                         waiter->request.first,
                                         BAOZI_TIMEOUT);
    say_counts(op, &counts);
    BAO_SET(op,
            ERROR,
            error,
            BAO_LITERAL("items are still unfinished; wait longer, the work "
                        "goes on"));
    bao_waiter_end(core, waiter);
}

/* --- the verb ------------------------------------------------------------- */

static void say_at(struct bao_core *core, const struct bao_waiter *waiter)
{
    struct bao_queue *queue = waiter->queue;
    struct bao_operation *op =
        bao_notice(core, waiter->session, queue, BAO_VERB_AT);
    BAO_SET(op, TARGET, target, waiter->request.first);
    BAO_SET(
        op, MARK, mark, (queue->incarnation << BAO_ID_SHIFT) | waiter->mark);
    BAO_SET(op, DONE, done, waiter->base[BAO_ENDING_DONE]);
    BAO_SET(op, DEAD, dead, waiter->base[BAO_ENDING_DEAD]);
    BAO_SET(op, EXPIRED, expired, waiter->base[BAO_ENDING_EXPIRED]);
    BAO_SET(op, CANCELLED, cancelled, waiter->base[BAO_ENDING_CANCELLED]);
    BAO_SET(op, DROPPED, dropped, waiter->base[BAO_ENDING_DROPPED]);
    BAO_SET(op, PURGED, purged, waiter->base[BAO_ENDING_PURGED]);
    bao_reply_waits(core, BAO_WAIT_SEEN);
}

static uint64_t
base_of(const struct bao_operation *op, uint64_t bit, uint64_t value)
{
    return bao_has(op, bit) ? value : 0;
}

static void read_base(const struct bao_operation *op, uint64_t *base)
{
    base[BAO_ENDING_DONE] = base_of(op, BAO_BIT(DONE), op->done);
    base[BAO_ENDING_DEAD] = base_of(op, BAO_BIT(DEAD), op->dead);
    base[BAO_ENDING_EXPIRED] = base_of(op, BAO_BIT(EXPIRED), op->expired);
    base[BAO_ENDING_CANCELLED] = base_of(op, BAO_BIT(CANCELLED), op->cancelled);
    base[BAO_ENDING_DROPPED] = base_of(op, BAO_BIT(DROPPED), op->dropped);
    base[BAO_ENDING_PURGED] = base_of(op, BAO_BIT(PURGED), op->purged);
}

static struct bao_waiter *join_wait(struct bao_core *core,
                                    const struct bao_call *call,
                                    struct bao_queue *queue)
{
    if (!bao_waiter_admits(core, call)) {
        return NULL;
    }
    BAO_MARK("a join waits");
    queue->joiners++;
    return bao_waiter_new(core, call, BAO_WAITER_JOIN, queue);
}

static void join_up_to(struct bao_core *core,
                       const struct bao_call *call,
                       struct bao_queue *queue)
{
    const struct bao_operation *op = call->operation;
    uint64_t mark = queue->last;
    uint64_t base[BAO_ENDINGS];
    memcpy(base, queue->ledger.settled, sizeof(base));
    const bool again = bao_has(op, BAO_BIT(MARK));
    if (again) {
        if (op->mark >> BAO_ID_SHIFT != queue->incarnation) {
            bao_refuse(core,
                       call,
                       BAOZI_LOST,
                       bao_text_span(queue->name),
                       BAO_LITERAL("it was made anew since this join began"));
            return;
        }
        mark = op->mark & BAO_N_MASK;
        read_base(op, base);
    }
    if (is_passed(queue, mark)) {
        struct counts counts;
        count_up_to(core, queue, base, queue->recent_total, &counts);
        answer(core, call, queue, &counts);
        return;
    }
    struct bao_waiter *waiter = join_wait(core, call, queue);
    if (waiter == NULL) {
        return;
    }
    waiter->mark = mark;
    memcpy(waiter->base, base, sizeof(base));
    waiter->errors_seen = queue->recent_total;
    bao_put_in_heap(core, &queue->up_to, &waiter->up_to, mark, waiter->serial);
    say_at(core, waiter);
}

static void join_ledger(struct bao_core *core,
                        const struct bao_call *call,
                        struct bao_queue *queue,
                        struct bao_ledger *ledger,
                        struct bao_tally *tally)
{
    if (ledger == NULL || ledger->unfinished == 0 ||
        (BAO_PLANTED(EARLY_JOIN) && ledger->unfinished == 1)) {
        struct counts counts = {.numbers = {0}};
        if (ledger != NULL) {
            count_ledger(core, ledger, &counts);
        }
        answer(core, call, queue, &counts);
        return;
    }
    struct bao_waiter *waiter = join_wait(core, call, queue);
    if (waiter != NULL) {
        waiter->ledger = ledger;
        waiter->tally = tally;
        bao_list_push(&ledger->joiners, &waiter->place);
    }
}

static void join_scope(struct bao_core *core,
                       const struct bao_call *call,
                       struct bao_queue *queue,
                       enum bao_scope scope)
{
    const struct bao_operation *op = call->operation;
    struct bao_group *group = NULL;
    struct bao_tally *tally = NULL;
    switch (scope) {
    case BAO_SCOPE_QUEUE:
        join_ledger(core, call, queue, &queue->ledger, NULL);
        return;
    case BAO_SCOPE_GROUP:
        group = bao_group_find(core, queue, op->group);
        join_ledger(
            core, call, queue, group == NULL ? NULL : &group->ledger, NULL);
        return;
    case BAO_SCOPE_MINE:
        tally = bao_tally_find(core, call->session->number, queue);
        join_ledger(
            core, call, queue, tally == NULL ? NULL : &tally->ledger, tally);
        return;
    case BAO_SCOPE_UP_TO: join_up_to(core, call, queue); return;
    }
}

void bao_join(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue *queue = bao_queue_named(core, op->queue);
    const uint64_t scope =
        bao_has(op, BAO_BIT(SCOPE)) ? op->scope : BAO_SCOPE_QUEUE;
    if (bao_has(op, BAO_BIT(BOOT)) && op->boot != core->config.boot &&
        (queue == NULL || !queue->logged)) {
        BAO_MARK("a join of before the restart is lost");
        bao_refuse(core,
                   call,
                   BAOZI_LOST,
                   op->queue,
                   BAO_LITERAL("what was joined was lost in a restart of the "
                               "broker; put it again"));
        return;
    }
    queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    if (scope > BAO_SCOPE_UP_TO ||
        (scope == BAO_SCOPE_GROUP &&
         (!bao_has(op, BAO_BIT(GROUP)) || op->group.bytes == 0))) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   op->queue,
                   BAO_LITERAL("join needs a scope from 0 to 3, and a group "
                               "for scope group"));
        return;
    }
    join_scope(core, call, queue, (enum bao_scope)scope);
}
