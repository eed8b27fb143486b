/*
 * fuzz_dialogue.c - whatever a broker says to the client's half of the
 * protocol, and whatever its caller does meanwhile: each request has one
 * outcome, what is sent is valid, and nothing is left at the end.
 *
 * An input is a list of acts. The first byte of each:
 *
 *   bits 0-2  0 the answer to a request   1 any composed operation
 *             2 raw bytes    3 time passes    4 the connection
 *             5 a new request    6 something with a request
 *             7 something with a lease
 *   bit 7     nothing is sent yet
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/dialogue.h"
#include "common/wire.h"
#include "tests/fuzz/compose.h"

enum { ACTS_MAX = 600, REQUESTS = 24, LEASES = 48, LETTERS = 3 };

struct asked {
    struct bao_request request;
    struct fuzz_memory memory;
    struct bao_letter letters[LETTERS];
    bool open; /* submitted, and neither answered nor forgotten */
};

static struct {
    struct bao_dialogue *dialogue;
    uint64_t now_us;
    bool connected;
    struct asked asked[REQUESTS];
    struct bao_lease leases[LEASES];
    bool held[LEASES];
    struct fuzz_known known; /* what the broker speaks of */
} world;

static uint8_t header[BAO_HEADER_BYTES_MAX];

/* --- what the dialogue calls ---------------------------------------------- */

static struct asked *asked_of(struct bao_request *request)
{
    struct asked *asked = BAO_OF(request, struct asked, request);
    BAO_ASSERT(asked >= world.asked && asked < world.asked + REQUESTS);
    BAO_ASSERT(asked->open);
    return asked;
}

/* Reads every byte of a span, so that the sanitizer sees where it lies. */
static void read_bytes(struct bao_span span)
{
    static volatile uint8_t sum;
    for (size_t i = 0; i < span.bytes; i++) {
        sum = (uint8_t)(sum + span.data[i]);
    }
}

/* Takes the items as the library does: holds them, or gives them back. */
static void take_items(const struct bao_operation *operation,
                       const struct bao_message *message,
                       bool automatic)
{
    struct bao_items items;
    struct bao_item_in item;
    if (!bao_items_open(&items, operation, message)) {
        return;
    }
    while (bao_items_next(&items, &item)) {
        unsigned i = 0;
        read_bytes(item.letter.header);
        read_bytes(item.letter.payload);
        read_bytes(item.group);
        while (i < LEASES && world.held[i]) {
            i++;
        }
        bool kept = i < LEASES && item.token != 0;
        if (kept && automatic) {
            kept = bao_dialogue_receipt(world.dialogue, item.id, item.token);
        } else if (kept) {
            world.leases[i] =
                (struct bao_lease){.id = item.id,
                                   .token = item.token,
                                   .lease_ms = (uint32_t)operation->lease_ms};
            kept = bao_dialogue_hold(
                world.dialogue, world.now_us, &world.leases[i]);
            world.held[i] = kept;
        }
        if (!kept) {
            bao_dialogue_give_back(
                world.dialogue, world.now_us, item.id, item.token);
        }
    }
}

static void on_answered(void *context,
                        struct bao_request *request,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    (void)context;
    struct asked *asked = asked_of(request);
    struct bao_letter letter;
    BAO_ASSERT(answer->verb == request->operation.verb);
    asked->open = false;
    if (answer->verb == BAO_VERB_GET && answer->status == BAOZI_OK) {
        take_items(
            answer, message, (request->operation.flags & BAO_FLAG_AUTO) != 0);
    } else if (bao_message_letter(message, answer, &letter)) {
        read_bytes(letter.header);
        read_bytes(letter.payload);
    }
    read_bytes(answer->error);
    read_bytes(answer->errors);
}

static void on_row(void *context,
                   struct bao_request *request,
                   const struct bao_operation *row,
                   const struct bao_message *message)
{
    (void)context;
    struct bao_letter letter;
    (void)asked_of(request);
    if (bao_message_letter(message, row, &letter)) {
        read_bytes(letter.header);
        read_bytes(letter.payload);
    }
}

static void on_delivered(void *context,
                         struct bao_request *subscription,
                         const struct bao_operation *items,
                         const struct bao_message *message)
{
    (void)context;
    (void)asked_of(subscription);
    take_items(items, message, false);
}

static void on_welcomed(void *context, bool resumed)
{
    (void)context;
    (void)resumed;
}

/* --- the caller ------------------------------------------------------------
 */

/* What a caller of the library may set, and as much of it. */
static void make_request(struct fuzz_input *input, struct asked *asked)
{
    static const uint8_t verbs[] = {
        BAO_VERB_PUT,       BAO_VERB_PUT,    BAO_VERB_GET,
        BAO_VERB_GET,       BAO_VERB_DONE,   BAO_VERB_DONE,
        BAO_VERB_SUBSCRIBE, BAO_VERB_RETRY,  BAO_VERB_RELEASE,
        BAO_VERB_REJECT,    BAO_VERB_TOUCH,  BAO_VERB_DONE_NEXT,
        BAO_VERB_JOIN,      BAO_VERB_WAIT,   BAO_VERB_STAT,
        BAO_VERB_LIST,      BAO_VERB_PEEK,   BAO_VERB_BROWSE,
        BAO_VERB_REDRIVE,   BAO_VERB_BROKER, BAO_VERB_SESSIONS,
        BAO_VERB_DECLARE,   BAO_VERB_BYE,    BAO_VERB_CANCEL_ITEM,
    };
    static const uint8_t payload[BAO_BIG_BYTES] = {1};
    uint64_t verb = verbs[fuzz_byte(input) % sizeof verbs];
    struct bao_operation *op = &asked->request.operation;
    asked->request = (struct bao_request){.until_us = BAO_NEVER_US};
    fuzz_compose(input, &world.known, verb, false, &asked->memory, op);
    op->present &= ~(BAO_BIT(RID) | BAO_BIT(WAIT_MS) | BAO_BIT(LENGTHS) |
                     BAO_BIT(HEADER_LENGTHS) | BAO_BIT(PRIORITIES) |
                     BAO_BIT(SEQUENCE) | BAO_BIT(BOOT) | BAO_BIT(MARK));
    op->flags &= BAO_FLAG_ATOMIC | BAO_FLAG_AUTO;
    if (bao_has(op, BAO_BIT(TOKENS))) {
        op->ids.bytes = 8;
        op->tokens.bytes = 8;
    }
    uint32_t count = verb == BAO_VERB_PUT    ? 1
                     : verb == BAO_VERB_DONE ? fuzz_byte(input) & 1u
                                             : 0;
    if (verb == BAO_VERB_PUT && (op->flags & BAO_FLAG_ATOMIC) != 0) {
        count = 1u + fuzz_byte(input) % (unsigned)LETTERS;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t size = fuzz_byte(input);
        asked->letters[i] = (struct bao_letter){
            .payload = bao_span_of(
                payload, size < 0xf0 ? size : sizeof payload - (size & 1u))};
    }
    asked->request.letters = asked->letters;
    asked->request.letter_count = count;
    uint8_t wait = fuzz_byte(input);
    if (wait < 0x80) {
        asked->request.until_us = world.now_us + UINT64_C(20000) * wait;
    }
}

static void submit(struct fuzz_input *input)
{
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (!world.asked[i].open) {
            make_request(input, &world.asked[i]);
            world.asked[i].open = true;
            bao_dialogue_submit(
                world.dialogue, world.now_us, &world.asked[i].request);
            return;
        }
    }
}

/* The open request that a byte chooses, or NULL. */
static struct asked *choose(struct fuzz_input *input)
{
    unsigned byte = fuzz_byte(input);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct asked *asked = &world.asked[(byte + i) % REQUESTS];
        if (asked->open) {
            return asked;
        }
    }
    return NULL;
}

static void act_on_request(struct fuzz_input *input)
{
    struct asked *asked = choose(input);
    if (asked == NULL) {
        return;
    }
    switch (fuzz_byte(input) & 3u) {
    case 0:
        asked->open = false;
        bao_dialogue_forget(world.dialogue, &asked->request);
        return;
    case 1:
        if (asked->request.operation.verb == BAO_VERB_SUBSCRIBE) {
            uint32_t items = fuzz_byte(input);
            bao_dialogue_credit(
                world.dialogue, &asked->request, items, fuzz_number(input));
        }
        return;
    default:
        bao_dialogue_cancel(world.dialogue, world.now_us, &asked->request);
        return;
    }
}

static void act_on_lease(struct fuzz_input *input)
{
    unsigned i = fuzz_byte(input) % LEASES;
    struct bao_lease *lease = &world.leases[i];
    if (!world.held[i]) {
        return;
    }
    switch (fuzz_byte(input) & 7u) {
    case 0:
        bao_dialogue_renewed(
            world.dialogue, world.now_us, lease, (uint32_t)fuzz_number(input));
        return;
    case 1: bao_dialogue_settled(world.dialogue, lease->id); return;
    case 2:
    case 3:
        world.held[i] = false;
        bao_dialogue_drop(world.dialogue, lease);
        return;
    case 4: {
        uint64_t id = lease->id;
        uint64_t token = lease->token;
        world.held[i] = false;
        bao_dialogue_drop(world.dialogue, lease);
        bao_dialogue_give_back(world.dialogue, world.now_us, id, token);
        return;
    }
    default: bao_dialogue_started(world.dialogue, world.now_us, lease); return;
    }
}

/* --- the broker ------------------------------------------------------------
 */

/* It says a header, with frames of these sizes, each a block of its own. */
static void hear(struct bao_span said, const size_t *sizes, size_t count)
{
    uint8_t *data[BAO_PARTS_MAX];
    struct bao_span parts[BAO_PARTS_MAX];
    BAO_ASSERT(count <= BAO_PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        data[i] = calloc(1, sizes[i]);
        BAO_ASSERT(data[i] != NULL || sizes[i] == 0);
        parts[i] = bao_span_of(data[i], sizes[i]);
    }
    struct bao_message message = {
        .header = said, .parts = parts, .part_count = count};
    if (world.connected) {
        bao_dialogue_feed(world.dialogue, world.now_us, &message);
    }
    for (size_t i = 0; i < count; i++) {
        free(data[i]);
    }
}

/* The sizes that operations claim together; sizes[0] is the bodies frame's.
 * Returns how many frames these are. */
static size_t
claim(const struct bao_operation *operation, size_t *sizes, size_t count)
{
    size_t big[BAO_BIG_FRAMES_MAX] = {0};
    count = count == 0 ? 1 : count;
    uint32_t more = fuzz_body_sizes(operation, &sizes[0], big);
    for (uint32_t i = 0; i < more && count < BAO_PARTS_MAX - 1; i++) {
        sizes[count++] = big[i];
    }
    return count > 1 || sizes[0] > 0 ? count : 0;
}

/* The bytes come with the bodies that they claim. */
static void hear_raw(struct bao_span said)
{
    static struct bao_reader reader;
    struct bao_operation operation;
    size_t sizes[BAO_PARTS_MAX] = {0};
    size_t count = 0;
    if (bao_reader_open(&reader, said) == BAOZI_OK) {
        while (bao_reader_next(&reader, &operation) != BAOZI_EMPTY) {
            count = claim(&operation, sizes, count);
        }
    }
    hear(said, sizes, count);
}

static void hear_operation(const struct bao_operation *operation)
{
    struct bao_writer writer;
    bao_writer_open(&writer, header, sizeof header);
    if (bao_writer_add(&writer, operation) != BAOZI_OK) {
        return;
    }
    /* A block of exactly its size. */
    struct bao_span written = bao_writer_close(&writer);
    uint8_t *copy = malloc(written.bytes);
    BAO_ASSERT(copy != NULL);
    memcpy(copy, written.data, written.bytes);
    size_t sizes[BAO_PARTS_MAX] = {0};
    size_t count = claim(operation, sizes, 0);
    hear(bao_span_of(copy, written.bytes), sizes, count);
    free(copy);
}

static void answer(struct fuzz_input *input)
{
    static struct fuzz_memory memory;
    struct bao_operation operation;
    struct asked *asked = choose(input);
    uint64_t verb =
        asked == NULL ? BAO_VERB_HELLO : asked->request.operation.verb;
    fuzz_compose(input, &world.known, verb, true, &memory, &operation);
    operation.rid = asked == NULL ? 0 : asked->request.rid;
    uint8_t status = fuzz_byte(input);
    if (status < 0xc0) {
        operation.status = BAOZI_OK;
    }
    if ((status & 1u) != 0) {
        operation.present &= ~BAO_BIT(COUNT);
    }
    if (verb == BAO_VERB_SUBSCRIBE && asked != NULL) {
        world.known.target = asked->request.rid;
    }
    hear_operation(&operation);
}

/* HELLO is answered as a broker would, but for what the input changes. */
static void welcome(struct fuzz_input *input)
{
    uint8_t byte = fuzz_byte(input);
    struct bao_operation hello = {0};
    BAO_SET(&hello, VERB, verb, BAO_VERB_HELLO);
    BAO_SET(&hello, RID, rid, 0);
    BAO_SET(&hello, STATUS, status, BAOZI_OK);
    if (byte >= 0xf0) {
        hello.status = byte >= 0xf8 ? BAOZI_SESSION_GONE : BAOZI_QUOTA;
    }
    BAO_SET(&hello, PROTOCOL, protocol, 1);
    BAO_SET(&hello, SESSION, session, 1);
    BAO_SET(&hello, EPOCH, epoch, 1);
    BAO_SET(&hello, BOOT, boot, 1u + (byte >> 6 & 1u));
    BAO_SET(&hello, SECRET, secret, bao_span_of(world.known.secret, 16));
    BAO_SET(&hello, HEARTBEAT_MS, heartbeat_ms, 1000);
    if ((byte & 1u) != 0) {
        BAO_SET(&hello, FLAGS, flags, BAO_FLAG_RESUMED);
    }
    if ((byte & 2u) != 0) {
        BAO_SET(&hello, LIMIT, limit, fuzz_number(input));
        BAO_SET(&hello, CREDIT_BYTES, credit_bytes, fuzz_number(input));
        BAO_SET(&hello,
                ITEM_BYTES_MAX,
                item_bytes_max,
                fuzz_number(input) & UINT32_MAX);
    }
    hear_operation(&hello);
}

static void any_operation(struct fuzz_input *input)
{
    static struct fuzz_memory memory;
    struct bao_operation operation;
    uint8_t byte = fuzz_byte(input);
    uint64_t verb =
        byte < 0x80 ? BAO_VERB_DELIVER + (byte & 7u) % 5u : fuzz_verb(input);
    for (unsigned i = 0; i < REQUESTS; i++) {
        if (world.asked[i].open &&
            world.asked[i].request.operation.verb == BAO_VERB_SUBSCRIBE) {
            world.known.target = world.asked[i].request.rid;
        }
    }
    fuzz_compose(input, &world.known, verb, byte >= 0xc0, &memory, &operation);
    fuzz_know(&world.known, &operation);
    hear_operation(&operation);
}

/* --- the connection ---------------------------------------------------------
 */

static void check_outgoing(const struct bao_outgoing *out)
{
    static struct bao_reader reader;
    struct bao_operation operation;
    size_t bodies = 0;
    uint32_t parts = 0;
    enum baozi_status status = bao_reader_open(&reader, out->header);
    BAO_ASSERT(status == BAOZI_OK);
    for (size_t i = 0; i < out->piece_count; i++) {
        const struct bao_piece *piece = &out->pieces[i];
        BAO_ASSERT(piece->part < out->part_count);
        bodies += piece->part == 0 ? piece->bytes.bytes : 0;
        parts = piece->part > parts ? piece->part : parts;
        read_bytes(piece->bytes);
    }
    BAO_ASSERT(bodies == reader.claimed.offset);
    BAO_ASSERT(parts == reader.claimed.big);
    while ((status = bao_reader_next(&reader, &operation)) == BAOZI_OK) {
        if (operation.rid >= world.known.rid && operation.rid < UINT32_MAX) {
            world.known.rid = operation.rid + 1;
        }
    }
    fuzz_all_valid(status, &operation, reader.why);
}

/* As the link does: sends all, cuts a connection that is of no use. */
static void pump(void)
{
    struct bao_outgoing out;
    unsigned sent = 0;
    bao_dialogue_tick(world.dialogue, world.now_us);
    while (world.connected &&
           bao_dialogue_next(world.dialogue, world.now_us, &out)) {
        check_outgoing(&out);
        BAO_ASSERT(sent < 1000);
        sent++;
    }
    if (bao_dialogue_broken(world.dialogue) != NULL) {
        bao_dialogue_lost(world.dialogue, world.now_us);
        world.connected = false;
    }
}

static void connection(struct fuzz_input *input)
{
    uint8_t byte = fuzz_byte(input);
    if (!world.connected) {
        world.connected = true;
        bao_dialogue_connected(world.dialogue, world.now_us);
        pump();
    } else if ((byte & 0x0fu) == 0) {
        world.connected = false;
        bao_dialogue_lost(world.dialogue, world.now_us);
        return;
    }
    if (world.connected && (byte & 0x30u) != 0x30) {
        welcome(input);
    }
}

static void pass_time(struct fuzz_input *input)
{
    static const uint32_t steps_ms[] = {1,
                                        5,
                                        11,
                                        51,
                                        100,
                                        300,
                                        999,
                                        1001,
                                        2500,
                                        3001,
                                        5001,
                                        10000,
                                        20000,
                                        61000};
    uint64_t due_us = bao_dialogue_deadline(world.dialogue);
    uint8_t byte = fuzz_byte(input);
    if (byte >= 0x80 && due_us != BAO_NEVER_US && due_us > world.now_us) {
        world.now_us = due_us;
        return;
    }
    world.now_us += UINT64_C(1000) * steps_ms[byte % 14u];
}

/* --- an input
 * ----------------------------------------------------------------- */

static void act(struct fuzz_input *input)
{
    uint8_t first = fuzz_byte(input);
    switch (first & 7u) {
    case 0: answer(input); break;
    case 1: any_operation(input); break;
    case 2: hear_raw(fuzz_bytes(input, fuzz_two_bytes(input))); break;
    case 3: pass_time(input); break;
    case 4: connection(input); break;
    case 5: submit(input); break;
    case 6: act_on_request(input); break;
    default: act_on_lease(input); break;
    }
    if ((first & 0x80u) == 0 || bao_dialogue_broken(world.dialogue) != NULL) {
        pump();
    }
}

static void open_world(void)
{
    struct bao_dialogue_config config = {.seed = {1},
                                         .host = bao_span_text("here"),
                                         .program = bao_span_text("fuzz"),
                                         .pid = 7,
                                         .connect_timeout_us = 5000000,
                                         .calls = {.answered = on_answered,
                                                   .row = on_row,
                                                   .delivered = on_delivered,
                                                   .welcomed = on_welcomed}};
    memset(&world, 0, sizeof world);
    world.now_us = 1000000;
    world.known.rid = 1;
    for (unsigned i = 0; i < FUZZ_KNOWN; i++) {
        world.known.ids[i] = i + 1;
        world.known.tokens[i] = UINT64_C(100) * i + 1;
    }
    world.dialogue = bao_dialogue_open(&config, world.now_us);
    BAO_ASSERT(world.dialogue != NULL);
}

/* Everybody is told; then nothing is outstanding. */
static void close_world(void)
{
    bao_dialogue_fail_all(world.dialogue, BAOZI_CLOSED, "it is closed");
    for (unsigned i = 0; i < REQUESTS; i++) {
        BAO_ASSERT(!world.asked[i].open);
    }
    for (unsigned i = 0; i < LEASES; i++) {
        if (world.held[i]) {
            bao_dialogue_drop(world.dialogue, &world.leases[i]);
        }
    }
    BAO_ASSERT(bao_dialogue_held(world.dialogue) == 0);
    bao_dialogue_close(world.dialogue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    open_world();
    for (unsigned acts = 0; input.left > 0 && acts < ACTS_MAX; acts++) {
        act(&input);
    }
    close_world();
    return 0;
}
