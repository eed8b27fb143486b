/*
 * zmtp.c - a connection of zmtp.h, out of the pieces of zmtp_bytes.h.
 */
#include "common/zmtp.h"

#include "common/check.h"
#include "common/zmtp_bytes.h"

#define COMMAND_BYTES_MAX 512u
#define FRAME_BYTES_MAX   (BAO_ITEM_BYTES_MAX + BAO_ITEM_HEADER_BYTES_MAX)
/* The largest message of the protocol, and what may wait before it. */
#define MESSAGE_BYTES_MAX                                  \
    ((size_t)BAO_HEADER_BYTES_MAX + BAO_BODIES_BYTES_MAX + \
     (size_t)BAO_BIG_FRAMES_MAX * FRAME_BYTES_MAX +        \
     (size_t)BAO_PARTS_MAX * BAO_ZMTP_HEAD_BYTES_MAX)
#define BUFFER_BYTES_MAX (MESSAGE_BYTES_MAX + (1u << 20))
#define ROOM_BYTES       (32u * 1024u)
#define KEPT_BYTES       (256u * 1024u) /* what is larger was a peak */

/* Nothing of what is said first depends on the peer. */
enum baozi_status bao_zmtp_open(struct bao_zmtp *zmtp)
{
    *zmtp = (struct bao_zmtp){.state = BAO_ZMTP_GREETING};
    bao_buffer_init(&zmtp->in, BUFFER_BYTES_MAX);
    bao_buffer_init(&zmtp->out, BUFFER_BYTES_MAX);
    enum baozi_status status =
        bao_buffer_append(&zmtp->out, bao_zmtp_greeting());
    return status != BAOZI_OK
               ? status
               : bao_buffer_append(&zmtp->out, bao_zmtp_ready_of_dealer());
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
    struct bao_zmtp_head head;
    struct bao_span bytes; /* data is meaningless before they came */
};

/* Reads the frame that begins at in[*at], and moves *at behind it. EMPTY: it
 * is not all there, and *at is where it will end, as far as is known. */
static enum baozi_status
read_frame(struct bao_span in, size_t *at, struct frame *frame)
{
    if (*at == in.bytes) { /* `in` may have no memory yet */
        *at += 1;
        return BAOZI_EMPTY;
    }
    const struct bao_span left = bao_span_of(in.data + *at, in.bytes - *at);
    const size_t head_bytes = bao_zmtp_head_read(left, &frame->head);
    if (head_bytes == 0) {
        *at = in.bytes + 1;
        return BAOZI_EMPTY;
    }
    if (frame->head.bad || frame->head.bytes > FRAME_BYTES_MAX) {
        return BAOZI_CONNECTION_LOST;
    }
    const size_t bytes = (size_t)frame->head.bytes;
    frame->bytes = bao_span_of(left.data + head_bytes, bytes);
    *at += head_bytes + bytes;
    return *at > in.bytes ? BAOZI_EMPTY : BAOZI_OK;
}

static enum baozi_status take_greeting(struct bao_zmtp *zmtp)
{
    struct bao_span in = bao_buffer_view(&zmtp->in);
    if (bao_zmtp_check_greeting(in) != NULL) {
        return BAOZI_CONNECTION_LOST;
    }
    if (in.bytes < BAO_ZMTP_GREETING_BYTES) {
        return BAOZI_EMPTY;
    }
    bao_buffer_consume(&zmtp->in, BAO_ZMTP_GREETING_BYTES);
    zmtp->state = BAO_ZMTP_READY;
    return BAOZI_OK;
}

/* READY of anybody else than a ROUTER is not our broker's: the other end may
 * even be our own, where a connection to a free port of this host met
 * itself. */
static enum baozi_status take_ready(struct bao_zmtp *zmtp,
                                    struct bao_span command)
{
    struct bao_zmtp_socket socket;
    if (bao_zmtp_check_ready(command, &socket) != NULL || !socket.is_router) {
        return BAOZI_CONNECTION_LOST;
    }
    zmtp->state = BAO_ZMTP_OPEN;
    return BAOZI_OK;
}

/* READY comes first and once; ERROR never; of others only PING asks for
 * something. */
static enum baozi_status take_command(struct bao_zmtp *zmtp,
                                      struct bao_span command)
{
    uint8_t pong[BAO_ZMTP_PONG_BYTES_MAX];
    if (command.bytes > COMMAND_BYTES_MAX) {
        return BAOZI_CONNECTION_LOST;
    }
    if (zmtp->state == BAO_ZMTP_READY) {
        return take_ready(zmtp, command);
    }
    if (bao_zmtp_is_command(command, "READY") ||
        bao_zmtp_is_command(command, "ERROR")) {
        return BAOZI_CONNECTION_LOST;
    }
    size_t bytes = bao_zmtp_pong(command, pong);
    if (bytes == 0) {
        return bao_zmtp_is_command(command, "PING") ? BAOZI_CONNECTION_LOST
                                                    : BAOZI_OK;
    }
    return bao_buffer_append(&zmtp->out, bao_span_of(pong, bytes));
}

/* A message's frames lie in `in` one after the other, all of them, or EMPTY
 * and `wanted` is set. A command stands alone: *command is set. */
static enum baozi_status gather(struct bao_zmtp *zmtp,
                                struct bao_received *received,
                                struct bao_span *command)
{
    struct bao_span in = bao_buffer_view(&zmtp->in);
    struct frame frame = {.head = {.more = true}};
    size_t count = 0;
    received->message = (struct bao_message){.parts = received->parts};
    received->bytes = 0;
    for (; frame.head.more; count++) {
        enum baozi_status status = read_frame(in, &received->bytes, &frame);
        if (status != BAOZI_OK) {
            zmtp->wanted = received->bytes;
            return status;
        }
        if (frame.head.command) {
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
    return bytes > UINT8_MAX ? BAO_ZMTP_HEAD_BYTES_MAX : 2;
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
    uint8_t *at = room + bao_zmtp_head_write(room, header_bytes, count > 0);
    at = write_bytes(at, outgoing->header);
    for (uint32_t part = 0; part < count; part++) {
        at += bao_zmtp_head_write(at, sizes[part], part + 1 < count);
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
