/*
 * test_operate.c - what an operator does to a queue.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_operate__pause_in_makes_puts_wait(void **state)
{
    (void)state;
    world_says("[   0] p1 pause buns in        -> ok\n"
               "[   1] p1 put buns 'a' try     -> FULL\n"
               "[   2] p1 put buns 'b' wait 50 .. waits\n"
               "[   3] p1 put buns 'c'         .. waits\n"
               "[   4] p2 put buns 'd'         .. waits\n"
               "[  52]\n"
               "       p1 put buns 'b' wait 50 -> FULL\n"
               "[  60] p1 resume buns in       -> ok\n"
               "       p1 put buns 'c'         -> ok, item 1\n"
               "       p2 put buns 'd'         -> ok, item 2\n");
}

static void test_operate__pause_out_makes_gets_wait(void **state)
{
    (void)state;
    world_says("[   0] p1 pause buns out   -> ok\n"
               "[   1] p1 put buns 'a'     -> ok, item 1\n"
               "[   2] w1 get buns try     -> EMPTY\n"
               "[   3] w1 get buns wait 50 .. waits\n"
               "[   4] w1 get buns #1      .. waits\n"
               "[   5] w2 get buns #2      .. waits\n"
               "[  53]\n"
               "       w1 get buns wait 50 -> EMPTY\n"
               "[  60] p1 resume buns out  -> ok\n"
               "       w1 get #1           -> ok, item 1 'a', lease 1 until "
               "30060\n"
               "[  61] p1 put buns 'b'     -> ok, item 2\n"
               "       w2 get #2           -> ok, item 2 'b', lease 2 until "
               "30061\n");
}

static void test_operate__a_paused_queue_goes_on_settling(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b'        -> ok, items 1-2\n"
               "[   0] p1 put buns 'c' ttl 100    -> ok, item 3\n"
               "[   0] p1 put buns 'd' delay 50   -> ok, item 4\n"
               "[   0] w1 get buns 2              -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30000\n"
               "[   1] p1 pause buns both         -> ok\n"
               "[   2] p1 join buns group none    -> ok\n"
               "[   3] w1 done 1                  -> ok\n"
               "[  50] p1 stat buns ready delayed leased paused -> ok, "
               "ready 2, delayed 0, leased 1, paused 3\n"
               "[ 100] p1 stat buns ready expired -> ok, ready 1, expired 1\n"
               "[ 101] w1 done 2                  -> ok\n"
               "[ 102] p1 join buns               .. waits\n"
               "[ 103] p1 cancel_item 4           -> ok\n"
               "       p1 join buns               -> ok, done 2, expired 1, "
               "cancelled 1\n");
}

static void test_operate__pause_both_and_resume_one(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   1] p1 pause buns both  -> ok\n"
               "[   2] p1 resume buns out  -> ok\n"
               "[   3] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30003\n"
               "[   4] p1 put buns 'b' try -> FULL\n"
               "[   5] p1 resume buns both -> ok\n"
               "[   6] p1 put buns 'b' try -> ok, item 2\n");
}

static void test_operate__purge_drops_ready_and_delayed(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 4       -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c'         -> ok, items 1-3\n"
               "[   0] p1 put buns 'd' delay 1000      -> ok, item 4\n"
               "[   0] p2 put buns 'e'                 .. waits\n"
               "[   1] w1 get buns                     -> ok, item 1 'a', "
               "lease 1 until 30001\n"
               "       p2 put buns 'e'                 -> ok, item 5\n"
               "[   2] w1 reject 1                     -> ok\n"
               "[   3] p1 join buns                    .. waits\n"
               "[   4] p1 purge buns                   -> ok, purged 4\n"
               "       p1 join buns                    -> ok, dead 1, "
               "purged 4\n"
               "[   5] p1 stat buns ready delayed dead -> ok, ready 0, "
               "delayed 0, dead 1\n"
               "[   6] p1 purge buns with_dead         -> ok, purged 1\n"
               "[   7] p1 stat buns dead died purged   -> ok, dead 0, died "
               "1, purged 4\n");
}

static void test_operate__delete_needs_an_empty_queue_or_force(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   1] p1 delete buns  -> BAD_REQUEST\n"
               "[   2] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30002\n"
               "[   3] p1 delete buns  -> BAD_REQUEST\n"
               "[   4] w1 done 1       -> ok\n"
               "[   5] p1 delete buns  -> ok\n"
               "[   6] p1 put buns 'b' -> NOT_FOUND\n");
}

/* Joiners first, with the counts; then those who wait to put or get. */
static void test_operate__a_forced_delete_answers_everybody(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'       -> ok, items 1-2\n"
               "[   0] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   1] p1 put buns 'c'           -> ok, item 3\n"
               "[   2] p2 put buns 'd'           .. waits\n"
               "[   3] p3 join buns              .. waits\n"
               "[   3] p3 wait 2                 .. waits\n"
               "[   4] p4 delete buns force      -> ok, purged 3\n"
               "       p3 wait 2                 -> ok, purged\n"
               "       p3 join buns              -> ok, purged 3\n"
               "       p2 put buns 'd'           -> NOT_FOUND\n"
               "[   5] w1 done 1                 -> NOT_FOUND\n"
               "[   6] w1 touch 1                -> STALE, item 1\n");
    world_says("[   0] w1 get buns    .. waits\n"
               "[   1] p1 delete buns -> ok\n"
               "       w1 get buns    -> NOT_FOUND\n");
}

static void test_operate__a_queue_that_is_made_again_repeats_no_id(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'      -> ok, item 1\n"
               "[   0] w1 get buns          -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   1] p1 delete buns force -> ok, purged 1\n"
               "[   2] p1 declare buns      -> ok, created\n"
               "[   3] p1 put buns 'b'      -> ok, item 1'\n"
               "[   4] w1 done 1            -> NOT_FOUND\n"
               "[   5] w2 get buns          -> ok, item 1' 'b', lease 2 "
               "until 30005\n");
}

static void test_operate__declare_makes_or_accepts(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 5 kind lifo -> ok, created\n"
               "[   1] p1 declare buns             -> ok\n"
               "[   2] p2 declare buns maxsize 5   -> ok\n"
               "[   3] p2 declare buns maxsize 6   -> EXISTS\n"
               "[   4] p2 declare buns maxsize 5 lease_ms 1 -> EXISTS\n"
               "[   5] p2 configure buns maxsize 6 -> ok\n"
               "[   6] p2 declare buns maxsize 6 kind lifo -> ok\n"
               "[   7] p1 stat buns maxsize kind lease_ms -> ok, maxsize 6, "
               "kind 1, lease_ms 30000\n");
}

static void
test_operate__a_level_that_the_broker_cannot_give_is_refused(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns durability quorum -> BAD_REQUEST\n"
               "[   0] p1 declare buns durability disk -> ok, created\n"
               "[   0] p1 declare cakes durability memory -> ok, created\n");
}

static void test_operate__list_shows_all_queues_in_order(void **state)
{
    (void)state;
    world_says("[   0] p1 declare cakes     -> ok, created\n"
               "[   0] p1 declare buns      -> ok, created\n"
               "[   0] p1 declare pies      -> ok, created\n"
               "[   1] p1 list              -> buns; cakes; pies; ok\n"
               "[   2] p1 list limit 2      -> buns; cakes; ok, more\n"
               "[   3] p1 list cursor cakes -> pies; ok\n");
}

static void test_operate__queues_are_bounded(void **state)
{
    (void)state;
    world_says("broker queues_max 2\n"
               "[   0] p1 declare a -> ok, created\n"
               "[   0] p1 declare b -> ok, created\n"
               "[   0] p1 declare c -> QUOTA\n"
               "[   1] p1 delete a  -> ok\n"
               "[   2] p1 declare c -> ok, created\n");
}

static void test_operate__while_draining_settles_go_on(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b'     -> ok, items 1-2\n"
               "[   0] w1 get buns             -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   0] p1 join buns #j         .. waits\n"
               "[   1] w2 get cakes            .. waits\n"
               "[   2] broker drains\n"
               "       w2 get cakes            -> DRAINING\n"
               "[   3] p1 put buns 'c'         -> DRAINING\n"
               "[   4] w2 get buns             -> DRAINING\n"
               "[   5] w1 done 1               -> ok\n"
               "[   6] p1 stat buns done ready -> ok, done 1, ready 1\n");
}

static void test_operate__errors_belong_to_their_verbs(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] p1 put buns 'b' try       -> FULL\n"
               "[   0] w1 get cakes try          -> EMPTY\n"
               "[   0] p1 join buns try          -> TIMEOUT, unfinished 1\n"
               "[   0] p1 wait 1 try             -> TIMEOUT\n");
}

static void test_operate__while_draining_waiting_puts_are_let_go(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] p1 put buns 'b' #1        .. waits\n"
               "[   0] p1 join buns #j           .. waits\n"
               "[   0] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "       p1 put #1                 -> ok, item 2\n"
               "[   1] p1 put buns 'c' #2        .. waits\n"
               "[   2] broker drains\n"
               "       p1 put #2                 -> DRAINING\n"
               "[   3] w1 done 1                 -> ok\n"
               "[   4] p1 cancel_item 2          -> ok\n"
               "       p1 join #j                -> ok, done 1, cancelled 1\n");
}

static void test_operate__a_delete_ends_other_long_work(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'   -> ok, items 1-3\n"
               "[   0] w1 get buns 3             -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', leases 1-3 until 30000\n"
               "[   1] w1 reject 1 2 3           -> ok x3\n"
               "[   2] p1 redrive buns rate 1 #r .. waits\n"
               "[   3] p2 delete buns force      -> ok, purged 3\n"
               "       p1 redrive #r             -> ok, moved 1\n"
               "[   4] p1 stat buns ready        -> NOT_FOUND\n");
}

const struct core_test core_tests_operate[] = {
    CORE_TEST(test_operate__pause_in_makes_puts_wait, "S2.ac S2.af"),
    CORE_TEST(test_operate__pause_out_makes_gets_wait, "S2.ad S2.af"),
    CORE_TEST(test_operate__a_paused_queue_goes_on_settling, "S2.ae"),
    CORE_TEST(test_operate__pause_both_and_resume_one, "S2.ac S2.ad S2.af"),
    CORE_TEST(test_operate__purge_drops_ready_and_delayed, "S2.ag"),
    CORE_TEST(test_operate__delete_needs_an_empty_queue_or_force, "S2.ah"),
    CORE_TEST(test_operate__a_forced_delete_answers_everybody, "S2.ai S2.aj"),
    CORE_TEST(test_operate__a_queue_that_is_made_again_repeats_no_id,
              "S1.s S2.aj"),
    CORE_TEST(test_operate__declare_makes_or_accepts, "S2.ak S10.e"),
    CORE_TEST(test_operate__a_level_that_the_broker_cannot_give_is_refused,
              "S2.ak"),
    CORE_TEST(test_operate__list_shows_all_queues_in_order, "S2.ak"),
    CORE_TEST(test_operate__queues_are_bounded, "S2.ak"),
    CORE_TEST(test_operate__while_draining_settles_go_on, "S10.f"),
    CORE_TEST(test_operate__errors_belong_to_their_verbs, "S10.a"),
    CORE_TEST(test_operate__while_draining_waiting_puts_are_let_go, "S10.f"),
    CORE_TEST(test_operate__a_delete_ends_other_long_work, "S2.ai S2.t"),
    CORE_TESTS_END,
};
