/*
 * test_outbox.c - replies held until their mark, and the journal's marks.
 */
#include "broker/outbox.h"
#include "tests/lib/unit.h"

static struct world {
    void *memory;
    struct bao_bodies *bodies;
    struct bao_outbox outbox;
    struct bao_outbox_peer peers[2];
} world;

static void world_open(void)
{
    size_t bytes = 1u << 20;
    world.memory = aligned_alloc(4096, bytes);
    assert_non_null(world.memory);
    assert_int_equal(bao_bodies_open(1u << 20, &world.bodies), BAOZI_OK);
    bao_outbox_open(
        &world.outbox, bao_arena_init(world.memory, bytes), world.bodies);
    bao_outbox_peer_open(&world.peers[0]);
    bao_outbox_peer_open(&world.peers[1]);
}

static void world_close(void)
{
    bao_outbox_peer_close(&world.outbox, &world.peers[0]);
    bao_outbox_peer_close(&world.outbox, &world.peers[1]);
    assert_int_equal(world.outbox.bytes, 0);
    assert_int_equal(world.outbox.dirty.count, 0);
    bao_bodies_close(world.bodies);
    free(world.memory);
}

enum { MARK_NOW = BAO_MARK_COUNT };

static void hold_need(unsigned peer, uint8_t what, struct bao_need need)
{
    struct bao_reply *reply = bao_reply_new(&world.outbox, 1, 0);
    assert_non_null(reply);
    *bao_reply_operation(reply) = what;
    reply->bytes = 1;
    bao_outbox_hold(&world.outbox, &world.peers[peer], reply, &need);
}

static void hold(unsigned peer, uint8_t what, int mark, uint64_t position)
{
    struct bao_need need = {.at = {0}};
    if (mark != MARK_NOW)
        need.at[mark] = position;
    hold_need(peer, what, need);
}

/* Takes what is ready of a peer, as letters. */
static const char *ready(unsigned peer)
{
    static char letters[64];
    size_t count = 0;
    struct bao_reply *reply;
    while ((reply = bao_outbox_first(&world.peers[peer])) != NULL) {
        letters[count++] = (char)*bao_reply_operation(reply);
        bao_reply_free(&world.outbox, reply);
    }
    letters[count] = '\0';
    return letters;
}

static void marks(uint64_t written, uint64_t synced, uint64_t committed)
{
    struct bao_marks to = {written, synced, committed};
    bao_outbox_release(&world.outbox, &to);
}

static void test_outbox__a_reply_leaves_when_its_mark_has_passed(void **state)
{
    (void)state;
    world_open();
    hold(0, 'n', MARK_NOW, 5);
    hold(0, 'w', BAO_MARK_WRITTEN, 5);
    hold(0, 's', BAO_MARK_SYNCED, 5);
    hold(0, 'c', BAO_MARK_COMMITTED, 5);
    assert_string_equal(ready(0), "n");
    marks(4, 4, 4);
    assert_string_equal(ready(0), "");
    marks(5, 4, 4);
    assert_string_equal(ready(0), "w");
    marks(9, 5, 4);
    assert_string_equal(ready(0), "s");
    marks(9, 9, 5);
    assert_string_equal(ready(0), "c");
    world_close();
}

static void test_outbox__replies_of_one_mark_leave_in_order(void **state)
{
    (void)state;
    world_open();
    hold(0, 'a', BAO_MARK_SYNCED, 1);
    hold(1, 'b', BAO_MARK_SYNCED, 2);
    hold(0, 'c', BAO_MARK_SYNCED, 2);
    hold(0, 'd', BAO_MARK_SYNCED, 3);
    marks(3, 2, 0);
    assert_string_equal(ready(0), "ac");
    assert_string_equal(ready(1), "b");
    marks(3, 3, 0);
    assert_string_equal(ready(0), "d");
    world_close();
}

static void test_outbox__a_peer_is_listed_once_until_it_is_taken(void **state)
{
    (void)state;
    world_open();
    hold(0, 'a', MARK_NOW, 1);
    hold(0, 'b', MARK_NOW, 1);
    hold(1, 'c', MARK_NOW, 1);
    assert_ptr_equal(bao_outbox_next(&world.outbox), &world.peers[0]);
    assert_ptr_equal(bao_outbox_next(&world.outbox), &world.peers[1]);
    assert_null(bao_outbox_next(&world.outbox));
    bao_outbox_again(&world.outbox, &world.peers[0]);
    bao_outbox_again(&world.outbox, &world.peers[0]);
    assert_ptr_equal(bao_outbox_next(&world.outbox), &world.peers[0]);
    assert_null(bao_outbox_next(&world.outbox));
    world_close();
}

static void test_outbox__a_peer_that_goes_takes_its_replies_along(void **state)
{
    (void)state;
    world_open();
    hold(0, 'a', MARK_NOW, 1);
    hold(0, 'b', BAO_MARK_SYNCED, 1);
    hold(1, 'c', BAO_MARK_SYNCED, 1);
    hold(0, 'd', BAO_MARK_SYNCED, 2);
    assert_int_equal(world.outbox.bytes, 4);
    bao_outbox_peer_close(&world.outbox, &world.peers[0]);
    assert_int_equal(world.outbox.bytes, 1);
    marks(2, 2, 2);
    assert_string_equal(ready(1), "c");
    world_close();
}

/* A lease of an item whose put came before other puts: its place in the line
 * is that of the put. */
static void
test_outbox__positions_of_one_mark_need_not_come_in_order(void **state)
{
    (void)state;
    world_open();
    hold(0, 'c', BAO_MARK_SYNCED, 9);
    hold(0, 'b', BAO_MARK_SYNCED, 5);
    hold(0, 'd', BAO_MARK_SYNCED, 9);
    hold(0, 'a', BAO_MARK_SYNCED, 2);
    marks(9, 5, 0);
    assert_string_equal(ready(0), "ab");
    marks(9, 9, 0);
    assert_string_equal(ready(0), "cd");
    world_close();
}

static void test_outbox__a_reply_may_need_two_marks(void **state)
{
    (void)state;
    world_open();
    const struct bao_need need = {
        .at = {[BAO_MARK_WRITTEN] = 7, [BAO_MARK_SYNCED] = 3}};
    hold_need(0, 'a', need);
    hold_need(0, 'b', need);
    assert_true(bao_outbox_wants_sync(&world.outbox));
    marks(6, 6, 0);
    assert_string_equal(ready(0), "");
    assert_false(bao_outbox_wants_sync(&world.outbox));
    marks(7, 6, 0);
    assert_string_equal(ready(0), "ab");
    hold_need(0, 'c', need);
    marks(8, 2, 0);
    assert_string_equal(ready(0), "");
    marks(8, 8, 0);
    assert_string_equal(ready(0), "c");
    world_close();
}

static void expect_need(enum bao_wait wait,
                        enum bao_level level,
                        uint64_t written,
                        uint64_t synced,
                        uint64_t committed)
{
    const struct bao_depends on = {
        .step = 30, .queue = 20, .puts = 10, .made = 5};
    struct bao_need need = bao_outbox_need(wait, level, &on);
    assert_int_equal(need.at[BAO_MARK_WRITTEN], written);
    assert_int_equal(need.at[BAO_MARK_SYNCED], synced);
    assert_int_equal(need.at[BAO_MARK_COMMITTED], committed);
}

/* Architecture section 2: what waits for what. */
static void test_outbox__what_waits_for_what(void **state)
{
    (void)state;
    for (int level = BAO_LEVEL_MEMORY; level <= BAO_LEVEL_QUORUM; level++)
        expect_need(BAO_WAIT_NONE, (enum bao_level)level, 0, 0, 0);
    for (int wait = BAO_WAIT_LEVEL; wait <= BAO_WAIT_SEEN; wait++)
        expect_need((enum bao_wait)wait, BAO_LEVEL_MEMORY, 0, 5, 0);
    expect_need(BAO_WAIT_LEVEL, BAO_LEVEL_OS, 30, 5, 0);
    expect_need(BAO_WAIT_LEASE, BAO_LEVEL_OS, 30, 5, 0);
    expect_need(BAO_WAIT_SEEN, BAO_LEVEL_OS, 20, 5, 0);
    expect_need(BAO_WAIT_LEVEL, BAO_LEVEL_DISK, 0, 30, 0);
    expect_need(BAO_WAIT_LEASE, BAO_LEVEL_DISK, 30, 10, 0);
    expect_need(BAO_WAIT_SEEN, BAO_LEVEL_DISK, 0, 20, 0);
    expect_need(BAO_WAIT_LEVEL, BAO_LEVEL_QUORUM, 0, 0, 30);
    expect_need(BAO_WAIT_LEASE, BAO_LEVEL_QUORUM, 0, 0, 30);
    expect_need(BAO_WAIT_SEEN, BAO_LEVEL_QUORUM, 0, 0, 20);
    /* A duplicate's answer waits like the first one's, without a fact. */
    const struct bao_depends again = {.queue = 20};
    struct bao_need need =
        bao_outbox_need(BAO_WAIT_LEVEL, BAO_LEVEL_DISK, &again);
    assert_int_equal(need.at[BAO_MARK_SYNCED], 20);
}

static void test_journal__marks_move_when_the_turn_is_written(void **state)
{
    (void)state;
    struct bao_journal journal;
    struct bao_fact fact = {.kind = BAO_FACT_EPOCH};
    bao_journal_open(&journal);
    assert_int_equal(bao_journal_level(&journal), BAO_LEVEL_MEMORY);
    assert_int_equal(bao_journal_put(&journal, &fact, NULL), 1);
    assert_int_equal(bao_journal_put(&journal, &fact, NULL), 2);
    assert_int_equal(bao_journal_marks(&journal).written, 0);
    bao_journal_write(&journal, 0, true);
    assert_int_equal(bao_journal_marks(&journal).written, 2);
    assert_int_equal(bao_journal_marks(&journal).synced, 2);
    assert_int_equal(bao_journal_marks(&journal).committed, 2);
    assert_int_equal(bao_journal_put(&journal, &fact, NULL), 3);
    assert_int_equal(bao_journal_marks(&journal).written, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox__a_reply_leaves_when_its_mark_has_passed),
        cmocka_unit_test(test_outbox__replies_of_one_mark_leave_in_order),
        cmocka_unit_test(
            test_outbox__positions_of_one_mark_need_not_come_in_order),
        cmocka_unit_test(test_outbox__a_reply_may_need_two_marks),
        cmocka_unit_test(test_outbox__a_peer_is_listed_once_until_it_is_taken),
        cmocka_unit_test(test_outbox__a_peer_that_goes_takes_its_replies_along),
        cmocka_unit_test(test_outbox__what_waits_for_what),
        cmocka_unit_test(test_journal__marks_move_when_the_turn_is_written),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
