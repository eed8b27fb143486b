/*
 * bodies_log.c - payloads in the log: cold ones, recovery, compaction.
 *
 * What came beyond the limit is cooled tray by tray, so what lies beside it is
 * cold too.
 *
 * Invariant: hot_bytes is the sum of those that have an address and are not
 * cold; a cold payload has no chunk.
 */
#include <stdlib.h>

#include "broker/bodies_inner.h"
#include "common/check.h"
#include "common/crc32c.h"

#define FRESH_FIRST 256u

void bao_bodies_over(struct bao_bodies *bodies,
                     struct bao_journal *journal,
                     size_t hot_bytes)
{
    bodies->journal = journal;
    bodies->hot_bytes_max = hot_bytes;
}

/* --- hot and cold --- */

/* It is to be made cold once the turn was written. */
static void note_fresh(struct bao_bodies *bodies, uint64_t id)
{
    if (bodies->fresh_count == bodies->fresh_capacity) {
        const size_t capacity = bodies->fresh_capacity == 0
                                    ? FRESH_FIRST
                                    : 2 * bodies->fresh_capacity;
        uint64_t *fresh =
            realloc(bodies->fresh, capacity * sizeof *bodies->fresh);
        if (fresh == NULL)
            return; /* then it stays hot */
        bodies->fresh = fresh;
        bodies->fresh_capacity = capacity;
    }
    bodies->fresh[bodies->fresh_count++] = id;
}

void bao_bodies_note_hot(struct bao_bodies *bodies, uint64_t id, size_t bytes)
{
    bodies->hot_bytes += bytes;
    if (bodies->hot_bytes > bodies->hot_bytes_max)
        note_fresh(bodies, id);
}

static void make_cold(struct bao_bodies *bodies, uint64_t id)
{
    struct bao_spot spot;
    if (!bao_spot_find(bodies, id, &spot))
        return;
    struct bao_alone *alone = spot.alone;
    if (spot.tray != NULL) {
        bodies->hot_bytes -= bao_tray_cool(bodies, spot.tray);
        return;
    }
    if (alone->chunk == NULL || alone->address == 0)
        return;
    bodies->hot_bytes -= alone->bytes;
    bao_chunk_drop(bodies, alone->chunk);
    alone->chunk = NULL;
}

void bao_bodies_cool(struct bao_bodies *bodies)
{
    while (bodies->fresh_count > 0)
        make_cold(bodies, bodies->fresh[--bodies->fresh_count]);
}

/* Reads into `to`; false if that are not the bytes. */
static bool read_payload(struct bao_bodies *bodies,
                         uint64_t id,
                         const struct bao_payload *payload,
                         void *to)
{
    const enum baozi_status status = bao_log_read_now(
        bodies->journal->log, payload->address, to, payload->bytes);
    const char *damage = NULL;
    if (status != BAOZI_OK)
        damage = "its place in the log cannot be read";
    else if (bao_crc32c(0, to, payload->bytes) != payload->crc)
        damage = "the log has other bytes in its place";
    if (damage == NULL)
        return true;
    bodies->damage = damage;
    bodies->damaged_id = id;
    bodies->damaged_address = payload->address;
    return false;
}

bool bao_bodies_keep(struct bao_bodies *bodies,
                     uint64_t id,
                     struct bao_payload *payload)
{
    if (payload->chunk != NULL) {
        payload->chunk->references++;
        bodies->kept++;
        return true;
    }
    /* A copy with its bytes, which is the reader's alone. */
    struct bao_chunk *chunk = bao_chunk_new(bodies, payload->bytes);
    if (!read_payload(bodies, id, payload, bao_chunk_bytes(chunk))) {
        bao_chunk_drop(bodies, chunk);
        return false;
    }
    payload->chunk = chunk;
    payload->data = bao_chunk_bytes(chunk);
    bodies->kept++;
    return true;
}

const char *bao_bodies_damage(const struct bao_bodies *bodies,
                              uint64_t *id,
                              uint64_t *address)
{
    *id = bodies->damaged_id;
    *address = bodies->damaged_address;
    return bodies->damage;
}

/* --- new places --- */

/* Until the turn is written its bytes are nowhere but here: a cold one is hot
 * for so long. */
void bao_bodies_readdress(struct bao_bodies *bodies,
                          uint64_t id,
                          struct bao_payload *payload)
{
    if (payload->chunk == NULL) {
        bodies->journal->failed = true;
        bao_bodies_put_cold(bodies, id, payload);
        return;
    }
    bao_journal_drop(bodies->journal, payload->address, payload->bytes);
    payload->address =
        bao_journal_copy(bodies->journal,
                         id,
                         payload->result,
                         bao_span_of(payload->data, payload->bytes));
    bao_bodies_put(bodies, id, payload);
}

/* Copies the bytes at `address` if they are the payload of `id`. */
static void move_one(struct bao_bodies *bodies,
                     uint64_t id,
                     bool result,
                     struct bao_span bytes,
                     uint64_t address)
{
    struct bao_spot spot;
    struct bao_payload payload;
    if (!bao_spot_find(bodies, id, &spot))
        return;
    bao_spot_look(&spot, &payload);
    if (payload.result != result || payload.address != address)
        return;
    BAO_ASSERT(payload.bytes == bytes.bytes);
    const uint64_t place = bao_journal_copy(bodies->journal, id, result, bytes);
    if (place == 0)
        return; /* the log failed */
    bao_spot_move(bodies, &spot, place, payload.crc);
    bao_log_live(bodies->journal->log, address, -(int64_t)bytes.bytes);
}

/* A payload of a record, wherever a decoded fact says that it lies. */
struct found {
    uint64_t id;
    struct bao_span bytes;
    uint64_t address;
    bool result;
};

static bool found_at(const struct bao_fact *fact,
                     struct bao_span record,
                     uint64_t address,
                     uint32_t i,
                     struct found *found)
{
    const bool put = fact->kind == BAO_FACT_ITEM_PUT;
    const struct bao_body *body = put ? &fact->items[i].body : &fact->result;
    if (put ? !bao_fact_has_body(fact, i) : i > 0 || !bao_fact_has_result(fact))
        return false;
    *found = (struct found){.id = put ? fact->first_id + i : fact->ids[0],
                            .bytes = bao_span_of(NULL, body->bytes),
                            .result = !put};
    if (!bao_fact_body_is_apart(body)) {
        found->bytes.data = record.data + body->offset;
        found->address = address + body->offset;
    }
    return true;
}

static uint32_t found_most(const struct bao_fact *fact)
{
    if (fact->kind == BAO_FACT_ITEM_PUT)
        return fact->count;
    return fact->kind == BAO_FACT_ITEM_SETTLED ? 1 : 0;
}

void bao_bodies_move(struct bao_bodies *bodies,
                     const struct bao_log_record *record)
{
    static struct bao_fact_room room;
    struct bao_fact fact;
    const char *why = NULL;
    if (record->kind == BAO_RECORD_COPY) {
        move_one(bodies,
                 record->index,
                 record->term != 0,
                 record->data,
                 record->address);
        return;
    }
    if (record->kind != BAO_RECORD_ENTRY ||
        bao_fact_decode(record->data, &room, &fact, &why) != BAOZI_OK)
        return;
    for (uint32_t i = 0; i < found_most(&fact); i++) {
        struct found found;
        if (found_at(&fact, record->data, record->address, i, &found) &&
            found.address != 0)
            move_one(
                bodies, found.id, found.result, found.bytes, found.address);
    }
}

/* --- recovery --- */

static void recover_one(struct bao_bodies *bodies, const struct found *found)
{
    struct bao_payload payload = {.address = found->address,
                                  .bytes = (uint32_t)found->bytes.bytes,
                                  .result = found->result};
    if (found->bytes.data != NULL)
        payload.crc = bao_crc32c(0, found->bytes.data, found->bytes.bytes);
    bao_bodies_put_cold(bodies, found->id, &payload);
}

static void recover_redriven(struct bao_bodies *bodies,
                             const struct bao_fact *fact)
{
    struct bao_spot spot;
    /* A checkpoint may have been written when it was redriven already; a COPY
     * follows, and says where it lies. */
    struct bao_payload payload = {.bytes = fact->items[0].body.bytes};
    if (bao_spot_find(bodies, fact->origin, &spot)) {
        struct bao_death death;
        bao_spot_look(&spot, &payload);
        bao_spot_end(bodies, &spot, &death);
    }
    if (payload.bytes > 0)
        bao_bodies_put_cold(bodies, fact->first_id, &payload);
}

void bao_bodies_recover(struct bao_bodies *bodies,
                        const struct bao_fact *fact,
                        struct bao_span record,
                        uint64_t address)
{
    BAO_ASSERT(bodies->journal == NULL);
    if (fact->kind == BAO_FACT_ITEM_PUT && fact->origin != 0)
        recover_redriven(bodies, fact);
    for (uint32_t i = 0; i < found_most(fact); i++) {
        struct found found;
        if (!found_at(fact, record, address, i, &found))
            continue;
        bao_bodies_drop_one(bodies, found.id, false);
        bao_bodies_drop_one(bodies, found.id, true);
        recover_one(bodies, &found);
    }
    bao_bodies_drop(bodies, fact);
}

void bao_bodies_recover_copy(struct bao_bodies *bodies,
                             uint64_t id,
                             bool result,
                             struct bao_span bytes,
                             uint64_t address)
{
    struct bao_spot spot;
    struct bao_payload payload;
    if (!bao_spot_find(bodies, id, &spot))
        return;
    bao_spot_look(&spot, &payload);
    if (payload.result != result || payload.bytes != bytes.bytes)
        return; /* it was settled before it was copied */
    bao_spot_move(
        bodies, &spot, address, bao_crc32c(0, bytes.data, bytes.bytes));
}

bool bao_bodies_recovered(struct bao_bodies *bodies,
                          const struct bao_log *log,
                          const struct bao_core_payload *payload)
{
    struct bao_spot spot;
    struct bao_payload found;
    if (!bao_spot_find(bodies, payload->id, &spot))
        return false;
    bao_spot_look(&spot, &found);
    return found.result == payload->result && found.bytes == payload->bytes &&
           found.address != 0 && bao_log_has(log, found.address, found.bytes);
}

void bao_bodies_lose(struct bao_bodies *bodies, uint64_t id)
{
    BAO_ASSERT(bodies->journal == NULL);
    bao_bodies_drop_one(bodies, id, false);
    bao_bodies_drop_one(bodies, id, true);
}

static bool count_queue(struct bao_bodies_queue *queue, struct bao_log *log)
{
    struct bao_spot spot;
    struct bao_payload payload;
    uint64_t from = 0;
    while (bao_spot_first(queue, from, &spot)) {
        bao_spot_look(&spot, &payload);
        if (payload.address == 0 ||
            !bao_log_has(log, payload.address, payload.bytes))
            return false;
        bao_log_live(log, payload.address, payload.bytes);
        from = spot.number + 1;
    }
    return true;
}

bool bao_bodies_count_live(struct bao_bodies *bodies, struct bao_log *log)
{
    bool good = true;
    struct bao_link *link = bao_list_first(&bodies->here);
    for (; link != NULL; link = bao_list_next(&bodies->here, link))
        good = count_queue(BAO_OF(link, struct bao_bodies_queue, here), log) &&
               good;
    return good;
}
