/*
 * random_operation.c - random valid operations, made from the tables.
 *
 * Each key is filled by its type; then the rules between keys (columns of one
 * length, header_lengths below lengths, ascending ranges) are made true.
 */
#include "tests/lib/random_operation.h"

#include "common/texts.h"

const uint64_t all_verbs[] = {
#define X(number, NAME, required, optional, answer) (number),
    BAO_VERB_TABLE(X)
#undef X
        0};

/* What one operation is being made with. */
struct maker {
    random_source *source;
    struct random_memory *memory;
    size_t entries;
};

static uint64_t any_number(struct maker *maker, uint64_t max)
{
    unsigned bits = (unsigned)maker->source(65);
    uint64_t value = maker->source(UINT64_C(1) << 52) << 12;
    value |= maker->source(UINT64_C(1) << 12);
    value = bits == 0 ? 0 : value >> (64 - bits);
    return value > max ? max : value;
}

static int64_t any_signed(struct maker *maker, uint64_t max)
{
    int64_t value = (int64_t)any_number(maker, max);
    return maker->source(2) == 0 ? value : -value - 1;
}

static struct bao_span any_text(struct maker *maker, uint64_t max)
{
    static const char *const letters[] = {"a",
                                          "Z",
                                          "7",
                                          " ",
                                          "-",
                                          "\xc3\xa9",
                                          "\xe5\x8c\x85",
                                          "\xf0\x9f\xa5\x9f"};
    uint8_t *text = maker->memory->texts[maker->memory->texts_used++];
    size_t limit = RANDOM_TEXT_BYTES - 4;
    size_t bytes = 0;
    limit = limit < max ? limit : (size_t)max;
    size_t wanted = 1 + (size_t)maker->source(limit);
    while (bytes < wanted) {
        const char *letter = letters[maker->source(8)];
        memcpy(text + bytes, letter, strlen(letter));
        bytes += strlen(letter);
    }
    return bao_span_of(text, bytes);
}

static struct bao_span any_bytes(struct maker *maker, uint64_t max)
{
    uint8_t *bytes = maker->memory->texts[maker->memory->texts_used++];
    size_t count = max == BAO_CLIENT_ID_BYTES
                       ? BAO_CLIENT_ID_BYTES
                       : 1 + (size_t)maker->source(RANDOM_TEXT_BYTES);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)maker->source(256);
    }
    return bao_span_of(bytes, count);
}

static struct bao_span any_column32(struct maker *maker, uint64_t max)
{
    (void)max;
    uint8_t *column = maker->memory->columns[maker->memory->columns_used++];
    for (size_t i = 0; i < maker->entries; i++) {
        bao_store32(column + 4 * i, (uint32_t)maker->source(5000));
    }
    return bao_span_of(column, 4 * maker->entries);
}

/* Ascending, so that it will do for ranges too: those take 2 an entry. */
static struct bao_span any_column64(struct maker *maker, uint64_t max)
{
    uint8_t *column = maker->memory->columns[maker->memory->columns_used++];
    size_t entries = maker->entries;
    if (max == UINT64_C(16) * BAO_RANGES_MAX) {
        entries *= 2;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < entries; i++) {
        value += 1 + any_number(maker, UINT64_C(1) << 55);
        bao_store64(column + 8 * i, value);
    }
    return bao_span_of(column, 8 * entries);
}

static struct bao_span any_texts(struct maker *maker, uint64_t max)
{
    (void)max;
    uint8_t *list = maker->memory->lists[maker->memory->lists_used++];
    size_t bytes = 0;
    for (size_t i = 0; i < maker->entries; i++) {
        struct bao_span text = any_text(maker, RANDOM_TEXT_BYTES);
        enum baozi_status status =
            bao_texts_add(list, sizeof(maker->memory->lists[0]), &bytes, text);
        if (status != BAOZI_OK) {
            break;
        }
    }
    return bao_span_of(list, bytes);
}

#define ANY_NUMBER   any_number
#define ANY_SIGNED   any_signed
#define ANY_TEXT     any_text
#define ANY_BYTES    any_bytes
#define ANY_COLUMN32 any_column32
#define ANY_COLUMN64 any_column64
#define ANY_TEXTS    any_texts

static void fill_keys(struct maker *maker,
                      uint64_t present,
                      struct bao_operation *operation)
{
#define X(number, NAME, field, type, max)                             \
    if ((present & BAO_BIT(NAME)) != 0 && (number) != BAO_KEY_VERB) { \
        BAO_SET(operation, NAME, field, ANY_##type(maker, (max)));    \
    }
    BAO_KEY_TABLE(X)
#undef X
}

static void fill_options(struct maker *maker, struct bao_operation *operation)
{
    struct bao_queue_options *options = &maker->memory->options;
    memset(options, 0, sizeof(*options));
#define X(number, NAME, field, fallback, max)      \
    if (maker->source(2) == 0) {                   \
        options->present |= BAO_OPTION_BIT(NAME);  \
        options->field = any_number(maker, (max)); \
    }
    BAO_OPTION_TABLE(X)
#undef X
    operation->options = options->present == 0 ? NULL : options;
}

static void fill_readings(struct maker *maker, struct bao_operation *operation)
{
    struct bao_readings *readings = &maker->memory->readings;
#define X(number, NAME, field) readings->field = any_number(maker, UINT64_MAX);
    BAO_READING_TABLE(X)
#undef X
    operation->readings = readings;
}

/* Makes the rules between keys true. */
static void mend(struct maker *maker, bool answer, struct bao_operation *op)
{
    if (bao_has(op, BAO_BIT(RID))) {
        op->rid = op->verb == BAO_VERB_HELLO ? 0 : 1 + (op->rid >> 12);
    }
    if (answer && bao_has(op, BAO_BIT(COUNT))) {
        op->count = 1 + op->count % BAO_OPERATION_ITEMS_MAX;
    }
    op->token >>= 4;
    if (op->verb == BAO_VERB_HELD) {
        uint64_t both = BAO_BIT(IDS) | BAO_BIT(TOKENS);
        op->present = bao_has(op, both) ? op->present : op->present & ~both;
    }
    if (answer && op->verb == BAO_VERB_GET) { /* its items, or none */
        uint64_t items = BAO_BIT(IDS) | BAO_BIT(TOKEN) | BAO_BIT(LENGTHS);
        op->present = bao_has(op, items) ? op->present : op->present & ~items;
        op->status += op->status == 0 && !bao_has(op, items);
    }
    bool lonely = !bao_has(op, BAO_BIT(LENGTHS));
    if (lonely) {
        op->present &= ~BAO_BIT(HEADER_LENGTHS);
    }
    uint8_t *lengths = (uint8_t *)(uintptr_t)op->lengths.data;
    uint8_t *cuts = (uint8_t *)(uintptr_t)op->header_lengths.data;
    bool no_body =
        op->verb == BAO_VERB_PUT && (op->flags & BAO_FLAG_NO_BODY) != 0;
    for (size_t i = 0; i < bao_column32_count(op->lengths) && !lonely; i++) {
        uint32_t length = bao_load32(lengths + 4 * i);
        if (bao_has(op, BAO_BIT(HEADER_LENGTHS))) {
            uint32_t most = length < BAO_ITEM_HEADER_BYTES_MAX
                                ? length
                                : BAO_ITEM_HEADER_BYTES_MAX;
            bao_store32(cuts + 4 * i, (uint32_t)maker->source(most + 1));
        }
        if (i == 0 && !no_body && maker->source(8) == 0) {
            bao_store32(lengths, BAO_BIG_BIT | (length + BAO_BIG_BYTES));
        }
    }
}

bool random_operation(random_source *source,
                      uint64_t verb,
                      bool answer,
                      struct random_memory *memory,
                      struct bao_operation *operation)
{
    uint64_t required = 0;
    uint64_t optional = 0;
    uint64_t answers = 0;
    if (!bao_verb_keys(verb, &required, &optional, &answers) ||
        (answer && (required & BAO_BIT(RID)) == 0)) {
        return false;
    }
    struct maker maker = {.source = source, .memory = memory};
    uint64_t some = source(UINT64_C(1) << 32) << 32 | source(UINT64_C(1) << 32);
    uint64_t always = required;
    maker.entries = 1 + (size_t)source(RANDOM_ENTRIES);
    memory->columns_used = memory->texts_used = memory->lists_used = 0;
    bool one_body = verb == BAO_VERB_WAIT || verb == BAO_VERB_PEEK ||
                    verb == BAO_VERB_BROWSE;
    if (answer && one_body) {
        maker.entries = 1;
    }
    if (answer) {
        always = BAO_BIT(RID) | BAO_BIT(STATUS);
        optional = answers | BAO_BIT(FLAGS) | BAO_BIT(ERROR) | BAO_BIT(COUNT);
        some |= source(2) == 0 ? UINT64_MAX : 0;
    }
    *operation = (struct bao_operation){.present = BAO_BIT(VERB), .verb = verb};
    fill_keys(
        &maker, (always | (optional & some)) & ~BAO_OPTIONS_OK, operation);
    if (((answer ? answers : required) & BAO_OPTIONS_OK) != 0) {
        fill_options(&maker, operation);
        if (answer) {
            fill_readings(&maker, operation);
        }
    }
    mend(&maker, answer, operation);
    return true;
}

/* --- comparing ---------------------------------------------------------- */

#define SAME_NUMBER(a, b)   ((a) == (b))
#define SAME_SIGNED(a, b)   ((a) == (b))
#define SAME_TEXT(a, b)     bao_span_equal((a), (b))
#define SAME_BYTES(a, b)    bao_span_equal((a), (b))
#define SAME_COLUMN32(a, b) bao_span_equal((a), (b))
#define SAME_COLUMN64(a, b) bao_span_equal((a), (b))
#define SAME_TEXTS(a, b)    bao_span_equal((a), (b))

static const char *keys_differ(const struct bao_operation *a,
                               const struct bao_operation *b)
{
#define X(number, NAME, field, type, max)                                \
    if (bao_has(a, BAO_BIT(NAME)) && !SAME_##type(a->field, b->field)) { \
        return #field;                                                   \
    }
    BAO_KEY_TABLE(X)
#undef X
    return NULL;
}

static const char *options_differ(const struct bao_queue_options *a,
                                  const struct bao_queue_options *b)
{
    if (a == NULL || b == NULL || a->present != b->present) {
        return a == b ? NULL : "options";
    }
#define X(number, NAME, field, fallback, max)                               \
    if ((a->present & BAO_OPTION_BIT(NAME)) != 0 && a->field != b->field) { \
        return "option " #field;                                            \
    }
    BAO_OPTION_TABLE(X)
#undef X
    return NULL;
}

static const char *readings_differ(const struct bao_readings *a,
                                   const struct bao_readings *b)
{
    if (a == NULL || b == NULL) {
        return a == b ? NULL : "readings";
    }
#define X(number, NAME, field)    \
    if (a->field != b->field) {   \
        return "reading " #field; \
    }
    BAO_READING_TABLE(X)
#undef X
    return NULL;
}

const char *operation_differs(const struct bao_operation *a,
                              const struct bao_operation *b)
{
    if (a->present != b->present) {
        return "present";
    }
    const char *key = keys_differ(a, b);
    if (key == NULL) {
        key = options_differ(a->options, b->options);
    }
    return key == NULL ? readings_differ(a->readings, b->readings) : key;
}
