/*
 * bodies.c - the payloads of bodies.h.
 *
 * A queue has a tree from the number of an item (the low bits of its id) to
 * its payload. Numbers are dense, so the tree costs some 10 bytes an item. A
 * deleted queue leaves the table at once and is emptied in slices.
 *
 * Invariant: `count` is the sum of the trees; every payload in a tree has one
 * reference for it.
 */
#include "broker/bodies.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "broker/bodies_inner.h"
#include "common/check.h"
#include "common/crc32c.h"
#include "common/poison.h"

#define BYTES_MIN       (UINT64_C(1) << 20)
#define GIVE_BACK_BYTES (UINT64_C(16) << 20) /* peaks below stay warm */

struct bao_payload *bao_payload_new(struct bao_bodies *bodies, size_t bytes)
{
    struct bao_payload *payload =
        bao_arena_take(bodies->arena, sizeof *payload + bytes);
    /* The core admitted these bytes, and our range is larger than what it
     * may admit. */
    BAO_ASSERT(payload != NULL);
    size_t used = bao_arena_used(bodies->arena);
    if (used > bodies->peak_bytes)
        bodies->peak_bytes = used;
    *payload = (struct bao_payload){.references = 1};
    return payload;
}

static void start(struct bao_bodies *bodies)
{
    bodies->arena = bao_arena_init(bodies->memory, bodies->bytes);
    bool good = bao_table_init(&bodies->queues, bodies->arena);
    BAO_ASSERT(good);
    bodies->last = NULL;
    bodies->peak_bytes = 0;
}

enum baozi_status bao_bodies_open(size_t bytes, struct bao_bodies **bodies)
{
    struct bao_bodies *made = calloc(1, sizeof *made);
    if (made == NULL || bytes < BYTES_MIN) {
        free(made);
        return BAOZI_NO_MEMORY;
    }
    made->bytes = bytes;
    made->memory = mmap(NULL,
                        bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    if (made->memory == MAP_FAILED) {
        free(made);
        return BAOZI_NO_MEMORY;
    }
    bao_list_init(&made->gone);
    bao_list_init(&made->here);
    start(made);
    *bodies = made;
    return BAOZI_OK;
}

/* --- queues --- */

struct bao_bodies_queue *bao_bodies_queue(struct bao_bodies *bodies,
                                          uint64_t incarnation)
{
    if (bodies->last != NULL && bodies->last->incarnation == incarnation)
        return bodies->last;
    struct bao_table_node *node =
        bao_table_first(&bodies->queues, bao_hash_number(incarnation, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_bodies_queue *queue =
            BAO_OF(node, struct bao_bodies_queue, node);
        if (queue->incarnation != incarnation)
            continue;
        bodies->last = queue;
        return queue;
    }
    return NULL;
}

static struct bao_bodies_queue *queue_get(struct bao_bodies *bodies,
                                          uint64_t incarnation)
{
    struct bao_bodies_queue *queue = bao_bodies_queue(bodies, incarnation);
    if (queue != NULL)
        return queue;
    queue = bao_arena_take(bodies->arena, sizeof *queue);
    BAO_ASSERT(queue != NULL);
    *queue = (struct bao_bodies_queue){.incarnation = incarnation};
    bao_tree_init(&queue->items, bodies->arena);
    bao_table_put(
        &bodies->queues, &queue->node, bao_hash_number(incarnation, 0));
    bao_list_push(&bodies->here, &queue->here);
    bodies->last = queue;
    return queue;
}

/* --- payloads --- */

static uint64_t number_of(uint64_t id)
{
    return id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
}

struct bao_payload *bao_bodies_find(struct bao_bodies *bodies, uint64_t id)
{
    const struct bao_bodies_queue *queue =
        bao_bodies_queue(bodies, id >> BAO_ID_SHIFT);
    return queue == NULL ? NULL : bao_tree_find(&queue->items, number_of(id));
}

static void unreference(struct bao_bodies *bodies, struct bao_payload *payload)
{
    BAO_ASSERT(payload->references > 0);
    if (--payload->references > 0)
        return;
    if (payload->address != 0 && !payload->cold)
        bodies->hot_bytes -= payload->bytes;
    bao_frame_release(payload->frame);
    bao_arena_give(bodies->arena, payload);
}

struct bao_payload *bao_bodies_keep(struct bao_bodies *bodies,
                                    struct bao_payload *payload)
{
    if (payload->cold)
        payload = bao_bodies_load(bodies, payload);
    else
        payload->references++;
    bodies->kept += payload != NULL;
    return payload;
}

void bao_bodies_give(struct bao_bodies *bodies, struct bao_payload *payload)
{
    BAO_ASSERT(bodies->kept > 0);
    bodies->kept--;
    unreference(bodies, payload);
}

struct bao_span bao_payload_bytes(const struct bao_payload *payload)
{
    if (payload->frame != NULL)
        return payload->frame->bytes;
    return bao_span_of(payload + 1, payload->bytes);
}

struct bao_payload *bao_bodies_take(struct bao_bodies *bodies, uint64_t id)
{
    struct bao_bodies_queue *queue =
        bao_bodies_queue(bodies, id >> BAO_ID_SHIFT);
    if (queue == NULL)
        return NULL;
    struct bao_payload *payload = bao_tree_find(&queue->items, number_of(id));
    if (payload == NULL)
        return NULL;
    bao_tree_remove(&queue->items, number_of(id));
    bodies->count--;
    return payload;
}

void bao_bodies_put(struct bao_bodies *bodies,
                    uint64_t id,
                    struct bao_payload *payload)
{
    struct bao_bodies_queue *queue = queue_get(bodies, id >> BAO_ID_SHIFT);
    bool good = bao_tree_put(&queue->items, number_of(id), payload, 0);
    BAO_ASSERT(good);
    bodies->count++;
}

/* Its bytes in the log are dead once the fact that ends it is synced. */
static void die(struct bao_bodies *bodies, const struct bao_payload *payload)
{
    if (bodies->journal != NULL)
        bao_journal_drop(bodies->journal, payload->address, payload->bytes);
}

/* Drops what is stored under `id`, if it is a result or a body as stated: the
 * outcome of a dead item is forgotten while its body stays, and a body ends
 * while its result stays. */
void bao_bodies_drop_one(struct bao_bodies *bodies, uint64_t id, bool result)
{
    struct bao_payload *payload = bao_bodies_find(bodies, id);
    if (payload == NULL || payload->result != result)
        return;
    (void)bao_bodies_take(bodies, id);
    die(bodies, payload);
    unreference(bodies, payload);
}

/* Keeps a received body under `id` and returns it; an empty one needs no
 * memory and is NULL. */
static struct bao_payload *store_one(struct bao_bodies *bodies,
                                     const struct bao_holds *holds,
                                     const struct bao_body *body,
                                     uint64_t id,
                                     uint64_t address)
{
    struct bao_frame *frame;
    if (body->hold == 0 || body->bytes == 0)
        return NULL;
    struct bao_span bytes = bao_holds_find(holds, body, &frame);
    bool whole = frame != NULL && bytes.bytes >= BAO_BIG_BYTES;
    struct bao_payload *payload =
        bao_payload_new(bodies, whole ? 0 : bytes.bytes);
    payload->bytes = (uint32_t)bytes.bytes;
    if (whole)
        payload->frame = bao_frame_hold(frame);
    else
        memcpy(payload + 1, bytes.data, bytes.bytes);
    if (address != 0) {
        payload->address = address;
        payload->crc = bao_crc32c(0, bytes.data, bytes.bytes);
        bao_bodies_note_hot(bodies, id, payload->bytes);
    }
    bao_bodies_put(bodies, id, payload);
    return payload;
}

/* --- the facts --- */

/* Of the i-th payload of the fact that the journal took last. */
static uint64_t address_of(const struct bao_bodies *bodies, uint32_t i)
{
    return bodies->journal == NULL ? 0 : bodies->journal->address[i];
}

static void store_items(struct bao_bodies *bodies,
                        const struct bao_fact *fact,
                        const struct bao_holds *holds)
{
    if (fact->origin != 0) {
        /* Redriven: the dead item's body becomes the new one's. */
        BAO_ASSERT(fact->count == 1);
        struct bao_payload *payload = bao_bodies_take(bodies, fact->origin);
        if (payload == NULL)
            return;
        bao_bodies_put(bodies, fact->first_id, payload);
        if (payload->address != 0)
            bao_bodies_readdress(bodies, fact->first_id);
        return;
    }
    for (uint32_t i = 0; i < fact->count; i++)
        (void)store_one(bodies,
                        holds,
                        &fact->items[i].body,
                        fact->first_id + i,
                        address_of(bodies, i));
}

/* True if this item is over and its result shall be kept in its place. */
static bool keeps_result(const struct bao_fact *fact)
{
    return fact->kind == BAO_FACT_ITEM_SETTLED && fact->result.hold != 0 &&
           (fact->flags & BAO_FLAG_WANT_RESULT) != 0;
}

void bao_bodies_store(struct bao_bodies *bodies,
                      const struct bao_fact *fact,
                      const struct bao_holds *holds)
{
    if (fact->kind == BAO_FACT_ITEM_PUT)
        store_items(bodies, fact, holds);
    if (!keeps_result(fact))
        return;
    for (uint32_t i = 0; i < fact->count; i++) {
        bao_bodies_drop_one(bodies, fact->ids[i], false);
        struct bao_payload *payload = store_one(
            bodies, holds, &fact->result, fact->ids[i], address_of(bodies, i));
        if (payload != NULL)
            payload->result = true;
    }
}

static void
drop_ids(struct bao_bodies *bodies, const struct bao_fact *fact, bool result)
{
    for (uint32_t i = 0; i < fact->count; i++)
        bao_bodies_drop_one(bodies, fact->ids[i], result);
}

static void drop_queue(struct bao_bodies *bodies, uint64_t incarnation)
{
    struct bao_bodies_queue *queue = bao_bodies_queue(bodies, incarnation);
    if (queue == NULL)
        return;
    bodies->last = NULL;
    if (bodies->image_at == queue)
        bao_bodies_image_skip(bodies);
    bao_list_remove(&bodies->here, &queue->here);
    bao_table_remove(&bodies->queues, &queue->node);
    bao_list_push(&bodies->gone, &queue->gone);
}

void bao_bodies_drop(struct bao_bodies *bodies, const struct bao_fact *fact)
{
    if (fact->kind == BAO_FACT_ITEM_SETTLED ||
        fact->kind == BAO_FACT_ITEM_TAKEN ||
        fact->kind == BAO_FACT_DEAD_FORGOTTEN)
        drop_ids(bodies, fact, false);
    else if (fact->kind == BAO_FACT_OUTCOME_FORGOTTEN)
        drop_ids(bodies, fact, true);
    else if (fact->kind == BAO_FACT_QUEUE_GONE)
        drop_queue(bodies, fact->queue);
}

/* --- giving memory back --- */

/* Empties a slice of a deleted queue; true if it is empty. */
static bool empty_some(struct bao_bodies *bodies,
                       struct bao_bodies_queue *queue,
                       uint32_t *budget)
{
    for (; *budget > 0; (*budget)--) {
        struct bao_tree_entry entry =
            bao_tree_first(&queue->items, BAO_TREE_ANY, 0);
        if (entry.value == NULL)
            return true;
        bao_tree_remove(&queue->items, entry.key);
        bodies->count--;
        die(bodies, entry.value);
        unreference(bodies, entry.value);
    }
    return false;
}

static void give_pages_back(struct bao_bodies *bodies)
{
    /* Only queues' own records are left: their trees are empty. They are
     * made anew when an item comes. */
    BAO_UNPOISON(bodies->memory, bodies->bytes);
    if (madvise(bodies->memory, bodies->bytes, MADV_DONTNEED) != 0)
        return;
    bao_list_init(&bodies->here);
    bodies->image_at = NULL;
    start(bodies);
}

bool bao_bodies_sweep(struct bao_bodies *bodies)
{
    uint32_t budget = BAO_STEP_ITEMS_MAX;
    struct bao_link *link;
    bao_bodies_cool(bodies);
    while ((link = bao_list_first(&bodies->gone)) != NULL && budget > 0) {
        struct bao_bodies_queue *queue =
            BAO_OF(link, struct bao_bodies_queue, gone);
        if (!empty_some(bodies, queue, &budget))
            break;
        bao_tree_fini(&queue->items);
        bao_list_remove(&bodies->gone, link);
        bao_arena_give(bodies->arena, queue);
    }
    if (bodies->gone.count > 0)
        return true;
    if (bodies->count == 0 && bodies->kept == 0 &&
        bodies->peak_bytes > GIVE_BACK_BYTES)
        give_pages_back(bodies);
    return false;
}

size_t bao_bodies_used(const struct bao_bodies *bodies)
{
    return bao_arena_used(bodies->arena);
}

uint64_t bao_bodies_count(const struct bao_bodies *bodies)
{
    return bodies->count;
}

void bao_bodies_close(struct bao_bodies *bodies)
{
    struct bao_table_node *node;
    if (bodies == NULL)
        return;
    bodies->journal = NULL; /* what is dropped here is not dead */
    while ((node = bao_table_any(&bodies->queues)) != NULL)
        drop_queue(bodies,
                   BAO_OF(node, struct bao_bodies_queue, node)->incarnation);
    while (bao_bodies_sweep(bodies))
        continue;
    BAO_UNPOISON(bodies->memory, bodies->bytes);
    (void)munmap(bodies->memory, bodies->bytes);
    free(bodies->fresh);
    free(bodies);
}
