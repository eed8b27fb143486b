/*
 * test_log_faults.c - every disk call of the log fails once, in turn.
 *
 * After a failure nothing is confirmed any more, no file is synced again, and
 * a start on the healthy disk has everything that was confirmed before.
 */
#include <errno.h>

#include "tests/lib/log_world.h"
#include "tests/lib/unit.h"

#define SEGMENT_BYTES (16u * 1024u)

/* A short life with all that there is: several segments, two images, segments
 * used again, a MARK, an end in order. Goes on until something fails. */
static void live(struct log_world *world)
{
    world->bytes_max = 700;
    if (log_world_open(world) != BAOZI_OK)
        return;
    for (int i = 0; i < 90 && !bao_log_failed(world->log); i++) {
        if (!log_world_put(world, 1 + (uint64_t)i % 5))
            break;
        log_world_turn(world, i % 10 == 0 ? 30000 : 100);
        if (i % 20 == 10 && !bao_log_failed(world->log))
            (void)log_world_checkpoint(world);
    }
    if (!bao_log_failed(world->log) && log_world_close(world) == BAOZI_OK)
        return;
    if (world->log == NULL)
        return;
    /* It stands still. */
    struct bao_log_marks before = bao_log_marks(world->log);
    assert_true(bao_log_failure(world->log)[0] != '\0');
    assert_int_equal(bao_log_room(world->log, BAO_LOG_FOR_SETTLES), 0);
    assert_false(log_world_put(world, 1));
    log_world_turn(world, 30000);
    struct bao_log_marks after = bao_log_marks(world->log);
    assert_int_equal(before.synced, after.synced);
    assert_int_equal(before.written, after.written);
    assert_int_equal(log_world_close(world), BAOZI_STORAGE_FAILED);
}

/* Runs one life with the n-th call of a kind failing; then the disk heals.
 * False if that life had fewer calls. */
static bool fail_once(enum liar_call call,
                      uint64_t n,
                      int error,
                      uint32_t laziness,
                      uint64_t *failures)
{
    struct log_world world;
    log_world_init(&world, 11, SEGMENT_BYTES);
    if (laziness > 0)
        log_world_slow(&world, laziness);
    liar_fail(world.liar, call, n, error);
    live(&world);
    bool reached = liar_calls(world.liar, call) >= n;
    *failures += reached;
    assert_int_equal(liar_syncs_after_failure(world.liar), 0);
    liar_fail(world.liar, call, 0, 0);
    log_world_cut(&world, n % 2 == 0 ? LIAR_CUT_ALL : LIAR_CUT_SECTORS);
    if (log_world_open(&world) != BAOZI_OK) {
        print_message("# call %d, n %llu: %s; %s\n",
                      (int)call,
                      (unsigned long long)n,
                      world.report.problem.what,
                      world.report.problem.why);
        fail();
    }
    assert_true(log_world_put(&world, 3));
    log_world_turn(&world, 100);
    assert_int_equal(log_world_close(&world), BAOZI_OK);
    log_world_fini(&world);
    return reached;
}

static void fail_all(int error, uint32_t laziness)
{
    uint64_t failures = 0;
    for (int call = 0; call < LIAR_CALL_COUNT; call++) {
        for (uint64_t n = 1;
             fail_once((enum liar_call)call, n, error, laziness, &failures);
             n++)
            continue;
    }
    print_message("# %llu calls failed with %s\n",
                  (unsigned long long)failures,
                  strerror(error));
    assert_true(failures > 250);
}

/* [S9, F5, F6] EIO */
static void test_faults__eio_ends_the_log_and_loses_nothing(void **state)
{
    (void)state;
    fail_all(EIO, 0);
}

/* The same while jobs take their time. */
static void test_faults__eio_in_slow_jobs(void **state)
{
    (void)state;
    fail_all(EIO, 2);
}

/* [S9] ENOSPC: want of room where room is asked for, a failure elsewhere. */
static void test_faults__want_of_room_loses_nothing(void **state)
{
    (void)state;
    fail_all(ENOSPC, 0);
}

/* [F2] Killed at the n-th call, of whatever kind: nothing happens after it. */
static void test_faults__death_at_every_call(void **state)
{
    (void)state;
    uint64_t n = 0;
    bool reached = true;
    while (reached) {
        struct log_world world;
        n++;
        log_world_init(&world, 12, SEGMENT_BYTES);
        liar_fail_on(world.liar, true);
        liar_fail(world.liar, LIAR_CALL_COUNT, n, EIO);
        live(&world);
        reached = liar_calls(world.liar, LIAR_CALL_COUNT) >= n;
        liar_fail(world.liar, LIAR_CALL_COUNT, 0, 0);
        if (n % 3 == 0)
            log_world_kill(&world);
        else
            log_world_cut(&world, (enum liar_cut)(n / 3 % LIAR_CUT_COUNT));
        assert_int_equal(log_world_open(&world), BAOZI_OK);
        assert_int_equal(log_world_close(&world), BAOZI_OK);
        log_world_fini(&world);
    }
    print_message("# died at %llu calls\n", (unsigned long long)n - 1);
    assert_true(n > 300);
}

/* [F5] A start that cannot rewrite the tail is refused, and can be tried
 * again. */
static void test_faults__a_tail_that_cannot_be_rewritten(void **state)
{
    (void)state;
    struct log_world world;
    log_world_init(&world, 13, SEGMENT_BYTES);
    assert_int_equal(log_world_open(&world), BAOZI_OK);
    for (int i = 0; i < 60; i++) {
        assert_true(log_world_put(&world, 1));
        log_world_turn(&world, 100);
    }
    log_world_kill(&world);
    uint64_t refused = 0;
    for (uint64_t n = 1;; n++) {
        struct log_world copy;
        log_world_copy(&world, &copy);
        liar_fail(copy.liar, LIAR_WRITE, n, EIO);
        const enum baozi_status status = log_world_open(&copy);
        log_world_kill(&copy);
        liar_fail(copy.liar, LIAR_WRITE, 0, 0);
        assert_int_equal(log_world_open(&copy), BAOZI_OK);
        log_world_fini(&copy);
        if (status == BAOZI_OK)
            break;
        assert_int_equal(status, BAOZI_STORAGE_FAILED);
        refused++;
    }
    log_world_fini(&world);
    assert_true(refused > 2); /* its segment, and more than one buffer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults__eio_ends_the_log_and_loses_nothing),
        cmocka_unit_test(test_faults__eio_in_slow_jobs),
        cmocka_unit_test(test_faults__want_of_room_loses_nothing),
        cmocka_unit_test(test_faults__death_at_every_call),
        cmocka_unit_test(test_faults__a_tail_that_cannot_be_rewritten),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
