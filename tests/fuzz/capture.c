/*
 * capture.c - writes down real traffic as inputs of fuzz_dispatch and
 * fuzz_dialogue.
 *
 *     build/asan/tests/fuzz/capture LISTEN BROKER FOLDER
 *
 * stands between clients and a broker (both ipc:// or tcp:// addresses) and
 * passes messages on until SIGTERM. Then FOLDER/dispatch has what all clients
 * said as raw messages of up to four peers, in order and with the time between
 * them, and FOLDER/dialogue-N what the broker said to client N. They are cut
 * at 4 KiB, and messages of more than 1 KiB are left out: small inputs change
 * into others faster.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "common/limits.h"
#include "common/time.h"
#include "tests/fuzz/fuzz.h"

enum { CLIENTS_MAX = 4, ID_BYTES = 64, INPUT_BYTES = 4096, SAID_MAX = 1024 };

/* An input as it grows. */
struct growing {
    uint8_t bytes[INPUT_BYTES];
    size_t used;
};

struct client {
    uint8_t id[ID_BYTES];
    size_t id_bytes;
    void *socket; /* to the broker */
    struct growing heard;
};

/* One message, read whole. */
struct parts {
    zmq_msg_t part[BAO_PARTS_MAX + 1];
    size_t count;
};

static struct {
    void *context;
    void *front;
    const char *broker;
    struct client clients[CLIENTS_MAX];
    unsigned client_count;
    struct growing said;
    uint64_t last_us;
} capture;

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static bool grow(struct growing *input, const void *data, size_t bytes)
{
    if (bytes > INPUT_BYTES - input->used) {
        return false;
    }
    memcpy(input->bytes + input->used, data, bytes);
    input->used += bytes;
    return true;
}

static void put_two(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

/* The acts of fuzz_dispatch: 3 time passes, 2 a raw message. */
static void note_said(unsigned client, struct parts *parts, size_t from)
{
    static const uint32_t steps_ms[] = {1, 5, 20, 99, 100, 250, 500, 1000};
    uint8_t act[8 + SAID_MAX + 2 * BAO_PARTS_MAX];
    size_t header = zmq_msg_size(&parts->part[from]);
    size_t frames = parts->count - from - 1;
    uint64_t now_us = bao_time_monotonic_us();
    uint64_t passed_ms = (now_us - capture.last_us) / 1000;
    if (header > SAID_MAX || frames >= BAO_PARTS_MAX) {
        return;
    }
    if (passed_ms > 0) {
        uint8_t step = 0;
        while (step < 7 && steps_ms[step + 1] <= passed_ms) {
            step++;
        }
        (void)grow(&capture.said, (const uint8_t[]){3, step}, 2);
        capture.last_us = now_us;
    }
    act[0] = (uint8_t)(2u | client << 3);
    put_two(act + 1, header);
    memcpy(act + 3, zmq_msg_data(&parts->part[from]), header);
    act[3 + header] = (uint8_t)frames;
    for (size_t i = 0; i < frames; i++) {
        size_t bytes = zmq_msg_size(&parts->part[from + 1 + i]);
        bytes -= i > 0 ? BAO_BIG_BYTES - 32u : 0;
        put_two(act + 4 + header + 2 * i, bytes);
    }
    (void)grow(&capture.said, act, 4 + header + 2 * frames);
}

/* The acts of fuzz_dialogue: 2 raw bytes. */
static void note_heard(struct client *client, struct parts *parts)
{
    uint8_t act[3 + SAID_MAX];
    size_t header = zmq_msg_size(&parts->part[0]);
    if (header <= SAID_MAX) {
        act[0] = 2;
        put_two(act + 1, header);
        memcpy(act + 3, zmq_msg_data(&parts->part[0]), header);
        (void)grow(&client->heard, act, 3 + header);
    }
}

/* --- passing on ------------------------------------------------------------
 */

static bool receive(void *socket, struct parts *parts)
{
    int more = 1;
    size_t more_bytes = sizeof more;
    parts->count = 0;
    while (more != 0 && parts->count <= BAO_PARTS_MAX) {
        zmq_msg_t *part = &parts->part[parts->count];
        (void)zmq_msg_init(part);
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0) {
            (void)zmq_msg_close(part);
            return false;
        }
        parts->count++;
        (void)zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_bytes);
    }
    return true;
}

static void send_on(void *socket, struct parts *parts, size_t from)
{
    for (size_t i = from; i < parts->count; i++) {
        (void)zmq_msg_send(
            &parts->part[i], socket, i + 1 < parts->count ? ZMQ_SNDMORE : 0);
    }
    for (size_t i = 0; i < parts->count; i++) {
        (void)zmq_msg_close(&parts->part[i]);
    }
}

/* The client with this routing id; a new one has a socket of its own. */
static struct client *client_of(zmq_msg_t *id)
{
    size_t bytes = zmq_msg_size(id);
    for (unsigned i = 0; i < capture.client_count; i++) {
        struct client *client = &capture.clients[i];
        if (client->id_bytes == bytes &&
            memcmp(client->id, zmq_msg_data(id), bytes) == 0) {
            return client;
        }
    }
    if (capture.client_count == CLIENTS_MAX || bytes > ID_BYTES) {
        return NULL;
    }
    struct client *client = &capture.clients[capture.client_count++];
    client->id_bytes = bytes;
    memcpy(client->id, zmq_msg_data(id), bytes);
    client->socket = zmq_socket(capture.context, ZMQ_DEALER);
    /* 4 the connection, without an answer to HELLO: that one comes raw. */
    (void)grow(&client->heard, (const uint8_t[]){4, 0x30}, 2);
    int no = 0;
    (void)zmq_setsockopt(client->socket, ZMQ_LINGER, &no, sizeof no);
    (void)zmq_connect(client->socket, capture.broker);
    return client;
}

static void pass_on(void)
{
    struct parts parts;
    while (receive(capture.front, &parts)) {
        struct client *client = client_of(&parts.part[0]);
        if (client == NULL || parts.count < 2) {
            fprintf(stderr, "capture: more than four clients\n");
            ended = 1;
            return;
        }
        note_said((unsigned)(client - capture.clients), &parts, 1);
        send_on(client->socket, &parts, 1);
    }
    for (unsigned i = 0; i < capture.client_count; i++) {
        struct client *client = &capture.clients[i];
        while (receive(client->socket, &parts)) {
            note_heard(client, &parts);
            (void)zmq_send(
                capture.front, client->id, client->id_bytes, ZMQ_SNDMORE);
            send_on(capture.front, &parts, 0);
        }
    }
}

static bool
write_input(const char *folder, const char *name, const struct growing *input)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    bool good = file != NULL &&
                fwrite(input->bytes, 1, input->used, file) == input->used;
    return file != NULL && fclose(file) == 0 && good;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: capture LISTEN BROKER FOLDER\n");
        return 64;
    }
    struct sigaction action = {.sa_handler = end};
    (void)sigaction(SIGTERM, &action, NULL);
    capture.context = zmq_ctx_new();
    capture.front = zmq_socket(capture.context, ZMQ_ROUTER);
    capture.broker = argv[2];
    int no = 0;
    (void)zmq_setsockopt(capture.front, ZMQ_LINGER, &no, sizeof no);
    if (zmq_bind(capture.front, argv[1]) != 0) {
        fprintf(stderr, "capture: %s: %s\n", argv[1], strerror(errno));
        return 69;
    }
    capture.last_us = bao_time_monotonic_us();
    while (ended == 0) {
        (void)poll(NULL, 0, 1);
        pass_on();
    }
    bool good = write_input(argv[3], "dispatch", &capture.said);
    for (unsigned i = 0; i < capture.client_count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "dialogue-%u", i);
        good = write_input(argv[3], name, &capture.clients[i].heard) && good;
        (void)zmq_close(capture.clients[i].socket);
    }
    (void)zmq_close(capture.front);
    (void)zmq_ctx_term(capture.context);
    return good ? 0 : 74;
}
