/*
 * test_count.c - accounting = count: CPython's counter, for the drop-in.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_count__task_done_subtracts_one_until_0(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   0] w1 done_next buns -> TOO_MANY\n"
               "[   1] p1 put buns 'a'   -> ok, item 1\n"
               "[   1] p1 join buns      .. waits\n"
               "[   2] w1 get buns       -> ok, item 1 'a', lease 1 for life\n"
               "[   3] w1 done_next buns -> ok, item 1\n"
               "       p1 join buns      -> ok, done 1\n"
               "[   4] w1 done_next buns -> TOO_MANY\n");
}

/* Own oldest lease, then a taken item, then the queue's oldest lease; with
 * none of these it is prepaid. A prepaid item is settled as soon as its
 * getter has it for sure. */
static void test_count__what_a_task_done_ends_in_which_order(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' 'd' -> ok, items 1-4\n"
               "[   1] w1 get buns                 -> ok, item 1 'a', lease "
               "1 for life\n"
               "[   2] w1 bye                      -> ok\n"
               "[   2] p1 stat buns leased taken unfinished -> ok, leased "
               "0, taken 1, unfinished 4\n"
               "[   3] w2 get buns                 -> ok, item 2 'b', lease "
               "2 for life\n"
               "[   4] w3 get buns                 -> ok, item 3 'c', lease "
               "3 for life\n"
               "[   5] w2 done_next buns           -> ok, item 2\n"
               "[   6] w2 done_next buns           -> ok, item 1\n"
               "[   7] w2 done_next buns           -> ok, item 3\n"
               "[   8] p1 join buns                .. waits\n"
               "[   9] w2 done_next buns           -> ok\n"
               "       p1 join buns                -> ok, done 4\n"
               "[   9] p1 stat buns ready prepaid unfinished -> ok, ready "
               "1, prepaid 1, unfinished 0\n"
               "[  10] w2 done_next buns           -> TOO_MANY\n"
               "[  11] w3 get buns                 -> ok, item 4, prepaid\n"
               "[  12] w3 ack 1-2\n"
               "[  13] p1 stat buns ready leased prepaid unfinished done -> "
               "ok, ready 0, leased 0, prepaid 0, unfinished 0, done 4\n"
               "[  14] w3 done 3                   -> STALE\n");
}

/* A push is not settled at the hand-out even if it is paid for; BYE may not
 * leave it taken, since no task_done is outstanding that would end it. */
static void test_count__bye_settles_a_push_that_is_paid_for(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   1] p1 put buns 'a' want_result      -> ok, item 1\n"
               "[   2] p1 wait 1                        .. waits\n"
               "[   3] p1 done_next buns                -> ok\n"
               "[   4] w1 subscribe buns items 5 #s     .. waits\n"
               "       w1 subscribe #s                  -> push 1: item 1 'a', "
               "lease 1 for life\n"
               "[   5] w1 bye                           -> ok\n"
               "       w1 subscribe #s                  -> CANCELLED\n"
               "       p1 wait 1                        -> ok, done\n"
               "[   6] p1 stat buns taken prepaid done  -> ok, taken 0, "
               "prepaid 0, done 1\n");
}

static void test_count__only_death_returns_a_lease(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   1] w1 get buns         -> ok, item 1 'a', lease 1 for "
               "life\n"
               "[   2] w2 get buns         -> ok, item 2 'b', lease 2 for "
               "life\n"
               "[   3] w1 crashes\n"
               "[   4] w2 bye              -> ok\n"
               "[   5] w3 get buns         -> ok, item 1 'a' (delivery 2), "
               "lease 3 for life\n"
               "[   6] w3 get buns try     -> EMPTY\n"
               "[   7] p1 stat buns leased taken unfinished -> ok, leased "
               "1, taken 1, unfinished 2\n");
}

static void test_count__a_lease_has_no_deadline(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count lease_ms 100 "
               "max_run_ms 200 -> ok, created\n"
               "[   0] p1 put buns 'a'      -> ok, item 1\n"
               "[   1] w1 get buns lease 50 -> ok, item 1 'a', lease 1 for "
               "life\n"
               "[60000] w1 done 1           -> ok\n");
}

const struct core_test core_tests_count[] = {
    CORE_TEST(test_count__task_done_subtracts_one_until_0, "S4.4.c S4.4.e"),
    CORE_TEST(test_count__what_a_task_done_ends_in_which_order,
              "S4.4.d S4.4.e S4.4.f"),
    CORE_TEST(test_count__bye_settles_a_push_that_is_paid_for, "S4.4.f"),
    CORE_TEST(test_count__only_death_returns_a_lease, "S4.4.f"),
    CORE_TEST(test_count__a_lease_has_no_deadline, "S4.4.g"),
    CORE_TESTS_END,
};
