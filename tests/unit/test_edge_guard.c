/*
 * test_edge_guard.c - an edge tells its guard what it consumed and
 * what it sent, to the byte.
 */
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "common/time.h"
#include "tests/lib/edge_world.h"

#define KIB     1024u
#define MIB     (1024u * 1024u)
#define ROUNDS  150u /* looks: each connection has its turn */
#define BATCH   100u /* messages at once: below every high-water mark */
#define BATCHES 250u

static struct bao_guard *guard;

static uint64_t resident(void *context)
{
    (void)context;
    return 100u * MIB;
}

static void open_guarded(void)
{
    struct bao_guard_config config = {
        .credit_bytes = MIB, .threadless = true, .resident = resident};
    assert_int_equal(bao_guard_open(&config, &guard), BAOZI_OK);
    edge_world_open_with((struct bao_edge_config){.guard = guard});
}

static void close_guarded(void)
{
    edge_world_close();
    bao_guard_close(guard);
}

static void look(void)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        bao_guard_look(guard, bao_time_monotonic_us());
    (void)edge_run(50, NULL, 0);
}

/* Who is not welcomed may have 64 KiB on the way. After 100,000 frames with
 * both forms of length even one byte a frame would be more than that. */
static void test_edge_guard__counts_every_byte_of_every_frame(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 256};
    open_guarded();
    world.admit = false;
    struct friend friend = friend_open(world.tcp);
    for (unsigned i = 0; i < BATCHES; i++) {
        for (unsigned k = 0; k < BATCH; k++)
            friend_says(&friend, 4, sizes[(i + k) % 4]);
        assert_true(edge_run(10000, &world.messages, (i + 1) * BATCH));
    }
    look();
    assert_int_equal(world.closed, 0);
    friend_close(&friend);
    close_guarded();
}

static void test_edge_guard__a_message_without_end_is_seen(void **state)
{
    (void)state;
    static uint8_t part[9 + 66000] = {
        3, 0, 0, 0, 0, 0, 1, 66000 >> 8 & 255, 66000 & 255};
    open_guarded();
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    raw_write(raw, "\0\2hi", 4);
    assert_true(edge_run(2000, &world.opened, 1));
    /* It was welcomed: it has its credit and a message. */
    raw_write(raw, part, sizeof part);
    (void)edge_run(100, NULL, 0);
    look();
    assert_int_equal(world.closed, 0);
    (void)close(raw);
    assert_true(edge_run(2000, &world.closed, 1));
    /* Before that it has 64 KiB. */
    world.admit = false;
    raw = raw_open();
    raw_greet(raw, NULL, 0);
    raw_write(raw, "\0\2hi", 4);
    assert_true(edge_run(2000, &world.opened, 2));
    raw_write(raw, part, sizeof part);
    (void)edge_run(100, NULL, 0);
    look();
    assert_true(edge_run(2000, &world.closed, 2));
    assert_string_equal(world.last_why, "it sent too much before HELLO");
    assert_int_equal(bao_edge_counts(world.edge).punished, 1);
    /* The own edge does not need the guard for that. */
    assert_int_equal(bao_guard_counts(guard).greeting,
                     edge_kind == BAO_EDGE_LIBZMQ);
    (void)close(raw);
    close_guarded();
}

/* In libzmq 64 messages may wait for a peer, but no more than 8 MiB that it
 * did not take. (The own edge parks what the kernel does not take.) */
static void test_edge_guard__holds_back_by_bytes(void **state)
{
    (void)state;
    static uint8_t body[MIB];
    struct bao_outgoing message = {.header = bao_span_of(body, sizeof body)};
    unsigned sent = 0;
    open_guarded();
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    raw_write(raw, "\0\2hi", 4);
    assert_true(edge_run(2000, &world.opened, 1));
    enum bao_sent answer = BAO_SENT;
    while (answer == BAO_SENT && sent < 60) {
        answer = bao_edge_send(world.edge, world.last_peer, &message);
        sent++;
        (void)edge_run(5, NULL, 0);
    }
    assert_int_equal(answer, BAO_PARKED);
    assert_in_range(sent, 8, 16);
    assert_int_equal(world.writable, 0);
    assert_true(raw_read(raw, NULL, sent * (size_t)MIB));
    assert_true(edge_run(2000, &world.writable, 1));
    (void)close(raw);
    assert_true(edge_run(2000, &world.closed, 1));
    close_guarded();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_TEST(test_edge_guard__counts_every_byte_of_every_frame),
        EDGE_TEST(test_edge_guard__a_message_without_end_is_seen),
        EDGE_TEST_LIBZMQ(test_edge_guard__holds_back_by_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
