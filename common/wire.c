/*
 * wire.c - operation -> bytes, and where the bodies lie.
 *
 * This is the only place where baozi's protocol touches msgpack-c. Its packer
 * calls back with each piece; append() puts it into the caller's memory or
 * says that there is no room, so nothing is allocated. Its unpacker is not
 * used at all: it reserves memory for whatever a header announces (5 bytes:
 * 384 MB), so it could only ever run behind a validator that already knows
 * every value and its place. wire_reader.c takes them from there. The tests
 * let msgpack-c's unpacker judge the same bytes as a second opinion.
 *
 * An operation costs its keys, not the key space: the bits of `present` are
 * walked, lowest first, so keys are written in ascending order.
 */
#include "common/wire.h"

#include <msgpack.h>

#include "common/check.h"
#include "common/msgpack_check.h"
#include "common/utf8.h"

/* --- bodies ------------------------------------------------------------- */

bool bao_body_claim(struct bao_body_cursor *cursor,
                    const struct bao_operation *operation)
{
    if (!bao_has(operation, BAO_BIT(LENGTHS)) ||
        (operation->verb == BAO_VERB_PUT &&
         (operation->flags & BAO_FLAG_NO_BODY) != 0)) {
        return true;
    }
    uint64_t bytes = cursor->offset;
    uint32_t big = cursor->big;
    size_t entries = bao_column32_count(operation->lengths);
    for (size_t i = 0; i < entries; i++) {
        uint32_t length = bao_column32(operation->lengths, i);
        uint32_t is_big = length >> 31;
        big += is_big;
        bytes += length & (is_big - 1); /* no branch: nothing, or all of it */
    }
    if (bytes > BAO_BODIES_BYTES_MAX || big > BAO_BIG_FRAMES_MAX) {
        return false;
    }
    *cursor = (struct bao_body_cursor){.offset = (uint32_t)bytes, .big = big};
    return true;
}

struct bao_body_place bao_body_next(struct bao_body_cursor *cursor,
                                    uint32_t length)
{
    uint32_t bytes = length & ~BAO_BIG_BIT;
    if (bytes != length) {
        cursor->big++;
        return (struct bao_body_place){.part = cursor->big, .bytes = bytes};
    }
    struct bao_body_place place = {.offset = cursor->offset, .bytes = bytes};
    cursor->offset += bytes;
    return place;
}

bool bao_item_header_valid(struct bao_span bytes)
{
    struct bao_msgpack cursor = bao_msgpack_of(bytes);
    struct bao_span names[BAO_ITEM_HEADERS_MAX];
    uint32_t count = 0;
    if (bytes.bytes == 0) {
        return true;
    }
    if (bytes.bytes > BAO_ITEM_HEADER_BYTES_MAX ||
        !bao_msgpack_map(&cursor, &count) || count > BAO_ITEM_HEADERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct bao_span value;
        if (!bao_msgpack_text(&cursor, &names[i]) || names[i].bytes == 0 ||
            !bao_text_valid(names[i]) || !bao_msgpack_text(&cursor, &value) ||
            !bao_text_valid(value)) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (bao_span_equal(names[k], names[i])) {
                return false;
            }
        }
    }
    return cursor.at == cursor.end;
}

/* --- the writer --------------------------------------------------------- */

/* A header is array16, so that its count can be filled in at the end. */
enum { ARRAY16 = 0xdc, ARRAY16_BYTES = 3 };

/* msgpack-c's callback: `data` is the writer. */
static int append(void *data, const char *piece, size_t bytes)
{
    struct bao_writer *writer = data;
    if (bytes > writer->capacity - writer->bytes) {
        return -1;
    }
    if (bytes == 1) { /* most pieces: no call for them */
        writer->data[writer->bytes] = (uint8_t)*piece;
    } else {
        memcpy(writer->data + writer->bytes, piece, bytes);
    }
    writer->bytes += bytes;
    return 0;
}

static int write_run(struct bao_writer *writer, struct bao_span run)
{
    return run.bytes == 0 ? 0
                          : append(writer, (const char *)run.data, run.bytes);
}

static int write_number(msgpack_packer *packer, uint64_t value)
{
    return msgpack_pack_uint64(packer, value);
}

static int write_signed(msgpack_packer *packer, int64_t value)
{
    return msgpack_pack_int64(packer, value);
}

static int write_text(msgpack_packer *packer, struct bao_span text)
{
    int full = msgpack_pack_str(packer, text.bytes);
    return full != 0 ? full : write_run(packer->data, text);
}

static int write_bytes(msgpack_packer *packer, struct bao_span bytes)
{
    int full = msgpack_pack_bin(packer, bytes.bytes);
    return full != 0 ? full : write_run(packer->data, bytes);
}

/* A list is an array already. */
static int write_texts(msgpack_packer *packer, struct bao_span texts)
{
    return texts.bytes == 0 ? msgpack_pack_array(packer, 0)
                            : write_run(packer->data, texts);
}

#define WRITE_NUMBER   write_number
#define WRITE_SIGNED   write_signed
#define WRITE_TEXT     write_text
#define WRITE_BYTES    write_bytes
#define WRITE_COLUMN32 write_bytes
#define WRITE_COLUMN64 write_bytes
#define WRITE_TEXTS    write_texts

static int write_key(msgpack_packer *packer,
                     unsigned number,
                     const struct bao_operation *operation)
{
    int full = msgpack_pack_uint8(packer, (uint8_t)number);
    if (full != 0) {
        return full;
    }
    switch (number) {
#define X(number_, NAME, field, type, max) \
    case (number_): return WRITE_##type(packer, operation->field);
        BAO_KEY_TABLE(X)
#undef X
    default: bao_panic(__FILE__, __LINE__, "present has an unknown key");
    }
}

static int write_option(msgpack_packer *packer,
                        unsigned number,
                        const struct bao_queue_options *options)
{
    int full = msgpack_pack_uint8(packer, (uint8_t)number);
    if (full != 0) {
        return full;
    }
    switch (number) {
#define X(number_, NAME, field, fallback, max) \
    case (number_): return write_number(packer, options->field);
        BAO_OPTION_TABLE(X)
#undef X
    default: bao_panic(__FILE__, __LINE__, "present has an unknown option");
    }
}

static int write_readings(msgpack_packer *packer,
                          const struct bao_readings *readings)
{
    int full = 0;
#define X(number, NAME, field)                     \
    full |= msgpack_pack_uint8(packer, (number)) | \
            write_number(packer, readings->field);
    BAO_READING_TABLE(X)
#undef X
    return full;
}

#define X(number, NAME, field) +1
enum { READING_COUNT = 0 BAO_READING_TABLE(X) };
#undef X

/* The lowest bit of *bits, taken off it. */
static unsigned next_bit(uint64_t *bits)
{
    unsigned bit = (unsigned)__builtin_ctzll(*bits);
    *bits &= *bits - 1;
    return bit;
}

static int write_operation(struct bao_writer *writer,
                           const struct bao_operation *operation)
{
    msgpack_packer packer;
    msgpack_packer_init(&packer, writer, append);
    uint64_t present = operation->present;
    uint64_t options =
        operation->options == NULL ? 0 : operation->options->present;
    size_t pairs = (size_t)__builtin_popcountll(present) +
                   (size_t)__builtin_popcountll(options) +
                   (operation->readings == NULL ? 0 : READING_COUNT);
    int full = msgpack_pack_map(&packer, pairs);
    while (full == 0 && present != 0) {
        full = write_key(&packer, next_bit(&present), operation);
    }
    while (full == 0 && options != 0) {
        full =
            write_option(&packer, 64 + next_bit(&options), operation->options);
    }
    if (full == 0 && operation->readings != NULL) {
        full = write_readings(&packer, operation->readings);
    }
    return full;
}

void bao_writer_open(struct bao_writer *writer, void *data, size_t capacity)
{
    BAO_ASSERT(capacity > ARRAY16_BYTES);
    *writer = (struct bao_writer){.data = data, .capacity = capacity};
    if (writer->capacity > BAO_HEADER_BYTES_MAX) {
        writer->capacity = BAO_HEADER_BYTES_MAX;
    }
    writer->bytes = ARRAY16_BYTES + 1;
    (void)bao_writer_close(writer);
    writer->data[ARRAY16_BYTES] = BAO_PROTOCOL_VERSION;
}

enum baozi_status bao_writer_add(struct bao_writer *writer,
                                 const struct bao_operation *operation)
{
    BAO_ASSERT(bao_has(operation, BAO_BIT(VERB)));
    if (writer->operations == BAO_OPERATIONS_MAX) {
        return BAOZI_FULL;
    }
    size_t before = writer->bytes;
    if (write_operation(writer, operation) != 0) {
        writer->bytes = before;
        return BAOZI_FULL;
    }
    writer->operations++;
    return BAOZI_OK;
}

struct bao_span bao_writer_close(struct bao_writer *writer)
{
    uint32_t count = 1 + writer->operations;
    writer->data[0] = ARRAY16;
    writer->data[1] = (uint8_t)(count >> 8);
    writer->data[2] = (uint8_t)count;
    return bao_span_of(writer->data, writer->bytes);
}

_Static_assert(BAO_PROTOCOL_VERSION < 128, "the version is one byte");
_Static_assert(BAO_OPERATIONS_MAX < UINT16_MAX, "their count fits array16");
