/*
 * test_dialogue_lease.c - the client's protocol machine: leases, receipts,
 * subscriptions, and a broker that is mute.
 */
#include "tests/lib/dialogue_world.h"

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world, 1);
    world_welcome(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_close(&world);
    return 0;
}

#define RESUMED                                                   \
    "HELLO rid=0 status=OK protocol=1 session=5 epoch=3 boot=99 " \
    "heartbeat_ms=60000 flags=32768 credit_bytes=10"

/* Loses the connection and takes the session up again. */
static void resume(void)
{
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, RESUMED, NULL);
    world_forget(&world);
    world_send(&world);
}

/* --- leases ------------------------------------------------------------- */

static void take_item(const char *line)
{
    world_ask(&world, "GET queue=buns limit=10", -1, NULL);
    world_send(&world);
    world_hears(&world, line, "ab");
    world_at(&world, 0);
    world_forget(&world);
}

/* [S5.2] Renewed at a third of its time, many in one operation. */
static void test_dialogue_lease__renews_leases_at_a_third(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=900");
    world_at(&world, 299);
    world_story(&world, "");
    world_at(&world, 300);
    world_story(&world,
                "> ACK ranges=1,1\n"
                "> TOUCH rid=2 ids=8,9 tokens=70,71 lease_ms=900\n> --\n");
    world_hears(&world, "TOUCH rid=2 status=STALE ids=8", NULL);
    world_at(&world, 600);
    world_story(&world,
                "> ACK ranges=2,2\n"
                "> TOUCH rid=3 ids=9 tokens=71 lease_ms=900\n> --\n");
    bao_dialogue_drop(world.dialogue, &world.leases[1]);
    world_at(&world, 1500);
    world_story(&world, "");
    assert_int_equal(bao_dialogue_held(world.dialogue), 1);
}

/* An item that came back while its old lease is still in our hands: STALE,
 * which names the item, is said of that one, and the new one is renewed on. */
static void
test_dialogue_lease__renews_the_younger_lease_of_an_item(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8 token=70 lengths=2 lease_ms=900");
    take_item("GET rid=2 status=OK ids=8 token=75 lengths=2 lease_ms=900");
    world_at(&world, 300);
    world_story(&world,
                "> ACK ranges=2,2\n"
                "> TOUCH rid=3 ids=8,8 tokens=70,75 lease_ms=900\n> --\n");
    world_hears(&world, "TOUCH rid=3 status=STALE ids=8", NULL);
    world_at(&world, 600);
    world_story(&world,
                "> ACK ranges=3,3\n"
                "> TOUCH rid=4 ids=8 tokens=75 lease_ms=900\n> --\n");
}

static void test_dialogue_lease__never_renews_a_lease_without_end(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=0");
    world_at(&world, 59000);
    world_story(&world, "> ACK ranges=1,1\n> --\n");
}

/* Note 7: after a resume the broker hears what is held, then renewals. */
static void
test_dialogue_lease__tells_what_it_holds_after_a_resume(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=9000");
    world_ask(&world, "DONE ids=8 tokens=70", -1, NULL);
    world_send(&world);
    resume();
    world_story(&world,
                "> ACK ranges=1,1\n"
                "> HELD ids=8,9 tokens=70,71\n"
                "> DONE rid=2 ids=8 tokens=70\n> --\n");
    world_at(&world, 1);
    world_story(&world,
                "> TOUCH rid=3 ids=8,9 tokens=70,71 lease_ms=9000\n> --\n");
}

static void test_dialogue_lease__loses_leases_with_the_session(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=9000");
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, "HELLO rid=0 status=SESSION_GONE", NULL);
    world_send(&world);
    world_hears(&world,
                "HELLO rid=0 status=OK protocol=1 session=6 epoch=4 boot=7",
                NULL);
    assert_int_equal(bao_dialogue_held(world.dialogue), 0);
    assert_int_equal(world.leases[0].gone, BAOZI_LOST);
    assert_int_equal(world.leases[1].gone, BAOZI_LOST);
}

/* [P2 S7] A durable broker that restarted and forgot us may have done what we
 * sent: a put is not sent once more as a new one, a join is. */
static void
test_dialogue_lease__a_lasting_broker_forgot_the_session(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=9000");
    world_ask(&world, "JOIN queue=buns", -1, NULL);
    world_ask(&world, "PUT queue=buns", -1, "bun");
    world_send(&world);
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, "HELLO rid=0 status=SESSION_GONE", NULL);
    world_send(&world);
    world_forget(&world);
    world_hears(&world,
                "HELLO rid=0 status=OK protocol=1 session=1 "
                "secret=0f0102030405060708090a0b0c0d0e0f epoch=4 boot=100 "
                "heartbeat_ms=60000 flags=131072",
                NULL);
    world_send(&world);
    world_story(&world,
                "= PUT rid=3 status=SESSION_GONE error=the broker forgot this "
                "session before it answered\n"
                "! welcomed\n"
                "> JOIN rid=1 queue=buns boot=99\n> --\n");
    assert_int_equal(world.leases[0].gone, BAOZI_STALE);
}

static void
test_dialogue_lease__marks_items_that_are_to_be_cancelled(void **state)
{
    (void)state;
    take_item("GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=9000");
    world_hears(&world, "PLEASE_CANCEL id=9 token=71", NULL);
    world_hears(&world, "PLEASE_CANCEL id=8 token=71", NULL);
    assert_false(world.leases[0].cancel_asked);
    assert_true(world.leases[1].cancel_asked);
}

/* --- receipts ----------------------------------------------------------- */

/* Note 5. A receipt has no answer: it is sent again after a resume until the
 * answer to something later proves that it arrived. */
static void
test_dialogue_lease__sends_receipts_until_they_are_proved(void **state)
{
    (void)state;
    const char *answer = "GET rid=1 status=OK ids=8 token=70 lengths=1";
    world_ask(&world, "GET queue=buns flags=8", -1, NULL);
    world_send(&world);
    world_hears(&world, answer, "a");
    world_forget(&world);
    world_send(&world);
    world_story(&world, "> ACK ranges=1,1\n> RECEIPT ids=8 tokens=70\n> --\n");
    resume();
    world_story(&world,
                "> ACK ranges=1,1\n> RECEIPT ids=8 tokens=70\n> HELD\n> --\n");
    world_hears(&world, answer, "a"); /* twice: it is not given back */
    world_send(&world);
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_send(&world);
    assert_int_equal(bao_dialogue_receipts(world.dialogue), 1);
    world_hears(&world, "STAT rid=2 status=OK queue=buns", NULL);
    assert_int_equal(bao_dialogue_receipts(world.dialogue), 0);
}

/* --- subscriptions ------------------------------------------------------ */

/* Items with one byte of `bodies` each, pushed at 0 ms. */
static void push_items(const char *line, const char *bodies)
{
    world_ask(&world, "SUBSCRIBE queue=buns limit=9", -1, NULL);
    world_send(&world);
    world_hears(&world, line, bodies);
    world_forget(&world);
}

static void start(unsigned i)
{
    bao_dialogue_started(world.dialogue, world.now_us, &world.leases[i]);
}

/* [S5.1] What is done within 10 ms of its hand-over costs no message. */
static void test_dialogue_lease__tells_what_was_started(void **state)
{
    (void)state;
    push_items("DELIVER target=1 sequence=1 ids=1,2,3 token=71 lengths=1,1,1 "
               "lease_ms=9000",
               "abc");
    start(0);
    start(0);
    world_at(&world, 4);
    start(1);
    world_at(&world, 9);
    start(2);
    world_story(&world, "");
    bao_dialogue_drop(world.dialogue, &world.leases[1]);
    world_at(&world, 10);
    world_story(&world, "> STARTED ids=1,3 tokens=71,73\n> --\n");
    start(2);
    world_at(&world, 2000);
    world_story(&world, "");
    bao_dialogue_drop(world.dialogue, &world.leases[0]);
    bao_dialogue_drop(world.dialogue, &world.leases[2]);
}

/* What was said on a connection that was lost, may be lost: all that is held
 * and was started is told again. */
static void test_dialogue_lease__tells_what_was_started_after_a_resume(void **s)
{
    (void)s;
    push_items("DELIVER target=1 sequence=1 ids=1,2,3 token=71 lengths=1,1,1 "
               "lease_ms=9000",
               "abc");
    start(0);
    world_at(&world, 10);
    world_story(&world, "> STARTED ids=1 tokens=71\n> --\n");
    start(1);
    resume();
    world_story(&world,
                "> HELD ids=3,1,2 tokens=73,71,72\n"
                "> STARTED ids=2,1 tokens=72,71\n"
                "> SUBSCRIBE rid=1 queue=buns limit=9 sequence=1\n> --\n");
}

/* [S5.2] The lease time starts at the hand-over: so does its renewal, also
 * where that had ended because the item lay too long before. */
static void test_dialogue_lease__a_lease_begins_when_it_is_started(void **state)
{
    (void)state;
    push_items("DELIVER target=1 sequence=1 ids=1,2 token=71 lengths=1,1 "
               "lease_ms=900",
               "ab");
    world_at(&world, 200);
    start(0);
    world_at(&world, 210);
    world_story(&world, "> STARTED ids=1 tokens=71\n> --\n");
    world_at(&world, 300);
    world_story(&world, "> TOUCH rid=2 ids=2 tokens=72 lease_ms=900\n> --\n");
    world_hears(&world, "TOUCH rid=2 status=STALE ids=2", NULL);
    world_at(&world, 500);
    start(1);
    world_story(&world,
                "> ACK ranges=2,2\n"
                "> TOUCH rid=3 ids=1 tokens=71 lease_ms=900\n> --\n");
    world_at(&world, 510);
    world_story(&world, "> STARTED ids=2 tokens=72\n> --\n");
    world_at(&world, 800);
    world_story(&world,
                "> TOUCH rid=4 ids=1,2 tokens=71,72 lease_ms=900\n> --\n");
}

static void
test_dialogue_lease__resumes_a_subscription_where_it_was(void **state)
{
    (void)state;
    const char *first =
        "DELIVER target=1 sequence=1 ids=8 token=70 lengths=1 lease_ms=0";
    struct bao_request *subscription =
        world_ask(&world, "SUBSCRIBE queue=buns limit=4", -1, NULL);
    world_send(&world);
    world_forget(&world);
    world_hears(&world, first, "a");
    world_hears(&world, first, "a");
    world_story(&world,
                "+ DELIVER token=70 ids=8 lengths=1 lease_ms=0 target=1 "
                "sequence=1\n");
    bao_dialogue_credit(world.dialogue, subscription, 9, 100);
    world_send(&world);
    world_story(&world, "> CREDIT limit=9 bytes=100 target=1\n> --\n");
    resume();
    world_story(&world,
                "> HELD ids=8 tokens=70\n"
                "> SUBSCRIBE rid=1 queue=buns limit=9 bytes=100 sequence=1\n"
                "> --\n");
    bao_dialogue_cancel(world.dialogue, world.now_us, subscription);
    world_send(&world);
    world_hears(&world, "SUBSCRIBE rid=1 status=CANCELLED", NULL);
    world_story(&world,
                "> CANCEL target=1\n> --\n"
                "= SUBSCRIBE rid=1 status=CANCELLED\n");
    world_hears(
        &world, "DELIVER target=1 sequence=2 ids=9 token=71 lengths=1", "b");
    world_send(&world);
    world_story(&world,
                "> ACK ranges=1,1\n> RELEASE rid=2 ids=9 tokens=71\n> --\n");
}

/* --- doubt --------------------------------------------------------------- */

/* A call ends in silence at 1200: heartbeats ask each second, though the
 * session is idle, and the fourth second is the last. */
static void test_dialogue_lease__leaves_a_connection_that_is_mute(void **state)
{
    (void)state;
    world_ask(&world, "GET queue=buns", 200, NULL);
    world_at(&world, 0);
    world_at(&world, 250);
    world_forget(&world);
    for (uint64_t ms = 1200; ms <= 3200; ms += 1000) {
        world_at(&world, ms - 1);
        world_forget(&world);
        world_at(&world, ms);
        assert_null(bao_dialogue_broken(world.dialogue));
    }
    world_story(&world, "> HEARTBEAT\n> --\n");
    world_at(&world, 4199);
    assert_null(bao_dialogue_broken(world.dialogue));
    world_at(&world, 4200);
    assert_non_null(bao_dialogue_broken(world.dialogue));
}

/* One word from the broker, and the heartbeats are as seldom as before; a
 * broker that spoke since the call went out is not doubted at all. */
static void test_dialogue_lease__trusts_a_broker_that_speaks(void **state)
{
    (void)state;
    world_ask(&world, "GET queue=buns", 200, NULL);
    world_at(&world, 0);
    world_at(&world, 250);
    world_at(&world, 1200);
    world_hears(&world, "HEARTBEAT heartbeat_ms=60000", NULL);
    world_ask(&world, "GET queue=buns", 200, NULL);
    world_send(&world);
    world_at(&world, 1450);
    world_at(&world, 2000);
    world_hears(&world, "HEARTBEAT heartbeat_ms=60000", NULL);
    world_at(&world, 2400);
    world_forget(&world);
    world_at(&world, 61999);
    world_story(&world, "");
    world_at(&world, 62000);
    world_story(&world, "> HEARTBEAT\n> --\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialogue_lease__renews_leases_at_a_third),
        TEST(test_dialogue_lease__renews_the_younger_lease_of_an_item),
        TEST(test_dialogue_lease__never_renews_a_lease_without_end),
        TEST(test_dialogue_lease__tells_what_it_holds_after_a_resume),
        TEST(test_dialogue_lease__loses_leases_with_the_session),
        TEST(test_dialogue_lease__a_lasting_broker_forgot_the_session),
        TEST(test_dialogue_lease__marks_items_that_are_to_be_cancelled),
        TEST(test_dialogue_lease__sends_receipts_until_they_are_proved),
        TEST(test_dialogue_lease__tells_what_was_started),
        TEST(test_dialogue_lease__tells_what_was_started_after_a_resume),
        TEST(test_dialogue_lease__a_lease_begins_when_it_is_started),
        TEST(test_dialogue_lease__resumes_a_subscription_where_it_was),
        TEST(test_dialogue_lease__leaves_a_connection_that_is_mute),
        TEST(test_dialogue_lease__trusts_a_broker_that_speaks),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue_lease", tests, NULL, NULL);
}
