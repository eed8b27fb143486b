/*
 * test_dead.c - what fails too often is parked, never lost.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"
#include "tests/core/world.h"

/* Three ways to fail, told apart in the history. */
static void test_dead__max_deliveries_is_checked_at_return(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_deliveries 3 lease_ms 100 -> ok, "
               "created\n"
               "[   0] p1 put buns 'a'     -> ok, item 1\n"
               "[   0] p1 join buns        .. waits\n"
               "[   0] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "100\n"
               "[   1] w1 retry 1 delay 0 error 'oven cold' -> ok\n"
               "[   2] w1 get buns         -> ok, item 1 'a' (delivery 2), "
               "lease 2 until 102\n"
               "[ 102] w2 get buns         -> ok, item 1 'a' (delivery 3), "
               "lease 3 until 202\n"
               "[ 110] w2 crashes\n"
               "       p1 join buns        -> ok, dead 1, 'oven cold'\n"
               "[ 111] p1 browse buns dead -> item 1 dead 'a', deliveries "
               "3, error 'oven cold', history, 'retried', 'lease ended', "
               "'worker died'; ok\n"
               "[ 112] p1 stat buns dead unfinished retried -> ok, dead 1, "
               "unfinished 0, retried 1\n");
}

static void test_dead__release_is_no_delivery(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_deliveries 1 -> ok, created\n"
               "[   0] p1 put buns 'a'                 -> ok, item 1\n"
               "[   0] w1 get buns                     -> ok, item 1 'a', "
               "lease 1 until 30000\n"
               "[   1] w1 release 1                    -> ok\n"
               "[   2] w1 get buns                     -> ok, item 1 'a', "
               "lease 2 until 30002\n"
               "[   3] w1 retry 1 error 'oven cold'    -> ok\n"
               "[   4] p1 stat buns dead delayed ready -> ok, dead 1, "
               "delayed 0, ready 0\n");
}

/* Beyond dead_max an item stays delayed at the backoff cap, and the queue
 * says so; nothing is lost, and with room it dies. */
static void test_dead__the_dead_have_their_own_bound(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_deliveries 1 dead_max 1 "
               "backoff_cap_ms 1000 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'     -> ok, items 1-2\n"
               "[   0] w1 get buns 2           -> ok, item 1 'a', item 2 "
               "'b', leases 1-2 until 30000\n"
               "[   1] w1 retry 1 error 'x'    -> ok\n"
               "[   2] w1 retry 2 error 'y'    -> ok\n"
               "[   3] p1 stat buns dead delayed dead_full unfinished -> "
               "ok, dead 1, delayed 1, dead_full 1, unfinished 1\n"
               "[   4] p1 purge buns with_dead -> ok, purged 2\n"
               "[   5] p1 stat buns dead delayed dead_full unfinished -> "
               "ok, dead 0, delayed 0, dead_full 0, unfinished 0\n");
}

static void test_dead__dead_bytes_count_in_max_bytes(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_bytes 10  -> ok, created\n"
               "[   0] p1 put buns 'aaaaaaaa'        -> ok, item 1\n"
               "[   0] w1 get buns                   -> ok, item 1 "
               "'aaaaaaaa', lease 1 until 30000\n"
               "[   1] w1 reject 1                   -> ok\n"
               "[   2] p1 put buns 'bbb' try         -> FULL\n"
               "[   3] p1 put buns 'bb' try          -> ok, item 2\n"
               "[   4] p1 stat buns bytes dead_bytes -> ok, bytes 2, "
               "dead_bytes 8\n"
               "[   5] p1 put buns 'ccc'             .. waits\n"
               "[   6] p1 redrive buns 1             -> FULL\n"
               "[   7] p1 purge buns with_dead       -> ok, purged 2\n"
               "       p1 put buns 'ccc'             -> ok, item 3\n"
               "[   8] p1 redrive buns 1             -> ok, moved 0\n");
}

static void test_dead__the_dead_may_have_a_ttl(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns dead_ttl_ms 1000 -> ok, created\n"
               "[   0] p1 put buns 'a'        -> ok, item 1\n"
               "[   0] w1 get buns            -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   5] w1 reject 1            -> ok\n"
               "[1004] p1 stat buns dead died -> ok, dead 1, died 1\n"
               "[1005] p1 stat buns dead died -> ok, dead 0, died 1\n");
}

static void test_dead__redrive_accepts_anew(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b'         -> ok, items 1-2\n"
               "[   0] w1 get buns 2               -> ok, item 1 'a', item "
               "2 'b', leases 1-2 until 30000\n"
               "[   1] w1 reject 1 2 error 'burnt' -> ok x2\n"
               "[   2] p1 redrive buns             -> ok, moved 2\n"
               "[   3] p1 stat buns dead died accepted unfinished ready -> "
               "ok, dead 0, died 2, accepted 4, unfinished 2, ready 2\n"
               "[   4] p1 browse buns ready        -> item 3 ready 'a', "
               "origin 1; item 4 ready 'b', origin 2; ok\n"
               "[   5] w1 get buns 2               -> ok, item 3 'a', item "
               "4 'b', leases 3-4 until 30005\n"
               "[   6] w1 done 3 4                 -> ok x2\n"
               "[   7] p1 join buns                -> ok, done 2, dead 2, "
               "'burnt', 'burnt'\n");
}

static void test_dead__redrive_by_ids_by_match_by_number(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' 'd' 'e' -> ok, items 1-5\n"
               "[   0] w1 get buns 5                   -> ok, item 1 'a', "
               "item 2 'b', item 3 'c', item 4 'd', item 5 'e', leases 1-5 "
               "until 30000\n"
               "[   1] w1 reject 1 3 5 error 'burnt black' -> ok x3\n"
               "[   1] w1 reject 2 4 error 'cold'      -> ok x2\n"
               "[   2] p1 redrive buns 4 99            -> ok, moved 1\n"
               "[   3] p1 redrive buns match black limit 2 -> ok, moved 2\n"
               "[   4] p1 browse buns ready            -> item 6 ready 'd', "
               "origin 4; item 7 ready 'a', origin 1; item 8 ready 'c', "
               "origin 3; ok\n"
               "[   5] p1 redrive buns limit 1         -> ok, moved 1\n"
               "[   6] p1 browse buns dead             -> item 5 dead 'e', "
               "deliveries 1, error 'burnt black', history, 'rejected'; ok\n");
}

static void test_dead__redrive_with_a_rate_takes_its_time(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' 'c' -> ok, items 1-3\n"
               "[   0] w1 get buns 3           -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', leases 1-3 until 30000\n"
               "[   1] w1 reject 1 2 3         -> ok x3\n"
               "[  10] p1 redrive buns rate 10 .. waits\n"
               "[  11] p1 stat buns ready dead -> ok, ready 1, dead 2\n"
               "[ 110] p1 stat buns ready dead -> ok, ready 2, dead 1\n"
               "[ 210]\n"
               "       p1 redrive buns rate 10 -> ok, moved 3\n");
}

/* Where a put would wait it ends, and says how far it came. */
static void test_dead__redrive_obeys_bound_and_unique(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2    -> ok, created\n"
               "[   0] p1 put buns 'a' key k unique -> ok, item 1\n"
               "[   0] p1 put buns 'b'              -> ok, item 2\n"
               "[   0] w1 get buns 2                -> ok, item 1 'a', item "
               "2 'b', leases 1-2 until 30000\n"
               "[   0] p1 put buns 'c'              -> ok, item 3\n"
               "[   1] w1 reject 1 2                -> ok x2\n"
               "[   2] p1 redrive buns              -> ok, moved 1\n"
               "[   3] p1 redrive buns              -> FULL\n"
               "[   4] p1 browse buns dead          -> item 2 dead 'b', "
               "deliveries 1, history, 'rejected'; ok\n"
               "[   5] p1 browse buns ready         -> item 3 ready 'c'; "
               "item 4 ready 'a', key k, origin 1; ok\n"
               "[   6] p1 put buns 'd' key k unique -> ok, duplicate of "
               "item 4\n"
               "[   7] w1 get buns 2                -> ok, item 3 'c', item "
               "4 'a', leases 3-4 until 30007\n"
               "[   8] w1 reject 4                  -> ok\n"
               "[   9] p1 put buns 'e' key k unique -> ok, item 5\n"
               "[  10] p1 redrive buns 4            -> ok, moved 0\n"
               "[  11] p1 stat buns dead            -> ok, dead 2\n");
}

static void test_dead__with_room_the_doomed_dies(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_deliveries 1 dead_max 1 "
               "backoff_cap_ms 1000 -> ok, created\n"
               "[   0] p1 put buns 'a' 'b'          -> ok, items 1-2\n"
               "[   0] w1 get buns 2                -> ok, item 1 'a', item "
               "2 'b', leases 1-2 until 30000\n"
               "[   1] w1 retry 1 error 'x'         -> ok\n"
               "[   1] w1 retry 2 error 'y'         -> ok\n"
               "[   2] w1 get buns try              -> EMPTY\n"
               "[2000] p1 stat buns dead delayed dead_full -> ok, dead 1, "
               "delayed 1, dead_full 1\n"
               "[2001] p1 configure buns dead_max 2 -> ok\n"
               "[3002] p1 stat buns dead delayed dead_full -> ok, dead 2, "
               "delayed 0, dead_full 0\n"
               "[3003] p1 join buns                 -> ok, dead 2, 'x', 'y'\n");
    world_says("[   0] p1 declare buns max_deliveries 1 dead_max 1 -> ok, "
               "created\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns 2       -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30000\n"
               "[   1] w1 reject 1         -> ok\n"
               "[   1] w1 reject 2         -> ok\n"
               "[   2] p1 stat buns dead delayed dead_full unfinished -> "
               "ok, dead 1, delayed 1, dead_full 1, unfinished 1\n"
               "[   3] p1 cancel_item 2    -> ok\n"
               "[   4] p1 stat buns dead delayed dead_full unfinished -> "
               "ok, dead 1, delayed 0, dead_full 0, unfinished 0\n");
}

static void test_dead__the_dead_answer_wait_at_once(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] w1 get buns               -> ok, item 1 'a', lease 1 "
               "until 30000\n"
               "[   1] w1 reject 1 error 'burnt' -> ok\n"
               "[   2] p1 wait 1                 -> ok, dead, error 'burnt'\n");
}

static struct bao_operation request(struct world_client *client, uint64_t verb)
{
    struct bao_operation operation = {0};
    BAO_SET(&operation, VERB, verb, verb);
    BAO_SET(&operation, RID, rid, client->next_rid++);
    BAO_SET(&operation, QUEUE, queue, bao_span_text("buns"));
    return operation;
}

/* Takes the one item and gives it back to be retried. */
static void take_and_retry(struct world *world, struct world_client *client)
{
    uint8_t id[8];
    uint8_t token[8];
    struct bao_operation get = request(client, BAO_VERB_GET);
    world_send(world, client->peer, &get, NULL, 0);
    bao_store64(id, client->leases[0].id);
    bao_store64(token, client->leases[0].token);
    struct bao_operation retry = request(client, BAO_VERB_RETRY);
    retry.present &= ~BAO_BIT(QUEUE);
    BAO_SET(&retry, IDS, ids, bao_span_of(id, 8));
    BAO_SET(&retry, TOKENS, tokens, bao_span_of(token, 8));
    world_send(world, client->peer, &retry, NULL, 0);
}

/* base 100 ms * 2^n up to the cap, of which jitter takes a part away. */
static void test_dead__retry_backs_off_twice_as_long_each_time(void **state)
{
    (void)state;
    struct world *world = world_open(NULL);
    struct world_client *client = world_client(world, "w1");
    struct world_payload payload = {(const uint8_t *)"a", 1, 0};
    uint64_t delays[10];

    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    world_declare(world, client, "buns");
    struct bao_operation put = request(client, BAO_VERB_PUT);
    world_send(world, client->peer, &put, &payload, 1);
    for (unsigned i = 0; i < 10; i++) {
        take_and_retry(world, client);
        uint64_t id = client->leases[0].id;
        const struct judge_item *item = judge_item(&world->judge, id);
        assert_int_equal(item->state, BAO_STATE_DELAYED);
        uint64_t due_ms = item->due_us / 1000 - WORLD_BASE_MS;
        delays[i] = due_ms - world->now_ms;
        world_run(world, due_ms - 1);
        assert_int_equal(item->state, BAO_STATE_DELAYED);
        world_run(world, due_ms + 1);
        assert_int_equal(item->state, BAO_STATE_READY);
    }
    unsigned exact = 0;
    for (unsigned i = 0; i < 10; i++) {
        uint64_t most = UINT64_C(100) << i;
        most = most > 60000 ? 60000 : most;
        assert_true(delays[i] <= most + 1);
        assert_true(delays[i] >= most / 2);
        exact += delays[i] == most ? 1 : 0;
    }
    assert_true(exact < 5); /* so that a crowd does not come back at once */
    world_close(world);
}

const struct core_test core_tests_dead[] = {
    CORE_TEST(test_dead__max_deliveries_is_checked_at_return,
              "S5.4.a S4.1.b S1.i S5.4.b"),
    CORE_TEST(test_dead__release_is_no_delivery, "S2.n S5.4.a"),
    CORE_TEST(test_dead__the_dead_have_their_own_bound, "S5.4.d"),
    CORE_TEST(test_dead__dead_bytes_count_in_max_bytes, "S5.4.d S6.h"),
    CORE_TEST(test_dead__the_dead_may_have_a_ttl, "S5.4.e"),
    CORE_TEST(test_dead__redrive_accepts_anew, "S2.q S2.s S2.r"),
    CORE_TEST(test_dead__redrive_by_ids_by_match_by_number, "S2.t S2.r"),
    CORE_TEST(test_dead__redrive_with_a_rate_takes_its_time, "S2.t"),
    CORE_TEST(test_dead__redrive_obeys_bound_and_unique, "S2.r"),
    CORE_TEST(test_dead__with_room_the_doomed_dies, "S5.4.d"),
    CORE_TEST(test_dead__the_dead_answer_wait_at_once, "S2.x"),
    CORE_TEST(test_dead__retry_backs_off_twice_as_long_each_time,
              "S5.4.c S5.5.a"),
    CORE_TESTS_END,
};
