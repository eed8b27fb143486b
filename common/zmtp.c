/*
 * zmtp.c - the bytes of a ZeroMQ connection.
 *
 *     greeting  ff 8 bytes 7f, version 3 1, "NULL" in 20 bytes, 0, 31 zeros
 *     frame     flags, length, bytes; flags: 1 more follow, 2 the length has
 *               8 bytes, 4 a command
 *     command   length of its name, name, bytes: READY, ERROR, PING, PONG
 *
 * READY's properties are name and value, with their lengths before them.
 */
#include "common/zmtp.h"

#include <strings.h>

#include "common/check.h"

#define GREETING_BYTES 64u
#define MECHANISM_AT   12u

enum { MORE = 1, LONG = 2, COMMAND = 4 };

#define COMMAND_BYTES_MAX 512u
#define FRAME_BYTES_MAX   (BAO_ITEM_BYTES_MAX + BAO_ITEM_HEADER_BYTES_MAX)
#define HEAD_BYTES_MAX    9u
/* The largest message of the protocol, and what may wait before it. */
#define MESSAGE_BYTES_MAX                                  \
    ((size_t)BAO_HEADER_BYTES_MAX + BAO_BODIES_BYTES_MAX + \
     (size_t)BAO_BIG_FRAMES_MAX * FRAME_BYTES_MAX +        \
     (size_t)BAO_PARTS_MAX * HEAD_BYTES_MAX)
#define BUFFER_BYTES_MAX (MESSAGE_BYTES_MAX + (1u << 20))
#define ROOM_BYTES       (32u * 1024u)
#define KEPT_BYTES       (256u * 1024u) /* what is larger was a peak */
#define PING_CONTEXT_MAX 16u

/* Sends nothing that depends on the peer, so it is one piece of text. */
/* clang-format off */
static const uint8_t hello[] = {
    0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 1, 'N', 'U', 'L', 'L',
    [GREETING_BYTES] = COMMAND, 41,
    5, 'R', 'E', 'A', 'D', 'Y',
    11, 'S', 'o', 'c', 'k', 'e', 't', '-', 'T', 'y', 'p', 'e',
    0, 0, 0, 6, 'D', 'E', 'A', 'L', 'E', 'R',
    8, 'I', 'd', 'e', 'n', 't', 'i', 't', 'y', 0, 0, 0, 0};
/* clang-format on */
_Static_assert(sizeof hello == GREETING_BYTES + 2 + 41,
               "READY is as long as its head says");

enum baozi_status bao_zmtp_open(struct bao_zmtp *zmtp)
{
    *zmtp = (struct bao_zmtp){.state = BAO_ZMTP_GREETING};
    bao_buffer_init(&zmtp->in, BUFFER_BYTES_MAX);
    bao_buffer_init(&zmtp->out, BUFFER_BYTES_MAX);
    return bao_buffer_append(&zmtp->out, bao_span_of(hello, sizeof hello));
}

void bao_zmtp_close(struct bao_zmtp *zmtp)
{
    bao_buffer_fini(&zmtp->in);
    bao_buffer_fini(&zmtp->out);
}

/* --- what comes --------------------------------------------------------- */

enum baozi_status
bao_zmtp_room(struct bao_zmtp *zmtp, uint8_t **room, size_t *bytes)
{
    struct bao_buffer *in = &zmtp->in;
    size_t missing = zmtp->wanted > in->bytes ? zmtp->wanted - in->bytes : 0;
    size_t least = missing > ROOM_BYTES ? missing : ROOM_BYTES;
    if (bao_buffer_reserve(in, least, room) != BAOZI_OK) {
        return BAOZI_NO_MEMORY;
    }
    size_t free_bytes = in->capacity - in->start - in->bytes;
    size_t most = in->bytes_max - in->bytes;
    *bytes = free_bytes < most ? free_bytes : most;
    return BAOZI_OK;
}

void bao_zmtp_came(struct bao_zmtp *zmtp, size_t bytes)
{
    bao_buffer_commit(&zmtp->in, bytes);
}

struct frame {
    unsigned flags;
    struct bao_span bytes; /* data is meaningless before they came */
};

static uint64_t load_big_endian(const uint8_t *at)
{
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

/* Reads the frame that begins at in[*at], and moves *at behind it. EMPTY: it
 * is not all there, and *at is where it will end, as far as is known. */
static enum baozi_status
read_frame(struct bao_span in, size_t *at, struct frame *frame)
{
    size_t left = in.bytes - *at;
    if (left < 2) {
        *at += 2;
        return BAOZI_EMPTY;
    }
    const uint8_t *head = in.data + *at;
    frame->flags = head[0];
    if (frame->flags > (MORE | LONG | COMMAND)) {
        return BAOZI_CONNECTION_LOST;
    }
    size_t head_bytes = (frame->flags & LONG) != 0 ? HEAD_BYTES_MAX : 2;
    if (left < head_bytes) {
        *at += head_bytes;
        return BAOZI_EMPTY;
    }
    uint64_t bytes = head_bytes == 2 ? head[1] : load_big_endian(head + 1);
    if (bytes > FRAME_BYTES_MAX) {
        return BAOZI_CONNECTION_LOST;
    }
    frame->bytes = bao_span_of(head + head_bytes, (size_t)bytes);
    *at += head_bytes + (size_t)bytes;
    return *at > in.bytes ? BAOZI_EMPTY : BAOZI_OK;
}

/* What ZMTP 3 with the NULL mechanism looks like, whatever its minor
 * version. */
static enum baozi_status take_greeting(struct bao_zmtp *zmtp)
{
    static const uint8_t mechanism[20] = "NULL";
    struct bao_span in = bao_buffer_view(&zmtp->in);
    if (in.bytes < GREETING_BYTES) {
        return in.bytes > 0 && in.data[0] != 0xff ? BAOZI_CONNECTION_LOST
                                                  : BAOZI_EMPTY;
    }
    if (in.data[0] != 0xff || in.data[9] != 0x7f || in.data[10] < 3 ||
        memcmp(in.data + MECHANISM_AT, mechanism, sizeof mechanism) != 0) {
        return BAOZI_CONNECTION_LOST;
    }
    bao_buffer_consume(&zmtp->in, GREETING_BYTES);
    zmtp->state = BAO_ZMTP_READY;
    return BAOZI_OK;
}

static bool is_named(struct bao_span command, const char *name)
{
    size_t bytes = strlen(name);
    return command.bytes > bytes && command.data[0] == bytes &&
           memcmp(command.data + 1, name, bytes) == 0;
}

/* PONG says what PING did, behind the two bytes of its time to live. */
static enum baozi_status answer_ping(struct bao_zmtp *zmtp,
                                     struct bao_span ping)
{
    uint8_t pong[2 + 5 + PING_CONTEXT_MAX] = {
        COMMAND, 5, 4, 'P', 'O', 'N', 'G'};
    if (ping.bytes < 7 || ping.bytes > 7 + PING_CONTEXT_MAX) {
        return BAOZI_CONNECTION_LOST;
    }
    size_t context_bytes = ping.bytes - 7;
    pong[1] = (uint8_t)(5 + context_bytes);
    memcpy(pong + 7, ping.data + 7, context_bytes);
    return bao_buffer_append(&zmtp->out, bao_span_of(pong, 7 + context_bytes));
}

/* READY of anybody else than a ROUTER is not our broker's: the other end may
 * even be our own, where a connection to a free port of this host met
 * itself. */
static bool is_router(struct bao_span ready)
{
    static const char name[] = "Socket-Type";
    static const char value[] = "\0\0\0\6ROUTER";
    const size_t name_bytes = sizeof name - 1;
    const size_t value_bytes = sizeof value - 1;
    size_t at = 6;
    while (at < ready.bytes) {
        size_t bytes = ready.data[at++];
        if (ready.bytes - at < bytes + 4) {
            return false;
        }
        const uint8_t *found = ready.data + at;
        at += bytes;
        if (bytes == name_bytes &&
            strncasecmp((const char *)found, name, name_bytes) == 0) {
            return ready.bytes - at >= value_bytes &&
                   memcmp(ready.data + at, value, value_bytes) == 0;
        }
        size_t skipped = (size_t)ready.data[at] << 24 |
                         (size_t)ready.data[at + 1] << 16 |
                         (size_t)ready.data[at + 2] << 8 | ready.data[at + 3];
        at += 4;
        if (ready.bytes - at < skipped) {
            return false;
        }
        at += skipped;
    }
    return false;
}

/* READY comes first and once; ERROR never; of others only PING asks for
 * something. */
static enum baozi_status take_command(struct bao_zmtp *zmtp,
                                      struct bao_span command)
{
    bool is_ready = is_named(command, "READY");
    bool is_due = zmtp->state == BAO_ZMTP_READY;
    if (command.bytes > COMMAND_BYTES_MAX || is_ready != is_due ||
        (is_ready && !is_router(command)) || is_named(command, "ERROR")) {
        return BAOZI_CONNECTION_LOST;
    }
    zmtp->state = BAO_ZMTP_OPEN;
    return is_named(command, "PING") ? answer_ping(zmtp, command) : BAOZI_OK;
}

/* A message's frames lie in `in` one after the other, all of them, or EMPTY
 * and `wanted` is set. A command stands alone: *command is set. */
static enum baozi_status gather(struct bao_zmtp *zmtp,
                                struct bao_received *received,
                                struct bao_span *command)
{
    struct bao_span in = bao_buffer_view(&zmtp->in);
    struct frame frame = {.flags = MORE};
    size_t count = 0;
    received->message = (struct bao_message){.parts = received->parts};
    received->bytes = 0;
    for (; (frame.flags & MORE) != 0; count++) {
        enum baozi_status status = read_frame(in, &received->bytes, &frame);
        if (status != BAOZI_OK) {
            zmtp->wanted = received->bytes;
            return status;
        }
        if ((frame.flags & COMMAND) != 0) {
            *command = frame.bytes;
            return count == 0 ? BAOZI_OK : BAOZI_CONNECTION_LOST;
        }
        if (count == BAO_PARTS_MAX || zmtp->state != BAO_ZMTP_OPEN) {
            return BAOZI_CONNECTION_LOST;
        }
        if (count == 0) {
            received->message.header = frame.bytes;
        } else {
            received->parts[count - 1] = frame.bytes;
        }
    }
    received->message.part_count = count - 1;
    return BAOZI_OK;
}

static void consume(struct bao_zmtp *zmtp, size_t bytes)
{
    zmtp->wanted = 0;
    bao_buffer_consume(&zmtp->in, bytes);
    if (zmtp->in.bytes == 0 && zmtp->in.capacity > KEPT_BYTES) {
        bao_buffer_clear(&zmtp->in);
    }
}

enum baozi_status bao_zmtp_next(struct bao_zmtp *zmtp,
                                struct bao_received *received)
{
    if (zmtp->state == BAO_ZMTP_GREETING) {
        enum baozi_status status = take_greeting(zmtp);
        if (status != BAOZI_OK) {
            return status;
        }
    }
    for (;;) {
        struct bao_span command = {0};
        enum baozi_status status = gather(zmtp, received, &command);
        if (status != BAOZI_OK || command.data == NULL) {
            return status;
        }
        status = take_command(zmtp, command);
        if (status != BAOZI_OK) {
            return BAOZI_CONNECTION_LOST;
        }
        consume(zmtp, received->bytes);
    }
}

void bao_zmtp_release(struct bao_zmtp *zmtp, struct bao_received *received)
{
    consume(zmtp, received->bytes);
    received->bytes = 0;
}

/* --- what goes ---------------------------------------------------------- */

static size_t head_bytes_of(size_t bytes)
{
    return bytes > UINT8_MAX ? HEAD_BYTES_MAX : 2;
}

static uint8_t *write_head(uint8_t *at, size_t bytes, bool more)
{
    unsigned flags = more ? MORE : 0;
    if (bytes <= UINT8_MAX) {
        at[0] = (uint8_t)flags;
        at[1] = (uint8_t)bytes;
        return at + 2;
    }
    at[0] = (uint8_t)(flags | LONG);
    for (size_t i = 0; i < 8; i++) {
        at[1 + i] = (uint8_t)((uint64_t)bytes >> (56 - 8 * i));
    }
    return at + HEAD_BYTES_MAX;
}

static uint8_t *write_bytes(uint8_t *at, struct bao_span bytes)
{
    memcpy(at, bytes.data, bytes.bytes);
    return at + bytes.bytes;
}

static size_t part_bytes(const struct bao_outgoing *outgoing, uint32_t part)
{
    size_t bytes = 0;
    for (size_t i = 0; i < outgoing->piece_count; i++) {
        if (outgoing->pieces[i].part == part) {
            bytes += outgoing->pieces[i].bytes.bytes;
        }
    }
    return bytes;
}

static uint8_t *
write_part(uint8_t *at, const struct bao_outgoing *outgoing, uint32_t part)
{
    for (size_t i = 0; i < outgoing->piece_count; i++) {
        if (outgoing->pieces[i].part == part) {
            at = write_bytes(at, outgoing->pieces[i].bytes);
        }
    }
    return at;
}

enum baozi_status bao_zmtp_add(struct bao_zmtp *zmtp,
                               const struct bao_outgoing *outgoing)
{
    size_t sizes[BAO_PARTS_MAX];
    uint32_t count = outgoing->part_count;
    size_t header_bytes = outgoing->header.bytes;
    size_t bytes = head_bytes_of(header_bytes) + header_bytes;
    BAO_ASSERT(count < BAO_PARTS_MAX);
    for (uint32_t part = 0; part < count; part++) {
        sizes[part] = part_bytes(outgoing, part);
        bytes += head_bytes_of(sizes[part]) + sizes[part];
    }
    uint8_t *room;
    enum baozi_status status = bao_buffer_reserve(&zmtp->out, bytes, &room);
    if (status != BAOZI_OK) {
        return status;
    }
    uint8_t *at = write_head(room, header_bytes, count > 0);
    at = write_bytes(at, outgoing->header);
    for (uint32_t part = 0; part < count; part++) {
        at = write_head(at, sizes[part], part + 1 < count);
        at = write_part(at, outgoing, part);
    }
    BAO_ASSERT((size_t)(at - room) == bytes);
    bao_buffer_commit(&zmtp->out, bytes);
    return BAOZI_OK;
}

void bao_zmtp_left(struct bao_zmtp *zmtp, size_t bytes)
{
    bao_buffer_consume(&zmtp->out, bytes);
    if (zmtp->out.bytes == 0 && zmtp->out.capacity > KEPT_BYTES) {
        bao_buffer_clear(&zmtp->out);
    }
}
