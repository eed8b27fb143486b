/*
 * gateway_world.c - what gateway_world.h promises.
 */
#include "tests/lib/gateway_world.h"

#include "broker/hold.h"

struct bao_core fake_core;
struct fake_edge fake_edge;
struct bao_gateway *gateway;
unsigned frames_alive;

static struct bao_journal journal;

/* --- the fake edge --- */

static enum bao_sent fake_send(struct bao_edge *base,
                               uint64_t peer,
                               const struct bao_outgoing *message)
{
    (void)base;
    assert_true(fake_edge.sent_count < GATEWAY_SENT_MAX);
    assert_true(message->header.bytes <= BAO_HEADER_BYTES_MAX);
    size_t i = fake_edge.sent_count++;
    fake_edge.sent[i].peer = peer;
    fake_edge.sent[i].bodies = message->body_count;
    fake_edge.sent[i].big = message->big_count;
    fake_edge.sent[i].header_bytes = message->header.bytes;
    memcpy(
        fake_edge.sent[i].header, message->header.data, message->header.bytes);
    fake_edge.sent[i].body_bytes = 0;
    fake_edge.sent[i].shared = 0;
    for (size_t k = 0; k < message->body_count; k++)
        fake_edge.sent[i].body_bytes += message->bodies[k].bytes.bytes;
    for (size_t k = 0; k < message->big_count; k++)
        fake_edge.sent[i].shared += message->big[k].frame != NULL;
    /* It is a message that the other side would take. */
    struct bao_reader reader;
    assert_int_equal(bao_reader_open(&reader, message->header), BAOZI_OK);
    assert_int_equal(reader.claimed.offset, fake_edge.sent[i].body_bytes);
    assert_int_equal(reader.claimed.big, message->big_count);
    return fake_edge.answer;
}

static void fake_flush(struct bao_edge *base)
{
    (void)base;
    fake_edge.flushes++;
}

static void fake_admit(struct bao_edge *base, uint64_t peer)
{
    (void)base;
    assert_int_equal(peer, PEER);
    fake_edge.admitted++;
}

static void fake_close(struct bao_edge *base, uint64_t peer, const char *why)
{
    (void)base;
    fake_edge.cut_peer = peer;
    fake_edge.why = why;
    fake_edge.cuts++;
}

static const struct bao_edge_operations fake_operations = {
    .send = fake_send,
    .flush = fake_flush,
    .admit = fake_admit,
    .close = fake_close,
};

/* --- the world --- */

static void frame_free(struct bao_frame *frame)
{
    frames_alive--;
    free(frame);
}

struct bao_frame *frame_new(const void *data, size_t bytes)
{
    struct bao_frame *frame = malloc(sizeof *frame + bytes);
    assert_non_null(frame);
    if (data != NULL)
        memcpy(frame + 1, data, bytes);
    else
        memset(frame + 1, 'b', bytes);
    *frame = (struct bao_frame){.bytes = bao_span_of(frame + 1, bytes),
                                .references = 1,
                                .free = frame_free};
    frames_alive++;
    return frame;
}

void peer_event(enum bao_edge_event_kind kind, uint64_t peer)
{
    struct bao_work work = {0};
    struct bao_edge_event told = {.kind = kind, .peer = peer, .why = "x"};
    bao_gateway_event(gateway, 0, &told, &work);
}

void gateway_world_open_with(size_t memory, size_t hold, size_t outbox)
{
    memset(&fake_core, 0, sizeof fake_core);
    memset(&fake_edge, 0, sizeof fake_edge);
    fake_edge.edge.operations = &fake_operations;
    bao_journal_open(&journal);
    struct bao_gateway_config config = {
        .edge = &fake_edge.edge,
        .core = &fake_core,
        .journal = &journal,
        .memory_bytes = memory,
        .bodies_bytes = 64u << 20,
        .hold_bytes = hold,
        .outbox_peer_bytes = outbox,
    };
    assert_int_equal(bao_gateway_open(&config, &gateway), BAOZI_OK);
    peer_event(BAO_EDGE_OPENED, PEER);
    peer_event(BAO_EDGE_OPENED, OTHER);
}

void gateway_world_open(void)
{
    gateway_world_open_with(4u << 20, 0, 0);
}

void gateway_world_close(void)
{
    bao_gateway_close(gateway);
    assert_int_equal(frames_alive, 0);
}

struct bao_work
message(struct bao_writer *writer, const size_t *sizes, uint32_t count)
{
    struct bao_frame *frames[BAO_PARTS_MAX];
    struct bao_work work = {0};
    struct bao_span header = bao_writer_close(writer);
    frames[0] = frame_new(header.data, header.bytes);
    for (uint32_t i = 0; i < count; i++)
        frames[1 + i] = frame_new(NULL, sizes[i]);
    struct bao_edge_event told = {.kind = BAO_EDGE_MESSAGE,
                                  .peer = PEER,
                                  .frames = frames,
                                  .frame_count = 1 + count};
    bao_gateway_event(gateway, 0, &told, &work);
    for (uint32_t i = 0; i <= count; i++)
        bao_frame_release(frames[i]);
    return work;
}

uint8_t message_header[BAO_HEADER_BYTES_MAX];

struct bao_writer writer_of(const struct bao_operation *operation)
{
    struct bao_writer writer;
    bao_writer_open(&writer, message_header, sizeof message_header);
    if (operation != NULL)
        assert_int_equal(bao_writer_add(&writer, operation), BAOZI_OK);
    return writer;
}

static uint8_t lengths[4 * BAO_OPERATION_ITEMS_MAX];

struct bao_operation put_of(const uint32_t *sizes, size_t count)
{
    struct bao_operation put = {0};
    for (size_t i = 0; i < count; i++)
        bao_store32(lengths + 4 * i, sizes[i]);
    BAO_SET(&put, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&put, RID, rid, 10);
    BAO_SET(&put, QUEUE, queue, bao_span_text("q"));
    BAO_SET(&put, LENGTHS, lengths, bao_span_of(lengths, 4 * count));
    return put;
}

void message_of(const struct bao_operation *operation,
                const size_t *sizes,
                uint32_t count)
{
    struct bao_writer writer = writer_of(operation);
    (void)message(&writer, sizes, count);
}

struct bao_operation heartbeat(void)
{
    struct bao_operation beat = {0};
    BAO_SET(&beat, VERB, verb, BAO_VERB_HEARTBEAT);
    return beat;
}

struct bao_operation answer_of(uint64_t rid)
{
    struct bao_operation answer = {0};
    BAO_SET(&answer, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&answer, RID, rid, rid);
    BAO_SET(&answer, STATUS, status, BAOZI_OK);
    BAO_SET(&answer, COUNT, count, 1);
    return answer;
}

void will_reply(uint64_t peer, const struct bao_operation *operation)
{
    fake_core.effects[fake_core.effect_count++] =
        (struct bao_effect){.kind = BAO_EFFECT_REPLY,
                            .peer = peer,
                            .level = BAO_LEVEL_MEMORY,
                            .operation = operation};
}

struct bao_operation sent_operation(unsigned i)
{
    struct bao_reader reader;
    struct bao_operation operation;
    assert_true(i < fake_edge.sent_count);
    struct bao_span bytes =
        bao_span_of(fake_edge.sent[i].header, fake_edge.sent[i].header_bytes);
    assert_int_equal(bao_reader_open(&reader, bytes), BAOZI_OK);
    assert_int_equal(reader.operations, 1);
    assert_int_equal(bao_reader_next(&reader, &operation), BAOZI_OK);
    return operation;
}
