/*
 * gateway.c - events of the edge become commands of the core.
 *
 * Invariant: peers[i] has a handle whose low half is i; every peer that the
 * edge said OPENED of and not yet CLOSED has a record.
 */
#include "broker/gateway.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "broker/gateway_inner.h"
#include "common/check.h"
#include "common/log.h"
#include "common/planted.h"
#include "common/poison.h"
#include "common/random.h"

#define OUTBOX_PEER_BYTES (UINT64_C(64) << 20)
#define PEERS_AT_ONCE     256u

/* --- peers --- */

struct bao_gateway_peer *bao_gateway_find(const struct bao_gateway *gateway,
                                          uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= gateway->peer_slots)
        return NULL;
    struct bao_gateway_peer *peer = gateway->peers[index];
    return peer != NULL && peer->handle == handle ? peer : NULL;
}

static bool peers_grow(struct bao_gateway *gateway, uint32_t index)
{
    uint32_t slots = (index / PEERS_AT_ONCE + 1) * PEERS_AT_ONCE;
    if (index < gateway->peer_slots)
        return true;
    struct bao_gateway_peer **peers =
        realloc(gateway->peers, slots * sizeof *peers);
    if (peers == NULL)
        return false;
    memset(peers + gateway->peer_slots,
           0,
           (slots - gateway->peer_slots) * sizeof *peers);
    gateway->peers = peers;
    gateway->peer_slots = slots;
    return true;
}

static void peer_opened(struct bao_gateway *gateway,
                        const struct bao_edge_event *event)
{
    uint32_t index = (uint32_t)event->peer;
    struct bao_gateway_peer *peer = NULL;
    if (peers_grow(gateway, index))
        peer = bao_arena_take(gateway->arena, sizeof *peer);
    if (peer == NULL) {
        bao_edge_close(gateway->edge, event->peer, "no memory for a peer");
        return;
    }
    BAO_ASSERT(gateway->peers[index] == NULL);
    *peer = (struct bao_gateway_peer){.handle = event->peer};
    bao_outbox_peer_open(&peer->box);
    gateway->peers[index] = peer;
    gateway->peer_count++;
}

static void peer_free(struct bao_gateway *gateway,
                      struct bao_gateway_peer *peer)
{
    bao_outbox_peer_close(&gateway->outbox, &peer->box);
    gateway->peers[(uint32_t)peer->handle] = NULL;
    gateway->peer_count--;
    bao_arena_give(gateway->arena, peer);
}

/* False if it was ended before. */
static bool end_peer(struct bao_gateway *gateway,
                     struct bao_gateway_peer *peer,
                     const char *why)
{
    if (peer->cut)
        return false;
    peer->cut = true;
    BAO_LOG(BAO_LOG_WARNING,
            bao_event("peer_cut"),
            bao_number("peer", peer->handle),
            bao_text("why", why));
    bao_outbox_peer_close(&gateway->outbox, &peer->box);
    return true;
}

void bao_gateway_cut(struct bao_gateway *gateway,
                     struct bao_gateway_peer *peer,
                     const char *why)
{
    if (end_peer(gateway, peer, why))
        bao_edge_close(gateway->edge, peer->handle, why);
}

static void strike(struct bao_gateway *gateway,
                   struct bao_gateway_peer *peer,
                   const char *why)
{
    peer->strikes++;
    BAO_LOG(BAO_LOG_WARNING,
            bao_event("strike"),
            bao_number("peer", peer->handle),
            bao_number("strikes", peer->strikes),
            bao_text("why", why));
    const char *end = "too many malformed messages";
    if (peer->strikes >= BAO_STRIKES_MAX && end_peer(gateway, peer, end))
        bao_edge_punish(gateway->edge, peer->handle, end);
}

/* --- what the core said --- */

/* The newest item of an answer is the one that was put last. */
static uint64_t newest(const struct bao_operation *operation)
{
    uint64_t id = bao_has(operation, BAO_BIT(ID)) ? operation->id : 0;
    if (!bao_has(operation, BAO_BIT(IDS)))
        return id;
    for (size_t i = 0; i < bao_column64_count(operation->ids); i++) {
        const uint64_t next = bao_column64(operation->ids, i);
        id = next > id ? next : id;
    }
    return id;
}

/* What a reply must wait for; `step` is the position of its step's facts. */
static struct bao_need need_of(const struct bao_gateway *gateway,
                               struct bao_gateway_peer *peer,
                               const struct bao_effect *effect,
                               uint64_t step)
{
    struct bao_depends on = {.step = step};
    const uint64_t synced = bao_journal_marks(gateway->journal).synced;
    if (effect->wait != BAO_WAIT_NONE && effect->level < BAO_LEVEL_DISK)
        on.made = bao_journal_made(gateway->journal, effect->queue);
    if (effect->wait == BAO_WAIT_LEASE && effect->level >= BAO_LEVEL_DISK)
        on.puts =
            bao_journal_put_of(gateway->journal, newest(effect->operation));
    else if (effect->wait != BAO_WAIT_NONE && effect->level >= BAO_LEVEL_OS)
        on.queue = bao_journal_last(gateway->journal, effect->queue);
    if (BAO_PLANTED(LEASE_UNSYNCED))
        on.puts = 0;
    struct bao_need need = bao_outbox_need(effect->wait, effect->level, &on);
    if (BAO_PLANTED(DUPLICATE_EARLY) &&
        effect->operation->verb == BAO_VERB_PUT &&
        bao_has(effect->operation, BAO_BIT(FLAGS)) &&
        (effect->operation->flags & BAO_FLAG_DUPLICATE) != 0)
        return (struct bao_need){.at = {0}};
    if (effect->operation->verb != BAO_VERB_DELIVER)
        return need;
    /* A subscription's sequence must not be overtaken. */
    uint64_t *at = &need.at[BAO_MARK_SYNCED];
    if (*at < peer->delivered && peer->delivered > synced)
        *at = peer->delivered;
    peer->delivered = *at > peer->delivered ? *at : peer->delivered;
    return need;
}

static void carry_out_reply(struct bao_gateway *gateway,
                            const struct bao_effect *effect,
                            uint64_t step)
{
    const struct bao_operation *operation = effect->operation;
    struct bao_gateway_peer *peer = bao_gateway_find(gateway, effect->peer);
    if (peer == NULL)
        return;
    struct bao_need need = need_of(gateway, peer, effect, step);
    bao_gateway_reply(gateway, peer, operation, &need);
    if (operation->verb == BAO_VERB_HELLO && operation->status == BAOZI_OK)
        bao_edge_admit(gateway->edge, effect->peer);
}

static void carry_out_effect(struct bao_gateway *gateway,
                             const struct bao_effect *effect,
                             uint64_t step)
{
    struct bao_gateway_peer *peer;
    switch (effect->kind) {
    case BAO_EFFECT_REPLY: carry_out_reply(gateway, effect, step); return;
    case BAO_EFFECT_KEEP: bao_holds_keep(&gateway->holds, effect->hold); return;
    case BAO_EFFECT_DROP: bao_holds_drop(&gateway->holds, effect->hold); return;
    case BAO_EFFECT_CLOSE:
        peer = bao_gateway_find(gateway, effect->peer);
        if (peer != NULL)
            bao_gateway_cut(gateway, peer, effect->reason);
        return;
    }
}

static void carry_out(struct bao_gateway *gateway, const struct bao_out *out)
{
    uint64_t step = 0;
    for (size_t i = 0; i < out->fact_count; i++) {
        const struct bao_fact *fact = &out->facts[i];
        step = bao_journal_put(gateway->journal, fact, &gateway->holds);
        bao_bodies_store(gateway->bodies, fact, &gateway->holds);
    }
    for (size_t i = 0; i < out->effect_count; i++)
        carry_out_effect(gateway, &out->effects[i], step);
    for (size_t i = 0; i < out->fact_count; i++)
        bao_bodies_drop(gateway->bodies, &out->facts[i]);
}

void bao_gateway_command(struct bao_gateway *gateway,
                         uint64_t now_us,
                         const struct bao_command *command)
{
    struct bao_out out;
    gateway->now_us = now_us;
    bao_core_step(gateway->core, now_us, command, &out);
    carry_out(gateway, &out);
}

void bao_gateway_tick(struct bao_gateway *gateway, uint64_t now_us)
{
    struct bao_out out;
    gateway->now_us = now_us;
    if (bao_core_deadline(gateway->core) > now_us)
        return;
    bao_core_tick(gateway->core, now_us, &out);
    carry_out(gateway, &out);
}

/* --- messages --- */

/* A message on its way to the core. */
struct arrival {
    struct bao_gateway_peer *peer;
    const struct bao_edge_event *event;
    struct bao_reader reader;
    uint64_t now_us;
};

/* A notice with a rid is no request all the same. A verb of a later version
 * may have an answer: whoever sent it knows. */
static bool has_no_answer(uint64_t verb)
{
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answer = 0;
    return bao_verb_keys(verb, &required, &optional, &answer) &&
           (required & BAO_BIT(RID)) == 0;
}

/* Answers an operation that the core does not get to see. */
static const struct bao_need now = {.at = {0}};

static void refuse(struct bao_gateway *gateway,
                   struct bao_gateway_peer *peer,
                   const struct bao_operation *operation,
                   enum baozi_status status,
                   const char *why)
{
    struct bao_operation answer = {0};
    if (!bao_has(operation, BAO_BIT(RID) | BAO_BIT(VERB)) ||
        has_no_answer(operation->verb)) {
        strike(gateway, peer, why);
        return;
    }
    uint64_t requests = bao_operation_requests(operation);
    BAO_SET(&answer, VERB, verb, operation->verb);
    BAO_SET(&answer, RID, rid, operation->rid);
    BAO_SET(&answer, STATUS, status, status);
    BAO_SET(&answer, ERROR, error, bao_span_text(why));
    if (requests > 1)
        BAO_SET(&answer, COUNT, count, requests);
    if (operation->verb == BAO_VERB_HELLO) {
        BAO_SET(&answer, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
        BAO_SET(&answer, PROTOCOL_MIN, protocol_min, BAO_PROTOCOL_VERSION_MIN);
    }
    bao_gateway_reply(gateway, peer, &answer, &now);
}

/* Tells a peer of another protocol version before it is cut. */
static void refuse_version(struct bao_gateway *gateway,
                           struct bao_gateway_peer *peer,
                           const char *why)
{
    struct bao_operation notice = {0};
    BAO_SET(&notice, VERB, verb, BAO_VERB_GONE);
    BAO_SET(&notice, STATUS, status, BAOZI_BAD_VERSION);
    BAO_SET(&notice, ERROR, error, bao_span_text(why));
    bao_gateway_reply(gateway, peer, &notice, &now);
    strike(gateway, peer, why);
}

/* NULL, or why the frames are not what the header claims. */
static const char *check_frames(const struct arrival *arrival)
{
    struct bao_body_cursor claimed = arrival->reader.claimed;
    struct bao_frame *const *frames = arrival->event->frames;
    uint32_t count = arrival->event->frame_count;
    size_t small = count > 1 ? frames[1]->bytes.bytes : 0;
    uint32_t big = count > 2 ? count - 2 : 0;
    if (small != claimed.offset)
        return "the bodies are not as long as the operations say";
    if (big != claimed.big)
        return "the big bodies are not as many as the operations say";
    return NULL;
}

/* NULL, or what is wrong with the bodies of one operation: a big frame of
 * another length than stated, or a bad item header. */
static const char *check_bodies(const struct arrival *arrival,
                                const struct bao_operation *operation)
{
    struct bao_body_cursor cursor = operation->bodies;
    struct bao_frame *const *frames = arrival->event->frames;
    bool headers = bao_has(operation, BAO_BIT(HEADER_LENGTHS));
    bool big = arrival->reader.bodies.big != operation->bodies.big;
    size_t count = bao_column32_count(operation->lengths);
    if (!headers && !big)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        struct bao_body_place place =
            bao_body_next(&cursor, bao_column32(operation->lengths, i));
        if (place.bytes == 0)
            continue;
        struct bao_span frame = frames[1 + place.part]->bytes;
        if (place.part > 0 && frame.bytes != place.bytes)
            return "a big body is not as long as stated";
        uint32_t header =
            headers ? bao_column32(operation->header_lengths, i) : 0;
        if (header > place.bytes || !bao_item_header_valid(bao_span_of(
                                        frame.data + place.offset, header)))
            return "an item header is no map of texts";
    }
    return NULL;
}

/* Notes the bodies of an operation in the hold table; false if it was
 * refused. *hold stays 0 if it brings none. */
static bool hold_bodies(struct bao_gateway *gateway,
                        const struct arrival *arrival,
                        struct bao_operation *operation,
                        uint64_t *hold)
{
    struct bao_body_cursor begin = operation->bodies;
    struct bao_body_cursor end = arrival->reader.bodies;
    if (begin.offset == end.offset && begin.big == end.big)
        return true;
    const char *why = check_bodies(arrival, operation);
    if (why != NULL) {
        refuse(gateway, arrival->peer, operation, BAOZI_BAD_REQUEST, why);
        return false;
    }
    /* Parked bodies fill their share of the memory: this put keeps its place
     * without its bodies and is asked for them later [S3.3]. */
    if (operation->verb == BAO_VERB_PUT &&
        gateway->holds.kept_bytes > gateway->hold_bytes_max) {
        uint64_t flags = operation->flags | BAO_FLAG_NO_BODY;
        BAO_SET(operation, FLAGS, flags, flags);
        return true;
    }
    *hold = bao_holds_take(&gateway->holds, arrival->event->frames, begin, end);
    if (*hold == 0)
        refuse(gateway,
               arrival->peer,
               operation,
               BAOZI_QUOTA,
               "the broker has no memory for its bodies");
    return *hold != 0;
}

/* An answer has its own keys, a notice has no answer: neither may reach the
 * core, which reads a request's. */
static bool is_request(const struct bao_operation *operation)
{
    return !bao_has(operation, BAO_BIT(STATUS)) &&
           operation->verb < BAO_VERB_DELIVER;
}

static void step(struct bao_gateway *gateway,
                 const struct arrival *arrival,
                 struct bao_operation *operation)
{
    struct bao_command command = {
        .kind = BAO_COMMAND_OPERATION,
        .peer = arrival->peer->handle,
        .operation = operation,
    };
    if (!is_request(operation)) {
        strike(gateway, arrival->peer, "a client answers nothing");
        return;
    }
    if (operation->verb == BAO_VERB_HELLO) {
        struct bao_versions ours = {BAO_PROTOCOL_VERSION_MIN,
                                    BAO_PROTOCOL_VERSION};
        struct bao_versions theirs = {operation->protocol_min,
                                      operation->protocol};
        if (bao_version_choose(ours, theirs) == 0) {
            refuse(gateway,
                   arrival->peer,
                   operation,
                   BAOZI_BAD_VERSION,
                   "client and broker share no protocol version");
            return;
        }
        bao_random_fill(command.random, sizeof command.random);
    }
    if (!hold_bodies(gateway, arrival, operation, &command.hold))
        return;
    bao_gateway_command(gateway, arrival->now_us, &command);
    if (command.hold != 0)
        bao_holds_settle(&gateway->holds, command.hold);
}

static void take_message(struct bao_gateway *gateway,
                         struct arrival *arrival,
                         struct bao_work *work)
{
    struct bao_operation operation;
    struct bao_gateway_peer *peer = arrival->peer;
    enum baozi_status status =
        bao_reader_open(&arrival->reader, arrival->event->frames[0]->bytes);
    if (status == BAOZI_BAD_VERSION) {
        refuse_version(gateway, peer, arrival->reader.why);
        return;
    }
    const char *why =
        status == BAOZI_OK ? check_frames(arrival) : arrival->reader.why;
    if (why != NULL) {
        strike(gateway, peer, why);
        return;
    }
    while (!peer->cut) {
        status = bao_reader_next(&arrival->reader, &operation);
        if (status == BAOZI_EMPTY)
            return;
        work->operations++;
        if (status == BAOZI_OK)
            step(gateway, arrival, &operation);
        else
            refuse(gateway, peer, &operation, status, arrival->reader.why);
    }
}

static void peer_message(struct bao_gateway *gateway,
                         uint64_t now_us,
                         const struct bao_edge_event *event,
                         struct bao_work *work)
{
    struct arrival arrival = {
        .peer = bao_gateway_find(gateway, event->peer),
        .event = event,
        .now_us = now_us,
    };
    work->messages++;
    for (uint32_t i = 0; i < event->frame_count; i++)
        work->bytes += event->frames[i]->bytes.bytes;
    if (arrival.peer == NULL || arrival.peer->cut)
        return;
    if (event->malformed != NULL)
        strike(gateway, arrival.peer, event->malformed);
    else
        take_message(gateway, &arrival, work);
}

static void peer_closed(struct bao_gateway *gateway,
                        uint64_t now_us,
                        const struct bao_edge_event *event)
{
    struct bao_gateway_peer *peer = bao_gateway_find(gateway, event->peer);
    struct bao_command command = {
        .kind = event->process_gone ? BAO_COMMAND_PROCESS_GONE
                                    : BAO_COMMAND_PEER_CLOSED,
        .peer = event->peer,
    };
    if (peer != NULL)
        peer_free(gateway, peer);
    bao_gateway_command(gateway, now_us, &command);
}

static void peer_writable(struct bao_gateway *gateway,
                          const struct bao_edge_event *event)
{
    struct bao_gateway_peer *peer = bao_gateway_find(gateway, event->peer);
    if (peer == NULL)
        return;
    peer->blocked = false;
    while (BAO_PLANTED(REPLY_LOST) && peer->box.ready.count > 0)
        bao_reply_free(&gateway->outbox, bao_outbox_first(&peer->box));
    if (peer->box.ready.count > 0)
        bao_outbox_again(&gateway->outbox, &peer->box);
}

void bao_gateway_event(struct bao_gateway *gateway,
                       uint64_t now_us,
                       const struct bao_edge_event *event,
                       struct bao_work *work)
{
    switch (event->kind) {
    case BAO_EDGE_OPENED: peer_opened(gateway, event); return;
    case BAO_EDGE_MESSAGE: peer_message(gateway, now_us, event, work); return;
    case BAO_EDGE_WRITABLE: peer_writable(gateway, event); return;
    case BAO_EDGE_CLOSED: peer_closed(gateway, now_us, event); return;
    }
}

bool bao_gateway_release(struct bao_gateway *gateway)
{
    bao_journal_write(gateway->journal,
                      gateway->now_us,
                      bao_outbox_wants_sync(&gateway->outbox));
    struct bao_marks marks = bao_journal_marks(gateway->journal);
    bao_outbox_release(&gateway->outbox, &marks);
    if (bao_journal_failed(gateway->journal) && !gateway->failed)
        bao_gateway_fail(gateway);
    bao_gateway_send(gateway);
    bao_edge_flush(gateway->edge);
    return bao_bodies_sweep(gateway->bodies);
}

bool bao_gateway_failed(const struct bao_gateway *gateway)
{
    return gateway->failed;
}

struct bao_bodies *bao_gateway_bodies(struct bao_gateway *gateway)
{
    return gateway->bodies;
}

struct bao_arena *bao_gateway_arena(struct bao_gateway *gateway)
{
    return gateway->arena;
}

/* --- opening and closing --- */

size_t bao_gateway_peers(const struct bao_gateway *gateway)
{
    return gateway->peer_count;
}

size_t bao_gateway_bytes(const struct bao_gateway *gateway)
{
    return bao_bodies_used(gateway->bodies) + bao_arena_used(gateway->arena);
}

enum baozi_status bao_gateway_open(const struct bao_gateway_config *config,
                                   struct bao_gateway **gateway)
{
    struct bao_gateway *made = calloc(1, sizeof *made);
    if (made == NULL)
        return BAOZI_NO_MEMORY;
    size_t half = config->memory_bytes / 2;
    made->edge = config->edge;
    made->core = config->core;
    made->outbox_bytes_max =
        config->outbox_bytes != 0 ? config->outbox_bytes : half;
    made->outbox_peer_bytes_max = config->outbox_peer_bytes != 0
                                      ? config->outbox_peer_bytes
                                      : OUTBOX_PEER_BYTES;
    made->hold_bytes_max = config->hold_bytes != 0 ? config->hold_bytes : half;
    made->memory_bytes = config->memory_bytes;
    made->memory = mmap(NULL,
                        config->memory_bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    if (made->memory == MAP_FAILED) {
        free(made);
        return BAOZI_NO_MEMORY;
    }
    made->arena = bao_arena_init(made->memory, made->memory_bytes);
    made->journal = config->journal;
    bao_holds_open(&made->holds, made->arena);
    if (bao_bodies_open(config->bodies_bytes, &made->bodies) != BAOZI_OK) {
        (void)munmap(made->memory, made->memory_bytes);
        free(made);
        return BAOZI_NO_MEMORY;
    }
    bao_outbox_open(&made->outbox, made->arena, made->bodies);
    *gateway = made;
    return BAOZI_OK;
}

void bao_gateway_close(struct bao_gateway *gateway)
{
    if (gateway == NULL)
        return;
    for (uint32_t i = 0; i < gateway->peer_slots; i++) {
        if (gateway->peers[i] != NULL)
            peer_free(gateway, gateway->peers[i]);
    }
    bao_holds_close(&gateway->holds);
    bao_bodies_close(gateway->bodies);
    BAO_UNPOISON(gateway->memory, gateway->memory_bytes);
    (void)munmap(gateway->memory, gateway->memory_bytes);
    free(gateway->peers);
    free(gateway);
}
