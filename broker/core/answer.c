/*
 * answer.c - the window as clients see it: answered again, acknowledged,
 * cancelled.
 */
#include "broker/core/get.h"
#include "broker/core/join.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "broker/core/store.h"
#include "broker/core/wait.h"
#include "broker/core/waiter.h"

/* Keys of the answers that are only numbers. */
static void fill(struct bao_core *core,
                 const struct bao_call *call,
                 const struct bao_answer *answer,
                 struct bao_operation *op)
{
    const uint64_t offset = call->rid - answer->request.first;
    const struct bao_queue *queue = bao_queue_of(core, answer->queue);
    const enum bao_level level =
        queue == NULL ? BAO_LEVEL_MEMORY : queue->level;
    switch (answer->verb) {
    case BAO_VERB_PUT:
        BAO_SET(op,
                ID,
                id,
                (answer->flags & BAO_FLAG_DUPLICATE) != 0
                    ? answer->first_id
                    : answer->first_id + offset);
        BAO_SET(op, LEVEL, level, (uint64_t)level);
        if ((answer->flags & BAO_FLAG_DUPLICATE) != 0) {
            BAO_SET(op, FLAGS, flags, BAO_FLAG_DUPLICATE);
        }
        return;
    case BAO_VERB_DECLARE:
        BAO_SET(op, ID, id, answer->queue);
        BAO_SET(op, LEVEL, level, (uint64_t)level);
        if ((answer->flags & BAO_FLAG_CREATED) != 0) {
            BAO_SET(op, FLAGS, flags, BAO_FLAG_CREATED);
        }
        return;
    case BAO_VERB_DONE_NEXT:
        if (answer->first_id != 0) {
            BAO_SET(op, ID, id, answer->first_id);
        }
        return;
    case BAO_VERB_DELETE:
    case BAO_VERB_PURGE:
    case BAO_VERB_SHUTDOWN: BAO_SET(op, PURGED, purged, answer->number); return;
    case BAO_VERB_REDRIVE: BAO_SET(op, COUNT, count, answer->number); return;
    case BAO_VERB_CANCEL_ITEM:
        if ((answer->flags & BAO_FLAG_ASKED) != 0) {
            BAO_SET(op, FLAGS, flags, BAO_FLAG_ASKED);
        }
        return;
    default: return;
    }
}

bool bao_answer_again(struct bao_core *core,
                      const struct bao_call *call,
                      struct bao_answer *answer)
{
    BAO_MARK("a repeated request is answered again");
    if (answer->verb != call->verb) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("this request id was used by another verb"));
        return true;
    }
    if (answer->verb == BAO_VERB_GET) {
        return bao_get_again(core, answer);
    }
    if (answer->verb == BAO_VERB_JOIN) {
        bao_join_again(core, answer);
        return true;
    }
    if (answer->verb == BAO_VERB_WAIT) {
        bao_wait_again(core, answer);
        return true;
    }
    struct bao_operation *op = bao_reply(core,
                                         call->session,
                                         bao_queue_of(core, answer->queue),
                                         answer->verb,
                                         call->rid,
                                         (enum baozi_status)answer->status);
    if (call->count > 1) {
        BAO_SET(op, COUNT, count, call->count);
    }
    fill(core, call, answer, op);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
    return true;
}

/* --- ACK ------------------------------------------------------------------ */

/* An outcome goes with the last kept answer that speaks of it. */
static void forget_outcome(struct bao_core *core, uint64_t id)
{
    const struct bao_outcome *outcome = bao_outcome_find(core, id);
    if (outcome == NULL || outcome->askers > 1) {
        return;
    }
    uint64_t *ids = bao_scratch_take(core, sizeof(*ids));
    ids[0] = id;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_OUTCOME_FORGOTTEN);
    fact->queue = outcome->queue->incarnation;
    fact->ids = ids;
    fact->count = 1;
    bao_decide(core, fact);
}

/* The client has what was paid ahead: it is done. */
static void settle_prepaid(struct bao_core *core, struct bao_answer *answer)
{
    const uint32_t count = (uint32_t)answer->leases.count;
    if (count == 0) {
        return;
    }
    struct bao_lease *first =
        BAO_OF(bao_list_first(&answer->leases), struct bao_lease, of_answer);
    if ((first->flags & BAO_LEASE_PREPAID) == 0) {
        return;
    }
    struct bao_vector vector;
    bao_vector_open(core, &vector, count);
    struct bao_link *link = bao_list_first(&answer->leases);
    while (link != NULL) {
        struct bao_item *item = BAO_OF(link, struct bao_lease, of_answer)->item;
        link = bao_list_next(&answer->leases, link);
        bao_vector_add(core,
                       &vector,
                       item,
                       bao_fate_of_end(core, item, BAO_STATE_DONE),
                       0);
    }
    bao_vector_flush(core, &vector);
}

/* What acknowledging [first, last] sets free; true if there is any. */
static bool prepare_ack(struct bao_core *core,
                        struct bao_session *session,
                        uint64_t first,
                        uint64_t last)
{
    struct bao_request *request = bao_window_find(session, first);
    bool any = request != NULL && !request->waiting;
    uint64_t from = any ? request->first : first;
    while (from <= last && from <= session->top) {
        struct bao_tree_entry entry =
            bao_tree_first(&session->window, 2u, from);
        if (entry.value == NULL || entry.key > last) {
            return any;
        }
        any = true;
        struct bao_answer *answer = bao_answer_of(entry.value);
        from = entry.key + answer->request.count;
        if (answer->verb == BAO_VERB_WAIT) {
            forget_outcome(core, answer->first_id);
        } else if (answer->verb == BAO_VERB_GET) {
            settle_prepaid(core, answer);
        }
    }
    return any;
}

void bao_ack(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_span ranges = call->operation->ranges;
    const size_t entries = bao_column64_count(ranges);
    if (entries < 2 || entries % 2 != 0 || entries > 2 * BAO_RANGES_MAX) {
        return;
    }
    uint64_t *ids = bao_scratch_take(core, entries * sizeof(*ids));
    uint32_t count = 0;
    for (size_t i = 0; i < entries; i += 2) {
        const uint64_t first = bao_column64(ranges, i);
        const uint64_t last = bao_column64(ranges, i + 1);
        if (first <= last && bao_out_has_room(core) &&
            prepare_ack(core, call->session, first, last)) {
            ids[count] = first;
            ids[count + 1] = last;
            count += 2;
        }
    }
    if (count == 0) {
        return;
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ACKED);
    fact->session = call->session->number;
    fact->ids = ids;
    fact->count = count;
    bao_decide(core, fact);
}

void bao_answer_renew(struct bao_core *core, const struct bao_call *call)
{
    BAO_MARK("a repeated get of which nothing is left is new");
    uint64_t *ids = bao_scratch_take(core, 2 * sizeof(*ids));
    ids[0] = call->rid;
    ids[1] = call->rid;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ACKED);
    fact->session = call->session->number;
    fact->ids = ids;
    fact->count = 2;
    bao_decide(core, fact);
}

/* --- CANCEL --------------------------------------------------------------- */

bool bao_cancel_remembered(struct bao_session *session, uint64_t rid)
{
    for (uint32_t i = 0; i < session->cancel_count; i++) {
        if (session->cancels[i] != rid) {
            continue;
        }
        session->cancel_count--;
        session->cancels[i] = session->cancels[session->cancel_count];
        return true;
    }
    return false;
}

uint64_t bao_cancel_next(const struct bao_session *session, uint64_t rid)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < session->cancel_count; i++) {
        if (session->cancels[i] >= rid && session->cancels[i] < next) {
            next = session->cancels[i];
        }
    }
    return next;
}

static void remember_cancel(struct bao_core *core,
                            struct bao_session *session,
                            uint64_t rid)
{
    if (session->cancels == NULL) {
        if (bao_memory_is_low(core)) {
            return;
        }
        session->cancels =
            bao_take(core, BAO_CANCELS_MAX * sizeof(*session->cancels));
    }
    if (session->cancel_count == BAO_CANCELS_MAX) {
        /* The oldest name requests that were answered long ago. */
        session->cancel_count--;
        memmove(session->cancels,
                session->cancels + 1,
                session->cancel_count * sizeof(*session->cancels));
    }
    session->cancels[session->cancel_count] = rid;
    session->cancel_count++;
}

/* What an automatic get took goes back if the receipt did not come first. */
static void return_auto(struct bao_core *core, struct bao_answer *answer)
{
    struct bao_link *link = bao_list_first(&answer->leases);
    if (link == NULL || (BAO_OF(link, struct bao_lease, of_answer)->flags &
                         BAO_LEASE_AUTO) == 0) {
        return;
    }
    BAO_MARK("an automatic get is cancelled before its receipt");
    struct bao_vector vector;
    bao_vector_open(core, &vector, (uint32_t)answer->leases.count);
    while (link != NULL) {
        struct bao_item *item = BAO_OF(link, struct bao_lease, of_answer)->item;
        link = bao_list_next(&answer->leases, link);
        bao_vector_add(core,
                       &vector,
                       item,
                       bao_fate_of_return(core, item, BAO_CAUSE_CANCELLED, 0),
                       0);
    }
    bao_vector_flush(core, &vector);
}

void bao_cancel(struct bao_core *core, const struct bao_call *call)
{
    const uint64_t rid = call->operation->target;
    struct bao_request *request = bao_window_find(call->session, rid);
    if (request == NULL && rid <= call->session->seen) {
        /* It was refused, and nothing of it is kept: should it come again, it
         * is a new request, and CANCELLED would say that it waited. */
        BAO_MARK("a cancel comes too late");
        return;
    }
    if (request == NULL) {
        BAO_MARK("a cancel overtakes its request");
        remember_cancel(core, call->session, rid);
        return;
    }
    if (request->waiting) {
        BAO_MARK("a waiting request is cancelled");
        bao_waiter_cancel(core, bao_waiter_of(request), rid);
        return;
    }
    return_auto(core, bao_answer_of(request));
}
