/*
 * test_bodies_log.c - payloads through journal and log and back, on a lying
 * disk: cold, moved, redriven, as results, across kills, power cuts and
 * checkpoints. A list in memory says what each must be.
 */
#include "broker/bodies.h"
#include "common/check.h"
#include "tests/lib/liar.h"
#include "tests/unit/model.h"

#define SEGMENT_BYTES (512u << 10)
#define ITEMS         3000u
#define QUEUE         UINT64_C(3)
#define ID(n)         (QUEUE << BAO_ID_SHIFT | (n))

/* What an item must have. */
struct model {
    uint32_t bytes;
    uint8_t fill;
    bool there;  /* a body or a result */
    bool result; /* it is one */
    bool ended;  /* settled: nothing happens to it any more */
};

static struct world {
    struct liar *liar;
    struct bao_log *log;
    struct bao_log_report report;
    struct bao_journal journal;
    struct bao_bodies *bodies;
    struct bao_holds holds;
    void *memory;
    uint64_t now_us;
    uint64_t last; /* number of the last item */
    struct model items[ITEMS + 1];
    unsigned moved;
} world;

/* --- a broker's start and end ----------------------------------------------*/

static enum baozi_status take_record(void *context,
                                     const struct bao_log_record *record)
{
    static struct bao_fact_room room;
    struct bao_fact fact;
    const char *why = "";
    (void)context;
    if (record->kind == BAO_RECORD_COPY) {
        bao_bodies_recover_copy(world.bodies,
                                record->index,
                                record->term != 0,
                                record->data,
                                record->address);
        return BAOZI_OK;
    }
    assert_int_equal(bao_fact_decode(record->data, &room, &fact, &why),
                     BAOZI_OK);
    bao_bodies_recover(world.bodies, &fact, record->data, record->address);
    return BAOZI_OK;
}

static enum baozi_status take_piece(void *context, struct bao_span piece)
{
    (void)context;
    assert_true(bao_bodies_image_load(world.bodies, piece));
    return BAOZI_OK;
}

static void move(void *context, const struct bao_log_record *record)
{
    (void)context;
    world.moved++;
    bao_bodies_move(world.bodies, record);
}

static void start(void)
{
    const size_t bytes = 16u << 20;
    const struct bao_log_config config = {.storage = liar_storage(world.liar),
                                          .folder = "liar",
                                          .segment_bytes = SEGMENT_BYTES,
                                          .seed = 1 + model_random(1u << 30)};
    const struct bao_log_owner owner = {.move = move};
    world.memory = aligned_alloc(4096, bytes);
    assert_non_null(world.memory);
    struct bao_arena *arena = bao_arena_init(world.memory, bytes);
    bao_holds_open(&world.holds, arena);
    assert_int_equal(bao_bodies_open(512u << 20, &world.bodies), BAOZI_OK);
    assert_int_equal(bao_log_open(&config, &world.log, &world.report),
                     BAOZI_OK);
    assert_int_equal(
        bao_log_checkpoint_load(world.log, take_piece, NULL, &world.report),
        BAOZI_OK);
    assert_int_equal(
        bao_log_replay(world.log, take_record, NULL, &world.report), BAOZI_OK);
    assert_true(bao_bodies_count_live(world.bodies, world.log));
    bao_log_serve(world.log, &owner, world.now_us);
    assert_int_equal(bao_journal_open_log(&world.journal, world.log, arena, 0),
                     BAOZI_OK);
    bao_bodies_over(world.bodies, &world.journal, model_random(3) * 100000);
}

static void end(bool in_order)
{
    bao_bodies_close(world.bodies);
    bao_holds_close(&world.holds);
    bao_journal_close(&world.journal);
    if (in_order)
        assert_int_equal(bao_log_close(world.log), BAOZI_OK);
    else
        bao_log_abandon(world.log);
    liar_kill(world.liar);
    free(world.memory);
}

static void turn(void)
{
    world.now_us += 1 + model_random(20000);
    bao_log_turn(world.log, world.now_us);
    bao_journal_write(&world.journal, world.now_us, model_random(2) == 0);
    (void)bao_bodies_sweep(world.bodies);
    assert_false(bao_journal_failed(&world.journal));
}

/* --- what must be there --- */

static void check_item(uint64_t n)
{
    const struct model *item = &world.items[n];
    struct bao_payload payload;
    const bool found = bao_bodies_find(world.bodies, ID(n), &payload);
    assert_int_equal(found, item->there);
    if (!found)
        return;
    assert_int_equal(payload.bytes, item->bytes);
    assert_int_equal(payload.result, item->result);
    assert_true(bao_bodies_keep(world.bodies, ID(n), &payload));
    for (size_t i = 0; i < payload.bytes; i++)
        if (payload.data[i] != item->fill)
            fail_msg("item %llu has other bytes", (unsigned long long)n);
    bao_bodies_give(world.bodies, payload.chunk);
}

/* --- facts
 * ------------------------------------------------------------------*/

static void frame_free(struct bao_frame *frame)
{
    free(frame);
}

static struct bao_frame *frame_new(size_t bytes, uint8_t fill)
{
    struct bao_frame *frame = malloc(sizeof *frame + bytes);
    assert_non_null(frame);
    memset(frame + 1, fill, bytes);
    *frame = (struct bao_frame){.bytes = bao_span_of(frame + 1, bytes),
                                .references = 1,
                                .free = frame_free};
    return frame;
}

/* A hold of one body; 0 if it is empty. */
static uint64_t hold_of(uint32_t bytes, uint8_t fill, struct bao_body *body)
{
    const bool big = bytes >= BAO_BIG_BYTES;
    struct bao_frame *frames[3] = {frame_new(1, 0),
                                   frame_new(big ? 0 : bytes, fill),
                                   big ? frame_new(bytes, fill) : NULL};
    struct bao_body_cursor none = {0};
    struct bao_body_cursor end_at = {.offset = big ? 0 : bytes, .big = big};
    uint64_t hold = 0;
    if (bytes > 0)
        hold = bao_holds_take(&world.holds, frames, none, end_at);
    for (unsigned i = 0; i < 3; i++)
        bao_frame_release(frames[i]);
    *body = (struct bao_body){.hold = hold, .part = big, .bytes = bytes};
    return hold;
}

static void tell(const struct bao_fact *fact)
{
    (void)bao_journal_put(&world.journal, fact, &world.holds);
    bao_bodies_store(world.bodies, fact, &world.holds);
    bao_bodies_drop(world.bodies, fact);
}

static uint32_t some_bytes(void)
{
    switch (model_random(12)) {
    case 0: return 0;
    case 1: return BAO_BIG_BYTES + (uint32_t)model_random(100000);
    case 2: return 1 + (uint32_t)model_random(20000);
    default: return 1 + (uint32_t)model_random(300);
    }
}

static void put(void)
{
    struct bao_put_item item = {.priority = 0};
    const uint32_t bytes = some_bytes();
    const uint8_t fill = (uint8_t)model_random(256);
    const uint64_t hold = hold_of(bytes, fill, &item.body);
    world.last++;
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                                  .queue = QUEUE,
                                  .count = 1,
                                  .first_id = ID(world.last),
                                  .items = &item};
    tell(&fact);
    if (hold != 0)
        bao_holds_settle(&world.holds, hold);
    world.items[world.last] =
        (struct model){.bytes = bytes, .fill = fill, .there = bytes > 0};
}

static void settle(uint64_t n, bool with_result)
{
    const uint64_t id = ID(n);
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_SETTLED,
                            .queue = QUEUE,
                            .state = BAO_STATE_DONE,
                            .count = 1,
                            .ids = &id};
    struct model *item = &world.items[n];
    uint64_t hold = 0;
    *item = (struct model){.ended = true};
    if (with_result) {
        item->bytes = some_bytes();
        item->fill = (uint8_t)model_random(256);
        item->there = item->bytes > 0;
        item->result = item->there;
        fact.flags = BAO_FLAG_WANT_RESULT;
        hold = hold_of(item->bytes, item->fill, &fact.result);
    }
    tell(&fact);
    if (hold != 0)
        bao_holds_settle(&world.holds, hold);
}

static void redrive(uint64_t n)
{
    struct bao_put_item item = {.body = {.bytes = world.items[n].bytes}};
    world.last++;
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                                  .queue = QUEUE,
                                  .count = 1,
                                  .origin = ID(n),
                                  .first_id = ID(world.last),
                                  .items = &item};
    tell(&fact);
    world.items[world.last] = world.items[n];
    world.items[n] = (struct model){.ended = true};
    check_item(world.last); /* before it is written, too */
}

static void forget_result(uint64_t n)
{
    const uint64_t id = ID(n);
    const struct bao_fact fact = {.kind = BAO_FACT_OUTCOME_FORGOTTEN,
                                  .queue = QUEUE,
                                  .count = 1,
                                  .ids = &id};
    tell(&fact);
    world.items[n] = (struct model){.ended = true};
}

static void check_all(void)
{
    for (uint64_t n = 1; n <= world.last; n++)
        check_item(n);
    bao_bodies_check(world.bodies);
}

static void checkpoint(void)
{
    static uint8_t piece[BAO_LOG_PIECE_BYTES_MAX];
    if (bao_log_checkpoint_begin(world.log, world.journal.index) != BAOZI_OK)
        return;
    bao_bodies_image_begin(world.bodies);
    while (bao_bodies_image_under_way(world.bodies)) {
        /* Things change meanwhile. */
        if (world.last + 4 < ITEMS)
            put();
        const uint64_t n = 1 + model_random(world.last);
        if (!world.items[n].ended)
            settle(n, false);
        turn();
        if (bao_log_checkpoint_room(world.log) < sizeof piece)
            continue;
        size_t bytes =
            bao_bodies_image_next(world.bodies, 50, piece, sizeof piece);
        if (bytes > 0)
            bao_log_checkpoint_write(world.log, bao_span_of(piece, bytes));
    }
    bao_log_checkpoint_end(world.log);
    while (bao_log_checkpoint_state(world.log) == BAO_LOG_CHECKPOINT_ENDING)
        turn();
}

static void something(void)
{
    const uint64_t n = 1 + model_random(world.last);
    const struct model *item = &world.items[n];
    const uint64_t what = model_random(100);
    if (what < 40 && world.last + 4 < ITEMS)
        put();
    else if (what < 75 && !item->ended)
        settle(n, what < 45);
    else if (what < 80 && !item->ended && item->there && world.last + 4 < ITEMS)
        redrive(n);
    else if (what < 85 && item->result)
        forget_result(n);
    else
        check_item(n);
}

/* Dies after everything was synced or at least written, and comes back. */
static void die(void)
{
    bao_log_turn(world.log, world.now_us);
    bao_journal_write(&world.journal, world.now_us, true);
    const bool synced =
        bao_journal_marks(&world.journal).synced == world.journal.position;
    end(false);
    if (synced && model_random(2) == 0)
        liar_cut_power(world.liar, LIAR_CUT_ALL);
    start();
    check_all();
}

static void run_seed(uint64_t seed)
{
    world = (struct world){.liar = liar_new(seed), .now_us = 1000};
    start();
    put();
    for (unsigned round = 0; round < 2500; round++) {
        something();
        if (model_random(4) == 0)
            turn();
        if (model_random(500) == 0)
            checkpoint();
        if (model_random(400) == 0)
            die();
    }
    turn();
    check_all();
    struct bao_log_stats stats;
    bao_log_stats(world.log, &stats);
    printf("# %u records looked at for moving, %llu KiB moved, %llu KiB on "
           "the disk\n",
           world.moved,
           (unsigned long long)stats.moved_bytes / 1024,
           (unsigned long long)stats.disk_bytes / 1024);
    end(true);
    start();
    check_all();
    end(true);
    liar_free(world.liar);
}

static void test_bodies_log__payloads_are_what_was_put(void **state)
{
    (void)state;
    model_each_seed("bodies_log", run_seed);
}

/* Other bytes are never served. */
static void test_bodies_log__a_flipped_byte_is_found(void **state)
{
    (void)state;
    world = (struct world){.liar = liar_new(1), .now_us = 1000};
    model_seed(1);
    start();
    bao_bodies_over(world.bodies, &world.journal, 0); /* nothing stays hot */
    while (world.last == 0 || world.items[world.last].bytes < 100)
        put();
    turn();
    struct bao_payload payload;
    assert_true(bao_bodies_find(world.bodies, ID(world.last), &payload));
    assert_null(payload.chunk);
    const uint64_t stride = SEGMENT_BYTES;
    char name[BAO_SEGMENT_NAME_BYTES];
    bao_segment_name(payload.address / stride, name);
    liar_flip(world.liar, name, payload.address % stride + 50, 4);
    assert_false(bao_bodies_keep(world.bodies, ID(world.last), &payload));
    uint64_t id = 0;
    uint64_t address = 0;
    assert_non_null(bao_bodies_damage(world.bodies, &id, &address));
    assert_int_equal(address, payload.address);
    assert_int_equal(id, ID(world.last));
    end(false);
    liar_free(world.liar);
}

/* A put that came after the failure must not be told OK by old marks. */
static void test_bodies_log__nothing_is_safe_after_a_failure(void **state)
{
    (void)state;
    world = (struct world){.liar = liar_new(1), .now_us = 1000};
    model_seed(1);
    start();
    put();
    turn();
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_READY, .queue = QUEUE};
    assert_true(bao_journal_put(&world.journal, &fact, &world.holds) <
                UINT64_MAX);
    liar_fail(world.liar, LIAR_WRITE, 1, 5);
    bao_journal_write(&world.journal, world.now_us, true);
    assert_true(bao_journal_failed(&world.journal));
    const struct bao_marks marks = bao_journal_marks(&world.journal);
    assert_int_equal(bao_journal_put(&world.journal, &fact, &world.holds),
                     UINT64_MAX);
    assert_int_equal(bao_journal_last(&world.journal, QUEUE), UINT64_MAX);
    assert_int_equal(bao_journal_put_of(&world.journal, ID(1)), UINT64_MAX);
    bao_journal_write(&world.journal, world.now_us, true);
    assert_int_equal(bao_journal_marks(&world.journal).written, marks.written);
    assert_int_equal(bao_journal_marks(&world.journal).synced, marks.synced);
    end(false);
    liar_free(world.liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_log__payloads_are_what_was_put),
        cmocka_unit_test(test_bodies_log__a_flipped_byte_is_found),
        cmocka_unit_test(test_bodies_log__nothing_is_safe_after_a_failure),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("bodies_log", tests, NULL, NULL);
}
