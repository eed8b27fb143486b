/*
 * test_log_space.c - the log's room: bounded by what is live, and what happens
 * on a disk that is full.
 */
#include "tests/lib/log_owner.h"
#include "tests/lib/unit.h"

#define SEGMENT_BYTES (64u * 1024u)

/* Puts and settles in order until `items` were put; every 5,000th stays, and
 * the first one. Checks the bound (and `slack_bytes`) and what it settles. */
static void churn(struct log_owner *owner,
                  uint64_t items,
                  uint64_t slack_bytes,
                  uint64_t *oldest)
{
    uint64_t end = owner->next_id + items;
    uint64_t backlog = 300;
    while (owner->next_id < end) {
        uint64_t ids[16];
        uint32_t count = 0;
        assert_true(log_owner_put(owner, 8));
        while (*oldest + backlog < owner->next_id && count < 16) {
            if (*oldest % 5000 != 1 && log_owner_has(owner, *oldest)) {
                if (*oldest % 37 == 0)
                    log_owner_check(owner, *oldest);
                ids[count++] = *oldest;
            }
            (*oldest)++;
        }
        if (count > 0)
            assert_true(log_owner_settle(owner, ids, count));
        log_owner_turn(owner, 200);
        assert_false(bao_log_failed(owner->world->log));
        if (liar_bytes(owner->world->liar) >
            log_owner_bound(owner) + slack_bytes) {
            print_message("# %llu bytes, allowed %llu, at item %llu\n",
                          (unsigned long long)liar_bytes(owner->world->liar),
                          (unsigned long long)log_owner_bound(owner),
                          (unsigned long long)owner->next_id);
            fail();
        }
    }
}

/* [S9] One old item pins nothing: the disk holds k times what is live and a
 * constant, while items churn past it. */
static void test_space__is_bounded_by_what_is_live(void **state)
{
    (void)state;
    for (uint32_t laziness = 0; laziness < 3; laziness += 2) {
        struct log_world world;
        struct log_owner owner;
        struct bao_log_stats stats;
        uint64_t oldest = 2;
        log_world_init(&world, 21 + laziness, SEGMENT_BYTES);
        if (laziness > 0)
            log_world_slow(&world, laziness);
        world.steps = 12;
        log_owner_init(&owner, &world);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
        /* Jobs that take as long as filling a segment are worth some. */
        churn(&owner, 100000, laziness * SEGMENT_BYTES, &oldest);
        bao_log_stats(world.log, &stats);
        print_message("# %llu bytes logged, peak %llu on disk, %llu live, "
                      "%llu moved, %llu segments used again\n",
                      (unsigned long long)stats.bytes,
                      (unsigned long long)owner.disk_peak_bytes,
                      (unsigned long long)stats.live_bytes,
                      (unsigned long long)stats.moved_bytes,
                      (unsigned long long)stats.recycled);
        assert_true(stats.bytes > 20u * 1024 * 1024);
        assert_true(owner.moved > 10 && stats.recycled > 100);
        log_owner_check(&owner, 1);
        assert_int_equal(log_world_close(&world), BAOZI_OK);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
        log_owner_check_all(&owner);
        log_owner_fini(&owner);
        log_world_fini(&world);
    }
}

/* The first item that will be settled. */
static uint64_t find_oldest(const struct log_owner *owner)
{
    for (uint64_t id = 2; id < owner->next_id; id++) {
        if (log_owner_has(owner, id) && id % 5000 != 1)
            return id;
    }
    return owner->next_id;
}

/* Power cuts while payloads move. */
static void test_space__moving_survives_power_cuts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct log_world world;
        struct log_owner owner;
        log_world_init(&world, seed, SEGMENT_BYTES);
        if (seed % 3 != 0)
            log_world_slow(&world, (uint32_t)(seed % 3));
        world.steps = 12;
        log_owner_init(&owner, &world);
        for (int life = 0; life < 6; life++) {
            assert_int_equal(log_owner_open(&owner), BAOZI_OK);
            log_owner_check_all(&owner);
            uint64_t oldest = find_oldest(&owner);
            churn(&owner,
                  500 + log_world_draw(&world, 5000),
                  2 * SEGMENT_BYTES,
                  &oldest);
            log_world_cut(
                &world, (enum liar_cut)log_world_draw(&world, LIAR_CUT_COUNT));
        }
        log_owner_fini(&owner);
        log_world_fini(&world);
    }
}

static void fill_up(struct log_owner *owner)
{
    uint32_t refused = 0;
    while (refused < 1000) {
        if (bao_log_room(owner->world->log, BAO_LOG_FOR_PUTS) > 8192)
            assert_true(log_owner_put(owner, 8));
        else
            refused++;
        log_owner_turn(owner, 200);
        assert_false(bao_log_failed(owner->world->log));
    }
}

/* [S9, F7] A full disk refuses puts, goes on with settlements, and recovers by
 * itself when there is room. */
static void test_space__a_full_disk_is_no_end(void **state)
{
    (void)state;
    for (uint32_t laziness = 0; laziness < 2; laziness++) {
        struct log_world world;
        struct log_owner owner;
        uint64_t oldest = 1;
        log_world_init(&world, 31, SEGMENT_BYTES);
        if (laziness > 0)
            log_world_slow(&world, 2);
        log_owner_init(&owner, &world);
        liar_limit(world.liar, 20 * SEGMENT_BYTES);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
        fill_up(&owner);
        uint64_t full = owner.live_count;
        print_message("# full with %llu items\n", (unsigned long long)full);
        assert_true(full > 1000);
        /* Consumers drain it all the same. */
        while (oldest + 200 < owner.next_id) {
            uint64_t ids[8];
            for (uint32_t i = 0; i < 8; i++) {
                log_owner_check(&owner, oldest);
                ids[i] = oldest++;
            }
            assert_true(bao_log_room(world.log, BAO_LOG_FOR_SETTLES) > 8192);
            assert_true(log_owner_settle(&owner, ids, 8));
            log_owner_turn(&owner, 200);
        }
        for (int i = 0; i < 3000; i++)
            log_owner_turn(&owner, 1000);
        assert_true(bao_log_room(world.log, BAO_LOG_FOR_PUTS) > 8192);
        assert_true(log_owner_put(&owner, 8));
        log_owner_turn(&owner, 200);
        log_world_cut(&world, LIAR_CUT_SECTORS);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
        log_owner_check_all(&owner);
        assert_int_equal(log_world_close(&world), BAOZI_OK);
        log_owner_fini(&owner);
        log_world_fini(&world);
    }
}

/* [S9] On a disk that stays full, facts that free nothing (leases and
 * returns) go on for ever: two segments are filled in turns. */
static void test_space__a_full_disk_takes_dead_facts_for_ever(void **state)
{
    (void)state;
    for (uint32_t laziness = 0; laziness < 3; laziness += 2) {
        struct log_world world;
        struct log_owner owner;
        struct bao_log_stats stats;
        uint64_t least = UINT64_MAX;
        log_world_init(&world, 41 + laziness, SEGMENT_BYTES);
        if (laziness > 0)
            log_world_slow(&world, laziness);
        world.steps = 12;
        log_owner_init(&owner, &world);
        liar_limit(world.liar, 20 * SEGMENT_BYTES);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
        fill_up(&owner);
        bao_log_stats(world.log, &stats);
        uint64_t end = stats.bytes + 40 * (uint64_t)SEGMENT_BYTES;
        while (stats.bytes < end) {
            uint64_t room = bao_log_room(world.log, BAO_LOG_FOR_LEASES);
            least = room < least ? room : least;
            assert_true(room > 1024);
            assert_true(bao_log_room(world.log, BAO_LOG_FOR_PUTS) < 8192);
            for (int i = 0; i < 8; i++)
                assert_true(log_owner_settle(&owner, NULL, 0));
            log_owner_turn(&owner, 200);
            assert_false(bao_log_failed(world.log));
            bao_log_stats(world.log, &stats);
        }
        print_message("# 40 segments of dead facts, at least %llu bytes of "
                      "room left\n",
                      (unsigned long long)least);
        liar_limit(world.liar, UINT64_MAX);
        for (int i = 0; i < 3000; i++)
            log_owner_turn(&owner, 1000);
        assert_true(bao_log_room(world.log, BAO_LOG_FOR_PUTS) >
                    50 * (uint64_t)SEGMENT_BYTES);
        log_owner_check_all(&owner);
        log_world_cut(&world, LIAR_CUT_SECTORS);
        assert_int_equal(log_owner_open(&owner), BAOZI_OK);
        log_owner_check_all(&owner);
        log_owner_fini(&owner);
        log_world_fini(&world);
    }
}

/* Appends what `use` has room for, most of the time all of it. */
static uint64_t spend(struct log_world *world, enum bao_log_use use)
{
    uint64_t room = bao_log_room(world->log, use);
    uint64_t bytes = 0;
    uint64_t count = 0;
    if (log_world_draw(world, 3) == 0)
        room /= 1 + log_world_draw(world, 8);
    while (count < 400) {
        bytes += bao_record_bytes(log_entry_bytes(world, world->next + count));
        if (bytes > room)
            break;
        count++;
    }
    assert_true(log_world_put(world, count));
    return count;
}

/* Another one on the disk takes room, or gives it back. */
static void change_limit(struct log_world *world)
{
    uint64_t more = log_world_draw(world, 24 * SEGMENT_BYTES);
    liar_limit(world->liar, liar_bytes(world->liar) + more);
    for (int i = 0; i < 3; i++)
        log_world_turn(world, BAO_LOG_LOOK_US);
}

static void begin_small(struct log_world *world, uint64_t seed)
{
    static const uint32_t parts[] = {1, 2, 3, 64}; /* of a segment */
    static const uint32_t large[] = {1, 2, 8, 64};
    log_world_init(world, seed, SEGMENT_BYTES);
    if (seed % 3 != 0)
        log_world_slow(world, (uint32_t)(seed % 3));
    world->steps = 4;
    world->large = large[seed / 4 % 4];
    liar_limit(world->liar, (6 + seed % 30) * SEGMENT_BYTES);
    assert_int_equal(log_world_open(world), BAOZI_OK);
    world->bytes_max = bao_log_record_bytes_max(world->log) / parts[seed % 4];
}

static void end_small(struct log_world *world)
{
    liar_limit(world->liar, UINT64_MAX);
    for (int i = 0; i < 3000; i++)
        log_world_turn(world, 1000);
    assert_true(bao_log_room(world->log, BAO_LOG_FOR_PUTS) >
                30 * (uint64_t)SEGMENT_BYTES);
    assert_int_equal(log_world_close(world), BAOZI_OK);
    assert_int_equal(log_world_open(world), BAOZI_OK);
    log_world_fini(world);
}

/* [S9, F7] On a disk of which nobody knows yet that it is nearly full: what
 * the log has room for fits, whatever the sizes; and after a crash there is
 * room for the tail. */
static void test_space__what_there_is_room_for_fits(void **state)
{
    (void)state;
    uint64_t puts = 0;
    uint64_t refused = 0;
    uint64_t crashes = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct log_world world;
        begin_small(&world, seed);
        for (int i = 0; i < 120; i++) {
            bool room = bao_log_room(world.log, BAO_LOG_FOR_PUTS) > 0;
            puts += spend(&world, BAO_LOG_FOR_PUTS);
            refused += !room;
            log_world_turn(&world, log_world_draw(&world, 20000));
            assert_false(bao_log_failed(world.log));
            if (room && log_world_draw(&world, 12) == 0) {
                crashes++;
                log_world_cut(&world,
                              (enum liar_cut)(crashes % LIAR_CUT_COUNT));
                assert_int_equal(log_world_open(&world), BAOZI_OK);
            } else if (log_world_draw(&world, 20) == 0) {
                change_limit(&world);
            } else if (log_world_draw(&world, 12) == 0) {
                (void)log_world_checkpoint(&world);
            }
        }
        end_small(&world);
    }
    print_message("# %llu records, %llu crashes, %llu turns without room\n",
                  (unsigned long long)puts,
                  (unsigned long long)crashes,
                  (unsigned long long)refused);
    assert_true(puts > 50000 && crashes > 500 && refused > 500);
}

/* The reserve too, to its last byte, for what is no put. */
static void test_space__so_does_what_uses_the_reserve(void **state)
{
    (void)state;
    uint64_t ends = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct log_world world;
        begin_small(&world, seed);
        for (int i = 0; i < 80; i++) {
            (void)spend(&world,
                        (enum bao_log_use)log_world_draw(
                            &world, BAO_LOG_FOR_SETTLES + 1));
            log_world_turn(&world, log_world_draw(&world, 20000));
            assert_false(bao_log_failed(world.log));
            ends += bao_log_room(world.log, BAO_LOG_FOR_SETTLES) < 200;
            if (log_world_draw(&world, 12) == 0)
                (void)log_world_checkpoint(&world);
        }
        end_small(&world);
    }
    print_message("# at its end %llu times\n", (unsigned long long)ends);
    assert_true(ends > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_space__is_bounded_by_what_is_live),
        cmocka_unit_test(test_space__moving_survives_power_cuts),
        cmocka_unit_test(test_space__a_full_disk_is_no_end),
        cmocka_unit_test(test_space__a_full_disk_takes_dead_facts_for_ever),
        cmocka_unit_test(test_space__what_there_is_room_for_fits),
        cmocka_unit_test(test_space__so_does_what_uses_the_reserve),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
