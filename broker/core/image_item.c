/*
 * image_item.c - rows of items and their leases.
 */
#include "broker/core/digest.h"
#include "broker/core/image_loader.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/shelf.h"
#include "broker/core/tally.h"

#define LEASE_FLAGS \
    ((uint64_t)BAO_LEASE_AUTO | BAO_LEASE_PREPAID | BAO_LEASE_PUSHED)
#define ITEM_FLAGS (UINT8_MAX & ~(uint64_t)BAO_ITEM_FLAGS_VOLATILE)

/* The tally of a session in the queue of this item, or NULL. `known` is the
 * one that the last item had. */
static struct bao_tally *tally_of(const struct bao_image_loader *loader,
                                  struct bao_tally **known,
                                  uint64_t session)
{
    if (*known == NULL || (*known)->session_number != session) {
        *known = bao_tally_find(loader->core, session, loader->queue);
    }
    return *known;
}

static struct bao_group *group_of(struct bao_image_loader *loader,
                                  struct bao_span name)
{
    if (loader->group == NULL || loader->group_name.data != name.data ||
        loader->group_name.bytes != name.bytes) {
        loader->group = bao_group_find(loader->core, loader->queue, name);
        loader->group_name = name;
    }
    return loader->group;
}

/* Its own numbers, without those that lead elsewhere. */
static bool is_in_range(const struct bao_image_row *row)
{
    const uint64_t *numbers = row->numbers;
    const uint64_t state = numbers[BAO_ITEM_STATE];
    const uint64_t flags = numbers[BAO_ITEM_FLAGS];
    const int64_t priority = (int64_t)numbers[BAO_ITEM_PRIORITY];
    return state >= BAO_STATE_READY && state <= BAO_STATE_TAKEN &&
           (flags & ~(ITEM_FLAGS | BAO_ITEM_HOLDS_KEY)) == 0 &&
           ((flags & BAO_ITEM_DOOMED) == 0 || state == BAO_STATE_DELAYED) &&
           numbers[BAO_ITEM_BYTES] <= BAO_ITEM_BYTES_MAX &&
           numbers[BAO_ITEM_HEADER_BYTES] <= numbers[BAO_ITEM_BYTES] &&
           (state != BAO_STATE_TAKEN || numbers[BAO_ITEM_BYTES] == 0) &&
           numbers[BAO_ITEM_DELIVERIES] <= UINT32_MAX &&
           priority >= INT32_MIN && priority <= INT32_MAX &&
           (state != BAO_STATE_DEAD ||
            (numbers[BAO_ITEM_OWNER] == 0 &&
             row->texts[BAO_ITEM_GROUP].bytes == 0)) &&
           (state != BAO_STATE_DELAYED || numbers[BAO_ITEM_DUE] != BAO_NEVER ||
            numbers[BAO_ITEM_WALL] > 0);
}

static void fill(struct bao_item *item, const uint64_t *numbers)
{
    item->id = numbers[BAO_ITEM_ID];
    item->accepted_us = numbers[BAO_ITEM_ACCEPTED];
    item->due_us = numbers[BAO_ITEM_DUE];
    item->expires_us = numbers[BAO_ITEM_EXPIRES];
    item->history = numbers[BAO_ITEM_HISTORY];
    item->priority = (int32_t)(int64_t)numbers[BAO_ITEM_PRIORITY];
    item->bytes = (uint32_t)numbers[BAO_ITEM_BYTES];
    item->header_bytes = (uint32_t)numbers[BAO_ITEM_HEADER_BYTES];
    item->deliveries = (uint32_t)numbers[BAO_ITEM_DELIVERIES];
    item->state = (uint8_t)numbers[BAO_ITEM_STATE];
    item->flags = (uint8_t)(numbers[BAO_ITEM_FLAGS] & ITEM_FLAGS);
}

/* What few items have. False if a key that it holds is not there. */
static bool take_note(const struct bao_image_loader *loader,
                      struct bao_item *item,
                      const struct bao_image_row *row)
{
    struct bao_core *core = loader->core;
    const uint64_t *numbers = row->numbers;
    const bool holds = (numbers[BAO_ITEM_FLAGS] & BAO_ITEM_HOLDS_KEY) != 0;
    size_t bytes = 0;
    for (unsigned i = BAO_ITEM_KEY; i < BAO_ITEM_TEXTS; i++) {
        bytes += row->texts[i].bytes;
    }
    if (bytes == 0 && !holds && numbers[BAO_ITEM_ORIGIN] == 0 &&
        numbers[BAO_ITEM_WALL] == 0) {
        return true;
    }
    struct bao_note *note = bao_item_note(core, item);
    note->origin = numbers[BAO_ITEM_ORIGIN];
    note->wall_us = numbers[BAO_ITEM_WALL];
    note->fairness_key = bao_text_make(core, row->texts[BAO_ITEM_FAIRNESS]);
    note->group_name = bao_text_make(core, row->texts[BAO_ITEM_GROUP_NAME]);
    note->error = bao_text_make(core, row->texts[BAO_ITEM_ERROR]);
    struct bao_dedup *dedup =
        bao_dedup_find(core, item->queue, row->texts[BAO_ITEM_KEY]);
    note->dedup_key = dedup != NULL
                          ? bao_text_share(dedup->key)
                          : bao_text_make(core, row->texts[BAO_ITEM_KEY]);
    if (holds && dedup != NULL) {
        note->dedup = dedup;
        bao_dedup_hold(core, dedup);
    }
    return !holds || dedup != NULL;
}

/* Who has it: false if nobody can. It is listed at the end, by its order. */
static bool take_lease(struct bao_image_loader *loader,
                       struct bao_item *item,
                       const uint64_t *numbers)
{
    const uint64_t flags = numbers[BAO_ITEM_LEASE_FLAGS];
    struct bao_tally *tally =
        tally_of(loader, &loader->holder, numbers[BAO_ITEM_HOLDER]);
    const bool prepaid = (flags & BAO_LEASE_PREPAID) != 0;
    if (tally == NULL || tally->session == NULL || item->deliveries == 0 ||
        prepaid != (numbers[BAO_ITEM_TOKEN] == 0) ||
        (flags & ~(LEASE_FLAGS | BAO_LEASE_ENDS | BAO_LEASE_ANSWERED)) != 0) {
        return false;
    }
    struct bao_lease *lease =
        bao_take_slot(loader->core, &loader->core->leases);
    lease->item = item;
    lease->tally = tally;
    lease->token = numbers[BAO_ITEM_TOKEN];
    lease->order = numbers[BAO_ITEM_ORDER];
    lease->since_us = numbers[BAO_ITEM_SINCE];
    lease->lease_us = numbers[BAO_ITEM_LENGTH];
    lease->run_until_us = numbers[BAO_ITEM_RUN];
    lease->rid = numbers[BAO_ITEM_RID];
    lease->sequence = numbers[BAO_ITEM_SEQUENCE];
    lease->flags = (uint32_t)(flags & LEASE_FLAGS);
    lease->until_us = (flags & BAO_LEASE_ENDS) == 0
                          ? BAO_NEVER
                          : bao_later(lease->since_us, lease->lease_us);
    if ((flags & BAO_LEASE_ANSWERED) != 0) {
        struct bao_request *request =
            bao_window_find(tally->session, lease->rid);
        if (request == NULL || bao_answer_of(request)->verb != BAO_VERB_GET) {
            return false;
        }
        lease->answer = bao_answer_of(request);
    }
    item->lease = lease;
    bao_list_push(&loader->leases, &lease->of_session);
    return true;
}

/* Session, group and key that count it. */
static const char *take_links(struct bao_image_loader *loader,
                              struct bao_item *item,
                              const struct bao_image_row *row)
{
    const uint64_t owner = row->numbers[BAO_ITEM_OWNER];
    if (owner != 0) {
        item->tally = tally_of(loader, &loader->owner, owner);
        if (item->tally == NULL) {
            return "an item of a session that has put none";
        }
        item->tally->live++;
    }
    if (row->texts[BAO_ITEM_GROUP].bytes > 0) {
        item->group = group_of(loader, row->texts[BAO_ITEM_GROUP]);
        if (item->group == NULL) {
            return "an item of no group";
        }
    }
    if (!take_note(loader, item, row)) {
        return "an item that holds no key";
    }
    if (item->state == BAO_STATE_LEASED &&
        !take_lease(loader, item, row->numbers)) {
        return "a lease that nobody can have";
    }
    return NULL;
}

const char *bao_image_take_item(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    const struct bao_image_row *row = &loader->past.rows[BAO_IMAGE_ITEM];
    const uint64_t id = row->numbers[BAO_ITEM_ID];
    const uint64_t n = id & BAO_N_MASK;
    struct bao_queue *queue = bao_image_queue(loader, id >> BAO_ID_SHIFT);
    if (queue == NULL || n == 0 || n > queue->last || bao_shelf_has(queue, n)) {
        return "an item of no queue, or one that is there twice";
    }
    if (!is_in_range(row)) {
        return "an item with a member out of range";
    }
    struct bao_item *item = bao_take_slot(core, &core->items);
    fill(item, row->numbers);
    item->queue = queue;
    const char *why = take_links(loader, item, row);
    if (why != NULL) {
        return why;
    }
    core->body_bytes += item->bytes;
    queue->doomed += (item->flags & BAO_ITEM_DOOMED) != 0;
    bao_item_place(core, item);
    bao_digest_enter(core, item);
    bao_item_rest(core, item);
    return NULL;
}
