/*
 * image_save.c - one record of each kind as a row of the image.
 *
 * What a record leads to (its queue, session, tally, group, key, kept answer)
 * is saved before it, so that whoever loads finds it. Sums that follow from the
 * records are not saved: loading counts them again.
 */
#include "broker/core/digest.h"
#include "broker/core/image_inside.h"
#include "broker/core/memory.h"
#include "broker/core/shelf.h"
#include "broker/core/store.h"

static void put_ledger(uint64_t *numbers, const struct bao_ledger *ledger)
{
    numbers[0] = ledger->accepted;
    for (unsigned i = 0; i < BAO_ENDINGS; i++) {
        numbers[1 + i] = ledger->settled[i];
    }
}

void bao_image_save_session(struct bao_core *core, struct bao_session *session)
{
    struct bao_image *image = core->image;
    struct bao_image_row *row = &image->row;
    session->stamp = core->stamp;
    row->numbers[BAO_SESSION_NUMBER] = session->number;
    row->numbers[BAO_SESSION_PID] = session->pid;
    row->numbers[BAO_SESSION_STATE] = session->state;
    row->numbers[BAO_SESSION_ENDED] = session->ended_us;
    row->texts[BAO_SESSION_CLIENT] =
        bao_span_of(session->client, sizeof(session->client));
    row->texts[BAO_SESSION_SECRET] =
        bao_span_of(session->secret, sizeof(session->secret));
    row->texts[BAO_SESSION_HOST] = bao_text_span(session->host);
    row->texts[BAO_SESSION_PROGRAM] = bao_text_span(session->program);
    image->saved += bao_digest_session(session);
    bao_image_add(core, BAO_IMAGE_SESSION);
}

void bao_image_save_answer(struct bao_core *core, struct bao_answer *answer)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    answer->stamp = core->stamp;
    if (answer->unlogged) {
        image->partial = true;
        return;
    }
    bao_image_touch_session(core, answer->session);
    numbers[BAO_ANSWER_SESSION] = answer->session->number;
    numbers[BAO_ANSWER_FIRST] = answer->request.first;
    numbers[BAO_ANSWER_COUNT] = answer->request.count;
    numbers[BAO_ANSWER_QUEUE] = answer->queue;
    numbers[BAO_ANSWER_FIRST_ID] = answer->first_id;
    numbers[BAO_ANSWER_NUMBER] = answer->number;
    numbers[BAO_ANSWER_FLAGS] =
        answer->flags |
        (answer->session->last_answers[false] == answer ? BAO_ANSWER_LAST : 0);
    numbers[BAO_ANSWER_VERB] = answer->verb;
    numbers[BAO_ANSWER_STATUS] = answer->status;
    image->row.texts[0] = bao_text_span(answer->extra);
    image->saved += bao_digest_answer(answer);
    bao_image_add(core, BAO_IMAGE_ANSWER);
}

void bao_image_save_progress(struct bao_core *core, struct bao_progress *one)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    const struct bao_queue *queue = bao_queue_look(core, one->queue);
    one->stamp = core->stamp;
    if (queue != NULL && !queue->logged) {
        image->partial = true;
        return;
    }
    bao_image_touch_session(core, one->session);
    numbers[BAO_PROGRESS_SESSION] = one->session->number;
    numbers[BAO_PROGRESS_RID] = one->rid;
    numbers[BAO_PROGRESS_QUEUE] = one->queue;
    numbers[BAO_PROGRESS_MARK] = one->mark;
    numbers[BAO_PROGRESS_MOVED] = one->moved;
    image->saved += bao_digest_progress(one);
    bao_image_add(core, BAO_IMAGE_PROGRESS);
}

/* Of a queue that is not logged: what its first facts said. */
void bao_image_save_queue(struct bao_core *core, struct bao_queue *queue)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    queue->stamp = core->stamp;
    memset(numbers, 0, sizeof(image->row.numbers));
    numbers[BAO_QUEUE_INCARNATION] = queue->incarnation;
    numbers[BAO_QUEUE_MADE] = queue->made_us;
    numbers[BAO_QUEUE_STATE] =
        queue->shut | (queue->logged ? BAO_QUEUE_LOGGED : 0);
    uint64_t *option = &numbers[BAO_QUEUE_OPTIONS];
#define X(number, NAME, field, fallback, max) *option++ = queue->options.field;
    BAO_OPTION_TABLE(X)
#undef X
    image->row.texts[0] = bao_text_span(queue->name);
    image->saved += bao_digest_queue(queue);
    if (queue->logged) {
        numbers[BAO_QUEUE_LAST] = queue->last;
        numbers[BAO_QUEUE_PREPAID] = queue->prepaid;
        numbers[BAO_QUEUE_RETRIED] = queue->retried;
        numbers[BAO_QUEUE_REDELIVERED] = queue->redelivered;
        numbers[BAO_QUEUE_RECENT] = queue->recent_total;
        put_ledger(&numbers[BAO_QUEUE_LEDGER], &queue->ledger);
        image->lists[0] = queue->ledger.errors;
        image->lists[1] = queue->recent;
        image->saved += bao_digest_counts(queue);
        image->saved += bao_digest_ledger(&queue->ledger);
    } else {
        image->lists[0] = NULL;
        image->lists[1] = NULL;
        numbers[BAO_QUEUE_LAST] = core->first_n;
        image->saved += core->first_n * queue->weight;
        image->partial = image->partial || queue->last > core->first_n;
    }
    bao_image_add(core, BAO_IMAGE_QUEUE);
}

void bao_image_save_group(struct bao_core *core, struct bao_group *group)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    group->stamp = core->stamp;
    bao_image_passed(core, &group->finished);
    if (!group->queue->logged) {
        return;
    }
    bao_image_touch_queue(core, group->queue);
    numbers[BAO_GROUP_QUEUE] = group->queue->incarnation;
    numbers[BAO_GROUP_FINISHED] =
        group->ledger.unfinished > 0 ? 0 : group->finished_us;
    put_ledger(&numbers[BAO_GROUP_LEDGER], &group->ledger);
    image->row.texts[0] = bao_text_span(group->name);
    image->lists[0] = group->ledger.errors;
    image->saved += bao_digest_group(group) + bao_digest_ledger(&group->ledger);
    bao_image_add(core, BAO_IMAGE_GROUP);
}

void bao_image_save_dedup(struct bao_core *core, struct bao_dedup *dedup)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    dedup->stamp = core->stamp;
    bao_image_passed(core, &dedup->of_queue);
    if (!dedup->queue->logged) {
        return;
    }
    bao_image_touch_queue(core, dedup->queue);
    numbers[BAO_DEDUP_QUEUE] = dedup->queue->incarnation;
    numbers[BAO_DEDUP_FIRST_ID] = dedup->first_id;
    numbers[BAO_DEDUP_UNTIL] = dedup->until_us;
    image->row.texts[0] = bao_text_span(dedup->key);
    image->saved += bao_digest_dedup(dedup);
    bao_image_add(core, BAO_IMAGE_DEDUP);
}

/* One that is only there for those who wait is volatile. */
static bool is_durable(const struct bao_tally *tally)
{
    return tally->queue->logged &&
           (tally->ledger.accepted > 0 || tally->leases.count > 0 ||
            tally->prepaid > 0 || tally->outcomes.count > 0 || tally->live > 0);
}

void bao_image_save_tally(struct bao_core *core, struct bao_tally *tally)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    tally->stamp = core->stamp;
    bao_image_passed(core, &tally->of_queue);
    if (!is_durable(tally)) {
        return;
    }
    bao_image_touch_queue(core, tally->queue);
    if (tally->session != NULL) {
        bao_image_touch_session(core, tally->session);
    }
    numbers[BAO_TALLY_SESSION] = tally->session_number;
    numbers[BAO_TALLY_QUEUE] = tally->queue->incarnation;
    numbers[BAO_TALLY_ENDED] = tally->ended_us;
    numbers[BAO_TALLY_FORGOTTEN] = tally->session == NULL;
    put_ledger(&numbers[BAO_TALLY_LEDGER], &tally->ledger);
    image->lists[0] = tally->ledger.errors;
    image->saved += bao_digest_ledger(&tally->ledger);
    bao_image_add(core, BAO_IMAGE_TALLY);
}

void bao_image_save_outcome(struct bao_core *core, struct bao_outcome *outcome)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    outcome->stamp = core->stamp;
    bao_image_passed(core, &outcome->of_queue);
    if (!outcome->queue->logged) {
        return;
    }
    bao_image_touch_queue(core, outcome->queue);
    if (outcome->owner != NULL) {
        bao_image_touch_tally(core, outcome->owner);
    }
    numbers[BAO_OUTCOME_ID] = outcome->id;
    numbers[BAO_OUTCOME_OWNER] =
        outcome->owner == NULL ? 0 : outcome->owner->session_number;
    numbers[BAO_OUTCOME_STATE] = outcome->state;
    numbers[BAO_OUTCOME_RESULT] = outcome->result;
    numbers[BAO_OUTCOME_BYTES] = outcome->result_bytes;
    image->row.texts[0] = bao_text_span(outcome->error);
    image->saved += bao_digest_outcome(outcome);
    bao_image_add(core, BAO_IMAGE_OUTCOME);
}

/* --- items -----------------------------------------------------------------
 */

/* Its deadline is the one it was granted; a touch is no fact. */
static void put_lease(struct bao_image *image, const struct bao_lease *lease)
{
    uint64_t *numbers = image->row.numbers;
    const struct bao_image_row *past = &image->past.rows[BAO_IMAGE_ITEM];
    if (lease == NULL) {
        memcpy(numbers + BAO_ITEM_TOKEN,
               past->numbers + BAO_ITEM_TOKEN,
               (BAO_ITEM_NUMBERS - BAO_ITEM_TOKEN) * sizeof(*numbers));
        return;
    }
    numbers[BAO_ITEM_TOKEN] = lease->token;
    numbers[BAO_ITEM_ORDER] = lease->order;
    numbers[BAO_ITEM_HOLDER] = lease->tally->session_number;
    numbers[BAO_ITEM_SINCE] = lease->since_us;
    numbers[BAO_ITEM_LENGTH] = lease->lease_us;
    numbers[BAO_ITEM_RUN] = lease->run_until_us;
    numbers[BAO_ITEM_RID] = lease->rid;
    numbers[BAO_ITEM_SEQUENCE] = lease->sequence;
    numbers[BAO_ITEM_LEASE_FLAGS] =
        lease->flags | (lease->until_us == BAO_NEVER ? 0 : BAO_LEASE_ENDS) |
        (lease->answer == NULL ? 0 : BAO_LEASE_ANSWERED);
}

static void put_note(struct bao_image *image, const struct bao_note *note)
{
    static const struct bao_note none = {.item = NULL};
    struct bao_image_row *row = &image->row;
    if (note == NULL) {
        note = &none;
    }
    row->numbers[BAO_ITEM_ORIGIN] = note->origin;
    row->numbers[BAO_ITEM_WALL] = note->wall_us;
    row->numbers[BAO_ITEM_FLAGS] |=
        note->dedup == NULL ? 0 : BAO_ITEM_HOLDS_KEY;
    row->texts[BAO_ITEM_KEY] = bao_text_span(note->dedup_key);
    row->texts[BAO_ITEM_FAIRNESS] = bao_text_span(note->fairness_key);
    row->texts[BAO_ITEM_GROUP_NAME] = bao_text_span(note->group_name);
    row->texts[BAO_ITEM_ERROR] = bao_text_span(note->error);
}

static void touch_links(struct bao_core *core, const struct bao_item *item)
{
    bao_image_touch_queue(core, item->queue);
    if (item->tally != NULL) {
        bao_image_touch_tally(core, item->tally);
    }
    if (item->lease != NULL) {
        bao_image_touch_tally(core, item->lease->tally);
        if (item->lease->answer != NULL) {
            bao_image_touch_answer(core, item->lease->answer);
        }
    }
    if (item->group != NULL) {
        bao_image_touch_group(core, item->group);
    }
    if (item->note != NULL && item->note->dedup != NULL) {
        bao_image_touch_dedup(core, item->note->dedup);
    }
}

void bao_image_save_item(struct bao_core *core, struct bao_item *item)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    item->stamp = core->stamp;
    if (!item->queue->logged) {
        return;
    }
    touch_links(core, item);
    numbers[BAO_ITEM_ID] = item->id;
    numbers[BAO_ITEM_ACCEPTED] = item->accepted_us;
    numbers[BAO_ITEM_BYTES] = item->bytes;
    numbers[BAO_ITEM_OWNER] =
        item->tally == NULL ? 0 : item->tally->session_number;
    numbers[BAO_ITEM_STATE] = item->state;
    numbers[BAO_ITEM_HEADER_BYTES] = item->header_bytes;
    numbers[BAO_ITEM_FLAGS] = item->flags & ~BAO_ITEM_FLAGS_VOLATILE;
    numbers[BAO_ITEM_DELIVERIES] = item->deliveries;
    numbers[BAO_ITEM_PRIORITY] = (uint64_t)(int64_t)item->priority;
    numbers[BAO_ITEM_DUE] = item->due_us;
    numbers[BAO_ITEM_EXPIRES] = item->expires_us;
    numbers[BAO_ITEM_HISTORY] = item->history;
    image->row.texts[BAO_ITEM_GROUP] = item->group == NULL
                                           ? bao_span_of(NULL, 0)
                                           : bao_text_span(item->group->name);
    put_note(image, item->note);
    put_lease(image, item->lease);
    image->saved += bao_digest_item(item);
    bao_image_add(core, BAO_IMAGE_ITEM);
}

void bao_image_save_resting(struct bao_core *core,
                            const struct bao_queue *queue,
                            struct bao_shelf *shelf,
                            unsigned slot)
{
    struct bao_item item = {.id = 0};
    BAO_ASSERT(shelf->stamp == core->stamp);
    BAO_ASSERT((shelf->unsaved >> slot & 1) != 0);
    bao_shelf_read(queue, shelf, slot, &item);
    shelf->unsaved &= ~(UINT64_C(1) << slot);
    bao_image_save_item(core, &item);
}
