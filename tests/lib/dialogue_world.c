/*
 * dialogue_world.c - a dialogue and its scripted broker.
 */
#include "tests/lib/dialogue_world.h"

static void write_line(struct world *world, const char *mark, const char *text)
{
    size_t left = sizeof world->log - world->log_bytes;
    int n =
        snprintf(world->log + world->log_bytes, left, "%s %s\n", mark, text);
    assert_true(n > 0 && (size_t)n < left);
    world->log_bytes += (size_t)n;
}

/* --- the dialogue's calls ----------------------------------------------- */

static void hold_items(struct world *world,
                       const struct bao_operation *operation,
                       const struct bao_message *message)
{
    struct bao_items items;
    struct bao_item_in item;
    if (!bao_items_open(&items, operation, message)) {
        write_line(world, "!", "items that cannot be read");
        return;
    }
    while (bao_items_next(&items, &item)) {
        struct bao_lease *lease = &world->leases[world->lease_count++ % 64];
        *lease = (struct bao_lease){.id = item.id,
                                    .token = item.token,
                                    .lease_ms = (uint32_t)operation->lease_ms};
        if (item.token != 0) {
            assert_true(
                bao_dialogue_hold(world->dialogue, world->now_us, lease));
        }
    }
}

static void on_answered(void *context,
                        struct bao_request *request,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    struct world *world = context;
    char line[2048];
    script_write(answer, line, sizeof line);
    write_line(world, "=", line);
    bool automatic = (request->operation.flags & BAO_FLAG_AUTO) != 0;
    if (answer->verb == BAO_VERB_GET && answer->status == BAOZI_OK) {
        if (automatic) {
            assert_true(bao_dialogue_receipt(
                world->dialogue, bao_column64(answer->ids, 0), answer->token));
        } else {
            hold_items(world, answer, message);
        }
    }
}

static void on_row(void *context,
                   struct bao_request *request,
                   const struct bao_operation *row,
                   const struct bao_message *message)
{
    (void)request;
    (void)message;
    char line[2048];
    script_write(row, line, sizeof line);
    write_line(context, "+", line);
}

static void on_delivered(void *context,
                         struct bao_request *subscription,
                         const struct bao_operation *items,
                         const struct bao_message *message)
{
    (void)subscription;
    char line[2048];
    script_write(items, line, sizeof line);
    write_line(context, "+", line);
    hold_items(context, items, message);
}

static void on_welcomed(void *context, bool resumed)
{
    write_line(context, "!", resumed ? "welcomed, resumed" : "welcomed");
}

/* --- opening ------------------------------------------------------------ */

void world_open(struct world *world, uint8_t seed)
{
    memset(world, 0, sizeof *world);
    world->requests = calloc(WORLD_REQUESTS, sizeof *world->requests);
    assert_non_null(world->requests);
    world->now_us = WORLD_START_US;
    struct bao_dialogue_config config = {.seed = {seed},
                                         .host = bao_span_text("here"),
                                         .program = bao_span_text("test"),
                                         .pid = 7,
                                         .connect_timeout_us = 5000000,
                                         .calls = {.answered = on_answered,
                                                   .row = on_row,
                                                   .delivered = on_delivered,
                                                   .welcomed = on_welcomed},
                                         .context = world};
    world->dialogue = bao_dialogue_open(&config, world->now_us);
    assert_non_null(world->dialogue);
}

void world_close(struct world *world)
{
    bao_dialogue_close(world->dialogue);
    free(world->requests);
}

/* --- sending ------------------------------------------------------------ */

static void write_message(struct world *world, const struct bao_outgoing *out)
{
    struct bao_reader reader;
    struct bao_operation operation;
    char line[16384];
    enum baozi_status status = bao_reader_open(&reader, out->header);
    assert_int_equal(status, BAOZI_OK);
    /* What is sent must be what the header claims. */
    size_t frame = 0;
    uint32_t parts = 0;
    for (size_t i = 0; i < out->piece_count; i++) {
        frame += out->pieces[i].part == 0 ? out->pieces[i].bytes.bytes : 0;
        parts = out->pieces[i].part > parts ? out->pieces[i].part : parts;
    }
    assert_int_equal(frame, reader.claimed.offset);
    assert_int_equal(parts, reader.claimed.big);
    assert_true(out->part_count == 0 ? frame == 0 && parts == 0
                                     : out->part_count == parts + 1);
    while ((status = bao_reader_next(&reader, &operation)) == BAOZI_OK) {
        if (!world->quiet) {
            script_write(&operation, line, sizeof line);
            write_line(world, ">", line);
        }
    }
    if (status != BAOZI_EMPTY) {
        fail_msg("an operation that makes no sense: %s", reader.why);
    }
    if (!world->quiet) {
        write_line(world, ">", "--");
    }
}

void world_send(struct world *world)
{
    struct bao_outgoing out;
    while (bao_dialogue_next(world->dialogue, world->now_us, &out)) {
        world->messages++;
        write_message(world, &out);
    }
}

void world_at(struct world *world, uint64_t ms)
{
    uint64_t now_us = WORLD_START_US + ms * 1000;
    assert_true(now_us >= world->now_us);
    world->now_us = now_us;
    bao_dialogue_tick(world->dialogue, now_us);
    world_send(world);
}

void world_hears(struct world *world, const char *line, const char *body)
{
    static uint8_t header[BAO_HEADER_BYTES_MAX];
    struct script_operation parsed;
    struct bao_writer writer;
    struct bao_span part = bao_span_text(body == NULL ? "" : body);
    script_parse(line, &parsed);
    bao_writer_open(&writer, header, sizeof header);
    enum baozi_status status = bao_writer_add(&writer, &parsed.operation);
    assert_int_equal(status, BAOZI_OK);
    struct bao_message message = {.header = bao_writer_close(&writer),
                                  .parts = &part,
                                  .part_count = body == NULL ? 0 : 1};
    bao_dialogue_feed(world->dialogue, world->now_us, &message);
}

/* --- the connection ----------------------------------------------------- */

void world_connect(struct world *world)
{
    bao_dialogue_connected(world->dialogue, world->now_us);
    world_send(world);
}

void world_lose(struct world *world)
{
    bao_dialogue_lost(world->dialogue, world->now_us);
    world_send(world);
}

void world_welcome(struct world *world)
{
    world_connect(world);
    world_hears(world,
                "HELLO rid=0 status=OK protocol=1 session=5 "
                "secret=000102030405060708090a0b0c0d0e0f epoch=3 boot=99 "
                "heartbeat_ms=60000 limit=4096 credit_bytes=1000000 "
                "item_bytes_max=33554432 version=test",
                NULL);
    world_forget(world);
}

/* --- asking ------------------------------------------------------------- */

struct bao_request *world_ask(struct world *world,
                              const char *line,
                              int64_t wait_ms,
                              const char *body)
{
    assert_true(world->request_count < WORLD_REQUESTS);
    struct world_request *made = &world->requests[world->request_count++];
    script_parse(line, &made->script);
    made->world = world;
    made->request.operation = made->script.operation;
    made->request.until_us =
        wait_ms < 0 ? BAO_NEVER_US : world->now_us + (uint64_t)wait_ms * 1000;
    if (body != NULL) {
        made->letter.payload = bao_span_text(body);
        made->request.letters = &made->letter;
        made->request.letter_count = 1;
    }
    bao_dialogue_submit(world->dialogue, world->now_us, &made->request);
    return &made->request;
}

/* --- the story ---------------------------------------------------------- */

void world_forget(struct world *world)
{
    world->log_bytes = 0;
    world->log[0] = '\0';
    world->messages = 0;
}

void world_story(struct world *world, const char *expected)
{
    world->log[world->log_bytes] = '\0';
    if (strcmp(world->log, expected) != 0) {
        print_error(
            "--- expected\n%s--- but it was\n%s---\n", expected, world->log);
        fail();
    }
    world_forget(world);
}
