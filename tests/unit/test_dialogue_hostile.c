/*
 * test_dialogue_hostile.c - the client's protocol machine against brokers that
 * are broken, or mean harm.
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

static void
test_dialogue_hostile__breaks_on_bodies_that_are_not_there(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", -1, NULL);
    world_send(&world);
    world_forget(&world);
    world_hears(&world, "GET rid=1 status=OK ids=8 token=70 lengths=9", "abc");
    assert_non_null(bao_dialogue_broken(world.dialogue));
    world_story(&world, "");
}

static void
test_dialogue_hostile__breaks_on_an_answer_of_another_verb(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "GET queue=buns", -1, NULL);
    world_send(&world);
    world_hears(&world, "PUT rid=1 status=OK id=3", NULL);
    assert_non_null(bao_dialogue_broken(world.dialogue));
}

/* Its ACK would name what the broker has not, or rids out of order. */
static void test_dialogue_hostile__breaks_on_an_answer_to_nothing(void **state)
{
    (void)state;
    world_welcome(&world);
    world_ask(&world, "STAT queue=buns", -1, NULL);
    world_send(&world);
    world_hears(&world, "STAT rid=2 status=NOT_FOUND", NULL);
    assert_non_null(bao_dialogue_broken(world.dialogue));
    world_lose(&world);
    world_connect(&world);
    world_hears(&world, "PUT rid=18446744073709551615 status=FULL", NULL);
    assert_non_null(bao_dialogue_broken(world.dialogue));
}

/* What was on its way when the session was resumed elsewhere, is answered; the
 * resume acknowledges it with all the rest, in order. */
static void
test_dialogue_hostile__takes_an_answer_before_the_welcome(void **state)
{
    (void)state;
    world_welcome(&world);
    for (int i = 0; i < 3; i++)
        world_ask(&world, "STAT queue=buns", -1, NULL);
    world_send(&world);
    world_lose(&world);
    world_connect(&world);
    world_forget(&world);
    world_hears(&world, "STAT rid=2 status=NOT_FOUND", NULL);
    world_story(&world, "= STAT rid=2 status=NOT_FOUND\n");
    world_hears(&world, RESUMED, NULL);
    world_send(&world);
    world_story(&world,
                "! welcomed, resumed\n"
                "> ACK ranges=2,2\n"
                "> HELD\n"
                "> STAT rid=1 queue=buns\n"
                "> STAT rid=3 queue=buns\n> --\n");
}

/* Any bytes at all: never a crash, at worst a broken connection. */
static void test_dialogue_hostile__survives_any_bytes(void **state)
{
    (void)state;
    uint32_t random = 12345;
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[64];
        if (bao_dialogue_broken(world.dialogue) != NULL || round == 0) {
            if (round > 0) {
                world_lose(&world);
            }
            world_connect(&world);
            world_hears(&world, round == 0 ? NEW_BOOT : RESUMED, NULL);
            world_ask(&world, "GET queue=buns", -1, NULL);
            world_send(&world);
            world_forget(&world);
        }
        for (size_t i = 0; i < sizeof bytes; i++) {
            random = random * 1664525u + 1013904223u;
            bytes[i] = (uint8_t)(random >> 24);
        }
        bytes[0] = 0xdc; /* so that some get further */
        bytes[1] = 0;
        bytes[2] = (uint8_t)(2 + round % 3);
        bytes[3] = 1;
        bytes[4] = (uint8_t)(0x80 + round % 8);
        struct bao_message message = {
            .header = bao_span_of(bytes, 5 + (size_t)(round % 59))};
        bao_dialogue_feed(world.dialogue, world.now_us, &message);
        if (world.request_count > WORLD_REQUESTS - 2) {
            break;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dialogue_hostile__breaks_on_bodies_that_are_not_there),
        TEST(test_dialogue_hostile__breaks_on_an_answer_of_another_verb),
        TEST(test_dialogue_hostile__breaks_on_an_answer_to_nothing),
        TEST(test_dialogue_hostile__takes_an_answer_before_the_welcome),
        TEST(test_dialogue_hostile__survives_any_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue_hostile", tests, NULL, NULL);
}
