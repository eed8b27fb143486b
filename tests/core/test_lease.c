/*
 * test_lease.c - who holds which item, until when, and what ends it.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"
#include "tests/core/world.h"

/* Item 2 was prolonged; item 1 is handed to another worker, in its old
 * place before item 3. */
static void test_lease__an_expired_lease_affects_its_item_alone(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns lease_ms 100 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c'      -> ok, items 1-3\n"
               "[   0] w1 get buns 2                -> ok, item 1 'a', item "
               "2 'b', leases 1-2 until 100\n"
               "[  90] w1 touch 2 lease 200         -> ok until 290\n"
               "[  99] p1 stat buns ready leased    -> ok, ready 1, leased 2\n"
               "[ 100] w2 get buns 9                -> ok, item 1 'a' "
               "(delivery 2), item 3 'c', leases 3-4 until 200\n"
               "[ 101] w1 done 2                    -> ok\n"
               "[ 102] w2 done 1 3                  -> ok x2\n");
}

static void test_lease__a_stale_token_changes_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'       -> ok, item 1\n"
               "[   0] w1 get buns lease 100 -> ok, item 1 'a', lease 1 "
               "until 100\n"
               "[ 101] w1 done 1             -> STALE\n"
               "[ 101] w1 retry 1            -> STALE\n"
               "[ 101] w1 release 1          -> STALE\n"
               "[ 101] w1 reject 1           -> STALE\n"
               "[ 101] w1 touch 1 lease 100  -> STALE, item 1\n"
               "[ 102] w2 get buns           -> ok, item 1 'a' (delivery "
               "2), lease 2 until 30102\n"
               "[ 103] w1 done 1@1           -> STALE\n"
               "[ 103] w1 done 1@2           -> STALE\n"
               "[ 103] w1 done 1@77          -> STALE\n"
               "[ 104] p1 stat buns leased done unfinished -> ok, leased 1, "
               "done 0, unfinished 1\n"
               "[ 105] w2 done 1             -> ok\n"
               "[ 106] w2 done 1             -> STALE\n"
               "[ 107] p1 stat buns leased done unfinished -> ok, leased 0, "
               "done 1, unfinished 0\n");
}

static void test_lease__the_lease_time_is_the_queue_s_or_the_get_s(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns lease_ms 0 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'        -> ok, items 1-2\n"
               "[   0] w1 get buns                -> ok, item 1 'a', lease "
               "1 for life\n"
               "[   0] w1 get buns lease 250      -> ok, item 2 'b', lease "
               "2 until 250\n"
               "[ 250]\n"
               "[100000] w1 done 1                -> ok\n"
               "[100001] w1 done 2                -> STALE\n");
}

static void test_lease__at_max_run_a_lease_is_prolonged_no_more(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns lease_ms 100 max_run_ms 250 -> ok, "
               "created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 100\n"
               "[  90] w1 touch 1                -> ok until 190\n"
               "[ 180] w1 touch 1                -> ok until 250\n"
               "[ 249] p1 stat buns leased       -> ok, leased 1\n"
               "[ 250] w1 touch 1                -> STALE, item 1\n"
               "[ 251] p1 stat buns leased ready -> ok, leased 0, ready 1\n");
}

static void test_lease__a_closed_connection_has_a_grace(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w2 get buns     .. waits\n"
               "[  10] w1 closes\n"
               "[ 509]\n"
               "[ 510]\n"
               "       w2 get buns     -> ok, item 1 'a' (delivery 2), "
               "lease 2 until 30510\n");
}

static void
test_lease__a_reconnect_within_the_grace_keeps_the_lease(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[  10] w1 closes\n"
               "[ 500] w1 hello resume -> ok, session 2, resumed\n"
               "[ 500] w1 held 1\n"
               "[2000] w1 done 1       -> ok\n");
}

static void test_lease__a_process_that_is_gone_is_dead_at_once(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w2 get buns     .. waits\n"
               "[  10] w1 crashes\n"
               "       w2 get buns     -> ok, item 1 'a' (delivery 2), "
               "lease 2 until 30010\n");
}

/* With a lease a heartbeat is due every second. */
static void test_lease__silence_lasts_three_heartbeats(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   0] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w2 get buns     .. waits\n"
               "[5500] w1 falls silent\n"
               "[7999]\n"
               "[8000]\n"
               "       w1              -> gone, SESSION_GONE\n"
               "       w2 get buns     -> ok, item 1 'a' (delivery 2), "
               "lease 2 until 38000\n");
}

static void test_lease__bye_releases_uncounted(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30000\n"
               "[   1] w2 get buns 2       -> ok, item 2 'b', lease 2 until "
               "30001\n"
               "[   2] w3 get buns         .. waits\n"
               "[   3] w1 bye              -> ok\n"
               "       w3 get buns         -> ok, item 1 'a', lease 3 until "
               "30003\n");
}

static void test_lease__a_getter_that_dies_disturbs_nobody(void **state)
{
    (void)state;
    world_says("[   0] w1 get buns     .. waits\n"
               "[   1] w2 get buns     .. waits\n"
               "[   2] w1 crashes\n"
               "[   3] p1 put buns 'a' -> ok, item 1\n"
               "       w2 get buns     -> ok, item 1 'a', lease 1 until "
               "30003\n");
}

static void test_lease__a_waiting_putter_that_dies_puts_nothing(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 -> ok, created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   1] p2 put buns 'b'           .. waits\n"
               "[   1] p3 put buns 'c'           .. waits\n"
               "[   2] p2 crashes\n"
               "[   3] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30003\n"
               "       p3 put buns 'c'           -> ok, item 2\n");
}

static void test_lease__auto_is_settled_by_its_receipt(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'                -> ok, item 1\n"
               "[   0] p1 join buns                   .. waits\n"
               "[   1] w1 get buns auto               -> ok, item 1 'a', "
               "lease 1 for life\n"
               "[   2] p1 stat buns leased unfinished -> ok, leased 1, "
               "unfinished 1\n"
               "[   3] w1 receipt 1\n"
               "       p1 join buns                   -> ok, done 1\n");
}

static void test_lease__auto_without_receipt_goes_back_uncounted(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   1] w1 get buns auto #1 -> ok, item 1 'a', lease 1 for "
               "life\n"
               "[   2] w1 cancel #1\n"
               "[   3] w2 get buns auto    -> ok, item 1 'a', lease 2 for "
               "life\n"
               "[   4] w2 crashes\n"
               "[   5] w3 get buns         -> ok, item 1 'a', lease 3 until "
               "30005\n"
               "[   6] w3 release 1        -> ok\n"
               "[   7] w4 get buns auto    -> ok, item 1 'a', lease 4 for "
               "life\n"
               "[   8] w4 bye              -> ok\n"
               "[   9] w5 get buns         -> ok, item 1 'a', lease 5 until "
               "30009\n");
}

static void test_lease__tokens_only_grow(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'   -> ok, item 1\n"
               "[   0] p1 put cakes 'b'  -> ok, item cakes/1\n"
               "[   1] w1 get buns       -> ok, item 1 'a', lease 1 until "
               "30001\n"
               "[   1] w1 get cakes      -> ok, item cakes/1 'b', lease 2 "
               "until 30001\n"
               "[   2] w1 release buns/1 -> ok\n"
               "[   3] w1 get buns       -> ok, item 1 'a', lease 3 until "
               "30003\n");
}

static void
test_lease__a_lease_longer_than_max_run_is_never_prolonged(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_run_ms 250 -> ok, created\n"
               "[   0] p1 put buns 'a'                -> ok, item 1\n"
               "[   0] w1 get buns lease 1000         -> ok, item 1 'a', "
               "lease 1 until 1000\n"
               "[ 300] w1 touch 1 lease 1000          -> STALE, item 1\n"
               "[ 999] p1 stat buns leased ready      -> ok, leased 1, "
               "ready 0\n"
               "[1000] p1 stat buns leased ready      -> ok, leased 0, "
               "ready 1\n");
}

/* Once a second while it holds a lease, once a minute otherwise. */
static void test_lease__the_broker_says_how_often_to_beat(void **state)
{
    (void)state;
    struct world *world = world_open(NULL);
    struct world_client *client = world_client(world, "w1");
    struct world_payload payload = {(const uint8_t *)"a", 1, 0};
    struct bao_operation put = {0};
    struct bao_operation get = {0};
    struct bao_operation done = {0};
    uint8_t id[8];
    uint8_t token[8];

    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    assert_int_equal(client->heartbeat_ms, 60000);
    world_declare(world, client, "buns");
    BAO_SET(&put, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&put, RID, rid, client->next_rid++);
    BAO_SET(&put, QUEUE, queue, bao_span_text("buns"));
    world_send(world, client->peer, &put, &payload, 1);
    assert_int_equal(client->heartbeat_ms, 60000);
    BAO_SET(&get, VERB, verb, BAO_VERB_GET);
    BAO_SET(&get, RID, rid, client->next_rid++);
    BAO_SET(&get, QUEUE, queue, bao_span_text("buns"));
    world_send(world, client->peer, &get, NULL, 0);
    assert_int_equal(client->lease_count, 1);
    assert_int_equal(client->heartbeat_ms, 1000);
    bao_store64(id, client->leases[0].id);
    bao_store64(token, client->leases[0].token);
    BAO_SET(&done, VERB, verb, BAO_VERB_DONE);
    BAO_SET(&done, RID, rid, client->next_rid++);
    BAO_SET(&done, IDS, ids, bao_span_of(id, 8));
    BAO_SET(&done, TOKENS, tokens, bao_span_of(token, 8));
    world_send(world, client->peer, &done, NULL, 0);
    world_run(world, world->now_ms + 3000); /* it is in no hurry to say so */
    assert_int_equal(client->heartbeat_ms, 60000);

    /* Three of a minute without a word: the session is dead. */
    uint64_t heard_ms = client->sent_ms;
    client->silent = true;
    world_run(world, heard_ms + 3 * 60000 - 1);
    assert_int_equal(bao_core_sessions(world->core), 1);
    world_run(world, heard_ms + 3 * 60000);
    assert_int_equal(bao_core_sessions(world->core), 0);
    world_close(world);
}

const struct core_test core_tests_lease[] = {
    CORE_TEST(test_lease__an_expired_lease_affects_its_item_alone,
              "S5.2.a S5.2.e S2.al S2.p S1.h"),
    CORE_TEST(test_lease__a_stale_token_changes_nothing, "S5.3.a"),
    CORE_TEST(test_lease__the_lease_time_is_the_queue_s_or_the_get_s,
              "S5.2.a S5.2.b"),
    CORE_TEST(test_lease__at_max_run_a_lease_is_prolonged_no_more, "S5.2.d"),
    CORE_TEST(test_lease__a_closed_connection_has_a_grace, "S5.1.b S5.1.e"),
    CORE_TEST(test_lease__a_reconnect_within_the_grace_keeps_the_lease,
              "S5.1.b S1.m"),
    CORE_TEST(test_lease__a_process_that_is_gone_is_dead_at_once,
              "S5.1.c S5.1.e"),
    CORE_TEST(test_lease__silence_lasts_three_heartbeats, "S5.1.d S5.1.e S1.l"),
    CORE_TEST(test_lease__bye_releases_uncounted, "S5.1.f S1.n"),
    CORE_TEST(test_lease__a_getter_that_dies_disturbs_nobody, "S5.1.c"),
    CORE_TEST(test_lease__a_waiting_putter_that_dies_puts_nothing,
              "S5.1.c S3.1.f"),
    CORE_TEST(test_lease__auto_is_settled_by_its_receipt, "S2.h"),
    CORE_TEST(test_lease__auto_without_receipt_goes_back_uncounted,
              "S2.i S3.2.d"),
    CORE_TEST(test_lease__tokens_only_grow, "S1.q"),
    CORE_TEST(test_lease__a_lease_longer_than_max_run_is_never_prolonged,
              "S5.2.d"),
    CORE_TEST(test_lease__the_broker_says_how_often_to_beat, "S5.1.a"),
    CORE_TESTS_END,
};
