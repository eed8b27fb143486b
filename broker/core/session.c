/*
 * session.c - born by HELLO, bound to an address, silent, dead, forgotten.
 *
 *   HELLO        connection closed       grace over, silence
 *  ------> [CONNECTED] ------> [CUT OFF] ------> [DEAD] --- 1 h ---> (gone)
 *              |  ^               |                 |
 *              |  '--- resumed ---'<--- revived ----'
 *              '--- BYE ---> (gone, once its leases are released)
 *
 * The peer is only its current address: resuming binds a new one, and frames
 * from the old one no longer count.
 */
#include "broker/core/session.h"

#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/settle.h"
#include "broker/core/store.h"
#include "broker/core/waiter.h"
#include "common/planted.h"

#define COLOUR_WAITING 1u

struct bao_session *bao_session_at(struct bao_core *core, uint64_t peer)
{
    if (core->last_peer != NULL && core->last_peer->peer == peer) {
        return core->last_peer;
    }
    struct bao_table_node *node =
        bao_table_first(&core->by_peer, bao_hash_number(peer, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_session *session = BAO_OF(node, struct bao_session, by_peer);
        if (session->peer == peer) {
            core->last_peer = session;
            return session;
        }
    }
    return NULL;
}

void bao_session_unbind(struct bao_core *core, struct bao_session *session)
{
    if (session->peer != 0) {
        bao_table_remove(&core->by_peer, &session->by_peer);
        session->peer = 0;
    }
    session->connected = false;
    core->last_peer = NULL;
}

static void arm(struct bao_core *core, struct bao_session *session)
{
    BAO_ASSERT(session->state == BAO_SESSION_LIVE);
    uint64_t at = 0;
    if (session->connected) {
        at = bao_later(session->heard_us,
                       (uint64_t)session->heartbeat_ms * BAO_HEARTBEATS_MISSED *
                           BAO_MS);
    } else {
        at = bao_later(session->closed_us,
                       (uint64_t)core->config.resume_grace_ms * BAO_MS);
    }
    bao_timer_set(
        core, &session->timer, BAO_TIMER_SESSION, at, session->number);
}

void bao_session_bind(struct bao_core *core,
                      struct bao_session *session,
                      uint64_t peer)
{
    BAO_ASSERT(session->peer == 0);
    session->peer = peer;
    session->connected = true;
    session->restarted = false;
    session->heard_us = core->now_us;
    session->heartbeat_ms = session->leases.count > 0
                                ? core->config.heartbeat_leased_ms
                                : core->config.heartbeat_idle_ms;
    bao_table_put(&core->by_peer, &session->by_peer, bao_hash_number(peer, 0));
    arm(core, session);
}

bool bao_session_has_waiters(const struct bao_session *session)
{
    return bao_tree_first(&session->window, COLOUR_WAITING, 0).value != NULL;
}

/* --- life ----------------------------------------------------------------- */

void bao_session_beat(struct bao_core *core, struct bao_session *session)
{
    const uint32_t fast = core->config.heartbeat_leased_ms;
    if (session->heartbeat_ms == fast || session->leases.count == 0) {
        return;
    }
    session->heartbeat_ms = fast;
    session->heard_us = core->now_us;
    struct bao_operation *op =
        bao_notice(core, session, NULL, BAO_VERB_HEARTBEAT);
    BAO_SET(op, HEARTBEAT_MS, heartbeat_ms, fast);
    if (session->connected) {
        arm(core, session);
    }
}

void bao_heartbeat(struct bao_core *core, const struct bao_call *call)
{
    struct bao_operation *op =
        bao_notice(core, call->session, NULL, BAO_VERB_HEARTBEAT);
    BAO_SET(op, HEARTBEAT_MS, heartbeat_ms, call->session->heartbeat_ms);
}

void bao_session_closed(struct bao_core *core, struct bao_session *session)
{
    if (session->state == BAO_SESSION_LIVE && session->connected) {
        session->connected = false;
        session->closed_us = core->now_us;
        arm(core, session);
    }
}

static void start_work(struct bao_core *core, struct bao_session *session)
{
    if (!bao_link_is_listed(&session->task)) {
        bao_list_push(&core->busy, &session->task);
    }
}

void bao_session_die(struct bao_core *core, struct bao_session *session)
{
    if (session->state != BAO_SESSION_LIVE || session->leaving) {
        return;
    }
    BAO_MARK("a session dies");
    if (session->connected) {
        bao_say_gone(core,
                     session->peer,
                     BAOZI_SESSION_GONE,
                     BAO_LITERAL("nothing was heard for three heartbeats"));
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_SESSION_ENDED);
    fact->session = session->number;
    fact->cause = BAO_CAUSE_DIED;
    bao_decide(core, fact);
    bao_session_unbind(core, session);
    session->doomed = core->order;
    session->sorting = false;
    start_work(core, session);
    bao_session_forget(core);
}

static void forget(struct bao_core *core, struct bao_session *session)
{
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_SESSION_FORGOTTEN);
    fact->session = session->number;
    bao_decide(core, fact);
}

void bao_session_forget(struct bao_core *core)
{
    uint32_t most = 16;
    while (most > 0 && core->ended.count > 0 &&
           (core->ended.count > BAO_DEAD_SESSIONS_MAX ||
            core->dead_answers > BAO_DEAD_ANSWERS_MAX ||
            core->cushion_pieces < core->cushion_whole)) {
        struct bao_session *oldest =
            BAO_OF(bao_list_first(&core->ended), struct bao_session, ended);
        if (oldest->leases.count > 0 || bao_session_has_waiters(oldest)) {
            return;
        }
        BAO_MARK("the oldest dead session is forgotten for room");
        forget(core, oldest);
        most--;
    }
}

static void begin_sorting(struct bao_core *core, struct bao_session *session)
{
    session->sorting = true;
    session->sort_left = session->leases.count;
    start_work(core, session);
}

/* With accounting `count` they would not run out either. */
static void look_for_strays(struct bao_core *core, struct bao_session *session)
{
    if (session->strays_us == 0 || session->strays_us > core->now_us) {
        return;
    }
    session->strays_us = 0;
    begin_sorting(core, session);
}

void bao_session_due(struct bao_core *core, struct bao_session *session)
{
    if (session->state == BAO_SESSION_DEAD) {
        if (session->leases.count > 0 || bao_session_has_waiters(session)) {
            bao_timer_set(core,
                          &session->timer,
                          BAO_TIMER_SESSION,
                          core->now_us + 1000 * BAO_MS,
                          session->number);
            return;
        }
        forget(core, session);
        return;
    }
    const uint64_t silence =
        (uint64_t)session->heartbeat_ms * BAO_HEARTBEATS_MISSED * BAO_MS;
    if (session->leaving) {
        return;
    }
    if (!session->connected ||
        bao_later(session->heard_us, silence) <= core->now_us) {
        bao_session_die(core, session);
        return;
    }
    if (session->leases.count == 0 &&
        session->heartbeat_ms != core->config.heartbeat_idle_ms) {
        session->heartbeat_ms = core->config.heartbeat_idle_ms;
        struct bao_operation *op =
            bao_notice(core, session, NULL, BAO_VERB_HEARTBEAT);
        BAO_SET(op, HEARTBEAT_MS, heartbeat_ms, session->heartbeat_ms);
    }
    look_for_strays(core, session);
    arm(core, session);
}

void bao_session_restart(struct bao_core *core)
{
    uint64_t from = 0;
    for (;;) {
        struct bao_tree_entry entry =
            bao_tree_first(&core->sessions, BAO_TREE_ANY, from);
        if (entry.value == NULL) {
            return;
        }
        struct bao_session *session = entry.value;
        from = entry.key + 1;
        struct bao_link *link = bao_list_first(&session->leases);
        for (; link != NULL; link = bao_list_next(&session->leases, link)) {
            struct bao_lease *lease =
                BAO_OF(link, struct bao_lease, of_session);
            if (lease->lease_us > 0) {
                const uint64_t left_us = BAO_RESTART_GRACE_US + lease->lease_us;
                lease->until_us =
                    core->now_us + (BAO_PLANTED(GRACE_LOST) ? 0 : left_us);
                bao_item_time(core, lease->item);
            }
        }
        session->restarted = true;
        if (session->state == BAO_SESSION_LIVE) {
            session->connected = false;
            session->heartbeat_ms = core->config.heartbeat_idle_ms;
            bao_timer_set(core,
                          &session->timer,
                          BAO_TIMER_SESSION,
                          core->now_us + BAO_RESTART_GRACE_US,
                          session->number);
        } else if (session->leases.count > 0) {
            session->doomed = core->order;
            start_work(core, session);
        }
    }
}

/* A slice: those that are refused are no longer waiting. */
void bao_session_fail(struct bao_core *core)
{
    uint64_t from = 0;
    struct bao_tree_entry entry =
        bao_tree_first(&core->sessions, BAO_TREE_ANY, from);
    while (entry.value != NULL && bao_out_has_room(core)) {
        struct bao_session *session = entry.value;
        entry = bao_tree_first(&session->window, COLOUR_WAITING, 0);
        if (entry.value == NULL) {
            from = session->number + 1;
            entry = bao_tree_first(&core->sessions, BAO_TREE_ANY, from);
            continue;
        }
        bao_waiter_refuse(core,
                          bao_waiter_of(entry.value),
                          BAOZI_STORAGE_FAILED,
                          BAO_LITERAL("the broker's disk failed and it ends; "
                                      "nothing was confirmed"));
        entry = bao_tree_first(&core->sessions, BAO_TREE_ANY, from);
    }
}

void bao_bye(struct bao_core *core, const struct bao_call *call)
{
    struct bao_session *session = call->session;
    session->leaving = true;
    session->bye_rid = call->rid;
    session->doomed = core->order;
    bao_timer_stop(core, &session->timer);
    start_work(core, session);
}

/* --- what an end leaves to do --------------------------------------------- */

/* Ends the waiters of a dead or leaving session; false if some are left. */
static bool end_waiters(struct bao_core *core, struct bao_session *session)
{
    while (bao_out_has_room(core)) {
        struct bao_tree_entry entry =
            bao_tree_first(&session->window, COLOUR_WAITING, 0);
        if (entry.value == NULL) {
            return true;
        }
        struct bao_waiter *waiter = bao_waiter_of(entry.value);
        if (session->leaving) {
            bao_waiter_refuse(
                core, waiter, BAOZI_CANCELLED, bao_span_of(NULL, 0));
        } else {
            bao_waiter_end(core, waiter);
        }
    }
    return !bao_session_has_waiters(session);
}

static struct bao_fate fate_of_lease(struct bao_core *core,
                                     const struct bao_session *session,
                                     struct bao_lease *lease)
{
    const struct bao_item *item = lease->item;
    if (!session->leaving) {
        if (BAO_PLANTED(DEATH_SETTLES)) {
            return bao_fate_of_end(core, item, BAO_STATE_DONE);
        }
        return bao_fate_of_return(core, item, bao_cause_of_death(lease), 0);
    }
    const bool counts = item->queue->options.accounting == BAO_ACCOUNTING_COUNT;
    if (!counts || (lease->flags & BAO_LEASE_AUTO) != 0) {
        return bao_fate_of_return(core, item, BAO_CAUSE_BYE, 0);
    }
    const struct bao_queue *queue = item->queue;
    if ((lease->flags & BAO_LEASE_PREPAID) != 0) {
        return bao_fate_of_end(core, item, BAO_STATE_DONE);
    }
    if (queue->ledger.unfinished == 0 && queue->prepaid > queue->reserved) {
        /* Pushed, so not settled at the hand-out, but paid for: no task_done
         * would come that ends it. */
        BAO_MARK("bye settles what was pushed and is paid for");
        return bao_fate_of_end(core, item, BAO_STATE_DONE);
    }
    BAO_MARK("bye turns a lease into a taken item");
    return (struct bao_fate){.kind = BAO_FACT_ITEM_TAKEN};
}

/* Returns the leases that were granted up to `doomed`. */
static bool end_leases(struct bao_core *core, struct bao_session *session)
{
    struct bao_vector vector;
    if (BAO_PLANTED(DEATH_KEEPS) && !session->leaving) {
        return true;
    }
    if (session->leases.count == 0 || core->budget == 0) {
        return session->leases.count == 0;
    }
    bao_vector_open(core, &vector, core->budget);
    struct bao_link *link = bao_list_first(&session->leases);
    uint32_t facts = core->budget;
    while (link != NULL && facts > 0) {
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_session);
        if (lease->order > session->doomed) {
            break;
        }
        link = bao_list_next(&session->leases, link);
        facts--;
        bao_vector_add(
            core, &vector, lease->item, fate_of_lease(core, session, lease), 0);
    }
    core->budget = facts;
    bao_vector_flush(core, &vector);
    link = bao_list_first(&session->leases);
    return link == NULL ||
           BAO_OF(link, struct bao_lease, of_session)->order > session->doomed;
}

/* A subscription that goes on will say what it has not seen; one that ended,
 * and whose end was not heard, comes again as a new one and says nothing. After
 * a start of the broker it comes again too, unless it was given up meanwhile:
 * then there is a CANCEL for it, or, if nobody waited for that, nothing. */
static bool is_to_be_said(const struct bao_session *session,
                          const struct bao_lease *lease)
{
    if ((lease->flags & BAO_LEASE_PUSHED) == 0) {
        return false;
    }
    if (lease->stream == NULL) {
        return session->strays_us != 0 &&
               bao_cancel_next(session, lease->rid) != lease->rid;
    }
    return lease->stream->waiter != NULL;
}

/* Returns what HELD left out, except what the client may not have seen yet:
 * unacknowledged answers and pushed items. */
static bool sort_leases(struct bao_core *core, struct bao_session *session)
{
    while (session->sort_left > 0 && core->budget > 0 &&
           bao_out_has_room(core)) {
        struct bao_link *link = bao_list_pop(&session->leases);
        if (link == NULL) {
            session->sort_left = 0;
            break;
        }
        bao_list_push(&session->leases, link);
        session->sort_left--;
        core->budget--;
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_session);
        if (lease->held != session->held_round && lease->answer == NULL &&
            !is_to_be_said(session, lease)) {
            BAO_MARK("a lease that its holder does not know goes back");
            bao_return_one(core, lease->item, BAO_CAUSE_UNSTARTED);
        }
    }
    return session->sort_left == 0;
}

bool bao_session_work(struct bao_core *core, struct bao_session *session)
{
    const bool over = session->leaving || session->state == BAO_SESSION_DEAD;
    if (over && !end_waiters(core, session)) {
        return false;
    }
    if (!end_leases(core, session)) {
        return false;
    }
    if (session->sorting && !sort_leases(core, session)) {
        return false;
    }
    session->sorting = false;
    bao_list_remove(&core->busy, &session->task);
    if (!session->leaving) {
        return true;
    }
    BAO_ASSERT(session->leases.count == 0);
    (void)bao_reply(
        core, session, NULL, BAO_VERB_BYE, session->bye_rid, BAOZI_OK);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_SESSION_ENDED);
    fact->session = session->number;
    fact->cause = BAO_CAUSE_BYE;
    bao_decide(core, fact);
    return true;
}

void bao_held(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_session *session = call->session;
    const size_t entries =
        bao_has(op, BAO_BIT(IDS)) && bao_has(op, BAO_BIT(TOKENS))
            ? bao_column64_count(op->ids)
            : 0;
    for (size_t i = 0; i < entries && i < bao_column64_count(op->tokens); i++) {
        enum baozi_status status = BAOZI_OK;
        struct bao_item *item = bao_lease_find(core,
                                               session,
                                               bao_column64(op->ids, i),
                                               bao_column64(op->tokens, i),
                                               &status);
        if (item != NULL) {
            item->lease->held = session->held_round;
        }
    }
    if (bao_has(op, BAO_BIT(FLAGS)) && (op->flags & BAO_FLAG_MORE) != 0) {
        return;
    }
    session->strays_us = core->now_us + BAO_RESTART_GRACE_US;
    begin_sorting(core, session);
}
