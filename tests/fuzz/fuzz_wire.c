/*
 * fuzz_wire.c - any bytes as a header, as an item header and as msgpack.
 *
 * The reader stays within the bytes; what it accepts is written and read again
 * as the same; the validator agrees with msgpack-c where asking that is safe.
 */
#include <msgpack.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/msgpack_check.h"
#include "common/wire.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/random_operation.h"

/* --- one operation ------------------------------------------------------ */

static void must_lie_in(struct bao_span outer, struct bao_span span)
{
    BAO_ASSERT(span.bytes == 0 ||
               (span.data >= outer.data &&
                span.data + span.bytes <= outer.data + outer.bytes));
}

#define INSIDE_NUMBER(header, field)
#define INSIDE_SIGNED(header, field)
#define INSIDE_TEXT     must_lie_in
#define INSIDE_BYTES    must_lie_in
#define INSIDE_COLUMN32 must_lie_in
#define INSIDE_COLUMN64 must_lie_in
#define INSIDE_TEXTS    must_lie_in

static void check_spans(struct bao_span header,
                        const struct bao_operation *operation)
{
#define X(number, NAME, field, type, max) \
    INSIDE_##type(header, operation->field);
    BAO_KEY_TABLE(X)
#undef X
}

static void walk_texts(struct bao_span header, struct bao_span list)
{
    struct bao_span text;
    size_t offset = 0;
    while (bao_texts_next(list, &offset, &text)) {
        must_lie_in(header, text);
    }
}

/* What was read, written and read again, is the same. */
static void write_again(const struct bao_operation *operation)
{
    static uint8_t memory[BAO_HEADER_BYTES_MAX];
    static struct bao_reader reader;
    struct bao_operation again;
    struct bao_writer writer;
    bao_writer_open(&writer, memory, sizeof memory);
    enum baozi_status status = bao_writer_add(&writer, operation);
    BAO_ASSERT(status == BAOZI_OK); /* the shortest forms fit */
    status = bao_reader_open(&reader, bao_writer_close(&writer));
    BAO_ASSERT(status == BAOZI_OK);
    status = bao_reader_next(&reader, &again);
    BAO_ASSERT(status == BAOZI_OK);
    BAO_ASSERT(operation_differs(operation, &again) == NULL);
}

static void read_header(struct bao_span header)
{
    static struct bao_reader reader;
    struct bao_operation operation;
    enum baozi_status status = bao_reader_open(&reader, header);
    if (status != BAOZI_OK) {
        BAO_ASSERT(reader.why != NULL);
        status = bao_reader_next(&reader, &operation);
        BAO_ASSERT(status == BAOZI_EMPTY);
        return;
    }
    struct bao_body_cursor claimed = {0};
    while ((status = bao_reader_next(&reader, &operation)) != BAOZI_EMPTY) {
        BAO_ASSERT(status == BAOZI_OK || status == BAOZI_BAD_REQUEST);
        BAO_ASSERT((status == BAOZI_OK) == (reader.why == NULL));
        check_spans(header, &operation);
        walk_texts(header, operation.errors);
        walk_texts(header, operation.groups);
        BAO_ASSERT(bao_operation_requests(&operation) <=
                   BAO_OPERATION_ITEMS_MAX);
        BAO_ASSERT(operation.bodies.offset == claimed.offset &&
                   operation.bodies.big == claimed.big);
        claimed = reader.bodies;
        if (status == BAOZI_OK) {
            write_again(&operation);
        }
    }
    BAO_ASSERT(reader.bodies.offset == reader.claimed.offset &&
               reader.bodies.big == reader.claimed.big);
    BAO_ASSERT(reader.claimed.offset <= BAO_BODIES_BYTES_MAX &&
               reader.claimed.big <= BAO_BIG_FRAMES_MAX);
}

/* --- the second opinion ------------------------------------------------- */

/* An array32 or map32 makes msgpack-c ask for whatever memory it names. */
static bool may_ask_msgpack_c(struct bao_span bytes)
{
    for (size_t i = 0; i < bytes.bytes; i++) {
        if (bytes.data[i] == 0xdd || bytes.data[i] == 0xdf) {
            return false;
        }
    }
    return true;
}

static bool msgpack_c_accepts(struct bao_span bytes, msgpack_unpacked *unpacked)
{
    size_t offset = 0;
    msgpack_unpacked_init(unpacked);
    return msgpack_unpack_next(
               unpacked, (const char *)bytes.data, bytes.bytes, &offset) ==
               MSGPACK_UNPACK_SUCCESS &&
           offset == bytes.bytes;
}

static void compare_verdicts(struct bao_span bytes)
{
    msgpack_unpacked unpacked;
    enum bao_msgpack_verdict verdict = bao_msgpack_check(bytes, BAO_DEPTH_MAX);
    if (verdict == BAO_MSGPACK_DEEP ||
        (verdict != BAO_MSGPACK_VALID && !may_ask_msgpack_c(bytes))) {
        return;
    }
    bool accepts = msgpack_c_accepts(bytes, &unpacked);
    BAO_ASSERT(accepts == (verdict == BAO_MSGPACK_VALID));
    if (accepts && bytes.bytes > 0 && bao_item_header_valid(bytes)) {
        BAO_ASSERT(unpacked.data.type == MSGPACK_OBJECT_MAP);
        const msgpack_object_map *map = &unpacked.data.via.map;
        BAO_ASSERT(map->size <= BAO_ITEM_HEADERS_MAX);
        for (uint32_t i = 0; i < map->size; i++) {
            BAO_ASSERT(map->ptr[i].key.type == MSGPACK_OBJECT_STR &&
                       map->ptr[i].key.via.str.size > 0 &&
                       map->ptr[i].val.type == MSGPACK_OBJECT_STR);
        }
    }
    msgpack_unpacked_destroy(&unpacked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bao_span bytes = bao_span_of(data, size);
    read_header(bytes);
    if (size <= BAO_HEADER_BYTES_MAX) {
        compare_verdicts(bytes);
    }
    (void)bao_item_header_valid(bytes);
    return 0;
}
