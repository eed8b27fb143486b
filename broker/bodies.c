/*
 * bodies.c - the payloads of bodies.h: they come, are lent, and end.
 *
 * A run of items of one fact that fall on one tray is stored at once: their
 * bytes arrived back to back, and are copied so. A deleted queue leaves the
 * table at once and is emptied in slices.
 *
 * Invariant: `count` is the number of payloads of all queues, those that are
 * gone but not yet emptied included.
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

void bao_bodies_note_peak(struct bao_bodies *bodies)
{
    const size_t used = bao_arena_used(bodies->arena);
    if (used > bodies->peak_bytes)
        bodies->peak_bytes = used;
}

void *bao_bodies_room(struct bao_bodies *bodies, size_t bytes)
{
    void *block = bao_arena_take(bodies->arena, bytes);
    BAO_ASSERT(block != NULL);
    bao_bodies_note_peak(bodies);
    return block;
}

static void start(struct bao_bodies *bodies)
{
    bodies->arena = bao_arena_init(bodies->memory, bodies->bytes);
    bool good = bao_table_init(&bodies->queues, bodies->arena);
    BAO_ASSERT(good);
    bodies->last = NULL;
    bodies->peak_bytes = 0;
    bodies->waste_bytes = 0;
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

/* --- lending --- */

bool bao_bodies_find(struct bao_bodies *bodies,
                     uint64_t id,
                     struct bao_payload *payload)
{
    struct bao_spot spot;
    struct bao_bodies_queue *queue =
        bao_bodies_queue(bodies, id >> BAO_ID_SHIFT);
    if (queue == NULL)
        return false;
    const uint64_t number = bao_number_of(id);
    const struct bao_tray *tray = bao_queue_tray(queue, number);
    if (bao_tray_has(tray, number)) {
        bao_tray_find(tray, bao_tray_rank(tray, bao_slot_of(number)), payload);
        return true;
    }
    if (!bao_spot_find(bodies, id, &spot))
        return false;
    bao_spot_look(&spot, payload);
    return true;
}

void bao_bodies_give(struct bao_bodies *bodies, struct bao_chunk *chunk)
{
    BAO_ASSERT(bodies->kept > 0);
    bodies->kept--;
    bao_chunk_drop(bodies, chunk);
}

/* --- storing --- */

/* Items of a fact whose numbers fall on one tray. */
struct run {
    const struct bao_holds *holds;
    const struct bao_put_item *items;
    const uint64_t *addresses; /* in their order; NULL = no log */
    uint64_t first_id;
    uint32_t count;
};

/* What of a run lies on the tray. */
struct share {
    uint32_t entries;
    uint32_t bytes;
    uint32_t last;  /* the last of them */
    bool addressed; /* the log has them */
};

/* Bytes that lie back to back where they came from are copied at once. */
struct copy {
    uint8_t *to;
    const uint8_t *from;
    size_t bytes;
};

static void copy_all(struct copy *copy)
{
    if (copy->bytes == 0)
        return;
    BAO_ASSERT(copy->from != NULL);
    memcpy(copy->to, copy->from, copy->bytes);
    copy->to += copy->bytes;
    copy->bytes = 0;
}

static void copy_more(struct copy *copy, struct bao_span bytes)
{
    if (bytes.bytes == 0)
        return; /* nothing may lie nowhere */
    if (copy->bytes == 0 || copy->from + copy->bytes != bytes.data) {
        copy_all(copy);
        copy->from = bytes.data;
    }
    copy->bytes += bytes.bytes;
}

static bool is_small(const struct bao_body *body)
{
    return body->hold != 0 && body->bytes > 0 &&
           body->bytes < BAO_TRAY_BYTES_MAX;
}

static uint64_t address_of(const struct run *run, uint32_t i)
{
    return run->addresses == NULL ? 0 : run->addresses[i];
}

static struct share measure(const struct run *run)
{
    struct share share = {0};
    for (uint32_t i = 0; i < run->count; i++) {
        const struct bao_body *body = &run->items[i].body;
        if (!is_small(body))
            continue;
        share.entries++;
        share.bytes += body->bytes;
        share.last = i;
        share.addressed = share.addressed || address_of(run, i) != 0;
    }
    return share;
}

/* The bytes of a body; `before` are those of the body before it in the list,
 * which it mostly follows in memory too. */
static struct bao_span
bytes_of(const struct run *run, uint32_t i, struct bao_span before)
{
    struct bao_frame *frame;
    const struct bao_body *body = &run->items[i].body;
    if (before.data != NULL && i > 0) {
        const struct bao_body *last = &run->items[i - 1].body;
        if (body->part == 0 && last->part == 0 && body->hold == last->hold &&
            body->offset == last->offset + last->bytes)
            return bao_span_of(before.data + before.bytes, body->bytes);
    }
    return bao_holds_find(run->holds, body, &frame);
}

/* Adds what was measured to a tray that has room for it. */
static struct bao_tray *fill(struct bao_bodies *bodies,
                             struct bao_tray *tray,
                             const struct run *run,
                             const struct share *share)
{
    struct bao_span bytes = {.data = NULL};
    struct copy copy = {
        .to = bao_tray_room(bodies,
                            tray,
                            share->bytes,
                            bao_slot_of(run->first_id + share->last))};
    size_t hot_bytes = 0;
    for (uint32_t i = 0; i <= share->last; i++) {
        const struct bao_body *body = &run->items[i].body;
        if (!is_small(body)) {
            bytes.data = NULL;
            continue;
        }
        bytes = bytes_of(run, i, bytes);
        const unsigned rank =
            bao_tray_add(tray, bao_slot_of(run->first_id + i), body->bytes);
        copy_more(&copy, bytes);
        if (tray->address_bytes == 0)
            continue;
        const uint64_t address = address_of(run, i);
        bao_tray_set_crc(tray, rank, bao_crc32c(0, bytes.data, bytes.bytes));
        tray = bao_tray_place(bodies, tray, rank, address);
        hot_bytes += address == 0 ? 0 : body->bytes;
    }
    copy_all(&copy);
    /* What was followed did not leave the hold's bytes. */
    BAO_ASSERT(
        bytes_of(run, share->last, (struct bao_span){.data = NULL}).data ==
        bytes.data);
    bodies->count += share->entries;
    if (hot_bytes > 0)
        bao_bodies_note_hot(bodies, run->first_id + share->last, hot_bytes);
    return tray;
}

/* A received body that lies alone; none for an empty one. */
static void store_alone(struct bao_bodies *bodies,
                        const struct bao_holds *holds,
                        const struct bao_body *body,
                        uint64_t id,
                        const struct bao_payload *as)
{
    struct bao_frame *frame;
    struct bao_payload payload = *as;
    if (body->hold == 0 || body->bytes == 0)
        return;
    const struct bao_span bytes = bao_holds_find(holds, body, &frame);
    const bool whole = frame != NULL && bytes.bytes >= BAO_BIG_BYTES;
    payload.bytes = (uint32_t)bytes.bytes;
    payload.chunk = bao_chunk_new(bodies, whole ? 0 : payload.bytes);
    if (whole)
        payload.chunk->frame = bao_frame_hold(frame);
    else
        memcpy(bao_chunk_bytes(payload.chunk), bytes.data, bytes.bytes);
    if (payload.address != 0)
        payload.crc = bao_crc32c(0, bytes.data, bytes.bytes);
    bao_bodies_put_alone(bodies, id, &payload);
}

static void store_run(struct bao_bodies *bodies,
                      struct bao_bodies_queue *queue,
                      const struct run *run)
{
    const struct share share = measure(run);
    const uint64_t number = bao_number_of(run->first_id);
    struct bao_tray *before = bao_queue_tray(queue, number);
    /* Numbers of a queue only grow; what came late lies alone. */
    const bool fits =
        before == NULL || before->placed >> bao_slot_of(number) == 0;
    if (share.entries > 0 && fits) {
        struct bao_tray *tray = bao_tray_reserve(bodies,
                                                 before,
                                                 bao_slot_of(number),
                                                 share.entries,
                                                 share.addressed);
        tray = fill(bodies, tray, run, &share);
        bao_queue_set_tray(bodies, queue, number, before, tray);
    }
    if (fits && share.entries == run->count)
        return;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct bao_body *body = &run->items[i].body;
        const struct bao_payload as = {.address = address_of(run, i)};
        if (!fits || !is_small(body))
            store_alone(bodies, run->holds, body, run->first_id + i, &as);
    }
}

/* Redriven: the dead item's body becomes the new one's. */
static void store_redriven(struct bao_bodies *bodies,
                           const struct bao_fact *fact)
{
    struct bao_spot spot;
    struct bao_payload payload;
    BAO_ASSERT(fact->count == 1);
    if (!bao_spot_find(bodies, fact->origin, &spot))
        return;
    bao_spot_look(&spot, &payload);
    struct bao_death death;
    const bool kept = bao_bodies_keep(bodies, fact->origin, &payload);
    bao_spot_end(bodies, &spot, &death);
    if (payload.address != 0)
        bao_bodies_readdress(bodies, fact->first_id, &payload);
    else
        bao_bodies_put(bodies, fact->first_id, &payload);
    if (kept)
        bao_bodies_give(bodies, payload.chunk);
}

static const uint64_t *addresses_of(const struct bao_bodies *bodies)
{
    return bodies->journal == NULL ? NULL : bodies->journal->address;
}

static void store_items(struct bao_bodies *bodies,
                        const struct bao_fact *fact,
                        const struct bao_holds *holds)
{
    const uint64_t *addresses = addresses_of(bodies);
    if (fact->origin != 0) {
        store_redriven(bodies, fact);
        return;
    }
    struct bao_bodies_queue *queue =
        bao_bodies_queue_get(bodies, fact->first_id >> BAO_ID_SHIFT);
    uint32_t count;
    for (uint32_t i = 0; i < fact->count; i += count) {
        const uint64_t id = fact->first_id + i;
        count = BAO_TRAY_SLOTS - bao_slot_of(id);
        count = count < fact->count - i ? count : fact->count - i;
        const struct run run = {.holds = holds,
                                .items = fact->items + i,
                                .addresses =
                                    addresses == NULL ? NULL : addresses + i,
                                .first_id = id,
                                .count = count};
        store_run(bodies, queue, &run);
    }
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
    const uint64_t *addresses = addresses_of(bodies);
    if (fact->kind == BAO_FACT_ITEM_PUT)
        store_items(bodies, fact, holds);
    if (!keeps_result(fact))
        return;
    for (uint32_t i = 0; i < fact->count; i++) {
        const struct bao_payload as = {
            .address = addresses == NULL ? 0 : addresses[i], .result = true};
        bao_bodies_drop_one(bodies, fact->ids[i], false);
        store_alone(bodies, holds, &fact->result, fact->ids[i], &as);
    }
}

/* --- ending --- */

/* Its bytes in the log are dead once the fact that ends it is synced. */
static void end(struct bao_bodies *bodies, const struct bao_spot *spot)
{
    struct bao_death death;
    bao_spot_end(bodies, spot, &death);
    if (bodies->journal != NULL)
        bao_journal_drop(bodies->journal, death.address, death.bytes);
}

/* Drops what is stored under `id`, if it is a result or a body as stated: the
 * outcome of a dead item is forgotten while its body stays, and a body ends
 * while its result stays. */
void bao_bodies_drop_one(struct bao_bodies *bodies, uint64_t id, bool result)
{
    struct bao_spot spot;
    if (!bao_spot_find(bodies, id, &spot))
        return;
    if (result == (spot.alone != NULL && spot.alone->result))
        end(bodies, &spot);
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
        struct bao_spot spot;
        if (!bao_spot_first(queue, 0, &spot))
            return true;
        end(bodies, &spot);
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

struct bao_arena *bao_bodies_arena(const struct bao_bodies *bodies)
{
    return bodies->arena;
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
