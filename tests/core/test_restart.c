/*
 * test_restart.c - the broker dies and comes back with its facts.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"

static void test_restart__counters_and_places_survive(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' -> ok, items 1-3\n"
               "[   1] w1 get buns             -> ok, item 1 'a', lease 1 "
               "until 30001\n"
               "[   2] w1 done 1               -> ok\n"
               "[   3] w1 get buns             -> ok, item 2 'b', lease 2 "
               "until 30003\n"
               "[  10] broker dies\n"
               "[  20] broker restarts\n"
               "[  30] p1 hello resume         -> ok, session 1, resumed\n"
               "[  30] p1 held\n"
               "[  31] p1 stat buns accepted done leased ready unfinished "
               "-> ok, accepted 3, done 1, leased 1, ready 1, unfinished 2\n"
               "[  32] w1 hello resume         -> ok, session 2, resumed\n"
               "[  32] w1 held 2\n"
               "[  33] w1 done 2               -> ok\n"
               "[  34] w1 get buns             -> ok, item 3 'c', lease 2:1 "
               "until 30034\n"
               "[  35] p1 put buns 'd'         -> ok, item 1048580\n");
}

/* The recount after every line is what matters here: ids that begin above
 * first_n are part of the digest from the queue's first moment on. */
static void test_restart__a_start_may_count_on_from_an_earlier_one(void **state)
{
    (void)state;
    world_says("broker first_n 100\n"
               "[   0] p1 put buns 'a'          -> ok, item 101\n"
               "[   1] w1 get buns              -> ok, item 101 'a', lease 101 "
               "until 30001\n"
               "[   2] w1 done 101              -> ok\n"
               "[   3] p1 delete buns           -> ok\n"
               "[   4] p1 declare buns          -> ok, created\n");
}

static void test_restart__answers_are_rebuilt_from_the_facts(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1           -> ok, item 1\n"
               "[   1] w1 get buns #2               -> ok, item 1 'a', "
               "lease 1 until 30001\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   4] p1 hello resume              -> ok, session 1, "
               "resumed\n"
               "[   4] p1 held\n"
               "[   4] p1 resend #1                 -> ok, item 1\n"
               "[   5] w1 hello resume              -> ok, session 2, "
               "resumed\n"
               "[   5] w1 held\n"
               "[   5] w1 resend #2                 -> ok, item 1 'a', "
               "lease 1 until 30005\n"
               "[   6] p1 stat buns accepted leased -> ok, accepted 1, "
               "leased 1\n"
               "[30004] p1 stat buns leased         -> ok, leased 1\n"
               "[30005] p1 stat buns leased         -> ok, leased 0\n");
}

static void
test_restart__waiting_calls_are_resent_and_queue_by_arrival(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w0 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w1 get buns #1  .. waits\n"
               "[   2] w2 get buns #2  .. waits\n"
               "[   3] p1 join buns #j .. waits\n"
               "[   4] broker dies\n"
               "[   5] broker restarts\n"
               "[   6] w2 hello resume -> ok, session 4, resumed\n"
               "[   6] w2 held\n"
               "[   6] w2 resend #2    .. waits\n"
               "[   7] w1 hello resume -> ok, session 3, resumed\n"
               "[   7] w1 held\n"
               "[   7] w1 resend #1    .. waits\n"
               "[   8] w0 hello resume -> ok, session 2, resumed\n"
               "[   8] w0 held 1\n"
               "[   8] p1 hello resume -> ok, session 1, resumed\n"
               "[   8] p1 held\n"
               "[   8] p1 resend #j    .. waits\n"
               "[   9] w0 release 1    -> ok\n"
               "       w2 get #2       -> ok, item 1 'a', lease 2:1 until "
               "30009\n"
               "[  10] w2 done 1       -> ok\n"
               "       p1 join #j      -> ok, done 1\n");
}

static void test_restart__downtime_counts_for_deadlines(void **state)
{
    (void)state;
    world_says(
        "[   0] p1 put buns 'a' delay 1000 -> ok, item 1\n"
        "[   0] p1 put buns 'b' ttl 1000   -> ok, item 2\n"
        "[   0] p1 put buns 'c' key k window 1000 -> ok, item 3\n"
        "[   0] p1 put buns 'd'            -> ok, item 4\n"
        "[  10] broker dies\n"
        "[5000] broker restarts\n"
        "[5001] p1 hello resume            -> ok, session 1, resumed\n"
        "[5001] p1 held\n"
        "[5001] p1 stat buns ready delayed expired -> ok, ready 3, "
        "delayed 0, expired 1\n"
        "[5002] p1 put buns 'e' key k window 1000 -> ok, item 1048581\n");
}

static void test_restart__the_keys_survive(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' key k window 10000 -> ok, item 1\n"
               "[   0] p1 put buns 'b' key u unique -> ok, item 2\n"
               "[   1] broker dies\n"
               "[   2] broker restarts\n"
               "[   3] p2 put buns 'c' key k window 10000 -> ok, duplicate "
               "of item 1\n"
               "[   3] p2 put buns 'd' key u unique -> ok, duplicate of "
               "item 2\n");
}

/* They have 10 s; their leases return uncounted. */
static void
test_restart__sessions_that_do_not_resume_release_their_leases(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] broker dies\n"
               "[   2] broker restarts\n"
               "[   3] w2 get buns     .. waits\n"
               "[10001]\n"
               "[10002]\n"
               "       w2 get buns     -> ok, item 1 'a', lease 2:1 until "
               "40002\n");
}

static void test_restart__shutdown_is_durable(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'   -> ok, item 1\n"
               "[   1] p1 shutdown buns  -> ok\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   4] p2 put buns 'b'   -> SHUTDOWN\n"
               "[   5] p2 stat buns shut -> ok, shut 1\n");
}

/* What it held is lost, and whoever waited for that is told so. */
static void test_restart__a_memory_queue_begins_anew(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns durability memory -> ok, created\n"
               "[   0] p1 put buns 'a'      -> ok, item 1\n"
               "[   0] w1 get buns          -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   1] p1 join buns #j      .. waits\n"
               "[   1] p1 wait 1 #w         .. waits\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   4] p1 hello resume      -> ok, session 1, resumed\n"
               "[   4] p1 held\n"
               "[   4] p1 resend #j boot 77 -> LOST\n"
               "[   4] p1 resend #w boot 77 -> LOST\n"
               "[   5] w1 hello resume      -> ok, session 2, resumed\n"
               "[   5] w1 held 1\n"
               "[   5] w1 done 1            -> LOST\n"
               "[   6] p1 join buns         -> ok\n");
}

/* A log has nothing of what it held so far. */
static void
test_restart__a_memory_queue_becomes_durable_before_its_first_put(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns durability memory -> ok, created\n"
               "[   0] p1 declare bones durability memory -> ok, created\n"
               "[   0] p1 configure buns durability disk -> ok\n"
               "[   1] p1 put buns 'a'      -> ok, item 1\n"
               "[   1] p1 put bones 'a'     -> ok, item bones/1\n"
               "[   2] p1 configure bones durability disk -> BAD_REQUEST\n"
               "[   2] p1 configure buns durability memory -> ok\n"
               "[   3] p1 put buns 'b'      -> ok, item 2\n"
               "[   4] broker dies\n"
               "[   5] broker restarts\n"
               "[   6] p1 hello resume      -> ok, session 1, resumed\n"
               "[   6] p1 held\n"
               "[   7] p1 stat buns ready   -> ok, ready 2\n"
               "[   7] p1 stat bones ready  -> ok, ready 0\n");
}

/* Its own share is kept for what frees room. */
static void test_restart__a_full_log_refuses_puts_alone(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'      -> ok, item 1\n"
               "[   0] p1 declare bowl durability memory -> ok, created\n"
               "[   1] broker log room 10\n"
               "[   2] p1 put buns 'b'      -> STORAGE_FULL\n"
               "[   2] p1 put bowl 'b'      -> ok, item bowl/1\n"
               "[   3] w1 get buns          -> ok, item 1 'a', lease 1 "
               "until 30003\n"
               "[   4] w1 done 1            -> ok\n"
               "[   5] p1 join buns         -> ok, done 1\n"
               "[   6] broker log room 5000\n"
               "[   7] p1 put buns 'c'      -> ok, item 2\n"
               "[   7] p1 put buns 'c'      -> STORAGE_FULL\n");
}

/* A redriven payload is written once more, so it needs room like a put. */
static void test_restart__a_full_log_refuses_a_redrive(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b'  -> ok, items 1-2\n"
               "[   0] w1 get buns 2        -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30000\n"
               "[   1] w1 reject 1 2        -> ok x2\n"
               "[   2] broker log room 10\n"
               "[   3] p1 redrive buns      -> STORAGE_FULL\n"
               "[   4] broker log room 5000\n"
               "[   5] p1 redrive buns      -> STORAGE_FULL\n"
               "[   6] broker log room 10000\n"
               "[   7] p1 redrive buns      -> ok, moved 1\n"
               "[   8] broker log room 10000\n"
               "[   9] p1 redrive buns      -> ok, moved 1\n"
               "[   9] p1 stat buns dead ready -> ok, dead 0, ready 2\n");
}

/* When the reserve is used too, only what frees room goes on. */
static void test_restart__a_log_at_its_end_hands_out_nothing_new(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' 'd' many -> ok, item 1\n"
               "[   0] p1 declare bowl durability memory -> ok, created\n"
               "[   0] p1 put bowl 'x'      -> ok, item bowl/1\n"
               "[   0] w1 get buns          -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   0] w2 get buns          -> ok, item 2 'b', lease 2 "
               "until 30000\n"
               "[   1] broker log room 0 65000\n"
               "[   2] w1 get buns          -> STORAGE_FULL\n"
               "[   2] w1 get buns try      -> STORAGE_FULL\n"
               "[   2] w3 subscribe buns items 5 #s .. waits\n"
               "[   2] w1 get bowl          -> ok, item bowl/1 'x', lease 3 "
               "until 30002\n"
               "[   3] w1 done 1            -> ok\n"
               "[   3] w2 release 2         -> ok\n"
               "[   4] p1 cancel_item 3     -> ok\n"
               "[   5] p1 stat buns ready   -> ok, ready 2\n"
               "[   6] broker log room 0 100000\n"
               "[   7] p1 put buns 'e'      -> STORAGE_FULL\n"
               "       w3 subscribe #s      -> push 1: item 2 'b', item 4 "
               "'d', leases 4-5 until 30007\n");
}

static void test_restart__a_failed_disk_is_told_to_all_who_wait(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1   -> ok, item 1\n"
               "[   0] p1 join buns #j      .. waits\n"
               "[   0] w1 declare bones     -> ok, created\n"
               "[   0] w1 get bones #g      .. waits\n"
               "[   0] w1 subscribe bones items 5 #s .. waits\n"
               "[   1] broker storage fails\n"
               "       p1 join #j           -> STORAGE_FAILED\n"
               "       w1 get #g            -> STORAGE_FAILED\n"
               "       w1 subscribe #s      -> STORAGE_FAILED\n");
}

/* What a repair left without bytes ends, whatever state it is in. */
static void test_restart__an_item_without_its_payload_is_purged(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'   -> ok, items 1-3\n"
               "[   0] p1 put buns 'd' delay 500 -> ok, item 4\n"
               "[   0] p1 put buns 'e' want_result -> ok, item 5\n"
               "[   0] p1 put buns 'f'           -> ok, item 6\n"
               "[   0] p1 put buns 'g' key k unique -> ok, item 7\n"
               "[   0] p1 put buns ''            -> ok, item 8\n"
               "[   1] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30001\n"
               "[   1] w1 get buns               -> ok, item 2 'b', lease 2 "
               "until 30001\n"
               "[   1] w1 reject 2               -> ok\n"
               "[   1] w1 get buns               -> ok, item 3 'c', lease 3 "
               "until 30001\n"
               "[   1] w1 get buns               -> ok, item 5 'e', lease 4 "
               "until 30001\n"
               "[   1] w1 done 5 'result'        -> ok\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   3] broker loses 1 2 4 5 7 8\n"
               "[   4] w1 hello resume           -> ok, session 2, resumed\n"
               "[   4] w1 held 1 3\n"
               "[   5] w1 done 1                 -> STALE\n"
               "[   6] w1 done 3                 -> ok\n"
               "[   7] p1 hello resume           -> ok, session 1, resumed\n"
               "[   7] p1 held\n"
               "[   8] p1 wait 5                 -> NOT_FOUND\n"
               "[   9] p1 put buns 'h' key k unique -> ok, item 1048585\n"
               "[  10] p1 stat buns ready leased delayed dead purged "
               "-> ok, ready 3, leased 0, delayed 0, dead 0, purged 3\n"
               "[  11] w1 get buns               -> ok, item 6 'f', lease 2:1 "
               "until 30011\n");
}

/* Its leases of before count in its credit. */
static void test_restart__a_subscription_goes_on(void **state)
{
    (void)state;
    world_says("[   0] w1 subscribe buns items 2 #s .. waits\n"
               "[   1] p1 put buns 'a' 'b' 'c'      -> ok, items 1-3\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "item 2 'b', leases 1-2 until 30001\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   4] w1 hello resume              -> ok, session 1, "
               "resumed\n"
               "[   4] w1 held 1 2\n"
               "[   4] w1 resend #s sequence 1      .. waits\n"
               "[   5] w1 done 1                    -> ok\n"
               "       w1 subscribe #s              -> push 2: item 3 'c', "
               "lease 2:1 until 30005\n");
}

static void
test_restart__a_dead_session_is_remembered_across_a_restart(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' #1 -> ok, item 1\n"
               "[   1] p1 crashes\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[60000] p1 hello resume   -> ok, session 1, resumed\n"
               "[60000] p1 held\n"
               "[60000] p1 resend #1      -> ok, item 1\n"
               "[60001] p1 put buns 'b'   -> ok, item 1048578\n");
}

/* Its leases are for life, and nobody knows of the items any more. */
static void
test_restart__a_subscription_given_up_meanwhile_holds_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   0] w1 subscribe buns items 2 #s .. waits\n"
               "[   1] p1 put buns 'a' 'b'          -> ok, items 1-2\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "item 2 'b', leases 1-2 for life\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   4] w1 hello resume              -> ok, session 2, "
               "resumed\n"
               "[   4] w1 cancel #s\n"
               "[   4] w1 held\n"
               "[   5] w1 stat buns leased ready    -> ok, leased 0, "
               "ready 2\n");
}

/* Nobody waited for the CANCEL, so none comes: what no subscription took up by
 * then goes back. */
static void
test_restart__a_subscription_that_never_comes_back_holds_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns accounting count -> ok, created\n"
               "[   0] w1 subscribe buns items 2 #s .. waits\n"
               "[   1] p1 put buns 'a' 'b'          -> ok, items 1-2\n"
               "       w1 subscribe #s              -> push 1: item 1 'a', "
               "item 2 'b', leases 1-2 for life\n"
               "[   2] broker dies\n"
               "[   3] broker restarts\n"
               "[   4] w1 hello resume              -> ok, session 2, "
               "resumed\n"
               "[   4] w1 held 1\n"
               "[   5] w1 stat buns leased ready    -> ok, leased 2, "
               "ready 0\n"
               "[15000] w1 stat buns leased ready   -> ok, leased 1, "
               "ready 1\n"
               "[15001] w1 done 1                   -> ok\n");
}

/* Its limit is for all of it, and its answer counts all of it; the first one
 * that it moved is not moved again though it is dead again. */
static void test_restart__a_redrive_goes_on_where_it_was(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' 'd' -> ok, items 1-4\n"
               "[   0] w1 get buns 4               -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', item 4 'd', leases 1-4 until 30000\n"
               "[   1] w1 reject 1 2 3 4           -> ok x4\n"
               "[  10] p1 redrive buns limit 3 rate 10 #r .. waits\n"
               "[  11] w1 get buns                 -> ok, item 5 'a', lease 5 "
               "until 30011\n"
               "[  12] w1 reject 5                 -> ok\n"
               "[ 120] p1 stat buns ready dead     -> ok, ready 1, dead 3\n"
               "[ 130] broker dies\n"
               "[ 140] broker restarts\n"
               "[ 150] p1 hello resume             -> ok, session 1, resumed\n"
               "[ 150] p1 held\n"
               "[ 151] p1 resend #r                -> ok, moved 3\n"
               "[ 152] p1 stat buns ready dead     -> ok, ready 2, dead 2\n"
               "[ 153] p1 resend #r                -> ok, moved 3\n"
               "[ 154] p1 redrive buns             -> ok, moved 2\n");
}

/* Its session died: it ends; the session that comes back asks again. */
static void test_restart__a_redrive_of_a_dead_session_waits_for_it(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c'     -> ok, items 1-3\n"
               "[   0] w1 get buns 3               -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', leases 1-3 until 30000\n"
               "[   1] w1 reject 1 2 3             -> ok x3\n"
               "[  10] p1 redrive buns limit 2 rate 1 #r .. waits\n"
               "[  11] p1 crashes\n"
               "[5000] w1 stat buns ready dead     -> ok, ready 1, dead 2\n"
               "[5001] w1 shutdown buns            -> ok\n"
               "[5010] p1 hello resume             -> ok, session 1, resumed\n"
               "[5010] p1 held\n"
               "[5011] p1 resend #r                -> ok, moved 1\n");
}

const struct core_test core_tests_restart[] = {
    CORE_TEST(test_restart__counters_and_places_survive, "S4.5.a S1.s"),
    CORE_TEST(test_restart__a_start_may_count_on_from_an_earlier_one, "S1.s"),
    CORE_TEST(test_restart__answers_are_rebuilt_from_the_facts,
              "S3.5.b S3.5.c"),
    CORE_TEST(test_restart__waiting_calls_are_resent_and_queue_by_arrival,
              "S3.5.d S4.5.b"),
    CORE_TEST(test_restart__downtime_counts_for_deadlines, "S3.4.b"),
    CORE_TEST(test_restart__the_keys_survive, "S7.j"),
    CORE_TEST(test_restart__sessions_that_do_not_resume_release_their_leases,
              "S5.1.b S9.d"),
    CORE_TEST(test_restart__shutdown_is_durable, "S8.h"),
    CORE_TEST(test_restart__a_memory_queue_begins_anew, "S9.a S10.h S1.s"),
    CORE_TEST(test_restart__a_memory_queue_becomes_durable_before_its_first_put,
              "S9.a"),
    CORE_TEST(test_restart__a_full_log_refuses_puts_alone, "S9.b"),
    CORE_TEST(test_restart__a_full_log_refuses_a_redrive, "S9.b"),
    CORE_TEST(test_restart__a_log_at_its_end_hands_out_nothing_new, "S9.b"),
    CORE_TEST(test_restart__a_failed_disk_is_told_to_all_who_wait, "S9.c"),
    CORE_TEST(test_restart__an_item_without_its_payload_is_purged, ""),
    CORE_TEST(test_restart__a_subscription_goes_on, "S2.j S4.5.b"),
    CORE_TEST(test_restart__a_dead_session_is_remembered_across_a_restart,
              "S7.a S3.5.b"),
    CORE_TEST(test_restart__a_subscription_given_up_meanwhile_holds_nothing,
              "S3.2.d S4.4.g"),
    CORE_TEST(test_restart__a_subscription_that_never_comes_back_holds_nothing,
              "S3.2.d S4.4.g"),
    CORE_TEST(test_restart__a_redrive_goes_on_where_it_was, "S2.r S3.5.b"),
    CORE_TEST(test_restart__a_redrive_of_a_dead_session_waits_for_it,
              "S2.r S3.5.b"),
    CORE_TESTS_END,
};
