/*
 * test_edge.c - both edges over real sockets: friends, the dead, and
 * those who do not read. Peers that are killed are forked children.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "common/time.h"
#include "tests/lib/edge_world.h"

/* --- friends --- */

static void test_edge__a_message_comes_in_and_its_answer_goes_out(void **state)
{
    (void)state;
    edge_world_open();
    world.echo = true;
    const char *urls[2] = {world.ipc, world.tcp};
    for (unsigned i = 0; i < 2; i++) {
        struct friend friend = friend_open(urls[i]);
        char answer[16];
        friend_says(&friend, 2, 10);
        assert_true(edge_run(2000, &world.messages, i + 1));
        assert_int_equal(world.opened, i + 1);
        assert_int_equal(world.last_frames, 2);
        assert_int_equal(world.last_bytes, 20);
        assert_int_equal(world.last_local, i == 0);
        assert_int_equal(world.last_pid, i == 0 ? (uint32_t)getpid() : 0);
        assert_int_equal(zmq_recv(friend.socket, answer, 16, 0), 10);
        friend_close(&friend);
        assert_true(edge_run(2000, &world.closed, i + 1));
    }
    edge_world_close();
}

static void test_edge__sends_bodies_as_one_frame_and_big_ones_as_own(void **s)
{
    (void)s;
    edge_world_open();
    struct friend friend = friend_open(world.tcp);
    char data[64];
    friend_says(&friend, 1, 1);
    assert_true(edge_run(2000, &world.messages, 1));
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
    edge_world_close();
}

static void test_edge__takes_17_parts_and_calls_18_malformed(void **state)
{
    (void)state;
    edge_world_open();
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 17, 3);
    assert_true(edge_run(2000, &world.messages, 1));
    assert_int_equal(world.last_frames, 17);
    friend_says(&friend, 18, 3);
    friend_says(&friend, 100, 3);
    friend_says(&friend, 1, 3);
    assert_true(edge_run(2000, &world.messages, 4));
    assert_int_equal(world.malformed, 2);
    assert_int_equal(world.last_frames, 1);
    assert_int_equal(world.opened, 1);
    friend_close(&friend);
    edge_world_close();
}

/* --- the dead --- */

static void test_edge__a_killed_process_is_told_at_once(void **state)
{
    (void)state;
    edge_world_open();
    const char *urls[2] = {world.ipc, world.tcp};
    for (unsigned i = 0; i < 2; i++) {
        pid_t pid = child_open(urls[i], false);
        assert_true(edge_run(3000, &world.messages, i + 1));
        (void)kill(pid, SIGKILL);
        uint64_t begin = bao_time_monotonic_us();
        assert_true(edge_run(1000, &world.closed, i + 1));
        assert_true(bao_time_monotonic_us() - begin < 500000);
        /* The process is known on ipc, even while it is a zombie. */
        assert_int_equal(world.gone, 1);
        assert_int_equal(world.last_closed, world.last_peer);
        (void)waitpid(pid, NULL, 0);
    }
    edge_world_close();
}

static void test_edge__a_child_that_keeps_the_socket_is_no_life_sign(void **s)
{
    (void)s;
    edge_world_open();
    pid_t pid = child_open(world.ipc, true);
    assert_true(edge_run(3000, &world.messages, 1));
    assert_false(edge_run(300, &world.closed, 1));
    child_kill(pid);
    assert_true(edge_run(1000, &world.closed, 1));
    assert_int_equal(world.gone, 1);
    child_kill_family(pid);
    edge_world_close();
}

static void test_edge__a_stopped_process_is_not_a_dead_one(void **state)
{
    (void)state;
    edge_world_open();
    pid_t pid = child_open(world.ipc, false);
    assert_true(edge_run(3000, &world.messages, 1));
    (void)kill(pid, SIGSTOP);
    assert_false(edge_run(300, &world.closed, 1));
    child_kill(pid);
    assert_true(edge_run(1000, &world.closed, 1));
    edge_world_close();
}

static void *end_context(void *context)
{
    (void)zmq_ctx_term(context);
    return NULL;
}

/* Many short lives on few descriptor numbers: each is told once, none is
 * missed, and none that lives is taken for a dead one. */
static void churn(const char *url, unsigned lives)
{
    struct friend stays = friend_open(url);
    friend_says(&stays, 1, 1);
    assert_true(edge_run(2000, &world.messages, 1));
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
            edge_turn();
    }
    /* Ends when all was sent, for which the edge must turn. */
    pthread_t ending;
    assert_int_equal(pthread_create(&ending, NULL, end_context, context), 0);
    if (!edge_run(10000, &world.closed, lives))
        fail_msg("%u opened, %u closed", world.opened, world.closed);
    (void)pthread_join(ending, NULL);
    assert_false(edge_run(100, &world.closed, lives + 1));
    assert_int_equal(world.opened, lives + 1);
    assert_int_equal(world.closed_twice, 0);
    assert_int_equal(world.open_peers[0], staying);
    assert_int_equal(bao_edge_connections(world.edge), 1);
    friend_says(&stays, 1, 1);
    unsigned before = world.messages;
    assert_true(edge_run(2000, &world.messages, before + 1));
    friend_close(&stays);
}

static void test_edge__misses_no_death_when_descriptors_come_back(void **state)
{
    (void)state;
    edge_world_open();
    churn(world.tcp, 300);
    edge_world_close();
    edge_world_open();
    churn(world.ipc, 300);
    edge_world_close();
}

/* --- back-pressure --- */

static void test_edge__what_has_no_room_is_parked_in_order(void **state)
{
    (void)state;
    edge_world_open_with((struct bao_edge_config){.messages_max = 2});
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
    assert_true(edge_run(2000, &world.messages, 1));
    static uint8_t data[1 << 20];
    struct bao_outgoing message = {.header = bao_span_of(data, sizeof data)};
    unsigned sent = 0;
    enum bao_sent how;
    /* What is parked while the I/O thread is busy may leave yet: it is full
     * when that stays so. */
    do {
        data[0] = (uint8_t)sent++;
        how = bao_edge_send(world.edge, world.last_peer, &message);
        (void)edge_run(how == BAO_PARKED ? 200 : 1, NULL, 0);
    } while (bao_edge_backlog(world.edge, world.last_peer) == 0 && sent < 200);
    assert_int_equal(how, BAO_PARKED);
    world.writable = 0;
    for (unsigned i = 0; i < 3; i++) {
        data[0] = (uint8_t)sent++;
        assert_int_equal(bao_edge_send(world.edge, world.last_peer, &message),
                         BAO_PARKED);
    }
    assert_int_equal(world.writable, 0);
    assert_true(bao_edge_backlog(world.edge, world.last_peer) >
                3 * sizeof data);
    /* Now it reads: everything comes, in order. */
    static uint8_t got[1 << 20];
    unsigned received = 0;
    uint64_t end = bao_time_monotonic_us() + 5000000;
    while (received < sent && bao_time_monotonic_us() < end) {
        if (zmq_recv(friend.socket, got, sizeof got, ZMQ_DONTWAIT) > 0)
            assert_int_equal(got[0], (uint8_t)received++);
        (void)edge_run(1, NULL, 0);
    }
    assert_int_equal(received, sent);
    assert_int_equal(world.writable, 1);
    assert_int_equal(bao_edge_backlog(world.edge, world.last_peer), 0);
    friend_close(&friend);
    edge_world_close();
}

static void test_edge__a_peer_can_be_cut_and_is_heard_no_more(void **state)
{
    (void)state;
    edge_world_open();
    struct friend friend = friend_open(world.tcp);
    friend_says(&friend, 1, 1);
    assert_true(edge_run(2000, &world.messages, 1));
    uint64_t peer = world.last_peer;
    friend_says(&friend, 1, 1);
    (void)usleep(20000);
    bao_edge_close(world.edge, peer, "a reason");
    struct bao_outgoing message = {.header = bao_span_text("x")};
    assert_int_equal(bao_edge_send(world.edge, peer, &message), BAO_GONE);
    assert_true(edge_run(2000, &world.closed, 1));
    assert_int_equal(world.messages, 1);
    assert_string_equal(world.last_why, "a reason");
    assert_int_equal(world.last_closed, peer);
    /* It may come back, as somebody else. */
    friend_says(&friend, 1, 1);
    assert_true(edge_run(3000, &world.opened, 2));
    assert_true(world.last_peer != peer);
    friend_close(&friend);
    edge_world_close();
}

/* --- addresses --- */

static void test_edge__a_second_broker_on_one_path_is_refused(void **state)
{
    (void)state;
    edge_world_open();
    struct bao_edge *first = world.edge;
    struct bao_edge_config config = {0};
    struct bao_problem problem;
    assert_false(edge_try(config, world.ipc, &problem));
    assert_int_equal(problem.exit_code, BAO_EXIT_CONFIGURATION);
    assert_non_null(strstr(problem.why, "another broker"));
    world.edge = first;
    /* The first one is not disturbed. */
    struct friend friend = friend_open(world.ipc);
    friend_says(&friend, 1, 1);
    assert_true(edge_run(2000, &world.messages, 1));
    friend_close(&friend);
    edge_world_close();
}

static void test_edge__a_stale_socket_is_removed_and_a_file_is_not(void **state)
{
    (void)state;
    char path[128];
    struct stat there;
    struct bao_edge_config config = {0};
    struct bao_problem problem;
    edge_world_open();
    (void)snprintf(path, sizeof path, "%s/broker.sock", world.folder);
    /* Nobody but owner and group may connect. */
    assert_int_equal(stat(path, &there), 0);
    assert_int_equal(there.st_mode & 0777, 0770);
    bao_edge_end(world.edge, 0);
    /* A broker that crashed leaves its socket and its lock file. */
    pid_t pid = fork();
    if (pid == 0) {
        (void)edge_try(config, world.ipc, &problem);
        _exit(0);
    }
    (void)waitpid(pid, NULL, 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_true(edge_try(config, world.ipc, &problem));
    bao_edge_end(world.edge, 0);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
    assert_false(edge_try(config, world.ipc, &problem));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(world.folder), 0);
}

/* Both edges bind the same addresses, and name them alike. */
static void test_edge__listens_on_numbers_interfaces_and_all(void **state)
{
    (void)state;
    static const char *const urls[][2] = {
        {"tcp://127.0.0.1:*", "tcp://127.0.0.1:"},
        {"tcp://127.0.0.1:0", "tcp://127.0.0.1:"},
        {"tcp://lo:*", "tcp://127.0.0.1:"},
        {"tcp://*:*", "tcp://0.0.0.0:"},
        {"tcp://no-such-interface:*", NULL},
        {"tcp://192.0.2.1:*", NULL}}; /* nobody has that one */
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct bao_edge *edge = NULL;
        struct bao_problem problem;
        const struct bao_edge_config config = {
            .kind = edge_kind, .urls = urls[i], .url_count = 1};
        bool opened = bao_edge_open(&config, &edge, &problem);
        assert_int_equal(opened, urls[i][1] != NULL);
        if (!opened) {
            assert_int_equal(problem.exit_code, BAO_EXIT_CONFIGURATION);
            assert_non_null(strstr(problem.what, urls[i][0]));
            continue;
        }
        const char *address = bao_edge_address(edge, 0);
        assert_memory_equal(address, urls[i][1], strlen(urls[i][1]));
        assert_true(atoi(address + strlen(urls[i][1])) > 0);
        bao_edge_end(edge, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EDGE_TEST(test_edge__a_message_comes_in_and_its_answer_goes_out),
        EDGE_TEST(test_edge__sends_bodies_as_one_frame_and_big_ones_as_own),
        EDGE_TEST(test_edge__takes_17_parts_and_calls_18_malformed),
        EDGE_TEST(test_edge__a_killed_process_is_told_at_once),
        EDGE_TEST(test_edge__a_child_that_keeps_the_socket_is_no_life_sign),
        EDGE_TEST(test_edge__a_stopped_process_is_not_a_dead_one),
        EDGE_TEST(test_edge__misses_no_death_when_descriptors_come_back),
        EDGE_TEST(test_edge__what_has_no_room_is_parked_in_order),
        EDGE_TEST(test_edge__a_peer_can_be_cut_and_is_heard_no_more),
        EDGE_TEST(test_edge__a_second_broker_on_one_path_is_refused),
        EDGE_TEST(test_edge__a_stale_socket_is_removed_and_a_file_is_not),
        EDGE_TEST(test_edge__listens_on_numbers_interfaces_and_all),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
