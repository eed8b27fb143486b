/*
 * repair_world.c - see repair_world.h.
 */
#include "tests/fuzz/repair_world.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/check.h"
#include "common/poison.h"
#include "common/wire.h"

#define SEGMENT_BYTES (32u * 1024u)
#define CORE_BYTES    (16u << 20)
#define GATEWAY_BYTES (2u << 20)
#define BODIES_BYTES  (4u << 20)
#define PEER          (UINT64_C(1) << 32 | 1)
#define IDLE_US       300000u
#define IDLE_TURNS    8u

/* --- the n-th item --- */

static uint32_t size_of(unsigned n)
{
    return 40 + n * 977 % 2500;
}

static uint8_t byte_of(unsigned n, size_t i)
{
    return (uint8_t)(n * 37 + i * (1 + n % 5));
}

/* --- the fake edge: what is sent but for the ids of items is not looked at */

static void note_id(struct repair_world *world, struct bao_span header)
{
    static struct bao_reader reader;
    struct bao_operation answer;
    enum baozi_status status = bao_reader_open(&reader, header);
    BAO_ASSERT(status == BAOZI_OK);
    while (bao_reader_next(&reader, &answer) == BAOZI_OK) {
        if (answer.verb == BAO_VERB_PUT && answer.status == BAOZI_OK)
            world->ids[world->items] = answer.id;
    }
}

static enum bao_sent send_message(struct bao_edge *edge,
                                  uint64_t peer,
                                  const struct bao_outgoing *message)
{
    (void)peer;
    note_id((struct repair_world *)edge, message->header);
    return BAO_SENT;
}

static void flush(struct bao_edge *edge)
{
    (void)edge;
}

static void admit(struct bao_edge *edge, uint64_t peer)
{
    (void)edge;
    (void)peer;
}

static void close_peer(struct bao_edge *edge, uint64_t peer, const char *why)
{
    (void)edge;
    (void)peer;
    bao_panic(__FILE__, __LINE__, why);
}

static const struct bao_edge_operations operations = {.send = send_message,
                                                      .flush = flush,
                                                      .admit = admit,
                                                      .close = close_peer};

/* --- starts and ends --- */

static void *core_memory;

static struct bao_core *open_core(const struct repair_world *world)
{
    struct bao_core *core = NULL;
    if (core_memory == NULL)
        core_memory = mmap(NULL,
                           CORE_BYTES,
                           PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                           -1,
                           0);
    BAO_ASSERT(core_memory != MAP_FAILED);
    BAO_UNPOISON(core_memory, CORE_BYTES);
    (void)madvise(core_memory, CORE_BYTES, MADV_DONTNEED);
    struct bao_core_config config = {
        .memory = core_memory,
        .memory_bytes = CORE_BYTES,
        .body_bytes_max = UINT64_MAX / 2,
        .unlogged_bytes_max = 1u << 20,
        .parked_bytes_max = 1u << 20,
        .epoch = 1,
        .boot = 77 + world->starts,
        .seed = 42 + world->starts,
        .level = BAO_LEVEL_DISK,
        .answers_max = 256,
        .waiting_max = 16,
        .sessions_max = 8,
        .queues_max = 6,
    };
    enum baozi_status status = bao_core_open(&config, &core);
    BAO_ASSERT(status == BAOZI_OK);
    return core;
}

static void open_rooms(struct repair_world *world)
{
    world->core = open_core(world);
    bao_journal_open(&world->journal);
    world->edge.operations = &operations;
    const struct bao_gateway_config config = {
        .edge = &world->edge,
        .core = world->core,
        .journal = &world->journal,
        .memory_bytes = GATEWAY_BYTES,
        .bodies_bytes = BODIES_BYTES,
        .outbox_peer_bytes = 1u << 20,
        .hold_bytes = 1u << 19,
    };
    enum baozi_status status = bao_gateway_open(&config, &world->gateway);
    BAO_ASSERT(status == BAOZI_OK);
}

static void turn(struct repair_world *world, uint64_t us)
{
    world->now_us += us;
    bao_gateway_tick(world->gateway, world->now_us);
    while (bao_disk_turn(&world->disk, world->now_us))
        continue;
    bao_journal_write(&world->journal, world->now_us, true);
    (void)bao_gateway_release(world->gateway);
}

void repair_world_idle(struct repair_world *world)
{
    for (unsigned i = 0; i < IDLE_TURNS; i++)
        turn(world, IDLE_US);
}

static void says(struct repair_world *world,
                 struct bao_operation *operation,
                 struct bao_frame *bodies)
{
    static uint8_t header[BAO_HEADER_BYTES_MAX];
    static uint8_t room[sizeof(struct bao_frame) + sizeof header];
    struct bao_frame *frames[2] = {(struct bao_frame *)(void *)room, bodies};
    struct bao_writer writer;
    struct bao_work work = {0};
    BAO_SET(operation, RID, rid, world->rid++);
    bao_writer_open(&writer, header, sizeof header);
    enum baozi_status status = bao_writer_add(&writer, operation);
    BAO_ASSERT(status == BAOZI_OK);
    *frames[0] =
        (struct bao_frame){.bytes = bao_writer_close(&writer), .references = 2};
    const struct bao_edge_event event = {.kind = BAO_EDGE_MESSAGE,
                                         .peer = PEER,
                                         .frames = frames,
                                         .frame_count = bodies == NULL ? 1 : 2};
    bao_gateway_event(world->gateway, world->now_us, &event, &work);
    turn(world, 100);
    turn(world, 100);
}

static void greet(struct repair_world *world)
{
    struct bao_operation hello = {0};
    struct bao_operation declare = {0};
    struct bao_work work = {0};
    uint8_t client[16] = "a client that ";
    const struct bao_edge_event opened = {.kind = BAO_EDGE_OPENED,
                                          .peer = PEER};
    client[15] = (uint8_t)world->starts;
    bao_gateway_event(world->gateway, world->now_us, &opened, &work);
    world->rid = 0;
    BAO_SET(&hello, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&hello, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
    BAO_SET(&hello, CLIENT, client, bao_span_of(client, sizeof client));
    says(world, &hello, NULL);
    BAO_SET(&declare, VERB, verb, BAO_VERB_DECLARE);
    BAO_SET(&declare, QUEUE, queue, bao_span_text("jobs"));
    says(world, &declare, NULL);
}

static void close_rooms(struct repair_world *world)
{
    bao_gateway_close(world->gateway);
    bao_journal_close(&world->journal);
    world->disk = (struct bao_disk){.log = NULL};
    world->gateway = NULL;
    world->core = NULL;
}

void repair_world_kill(struct repair_world *world)
{
    if (world->disk.log != NULL)
        bao_log_abandon(world->disk.log);
    free(world->disk.lost);
    close_rooms(world);
    liar_kill(world->liar);
}

void repair_world_close(struct repair_world *world)
{
    const bool good = bao_disk_close(&world->disk, true, world->now_us);
    BAO_ASSERT(good);
    close_rooms(world);
}

bool repair_world_start(struct repair_world *world)
{
    const struct bao_log_config config = {.storage = liar_storage(world->liar),
                                          .folder = "liar",
                                          .segment_bytes = SEGMENT_BYTES,
                                          .seed = 5 + world->starts++};
    int exit_code = 0;
    open_rooms(world);
    world->disk = (struct bao_disk){.log = NULL};
    if (bao_log_open(&config, &world->disk.log, &world->disk.report) !=
        BAOZI_OK) {
        world->disk.log = NULL;
        repair_world_kill(world);
        return false;
    }
    if (!bao_disk_recover(&world->disk,
                          world->core,
                          bao_gateway_bodies(world->gateway),
                          &exit_code)) {
        repair_world_kill(world);
        return false;
    }
    if (world->now_us < bao_core_now_us(world->core))
        world->now_us = bao_core_now_us(world->core);
    bao_core_recovered(world->core, world->now_us, 0);
    bool good = bao_disk_serve(&world->disk,
                               &world->journal,
                               bao_gateway_arena(world->gateway),
                               0, /* no payload stays in memory */
                               world->now_us,
                               &exit_code);
    bao_gateway_tick(world->gateway, world->now_us);
    bao_disk_end_lost(&world->disk, world->gateway, world->now_us);
    good = good && bao_disk_settle(&world->disk, world->now_us);
    BAO_ASSERT(good);
    greet(world);
    repair_world_idle(world);
    return true;
}

/* --- the client --- */

void repair_world_put(struct repair_world *world)
{
    struct bao_operation put = {0};
    uint8_t length[4];
    const unsigned n = ++world->items;
    BAO_ASSERT(n <= REPAIR_ITEMS);
    struct bao_frame *frame = malloc(sizeof *frame + size_of(n));
    BAO_ASSERT(frame != NULL);
    uint8_t *bytes = (uint8_t *)(frame + 1);
    for (size_t i = 0; i < size_of(n); i++)
        bytes[i] = byte_of(n, i);
    *frame = (struct bao_frame){.bytes = bao_span_of(bytes, size_of(n)),
                                .references = 2};
    bao_store32(length, size_of(n));
    world->ids[n] = 0;
    BAO_SET(&put, VERB, verb, BAO_VERB_PUT);
    BAO_SET(&put, QUEUE, queue, bao_span_text("jobs"));
    BAO_SET(&put, LENGTHS, lengths, bao_span_of(length, sizeof length));
    says(world, &put, frame);
    BAO_ASSERT(frame->references == 2);
    BAO_ASSERT(world->ids[n] != 0);
    free(frame);
}

void repair_world_cancel(struct repair_world *world, unsigned n)
{
    struct bao_operation cancel = {0};
    BAO_SET(&cancel, VERB, verb, BAO_VERB_CANCEL_ITEM);
    BAO_SET(&cancel, ID, id, world->ids[n]);
    says(world, &cancel, NULL);
    world->cancelled[n] = true;
}

enum repair_found repair_world_look(struct repair_world *world, unsigned n)
{
    struct bao_bodies *bodies = bao_gateway_bodies(world->gateway);
    struct bao_payload payload;
    if (!bao_bodies_find(bodies, world->ids[n], &payload))
        return REPAIR_ABSENT;
    if (!bao_bodies_keep(bodies, world->ids[n], &payload))
        return REPAIR_DAMAGED;
    BAO_ASSERT(payload.bytes == size_of(n));
    for (size_t i = 0; i < payload.bytes; i++)
        BAO_ASSERT(payload.data[i] == byte_of(n, i));
    bao_bodies_give(bodies, payload.chunk);
    return REPAIR_WHOLE;
}
