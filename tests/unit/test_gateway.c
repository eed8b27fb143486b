/*
 * test_gateway.c - messages, commands, effects and messages again, between a
 * fake edge and a fake core.
 *
 * The fake core notes what it is asked and answers with what the test wrote
 * down; the fake edge keeps what is sent.
 */
#include "broker/gateway.h"
#include "broker/hold.h"
#include "common/wire.h"
#include "tests/lib/unit.h"

#define PEER  (UINT64_C(1) << 32 | 3)
#define OTHER (UINT64_C(1) << 32 | 4)
#define ID(n) (UINT64_C(7) << BAO_ID_SHIFT | (n))

/* --- the fake core --- */

struct bao_core {
    unsigned steps;
    unsigned ticks;
    enum bao_command_kind last_kind;
    uint64_t last_peer;
    uint64_t last_hold;
    uint64_t last_verb;
    uint64_t last_flags;
    bool last_random; /* it was not all zero */
    struct bao_fact facts[4];
    size_t fact_count;
    struct bao_effect effects[2048];
    size_t effect_count;
};

static struct bao_core fake;

static void hand_out(struct bao_out *out)
{
    *out = (struct bao_out){.facts = fake.facts,
                            .fact_count = fake.fact_count,
                            .effects = fake.effects,
                            .effect_count = fake.effect_count};
    fake.fact_count = 0;
    fake.effect_count = 0;
}

void bao_core_step(struct bao_core *core,
                   uint64_t now_us,
                   const struct bao_command *command,
                   struct bao_out *out)
{
    (void)now_us;
    core->steps++;
    core->last_kind = command->kind;
    core->last_peer = command->peer;
    core->last_hold = command->hold;
    core->last_random = false;
    for (size_t i = 0; i < sizeof command->random; i++)
        core->last_random |= command->random[i] != 0;
    if (command->operation != NULL) {
        core->last_verb = command->operation->verb;
        core->last_flags = command->operation->flags;
        /* A test's facts and effects name the hold of this very step. */
        for (size_t i = 0; i < core->effect_count; i++)
            core->effects[i].hold = command->hold;
    }
    hand_out(out);
}

void bao_core_tick(struct bao_core *core, uint64_t now_us, struct bao_out *out)
{
    (void)now_us;
    core->ticks++;
    hand_out(out);
}

uint64_t bao_core_deadline(const struct bao_core *core)
{
    (void)core;
    return 100;
}

/* --- the fake edge --- */

#define SENT_MAX 64

static struct fake_edge {
    struct bao_edge edge;
    enum bao_sent answer;
    unsigned sent_count;
    struct {
        uint64_t peer;
        size_t bodies;
        size_t body_bytes;
        size_t big;
        size_t shared; /* of the big ones, without a copy */
        size_t header_bytes;
        uint8_t header[BAO_HEADER_BYTES_MAX];
    } sent[SENT_MAX];
    unsigned flushes;
    unsigned admitted;
    uint64_t cut_peer;
    unsigned cuts;
    const char *why;
} edge;

static enum bao_sent fake_send(struct bao_edge *base,
                               uint64_t peer,
                               const struct bao_outgoing *message)
{
    (void)base;
    assert_true(edge.sent_count < SENT_MAX);
    assert_true(message->header.bytes <= BAO_HEADER_BYTES_MAX);
    size_t i = edge.sent_count++;
    edge.sent[i].peer = peer;
    edge.sent[i].bodies = message->body_count;
    edge.sent[i].big = message->big_count;
    edge.sent[i].header_bytes = message->header.bytes;
    memcpy(edge.sent[i].header, message->header.data, message->header.bytes);
    edge.sent[i].body_bytes = 0;
    edge.sent[i].shared = 0;
    for (size_t k = 0; k < message->body_count; k++)
        edge.sent[i].body_bytes += message->bodies[k].bytes.bytes;
    for (size_t k = 0; k < message->big_count; k++)
        edge.sent[i].shared += message->big[k].frame != NULL;
    /* It is a message that the other side would take. */
    struct bao_reader reader;
    assert_int_equal(bao_reader_open(&reader, message->header), BAOZI_OK);
    assert_int_equal(reader.claimed.offset, edge.sent[i].body_bytes);
    assert_int_equal(reader.claimed.big, message->big_count);
    return edge.answer;
}

static void fake_flush(struct bao_edge *base)
{
    (void)base;
    edge.flushes++;
}

static void fake_admit(struct bao_edge *base, uint64_t peer)
{
    (void)base;
    assert_int_equal(peer, PEER);
    edge.admitted++;
}

static void fake_close(struct bao_edge *base, uint64_t peer, const char *why)
{
    (void)base;
    edge.cut_peer = peer;
    edge.why = why;
    edge.cuts++;
}

static const struct bao_edge_operations fake_operations = {
    .send = fake_send,
    .flush = fake_flush,
    .admit = fake_admit,
    .close = fake_close,
};

/* --- the world --- */

static struct bao_gateway *gateway;
static struct bao_journal journal;
static unsigned frames_alive;

static void frame_free(struct bao_frame *frame)
{
    frames_alive--;
    free(frame);
}

static struct bao_frame *frame_new(const void *data, size_t bytes)
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

static void event(enum bao_edge_event_kind kind, uint64_t peer)
{
    struct bao_work work = {0};
    struct bao_edge_event told = {.kind = kind, .peer = peer, .why = "x"};
    bao_gateway_event(gateway, 0, &told, &work);
}

static void world_open_with(size_t memory, size_t hold, size_t outbox)
{
    memset(&fake, 0, sizeof fake);
    memset(&edge, 0, sizeof edge);
    edge.edge.operations = &fake_operations;
    bao_journal_open(&journal);
    struct bao_gateway_config config = {
        .edge = &edge.edge,
        .core = &fake,
        .journal = &journal,
        .memory_bytes = memory,
        .bodies_bytes = 64u << 20,
        .hold_bytes = hold,
        .outbox_peer_bytes = outbox,
    };
    assert_int_equal(bao_gateway_open(&config, &gateway), BAOZI_OK);
    event(BAO_EDGE_OPENED, PEER);
    event(BAO_EDGE_OPENED, OTHER);
}

static void world_open(void)
{
    world_open_with(4u << 20, 0, 0);
}

static void world_close(void)
{
    bao_gateway_close(gateway);
    assert_int_equal(frames_alive, 0);
}

/* A message of frames; the header is `writer`'s. */
static struct bao_work
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

static uint8_t header[BAO_HEADER_BYTES_MAX];

static struct bao_writer writer_of(const struct bao_operation *operation)
{
    struct bao_writer writer;
    bao_writer_open(&writer, header, sizeof header);
    if (operation != NULL)
        assert_int_equal(bao_writer_add(&writer, operation), BAOZI_OK);
    return writer;
}

static uint8_t lengths[4 * BAO_OPERATION_ITEMS_MAX];

static struct bao_operation put_of(const uint32_t *sizes, size_t count)
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

static void message_of(const struct bao_operation *operation,
                       const size_t *sizes,
                       uint32_t count)
{
    struct bao_writer writer = writer_of(operation);
    (void)message(&writer, sizes, count);
}

static struct bao_operation heartbeat(void)
{
    struct bao_operation beat = {0};
    BAO_SET(&beat, VERB, verb, BAO_VERB_HEARTBEAT);
    return beat;
}

static struct bao_operation answer_of(uint64_t rid)
{
    struct bao_operation answer = {0};
    BAO_SET(&answer, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&answer, RID, rid, rid);
    BAO_SET(&answer, STATUS, status, BAOZI_OK);
    BAO_SET(&answer, COUNT, count, 1);
    return answer;
}

static void will_reply(uint64_t peer, const struct bao_operation *operation)
{
    fake.effects[fake.effect_count++] =
        (struct bao_effect){.kind = BAO_EFFECT_REPLY,
                            .peer = peer,
                            .level = BAO_LEVEL_MEMORY,
                            .operation = operation};
}

/* The only operation of the i-th message sent. */
static struct bao_operation sent_operation(unsigned i)
{
    struct bao_reader reader;
    struct bao_operation operation;
    assert_true(i < edge.sent_count);
    struct bao_span bytes =
        bao_span_of(edge.sent[i].header, edge.sent[i].header_bytes);
    assert_int_equal(bao_reader_open(&reader, bytes), BAOZI_OK);
    assert_int_equal(reader.operations, 1);
    assert_int_equal(bao_reader_next(&reader, &operation), BAOZI_OK);
    return operation;
}

/* --- messages in --- */

static void test_gateway__an_operation_reaches_the_core(void **state)
{
    (void)state;
    world_open();
    const uint32_t sizes[] = {5, 0, 7};
    const size_t frames[] = {12};
    struct bao_operation put = put_of(sizes, 3);
    struct bao_writer writer = writer_of(&put);
    struct bao_operation beat = heartbeat();
    assert_int_equal(bao_writer_add(&writer, &beat), BAOZI_OK);
    struct bao_work work = message(&writer, frames, 1);
    assert_int_equal(fake.steps, 2);
    assert_int_equal(fake.last_verb, BAO_VERB_HEARTBEAT);
    assert_int_equal(fake.last_peer, PEER);
    assert_int_equal(fake.last_hold, 0);
    assert_int_equal(work.operations, 2);
    assert_int_equal(work.messages, 1);
    assert_true(work.bytes > 12);
    message_of(&put, frames, 1);
    assert_true(fake.last_hold != 0);
    assert_int_equal(frames_alive, 0);
    world_close();
}

static void test_gateway__frames_must_be_what_the_operations_claim(void **s)
{
    (void)s;
    const uint32_t sizes[] = {5, 7};
    const uint32_t with_big[] = {5, 70000 | BAO_BIG_BIT};
    const size_t good[] = {12, 70000};
    const size_t bad[] = {11, 70000};
    struct bao_operation put = put_of(sizes, 2);
    struct bao_operation beat = heartbeat();
    world_open();
    message_of(&put, good, 1); /* right */
    assert_int_equal(fake.steps, 1);
    message_of(&put, bad, 1);  /* one byte short */
    message_of(&put, NULL, 0); /* no bodies frame */
    assert_int_equal(edge.cuts, 0);
    message_of(&put, good, 2); /* a big frame that nobody claims */
    assert_int_equal(fake.steps, 1);
    assert_int_equal(edge.cuts, 1);
    assert_int_equal(edge.cut_peer, PEER);
    message_of(&beat, NULL, 0); /* it is no longer heard */
    assert_int_equal(fake.steps, 1);
    world_close();

    world_open();
    const size_t big[] = {5, 70000};
    const size_t short_big[] = {5, 69999};
    put = put_of(with_big, 2);
    message_of(&put, big, 2);
    assert_int_equal(fake.steps, 1);
    message_of(&put, big, 1);  /* the big one is missing */
    message_of(&beat, big, 1); /* bodies without an operation for them */
    assert_int_equal(edge.cuts, 0);
    /* A big frame of another length can still be answered. */
    message_of(&put, short_big, 2);
    (void)bao_gateway_release(gateway);
    struct bao_operation answer = sent_operation(0);
    assert_int_equal(answer.status, BAOZI_BAD_REQUEST);
    assert_int_equal(answer.rid, 10);
    assert_int_equal(answer.count, 2);
    assert_int_equal(fake.steps, 1);
    world_close();
}

static void test_gateway__garbage_is_a_strike_and_three_end_it(void **state)
{
    (void)state;
    world_open();
    struct bao_work work = {0};
    for (unsigned i = 0; i < 3; i++) {
        struct bao_frame *frame = frame_new("garbage", 7);
        struct bao_edge_event told = {.kind = BAO_EDGE_MESSAGE,
                                      .peer = PEER,
                                      .frames = &frame,
                                      .frame_count = 1};
        assert_int_equal(edge.cuts, 0);
        if (i == 1)
            told = (struct bao_edge_event){.kind = BAO_EDGE_MESSAGE,
                                           .peer = PEER,
                                           .malformed = "too many parts"};
        bao_gateway_event(gateway, 0, &told, &work);
        bao_frame_release(frame);
    }
    assert_int_equal(edge.cuts, 1);
    assert_int_equal(fake.steps, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 0);
    world_close();
}

static void test_gateway__a_bad_operation_is_answered(void **state)
{
    (void)state;
    world_open();
    struct bao_operation bad = {0};
    BAO_SET(&bad, VERB, verb, BAO_VERB_GET); /* of no queue */
    BAO_SET(&bad, RID, rid, 44);
    struct bao_operation beat = heartbeat();
    struct bao_writer writer = writer_of(&bad);
    assert_int_equal(bao_writer_add(&writer, &beat), BAOZI_OK);
    (void)message(&writer, NULL, 0);
    /* Its neighbour in the message is not disturbed. */
    assert_int_equal(fake.steps, 1);
    (void)bao_gateway_release(gateway);
    struct bao_operation answer = sent_operation(0);
    assert_int_equal(answer.verb, BAO_VERB_GET);
    assert_int_equal(answer.rid, 44);
    assert_int_equal(answer.status, BAOZI_BAD_REQUEST);
    assert_true(answer.error.bytes > 0);
    world_close();
}

static void
test_gateway__answers_and_notices_from_a_client_are_strikes(void **s)
{
    (void)s;
    world_open();
    struct bao_operation answer = answer_of(3);
    struct bao_operation notice = {0};
    BAO_SET(&notice, VERB, verb, BAO_VERB_GONE);
    BAO_SET(&notice, STATUS, status, BAOZI_SESSION_GONE);
    message_of(&answer, NULL, 0);
    message_of(&notice, NULL, 0);
    assert_int_equal(edge.cuts, 0);
    message_of(&answer, NULL, 0);
    assert_int_equal(edge.cuts, 1);
    assert_int_equal(fake.steps, 0);
    world_close();
}

static void test_gateway__a_bad_item_header_refuses_the_put(void **state)
{
    (void)state;
    world_open();
    const uint32_t sizes[] = {20};
    const size_t frames[] = {20};
    uint8_t headers[4];
    struct bao_operation put = put_of(sizes, 1);
    bao_store32(headers, 4); /* "bbbb" is no map */
    BAO_SET(&put, HEADER_LENGTHS, header_lengths, bao_span_of(headers, 4));
    message_of(&put, frames, 1);
    assert_int_equal(fake.steps, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(sent_operation(0).status, BAOZI_BAD_REQUEST);
    world_close();
}

static struct bao_operation hello(uint32_t least, uint32_t most)
{
    struct bao_operation hello = {0};
    BAO_SET(&hello, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&hello, RID, rid, 0);
    BAO_SET(&hello, PROTOCOL, protocol, most);
    BAO_SET(&hello, PROTOCOL_MIN, protocol_min, least);
    BAO_SET(&hello, CLIENT, client, bao_span_text("0123456789abcdef"));
    return hello;
}

static void test_gateway__hello_is_welcomed_in_a_version_both_speak(void **s)
{
    (void)s;
    world_open();
    struct bao_operation future = hello(2, 9);
    message_of(&future, NULL, 0);
    assert_int_equal(fake.steps, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(sent_operation(0).status, BAOZI_BAD_VERSION);
    assert_int_equal(sent_operation(0).protocol, BAO_PROTOCOL_VERSION);
    assert_int_equal(edge.admitted, 0);

    struct bao_operation both = hello(1, 9);
    struct bao_operation welcome = {0};
    BAO_SET(&welcome, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&welcome, RID, rid, 0);
    BAO_SET(&welcome, STATUS, status, BAOZI_OK);
    will_reply(PEER, &welcome);
    message_of(&both, NULL, 0);
    assert_int_equal(fake.steps, 1);
    assert_true(fake.last_random);
    assert_int_equal(edge.admitted, 1);
    world_close();
}

static void test_gateway__another_header_version_is_told_so(void **state)
{
    (void)state;
    world_open();
    struct bao_operation beat = heartbeat();
    struct bao_writer writer = writer_of(&beat);
    header[3] = 99; /* behind array16 and its count */
    (void)message(&writer, NULL, 0);
    (void)bao_gateway_release(gateway);
    struct bao_operation notice = sent_operation(0);
    assert_int_equal(notice.verb, BAO_VERB_GONE);
    assert_int_equal(notice.status, BAOZI_BAD_VERSION);
    world_close();
}

static void test_gateway__a_closed_peer_is_told_to_the_core(void **state)
{
    (void)state;
    world_open();
    struct bao_work work = {0};
    event(BAO_EDGE_CLOSED, OTHER);
    assert_int_equal(fake.last_kind, BAO_COMMAND_PEER_CLOSED);
    assert_int_equal(fake.last_peer, OTHER);
    struct bao_edge_event gone = {.kind = BAO_EDGE_CLOSED,
                                  .peer = PEER,
                                  .process_gone = true,
                                  .why = "x"};
    bao_gateway_event(gateway, 0, &gone, &work);
    assert_int_equal(fake.last_kind, BAO_COMMAND_PROCESS_GONE);
    assert_int_equal(bao_gateway_peers(gateway), 0);
    world_close();
}

/* --- bodies --- */

/* The core keeps the put's hold, as it does while it is parked. */
static void test_gateway__parked_bodies_have_a_cap(void **state)
{
    (void)state;
    world_open_with(4u << 20, 100, 0);
    const uint32_t sizes[] = {80};
    const size_t frames[] = {80};
    struct bao_operation put = put_of(sizes, 1);
    for (unsigned i = 0; i < 2; i++) {
        fake.effects[0] = (struct bao_effect){.kind = BAO_EFFECT_KEEP};
        fake.effect_count = 1;
        message_of(&put, frames, 1);
        assert_true(fake.last_hold != 0);
        assert_int_equal(fake.last_flags & BAO_FLAG_NO_BODY, 0);
    }
    /* Beyond it a put comes without its body, and is asked later. */
    message_of(&put, frames, 1);
    assert_int_equal(fake.last_hold, 0);
    assert_true((fake.last_flags & BAO_FLAG_NO_BODY) != 0);
    world_close();
}

/* Stores n bodies of `bytes` each under ids 1..n. */
static void store(uint32_t n, uint32_t bytes)
{
    static struct bao_put_item items[BAO_OPERATION_ITEMS_MAX];
    bool big = bytes >= BAO_BIG_BYTES;
    for (uint32_t first = 0; first < n;) {
        uint32_t some = big ? 1 : n - first;
        if (some * bytes > BAO_BODIES_BYTES_MAX)
            some = BAO_BODIES_BYTES_MAX / bytes;
        static uint32_t sizes[BAO_OPERATION_ITEMS_MAX];
        for (uint32_t i = 0; i < some; i++) {
            sizes[i] = big ? bytes | BAO_BIG_BIT : bytes;
            items[i].body = (struct bao_body){
                .part = big, .offset = i * bytes, .bytes = bytes};
        }
        const size_t frames[] = {big ? 0 : some * bytes, bytes};
        struct bao_operation put = put_of(sizes, some);
        /* The fake core cannot know the hold's handle before the step: the
         * first hold of a gateway is 1 << 32. Holds end with each step. */
        static uint64_t handle;
        handle = first == 0 ? UINT64_C(1) << 32 : handle + (UINT64_C(1) << 32);
        for (uint32_t i = 0; i < some; i++)
            items[i].body.hold = handle;
        fake.facts[0] = (struct bao_fact){.kind = BAO_FACT_ITEM_PUT,
                                          .queue = 7,
                                          .first_id = ID(1 + first),
                                          .count = some,
                                          .items = items};
        fake.fact_count = 1;
        message_of(&put, frames, big ? 2 : 1);
        assert_int_equal(fake.last_hold, handle);
        first += some;
    }
}

static uint8_t ids[8 * BAO_OPERATION_ITEMS_MAX];

/* A GET's answer with items first .. first + count - 1 of `bytes` each. */
static struct bao_operation got(uint32_t first, uint32_t count, uint32_t bytes)
{
    struct bao_operation answer = {0};
    for (uint32_t i = 0; i < count; i++) {
        bao_store64(ids + 8 * (first - 1 + i), ID(first + i));
        bao_store32(lengths + 4 * (first - 1 + i), bytes);
    }
    BAO_SET(&answer, VERB, verb, BAO_VERB_GET);
    BAO_SET(&answer, RID, rid, first);
    BAO_SET(&answer, STATUS, status, BAOZI_OK);
    BAO_SET(&answer, TOKEN, token, 1);
    BAO_SET(&answer,
            IDS,
            ids,
            bao_span_of(ids + 8 * (size_t)(first - 1), 8 * (size_t)count));
    BAO_SET(&answer,
            LENGTHS,
            lengths,
            bao_span_of(lengths + 4 * (size_t)(first - 1), 4 * (size_t)count));
    return answer;
}

static void test_gateway__a_reply_carries_the_bodies_of_its_ids(void **state)
{
    (void)state;
    world_open();
    store(10, 100);
    struct bao_operation answer = got(2, 5, 100);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 1);
    assert_int_equal(edge.sent[0].bodies, 5);
    assert_int_equal(edge.sent[0].body_bytes, 500);
    world_close();
}

static void test_gateway__big_bodies_are_frames_and_are_shared(void **state)
{
    (void)state;
    world_open();
    store(3, 70000);
    struct bao_operation answer = got(1, 3, 70000);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent[0].bodies, 0);
    assert_int_equal(edge.sent[0].big, 3);
    assert_int_equal(edge.sent[0].shared, 3);
    world_close();
}

static void test_gateway__what_the_step_settled_is_still_sent(void **state)
{
    (void)state;
    world_open();
    store(1, 100);
    uint64_t id = ID(1);
    fake.facts[0] = (struct bao_fact){
        .kind = BAO_FACT_ITEM_SETTLED, .queue = 7, .count = 1, .ids = &id};
    fake.fact_count = 1;
    struct bao_operation answer = got(1, 1, 100);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent[0].body_bytes, 100);
    world_close();
}

/* --- messages out --- */

static void test_gateway__replies_of_a_turn_are_one_message_a_peer(void **s)
{
    (void)s;
    world_open();
    struct bao_operation beat = heartbeat();
    static struct bao_operation answers[300];
    for (unsigned i = 0; i < 300; i++) {
        answers[i] = answer_of(1 + i);
        will_reply(i % 3 == 0 ? OTHER : PEER, &answers[i]);
        if (i % 50 == 0)
            message_of(&beat, NULL, 0);
    }
    bao_gateway_tick(gateway, 100);
    assert_int_equal(edge.sent_count, 0);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    assert_int_equal(edge.flushes, 1);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    world_close();
}

static void test_gateway__a_message_is_split_at_the_limits(void **state)
{
    (void)state;
    /* Operations. */
    world_open();
    static struct bao_operation answers[2000];
    for (unsigned i = 0; i < 2000; i++) {
        answers[i] = answer_of(1 + i);
        will_reply(PEER, &answers[i]);
    }
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    world_close();

    /* Big frames: 15 at most. */
    world_open();
    store(20, 70000);
    for (uint32_t i = 0; i < 20; i++) {
        answers[i] = got(1 + i, 1, 70000);
        will_reply(PEER, &answers[i]);
    }
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    assert_int_equal(edge.sent[0].big, 15);
    assert_int_equal(edge.sent[1].big, 5);
    world_close();

    /* The bodies frame: 4 MiB at most. */
    world_open();
    store(100, 60000);
    for (uint32_t i = 0; i < 100; i++) {
        answers[i] = got(1 + i, 1, 60000);
        will_reply(PEER, &answers[i]);
    }
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    assert_true(edge.sent[0].body_bytes <= BAO_BODIES_BYTES_MAX);
    assert_int_equal(edge.sent[0].body_bytes + edge.sent[1].body_bytes,
                     6000000);
    world_close();
}

static void test_gateway__holds_back_while_the_edge_is_full(void **state)
{
    (void)state;
    world_open();
    struct bao_operation answer = answer_of(1);
    edge.answer = BAO_PARKED;
    for (unsigned i = 0; i < 5; i++) {
        will_reply(PEER, &answer);
        bao_gateway_tick(gateway, 100);
        (void)bao_gateway_release(gateway);
    }
    assert_int_equal(edge.sent_count, 1);
    /* Then the rest goes as one. */
    edge.answer = BAO_SENT;
    event(BAO_EDGE_WRITABLE, PEER);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    struct bao_reader reader;
    assert_int_equal(bao_reader_open(&reader,
                                     bao_span_of(edge.sent[1].header,
                                                 edge.sent[1].header_bytes)),
                     BAOZI_OK);
    assert_int_equal(reader.operations, 4);
    world_close();
}

static void test_gateway__who_does_not_read_is_cut(void **state)
{
    (void)state;
    world_open_with(4u << 20, 0, 2000);
    store(1, 1000);
    struct bao_operation answer = got(1, 1, 1000);
    edge.answer = BAO_PARKED;
    for (unsigned i = 0; i < 10 && edge.cuts == 0; i++) {
        will_reply(PEER, &answer);
        bao_gateway_tick(gateway, 100);
        (void)bao_gateway_release(gateway);
        assert_true(i < 5);
    }
    assert_int_equal(edge.cuts, 1);
    assert_int_equal(edge.sent_count, 1);
    /* The other one gets its answers. */
    edge.answer = BAO_SENT;
    will_reply(OTHER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 2);
    assert_int_equal(edge.sent[1].peer, OTHER);
    world_close();
}

static void test_gateway__replies_to_the_gone_are_dropped(void **state)
{
    (void)state;
    world_open();
    struct bao_operation answer = answer_of(1);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    event(BAO_EDGE_CLOSED, PEER);
    will_reply(PEER, &answer);
    bao_gateway_tick(gateway, 100);
    (void)bao_gateway_release(gateway);
    assert_int_equal(edge.sent_count, 0);
    world_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gateway__an_operation_reaches_the_core),
        cmocka_unit_test(
            test_gateway__frames_must_be_what_the_operations_claim),
        cmocka_unit_test(test_gateway__garbage_is_a_strike_and_three_end_it),
        cmocka_unit_test(test_gateway__a_bad_operation_is_answered),
        cmocka_unit_test(
            test_gateway__answers_and_notices_from_a_client_are_strikes),
        cmocka_unit_test(test_gateway__a_bad_item_header_refuses_the_put),
        cmocka_unit_test(
            test_gateway__hello_is_welcomed_in_a_version_both_speak),
        cmocka_unit_test(test_gateway__another_header_version_is_told_so),
        cmocka_unit_test(test_gateway__a_closed_peer_is_told_to_the_core),
        cmocka_unit_test(test_gateway__parked_bodies_have_a_cap),
        cmocka_unit_test(test_gateway__a_reply_carries_the_bodies_of_its_ids),
        cmocka_unit_test(test_gateway__big_bodies_are_frames_and_are_shared),
        cmocka_unit_test(test_gateway__what_the_step_settled_is_still_sent),
        cmocka_unit_test(
            test_gateway__replies_of_a_turn_are_one_message_a_peer),
        cmocka_unit_test(test_gateway__a_message_is_split_at_the_limits),
        cmocka_unit_test(test_gateway__holds_back_while_the_edge_is_full),
        cmocka_unit_test(test_gateway__who_does_not_read_is_cut),
        cmocka_unit_test(test_gateway__replies_to_the_gone_are_dropped),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
