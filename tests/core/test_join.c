/*
 * test_join.c - what is counted, and who is told when it reaches 0.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void
test_join__join_returns_at_once_when_nothing_is_unfinished(void **state)
{
    (void)state;
    world_says("[   0] p1 join buns         -> ok\n"
               "[   0] p1 join buns try     -> ok\n"
               "[   1] p1 put buns 'a'      -> ok, item 1\n"
               "[   2] p1 join buns try     -> TIMEOUT, unfinished 1\n"
               "[   3] p1 join buns wait 50 .. waits\n"
               "[  53]\n"
               "       p1 join buns wait 50 -> TIMEOUT, unfinished 1\n"
               "[  60] w1 get buns          -> ok, item 1 'a', lease 1 "
               "until 30060\n"
               "[  61] w1 done 1            -> ok\n"
               "[  62] p1 join buns         -> ok, done 1\n");
}

/* Both joiners hear it in the very step; what is put later is not theirs. */
static void test_join__join_is_answered_at_the_transition_to_0(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   1] p1 join buns    .. waits\n"
               "[   2] p2 join buns    .. waits\n"
               "[   3] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30003\n"
               "[   4] w1 done 1       -> ok\n"
               "       p1 join buns    -> ok, done 1\n"
               "       p2 join buns    -> ok, done 1\n"
               "[   5] p1 put buns 'b' -> ok, item 2\n"
               "[   6] p2 join buns    .. waits\n"
               "[   7] w1 get buns     -> ok, item 2 'b', lease 2 until "
               "30007\n"
               "[   8] w1 done 2       -> ok\n"
               "       p2 join buns    -> ok, done 2\n");
}

static void
test_join__unfinished_is_what_was_accepted_and_not_settled(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'    -> ok, items 1-3\n"
               "[   0] p1 put buns 'd' delay 1000 -> ok, item 4\n"
               "[   1] w1 get buns 2              -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30001\n"
               "[   2] p1 stat buns accepted ready delayed leased "
               "unfinished -> ok, accepted 4, ready 1, delayed 1, leased 2, "
               "unfinished 4\n"
               "[   3] w1 done 1                  -> ok\n"
               "[   3] w1 reject 2                -> ok\n"
               "[   4] p1 cancel_item 3           -> ok\n"
               "[   5] p1 stat buns accepted ready delayed leased "
               "unfinished -> ok, accepted 4, ready 0, delayed 1, leased 0, "
               "unfinished 1\n"
               "[   6] p1 purge buns              -> ok, purged 1\n"
               "[   7] p1 stat buns unfinished done died cancelled purged "
               "-> ok, unfinished 0, done 1, died 1, cancelled 1, purged 1\n"
               "[   8] p1 join buns               -> ok, done 1, dead 1, "
               "cancelled 1, purged 1\n");
}

static void test_join__a_group_is_joined_alone(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' group g -> ok, items 1-2\n"
               "[   0] p1 put buns 'c' group h     -> ok, item 3\n"
               "[   0] p1 put buns 'd'             -> ok, item 4\n"
               "[   1] p2 join buns group unknown  -> ok\n"
               "[   1] p2 join buns group g        .. waits\n"
               "[   2] w1 get buns 4               -> ok, item 1 'a' (group "
               "g), item 2 'b' (group g), item 3 'c' (group h), item 4 'd', "
               "leases 1-4 until 30002\n"
               "[   3] w1 done 1                   -> ok\n"
               "[   4] w1 reject 2 error 'burnt'   -> ok\n"
               "       p2 join buns group g        -> ok, done 1, dead 1, "
               "'burnt'\n"
               "[   5] p1 stat buns groups         -> ok, groups 2\n"
               "[   6] w1 done 3                   -> ok\n"
               "[   7] p2 join buns group h        -> ok, done 1\n");
}

static void
test_join__a_finished_group_keeps_its_counts_for_a_while(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns group_ttl_ms 1000 -> ok, created\n"
               "[   0] p1 put buns 'a' group g -> ok, item 1\n"
               "[   1] w1 get buns             -> ok, item 1 'a' (group g), "
               "lease 1 until 30001\n"
               "[  10] w1 done 1               -> ok\n"
               "[1009] p1 join buns group g    -> ok, done 1\n"
               "[1010] p1 stat buns groups     -> ok, groups 0\n"
               "[1010] p1 join buns group g    -> ok\n");
}

static void test_join__groups_are_bounded(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns group_max 2 -> ok, created\n"
               "[   0] p1 put buns 'a' group g     -> ok, item 1\n"
               "[   0] p1 put buns 'b' group h     -> ok, item 2\n"
               "[   0] p1 put buns 'c' group i     -> QUOTA\n"
               "[   0] p1 put buns 'c' group h     -> ok, item 3\n"
               "[   1] p1 cancel_item 1            -> ok\n"
               "[   2] p1 put buns 'd' group i     -> ok, item 4\n"
               "[   3] p1 join buns group g        -> ok\n");
}

/* It survives a resume, and ends with the session. */
static void test_join__mine_is_what_this_session_put(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'      -> ok, item 1\n"
               "[   0] p2 put buns 'b'      -> ok, item 2\n"
               "[   1] p1 join buns mine #j .. waits\n"
               "[   2] p1 closes\n"
               "[ 100] p1 hello resume      -> ok, session 1, resumed\n"
               "[ 100] p1 held\n"
               "[ 100] p1 resend #j         .. waits\n"
               "[ 101] w1 get buns 2        -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30101\n"
               "[ 102] w1 done 1            -> ok\n"
               "       p1 join #j           -> ok, done 1\n"
               "[ 103] p2 bye               -> ok\n"
               "[ 104] p2 hello             -> ok, session 4\n"
               "[ 105] p2 join buns mine    -> ok\n");
}

/* New work keeps flowing; the join waits for what was there, in whatever
 * order it ends. */
static void test_join__up_to_now_is_a_mark_in_the_order(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'   -> ok, items 1-3\n"
               "[   0] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   0] w1 done 1                 -> ok\n"
               "[   1] p1 join buns up_to        .. waits\n"
               "       p1 join buns up_to        -> at 3, done 1\n"
               "[   2] p1 put buns 'd'           -> ok, item 4\n"
               "[   3] w1 get buns 3             -> ok, item 2 'b', item 3 "
               "'c', item 4 'd', leases 2-4 until 30003\n"
               "[   4] w1 done 4                 -> ok\n"
               "[   5] w1 done 3                 -> ok\n"
               "[   6] p1 put buns 'e'           -> ok, item 5\n"
               "[   7] w1 reject 2 error 'burnt' -> ok\n"
               "       p1 join buns up_to        -> ok, done 2, dead 1, "
               "'burnt'\n"
               "[   8] p1 stat buns unfinished   -> ok, unfinished 1\n");
}

static void test_join__up_to_now_of_an_idle_queue_returns_at_once(void **state)
{
    (void)state;
    world_says("[   0] p1 join buns up_to -> ok\n");
}

/* One that remembers its mark goes on as it was; one that lost it waits
 * for more, never for less. */
static void test_join__a_resent_up_to_carries_its_mark(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'       -> ok, item 1\n"
               "[   1] p1 join buns up_to #j .. waits\n"
               "       p1 join #j            -> at 1\n"
               "[   1] p2 join buns up_to #j .. waits\n"
               "       p2 join #j            -> at 1\n"
               "[   2] p1 put buns 'b'       -> ok, item 2\n"
               "[   3] p1 closes\n"
               "[   3] p2 closes\n"
               "[   4] p1 hello resume       -> ok, session 1, resumed\n"
               "[   4] p1 held\n"
               "[   4] p1 resend #j mark 1   .. waits\n"
               "[   5] p2 hello resume       -> ok, session 2, resumed\n"
               "[   5] p2 held\n"
               "[   5] p2 resend #j          .. waits\n"
               "[   6] w1 get buns 2         -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30006\n"
               "[   7] w1 done 1             -> ok\n"
               "       p1 join #j            -> ok, done 1\n"
               "       p2 join #j            -> ok, done 1\n");
}

static void test_join__the_first_errors_come_with_the_counts(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' 'd' 'e' 'f' 'g' 'h' 'i' 'j' "
               "'k' 'l' 'm' 'n' 'o' 'p' 'q' 'r' -> ok, items 1-18\n"
               "[   0] w1 get buns 18 #g -> ok, item 1 'a', item 2 'b', "
               "item 3 'c', item 4 'd', item 5 'e', item 6 'f', item 7 'g', "
               "item 8 'h', item 9 'i', item 10 'j', item 11 'k', item 12 "
               "'l', item 13 'm', item 14 'n', item 15 'o', item 16 'p', "
               "item 17 'q', item 18 'r', leases 1-18 until 30000\n"
               "[   1] w1 reject 1 2 3 4 5 6 7 8 error 'burnt' -> ok x8\n"
               "[   1] w1 reject 9 error 'eaten by a cat' -> ok\n"
               "[   1] w1 reject 10 11 12 13 14 15 16 17 18 error 'cold' -> "
               "ok x9\n"
               "[   2] p1 join buns      -> ok, dead 18, 'burnt', 'burnt', "
               "'burnt', 'burnt', 'burnt', 'burnt', 'burnt', 'burnt', "
               "'eaten by a cat', 'cold', 'cold', 'cold', 'cold', 'cold', "
               "'cold', 'cold'\n");
}

static void
test_join__task_done_without_an_item_settles_the_oldest_lease(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'        -> ok, items 1-3\n"
               "[   0] w1 done_next buns              -> TOO_MANY\n"
               "[   1] w1 get buns 2                  -> ok, item 1 'a', "
               "item 2 'b', leases 1-2 until 30001\n"
               "[   1] w2 get buns                    -> ok, item 3 'c', "
               "lease 3 until 30001\n"
               "[   2] w1 done_next buns              -> ok, item 1\n"
               "[   3] w1 done_next buns              -> ok, item 2\n"
               "[   4] w1 done_next buns              -> TOO_MANY\n"
               "[   5] p1 stat buns unfinished leased -> ok, unfinished 1, "
               "leased 1\n");
}

const struct core_test core_tests_join[] = {
    CORE_TEST(test_join__join_returns_at_once_when_nothing_is_unfinished,
              "S4.2.a"),
    CORE_TEST(test_join__join_is_answered_at_the_transition_to_0, "S4.2.b"),
    CORE_TEST(test_join__unfinished_is_what_was_accepted_and_not_settled,
              "S4.1.a"),
    CORE_TEST(test_join__a_group_is_joined_alone, "S4.3.b S1.t S1.w S1.g"),
    CORE_TEST(test_join__a_finished_group_keeps_its_counts_for_a_while,
              "S1.u S1.t"),
    CORE_TEST(test_join__groups_are_bounded, "S1.v"),
    CORE_TEST(test_join__mine_is_what_this_session_put, "S4.3.c S4.3.d S1.m"),
    CORE_TEST(test_join__up_to_now_is_a_mark_in_the_order, "S4.3.e S4.3.f"),
    CORE_TEST(test_join__up_to_now_of_an_idle_queue_returns_at_once,
              "S4.3.e S4.2.a"),
    CORE_TEST(test_join__a_resent_up_to_carries_its_mark, "S4.3.g"),
    CORE_TEST(test_join__the_first_errors_come_with_the_counts, "S4.3.h"),
    CORE_TEST(test_join__task_done_without_an_item_settles_the_oldest_lease,
              "S4.4.a S4.4.b"),
    CORE_TESTS_END,
};
