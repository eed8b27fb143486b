/*
 * test_gateway_reply.c - effects become messages, between a fake core and a
 * fake edge: with their bodies, within the limits, and to those who read.
 */
#include "tests/unit/fake_core.h"

#define ID(n) (UINT64_C(7) << BAO_ID_SHIFT | (n))

/* --- bodies --- */

/* Stores n bodies of `bytes` each under ids 1..n. */
static void store(uint32_t n, uint32_t bytes)
{
    static struct bao_put_item items[BAO_OPERATION_ITEMS_MAX];
    bool big = bytes >= BAO_BIG_BYTES;
    for (uint32_t first = 0; first < n;) {
        uint32_t some = big ? 1 : n - first;
        if (some * bytes > BAO_BODIES_BYTES_MAX)
            some = BAO_BODIES_BYTES_MAX / bytes;
        static uint32_t sizes[BAO_OPERATION_ITEMS_MAX];
        for (uint32_t i = 0; i < some; i++) {
            sizes[i] = big ? bytes | BAO_BIG_BIT : bytes;
            items[i].body = (struct bao_body){
                .part = big, .offset = i * bytes, .bytes = bytes};
        }
        const size_t frames[] = {big ? 0 : some * bytes, bytes};
        struct bao_operation put = put_of(sizes, some);
        /* The fake core cannot know the hold's handle before the step: the
         * first hold of a gateway is 1 << 32. Holds end with each step. */
        static uint64_t handle;
        handle = first == 0 ? UINT64_C(1) << 32 : handle + (UINT64_C(1) << 32);
        for (uint32_t i = 0; i < some; i++)
            items[i].body.hold = handle;
        fake_core.facts[0] = (struct bao_fact){.kind = BAO_FACT_ITEM_PUT,
                                               .queue = 7,
                                               .first_id = ID(1 + first),
                                               .count = some,
                                               .items = items};
        fake_core.fact_count = 1;
        message_of(&put, frames, big ? 2 : 1);
        assert_int_equal(fake_core.last_hold, handle);
        first += some;
    }
}

static uint8_t ids[8 * BAO_OPERATION_ITEMS_MAX];
static uint8_t item_lengths[4 * BAO_OPERATION_ITEMS_MAX];

/* A GET's answer with items first .. first + count - 1 of `bytes` each. */
static struct bao_operation got(uint32_t first, uint32_t count, uint32_t bytes)
{
    struct bao_operation answer = {0};
    for (uint32_t i = 0; i < count; i++) {
        bao_store64(ids + 8 * (first - 1 + i), ID(first + i));
        bao_store32(item_lengths + 4 * (first - 1 + i), bytes);
    }
    BAO_SET(&answer, VERB, verb, BAO_VERB_GET);
    BAO_SET(&answer, RID, rid, first);
    BAO_SET(&answer, STATUS, status, BAOZI_OK);
    BAO_SET(&answer, TOKEN, token, 1);
    BAO_SET(&answer,
            IDS,
            ids,
            bao_span_of(ids + 8 * (size_t)(first - 1), 8 * (size_t)count));
    BAO_SET(
        &answer,
        LENGTHS,
        lengths,
        bao_span_of(item_lengths + 4 * (size_t)(first - 1), 4 * (size_t)count));
    return answer;
}

static void test_gateway__a_reply_carries_the_bodies_of_its_ids(void **state)
{
    (void)state;
    gateway_world_open();
    store(10, 100);
    struct bao_operation answer = got(2, 5, 100);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 1);
    assert_int_equal(fake_edge.sent[0].bodies, 5);
    assert_int_equal(fake_edge.sent[0].body_bytes, 500);
    gateway_world_close();
}

static void test_gateway__big_bodies_are_frames_and_are_shared(void **state)
{
    (void)state;
    gateway_world_open();
    store(3, 70000);
    struct bao_operation answer = got(1, 3, 70000);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent[0].bodies, 0);
    assert_int_equal(fake_edge.sent[0].big, 3);
    assert_int_equal(fake_edge.sent[0].shared, 3);
    gateway_world_close();
}

static void test_gateway__what_the_step_settled_is_still_sent(void **state)
{
    (void)state;
    gateway_world_open();
    store(1, 100);
    uint64_t id = ID(1);
    fake_core.facts[0] = (struct bao_fact){
        .kind = BAO_FACT_ITEM_SETTLED, .queue = 7, .count = 1, .ids = &id};
    fake_core.fact_count = 1;
    struct bao_operation answer = got(1, 1, 100);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent[0].body_bytes, 100);
    gateway_world_close();
}

/* --- messages out --- */

static void test_gateway__replies_of_a_turn_are_one_message_a_peer(void **s)
{
    (void)s;
    gateway_world_open();
    struct bao_operation beat = heartbeat();
    static struct bao_operation answers[300];
    for (unsigned i = 0; i < 300; i++) {
        answers[i] = answer_of(1 + i);
        will_reply(i % 3 == 0 ? OTHER : PEER, &answers[i]);
        if (i % 50 == 0)
            message_of(&beat, NULL, 0);
    }
    bao_gateway_tick(gateway, 100);
    assert_int_equal(fake_edge.sent_count, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 2);
    assert_int_equal(fake_edge.flushes, 1);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 2);
    gateway_world_close();
}

static void test_gateway__a_message_is_split_at_the_limits(void **state)
{
    (void)state;
    /* Operations. */
    gateway_world_open();
    static struct bao_operation answers[2000];
    for (unsigned i = 0; i < 2000; i++) {
        answers[i] = answer_of(1 + i);
        will_reply(PEER, &answers[i]);
    }
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 2);
    gateway_world_close();

    /* Big frames: 15 at most. */
    gateway_world_open();
    store(20, 70000);
    for (uint32_t i = 0; i < 20; i++) {
        answers[i] = got(1 + i, 1, 70000);
        will_reply(PEER, &answers[i]);
    }
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 2);
    assert_int_equal(fake_edge.sent[0].big, 15);
    assert_int_equal(fake_edge.sent[1].big, 5);
    gateway_world_close();

    /* Small bodies are copied: 512 KiB of them a message. */
    size_t body_bytes = 0;
    gateway_world_open();
    store(100, 60000);
    for (uint32_t i = 0; i < 100; i++) {
        answers[i] = got(1 + i, 1, 60000);
        will_reply(PEER, &answers[i]);
    }
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 13);
    for (size_t i = 0; i < fake_edge.sent_count; i++) {
        assert_true(fake_edge.sent[i].body_bytes <= 512 * 1024);
        body_bytes += fake_edge.sent[i].body_bytes;
    }
    assert_int_equal(body_bytes, 6000000);
    gateway_world_close();

    /* One answer alone may have more. */
    gateway_world_open();
    store(20, 60000);
    answers[0] = got(1, 20, 60000);
    will_reply(PEER, &answers[0]);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 1);
    assert_int_equal(fake_edge.sent[0].body_bytes, 1200000);
    gateway_world_close();
}

static void test_gateway__holds_back_while_the_edge_is_full(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_operation answer = answer_of(1);
    fake_edge.answer = BAO_PARKED;
    for (unsigned i = 0; i < 5; i++) {
        will_reply(PEER, &answer);
        bao_gateway_tick(gateway, 100);
        (void)bao_gateway_release(gateway);
    }
    assert_int_equal(fake_edge.sent_count, 1);
    /* Then the rest goes as one. */
    fake_edge.answer = BAO_SENT;
    peer_event(BAO_EDGE_WRITABLE, PEER);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 2);
    struct bao_reader reader;
    assert_int_equal(
        bao_reader_open(&reader,
                        bao_span_of(fake_edge.sent[1].header,
                                    fake_edge.sent[1].header_bytes)),
        BAOZI_OK);
    assert_int_equal(reader.operations, 4);
    gateway_world_close();
}

static void test_gateway__who_does_not_read_is_cut(void **state)
{
    (void)state;
    gateway_world_open_with(4u << 20, 0, 2000);
    store(1, 1000);
    struct bao_operation answer = got(1, 1, 1000);
    fake_edge.answer = BAO_PARKED;
    for (unsigned i = 0; i < 10 && fake_edge.cuts == 0; i++) {
        will_reply(PEER, &answer);
        bao_gateway_tick(gateway, 100);
        (void)bao_gateway_release(gateway);
        assert_true(i < 5);
    }
    assert_int_equal(fake_edge.cuts, 1);
    assert_int_equal(fake_edge.sent_count, 1);
    /* The other one gets its answers. */
    fake_edge.answer = BAO_SENT;
    will_reply(OTHER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 2);
    assert_int_equal(fake_edge.sent[1].peer, OTHER);
    gateway_world_close();
}

static void test_gateway__replies_to_the_gone_are_dropped(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_operation answer = answer_of(1);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    peer_event(BAO_EDGE_CLOSED, PEER);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 0);
    gateway_world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway__a_reply_carries_the_bodies_of_its_ids),
        cmocka_unit_test(test_gateway__big_bodies_are_frames_and_are_shared),
        cmocka_unit_test(test_gateway__what_the_step_settled_is_still_sent),
        cmocka_unit_test(
            test_gateway__replies_of_a_turn_are_one_message_a_peer),
        cmocka_unit_test(test_gateway__a_message_is_split_at_the_limits),
        cmocka_unit_test(test_gateway__holds_back_while_the_edge_is_full),
        cmocka_unit_test(test_gateway__who_does_not_read_is_cut),
        cmocka_unit_test(test_gateway__replies_to_the_gone_are_dropped),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
