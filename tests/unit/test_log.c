/*
 * test_log.c - the durable log on a lying disk: what was synced comes back.
 */
#include "common/check.h"
#include "tests/lib/log_world.h"
#include "tests/lib/unit.h"

#define SEGMENT_BYTES (64u * 1024u)

/* A log that was closed in order has everything, and nothing to repair. */
static void test_log__has_everything_after_a_close(void **state)
{
    (void)state;
    struct log_world world;
    log_world_init(&world, 1, SEGMENT_BYTES);
    assert_int_equal(log_world_open(&world), BAOZI_OK);
    assert_true(world.report.fresh);
    for (int i = 0; i < 300; i++) {
        assert_true(log_world_put(&world, 1 + (uint64_t)i % 7));
        log_world_turn(&world, 100);
    }
    assert_int_equal(log_world_close(&world), BAOZI_OK);
    uint64_t last = world.next - 1;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        assert_int_equal(world.replayed, last);
        assert_int_equal(world.report.torn_bytes, 0);
        assert_int_equal(log_world_close(&world), BAOZI_OK);
    }
    log_world_fini(&world);
}

static void live(struct log_world *world, uint64_t turns)
{
    for (uint64_t i = 0; i < turns; i++) {
        if (!log_world_put(world, 1 + log_world_draw(world, 9)))
            break;
        log_world_turn(world, log_world_draw(world, 20000));
    }
}

/* [S9, F3, F4] Power cuts at random moments, with any part of the cache. */
static void test_log__keeps_what_was_synced_through_power_cuts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct log_world world;
        log_world_init(&world, seed, SEGMENT_BYTES);
        if (seed % 2 == 0)
            liar_shorten(world.liar, 5);
        if (seed % 3 == 0)
            liar_read_by_others(world.liar, 3);
        if (seed % 4 != 0)
            log_world_slow(&world, 1 + (uint32_t)seed % 5);
        for (int life = 0; life < 6; life++) {
            enum baozi_status status = log_world_open(&world);
            if (status != BAOZI_OK)
                print_message("seed %llu life %d: %s; %s\n",
                              (unsigned long long)seed,
                              life,
                              world.report.problem.what,
                              world.report.problem.why);
            assert_int_equal(status, BAOZI_OK);
            if (log_world_draw(&world, 4) > 0)
                live(&world, log_world_draw(&world, 80));
            if (log_world_draw(&world, 3) == 0)
                assert_true(log_world_checkpoint(&world));
            if (log_world_draw(&world, 4) > 0)
                live(&world, log_world_draw(&world, 20));
            (void)log_world_put(&world, log_world_draw(&world, 4));
            if (log_world_draw(&world, 2) == 0)
                bao_log_write(world.log, world.now_us, true);
            log_world_cut(
                &world, (enum liar_cut)log_world_draw(&world, LIAR_CUT_COUNT));
        }
        log_world_fini(&world);
    }
}

/* What an image says of a payload that moved or ended while it was written
 * holds only with the records that say so. */
static void
test_log__a_checkpoint_counts_when_all_before_its_end_is_synced(void **state)
{
    (void)state;
    struct log_world world;
    uint8_t piece[100] = {0};
    log_world_init(&world, 1, SEGMENT_BYTES);
    assert_int_equal(log_world_open(&world), BAOZI_OK);
    assert_true(log_world_put(&world, 5));
    log_world_turn(&world, 100);
    assert_int_equal(bao_log_checkpoint_begin(world.log, 5), BAOZI_OK);
    bao_log_checkpoint_write(world.log, bao_span_of(piece, sizeof piece));
    assert_true(log_world_put(&world, 3));
    bao_log_write(world.log, world.now_us, true);
    bao_log_checkpoint_end(world.log);
    for (int i = 0; i < 50; i++) {
        bao_log_turn(world.log, world.now_us);
        assert_int_equal(bao_log_checkpoint_state(world.log),
                         BAO_LOG_CHECKPOINT_ENDING);
    }
    for (int i = 0; i < 50; i++) {
        world.now_us += BAO_LOG_LAZY_US / 10;
        bao_log_turn(world.log, world.now_us);
    }
    assert_int_equal(bao_log_checkpoint_state(world.log),
                     BAO_LOG_CHECKPOINT_NONE);
    assert_true(bao_log_marks(world.log).synced >= bao_log_last(world.log));
    log_world_kill(&world);
    log_world_fini(&world);
}

static void count_checkpoint(void *argument, const char *name)
{
    unsigned *count = argument;
    *count += strncmp(name, "checkpoint", 10) == 0;
}

/* [P7] Starts do not add up: the two that count, and one to be written over. */
static void
test_log__has_three_checkpoints_however_often_it_starts(void **state)
{
    (void)state;
    struct log_world world;
    const struct bao_storage *storage;
    log_world_init(&world, 1, SEGMENT_BYTES);
    for (int life = 0; life < 20; life++) {
        unsigned count = 0;
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        storage = world.config.storage;
        assert_int_equal(
            storage->list(storage->context, count_checkpoint, &count), 0);
        assert_true(count <= 3);
        for (int i = 0; i <= life % 3; i++) {
            assert_true(log_world_put(&world, 3));
            log_world_turn(&world, 100);
            assert_true(log_world_checkpoint(&world));
        }
        if (life % 2 == 0)
            assert_int_equal(log_world_close(&world), BAOZI_OK);
        else
            log_world_kill(&world);
    }
    log_world_fini(&world);
}

/* Group, index, term and queue come back as they were given, and a
 * truncation is a record like any other. */
static enum baozi_status take_copy(void *context,
                                   const struct bao_log_record *record)
{
    struct bao_log_record *records = context;
    records[record->lsn] = *record;
    return BAOZI_OK;
}

static void test_log__keeps_what_replication_needs(void **state)
{
    (void)state;
    static const struct bao_log_entry entries[] = {
        {.kind = BAO_RECORD_ENTRY, .group = 9, .index = 5, .term = 2},
        {.kind = BAO_RECORD_ENTRY, .group = 9, .index = 6, .term = 2},
        {.kind = BAO_RECORD_TRUNC, .group = 9, .index = 6, .term = 3},
        {.kind = BAO_RECORD_ENTRY,
         .group = 9,
         .index = 6,
         .term = 3,
         .queue = 77},
        {.kind = BAO_RECORD_COPY, .index = UINT64_MAX, .term = 1, .queue = 4},
    };
    static struct bao_log_record records[64];
    struct bao_log_owner owner = {0};
    struct bao_log_place places[5] = {{0}};
    struct log_world world;
    log_world_init(&world, 1, SEGMENT_BYTES);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(bao_log_open(&world.config, &world.log, &world.report),
                         BAOZI_OK);
        assert_int_equal(
            bao_log_replay(world.log, take_copy, records, &world.report),
            BAOZI_OK);
        bao_log_serve(world.log, &owner, 0);
        for (size_t i = 0; life == 0 && i < 5; i++)
            assert_int_equal(bao_log_append(world.log, &entries[i], &places[i]),
                             BAOZI_OK);
        assert_int_equal(bao_log_close(world.log), BAOZI_OK);
        world.log = NULL;
    }
    for (size_t i = 0; i < 5; i++) {
        const struct bao_log_record *record = &records[places[i].lsn];
        assert_true(record->kind == entries[i].kind);
        assert_int_equal(record->group, entries[i].group);
        assert_int_equal(record->index, entries[i].index);
        assert_int_equal(record->term, entries[i].term);
        assert_int_equal(record->queue, entries[i].queue);
    }
    log_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__has_everything_after_a_close),
        cmocka_unit_test(test_log__keeps_what_was_synced_through_power_cuts),
        cmocka_unit_test(
            test_log__a_checkpoint_counts_when_all_before_its_end_is_synced),
        cmocka_unit_test(test_log__keeps_what_replication_needs),
        cmocka_unit_test(
            test_log__has_three_checkpoints_however_often_it_starts),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
