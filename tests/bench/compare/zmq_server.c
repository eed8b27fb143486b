/*
 * zmq_server.c - what libzmq itself allows: a broker that does this work and
 * nothing else, a forwarder of frames, an echo.
 *
 *     zmq_server broker URL        see zmq_frames.h
 *     zmq_server forward URL URL   PULL to PUSH
 *     zmq_server lockstep URL      answers each message at once
 *     zmq_server hop URL           from all others to who sent a CREDIT last
 *
 * It says "ready" when it listens, and runs until it is killed.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <zmq.h>

#include "tests/bench/compare/zmq_frames.h"

#define PEERS_MAX    64u
#define ITEMS_MAX    (1u << 22)
#define TURN         256
#define BODIES_BYTES (4u << 20)

struct item {
    uint32_t id;
    uint32_t bytes;
    uint8_t *data;
};

static struct peer {
    uint8_t id[8];
    size_t id_bytes;
    uint32_t credit;
    uint32_t puts, settles; /* to be confirmed at the end of the turn */
} peers[PEERS_MAX];
static size_t peer_count;

static struct item *queue; /* a ring */
static uint32_t first, last;
static uint8_t **leased; /* bodies by id, until DONE */
static void *router;

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "zmq_server: %s: %s\n", what, zmq_strerror(errno));
    exit(1);
}

static struct peer *peer_of(const void *id, size_t bytes)
{
    for (size_t i = 0; i < peer_count; i++) {
        if (peers[i].id_bytes == bytes && memcmp(peers[i].id, id, bytes) == 0) {
            return &peers[i];
        }
    }
    if (peer_count == PEERS_MAX || bytes > sizeof peers[0].id) {
        fail("too many peers");
    }
    struct peer *peer = &peers[peer_count++];
    memcpy(peer->id, id, bytes);
    peer->id_bytes = bytes;
    return peer;
}

static void put(struct peer *peer,
                const uint32_t *numbers,
                uint32_t count,
                const uint8_t *body)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = numbers[i];
        uint8_t *data = malloc(bytes);
        if (data == NULL || last - first == ITEMS_MAX) {
            fail("memory");
        }
        if (bytes > 0) {
            memcpy(data, body, bytes);
        }
        body += bytes;
        queue[last % ITEMS_MAX] =
            (struct item){.id = last % ITEMS_MAX, .bytes = bytes, .data = data};
        last++;
    }
    peer->puts += count;
}

static void done(struct peer *peer, const uint32_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(leased[ids[i] % ITEMS_MAX]);
        leased[ids[i] % ITEMS_MAX] = NULL;
    }
    peer->settles += count;
    peer->credit += count;
}

/* One message; false if there is none. */
static bool receive(void)
{
    zmq_msg_t frames[3];
    int count = 0;
    bool more = true;
    while (more && count < 3) {
        zmq_msg_init(&frames[count]);
        if (zmq_msg_recv(&frames[count], router, ZMQ_DONTWAIT) < 0) {
            return false;
        }
        more = zmq_msg_more(&frames[count++]) != 0;
    }
    struct peer *peer =
        peer_of(zmq_msg_data(&frames[0]), zmq_msg_size(&frames[0]));
    const uint32_t *numbers = zmq_msg_data(&frames[1]);
    switch (numbers[0]) {
    case FRAME_PUT:
        put(peer, numbers + 2, numbers[1], zmq_msg_data(&frames[2]));
        break;
    case FRAME_DONE: done(peer, numbers + 2, numbers[1]); break;
    case FRAME_CREDIT: peer->credit += numbers[1]; break;
    default: fail("a strange frame");
    }
    for (int i = 0; i < count; i++) {
        zmq_msg_close(&frames[i]);
    }
    return true;
}

static void send_to(const struct peer *peer,
                    const uint32_t *numbers,
                    size_t count,
                    const uint8_t *bodies,
                    size_t bytes)
{
    if (zmq_send(router, peer->id, peer->id_bytes, ZMQ_SNDMORE) < 0 ||
        zmq_send(router,
                 numbers,
                 count * sizeof *numbers,
                 bytes > 0 ? ZMQ_SNDMORE : 0) < 0 ||
        (bytes > 0 && zmq_send(router, bodies, bytes, 0) < 0)) {
        fail("send");
    }
}

static void hand_out(struct peer *peer, uint32_t most)
{
    static uint32_t numbers[FRAME_NUMBERS_MAX];
    static uint8_t bodies[BODIES_BYTES];
    uint32_t count = 0;
    size_t bytes = 0;
    while (peer->credit > 0 && first != last && count < most) {
        const struct item *item = &queue[first++ % ITEMS_MAX];
        numbers[2 + 2 * count] = item->id;
        numbers[3 + 2 * count] = item->bytes;
        if (item->bytes > 0) {
            memcpy(bodies + bytes, item->data, item->bytes);
        }
        bytes += item->bytes;
        leased[item->id] = item->data;
        peer->credit--;
        count++;
    }
    if (count > 0) {
        numbers[0] = FRAME_ITEMS;
        numbers[1] = count;
        send_to(peer, numbers, 2 + 2 * (size_t)count, bodies, bytes);
    }
}

static void end_of_turn(void)
{
    static size_t next;
    for (size_t i = 0; i < peer_count; i++) {
        struct peer *peer = &peers[(next + i) % peer_count];
        uint32_t numbers[2] = {FRAME_OK, peer->puts + peer->settles};
        if (numbers[1] > 0) {
            send_to(peer, numbers, 2, NULL, 0);
        }
        peer->puts = 0;
        peer->settles = 0;
        hand_out(peer, 1024);
    }
    next++;
}

static void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void *listen_on(void *context, int kind, const char *url)
{
    const int none = 0;
    void *opened = zmq_socket(context, kind);
    zmq_setsockopt(opened, ZMQ_LINGER, &none, sizeof none);
    if (zmq_bind(opened, url) != 0) {
        fail(url);
    }
    return opened;
}

static void run_broker(void)
{
    queue = calloc(ITEMS_MAX, sizeof *queue);
    leased = calloc(ITEMS_MAX, sizeof *leased);
    if (queue == NULL || leased == NULL) {
        fail("memory");
    }
    say_ready();
    for (;;) {
        zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, -1);
        for (int i = 0; i < TURN && receive(); i++) {
        }
        end_of_turn();
    }
}

static void run_forward(void *in, void *out)
{
    say_ready();
    for (;;) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, in, 0) < 0) {
            fail("receive");
        }
        int more = zmq_msg_more(&frame) != 0 ? ZMQ_SNDMORE : 0;
        if (zmq_msg_send(&frame, out, more) < 0) {
            fail("send");
        }
    }
}

/* The same frames come back. */
static void run_lockstep(void)
{
    run_forward(router, router);
}

/* What comes from others goes on to the one consumer as it is. */
static void run_hop(void)
{
    static struct peer consumer;
    say_ready();
    for (;;) {
        zmq_msg_t frames[3];
        int count = 0;
        do {
            zmq_msg_init(&frames[count]);
            if (zmq_msg_recv(&frames[count], router, 0) < 0) {
                fail("receive");
            }
        } while (zmq_msg_more(&frames[count++]) != 0 && count < 3);
        const uint32_t *numbers = zmq_msg_data(&frames[1]);
        if (numbers[0] == FRAME_CREDIT) {
            consumer.id_bytes = zmq_msg_size(&frames[0]);
            memcpy(consumer.id, zmq_msg_data(&frames[0]), consumer.id_bytes);
            send_to(&consumer, numbers, 2, NULL, 0); /* it is known */
        } else if (zmq_send(
                       router, consumer.id, consumer.id_bytes, ZMQ_SNDMORE) <
                       0 ||
                   zmq_msg_send(&frames[1], router, ZMQ_SNDMORE) < 0 ||
                   zmq_msg_send(&frames[2], router, 0) < 0) {
            fail("send");
        }
        for (int i = 0; i < count; i++) {
            zmq_msg_close(&frames[i]);
        }
    }
}

int main(int argc, char **argv)
{
    void *context = zmq_ctx_new();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc == 4 && strcmp(argv[1], "forward") == 0) {
        void *in = listen_on(context, ZMQ_PULL, argv[2]);
        run_forward(in, listen_on(context, ZMQ_PUSH, argv[3]));
    }
    if (argc != 3) {
        fprintf(stderr,
                "zmq_server: broker|lockstep|hop URL, forward URL URL\n");
        return 64;
    }
    router = listen_on(context, ZMQ_ROUTER, argv[2]);
    if (strcmp(argv[1], "broker") == 0) {
        run_broker();
    }
    if (strcmp(argv[1], "hop") == 0) {
        run_hop();
    }
    run_lockstep();
    return 0;
}
