/*
 * dialogue_timer.c - everything that happens because time passed.
 *
 * A request with a time limit: until_us passes; 50 ms later, when the broker
 * had its chance to say FULL or EMPTY by itself, CANCEL goes out (but for an
 * automatic get); one second after until_us, without an answer, it ends in
 * CONNECTION_LOST. A request
 * that cannot wait at the broker is asked after by a heartbeat when half of
 * connect_timeout has passed, and ends if all is silent for the other half.
 * One that ended so, with nothing heard since it was sent, makes the broker
 * doubted: until something is heard, heartbeats go out each second, so that a
 * connection that a network let die is left after the third, not after the
 * minutes that an idle session would take.
 * While no session is open, every request but a subscription ends
 * connect_timeout after it was made or the session was lost.
 */
#include "common/dialogue_inside.h"
#include "common/planted.h"

static const char silent_text[] =
    "nothing came from the broker in time, so the outcome is unknown";
static const char unreachable_text[] =
    "no broker could be reached at this address";

uint64_t bao_sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t add_time(uint64_t a, uint64_t b)
{
    return a > BAO_NEVER_US - b ? BAO_NEVER_US : a + b;
}

void bao_alarm_set(struct bao_dialogue *d,
                   struct bao_request *request,
                   uint64_t due_us)
{
    request->due_us = due_us;
    if (!bao_link_is_listed(&request->timed)) {
        bao_list_push(&d->timed, &request->timed);
    }
    d->timed_us = bao_sooner(d->timed_us, due_us);
}

/* A request was submitted. */
void bao_timer_start(struct bao_dialogue *d, struct bao_request *request)
{
    if (request->until_us != BAO_NEVER_US) {
        bao_alarm_set(
            d, request, add_time(request->until_us, BAO_CANCEL_AFTER_US));
    }
}

/* An automatic get is not cancelled at its deadline, only when it ends without
 * an answer: CANCEL would take back items that are on their way, and EMPTY
 * would not be true. */
static bool cancel_is_due(const struct bao_request *request)
{
    return request->cancel == BAO_CANCEL_ASKED ||
           (request->cancel == BAO_CANCEL_DEADLINE &&
            !bao_is_automatic(request));
}

/*
 * A request was sent. If it was given up before it was sent again, an earlier
 * attempt may still wait there, and its CANCEL goes out now: never before it,
 * because CANCELLED must mean that it waited, so FULL or EMPTY; and because a
 * request that was answered CANCELLED is a new one when it comes again.
 */
void bao_timer_sent(struct bao_dialogue *d,
                    struct bao_request *request,
                    uint64_t now_us)
{
    if (request->attempts > 1 && cancel_is_due(request) &&
        !BAO_PLANTED(CANCEL_FIRST)) {
        BAO_MARK("a CANCEL follows its request after a resume");
        bao_errand(d, request, BAO_ERRAND_CANCEL);
    }
    request->probe_us = 0;
    if (request->until_us == BAO_NEVER_US && !request->own &&
        !bao_may_wait(request) && request->cancel == BAO_CANCEL_NONE) {
        bao_alarm_set(d, request, now_us + d->config.connect_timeout_us / 2);
    }
}

static void doubt(struct bao_dialogue *d, uint64_t asked_us)
{
    if (d->state == BAO_DIALOGUE_OPEN && d->heard_us <= asked_us) {
        BAO_MARK("a broker that was silent is asked each second");
        d->doubted = true;
    }
}

static void
fire_probe(struct bao_dialogue *d, struct bao_request *request, uint64_t now_us)
{
    bool silent = request->probe_us != 0 && d->heard_us < request->probe_us;
    if (d->state == BAO_DIALOGUE_OPEN && silent) {
        BAO_MARK("a request ends because the broker is silent");
        doubt(d, request->probe_us);
        bao_fail(d, request, BAOZI_CONNECTION_LOST, silent_text);
        return;
    }
    request->probe_us = now_us;
    d->beat_due = true;
    bao_alarm_set(d, request, now_us + d->config.connect_timeout_us / 2);
}

static void
fire(struct bao_dialogue *d, struct bao_request *request, uint64_t now_us)
{
    if (request->cancel != BAO_CANCEL_NONE) {
        doubt(d, request->sent_us);
        bao_fail(d, request, BAOZI_CONNECTION_LOST, silent_text);
        return;
    }
    if (request->until_us == BAO_NEVER_US) {
        fire_probe(d, request, now_us);
        return;
    }
    request->cancel = BAO_CANCEL_DEADLINE;
    if (request->queue == &d->sent && cancel_is_due(request)) {
        BAO_MARK("CANCEL goes out at the caller's deadline");
        bao_errand(d, request, BAO_ERRAND_CANCEL);
    }
    bao_alarm_set(
        d, request, now_us + BAO_ANSWER_GRACE_US - BAO_CANCEL_AFTER_US);
}

static void tick_requests(struct bao_dialogue *d, uint64_t now_us)
{
    if (now_us < d->timed_us) {
        return;
    }
    /* Each goes to the end as it is looked at; what fires may leave the list
     * or be set anew, and its count bounds the walk. */
    d->timed_us = BAO_NEVER_US;
    for (size_t left = d->timed.count; left > 0; left--) {
        struct bao_link *link = bao_list_pop(&d->timed);
        if (link == NULL) {
            return;
        }
        struct bao_request *request = BAO_OF(link, struct bao_request, timed);
        bao_list_push(&d->timed, link);
        if (request->due_us <= now_us) {
            fire(d, request, now_us);
        } else {
            d->timed_us = bao_sooner(d->timed_us, request->due_us);
        }
    }
}

/* --- nobody answers ----------------------------------------------------- */

static uint64_t reach_end(const struct bao_dialogue *d,
                          const struct bao_request *request)
{
    uint64_t since_us = request->submitted_us > d->down_since_us
                            ? request->submitted_us
                            : d->down_since_us;
    return add_time(since_us, d->config.connect_timeout_us);
}

static void
tick_reach(struct bao_dialogue *d, struct bao_list *list, uint64_t now_us)
{
    for (size_t left = list->count; left > 0; left--) {
        struct bao_link *link = bao_list_first(list);
        if (link == NULL) {
            return;
        }
        struct bao_request *request = BAO_OF(link, struct bao_request, link);
        bool keeps =
            request->own || request->operation.verb == BAO_VERB_SUBSCRIBE;
        if (keeps || reach_end(d, request) > now_us) {
            if (!keeps) {
                d->reach_us = bao_sooner(d->reach_us, reach_end(d, request));
            }
            bao_list_remove(list, link);
            bao_list_push(list, link);
            continue;
        }
        bao_fail(d, request, BAOZI_CONNECTION_LOST, unreachable_text);
    }
}

static void tick_down(struct bao_dialogue *d, uint64_t now_us)
{
    if (now_us >= d->reach_us) {
        d->reach_us = BAO_NEVER_US;
        tick_reach(d, &d->again, now_us);
        tick_reach(d, &d->control, now_us);
        tick_reach(d, &d->batch, now_us);
    }
    if (d->state == BAO_DIALOGUE_HELLO_SENT && now_us >= d->hello_us) {
        bao_break(d, "the broker does not answer HELLO");
    }
    if (d->state == BAO_DIALOGUE_REFUSED && now_us >= d->hello_us) {
        d->state = BAO_DIALOGUE_HELLO_DUE;
    }
}

/* --- heartbeats, slots, acknowledgements -------------------------------- */

static uint64_t beat_end(const struct bao_dialogue *d)
{
    uint64_t quiet_us = bao_sooner(d->said_us, d->heard_us);
    uint64_t last_us = quiet_us > d->beat_us ? quiet_us : d->beat_us;
    uint64_t soon_us = BAO_HEARTBEAT_LEASED_MS * UINT64_C(1000);
    return last_us + (d->doubted ? bao_sooner(soon_us, d->heartbeat_us)
                                 : d->heartbeat_us);
}

static void tick_beat(struct bao_dialogue *d, uint64_t now_us)
{
    if (now_us < beat_end(d)) {
        return;
    }
    if (d->beats >= BAO_HEARTBEATS_MISSED) {
        BAO_MARK("three silent heartbeats end the connection");
        bao_break(d, "the broker did not answer three heartbeats");
        return;
    }
    d->beat_due = true;
    d->beat_us = now_us;
    d->beats++;
}

static void tick_slots(struct bao_dialogue *d, uint64_t now_us)
{
    for (size_t i = 0; i < BAO_SLOTS; i++) {
        if (now_us >= d->slots[i].sent_us + BAO_SLOT_US) {
            d->slots[i].message = 0;
        }
    }
}

void bao_dialogue_tick(struct bao_dialogue *d, uint64_t now_us)
{
    tick_requests(d, now_us);
    if (d->state != BAO_DIALOGUE_OPEN) {
        tick_down(d, now_us);
        return;
    }
    tick_beat(d, now_us);
    tick_slots(d, now_us);
    bao_leases_tick(d, now_us);
    if (d->acked_rids > 0 && now_us >= d->ack_us) {
        d->ack_due = true;
    }
    if (d->starting.count > 0 && now_us >= d->starting_us) {
        d->starting_due = true;
    }
}

uint64_t bao_dialogue_deadline(const struct bao_dialogue *d)
{
    uint64_t due_us = d->timed_us;
    if (d->state != BAO_DIALOGUE_OPEN) {
        due_us = bao_sooner(due_us, d->reach_us);
        if (d->state == BAO_DIALOGUE_HELLO_SENT ||
            d->state == BAO_DIALOGUE_REFUSED) {
            due_us = bao_sooner(due_us, d->hello_us);
        }
        return due_us;
    }
    due_us = bao_sooner(due_us, beat_end(d));
    due_us = bao_sooner(due_us, bao_leases_due(d));
    if (d->acked_rids > 0 && !d->ack_due) {
        due_us = bao_sooner(due_us, d->ack_us);
    }
    if (d->starting.count > 0 && !d->starting_due) {
        due_us = bao_sooner(due_us, d->starting_us);
    }
    for (size_t i = 0; d->batch.count > 0 && i < BAO_SLOTS; i++) {
        if (d->slots[i].message != 0) {
            due_us = bao_sooner(due_us, d->slots[i].sent_us + BAO_SLOT_US);
        }
    }
    return due_us;
}
