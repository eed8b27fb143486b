/*
 * client_get.c - get and get_many, leased or automatic.
 */
#include <stdlib.h>

#include "common/client_inside.h"
#include "common/time.h"

struct taking {
    struct baozi *client;
    struct baozi_item *items;
    size_t most;
    size_t count;
    bool automatic;
};

/* Hands one item over, or gives it back. */
static void take_one(struct bao_engine *e,
                     struct taking *taking,
                     const struct bao_item_in *item,
                     uint32_t lease_ms)
{
    struct bao_holder *holder = NULL;
    if (taking->count < taking->most) {
        holder = bao_holder_make(taking->client, e, item, lease_ms);
    }
    bool kept = holder != NULL;
    if (kept && taking->automatic && item->token != 0) {
        kept = bao_dialogue_receipt(e->dialogue, item->id, item->token);
    } else if (kept && item->token != 0) {
        kept = bao_dialogue_hold(
            e->dialogue, bao_time_monotonic_us(), &holder->lease);
    }
    if (kept) {
        bao_holder_show(holder, &taking->items[taking->count]);
        if (taking->automatic) {
            taking->items[taking->count].token = 0;
            holder->lease.token = 0;
        }
        taking->count++;
        return;
    }
    if (holder != NULL) {
        bao_holder_free(holder);
    }
    bao_dialogue_give_back(
        e->dialogue, bao_time_monotonic_us(), item->id, item->token);
}

static void take_items(struct bao_engine *e,
                       struct bao_call *call,
                       const struct bao_operation *answer,
                       const struct bao_message *message)
{
    struct taking *taking = call->result;
    struct bao_items items;
    struct bao_item_in item;
    if (call->status != BAOZI_OK) {
        return;
    }
    if (!bao_items_open(&items, answer, message)) {
        call->status = BAOZI_CONNECTION_LOST;
        return; /* the items come back when their leases end */
    }
    bool wanted = !call->interrupted;
    while (bao_items_next(&items, &item)) {
        if (wanted) {
            take_one(e, taking, &item, (uint32_t)answer->lease_ms);
        } else {
            bao_dialogue_give_back(
                e->dialogue, bao_time_monotonic_us(), item.id, item.token);
        }
    }
    if (!wanted) {
        call->status = BAOZI_INTERRUPTED;
    } else if (taking->count == 0) {
        call->status = BAOZI_NO_MEMORY;
    }
}

static struct baozi_get_options settle(const struct baozi_get_options *given)
{
    struct baozi_get_options options = {0};
    if (given != NULL) {
        size_t bytes = given->size;
        if (bytes == 0 || bytes > sizeof options) {
            bytes = sizeof options;
        }
        memcpy(&options, given, bytes);
    }
    return options;
}

static enum baozi_status get(struct baozi *client,
                             const char *queue,
                             const struct baozi_get_options *options,
                             int64_t wait_ms,
                             struct taking *taking)
{
    struct bao_call call;
    struct baozi_get_options settled = settle(options);
    const char *why = bao_check_queue(queue);
    bao_call_init(&call, BAO_VERB_GET, "get", why == NULL ? queue : NULL);
    why = why != NULL ? why : bao_check_wait(wait_ms);
    if (why == NULL && (taking->most == 0 || taking->items == NULL)) {
        why = "there is no room for an item";
    }
    if (why != NULL) {
        return bao_client_refuse(client, &call, why);
    }
    struct bao_operation *op = &call.request.operation;
    if (taking->most > BAO_OPERATION_ITEMS_MAX) {
        taking->most = BAO_OPERATION_ITEMS_MAX;
    }
    if (taking->most > 1) {
        BAO_SET(op, LIMIT, limit, taking->most);
    }
    if (settled.lease_ms != 0) {
        BAO_SET(op, LEASE_MS, lease_ms, settled.lease_ms);
    }
    taking->automatic = settled.automatic != 0;
    if (taking->automatic) {
        BAO_SET(op, FLAGS, flags, BAO_FLAG_AUTO);
    }
    call.late = BAOZI_EMPTY;
    call.take = take_items;
    call.result = taking;
    return bao_call_run(client, &call, wait_ms);
}

enum baozi_status baozi_get(struct baozi *client,
                            const char *queue,
                            const struct baozi_get_options *options,
                            int64_t wait_ms,
                            struct baozi_item *item)
{
    struct taking taking = {.client = client, .items = item, .most = 1};
    return get(client, queue, options, wait_ms, &taking);
}

/* NOLINTNEXTLINE(readability-function-size): the public call */
enum baozi_status baozi_get_many(struct baozi *client,
                                 const char *queue,
                                 size_t most,
                                 const struct baozi_get_options *options,
                                 int64_t wait_ms,
                                 struct baozi_item *items,
                                 size_t *count)
{
    struct taking taking = {.client = client, .items = items, .most = most};
    enum baozi_status status = get(client, queue, options, wait_ms, &taking);
    *count = taking.count;
    return status;
}
