/*
 * test_gateway.c - messages become commands, between a fake edge and a fake
 * core: what reaches the core, what is refused, and who is cut.
 */
#include "tests/unit/fake_core.h"

static void test_gateway__an_operation_reaches_the_core(void **state)
{
    (void)state;
    gateway_world_open();
    const uint32_t sizes[] = {5, 0, 7};
    const size_t frames[] = {12};
    struct bao_operation put = put_of(sizes, 3);
    struct bao_writer writer = writer_of(&put);
    struct bao_operation beat = heartbeat();
    assert_int_equal(bao_writer_add(&writer, &beat), BAOZI_OK);
    struct bao_work work = message(&writer, frames, 1);
    assert_int_equal(fake_core.steps, 2);
    assert_int_equal(fake_core.last_verb, BAO_VERB_HEARTBEAT);
    assert_int_equal(fake_core.last_peer, PEER);
    assert_int_equal(fake_core.last_hold, 0);
    assert_int_equal(work.operations, 2);
    assert_int_equal(work.messages, 1);
    assert_true(work.bytes > 12);
    message_of(&put, frames, 1);
    assert_true(fake_core.last_hold != 0);
    assert_int_equal(frames_alive, 0);
    gateway_world_close();
}

static void test_gateway__frames_must_be_what_the_operations_claim(void **s)
{
    (void)s;
    const uint32_t sizes[] = {5, 7};
    const uint32_t with_big[] = {5, 70000 | BAO_BIG_BIT};
    const size_t good[] = {12, 70000};
    const size_t bad[] = {11, 70000};
    struct bao_operation put = put_of(sizes, 2);
    struct bao_operation beat = heartbeat();
    gateway_world_open();
    message_of(&put, good, 1); /* right */
    assert_int_equal(fake_core.steps, 1);
    message_of(&put, bad, 1);  /* one byte short */
    message_of(&put, NULL, 0); /* no bodies frame */
    assert_int_equal(fake_edge.cuts, 0);
    message_of(&put, good, 2); /* a big frame that nobody claims */
    assert_int_equal(fake_core.steps, 1);
    assert_int_equal(fake_edge.cuts, 1);
    assert_int_equal(fake_edge.cut_peer, PEER);
    message_of(&beat, NULL, 0); /* it is no longer heard */
    assert_int_equal(fake_core.steps, 1);
    gateway_world_close();

    gateway_world_open();
    const size_t big[] = {5, 70000};
    const size_t short_big[] = {5, 69999};
    put = put_of(with_big, 2);
    message_of(&put, big, 2);
    assert_int_equal(fake_core.steps, 1);
    message_of(&put, big, 1);  /* the big one is missing */
    message_of(&beat, big, 1); /* bodies without an operation for them */
    assert_int_equal(fake_edge.cuts, 0);
    /* A big frame of another length can still be answered. */
    message_of(&put, short_big, 2);
    (void)bao_gateway_release(gateway);
    struct bao_operation answer = sent_operation(0);
    assert_int_equal(answer.status, BAOZI_BAD_REQUEST);
    assert_int_equal(answer.rid, 10);
    assert_int_equal(answer.count, 2);
    assert_int_equal(fake_core.steps, 1);
    gateway_world_close();
}

static void test_gateway__garbage_is_a_strike_and_three_end_it(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_work work = {0};
    for (unsigned i = 0; i < 3; i++) {
        struct bao_frame *frame = frame_new("garbage", 7);
        struct bao_edge_event told = {.kind = BAO_EDGE_MESSAGE,
                                      .peer = PEER,
                                      .frames = &frame,
                                      .frame_count = 1};
        assert_int_equal(fake_edge.cuts, 0);
        if (i == 1)
            told = (struct bao_edge_event){.kind = BAO_EDGE_MESSAGE,
                                           .peer = PEER,
                                           .malformed = "too many parts"};
        bao_gateway_event(gateway, 0, &told, &work);
        bao_frame_release(frame);
    }
    assert_int_equal(fake_edge.cuts, 1);
    assert_int_equal(fake_core.steps, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(fake_edge.sent_count, 0);
    gateway_world_close();
}

static void test_gateway__a_bad_operation_is_answered(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_operation bad = {0};
    BAO_SET(&bad, VERB, verb, BAO_VERB_GET); /* of no queue */
    BAO_SET(&bad, RID, rid, 44);
    struct bao_operation beat = heartbeat();
    struct bao_writer writer = writer_of(&bad);
    assert_int_equal(bao_writer_add(&writer, &beat), BAOZI_OK);
    (void)message(&writer, NULL, 0);
    /* Its neighbour in the message is not disturbed. */
    assert_int_equal(fake_core.steps, 1);
    (void)bao_gateway_release(gateway);
    struct bao_operation answer = sent_operation(0);
    assert_int_equal(answer.verb, BAO_VERB_GET);
    assert_int_equal(answer.rid, 44);
    assert_int_equal(answer.status, BAOZI_BAD_REQUEST);
    assert_true(answer.error.bytes > 0);
    gateway_world_close();
}

static void
test_gateway__answers_and_notices_from_a_client_are_strikes(void **s)
{
    (void)s;
    gateway_world_open();
    struct bao_operation answer = answer_of(3);
    struct bao_operation notice = {0};
    BAO_SET(&notice, VERB, verb, BAO_VERB_GONE);
    BAO_SET(&notice, STATUS, status, BAOZI_SESSION_GONE);
    message_of(&answer, NULL, 0);
    message_of(&notice, NULL, 0);
    assert_int_equal(fake_edge.cuts, 0);
    message_of(&answer, NULL, 0);
    assert_int_equal(fake_edge.cuts, 1);
    assert_int_equal(fake_core.steps, 0);
    gateway_world_close();
}

/* A HEARTBEAT with a rid is refused, and no client could read an answer. */
static void test_gateway__a_notice_with_a_rid_has_no_answer(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_operation beat = heartbeat();
    BAO_SET(&beat, RID, rid, 7);
    message_of(&beat, NULL, 0);
    message_of(&beat, NULL, 0);
    assert_false(bao_gateway_release(gateway));
    assert_int_equal(fake_edge.sent_count, 0);
    assert_int_equal(fake_edge.cuts, 0);
    message_of(&beat, NULL, 0);
    assert_int_equal(fake_edge.cuts, 1);
    gateway_world_close();
}

static void test_gateway__a_bad_item_header_refuses_the_put(void **state)
{
    (void)state;
    gateway_world_open();
    const uint32_t sizes[] = {20};
    const size_t frames[] = {20};
    uint8_t headers[4];
    struct bao_operation put = put_of(sizes, 1);
    bao_store32(headers, 4); /* "bbbb" is no map */
    BAO_SET(&put, HEADER_LENGTHS, header_lengths, bao_span_of(headers, 4));
    message_of(&put, frames, 1);
    assert_int_equal(fake_core.steps, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(sent_operation(0).status, BAOZI_BAD_REQUEST);
    gateway_world_close();
}

static struct bao_operation hello(uint32_t least, uint32_t most)
{
    struct bao_operation hello = {0};
    BAO_SET(&hello, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&hello, RID, rid, 0);
    BAO_SET(&hello, PROTOCOL, protocol, most);
    BAO_SET(&hello, PROTOCOL_MIN, protocol_min, least);
    BAO_SET(&hello, CLIENT, client, bao_span_text("0123456789abcdef"));
    return hello;
}

static void test_gateway__hello_is_welcomed_in_a_version_both_speak(void **s)
{
    (void)s;
    gateway_world_open();
    struct bao_operation future = hello(2, 9);
    message_of(&future, NULL, 0);
    assert_int_equal(fake_core.steps, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(sent_operation(0).status, BAOZI_BAD_VERSION);
    assert_int_equal(sent_operation(0).protocol, BAO_PROTOCOL_VERSION);
    assert_int_equal(fake_edge.admitted, 0);

    struct bao_operation both = hello(1, 9);
    struct bao_operation welcome = {0};
    BAO_SET(&welcome, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&welcome, RID, rid, 0);
    BAO_SET(&welcome, STATUS, status, BAOZI_OK);
    will_reply(PEER, &welcome);
    message_of(&both, NULL, 0);
    assert_int_equal(fake_core.steps, 1);
    assert_true(fake_core.last_random);
    assert_int_equal(fake_edge.admitted, 1);
    gateway_world_close();
}

static void test_gateway__another_header_version_is_told_so(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_operation beat = heartbeat();
    struct bao_writer writer = writer_of(&beat);
    message_header[3] = 99; /* behind array16 and its count */
    (void)message(&writer, NULL, 0);
    (void)bao_gateway_release(gateway);
    struct bao_operation notice = sent_operation(0);
    assert_int_equal(notice.verb, BAO_VERB_GONE);
    assert_int_equal(notice.status, BAOZI_BAD_VERSION);
    gateway_world_close();
}

static void test_gateway__a_closed_peer_is_told_to_the_core(void **state)
{
    (void)state;
    gateway_world_open();
    struct bao_work work = {0};
    peer_event(BAO_EDGE_CLOSED, OTHER);
    assert_int_equal(fake_core.last_kind, BAO_COMMAND_PEER_CLOSED);
    assert_int_equal(fake_core.last_peer, OTHER);
    struct bao_edge_event gone = {.kind = BAO_EDGE_CLOSED,
                                  .peer = PEER,
                                  .process_gone = true,
                                  .why = "x"};
    bao_gateway_event(gateway, 0, &gone, &work);
    assert_int_equal(fake_core.last_kind, BAO_COMMAND_PROCESS_GONE);
    assert_int_equal(bao_gateway_peers(gateway), 0);
    gateway_world_close();
}

/* The core keeps the put's hold, as it does while it is parked. */
static void test_gateway__parked_bodies_have_a_cap(void **state)
{
    (void)state;
    gateway_world_open_with(4u << 20, 100, 0);
    const uint32_t sizes[] = {80};
    const size_t frames[] = {80};
    struct bao_operation put = put_of(sizes, 1);
    for (unsigned i = 0; i < 2; i++) {
        fake_core.effects[0] = (struct bao_effect){.kind = BAO_EFFECT_KEEP};
        fake_core.effect_count = 1;
        message_of(&put, frames, 1);
        assert_true(fake_core.last_hold != 0);
        assert_int_equal(fake_core.last_flags & BAO_FLAG_NO_BODY, 0);
    }
    /* Beyond it a put comes without its body, and is asked later. */
    message_of(&put, frames, 1);
    assert_int_equal(fake_core.last_hold, 0);
    assert_true((fake_core.last_flags & BAO_FLAG_NO_BODY) != 0);
    gateway_world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway__an_operation_reaches_the_core),
        cmocka_unit_test(
            test_gateway__frames_must_be_what_the_operations_claim),
        cmocka_unit_test(test_gateway__garbage_is_a_strike_and_three_end_it),
        cmocka_unit_test(test_gateway__a_bad_operation_is_answered),
        cmocka_unit_test(
            test_gateway__answers_and_notices_from_a_client_are_strikes),
        cmocka_unit_test(test_gateway__a_notice_with_a_rid_has_no_answer),
        cmocka_unit_test(test_gateway__a_bad_item_header_refuses_the_put),
        cmocka_unit_test(
            test_gateway__hello_is_welcomed_in_a_version_both_speak),
        cmocka_unit_test(test_gateway__another_header_version_is_told_so),
        cmocka_unit_test(test_gateway__a_closed_peer_is_told_to_the_core),
        cmocka_unit_test(test_gateway__parked_bodies_have_a_cap),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
