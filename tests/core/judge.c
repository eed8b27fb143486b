/*
 * judge.c - one function a kind of fact: what it needs, what it changes.
 */
#include "tests/core/judge.h"

#include "tests/lib/unit.h"

#define ARENA_BYTES  (32u * 1024u * 1024u)
#define COLOUR_OTHER 0u
#define COLOUR_READY 1u

void judge_init(struct judge *judge)
{
    *judge = (struct judge){0};
    judge->memory = aligned_alloc(4096, ARENA_BYTES);
    assert_non_null(judge->memory);
    judge->arena = bao_arena_init(judge->memory, ARENA_BYTES);
    bao_tree_init(&judge->items, judge->arena);
}

/* --- holds -------------------------------------------------------------- */

static struct judge_hold **hold_place(struct judge *judge, uint64_t hold)
{
    struct judge_hold **place = &judge->holds;
    while (*place != NULL && (*place)->hold != hold) {
        place = &(*place)->next;
    }
    return place;
}

static struct judge_hold *hold_get(struct judge *judge, uint64_t hold)
{
    struct judge_hold *found = *hold_place(judge, hold);
    if (found == NULL) {
        fail_msg("hold %llu is gone", (unsigned long long)hold);
    }
    return found;
}

void judge_hold_open(struct judge *judge,
                     uint64_t hold,
                     const struct bao_span *parts,
                     unsigned part_count)
{
    struct judge_hold *made = calloc(1, sizeof(*made));
    assert_non_null(made);
    made->hold = hold;
    made->references = 1;
    for (unsigned i = 0; i < part_count; i++) {
        uint8_t *copy = malloc(parts[i].bytes + 1);
        assert_non_null(copy);
        if (parts[i].bytes > 0) {
            memcpy(copy, parts[i].data, parts[i].bytes);
        }
        made->parts[i] = bao_span_of(copy, parts[i].bytes);
    }
    made->next = judge->holds;
    judge->holds = made;
}

void judge_hold_keep(struct judge *judge, uint64_t hold)
{
    hold_get(judge, hold)->references++;
}

void judge_hold_drop(struct judge *judge, uint64_t hold)
{
    struct judge_hold **place = hold_place(judge, hold);
    struct judge_hold *found = hold_get(judge, hold);
    assert_true(found->references > 0);
    if (--found->references > 0) {
        return;
    }
    *place = found->next;
    for (unsigned i = 0; i < JUDGE_PARTS_MAX; i++) {
        free((void *)(uintptr_t)found->parts[i].data);
    }
    free(found);
}

unsigned judge_hold_count(const struct judge *judge)
{
    unsigned count = 0;
    for (const struct judge_hold *hold = judge->holds; hold != NULL;
         hold = hold->next) {
        count++;
    }
    return count;
}

/* A copy of the bytes that `body` names; they must be there. */
static uint8_t *body_copy(struct judge *judge, const struct bao_body *body)
{
    uint8_t *copy = malloc(body->bytes + 1u);
    assert_non_null(copy);
    if (body->bytes > 0) {
        const struct judge_hold *hold = hold_get(judge, body->hold);
        assert_true(body->part < JUDGE_PARTS_MAX);
        assert_true((size_t)body->offset + body->bytes <=
                    hold->parts[body->part].bytes);
        memcpy(copy, hold->parts[body->part].data + body->offset, body->bytes);
    }
    assert_true(body->header_bytes <= body->bytes);
    return copy;
}

/* --- items and queues --------------------------------------------------- */

struct judge_item *judge_item(const struct judge *judge, uint64_t id)
{
    return bao_tree_find(&judge->items, id);
}

static struct judge_item *item_get(const struct judge *judge, uint64_t id)
{
    struct judge_item *item = judge_item(judge, id);
    if (item == NULL) {
        fail_msg("a fact about item %llx, which is not there",
                 (unsigned long long)id);
    }
    return item;
}

struct judge_queue *judge_queue(struct judge *judge, uint64_t queue)
{
    for (unsigned i = 0; i < judge->queue_count; i++) {
        if (judge->queues[i].queue == queue) {
            return &judge->queues[i];
        }
    }
    return NULL;
}

struct judge_queue *judge_queue_named(struct judge *judge, const char *name)
{
    for (unsigned i = judge->queue_count; i-- > 0;) {
        if (!judge->queues[i].gone &&
            strcmp(judge->queues[i].name, name) == 0) {
            return &judge->queues[i];
        }
    }
    return NULL;
}

static struct judge_queue *queue_get(struct judge *judge,
                                     const struct bao_fact *fact)
{
    struct judge_queue *queue = judge_queue(judge, fact->queue);
    assert_non_null(queue);
    assert_false(queue->gone);
    return queue;
}

static void body_drop(struct judge *judge, struct judge_item *item)
{
    if (!item->has_body) {
        fail_msg("the payload of item %llx is dropped twice",
                 (unsigned long long)item->id);
    }
    free(item->body);
    item->body = NULL;
    item->has_body = false;
    judge->bodies--;
}

static void result_drop(struct judge *judge, struct judge_item *item)
{
    if (item->has_result) {
        free(item->result);
        item->result = NULL;
        item->has_result = false;
        judge->results--;
    }
}

static void item_forget(struct judge *judge, struct judge_item *item)
{
    assert_false(item->has_body);
    result_drop(judge, item);
    bao_tree_remove(&judge->items, item->id);
    free(item);
}

static void
item_move(struct judge *judge, struct judge_item *item, enum bao_state state)
{
    struct judge_queue *queue = judge_queue(judge, item->queue);
    assert_false(judge_is_final(item->state));
    queue->counts[item->state]--;
    queue->counts[state]++;
    item->state = state;
    bao_tree_recolour(&judge->items,
                      item->id,
                      state == BAO_STATE_READY ? COLOUR_READY : COLOUR_OTHER);
}

/* --- facts --------------------------------------------------------------- */

/* Contents that were logged once go on being so. */
static void options_set(const struct judge *judge,
                        struct judge_queue *queue,
                        const struct bao_queue_options *options)
{
    uint64_t level = options->durability; /* DEFAULT is the smallest */
    queue->options = *options;
    queue->durable |= (level == 0 ? judge->level : level) > BAO_LEVEL_MEMORY;
}

static void follow_made(struct judge *judge, const struct bao_fact *fact)
{
    assert_true(judge->queue_count < JUDGE_QUEUES_MAX);
    assert_null(judge_queue(judge, fact->queue)); /* a new incarnation */
    struct judge_queue *queue = &judge->queues[judge->queue_count++];
    *queue = (struct judge_queue){.queue = fact->queue};
    options_set(judge, queue, fact->options);
    assert_true(fact->name.bytes > 0 && fact->name.bytes <= 200);
    memcpy(queue->name, fact->name.data, fact->name.bytes);
}

static void queue_end(struct judge *judge, struct judge_queue *queue)
{
    queue->gone = true;
    uint64_t from = queue->queue << BAO_ID_SHIFT;
    for (;;) {
        struct bao_tree_entry entry =
            bao_tree_first(&judge->items, BAO_TREE_ANY, from);
        if (entry.value == NULL || entry.key >> BAO_ID_SHIFT != queue->queue) {
            break;
        }
        struct judge_item *item = entry.value;
        if (item->has_body) {
            body_drop(judge, item);
        }
        item_forget(judge, item);
        from = entry.key + 1;
    }
}

static void follow_gone(struct judge *judge, const struct bao_fact *fact)
{
    queue_end(judge, queue_get(judge, fact));
}

static uint64_t bounded_count(const struct judge_queue *queue)
{
    return queue->counts[BAO_STATE_READY] + queue->counts[BAO_STATE_DELAYED] +
           (queue->options.bound == BAO_BOUND_TOTAL
                ? queue->counts[BAO_STATE_LEASED]
                : 0);
}

/* P6: nothing is accepted while the bound is reached. */
static void check_bound(const struct judge_queue *queue)
{
    if (queue->options.maxsize > 0) {
        assert_true(bounded_count(queue) <= queue->options.maxsize);
    }
}

static void follow_put(struct judge *judge, const struct bao_fact *fact)
{
    struct judge_queue *queue = queue_get(judge, fact);
    assert_true(fact->count > 0);
    for (uint32_t i = 0; i < fact->count; i++) {
        const struct bao_put_item *put = &fact->items[i];
        struct judge_item *item = calloc(1, sizeof(*item));
        assert_non_null(item);
        item->id = fact->first_id + i;
        item->queue = fact->queue;
        item->priority = put->priority;
        item->due_us = fact->due_us;
        item->by_wall = (fact->flags & BAO_FACT_WALL) != 0;
        item->ttl_us = fact->ttl_us;
        item->state = fact->due_us != 0 ? BAO_STATE_DELAYED : BAO_STATE_READY;
        item->has_body = true;
        if (fact->origin != 0) {
            const struct judge_item *dead = item_get(judge, fact->origin);
            assert_int_equal(dead->state, BAO_STATE_DEAD);
            item->bytes = dead->bytes;
            item->header_bytes = dead->header_bytes;
            item->body = malloc(dead->bytes + 1u);
            assert_non_null(item->body);
            memcpy(item->body, dead->body, dead->bytes);
        } else {
            item->bytes = put->body.bytes;
            item->header_bytes = put->body.header_bytes;
            item->body = body_copy(judge, &put->body);
        }
        judge->bodies++;
        assert_int_equal(item->id >> BAO_ID_SHIFT, fact->queue);
        assert_true(item->id > queue->last_id);
        queue->last_id = item->id;
        queue->counts[item->state]++;
        queue->accepted++;
        assert_true(bao_tree_put(
            &judge->items,
            item->id,
            item,
            item->state == BAO_STATE_READY ? COLOUR_READY : COLOUR_OTHER));
    }
    check_bound(queue);
}

/* Ready items have a colour of their own in the tree: fifo and lifo are one
 * look; for a priority queue all ready ones are held against this one. */
static void check_order(const struct judge *judge,
                        const struct judge_queue *queue,
                        const struct judge_item *item)
{
    uint64_t from = queue->queue << BAO_ID_SHIFT;
    uint64_t to = from | ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
    unsigned ready = 1u << COLOUR_READY;
    switch ((unsigned)queue->options.kind) {
    case BAO_KIND_FIFO:
        assert_ptr_equal(bao_tree_first(&judge->items, ready, from).value,
                         item);
        return;
    case BAO_KIND_LIFO:
        assert_ptr_equal(bao_tree_last(&judge->items, ready, to).value, item);
        return;
    default: break;
    }
    for (;;) {
        struct bao_tree_entry entry =
            bao_tree_first(&judge->items, ready, from);
        if (entry.value == NULL || entry.key > to) {
            return;
        }
        const struct judge_item *other = entry.value;
        assert_true(
            other->priority > item->priority ||
            (other->priority == item->priority && other->id >= item->id));
        from = entry.key + 1;
    }
}

static void follow_leased(struct judge *judge, const struct bao_fact *fact)
{
    struct judge_queue *queue = queue_get(judge, fact);
    assert_true(fact->session != 0);
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        assert_int_equal(item->state, BAO_STATE_READY);
        check_order(judge, queue, item);
        assert_true(judge->late || item->ttl_us == 0 ||
                    item->ttl_us > fact->time_us);
        item_move(judge, item, BAO_STATE_LEASED);
        item->session = fact->session;
        item->prepaid = fact->token == 0;
        if (item->prepaid) {
            assert_true(queue->prepaid > 0);
            continue;
        }
        item->token = fact->token + i;
        assert_true(item->token > judge->last_token); /* P3 */
        judge->last_token = item->token;
    }
}

static void follow_returned(struct judge *judge, const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        /* One that cannot die for lack of room is put off again. */
        assert_true(item->state == BAO_STATE_LEASED ||
                    item->state == BAO_STATE_DELAYED);
        assert_true(fact->due_us == 0 || fact->due_us > fact->time_us);
        item->due_us = fact->due_us;
        item->by_wall = false;
        item->token = 0;
        item_move(judge,
                  item,
                  fact->due_us != 0 ? BAO_STATE_DELAYED : BAO_STATE_READY);
    }
}

static void follow_ready(struct judge *judge, const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        assert_int_equal(item->state, BAO_STATE_DELAYED);
        if (item->by_wall) {
            assert_true((int64_t)item->due_us <=
                        (int64_t)fact->time_us + judge->wall_offset_us);
        } else {
            assert_true(item->due_us <= fact->time_us); /* never early */
        }
        item_move(judge, item, BAO_STATE_READY);
    }
}

static void follow_taken(struct judge *judge, const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        assert_int_equal(item->state, BAO_STATE_LEASED);
        item_move(judge, item, BAO_STATE_TAKEN);
        body_drop(judge, item); /* consumed: nobody will be given it again */
    }
}

/* Which states may end as `final`. */
static bool may_settle(enum bao_state from, enum bao_state final)
{
    switch ((unsigned) final) {
    case BAO_STATE_DONE:
        return from == BAO_STATE_LEASED || from == BAO_STATE_TAKEN;
    case BAO_STATE_EXPIRED:
    case BAO_STATE_CANCELLED:
        return from == BAO_STATE_READY || from == BAO_STATE_DELAYED ||
               from == BAO_STATE_LEASED;
    case BAO_STATE_DROPPED: return from == BAO_STATE_READY;
    case BAO_STATE_PURGED: return from != BAO_STATE_DEAD; /* delete: all */
    default: return false;
    }
}

static void follow_settled(struct judge *judge, const struct bao_fact *fact)
{
    struct judge_queue *queue = queue_get(judge, fact);
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        enum bao_state final = (enum bao_state)fact->state;
        if (!may_settle(item->state, final)) {
            fail_msg("item %llx may not go from %s to %s",
                     (unsigned long long)item->id,
                     bao_state_name(item->state),
                     bao_state_name(final));
        }
        assert_true(final != BAO_STATE_EXPIRED || item->ttl_us != 0);
        assert_true(final != BAO_STATE_EXPIRED ||
                    item->ttl_us <= fact->time_us);
        if (item->prepaid && final == BAO_STATE_DONE) {
            assert_true(queue->prepaid > 0);
            queue->prepaid--;
        }
        if (item->state != BAO_STATE_TAKEN) {
            body_drop(judge, item);
        }
        item_move(judge, item, final);
        item->passing = (fact->flags & BAO_FLAG_WANT_RESULT) == 0;
        if (fact->result.hold != 0) {
            item->result = body_copy(judge, &fact->result);
            item->result_bytes = fact->result.bytes;
            item->has_result = true;
            judge->results++;
        } else {
            item_forget(judge, item);
        }
    }
}

static void follow_dead(struct judge *judge, const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        assert_true(item->state == BAO_STATE_LEASED ||
                    item->state == BAO_STATE_DELAYED ||
                    item->state == BAO_STATE_READY);
        item_move(judge, item, BAO_STATE_DEAD);
    }
}

static void follow_dead_forgotten(struct judge *judge,
                                  const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = item_get(judge, fact->ids[i]);
        assert_int_equal(item->state, BAO_STATE_DEAD);
        judge_queue(judge, item->queue)->counts[BAO_STATE_DEAD]--;
        body_drop(judge, item);
        item_forget(judge, item);
    }
}

/* The outcome of an item may be forgotten whose result was never kept. */
static void follow_outcome_forgotten(struct judge *judge,
                                     const struct bao_fact *fact)
{
    for (uint32_t i = 0; i < fact->count; i++) {
        struct judge_item *item = judge_item(judge, fact->ids[i]);
        if (item != NULL && judge_is_final(item->state)) {
            item_forget(judge, item);
        }
    }
}

/* The first memory queue of those that lie before the broker's start, in
 * order of name; or NULL. */
static struct judge_queue *next_memory(struct judge *judge, const char *after)
{
    struct judge_queue *first = NULL;
    for (unsigned i = 0; i < judge->queue_count; i++) {
        struct judge_queue *queue = &judge->queues[i];
        if (!queue->gone && !queue->durable && strcmp(queue->name, after) > 0 &&
            (first == NULL || strcmp(queue->name, first->name) < 0)) {
            first = queue;
        }
    }
    return first;
}

/* A start: ids jump, tokens lie above all earlier ones, and memory queues
 * begin a new incarnation without items. */
static void follow_epoch(struct judge *judge, const struct bao_fact *fact)
{
    const char *after = "";
    uint64_t last = 0;
    assert_true(fact->epoch << BAO_ID_SHIFT > judge->last_token);
    for (unsigned i = 0; i < judge->queue_count; i++) {
        last = judge->queues[i].queue > last ? judge->queues[i].queue : last;
    }
    for (;;) {
        struct judge_queue *old = next_memory(judge, after);
        if (old == NULL) {
            return;
        }
        assert_true(judge->queue_count < JUDGE_QUEUES_MAX);
        struct judge_queue *made = &judge->queues[judge->queue_count++];
        *made = (struct judge_queue){
            .queue = ++last, .options = old->options, .shut = old->shut};
        memcpy(made->name, old->name, sizeof(made->name));
        queue_end(judge, old);
        after = made->name;
    }
}

void judge_fact(struct judge *judge, const struct bao_fact *fact)
{
    judge->facts++;
    switch (fact->kind) {
    case BAO_FACT_QUEUE_MADE: follow_made(judge, fact); break;
    case BAO_FACT_QUEUE_SET:
        options_set(judge, queue_get(judge, fact), fact->options);
        break;
    case BAO_FACT_QUEUE_SHUT: queue_get(judge, fact)->shut = fact->state; break;
    case BAO_FACT_QUEUE_GONE: follow_gone(judge, fact); break;
    case BAO_FACT_ITEM_PUT: follow_put(judge, fact); break;
    case BAO_FACT_ITEM_READY: follow_ready(judge, fact); break;
    case BAO_FACT_ITEM_LEASED: follow_leased(judge, fact); break;
    case BAO_FACT_ITEM_RETURNED: follow_returned(judge, fact); break;
    case BAO_FACT_ITEM_TAKEN: follow_taken(judge, fact); break;
    case BAO_FACT_ITEM_SETTLED: follow_settled(judge, fact); break;
    case BAO_FACT_ITEM_DEAD: follow_dead(judge, fact); break;
    case BAO_FACT_DEAD_FORGOTTEN: follow_dead_forgotten(judge, fact); break;
    case BAO_FACT_PREPAID:
        queue_get(judge, fact)->prepaid += fact->count;
        break;
    case BAO_FACT_OUTCOME_FORGOTTEN:
        follow_outcome_forgotten(judge, fact);
        break;
    case BAO_FACT_SESSION_OPENED: judge->sessions_opened++; break;
    case BAO_FACT_SESSION_ENDED: judge->sessions_ended++; break;
    case BAO_FACT_EPOCH: follow_epoch(judge, fact); break;
    case BAO_FACT_SESSION_REVIVED:
    case BAO_FACT_SESSION_FORGOTTEN:
    case BAO_FACT_ACKED:
    case BAO_FACT_CANCEL_ASKED:
    case BAO_FACT_GROUP_FORGOTTEN:
    case BAO_FACT_DEDUP_FORGOTTEN:
    case BAO_FACT_ANSWERED: break;
    }
}

void judge_step_end(struct judge *judge, const struct bao_out *out)
{
    for (size_t i = 0; i < out->fact_count; i++) {
        const struct bao_fact *fact = &out->facts[i];
        for (uint32_t j = 0;
             fact->kind == BAO_FACT_ITEM_SETTLED && j < fact->count;
             j++) {
            struct judge_item *item = judge_item(judge, fact->ids[j]);
            if (item != NULL && judge_is_final(item->state) && item->passing) {
                item_forget(judge, item);
            }
        }
    }
}

void judge_fini(struct judge *judge)
{
    for (;;) {
        struct bao_tree_entry entry =
            bao_tree_first(&judge->items, BAO_TREE_ANY, 0);
        if (entry.value == NULL) {
            break;
        }
        struct judge_item *item = entry.value;
        if (item->has_body) {
            body_drop(judge, item);
        }
        item_forget(judge, item);
    }
    while (judge->holds != NULL) {
        judge->holds->references = 1;
        judge_hold_drop(judge, judge->holds->hold);
    }
    free(judge->memory);
}
