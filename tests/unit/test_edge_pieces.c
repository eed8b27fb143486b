/*
 * test_edge_pieces.c - messages that arrive in pieces, and bytes that are
 * held longer than their event.
 *
 * A plain socket sends frames cut anywhere; what the edge tells is compared
 * with what was sent, byte for byte.
 */
#include <unistd.h>

#include "common/time.h"
#include "tests/lib/edge_world.h"
#include "tests/unit/model.h"

#define MESSAGES   200u
#define PARTS_MAX  5u
#define STREAM_MAX (UINT64_C(64) << 20)
#define HELD_MAX   64u

/* What was sent, and how much of it has come back. */
static struct {
    uint8_t *stream; /* as frames */
    size_t bytes;
    uint8_t *plain; /* the bytes of all parts, one behind the other */
    size_t plain_bytes;
    uint32_t parts[MESSAGES];
    size_t seen; /* of `plain` */
    unsigned messages;
    struct bao_frame *held[HELD_MAX];
    const uint8_t *held_as[HELD_MAX];
    const uint8_t *held_at[HELD_MAX]; /* of a big one: where it must stay */
    unsigned held_count;
} said;

static uint64_t below(uint64_t most)
{
    return model_random(most);
}

/* Mostly small, some beyond what is read at once, some of 64 KiB and more. */
static size_t some_size(void)
{
    switch (below(8)) {
    case 0: return 0;
    case 1: return below(3);
    case 2: return 255 + below(3);
    case 3: return below(100000);
    case 4: return below(10) == 0 ? below(700000) : 65536;
    default: return below(500);
    }
}

static void say_part(size_t bytes, bool more)
{
    uint8_t *to = said.stream + said.bytes;
    size_t head = 2;
    to[0] = more;
    to[1] = (uint8_t)bytes;
    if (bytes > 255 || below(4) == 0) {
        head = 9;
        to[0] |= 2;
        for (unsigned i = 0; i < 8; i++)
            to[1 + i] = (uint8_t)((uint64_t)bytes >> (56 - 8 * i));
    }
    for (size_t i = 0; i < bytes; i++) {
        to[head + i] = (uint8_t)(said.plain_bytes + i * 7 + (i >> 9));
        said.plain[said.plain_bytes + i] = to[head + i];
    }
    said.plain_bytes += bytes;
    said.bytes += head + bytes;
    assert_true(said.bytes < STREAM_MAX - 1000000);
}

static void compose(void)
{
    memset(&said, 0, sizeof said);
    said.stream = malloc(STREAM_MAX);
    said.plain = malloc(STREAM_MAX);
    if (said.stream == NULL || said.plain == NULL)
        exit(1);
    for (unsigned i = 0; i < MESSAGES; i++) {
        said.parts[i] = 1 + (uint32_t)below(PARTS_MAX);
        /* The first one is small: then the peer is welcomed. */
        for (uint32_t k = 0; k < said.parts[i]; k++)
            say_part(i == 0 ? below(100) : some_size(), k + 1 < said.parts[i]);
    }
}

static void forget(void)
{
    free(said.stream);
    free(said.plain);
}

static void let_go(unsigned i)
{
    const struct bao_frame *frame = said.held[i];
    assert_memory_equal(frame->bytes.data, said.held_as[i], frame->bytes.bytes);
    if (said.held_at[i] != NULL)
        assert_ptr_equal(frame->bytes.data, said.held_at[i]);
    bao_frame_release(said.held[i]);
    said.held[i] = said.held[--said.held_count];
    said.held_as[i] = said.held_as[said.held_count];
    said.held_at[i] = said.held_at[said.held_count];
}

/* Sometimes holds a part, and lets go of another one. */
static void hold_some(struct bao_frame *frame, const uint8_t *as, bool big)
{
    if (said.held_count > 0 && below(3) == 0)
        let_go((unsigned)below(said.held_count));
    if (said.held_count < HELD_MAX && below(3) == 0) {
        said.held_as[said.held_count] = as;
        said.held_at[said.held_count] = big ? frame->bytes.data : NULL;
        said.held[said.held_count++] = bao_frame_hold(frame);
    }
}

static void compare(const struct bao_edge_event *event)
{
    if (event->kind != BAO_EDGE_MESSAGE)
        return;
    assert_null(event->malformed);
    assert_true(said.messages < MESSAGES);
    assert_int_equal(event->frame_count, said.parts[said.messages]);
    for (uint32_t i = 0; i < event->frame_count; i++) {
        struct bao_span bytes = event->frames[i]->bytes;
        assert_true(bytes.bytes <= said.plain_bytes - said.seen);
        if (bytes.bytes > 0)
            assert_memory_equal(
                bytes.data, said.plain + said.seen, bytes.bytes);
        hold_some(event->frames[i], said.plain + said.seen, i >= 2);
        said.seen += bytes.bytes;
    }
    said.messages++;
}

static void send_in_pieces(int raw)
{
    uint64_t end_us = bao_time_monotonic_us() + 60000000;
    size_t sent = 0;
    while (sent < said.bytes && bao_time_monotonic_us() < end_us) {
        size_t most = below(4) == 0 ? 1 + below(20) : 1 + below(300000);
        size_t left = said.bytes - sent;
        ssize_t done = send(raw,
                            said.stream + sent,
                            most < left ? most : left,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += done > 0 ? (size_t)done : 0;
        if (done < 0 || below(3) > 0)
            edge_turn();
    }
    assert_int_equal(sent, said.bytes);
}

static void test_edge_pieces__come_whole_and_stay_while_held(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        model_seed(round);
        compose();
        edge_world_open();
        world.watch = compare;
        int raw = raw_open();
        raw_greet(raw, NULL, 0);
        send_in_pieces(raw);
        assert_true(edge_run(20000, &said.messages, MESSAGES));
        assert_int_equal(said.seen, said.plain_bytes);
        assert_int_equal(world.opened, 1);
        (void)close(raw);
        assert_true(edge_run(2000, &world.closed, 1));
        /* They outlive even their connection. */
        while (said.held_count > 0)
            let_go(said.held_count - 1);
        edge_world_close();
        forget();
    }
}

static void test_edge_pieces__a_greeting_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char rest[] = "\4\31\5READY\13Socket-Type\0\0\0\6DEALER"
                               "\0\2hi";
    uint8_t bytes[64 + sizeof rest - 1] = {
        0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    memcpy(bytes + 64, rest, sizeof rest - 1);
    bytes[65] = 28;
    edge_world_open();
    int raw = raw_open();
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(world.messages, 0);
        raw_write(raw, &bytes[i], 1);
        (void)edge_run(1, NULL, 0);
    }
    assert_true(edge_run(2000, &world.messages, 1));
    assert_int_equal(world.last_bytes, 2);
    /* Between messages it may ask whether we are there. */
    uint8_t answer[256];
    assert_true(raw_read(raw, answer, 64 + 2));
    assert_true(raw_read(raw, answer, answer[65]));
    raw_write(raw, "\4\13\4PING\0\144abcd", 13);
    assert_true(raw_read(raw, answer, 11));
    assert_memory_equal(answer, "\4\11\4PONGabcd", 11);
    (void)close(raw);
    edge_world_close();
}

/* Whoever sends what is no frame goes; nobody else notices. */
static void test_edge_pieces__mutated_streams_cost_their_sender(void **state)
{
    (void)state;
    edge_world_open();
    for (unsigned round = 0; round < 100; round++) {
        model_seed(round);
        compose();
        said.bytes = said.bytes < 3000 ? said.bytes : 3000;
        for (unsigned i = 0; i < 1 + below(4); i++)
            said.stream[below(said.bytes)] ^= (uint8_t)(1u << below(8));
        int raw = raw_open();
        raw_greet(raw, NULL, 0);
        raw_write(raw, said.stream, said.bytes);
        (void)edge_run(3, NULL, 0);
        (void)close(raw);
        forget();
    }
    (void)edge_run(100, NULL, 0);
    assert_int_equal(world.closed, world.opened);
    assert_int_equal(bao_edge_connections(world.edge), 0);
    edge_world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_TEST(test_edge_pieces__come_whole_and_stay_while_held),
        EDGE_TEST(test_edge_pieces__a_greeting_may_come_byte_by_byte),
        EDGE_TEST(test_edge_pieces__mutated_streams_cost_their_sender),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
