/*
 * test_edge_hostile.c - both edges and those who mean harm, or are too many.
 *
 * Hostile peers are plain TCP sockets that speak just enough ZMTP.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "common/time.h"
#include "tests/lib/edge_world.h"

/* Z7: unseeded, the ids that libzmq gives are known beforehand, and a peer
 * that announces the next one makes the broker abort. */
static void test_edge__guessed_routing_ids_do_not_end_it(void **state)
{
    (void)state;
    edge_world_open();
    world.echo = true;
    int raw[32];
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t number = UINT32_C(0x6b8b4567) + i;
        uint8_t id[5] = {0,
                         (uint8_t)(number >> 24),
                         (uint8_t)(number >> 16),
                         (uint8_t)(number >> 8),
                         (uint8_t)number};
        raw[i] = raw_open();
        raw_greet(raw[i], id, sizeof id);
    }
    (void)edge_run(100, NULL, 0);
    for (unsigned i = 0; i < 8; i++) {
        struct friend friend = friend_open(world.tcp);
        char answer[8];
        friend_says(&friend, 1, 4);
        assert_true(edge_run(2000, &world.messages, i + 1));
        assert_int_equal(zmq_recv(friend.socket, answer, 8, 0), 4);
        friend_close(&friend);
    }
    for (unsigned i = 0; i < 32; i++)
        (void)close(raw[i]);
    edge_world_close();
}

static void test_edge__who_chooses_a_routing_id_is_cut(void **state)
{
    (void)state;
    edge_world_open();
    int raw = raw_open();
    raw_greet(raw, "mine", 4);
    raw_write(raw, "\0\2hi", 4);
    assert_true(raw_is_closed(raw, 2000));
    assert_int_equal(world.opened, 0);
    assert_int_equal(bao_edge_counts(world.edge).punished, 1);
    (void)close(raw);
    edge_world_close();
}

static void test_edge__who_stays_mute_is_cut(void **state)
{
    (void)state;
    edge_world_open_with((struct bao_edge_config){.hello_ms = 200});
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    assert_false(raw_is_closed(raw, 100));
    assert_true(raw_is_closed(raw, 1000));
    (void)close(raw);
    /* As is who talks but is not welcomed. */
    world.admit = false;
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1);
    assert_true(edge_run(2000, &world.closed, 1));
    assert_string_equal(world.last_why, "it said no HELLO");
    friend_close(&friend);
    /* Who was welcomed may be silent. */
    world.admit = true;
    friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1);
    assert_true(edge_run(2000, &world.opened, 2));
    assert_false(edge_run(600, &world.closed, 2));
    friend_close(&friend);
    edge_world_close();
}

static void test_edge__garbage_costs_its_sender_only(void **state)
{
    (void)state;
    edge_world_open();
    world.echo = true;
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 4);
    assert_true(edge_run(2000, &world.messages, 1));
    uint8_t noise[512];
    for (unsigned round = 0; round < 20; round++) {
        int raw = raw_open();
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)rand();
        if (round % 2 == 0)
            raw_greet(raw, NULL, 0);
        raw_write(raw, noise, sizeof noise);
        (void)edge_run(5, NULL, 0);
        (void)close(raw);
    }
    /* A frame that says it has a terabyte. */
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    raw_write(raw, "\2\0\0\1\0\0\0\0\0", 9);
    assert_true(raw_is_closed(raw, 1000));
    (void)close(raw);
    friend_says(&friend, 1, 4);
    unsigned before = world.messages;
    assert_true(edge_run(2000, &world.messages, before + 1));
    assert_int_equal(world.closed_twice, 0);
    friend_close(&friend);
    edge_world_close();
}

static void test_edge__an_oversized_frame_ends_its_connection(void **state)
{
    (void)state;
    edge_world_open_with((struct bao_edge_config){.frame_bytes_max = 100000});
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1); /* it is welcomed */
    assert_true(edge_run(2000, &world.messages, 1));
    friend_says(&friend, 1, 100000);
    assert_true(edge_run(2000, &world.messages, 2));
    friend_says(&friend, 1, 100001);
    assert_true(edge_run(2000, &world.closed, 1));
    assert_int_equal(world.messages, 2);
    friend_close(&friend);
    edge_world_close();
}

/* Messages of 1 MiB without end, as many bytes as the socket takes now. */
static void pump(int raw)
{
    static const uint8_t head[9] = {2, 0, 0, 0, 0, 0, 0x10, 0, 0};
    static uint8_t message[9 + (1 << 20)];
    static size_t at;
    memcpy(message, head, sizeof head);
    for (;;) {
        ssize_t sent = send(raw,
                            message + at,
                            sizeof message - at,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at = (at + (size_t)sent) % sizeof message;
    }
}

static unsigned small_messages;
static unsigned large_messages;

static void tell_sizes_apart(const struct bao_edge_event *event)
{
    if (event->kind != BAO_EDGE_MESSAGE)
        return;
    bool large = event->frames[0]->bytes.bytes == 1 << 20;
    large_messages += large;
    small_messages += !large;
}

/* Whether the other side has ended the connection; what it said is dropped. */
static bool is_ended(int raw)
{
    uint8_t away[256];
    ssize_t got = 1;
    while (got > 0)
        got = recv(raw, away, sizeof away, MSG_DONTWAIT);
    return got == 0 || errno != EAGAIN;
}

/* [F22, F23] Who sends without end is read a little each turn; who says
 * something meanwhile is heard in the turn that its bytes are there, and who
 * stays mute is cut in time. */
static void test_edge__a_flood_makes_nobody_wait(void **state)
{
    (void)state;
    edge_world_open_with((struct bao_edge_config){.hello_ms = 300});
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    raw_write(raw, "\0\2hi", 4); /* it is welcomed */
    int honest = raw_open();
    raw_greet(honest, NULL, 0);
    raw_write(honest, "\0\2hi", 4);
    assert_true(edge_run(2000, &world.messages, 2));
    int mute = raw_open();
    raw_greet(mute, NULL, 0);
    small_messages = 0;
    large_messages = 0;
    world.watch = tell_sizes_apart;
    unsigned turns = 0;
    unsigned said = 0;
    uint64_t end = bao_time_monotonic_us() + 5000000;
    while ((large_messages < 200 || !is_ended(mute)) &&
           bao_time_monotonic_us() < end) {
        if (turns++ % 50 == 0) {
            raw_write(honest, "\0\2hi", 4);
            said++;
        }
        pump(raw);
        edge_turn();
    }
    print_message("# %u MiB in %u turns\n", large_messages, turns);
    assert_true(large_messages >= 200);
    assert_true(is_ended(mute));
    assert_int_equal(world.closed, 0);
    assert_in_range(small_messages, said - 1, said);
    assert_true(turns > 3 * large_messages);
    world.watch = NULL;
    (void)close(raw);
    (void)close(honest);
    (void)close(mute);
    assert_true(edge_run(2000, &world.closed, 2));
    edge_world_close();
}

/* A message of endless parts costs its sender the connection, and the broker
 * no more than it would have kept of it. */
static void test_edge__endless_parts_are_cut_by_their_bytes(void **state)
{
    (void)state;
    static uint8_t part[9 + (1 << 16)] = {3, 0, 0, 0, 0, 0, 1, 0, 0};
    edge_world_open();
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    raw_write(raw, "\0\2hi", 4); /* it is welcomed */
    assert_true(edge_run(2000, &world.messages, 1));
    unsigned parts = 0;
    uint64_t end = bao_time_monotonic_us() + 5000000;
    while (world.closed == 0 && bao_time_monotonic_us() < end) {
        raw_write(raw, part, sizeof part);
        edge_turn();
        parts++;
    }
    (void)close(raw);
    assert_int_equal(world.closed, 1);
    assert_string_equal(world.last_why, "a message of endless parts");
    assert_in_range(parts, 30, 200);
    edge_world_close();
}

/* --- limits --- */

static void test_edge__more_clients_than_allowed_are_cut(void **state)
{
    (void)state;
    edge_world_open_with((struct bao_edge_config){.clients_max = 2});
    struct friend friends[2] = {friend_open(world.tcp), friend_open(world.ipc)};
    for (unsigned i = 0; i < 2; i++) {
        friend_says(&friends[i], 1, 1);
        assert_true(edge_run(2000, &world.messages, i + 1));
    }
    int raw = raw_open();
    assert_true(raw_is_closed(raw, 1000));
    (void)close(raw);
    assert_int_equal(world.closed, 0);
    for (unsigned i = 0; i < 2; i++)
        friend_close(&friends[i]);
    edge_world_close();
}

/* Z13: with its descriptors nearly used up the broker neither spins nor loses
 * those it has, and takes new ones again when there is room. */
static void crowd(void)
{
    /* It has descriptors of its own: its parent's are shut. */
    for (int i = 3; i < 80; i++)
        (void)close(i);
    for (unsigned i = 0; i < 70; i++)
        (void)raw_open();
    for (;;)
        (void)pause();
}

/* In a process of its own; the number of the step that failed, or 0. */
static int exhaust(void)
{
    struct rlimit limit = {.rlim_cur = 80, .rlim_max = 80};
    int failed = 0;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1;
    edge_world_open();
    world.echo = true;
    pid_t pid = fork();
    if (pid == 0)
        crowd();
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 4);
    failed = edge_run(3000, &world.messages, 1) ? failed : 2;
    (void)edge_run(500, NULL, 0);
    clock_t before = clock();
    (void)edge_run(1000, NULL, 0);
    clock_t spent = clock() - before;
    failed = spent < CLOCKS_PER_SEC / 3 ? failed : 3;
    friend_says(&friend, 1, 4);
    failed = edge_run(1000, &world.messages, 2) ? failed : 4;
    child_kill(pid);
    (void)edge_run(3000, NULL, 0);
    struct friend late = friend_open(world.ipc);
    friend_says(&late, 1, 4);
    failed = edge_run(5000, &world.messages, 3) ? failed : 5;
    friend_close(&late);
    friend_close(&friend);
    edge_world_close();
    return failed;
}

static void test_edge__neither_spins_nor_stops_without_descriptors(void **s)
{
    (void)s;
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(exhaust());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_TEST(test_edge__guessed_routing_ids_do_not_end_it),
        EDGE_TEST(test_edge__who_chooses_a_routing_id_is_cut),
        EDGE_TEST(test_edge__who_stays_mute_is_cut),
        EDGE_TEST(test_edge__garbage_costs_its_sender_only),
        EDGE_TEST(test_edge__an_oversized_frame_ends_its_connection),
        EDGE_TEST_OWN(test_edge__a_flood_makes_nobody_wait),
        EDGE_TEST_OWN(test_edge__endless_parts_are_cut_by_their_bytes),
        EDGE_TEST(test_edge__more_clients_than_allowed_are_cut),
        EDGE_TEST(test_edge__neither_spins_nor_stops_without_descriptors),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
