/*
 * test_bound.c - the bounds of a queue, and what happens at them.
 */
#include "tests/core/story.h"
#include "tests/core/tests.h"
#include "tests/core/world.h"

static void test_bound__bound_ready_counts_ready_and_delayed(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2  -> ok, created\n"
               "[   0] p1 put buns 'a'            -> ok, item 1\n"
               "[   0] p1 put buns 'b' delay 1000 -> ok, item 2\n"
               "[   0] p1 put buns 'c' try        -> FULL\n"
               "[   1] w1 get buns                -> ok, item 1 'a', lease "
               "1 until 30001\n"
               "[   2] p1 put buns 'c' try        -> ok, item 3\n");
}

static void test_bound__bound_total_counts_leased_too(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 bound total -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   1] w1 get buns         -> ok, item 1 'a', lease 1 until "
               "30001\n"
               "[   2] p1 put buns 'c'     .. waits\n"
               "[   3] w1 done 1           -> ok\n"
               "       p1 put buns 'c'     -> ok, item 3\n");
}

static void test_bound__overflow_reject_answers_full_at_once(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1 overflow reject -> ok, "
               "created\n"
               "[   0] p1 put buns 'a'           -> ok, item 1\n"
               "[   0] p1 put buns 'b' wait 1000 -> FULL\n"
               "[   0] p1 put buns 'b'           -> FULL\n"
               "[   0] p1 put buns 'b' 'c' many  -> TOO_BIG\n");
}

static void test_bound__drop_oldest_makes_room(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 overflow drop_oldest -> "
               "ok, created\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   1] p1 put buns 'c'     -> ok, item 3\n"
               "[   2] w1 get buns         -> ok, item 2 'b', lease 1 until "
               "30002\n"
               "[   3] p1 put buns 'd' 'e' -> ok, item 4; ok, item 5\n"
               "[   4] p1 stat buns ready leased dropped -> ok, ready 2, "
               "leased 1, dropped 2\n"
               "[   5] w1 get buns 5       -> ok, item 4 'd', item 5 'e', "
               "leases 2-3 until 30005\n");
}

static void test_bound__drop_oldest_drops_the_least_urgent_first(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns kind priority maxsize 3 overflow "
               "drop_oldest -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' 'c' priorities 1,9,9 -> ok, "
               "items 1-3\n"
               "[   1] p1 put buns 'd' priority 5 -> ok, item 4\n"
               "[   2] p1 put buns 'e' priority 5 -> ok, item 5\n"
               "[   3] w1 get buns 9              -> ok, item 1 'a' "
               "(priority 1), item 4 'd' (priority 5), item 5 'e' (priority "
               "5), leases 1-3 until 30003\n");
}

static void test_bound__drop_oldest_never_drops_a_leased_one(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 2 bound total overflow "
               "drop_oldest -> ok, created\n"
               "[   0] p1 put buns 'a' 'b' -> ok, items 1-2\n"
               "[   0] w1 get buns 2       -> ok, item 1 'a', item 2 'b', "
               "leases 1-2 until 30000\n"
               "[   1] p1 put buns 'c'     -> FULL\n"
               "[   2] w1 release 1        -> ok\n"
               "[   3] p1 put buns 'c'     -> ok, item 3\n"
               "[   4] p1 stat buns ready leased dropped -> ok, ready 1, "
               "leased 1, dropped 1\n");
}

static void test_bound__drop_oldest_drops_as_many_as_needed(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_bytes 10 overflow drop_oldest -> "
               "ok, created\n"
               "[   0] p1 put buns 'aa' 'bb' 'cc' 'dd' -> ok, items 1-4\n"
               "[   1] p1 put buns 'eeeee'             -> ok, item 5\n"
               "[   2] p1 stat buns ready bytes dropped -> ok, ready 3, "
               "bytes 9, dropped 2\n"
               "[   3] p1 put buns 'ffff' 'gggg' many  -> ok, item 6\n"
               "[   4] p1 stat buns ready bytes dropped -> ok, ready 2, "
               "bytes 8, dropped 5\n");
}

static void test_bound__max_bytes_bounds_the_payload(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns max_bytes 10 -> ok, created\n"
               "[   0] p1 put buns 'aaaaa' 'bbbbb'  -> ok, items 1-2\n"
               "[   1] p1 put buns '' try           -> ok, item 3\n"
               "[   2] p1 put buns 'c' try          -> FULL\n"
               "[   3] p1 put buns 'cc'             .. waits\n"
               "[   4] w1 get buns                  -> ok, item 1 'aaaaa', "
               "lease 1 until 30004\n"
               "       p1 put buns 'cc'             -> ok, item 4\n"
               "[   5] p1 stat buns bytes           -> ok, bytes 12\n");
}

static void test_bound__kind_changes_only_when_empty(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a'             -> ok, item 1\n"
               "[   1] p1 configure buns kind lifo -> BAD_REQUEST\n"
               "[   2] w1 get buns                 -> ok, item 1 'a', lease "
               "1 until 30002\n"
               "[   3] p1 configure buns kind lifo -> BAD_REQUEST\n"
               "[   4] w1 done 1                   -> ok\n"
               "[   5] p1 configure buns kind lifo -> ok\n"
               "[   6] p1 put buns 'b' 'c'         -> ok, items 2-3\n"
               "[   7] w1 get buns                 -> ok, item 3 'c', lease "
               "2 until 30007\n");
}

static void test_bound__accounting_changes_only_at_unfinished_0(void **state)
{
    (void)state;
    world_says("[   0] p1 put buns 'a' -> ok, item 1\n"
               "[   1] p1 configure buns accounting count -> BAD_REQUEST\n"
               "[   2] w1 get buns     -> ok, item 1 'a', lease 1 until "
               "30002\n"
               "[   3] w1 reject 1     -> ok\n"
               "[   4] p1 configure buns accounting count -> ok\n"
               "[   5] p1 put buns 'b' -> ok, item 2\n"
               "[   6] w1 get buns     -> ok, item 2 'b', lease 2 for life\n");
}

static void test_bound__the_rest_applies_from_now_on(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns maxsize 1   -> ok, created\n"
               "[   0] p1 put buns 'a'             -> ok, item 1\n"
               "[   1] p1 put buns 'b'             .. waits\n"
               "[   2] p1 configure buns maxsize 2 lease_ms 500 -> ok\n"
               "       p1 put buns 'b'             -> ok, item 2\n"
               "[   3] w1 get buns                 -> ok, item 1 'a', lease "
               "1 until 503\n"
               "[   4] p1 configure buns maxsize 1 -> ok\n"
               "[   5] p1 put buns 'c' try         -> FULL\n");
}

static void test_bound__overflow_may_change_while_items_are_there(void **state)
{
    (void)state;
    world_says("[   0] p1 declare buns kind priority maxsize 3 -> ok, "
               "created\n"
               "[   0] p1 put buns 'a' 'b' 'c' priorities 1,3,2 -> ok, "
               "items 1-3\n"
               "[   1] p1 configure buns overflow drop_oldest -> ok\n"
               "[   2] p1 put buns 'd' priority 2 -> ok, item 4\n"
               "[   3] w1 get buns 9              -> ok, item 1 'a' "
               "(priority 1), item 3 'c' (priority 2), item 4 'd' (priority "
               "2), leases 1-3 until 30003\n");
}

/* The last answer of each verb, and how many requests were refused. */
struct heard {
    uint64_t status;
    uint64_t refused;
    uint64_t done;
};

static void listen(struct world *world, const struct world_heard *from)
{
    struct heard *heard = world->context;
    const struct bao_operation *operation = from->operation;
    if (operation != NULL && bao_is_answer(operation)) {
        uint64_t count = bao_has(operation, BAO_BIT(COUNT)) &&
                                 operation->verb != BAO_VERB_GET
                             ? operation->count
                             : 1;
        heard->status = operation->status;
        heard->refused += operation->status == BAOZI_OK ? 0 : count;
        heard->done += operation->status == BAOZI_OK ? count : 0;
    }
}

static struct bao_operation
request(struct world_client *client, uint64_t verb, uint64_t rids)
{
    struct bao_operation operation = {0};
    BAO_SET(&operation, VERB, verb, verb);
    BAO_SET(&operation, RID, rid, client->next_rid);
    client->next_rid += rids;
    return operation;
}

static void put(struct world *world, struct world_client *client, size_t count)
{
    static const struct world_payload payloads[1000];
    struct bao_operation put = request(client, BAO_VERB_PUT, count);
    BAO_SET(&put, QUEUE, queue, bao_span_text("buns"));
    BAO_SET(&put, WAIT_MS, wait_ms, 0);
    world_send(world, client->peer, &put, payloads, count);
}

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

static void get(struct world *world, struct world_client *client, size_t limit)
{
    struct bao_operation get = request(client, BAO_VERB_GET, 1);
    client->lease_count = 0;
    BAO_SET(&get, QUEUE, queue, bao_span_text("buns"));
    BAO_SET(&get, LIMIT, limit, limit);
    BAO_SET(&get, WAIT_MS, wait_ms, 0);
    world_send(world, client->peer, &get, NULL, 0);
    assert_int_equal(client->lease_count, limit);
}

static void
settle(struct world *world, struct world_client *client, uint64_t verb)
{
    static uint8_t ids[8 * 1000];
    static uint8_t tokens[8 * 1000];
    size_t count = client->lease_count;
    struct bao_operation settle = request(client, verb, count);
    for (size_t i = 0; i < count; i++) {
        bao_store64(ids + 8 * i, client->leases[i].id);
        bao_store64(tokens + 8 * i, client->leases[i].token);
    }
    BAO_SET(&settle, IDS, ids, bao_span_of(ids, 8 * count));
    BAO_SET(&settle, TOKENS, tokens, bao_span_of(tokens, 8 * count));
    if (verb == BAO_VERB_RETRY) {
        BAO_SET(&settle, DELAY_MS, delay_ms, 0);
        BAO_SET(&settle, ERROR, error, bao_span_text("oven cold"));
    }
    world_send(world, client->peer, &settle, NULL, 0);
}

/* Full to the brim, and then every item is leased before one is settled. */
static void test_bound__all_that_was_put_can_be_taken(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct bao_core_config config = world_config();
    config.memory_bytes = 16u * 1024u * 1024u;
    struct world *world = world_open(&config);
    world->quick = true;
    struct world_client *client = world_client(world, "p1");
    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    world_declare(world, client, "buns");
    world->listen = listen;
    world->context = &heard;
    while (heard.refused == 0) {
        put(world, client, 1000);
        acknowledge(world, client);
    }
    const struct judge_queue *queue = judge_queue_named(&world->judge, "buns");
    while (queue->counts[BAO_STATE_READY] > 0) {
        uint64_t left = queue->counts[BAO_STATE_READY];
        get(world, client, left < 1000 ? left : 1000);
        acknowledge(world, client);
    }
    settle(world, client, BAO_VERB_RETRY);
    assert_int_equal(heard.status, BAOZI_OK);

    /* An operator who is there can make room. */
    struct bao_operation clear = request(client, BAO_VERB_DELETE, 1);
    BAO_SET(&clear, QUEUE, queue, bao_span_text("buns"));
    BAO_SET(&clear, FLAGS, flags, BAO_FLAG_FORCE);
    world_send(world, client->peer, &clear, NULL, 0);
    assert_int_equal(heard.status, BAOZI_OK);
    assert_true(queue->gone);
    world_close(world);
}

/* Every put is refused, and get, retry and task_done go on. */
static void test_bound__memory_is_kept_for_getting_and_settling(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct bao_core_config config = world_config();
    config.memory_bytes = 16u * 1024u * 1024u;
    struct world *world = world_open(&config);
    struct world_client *client = world_client(world, "p1");
    world_hello(world, client, false, BAO_PROTOCOL_VERSION);
    world_declare(world, client, "buns");
    world->listen = listen;
    world->context = &heard;
    while (heard.refused == 0) {
        put(world, client, 1000);
        acknowledge(world, client);
    }
    assert_int_equal(heard.status, BAOZI_QUOTA);
    while (heard.refused < 1100) {
        put(world, client, 1);
        acknowledge(world, client);
    }
    assert_true(heard.done > 10000);
    assert_int_equal(heard.status, BAOZI_QUOTA);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t before = heard.done;
        get(world, client, 100);
        settle(world, client, i % 2 == 0 ? BAO_VERB_RETRY : BAO_VERB_DONE);
        assert_int_equal(heard.done, before + 101);
        acknowledge(world, client);
    }
    const struct judge_queue *queue = judge_queue_named(&world->judge, "buns");
    uint64_t half = queue->counts[BAO_STATE_READY] / 2;
    while (queue->counts[BAO_STATE_READY] > half) {
        get(world, client, 1000);
        settle(world, client, BAO_VERB_DONE);
        acknowledge(world, client);
    }
    uint64_t refused = heard.refused;
    put(world, client, 1);
    assert_int_equal(heard.refused, refused);
    world_close(world);
}

const struct core_test core_tests_bound[] = {
    CORE_TEST(test_bound__bound_ready_counts_ready_and_delayed, "S6.a"),
    CORE_TEST(test_bound__bound_total_counts_leased_too, "S6.b"),
    CORE_TEST(test_bound__overflow_reject_answers_full_at_once, "S6.c"),
    CORE_TEST(test_bound__drop_oldest_makes_room, "S6.d S6.f"),
    CORE_TEST(test_bound__drop_oldest_drops_the_least_urgent_first, "S6.e"),
    CORE_TEST(test_bound__drop_oldest_never_drops_a_leased_one, "S6.f"),
    CORE_TEST(test_bound__drop_oldest_drops_as_many_as_needed, "S6.g S6.h"),
    CORE_TEST(test_bound__max_bytes_bounds_the_payload, "S6.h"),
    CORE_TEST(test_bound__kind_changes_only_when_empty, "S6.m"),
    CORE_TEST(test_bound__accounting_changes_only_at_unfinished_0, "S6.n"),
    CORE_TEST(test_bound__the_rest_applies_from_now_on, "S6.o"),
    CORE_TEST(test_bound__overflow_may_change_while_items_are_there,
              "S6.o S6.e"),
    CORE_TEST(test_bound__all_that_was_put_can_be_taken, "S6.p"),
    CORE_TEST(test_bound__memory_is_kept_for_getting_and_settling, "S6.p"),
    CORE_TESTS_END,
};
