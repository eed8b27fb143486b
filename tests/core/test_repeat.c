/*
 * test_repeat.c - every request may be repeated (SPEC S3.5).
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_repeat__a_repeated_put_is_stored_once(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1          -> ok, item 1\n"
               "[   0] p1 put buns 'b' 'c' #2      -> ok, items 2-3\n"
               "[   0] p1 put buns 'd' 'e' many #3 -> ok, item 4\n"
               "[   1] p1 resend #1                -> ok, item 1\n"
               "[   1] p1 resend #2                -> ok, items 2-3\n"
               "[   1] p1 resend #3                -> ok, item 4\n"
               "[   2] p1 stat buns accepted       -> ok, accepted 5\n");
}

static void test_repeat__a_repeated_get_answers_the_same_lease(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b'  -> ok, items 1-2\n"
               "[   1] w1 get buns #1       -> ok, item 1 'a', lease 1 "
               "until 30001\n"
               "[   2] w1 closes\n"
               "[   3] w1 hello resume      -> ok, session 2, resumed\n"
               "[   3] w1 held\n"
               "[   3] w1 resend #1         -> ok, item 1 'a', lease 1 "
               "until 30003\n"
               "[   4] w2 get buns          -> ok, item 2 'b', lease 2 "
               "until 30004\n"
               "[30002] p1 stat buns leased -> ok, leased 2\n"
               "[30003] p1 stat buns leased -> ok, leased 1\n");
}

static void test_repeat__a_repeated_settle_counts_once(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' 'd' -> ok, items 1-4\n"
               "[   0] w1 get buns 4               -> ok, item 1 'a', item "
               "2 'b', item 3 'c', item 4 'd', leases 1-4 until 30000\n"
               "[   1] w1 done 1 #d                -> ok\n"
               "[   1] w1 retry 2 delay 0 #t       -> ok\n"
               "[   1] w1 release 3 #l             -> ok\n"
               "[   1] w1 reject 4 #j              -> ok\n"
               "[   2] w1 resend #d                -> ok\n"
               "[   2] w1 resend #t                -> ok\n"
               "[   2] w1 resend #l                -> ok\n"
               "[   2] w1 resend #j                -> ok\n"
               "[   3] p1 stat buns done retried died ready -> ok, done 1, "
               "retried 1, died 1, ready 2\n");
}

static void
test_repeat__repeated_words_of_an_operator_do_nothing_twice(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 5 #d -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'          -> ok, items 1-2\n"
               "[   0] p1 purge buns #p             -> ok, purged 2\n"
               "[   0] p1 put buns 'c'              -> ok, item 3\n"
               "[   0] w1 get buns                  -> ok, item 3 'c', "
               "lease 1 until 30000\n"
               "[   0] w1 reject 3                  -> ok\n"
               "[   0] p1 redrive buns #r           -> ok, moved 1\n"
               "[   0] p1 cancel_item 4 #c          -> ok\n"
               "[   0] w1 put buns 'd'              -> ok, item 5\n"
               "[   0] w1 get buns                  -> ok, item 5 'd', "
               "lease 2 until 30000\n"
               "[   0] w1 done_next buns #n         -> ok, item 5\n"
               "[   1] p1 resend #d                 -> ok, created\n"
               "[   1] p1 resend #p                 -> ok, purged 2\n"
               "[   1] p1 resend #r                 -> ok, moved 1\n"
               "[   1] p1 resend #c                 -> ok\n"
               "[   1] w1 resend #n                 -> ok, item 5\n"
               "[   2] p1 delete buns #x            -> ok\n"
               "[   2] p1 resend #x                 -> ok\n");
}

/* It keeps its place; only its time is the new one. */
static void
test_repeat__a_repeated_request_that_waits_goes_on_waiting(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns wait 1000 #1 .. waits\n"
               "[   1] w2 get buns              .. waits\n"
               "[  10] w1 resend #1 wait 50     .. waits\n"
               "[  20] p1 put buns 'a'          -> ok, item 1\n"
               "       w1 get #1                -> ok, item 1 'a', lease 1 "
               "until 30020\n"
               "[  30] w1 get buns wait 1000 #2 .. waits\n"
               "[  31] w1 resend #2 wait 50     .. waits\n"
               "[  81]\n"
               "       w1 get #2                -> EMPTY\n");
}

/* An id that is neither stored nor waiting is new. */
static void test_repeat__what_is_acknowledged_is_forgotten(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns    -> ok, created\n"
               "[   0] p1 put buns 'a' #1 -> ok, item 1\n"
               "[   1] p1 ack 2\n"
               "[   2] p1 resend #1       -> ok, item 2\n");
}

static void test_repeat__a_refusal_is_not_stored(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] p1 put buns 'b' try #1    -> FULL\n"
               "[   1] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30001\n"
               "[   2] p1 resend #1              -> ok, item 2\n");
}

static void
test_repeat__answers_without_acknowledgement_are_bounded(void **state)
{
    (void)state;
    world_says("broker answers_max 3\n"
               "[   0] p1 declare buns     -> ok, created\n"
               "[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   0] p1 put buns 'b'     -> ok, item 2\n"
               "[   0] p1 put buns 'c'     -> QUOTA\n"
               "[   1] p1 ack 2\n"
               "[   2] p1 put buns 'c'     -> ok, item 3\n"
               "[   2] p1 put buns 'd' 'e' -> QUOTA x2\n");
}

static void test_repeat__waiting_requests_are_bounded(void **state)
{
    (void)state;
    world_says("broker waiting_max 2\n"
               "[   0] p1 declare buns -> ok, created\n"
               "[   0] w1 get buns #1  .. waits\n"
               "[   0] w1 get buns #2  .. waits\n"
               "[   0] w1 get buns #3  -> QUOTA\n"
               "[   0] w1 put buns 'a' -> ok, item 1\n"
               "       w1 get #1       -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w1 get buns #4  .. waits\n");
}

/* The first get waits for hours; thousands of requests come and go. */
static void test_repeat__a_long_wait_holds_back_nothing(void **state)
{
    (void)state;
    world_says("broker answers_max 4\n"
               "[   0] p1 declare buns    -> ok, created\n"
               "[   0] w1 get buns #g     .. waits\n"
               "[   1] w1 put cakes 'a'   -> ok, item cakes/1\n"
               "[   1] w1 put cakes 'b'   -> ok, item cakes/2\n"
               "[   2] w1 ack 2-4\n"
               "[   3] w1 put cakes 'c'   -> ok, item cakes/3\n"
               "[   3] w1 put cakes 'd'   -> ok, item cakes/4\n"
               "[   3] w1 put cakes 'e'   -> ok, item cakes/5\n"
               "[   4] w1 ack 5-7\n"
               "[   5] w1 put cakes 'f'   -> ok, item cakes/6\n"
               "[7200000] p1 put buns 'x' -> ok, item 1\n"
               "       w1 get #g          -> ok, item 1 'x', lease 1 until "
               "7230000\n");
}

static void test_repeat__a_dead_session_s_put_is_answered_again(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1      -> ok, item 1\n"
               "[   1] p1 crashes\n"
               "[600000] p1 hello resume       -> ok, session 1, resumed\n"
               "[600000] p1 held\n"
               "[600000] p1 resend #1          -> ok, item 1\n"
               "[600001] p1 stat buns accepted -> ok, accepted 1\n");
}

const struct core_test core_tests_repeat[] = {
    CORE_TEST(test_repeat__a_repeated_put_is_stored_once, "S3.5.a"),
    CORE_TEST(test_repeat__a_repeated_get_answers_the_same_lease,
              "S3.5.a S3.5.g"),
    CORE_TEST(test_repeat__a_repeated_settle_counts_once, "S3.5.a"),
    CORE_TEST(test_repeat__repeated_words_of_an_operator_do_nothing_twice,
              "S3.5.a"),
    CORE_TEST(test_repeat__a_repeated_request_that_waits_goes_on_waiting,
              "S3.5.a S3.2.f"),
    CORE_TEST(test_repeat__what_is_acknowledged_is_forgotten, "S3.5.c S3.5.i"),
    CORE_TEST(test_repeat__a_refusal_is_not_stored, "S3.5.i"),
    CORE_TEST(test_repeat__answers_without_acknowledgement_are_bounded,
              "S3.5.f"),
    CORE_TEST(test_repeat__waiting_requests_are_bounded, "S3.5.f"),
    CORE_TEST(test_repeat__a_long_wait_holds_back_nothing, "S3.5.e"),
    CORE_TEST(test_repeat__a_dead_session_s_put_is_answered_again,
              "S7.a S3.5.a"),
    CORE_TESTS_END,
};
