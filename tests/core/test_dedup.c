/*
 * test_dedup.c - keys of the caller's own.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_dedup__a_key_holds_for_its_window(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' key k window 100 -> ok, item 1\n"
               "[   1] p2 put buns 'b' key k window 100 -> ok, duplicate of "
               "item 1\n"
               "[   2] w1 get buns -> ok, item 1 'a', lease 1 until 30002\n"
               "[   3] w1 done 1   -> ok\n"
               "[  99] p2 put buns 'c' key k window 100 -> ok, duplicate of "
               "item 1\n"
               "[ 100] p2 put buns 'd' key k window 100 -> ok, item 2\n"
               "[ 101] p1 put buns 'e' key other window 100 -> ok, item 3\n");
}

static void test_dedup__the_queue_may_have_a_window(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns dedup_window_ms 100 -> ok, created\n"
               "[   0] p1 put buns 'a' key k -> ok, item 1\n"
               "[   1] p1 put buns 'b' key k -> ok, duplicate of item 1\n"
               "[   2] p1 put buns 'c'       -> ok, item 2\n"
               "[ 100] p1 put buns 'd' key k -> ok, item 3\n");
}

static void test_dedup__unique_holds_while_not_settled(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' key k unique -> ok, item 1\n"
               "[   1] p1 put buns 'b' key k unique -> ok, duplicate of "
               "item 1\n"
               "[   2] w1 get buns                  -> ok, item 1 'a', "
               "lease 1 until 30002\n"
               "[   3] p1 put buns 'c' key k unique -> ok, duplicate of "
               "item 1\n"
               "[   4] w1 retry 1 delay 0           -> ok\n"
               "[   5] p1 put buns 'd' key k unique -> ok, duplicate of "
               "item 1\n"
               "[   6] w1 get buns                  -> ok, item 1 'a' "
               "(delivery 2), lease 2 until 30006\n"
               "[   7] w1 done 1                    -> ok\n"
               "[   8] p1 put buns 'e' key k unique -> ok, item 2\n"
               "[   9] p1 cancel_item 2             -> ok\n"
               "[  10] p1 put buns 'f' key k unique -> ok, item 3\n");
}

static void test_dedup__a_duplicate_never_waits(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'a' key k window 1000 -> ok, item 1\n"
               "[   1] p1 put buns 'b'           .. waits\n"
               "[   2] p2 put buns 'a' key k window 1000 -> ok, duplicate "
               "of item 1\n"
               "[   3] p2 put buns 'a' key k window 1000 try -> ok, "
               "duplicate of item 1\n");
}

/* Both wait with the same key; the second is a duplicate by the time that
 * there is room. */
static void test_dedup__a_key_is_looked_at_again_at_accept(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1    -> ok, created\n"
               "[   0] p1 put buns 'x'              -> ok, item 1\n"
               "[   1] p1 put buns 'a' key k unique .. waits\n"
               "[   2] p2 put buns 'b' key k unique .. waits\n"
               "[   3] w1 get buns                  -> ok, item 1 'x', "
               "lease 1 until 30003\n"
               "       p1 put buns 'a' key k unique -> ok, item 2\n"
               "       p2 put buns 'b' key k unique -> ok, duplicate of "
               "item 2\n");
}

static void test_dedup__keys_are_bounded(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns dedup_max 2 -> ok, created\n"
               "[   0] p1 put buns 'a' key k window 100 -> ok, item 1\n"
               "[   0] p1 put buns 'b' key l window 200 -> ok, item 2\n"
               "[   1] p1 put buns 'c' key m window 100 -> QUOTA\n"
               "[   1] p1 put buns 'c' key k window 100 -> ok, duplicate of "
               "item 1\n"
               "[   1] p1 stat buns dedup_keys     -> ok, dedup_keys 2\n"
               "[ 100] p1 put buns 'c' key m window 100 -> ok, item 3\n");
}

static void
test_dedup__a_window_that_ended_while_the_broker_was_busy_is_over(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' key k window 100 -> ok, item 1\n"
               "[  50] broker lags 60\n"
               "[ 110] p1 put buns 'b' key k window 100 -> ok, item 2\n");
}

const struct core_test core_tests_dedup[] = {
    CORE_TEST(test_dedup__a_key_holds_for_its_window, "S7.e"),
    CORE_TEST(test_dedup__the_queue_may_have_a_window, "S7.e"),
    CORE_TEST(test_dedup__unique_holds_while_not_settled, "S7.f"),
    CORE_TEST(test_dedup__a_duplicate_never_waits, "S7.g"),
    CORE_TEST(test_dedup__a_key_is_looked_at_again_at_accept, "S7.h"),
    CORE_TEST(test_dedup__keys_are_bounded, "S7.i"),
    CORE_TEST(test_dedup__a_window_that_ended_while_the_broker_was_busy_is_over,
              "S7.e"),
    CORE_TESTS_END,
};
