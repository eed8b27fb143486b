/*
 * dialogue_session.c - hello, welcome, resume, lost, gone.
 *
 *            connected          next              feed: welcome
 *   [DOWN] -----------> [HELLO_DUE] --> [HELLO_SENT] ---------> [OPEN]
 *      ^                    ^                | refused             |
 *      |                    '--- [REFUSED] <-'                     |
 *      '---------------------------- lost -------------------------'
 *
 * A welcome that resumes sends everything unanswered again under the same
 * rids. One that does not has forgotten us: if the broker is another start of
 * itself (boot differs) and remembers nothing, everything is sent again as new;
 * if it is the same, or remembers what earlier starts did (LASTING), what was
 * sent and changes something ends in SESSION_GONE, because nobody knows any
 * more whether it happened.
 */
#include "common/dialogue_inside.h"
#include "common/planted.h"

/* splitmix64: client ids must differ, not be secret. */
static uint64_t draw(struct bao_dialogue *d)
{
    d->generator += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = d->generator;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

void bao_session_new_client(struct bao_dialogue *d)
{
    bao_store64(d->client, draw(d));
    bao_store64(d->client + 8, draw(d));
    d->has_session = false;
}

/* --- the connection comes and goes -------------------------------------- */

void bao_dialogue_connected(struct bao_dialogue *d, uint64_t now_us)
{
    BAO_ASSERT(d->state == BAO_DIALOGUE_DOWN);
    d->state = BAO_DIALOGUE_HELLO_DUE;
    d->heard_us = now_us;
    d->said_us = now_us;
}

/* A request that sees one young connection after another die may be what
 * kills them: it is not sent for ever. */
static void count_quick_losses(struct bao_dialogue *d, bool young)
{
    uint32_t points = d->thrown_out ? BAO_GONE_LOSSES : 1;
    struct bao_list *list = &d->again;
    for (size_t left = list->count; left > 0; left--) {
        struct bao_link *link = bao_list_first(list);
        if (link == NULL) {
            return;
        }
        struct bao_request *request = BAO_OF(link, struct bao_request, link);
        if (request->attempts > 0) {
            request->quick_losses = young ? request->quick_losses + points : 0;
        }
        if (request->quick_losses >= BAO_QUICK_LOSSES_MAX && !request->own) {
            bao_fail(d,
                     request,
                     BAOZI_CONNECTION_LOST,
                     "the broker ended the connection each time it was sent");
            continue;
        }
        bao_list_remove(list, link);
        bao_list_push(list, link);
    }
}

/* Puts all that was sent in front of what is to be sent again; both are in
 * order of rid. */
static void move_sent_to_again(struct bao_dialogue *d)
{
    struct bao_link *first = bao_list_first(&d->again);
    struct bao_link *link;
    while ((link = bao_list_pop(&d->sent)) != NULL) {
        struct bao_request *request = BAO_OF(link, struct bao_request, link);
        request->message = 0;
        request->probe_us = 0;
        d->credit_used -= request->credit_bytes;
        request->credit_bytes = 0;
        request->queue = &d->again;
        if (first == NULL) {
            bao_list_push(&d->again, link);
        } else {
            bao_list_insert_before(&d->again, first, link);
        }
    }
    d->batch_sent = 0;
}

static void start_reach_timers(struct bao_dialogue *d, uint64_t now_us)
{
    d->reach_us = now_us + d->config.connect_timeout_us;
}

static void reset_connection(struct bao_dialogue *d)
{
    d->broken = NULL;
    d->thrown_out = false;
    d->beats = 0;
    d->beat_due = false;
    d->doubted = false;
    d->ack_due = false;
    d->acks.count = 0; /* a resume acknowledges everything anew */
    d->acked_rids = 0;
    d->held.count = 0;
    d->held.sent = 0;
    d->held_due = false;
    d->receipts.sent = 0;
    d->orphans.sent = 0;
    for (size_t i = 0; i < BAO_SLOTS; i++) {
        d->slots[i].message = 0;
    }
    /* A CANCEL may have been lost with the connection: one follows its request
     * when that is sent again, see bao_timer_sent(). */
    struct bao_link *link;
    while ((link = bao_list_pop(&d->errands)) != NULL) {
        BAO_OF(link, struct bao_request, errand)->errands = 0;
    }
    link = BAO_PLANTED(CANCEL_FIRST) ? bao_list_first(&d->again) : NULL;
    for (; link != NULL; link = bao_list_next(&d->again, link)) {
        struct bao_request *request = BAO_OF(link, struct bao_request, link);
        if (request->cancel == BAO_CANCEL_ASKED) {
            bao_errand(d, request, BAO_ERRAND_CANCEL);
        }
    }
}

void bao_dialogue_lost(struct bao_dialogue *d, uint64_t now_us)
{
    bool was_open = d->state == BAO_DIALOGUE_OPEN;
    d->state = BAO_DIALOGUE_DOWN;
    move_sent_to_again(d);
    if (was_open) {
        d->down_since_us = now_us;
        start_reach_timers(d, now_us);
        count_quick_losses(d, now_us - d->open_since_us < BAO_YOUNG_US);
    }
    reset_connection(d);
}

/* --- welcome ------------------------------------------------------------ */

/* Acknowledges every rid that was given and is not waited for: what the
 * broker keeps for them, it keeps for nobody. */
static bool ack_all_but_outstanding(struct bao_dialogue *d)
{
    uint64_t from = 1;
    struct bao_link *link;
    for (link = bao_list_first(&d->again); link != NULL;
         link = bao_list_next(&d->again, link)) {
        uint64_t rid = BAO_OF(link, struct bao_request, link)->rid;
        if (rid == 0) {
            continue;
        }
        struct bao_pair range = {.first = from, .last = rid - 1};
        if (range.first <= range.last && !bao_pairs_add(&d->acks, range)) {
            return false;
        }
        from = rid + 1;
    }
    struct bao_pair rest = {.first = from, .last = d->last_rid};
    return rest.first > rest.last || bao_pairs_add(&d->acks, rest);
}

static void resumed(struct bao_dialogue *d, uint64_t now_us)
{
    BAO_MARK("a session is resumed");
    if (!ack_all_but_outstanding(d) || !bao_leases_snapshot(d)) {
        bao_break(d, "no memory to resume");
        return;
    }
    d->ack_due = d->acks.count > 0;
    d->held_due = true;
    bao_leases_renew_all(d, now_us);
}

/* True if doing it twice, or not knowing whether it was done, is no harm. */
static bool only_looks(const struct bao_request *request)
{
    switch (request->operation.verb) {
    case BAO_VERB_GET:
    case BAO_VERB_SUBSCRIBE:
    case BAO_VERB_JOIN:
    case BAO_VERB_WAIT:
    case BAO_VERB_STAT:
    case BAO_VERB_LIST:
    case BAO_VERB_PEEK:
    case BAO_VERB_BROWSE:
    case BAO_VERB_SESSIONS:
    case BAO_VERB_BROKER: return true;
    default: return false;
    }
}

/* A token of a broker that is gone: never to be shown to another one. */
static bool needs_a_lease(const struct bao_request *request)
{
    return bao_has(&request->operation, BAO_BIT(TOKENS));
}

/* The request becomes one that was never sent. */
static void make_new(struct bao_dialogue *d, struct bao_request *request)
{
    if (request->rid != 0) {
        bao_map_remove(&d->requests, request->rid);
    }
    request->rid = 0;
    request->sequence = 0;
}

static void start_anew(struct bao_dialogue *d, bool remembered)
{
    BAO_MARK("a session is lost and a new one begins");
    d->last_rid = 0;
    d->receipts.count = 0;
    d->receipts.sent = 0;
    bao_leases_lose_all(d, remembered ? BAOZI_STALE : BAOZI_LOST);
    struct bao_list *list = &d->again;
    for (size_t left = list->count; left > 0; left--) {
        struct bao_link *link = bao_list_first(list);
        if (link == NULL) {
            break;
        }
        struct bao_request *request = BAO_OF(link, struct bao_request, link);
        if (request->own || (remembered && !only_looks(request))) {
            bao_fail(d,
                     request,
                     BAOZI_SESSION_GONE,
                     "the broker forgot this session before it answered");
            continue;
        }
        if (!remembered && needs_a_lease(request)) {
            bao_fail(d, request, BAOZI_LOST, "the broker restarted");
            continue;
        }
        make_new(d, request);
        bao_list_remove(list, link);
        bao_list_push(list, link);
    }
    d->orphans.count = 0; /* they were the old session's */
    d->orphans.sent = 0;
}

static void take_terms(struct bao_dialogue *d,
                       const struct bao_operation *answer)
{
    d->session = answer->session;
    d->epoch = answer->epoch;
    d->boot = answer->boot;
    if (bao_has(answer, BAO_BIT(SECRET)) &&
        answer->secret.bytes == BAO_CLIENT_ID_BYTES) {
        memcpy(d->secret, answer->secret.data, BAO_CLIENT_ID_BYTES);
    }
    uint64_t beat_us = answer->heartbeat_ms * 1000;
    d->heartbeat_us =
        beat_us < BAO_HEARTBEAT_US_MIN ? BAO_HEARTBEAT_US_MIN : beat_us;
    d->waiting_max = bao_has(answer, BAO_BIT(LIMIT)) && answer->limit > 0
                         ? (uint32_t)answer->limit
                         : BAO_WAITING_MAX;
    d->credit_bytes = bao_has(answer, BAO_BIT(CREDIT_BYTES))
                          ? answer->credit_bytes
                          : BAO_PARKED_SESSION_BYTES;
    d->item_bytes_max = bao_has(answer, BAO_BIT(ITEM_BYTES_MAX))
                            ? (uint32_t)answer->item_bytes_max
                            : BAO_ITEM_BYTES_MAX;
    d->has_session = true;
}

static void refused(struct bao_dialogue *d,
                    uint64_t now_us,
                    const struct bao_operation *answer)
{
    if (answer->status == BAOZI_SESSION_GONE && d->has_session) {
        BAO_MARK("a resume is refused");
        d->session_lost = true;
        d->lost_boot = d->boot;
        bao_session_new_client(d);
        d->state = BAO_DIALOGUE_HELLO_DUE;
        return;
    }
    d->refusal = (enum baozi_status)answer->status;
    size_t bytes = 0;
    if (bao_has(answer, BAO_BIT(ERROR))) {
        bytes = answer->error.bytes < BAO_ERROR_BYTES_MAX ? answer->error.bytes
                                                          : BAO_ERROR_BYTES_MAX;
        memcpy(d->refusal_text, answer->error.data, bytes);
    }
    d->refusal_text[bytes] = '\0';
    d->state = BAO_DIALOGUE_REFUSED;
    d->hello_us = now_us + BAO_HELLO_AGAIN_US;
    bao_dialogue_fail_all(d, d->refusal, d->refusal_text);
}

/* The answer to HELLO. */
void bao_session_welcome(struct bao_dialogue *d,
                         uint64_t now_us,
                         const struct bao_operation *answer)
{
    if (d->state != BAO_DIALOGUE_HELLO_SENT) {
        return; /* to an earlier HELLO of this connection */
    }
    if (answer->status != BAOZI_OK) {
        refused(d, now_us, answer);
        return;
    }
    bool had_session = d->has_session || d->session_lost;
    uint64_t flags = bao_has(answer, BAO_BIT(FLAGS)) ? answer->flags : 0;
    bool is_resumed = d->has_session && (flags & BAO_FLAG_RESUMED) != 0;
    bool is_lasting = (flags & BAO_FLAG_LASTING) != 0;
    uint64_t old_boot = d->session_lost ? d->lost_boot : d->boot;
    take_terms(d, answer);
    d->session_lost = false;
    d->refusal = BAOZI_OK;
    d->state = BAO_DIALOGUE_OPEN;
    d->open_since_us = now_us;
    d->beat_us = now_us;
    d->first_message = d->messages + 1;
    /* Of answers that came between HELLO and now; a resume acknowledges all,
     * and a new session has other rids. */
    d->acks.count = 0;
    d->acked_rids = 0;
    if (is_resumed) {
        struct bao_link *link =
            BAO_PLANTED(RESUME_AS_NEW) ? bao_list_first(&d->again) : NULL;
        for (; link != NULL; link = bao_list_next(&d->again, link)) {
            make_new(d, BAO_OF(link, struct bao_request, link));
        }
        resumed(d, now_us);
    } else if (had_session) {
        start_anew(d, old_boot == d->boot || is_lasting);
    }
    d->config.calls.welcomed(d->config.context, is_resumed);
}

/* GONE: this connection speaks for no session any more. */
void bao_session_gone(struct bao_dialogue *d,
                      uint64_t now_us,
                      const struct bao_operation *notice)
{
    bool young = now_us - d->open_since_us < BAO_YOUNG_US;
    if (notice->status != BAOZI_SESSION_GONE ||
        (d->state == BAO_DIALOGUE_OPEN && young)) {
        d->thrown_out = notice->status != BAOZI_SESSION_GONE;
        bao_break(d, "the broker ended the connection");
        return;
    }
    if (d->state != BAO_DIALOGUE_OPEN) {
        return; /* to what was sent before HELLO; HELLO is under way */
    }
    bao_dialogue_lost(d, now_us);
    bao_dialogue_connected(d, now_us);
}
