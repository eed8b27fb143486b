/*
 * window.c - the requests of a session that wait or were answered.
 *
 * Entries are ranges of request ids in a tree by their first one. A range is
 * either a waiter's or an answer's; ranges never overlap.
 * Invariant: session->answers is the sum of the answered ranges.
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"

#define WAITING 0u
#define KEPT    1u
#define ONE_ID  (BAO_FLAG_ATOMIC | BAO_FLAG_DUPLICATE)

static bool is_settle(uint16_t verb)
{
    return verb == BAO_VERB_DONE || verb == BAO_VERB_RETRY ||
           verb == BAO_VERB_RELEASE || verb == BAO_VERB_REJECT;
}

struct bao_request *bao_window_find(const struct bao_session *session,
                                    uint64_t rid)
{
    if (rid > session->top) {
        return NULL;
    }
    struct bao_tree_entry entry =
        bao_tree_last(&session->window, BAO_TREE_ANY, rid);
    struct bao_request *request = entry.value;
    if (request == NULL || rid - request->first >= request->count) {
        return NULL;
    }
    BAO_ASSERT(request->first == entry.key);
    return request;
}

struct bao_request *bao_window_from(const struct bao_session *session,
                                    uint64_t rid)
{
    return bao_tree_first(&session->window, BAO_TREE_ANY, rid).value;
}

void bao_window_add(struct bao_core *core,
                    struct bao_session *session,
                    struct bao_request *request)
{
    BAO_ASSERT(request->count > 0);
    uint64_t last = request->first + request->count - 1;
    BAO_ASSERT(last >= request->first);
    bao_put_in_tree(core,
                    &session->window,
                    request->first,
                    request,
                    request->waiting ? WAITING : KEPT);
    if (last > session->top) {
        session->top = last;
    }
}

void bao_window_remove(struct bao_session *session, struct bao_request *request)
{
    BAO_ASSERT(bao_tree_find(&session->window, request->first) == request);
    bao_tree_remove(&session->window, request->first);
}

void bao_answer_drop(struct bao_core *core, struct bao_answer *answer)
{
    struct bao_session *session = answer->session;
    BAO_ASSERT(session->answers >= answer->request.count);
    bao_image_touch_answer(core, answer);
    session->answers -= answer->request.count;
    if (session->state == BAO_SESSION_DEAD) {
        BAO_ASSERT(core->dead_answers >= answer->request.count);
        core->dead_answers -= answer->request.count;
    }
    core->digest -= bao_digest_answer(answer);
    if (session->last_answers[answer->unlogged] == answer) {
        session->last_answers[answer->unlogged] = NULL;
    }
    bao_window_remove(session, &answer->request);
    if (answer->verb == BAO_VERB_WAIT) {
        struct bao_outcome *outcome = bao_outcome_find(core, answer->first_id);
        if (outcome != NULL && outcome->askers > 0) {
            outcome->askers--;
        }
    }
    struct bao_link *link = bao_list_first(&answer->leases);
    while (link != NULL) {
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_answer);
        bao_image_touch_item(core, lease->item);
        bao_list_remove(&answer->leases, link);
        lease->answer = NULL;
        link = bao_list_first(&answer->leases);
    }
    bao_text_drop(core, answer->extra);
    bao_pool_give(&core->answers, answer);
}

struct bao_answer *bao_answer_new(struct bao_core *core,
                                  struct bao_session *session,
                                  uint64_t first,
                                  uint32_t count)
{
    struct bao_answer *answer = bao_take_slot(core, &core->answers);
    answer->session = session;
    answer->stamp = core->stamp;
    answer->request.first = first;
    answer->request.count = count;
    bao_list_init(&answer->leases);
    bao_window_add(core, session, &answer->request);
    session->answers += count;
    if (session->state == BAO_SESSION_DEAD) {
        core->dead_answers += count;
    }
    return answer;
}

/* The answer to a neighbouring request that only goes on the one before:
 * a run of puts with consecutive ids, a run of settles. */
static bool goes_on(const struct bao_answer *answer,
                    const struct bao_answer *next)
{
    return answer != NULL && answer->extra == NULL &&
           answer->leases.count == 0 && answer->verb == next->verb &&
           answer->status == next->status && answer->queue == next->queue &&
           answer->flags == next->flags &&
           next->request.first ==
               answer->request.first + answer->request.count &&
           next->request.count <= UINT32_MAX - answer->request.count &&
           (next->verb == BAO_VERB_PUT
                ? next->first_id == answer->first_id + answer->request.count &&
                      (next->flags & ONE_ID) == 0
                : is_settle(next->verb));
}

struct bao_answer *bao_answer_keep(struct bao_core *core,
                                   const struct bao_fact *fact,
                                   uint32_t count)
{
    struct bao_session *session = bao_tree_find(&core->sessions, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(fact->rid > 0);
    BAO_ASSERT(fact->verb != 0);
    /* A get whose leases are all gone is new under the same number. */
    bao_answer_ack(core, session, fact->rid, fact->rid + count - 1);
    struct bao_answer next = {.request = {.first = fact->rid, .count = count}};
    next.verb = fact->verb;
    next.status = fact->status;
    next.queue = fact->queue;
    next.unlogged = !bao_store_logs(core, fact);
    next.flags = fact->flags & (BAO_FLAG_ATOMIC | BAO_FLAG_DUPLICATE |
                                BAO_FLAG_ASKED | BAO_FLAG_CREATED);
    next.first_id = fact->first_id;
    if (is_settle(fact->verb)) {
        next.first_id = 0;
    } else if (fact->first_id == 0 && fact->ids != NULL && fact->count > 0) {
        next.first_id = fact->ids[0];
    }
    struct bao_answer *answer = session->last_answers[next.unlogged];
    if (goes_on(answer, &next)) {
        bao_image_touch_answer(core, answer);
        core->digest -= bao_digest_answer(answer);
        answer->request.count += count;
        session->answers += count;
        if (next.request.first + count - 1 > session->top) {
            session->top = next.request.first + count - 1;
        }
        core->digest += bao_digest_answer(answer);
        return answer;
    }
    if (answer != NULL) {
        bao_image_touch_answer(core, answer); /* as the last one */
    }
    answer = bao_answer_new(core, session, fact->rid, count);
    answer->verb = next.verb;
    answer->status = next.status;
    answer->queue = next.queue;
    answer->flags = next.flags;
    answer->unlogged = next.unlogged;
    answer->first_id = next.first_id;
    session->last_answers[next.unlogged] = answer;
    core->digest += bao_digest_answer(answer);
    return answer;
}

/* Splits off what lies behind `last`. */
static void
split_after(struct bao_core *core, struct bao_answer *answer, uint64_t last)
{
    uint32_t kept = (uint32_t)(last - answer->request.first) + 1;
    uint32_t moved = answer->request.count - kept;
    struct bao_session *session = answer->session;
    BAO_ASSERT(moved > 0);
    BAO_ASSERT(moved < answer->request.count);
    BAO_ASSERT(answer->leases.count == 0);

    bao_image_touch_answer(core, answer);
    core->digest -= bao_digest_answer(answer);
    answer->request.count = kept;
    session->answers -= moved;
    if (session->state == BAO_SESSION_DEAD) {
        core->dead_answers -= moved;
    }
    struct bao_answer *rest = bao_answer_new(core, session, last + 1, moved);
    if (session->last_answers[answer->unlogged] == answer) {
        session->last_answers[answer->unlogged] = rest;
    }
    rest->queue = answer->queue;
    rest->verb = answer->verb;
    rest->status = answer->status;
    rest->flags = answer->flags;
    rest->unlogged = answer->unlogged;
    rest->first_id = answer->first_id;
    rest->number = answer->number;
    rest->extra = bao_text_share(answer->extra);
    if (answer->verb == BAO_VERB_PUT &&
        (answer->flags & BAO_FLAG_DUPLICATE) == 0) {
        rest->first_id += kept;
    }
    core->digest += bao_digest_answer(answer) + bao_digest_answer(rest);
}

void bao_answer_ack(struct bao_core *core,
                    struct bao_session *session,
                    uint64_t first,
                    uint64_t last)
{
    BAO_ASSERT(first <= last);
    if (session->progresses.count > 0) {
        bao_progress_ack(core, session, first, last);
    }
    struct bao_request *request = bao_window_find(session, first);
    if (request != NULL && !request->waiting && request->first < first) {
        split_after(core, bao_answer_of(request), first - 1);
    }
    while (first <= session->top) {
        struct bao_tree_entry entry =
            bao_tree_first(&session->window, 1u << KEPT, first);
        if (entry.value == NULL || entry.key > last) {
            return;
        }
        struct bao_answer *answer = bao_answer_of(entry.value);
        if (last - entry.key < answer->request.count - 1) {
            split_after(core, answer, last);
        }
        bao_answer_drop(core, answer);
    }
}
