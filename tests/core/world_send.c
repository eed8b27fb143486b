/*
 * world_send.c - what clients say, through the wire to the core.
 */
#include "tests/core/world_inside.h"
#include "tests/lib/unit.h"

/* --- sending -------------------------------------------------------------- */

static uint64_t next_random(struct world *world)
{
    world->random ^= world->random << 13;
    world->random ^= world->random >> 7;
    world->random ^= world->random << 17;
    return world->random;
}

/* Appends the payloads to the bodies frame or as frames of their own. */
static size_t lay_bodies(const struct world_part *part,
                         uint8_t *lengths,
                         struct bao_span *frames,
                         size_t frame_count)
{
    for (size_t i = 0; i < part->payload_count; i++) {
        const struct world_payload *payload = &part->payloads[i];
        bool none = (part->operation->flags & BAO_FLAG_NO_BODY) != 0;
        bool big = !none && payload->bytes >= BAO_BIG_BYTES;
        bao_store32(lengths + 4 * i, payload->bytes | (big ? BAO_BIG_BIT : 0));
        if (none) {
            continue;
        }
        if (big) {
            assert_true(frame_count < BAO_PARTS_MAX);
            frames[frame_count++] = bao_span_of(payload->data, payload->bytes);
            continue;
        }
        uint8_t *frame = (uint8_t *)(uintptr_t)frames[0].data;
        assert_true(frames[0].bytes + payload->bytes <= BAO_BODIES_BYTES_MAX);
        if (payload->bytes > 0) {
            memcpy(frame + frames[0].bytes, payload->data, payload->bytes);
        }
        frames[0].bytes += payload->bytes;
    }
    return frame_count;
}

static void set_lengths(const struct world_part *part,
                        uint8_t *lengths,
                        uint8_t *header_lengths)
{
    bool any = false;
    for (size_t i = 0; i < part->payload_count; i++) {
        bao_store32(header_lengths + 4 * i, part->payloads[i].header_bytes);
        any = any || part->payloads[i].header_bytes > 0;
    }
    if (part->payload_count > 0) {
        BAO_SET(part->operation,
                LENGTHS,
                lengths,
                bao_span_of(lengths, 4 * part->payload_count));
    }
    if (any) {
        BAO_SET(part->operation,
                HEADER_LENGTHS,
                header_lengths,
                bao_span_of(header_lengths, 4 * part->payload_count));
    }
}

/* The message arrives: each operation of it is a step of its own. */
static void deliver(struct world *world,
                    uint64_t peer,
                    struct bao_span header,
                    uint64_t hold)
{
    struct bao_reader reader;
    struct bao_operation operation;
    assert_int_equal(bao_reader_open(&reader, header), BAOZI_OK);
    for (;;) {
        enum baozi_status status = bao_reader_next(&reader, &operation);
        if (status == BAOZI_EMPTY) {
            return;
        }
        if (status != BAOZI_OK) {
            fail_msg("the wire refuses a request: %s", reader.why);
        }
        struct bao_command command = {.kind = BAO_COMMAND_OPERATION,
                                      .peer = peer,
                                      .operation = &operation,
                                      .hold = hold};
        bao_store64(command.random, next_random(world));
        bao_store64(command.random + 8, next_random(world));
        world_command(world, &command);
    }
}

static uint8_t *copy_of(struct bao_span bytes)
{
    uint8_t *copy = malloc(bytes.bytes + 1);
    assert_non_null(copy);
    if (bytes.bytes > 0) {
        memcpy(copy, bytes.data, bytes.bytes);
    }
    return copy;
}

static void keep_message(struct world_message *message,
                         struct bao_span header,
                         const struct bao_span *frames,
                         size_t frame_count)
{
    message->header = copy_of(header);
    message->header_bytes = header.bytes;
    message->frame_count = frame_count;
    for (size_t i = 0; i < frame_count; i++) {
        message->frames[i] = bao_span_of(copy_of(frames[i]), frames[i].bytes);
    }
}

/* Header and bodies travel; the edge has one reference to them meanwhile. */
static void transmit(struct world *world,
                     uint64_t peer,
                     struct bao_span header,
                     const struct bao_span *frames,
                     size_t frame_count)
{
    struct world_client *client = world_client_of(world, peer);
    if (client != NULL) {
        client->sent_ms = world->now_ms;
    }
    bool any = frames[0].bytes > 0 || frame_count > 1;
    uint64_t hold = any ? ++world->last_hold : 0;
    if (any) {
        judge_hold_open(&world->judge, hold, frames, (unsigned)frame_count);
    }
    deliver(world, peer, header, hold);
    if (any) {
        judge_hold_drop(&world->judge, hold);
    }
}

void world_send_all(struct world *world,
                    uint64_t peer,
                    struct world_part *parts,
                    size_t count)
{
    static uint8_t header[BAO_HEADER_BYTES_MAX];
    static uint8_t lengths[4 * WORLD_PAYLOADS_MAX];
    static uint8_t header_lengths[4 * WORLD_PAYLOADS_MAX];
    static uint8_t bodies[BAO_BODIES_BYTES_MAX];
    struct bao_span frames[BAO_PARTS_MAX] = {{bodies, 0}};
    size_t frame_count = 1;
    size_t column = 0;
    struct bao_writer writer;

    bao_writer_open(&writer, header, sizeof(header));
    for (size_t i = 0; i < count; i++) {
        assert_true(column + parts[i].payload_count <= WORLD_PAYLOADS_MAX);
        frame_count =
            lay_bodies(&parts[i], lengths + 4 * column, frames, frame_count);
        set_lengths(
            &parts[i], lengths + 4 * column, header_lengths + 4 * column);
        column += parts[i].payload_count;
        assert_int_equal(bao_writer_add(&writer, parts[i].operation), BAOZI_OK);
    }
    if (world->keep != NULL) {
        keep_message(
            world->keep, bao_writer_close(&writer), frames, frame_count);
        world->keep = NULL;
    }
    transmit(world, peer, bao_writer_close(&writer), frames, frame_count);
}

void world_keep(struct world *world, struct world_message *message)
{
    world->keep = message;
}

void world_send_again(struct world *world,
                      uint64_t peer,
                      const struct world_message *message)
{
    transmit(world,
             peer,
             bao_span_of(message->header, message->header_bytes),
             message->frames,
             message->frame_count);
}

void world_message_fini(struct world_message *message)
{
    for (size_t i = 0; i < message->frame_count; i++) {
        free((void *)(uintptr_t)message->frames[i].data);
    }
    free(message->header);
    *message = (struct world_message){0};
}

void world_send(struct world *world,
                uint64_t peer,
                struct bao_operation *operation,
                const struct world_payload *payloads,
                size_t payload_count)
{
    struct world_part part = {operation, payloads, payload_count};
    world_send_all(world, peer, &part, 1);
}

static void say_hello(struct world *world,
                      struct world_client *client,
                      bool resume,
                      uint32_t protocol)
{
    struct bao_operation hello = {0};
    client->old_peer = client->peer;
    client->peer = ++world->last_peer;
    client->connected = true;
    client->silent = false;
    client->heartbeat_ms = BAO_HEARTBEAT_IDLE_MS;
    BAO_SET(&hello, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&hello, RID, rid, 0);
    BAO_SET(&hello, PROTOCOL, protocol, protocol);
    BAO_SET(
        &hello, CLIENT, client, bao_span_of(client->id, BAO_CLIENT_ID_BYTES));
    BAO_SET(&hello, HOST, host, bao_span_text("kitchen"));
    BAO_SET(&hello, PID, pid, 4711);
    BAO_SET(&hello, PROGRAM, program, bao_span_text(client->name));
    if (resume) {
        BAO_SET(&hello, FLAGS, flags, BAO_FLAG_RESUME);
        BAO_SET(&hello,
                SECRET,
                secret,
                bao_span_of(client->secret, BAO_CLIENT_ID_BYTES));
    }
    world_send(world, client->peer, &hello, NULL, 0);
}

void world_hello(struct world *world,
                 struct world_client *client,
                 bool resume,
                 uint32_t protocol)
{
    if (!resume) {
        bao_store64(client->id, next_random(world));
        bao_store64(client->id + 8, next_random(world));
        client->next_rid = 1;
    }
    say_hello(world, client, resume, protocol);
}

void world_hello_again(struct world *world, struct world_client *client)
{
    say_hello(world, client, false, BAO_PROTOCOL_VERSION);
}

void world_declare(struct world *world,
                   struct world_client *client,
                   const char *name)
{
    struct bao_operation declare = {0};
    world_listen *listen = world->listen;
    world->listen = NULL;
    BAO_SET(&declare, VERB, verb, BAO_VERB_DECLARE);
    BAO_SET(&declare, RID, rid, client->next_rid++);
    BAO_SET(&declare, QUEUE, queue, bao_span_text(name));
    world_send(world, client->peer, &declare, NULL, 0);
    world->listen = listen;
    assert_non_null(judge_queue_named(&world->judge, name));
}
