/*
 * test_log_start.c - starts that are not everyday ones: a tail of many
 * segments, more closed segments than files are kept open, a disk without
 * room.
 */
#include "tests/lib/log_owner.h"
#include "tests/lib/unit.h"

#define SEGMENT_BYTES (16u * 1024u)

/* Writes batches and never lets the log look up: no manifest says that
 * anything is sealed, so all of it is tail. */
static void write_tail(struct log_world *world, uint32_t segments)
{
    struct bao_log_stats stats = {0};
    while (stats.segments < segments) {
        assert_true(log_world_put(world, 5));
        bao_log_write(world->log, world->now_us, false);
        bao_log_stats(world->log, &stats);
    }
}

static uint64_t largest_segment(struct liar *liar)
{
    uint64_t largest = 0;
    for (size_t i = 0; liar_name(liar, i) != NULL; i++) {
        uint64_t bytes = 0;
        (void)liar_file(liar, liar_name(liar, i), &bytes);
        if (strncmp(liar_name(liar, i), "segment-", 8) == 0 && bytes > largest)
            largest = bytes;
    }
    return largest;
}

/* [S9] It is rewritten into one segment that is as large as it takes, and that
 * goes like any other. */
static void test_start__a_tail_of_many_segments_is_rewritten(void **state)
{
    (void)state;
    for (int cut = -1; cut < LIAR_CUT_COUNT; cut++) {
        struct log_world world;
        log_world_init(&world, 7 + (uint64_t)(cut + 1), SEGMENT_BYTES);
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        assert_true(log_world_put(&world, 20));
        log_world_turn(&world, 1000);
        log_world_turn(&world, 1000);
        write_tail(&world, 8);
        uint64_t last = world.next - 1;
        if (cut < 0)
            log_world_kill(&world);
        else
            log_world_cut(&world, (enum liar_cut)cut);
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        /* The syncs of the tail had all returned. */
        assert_int_equal(world.replayed, last);
        assert_true(world.report.rewritten_bytes > 4u * SEGMENT_BYTES);
        assert_true(largest_segment(world.liar) > 4u * SEGMENT_BYTES);
        log_world_kill(&world); /* once more, before anything happened */
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        assert_int_equal(world.replayed, last);
        for (int i = 0; i < 200; i++) {
            assert_true(log_world_put(&world, 3));
            log_world_turn(&world, 1000);
            if (i % 50 == 40)
                assert_true(log_world_checkpoint(&world));
        }
        assert_int_equal(largest_segment(world.liar), SEGMENT_BYTES);
        assert_int_equal(log_world_close(&world), BAOZI_OK);
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        log_world_fini(&world);
    }
}

/* A log whose every segment is needed. */
static void fill(struct log_owner *owner, uint32_t segments)
{
    struct bao_log_stats stats = {0};
    while (stats.segments < segments) {
        assert_true(log_owner_put(owner, 8));
        log_owner_turn(owner, 200);
        bao_log_stats(owner->world->log, &stats);
    }
}

/* Only BAO_LOG_FILES_MAX (64) of them are open at a time. */
static void test_start__payloads_are_read_from_a_hundred_segments(void **state)
{
    (void)state;
    struct log_world world;
    struct log_owner owner;
    log_world_init(&world, 5, SEGMENT_BYTES);
    log_owner_init(&owner, &world);
    assert_int_equal(log_owner_open(&owner), BAOZI_OK);
    fill(&owner, 100);
    for (int life = 0; life < 2; life++) {
        log_owner_check_all(&owner);
        for (int i = 0; i < 2000; i++)
            log_owner_check(&owner,
                            1 + log_world_draw(&world, owner.next_id - 1));
        assert_int_equal(log_world_close(&world), BAOZI_OK);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
    }
    log_owner_check_all(&owner);
    log_owner_fini(&owner);
    log_world_fini(&world);
}

/* [S9] The reserve takes the tail, so it starts on a full disk, with all that
 * was there, again and again, although another takes whatever it gives back:
 * a segment that a start ended early comes back to the reserve. */
static void test_start__a_full_disk_is_started_from(void **state)
{
    (void)state;
    struct log_world world;
    struct log_owner owner;
    struct bao_log_stats stats;
    log_world_init(&world, 6, SEGMENT_BYTES);
    log_owner_init(&owner, &world);
    assert_int_equal(log_owner_open(&owner), BAOZI_OK);
    fill(&owner, 10);
    for (unsigned starts = 0; starts < 60; starts++) {
        log_owner_check_all(&owner);
        for (uint32_t i = 0; i < 200; i++) {
            assert_true(log_owner_settle(&owner, NULL, 0));
            log_owner_turn(&owner, 20000);
        }
        bao_log_stats(world.log, &stats);
        assert_true(stats.prepared >= 2);
        log_world_kill(&world);
        liar_limit(world.liar, liar_bytes(world.liar));
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
    }
    liar_limit(world.liar, UINT64_MAX);
    assert_int_equal(log_world_close(&world), BAOZI_OK);
    assert_int_equal(log_owner_open(&owner), BAOZI_OK);
    log_owner_check_all(&owner);
    log_owner_fini(&owner);
    log_world_fini(&world);
}

static void remove_prepared(struct log_world *world)
{
    size_t i = 0;
    while (liar_name(world->liar, i) != NULL) {
        const char *name = liar_name(world->liar, i);
        uint64_t bytes = 0;
        const uint8_t *data = liar_file(world->liar, name, &bytes);
        bool unused = strncmp(name, "segment-", 8) == 0 &&
                      bytes > BAO_SEGMENT_HEAD_BYTES + 2 &&
                      bao_load32(data + BAO_SEGMENT_HEAD_BYTES) == 0;
        if (unused || strcmp(name, "checkpoint.tmp") == 0)
            liar_delete(world->liar, name);
        else
            i++;
    }
}

/* [S9] Without any room it says so, changes nothing, and starts once there is
 * some. */
static void test_start__without_room_it_is_refused_and_unharmed(void **state)
{
    (void)state;
    struct log_world world;
    log_world_init(&world, 8, SEGMENT_BYTES);
    assert_int_equal(log_world_open(&world), BAOZI_OK);
    for (int i = 0; i < 30; i++) {
        assert_true(log_world_put(&world, 2));
        log_world_turn(&world, 1000);
    }
    log_world_kill(&world);
    remove_prepared(&world);
    uint64_t bytes = liar_bytes(world.liar);
    for (int i = 0; i < 3; i++) {
        liar_limit(world.liar, bytes);
        assert_int_equal(log_world_open(&world), BAOZI_STORAGE_FULL);
        assert_non_null(strstr(world.report.problem.why, "space"));
        assert_true(world.report.problem.remedy[0] != '\0');
        assert_int_equal(liar_bytes(world.liar), bytes);
        liar_kill(world.liar);
    }
    liar_limit(world.liar, UINT64_MAX);
    assert_int_equal(log_world_open(&world), BAOZI_OK);
    assert_int_equal(world.replayed, 60);
    log_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start__a_tail_of_many_segments_is_rewritten),
        cmocka_unit_test(test_start__payloads_are_read_from_a_hundred_segments),
        cmocka_unit_test(test_start__a_full_disk_is_started_from),
        cmocka_unit_test(test_start__without_room_it_is_refused_and_unharmed),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
