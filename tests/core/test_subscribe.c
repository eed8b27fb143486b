/*
 * test_subscribe.c - items pushed ahead, never more than the credit.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_subscribe__a_subscription_pushes_up_to_its_credit(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 2 .. waits\n"
               "[   1] p1 put buns 'a' 'b' 'c'   -> ok, items 1-3\n"
               "       w1 subscribe buns items 2 -> push 1: item 1 'a', "
               "item 2 'b', leases 1-2 until 30001\n"
               "[   2] w1 done 1                 -> ok\n"
               "       w1 subscribe buns items 2 -> push 2: item 3 'c', "
               "lease 3 until 30002\n"
               "[   3] p1 put buns 'd'           -> ok, item 4\n"
               "[   4] w1 reject 2               -> ok\n"
               "       w1 subscribe buns items 2 -> push 3: item 4 'd', "
               "lease 4 until 30004\n");
}

/* Whoever holds none gets one item whatever its size. */
static void test_subscribe__a_subscription_has_credit_in_bytes_too(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 10 bytes 5 .. waits\n"
               "[   1] p1 put buns 'aaaaaaaaaa' 'bb' 'cc' 'dd' -> ok, items "
               "1-4\n"
               "       w1 subscribe buns items 10 bytes 5 -> push 1: item 1 "
               "'aaaaaaaaaa', lease 1 until 30001\n"
               "[   2] w1 done 1 -> ok\n"
               "       w1 subscribe buns items 10 bytes 5 -> push 2: item 2 "
               "'bb', item 3 'cc', leases 2-3 until 30002\n"
               "[   3] w1 done 2 -> ok\n"
               "       w1 subscribe buns items 10 bytes 5 -> push 3: item 4 "
               "'dd', lease 4 until 30003\n");
}

static void test_subscribe__credit_can_be_changed(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'      -> ok, items 1-3\n"
               "[   1] w1 subscribe buns items 1 #s .. waits\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "lease 1 until 30001\n"
               "[   2] w1 credit #s 3\n"
               "       w1 subscribe #s              -> push 2: item 2 'b', "
               "item 3 'c', leases 2-3 until 30002\n"
               "[   3] w1 credit #s 0\n"
               "[   4] w1 release 1 2 3             -> ok x3\n"
               "[   5] w2 get buns 3                -> ok, item 1 'a', item "
               "2 'b', item 3 'c', leases 4-6 until 30005\n");
}

static void test_subscribe__a_subscription_ends_by_cancel(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 5 #s .. waits\n"
               "[   1] p1 put buns 'a'              -> ok, item 1\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "lease 1 until 30001\n"
               "[   2] w1 cancel #s\n"
               "       w1 subscribe #s              -> CANCELLED\n"
               "[   3] p1 put buns 'b'              -> ok, item 2\n"
               "[   4] w1 done 1                    -> ok\n"
               "[   5] p1 stat buns ready consumers -> ok, ready 1, "
               "consumers 0\n");
}

/* A push and the end of its subscription were both lost with the connection.
 * The client, which holds nothing, asks again: that is a new subscription, and
 * nobody would ever speak of the item that the old one was given. */
static void
test_subscribe__what_an_ended_one_was_given_unseen_goes_back(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 5 lease 0 #s .. waits\n"
               "[   1] p1 put buns 'a'      -> ok, item 1\n"
               "       w1 subscribe #s      -> push 1: item 1 'a', lease 1 for "
               "life\n"
               "[   2] w1 cancel #s\n"
               "       w1 subscribe #s      -> CANCELLED\n"
               "[   3] w1 hello resume      -> ok, session 1, resumed\n"
               "       w1 (old)             -> gone, SESSION_GONE\n"
               "[   3] w1 held\n"
               "[   4] p1 get buns          -> ok, item 1 'a', lease 2 until "
               "30004\n");
}

/* Both wait in one line. */
static void test_subscribe__getters_and_subscribers_share(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns               .. waits\n"
               "[   1] w2 subscribe buns items 1 .. waits\n"
               "[   2] w3 get buns               .. waits\n"
               "[   3] p1 put buns 'a'           -> ok, item 1\n"
               "       w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30003\n"
               "[   4] p1 put buns 'b'           -> ok, item 2\n"
               "       w2 subscribe buns items 1 -> push 1: item 2 'b', "
               "lease 2 until 30004\n"
               "[   5] p1 put buns 'c'           -> ok, item 3\n"
               "       w3 get buns               -> ok, item 3 'c', lease 3 "
               "until 30005\n");
}

/* What one put brings reaches each of them in one delivery. */
static void test_subscribe__waiting_ones_share_a_put_evenly(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 9 .. waits\n"
               "[   0] w2 subscribe buns items 9 .. waits\n"
               "[   0] w3 subscribe buns items 9 .. waits\n"
               "[   1] p1 put buns 'a' 'b' 'c' 'd' 'e' 'f' 'g' -> ok, items "
               "1-7\n"
               "       w1 subscribe buns items 9 -> push 1: item 1 'a', "
               "item 2 'b', item 3 'c', leases 1-3 until 30001\n"
               "       w2 subscribe buns items 9 -> push 1: item 4 'd', "
               "item 5 'e', leases 4-5 until 30001\n"
               "       w3 subscribe buns items 9 -> push 1: item 6 'f', "
               "item 7 'g', leases 6-7 until 30001\n");
}

/* It had settled 1, so it was at 2: that one is counted, 3 and 4 are not. */
static void test_subscribe__death_counts_what_was_started(void **state)
{
    (void)state;
    world_says(
        "[   0] p1 put buns 'a' 'b' 'c' 'd' -> ok, items 1-4\n"
        "[   1] w1 subscribe buns items 9   .. waits\n"
        "       w1 subscribe buns items 9   -> push 1: item 1 'a', "
        "item 2 'b', item 3 'c', item 4 'd', leases 1-4 until 30001\n"
        "[   2] w1 done 1                   -> ok\n"
        "[   3] w1 crashes\n"
        "[   4] w2 get buns 4               -> ok, item 2 'b' "
        "(delivery 2), item 3 'c', item 4 'd', leases 5-7 until 30004\n");
}

/* Three at work, the fourth perhaps as well: these count, 5 and 6 do not. */
static void test_subscribe__death_counts_all_that_said_started(void **state)
{
    (void)state;
    world_says(
        "[   0] p1 put buns 'a' 'b' 'c' 'd' 'e' 'f' -> ok, items 1-6\n"
        "[   1] w1 subscribe buns items 9 .. waits\n"
        "       w1 subscribe buns items 9 -> push 1: item 1 'a', "
        "item 2 'b', item 3 'c', item 4 'd', item 5 'e', item 6 'f', "
        "leases 1-6 until 30001\n"
        "[   2] w1 started 1 2\n"
        "[   3] w1 started 3 3@99\n"
        "[   4] w1 crashes\n"
        "[   5] w2 get buns 6             -> ok, item 1 'a' (delivery 2), "
        "item 2 'b' (delivery 2), item 3 'c' (delivery 2), item 4 'd' "
        "(delivery 2), item 5 'e', item 6 'f', leases 7-12 until 30005\n");
}

/* The lease began when it was pushed; it begins anew when it is handed over,
 * once, and max_run with it. */
static void test_subscribe__a_lease_begins_when_it_is_started(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns lease_ms 100 max_run_ms 250 -> ok, "
               "created\n"
               "[   1] p1 put buns 'a'            -> ok, item 1\n"
               "[   2] w1 subscribe buns items 1  .. waits\n"
               "       w1 subscribe buns items 1  -> push 1: item 1 'a', "
               "lease 1 until 102\n"
               "[  90] w1 touch 1                 -> ok until 190\n"
               "[ 180] w1 started 1\n"
               "[ 270] w1 touch 1                 -> ok until 370\n"
               "[ 280] w1 started 1\n"
               "[ 360] w1 touch 1                 -> ok until 430\n"
               "[ 430]\n"
               "       w1 subscribe buns items 1  -> push 2: item 1 'a' "
               "(delivery 2), lease 2 until 530\n");
}

/* An item of a get is at work from the first; the mark changes nothing. */
static void test_subscribe__started_is_for_what_was_pushed(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'   -> ok, item 1\n"
               "[   1] w1 get buns       -> ok, item 1 'a', lease 1 until "
               "30001\n"
               "[  50] w1 started 1\n"
               "[30001] w1 stat buns leased -> ok, leased 0\n"
               "[30002] w1 started 1\n");
}

static void
test_subscribe__a_lost_push_is_sent_again_after_a_resume(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 5 #s .. waits\n"
               "[   1] p1 put buns 'a'              -> ok, item 1\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "lease 1 until 30001\n"
               "[   2] p1 put buns 'b'              -> ok, item 2\n"
               "       w1 subscribe #s              -> push 2: item 2 'b', "
               "lease 2 until 30002\n"
               "[   3] w1 closes\n"
               "[   4] w1 hello resume              -> ok, session 1, "
               "resumed\n"
               "[   4] w1 held 1\n"
               "[   4] w1 resend #s sequence 1      .. waits\n"
               "       w1 subscribe #s              -> push 2: item 2 'b', "
               "lease 2 until 30004\n"
               "[   5] w1 done 1 2                  -> ok x2\n"
               "[   6] p1 put buns 'c'              -> ok, item 3\n"
               "       w1 subscribe #s              -> push 3: item 3 'c', "
               "lease 3 until 30006\n");
}

static void
test_subscribe__a_subscription_ends_when_the_queue_does(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 5 #s .. waits\n"
               "[   1] p1 delete buns               -> ok\n"
               "       w1 subscribe #s              -> NOT_FOUND\n");
    world_says("[   0] p1 put buns 'a'              -> ok, item 1\n"
               "[   1] w1 subscribe buns items 5 #s .. waits\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "lease 1 until 30001\n"
               "[   2] p1 shutdown buns             -> ok\n"
               "       w1 subscribe #s              -> SHUTDOWN\n"
               "[   3] w1 done 1                    -> ok\n");
}

const struct core_test core_tests_subscribe[] = {
    CORE_TEST(test_subscribe__a_subscription_pushes_up_to_its_credit,
              "S2.j S5.5.b"),
    CORE_TEST(test_subscribe__a_subscription_has_credit_in_bytes_too,
              "S2.k S5.5.b"),
    CORE_TEST(test_subscribe__credit_can_be_changed, "S5.5.b"),
    CORE_TEST(test_subscribe__a_subscription_ends_by_cancel, "S2.j S3.2.a"),
    CORE_TEST(test_subscribe__what_an_ended_one_was_given_unseen_goes_back,
              "S3.5.i"),
    CORE_TEST(test_subscribe__getters_and_subscribers_share, "S3.1.c S5.5.a"),
    CORE_TEST(test_subscribe__waiting_ones_share_a_put_evenly, "S5.5.a"),
    CORE_TEST(test_subscribe__death_counts_what_was_started, "S5.1.g S5.1.e"),
    CORE_TEST(test_subscribe__death_counts_all_that_said_started, "S5.1.g"),
    CORE_TEST(test_subscribe__a_lease_begins_when_it_is_started,
              "S5.2.f S5.2.d"),
    CORE_TEST(test_subscribe__started_is_for_what_was_pushed, "S5.2.f"),
    CORE_TEST(test_subscribe__a_lost_push_is_sent_again_after_a_resume,
              "S2.j S1.m"),
    CORE_TEST(test_subscribe__a_subscription_ends_when_the_queue_does,
              "S2.aj S8.b"),
    CORE_TESTS_END,
};
