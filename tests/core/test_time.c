/*
 * test_time.c - delays, not-before, times to live.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"
#include "tests/core/world.h"

static void test_time__a_delayed_item_comes_when_it_is_due(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' delay 100  -> ok, item 1\n"
               "[   0] p1 put buns 'b'            -> ok, item 2\n"
               "[   1] w1 get buns                -> ok, item 2 'b', lease "
               "1 until 30001\n"
               "[   2] w1 get buns                .. waits\n"
               "[   3] p1 stat buns delayed ready -> ok, delayed 1, ready 0\n"
               "[  99]\n"
               "[ 100]\n"
               "       w1 get buns                -> ok, item 1 'a', lease "
               "2 until 30100\n");
}

/* Beyond all time is late, and no other kind of time; whether the item has a
 * note or none. */
static void test_time__a_delay_beyond_all_time_is_a_delay(void **state)
{
    (void)state;
    world_says(
        "[   0] p1 put buns 'a' delay 18446744073709551615       -> ok, item "
        "1\n"
        "[   0] p1 put buns 'b' delay 18446744073709551615 key k -> ok, item "
        "2\n"
        "[   0] p1 put buns 'c'               -> ok, item 3\n"
        "[   1] w1 get buns                   -> ok, item 3 'c', lease 1 until "
        "30001\n"
        "[   2] w1 release 3 delay 18446744073709551615          -> ok\n"
        "[ 999999999] p1 stat buns ready delayed -> ok, ready 0, delayed "
        "3\n");
}

static void test_time__due_items_take_their_id_s_place(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' delay 100 -> ok, item 1\n"
               "[   0] p1 put buns 'b' delay 50  -> ok, item 2\n"
               "[   0] p1 put buns 'c'           -> ok, item 3\n"
               "[ 100] w1 get buns 3             -> ok, item 1 'a', item 2 "
               "'b', item 3 'c', leases 1-3 until 30100\n");
}

/* The wall clock jumps an hour ahead, then back. */
static void test_time__not_before_is_the_wall_clock_s(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' not_before 3600000 -> ok, item 1\n"
               "[   0] p1 put buns 'b' delay 3600000 -> ok, item 2\n"
               "[   1] w1 get buns                   .. waits\n"
               "[  10] broker wall jumps 3600000\n"
               "       w1 get buns                   -> ok, item 1 'a', "
               "lease 1 until 30010\n"
               "[  11] p1 stat buns delayed          -> ok, delayed 1\n");
    world_says("[   0] p1 put buns 'a' not_before 1000 -> ok, item 1\n"
               "[   1] w1 get buns                     .. waits\n"
               "[ 500] broker wall jumps -60000\n"
               "[1000]\n"
               "[60999]\n"
               "[61000]\n"
               "       w1 get buns                     -> ok, item 1 'a', "
               "lease 1 until 91000\n");
    world_says("[ 100] p1 put buns 'a' not_before 50 -> ok, item 1\n"
               "[ 101] w1 get buns                   -> ok, item 1 'a', "
               "lease 1 until 30101\n");
}

static void test_time__ttl_ends_ready_and_delayed_items(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' ttl 100 -> ok, item 1\n"
               "[   0] p1 put buns 'b' ttl 100 delay 500 -> ok, item 2\n"
               "[   0] p1 put buns 'c'         -> ok, item 3\n"
               "[   1] p1 join buns            .. waits\n"
               "[  99] p1 stat buns ready delayed expired -> ok, ready 2, "
               "delayed 1, expired 0\n"
               "[ 100] p1 stat buns ready delayed expired -> ok, ready 1, "
               "delayed 0, expired 2\n"
               "[ 101] w1 get buns             -> ok, item 3 'c', lease 1 "
               "until 30101\n"
               "[ 102] w1 done 3               -> ok\n"
               "       p1 join buns            -> ok, done 1, expired 2\n");
}

static void test_time__the_queue_has_a_ttl_too(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns ttl_ms 100    -> ok, created\n"
               "[   0] p1 put buns 'a'               -> ok, item 1\n"
               "[   0] p1 put buns 'b' ttl 200       -> ok, item 2\n"
               "[ 100] p1 stat buns ready expired    -> ok, ready 1, "
               "expired 1\n"
               "[ 150] p1 configure buns ttl_ms 1000 -> ok\n"
               "[ 150] p1 put buns 'c'               -> ok, item 3\n"
               "[ 200] p1 stat buns ready expired    -> ok, ready 1, "
               "expired 2\n"
               "[1150] p1 stat buns ready expired    -> ok, ready 0, "
               "expired 3\n");
}

static void test_time__a_leased_item_expires_when_it_returns(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' 'b' ttl 100 -> ok, items 1-2\n"
               "[   0] p1 join buns                .. waits\n"
               "[  50] w1 get buns 2               -> ok, item 1 'a', item "
               "2 'b', leases 1-2 until 30050\n"
               "[ 150] w1 release 1                -> ok\n"
               "[ 160] p1 stat buns leased expired -> ok, leased 1, expired "
               "1\n"
               "[ 200] w1 done 2                   -> ok\n"
               "       p1 join buns                -> ok, done 1, expired 1\n");
}

/* Puts `count` items that are due at the same moment. */
static void
put_delayed(struct world *world, struct world_client *client, size_t count)
{
    static struct world_payload payloads[WORLD_PAYLOADS_MAX];
    struct bao_operation put = {0};
    for (size_t i = 0; i < count; i++) {
        payloads[i] = (struct world_payload){(const uint8_t *)"a", 1, 0};
    }
    BAO_SET(&put, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&put, RID, rid, client->next_rid);
    BAO_SET(&put, QUEUE, queue, bao_span_text("buns"));
    BAO_SET(&put, DELAY_MS, delay_ms, 1000);
    BAO_SET(&put, TTL_MS, ttl_ms, 2000);
    client->next_rid += count;
    world_send(world, client->peer, &put, payloads, count);
}

/* Acknowledges everything that was answered. */
static void acknowledge(struct world *world, struct world_client *client)
{
    uint8_t range[16];
    struct bao_operation ack = {0};
    bao_store64(range, 1);
    bao_store64(range + 8, client->next_rid - 1);
    BAO_SET(&ack, VERB, verb, BAO_VERB_ACK);
    BAO_SET(&ack, RANGES, ranges, bao_span_of(range, 16));
    world_send(world, client->peer, &ack, NULL, 0);
}

/* 5,000 items become due at once, and later expire at once; a purge and the
 * death of whoever holds them are the same. */
static void test_time__no_step_moves_more_than_1024_items(void **state)
{
    (void)state;
    struct world *world = world_open(NULL);
    struct world_client *client = world_client(world, "p1");
    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    world_declare(world, client, "buns");
    for (unsigned i = 0; i < 5; i++) {
        put_delayed(world, client, 1000);
        acknowledge(world, client);
    }
    const struct judge_queue *queue = judge_queue_named(&world->judge, "buns");
    assert_int_equal(queue->counts[BAO_STATE_DELAYED], 5000);
    uint64_t steps = world->steps;
    world_run(world, 1000);
    assert_int_equal(queue->counts[BAO_STATE_READY], 5000);
    assert_true(world->steps >= steps + 5);
    world_run(world, 2000);
    assert_int_equal(queue->counts[BAO_STATE_EXPIRED], 5000);
    assert_true(world->moved_most <= BAO_STEP_ITEMS_MAX);
    world_close(world);
}

/* 3,000 puts wait while nothing may come in; they are let in by slices, in
 * the order in which they came. */
static void test_time__no_step_accepts_more_than_1024_waiting_puts(void **state)
{
    (void)state;
    struct world *world = world_open(NULL);
    struct world_client *client = world_client(world, "p1");
    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    world_declare(world, client, "buns");
    struct bao_operation operation = {0};
    BAO_SET(&operation, VERB, verb, BAO_VERB_PAUSE);
    BAO_SET(&operation, RID, rid, client->next_rid++);
    BAO_SET(&operation, QUEUE, queue, bao_span_text("buns"));
    BAO_SET(&operation, STATE, state, BAO_DIRECTION_IN);
    world_send(world, client->peer, &operation, NULL, 0);
    acknowledge(world, client);
    for (unsigned i = 0; i < 3; i++) {
        put_delayed(world, client, 1000);
    }
    const struct judge_queue *queue = judge_queue_named(&world->judge, "buns");
    assert_int_equal(queue->accepted, 0);
    BAO_SET(&operation, VERB, verb, BAO_VERB_RESUME);
    BAO_SET(&operation, RID, rid, client->next_rid++);
    world_send(world, client->peer, &operation, NULL, 0);
    assert_true(queue->accepted >= 1000);
    assert_true(world->moved_most <= BAO_STEP_ITEMS_MAX);
    acknowledge(world, client);
    world_run(world, world->now_ms + 10);
    assert_int_equal(queue->accepted, 3000);
    assert_true(world->moved_most <= BAO_STEP_ITEMS_MAX);
    world_close(world);
}

const struct core_test core_tests_time[] = {
    CORE_TEST(test_time__a_delayed_item_comes_when_it_is_due,
              "S1.h S3.1.g S6.l S3.4.d"),
    CORE_TEST(test_time__a_delay_beyond_all_time_is_a_delay, "S1.g"),
    CORE_TEST(test_time__due_items_take_their_id_s_place, "S6.l"),
    CORE_TEST(test_time__not_before_is_the_wall_clock_s, "S1.g S3.4.c"),
    CORE_TEST(test_time__ttl_ends_ready_and_delayed_items, "S3.4.f S1.j"),
    CORE_TEST(test_time__the_queue_has_a_ttl_too, "S1.g S6.o"),
    CORE_TEST(test_time__a_leased_item_expires_when_it_returns, "S3.4.g"),
    CORE_TEST(test_time__no_step_moves_more_than_1024_items, "S3.4.e"),
    CORE_TEST(test_time__no_step_accepts_more_than_1024_waiting_puts,
              "S3.4.e S2.af"),
    CORE_TESTS_END,
};
