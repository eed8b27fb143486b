/*
 * shelf_rest.c - items at rest: columns and runs; leaving rest, and back.
 *
 * Invariants: resting items are READY. The run of one is the last that begins
 * at or below it. Columns and runs that nobody needs any more go back at once.
 */
#include "broker/core/digest.h"
#include "broker/core/memory.h"
#include "broker/core/shelf_inside.h"

#define RUNS_STEP 8u /* runs grow by so many */

_Static_assert(BAO_SHELF_ITEMS % RUNS_STEP == 0, "runs never outgrow a shelf");
_Static_assert(BAO_SHELF_ITEMS <= UINT8_MAX, "a run for each item can be");

static unsigned ones(uint64_t mask)
{
    return (unsigned)__builtin_popcountll(mask);
}

/* --- runs ------------------------------------------------------------------
 */

static bool same_run(const struct bao_run *a, const struct bao_run *b)
{
    return a->accepted_us == b->accepted_us && a->tally == b->tally;
}

static const struct bao_run *run_of(const struct bao_shelf *shelf,
                                    unsigned slot)
{
    if (shelf->run_count == 1) {
        return shelf->runs;
    }
    const unsigned upto = ones(shelf->begins & bao_shelf_upto(slot));
    BAO_ASSERT(upto > 0);
    BAO_ASSERT(upto <= shelf->run_count);
    return &shelf->runs[upto - 1];
}

static void runs_give(struct bao_core *core, struct bao_shelf *shelf)
{
    if (shelf->runs != shelf->inside) {
        bao_arena_give(core->arena, shelf->runs);
    }
    shelf->runs = shelf->inside;
    shelf->run_capacity = BAO_SHELF_RUNS;
}

/* Room for `count` runs and not many more; what fits of the old ones stays. */
static void
runs_size(struct bao_core *core, struct bao_shelf *shelf, unsigned count)
{
    unsigned capacity = BAO_SHELF_RUNS;
    if (count > BAO_SHELF_RUNS) {
        capacity = (count + RUNS_STEP - 1) / RUNS_STEP * RUNS_STEP;
    }
    if (capacity == shelf->run_capacity) {
        return;
    }
    struct bao_run *runs = shelf->inside;
    if (capacity > BAO_SHELF_RUNS) {
        runs = bao_take(core, capacity * sizeof(*runs));
    }
    const unsigned kept =
        shelf->run_count < capacity ? shelf->run_count : capacity;
    if (runs != shelf->runs) {
        memcpy(runs, shelf->runs, kept * sizeof(*runs));
    }
    runs_give(core, shelf);
    shelf->runs = runs;
    shelf->run_capacity = (uint8_t)capacity;
}

/* Says the runs again for the resting items alone: *run is that of `slot`,
 * which is one of them; NULL if they have theirs. */
static void runs_pack(struct bao_core *core,
                      struct bao_shelf *shelf,
                      unsigned slot,
                      const struct bao_run *run)
{
    struct bao_run packed[BAO_SHELF_ITEMS];
    uint64_t begins = 0;
    unsigned count = 0;
    for (uint64_t left = shelf->resting; left != 0; left &= left - 1) {
        const unsigned at = (unsigned)__builtin_ctzll(left);
        const struct bao_run *one =
            run != NULL && at == slot ? run : run_of(shelf, at);
        if (count == 0 || !same_run(&packed[count - 1], one)) {
            packed[count] = *one;
            begins |= bao_shelf_bit(at);
            count++;
        }
    }
    runs_size(core, shelf, count);
    for (unsigned i = 0; i < count; i++) {
        shelf->runs[i] = packed[i];
    }
    shelf->run_count = (uint8_t)count;
    shelf->begins = begins;
}

/* A run begins at `slot`, above all resting items. */
static void runs_append(struct bao_core *core,
                        struct bao_shelf *shelf,
                        unsigned slot,
                        const struct bao_run *run)
{
    if ((shelf->begins >> slot) != 0) {
        shelf->begins &= bao_shelf_below(slot);
        shelf->run_count = (uint8_t)ones(shelf->begins);
    }
    const unsigned count = shelf->run_count;
    if (count > 0 && same_run(&shelf->runs[count - 1], run)) {
        return;
    }
    if (count == shelf->run_capacity) {
        runs_size(core, shelf, count + 1);
    }
    shelf->runs[count] = *run;
    shelf->run_count++;
    shelf->begins |= bao_shelf_bit(slot);
}

/* An item comes to rest, and says the run that it is in. */
static void run_say(struct bao_core *core,
                    struct bao_shelf *shelf,
                    unsigned slot,
                    const struct bao_run *run)
{
    const bool last = shelf->resting >> slot == 0;
    const bool covered = (shelf->begins & bao_shelf_upto(slot)) != 0 &&
                         same_run(run_of(shelf, slot), run);
    shelf->resting |= bao_shelf_bit(slot);
    if (covered) {
        return;
    }
    if (last) {
        runs_append(core, shelf, slot, run);
    } else {
        BAO_MARK("an item rests among others of other runs");
        runs_pack(core, shelf, slot, run);
    }
}

/* Resting items have left: runs that nobody is in any more go. */
static void runs_trim(struct bao_core *core, struct bao_shelf *shelf)
{
    if (shelf->resting == 0) {
        runs_give(core, shelf);
        shelf->run_count = 0;
        shelf->begins = 0;
        bao_arena_give(core->arena, shelf->header_bytes);
        shelf->header_bytes = NULL;
        return;
    }
    if (shelf->run_capacity > BAO_SHELF_RUNS &&
        ones(shelf->resting) * 4 <= shelf->run_capacity) {
        runs_pack(core, shelf, 0, NULL);
    }
}

void bao_shelf_stamp(const struct bao_core *core, struct bao_shelf *shelf)
{
    if (shelf->stamp != core->stamp) {
        shelf->unsaved = core->image == NULL ? 0 : shelf->resting;
        shelf->stamp = core->stamp;
    }
}

/* --- at rest ----------------------------------------------------------------
 */

static void set_bytes(struct bao_core *core,
                      struct bao_shelf *shelf,
                      unsigned slot,
                      uint32_t bytes,
                      uint32_t header_bytes)
{
    BAO_ASSERT(bytes <= BAO_REST_BYTES_MAX);
    BAO_ASSERT(header_bytes <= bytes);
    shelf->bytes[slot] = (uint16_t)bytes;
    if (header_bytes > 0 && shelf->header_bytes == NULL) {
        const size_t column = BAO_SHELF_ITEMS * sizeof(*shelf->header_bytes);
        shelf->header_bytes = bao_take(core, column);
        memset(shelf->header_bytes, 0, column);
    }
    if (shelf->header_bytes != NULL) {
        shelf->header_bytes[slot] = (uint16_t)header_bytes;
    }
}

/* The part of a put that lies on one shelf, from `slot` on. */
static void put_some(struct bao_core *core,
                     struct bao_shelf *shelf,
                     const struct bao_put_item *items,
                     uint32_t count,
                     const struct bao_run *run,
                     uint64_t id)
{
    struct bao_queue *queue = core->fact_queue;
    const unsigned slot = bao_shelf_slot(id);
    BAO_ASSERT(count > 0);
    BAO_ASSERT(count <= BAO_SHELF_ITEMS - slot);
    const uint64_t bits =
        bao_shelf_upto(slot + count - 1) & ~bao_shelf_below(slot);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct bao_body *body = &items[i].body;
        set_bytes(core, shelf, slot + i, body->bytes, body->header_bytes);
        sum += body->bytes;
        core->digest +=
            bao_digest_resting(id + i, run, body->bytes, body->header_bytes);
    }
    bao_shelf_stamp(core, shelf);
    runs_append(core, shelf, slot, run);
    bao_shelf_mark(queue, shelf, bao_shelf_colour(BAO_STATE_READY), bits);
    shelf->resting |= bits;
    core->resting += count;
    queue->counts[BAO_STATE_READY] += count;
    queue->bytes[BAO_STATE_READY] += sum;
    core->body_bytes += sum;
    core->unlogged_bytes += queue->logged ? 0 : sum;
}

void bao_shelf_put(struct bao_core *core,
                   const struct bao_fact *fact,
                   struct bao_tally *tally,
                   uint32_t from,
                   uint32_t count)
{
    struct bao_queue *queue = core->fact_queue;
    const struct bao_run run = {.accepted_us = fact->time_us, .tally = tally};
    BAO_ASSERT(queue != NULL);
    BAO_ASSERT(queue->options.kind != BAO_KIND_PRIORITY);
    while (count > 0) {
        const uint64_t id = fact->first_id + from;
        const uint32_t room = BAO_SHELF_ITEMS - bao_shelf_slot(id);
        const uint32_t some = count < room ? count : room;
        struct bao_shelf *shelf = bao_shelf_get(
            core, queue, id & BAO_N_MASK, bao_shelf_colour(BAO_STATE_READY));
        put_some(core, shelf, fact->items + from, some, &run, id);
        from += some;
        count -= some;
    }
}

void bao_shelf_read(const struct bao_queue *queue,
                    const struct bao_shelf *shelf,
                    unsigned slot,
                    struct bao_item *item)
{
    const struct bao_run *run = run_of(shelf, slot);
    BAO_ASSERT((shelf->resting >> slot & 1) != 0);
    item->id = queue->incarnation << BAO_ID_SHIFT |
               (shelf->number * BAO_SHELF_ITEMS + slot);
    item->queue = (struct bao_queue *)(uintptr_t)queue;
    item->accepted_us = run->accepted_us;
    item->tally = run->tally;
    item->bytes = shelf->bytes[slot];
    item->header_bytes =
        shelf->header_bytes == NULL ? 0 : shelf->header_bytes[slot];
    item->state = BAO_STATE_READY;
}

bool bao_item_can_rest(const struct bao_item *item)
{
    return item->state == BAO_STATE_READY && item->group == NULL &&
           item->note == NULL && item->due_us == 0 && item->expires_us == 0 &&
           item->history == 0 && item->deliveries == 0 && item->flags == 0 &&
           item->priority == 0 && item->bytes <= BAO_REST_BYTES_MAX &&
           item->queue->options.kind != BAO_KIND_PRIORITY;
}

struct bao_item *
bao_item_at(struct bao_core *core, struct bao_queue *queue, uint64_t id)
{
    const uint64_t n = id & BAO_N_MASK;
    const unsigned slot = bao_shelf_slot(n);
    struct bao_shelf *shelf = bao_shelf_of(queue, n);
    if (shelf == NULL || (bao_shelf_all(shelf) >> slot & 1) == 0) {
        return NULL;
    }
    queue->shelf = shelf;
    if ((shelf->held >> slot & 1) != 0) {
        return shelf->records[slot];
    }
    struct bao_item *item = bao_take_slot(core, &core->items);
    bao_shelf_read(queue, shelf, slot, item);
    const struct bao_run run = {.accepted_us = item->accepted_us,
                                .tally = item->tally};
    item->digest =
        bao_digest_resting(item->id, &run, item->bytes, item->header_bytes);
    bao_shelf_stamp(core, shelf);
    item->stamp = core->stamp - (uint32_t)(shelf->unsaved >> slot & 1);
    shelf->unsaved &= ~bao_shelf_bit(slot);
    shelf->resting &= ~bao_shelf_bit(slot);
    core->resting--;
    bao_shelf_hold(core, shelf, slot, item);
    runs_trim(core, shelf);
    return item;
}

void bao_item_rest(struct bao_core *core, struct bao_item *item)
{
    if (!bao_item_can_rest(item)) {
        return;
    }
    struct bao_queue *queue = item->queue;
    const uint64_t n = item->id & BAO_N_MASK;
    const unsigned slot = bao_shelf_slot(n);
    const struct bao_run run = {.accepted_us = item->accepted_us,
                                .tally = item->tally};
    struct bao_shelf *shelf = bao_shelf_of(queue, n);
    BAO_ASSERT(shelf != NULL);
    BAO_ASSERT(item->lease == NULL);
    BAO_ASSERT(!bao_heap_is_listed(&item->timer.node));
    queue->shelf = shelf;
    bao_shelf_stamp(core, shelf);
    if (core->image != NULL && item->stamp != core->stamp) {
        shelf->unsaved |= bao_shelf_bit(slot);
    }
    set_bytes(core, shelf, slot, item->bytes, item->header_bytes);
    run_say(core, shelf, slot, &run);
    bao_shelf_let_go(core, shelf, slot);
    BAO_MARK("an item comes to rest again");
    core->resting++;
    bao_pool_give(&core->items, item);
}
