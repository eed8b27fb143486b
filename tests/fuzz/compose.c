/*
 * compose.c - operations that make sense, chosen byte by byte.
 */
#include "tests/fuzz/compose.h"

#include <stdio.h>

#include "common/check.h"
#include "common/texts.h"
#include "common/wire.h"

struct maker {
    struct fuzz_input *input;
    const struct fuzz_known *known;
    struct fuzz_memory *memory;
    unsigned entries;
    unsigned from; /* the first of the known items to speak of */
};

void fuzz_know(struct fuzz_known *known, const struct bao_operation *operation)
{
    if (bao_has(operation, BAO_BIT(IDS) | BAO_BIT(TOKEN))) {
        for (size_t i = 0; i < bao_column64_count(operation->ids); i++) {
            unsigned at = known->seen++ % FUZZ_KNOWN;
            known->ids[at] = bao_column64(operation->ids, i);
            known->tokens[at] = operation->token + i;
        }
    } else if (bao_has(operation, BAO_BIT(ID)) &&
               operation->verb == BAO_VERB_PUT) {
        unsigned at = known->seen++ % FUZZ_KNOWN;
        known->ids[at] = operation->id;
        known->tokens[at] = 0;
    }
    if (bao_has(operation, BAO_BIT(SECRET)) &&
        operation->secret.bytes == sizeof known->secret) {
        memcpy(known->secret, operation->secret.data, sizeof known->secret);
    }
    if (bao_has(operation, BAO_BIT(SESSION))) {
        known->session = operation->session;
    }
    if (bao_has(operation, BAO_BIT(BOOT))) {
        known->boot = operation->boot;
    }
    if (bao_has(operation, BAO_BIT(SEQUENCE))) {
        known->sequence = operation->sequence;
    }
}

/* --- one value ---------------------------------------------------------- */

/* A known item, or one beside it. */
static uint64_t pick_id(struct maker *maker, unsigned i)
{
    unsigned at = (maker->from + i) % FUZZ_KNOWN;
    return maker->known->ids[at] + (maker->from >= 0xf0 ? 1 : 0);
}

static uint64_t pick_rid(struct maker *maker)
{
    uint8_t byte = fuzz_byte(maker->input);
    uint64_t back = byte < 0x80 ? 0 : byte - 0x7fu;
    return maker->known->rid > back ? maker->known->rid - back : 1;
}

static uint64_t make_number(struct maker *maker, unsigned key, uint64_t max)
{
    const struct fuzz_known *known = maker->known;
    uint8_t byte;
    switch (key) {
    case BAO_KEY_RID: return pick_rid(maker);
    case BAO_KEY_ID:
    case BAO_KEY_MARK: return pick_id(maker, 0);
    case BAO_KEY_TOKEN: return known->tokens[maker->from % FUZZ_KNOWN];
    case BAO_KEY_SESSION: return known->session;
    case BAO_KEY_BOOT: return known->boot;
    case BAO_KEY_TARGET:
        byte = fuzz_byte(maker->input);
        return byte < 0x80 ? known->target : known->rid - (byte & 0x1fu);
    case BAO_KEY_SEQUENCE:
        return known->sequence + (fuzz_byte(maker->input) & 3u);
    case BAO_KEY_PROTOCOL:
    case BAO_KEY_PROTOCOL_MIN:
        byte = fuzz_byte(maker->input);
        return byte < 0xf8 ? 1 : byte - 0xf8u;
    default: break;
    }
    uint64_t number = fuzz_number(maker->input);
    return number > max ? max : number;
}

static int64_t make_signed(struct maker *maker, unsigned key, uint64_t max)
{
    (void)key;
    (void)max;
    return (int8_t)fuzz_byte(maker->input);
}

static struct bao_span
make_text(struct maker *maker, unsigned key, uint64_t max)
{
    static const char *const queues[] = {"buns", "jobs", "q", "包子"};
    static const char *const texts[] = {"a", "error: it broke", "b", "é"};
    unsigned choice = fuzz_byte(maker->input) & 3u;
    (void)max;
    return bao_span_text(key == BAO_KEY_QUEUE ? queues[choice] : texts[choice]);
}

static struct bao_span
make_bytes(struct maker *maker, unsigned key, uint64_t max)
{
    static const char *const names[] = {"k0", "k1", "\x01\xff", "k3"};
    (void)max;
    if (key == BAO_KEY_CLIENT) {
        return bao_span_of(maker->known->client, BAO_CLIENT_ID_BYTES);
    }
    if (key == BAO_KEY_SECRET) {
        return bao_span_of(maker->known->secret, BAO_CLIENT_ID_BYTES);
    }
    return bao_span_text(names[fuzz_byte(maker->input) & 3u]);
}

static uint8_t *take_column(struct maker *maker)
{
    return maker->memory->columns[maker->memory->columns_used++ % 8];
}

/* Small bodies, now and then an empty or a big one. */
static uint32_t make_length(struct maker *maker, unsigned key)
{
    uint8_t byte = fuzz_byte(maker->input);
    if (key != BAO_KEY_LENGTHS) {
        return key == BAO_KEY_HEADER_LENGTHS ? 0 : byte;
    }
    return byte < 0xf8 ? byte % 48u
                       : BAO_BIG_BIT | (BAO_BIG_BYTES + (byte & 1u));
}

static struct bao_span
make_column32(struct maker *maker, unsigned key, uint64_t max)
{
    uint8_t *column = take_column(maker);
    (void)max;
    for (unsigned i = 0; i < maker->entries; i++) {
        bao_store32(column + 4 * i, make_length(maker, key));
    }
    return bao_span_of(column, 4 * (size_t)maker->entries);
}

static struct bao_span
make_column64(struct maker *maker, unsigned key, uint64_t max)
{
    uint8_t *column = take_column(maker);
    unsigned count = maker->entries;
    (void)max;
    for (unsigned i = 0; i < count && key != BAO_KEY_RANGES; i++) {
        unsigned at = (maker->from + i) % FUZZ_KNOWN;
        bao_store64(column + 8 * i,
                    key == BAO_KEY_TOKENS ? maker->known->tokens[at]
                                          : pick_id(maker, i));
    }
    if (key == BAO_KEY_RANGES) { /* one pair that ends at a sent request */
        uint64_t last = pick_rid(maker);
        uint64_t less = fuzz_byte(maker->input) & 0x3fu;
        bao_store64(column, last > less ? last - less : 1);
        bao_store64(column + 8, last);
        count = 2;
    }
    return bao_span_of(column, 8 * (size_t)count);
}

static struct bao_span
make_texts(struct maker *maker, unsigned key, uint64_t max)
{
    static const char *const texts[] = {"", "g", "h", "it broke"};
    size_t bytes = 0;
    (void)key;
    (void)max;
    for (unsigned i = 0; i < maker->entries; i++) {
        struct bao_span text =
            bao_span_text(texts[fuzz_byte(maker->input) & 3u]);
        enum baozi_status status = bao_texts_add(
            maker->memory->list, sizeof maker->memory->list, &bytes, text);
        BAO_ASSERT(status == BAOZI_OK); /* six short ones fit */
    }
    return bao_span_of(maker->memory->list, bytes);
}

/* --- an operation ------------------------------------------------------- */

static void fill_keys(struct maker *maker,
                      uint64_t present,
                      struct bao_operation *operation)
{
#define MAKE_NUMBER   make_number
#define MAKE_SIGNED   make_signed
#define MAKE_TEXT     make_text
#define MAKE_BYTES    make_bytes
#define MAKE_COLUMN32 make_column32
#define MAKE_COLUMN64 make_column64
#define MAKE_TEXTS    make_texts
#define X(number, NAME, field, type, max)                                     \
    if ((present & BAO_BIT(NAME)) != 0 && (number) != BAO_KEY_VERB) {         \
        BAO_SET(operation, NAME, field, MAKE_##type(maker, (number), (max))); \
    }
    BAO_KEY_TABLE(X)
#undef X
}

/* Up to three options; or none. */
static void fill_options(struct maker *maker, struct bao_operation *operation)
{
    struct bao_queue_options *options = &maker->memory->options;
    *options = (struct bao_queue_options){0};
    for (unsigned left = fuzz_byte(maker->input) & 3u; left > 0; left--) {
        unsigned key = 64u + fuzz_byte(maker->input) % 21u;
        uint64_t value = fuzz_number(maker->input);
        switch (key) {
#define X(number, NAME, field, fallback, max)           \
    case (number):                                      \
        options->present |= BAO_OPTION_BIT(NAME);       \
        options->field = value > (max) ? (max) : value; \
        break;
            BAO_OPTION_TABLE(X)
#undef X
        default: break;
        }
    }
    operation->options = options->present == 0 ? NULL : options;
}

/* As many of `optional` as the bits of two bytes say, in order. */
static uint64_t choose_keys(struct fuzz_input *input, uint64_t optional)
{
    uint32_t bits = fuzz_two_bytes(input);
    uint64_t chosen = 0;
    for (unsigned key = 0, i = 0; key < 63 && i < 16; key++) {
        if ((optional >> key & 1) != 0) {
            chosen |= (uint64_t)(bits >> i & 1) << key;
            i++;
        }
    }
    return chosen;
}

void fuzz_compose(struct fuzz_input *input,
                  const struct fuzz_known *known,
                  uint64_t verb,
                  bool answer,
                  struct fuzz_memory *memory,
                  struct bao_operation *operation)
{
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answers = 0;
    (void)bao_verb_keys(verb, &required, &optional, &answers);
    struct maker maker = {.input = input, .known = known, .memory = memory};
    uint8_t shape = fuzz_byte(input);
    maker.entries = 1u + shape % FUZZ_ENTRIES_MAX;
    maker.from = fuzz_byte(input);
    memory->columns_used = 0;
    uint64_t always = answer ? BAO_BIT(RID) | BAO_BIT(STATUS) : required;
    if (answer && verb == BAO_VERB_GET && shape < 0xc0) {
        always |= BAO_BIT(IDS) | BAO_BIT(TOKEN) | BAO_BIT(LENGTHS);
    }
    uint64_t maybe =
        answer ? answers | BAO_BIT(FLAGS) | BAO_BIT(ERROR) | BAO_BIT(COUNT)
               : optional;
    *operation = (struct bao_operation){.present = BAO_BIT(VERB), .verb = verb};
    fill_keys(&maker,
              always | choose_keys(input, maybe & ~BAO_OPTIONS_OK),
              operation);
    if (verb == BAO_VERB_HELLO) {
        operation->rid = 0;
    }
    if ((required & BAO_OPTIONS_OK) != 0 && !answer) {
        fill_options(&maker, operation);
    }
    if ((answers & BAO_READINGS_OK) != 0 && answer) {
        fill_options(&maker, operation);
        memory->readings = (struct bao_readings){.ready = maker.from};
        operation->readings = &memory->readings;
    }
}

uint64_t fuzz_verb(struct fuzz_input *input)
{
    static const uint8_t verbs[] = {
#define X(number, NAME, required, optional, answer) (number),
        BAO_VERB_TABLE(X)
#undef X
    };
    return verbs[fuzz_byte(input) % sizeof verbs];
}

void fuzz_all_valid(enum baozi_status status,
                    const struct bao_operation *last,
                    const char *why)
{
    uint64_t keys[3];
    if (status == BAOZI_BAD_REQUEST &&
        !bao_verb_keys(last->verb, &keys[0], &keys[1], &keys[2])) {
        return; /* the refusal of a verb of a later version */
    }
    if (status != BAOZI_EMPTY) {
        (void)fprintf(stderr,
                      "sent: %s rid %llu status %llu keys %llx: %s\n",
                      bao_verb_name(last->verb),
                      (unsigned long long)last->rid,
                      (unsigned long long)last->status,
                      (unsigned long long)last->present,
                      why);
    }
    BAO_ASSERT(status == BAOZI_EMPTY);
}

uint32_t fuzz_body_sizes(const struct bao_operation *operation,
                         size_t *small_bytes,
                         size_t *big_bytes)
{
    uint32_t big = 0;
    bool no_body = operation->verb == BAO_VERB_PUT &&
                   (operation->flags & BAO_FLAG_NO_BODY) != 0;
    if (!bao_has(operation, BAO_BIT(LENGTHS)) || no_body) {
        return 0;
    }
    for (size_t i = 0; i < bao_column32_count(operation->lengths); i++) {
        uint32_t length = bao_column32(operation->lengths, i);
        if ((length & BAO_BIG_BIT) == 0) {
            *small_bytes += length;
        } else if (big < BAO_BIG_FRAMES_MAX) {
            big_bytes[big++] = length & ~BAO_BIG_BIT;
        }
    }
    return big;
}
