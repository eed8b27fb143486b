/*
 * image_queue.c - rows of queues, and of what lies in them beside the items.
 */
#include "broker/core/digest.h"
#include "broker/core/image_loader.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/names.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"

struct bao_queue *bao_image_queue(struct bao_image_loader *loader,
                                  uint64_t incarnation)
{
    if (loader->queue == NULL || loader->queue->incarnation != incarnation) {
        loader->queue = bao_queue_look(loader->core, incarnation);
        loader->owner = NULL;
        loader->holder = NULL;
        loader->group = NULL;
    }
    if (loader->queue == NULL || !loader->queue->logged) {
        return NULL;
    }
    return loader->queue;
}

/* False if more is settled than was accepted. */
static bool take_ledger(struct bao_image_loader *loader,
                        const uint64_t *numbers,
                        struct bao_ledger *ledger)
{
    ledger->accepted = numbers[0];
    ledger->unfinished = numbers[0];
    for (unsigned i = 0; i < BAO_ENDINGS; i++) {
        if (numbers[1 + i] > ledger->unfinished) {
            return false;
        }
        ledger->settled[i] = numbers[1 + i];
        ledger->unfinished -= numbers[1 + i];
    }
    loader->core->digest += bao_digest_ledger(ledger);
    return true;
}

/* False if there are too many of them, or one is too long. */
static bool take_errors(struct bao_image_loader *loader,
                        struct bao_errors **errors)
{
    struct bao_core *core = loader->core;
    uint64_t count = bao_unpack_most(&loader->in, BAO_JOIN_ERRORS_MAX);
    for (; count > 0; count--) {
        struct bao_text *text = bao_text_make(
            core, bao_unpack_span(&loader->in, BAO_ERROR_BYTES_MAX));
        if (text == NULL) {
            return false;
        }
        bao_errors_add(core, errors, text);
        bao_text_drop(core, text);
    }
    return !loader->in.bad;
}

/* False if one is larger than it may be. */
static bool take_options(const uint64_t *numbers,
                         struct bao_queue_options *options)
{
    bool good = true;
    *options = (struct bao_queue_options){.present = 0};
#define X(number, NAME, field, fallback, max) \
    good = good && *numbers <= (max);         \
    options->field = *numbers++;              \
    options->present |= BAO_OPTION_BIT(NAME);
    BAO_OPTION_TABLE(X)
#undef X
    return good;
}

/* What can be known of a queue before its items. */
static const char *check_queue(const struct bao_image_loader *loader,
                               const struct bao_image_row *row,
                               const struct bao_queue_options *options)
{
    const uint64_t *numbers = row->numbers;
    const uint64_t incarnation = numbers[BAO_QUEUE_INCARNATION];
    const bool logged = (numbers[BAO_QUEUE_STATE] & BAO_QUEUE_LOGGED) != 0;
    struct bao_core *core = loader->core;
    if (incarnation == 0 || incarnation > core->last_incarnation ||
        bao_queue_look(core, incarnation) != NULL) {
        return "a queue that is there twice, or whose number is too high";
    }
    if (row->texts[0].bytes == 0 ||
        row->texts[0].bytes > BAO_QUEUE_NAME_BYTES_MAX ||
        bao_queue_named(core, row->texts[0]) != NULL) {
        return "a queue whose name is taken, or none";
    }
    if (numbers[BAO_QUEUE_LAST] > BAO_N_MASK ||
        (numbers[BAO_QUEUE_STATE] & ~(uint64_t)BAO_QUEUE_LOGGED) > 2 ||
        numbers[BAO_QUEUE_PREPAID] > BAO_N_MASK) {
        return "a queue with a member out of range";
    }
    if (!logged && (numbers[BAO_QUEUE_LEDGER] > 0 ||
                    options->durability != BAO_LEVEL_MEMORY)) {
        return "a durable queue whose contents are not";
    }
    return NULL;
}

static bool is_ring(const struct bao_queue *queue)
{
    const uint64_t count = queue->recent == NULL ? 0 : queue->recent->count;
    return count == queue->recent_total ||
           (count == BAO_JOIN_ERRORS_MAX && count < queue->recent_total);
}

const char *bao_image_take_queue(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_QUEUE];
    const uint64_t *numbers = row->numbers;
    struct bao_queue_options options;
    if (!take_options(&numbers[BAO_QUEUE_OPTIONS], &options)) {
        return "an option of a queue that is larger than it may be";
    }
    const char *why = check_queue(loader, row, &options);
    if (why != NULL) {
        return why;
    }
    struct bao_queue *queue = bao_queue_new(
        core, numbers[BAO_QUEUE_INCARNATION], row->texts[0], &options);
    queue->made_us = numbers[BAO_QUEUE_MADE];
    queue->last = numbers[BAO_QUEUE_LAST];
    queue->shut =
        (uint8_t)(numbers[BAO_QUEUE_STATE] & ~(uint64_t)BAO_QUEUE_LOGGED);
    queue->logged = (numbers[BAO_QUEUE_STATE] & BAO_QUEUE_LOGGED) != 0;
    queue->prepaid = numbers[BAO_QUEUE_PREPAID];
    queue->retried = numbers[BAO_QUEUE_RETRIED];
    queue->redelivered = numbers[BAO_QUEUE_REDELIVERED];
    queue->recent_total = numbers[BAO_QUEUE_RECENT];
    bao_names_add(core, queue);
    core->digest += bao_digest_queue(queue) + bao_digest_counts(queue);
    if (!take_ledger(loader, &numbers[BAO_QUEUE_LEDGER], &queue->ledger) ||
        !take_errors(loader, &queue->ledger.errors) ||
        !take_errors(loader, &queue->recent) || !is_ring(queue)) {
        return "a queue whose counts or errors do not agree";
    }
    return NULL;
}

const char *bao_image_take_group(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_GROUP];
    struct bao_queue *queue =
        bao_image_queue(loader, row->numbers[BAO_GROUP_QUEUE]);
    if (queue == NULL || row->texts[0].bytes == 0 ||
        row->texts[0].bytes > BAO_GROUP_NAME_BYTES_MAX ||
        bao_group_find(core, queue, row->texts[0]) != NULL) {
        return "a group of no queue, or one that is there twice";
    }
    struct bao_group *group = bao_group_make(core, queue, row->texts[0]);
    group->finished_us = row->numbers[BAO_GROUP_FINISHED];
    if (!take_ledger(loader, &row->numbers[BAO_GROUP_LEDGER], &group->ledger) ||
        !take_errors(loader, &group->ledger.errors)) {
        return "a group whose counts or errors do not agree";
    }
    return NULL;
}

const char *bao_image_take_dedup(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_DEDUP];
    struct bao_queue *queue =
        bao_image_queue(loader, row->numbers[BAO_DEDUP_QUEUE]);
    if (queue == NULL || row->texts[0].bytes == 0 ||
        row->texts[0].bytes > BAO_KEY_BYTES_MAX ||
        bao_dedup_find(core, queue, row->texts[0]) != NULL) {
        return "a key of no queue, or one that is there twice";
    }
    struct bao_dedup *dedup = bao_dedup_new(core, queue, row->texts[0]);
    dedup->first_id = row->numbers[BAO_DEDUP_FIRST_ID];
    dedup->until_us = row->numbers[BAO_DEDUP_UNTIL];
    if (dedup->until_us > 0) {
        bao_timer_set(core,
                      &dedup->timer,
                      BAO_TIMER_DEDUP,
                      dedup->until_us,
                      dedup->first_id);
    }
    core->digest += bao_digest_dedup(dedup);
    return NULL;
}

const char *bao_image_take_tally(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const uint64_t *numbers = loader->past.rows[BAO_IMAGE_TALLY].numbers;
    const uint64_t number = numbers[BAO_TALLY_SESSION];
    struct bao_queue *queue = bao_image_queue(loader, numbers[BAO_TALLY_QUEUE]);
    struct bao_session *session = bao_session_of(core, number);
    if (queue == NULL || number == 0 || number > core->last_session ||
        bao_tally_find(core, number, queue) != NULL) {
        return "a tally of no queue, or one that is there twice";
    }
    if ((session == NULL) != (numbers[BAO_TALLY_FORGOTTEN] == 1) ||
        numbers[BAO_TALLY_FORGOTTEN] > 1 ||
        (session != NULL && session->ended_us != numbers[BAO_TALLY_ENDED])) {
        return "a tally that does not agree with its session";
    }
    struct bao_tally *tally = bao_tally_new(core, session, number, queue);
    tally->ended_us = numbers[BAO_TALLY_ENDED];
    if (!take_ledger(loader, &numbers[BAO_TALLY_LEDGER], &tally->ledger) ||
        !take_errors(loader, &tally->ledger.errors)) {
        return "a tally whose counts or errors do not agree";
    }
    return NULL;
}

const char *bao_image_take_outcome(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_OUTCOME];
    const uint64_t *numbers = row->numbers;
    const uint64_t id = numbers[BAO_OUTCOME_ID];
    const uint64_t state = numbers[BAO_OUTCOME_STATE];
    struct bao_queue *queue = bao_image_queue(loader, id >> BAO_ID_SHIFT);
    if (queue == NULL || (id & BAO_N_MASK) > queue->last ||
        bao_outcome_find(core, id) != NULL) {
        return "an outcome of no item, or one that is there twice";
    }
    struct bao_tally *owner = NULL;
    if (numbers[BAO_OUTCOME_OWNER] != 0) {
        owner = bao_tally_find(core, numbers[BAO_OUTCOME_OWNER], queue);
    }
    if ((owner == NULL) != (numbers[BAO_OUTCOME_OWNER] == 0) ||
        numbers[BAO_OUTCOME_RESULT] > 1 ||
        numbers[BAO_OUTCOME_BYTES] > BAO_ITEM_BYTES_MAX ||
        (state != BAO_STATE_DEAD &&
         (state < BAO_STATE_DONE || state > BAO_STATE_PURGED))) {
        return "an outcome with a member out of range";
    }
    struct bao_outcome *outcome = bao_outcome_new(core, queue, id);
    outcome->state = (uint8_t)state;
    outcome->result = numbers[BAO_OUTCOME_RESULT] == 1;
    outcome->result_bytes = (uint32_t)numbers[BAO_OUTCOME_BYTES];
    outcome->error = bao_text_make(core, row->texts[0]);
    core->body_bytes += outcome->result_bytes;
    if (owner != NULL) {
        outcome->owner = owner;
        bao_list_push(&owner->outcomes, &outcome->of_owner);
    }
    core->digest += bao_digest_outcome(outcome);
    return NULL;
}
