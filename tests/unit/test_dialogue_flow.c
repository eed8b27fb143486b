/*
 * test_dialogue_flow.c - the client's protocol machine: batching and put
 * credit.
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

/* --- batching ----------------------------------------------------------- */

/* Puts that wait go together; those that differ in more than body and
 * priority stand apart. */
static void test_dialogue_flow__merges_puts_that_wait(void **state)
{
    (void)state;
    world_ask(&world, "PUT queue=buns", -1, "a");
    world_ask(&world, "PUT queue=buns priority=5", -1, "bc");
    world_ask(&world, "PUT queue=buns group=g", -1, "d");
    world_ask(&world, "PUT queue=rolls", -1, "e");
    world_ask(&world, "PUT queue=rolls", 100, "f");
    world_send(&world);
    world_story(&world,
                "> PUT rid=1 queue=buns lengths=1,2 priorities=0,5\n"
                "> PUT rid=3 queue=buns lengths=1 group=g\n"
                "> PUT rid=4 queue=rolls lengths=1\n"
                "> PUT rid=5 queue=rolls lengths=1 wait_ms=100\n> --\n");
}

/* Two messages in flight; the third gathers until one returns, or for 2 ms:
 * a put that waits for room must not hold back the settle that makes it. */
static void test_dialogue_flow__keeps_two_messages_in_flight(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        world_ask(&world, "PUT queue=buns", -1, "a");
        world_send(&world);
    }
    world_story(&world,
                "> PUT rid=1 queue=buns lengths=1\n> --\n"
                "> PUT rid=2 queue=buns lengths=1\n> --\n");
    world_hears(&world, "PUT rid=2 status=OK id=1", NULL);
    world_send(&world);
    world_story(&world,
                "= PUT rid=2 status=OK id=1\n"
                "> ACK ranges=2,2\n"
                "> PUT rid=3 queue=buns lengths=1,1\n> --\n");
    world_ask(&world, "DONE ids=1 tokens=9", -1, NULL);
    world_send(&world);
    world_story(&world, "");
    assert_true(bao_dialogue_deadline(world.dialogue) <= world.now_us + 2000);
    world_at(&world, 2);
    world_story(&world, "> DONE rid=5 ids=1 tokens=9\n> --\n");
}

/* A blocked get is not in anybody's way. */
static void test_dialogue_flow__lets_waits_delay_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        world_ask(&world, "GET queue=buns", -1, NULL);
        world_send(&world);
    }
    world_ask(&world, "PUT queue=buns", -1, "a");
    world_forget(&world);
    world_send(&world);
    world_story(&world, "> PUT rid=6 queue=buns lengths=1\n> --\n");
}

static void test_dialogue_flow__merges_settles(void **state)
{
    (void)state;
    world_ask(&world, "DONE ids=4 tokens=10", -1, NULL);
    world_ask(&world, "DONE ids=6 tokens=30", -1, NULL);
    world_ask(&world, "DONE ids=7 tokens=31", -1, "result");
    world_ask(&world, "RETRY ids=8 tokens=32 error=burnt", -1, NULL);
    world_ask(&world, "RETRY ids=9 tokens=33 error=burnt", -1, NULL);
    world_ask(&world, "RETRY ids=9 tokens=34 error=raw", -1, NULL);
    world_send(&world);
    world_story(&world,
                "> DONE rid=1 ids=4,6 tokens=10,30\n"
                "> DONE rid=3 ids=7 tokens=31 lengths=6\n"
                "> RETRY rid=4 ids=8,9 tokens=32,33 error=burnt\n"
                "> RETRY rid=6 ids=9 tokens=34 error=raw\n> --\n");
}

/* One answer with count n is n answers, with consecutive ids. */
static void test_dialogue_flow__takes_runs_of_answers(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        world_ask(&world, "PUT queue=buns", -1, "a");
    }
    world_send(&world);
    world_forget(&world);
    world_hears(&world, "PUT rid=1 status=OK id=70 count=3", NULL);
    world_hears(&world, "PUT rid=4 status=FULL", NULL);
    world_story(&world,
                "= PUT rid=1 status=OK count=3 id=70\n"
                "= PUT rid=2 status=OK count=3 id=71\n"
                "= PUT rid=3 status=OK count=3 id=72\n"
                "= PUT rid=4 status=FULL\n");
}

/* put_many is one request, however many items it has. */
static void test_dialogue_flow__takes_put_many_as_one_request(void **state)
{
    (void)state;
    struct bao_letter letters[3] = {{.payload = bao_span_text("a")},
                                    {.header = bao_span_of("\x81\xa1k\xa1v", 5),
                                     .payload = bao_span_text("bc")},
                                    {.payload = bao_span_text("d")}};
    struct world_request many = {0};
    script_parse("PUT queue=buns flags=1", &many.script);
    many.request.operation = many.script.operation;
    many.request.until_us = BAO_NEVER_US;
    many.request.letters = letters;
    many.request.letter_count = 3;
    bao_dialogue_submit(world.dialogue, world.now_us, &many.request);
    world_ask(&world, "PUT queue=buns", -1, "e");
    world_send(&world);
    world_story(&world,
                "> PUT rid=1 queue=buns lengths=1,7,1 header_lengths=0,5,0 "
                "flags=1\n"
                "> PUT rid=2 queue=buns lengths=1\n> --\n");
    world_hears(&world, "PUT rid=1 status=OK id=5 count=1", NULL);
    world_story(&world, "= PUT rid=1 status=OK count=1 id=5\n");
    assert_int_equal(bao_dialogue_outstanding(world.dialogue), 1);
}

/* Big payloads travel as frames of their own. */
static void test_dialogue_flow__sends_big_bodies_as_frames(void **state)
{
    (void)state;
    char *big = malloc(70001);
    assert_non_null(big);
    memset(big, 'x', 70000);
    big[70000] = '\0';
    world_ask(&world, "PUT queue=buns", -1, "a");
    world_ask(&world, "PUT queue=buns", -1, big);
    world_ask(&world, "PUT queue=buns", -1, "b");
    world_send(&world);
    world_story(&world,
                "> PUT rid=1 queue=buns lengths=1,2147553648,1\n> --\n");
    free(big);
}

/* A message has an end: 64 KiB of small bodies. */
static void test_dialogue_flow__ends_a_message_at_64_kib(void **state)
{
    (void)state;
    char *body = malloc(40001);
    assert_non_null(body);
    memset(body, 'x', 40000);
    body[40000] = '\0';
    for (int i = 0; i < 3; i++) {
        world_ask(&world, "PUT queue=buns", -1, body);
    }
    world_send(&world);
    world_story(&world,
                "> PUT rid=1 queue=buns lengths=40000\n> --\n"
                "> PUT rid=2 queue=buns lengths=40000\n> --\n");
    free(body);
}

/* The broker's window of 1,024 answers is never overrun. */
static void test_dialogue_flow__keeps_the_answer_window(void **state)
{
    (void)state;
    for (int i = 0; i < 1500; i++) {
        world_ask(&world, "PUT queue=buns", -1, "a");
    }
    world.quiet = true;
    for (uint64_t ms = 0; ms < 20; ms++) {
        world_at(&world, ms * 3);
    }
    assert_int_equal(bao_dialogue_outstanding(world.dialogue), 1500);
    assert_false(bao_dialogue_has_next(world.dialogue));
    world_hears(&world, "PUT rid=1 status=OK id=1 count=768", NULL);
    world_forget(&world);
    world.quiet = false;
    assert_true(bao_dialogue_has_next(world.dialogue));
    assert_int_equal(bao_dialogue_outstanding(world.dialogue), 1500 - 768);
}

/* --- put credit --------------------------------------------------------- */

/* [S3.3] Beyond the credit a put goes without its body, which follows when
 * the broker asks. */
static void
test_dialogue_flow__sends_bodies_beyond_the_credit_when_asked(void **state)
{
    (void)state;
    resume(); /* with a credit of 10 bytes */
    world_forget(&world);
    world_ask(&world, "PUT queue=buns", -1, "12345678");
    world_ask(&world, "PUT queue=buns", -1, "abcd");
    world_ask(&world, "PUT queue=buns", -1, "efgh");
    world_send(&world);
    world_story(&world,
                "> PUT rid=1 queue=buns lengths=8\n"
                "> PUT rid=2 queue=buns lengths=4 flags=256\n"
                "> PUT rid=3 queue=buns lengths=4 flags=256\n> --\n");
    world_hears(&world, "SEND_BODY target=2 count=2", NULL);
    world_send(&world);
    world_story(&world,
                "> BODY lengths=4 target=2\n> BODY lengths=4 target=3\n"
                "> --\n");
    world_hears(&world, "PUT rid=1 status=OK id=1", NULL);
    world_forget(&world);
    world_ask(&world, "PUT queue=buns", -1, "ijkl");
    world_send(&world);
    world_story(&world,
                "> ACK ranges=1,1\n> PUT rid=4 queue=buns lengths=4\n> --\n");
    world_hears(&world, "SEND_BODY target=1 count=1", NULL); /* answered */
    world_send(&world);
    world_story(&world, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialogue_flow__merges_puts_that_wait),
        TEST(test_dialogue_flow__keeps_two_messages_in_flight),
        TEST(test_dialogue_flow__lets_waits_delay_nothing),
        TEST(test_dialogue_flow__merges_settles),
        TEST(test_dialogue_flow__takes_runs_of_answers),
        TEST(test_dialogue_flow__takes_put_many_as_one_request),
        TEST(test_dialogue_flow__sends_big_bodies_as_frames),
        TEST(test_dialogue_flow__ends_a_message_at_64_kib),
        TEST(test_dialogue_flow__keeps_the_answer_window),
        TEST(test_dialogue_flow__sends_bodies_beyond_the_credit_when_asked),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue_flow", tests, NULL, NULL);
}
