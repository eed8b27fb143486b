/*
 * store_session.c - facts of sessions: opened, dead, back, forgotten; what
 * was acknowledged, and answers that no other fact implies.
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"

struct bao_session *bao_session_new(struct bao_core *core,
                                    const struct bao_fact *fact)
{
    BAO_ASSERT(fact->client.bytes == BAO_CLIENT_ID_BYTES);
    BAO_ASSERT(fact->secret.bytes == BAO_CLIENT_ID_BYTES);
    struct bao_session *session = bao_take(core, sizeof(*session));
    memset(session, 0, sizeof(*session));
    session->number = fact->session;
    session->stamp = core->stamp;
    memcpy(session->client, fact->client.data, BAO_CLIENT_ID_BYTES);
    memcpy(session->secret, fact->secret.data, BAO_CLIENT_ID_BYTES);
    session->host = bao_text_make(core, fact->host);
    session->program = bao_text_make(core, fact->name);
    session->pid = fact->pid;
    session->state = BAO_SESSION_LIVE;
    session->heard_us = fact->time_us;
    bao_tree_init(&session->window, core->arena);
    bao_list_init(&session->tallies);
    bao_list_init(&session->leases);
    bao_list_init(&session->progresses);
    bao_put_in_tree(core, &core->sessions, session->number, session, 0);
    bao_table_put(
        &core->by_client, &session->by_client, bao_hash_bytes(fact->client, 0));
    return session;
}

void bao_store_opened(struct bao_core *core, const struct bao_fact *fact)
{
    BAO_ASSERT(fact->session > core->last_session);
    struct bao_session *session = bao_session_new(core, fact);
    core->live_sessions++;
    core->digest -= bao_digest_core(core);
    core->last_session = session->number;
    core->digest += bao_digest_core(core) + bao_digest_session(session);
}

static void window_empty(struct bao_core *core, struct bao_session *session)
{
    struct bao_request *request = bao_window_from(session, 0);
    while (request != NULL) {
        bao_answer_drop(core, bao_answer_of(request));
        request = bao_window_from(session, 0);
    }
    BAO_ASSERT(session->answers == 0);
    bao_tree_fini(&session->window);
}

/* What it put stays, without it. */
static void tallies_detach(struct bao_core *core, struct bao_session *session)
{
    struct bao_link *link = bao_list_pop(&session->tallies);
    for (; link != NULL; link = bao_list_pop(&session->tallies)) {
        struct bao_tally *tally = BAO_OF(link, struct bao_tally, of_session);
        BAO_ASSERT(tally->leases.count == 0);
        bao_image_touch_tally(core, tally);
        tally->session = NULL;
        if (tally->ended_us == 0) {
            bao_tally_ended(core, tally, core->now_us);
        }
        bao_tally_tidy(core, tally);
    }
}

static void session_free(struct bao_core *core, struct bao_session *session)
{
    BAO_ASSERT(session->leases.count == 0);
    bao_image_touch_session(core, session);
    bao_progress_ack(core, session, 0, UINT64_MAX);
    window_empty(core, session);
    tallies_detach(core, session);
    core->digest -= bao_digest_session(session);
    bao_timer_stop(core, &session->timer);
    bao_tree_remove(&core->sessions, session->number);
    bao_table_remove(&core->by_client, &session->by_client);
    if (session->peer != 0) {
        bao_table_remove(&core->by_peer, &session->by_peer);
    }
    if (bao_link_is_listed(&session->ended)) {
        bao_list_remove(&core->ended, &session->ended);
    }
    if (bao_link_is_listed(&session->task)) {
        bao_list_remove(&core->busy, &session->task);
    }
    if (core->last_peer == session) {
        core->last_peer = NULL;
    }
    bao_text_drop(core, session->host);
    bao_text_drop(core, session->program);
    bao_arena_give(core->arena, session->cancels);
    bao_arena_give(core->arena, session);
}

/* It stays for an hour, unless it comes back. */
void bao_session_remember(struct bao_core *core, struct bao_session *session)
{
    bao_list_push(&core->ended, &session->ended);
    bao_timer_set(core,
                  &session->timer,
                  BAO_TIMER_SESSION,
                  bao_later(session->ended_us, BAO_DEAD_SESSION_MS * BAO_MS),
                  session->number);
}

void bao_store_ended(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_session *session = bao_session_of(core, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(session->state == BAO_SESSION_LIVE);
    BAO_ASSERT(core->live_sessions > 0);
    core->live_sessions--;
    if (fact->cause == BAO_CAUSE_BYE) {
        session_free(core, session);
        return;
    }
    bao_image_touch_session(core, session);
    core->digest -= bao_digest_session(session);
    session->state = BAO_SESSION_DEAD;
    session->ended_us = fact->time_us;
    core->digest += bao_digest_session(session);
    core->dead_answers += session->answers;
    struct bao_link *link = bao_list_first(&session->tallies);
    for (; link != NULL; link = bao_list_next(&session->tallies, link)) {
        bao_tally_ended(
            core, BAO_OF(link, struct bao_tally, of_session), fact->time_us);
    }
    bao_session_remember(core, session);
}

void bao_store_revived(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_session *session = bao_session_of(core, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(session->state == BAO_SESSION_DEAD);
    BAO_ASSERT(core->dead_answers >= session->answers);
    bao_image_touch_session(core, session);
    core->digest -= bao_digest_session(session);
    session->state = BAO_SESSION_LIVE;
    session->ended_us = 0;
    core->digest += bao_digest_session(session);
    core->dead_answers -= session->answers;
    core->live_sessions++;
    bao_list_remove(&core->ended, &session->ended);
    bao_timer_stop(core, &session->timer);
    struct bao_link *link = bao_list_first(&session->tallies);
    for (; link != NULL; link = bao_list_next(&session->tallies, link)) {
        bao_tally_ended(core, BAO_OF(link, struct bao_tally, of_session), 0);
    }
}

void bao_store_forgotten(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_session *session = bao_session_of(core, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(session->state == BAO_SESSION_DEAD);
    session_free(core, session);
}

void bao_store_acked(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_session *session = bao_session_of(core, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(fact->count % 2 == 0);
    for (uint32_t i = 0; i < fact->count; i += 2) {
        bao_answer_ack(core, session, fact->ids[i], fact->ids[i + 1]);
    }
}

/* JOIN: `ids` are the counts, `error` the errors as TEXTS. WAIT: `state` and
 * `error` are the item's. PURGE, DELETE, SHUTDOWN, REDRIVE: `count`. */
void bao_store_answered(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_fact plain = *fact;
    plain.ids = NULL;
    struct bao_answer *answer = bao_answer_keep(core, &plain, 1);
    core->digest -= bao_digest_answer(answer);
    answer->number = fact->verb == BAO_VERB_WAIT ? fact->state : fact->count;
    if (fact->verb == BAO_VERB_JOIN) {
        BAO_ASSERT(fact->count == BAO_ENDINGS + 1);
        const size_t bytes = fact->count * sizeof(uint64_t);
        struct bao_text *extra =
            bao_take(core, sizeof(*extra) + bytes + fact->error.bytes);
        extra->references = 1;
        extra->bytes = (uint32_t)(bytes + fact->error.bytes);
        memcpy(extra->data, fact->ids, bytes);
        if (fact->error.bytes > 0) {
            memcpy(extra->data + bytes, fact->error.data, fact->error.bytes);
        }
        answer->extra = extra;
        answer->number = 0;
    } else {
        answer->extra = bao_text_make(core, fact->error);
    }
    core->digest += bao_digest_answer(answer);
    if (fact->verb != BAO_VERB_WAIT) {
        return;
    }
    struct bao_outcome *outcome = bao_outcome_find(core, fact->first_id);
    if (outcome == NULL) {
        return;
    }
    outcome->askers++;
    if (outcome->owner == NULL) {
        bao_outcome_own(core,
                        outcome,
                        bao_tally_get(core, answer->session, outcome->queue));
    }
}
