/*
 * test_bodies.c - the payloads, and the hold table they come from.
 */
#include "broker/bodies.h"
#include "tests/lib/unit.h"

#define QUEUE UINT64_C(7)
#define ID(n) (QUEUE << BAO_ID_SHIFT | (n))

static uint64_t seed = 1;

static uint64_t random_number(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static unsigned frames_freed;

static void frame_free(struct bao_frame *frame)
{
    frames_freed++;
    free(frame);
}

static struct bao_frame *frame_new(size_t bytes, uint8_t first)
{
    struct bao_frame *frame = malloc(sizeof *frame + bytes);
    assert_non_null(frame);
    uint8_t *data = (uint8_t *)(frame + 1);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(first + i);
    *frame = (struct bao_frame){
        .bytes = bao_span_of(data, bytes), .references = 1, .free = frame_free};
    return frame;
}

static struct world {
    void *memory;
    struct bao_holds holds;
    struct bao_bodies *bodies;
} world;

static void world_open(void)
{
    size_t bytes = 8u << 20;
    world.memory = aligned_alloc(4096, bytes);
    assert_non_null(world.memory);
    bao_holds_open(&world.holds, bao_arena_init(world.memory, bytes));
    assert_int_equal(bao_bodies_open(256u << 20, &world.bodies), BAOZI_OK);
    frames_freed = 0;
}

static void world_close(void)
{
    bao_bodies_close(world.bodies);
    bao_holds_close(&world.holds);
    free(world.memory);
}

/* A put of one item whose body is `bytes` long and begins with `first`. */
static void put_body(uint64_t id, uint32_t bytes, uint8_t first, bool big)
{
    struct bao_frame *frames[3] = {
        frame_new(1, 0), frame_new(big ? 0 : bytes, first), NULL};
    if (big)
        frames[2] = frame_new(bytes, first);
    struct bao_body_cursor begin = {0};
    struct bao_body_cursor end = {.offset = big ? 0 : bytes, .big = big};
    uint64_t hold = bao_holds_take(&world.holds, frames, begin, end);
    assert_true(hold != 0);
    for (unsigned i = 0; i < 3; i++)
        bao_frame_release(frames[i]);
    struct bao_put_item item = {
        .body = {.hold = hold, .part = big, .bytes = bytes}};
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                            .queue = QUEUE,
                            .first_id = id,
                            .count = 1,
                            .items = &item};
    bao_bodies_store(world.bodies, &fact, &world.holds);
    bao_bodies_drop(world.bodies, &fact);
    bao_holds_settle(&world.holds, hold);
}

static void tell(enum bao_fact_kind kind, uint64_t id)
{
    struct bao_fact fact = {
        .kind = kind, .queue = id >> BAO_ID_SHIFT, .count = 1, .ids = &id};
    bao_bodies_store(world.bodies, &fact, &world.holds);
    bao_bodies_drop(world.bodies, &fact);
}

static void expect_body(uint64_t id, size_t bytes, uint8_t first)
{
    struct bao_payload payload;
    assert_true(bao_bodies_find(world.bodies, id, &payload));
    assert_int_equal(payload.bytes, bytes);
    assert_int_equal(payload.data[0], first);
    assert_int_equal(payload.data[bytes - 1], (uint8_t)(first + bytes - 1));
}

static void expect_none(uint64_t id)
{
    struct bao_payload payload;
    assert_false(bao_bodies_find(world.bodies, id, &payload));
}

/* A payload that is kept whatever becomes of its item. */
static struct bao_payload keep(uint64_t id)
{
    struct bao_payload payload;
    assert_true(bao_bodies_find(world.bodies, id, &payload));
    assert_true(bao_bodies_keep(world.bodies, id, &payload));
    return payload;
}

static void test_bodies__keep_a_payload_until_its_item_is_settled(void **state)
{
    (void)state;
    world_open();
    put_body(ID(1), 100, 5, false);
    put_body(ID(2), 1, 9, false);
    put_body(ID(3), 0, 0, false);
    expect_body(ID(1), 100, 5);
    expect_body(ID(2), 1, 9);
    expect_none(ID(3));
    tell(BAO_FACT_ITEM_LEASED, ID(1));
    tell(BAO_FACT_ITEM_RETURNED, ID(1));
    tell(BAO_FACT_ITEM_DEAD, ID(2));
    expect_body(ID(1), 100, 5);
    expect_body(ID(2), 1, 9);
    tell(BAO_FACT_ITEM_SETTLED, ID(1));
    tell(BAO_FACT_DEAD_FORGOTTEN, ID(2));
    tell(BAO_FACT_ITEM_SETTLED, ID(3));
    /* Consumed, though not yet task_done: nobody will read it again. */
    put_body(ID(4), 100, 5, false);
    tell(BAO_FACT_ITEM_TAKEN, ID(4));
    assert_int_equal(bao_bodies_count(world.bodies), 0);
    world_close();
}

static void test_bodies__big_frames_are_held_and_not_copied(void **state)
{
    (void)state;
    world_open();
    size_t before = bao_bodies_used(world.bodies);
    put_body(ID(1), 1u << 20, 5, true);
    expect_body(ID(1), 1u << 20, 5);
    assert_true(bao_bodies_used(world.bodies) - before < 64u << 10);
    /* Header and (empty) bodies frame are gone, the big one is not. */
    assert_int_equal(frames_freed, 2);
    const struct bao_payload kept = keep(ID(1));
    tell(BAO_FACT_ITEM_SETTLED, ID(1));
    assert_int_equal(frames_freed, 2);
    assert_int_equal(kept.data[(1u << 20) - 1], (uint8_t)(5 + (1u << 20) - 1));
    bao_bodies_give(world.bodies, kept.chunk);
    assert_int_equal(frames_freed, 3);
    world_close();
}

static void test_bodies__a_small_body_in_a_frame_of_its_own_is_copied(void **s)
{
    (void)s;
    world_open();
    put_body(ID(1), 1000, 5, true);
    expect_body(ID(1), 1000, 5);
    assert_int_equal(frames_freed, 3);
    world_close();
}

static void test_bodies__what_a_step_ends_is_there_for_its_replies(void **state)
{
    (void)state;
    world_open();
    put_body(ID(1), 50, 1, false);
    uint64_t id = ID(1);
    struct bao_fact fact = {
        .kind = BAO_FACT_ITEM_SETTLED, .queue = QUEUE, .count = 1, .ids = &id};
    bao_bodies_store(world.bodies, &fact, &world.holds);
    expect_body(ID(1), 50, 1);
    bao_bodies_drop(world.bodies, &fact);
    expect_none(ID(1));
    world_close();
}

static void settle_with_result(uint64_t id, uint32_t bytes, uint32_t flags)
{
    struct bao_frame *frames[2] = {frame_new(1, 0), frame_new(bytes, 77)};
    struct bao_body_cursor end = {.offset = bytes};
    uint64_t hold =
        bao_holds_take(&world.holds, frames, (struct bao_body_cursor){0}, end);
    bao_frame_release(frames[0]);
    bao_frame_release(frames[1]);
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_SETTLED,
                            .queue = QUEUE,
                            .count = 1,
                            .ids = &id,
                            .flags = flags,
                            .result = {.hold = hold, .bytes = bytes}};
    bao_bodies_store(world.bodies, &fact, &world.holds);
    bao_bodies_drop(world.bodies, &fact);
    bao_holds_settle(&world.holds, hold);
}

static void test_bodies__a_result_stays_until_its_outcome_is_forgotten(void **s)
{
    (void)s;
    world_open();
    put_body(ID(1), 100, 5, false);
    settle_with_result(ID(1), 30, BAO_FLAG_WANT_RESULT);
    expect_body(ID(1), 30, 77);
    tell(BAO_FACT_OUTCOME_FORGOTTEN, ID(1));
    expect_none(ID(1));
    /* Nobody wants it: it is not kept. */
    put_body(ID(2), 100, 5, false);
    settle_with_result(ID(2), 30, 0);
    expect_none(ID(2));
    /* A dead item keeps its body when its outcome is forgotten. */
    put_body(ID(3), 100, 5, false);
    tell(BAO_FACT_ITEM_DEAD, ID(3));
    tell(BAO_FACT_OUTCOME_FORGOTTEN, ID(3));
    expect_body(ID(3), 100, 5);
    world_close();
}

static void test_bodies__a_redriven_item_takes_the_body_over(void **state)
{
    (void)state;
    world_open();
    put_body(ID(1), 100, 5, false);
    tell(BAO_FACT_ITEM_DEAD, ID(1));
    struct bao_put_item item = {0};
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                            .queue = QUEUE,
                            .first_id = ID(9),
                            .count = 1,
                            .items = &item,
                            .origin = ID(1)};
    bao_bodies_store(world.bodies, &fact, &world.holds);
    bao_bodies_drop(world.bodies, &fact);
    tell(BAO_FACT_DEAD_FORGOTTEN, ID(1));
    expect_none(ID(1));
    expect_body(ID(9), 100, 5);
    world_close();
}

static void test_bodies__a_deleted_queue_is_emptied_in_slices(void **state)
{
    (void)state;
    world_open();
    for (uint64_t n = 1; n <= 3000; n++)
        put_body(ID(n), 10, 1, false);
    uint64_t other = (QUEUE + 1) << BAO_ID_SHIFT | 1;
    put_body(other, 10, 3, false);
    struct bao_fact fact = {.kind = BAO_FACT_QUEUE_GONE, .queue = QUEUE};
    bao_bodies_drop(world.bodies, &fact);
    expect_none(ID(1));
    unsigned slices = 1;
    while (bao_bodies_sweep(world.bodies))
        slices++;
    assert_int_equal(slices, 3);
    assert_int_equal(bao_bodies_count(world.bodies), 1);
    expect_body(other, 10, 3);
    world_close();
}

static void test_bodies__give_memory_back_after_a_peak(void **state)
{
    (void)state;
    world_open();
    size_t empty = bao_bodies_used(world.bodies);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t n = 1; n <= 400; n++)
            put_body(ID(n), 60000, 1, false);
        assert_true(bao_bodies_used(world.bodies) > 20u << 20);
        const struct bao_payload kept = keep(ID(400));
        for (uint64_t n = 1; n <= 400; n++)
            tell(BAO_FACT_ITEM_SETTLED, ID(n));
        /* Not under somebody who still reads. */
        assert_false(bao_bodies_sweep(world.bodies));
        assert_int_equal(kept.data[59999], (uint8_t)(1 + 59999));
        bao_bodies_give(world.bodies, kept.chunk);
        assert_false(bao_bodies_sweep(world.bodies));
        assert_int_equal(bao_bodies_used(world.bodies), empty);
    }
    world_close();
}

/* Puts, settles and keeps at random against a plain array. */
static void test_bodies__agree_with_a_naive_model(void **state)
{
    (void)state;
    static struct {
        uint32_t bytes;
        uint8_t first;
    } model[2000];
    struct bao_payload kept[16] = {{.chunk = NULL}};
    uint8_t kept_first[16] = {0};
    world_open();
    memset(model, 0, sizeof model);
    for (unsigned step = 0; step < 20000; step++) {
        uint64_t n = random_number(2000);
        uint64_t id = (QUEUE + n % 3) << BAO_ID_SHIFT | n;
        unsigned at = (unsigned)random_number(16);
        if (model[n].bytes == 0) {
            model[n].bytes = 1 + (uint32_t)random_number(300);
            model[n].first = (uint8_t)step;
            put_body(id, model[n].bytes, model[n].first, false);
        } else if (random_number(4) == 0 && kept[at].chunk == NULL) {
            kept[at] = keep(id);
            kept_first[at] = model[n].first;
        } else {
            expect_body(id, model[n].bytes, model[n].first);
            tell(BAO_FACT_ITEM_SETTLED, id);
            expect_none(id);
            model[n].bytes = 0;
        }
        if (kept[at].chunk != NULL && random_number(2) == 0) {
            assert_int_equal(kept[at].data[0], kept_first[at]);
            bao_bodies_give(world.bodies, kept[at].chunk);
            kept[at].chunk = NULL;
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        if (kept[i].chunk != NULL)
            bao_bodies_give(world.bodies, kept[i].chunk);
    }
    world_close();
}

/* --- many of them --- */

#define MANY    60000u
#define BATCH   100u
#define READERS 32u
/* Beside its bytes: a dead entry's share of the columns, the tray, the tree,
 * and rounding, on trays that few are left of. */
#define ENTRY_BYTES 100u

/* What an item must have. */
struct many {
    uint32_t bytes; /* 0 = nothing */
    uint8_t fill;
};

static struct many many[3][MANY];
static uint64_t live_bytes;

static uint64_t many_id(unsigned queue, uint64_t number)
{
    return (QUEUE + queue) << BAO_ID_SHIFT | number;
}

static uint32_t some_bytes(void)
{
    switch (random_number(40)) {
    case 0: return 0;
    case 1: return 3000 + (uint32_t)random_number(3000);
    default: return 1 + (uint32_t)random_number(300);
    }
}

/* One message with as many items, behind number `last`. */
static void put_many(unsigned queue, uint64_t *last)
{
    struct bao_put_item items[BATCH] = {{.priority = 0}};
    const uint32_t count = 1 + (uint32_t)random_number(BATCH);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct many *one = &many[queue][*last + 1 + i];
        *one = (struct many){.bytes = some_bytes(),
                             .fill = (uint8_t)random_number(256)};
        items[i].body = (struct bao_body){.offset = sum, .bytes = one->bytes};
        sum += one->bytes;
    }
    struct bao_frame *frames[2] = {frame_new(1, 0), frame_new(sum, 0)};
    struct bao_body_cursor end = {.offset = sum};
    uint64_t hold =
        bao_holds_take(&world.holds, frames, (struct bao_body_cursor){0}, end);
    for (uint32_t i = 0; i < count; i++) {
        const struct many *one = &many[queue][*last + 1 + i];
        items[i].body.hold = hold;
        memset((uint8_t *)(frames[1] + 1) + items[i].body.offset,
               one->fill,
               one->bytes);
    }
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                            .queue = QUEUE + queue,
                            .first_id = many_id(queue, *last + 1),
                            .count = count,
                            .items = items};
    bao_bodies_store(world.bodies, &fact, &world.holds);
    bao_bodies_drop(world.bodies, &fact);
    for (unsigned i = 0; i < 2; i++)
        bao_frame_release(frames[i]);
    bao_holds_settle(&world.holds, hold);
    *last += count;
    live_bytes += sum;
}

static void check_fill(const struct bao_payload *payload, uint8_t fill)
{
    for (uint32_t i = 0; i < payload->bytes; i++)
        assert_int_equal(payload->data[i], fill);
}

/* Reads it, keeps it at times, and settles it. */
static void settle_one(unsigned queue,
                       uint64_t number,
                       struct bao_payload *reader,
                       uint8_t *reader_fill)
{
    struct many *one = &many[queue][number];
    const uint64_t id = many_id(queue, number);
    if (one->bytes == 0) {
        expect_none(id);
        return;
    }
    if (reader->chunk != NULL) {
        check_fill(reader, *reader_fill);
        bao_bodies_give(world.bodies, reader->chunk);
    }
    *reader = keep(id);
    *reader_fill = one->fill;
    check_fill(reader, one->fill);
    tell(BAO_FACT_ITEM_SETTLED, id);
    expect_none(id);
    live_bytes -= one->bytes;
    one->bytes = 0;
}

/* Some leave first in first out, some from anywhere: what stays may have as
 * many holes as bytes, and no more. */
static void test_bodies__holes_are_bounded(void **state)
{
    (void)state;
    struct bao_payload readers[READERS] = {{.chunk = NULL}};
    uint8_t fills[READERS] = {0};
    uint64_t last[3] = {0};
    uint64_t first = 1;
    world_open();
    live_bytes = 0;
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 30 && round < 25; i++)
            for (unsigned queue = 0; queue < 3; queue++)
                if (last[queue] + BATCH < MANY)
                    put_many(queue, &last[queue]);
        for (unsigned i = 0; i < 5000; i++) {
            const unsigned at = (unsigned)random_number(READERS);
            const unsigned queue = (unsigned)random_number(2);
            settle_one(queue,
                       1 + random_number(last[queue]),
                       &readers[at],
                       &fills[at]);
        }
        for (; first + 1000 < last[2]; first++)
            settle_one(2, first, &readers[0], &fills[0]);
        bao_bodies_check(world.bodies);
        const size_t bound = 2 * live_bytes + (5u << 20) / 2 +
                             ENTRY_BYTES * bao_bodies_count(world.bodies);
        assert_true(bao_bodies_used(world.bodies) < bound);
    }
    for (unsigned i = 0; i < READERS; i++)
        if (readers[i].chunk != NULL)
            bao_bodies_give(world.bodies, readers[i].chunk);
    world_close();
}

/* --- the hold table --- */

static void test_hold__what_is_kept_of_a_large_message_is_copied(void **state)
{
    (void)state;
    world_open();
    struct bao_frame *frames[2] = {frame_new(1, 0), frame_new(100000, 0)};
    struct bao_body_cursor begin = {.offset = 500};
    struct bao_body_cursor end = {.offset = 600};
    uint64_t hold = bao_holds_take(&world.holds, frames, begin, end);
    bao_holds_keep(&world.holds, hold);
    bao_frame_release(frames[0]);
    bao_frame_release(frames[1]);
    assert_int_equal(frames_freed, 1);
    bao_holds_settle(&world.holds, hold);
    assert_int_equal(frames_freed, 2);
    assert_int_equal(world.holds.kept_bytes, 100);
    struct bao_frame *frame;
    struct bao_body body = {.hold = hold, .offset = 550, .bytes = 50};
    struct bao_span bytes = bao_holds_find(&world.holds, &body, &frame);
    assert_null(frame);
    assert_int_equal(bytes.bytes, 50);
    assert_int_equal(bytes.data[0], (uint8_t)550);
    bao_holds_drop(&world.holds, hold);
    assert_int_equal(world.holds.kept_bytes, 0);
    world_close();
}

static void test_hold__most_of_a_message_is_kept_where_it_is(void **state)
{
    (void)state;
    world_open();
    struct bao_frame *frames[4] = {frame_new(1, 0),
                                   frame_new(1000, 0),
                                   frame_new(70000, 1),
                                   frame_new(9, 9)};
    struct bao_body_cursor begin = {.big = 1};
    struct bao_body_cursor end = {.offset = 1000, .big = 2};
    uint64_t hold = bao_holds_take(&world.holds, frames, begin, end);
    bao_holds_keep(&world.holds, hold);
    for (unsigned i = 0; i < 4; i++)
        bao_frame_release(frames[i]);
    bao_holds_settle(&world.holds, hold);
    /* Neither the header nor the other operation's big frame. */
    assert_int_equal(frames_freed, 2);
    assert_int_equal(world.holds.kept_bytes, 1009);
    struct bao_frame *frame;
    struct bao_body body = {.hold = hold, .part = 2, .bytes = 9};
    assert_int_equal(bao_holds_find(&world.holds, &body, &frame).bytes, 9);
    assert_non_null(frame);
    bao_holds_drop(&world.holds, hold);
    assert_int_equal(frames_freed, 4);
    world_close();
}

static void test_hold__a_handle_never_comes_back(void **state)
{
    (void)state;
    world_open();
    struct bao_frame *frames[2] = {frame_new(1, 0), frame_new(10, 0)};
    struct bao_body_cursor end = {.offset = 10};
    uint64_t last = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t hold = bao_holds_take(
            &world.holds, frames, (struct bao_body_cursor){0}, end);
        assert_true(hold > last);
        last = hold;
        bao_holds_settle(&world.holds, hold);
    }
    bao_frame_release(frames[0]);
    bao_frame_release(frames[1]);
    assert_int_equal(frames_freed, 2);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies__keep_a_payload_until_its_item_is_settled),
        cmocka_unit_test(test_bodies__big_frames_are_held_and_not_copied),
        cmocka_unit_test(
            test_bodies__a_small_body_in_a_frame_of_its_own_is_copied),
        cmocka_unit_test(
            test_bodies__what_a_step_ends_is_there_for_its_replies),
        cmocka_unit_test(
            test_bodies__a_result_stays_until_its_outcome_is_forgotten),
        cmocka_unit_test(test_bodies__a_redriven_item_takes_the_body_over),
        cmocka_unit_test(test_bodies__a_deleted_queue_is_emptied_in_slices),
        cmocka_unit_test(test_bodies__give_memory_back_after_a_peak),
        cmocka_unit_test(test_bodies__agree_with_a_naive_model),
        cmocka_unit_test(test_bodies__holes_are_bounded),
        cmocka_unit_test(test_hold__what_is_kept_of_a_large_message_is_copied),
        cmocka_unit_test(test_hold__most_of_a_message_is_kept_where_it_is),
        cmocka_unit_test(test_hold__a_handle_never_comes_back),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
