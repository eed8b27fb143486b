/*
 * wire_reader.c - bytes -> operation.
 *
 * Twice over the header. Opening walks it whole and keeps nothing: its form
 * is msgpack's and ours, and the bodies that it claims are counted, so that a
 * message is refused before anything is done. Then each operation is read in
 * one pass, a table telling for each key its type, its bound and its field.
 */
#include "common/check.h"
#include "common/msgpack_check.h"
#include "common/operation_check.h"
#include "common/utf8.h"
#include "common/wire.h"

enum type {
    TYPE_UNKNOWN,
    TYPE_NUMBER,
    TYPE_SIGNED,
    TYPE_TEXT,
    TYPE_BYTES,
    TYPE_COLUMN32,
    TYPE_COLUMN64,
    TYPE_TEXTS,
    TYPE_OPTION,
    TYPE_READING
};

#define WHAT_NUMBER   "a whole number"
#define WHAT_SIGNED   "a whole number"
#define WHAT_TEXT     "a text (str)"
#define WHAT_BYTES    "bytes (bin)"
#define WHAT_COLUMN32 "a column of u32 (bin)"
#define WHAT_COLUMN64 "a column of u64 (bin)"
#define WHAT_TEXTS    "a list of texts (array of str)"

/* How a key is read: `offset` of its field in its struct. */
struct key {
    uint64_t max;
    const char *not_of_type;
    const char *out_of_range;
    uint16_t offset;
    uint8_t type;
};

enum {
    KEYS_KNOWN = 128, /* keys from here on are later versions' */
    KEYS_MAX = 256,   /* and from here on nobody's */
};

/* clang-format off */
static const struct key keys[KEYS_KNOWN] = {
#define X(number, NAME, field, type_, max_) \
    [number] = {(uint64_t)(max_), #field " is not " WHAT_##type_, \
                #field " is out of range", \
                offsetof(struct bao_operation, field), TYPE_##type_},
    BAO_KEY_TABLE(X)
#undef X
#define X(number, NAME, field, fallback, max_) \
    [number] = {(uint64_t)(max_), "option " #field " is not " WHAT_NUMBER, \
                "option " #field " is out of range", \
                offsetof(struct bao_queue_options, field), TYPE_OPTION},
    BAO_OPTION_TABLE(X)
#undef X
#define X(number, NAME, field) \
    [number] = {UINT64_MAX, "reading " #field " is not " WHAT_NUMBER, \
                "reading " #field " is out of range", \
                offsetof(struct bao_readings, field), TYPE_READING},
    BAO_READING_TABLE(X)
#undef X
};
/* clang-format on */

/* --- one value ---------------------------------------------------------- */

static const char *
read_number(struct bao_msgpack *cursor, const struct key *key, void *field)
{
    uint64_t value = 0;
    if (!bao_msgpack_number(cursor, &value)) {
        return key->not_of_type;
    }
    if (value > key->max) {
        return key->out_of_range;
    }
    memcpy(field, &value, sizeof(value));
    return NULL;
}

static const char *
read_signed(struct bao_msgpack *cursor, const struct key *key, void *field)
{
    int64_t value = 0;
    if (!bao_msgpack_signed(cursor, &value)) {
        return key->not_of_type;
    }
    int64_t max = (int64_t)key->max;
    if (value > max || value < -max - 1) {
        return key->out_of_range;
    }
    memcpy(field, &value, sizeof(value));
    return NULL;
}

static const char *
read_text(struct bao_msgpack *cursor, unsigned number, void *field)
{
    const struct key *key = &keys[number];
    struct bao_span text;
    if (!bao_msgpack_text(cursor, &text)) {
        return key->not_of_type;
    }
    bool name = number == BAO_KEY_QUEUE || number == BAO_KEY_GROUP;
    if (name ? !bao_name_valid(text, (size_t)key->max)
             : text.bytes > key->max || !bao_text_valid(text)) {
        return key->out_of_range;
    }
    memcpy(field, &text, sizeof(text));
    return NULL;
}

static const char *
read_bytes(struct bao_msgpack *cursor, unsigned number, void *field)
{
    const struct key *key = &keys[number];
    struct bao_span bytes;
    if (!bao_msgpack_bytes(cursor, &bytes)) {
        return key->not_of_type;
    }
    bool exact = number == BAO_KEY_CLIENT || number == BAO_KEY_SECRET;
    if (bytes.bytes == 0 || bytes.bytes > key->max ||
        (exact && bytes.bytes != BAO_CLIENT_ID_BYTES)) {
        return key->out_of_range;
    }
    memcpy(field, &bytes, sizeof(bytes));
    return NULL;
}

static const char *
read_column(struct bao_msgpack *cursor, const struct key *key, void *field)
{
    struct bao_span column;
    if (!bao_msgpack_bytes(cursor, &column)) {
        return key->not_of_type;
    }
    size_t entry = key->type == TYPE_COLUMN32 ? 4 : 8;
    if (column.bytes > key->max || column.bytes % entry != 0) {
        return key->out_of_range;
    }
    memcpy(field, &column, sizeof(column));
    return NULL;
}

static const char *
read_texts(struct bao_msgpack *cursor, unsigned number, void *field)
{
    const struct key *key = &keys[number];
    bool names = number == BAO_KEY_GROUPS;
    struct bao_span list = {cursor->at, 0};
    uint32_t count = 0;
    if (!bao_msgpack_array(cursor, &count)) {
        return key->not_of_type;
    }
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct bao_span text;
        if (!bao_msgpack_text(cursor, &text)) {
            return key->not_of_type;
        }
        total += text.bytes;
        /* In GROUPS an empty text says that an item has no group. */
        bool valid =
            names ? text.bytes == 0 ||
                        bao_name_valid(text, BAO_GROUP_NAME_BYTES_MAX)
                  : text.bytes <= BAO_ERROR_BYTES_MAX && bao_text_valid(text);
        if (!valid) {
            return key->out_of_range;
        }
    }
    if (total > key->max ||
        count > (names ? BAO_OPERATION_ITEMS_MAX : BAO_JOIN_ERRORS_MAX)) {
        return key->out_of_range;
    }
    list.bytes = count == 0 ? 0 : (size_t)(cursor->at - list.data);
    memcpy(field, &list, sizeof(list));
    return NULL;
}

/* --- one operation ------------------------------------------------------ */

static const char *read_option(struct bao_reader *reader,
                               struct bao_msgpack *cursor,
                               unsigned number,
                               struct bao_operation *operation)
{
    if (operation->options == NULL) {
        memset(&reader->options, 0, sizeof(reader->options));
        operation->options = &reader->options;
    }
    const struct key *key = &keys[number];
    uint8_t *field = (uint8_t *)&reader->options + key->offset;
    const char *why = read_number(cursor, key, field);
    if (why == NULL) {
        reader->options.present |= UINT64_C(1) << (number - KEYS_KNOWN / 2);
    }
    return why;
}

static const char *read_reading(struct bao_reader *reader,
                                struct bao_msgpack *cursor,
                                unsigned number,
                                struct bao_operation *operation)
{
    if (operation->readings == NULL) {
        memset(&reader->readings, 0, sizeof(reader->readings));
        operation->readings = &reader->readings;
    }
    const struct key *key = &keys[number];
    return read_number(cursor, key, (uint8_t *)&reader->readings + key->offset);
}

/* True if the value of this type is there only if it has entries. */
static bool is_list(uint8_t type)
{
    return type == TYPE_COLUMN32 || type == TYPE_COLUMN64 || type == TYPE_TEXTS;
}

/* Reads the value of key `number`, which is known, into its field. */
static const char *read_value(struct bao_reader *reader,
                              struct bao_msgpack *cursor,
                              unsigned number,
                              struct bao_operation *operation)
{
    const struct key *key = &keys[number];
    uint8_t *field = (uint8_t *)operation + key->offset;
    const char *why = NULL;
    switch ((enum type)key->type) {
    case TYPE_NUMBER: why = read_number(cursor, key, field); break;
    case TYPE_SIGNED: why = read_signed(cursor, key, field); break;
    case TYPE_TEXT: why = read_text(cursor, number, field); break;
    case TYPE_BYTES: why = read_bytes(cursor, number, field); break;
    case TYPE_COLUMN32:
    case TYPE_COLUMN64: why = read_column(cursor, key, field); break;
    case TYPE_TEXTS: why = read_texts(cursor, number, field); break;
    case TYPE_OPTION: return read_option(reader, cursor, number, operation);
    case TYPE_READING: return read_reading(reader, cursor, number, operation);
    case TYPE_UNKNOWN: return "unknown";
    }
    bool empty = is_list(key->type) && why == NULL &&
                 ((const struct bao_span *)(const void *)field)->bytes == 0;
    if (why == NULL && !empty) {
        operation->present |= UINT64_C(1) << number;
    }
    return why;
}

static bool is_known(uint64_t number)
{
    return number < KEYS_KNOWN && keys[number].type != TYPE_UNKNOWN;
}

/* Reads all keys of the operation at the cursor, whose form is known to be
 * good; the first thing that is wrong is told, the rest is read all the same.
 */
static const char *read_keys(struct bao_reader *reader,
                             struct bao_msgpack *cursor,
                             struct bao_operation *operation)
{
    const char *why = NULL;
    uint32_t count = 0;
    bool map = bao_msgpack_map(cursor, &count);
    BAO_ASSERT(map);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = 0;
        bool numbered = bao_msgpack_number(cursor, &number);
        BAO_ASSERT(numbered);
        struct bao_msgpack value = *cursor;
        const char *wrong = NULL;
        bool known = is_known(number);
        if (known) {
            wrong = read_value(reader, cursor, (unsigned)number, operation);
        }
        if (!known || wrong != NULL) {
            *cursor = value;
            enum bao_msgpack_verdict verdict =
                bao_msgpack_skip(cursor, BAO_DEPTH_MAX - 2);
            BAO_ASSERT(verdict == BAO_MSGPACK_VALID);
        }
        why = why == NULL ? wrong : why;
    }
    return why;
}

/* --- the whole header --------------------------------------------------- */

static const char *verdict_text(enum bao_msgpack_verdict verdict)
{
    switch (verdict) {
    case BAO_MSGPACK_VALID: return NULL;
    case BAO_MSGPACK_CUT: return "the header is cut short";
    case BAO_MSGPACK_RESERVED: return "the header has the byte 0xc1";
    case BAO_MSGPACK_DEEP: return "the header is nested too deep";
    case BAO_MSGPACK_TRAILING: return "bytes follow the header";
    }
    return "the header is not msgpack";
}

/* Walks over one operation: its form, and the bodies that it claims. */
static const char *walk_operation(struct bao_reader *reader,
                                  struct bao_msgpack *cursor)
{
    uint64_t seen[KEYS_MAX / 64] = {0};
    struct bao_operation outline;
    outline.present = 0;
    outline.verb = 0;
    outline.flags = 0;
    uint32_t count = 0;
    if (!bao_msgpack_map(cursor, &count)) {
        return "an operation is not a whole map";
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = 0;
        if (!bao_msgpack_number(cursor, &number) || number >= KEYS_MAX) {
            return "a key is not a number from 0 to 255";
        }
        uint64_t bit = UINT64_C(1) << (number % 64);
        if ((seen[number / 64] & bit) != 0) {
            return "a key comes twice";
        }
        seen[number / 64] |= bit;
        struct bao_msgpack value = *cursor;
        enum bao_msgpack_verdict verdict =
            bao_msgpack_skip(cursor, BAO_DEPTH_MAX - 2);
        if (verdict != BAO_MSGPACK_VALID) {
            return verdict_text(verdict);
        }
        if (number == BAO_KEY_VERB || number == BAO_KEY_FLAGS ||
            number == BAO_KEY_LENGTHS) {
            const char *why =
                read_value(reader, &value, (unsigned)number, &outline);
            if (why != NULL && number == BAO_KEY_LENGTHS) {
                return why; /* without them no body can be found */
            }
        }
    }
    return bao_body_claim(&reader->claimed, &outline)
               ? NULL
               : "a message claims too many body bytes or big frames";
}

static const char *walk_operations(struct bao_reader *reader,
                                   struct bao_msgpack *cursor)
{
    for (uint32_t i = 0; i < reader->operations; i++) {
        const char *why = walk_operation(reader, cursor);
        if (why != NULL) {
            return why;
        }
    }
    return cursor->at == cursor->end ? NULL
                                     : verdict_text(BAO_MSGPACK_TRAILING);
}

/* Refuses the header: nothing of it will be read. */
static enum baozi_status
refuse(struct bao_reader *reader, enum baozi_status status, const char *why)
{
    reader->operations = 0;
    reader->why = why;
    return status;
}

enum baozi_status bao_reader_open(struct bao_reader *reader,
                                  struct bao_span header)
{
    reader->header = header;
    reader->offset = 0;
    reader->operations = 0;
    reader->bodies = (struct bao_body_cursor){0};
    reader->claimed = (struct bao_body_cursor){0};
    reader->why = NULL;
    if (header.bytes > BAO_HEADER_BYTES_MAX) {
        return refuse(reader, BAOZI_BAD_REQUEST, "the header is too long");
    }
    struct bao_msgpack cursor = bao_msgpack_of(header);
    uint32_t count = 0;
    uint64_t version = 0;
    if (!bao_msgpack_array(&cursor, &count) || count == 0 ||
        !bao_msgpack_number(&cursor, &version)) {
        return refuse(reader,
                      BAOZI_BAD_REQUEST,
                      "the header is not a whole array that begins with a "
                      "version");
    }
    if (version != BAO_PROTOCOL_VERSION) {
        return refuse(reader,
                      BAOZI_BAD_VERSION,
                      "the header is of another protocol version");
    }
    if (count - 1 > BAO_OPERATIONS_MAX) {
        return refuse(reader, BAOZI_BAD_REQUEST, "too many operations");
    }
    reader->operations = count - 1;
    reader->offset = (size_t)(cursor.at - header.data);
    const char *why = walk_operations(reader, &cursor);
    return why == NULL ? BAOZI_OK : refuse(reader, BAOZI_BAD_REQUEST, why);
}

enum baozi_status bao_reader_next(struct bao_reader *reader,
                                  struct bao_operation *operation)
{
    if (reader->operations == 0) {
        return BAOZI_EMPTY;
    }
    reader->operations--;
    struct bao_msgpack cursor = bao_msgpack_of(reader->header);
    cursor.at += reader->offset;
    memset(operation, 0, sizeof(*operation));
    const char *why = read_keys(reader, &cursor, operation);
    reader->offset = (size_t)(cursor.at - reader->header.data);
    operation->bodies = reader->bodies;
    bool possible = bao_body_claim(&reader->bodies, operation);
    BAO_ASSERT(possible); /* it was when the header was opened */
    if (why == NULL) {
        why = bao_operation_check(operation);
    }
    reader->why = why;
    if (why == NULL) {
        return BAOZI_OK;
    }
    if (bao_operation_check_rid(operation) != NULL) {
        operation->present &= ~BAO_BIT(RID); /* nobody could be answered */
    }
    return BAOZI_BAD_REQUEST;
}
