/*
 * bodies_spot.c - where the payload of an id is: on a tray, or alone.
 *
 * Numbers of a queue's items are dense, so each queue has a rack of trays. What
 * no tray takes hangs in a tree by number: it is empty in most queues.
 *
 * Invariant: a number is on a tray or alone, never both; no tray is without
 * an entry that lives.
 */
#include "broker/bodies_inner.h"
#include "common/check.h"

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

struct bao_bodies_queue *bao_bodies_queue_get(struct bao_bodies *bodies,
                                              uint64_t incarnation)
{
    struct bao_bodies_queue *queue = bao_bodies_queue(bodies, incarnation);
    if (queue != NULL)
        return queue;
    queue = bao_bodies_room(bodies, sizeof *queue);
    *queue = (struct bao_bodies_queue){.incarnation = incarnation};
    bao_rack_init(&queue->trays, bodies->arena);
    bao_tree_init(&queue->alone, bodies->arena);
    bao_table_put(
        &bodies->queues, &queue->node, bao_hash_number(incarnation, 0));
    bao_list_push(&bodies->here, &queue->here);
    bodies->last = queue;
    return queue;
}

/* --- trays --- */

struct bao_tray *bao_queue_seek(struct bao_bodies_queue *queue, uint64_t key)
{
    struct bao_tray *tray = bao_rack_find(&queue->trays, key);
    if (tray == NULL)
        return NULL;
    queue->last = tray;
    queue->last_key = key;
    return tray;
}

/* A tray that was there is another one now, or gone (NULL). */
static void replace(struct bao_bodies_queue *queue,
                    uint64_t key,
                    const struct bao_tray *before,
                    struct bao_tray *tray)
{
    bao_rack_replace(&queue->trays, key, tray);
    if (queue->last == before)
        queue->last = tray;
    if (queue->tail == before)
        queue->tail = tray;
}

/* Puts a new tray behind all others: the one before it has what it will ever
 * have. */
static void put_tail(struct bao_bodies *bodies,
                     struct bao_bodies_queue *queue,
                     uint64_t key,
                     struct bao_tray *tray)
{
    struct bao_tray *tail = queue->tail;
    if (tail != NULL && queue->tail_key > key)
        return;
    if (tail != NULL) {
        struct bao_tray *trimmed = bao_tray_trim(bodies, tail);
        if (trimmed != tail)
            replace(queue, queue->tail_key, tail, trimmed);
    }
    queue->tail = tray;
    queue->tail_key = key;
}

void bao_queue_set_tray(struct bao_bodies *bodies,
                        struct bao_bodies_queue *queue,
                        uint64_t number,
                        struct bao_tray *before,
                        struct bao_tray *tray)
{
    const uint64_t key = number >> BAO_TRAY_BITS;
    if (tray == before)
        return;
    if (before != NULL) {
        replace(queue, key, before, tray);
        return;
    }
    bao_rack_put(&queue->trays, key, tray);
    bao_bodies_note_peak(bodies);
    put_tail(bodies, queue, key, tray);
}

/* --- spots --- */

bool bao_spot_find(struct bao_bodies *bodies,
                   uint64_t id,
                   struct bao_spot *spot)
{
    const uint64_t number = bao_number_of(id);
    struct bao_bodies_queue *queue =
        bao_bodies_queue(bodies, id >> BAO_ID_SHIFT);
    if (queue == NULL)
        return false;
    *spot = (struct bao_spot){.queue = queue, .number = number};
    struct bao_tray *tray = bao_queue_tray(queue, number);
    if (bao_tray_has(tray, number)) {
        spot->tray = tray;
        return true;
    }
    if (queue->alone.count > 0)
        spot->alone = bao_tree_find(&queue->alone, number);
    return spot->alone != NULL;
}

bool bao_spot_first(struct bao_bodies_queue *queue,
                    uint64_t from,
                    struct bao_spot *spot)
{
    const uint64_t key = from >> BAO_TRAY_BITS;
    const struct bao_tree_entry alone =
        bao_tree_first(&queue->alone, BAO_TREE_ANY, from);
    struct bao_tree_entry entry = bao_rack_first(&queue->trays, key);
    struct bao_tray *tray = entry.value;
    uint64_t left = tray == NULL ? 0 : tray->live;
    if (tray != NULL && entry.key == key)
        left = left >> bao_slot_of(from) << bao_slot_of(from);
    if (tray != NULL && left == 0) { /* none of this tray lies behind it */
        entry = bao_rack_first(&queue->trays, key + 1);
        tray = entry.value;
        left = tray == NULL ? 0 : tray->live;
    }
    *spot = (struct bao_spot){.queue = queue, .number = alone.key};
    const uint64_t number = left == 0 ? UINT64_MAX
                                      : entry.key << BAO_TRAY_BITS |
                                            (unsigned)__builtin_ctzll(left);
    if (alone.value != NULL && alone.key < number) {
        spot->alone = alone.value;
        return true;
    }
    spot->number = number;
    spot->tray = tray;
    return tray != NULL;
}

uint64_t bao_spot_last(struct bao_bodies_queue *queue)
{
    const struct bao_tree_entry alone =
        bao_tree_last(&queue->alone, BAO_TREE_ANY, UINT64_MAX);
    const struct bao_tree_entry entry = bao_rack_last(&queue->trays);
    const struct bao_tray *tray = entry.value;
    const uint64_t number = alone.value == NULL ? 0 : alone.key;
    if (tray == NULL)
        return number;
    const uint64_t last = entry.key << BAO_TRAY_BITS |
                          (63u - (unsigned)__builtin_clzll(tray->live));
    return last > number ? last : number;
}

static unsigned rank_of(const struct bao_spot *spot)
{
    return bao_tray_rank(spot->tray, bao_slot_of(spot->number));
}

void bao_spot_look(const struct bao_spot *spot, struct bao_payload *payload)
{
    const struct bao_alone *alone = spot->alone;
    if (spot->tray != NULL) {
        bao_tray_find(spot->tray, rank_of(spot), payload);
        return;
    }
    *payload = (struct bao_payload){.chunk = alone->chunk,
                                    .address = alone->address,
                                    .bytes = alone->bytes,
                                    .crc = alone->crc,
                                    .result = alone->result};
    if (alone->chunk != NULL)
        payload->data = alone->chunk->frame != NULL
                            ? alone->chunk->frame->bytes.data
                            : bao_chunk_bytes(alone->chunk);
}

void bao_spot_move(struct bao_bodies *bodies,
                   struct bao_spot *spot,
                   uint64_t address,
                   uint32_t crc)
{
    struct bao_tray *tray = spot->tray;
    if (tray == NULL) {
        spot->alone->address = address;
        spot->alone->crc = crc;
        return;
    }
    const unsigned rank = rank_of(spot);
    bao_tray_set_crc(tray, rank, crc);
    spot->tray = bao_tray_place(bodies, tray, rank, address);
    bao_queue_set_tray(bodies, spot->queue, spot->number, tray, spot->tray);
}

void bao_spot_end(struct bao_bodies *bodies,
                  const struct bao_spot *spot,
                  struct bao_death *death)
{
    struct bao_alone *alone = spot->alone;
    BAO_ASSERT(bodies->count > 0);
    if (spot->tray != NULL) {
        bao_queue_set_tray(
            bodies,
            spot->queue,
            spot->number,
            spot->tray,
            bao_tray_kill(
                bodies, spot->tray, bao_slot_of(spot->number), death));
    } else {
        *death = (struct bao_death){.address = alone->address,
                                    .bytes = alone->bytes,
                                    .hot = alone->chunk != NULL};
        bao_tree_remove(&spot->queue->alone, spot->number);
        if (alone->chunk != NULL)
            bao_chunk_drop(bodies, alone->chunk);
        bao_arena_give(bodies->arena, alone);
    }
    bodies->count--;
    if (death->hot && death->address != 0)
        bodies->hot_bytes -= death->bytes;
}

/* --- putting single ones --- */

void bao_bodies_put_alone(struct bao_bodies *bodies,
                          uint64_t id,
                          const struct bao_payload *payload)
{
    struct bao_bodies_queue *queue =
        bao_bodies_queue_get(bodies, id >> BAO_ID_SHIFT);
    struct bao_alone *alone = bao_bodies_room(bodies, sizeof *alone);
    *alone = (struct bao_alone){.chunk = payload->chunk,
                                .address = payload->address,
                                .bytes = payload->bytes,
                                .crc = payload->crc,
                                .result = payload->result};
    const bool good = bao_tree_put(&queue->alone, bao_number_of(id), alone, 0);
    BAO_ASSERT(good);
    bao_bodies_note_peak(bodies);
    bodies->count++;
    if (payload->address != 0 && payload->chunk != NULL)
        bao_bodies_note_hot(bodies, id, payload->bytes);
}

void bao_bodies_put_cold(struct bao_bodies *bodies,
                         uint64_t id,
                         const struct bao_payload *payload)
{
    const uint64_t number = bao_number_of(id);
    struct bao_bodies_queue *queue =
        bao_bodies_queue_get(bodies, id >> BAO_ID_SHIFT);
    struct bao_tray *before = bao_queue_tray(queue, number);
    if (payload->result || (before != NULL && before->chunk != NULL)) {
        struct bao_payload cold = *payload;
        cold.chunk = NULL;
        bao_bodies_put_alone(bodies, id, &cold);
        return;
    }
    struct bao_tray *tray = bao_tray_reserve(bodies, before, 0, 1, true);
    const unsigned rank =
        bao_tray_add_cold(bodies, tray, bao_slot_of(number), payload->bytes);
    bao_tray_set_crc(tray, rank, payload->crc);
    tray = bao_tray_place(bodies, tray, rank, payload->address);
    bao_queue_set_tray(bodies, queue, number, before, tray);
    bodies->count++;
}

void bao_bodies_put(struct bao_bodies *bodies,
                    uint64_t id,
                    const struct bao_payload *payload)
{
    const uint64_t number = bao_number_of(id);
    const unsigned slot = bao_slot_of(number);
    struct bao_bodies_queue *queue =
        bao_bodies_queue_get(bodies, id >> BAO_ID_SHIFT);
    struct bao_tray *before = bao_queue_tray(queue, number);
    if (payload->result || payload->bytes >= BAO_TRAY_BYTES_MAX ||
        (before != NULL && before->placed >> slot != 0)) {
        payload->chunk->references++;
        bao_bodies_put_alone(bodies, id, payload);
        return;
    }
    const bool addressed = payload->address != 0;
    struct bao_tray *tray =
        bao_tray_reserve(bodies, before, slot, 1, addressed);
    memcpy(bao_tray_room(bodies, tray, payload->bytes, slot),
           payload->data,
           payload->bytes);
    const unsigned rank = bao_tray_add(tray, slot, payload->bytes);
    if (tray->address_bytes > 0) {
        bao_tray_set_crc(tray, rank, payload->crc);
        tray = bao_tray_place(bodies, tray, rank, payload->address);
    }
    bao_queue_set_tray(bodies, queue, number, before, tray);
    bodies->count++;
    if (addressed)
        bao_bodies_note_hot(bodies, id, payload->bytes);
}

/* --- for tests --- */

/* What all queues of a list amount to. */
struct sums {
    uint64_t count;
    size_t hot_bytes;
    size_t waste_bytes;
};

static void check_queue(struct bao_bodies_queue *queue, struct sums *sums)
{
    struct bao_payload payload;
    struct bao_spot spot;
    uint64_t from = 0;
    const struct bao_tray *tray = NULL;
    for (; bao_spot_first(queue, from, &spot); from = spot.number + 1) {
        bao_spot_look(&spot, &payload);
        BAO_ASSERT((payload.chunk == NULL) == (payload.data == NULL));
        BAO_ASSERT(payload.bytes > 0);
        sums->count++;
        if (payload.chunk != NULL && payload.address != 0)
            sums->hot_bytes += payload.bytes;
        if (spot.tray == NULL || spot.tray == tray)
            continue;
        tray = spot.tray;
        bao_tray_check(tray);
        sums->waste_bytes += bao_tray_waste(tray);
        const uint64_t key = spot.number >> BAO_TRAY_BITS;
        BAO_ASSERT(queue->last == NULL || queue->last_key != key ||
                   queue->last == tray);
        BAO_ASSERT(queue->tail == NULL || queue->tail_key != key ||
                   queue->tail == tray);
    }
}

void bao_bodies_check(const struct bao_bodies *bodies)
{
    struct sums sums = {0};
    struct bao_link *link = bao_list_first(&bodies->here);
    for (; link != NULL; link = bao_list_next(&bodies->here, link))
        check_queue(BAO_OF(link, struct bao_bodies_queue, here), &sums);
    link = bao_list_first(&bodies->gone);
    for (; link != NULL; link = bao_list_next(&bodies->gone, link))
        check_queue(BAO_OF(link, struct bao_bodies_queue, gone), &sums);
    BAO_ASSERT(sums.count == bodies->count);
    BAO_ASSERT(sums.hot_bytes == bodies->hot_bytes);
    BAO_ASSERT(sums.waste_bytes == bodies->waste_bytes);
    bao_arena_check(bodies->arena);
}
