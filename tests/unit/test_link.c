/*
 * test_link.c - the line to the broker: addresses, names, and peers that do
 * not do what they should.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/link.h"
#include "common/time.h"
#include "tests/lib/unit.h"

static const char router[] = "\377\0\0\0\0\0\0\0\1\177\3\1NULL\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                             "\4\34\5READY\13Socket-Type\0\0\0\6ROUTER";

/* A socket that listens at a free port of this host. */
static int listen_here(const char *host, char *url, size_t bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    snprintf(url, bytes, "tcp://%s:%d", host, ntohs(address.sin_port));
    return fd;
}

/* Steps until the state is reached or the line is lost. */
static enum baozi_status step_until(struct bao_line *line,
                                    enum bao_line_state state)
{
    enum baozi_status status = BAOZI_OK;
    uint64_t until_us = bao_time_monotonic_us() + 10000000;
    while (status == BAOZI_OK && line->state != state) {
        struct pollfd fd = {.fd = bao_line_fd(line),
                            .events = bao_line_events(line)};
        assert_true(bao_time_monotonic_us() < until_us);
        (void)poll(&fd, 1, 10);
        status = bao_line_step(line, bao_time_monotonic_us());
    }
    return status;
}

static void begin(struct bao_line *line, const char *url)
{
    assert_int_equal(bao_line_open(line, url, 5000), BAOZI_OK);
    assert_int_equal(bao_line_connect(line, bao_time_monotonic_us()), BAOZI_OK);
}

/* A connection with hands shaken; the peer's end. */
static int be_up(struct bao_line *line, const char *host)
{
    char url[64];
    int listener = listen_here(host, url, sizeof url);
    begin(line, url);
    assert_int_equal(step_until(line, BAO_LINE_SHAKING), BAOZI_OK);
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    (void)close(listener);
    assert_int_equal(write(peer, router, sizeof router - 1),
                     (ssize_t)sizeof router - 1);
    assert_int_equal(step_until(line, BAO_LINE_UP), BAOZI_OK);
    assert_true(bao_line_writable(line));
    return peer;
}

static void test_link__refuses_an_address_that_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "tcp://",
                                        "tcp://host",
                                        "tcp://:22694",
                                        "tcp://host:",
                                        "tcp://host:0",
                                        "tcp://host:65536",
                                        "tcp://host:+1",
                                        "tcp://host:1x",
                                        "tcp://[]:1",
                                        "ipc://",
                                        "udp://host:1",
                                        "inproc://x"};
    struct bao_line line;
    char url[512];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(bao_line_open(&line, wrong[i], 1), BAOZI_BAD_REQUEST);
    }
    (void)snprintf(url, sizeof url, "tcp://%0300d:1", 0);
    assert_int_equal(bao_line_open(&line, url, 1), BAOZI_BAD_REQUEST);
    (void)snprintf(url, sizeof url, "ipc:///%0200d", 0);
    assert_int_equal(bao_line_open(&line, url, 1), BAOZI_BAD_REQUEST);
    assert_int_equal(bao_line_open(&line, "tcp://[::1]:1", 1), BAOZI_OK);
    assert_string_equal(line.host, "::1");
    assert_int_equal(bao_line_open(&line, "ipc://@name", 1), BAOZI_OK);
    assert_int_equal(line.path.sun_path[0], 0);
}

static void test_link__finds_a_name_and_shakes_hands(void **state)
{
    (void)state;
    struct bao_line line;
    struct bao_received received;
    int peer = be_up(&line, "localhost");
    assert_int_equal(bao_line_receive(&line, &received), BAOZI_EMPTY);
    assert_int_equal(write(peer, "\0\2hi\0\2", 6), 6);
    assert_int_equal(bao_line_receive(&line, &received), BAOZI_OK);
    assert_memory_equal(received.message.header.data, "hi", 2);
    bao_line_release(&line, &received);
    assert_int_equal(bao_line_receive(&line, &received), BAOZI_EMPTY);
    (void)close(peer);
    assert_int_equal(bao_line_receive(&line, &received), BAOZI_CONNECTION_LOST);
    bao_line_cut(&line);
    bao_line_cut(&line);
}

static void test_link__says_when_nobody_is_there(void **state)
{
    (void)state;
    struct bao_line line;
    char url[64];
    (void)close(listen_here("127.0.0.1", url, sizeof url));
    const char *const urls[] = {
        url, "ipc:///nowhere/at/all", "tcp://no-such-host.invalid:1"};
    for (size_t i = 0; i < 3; i++) {
        begin(&line, urls[i]);
        assert_int_equal(step_until(&line, BAO_LINE_UP), BAOZI_CONNECTION_LOST);
        bao_line_cut(&line);
    }
}

/* The asker does not wait for the name server. */
static void test_link__leaves_while_a_name_is_looked_for(void **state)
{
    (void)state;
    struct bao_line line;
    begin(&line, "tcp://no-such-host.invalid:1");
    bao_line_cut(&line);
    begin(&line, "tcp://no-such-host.invalid:1");
    assert_int_equal(bao_line_step(&line, line.until_us),
                     BAOZI_CONNECTION_LOST);
    bao_line_cut(&line);
}

static void test_link__ends_a_peer_that_says_nothing(void **state)
{
    (void)state;
    struct bao_line line;
    char url[64];
    int listener = listen_here("127.0.0.1", url, sizeof url);
    begin(&line, url);
    assert_int_equal(step_until(&line, BAO_LINE_SHAKING), BAOZI_OK);
    uint64_t until_us = bao_line_deadline(&line);
    assert_int_equal(bao_line_step(&line, until_us - 1), BAOZI_OK);
    assert_int_equal(bao_line_step(&line, until_us), BAOZI_CONNECTION_LOST);
    bao_line_cut(&line);
    (void)close(listener);
}

/* What the peer does not read waits, up to a limit, and POLLOUT is asked
 * for. */
static void test_link__keeps_what_the_peer_does_not_read(void **state)
{
    (void)state;
    static uint8_t header[60000];
    static uint8_t heard[60000 + 9];
    const struct bao_outgoing outgoing = {
        .header = bao_span_of(header, sizeof header)};
    struct bao_line line;
    int peer = be_up(&line, "127.0.0.1");
    size_t count = 0;
    for (; bao_line_writable(&line); count++) {
        assert_true(count < 10000);
        assert_int_equal(bao_line_send(&line, &outgoing), BAOZI_OK);
        assert_int_equal(bao_line_flush(&line), BAOZI_OK);
    }
    assert_true((bao_line_events(&line) & POLLOUT) != 0);
    /* Our greeting and READY first. */
    assert_int_equal(recv(peer, heard, 107, MSG_WAITALL), 107);
    for (; count > 0; count--) {
        assert_int_equal(bao_line_flush(&line), BAOZI_OK);
        assert_int_equal(recv(peer, heard, sizeof heard, MSG_WAITALL),
                         (ssize_t)sizeof heard);
        assert_memory_equal(heard, "\2\0\0\0\0\0\0\352\140", 9);
    }
    assert_true(bao_line_writable(&line));
    assert_int_equal(bao_line_events(&line), POLLIN);
    (void)close(peer);
    bao_line_cut(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link__refuses_an_address_that_is_none),
        cmocka_unit_test(test_link__finds_a_name_and_shakes_hands),
        cmocka_unit_test(test_link__says_when_nobody_is_there),
        cmocka_unit_test(test_link__leaves_while_a_name_is_looked_for),
        cmocka_unit_test(test_link__ends_a_peer_that_says_nothing),
        cmocka_unit_test(test_link__keeps_what_the_peer_does_not_read),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
