/*
 * test_wait.c - who waits, in which order, and until when.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_wait__put_waits_while_the_queue_is_full(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] p1 put buns 'b' try       -> FULL\n"
               "[  10] p1 put buns 'c' wait 500  .. waits\n"
               "[  20] p2 put buns 'd' wait 100  .. waits\n"
               "[  30] p3 put buns 'e'           .. waits\n"
               "[ 119]\n"
               "[ 120]\n"
               "       p2 put buns 'd' wait 100  -> FULL\n"
               "[ 509] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30509\n"
               "       p1 put buns 'c' wait 500  -> ok, item 2\n"
               "[ 600] w1 get buns               -> ok, item 2 'c', lease 2 "
               "until 30600\n"
               "       p3 put buns 'e'           -> ok, item 3\n");
}

static void test_wait__get_waits_while_the_queue_is_empty(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns try      -> EMPTY\n"
               "[   0] w1 get buns wait 500 .. waits\n"
               "[   1] w2 get buns wait 100 .. waits\n"
               "[   2] w3 get buns          .. waits\n"
               "[ 101]\n"
               "       w2 get buns wait 100 -> EMPTY\n"
               "[ 500]\n"
               "       w1 get buns wait 500 -> EMPTY\n"
               "[ 501] w1 get buns          .. waits\n"
               "[ 600] p1 put buns 'a'      -> ok, item 1\n"
               "       w3 get buns          -> ok, item 1 'a', lease 1 "
               "until 30600\n"
               "[ 601] p1 put buns 'b'      -> ok, item 2\n"
               "       w1 get buns          -> ok, item 2 'b', lease 2 "
               "until 30601\n");
}

static void test_wait__get_many_answers_as_soon_as_one_is_there(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns 10          .. waits\n"
               "[   5] p1 put buns 'a'         -> ok, item 1\n"
               "       w1 get buns 10          -> ok, item 1 'a', lease 1 "
               "until 30005\n"
               "[   6] p1 put buns 'b' 'c' 'd' -> ok, items 2-4\n"
               "[   7] w1 get buns 2           -> ok, item 2 'b', item 3 "
               "'c', leases 2-3 until 30007\n"
               "[   8] w1 get buns 1024        -> ok, item 4 'd', lease 4 "
               "until 30008\n");
}

/* The small one would fit, but a large one waits before it. */
static void test_wait__no_put_overtakes_a_waiting_one(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_bytes 10 -> ok, created\n"
               "[   0] p1 put buns 'aaaaaaaa'       -> ok, item 1\n"
               "[   1] p1 put buns 'bbbbb'          .. waits\n"
               "[   2] p2 put buns 'c'              .. waits\n"
               "[   3] p2 put buns 'd' try          -> FULL\n"
               "[   4] w1 get buns                  -> ok, item 1 "
               "'aaaaaaaa', lease 1 until 30004\n"
               "       p1 put buns 'bbbbb'          -> ok, item 2\n"
               "       p2 put buns 'c'              -> ok, item 3\n");
}

static void test_wait__the_place_of_one_that_gave_up_is_free(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_bytes 10 -> ok, created\n"
               "[   0] p1 put buns 'aaaaaaaa'       -> ok, item 1\n"
               "[   1] p1 put buns 'bbbbb' wait 50  .. waits\n"
               "[   2] p2 put buns 'c'              .. waits\n"
               "[  51]\n"
               "       p1 put buns 'bbbbb' wait 50  -> FULL\n"
               "       p2 put buns 'c'              -> ok, item 2\n");
}

static void
test_wait__a_waiting_request_that_is_cancelled_is_answered_once(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns #1             .. waits\n"
               "[   1] w1 cancel #1\n"
               "       w1 get #1                  -> CANCELLED\n"
               "[   2] p1 put buns 'a'            -> ok, item 1\n"
               "[   3] p1 declare cakes maxsize 1 -> ok, created\n"
               "[   3] p1 put cakes 'b'           -> ok, item cakes/1\n"
               "[   3] p1 put cakes 'c' #2        .. waits\n"
               "[   4] p1 cancel #2\n"
               "       p1 put #2                  -> CANCELLED\n"
               "[   5] w1 get cakes               -> ok, item cakes/1 'b', "
               "lease 1 until 30005\n"
               "[   6] w1 get cakes try           -> EMPTY\n"
               "[   7] p1 join buns #3            .. waits\n"
               "[   8] p1 cancel #3\n"
               "       p1 join #3                 -> CANCELLED\n"
               "[   9] p1 wait 1 #4               .. waits\n"
               "[   9] p1 cancel #4\n"
               "       p1 wait #4                 -> CANCELLED\n");
}

static void
test_wait__cancel_of_an_answered_request_changes_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1 -> ok, item 1\n"
               "[   1] p1 cancel #1\n"
               "[   2] w1 get buns #2     -> ok, item 1 'a', lease 1 until "
               "30002\n"
               "[   3] w1 cancel #2\n"
               "[   4] w1 done 1          -> ok\n");
}

/* A refusal is not stored, so a CANCEL that comes after it means nothing: the
 * request may come again, because its answer was lost, and is a new one. */
static void test_wait__a_cancel_that_comes_too_late_is_forgotten(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns try #1 -> EMPTY\n"
               "[   1] w1 cancel #1\n"
               "[   2] p1 put buns 'a'    -> ok, item 1\n"
               "[   3] w1 resend #1       -> ok, item 1 'a', lease 1 until "
               "30003\n");
}

static void
test_wait__a_cancel_that_overtakes_its_request_is_remembered(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns -> ok, created\n"
               "[   0] w1 cancel next\n"
               "[   1] w1 get buns     -> CANCELLED\n"
               "[   2] w1 get buns     .. waits\n"
               "[   3] p1 put buns 'a' -> ok, item 1\n"
               "       w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30003\n");
}

static void test_wait__a_resend_carries_the_time_left(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns wait 1000 #1 .. waits\n"
               "[ 500] w1 closes\n"
               "[ 600] w1 hello resume          -> ok, session 1, resumed\n"
               "[ 600] w1 held\n"
               "[ 600] w1 resend #1 wait 400    .. waits\n"
               "[1000]\n"
               "       w1 get #1                -> EMPTY\n");
}

/* 20 bytes may be parked in all. The second waiting put loses its body,
 * not its place; it is asked for again when there is room. */
static void test_wait__beyond_the_cap_a_put_waits_without_its_body(void **state)
{
    (void)state;
    world_says("broker parked_bytes_max 20\n"
               "[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'x'           -> ok, item 1\n"
               "[   1] p1 put buns 'a'*15        .. waits\n"
               "[   2] p2 put buns 'b'*15 #b     .. waits\n"
               "[   3] p3 put buns 'c'           .. waits\n"
               "[   4] w1 get buns               -> ok, item 1 'x', lease 1 "
               "until 30004\n"
               "       p1 put buns 'a'*15        -> ok, item 2\n"
               "[   5] w1 get buns               -> ok, item 2 "
               "'aaaaaaaaaaaaaaa', lease 2 until 30005\n"
               "       p2 put #b                 -> send 1 bodies\n"
               "[   6] p2 body #b 'b'*15\n"
               "       p2 put #b                 -> ok, item 3\n"
               "[   7] w1 get buns               -> ok, item 3 "
               "'bbbbbbbbbbbbbbb', lease 3 until 30007\n"
               "       p3 put buns 'c'           -> ok, item 4\n");
}

static void test_wait__a_put_without_body_is_asked_for_it(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'abc' no_body #1 .. waits\n"
               "       p1 put #1                    -> send 1 bodies\n"
               "[   1] p1 body #1 'abc'\n"
               "       p1 put #1                    -> ok, item 1\n"
               "[   2] w1 get buns                  -> ok, item 1 'abc', "
               "lease 1 until 30002\n"
               "[   3] p1 put buns 'abcd' 'efg' many no_body #2 .. waits\n"
               "       p1 put #2                    -> send 2 bodies\n"
               "[   4] p1 body #2 'abcd' 'efg'\n"
               "       p1 put #2                    -> ok, item 2\n");
}

/* 64 MiB a session. The broker's own cap is larger here. */
static void test_wait__parked_bytes_have_a_cap_for_each_session(void **state)
{
    (void)state;
    world_says("broker parked_bytes_max 300000000 body_bytes_max 600000000\n"
               "[   0] p1 declare buns maxsize 1   -> ok, created\n"
               "[   0] p1 put buns 'x'             -> ok, item 1\n"
               "[   1] p1 put buns 'a'*16000000 #1 .. waits\n"
               "[   1] p1 put buns 'a'*16000000 #2 .. waits\n"
               "[   1] p1 put buns 'a'*16000000 #3 .. waits\n"
               "[   1] p1 put buns 'a'*16000000 #4 .. waits\n"
               "[   1] p1 put buns 'b'*16000000 #5 .. waits\n"
               "[   1] p1 stat buns parked_puts parked_bytes -> ok, "
               "parked_puts 5, parked_bytes 64000000\n"
               "[   2] p2 put buns 'c'*16000000 #1 .. waits\n"
               "[   2] p1 stat buns parked_puts parked_bytes -> ok, "
               "parked_puts 6, parked_bytes 80000000\n");
}

static void test_wait__one_of_a_vector_may_be_cancelled(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1      -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' 'd' #v -> ok, item 1; 3 wait\n"
               "[   1] p1 cancel #v+2\n"
               "       p1 put #v                      -> CANCELLED\n"
               "[   2] w1 get buns                    -> ok, item 1 'a', "
               "lease 1 until 30002\n"
               "       p1 put #v                      -> ok, item 2\n"
               "[   3] w1 get buns                    -> ok, item 2 'b', "
               "lease 2 until 30003\n"
               "       p1 put #v                      -> ok, item 3\n"
               "[   4] w1 get buns                    -> ok, item 3 'd', "
               "lease 3 until 30004\n");
}

static void test_wait__a_body_that_comes_too_late_is_let_go(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1    -> ok, created\n"
               "[   0] p1 put buns 'x'              -> ok, item 1\n"
               "[   1] p1 put buns 'abc' no_body wait 50 #1 .. waits\n"
               "[  51]\n"
               "       p1 put #1                    -> FULL\n"
               "[  60] p1 body #1 'abc'\n"
               "[  61] w1 get buns                  -> ok, item 1 'x', "
               "lease 1 until 30061\n"
               "[  62] p1 put buns 'abc' no_body #2 .. waits\n"
               "       p1 put #2                    -> send 1 bodies\n"
               "[  63] p1 cancel #2\n"
               "       p1 put #2                    -> CANCELLED\n"
               "[  64] p1 body #2 'abc'\n"
               "[  65] p1 stat buns ready parked_puts parked_bytes -> ok, "
               "ready 0, parked_puts 0, parked_bytes 0\n");
}

/* The time was over while the broker was busy; the item that came first is
 * handed over all the same. */
static void
test_wait__a_broker_that_was_busy_still_serves_who_waits(void **state)
{
    (void)state;
    world_says("[   0] p1 hello            -> ok, session 1\n"
               "[   0] w1 get buns wait 50 .. waits\n"
               "[  10] broker lags 100\n"
               "[ 110] p1 put buns 'a'     -> ok, item 1\n"
               "       w1 get buns wait 50 -> ok, item 1 'a', lease 1 until "
               "30110\n");
}

const struct core_test core_tests_wait[] = {
    CORE_TEST(test_wait__put_waits_while_the_queue_is_full,
              "S3.1.a S3.1.c S3.1.d S3.1.e S3.1.g S3.4.d"),
    CORE_TEST(test_wait__get_waits_while_the_queue_is_empty,
              "S3.1.b S3.1.c S3.1.d S3.1.e S3.1.g S5.5.a"),
    CORE_TEST(test_wait__get_many_answers_as_soon_as_one_is_there,
              "S2.g S2.f S5.5.a"),
    CORE_TEST(test_wait__no_put_overtakes_a_waiting_one, "S3.1.f"),
    CORE_TEST(test_wait__the_place_of_one_that_gave_up_is_free,
              "S3.1.c S3.1.f"),
    CORE_TEST(test_wait__a_waiting_request_that_is_cancelled_is_answered_once,
              "S3.2.a"),
    CORE_TEST(test_wait__cancel_of_an_answered_request_changes_nothing,
              "S3.2.b"),
    CORE_TEST(test_wait__a_cancel_that_comes_too_late_is_forgotten, "S3.2.b"),
    CORE_TEST(test_wait__a_cancel_that_overtakes_its_request_is_remembered,
              "S3.2.c"),
    CORE_TEST(test_wait__a_resend_carries_the_time_left, "S3.2.f S1.m"),
    CORE_TEST(test_wait__beyond_the_cap_a_put_waits_without_its_body,
              "S3.3.a S3.3.b S3.3.c S3.3.d"),
    CORE_TEST(test_wait__a_put_without_body_is_asked_for_it, "S3.3.c"),
    CORE_TEST(test_wait__parked_bytes_have_a_cap_for_each_session,
              "S3.3.a S3.3.d"),
    CORE_TEST(test_wait__one_of_a_vector_may_be_cancelled, "S3.2.a S2.b"),
    CORE_TEST(test_wait__a_body_that_comes_too_late_is_let_go, "S3.3.c S3.1.e"),
    CORE_TEST(test_wait__a_broker_that_was_busy_still_serves_who_waits,
              "S3.1.b"),
    CORE_TESTS_END,
};
