/*
 * slot.c - one item after another: take, hand over, wait, settle.
 *
 * A delivery is charged (retry) when the child failed with it: an exit code,
 * a crash, a kill, the end of --timeout. It is not charged (release) when
 * the worker ends, when the child asks for later, or when somebody asked to
 * cancel the item.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "common/time.h"
#include "worker/crew.h"

#define LATER_MS 1000 /* a released item comes back after this */

/* Copies an item's headers as key NUL value NUL ...; at most 4 KiB come from
 * the broker. Returns the bytes. */
static size_t
copy_headers(const struct baozi_item *item, char *into, size_t bytes)
{
    struct baozi_header header;
    size_t used = 0;
    for (size_t i = 0; baozi_item_header_at(item, i, &header) != 0; i++) {
        size_t key = strlen(header.key) + 1;
        size_t value = strlen(header.value) + 1;
        if (used + key + value > bytes)
            break;
        memcpy(into + used, header.key, key);
        memcpy(into + used + key, header.value, value);
        used += key + value;
    }
    return used;
}

/* The item has no longer a child: the answer that follows from the reason. */
static void answer_without_child(struct bao_slot *slot,
                                 enum bao_talk talk,
                                 struct bao_answer *answer)
{
    char how[64];
    char limit[BAO_TEXT_BYTES];
    int status =
        talk == BAO_TALK_ENDED ? bao_child_wait(slot) : bao_child_kill(slot);
    *answer = (struct bao_answer){.outcome = BAO_OUTCOME_RETRY, .delay_ms = -1};
    bao_status_text(status, how, sizeof how);
    switch (slot->stop) {
    case BAO_STOP_TIMEOUT:
        (void)snprintf(
            answer->error,
            sizeof answer->error,
            "it took longer than --timeout %s and was killed",
            bao_write_duration_exact(
                limit, sizeof limit, slot->crew->settings->timeout_ms));
        break;
    case BAO_STOP_CANCEL:
        answer->outcome = BAO_OUTCOME_RELEASE;
        answer->delay_ms = 0;
        (void)snprintf(
            answer->error, sizeof answer->error, "it was cancelled and killed");
        break;
    case BAO_STOP_PHASE:
        answer->outcome = BAO_OUTCOME_RELEASE;
        answer->delay_ms = 0;
        (void)snprintf(answer->error,
                       sizeof answer->error,
                       "the worker ends; it was killed after the grace");
        break;
    case BAO_STOP_NONE:
        (void)snprintf(answer->error,
                       sizeof answer->error,
                       "%s %s",
                       talk == BAO_TALK_GARBLED ? "the child spoke nonsense and"
                                                : "the child",
                       how);
        break;
    }
}

/* Hands the item to the child and waits for its answer. */
static void work(struct bao_slot *slot,
                 const struct baozi_item *item,
                 struct bao_answer *answer)
{
    char headers[2 * BAO_ITEM_HEADER_BYTES_MAX];
    const struct bao_task task = {
        .id = item->id,
        .token = item->token,
        .deliveries = item->deliveries,
        .priority = item->priority,
        .group = item->group,
        .headers = headers,
        .header_bytes = copy_headers(item, headers, sizeof headers),
        .payload = item->payload,
        .bytes = item->bytes,
    };
    uint64_t timeout_ms = slot->crew->settings->timeout_ms;
    slot->item = item;
    slot->stop = BAO_STOP_NONE;
    slot->deadline_us =
        timeout_ms == 0 ? 0 : bao_time_monotonic_us() + timeout_ms * 1000;
    enum bao_talk talk = bao_talk_send_task(&slot->channel, &task);
    if (talk == BAO_TALK_OK)
        talk = bao_talk_read_answer(&slot->channel, answer);
    if (talk == BAO_TALK_OK && answer->outcome > BAO_OUTCOME_REJECT)
        talk = BAO_TALK_GARBLED;
    if (talk != BAO_TALK_OK)
        answer_without_child(slot, talk, answer);
    slot->tasks++;
    slot->item = NULL;
    slot->deadline_us = 0;

    /* whoever ended us may have told our job too: that is not its failure */
    bool told = answer->signal == SIGTERM || answer->signal == SIGINT ||
                answer->signal == SIGHUP;
    if (told && bao_crew_phase(slot->crew) != BAO_PHASE_RUNNING) {
        answer->outcome = BAO_OUTCOME_RELEASE;
        answer->delay_ms = 0;
    }
}

/* Does what the answer says; the item is free after this. */
static enum baozi_status settle(struct bao_crew *crew,
                                struct baozi_item *item,
                                const struct bao_answer *answer)
{
    const char *error = answer->error[0] == '\0' ? NULL : answer->error;
    switch (answer->outcome) {
    case BAO_OUTCOME_DONE:
        return answer->has_result ? baozi_done_with(crew->client,
                                                    item,
                                                    answer->result,
                                                    answer->result_bytes)
                                  : baozi_done(crew->client, item);
    case BAO_OUTCOME_RELEASE:
        return baozi_release(crew->client,
                             item,
                             answer->delay_ms < 0 ? LATER_MS
                                                  : (uint64_t)answer->delay_ms);
    case BAO_OUTCOME_REJECT: return baozi_reject(crew->client, item, error);
    case BAO_OUTCOME_RETRY:
    case BAO_OUTCOME_READY:
    case BAO_OUTCOME_UNFIT: break;
    }
    return baozi_retry(crew->client, item, answer->delay_ms, error);
}

static void
count(struct bao_crew *crew, enum bao_outcome outcome, enum baozi_status status)
{
    (void)pthread_mutex_lock(&crew->lock);
    if (status != BAOZI_OK)
        crew->totals.lost++;
    else if (outcome == BAO_OUTCOME_DONE)
        crew->totals.done++;
    else if (outcome == BAO_OUTCOME_RELEASE)
        crew->totals.released++;
    else if (outcome == BAO_OUTCOME_REJECT)
        crew->totals.rejected++;
    else
        crew->totals.retried++;
    (void)pthread_mutex_unlock(&crew->lock);
}

static void run_item(struct bao_slot *slot, struct baozi_item *item)
{
    static const char *const events[] = {
        "done", "retry", "release", "reject", "retry", "retry"};
    struct bao_crew *crew = slot->crew;
    struct bao_answer answer = {.delay_ms = -1};
    uint64_t id = item->id;
    uint32_t deliveries = item->deliveries;
    uint64_t begin_us = bao_time_monotonic_us();

    work(slot, item, &answer);
    uint64_t run_ms = (bao_time_monotonic_us() - begin_us) / 1000;
    enum baozi_status status = settle(crew, item, &answer);
    count(crew, answer.outcome, status);

    const char *event = events[answer.outcome];
    if (status != BAOZI_OK)
        BAO_CREW_LOG(crew,
                     BAO_LOG_WARNING,
                     bao_event("settle_lost"),
                     bao_text("outcome", event),
                     bao_number("id", id),
                     bao_text("status", baozi_status_name(status)),
                     bao_text("why", baozi_status_text(status)));
    else if (answer.outcome == BAO_OUTCOME_RETRY ||
             answer.outcome == BAO_OUTCOME_REJECT)
        BAO_CREW_LOG(crew,
                     BAO_LOG_WARNING,
                     bao_event(event),
                     bao_number("id", id),
                     bao_number("delivery", deliveries),
                     bao_number("run_ms", run_ms),
                     bao_text("error", answer.error));
    else if (crew->settings->verbose)
        BAO_CREW_LOG(crew,
                     BAO_LOG_INFO,
                     bao_event(event),
                     bao_number("id", id),
                     bao_number("delivery", deliveries),
                     bao_number("run_ms", run_ms));
}

/* Gives back an item that no child has seen. */
static void give_back(struct bao_slot *slot, struct baozi_item *item)
{
    enum baozi_status status = baozi_release(slot->crew->client, item, 0);
    count(slot->crew, BAO_OUTCOME_RELEASE, status);
}

/* Runs one item of the queue with a child that is there. */
static void serve(struct bao_slot *slot)
{
    struct baozi_item item;
    if (!bao_crew_take(slot, &item))
        return;
    /* it may have been killed while it was idle: no item pays for that */
    while (!bao_child_is_there(slot)) {
        (void)bao_child_wait(slot);
        if (bao_crew_phase(slot->crew) != BAO_PHASE_RUNNING)
            break;
        (void)bao_child_start(slot);
    }
    if (bao_child_is_there(slot) &&
        bao_crew_phase(slot->crew) == BAO_PHASE_RUNNING)
        run_item(slot, &item);
    else
        give_back(slot, &item);
}

static void note_replaced(struct bao_slot *slot, const char *why)
{
    struct bao_crew *crew = slot->crew;
    (void)pthread_mutex_lock(&crew->lock);
    crew->totals.replaced++;
    (void)pthread_mutex_unlock(&crew->lock);
    if (crew->settings->verbose)
        BAO_CREW_LOG(crew,
                     BAO_LOG_INFO,
                     bao_event("child_replaced"),
                     bao_number("slot", slot->number),
                     bao_text("why", why));
}

void *bao_slot_main(void *context)
{
    struct bao_slot *slot = context;
    struct bao_crew *crew = slot->crew;
    uint64_t max_tasks = crew->settings->max_tasks;
    bool had_child = false;
    while (bao_crew_phase(crew) == BAO_PHASE_RUNNING) {
        if (!bao_child_is_there(slot)) {
            (void)bao_child_wait(slot);
            if (had_child)
                note_replaced(slot, "it ended");
            had_child = bao_child_start(slot);
            continue;
        }
        serve(slot);
        if (max_tasks != 0 && slot->tasks >= max_tasks &&
            bao_child_is_there(slot)) {
            bao_child_retire(slot);
            note_replaced(slot, "--max-tasks");
            had_child = false;
        }
    }
    bao_child_retire(slot);
    bao_crew_stop_taking(crew);
    (void)pthread_mutex_lock(&crew->lock);
    crew->slots_left--;
    (void)pthread_mutex_unlock(&crew->lock);
    bao_crew_wake(crew);
    return NULL;
}
