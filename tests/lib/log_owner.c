/*
 * log_owner.c - the owner of log_owner.h.
 *
 * An entry is [what u32][count u32] and, for a put, [id u64][cell] a piece,
 * for a settlement [id u64]. A COPY is a cell. A piece of an image is [id u64]
 * [address u64].
 */
#include "tests/lib/log_owner.h"

#include <stdlib.h>

#include "common/check.h"

#define BATCH_MAX    64u
#define PAYLOAD_MAX  400u
#define IMAGE_PIECES 200u /* in one turn */
#define QUEUE        42u

enum { PUT = 1, SETTLE = 2 };

static size_t payload_bytes(uint64_t id)
{
    return 40 + id * 7919 % (PAYLOAD_MAX - 40);
}

void log_owner_init(struct log_owner *owner, struct log_world *world)
{
    *owner = (struct log_owner){.world = world, .next_id = 1};
    owner->items = calloc(LOG_OWNER_ITEMS_MAX, sizeof *owner->items);
    owner->lsn_room = LOG_OWNER_ITEMS_MAX * 2;
    owner->lsns = calloc(owner->lsn_room, sizeof *owner->lsns);
    BAO_ASSERT(owner->items != NULL && owner->lsns != NULL);
}

void log_owner_fini(struct log_owner *owner)
{
    free(owner->items);
    free(owner->lsns);
}

bool log_owner_has(const struct log_owner *owner, uint64_t id)
{
    return owner->items[id].address != 0 && owner->items[id].settled == 0;
}

/* --- cells --- */

static size_t make_cell(uint64_t id, uint8_t *to)
{
    size_t bytes = payload_bytes(id);
    memset(to, 0, bao_cell_bytes(bytes));
    log_entry_fill(id, to + BAO_CELL_HEAD_BYTES, bytes);
    bao_cell_encode(
        bao_span_of(to + BAO_CELL_HEAD_BYTES, bytes), bao_span_of(NULL, 0), to);
    return bao_cell_bytes(bytes);
}

static void check_cell(uint64_t id, struct bao_span cell)
{
    uint8_t want[PAYLOAD_MAX];
    struct bao_span payload;
    size_t bytes = payload_bytes(id);
    log_entry_fill(id, want, bytes);
    BAO_ASSERT(bao_cell_check(cell, &payload));
    BAO_ASSERT(bao_span_equal(payload, bao_span_of(want, bytes)));
}

static int64_t cell_bytes(uint64_t id)
{
    return (int64_t)bao_cell_bytes(payload_bytes(id));
}

void log_owner_check(struct log_owner *owner, uint64_t id)
{
    uint8_t cell[PAYLOAD_MAX + 16];
    size_t bytes = bao_cell_bytes(payload_bytes(id));
    BAO_ASSERT(log_owner_has(owner, id));
    enum baozi_status status = bao_log_read_now(
        owner->world->log, owner->items[id].address, cell, bytes);
    BAO_ASSERT(status == BAOZI_OK);
    check_cell(id, bao_span_of(cell, bytes));
}

void log_owner_check_all(struct log_owner *owner)
{
    for (uint64_t id = 1; id < owner->next_id; id++) {
        if (log_owner_has(owner, id))
            log_owner_check(owner, id);
    }
}

/* --- entries --- */

static bool append(struct log_owner *owner,
                   const uint8_t *data,
                   size_t bytes,
                   struct bao_log_place *place)
{
    struct bao_span span = bao_span_of(data, bytes);
    enum baozi_status status =
        bao_log_append(owner->world->log,
                       &(struct bao_log_entry){.kind = BAO_RECORD_ENTRY,
                                               .index = owner->index + 1,
                                               .term = 1,
                                               .queue = QUEUE,
                                               .spans = &span,
                                               .span_count = 1},
                       place);
    if (status != BAOZI_OK)
        return false;
    owner->index++;
    BAO_ASSERT(owner->index < owner->lsn_room);
    owner->lsns[owner->index] = place->lsn;
    return true;
}

bool log_owner_put(struct log_owner *owner, uint32_t count)
{
    static uint8_t data[8 + BATCH_MAX * (PAYLOAD_MAX + 32)];
    struct bao_log_place place;
    size_t at = 8;
    uint64_t first = owner->next_id;
    BAO_ASSERT(count <= BATCH_MAX && first + count < LOG_OWNER_ITEMS_MAX);
    bao_store32(data, PUT);
    bao_store32(data + 4, count);
    for (uint32_t i = 0; i < count; i++) {
        bao_store64(data + at, first + i);
        owner->items[first + i].address = at + 8;
        at += 8 + make_cell(first + i, data + at + 8);
    }
    bool good = append(owner, data, at, &place);
    for (uint32_t i = 0; i < count; i++) {
        struct log_owner_item *item = &owner->items[first + i];
        if (!good) {
            item->address = 0;
            continue;
        }
        item->address += place.address;
        item->put = owner->index;
        item->settled = 0;
        bao_log_live(owner->world->log, item->address, cell_bytes(first + i));
        owner->next_id++;
        owner->live_count++;
    }
    return good;
}

bool log_owner_settle(struct log_owner *owner, const uint64_t *ids, uint32_t n)
{
    uint8_t data[8 + BATCH_MAX * 8];
    struct bao_log_place place;
    BAO_ASSERT(n <= BATCH_MAX);
    bao_store32(data, SETTLE);
    bao_store32(data + 4, n);
    for (uint32_t i = 0; i < n; i++)
        bao_store64(data + 8 + 8 * (size_t)i, ids[i]);
    if (!append(owner, data, 8 + 8 * (size_t)n, &place))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct log_owner_item *item = &owner->items[ids[i]];
        BAO_ASSERT(log_owner_has(owner, ids[i]));
        item->settled = owner->index;
        bao_log_live(owner->world->log, item->address, -cell_bytes(ids[i]));
        owner->live_count--;
    }
    return true;
}

/* --- moving --- */

static void move_cell(struct log_owner *owner,
                      uint64_t id,
                      uint64_t address,
                      const uint8_t *cell)
{
    struct log_owner_item *item = &owner->items[id];
    struct bao_span span = bao_span_of(cell, (size_t)cell_bytes(id));
    struct bao_log_place place;
    if (!log_owner_has(owner, id) || item->address != address)
        return;
    enum baozi_status status =
        bao_log_append(owner->world->log,
                       &(struct bao_log_entry){.kind = BAO_RECORD_COPY,
                                               .index = id,
                                               .queue = QUEUE,
                                               .spans = &span,
                                               .span_count = 1},
                       &place);
    if (status != BAOZI_OK)
        return;
    bao_log_live(owner->world->log, item->address, -cell_bytes(id));
    item->address = place.address;
    bao_log_live(owner->world->log, item->address, cell_bytes(id));
    owner->moved++;
}

static void move(void *context, const struct bao_log_record *record)
{
    struct log_owner *owner = context;
    const uint8_t *data = record->data.data;
    size_t at = 8;
    if (record->kind == BAO_RECORD_COPY) {
        move_cell(owner, record->index, record->address, data);
        return;
    }
    uint32_t count = bao_load32(data + 4);
    for (uint32_t i = 0; i < count && bao_load32(data) == PUT; i++) {
        uint64_t id = bao_load64(data + at);
        move_cell(owner, id, record->address + at + 8, data + at + 8);
        at += 8 + (size_t)cell_bytes(id);
    }
}

static void damaged(void *context, const struct bao_log_report *report)
{
    (void)context;
    BAO_ASSERT(report == NULL);
}

/* --- images --- */

static void begin_image(struct log_owner *owner)
{
    if (bao_log_checkpoint_begin(owner->world->log, owner->index) != BAOZI_OK)
        return;
    owner->imaging = true;
    owner->image_id = 1;
    owner->image_next_id = owner->next_id;
    owner->image_index = owner->index;
}

/* In the image is what was there at its index: what was settled after it
 * still is. */
static bool in_image(const struct log_owner *owner, uint64_t id)
{
    const struct log_owner_item *item = &owner->items[id];
    return item->address != 0 &&
           (item->settled == 0 || item->settled > owner->image_index);
}

static void go_on_imaging(struct log_owner *owner)
{
    struct bao_log *log = owner->world->log;
    uint8_t piece[16];
    uint32_t count = 0;
    while (owner->image_id < owner->image_next_id && count < IMAGE_PIECES) {
        uint64_t id = owner->image_id;
        if (in_image(owner, id)) {
            if (bao_log_checkpoint_room(log) < sizeof piece)
                break;
            bao_store64(piece, id);
            bao_store64(piece + 8, owner->items[id].address);
            bao_log_checkpoint_write(log, bao_span_of(piece, sizeof piece));
            count++;
        }
        owner->image_id++;
    }
    if (bao_log_checkpoint_state(log) == BAO_LOG_CHECKPOINT_GIVEN_UP) {
        owner->imaging = false;
    } else if (owner->image_id == owner->image_next_id) {
        bao_log_checkpoint_end(log);
        owner->imaging = false;
    }
}

void log_owner_turn(struct log_owner *owner, uint64_t us)
{
    struct log_world *world = owner->world;
    log_world_turn(world, us);
    if (bao_log_failed(world->log))
        return;
    if (!owner->imaging && bao_log_checkpoint_due(world->log, world->now_us))
        begin_image(owner);
    if (owner->imaging)
        go_on_imaging(owner);
    uint64_t synced = bao_log_marks(world->log).synced;
    while (owner->safe_index < owner->index &&
           owner->lsns[owner->safe_index + 1] <= synced)
        owner->safe_index++;
    uint64_t disk_bytes = liar_bytes(world->liar);
    if (disk_bytes > owner->disk_peak_bytes)
        owner->disk_peak_bytes = disk_bytes;
}

uint64_t log_owner_bound(const struct log_owner *owner)
{
    struct bao_log_stats stats;
    bao_log_stats(owner->world->log, &stats);
    return stats.live_bytes * BAO_LOG_LIVE_X100 / 100 +
           owner->world->config.segment_bytes * BAO_LOG_SPARE_X100 / 100 +
           stats.checkpoint_bytes * BAO_LOG_CHECKPOINT_FACTOR + 2ul * 64 * 1024;
}

/* --- start --- */

static enum baozi_status take_piece(void *context, struct bao_span piece)
{
    struct log_owner *owner = context;
    uint64_t id = bao_load64(piece.data);
    BAO_ASSERT(piece.bytes == 16 && id < LOG_OWNER_ITEMS_MAX);
    owner->items[id] =
        (struct log_owner_item){.address = bao_load64(piece.data + 8)};
    if (id >= owner->next_id)
        owner->next_id = id + 1;
    return BAOZI_OK;
}

static void take_entry(struct log_owner *owner,
                       const struct bao_log_record *record)
{
    const uint8_t *data = record->data.data;
    uint32_t what = bao_load32(data);
    size_t at = 8;
    for (uint32_t i = 0; i < bao_load32(data + 4); i++) {
        uint64_t id = bao_load64(data + at);
        at += 8;
        if (what == SETTLE) {
            owner->items[id].settled = record->index;
            continue;
        }
        check_cell(id, bao_span_of(data + at, (size_t)cell_bytes(id)));
        owner->items[id] = (struct log_owner_item){
            .address = record->address + at, .put = record->index};
        at += (size_t)cell_bytes(id);
        if (id >= owner->next_id)
            owner->next_id = id + 1;
    }
}

static enum baozi_status take_record(void *context,
                                     const struct bao_log_record *record)
{
    struct log_owner *owner = context;
    if (record->kind == BAO_RECORD_COPY) {
        if (log_owner_has(owner, record->index))
            owner->items[record->index].address = record->address;
        return BAOZI_OK;
    }
    if (record->index <= owner->world->report.checkpoint_index)
        return BAOZI_OK;
    BAO_ASSERT(record->index == owner->index + 1);
    owner->index = record->index;
    owner->lsns[record->index] = record->lsn;
    take_entry(owner, record);
    return BAOZI_OK;
}

/* Everything that was promised before is there. */
static void compare(const struct log_owner *owner,
                    const struct log_owner_item *before,
                    uint64_t safe_index,
                    uint64_t next_id)
{
    for (uint64_t id = 1; id < next_id; id++) {
        bool was_put = before[id].address != 0 && before[id].put <= safe_index;
        bool was_settled =
            before[id].settled != 0 && before[id].settled <= safe_index;
        if (was_put && !was_settled && before[id].settled == 0)
            BAO_ASSERT(log_owner_has(owner, id));
        if (was_settled)
            BAO_ASSERT(!log_owner_has(owner, id));
    }
}

enum baozi_status log_owner_open(struct log_owner *owner)
{
    struct log_world *world = owner->world;
    uint64_t safe_index = owner->safe_index;
    uint64_t next_id = owner->next_id;
    struct log_owner_item *before =
        malloc(LOG_OWNER_ITEMS_MAX * sizeof *before);
    BAO_ASSERT(before != NULL);
    memcpy(before, owner->items, LOG_OWNER_ITEMS_MAX * sizeof *before);
    memset(owner->items, 0, LOG_OWNER_ITEMS_MAX * sizeof *before);
    owner->next_id = 1;
    owner->imaging = false;
    owner->live_count = 0;
    world->config.seed = log_world_draw(world, UINT64_MAX);
    world->log = NULL;
    enum baozi_status status =
        bao_log_open(&world->config, &world->log, &world->report);
    const uint64_t index = owner->index;
    owner->index = world->report.checkpoint_index;
    if (status == BAOZI_OK)
        status = bao_log_checkpoint_load(
            world->log, take_piece, owner, &world->report);
    if (status == BAOZI_OK)
        status = bao_log_replay(world->log, take_record, owner, &world->report);
    if (status == BAOZI_OK) {
        BAO_ASSERT(owner->index >= safe_index);
        compare(owner, before, safe_index, next_id);
        owner->safe_index = owner->index;
        for (uint64_t id = 1; id < owner->next_id; id++) {
            if (!log_owner_has(owner, id))
                continue;
            bao_log_live(world->log, owner->items[id].address, cell_bytes(id));
            owner->live_count++;
        }
        bao_log_serve(world->log,
                      &(struct bao_log_owner){
                          .context = owner, .move = move, .damaged = damaged},
                      world->now_us);
    } else {
        /* Refused: as if it had not been tried. */
        if (world->log != NULL)
            bao_log_abandon(world->log);
        world->log = NULL;
        liar_kill(world->liar);
        memcpy(owner->items, before, LOG_OWNER_ITEMS_MAX * sizeof *before);
        owner->next_id = next_id;
        owner->index = index;
    }
    free(before);
    return status;
}
