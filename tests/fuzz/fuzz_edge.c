/*
 * fuzz_edge.c - any bytes, in any pieces, on a connection of the own edge.
 *
 * The first byte says how far the handshake is already done. Whatever comes:
 * each peer that was opened is closed once, frames lie where they may be
 * read, and what is held stays as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/edge_open.h"
#include "common/check.h"
#include "tests/fuzz/fuzz.h"

#define HELD_MAX  8u
#define CLOSED_US 10000u /* until a local peer counts as gone */

static struct {
    struct bao_edge *edge;
    struct sockaddr_un address;
    uint64_t now_us; /* runs as fast as is needed */
    unsigned opened;
    unsigned closed;
    struct bao_frame *held[HELD_MAX];
    uint32_t sums[HELD_MAX];
    unsigned held_count;
} world;

static void tear_down(void)
{
    char folder[sizeof world.address.sun_path];
    bao_edge_end(world.edge, 0);
    (void)snprintf(folder, sizeof folder, "%s", world.address.sun_path);
    folder[strlen(folder) - 2] = '\0';
    (void)rmdir(folder);
}

static void set_up(void)
{
    static char url[128];
    static const char *urls[] = {url};
    char folder[] = "/tmp/baozi-fuzz.XXXXXX";
    struct bao_problem problem;
    BAO_ASSERT(mkdtemp(folder) != NULL);
    world.address.sun_family = AF_UNIX;
    (void)snprintf(
        world.address.sun_path, sizeof world.address.sun_path, "%s/s", folder);
    (void)snprintf(url, sizeof url, "ipc://%s", world.address.sun_path);
    const struct bao_edge_config config = {
        .urls = urls, .url_count = 1, .frame_bytes_max = 1u << 20};
    bool open = bao_edge_open(&config, &world.edge, &problem);
    BAO_ASSERT(open);
    (void)atexit(tear_down);
}

static uint32_t sum_of(struct bao_span bytes)
{
    uint32_t sum = (uint32_t)bytes.bytes;
    for (size_t i = 0; i < bytes.bytes; i++)
        sum = sum * 31 + bytes.data[i];
    return sum;
}

static void take(const struct bao_edge_event *event)
{
    world.opened += event->kind == BAO_EDGE_OPENED;
    world.closed += event->kind == BAO_EDGE_CLOSED;
    BAO_ASSERT(world.closed <= world.opened);
    if (event->kind != BAO_EDGE_MESSAGE)
        return;
    if (event->frame_count % 2 == 1)
        bao_edge_admit(world.edge, event->peer);
    for (uint32_t i = 0; i < event->frame_count; i++) {
        uint32_t sum = sum_of(event->frames[i]->bytes);
        if (sum % 3 != 0 || world.held_count == HELD_MAX)
            continue;
        world.sums[world.held_count] = sum;
        world.held[world.held_count++] = bao_frame_hold(event->frames[i]);
    }
    struct bao_outgoing echo = {.header = bao_span_text("yes")};
    (void)bao_edge_send(world.edge, event->peer, &echo);
}

static void turn(void)
{
    struct bao_edge_event event;
    bao_edge_turn(world.edge, ++world.now_us);
    while (bao_edge_next(world.edge, &event))
        take(&event);
    bao_edge_flush(world.edge);
}

static void say(int line, struct bao_span bytes)
{
    if (bytes.bytes > 0)
        (void)send(line, bytes.data, bytes.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    turn();
}

static void shake_hands(int line, unsigned how_far)
{
    static const uint8_t greeting[64] = {
        0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0, 'N', 'U', 'L', 'L'};
    static const uint8_t ready[] = "\4\34\5READY\13Socket-Type\0\0\0\6DEALER";
    if (how_far >= 1)
        say(line, bao_span_of(greeting, sizeof greeting));
    if (how_far >= 2)
        say(line, bao_span_of(ready, sizeof ready - 1));
    if (how_far >= 3)
        say(line, bao_span_of("\0\2hi", 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    if (world.edge == NULL)
        set_up();
    int line = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BAO_ASSERT(line >= 0);
    int answer = connect(
        line, (const struct sockaddr *)&world.address, sizeof world.address);
    BAO_ASSERT(answer == 0);
    shake_hands(line, fuzz_byte(&input) % 4);
    while (input.left > 0)
        say(line, fuzz_bytes(&input, 1 + fuzz_byte(&input) * 4u));
    (void)close(line);
    while (bao_edge_connections(world.edge) > 0 ||
           world.opened > world.closed) {
        world.now_us += CLOSED_US;
        turn();
    }
    while (world.held_count > 0) {
        struct bao_frame *frame = world.held[--world.held_count];
        BAO_ASSERT(sum_of(frame->bytes) == world.sums[world.held_count]);
        bao_frame_release(frame);
    }
    return 0;
}
