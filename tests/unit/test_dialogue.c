/*
 * test_dialogue.c - the client's protocol machine against a scripted broker:
 * sessions, resends, cancels, time.
 */
#include "tests/lib/dialogue_world.h"

static struct world world;

static int setup(void **state)
{
    (void)state;
    world_open(&world, 1);
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
    "heartbeat_ms=60000 flags=32768"
#define NEW_BOOT                                                \
    "HELLO rid=0 status=OK protocol=1 session=1 "               \
    "secret=0f0102030405060708090a0b0c0d0e0f epoch=4 boot=100 " \
    "heartbeat_ms=60000"
#define SAME_BOOT                                              \
    "HELLO rid=0 status=OK protocol=1 session=6 "              \
    "secret=0f0102030405060708090a0b0c0d0e0f epoch=3 boot=99 " \
    "heartbeat_ms=60000"
#define NEW_HELLO                                                          \
    "> HELLO rid=0 client=(16 bytes) protocol=1 protocol_min=1 host=here " \
    "pid=7 program=test\n> --\n"
#define RESUME_HELLO                                                          \
    "> HELLO rid=0 flags=128 client=(16 bytes) secret=(16 bytes) protocol=1 " \
    "protocol_min=1 host=here pid=7 program=test\n> --\n"

/* --- sessions ----------------------------------------------------------- */

/* Nothing is sent before the broker welcomed us; all of it then. */
static void test_dialogue__says_hello_before_anything_else(void **state)
{
    (void)state;
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_send(&world);
    world_story(&world, "");
    world_connect(&world);
    world_story(&world, NEW_HELLO);
    world_hears(&world, NEW_BOOT, NULL);
    world_send(&world);
    world_story(&world,
                "! welcomed\n"
                "> STAT rid=1 queue=buns\n> --\n");
    world_hears(&world, "STAT rid=1 status=NOT_FOUND", NULL);
    world_story(&world, "= STAT rid=1 status=NOT_FOUND\n");
}

/* [S3.5] After a lost connection everything unanswered goes again under its
 * rid, with the time that is left. */
static void test_dialogue__sends_again_what_was_not_answered(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", 10000, NULL);
    world_ask(&world, "PUT queue=buns", -1, "bun");
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_send(&world);
    world_story(&world,
                "> GET rid=1 queue=buns wait_ms=10000\n"
                "> STAT rid=2 queue=buns\n"
                "> PUT rid=3 queue=buns lengths=3\n> --\n");
    world_hears(&world, "STAT rid=2 status=OK queue=buns", NULL);
    world_forget(&world);
    world_at(&world, 500);
    world_lose(&world);
    world_at(&world, 4000);
    world_connect(&world);
    world_story(&world, RESUME_HELLO);
    world_hears(&world, RESUMED, NULL);
    world_send(&world);
    world_story(&world,
                "! welcomed, resumed\n"
                "> ACK ranges=2,2\n"
                "> HELD\n"
                "> GET rid=1 queue=buns wait_ms=6000\n"
                "> PUT rid=3 queue=buns lengths=3\n> --\n");
}

/* A second loss, before everything had gone again, changes nothing. */
static void test_dialogue__keeps_the_order_of_rids_over_two_losses(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=a", -1, NULL);
    world_ask(&world, "GET queue=b", -1, NULL);
    world_send(&world);
    for (int i = 0; i < 2; i++) {
        world_at(&world, 2000 * (uint64_t)(i + 1));
        world_lose(&world);
        world_ask(&world, "GET queue=c", -1, NULL);
        world_connect(&world);
        world_forget(&world);
        world_hears(&world, RESUMED, NULL);
        world_send(&world);
    }
    world_story(&world,
                "! welcomed, resumed\n> HELD\n"
                "> GET rid=1 queue=a\n> GET rid=2 queue=b\n"
                "> GET rid=3 queue=c\n> GET rid=4 queue=c\n> --\n");
}

/* Note 11: a broker that forgot us but did not restart may have done what we
 * sent; waits and looks are asked again. What was not sent goes out. */
static void
test_dialogue__ends_changes_when_the_session_is_forgotten(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", -1, NULL);
    world_ask(&world, "PUT queue=buns", -1, "bun");
    world_send(&world);
    world_lose(&world);
    world_ask(&world, "PUT queue=buns", -1, "late");
    world_connect(&world);
    world_forget(&world);
    world_hears(&world, "HELLO rid=0 status=SESSION_GONE", NULL);
    world_send(&world);
    world_story(&world, NEW_HELLO);
    world_hears(&world, SAME_BOOT, NULL);
    world_send(&world);
    world_story(&world,
                "= PUT rid=2 status=SESSION_GONE error=the broker forgot this "
                "session before it answered\n"
                "! welcomed\n"
                "> GET rid=1 queue=buns\n"
                "> PUT rid=2 queue=buns lengths=4\n> --\n");
}

/* Note 11: an in-memory broker that restarted has nothing of it; a join that
 * was begun before says so with its boot. */
static void
test_dialogue__sends_all_again_to_a_broker_that_restarted(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "JOIN queue=buns", -1, NULL);
    world_ask(&world, "PUT queue=buns", -1, "bun");
    world_send(&world);
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, "HELLO rid=0 status=SESSION_GONE", NULL);
    world_send(&world);
    world_forget(&world);
    world_hears(&world, NEW_BOOT, NULL);
    world_send(&world);
    world_story(&world,
                "! welcomed\n"
                "> JOIN rid=1 queue=buns boot=99\n"
                "> PUT rid=2 queue=buns lengths=3\n> --\n");
}

/* [S4.3] A join "up to now" carries its mark when it is sent again. */
static void test_dialogue__carries_the_mark_of_a_join(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "JOIN queue=buns scope=3", -1, NULL);
    world_send(&world);
    world_hears(&world, "AT target=1 mark=17 done=4 dead=1", NULL);
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, RESUMED, NULL);
    world_forget(&world);
    world_send(&world);
    world_story(&world,
                "> HELD\n"
                "> JOIN rid=1 queue=buns scope=3 mark=17 done=4 dead=1\n"
                "> --\n");
}

static void
test_dialogue__takes_its_session_up_again_when_told_it_is_gone(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", -1, NULL);
    world_at(&world, 3000);
    world_forget(&world);
    world_hears(&world, "GONE status=SESSION_GONE", NULL);
    world_send(&world);
    world_story(&world, RESUME_HELLO);
    world_hears(&world, RESUMED, NULL);
    world_send(&world);
    world_story(&world,
                "! welcomed, resumed\n> HELD\n> GET rid=1 queue=buns\n> --\n");
    assert_null(bao_dialogue_broken(world.dialogue));
}

static void test_dialogue__passes_a_refusal_on_to_every_request(void **state)
{
    (void)state;
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_connect(&world);
    world_forget(&world);
    world_hears(&world,
                "HELLO rid=0 status=BAD_VERSION protocol=9 error='I speak 9'",
                NULL);
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_story(&world,
                "= STAT rid=0 status=BAD_VERSION error=I speak 9\n"
                "= STAT rid=0 status=BAD_VERSION error=I speak 9\n");
    world_at(&world, 1001);
    world_story(&world, NEW_HELLO);
}

/* Two clients, and one client's two sessions, never share a client id. */
static void test_dialogue__gives_each_session_its_own_client_id(void **state)
{
    (void)state;
    static struct world other;
    struct bao_outgoing out;
    uint8_t seen[2][16];
    world_open(&other, 2);
    struct world *worlds[] = {&world, &other};
    for (int i = 0; i < 2; i++) {
        struct bao_reader reader;
        struct bao_operation hello;
        bao_dialogue_connected(worlds[i]->dialogue, worlds[i]->now_us);
        assert_true(
            bao_dialogue_next(worlds[i]->dialogue, worlds[i]->now_us, &out));
        assert_int_equal(bao_reader_open(&reader, out.header), BAOZI_OK);
        assert_int_equal(bao_reader_next(&reader, &hello), BAOZI_OK);
        memcpy(seen[i], hello.client.data, 16);
    }
    assert_memory_not_equal(seen[0], seen[1], 16);
    world_close(&other);
}

/* --- cancel and deadlines ----------------------------------------------- */

/* [S3.2] */
static void
test_dialogue__cancels_at_the_deadline_and_waits_a_second(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", 200, NULL);
    world_at(&world, 0);
    world_story(&world, "> GET rid=1 queue=buns wait_ms=200\n> --\n");
    world_at(&world, 249);
    world_story(&world, "");
    world_at(&world, 250);
    world_story(&world, "> CANCEL target=1\n> --\n");
    world_at(&world, 1199);
    world_story(&world, "");
    world_at(&world, 1200);
    world_story(&world,
                "= GET rid=1 status=CONNECTION_LOST error=nothing came from "
                "the broker in time, so the outcome is unknown\n"
                "> CANCEL target=1\n> HEARTBEAT\n> --\n");
}

/* What arrives for a request that was given up goes back uncounted. */
static void test_dialogue__gives_back_items_that_nobody_waits_for(void **state)
{
    (void)state;
    world_welcome(&world);
    struct bao_request *get = world_ask(&world, "GET queue=buns", -1, NULL);
    world_send(&world);
    bao_dialogue_forget(world.dialogue, get);
    world_send(&world);
    world_forget(&world);
    world_hears(
        &world,
        "GET rid=1 status=OK ids=8,9 token=70 lengths=1,1 lease_ms=9000",
        "ab");
    world_send(&world);
    world_story(&world,
                "> ACK ranges=1,1\n"
                "> RELEASE rid=2 ids=8,9 tokens=70,71\n> --\n");
}

/* An answer that comes twice brings nothing new, and takes nothing away. */
static void test_dialogue__keeps_items_whose_answer_comes_twice(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", -1, NULL);
    world_send(&world);
    const char *answer =
        "GET rid=1 status=OK ids=8 token=70 lengths=1 lease_ms=0";
    world_hears(&world, answer, "a");
    world_forget(&world);
    world_hears(&world, answer, "a");
    world_send(&world);
    world_story(&world, "");
    assert_int_equal(bao_dialogue_held(world.dialogue), 1);
}

static void test_dialogue__cancels_at_once_what_was_not_sent(void **state)
{
    (void)state;
    struct bao_request *get = world_ask(&world, "GET queue=buns", -1, NULL);
    bao_dialogue_cancel(world.dialogue, world.now_us, get);
    world_story(&world, "= GET rid=0 status=CANCELLED\n");
    world_welcome(&world);
    world_send(&world);
    world_story(&world, "");
}

/* [S2] CANCEL before the receipt returns the items of an automatic get. If it
 * crosses the answer, the items must not be handed over: others get them. */
static void
test_dialogue__takes_no_automatic_item_that_its_cancel_returns(void **state)
{
    (void)state;
    world_welcome(&world);
    struct bao_request *get =
        world_ask(&world, "GET queue=buns flags=8", -1, NULL);
    world_send(&world);
    bao_dialogue_cancel(world.dialogue, world.now_us, get);
    world_send(&world);
    world_forget(&world);
    world_hears(
        &world, "GET rid=1 status=OK ids=8 token=70 lengths=1 lease_ms=0", "a");
    world_send(&world);
    world_story(&world,
                "= GET rid=1 status=CANCELLED\n"
                "> ACK ranges=1,1\n"
                "> RELEASE rid=2 ids=8 tokens=70\n> --\n");
    /* Until the CANCEL is sent, the answer counts. */
    get = world_ask(&world, "GET queue=buns flags=8", -1, NULL);
    world_send(&world);
    bao_dialogue_cancel(world.dialogue, world.now_us, get);
    world_forget(&world);
    world_hears(
        &world, "GET rid=3 status=OK ids=9 token=71 lengths=1 lease_ms=0", "b");
    world_send(&world);
    world_story(&world,
                "= GET rid=3 status=OK token=71 ids=9 lengths=1 lease_ms=0\n"
                "> ACK ranges=3,3\n"
                "> RECEIPT ids=9 tokens=71\n> --\n");
}

/* At its deadline nobody gave it up: a CANCEL would take back an item that is
 * on its way, and EMPTY would be a lie. */
static void
test_dialogue__cancels_an_automatic_get_only_with_its_hope(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns flags=8", 200, NULL);
    world_at(&world, 0);
    world_forget(&world);
    world_at(&world, 250);
    world_at(&world, 1199);
    world_story(&world, "");
    world_at(&world, 1200);
    world_story(&world,
                "= GET rid=1 status=CONNECTION_LOST error=nothing came from "
                "the broker in time, so the outcome is unknown\n"
                "> CANCEL target=1\n> HEARTBEAT\n> --\n");
}

/* A CANCEL may be lost with the connection: it goes again, behind its request.
 * In front of it, it would end the attempt that waits, and the request would
 * be carried out as a new one. */
static void test_dialogue__cancels_again_after_a_resume(void **state)
{
    (void)state;
    world_welcome(&world);
    struct bao_request *get = world_ask(&world, "GET queue=buns", -1, NULL);
    world_send(&world);
    bao_dialogue_cancel(world.dialogue, world.now_us, get);
    world_send(&world);
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, RESUMED, NULL);
    world_forget(&world);
    world_send(&world);
    world_story(&world,
                "> HELD\n> GET rid=1 queue=buns\n> --\n"
                "> CANCEL target=1\n> --\n");
    world_hears(&world, "GET rid=1 status=CANCELLED", NULL);
    world_story(&world, "= GET rid=1 status=CANCELLED\n");
}

/* [S3.2] A request whose time is over before it could be sent again is tried
 * once more: the broker may never have seen it, so that CANCELLED, which is
 * EMPTY to the caller, would be a lie. */
static void test_dialogue__cancels_at_the_deadline_what_was_tried(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", 200, NULL);
    world_at(&world, 0);
    world_lose(&world);
    world_at(&world, 100);
    world_connect(&world);
    world_at(&world, 300);
    world_hears(&world, RESUMED, NULL);
    world_forget(&world);
    world_at(&world, 301);
    world_story(&world,
                "> HELD\n> GET rid=1 queue=buns wait_ms=0\n> --\n"
                "> CANCEL target=1\n> --\n");
    world_hears(&world, "GET rid=1 status=EMPTY", NULL);
    world_story(&world, "= GET rid=1 status=EMPTY\n");
}

static void test_dialogue__ends_requests_that_reach_no_broker(void **state)
{
    (void)state;
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_ask(&world, "GET queue=buns", 300, NULL);
    world_at(&world, 350);
    world_at(&world, 1299);
    world_story(&world, "");
    world_at(&world, 1300);
    world_story(&world,
                "= GET rid=0 status=CONNECTION_LOST error=nothing came from "
                "the broker in time, so the outcome is unknown\n");
    world_at(&world, 4999);
    world_story(&world, "");
    world_at(&world, 5000);
    world_story(&world,
                "= STAT rid=0 status=CONNECTION_LOST error=no broker could be "
                "reached at this address\n");
    assert_int_equal(bao_dialogue_outstanding(world.dialogue), 0);
}

/* A broker that is connected but dumb: a heartbeat asks, then it ends. */
static void test_dialogue__asks_after_a_silent_answer(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_at(&world, 0);
    world_forget(&world);
    world_at(&world, 2500);
    world_story(&world, "> HEARTBEAT\n> --\n");
    world_hears(&world, "HEARTBEAT heartbeat_ms=60000", NULL);
    world_at(&world, 5000);
    world_story(&world, "> HEARTBEAT\n> --\n");
    world_at(&world, 7500);
    world_story(&world,
                "= STAT rid=1 status=CONNECTION_LOST error=nothing came from "
                "the broker in time, so the outcome is unknown\n"
                "> HEARTBEAT\n> --\n");
}

/* --- acknowledgements --------------------------------------------------- */

static void test_dialogue__acknowledges_answers_as_ranges(void **state)
{
    (void)state;
    world_welcome(&world);
    for (int i = 0; i < 7; i++) {
        world_ask(&world, "STAT queue=buns", -1, NULL);
    }
    world_at(&world, 0);
    const char *answers[] = {"STAT rid=1 status=OK queue=b",
                             "STAT rid=3 status=OK queue=b",
                             "STAT rid=7 status=OK queue=b",
                             "STAT rid=2 status=OK queue=b",
                             "STAT rid=5 status=NOT_FOUND"};
    for (int i = 0; i < 5; i++) {
        world_hears(&world, answers[i], NULL);
    }
    world_forget(&world);
    world_at(&world, 999);
    world_story(&world, "");
    world_at(&world, 1000);
    world_story(&world, "> ACK ranges=1,3,5,5,7,7\n> --\n");
    world_at(&world, 2400);
    world_story(&world, "");
}

static void test_dialogue__acknowledges_at_once_when_256_are_open(void **state)
{
    (void)state;
    world_welcome(&world);
    for (int i = 0; i < 256; i++) {
        world_ask(&world, "STAT queue=buns", -1, NULL);
    }
    world_at(&world, 0);
    for (int i = 1; i <= 256; i++) {
        char line[64];
        (void)snprintf(
            line, sizeof line, "STAT rid=%d status=OK queue=buns", i);
        world_hears(&world, line, NULL);
    }
    world_forget(&world);
    world_at(&world, 1);
    world_story(&world, "> ACK ranges=1,256\n> --\n");
}

/* --- heartbeats --------------------------------------------------------- */

static void test_dialogue__speaks_when_it_was_silent(void **state)
{
    (void)state;
    world_welcome(&world);
    world_at(&world, 59999);
    world_story(&world, "");
    world_at(&world, 60000);
    world_story(&world, "> HEARTBEAT\n> --\n");
    world_hears(&world, "HEARTBEAT heartbeat_ms=1000", NULL);
    world_at(&world, 61000);
    world_story(&world, "> HEARTBEAT\n> --\n");
}

/* Note 12: three silent heartbeats end the belief in the broker. */
static void test_dialogue__gives_a_silent_broker_up(void **state)
{
    (void)state;
    world_welcome(&world);
    world_hears(&world, "HEARTBEAT heartbeat_ms=1000", NULL);
    for (uint64_t ms = 1000; ms <= 3000; ms += 1000) {
        world_at(&world, ms);
        assert_null(bao_dialogue_broken(world.dialogue));
    }
    world_story(&world,
                "> HEARTBEAT\n> --\n> HEARTBEAT\n> --\n> HEARTBEAT\n> --\n");
    world_at(&world, 4000);
    assert_non_null(bao_dialogue_broken(world.dialogue));
}

/* A request for which the broker ends each connection is not sent for ever;
 * one that sees the network flap is. */
static void
test_dialogue__does_not_send_a_poisonous_request_for_ever(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_send(&world);
    for (uint64_t i = 0; i < 5; i++) {
        world_forget(&world);
        world_at(&world, 100 * (i + 1));
        world_lose(&world); /* not the broker's doing */
        world_connect(&world);
        world_hears(&world, RESUMED, NULL);
        world_send(&world);
        world_forget(&world);
        world_hears(&world, "GONE status=BAD_REQUEST", NULL);
        assert_non_null(bao_dialogue_broken(world.dialogue));
        world_lose(&world);
        if (i < 4) {
            world_connect(&world);
            world_hears(&world, RESUMED, NULL);
            world_send(&world);
        }
    }
    world_story(&world,
                "= STAT rid=1 status=CONNECTION_LOST error=the broker ended "
                "the connection each time it was sent\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialogue__says_hello_before_anything_else),
        TEST(test_dialogue__sends_again_what_was_not_answered),
        TEST(test_dialogue__keeps_the_order_of_rids_over_two_losses),
        TEST(test_dialogue__ends_changes_when_the_session_is_forgotten),
        TEST(test_dialogue__sends_all_again_to_a_broker_that_restarted),
        TEST(test_dialogue__carries_the_mark_of_a_join),
        TEST(test_dialogue__takes_its_session_up_again_when_told_it_is_gone),
        TEST(test_dialogue__passes_a_refusal_on_to_every_request),
        TEST(test_dialogue__gives_each_session_its_own_client_id),
        TEST(test_dialogue__cancels_at_the_deadline_and_waits_a_second),
        TEST(test_dialogue__gives_back_items_that_nobody_waits_for),
        TEST(test_dialogue__keeps_items_whose_answer_comes_twice),
        TEST(test_dialogue__cancels_at_once_what_was_not_sent),
        TEST(test_dialogue__takes_no_automatic_item_that_its_cancel_returns),
        TEST(test_dialogue__cancels_an_automatic_get_only_with_its_hope),
        TEST(test_dialogue__cancels_again_after_a_resume),
        TEST(test_dialogue__cancels_at_the_deadline_what_was_tried),
        TEST(test_dialogue__ends_requests_that_reach_no_broker),
        TEST(test_dialogue__asks_after_a_silent_answer),
        TEST(test_dialogue__acknowledges_answers_as_ranges),
        TEST(test_dialogue__acknowledges_at_once_when_256_are_open),
        TEST(test_dialogue__speaks_when_it_was_silent),
        TEST(test_dialogue__gives_a_silent_broker_up),
        TEST(test_dialogue__does_not_send_a_poisonous_request_for_ever),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue", tests, NULL, NULL);
}
