/*
 * edge_world.c - what edge_world.h promises.
 */
#include "tests/lib/edge_world.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "common/time.h"

struct edge_world world;
enum bao_edge_kind edge_kind;

int edge_is_own(void **state)
{
    (void)state;
    edge_kind = BAO_EDGE_OWN;
    return 0;
}

int edge_is_libzmq(void **state)
{
    (void)state;
    edge_kind = BAO_EDGE_LIBZMQ;
    return 0;
}

bool edge_try(struct bao_edge_config config,
              const char *ipc,
              struct bao_problem *problem)
{
    const char *urls[2] = {ipc, "tcp://127.0.0.1:*"};
    config.kind = edge_kind;
    config.urls = urls;
    config.url_count = 2;
    return bao_edge_open(&config, &world.edge, problem);
}

void edge_world_open_with(struct bao_edge_config config)
{
    struct bao_problem problem;
    memset(&world, 0, sizeof world);
    world.admit = true;
    (void)snprintf(world.folder, sizeof world.folder, "/tmp/baozi-edge.XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    (void)snprintf(
        world.ipc, sizeof world.ipc, "ipc://%s/broker.sock", world.folder);
    assert_true(edge_try(config, world.ipc, &problem));
    world.tcp = bao_edge_address(world.edge, 1);
}

void edge_world_open(void)
{
    edge_world_open_with((struct bao_edge_config){0});
}

void edge_world_close(void)
{
    char path[128];
    bao_edge_end(world.edge, 0);
    /* Nothing is left behind: the folder is empty. */
    (void)snprintf(path, sizeof path, "%s/broker.sock.lock", world.folder);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(world.folder), 0);
}

static void note_open(uint64_t peer)
{
    for (size_t i = 0; i < EDGE_OPEN_MAX; i++) {
        if (world.open_peers[i] == 0) {
            world.open_peers[i] = peer;
            return;
        }
    }
    fail_msg("too many open peers");
}

static void note_closed(uint64_t peer)
{
    for (size_t i = 0; i < EDGE_OPEN_MAX; i++) {
        if (world.open_peers[i] == peer) {
            world.open_peers[i] = 0;
            return;
        }
    }
    world.closed_twice++;
}

static void take(const struct bao_edge_event *event)
{
    if (world.watch != NULL)
        world.watch(event);
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

void edge_turn(void)
{
    struct bao_edge_event event;
    bao_edge_turn(world.edge, bao_time_monotonic_us());
    while (bao_edge_next(world.edge, &event))
        take(&event);
    bao_edge_flush(world.edge);
}

bool edge_run(uint64_t ms, const unsigned *counter, unsigned goal)
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
        edge_turn();
    }
}

/* --- friends and children --- */

struct friend friend_open(const char *url)
{
    struct friend friend = {.context = zmq_ctx_new()};
    int zero = 0;
    friend.socket = zmq_socket(friend.context, ZMQ_DEALER);
    assert_int_equal(
        zmq_setsockopt(friend.socket, ZMQ_LINGER, &zero, sizeof zero), 0);
    assert_int_equal(zmq_connect(friend.socket, url), 0);
    return friend;
}

void friend_close(struct friend *friend)
{
    (void)zmq_close(friend->socket);
    (void)zmq_ctx_term(friend->context);
}

void friend_says(struct friend *friend, size_t parts, size_t bytes)
{
    char *data = calloc(1, bytes + 1);
    for (size_t i = 0; i < parts; i++) {
        int flags = i + 1 < parts ? ZMQ_SNDMORE : 0;
        assert_int_equal(zmq_send(friend->socket, data, bytes, flags), bytes);
    }
    free(data);
}

pid_t child_open(const char *url, bool with_grandchild)
{
    pid_t pid = fork();
    if (pid != 0) {
        (void)setpgid(pid, pid);
        return pid;
    }
    (void)setpgid(0, 0);
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

void child_kill(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

void child_kill_family(pid_t pid)
{
    (void)kill(-pid, SIGKILL);
}

/* --- plain sockets --- */

int raw_open(void)
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

void raw_write(int raw, const void *data, size_t bytes)
{
    (void)send(raw, data, bytes, MSG_NOSIGNAL);
}

bool raw_read(int raw, void *data, size_t bytes)
{
    static char away[65536];
    uint64_t end = bao_time_monotonic_us() + 10000000;
    size_t have = 0;
    while (have < bytes && bao_time_monotonic_us() < end) {
        size_t some = bytes - have;
        if (data == NULL && some > sizeof away)
            some = sizeof away;
        char *to = data == NULL ? away : (char *)data + have;
        ssize_t got = recv(raw, to, some, MSG_DONTWAIT);
        if (got > 0)
            have += (size_t)got;
        else
            (void)edge_run(2, NULL, 0);
    }
    return have == bytes;
}

void raw_greet(int raw, const void *id, uint8_t id_bytes)
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
    /* Theirs must have come before a message may be sent. */
    uint8_t theirs[256] = {0};
    assert_true(raw_read(raw, theirs, 64 + 2));
    assert_true(raw_read(raw, theirs, theirs[65]));
}

bool raw_is_closed(int raw, uint64_t ms)
{
    uint64_t end = bao_time_monotonic_us() + ms * 1000;
    char data[256];
    while (bao_time_monotonic_us() < end) {
        ssize_t got = recv(raw, data, sizeof data, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            return true;
        (void)edge_run(10, NULL, 0);
    }
    return false;
}
