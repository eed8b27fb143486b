/*
 * broker_world.c - what broker_world.h promises.
 */
#include "tests/fuzz/broker_world.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "broker/core/image.h"
#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "common/wire.h"

#define CORE_BYTES     (16u << 20)
#define GATEWAY_BYTES  (2u << 20)
#define BODIES_BYTES   (4u << 20)
#define START_US       UINT64_C(1000000000)
#define WALL_OFFSET_US INT64_C(1700000000000000)
#define TICKS_MAX      100000u /* at one moment: more is a live-lock */
#define CHECK_TURNS    8u      /* recounting everything costs */

static struct fuzz_broker *world; /* the one there is */

/* --- what the target takes over (see wrap.mk) ---------------------------- */

/* NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier) */
void __real_bao_core_step(struct bao_core *core,
                          uint64_t now_us,
                          const struct bao_command *command,
                          struct bao_out *out);
void __real_bao_core_tick(struct bao_core *core,
                          uint64_t now_us,
                          struct bao_out *out);
void __wrap_bao_core_step(struct bao_core *core,
                          uint64_t now_us,
                          const struct bao_command *command,
                          struct bao_out *out);
void __wrap_bao_core_tick(struct bao_core *core,
                          uint64_t now_us,
                          struct bao_out *out);
void __wrap_bao_random_fill(void *data, size_t bytes);
void __wrap_bao_log_line(enum bao_log_level level,
                         const struct bao_log_field *fields);

static void follow(const struct bao_out *out)
{
    for (size_t i = 0; i < out->fact_count; i++) {
        bao_core_apply(world->replica, &out->facts[i]);
        world->partial |= out->facts[i].unlogged;
    }
    BAO_ASSERT(bao_core_digest(world->core) == bao_core_digest(world->replica));
}

void __wrap_bao_core_step(struct bao_core *core,
                          uint64_t now_us,
                          const struct bao_command *command,
                          struct bao_out *out)
{
    __real_bao_core_step(core, now_us, command, out);
    follow(out);
}

void __wrap_bao_core_tick(struct bao_core *core,
                          uint64_t now_us,
                          struct bao_out *out)
{
    __real_bao_core_tick(core, now_us, out);
    follow(out);
}

void __wrap_bao_random_fill(void *data, size_t bytes)
{
    uint8_t *at = data;
    for (size_t i = 0; i < bytes; i++) {
        world->random = world->random * UINT64_C(6364136223846793005) + 1;
        at[i] = (uint8_t)(world->random >> 56);
    }
}

void __wrap_bao_log_line(enum bao_log_level level,
                         const struct bao_log_field *fields)
{
    (void)level;
    BAO_ASSERT(fields[0].name != NULL);
}

/* NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier) */

/* --- frames -------------------------------------------------------------- */

static void frame_free(struct bao_frame *frame)
{
    world->frames--;
    free(frame);
}

static struct bao_frame *frame_new(const void *data, size_t bytes)
{
    struct bao_frame *frame = malloc(sizeof *frame + bytes);
    BAO_ASSERT(frame != NULL);
    uint8_t *at = (uint8_t *)(frame + 1);
    if (data == NULL) {
        memset(at, (int)(bytes & 255u), bytes);
    } else if (bytes > 0) {
        memcpy(at, data, bytes);
    }
    *frame = (struct bao_frame){
        .bytes = bao_span_of(at, bytes), .references = 1, .free = frame_free};
    world->frames++;
    return frame;
}

/* Fills the bodies frame body by body, as the header claims them. */
static void fill_bodies(struct bao_span header, struct bao_frame *bodies)
{
    static struct bao_reader reader;
    struct bao_operation operation;
    uint8_t *at = (uint8_t *)(bodies + 1);
    size_t left = bodies->bytes.bytes;
    if (bao_reader_open(&reader, header) != BAOZI_OK) {
        return;
    }
    while (bao_reader_next(&reader, &operation) != BAOZI_EMPTY) {
        bool no_body = operation.verb == BAO_VERB_PUT &&
                       (operation.flags & BAO_FLAG_NO_BODY) != 0;
        size_t count = no_body ? 0 : bao_column32_count(operation.lengths);
        for (size_t i = 0; i < count; i++) {
            uint32_t length = bao_column32(operation.lengths, i);
            if ((length & BAO_BIG_BIT) != 0) {
                continue;
            }
            size_t bytes = length < left ? length : left;
            memset(at, (int)(length & 255u), bytes);
            at += bytes;
            left -= bytes;
        }
    }
}

/* --- the fake edge ------------------------------------------------------- */

static struct fuzz_peer *peer_of(uint64_t handle)
{
    for (unsigned i = 0; i < FUZZ_PEERS; i++) {
        if (world->peers[i].handle == handle && handle != 0) {
            return &world->peers[i];
        }
    }
    return NULL;
}

/* The parts of a message as spans: 0 = the bodies frame, made whole. */
static size_t gather_parts(const struct bao_outgoing *message,
                           struct bao_span parts[BAO_PARTS_MAX])
{
    static uint8_t bodies[BAO_BODIES_BYTES_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i < message->body_count; i++) {
        struct bao_span piece = message->bodies[i].bytes;
        BAO_ASSERT(bytes + piece.bytes <= sizeof bodies);
        if (piece.bytes > 0) {
            memcpy(bodies + bytes, piece.data, piece.bytes);
        }
        bytes += piece.bytes;
    }
    parts[0] = bao_span_of(bodies, bytes);
    for (size_t i = 0; i < message->big_count; i++) {
        parts[1 + i] = message->big[i].bytes;
    }
    return 1 + message->big_count;
}

static void check_bodies(const struct bao_operation *operation,
                         const struct bao_span *parts,
                         size_t part_count)
{
    struct bao_body_cursor cursor = operation->bodies;
    for (size_t i = 0; i < bao_column32_count(operation->lengths); i++) {
        uint32_t length = bao_column32(operation->lengths, i);
        struct bao_body_place place = bao_body_next(&cursor, length);
        if (place.bytes == 0) {
            continue;
        }
        BAO_ASSERT(place.part < part_count);
        struct bao_span part = parts[place.part];
        BAO_ASSERT(place.offset + (size_t)place.bytes <= part.bytes);
        const uint8_t *at = part.data + place.offset;
        BAO_ASSERT(world->raw || at[0] == (place.bytes & 255u));
        BAO_ASSERT(world->raw || at[place.bytes - 1] == (place.bytes & 255u));
    }
}

static enum bao_sent send_message(struct bao_edge *edge,
                                  uint64_t handle,
                                  const struct bao_outgoing *message)
{
    static struct bao_reader reader;
    struct bao_span parts[BAO_PARTS_MAX];
    struct bao_operation operation;
    struct fuzz_peer *peer = peer_of(handle);
    (void)edge;
    BAO_ASSERT(message->big_count <= BAO_BIG_FRAMES_MAX);
    size_t part_count = gather_parts(message, parts);
    enum baozi_status status = bao_reader_open(&reader, message->header);
    BAO_ASSERT(status == BAOZI_OK);
    BAO_ASSERT(reader.claimed.offset == parts[0].bytes);
    BAO_ASSERT(reader.claimed.big == message->big_count);
    BAO_ASSERT(peer != NULL && !peer->cut);
    if (peer->sends == BAO_GONE) {
        return BAO_GONE;
    }
    while ((status = bao_reader_next(&reader, &operation)) == BAOZI_OK) {
        check_bodies(&operation, parts, part_count);
        fuzz_know(&peer->known, &operation);
    }
    fuzz_all_valid(status, &operation, reader.why);
    if (world->hears != NULL) {
        world->hears(world, peer, message);
    }
    return peer->sends;
}

static void flush(struct bao_edge *edge)
{
    (void)edge;
}

static void admit(struct bao_edge *edge, uint64_t handle)
{
    (void)edge;
    BAO_ASSERT(peer_of(handle) != NULL);
}

static void close_peer(struct bao_edge *edge, uint64_t handle, const char *why)
{
    (void)edge;
    struct fuzz_peer *peer = peer_of(handle);
    BAO_ASSERT(peer != NULL && why != NULL);
    peer->cut = true;
}

static const struct bao_edge_operations operations = {
    .send = send_message,
    .flush = flush,
    .admit = admit,
    .close = close_peer,
};

/* --- the world ------------------------------------------------------------ */

static void *core_memory[3];

static struct bao_core *open_core(unsigned i)
{
    struct bao_core_config config = {
        .memory_bytes = CORE_BYTES,
        .body_bytes_max = BODIES_BYTES / 2,
        .parked_bytes_max = 1u << 20,
        .now_us = START_US,
        .wall_offset_us = WALL_OFFSET_US,
        .epoch = 1,
        .boot = 77,
        .seed = 42,
        .level = BAO_LEVEL_DISK, /* so that queues are logged, and in images */
        .answers_max = 16,
        .waiting_max = 16,
        .sessions_max = 8,
        .queues_max = 6,
    };
    struct bao_core *core = NULL;
    /* The range stays for the next input: mapping it anew costs more than all
     * that an input does. */
    if (core_memory[i] == NULL) {
        core_memory[i] = mmap(NULL,
                              CORE_BYTES,
                              PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                              -1,
                              0);
        BAO_ASSERT(core_memory[i] != MAP_FAILED);
    }
    (void)madvise(core_memory[i], CORE_BYTES, MADV_DONTNEED);
    config.memory = core_memory[i];
    enum baozi_status status = bao_core_open(&config, &core);
    BAO_ASSERT(status == BAOZI_OK);
    return core;
}

void fuzz_broker_open(struct fuzz_broker *broker)
{
    *broker = (struct fuzz_broker){.now_us = START_US, .random = 7};
    world = broker;
    broker->edge.operations = &operations;
    for (unsigned i = 0; i < FUZZ_PEERS; i++) {
        memset(broker->peers[i].known.client,
               (int)('a' + i),
               sizeof broker->peers[i].known.client);
        broker->peers[i].known.rid = 1;
    }
    broker->core = open_core(0);
    broker->replica = open_core(1);
    bao_journal_open(&broker->journal);
    struct bao_gateway_config config = {
        .edge = &broker->edge,
        .core = broker->core,
        .journal = &broker->journal,
        .memory_bytes = GATEWAY_BYTES,
        .bodies_bytes = BODIES_BYTES,
        .outbox_peer_bytes = 1u << 20,
        .hold_bytes = 1u << 19,
    };
    enum baozi_status status = bao_gateway_open(&config, &broker->gateway);
    BAO_ASSERT(status == BAOZI_OK);
    /* The first step says EPOCH, which must not come while an image is made. */
    const struct bao_command first = {.kind = BAO_COMMAND_WALL_JUMPED,
                                      .wall_offset_us = WALL_OFFSET_US};
    fuzz_broker_command(broker, &first);
    fuzz_broker_turn(broker);
}

void fuzz_peer_open(struct fuzz_broker *broker, struct fuzz_peer *peer)
{
    if (peer->handle != 0) {
        return;
    }
    peer->generation++;
    peer->handle =
        (uint64_t)peer->generation << 32 | (uint64_t)(peer - broker->peers);
    peer->sends = BAO_SENT;
    struct bao_edge_event event = {.kind = BAO_EDGE_OPENED,
                                   .peer = peer->handle};
    struct bao_work work = {0};
    bao_gateway_event(broker->gateway, broker->now_us, &event, &work);
}

void fuzz_peer_close(struct fuzz_broker *broker,
                     struct fuzz_peer *peer,
                     bool process_gone)
{
    if (peer->handle == 0) {
        return;
    }
    struct bao_edge_event event = {.kind = BAO_EDGE_CLOSED,
                                   .peer = peer->handle,
                                   .process_gone = process_gone,
                                   .why = "closed"};
    struct bao_work work = {0};
    bao_gateway_event(broker->gateway, broker->now_us, &event, &work);
    peer->handle = 0;
    peer->cut = false;
}

void fuzz_peer_writable(struct fuzz_broker *broker, struct fuzz_peer *peer)
{
    struct bao_edge_event event = {.kind = BAO_EDGE_WRITABLE,
                                   .peer = peer->handle};
    struct bao_work work = {0};
    if (peer->handle != 0) {
        peer->sends = BAO_SENT;
        bao_gateway_event(broker->gateway, broker->now_us, &event, &work);
    }
}

void fuzz_peer_says(struct fuzz_broker *broker,
                    struct fuzz_peer *peer,
                    struct bao_span header,
                    const size_t *sizes,
                    uint32_t count)
{
    struct bao_frame *frames[BAO_PARTS_MAX];
    struct bao_work work = {0};
    BAO_ASSERT(count < BAO_PARTS_MAX);
    if (peer->handle == 0 || peer->cut) {
        return;
    }
    frames[0] = frame_new(header.data, header.bytes);
    for (uint32_t i = 0; i < count; i++) {
        frames[1 + i] = frame_new(NULL, sizes[i]);
    }
    if (count > 0) {
        fill_bodies(header, frames[1]);
    }
    struct bao_edge_event event = {.kind = BAO_EDGE_MESSAGE,
                                   .peer = peer->handle,
                                   .frames = frames,
                                   .frame_count = 1 + count};
    bao_gateway_event(broker->gateway, broker->now_us, &event, &work);
    for (uint32_t i = 0; i <= count; i++) {
        bao_frame_release(frames[i]);
    }
}

void fuzz_broker_command(struct fuzz_broker *broker,
                         const struct bao_command *command)
{
    bao_gateway_command(broker->gateway, broker->now_us, command);
}

void fuzz_broker_image(struct fuzz_broker *broker)
{
    if (bao_image_under_way(broker->core)) {
        return;
    }
    broker->image_digest = bao_core_digest(broker->core);
    if (bao_image_begin(broker->core)) {
        broker->imaged = open_core(2);
    }
}

/* Loads what a slice of the image brought; at its end, all of it is there. */
static void image_goes_on(struct fuzz_broker *broker, uint32_t records)
{
    static uint8_t piece[BAO_IMAGE_PIECE_BYTES];
    const char *why = NULL;
    if (!bao_image_under_way(broker->core)) {
        return;
    }
    size_t bytes = bao_image_next(broker->core, records, piece, sizeof piece);
    if (bao_image_failed(broker->core)) {
        broker->imaged = NULL; /* for want of memory: nothing else is harmed */
        return;
    }
    if (bytes > 0) {
        enum baozi_status status =
            bao_image_load(broker->imaged, bao_span_of(piece, bytes), &why);
        BAO_ASSERT(status == BAOZI_OK);
    }
    if (!bao_image_under_way(broker->core)) {
        enum baozi_status status = bao_image_loaded(broker->imaged, &why);
        BAO_ASSERT(status == BAOZI_OK);
        BAO_ASSERT(broker->partial ||
                   bao_core_digest(broker->imaged) == broker->image_digest);
        bao_core_check(broker->imaged);
        broker->imaged = NULL;
    }
}

void fuzz_broker_turn(struct fuzz_broker *broker)
{
    image_goes_on(broker, 2);
    unsigned ticks = 0;
    while (bao_core_deadline(broker->core) <= broker->now_us) {
        BAO_ASSERT(ticks < TICKS_MAX);
        bao_gateway_tick(broker->gateway, broker->now_us);
        ticks++;
    }
    while (bao_gateway_release(broker->gateway)) {
        BAO_ASSERT(ticks < TICKS_MAX);
        ticks++;
    }
    for (unsigned i = 0; i < FUZZ_PEERS; i++) {
        if (broker->peers[i].cut) {
            fuzz_peer_close(broker, &broker->peers[i], false);
        }
    }
    if (broker->turns++ % CHECK_TURNS == 0) {
        bao_core_check(broker->core);
    }
    BAO_ASSERT(bao_gateway_bytes(broker->gateway) <=
               GATEWAY_BYTES + BODIES_BYTES);
}

void fuzz_broker_close(struct fuzz_broker *broker)
{
    for (unsigned i = 0; i < FUZZ_PEERS; i++) {
        fuzz_peer_close(broker, &broker->peers[i], false);
    }
    broker->now_us += UINT64_C(3) * 3600 * 1000000;
    broker->turns = 0;
    fuzz_broker_turn(broker);
    while (bao_image_under_way(broker->core)) {
        image_goes_on(broker, BAO_IMAGE_SLICE);
    }
    BAO_ASSERT(bao_core_sessions(broker->core) == 0);
    BAO_ASSERT(bao_core_leases(broker->core) == 0);
    bao_gateway_close(broker->gateway);
    BAO_ASSERT(broker->frames == 0);
    world = NULL;
}
