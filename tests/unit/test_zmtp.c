/*
 * test_zmtp.c - the bytes of a ZeroMQ connection, as a DEALER writes and
 * reads them.
 */
#include "common/zmtp.h"
#include "tests/lib/unit.h"

static const uint8_t greeting[64] =
    {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1, 'N', 'U', 'L', 'L'};
/* As libzmq's ROUTER says it, and another property before it. */
static const char ready[] = "\4\45\5READY"
                            "\3X-Y\0\0\0\1z"
                            "\13Socket-Type\0\0\0\6ROUTER";

static void comes(struct bao_zmtp *zmtp, const void *data, size_t bytes)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        uint8_t *room;
        size_t most;
        assert_int_equal(bao_zmtp_room(zmtp, &room, &most), BAOZI_OK);
        most = most < bytes ? most : bytes;
        memcpy(room, from, most);
        bao_zmtp_came(zmtp, most);
        from += most;
        bytes -= most;
    }
}

static enum baozi_status
takes(struct bao_zmtp *zmtp, const void *data, size_t bytes)
{
    struct bao_received received;
    comes(zmtp, data, bytes);
    return bao_zmtp_next(zmtp, &received);
}

static void shake(struct bao_zmtp *zmtp)
{
    assert_int_equal(bao_zmtp_open(zmtp), BAOZI_OK);
    bao_zmtp_left(zmtp, bao_buffer_view(&zmtp->out).bytes);
    assert_int_equal(takes(zmtp, greeting, sizeof greeting), BAOZI_EMPTY);
    assert_int_equal(takes(zmtp, ready, sizeof ready - 1), BAOZI_EMPTY);
    assert_int_equal(zmtp->state, BAO_ZMTP_OPEN);
}

/* --- hands are shaken --------------------------------------------------- */

static void test_zmtp__greets_and_says_that_it_is_a_dealer(void **state)
{
    (void)state;
    struct bao_zmtp zmtp;
    assert_int_equal(bao_zmtp_open(&zmtp), BAOZI_OK);
    struct bao_span out = bao_buffer_view(&zmtp.out);
    assert_int_equal(out.bytes, 64 + 2 + 41);
    assert_int_equal(out.data[0], 0xff);
    assert_int_equal(out.data[9], 0x7f);
    assert_memory_equal(out.data + 10, "\3\1NULL", 7);
    assert_memory_equal(out.data + 64,
                        "\4\51\5READY\13Socket-Type\0\0\0\6DEALER"
                        "\10Identity\0\0\0\0",
                        43);
    bao_zmtp_close(&zmtp);
    bao_zmtp_close(&zmtp);
}

static void test_zmtp__takes_a_greeting_byte_by_byte(void **state)
{
    (void)state;
    struct bao_zmtp zmtp;
    assert_int_equal(bao_zmtp_open(&zmtp), BAOZI_OK);
    for (size_t i = 0; i < sizeof greeting; i++) {
        assert_int_equal(zmtp.state, BAO_ZMTP_GREETING);
        assert_int_equal(takes(&zmtp, greeting + i, 1), BAOZI_EMPTY);
    }
    for (size_t i = 0; i < sizeof ready - 1; i++) {
        assert_int_equal(zmtp.state, BAO_ZMTP_READY);
        assert_int_equal(takes(&zmtp, ready + i, 1), BAOZI_EMPTY);
    }
    assert_int_equal(zmtp.state, BAO_ZMTP_OPEN);
    bao_zmtp_close(&zmtp);
}

static void test_zmtp__ends_what_is_not_zmtp_3_null(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
    } wrong[] = {{0, 'H'}, {9, 0x7e}, {10, 2}, {12, 'C'}, {16, 'X'}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct bao_zmtp zmtp;
        uint8_t bytes[64];
        memcpy(bytes, greeting, sizeof bytes);
        bytes[wrong[i].at] = wrong[i].byte;
        assert_int_equal(bao_zmtp_open(&zmtp), BAOZI_OK);
        assert_int_equal(takes(&zmtp, bytes, sizeof bytes),
                         BAOZI_CONNECTION_LOST);
        bao_zmtp_close(&zmtp);
    }
}

/* A service of another kind is known by its first byte, however short. */
static void test_zmtp__ends_a_stranger_at_its_first_byte(void **state)
{
    (void)state;
    struct bao_zmtp zmtp;
    assert_int_equal(bao_zmtp_open(&zmtp), BAOZI_OK);
    assert_int_equal(takes(&zmtp, "SSH", 3), BAOZI_CONNECTION_LOST);
    bao_zmtp_close(&zmtp);
}

#define TEXT(text)             \
    {                          \
        text, sizeof(text) - 1 \
    }
struct text {
    const char *data;
    size_t bytes;
};

static void
test_zmtp__wants_the_ready_of_a_router_and_nothing_else(void **state)
{
    (void)state;
    static const struct text wrong[] = {
        TEXT("\4\34\5READY\13Socket-Type\0\0\0\6DEALER"), /* ourselves */
        TEXT("\4\6\5READY"),
        TEXT("\4\34\5READY\14Socket-Type\0\0\0\6ROUTER"),
        TEXT("\4\34\5READY\13Socket-Type\0\0\1\6ROUTER"),
        TEXT("\4\14\5READY\3X-Y\0\0"),
        TEXT("\4\16\5READY\3X-Y\0\0\0\2"),
        TEXT("\4\7\5ERROR\0"),
        TEXT("\4\7\4PING\0\0"),
        TEXT("\0\1x"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct bao_zmtp zmtp;
        assert_int_equal(bao_zmtp_open(&zmtp), BAOZI_OK);
        comes(&zmtp, greeting, sizeof greeting);
        assert_int_equal(takes(&zmtp, wrong[i].data, wrong[i].bytes),
                         BAOZI_CONNECTION_LOST);
        bao_zmtp_close(&zmtp);
    }
}

/* --- messages come ------------------------------------------------------ */

static void test_zmtp__takes_messages_however_they_are_cut(void **state)
{
    (void)state;
    static const char two[] = "\1\2ab\0\3cde"
                              "\0\1f";
    for (size_t cut = 0; cut < sizeof two; cut++) {
        struct bao_zmtp zmtp;
        struct bao_received received;
        shake(&zmtp);
        comes(&zmtp, two, cut);
        if (cut < 9) {
            assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_EMPTY);
        }
        comes(&zmtp, two + cut, sizeof two - 1 - cut);
        assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_OK);
        assert_int_equal(received.message.part_count, 1);
        assert_int_equal(received.message.header.bytes, 2);
        assert_memory_equal(received.message.header.data, "ab", 2);
        assert_int_equal(received.parts[0].bytes, 3);
        assert_memory_equal(received.parts[0].data, "cde", 3);
        bao_zmtp_release(&zmtp, &received);
        assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_OK);
        assert_int_equal(received.message.part_count, 0);
        assert_memory_equal(received.message.header.data, "f", 1);
        bao_zmtp_release(&zmtp, &received);
        assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_EMPTY);
        bao_zmtp_close(&zmtp);
    }
}

static void
test_zmtp__takes_a_long_frame_and_gives_its_memory_back(void **state)
{
    (void)state;
    const size_t bytes = 3u << 20;
    struct bao_zmtp zmtp;
    struct bao_received received;
    uint8_t *body = malloc(bytes);
    assert_non_null(body);
    memset(body, 'x', bytes);
    shake(&zmtp);
    comes(&zmtp, "\1\1h\2\0\0\0\0\0\60\0\0", 12);
    assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_EMPTY);
    comes(&zmtp, body, bytes);
    assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_OK);
    assert_int_equal(received.parts[0].bytes, bytes);
    assert_memory_equal(received.parts[0].data, body, bytes);
    bao_zmtp_release(&zmtp, &received);
    assert_true(zmtp.in.capacity <= 256u * 1024u);
    free(body);
    bao_zmtp_close(&zmtp);
}

static void test_zmtp__ends_a_message_against_our_limits(void **state)
{
    (void)state;
    static const struct text wrong[] = {
        TEXT("\2\0\0\0\0\2\1\0\0\0"), /* 32 MiB and 64 KiB */
        TEXT("\2\377\377\377\377\377\377\377\377"),
        TEXT("\10\1x"),              /* a flag that is not there */
        TEXT("\1\1x\4\7\4PING\0\0"), /* amid a message */
        TEXT("\4\7\5ERROR\0"),
        TEXT("\4\6\4PING\0"),
        TEXT("\4\45\5READY\3X-Y\0\0\0\1z\13Socket-Type\0\0\0\6ROUTER"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct bao_zmtp zmtp;
        shake(&zmtp);
        assert_int_equal(takes(&zmtp, wrong[i].data, wrong[i].bytes),
                         BAOZI_CONNECTION_LOST);
        bao_zmtp_close(&zmtp);
    }
}

static void test_zmtp__takes_17_frames_and_not_18(void **state)
{
    (void)state;
    struct bao_zmtp zmtp;
    struct bao_received received;
    shake(&zmtp);
    for (size_t i = 0; i < 16; i++) {
        comes(&zmtp, "\1\1x", 3);
    }
    assert_int_equal(takes(&zmtp, "\0\1y", 3), BAOZI_OK);
    assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_OK);
    assert_int_equal(received.message.part_count, 16);
    assert_memory_equal(received.parts[15].data, "y", 1);
    bao_zmtp_release(&zmtp, &received);
    for (size_t i = 0; i < 17; i++) {
        comes(&zmtp, "\1\1x", 3);
    }
    assert_int_equal(takes(&zmtp, "\0\1y", 3), BAOZI_CONNECTION_LOST);
    bao_zmtp_close(&zmtp);
}

static void test_zmtp__answers_a_ping_and_passes_others_over(void **state)
{
    (void)state;
    struct bao_zmtp zmtp;
    struct bao_received received;
    shake(&zmtp);
    assert_int_equal(takes(&zmtp, "\4\5\4PONG", 7), BAOZI_EMPTY);
    assert_int_equal(takes(&zmtp, "\4\11\4PING\0\7ab\0\1m", 14), BAOZI_OK);
    struct bao_span out = bao_buffer_view(&zmtp.out);
    assert_int_equal(out.bytes, 9);
    assert_memory_equal(out.data, "\4\7\4PONGab", 9);
    assert_int_equal(bao_zmtp_next(&zmtp, &received), BAOZI_OK);
    assert_memory_equal(received.message.header.data, "m", 1);
    bao_zmtp_close(&zmtp);
}

/* --- messages go -------------------------------------------------------- */

static void test_zmtp__writes_what_it_reads(void **state)
{
    (void)state;
    static uint8_t big[70000];
    static uint8_t header[300];
    const struct bao_piece pieces[] = {
        {.bytes = bao_span_of("one", 3), .part = 0},
        {.bytes = bao_span_of(big, sizeof big), .part = 2},
        {.bytes = bao_span_of("two", 3), .part = 0},
        {.bytes = bao_span_of("big", 3), .part = 1},
    };
    const struct bao_outgoing outgoing = {
        .header = bao_span_of(header, sizeof header),
        .pieces = pieces,
        .piece_count = 4,
        .part_count = 3};
    struct bao_zmtp writer;
    struct bao_zmtp reader;
    struct bao_received received;
    memset(big, 'b', sizeof big);
    memset(header, 'h', sizeof header);
    shake(&writer);
    shake(&reader);
    assert_int_equal(bao_zmtp_add(&writer, &outgoing), BAOZI_OK);
    const struct bao_outgoing alone = {.header = bao_span_of("alone", 5)};
    assert_int_equal(bao_zmtp_add(&writer, &alone), BAOZI_OK);
    struct bao_span out = bao_buffer_view(&writer.out);
    comes(&reader, out.data, out.bytes);
    bao_zmtp_left(&writer, out.bytes);
    assert_int_equal(bao_buffer_view(&writer.out).bytes, 0);

    assert_int_equal(bao_zmtp_next(&reader, &received), BAOZI_OK);
    assert_int_equal(received.message.part_count, 3);
    assert_true(bao_span_equal(received.message.header, outgoing.header));
    assert_true(bao_span_equal(received.parts[0], bao_span_of("onetwo", 6)));
    assert_true(bao_span_equal(received.parts[1], bao_span_of("big", 3)));
    assert_true(bao_span_equal(received.parts[2], pieces[1].bytes));
    bao_zmtp_release(&reader, &received);
    assert_int_equal(bao_zmtp_next(&reader, &received), BAOZI_OK);
    assert_true(bao_span_equal(received.message.header, alone.header));
    bao_zmtp_close(&writer);
    bao_zmtp_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zmtp__greets_and_says_that_it_is_a_dealer),
        cmocka_unit_test(test_zmtp__takes_a_greeting_byte_by_byte),
        cmocka_unit_test(test_zmtp__ends_what_is_not_zmtp_3_null),
        cmocka_unit_test(test_zmtp__ends_a_stranger_at_its_first_byte),
        cmocka_unit_test(
            test_zmtp__wants_the_ready_of_a_router_and_nothing_else),
        cmocka_unit_test(test_zmtp__takes_messages_however_they_are_cut),
        cmocka_unit_test(
            test_zmtp__takes_a_long_frame_and_gives_its_memory_back),
        cmocka_unit_test(test_zmtp__ends_a_message_against_our_limits),
        cmocka_unit_test(test_zmtp__takes_17_frames_and_not_18),
        cmocka_unit_test(test_zmtp__answers_a_ping_and_passes_others_over),
        cmocka_unit_test(test_zmtp__writes_what_it_reads),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
