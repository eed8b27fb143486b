/*
 * test_zmtp_bytes.c - ZMTP as bytes: greetings, commands, heads of frames.
 */
#include "common/zmtp_bytes.h"
#include "tests/lib/unit.h"

/* Ours is what we accept, whole and in every piece of it. */
static void
test_zmtp_bytes__our_greeting_is_good_as_far_as_it_goes(void **state)
{
    (void)state;
    struct bao_span ours = bao_zmtp_greeting();
    assert_int_equal(ours.bytes, BAO_ZMTP_GREETING_BYTES);
    for (size_t i = 0; i <= ours.bytes; i++)
        assert_null(bao_zmtp_check_greeting(bao_span_of(ours.data, i)));
}

static const char *greeting_with(size_t at, uint8_t byte)
{
    uint8_t bytes[BAO_ZMTP_GREETING_BYTES];
    memcpy(bytes, bao_zmtp_greeting().data, sizeof bytes);
    bytes[at] = byte;
    return bao_zmtp_check_greeting(bao_span_of(bytes, sizeof bytes));
}

static void test_zmtp_bytes__other_greetings_are_refused(void **state)
{
    (void)state;
    assert_string_equal(greeting_with(0, 'G'), "it does not speak ZMTP");
    assert_string_equal(greeting_with(9, 0), "it does not speak ZMTP");
    assert_string_equal(greeting_with(10, 2), "it speaks an old ZMTP");
    assert_string_equal(greeting_with(12, 'C'),
                        "it asks for another security mechanism");
    assert_string_equal(greeting_with(31, 'X'),
                        "it asks for another security mechanism");
    /* Later versions and whatever fills the rest are no reason. */
    assert_null(greeting_with(10, 4));
    assert_null(greeting_with(11, 9));
    assert_null(greeting_with(1, 7));
    assert_null(greeting_with(63, 1));
    assert_string_equal(
        bao_zmtp_check_greeting(bao_span_text("GET / HTTP/1.1\r\n")),
        "it does not speak ZMTP");
}

static const char *
ready(const char *bytes, size_t count, struct bao_zmtp_socket *socket)
{
    return bao_zmtp_check_ready(bao_span_of(bytes, count), socket);
}

#define READY(bytes) ready((bytes), sizeof(bytes) - 1, &socket)
#define TYPE(name)   "\5READY\13Socket-Type\0\0\0" name

static void test_zmtp_bytes__ready_names_a_socket_that_may_talk(void **state)
{
    (void)state;
    struct bao_zmtp_socket socket = {.is_named = true};
    assert_null(READY(TYPE("\6DEALER")));
    assert_false(socket.is_named || socket.is_router);
    assert_null(READY(TYPE("\3REQ")));
    assert_null(READY(TYPE("\6ROUTER")));
    assert_true(socket.is_router);
    assert_null(READY("\5READY\13SOCKET-type\0\0\0\6DEALER"));
    assert_null(READY(TYPE("\6DEALER") "\10Identity\0\0\0\0"));
    assert_false(socket.is_named);
    assert_null(READY(TYPE("\6DEALER") "\10identity\0\0\0\1x"));
    assert_true(socket.is_named);
    assert_string_equal(READY(TYPE("\3SUB")),
                        "its socket may not talk to a broker");
    assert_string_equal(READY("\5READY"), "its READY is malformed");
    assert_string_equal(READY("\5ERROR\0"), "it does not say READY");
    assert_string_equal(READY(""), "it does not say READY");
}

static void test_zmtp_bytes__a_ready_cut_anywhere_is_malformed(void **state)
{
    (void)state;
    static const char whole[] = TYPE("\6DEALER") "\10Identity\0\0\0\1x";
    struct bao_zmtp_socket socket;
    for (size_t i = 0; i + 1 < sizeof whole; i++) {
        /* Behind the type it is whole again. */
        if (i == sizeof(TYPE("\6DEALER")) - 1)
            continue;
        char *copy = malloc(i + 1); /* a sanitizer sees what is beyond */
        memcpy(copy, whole, i);
        assert_non_null(ready(copy, i, &socket));
        free(copy);
    }
    assert_null(ready(whole, sizeof whole - 1, &socket));
    const struct bao_span ours[] = {bao_zmtp_ready_of_dealer(),
                                    bao_zmtp_ready_of_router()};
    for (size_t i = 0; i < 2; i++) {
        struct bao_span command =
            bao_span_of(ours[i].data + 2, ours[i].bytes - 2);
        assert_null(bao_zmtp_check_ready(command, &socket));
        assert_int_equal(socket.is_router, i);
    }
}

static void test_zmtp_bytes__ping_is_answered_with_its_context(void **state)
{
    (void)state;
    uint8_t pong[BAO_ZMTP_PONG_BYTES_MAX];
    assert_int_equal(bao_zmtp_pong(bao_span_of("\4PING\0\1abc", 10), pong), 10);
    assert_memory_equal(pong, "\4\10\4PONGabc", 10);
    assert_int_equal(bao_zmtp_pong(bao_span_of("\4PING\0\1", 7), pong), 7);
    assert_int_equal(bao_zmtp_pong(bao_span_of("\4PING\0", 6), pong), 0);
    assert_int_equal(
        bao_zmtp_pong(bao_span_text("\4PING..0123456789abcdef"), pong), 23);
    assert_int_equal(
        bao_zmtp_pong(bao_span_text("\4PING..0123456789abcdefg"), pong), 0);
    assert_int_equal(bao_zmtp_pong(bao_span_text("\4PONGabc"), pong), 0);
}

static void test_zmtp_bytes__heads_there_and_back(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        0, 1, 255, 256, 65535, 65536, UINT64_C(1) << 40, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (unsigned more = 0; more < 2; more++) {
            uint8_t bytes[BAO_ZMTP_HEAD_BYTES_MAX];
            struct bao_zmtp_head head;
            size_t all = bao_zmtp_head_write(bytes, sizes[i], more != 0);
            assert_int_equal(all, sizes[i] < 256 ? 2 : 9);
            for (size_t k = 0; k < all; k++)
                assert_int_equal(
                    bao_zmtp_head_read(bao_span_of(bytes, k), &head), 0);
            assert_int_equal(bao_zmtp_head_read(bao_span_of(bytes, all), &head),
                             all);
            assert_true(head.bytes == sizes[i]);
            assert_int_equal(head.more, more);
            assert_false(head.command || head.bad);
        }
    }
}

static void test_zmtp_bytes__flags_that_do_not_exist_are_bad(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        uint8_t bytes[9] = {(uint8_t)flags};
        struct bao_zmtp_head head;
        assert_true(bao_zmtp_head_read(bao_span_of(bytes, 9), &head) > 0);
        /* A command has no more parts. */
        bool good = flags < 8 && (flags & 5) != 5;
        assert_int_equal(head.bad, !good);
        if (good)
            assert_int_equal(head.command, (flags & 4) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_zmtp_bytes__our_greeting_is_good_as_far_as_it_goes),
        cmocka_unit_test(test_zmtp_bytes__other_greetings_are_refused),
        cmocka_unit_test(test_zmtp_bytes__ready_names_a_socket_that_may_talk),
        cmocka_unit_test(test_zmtp_bytes__a_ready_cut_anywhere_is_malformed),
        cmocka_unit_test(test_zmtp_bytes__ping_is_answered_with_its_context),
        cmocka_unit_test(test_zmtp_bytes__heads_there_and_back),
        cmocka_unit_test(test_zmtp_bytes__flags_that_do_not_exist_are_bad),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
