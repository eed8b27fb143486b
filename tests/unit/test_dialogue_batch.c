/*
 * test_dialogue_batch.c - the client's protocol machine: how many puts and
 * settles go in one message, and when.
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

static void ask_many(int count)
{
    for (int i = 0; i < count; i++) {
        world_ask(&world, "PUT queue=buns", -1, "a");
    }
}

/* The number of puts in what is sent now; 0: nothing is. */
static int sent_now(void)
{
    struct bao_outgoing out;
    bool any = bao_dialogue_next(world.dialogue, world.now_us, &out);
    return any ? (int)out.piece_count : 0; /* one body each */
}

static void answer(int rid, int count)
{
    char text[80];
    (void)snprintf(text,
                   sizeof text,
                   "PUT rid=%d status=OK id=%d count=%d",
                   rid,
                   rid,
                   count);
    world_hears(&world, text, NULL);
}

/* A hundred puts do not go as one and ninety-nine: each message waits for as
 * many as the last ones had, while another is in flight. */
static void test_dialogue_batch__sends_messages_of_a_size(void **state)
{
    (void)state;
    ask_many(100);
    assert_int_equal(sent_now(), 50); /* half, so that two are under way */
    assert_int_equal(sent_now(), 50);
    answer(1, 50);
    ask_many(1);
    assert_int_equal(sent_now(), 0);
    ask_many(18);
    assert_int_equal(sent_now(), 0); /* 19 of the 37 that are usual */
    ask_many(31);
    assert_int_equal(sent_now(), 50);
    answer(51, 50);
    ask_many(1);
    assert_int_equal(sent_now(), 0);
    answer(101, 50); /* nothing is in flight: nothing waits */
    assert_int_equal(sent_now(), 1);
    world_forget(&world);
}

/* What is usual follows what is sent: a caller that slows down does not wait
 * for a batch that it will not fill. */
static void test_dialogue_batch__forgets_large_messages(void **state)
{
    (void)state;
    ask_many(400);
    int rid = 1;
    for (int sent = sent_now(); sent > 0; sent = sent_now()) {
        answer(rid, sent);
        rid += sent;
    }
    for (int i = 0; i < 10; i++, rid++) {
        ask_many(1);
        assert_int_equal(sent_now(), 1);
        answer(rid, 1);
    }
    ask_many(1);
    assert_int_equal(sent_now(), 1);
    ask_many(1);
    assert_int_equal(sent_now(), 1);
    world_forget(&world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialogue_batch__sends_messages_of_a_size),
        TEST(test_dialogue_batch__forgets_large_messages),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue_batch", tests, NULL, NULL);
}
