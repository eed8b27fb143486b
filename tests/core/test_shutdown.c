/*
 * test_shutdown.c - Python 3.13's queue.shutdown.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_shutdown__after_shutdown_put_fails_and_get_drains(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'       -> ok, items 1-2\n"
               "[   1] p2 put buns 'c'           .. waits\n"
               "[   2] p1 shutdown buns          -> ok\n"
               "       p2 put buns 'c'           -> SHUTDOWN\n"
               "[   3] p1 put buns 'd'           -> SHUTDOWN\n"
               "[   4] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30004\n"
               "[   5] w1 get buns               -> ok, item 2 'b', lease 2 "
               "until 30005\n"
               "[   6] w1 get buns               -> SHUTDOWN\n"
               "[   7] w1 done 1 2               -> ok x2\n"
               "[   8] p1 join buns              -> ok, done 2\n");
}

/* What w1 holds may come back; w1 itself need not wait for its own. */
static void
test_shutdown__getters_wait_until_no_other_session_holds_a_lease(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns 2       -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30000\n"
               "[   1] p1 shutdown buns    -> ok\n"
               "[   2] w2 get buns         .. waits\n"
               "[   2] w3 get buns wait 50 .. waits\n"
               "[   3] w1 get buns         -> SHUTDOWN\n"
               "[   4] w1 release 1        -> ok\n"
               "       w2 get buns         -> ok, item 1 'a', lease 3 until "
               "30004\n"
               "[   5] w2 get buns         .. waits\n"
               "[  52]\n"
               "       w3 get buns wait 50 -> EMPTY\n"
               "[  60] w1 done 2           -> ok\n"
               "       w2 get buns         -> SHUTDOWN\n"
               "[  61] w2 done 1           -> ok\n");
}

static void test_shutdown__getters_wait_for_what_is_delayed(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' delay 100 -> ok, item 1\n"
               "[   1] w1 get buns               .. waits\n"
               "[   2] w2 get buns               .. waits\n"
               "[   3] p1 shutdown buns          -> ok\n"
               "[ 100]\n"
               "       w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30100\n"
               "[ 101] w1 done 1                 -> ok\n"
               "       w2 get buns               -> SHUTDOWN\n");
}

static void test_shutdown__under_count_shutdown_at_once(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 for "
               "life\n"
               "[   1] p1 shutdown buns    -> ok\n"
               "[   2] w2 get buns         -> ok, item 2 'b', lease 2 for "
               "life\n"
               "[   3] w2 get buns         -> SHUTDOWN\n"
               "[   4] p1 join buns        .. waits\n"
               "[   5] w2 done_next buns   -> ok, item 2\n"
               "[   6] w1 crashes\n"
               "       p1 join buns        -> ok, done 1, dead 1\n"
               "[   7] p1 browse buns dead -> item 1 dead 'a', deliveries "
               "1, history, 'queue shut down'; ok\n");
}

static void
test_shutdown__immediate_empties_the_queue_and_wakes_joiners(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b'        -> ok, items 1-2\n"
               "[   0] p1 put buns 'c' delay 1000 -> ok, item 3\n"
               "[   0] w1 get buns                -> ok, item 1 'a', lease "
               "1 until 30000\n"
               "[   1] p1 join buns               .. waits\n"
               "[   2] p1 shutdown buns immediate -> ok, purged 2\n"
               "[   3] w2 get buns                -> SHUTDOWN\n"
               "[   4] w1 release 1               -> ok\n"
               "       p1 join buns               -> ok, dead 1, purged 2\n"
               "[   5] p1 browse buns dead        -> item 1 dead 'a', "
               "deliveries 1, history, 'queue shut down'; ok\n");
    world_says("[   0] p1 put buns 'a' 'b'        -> ok, items 1-2\n"
               "[   1] p1 join buns               .. waits\n"
               "[   2] p1 shutdown buns immediate -> ok, purged 2\n"
               "       p1 join buns               -> ok, purged 2\n");
}

static void
test_shutdown__after_immediate_a_holder_may_still_finish(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'            -> ok, item 1\n"
               "[   0] w1 get buns                -> ok, item 1 'a', lease "
               "1 until 30000\n"
               "[   1] p1 shutdown buns immediate -> ok\n"
               "[   2] p1 join buns               .. waits\n"
               "[   3] w1 done 1                  -> ok\n"
               "       p1 join buns               -> ok, done 1\n");
}

static void
test_shutdown__purge_leaves_leased_items_to_their_holders(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] p1 purge buns       -> ok, purged 1\n"
               "[   2] w1 done 1           -> ok\n");
}

static void test_shutdown__an_operator_can_reopen(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'            -> ok, item 1\n"
               "[   1] p1 shutdown buns           -> ok\n"
               "[   2] p1 stat buns shut          -> ok, shut 1\n"
               "[   3] p1 put buns 'b'            -> SHUTDOWN\n"
               "[   4] p1 reopen buns             -> ok\n"
               "[   5] p1 put buns 'b'            -> ok, item 2\n"
               "[   6] p1 stat buns shut          -> ok, shut 0\n"
               "[   7] p1 shutdown buns immediate -> ok, purged 2\n"
               "[   8] p1 stat buns shut          -> ok, shut 2\n");
}

const struct core_test core_tests_shutdown[] = {
    CORE_TEST(test_shutdown__after_shutdown_put_fails_and_get_drains,
              "S8.a S8.b"),
    CORE_TEST(test_shutdown__getters_wait_until_no_other_session_holds_a_lease,
              "S8.c"),
    CORE_TEST(test_shutdown__getters_wait_for_what_is_delayed, "S8.b"),
    CORE_TEST(test_shutdown__under_count_shutdown_at_once, "S8.d S8.e"),
    CORE_TEST(test_shutdown__immediate_empties_the_queue_and_wakes_joiners,
              "S8.f S8.g S8.e"),
    CORE_TEST(test_shutdown__after_immediate_a_holder_may_still_finish, "S8.g"),
    CORE_TEST(test_shutdown__purge_leaves_leased_items_to_their_holders,
              "S8.g S2.ag"),
    CORE_TEST(test_shutdown__an_operator_can_reopen, "S8.i S8.h"),
    CORE_TESTS_END,
};
