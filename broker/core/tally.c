/*
 * tally.c - ledgers, and the tallies of sessions in queues.
 *
 * Invariant: unfinished = accepted - sum(settled) in every ledger; a tally
 * exists only while somebody holds, waits, joins, counts or may ask there.
 */
#include "broker/core/tally.h"

#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/items.h"
#include "broker/core/memory.h"

void bao_ledger_init(struct bao_ledger *ledger, uint64_t weight)
{
    *ledger = (struct bao_ledger){.weight = weight | 1};
    bao_list_init(&ledger->joiners);
}

void bao_errors_drop(struct bao_core *core, struct bao_errors *errors)
{
    if (errors == NULL) {
        return;
    }
    BAO_ASSERT(errors->count <= BAO_JOIN_ERRORS_MAX);
    for (uint32_t i = 0; i < errors->count; i++) {
        bao_text_drop(core, errors->texts[i]);
    }
    bao_pool_give(&core->errors, errors);
}

void bao_errors_add(struct bao_core *core,
                    struct bao_errors **errors,
                    struct bao_text *text)
{
    if (text == NULL) {
        return;
    }
    if (*errors == NULL) {
        *errors = bao_take_slot(core, &core->errors);
    }
    if ((*errors)->count < BAO_JOIN_ERRORS_MAX) {
        (*errors)->texts[(*errors)->count] = bao_text_share(text);
        (*errors)->count++;
    }
}

void bao_errors_recent(struct bao_core *core,
                       struct bao_queue *queue,
                       struct bao_text *text)
{
    if (text == NULL) {
        return;
    }
    if (queue->recent == NULL) {
        queue->recent = bao_take_slot(core, &core->errors);
    }
    struct bao_errors *recent = queue->recent;
    const uint32_t at = (uint32_t)(queue->recent_total % BAO_JOIN_ERRORS_MAX);
    if (recent->count < BAO_JOIN_ERRORS_MAX) {
        BAO_ASSERT(at == recent->count);
        recent->count++;
    } else {
        bao_text_drop(core, recent->texts[at]);
    }
    recent->texts[at] = bao_text_share(text);
    queue->recent_total++;
}

void bao_ledger_fini(struct bao_core *core, struct bao_ledger *ledger)
{
    BAO_ASSERT(ledger->joiners.count == 0);
    if (bao_link_is_listed(&ledger->woken)) {
        bao_list_remove(&core->woken, &ledger->woken);
    }
    core->digest -= bao_digest_ledger(ledger);
    bao_errors_drop(core, ledger->errors);
    ledger->errors = NULL;
}

void bao_ledger_accept(struct bao_core *core,
                       struct bao_ledger *ledger,
                       uint64_t count)
{
    core->digest += count * ledger->weight;
    ledger->accepted += count;
    ledger->unfinished += count;
}

void bao_ledger_settle(struct bao_core *core,
                       struct bao_ledger *ledger,
                       enum bao_ending ending)
{
    BAO_ASSERT(ledger->unfinished > 0);
    BAO_ASSERT(ending < BAO_ENDINGS);
    core->digest += ledger->weight << (7 * ((unsigned)ending + 1));
    ledger->settled[ending]++;
    ledger->unfinished--;
    if (ledger->unfinished > 0 || ledger->joiners.count == 0) {
        return;
    }
    /* Those who wait now are answered, whatever is accepted meanwhile. */
    const struct bao_waiter *last =
        BAO_OF(ledger->joiners.head.previous, struct bao_waiter, place);
    ledger->woken_serial = last->serial;
    if (!bao_link_is_listed(&ledger->woken)) {
        bao_list_push(&core->woken, &ledger->woken);
    }
}

void bao_ledger_error(struct bao_core *core,
                      struct bao_ledger *ledger,
                      struct bao_text *text)
{
    bao_errors_add(core, &ledger->errors, text);
}

static uint64_t pair_hash(uint64_t session, uint64_t incarnation)
{
    return bao_hash_number(session, incarnation);
}

struct bao_tally *bao_tally_find(const struct bao_core *core,
                                 uint64_t session,
                                 const struct bao_queue *queue)
{
    uint64_t hash = pair_hash(session, queue->incarnation);
    struct bao_table_node *node = bao_table_first(&core->tallies, hash);
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_tally *tally = BAO_OF(node, struct bao_tally, by_pair);
        if (tally->session_number == session && tally->queue == queue) {
            return tally;
        }
    }
    return NULL;
}

struct bao_tally *bao_tally_new(struct bao_core *core,
                                struct bao_session *session,
                                uint64_t session_number,
                                struct bao_queue *queue)
{
    uint64_t hash = pair_hash(session_number, queue->incarnation);
    struct bao_tally *tally = bao_take_slot(core, &core->tallies_pool);
    bao_ledger_init(&tally->ledger, bao_digest_mix(hash));
    tally->session = session;
    tally->session_number = session_number;
    tally->queue = queue;
    tally->stamp = core->stamp;
    bao_list_init(&tally->leases);
    bao_list_init(&tally->outcomes);
    bao_list_init(&tally->gets);
    bao_table_put(&core->tallies, &tally->by_pair, hash);
    if (session != NULL) {
        bao_list_push(&session->tallies, &tally->of_session);
    }
    bao_list_push(&queue->tallies, &tally->of_queue);
    return tally;
}

struct bao_tally *bao_tally_get(struct bao_core *core,
                                struct bao_session *session,
                                struct bao_queue *queue)
{
    struct bao_tally *tally = bao_tally_find(core, session->number, queue);
    if (tally != NULL) {
        BAO_ASSERT(tally->session == session);
        return tally;
    }
    tally = bao_tally_new(core, session, session->number, queue);
    tally->ended_us = session->ended_us;
    return tally;
}

void bao_tally_tidy(struct bao_core *core, struct bao_tally *tally)
{
    bool counted = tally->session != NULL && tally->ledger.accepted > 0;
    if (counted || tally->live > 0 || tally->uses > 0 ||
        tally->outcomes.count > 0 || tally->ledger.joiners.count > 0) {
        return;
    }
    BAO_ASSERT(tally->leases.count == 0);
    BAO_ASSERT(tally->prepaid == 0);
    BAO_ASSERT(tally->gets.count == 0);
    bao_image_touch_tally(core, tally);
    bao_ledger_fini(core, &tally->ledger);
    bao_timer_stop(core, &tally->timer);
    bao_table_remove(&core->tallies, &tally->by_pair);
    bao_list_remove(&tally->queue->tallies, &tally->of_queue);
    if (tally->session != NULL) {
        bao_list_remove(&tally->session->tallies, &tally->of_session);
    }
    bao_pool_give(&core->tallies_pool, tally);
}

void bao_tally_ended(struct bao_core *core,
                     struct bao_tally *tally,
                     uint64_t ended_us)
{
    bao_image_touch_tally(core, tally);
    tally->ended_us = ended_us;
    if (ended_us == 0 || tally->outcomes.count == 0) {
        bao_timer_stop(core, &tally->timer);
        return;
    }
    bao_timer_set(
        core,
        &tally->timer,
        BAO_TIMER_TALLY,
        bao_later(ended_us, bao_us_of_ms(tally->queue->options.result_ttl_ms)),
        tally->session_number);
}

void bao_tally_use(struct bao_tally *tally)
{
    if (tally->uses == 0) {
        tally->queue->consumers++;
    }
    tally->uses++;
}

void bao_tally_unuse(struct bao_tally *tally)
{
    BAO_ASSERT(tally->uses > 0);
    tally->uses--;
    if (tally->uses == 0) {
        BAO_ASSERT(tally->queue->consumers > 0);
        tally->queue->consumers--;
    }
}
