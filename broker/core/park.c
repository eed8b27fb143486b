/*
 * park.c - what a waiting put leaves with the broker, and splitting it.
 *
 * Invariant: the parked bytes of a session, a queue and the core are the sums
 * over the parked puts that have their bodies; each of these has one
 * reference to its hold.
 */
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/put.h"
#include "broker/core/waiter.h"

static size_t strings_bytes(const struct bao_parked *offer)
{
    return offer->group.bytes + offer->dedup_key.bytes +
           offer->fairness_key.bytes;
}

static struct bao_span keep_string(uint8_t **at, struct bao_span span)
{
    if (span.bytes == 0) {
        return bao_span_of(NULL, 0);
    }
    memcpy(*at, span.data, span.bytes);
    struct bao_span kept = bao_span_of(*at, span.bytes);
    *at += span.bytes;
    return kept;
}

/* Copies `count` items of an offer, from `from` on, to where they may wait;
 * bodies are kept while the caps allow, else they are asked for (S3.3). */
struct bao_parked *bao_park(struct bao_core *core,
                            const struct bao_call *call,
                            struct bao_queue *queue,
                            const struct bao_parked *offer)
{
    struct bao_session *session = call->session;
    const uint32_t count =
        bao_offer_is_atomic(offer) ? offer->count : call->count;
    const size_t items = count * sizeof(*offer->items);
    struct bao_parked *parked =
        bao_take(core, sizeof(*parked) + items + strings_bytes(offer));
    *parked = *offer;
    parked->references = 1;
    parked->count = count;
    parked->bytes = 0;
    parked->items = (struct bao_put_item *)(void *)(parked + 1);
    for (uint32_t i = 0; i < count; i++) {
        parked->items[i] = offer->items[call->from + i];
        parked->bytes += parked->items[i].body.bytes;
    }
    uint8_t *at = (uint8_t *)parked->items + items;
    parked->group = keep_string(&at, offer->group);
    parked->dedup_key = keep_string(&at, offer->dedup_key);
    parked->fairness_key = keep_string(&at, offer->fairness_key);

    const uint64_t bytes = parked->bytes;
    if (bao_offer_is_bodyless(offer) || bytes == 0 || parked->hold == 0) {
        parked->hold = 0;
        return parked;
    }
    if (bytes > BAO_PARKED_SESSION_BYTES - session->parked_bytes ||
        bytes > core->config.parked_bytes_max - core->parked_bytes) {
        BAO_MARK("a put waits without its body");
        parked->hold = 0;
        parked->flags |= BAO_FLAG_NO_BODY;
        return parked;
    }
    session->parked_bytes += bytes;
    core->parked_bytes += bytes;
    queue->parked_bytes += bytes;
    bao_say_hold(core, BAO_EFFECT_KEEP, parked->hold);
    return parked;
}

void bao_parked_drop(struct bao_core *core, struct bao_waiter *waiter)
{
    struct bao_parked *parked = waiter->parked;
    BAO_ASSERT(parked->references > 0);
    parked->references--;
    if (parked->references > 0) {
        return;
    }
    if (parked->hold != 0) {
        BAO_ASSERT(waiter->session->parked_bytes >= parked->bytes);
        BAO_ASSERT(core->parked_bytes >= parked->bytes);
        waiter->session->parked_bytes -= parked->bytes;
        core->parked_bytes -= parked->bytes;
        waiter->queue->parked_bytes -= parked->bytes;
        bao_say_hold(core, BAO_EFFECT_DROP, parked->hold);
    }
    /* Facts of this step may still speak of it. */
    parked->next = core->unparked;
    core->unparked = parked;
}

struct bao_waiter *
bao_put_split(struct bao_core *core, struct bao_waiter *waiter, uint64_t rid)
{
    struct bao_session *session = waiter->session;
    struct bao_waiter *one = waiter;
    BAO_ASSERT(waiter->kind == BAO_WAITER_PUT);
    BAO_ASSERT(rid - waiter->request.first < waiter->request.count);
    while (one->request.first != rid || one->request.count > 1) {
        /* Cut before rid, then behind it: the second part is new. */
        const uint64_t cut = one->request.first < rid ? rid : rid + 1;
        const uint32_t kept = (uint32_t)(cut - one->request.first);
        struct bao_waiter *rest = bao_take_slot(core, &core->waiters);
        *rest = *one;
        rest->timer = (struct bao_timer){.kind = BAO_TIMER_NONE};
        rest->place = (struct bao_link){.next = NULL};
        core->serial++;
        rest->serial = core->serial;
        rest->request.first = cut;
        rest->request.count = one->request.count - kept;
        rest->at = one->at + kept;
        rest->asked = false;
        one->request.count = kept;
        rest->parked->references++;
        bao_window_add(core, session, &rest->request);
        bao_waiter_time(core, rest, rest->until_us);
        struct bao_link *next = bao_list_next(&one->queue->puts, &one->place);
        if (next == NULL) {
            bao_list_push(&one->queue->puts, &rest->place);
        } else {
            bao_list_insert_before(&one->queue->puts, next, &rest->place);
        }
        if (cut == rid) {
            one = rest;
        }
    }
    return one;
}
