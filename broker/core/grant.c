/*
 * grant.c - which items are handed out together, and how an answer says so.
 *
 * A grant never takes more than one message can carry, and is one fact: the
 * items become LEASED in the order in which they are answered.
 */
#include "broker/core/get.h"
#include "broker/core/items.h"
#include "broker/core/memory.h"
#include "broker/core/order.h"
#include "broker/core/room.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "common/planted.h"
#include "common/texts.h"

/* What the items of one message sum up to. */
struct load {
    uint64_t bytes;
    uint64_t small;
    uint32_t big;
    uint32_t names;
};

static bool
load_add(struct load *load, const struct bao_item *item, uint64_t bytes_max)
{
    struct load next = *load;
    next.bytes += item->bytes;
    if (item->bytes >= BAO_BIG_BYTES) {
        next.big++;
    } else {
        next.small += item->bytes;
    }
    if (item->group != NULL) {
        next.names += item->group->name->bytes;
    }
    const bool first = load->bytes == 0 && load->names == 0;
    if (!first &&
        (next.big > BAO_PARTS_MAX - 2 || next.small > BAO_BODIES_BYTES_MAX ||
         next.names > BAO_GROUPS_BYTES ||
         (bytes_max > 0 && next.bytes > bytes_max))) {
        return false;
    }
    *load = next;
    return true;
}

static bool is_expired(const struct bao_core *core, const struct bao_item *item)
{
    return item->expires_us != 0 && item->expires_us <= core->now_us;
}

bool bao_grant_ready(struct bao_core *core, struct bao_queue *queue)
{
    while (queue->counts[BAO_STATE_READY] > 0 && core->budget > 0) {
        struct bao_item *item = bao_order_first(core, queue);
        BAO_ASSERT(item != NULL);
        if (!is_expired(core, item)) {
            return true;
        }
        core->budget--;
        bao_settle_one(core, item, BAO_STATE_EXPIRED);
    }
    return false;
}

static uint32_t
collect(struct bao_core *core, struct bao_queue *queue, struct bao_grant *grant)
{
    struct load load = {.bytes = 0};
    uint32_t count = 0;
    struct bao_item *item = NULL;
    while (count < grant->most) {
        item = bao_order_take(core, queue, item);
        if (item == NULL) {
            break;
        }
        BAO_ASSERT(item->state == BAO_STATE_READY);
        if (is_expired(core, item) || !load_add(&load, item, grant->bytes)) {
            bao_order_untake(core, queue, item);
            break;
        }
        grant->items[count] = item;
        count++;
    }
    return count;
}

bool bao_grant(struct bao_core *core,
               struct bao_queue *queue,
               struct bao_grant *grant)
{
    if (!bao_grant_ready(core, queue)) {
        return false;
    }
    uint64_t most = queue->counts[BAO_STATE_READY];
    BAO_ASSERT(queue->reserved <= queue->prepaid);
    const uint64_t ahead =
        grant->verb == BAO_VERB_GET ? queue->prepaid - queue->reserved : 0;
    most = most < grant->most ? most : grant->most;
    most = most < core->budget ? most : core->budget;
    if (ahead > 0 && most > ahead) {
        most = ahead;
    }
    BAO_ASSERT(most > 0);
    grant->most = (uint32_t)most;
    grant->items = bao_scratch_take(core, grant->most * sizeof(*grant->items));
    grant->count = collect(core, queue, grant);
    BAO_ASSERT(grant->count > 0);
    uint64_t *ids = bao_scratch_take(core, grant->count * sizeof(*ids));
    for (uint32_t i = 0; i < grant->count; i++) {
        ids[i] = grant->items[i]->id;
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_ITEM_LEASED);
    fact->session = grant->session->number;
    fact->rid = grant->rid;
    fact->verb = grant->verb;
    fact->queue = queue->incarnation;
    fact->count = grant->count;
    fact->ids = ids;
    fact->flags = grant->flags;
    fact->first_id = grant->sequence;
    fact->until_us = BAO_NEVER;
    if (ahead > 0) {
        BAO_MARK("a hand-out that was paid before");
        fact->token = 0;
    } else {
        fact->token = (core->epoch << BAO_ID_SHIFT) | (core->token + 1);
        fact->token -= BAO_PLANTED(TOKEN_REUSED) && core->token > 0;
        if (grant->lease_us > 0) {
            fact->until_us = bao_later(core->now_us, grant->lease_us);
        }
    }
    grant->token = fact->token;
    core->budget -= grant->count;
    bao_room_for_leases(core, queue, grant->count);
    bao_decide(core, fact);
    bao_session_beat(core, grant->session);
    return true;
}

/* Native numbers as a packed little-endian column. */
static struct bao_span
column64(struct bao_core *core, struct bao_item *const *items, uint32_t count)
{
    uint8_t *data = bao_scratch_take(core, (size_t)count * 8);
    for (uint32_t i = 0; i < count; i++) {
        bao_store64(data + 8 * (size_t)i, items[i]->id);
    }
    return bao_span_of(data, (size_t)count * 8);
}

enum column { LENGTHS, HEADERS, DELIVERIES, PRIORITIES };

static uint32_t cell(const struct bao_item *item, enum column column)
{
    switch (column) {
    case LENGTHS: return item->bytes;
    case HEADERS: return item->header_bytes;
    case DELIVERIES: return item->deliveries;
    case PRIORITIES: return (uint32_t)item->priority;
    }
    return 0;
}

static struct bao_span column32(struct bao_core *core,
                                struct bao_item *const *items,
                                uint32_t count,
                                enum column column)
{
    uint8_t *data = bao_scratch_take(core, (size_t)count * 4);
    for (uint32_t i = 0; i < count; i++) {
        bao_store32(data + 4 * (size_t)i, cell(items[i], column));
    }
    return bao_span_of(data, (size_t)count * 4);
}

static struct bao_span group_names(struct bao_core *core,
                                   struct bao_item *const *items,
                                   uint32_t count)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += items[i]->group == NULL ? 0 : items[i]->group->name->bytes;
    }
    const size_t capacity = BAO_TEXTS_BYTES((size_t)count, bytes);
    uint8_t *data = bao_scratch_take(core, capacity);
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bao_span name = bao_span_of("", 0);
        if (items[i]->group != NULL) {
            name = bao_text_span(items[i]->group->name);
        }
        enum baozi_status status = bao_texts_add(data, capacity, &used, name);
        BAO_ASSERT(status == BAOZI_OK);
    }
    return bao_span_of(data, used);
}

void bao_grant_columns(struct bao_core *core,
                       struct bao_operation *op,
                       struct bao_item *const *items,
                       uint32_t count)
{
    bool headers = false;
    bool again = false;
    bool urgent = false;
    bool grouped = false;
    for (uint32_t i = 0; i < count; i++) {
        headers |= items[i]->header_bytes != 0;
        again |= items[i]->deliveries != 1;
        urgent |= items[i]->priority != 0;
        grouped |= items[i]->group != NULL;
    }
    BAO_SET(op, IDS, ids, column64(core, items, count));
    BAO_SET(op, LENGTHS, lengths, column32(core, items, count, LENGTHS));
    if (headers) {
        BAO_SET(op,
                HEADER_LENGTHS,
                header_lengths,
                column32(core, items, count, HEADERS));
    }
    if (again) {
        BAO_SET(op,
                DELIVERIES,
                deliveries,
                column32(core, items, count, DELIVERIES));
    }
    if (urgent) {
        BAO_SET(op,
                PRIORITIES,
                priorities,
                column32(core, items, count, PRIORITIES));
    }
    if (grouped) {
        BAO_SET(op, GROUPS, groups, group_names(core, items, count));
    }
}
