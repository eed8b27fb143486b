/*
 * test_settle.c - how an item ends, and who is told.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_settle__retry_counts_and_release_does_not(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'        -> ok, item 1\n"
               "[   0] w1 get buns            -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   1] w1 retry 1 delay 50 error 'oven cold' -> ok\n"
               "[   2] w2 get buns            .. waits\n"
               "[   2] p1 stat buns delayed ready unfinished -> ok, delayed "
               "1, ready 0, unfinished 1\n"
               "[  51]\n"
               "       w2 get buns            -> ok, item 1 'a' (delivery "
               "2), lease 2 until 30051\n"
               "[  52] w2 release 1           -> ok\n"
               "[  53] w2 get buns            -> ok, item 1 'a' (delivery "
               "2), lease 3 until 30053\n"
               "[  54] w2 release 1 delay 100 -> ok\n"
               "[  55] w2 get buns            .. waits\n"
               "[ 154]\n"
               "       w2 get buns            -> ok, item 1 'a' (delivery "
               "2), lease 4 until 30154\n"
               "[ 155] w2 retry 1 delay 0     -> ok\n"
               "[ 156] w2 get buns            -> ok, item 1 'a' (delivery "
               "3), lease 5 until 30156\n");
}

static void test_settle__a_returned_item_keeps_its_place(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' -> ok, items 1-3\n"
               "[   0] w1 get buns 2           -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30000\n"
               "[   1] w1 release 2 1          -> ok x2\n"
               "[   2] w2 get buns 3           -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', leases 3-5 until 30002\n");
    world_says("[   0] p1 declare buns kind lifo -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'       -> ok, items 1-2\n"
               "[   0] w1 get buns               -> ok, item 2 'b', lease 1 "
               "until 30000\n"
               "[   1] p1 put buns 'c' delay 10  -> ok, item 3\n"
               "[   2] p1 put buns 'd'           -> ok, item 4\n"
               "[   3] w1 release 2              -> ok\n"
               "[  11] w2 get buns 4             -> ok, item 4 'd', item 3 "
               "'c', item 2 'b', item 1 'a', leases 2-5 until 30011\n");
    world_says("[   0] p1 declare buns kind priority -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' priorities 2,1,1 -> ok, "
               "items 1-3\n"
               "[   0] w1 get buns 2                 -> ok, item 2 'b' "
               "(priority 1), item 3 'c' (priority 1), leases 1-2 until "
               "30000\n"
               "[   1] p1 put buns 'd' priority 1    -> ok, item 4\n"
               "[   2] w1 release 3 2                -> ok x2\n"
               "[   3] w2 get buns 4                 -> ok, item 2 'b' "
               "(priority 1), item 3 'c' (priority 1), item 4 'd' (priority "
               "1), item 1 'a' (priority 2), leases 3-6 until 30003\n");
}

/* The queue is above its bound for a while; puts wait until it is below. */
static void test_settle__returning_is_never_refused(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1  -> ok, created\n"
               "[   0] p1 put buns 'a'            -> ok, item 1\n"
               "[   0] w1 get buns                -> ok, item 1 'a', lease "
               "1 until 30000\n"
               "[   1] p1 put buns 'b'            -> ok, item 2\n"
               "[   2] w1 release 1               -> ok\n"
               "[   3] p1 put buns 'c'            .. waits\n"
               "[   3] p1 stat buns ready maxsize -> ok, ready 2, maxsize 1\n"
               "[   4] w1 get buns                -> ok, item 1 'a', lease "
               "2 until 30004\n"
               "[   5] w1 get buns                -> ok, item 2 'b', lease "
               "3 until 30005\n"
               "       p1 put buns 'c'            -> ok, item 3\n");
}

static void test_settle__reject_goes_straight_to_dead(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] p1 join buns              .. waits\n"
               "[   0] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   1] w1 reject 1 error 'burnt' -> ok\n"
               "       p1 join buns              -> ok, dead 1, 'burnt'\n"
               "[   2] p1 stat buns dead died unfinished -> ok, dead 1, "
               "died 1, unfinished 0\n"
               "[   3] w1 get buns try           -> EMPTY\n"
               "[   4] w1 done 1                 -> STALE\n");
}

static void test_settle__a_vector_is_answered_item_by_item(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'  -> ok, items 1-3\n"
               "[   0] w1 get buns 3            -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', leases 1-3 until 30000\n"
               "[   1] w1 done 1 2@99 3         -> ok; STALE; ok\n"
               "[   2] p1 stat buns leased done -> ok, leased 1, done 2\n"
               "[   3] w1 done 2 2              -> ok; STALE\n");
}

static void test_settle__a_result_waits_for_who_asked(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' want_result -> ok, item 1\n"
               "[   1] p1 wait 1                   .. waits\n"
               "[   2] w1 get buns                 -> ok, item 1 'a', lease "
               "1 until 30002\n"
               "[   3] w1 done 1 'eaten with soy'  -> ok\n"
               "       p1 wait 1                   -> ok, done 'eaten with "
               "soy'\n"
               "[   4] p2 wait 1                   -> ok, done 'eaten with "
               "soy'\n"
               "[   5] p1 ack 1-3\n"
               "[   6] p2 ack 1\n"
               "[   7] p1 wait 1                   -> NOT_FOUND\n");
}

static void test_settle__each_result_goes_to_its_own_item(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' want_result -> ok, items 1-2\n"
               "[   0] w1 get buns 2                   -> ok, item 1 'a', item "
               "2 'b', leases 1-2 until 30000\n"
               "[   1] w1 done 1@99 2 'for one' 'for the other' -> STALE; ok\n"
               "[   2] p1 wait 2                       -> ok, done 'for the "
               "other'\n");
}

static void
test_settle__an_outcome_is_kept_for_result_ttl_after_its_session(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns result_ttl_ms 1000 -> ok, created\n"
               "[   0] p1 put buns 'a' want_result -> ok, item 1\n"
               "[   1] w1 get buns                 -> ok, item 1 'a', lease "
               "1 until 30001\n"
               "[   2] w1 done 1 'eaten'           -> ok\n"
               "[50000] p2 wait 1                  -> ok, done 'eaten'\n"
               "[50001] p1 bye                     -> ok\n"
               "[51000] p2 wait 1                  -> ok, done 'eaten'\n"
               "[51001] p2 wait 1                  -> NOT_FOUND\n");
}

static void test_settle__an_outcome_nobody_asked_for_is_not_kept(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   1] w1 get buns 2       -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30001\n"
               "[   2] w1 done 1 'eaten'   -> ok\n"
               "[   3] p1 wait 1           -> NOT_FOUND\n"
               "[   4] p1 wait 2           .. waits\n"
               "[   5] w1 done 2 'eaten'   -> ok\n"
               "       p1 wait 2           -> ok, done 'eaten'\n");
}

static void test_settle__wait_tells_every_final_state(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns           -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c'   -> ok, items 1-3\n"
               "[   0] p1 put buns 'd' ttl 100   -> ok, item 4\n"
               "[   0] p1 put buns 'e'           -> ok, item 5\n"
               "[   1] p1 wait 1 #1              .. waits\n"
               "[   1] p1 wait 2 #2              .. waits\n"
               "[   1] p1 wait 3 #3              .. waits\n"
               "[   1] p1 wait 4 #4              .. waits\n"
               "[   1] p1 wait 5 #5              .. waits\n"
               "[   1] p1 wait 5 wait 50 #6      .. waits\n"
               "[   2] w1 get buns 2             -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30002\n"
               "[   3] w1 done 1                 -> ok\n"
               "       p1 wait #1                -> ok, done\n"
               "[   4] w1 reject 2 error 'burnt' -> ok\n"
               "       p1 wait #2                -> ok, dead, error 'burnt'\n"
               "[   5] p1 cancel_item 3          -> ok\n"
               "       p1 wait #3                -> ok, cancelled\n"
               "[  51]\n"
               "       p1 wait #6                -> TIMEOUT\n"
               "[ 100]\n"
               "       p1 wait #4                -> ok, expired\n"
               "[ 101] p1 purge buns             -> ok, purged 1\n"
               "       p1 wait #5                -> ok, purged\n");
    world_says("[   0] p1 declare buns maxsize 1 overflow drop_oldest -> "
               "ok, created\n"
               "[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   1] p1 wait 1       .. waits\n"
               "[   2] p1 put buns 'b' -> ok, item 2\n"
               "       p1 wait 1       -> ok, dropped\n");
}

static void test_settle__cancel_drops_what_is_not_leased(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'            -> ok, item 1\n"
               "[   0] p1 put buns 'b' delay 1000 -> ok, item 2\n"
               "[   0] p1 join buns               .. waits\n"
               "[   1] p1 cancel_item 1           -> ok\n"
               "[   2] p1 cancel_item 1           -> NOT_FOUND\n"
               "[   3] p1 cancel_item 2           -> ok\n"
               "       p1 join buns               -> ok, cancelled 2\n");
}

/* The holder of 1 gives it back and it is cancelled; the holder of 2
 * finishes it, and done wins; that of 3 dies. */
static void test_settle__cancel_asks_who_holds_it(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' -> ok, items 1-3\n"
               "[   0] w1 get buns 2           -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30000\n"
               "[   0] w2 get buns             -> ok, item 3 'c', lease 3 "
               "until 30000\n"
               "[   1] p1 cancel_item 1        -> ok, asked\n"
               "       w1                      -> please cancel item 1, "
               "lease 1\n"
               "[   1] p1 cancel_item 2        -> ok, asked\n"
               "       w1                      -> please cancel item 2, "
               "lease 2\n"
               "[   1] p1 cancel_item 3        -> ok, asked\n"
               "       w2                      -> please cancel item 3, "
               "lease 3\n"
               "[   2] p1 join buns            .. waits\n"
               "[   3] w1 release 1            -> ok\n"
               "[   4] w1 done 2               -> ok\n"
               "[   5] w2 crashes\n"
               "       p1 join buns            -> ok, done 1, cancelled 2\n");
}

const struct core_test core_tests_settle[] = {
    CORE_TEST(test_settle__retry_counts_and_release_does_not, "S2.m S2.n S1.h"),
    CORE_TEST(test_settle__a_returned_item_keeps_its_place, "S2.al S6.l"),
    CORE_TEST(test_settle__returning_is_never_refused, "S2.am"),
    CORE_TEST(test_settle__reject_goes_straight_to_dead, "S2.o S4.1.b S1.i"),
    CORE_TEST(test_settle__a_vector_is_answered_item_by_item, "S2.l"),
    CORE_TEST(test_settle__a_result_waits_for_who_asked, "S2.x S2.l S2.y S2.z"),
    CORE_TEST(test_settle__each_result_goes_to_its_own_item, "S2.l"),
    CORE_TEST(test_settle__an_outcome_is_kept_for_result_ttl_after_its_session,
              "S2.y S2.z"),
    CORE_TEST(test_settle__an_outcome_nobody_asked_for_is_not_kept,
              "S2.x S2.z S1.j"),
    CORE_TEST(test_settle__wait_tells_every_final_state, "S2.x S1.j"),
    CORE_TEST(test_settle__cancel_drops_what_is_not_leased, "S2.u"),
    CORE_TEST(test_settle__cancel_asks_who_holds_it, "S2.v S2.w"),
    CORE_TESTS_END,
};
