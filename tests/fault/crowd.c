/*
 * crowd.c - many clients that are connected and do nothing.
 *
 *   crowd URL COUNT mute        DEALER sockets: HELLO, then nothing
 *   crowd URL COUNT beating     DEALER sockets: HELLO, then heartbeats
 *   crowd URL COUNT library     clients of libbaozi
 *   crowd URL COUNT waiting Q   beating, and each waits in a get of queue Q;
 *                               Q% is Q0, Q1 and so on, one for each
 *
 * A client costs its process descriptors, so COUNT is limited by them: start
 * several crowds. When all are welcomed it prints "ready"; then it stays,
 * saying each client's heartbeat as often as the broker told, evenly spread,
 * until it is killed or stdin ends. At the end it prints "N heartbeats, M
 * answered". (The mute are taken for dead after three heartbeats: 3 minutes.)
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include "common/random.h"
#include "common/text.h"
#include "common/time.h"
#include "common/wire.h"

#define WELCOME_MS 60000
#define AT_ONCE    200u /* clients that say HELLO together */

struct crowd {
    void *context;
    void **sockets;
    struct baozi **clients;
    size_t count;
    uint64_t heartbeat_ms;
    uint64_t said;
    uint64_t answered;
};

static void fail(const char *what)
{
    (void)fprintf(stderr, "crowd: %s failed\n", what);
    exit(1);
}

static void say(void *socket, const struct bao_operation *operation)
{
    static uint8_t header[BAO_HEADER_BYTES_MAX];
    struct bao_writer writer;
    bao_writer_open(&writer, header, sizeof header);
    if (bao_writer_add(&writer, operation) != BAOZI_OK)
        fail("encoding");
    struct bao_span span = bao_writer_close(&writer);
    if (zmq_send(socket, span.data, span.bytes, ZMQ_DONTWAIT) < 0)
        fail("sending");
}

static void *open_raw(struct crowd *crowd, const char *url)
{
    int zero = 0;
    void *socket = zmq_socket(crowd->context, ZMQ_DEALER);
    if (socket == NULL ||
        zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        zmq_connect(socket, url) != 0)
        fail("opening a socket (too many for its descriptors?)");
    uint8_t id[BAO_CLIENT_ID_BYTES];
    struct bao_operation hello = {0};
    bao_random_fill(id, sizeof id);
    BAO_SET(&hello, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&hello, RID, rid, 0);
    BAO_SET(&hello, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
    BAO_SET(&hello, CLIENT, client, bao_span_of(id, sizeof id));
    say(socket, &hello);
    return socket;
}

static void take_welcome(struct crowd *crowd, void *socket)
{
    static uint8_t header[BAO_HEADER_BYTES_MAX];
    struct bao_reader reader;
    struct bao_operation answer;
    int wait = WELCOME_MS;
    (void)zmq_setsockopt(socket, ZMQ_RCVTIMEO, &wait, sizeof wait);
    int bytes = zmq_recv(socket, header, sizeof header, 0);
    if (bytes < 0 ||
        bao_reader_open(&reader, bao_span_of(header, (size_t)bytes)) !=
            BAOZI_OK ||
        bao_reader_next(&reader, &answer) != BAOZI_OK ||
        answer.verb != BAO_VERB_HELLO || answer.status != BAOZI_OK)
        fail("the welcome");
    crowd->heartbeat_ms = answer.heartbeat_ms;
}

static void open_all_raw(struct crowd *crowd, const char *url)
{
    crowd->context = zmq_ctx_new();
    (void)zmq_ctx_set(crowd->context, ZMQ_MAX_SOCKETS, (int)crowd->count + 8);
    for (size_t i = 0; i < crowd->count; i += AT_ONCE) {
        size_t end = i + AT_ONCE < crowd->count ? i + AT_ONCE : crowd->count;
        for (size_t k = i; k < end; k++)
            crowd->sockets[k] = open_raw(crowd, url);
        for (size_t k = i; k < end; k++)
            take_welcome(crowd, crowd->sockets[k]);
    }
}

static void open_all_library(struct crowd *crowd, const char *url)
{
    struct baozi_options options = {.size = sizeof options, .url = url};
    for (size_t i = 0; i < crowd->count; i++) {
        if (baozi_open(&options, &crowd->clients[i]) != BAOZI_OK ||
            baozi_connect(crowd->clients[i], WELCOME_MS) != BAOZI_OK)
            fail("opening a client");
    }
}

/* Each waits for ever in a get of `queue`; of one of its own, if that ends
 * with a percent sign. */
static void wait_all(struct crowd *crowd, const char *queue)
{
    char name[64];
    size_t bytes = strlen(queue);
    bool own = bytes > 0 && queue[bytes - 1] == '%';
    for (size_t i = 0; i < crowd->count; i++) {
        struct bao_operation get = {0};
        (void)snprintf(name, sizeof name, "%.*s", (int)(bytes - own), queue);
        if (own)
            (void)snprintf(name + bytes - 1, sizeof name - bytes, "%zu", i);
        BAO_SET(&get, VERB, verb, BAO_VERB_GET);
        BAO_SET(&get, RID, rid, 1);
        BAO_SET(&get, QUEUE, queue, bao_span_text(name));
        BAO_SET(&get, LIMIT, limit, 1);
        say(crowd->sockets[i], &get);
    }
}

/* True once stdin has ended; waits so long for it. */
static bool is_over(uint64_t wait_ms)
{
    struct pollfd look = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;
    return poll(&look, 1, (int)wait_ms) == 1 &&
           read(STDIN_FILENO, &byte, 1) <= 0;
}

static void take_answers(struct crowd *crowd, void *socket)
{
    char data[256];
    while (zmq_recv(socket, data, sizeof data, ZMQ_DONTWAIT) >= 0)
        crowd->answered++;
}

/* One client after the other, so that each has its turn in time. */
static void beat(struct crowd *crowd)
{
    struct bao_operation heartbeat = {0};
    BAO_SET(&heartbeat, VERB, verb, BAO_VERB_HEARTBEAT);
    uint64_t begin_us = bao_time_monotonic_us();
    for (uint64_t turn = 1;; turn++) {
        uint64_t due_us =
            begin_us + turn * crowd->heartbeat_ms * 1000 / crowd->count;
        uint64_t now_us = bao_time_monotonic_us();
        uint64_t wait_ms = due_us > now_us ? (due_us - now_us) / 1000 : 0;
        if (is_over(wait_ms))
            return;
        void *socket = crowd->sockets[turn % crowd->count];
        take_answers(crowd, socket);
        say(socket, &heartbeat);
        crowd->said++;
    }
}

int main(int argc, char **argv)
{
    struct crowd crowd = {0};
    uint64_t count = 0;
    struct rlimit limit;
    bool waits = argc == 5 && strcmp(argv[3], "waiting") == 0;
    if ((argc != 4 && !waits) || !bao_read_number(argv[2], &count) ||
        count == 0 || count > 100000) {
        (void)fprintf(stderr,
                      "usage: crowd URL COUNT mute|beating|library\n"
                      "       crowd URL COUNT waiting QUEUE\n");
        return 64;
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    bool beats = waits || strcmp(argv[3], "beating") == 0;
    bool raw = beats || strcmp(argv[3], "mute") == 0;
    crowd.count = count;
    crowd.sockets = calloc(count, sizeof *crowd.sockets);
    crowd.clients = calloc(count, sizeof *crowd.clients);
    if (crowd.sockets == NULL || crowd.clients == NULL)
        fail("memory");
    if (raw)
        open_all_raw(&crowd, argv[1]);
    else
        open_all_library(&crowd, argv[1]);
    if (waits)
        wait_all(&crowd, argv[4]);
    (void)printf("ready\n");
    (void)fflush(stdout);
    if (beats)
        beat(&crowd);
    while (!beats && !is_over(1000))
        continue;
    (void)poll(NULL, 0, 500); /* for the last answers */
    for (size_t i = 0; raw && i < count; i++)
        take_answers(&crowd, crowd.sockets[i]);
    (void)printf("%llu heartbeats, %llu answered\n",
                 (unsigned long long)crowd.said,
                 (unsigned long long)crowd.answered);
    (void)fflush(stdout);
    _exit(0); /* no farewells of thousands */
}
