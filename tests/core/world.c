/*
 * world.c - carries messages, keeps the clock, and checks after every step.
 */
#include "tests/core/world_inside.h"
#include "tests/lib/unit.h"

#define MEMORY_BYTES (32u * 1024u * 1024u)
#define TICKS_MAX    100000u /* at one moment: more is a live-lock */
#define LOST_MAX     32u
#define WALL_MS      INT64_C(1800000000000)

/* --- opening ------------------------------------------------------------ */

struct bao_core_config world_config(void)
{
    return (struct bao_core_config){
        .memory_bytes = MEMORY_BYTES,
        .body_bytes_max = 64u * 1024u * 1024u,
        .parked_bytes_max = 16u * 1024u * 1024u,
        .now_us = WORLD_BASE_MS * 1000,
        .wall_offset_us = (WALL_MS - (int64_t)WORLD_BASE_MS) * 1000,
        .epoch = 1,
        .boot = 77,
        .seed = 42,
        .level = BAO_LEVEL_DISK,
    };
}

struct bao_core *world_core_open(struct bao_core_config config, void **memory)
{
    struct bao_core *core = NULL;
    *memory = aligned_alloc(4096, config.memory_bytes);
    assert_non_null(*memory);
    config.memory = *memory;
    assert_int_equal(bao_core_open(&config, &core), BAOZI_OK);
    return core;
}

struct world *world_open(const struct bao_core_config *config)
{
    struct world *world = calloc(1, sizeof(*world));
    assert_non_null(world);
    world->config = config == NULL ? world_config() : *config;
    world->core = world_core_open(world->config, &world->memory);
    world->replay = world_core_open(world->config, &world->replay_memory);
    world->random = UINT64_C(88172645463325252);
    judge_init(&world->judge);
    world_image_init(&world->image);
    world->judge.level = world->config.level;
    world->judge.wall_offset_us = world->config.wall_offset_us;
    return world;
}

struct world_client *world_client(struct world *world, const char *name)
{
    for (unsigned i = 0; i < world->client_count; i++) {
        if (strcmp(world->clients[i].name, name) == 0) {
            return &world->clients[i];
        }
    }
    assert_true(world->client_count < WORLD_CLIENTS_MAX);
    assert_true(strlen(name) < sizeof(world->clients[0].name));
    struct world_client *client = &world->clients[world->client_count++];
    *client = (struct world_client){.next_rid = 1};
    memcpy(client->name, name, strlen(name) + 1);
    return client;
}

/* --- what the core says -------------------------------------------------- */

/* The client that speaks through `peer`, or did before it reconnected. */
struct world_client *world_client_of(struct world *world, uint64_t peer)
{
    for (unsigned i = 0; i < world->client_count; i++) {
        struct world_client *client = &world->clients[i];
        if (client->peer == peer || client->old_peer == peer) {
            return client;
        }
    }
    return NULL;
}

struct bao_span world_body(const struct world *world, uint64_t id, bool result)
{
    const struct judge_item *item = judge_item(&world->judge, id);
    assert_non_null(item);
    if (result) {
        assert_true(item->has_result);
        return bao_span_of(item->result, item->result_bytes);
    }
    assert_true(item->has_body);
    return bao_span_of(item->body, item->bytes);
}

/* The lengths that the core states must be those of the bodies. */
static void check_lengths(const struct world *world,
                          const struct bao_operation *operation,
                          bool result)
{
    size_t count = bao_column32_count(operation->lengths);
    bool one = !bao_has(operation, BAO_BIT(IDS));
    assert_true(one ? count == 1 : count == bao_column64_count(operation->ids));
    for (size_t i = 0; i < count; i++) {
        uint64_t id = one ? operation->id : bao_column64(operation->ids, i);
        uint32_t length = bao_column32(operation->lengths, i);
        if (result && length == 0) {
            continue; /* settled without a result */
        }
        assert_int_equal(length, world_body(world, id, result).bytes);
        if (!result && bao_has(operation, BAO_BIT(HEADER_LENGTHS))) {
            assert_int_equal(bao_column32(operation->header_lengths, i),
                             judge_item(&world->judge, id)->header_bytes);
        }
    }
}

/* What a reply must wait for (SPEC S9): refusals for nothing, the rest for
 * what it shows. */
static void check_wait(const struct bao_effect *effect)
{
    const struct bao_operation *operation = effect->operation;
    bool answer = bao_is_answer(operation);
    switch (answer ? operation->status : BAOZI_OK) {
    case BAOZI_FULL:
    case BAOZI_EMPTY:
    case BAOZI_TIMEOUT:
    case BAOZI_STALE:
    case BAOZI_BAD_REQUEST:
    case BAOZI_QUOTA: assert_int_equal(effect->wait, BAO_WAIT_NONE); return;
    case BAOZI_OK: break;
    default: return;
    }
    switch (operation->verb) {
    case BAO_VERB_GET:
    case BAO_VERB_DELIVER:
        assert_int_equal(effect->wait, BAO_WAIT_LEASE);
        break;
    case BAO_VERB_PUT:
    case BAO_VERB_DONE:
    case BAO_VERB_RETRY:
    case BAO_VERB_RELEASE:
    case BAO_VERB_REJECT:
    case BAO_VERB_DONE_NEXT:
    case BAO_VERB_CANCEL_ITEM:
    case BAO_VERB_CONFIGURE:
    case BAO_VERB_PURGE:
    case BAO_VERB_REDRIVE:
    case BAO_VERB_SHUTDOWN:
        assert_int_equal(effect->wait, BAO_WAIT_LEVEL);
        assert_true(effect->level != BAO_LEVEL_DEFAULT);
        break;
    case BAO_VERB_DECLARE:
    case BAO_VERB_STAT:
    case BAO_VERB_PEEK:
    case BAO_VERB_BROWSE:
    case BAO_VERB_JOIN:
    case BAO_VERB_WAIT:
        assert_true(effect->wait == BAO_WAIT_SEEN ||
                    effect->wait == BAO_WAIT_LEVEL);
        break;
    default: break;
    }
}

/* Remembers what the client would: its session, leases, heartbeat. */
static void remember_leases(struct world_client *client,
                            const struct bao_operation *operation)
{
    if (!bao_has(operation, BAO_BIT(IDS) | BAO_BIT(TOKEN)) ||
        operation->token == 0) {
        return;
    }
    for (size_t i = 0; i < bao_column64_count(operation->ids); i++) {
        uint64_t id = bao_column64(operation->ids, i);
        size_t at = 0;
        while (at < client->lease_count && client->leases[at].id != id) {
            at++;
        }
        if (at == client->lease_count) {
            size_t most = sizeof(client->leases) / sizeof(client->leases[0]);
            assert_true(client->lease_count < most);
            client->lease_count++;
        }
        client->leases[at] = (struct world_lease){id, operation->token + i};
    }
}

static void remember(struct world_client *client,
                     const struct bao_operation *operation)
{
    if (operation->verb == BAO_VERB_HELLO && operation->status == BAOZI_OK) {
        client->session = operation->session;
        client->epoch = operation->epoch;
        memcpy(client->secret, operation->secret.data, BAO_CLIENT_ID_BYTES);
        if ((operation->flags & BAO_FLAG_RESUMED) == 0) {
            client->lease_count = 0;
        }
    }
    if (bao_has(operation, BAO_BIT(HEARTBEAT_MS))) {
        client->heartbeat_ms = operation->heartbeat_ms;
    }
    remember_leases(client, operation);
}

/* One reply, through the wire, to its client and to the listener. */
static void carry_reply(struct world *world, const struct bao_effect *effect)
{
    static uint8_t bytes[BAO_HEADER_BYTES_MAX];
    struct bao_writer writer;
    struct bao_reader reader;
    struct bao_operation operation = {0};

    assert_non_null(effect->operation);
    bao_writer_open(&writer, bytes, sizeof(bytes));
    assert_int_equal(bao_writer_add(&writer, effect->operation), BAOZI_OK);
    if (bao_reader_open(&reader, bao_writer_close(&writer)) != BAOZI_OK ||
        bao_reader_next(&reader, &operation) != BAOZI_OK) {
        fail_msg("the core's %s (status %llu) is not valid: %s",
                 bao_verb_name(effect->operation->verb),
                 (unsigned long long)effect->operation->status,
                 reader.why);
    }
    check_wait(effect);
    if (bao_has(&operation, BAO_BIT(LENGTHS))) {
        check_lengths(world, &operation, effect->result);
    }
    struct world_client *client = world_client_of(world, effect->peer);
    if (client != NULL && client->peer == effect->peer) {
        remember(client, &operation);
    }
    struct world_heard heard = {client, effect->peer, &operation, effect};
    if (world->listen != NULL) {
        world->listen(world, &heard);
    }
}

static void carry_effect(struct world *world, const struct bao_effect *effect)
{
    switch (effect->kind) {
    case BAO_EFFECT_REPLY: carry_reply(world, effect); break;
    case BAO_EFFECT_KEEP: judge_hold_keep(&world->judge, effect->hold); break;
    case BAO_EFFECT_DROP: judge_hold_drop(&world->judge, effect->hold); break;
    case BAO_EFFECT_CLOSE: {
        struct world_client *client = world_client_of(world, effect->peer);
        struct world_heard heard = {client, effect->peer, NULL, effect};
        if (client != NULL && client->peer == effect->peer) {
            client->connected = false;
        }
        if (world->listen != NULL) {
            world->listen(world, &heard);
        }
        break;
    }
    }
}

static uint64_t items_moved(const struct bao_fact *fact)
{
    bool item = fact->kind == BAO_FACT_ITEM_PUT ||
                fact->kind == BAO_FACT_ITEM_READY ||
                fact->kind == BAO_FACT_ITEM_LEASED ||
                fact->kind == BAO_FACT_ITEM_RETURNED ||
                fact->kind == BAO_FACT_ITEM_TAKEN ||
                fact->kind == BAO_FACT_ITEM_SETTLED ||
                fact->kind == BAO_FACT_ITEM_DEAD ||
                fact->kind == BAO_FACT_DEAD_FORGOTTEN;
    return item ? fact->count : 0;
}

/* Facts first, then effects; then everything is checked. */
static void carry_out(struct world *world, const struct bao_out *out)
{
    uint64_t moved = 0;
    for (size_t i = 0; i < out->fact_count; i++) {
        const struct bao_fact *fact = &out->facts[i];
        if (!world->quick && !fact->unlogged) {
            fact_log_add(&world->log, fact);
        }
        world->partial = world->partial || fact->unlogged;
        judge_fact(&world->judge, fact);
        if (world->quick) {
            bao_core_apply(world->replay, fact);
        } else {
            fact_log_pass(fact, world->replay);
        }
        moved += items_moved(fact);
    }
    if (moved > world->moved_most) {
        world->moved_most = moved;
    }
    for (size_t i = 0; i < out->effect_count; i++) {
        carry_effect(world, &out->effects[i]);
    }
    judge_step_end(&world->judge, out);
    world->steps++;
    if (!world->quick) {
        bao_core_check(world->core);
    }
    if (bao_core_digest(world->core) != bao_core_digest(world->replay)) {
        fail_msg("live and replayed state differ after step %llu",
                 (unsigned long long)world->steps);
    }
    if (!world->quick) {
        world_image_step(world);
    }
}

static uint64_t now_us(const struct world *world)
{
    return (WORLD_BASE_MS + world->now_ms) * 1000;
}

/* Ticks as long as the core has work at this moment. */
static void settle(struct world *world)
{
    if (world->down) {
        return;
    }
    for (unsigned i = 0; bao_core_deadline(world->core) <= now_us(world); i++) {
        struct bao_out out = {0};
        if (i == TICKS_MAX) {
            fail_msg("the core asks for a tick at %llu for ever",
                     (unsigned long long)world->now_ms);
        }
        bao_core_tick(world->core, now_us(world), &out);
        carry_out(world, &out);
    }
    world->judge.late = false;
}

void world_command(struct world *world, const struct bao_command *command)
{
    struct bao_out out = {0};
    if (command->kind == BAO_COMMAND_WALL_JUMPED) {
        world->judge.wall_offset_us = command->wall_offset_us;
    }
    bao_core_step(world->core, now_us(world), command, &out);
    carry_out(world, &out);
    settle(world);
}

/* --- the clock ------------------------------------------------------------ */

/* The client whose heartbeat is due next, and when. */
static struct world_client *next_heartbeat(struct world *world, uint64_t *at)
{
    struct world_client *first = NULL;
    *at = UINT64_MAX;
    for (unsigned i = 0; i < world->client_count; i++) {
        struct world_client *client = &world->clients[i];
        if (!client->connected || client->silent || client->heartbeat_ms == 0) {
            continue;
        }
        uint64_t due = client->sent_ms + client->heartbeat_ms;
        if (due < *at) {
            *at = due;
            first = client;
        }
    }
    return first;
}

static uint64_t core_due_ms(const struct world *world)
{
    if (world->down) {
        return UINT64_MAX;
    }
    uint64_t us = bao_core_deadline(world->core);
    if (us == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t ms = (us + 999) / 1000; /* a poll sleeps whole milliseconds */
    return ms <= WORLD_BASE_MS ? 0 : ms - WORLD_BASE_MS;
}

uint64_t world_next(struct world *world)
{
    uint64_t beat;
    (void)next_heartbeat(world, &beat);
    uint64_t due = core_due_ms(world);
    return due < beat ? due : beat;
}

void world_lag(struct world *world, uint64_t ms)
{
    world->now_ms += ms;
    world->judge.late = true;
}

void world_run(struct world *world, uint64_t ms)
{
    for (;;) {
        uint64_t beat;
        struct world_client *client = next_heartbeat(world, &beat);
        uint64_t due = core_due_ms(world);
        uint64_t next = due < beat ? due : beat;
        if (next > ms) {
            break;
        }
        if (next > world->now_ms) {
            world->now_ms = next;
        }
        settle(world);
        if (client != NULL && beat <= world->now_ms) {
            struct bao_operation operation = {0};
            BAO_SET(&operation, VERB, verb, BAO_VERB_HEARTBEAT);
            world_send(world, client->peer, &operation, NULL, 0);
        }
    }
    if (ms > world->now_ms) {
        world->now_ms = ms;
    }
}

/* --- the end ---------------------------------------------------------------
 */

static void say_bye(struct world *world, struct world_client *client)
{
    struct bao_operation bye = {0};
    BAO_SET(&bye, VERB, verb, BAO_VERB_BYE);
    BAO_SET(&bye, RID, rid, client->next_rid++);
    world_send(world, client->peer, &bye, NULL, 0);
    client->connected = false;
}

static void
delete_queue(struct world *world, struct world_client *client, const char *name)
{
    struct bao_operation operation = {0};
    BAO_SET(&operation, VERB, verb, BAO_VERB_DELETE);
    BAO_SET(&operation, RID, rid, client->next_rid++);
    BAO_SET(&operation, QUEUE, queue, bao_span_text(name));
    BAO_SET(&operation, FLAGS, flags, BAO_FLAG_FORCE);
    world_send(world, client->peer, &operation, NULL, 0);
}

void world_close(struct world *world)
{
    world->listen = NULL;
    for (unsigned i = 0; i < world->client_count; i++) {
        if (world->clients[i].connected) {
            say_bye(world, &world->clients[i]);
        } else if (world->clients[i].session != 0) {
            struct bao_command gone = {.kind = BAO_COMMAND_PROCESS_GONE,
                                       .peer = world->clients[i].peer};
            world_command(world, &gone);
        }
    }
    /* What parked puts held is free now. */
    assert_int_equal(judge_hold_count(&world->judge), 0);

    world->client_count = 0;
    struct world_client *last = world_client(world, "last");
    world_hello(world, last, false, BAO_PROTOCOL_VERSION);
    for (unsigned i = 0; i < world->judge.queue_count; i++) {
        if (!world->judge.queues[i].gone) {
            delete_queue(world, last, world->judge.queues[i].name);
            assert_true(world->judge.queues[i].gone);
        }
    }
    assert_int_equal(world->judge.bodies, 0);
    assert_int_equal(world->judge.results, 0);
    bao_core_check(world->replay);

    judge_fini(&world->judge);
    fact_log_fini(&world->log);
    world_image_fini(&world->image);
    free(world->memory);
    free(world->replay_memory);
    free(world);
}

/* Of all payloads that there must be, those of these items are not there. */
struct lost {
    const char *numbers;
    struct bao_core_payload payloads[LOST_MAX];
    size_t count;
};

static void note_lost(void *context, const struct bao_core_payload *payload)
{
    struct lost *lost = context;
    const uint64_t low = (UINT64_C(1) << BAO_ID_SHIFT) - 1;
    char *end = NULL;
    for (const char *at = lost->numbers; *at != '\0'; at = end) {
        if (strtoull(at, &end, 10) != (payload->id & low)) {
            continue;
        }
        assert_true(payload->bytes > 0);
        assert_true(lost->count < LOST_MAX);
        lost->payloads[lost->count++] = *payload;
    }
}

void world_lose(struct world *world, const char *numbers)
{
    struct lost lost = {.numbers = numbers};
    bao_core_payloads(world->core, note_lost, &lost);
    for (size_t i = 0; i < lost.count; i++) {
        const struct bao_command command = {.kind = BAO_COMMAND_PAYLOAD_LOST,
                                            .payload = lost.payloads[i]};
        world_command(world, &command);
    }
}

void world_die(struct world *world)
{
    assert_false(world->down);
    world_image_die(world);
    world->down = true;
    for (unsigned i = 0; i < world->client_count; i++) {
        world->clients[i].connected = false;
    }
    while (world->judge.holds != NULL) {
        world->judge.holds->references = 1;
        judge_hold_drop(&world->judge, world->judge.holds->hold);
    }
}

void world_restart(struct world *world)
{
    assert_true(world->down);
    free(world->memory);
    free(world->replay_memory);
    world->config.epoch++;
    world->config.boot++;
    world->config.now_us = now_us(world);
    world->core = world_core_open(world->config, &world->memory);
    world->replay = world_core_open(world->config, &world->replay_memory);
    world_image_recover(world, world->core, world->replay);
    bao_core_check(world->core);
    world->down = false;
    struct bao_out out = {0}; /* the loop's first turn */
    bao_core_tick(world->core, now_us(world), &out);
    carry_out(world, &out);
    settle(world);
}
