/*
 * test_edge.c - the ZeroMQ edge over real sockets: friends, the dead, and
 * those who mean harm.
 *
 * Hostile peers are plain TCP sockets that speak just enough ZMTP. Peers that
 * are killed are forked children.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/edge_zmq.h"
#include "common/time.h"
#include "tests/lib/unit.h"

#define OPEN_MAX_SEEN 4096

/* What the edge told, and a world to tear down. */
static struct world {
    struct bao_edge *edge;
    char folder[64];
    char ipc[128];
    const char *tcp;
    unsigned opened;
    unsigned messages;
    unsigned closed;
    unsigned gone; /* closed with their process */
    unsigned writable;
    unsigned malformed;
    unsigned closed_twice;
    uint64_t last_peer;
    uint32_t last_pid;
    bool last_local;
    uint64_t last_closed;
    uint32_t last_frames;
    size_t last_bytes;
    char last_why[64];
    bool echo;
    bool admit;
    uint64_t open_peers[OPEN_MAX_SEEN];
} world;

static bool try_open(struct bao_edge_zmq_config config,
                     const char *ipc,
                     struct bao_problem *problem)
{
    const char *urls[2] = {ipc, "tcp://127.0.0.1:*"};
    config.urls = urls;
    config.url_count = 2;
    return bao_edge_zmq_open(&config, &world.edge, problem);
}

static void world_open_with(struct bao_edge_zmq_config config)
{
    struct bao_problem problem;
    memset(&world, 0, sizeof world);
    world.admit = true;
    (void)snprintf(world.folder, sizeof world.folder, "/tmp/baozi-edge.XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    (void)snprintf(
        world.ipc, sizeof world.ipc, "ipc://%s/broker.sock", world.folder);
    assert_true(try_open(config, world.ipc, &problem));
    world.tcp = bao_edge_zmq_address(world.edge, 1);
}

static void world_open(void)
{
    world_open_with((struct bao_edge_zmq_config){0});
}

static void world_close(void)
{
    char path[128];
    bao_edge_zmq_close(world.edge, 0);
    /* Nothing is left behind: the folder is empty. */
    (void)snprintf(path, sizeof path, "%s/broker.sock.lock", world.folder);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(world.folder), 0);
}

static void note_open(uint64_t peer)
{
    for (size_t i = 0; i < OPEN_MAX_SEEN; i++) {
        if (world.open_peers[i] == 0) {
            world.open_peers[i] = peer;
            return;
        }
    }
    fail_msg("too many open peers");
}

static void note_closed(uint64_t peer)
{
    for (size_t i = 0; i < OPEN_MAX_SEEN; i++) {
        if (world.open_peers[i] == peer) {
            world.open_peers[i] = 0;
            return;
        }
    }
    world.closed_twice++;
}

static void take(const struct bao_edge_event *event)
{
    switch (event->kind) {
    case BAO_EDGE_OPENED:
        world.opened++;
        world.last_peer = event->peer;
        world.last_pid = event->pid;
        world.last_local = event->local;
        note_open(event->peer);
        if (world.admit)
            bao_edge_admit(world.edge, event->peer);
        break;
    case BAO_EDGE_MESSAGE:
        world.messages++;
        world.last_frames = event->frame_count;
        world.malformed += event->malformed != NULL;
        world.last_bytes = 0;
        for (uint32_t i = 0; i < event->frame_count; i++)
            world.last_bytes += event->frames[i]->bytes.bytes;
        if (world.echo && event->frame_count > 0) {
            struct bao_outgoing answer = {.header = event->frames[0]->bytes};
            (void)bao_edge_send(world.edge, event->peer, &answer);
        }
        break;
    case BAO_EDGE_WRITABLE: world.writable++; break;
    case BAO_EDGE_CLOSED:
        world.closed++;
        world.gone += event->process_gone;
        world.last_closed = event->peer;
        (void)snprintf(world.last_why, sizeof world.last_why, "%s", event->why);
        note_closed(event->peer);
        break;
    }
}

static void turn(void)
{
    struct bao_edge_event event;
    bao_edge_turn(world.edge, bao_time_monotonic_us());
    while (bao_edge_next(world.edge, &event))
        take(&event);
    bao_edge_flush(world.edge);
}

/* Turns for `ms`, or until *counter reaches `goal`. True if it did. */
static bool run(uint64_t ms, const unsigned *counter, unsigned goal)
{
    uint64_t end = bao_time_monotonic_us() + ms * 1000;
    for (;;) {
        uint64_t now = bao_time_monotonic_us();
        if (counter != NULL && *counter >= goal)
            return true;
        if (now >= end)
            return false;
        uint64_t due = bao_edge_deadline(world.edge);
        due = due < end ? due : end;
        if (!bao_edge_ready(world.edge) && due > now) {
            struct pollfd fd = {.fd = bao_edge_pollfd(world.edge),
                                .events = POLLIN};
            (void)poll(&fd, 1, (int)((due - now + 999) / 1000));
        }
        turn();
    }
}

/* --- friends --- */

struct friend
{
    void *context;
    void *socket;
};

static struct friend friend_open(const char *url)
{
    struct friend friend = {.context = zmq_ctx_new()};
    int zero = 0;
    friend.socket = zmq_socket(friend.context, ZMQ_DEALER);
    assert_int_equal(
        zmq_setsockopt(friend.socket, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_connect(friend.socket, url), 0);
    return friend;
}

static void friend_close(struct friend *friend)
{
    (void)zmq_close(friend->socket);
    (void)zmq_ctx_term(friend->context);
}

static void friend_says(struct friend *friend, size_t parts, size_t bytes)
{
    char *data = calloc(1, bytes + 1);
    for (size_t i = 0; i < parts; i++) {
        int flags = i + 1 < parts ? ZMQ_SNDMORE : 0;
        assert_int_equal(zmq_send(friend->socket, data, bytes, flags), bytes);
    }
    free(data);
}

static void test_edge__a_message_comes_in_and_its_answer_goes_out(void **state)
{
    (void)state;
    world_open();
    world.echo = true;
    const char *urls[2] = {world.ipc, world.tcp};
    for (unsigned i = 0; i < 2; i++) {
        struct friend friend = friend_open(urls[i]);
        char answer[16];
        friend_says(&friend, 2, 10);
        assert_true(run(2000, &world.messages, i + 1));
        assert_int_equal(world.opened, i + 1);
        assert_int_equal(world.last_frames, 2);
        assert_int_equal(world.last_bytes, 20);
        assert_int_equal(world.last_local, i == 0);
        assert_int_equal(world.last_pid, i == 0 ? (uint32_t)getpid() : 0);
        assert_int_equal(zmq_recv(friend.socket, answer, 16, 0), 10);
        friend_close(&friend);
        assert_true(run(2000, &world.closed, i + 1));
    }
    world_close();
}

static void test_edge__sends_bodies_as_one_frame_and_big_ones_as_own(void **s)
{
    (void)s;
    world_open();
    struct friend friend = friend_open(world.tcp);
    char data[64];
    friend_says(&friend, 1, 1);
    assert_true(run(2000, &world.messages, 1));
    struct bao_piece bodies[2] = {{.bytes = bao_span_text("abc")},
                                  {.bytes = bao_span_text("de")}};
    struct bao_piece big = {.bytes = bao_span_text("BIG")};
    struct bao_outgoing message = {.header = bao_span_text("h"),
                                   .bodies = bodies,
                                   .body_count = 2,
                                   .big = &big,
                                   .big_count = 1};
    assert_int_equal(bao_edge_send(world.edge, world.last_peer, &message),
                     BAO_SENT);
    message.body_count = 0;
    assert_int_equal(bao_edge_send(world.edge, world.last_peer, &message),
                     BAO_SENT);
    assert_int_equal(zmq_recv(friend.socket, data, 64, 0), 1);
    assert_int_equal(zmq_recv(friend.socket, data, 64, 0), 5);
    assert_memory_equal(data, "abcde", 5);
    assert_int_equal(zmq_recv(friend.socket, data, 64, 0), 3);
    /* Only big ones: the bodies frame is there, and empty. */
    assert_int_equal(zmq_recv(friend.socket, data, 64, 0), 1);
    assert_int_equal(zmq_recv(friend.socket, data, 64, 0), 0);
    assert_int_equal(zmq_recv(friend.socket, data, 64, 0), 3);
    friend_close(&friend);
    world_close();
}

static void test_edge__takes_17_parts_and_calls_18_malformed(void **state)
{
    (void)state;
    world_open();
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 17, 3);
    assert_true(run(2000, &world.messages, 1));
    assert_int_equal(world.last_frames, 17);
    friend_says(&friend, 18, 3);
    friend_says(&friend, 100, 3);
    friend_says(&friend, 1, 3);
    assert_true(run(2000, &world.messages, 4));
    assert_int_equal(world.malformed, 2);
    assert_int_equal(world.last_frames, 1);
    assert_int_equal(world.opened, 1);
    friend_close(&friend);
    world_close();
}

/* --- the dead --- */

/* A child that connects, says something and waits to be killed. */
static pid_t child_open(const char *url, bool with_grandchild)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct friend friend = friend_open(url);
    if (zmq_send(friend.socket, "hi", 2, 0) != 2)
        _exit(1);
    (void)usleep(100000);
    if (with_grandchild && fork() == 0) {
        (void)sleep(5); /* holds a copy of the connection */
        _exit(0);
    }
    for (;;)
        (void)pause();
}

static void child_kill(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

static void test_edge__a_killed_process_is_told_at_once(void **state)
{
    (void)state;
    world_open();
    const char *urls[2] = {world.ipc, world.tcp};
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = child_open(urls[i], false);
        assert_true(run(3000, &world.messages, i + 1));
        (void)kill(pid, SIGKILL);
        uint64_t begin = bao_time_monotonic_us();
        assert_true(run(1000, &world.closed, i + 1));
        assert_true(bao_time_monotonic_us() - begin < 500000);
        /* The process is known on ipc, even while it is a zombie. */
        assert_int_equal(world.gone, 1);
        assert_int_equal(world.last_closed, world.last_peer);
        (void)waitpid(pid, NULL, 0);
    }
    world_close();
}

static void test_edge__a_child_that_keeps_the_socket_is_no_life_sign(void **s)
{
    (void)s;
    world_open();
    pid_t pid = child_open(world.ipc, true);
    assert_true(run(3000, &world.messages, 1));
    assert_false(run(300, &world.closed, 1));
    child_kill(pid);
    assert_true(run(1000, &world.closed, 1));
    assert_int_equal(world.gone, 1);
    world_close();
}

static void test_edge__a_stopped_process_is_not_a_dead_one(void **state)
{
    (void)state;
    world_open();
    pid_t pid = child_open(world.ipc, false);
    assert_true(run(3000, &world.messages, 1));
    (void)kill(pid, SIGSTOP);
    assert_false(run(300, &world.closed, 1));
    child_kill(pid);
    assert_true(run(1000, &world.closed, 1));
    world_close();
}

/* Many short lives on few descriptor numbers: each is told once, none is
 * missed, and none that lives is taken for a dead one. */
static void churn(const char *url, unsigned lives)
{
    struct friend stays = friend_open(url);
    friend_says(&stays, 1, 1);
    assert_true(run(2000, &world.messages, 1));
    uint64_t staying = world.last_peer;
    void *context = zmq_ctx_new();
    for (unsigned i = 0; i < lives; i++) {
        void *socket = zmq_socket(context, ZMQ_DEALER);
        int linger = 10000; /* its message leaves before it does */
        assert_int_equal(
            zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger), 0);
        assert_int_equal(zmq_connect(socket, url), 0);
        assert_int_equal(zmq_send(socket, "x", 1, 0), 1);
        (void)zmq_close(socket);
        if (i % 3 == 0)
            turn();
    }
    (void)zmq_ctx_term(context);
    if (!run(10000, &world.closed, lives))
        fail_msg("%u opened, %u closed", world.opened, world.closed);
    assert_false(run(100, &world.closed, lives + 1));
    assert_int_equal(world.opened, lives + 1);
    assert_int_equal(world.closed_twice, 0);
    assert_int_equal(world.open_peers[0], staying);
    assert_int_equal(bao_edge_zmq_connections(world.edge), 1);
    friend_says(&stays, 1, 1);
    unsigned before = world.messages;
    assert_true(run(2000, &world.messages, before + 1));
    friend_close(&stays);
}

static void test_edge__misses_no_death_when_descriptors_come_back(void **state)
{
    (void)state;
    world_open();
    churn(world.tcp, 300);
    world_close();
    world_open();
    churn(world.ipc, 300);
    world_close();
}

/* --- those who mean harm --- */

static int raw_open(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *port = strrchr(world.tcp, ':') + 1;
    address.sin_port = htons((uint16_t)atoi(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int raw = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(raw >= 0);
    assert_int_equal(
        connect(raw, (const struct sockaddr *)&address, sizeof address), 0);
    return raw;
}

static void raw_write(int raw, const void *data, size_t bytes)
{
    (void)send(raw, data, bytes, MSG_NOSIGNAL);
}

/* The greeting and READY of a DEALER with the given routing id. */
static void raw_greet(int raw, const void *id, uint8_t id_bytes)
{
    uint8_t greeting[64] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0};
    memcpy(greeting + 12, "NULL", 4);
    raw_write(raw, greeting, sizeof greeting);
    uint8_t ready[128] = {4, 0, 5, 'R', 'E', 'A', 'D', 'Y'};
    size_t used = 8;
    ready[used++] = 11;
    memcpy(ready + used, "Socket-Type", 11);
    used += 11;
    memcpy(ready + used, "\0\0\0\6DEALER", 10);
    used += 10;
    ready[used++] = 8;
    memcpy(ready + used, "Identity", 8);
    used += 8;
    ready[used++] = 0;
    ready[used++] = 0;
    ready[used++] = 0;
    ready[used++] = id_bytes;
    if (id_bytes > 0)
        memcpy(ready + used, id, id_bytes);
    used += id_bytes;
    ready[1] = (uint8_t)(used - 2);
    raw_write(raw, ready, used);
}

/* True if the other side closes within `ms`. */
static bool raw_is_closed(int raw, uint64_t ms)
{
    uint64_t end = bao_time_monotonic_us() + ms * 1000;
    char data[256];
    while (bao_time_monotonic_us() < end) {
        ssize_t got = recv(raw, data, sizeof data, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return true;
        (void)run(10, NULL, 0);
    }
    return false;
}

/* Z7: unseeded, the ids that libzmq gives are known beforehand, and a peer
 * that announces the next one makes the broker abort. */
static void test_edge__guessed_routing_ids_do_not_end_it(void **state)
{
    (void)state;
    world_open();
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
    (void)run(100, NULL, 0);
    for (unsigned i = 0; i < 8; i++) {
        struct friend friend = friend_open(world.tcp);
        char answer[8];
        friend_says(&friend, 1, 4);
        assert_true(run(2000, &world.messages, i + 1));
        assert_int_equal(zmq_recv(friend.socket, answer, 8, 0), 4);
        friend_close(&friend);
    }
    for (unsigned i = 0; i < 32; i++)
        (void)close(raw[i]);
    world_close();
}

static void test_edge__who_chooses_a_routing_id_is_cut(void **state)
{
    (void)state;
    world_open();
    int raw = raw_open();
    raw_greet(raw, "mine", 4);
    raw_write(raw, "\0\2hi", 4);
    assert_true(raw_is_closed(raw, 2000));
    assert_int_equal(world.opened, 0);
    (void)close(raw);
    world_close();
}

static void test_edge__who_stays_mute_is_cut(void **state)
{
    (void)state;
    world_open_with((struct bao_edge_zmq_config){.hello_ms = 200});
    int raw = raw_open();
    raw_greet(raw, NULL, 0);
    assert_false(raw_is_closed(raw, 100));
    assert_true(raw_is_closed(raw, 1000));
    (void)close(raw);
    /* As is who talks but is not welcomed. */
    world.admit = false;
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1);
    assert_true(run(2000, &world.closed, 1));
    assert_string_equal(world.last_why, "it said no HELLO");
    friend_close(&friend);
    /* Who was welcomed may be silent. */
    world.admit = true;
    friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1);
    assert_true(run(2000, &world.opened, 2));
    assert_false(run(600, &world.closed, 2));
    friend_close(&friend);
    world_close();
}

static void test_edge__garbage_costs_its_sender_only(void **state)
{
    (void)state;
    world_open();
    world.echo = true;
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 4);
    assert_true(run(2000, &world.messages, 1));
    uint8_t noise[512];
    for (unsigned round = 0; round < 20; round++) {
        int raw = raw_open();
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)rand();
        if (round % 2 == 0)
            raw_greet(raw, NULL, 0);
        raw_write(raw, noise, sizeof noise);
        (void)run(5, NULL, 0);
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
    assert_true(run(2000, &world.messages, before + 1));
    assert_int_equal(world.closed_twice, 0);
    friend_close(&friend);
    world_close();
}

static void test_edge__an_oversized_frame_ends_its_connection(void **state)
{
    (void)state;
    world_open_with((struct bao_edge_zmq_config){.frame_bytes_max = 100000});
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 100000);
    assert_true(run(2000, &world.messages, 1));
    friend_says(&friend, 1, 100001);
    assert_true(run(2000, &world.closed, 1));
    assert_int_equal(world.messages, 1);
    friend_close(&friend);
    world_close();
}

/* --- back-pressure --- */

static void test_edge__what_has_no_room_is_parked_in_order(void **state)
{
    (void)state;
    world_open_with((struct bao_edge_zmq_config){.messages_max = 2});
    struct friend friend = {.context = zmq_ctx_new()};
    int one = 1;
    int small = 4096;
    int zero = 0;
    friend.socket = zmq_socket(friend.context, ZMQ_DEALER);
    (void)zmq_setsockopt(friend.socket, ZMQ_RCVHWM, &one, sizeof one);
    (void)zmq_setsockopt(friend.socket, ZMQ_RCVBUF, &small, sizeof small);
    (void)zmq_setsockopt(friend.socket, ZMQ_LINGER, &zero, sizeof zero);
    assert_int_equal(zmq_connect(friend.socket, world.tcp), 0);
    friend_says(&friend, 1, 1);
    assert_true(run(2000, &world.messages, 1));
    static uint8_t data[1 << 20];
    struct bao_outgoing message = {.header = bao_span_of(data, sizeof data)};
    unsigned sent = 0;
    enum bao_sent how;
    do {
        data[0] = (uint8_t)sent++;
        how = bao_edge_send(world.edge, world.last_peer, &message);
        (void)run(1, NULL, 0);
    } while (how == BAO_SENT && sent < 200);
    assert_int_equal(how, BAO_PARKED);
    assert_true(bao_edge_backlog(world.edge, world.last_peer) >= sizeof data);
    for (unsigned i = 0; i < 3; i++) {
        data[0] = (uint8_t)sent++;
        assert_int_equal(bao_edge_send(world.edge, world.last_peer, &message),
                         BAO_PARKED);
    }
    assert_int_equal(world.writable, 0);
    /* Now it reads: everything comes, in order. */
    static uint8_t got[1 << 20];
    unsigned received = 0;
    uint64_t end = bao_time_monotonic_us() + 5000000;
    while (received < sent && bao_time_monotonic_us() < end) {
        if (zmq_recv(friend.socket, got, sizeof got, ZMQ_DONTWAIT) > 0)
            assert_int_equal(got[0], (uint8_t)received++);
        (void)run(1, NULL, 0);
    }
    assert_int_equal(received, sent);
    assert_int_equal(world.writable, 1);
    assert_int_equal(bao_edge_backlog(world.edge, world.last_peer), 0);
    friend_close(&friend);
    world_close();
}

static void test_edge__a_peer_can_be_cut_and_is_heard_no_more(void **state)
{
    (void)state;
    world_open();
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1);
    assert_true(run(2000, &world.messages, 1));
    uint64_t peer = world.last_peer;
    friend_says(&friend, 1, 1);
    (void)usleep(20000);
    bao_edge_close(world.edge, peer, "a reason");
    struct bao_outgoing message = {.header = bao_span_text("x")};
    assert_int_equal(bao_edge_send(world.edge, peer, &message), BAO_GONE);
    assert_true(run(2000, &world.closed, 1));
    assert_int_equal(world.messages, 1);
    assert_string_equal(world.last_why, "a reason");
    assert_int_equal(world.last_closed, peer);
    /* It may come back, as somebody else. */
    friend_says(&friend, 1, 1);
    assert_true(run(3000, &world.opened, 2));
    assert_true(world.last_peer != peer);
    friend_close(&friend);
    world_close();
}

/* --- limits and addresses --- */

static void test_edge__more_clients_than_allowed_are_cut(void **state)
{
    (void)state;
    world_open_with((struct bao_edge_zmq_config){.clients_max = 2});
    struct friend friends[2] = {friend_open(world.tcp), friend_open(world.ipc)};
    for (unsigned i = 0; i < 2; i++) {
        friend_says(&friends[i], 1, 1);
        assert_true(run(2000, &world.messages, i + 1));
    }
    int raw = raw_open();
    assert_true(raw_is_closed(raw, 1000));
    (void)close(raw);
    assert_int_equal(world.closed, 0);
    for (unsigned i = 0; i < 2; i++)
        friend_close(&friends[i]);
    world_close();
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
    world_open();
    world.echo = true;
    pid_t pid = fork();
    if (pid == 0)
        crowd();
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 4);
    failed = run(3000, &world.messages, 1) ? failed : 2;
    (void)run(500, NULL, 0);
    clock_t before = clock();
    (void)run(1000, NULL, 0);
    clock_t spent = clock() - before;
    failed = spent < CLOCKS_PER_SEC / 3 ? failed : 3;
    friend_says(&friend, 1, 4);
    failed = run(1000, &world.messages, 2) ? failed : 4;
    child_kill(pid);
    (void)run(3000, NULL, 0);
    struct friend late = friend_open(world.ipc);
    friend_says(&late, 1, 4);
    failed = run(5000, &world.messages, 3) ? failed : 5;
    friend_close(&late);
    friend_close(&friend);
    world_close();
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

static void test_edge__a_second_broker_on_one_path_is_refused(void **state)
{
    (void)state;
    world_open();
    struct bao_edge *first = world.edge;
    struct bao_edge_zmq_config config = {0};
    struct bao_problem problem;
    assert_false(try_open(config, world.ipc, &problem));
    assert_int_equal(problem.exit_code, BAO_EXIT_CONFIGURATION);
    assert_non_null(strstr(problem.why, "another broker"));
    world.edge = first;
    /* The first one is not disturbed. */
    struct friend friend = friend_open(world.ipc);
    friend_says(&friend, 1, 1);
    assert_true(run(2000, &world.messages, 1));
    friend_close(&friend);
    world_close();
}

static void test_edge__a_stale_socket_is_removed_and_a_file_is_not(void **state)
{
    (void)state;
    char path[128];
    struct stat there;
    struct bao_edge_zmq_config config = {0};
    struct bao_problem problem;
    world_open();
    (void)snprintf(path, sizeof path, "%s/broker.sock", world.folder);
    /* Nobody but owner and group may connect. */
    assert_int_equal(stat(path, &there), 0);
    assert_int_equal(there.st_mode & 0777, 0770);
    bao_edge_zmq_close(world.edge, 0);
    /* A broker that crashed leaves its socket and its lock file. */
    pid_t pid = fork();
    if (pid == 0) {
        (void)try_open(config, world.ipc, &problem);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(try_open(config, world.ipc, &problem));
    bao_edge_zmq_close(world.edge, 0);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
    assert_false(try_open(config, world.ipc, &problem));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(world.folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edge__a_message_comes_in_and_its_answer_goes_out),
        cmocka_unit_test(
            test_edge__sends_bodies_as_one_frame_and_big_ones_as_own),
        cmocka_unit_test(test_edge__takes_17_parts_and_calls_18_malformed),
        cmocka_unit_test(test_edge__a_killed_process_is_told_at_once),
        cmocka_unit_test(
            test_edge__a_child_that_keeps_the_socket_is_no_life_sign),
        cmocka_unit_test(test_edge__a_stopped_process_is_not_a_dead_one),
        cmocka_unit_test(test_edge__misses_no_death_when_descriptors_come_back),
        cmocka_unit_test(test_edge__guessed_routing_ids_do_not_end_it),
        cmocka_unit_test(test_edge__who_chooses_a_routing_id_is_cut),
        cmocka_unit_test(test_edge__who_stays_mute_is_cut),
        cmocka_unit_test(test_edge__garbage_costs_its_sender_only),
        cmocka_unit_test(test_edge__an_oversized_frame_ends_its_connection),
        cmocka_unit_test(test_edge__what_has_no_room_is_parked_in_order),
        cmocka_unit_test(test_edge__a_peer_can_be_cut_and_is_heard_no_more),
        cmocka_unit_test(test_edge__more_clients_than_allowed_are_cut),
        cmocka_unit_test(
            test_edge__neither_spins_nor_stops_without_descriptors),
        cmocka_unit_test(test_edge__a_second_broker_on_one_path_is_refused),
        cmocka_unit_test(
            test_edge__a_stale_socket_is_removed_and_a_file_is_not),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
