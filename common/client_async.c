/*
 * client_async.c - puts and settles in the background, and the flush that
 * waits for them.
 */
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/time.h"

static void answered(struct bao_engine *e,
                     struct bao_request *request,
                     const struct bao_operation *answer,
                     const struct bao_message *message)
{
    (void)message;
    struct bao_async *async = BAO_OF(request, struct bao_async, request);
    async->status = (enum baozi_status)answer->status;
    async->receipt.id = answer->id;
    async->receipt.level = (enum baozi_durability)answer->level;
    async->receipt.duplicate = bao_has(answer, BAO_BIT(FLAGS)) &&
                               (answer->flags & BAO_FLAG_DUPLICATE) != 0;
    if (async->holder != NULL) {
        bao_dialogue_drop(e->dialogue, &async->holder->lease);
    }
    if (async->status != BAOZI_OK && async->answered == NULL &&
        e->async_status == BAOZI_OK) {
        e->async_status = async->status;
        e->async_detail[0] = '\0';
        if (bao_has(answer, BAO_BIT(ERROR))) {
            bao_copy_text(
                e->async_detail, sizeof e->async_detail, answer->error);
        }
    }
    bao_list_push(&e->completed, &async->link);
}

static const struct bao_owner async_owner = {.answered = answered};

/* Makes it as good as new. An operation is large, and nearly all of it is as
 * it was: only what was set is taken back, unless that is much. */
static void make_blank(struct bao_async *async)
{
    const uint64_t usual =
        BAO_BIT(VERB) | BAO_BIT(QUEUE) | BAO_BIT(IDS) | BAO_BIT(TOKENS);
    struct bao_operation *op = &async->request.operation;
    size_t kept_bytes = 0;
    if ((op->present & ~usual) == 0) {
        kept_bytes = offsetof(struct bao_async, request) +
                     offsetof(struct bao_request, operation) + sizeof *op;
        op->present = 0;
        op->verb = 0;
        op->queue = (struct bao_span){0};
        op->ids = (struct bao_span){0};
        op->tokens = (struct bao_span){0};
    }
    bao_clear((uint8_t *)async + kept_bytes, sizeof *async - kept_bytes);
}

/* A settle has no bytes; puts of some hundred bytes, and of a kilobyte. */
void bao_asyncs_init(struct bao_engine *e)
{
    static const size_t bytes[BAO_SPARE_SIZES] = {
        sizeof(struct bao_async),
        sizeof(struct bao_async) + 256,
        sizeof(struct bao_async) + 1280};
    bao_spares_init(&e->asyncs, bytes);
}

void bao_asyncs_free(struct bao_engine *e)
{
    struct bao_link *link;
    while ((link = bao_spares_drain(&e->asyncs)) != NULL) {
        free(BAO_OF(link, struct bao_async, link));
    }
}

struct bao_async *
bao_async_make(struct bao_engine *e, uint64_t verb, size_t bytes)
{
    bytes += sizeof(struct bao_async);
    uint8_t size = bao_spares_size(&e->asyncs, bytes);
    struct bao_link *spare = bao_spares_take(&e->asyncs, size);
    struct bao_async *async;
    if (spare != NULL) {
        async = BAO_OF(spare, struct bao_async, link); /* it is blank */
    } else {
        async = malloc(bao_spares_bytes(&e->asyncs, size, bytes));
        if (async == NULL) {
            return NULL;
        }
        bao_clear(async, sizeof *async);
    }
    async->size = size;
    /* Owners are only read; the pointer is the caller's to define. */
    async->request.owner = &async_owner;
    async->request.until_us = BAO_NEVER_US;
    BAO_SET(&async->request.operation, VERB, verb, verb);
    return async;
}

void bao_async_free(struct bao_engine *e, struct bao_async *async)
{
    uint8_t size = async->size;
    make_blank(async);
    if (!bao_spares_keep(&e->asyncs, size, &async->link)) {
        free(async);
    }
}

void bao_async_submit(struct bao_engine *e, struct bao_async *async)
{
    bool is_put = async->holder == NULL;
    e->async_count++;
    e->puts_count += is_put ? 1 : 0;
    e->gather_count -= e->gather_count > 0 ? 1 : 0;
    /* Of what has no time limit the dialogue wants to know when it was given
     * only while no session is open; and puts gather by their number, with a
     * timer behind them. So the clock need not be read for each. */
    uint64_t now_us =
        is_put && e->gather_count > 0 && bao_dialogue_is_open(e->dialogue)
            ? e->pumped_us
            : bao_time_monotonic_us();
    if (!is_put) {
        e->settled_us = now_us;
        e->settled = e->activity;
    }
    bao_dialogue_submit(e->dialogue, now_us, &async->request);
    bao_pump_soon(e, now_us);
}

/* --- flush -------------------------------------------------------------- */

static bool is_flushed(struct bao_engine *e, void *thing)
{
    (void)thing;
    return e->async_count == 0;
}

/* Receipts have no answers of their own: that of a later request proves that
 * they arrived. */
static enum baozi_status
flush_receipts(struct bao_engine *e, int64_t wait_ms, char *detail)
{
    if (bao_dialogue_receipts(e->dialogue) == 0) {
        return BAOZI_OK;
    }
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_BROKER, "flush", NULL);
    call.request.until_us = bao_until_us(wait_ms);
    bao_dialogue_submit(e->dialogue, bao_time_monotonic_us(), &call.request);
    bao_pump(e);
    bao_call_wait(e, &call);
    memcpy(detail, call.detail, sizeof call.detail);
    return call.status;
}

enum baozi_status baozi_flush(struct baozi *client, int64_t wait_ms)
{
    enum baozi_status status;
    char detail[BAO_DETAIL_BYTES] = "";
    const char *why = bao_check_wait(wait_ms);
    if (why != NULL) {
        return bao_note(
            client, BAOZI_BAD_REQUEST, "flush", (struct bao_span){0}, why);
    }
    struct bao_engine *e = bao_enter(client, &status);
    if (e != NULL) {
        status = bao_wait_for(e, is_flushed, NULL, wait_ms);
        if (status == BAOZI_OK) {
            status = flush_receipts(e, wait_ms, detail);
        }
        if (status == BAOZI_OK && e->async_status != BAOZI_OK) {
            status = e->async_status;
            memcpy(detail, e->async_detail, sizeof detail);
            e->async_status = BAOZI_OK;
        }
    }
    bao_unlock(e);
    (void)bao_note(client, status, "flush", (struct bao_span){0}, detail);
    bao_unpin(e);
    return status;
}
