/*
 * client_settle.c - done, retry, release, reject, touch, task_done.
 *
 * Settling ends the caller's hold on the item whatever the status; the lease
 * stays known until the broker answered, so that a resume in between does not
 * give the item away.
 */
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/time.h"
#include "common/utf8.h"

/* Takes the item out of the caller's hands. NULL with *status if it is not
 * this process's, or automatic, or settled. */
static struct bao_holder *take_over(struct baozi *client,
                                    struct baozi_item *item,
                                    enum baozi_status *status)
{
    struct bao_holder *holder = item == NULL ? NULL : item->hidden;
    *status = BAOZI_BAD_REQUEST;
    if (holder == NULL) {
        return NULL;
    }
    *item = (struct baozi_item){0};
    if (holder->client == client && holder->engine == bao_engine_here(client)) {
        *status = BAOZI_OK;
        return holder;
    }
    /* A parent's item, seen in a forked child: its lease is not ours. */
    *status = holder->client == client ? BAOZI_STALE : BAOZI_BAD_REQUEST;
    bao_holder_free(holder);
    return NULL;
}

static void set_item(struct bao_operation *op, struct bao_holder *holder)
{
    BAO_SET(op, IDS, ids, bao_span_of(holder->id_column, 8));
    BAO_SET(op, TOKENS, tokens, bao_span_of(holder->token_column, 8));
}

static enum baozi_status
refuse_item(struct baozi *client, enum baozi_status status, const char *verb)
{
    return bao_note(client,
                    status,
                    verb,
                    (struct bao_span){0},
                    status == BAOZI_STALE
                        ? "the item was leased to the process that forked"
                        : "this is not an item that is held");
}

static void end_hold(struct baozi *client, struct bao_holder *holder)
{
    struct baozi_item item = {.hidden = holder};
    (void)client;
    baozi_item_free(&item);
}

/* What became of the lease, as far as we know: its token is not shown to a
 * broker that did not give it. */
static enum baozi_status lease_status(const struct bao_holder *holder)
{
    struct bao_engine *e = holder->engine;
    (void)pthread_mutex_lock(&e->lock);
    enum baozi_status status = holder->lease.gone;
    (void)pthread_mutex_unlock(&e->lock);
    return status;
}

/* Runs a prepared settle of one item and frees it. */
static enum baozi_status
settle(struct baozi *client, struct bao_call *call, struct bao_holder *holder)
{
    struct bao_engine *e = bao_pin(client); /* until the item is freed */
    enum baozi_status status = lease_status(holder);
    if (status != BAOZI_OK) {
        (void)bao_note(
            client, status, call->verb, call->queue, "its session ended");
    } else if (holder->lease.token != 0) { /* else it is settled: prepaid */
        set_item(&call->request.operation, holder);
        status = bao_call_run(client, call, BAOZI_FOREVER);
    }
    end_hold(client, holder);
    bao_unpin(e);
    return status;
}

enum baozi_status baozi_done_with(struct baozi *client,
                                  struct baozi_item *item,
                                  const void *result,
                                  size_t bytes)
{
    struct bao_call call;
    enum baozi_status status;
    bao_call_init(&call, BAO_VERB_DONE, "task_done", NULL);
    struct bao_holder *holder = take_over(client, item, &status);
    if (holder == NULL) {
        return refuse_item(client, status, call.verb);
    }
    struct bao_letter letter = {.payload = bao_span_of(result, bytes)};
    if (bytes > BAO_ITEM_BYTES_MAX) {
        end_hold(client, holder);
        return bao_note(client,
                        BAOZI_TOO_BIG,
                        call.verb,
                        call.queue,
                        "a result has at most 32 MiB");
    }
    if (bytes > 0) {
        call.request.letters = &letter;
        call.request.letter_count = 1;
    }
    return settle(client, &call, holder);
}

enum baozi_status baozi_done(struct baozi *client, struct baozi_item *item)
{
    return baozi_done_with(client, item, NULL, 0);
}

/* The lock is held. OK, and the holder is the request's; else what became of
 * its lease, or NO_MEMORY. */
static enum baozi_status submit_done(struct bao_engine *e,
                                     struct bao_holder *holder)
{
    if (holder->lease.gone != BAOZI_OK) {
        return holder->lease.gone;
    }
    struct bao_async *async = bao_async_make(e, BAO_VERB_DONE, 0);
    if (async == NULL) {
        return BAOZI_NO_MEMORY;
    }
    async->holder = holder;
    set_item(&async->request.operation, holder);
    bao_async_submit(e, async);
    return BAOZI_OK;
}

enum baozi_status baozi_done_async(struct baozi *client,
                                   struct baozi_item *item)
{
    enum baozi_status status;
    struct bao_holder *holder = take_over(client, item, &status);
    if (holder == NULL) {
        return refuse_item(client, status, "task_done");
    }
    struct bao_engine *e = bao_enter(client, &status);
    bool is_open = e != NULL && holder->lease.token != 0; /* else prepaid */
    bool gone = is_open && holder->lease.gone != BAOZI_OK;
    if (is_open) {
        status = submit_done(e, holder);
    }
    if (is_open && status == BAOZI_OK) {
        bao_leave(e);
        return status;
    }
    bao_unlock(e);
    bao_unpin(e);
    end_hold(client, holder);
    return bao_note(client,
                    status,
                    "task_done",
                    (struct bao_span){0},
                    gone ? "its session ended" : "");
}

/* The text of an error: valid and not too long, whatever the caller has. */
static void
set_error(struct bao_operation *op, char *copy, size_t bytes, const char *error)
{
    if (error == NULL || error[0] == '\0') {
        return;
    }
    bao_copy_text(copy, bytes, bao_span_text(error));
    bao_text_clean((uint8_t *)copy, strlen(copy));
    BAO_SET(op,
            ERROR,
            error,
            bao_text_cut(bao_span_text(copy), BAO_ERROR_BYTES_MAX));
}

enum baozi_status baozi_retry(struct baozi *client,
                              struct baozi_item *item,
                              int64_t delay_ms,
                              const char *error)
{
    struct bao_call call;
    enum baozi_status status;
    char text[BAO_ERROR_BYTES_MAX + 1];
    bao_call_init(&call, BAO_VERB_RETRY, "retry", NULL);
    struct bao_holder *holder = take_over(client, item, &status);
    if (holder == NULL) {
        return refuse_item(client, status, call.verb);
    }
    if (delay_ms >= 0) {
        BAO_SET(
            &call.request.operation, DELAY_MS, delay_ms, (uint64_t)delay_ms);
    }
    set_error(&call.request.operation, text, sizeof text, error);
    return settle(client, &call, holder);
}

enum baozi_status
baozi_release(struct baozi *client, struct baozi_item *item, uint64_t delay_ms)
{
    struct bao_call call;
    enum baozi_status status;
    bao_call_init(&call, BAO_VERB_RELEASE, "release", NULL);
    struct bao_holder *holder = take_over(client, item, &status);
    if (holder == NULL) {
        return refuse_item(client, status, call.verb);
    }
    if (delay_ms > 0) {
        BAO_SET(&call.request.operation, DELAY_MS, delay_ms, delay_ms);
    }
    return settle(client, &call, holder);
}

enum baozi_status
baozi_reject(struct baozi *client, struct baozi_item *item, const char *error)
{
    struct bao_call call;
    enum baozi_status status;
    char text[BAO_ERROR_BYTES_MAX + 1];
    bao_call_init(&call, BAO_VERB_REJECT, "reject", NULL);
    struct bao_holder *holder = take_over(client, item, &status);
    if (holder == NULL) {
        return refuse_item(client, status, call.verb);
    }
    set_error(&call.request.operation, text, sizeof text, error);
    return settle(client, &call, holder);
}

/* --- touch -------------------------------------------------------------- */

static void take_touched(struct bao_engine *e,
                         struct bao_call *call,
                         const struct bao_operation *answer,
                         const struct bao_message *message)
{
    (void)message;
    struct bao_holder *holder = call->result;
    if (call->status == BAOZI_OK && bao_has(answer, BAO_BIT(LEASE_MS))) {
        bao_dialogue_renewed(e->dialogue,
                             bao_time_monotonic_us(),
                             &holder->lease,
                             (uint32_t)answer->lease_ms);
    }
}

static enum baozi_status
touch(struct baozi *client, struct baozi_item *item, uint32_t lease_ms)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_TOUCH, "touch", NULL);
    struct bao_holder *holder = item == NULL ? NULL : item->hidden;
    if (holder == NULL || holder->client != client ||
        holder->lease.token == 0) {
        return refuse_item(client, BAOZI_BAD_REQUEST, call.verb);
    }
    if (holder->engine != bao_engine_here(client)) {
        return refuse_item(client, BAOZI_STALE, call.verb);
    }
    enum baozi_status gone = lease_status(holder);
    if (gone != BAOZI_OK) {
        return bao_note(
            client, gone, call.verb, call.queue, "its session ended");
    }
    set_item(&call.request.operation, holder);
    if (lease_ms > 0) {
        BAO_SET(&call.request.operation, LEASE_MS, lease_ms, lease_ms);
    }
    call.take = take_touched;
    call.result = holder;
    return bao_call_run(client, &call, BAOZI_FOREVER);
}

enum baozi_status
baozi_touch(struct baozi *client, struct baozi_item *item, uint32_t lease_ms)
{
    struct bao_engine *e = bao_pin(client);
    enum baozi_status status = touch(client, item, lease_ms);
    bao_unpin(e);
    return status;
}

/* --- task_done without an item ------------------------------------------ */

static void take_settled(struct bao_engine *e,
                         struct bao_call *call,
                         const struct bao_operation *answer,
                         const struct bao_message *message)
{
    (void)message;
    if (call->status == BAOZI_OK && bao_has(answer, BAO_BIT(ID))) {
        bao_dialogue_settled(e->dialogue, answer->id);
    }
}

enum baozi_status baozi_task_done(struct baozi *client, const char *queue)
{
    struct bao_call call;
    const char *why = bao_check_queue(queue);
    bao_call_init(
        &call, BAO_VERB_DONE_NEXT, "task_done", why == NULL ? queue : NULL);
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    call.take = take_settled;
    return bao_call_run(client, &call, BAOZI_FOREVER);
}
