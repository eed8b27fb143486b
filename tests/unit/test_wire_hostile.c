/*
 * test_wire_hostile.c - whatever bytes come, the reader refuses or reads them,
 * within its memory and in bounded time.
 *
 * Headers lie in blocks of exactly their size, so that the address sanitizer
 * sees a read past the end. msgpack-c judges the same bytes where that is
 * safe: an array32 or map32 makes it ask for whatever memory the bytes name.
 */
#include <msgpack.h>
#include <time.h>

#include "common/msgpack_check.h"
#include "common/wire.h"
#include "tests/lib/random_operation.h"
#include "tests/unit/model.h"

static double seconds(void)
{
    struct timespec now;
    (void)timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double patience(void)
{
    return getenv("BAOZI_TEST_LONG") != NULL ? 20.0 : 1.0;
}

/* --- reading anything ---------------------------------------------------- */

static void assert_inside(struct bao_span outer, struct bao_span span)
{
    if (span.bytes > 0) {
        assert_true(span.data >= outer.data);
        assert_true(span.data + span.bytes <= outer.data + outer.bytes);
    }
}

#define INSIDE_NUMBER(header, field)
#define INSIDE_SIGNED(header, field)
#define INSIDE_TEXT(header, field)     assert_inside(header, field);
#define INSIDE_BYTES(header, field)    assert_inside(header, field);
#define INSIDE_COLUMN32(header, field) assert_inside(header, field);
#define INSIDE_COLUMN64(header, field) assert_inside(header, field);
#define INSIDE_TEXTS(header, field)    assert_inside(header, field);

static void assert_spans_inside(struct bao_span header,
                                const struct bao_operation *operation)
{
#define X(number, NAME, field, type, max) \
    INSIDE_##type(header, operation->field)
    BAO_KEY_TABLE(X)
#undef X
}

/* Reads a copy of `bytes` to its end; true if nothing was refused. */
static bool read_all(const uint8_t *bytes, size_t count)
{
    uint8_t *copy = malloc(count);
    static struct bao_reader reader;
    struct bao_operation operation;
    bool accepted = true;
    if (count > 0) {
        memcpy(copy, bytes, count);
    }
    struct bao_span header = bao_span_of(copy, count);
    if (bao_reader_open(&reader, header) != BAOZI_OK) {
        assert_non_null(reader.why);
        assert_int_equal(bao_reader_next(&reader, &operation), BAOZI_EMPTY);
        free(copy);
        return false;
    }
    for (;;) {
        enum baozi_status status = bao_reader_next(&reader, &operation);
        if (status == BAOZI_EMPTY) {
            break;
        }
        assert_true(status == BAOZI_OK || status == BAOZI_BAD_REQUEST);
        assert_int_equal(status == BAOZI_OK, reader.why == NULL);
        assert_spans_inside(header, &operation);
        uint64_t requests = bao_operation_requests(&operation);
        assert_true(requests <= BAO_OPERATION_ITEMS_MAX);
        assert_true(operation.rid <= UINT64_MAX - requests ||
                    !bao_has(&operation, BAO_BIT(RID)));
        accepted = accepted && status == BAOZI_OK;
    }
    assert_int_equal(reader.bodies.offset, reader.claimed.offset);
    assert_int_equal(reader.bodies.big, reader.claimed.big);
    assert_true(reader.claimed.offset <= BAO_BODIES_BYTES_MAX);
    assert_true(reader.claimed.big <= BAO_BIG_FRAMES_MAX);
    free(copy);
    return accepted;
}

static size_t encode_random(uint8_t *header, size_t capacity, unsigned most)
{
    static struct random_memory random;
    struct bao_operation operation;
    struct bao_writer writer;
    bao_writer_open(&writer, header, capacity);
    unsigned wanted = 1 + (unsigned)model_random(most);
    while (writer.operations < wanted) {
        uint64_t verb = all_verbs[model_random(40)];
        if (random_operation(model_random,
                             verb,
                             model_random(2) == 0,
                             &random,
                             &operation) &&
            bao_writer_add(&writer, &operation) != BAOZI_OK) {
            break;
        }
    }
    return bao_writer_close(&writer).bytes;
}

static void truncate_headers(uint64_t seed)
{
    (void)seed;
    static uint8_t header[4096];
    for (unsigned i = 0; i < 40; i++) {
        size_t bytes = encode_random(header, sizeof(header), 3);
        assert_true(read_all(header, bytes));
        for (size_t cut = 0; cut < bytes; cut++) {
            assert_false(read_all(header, cut));
        }
        header[bytes] = 0x00;
        assert_false(read_all(header, bytes + 1));
    }
}

static void test_wire__every_truncation_is_refused(void **state)
{
    (void)state;
    model_each_seed("truncations", truncate_headers);
}

static void flip_bytes(uint64_t verb, bool answer)
{
    static struct random_memory random;
    static uint8_t header[4096];
    struct bao_operation operation;
    struct bao_writer writer;
    if (!random_operation(model_random, verb, answer, &random, &operation)) {
        return;
    }
    bao_writer_open(&writer, header, sizeof(header));
    assert_int_equal(bao_writer_add(&writer, &operation), BAOZI_OK);
    size_t bytes = bao_writer_close(&writer).bytes;
    for (size_t at = 0; at < bytes; at++) {
        uint8_t kept = header[at];
        for (unsigned value = 0; value < 256; value++) {
            header[at] = (uint8_t)value;
            (void)read_all(header, bytes);
        }
        header[at] = kept;
    }
}

static void test_wire__every_changed_byte_is_refused_or_read(void **state)
{
    (void)state;
    model_seed(7);
    for (const uint64_t *verb = all_verbs; *verb != 0; verb++) {
        flip_bytes(*verb, false);
        flip_bytes(*verb, true);
    }
}

static void mutate(uint8_t *header, size_t *bytes)
{
    unsigned changes = 1 + (unsigned)model_random(4);
    for (unsigned i = 0; i < changes; i++) {
        size_t at = (size_t)model_random(*bytes);
        size_t run = 1 + (size_t)model_random(*bytes - at);
        switch (model_random(4)) {
        case 0: header[at] = (uint8_t)model_random(256); break;
        case 1: header[at] = (uint8_t)(0xc0 + model_random(32)); break;
        case 2: /* a piece of it elsewhere */
            memmove(header + model_random(*bytes - run + 1), header + at, run);
            break;
        default: /* a piece less */
            if (run < *bytes) {
                memmove(header + at, header + at + run, *bytes - at - run);
                *bytes -= run;
            }
        }
    }
}

static void test_wire__mutated_headers_are_refused_or_read(void **state)
{
    (void)state;
    static uint8_t header[4096];
    unsigned accepted = 0;
    unsigned count = 0;
    double end = seconds() + patience();
    model_seed(11);
    while (count < 1000 || seconds() < end) {
        size_t bytes = encode_random(header, sizeof(header), 4);
        mutate(header, &bytes);
        accepted += read_all(header, bytes);
        count++;
    }
    printf("# %u mutated headers, %u still valid\n", count, accepted);
    assert_true(accepted > 0 && accepted < count);
}

/* --- bombs ---------------------------------------------------------------- */

/* Must be refused at once: nothing is believed and nothing reserved. */
static void assert_bomb(const uint8_t *bytes, size_t count)
{
    double begin = seconds();
    assert_false(read_all(bytes, count));
    assert_true(seconds() - begin < 0.1);
}

static void test_wire__bombs_for_msgpack_c_are_refused(void **state)
{
    (void)state;
    /* 5 bytes for which msgpack-c asks for 384 MB. */
    static const uint8_t five[] = {0xdd, 0x00, 0xff, 0xff, 0xff};
    assert_bomb(five, sizeof(five));
    /* 31 of them, nested: 155 bytes, 15.8 GB. */
    uint8_t nested[31 * sizeof(five)];
    for (size_t i = 0; i < sizeof(nested); i++) {
        nested[i] = five[i % sizeof(five)];
    }
    assert_bomb(nested, sizeof(nested));
    /* The same behind what a good header begins with. */
    uint8_t behind[5 + sizeof(five)] = {0x92, 0x01, 0x81, 0xcc, 0xc8};
    memcpy(behind + 5, five, sizeof(five));
    assert_bomb(behind, sizeof(behind));
    /* A text of 4 GB in one byte. */
    static const uint8_t text[] = {
        0x92, 0x01, 0x81, 0x03, 0xdb, 0xff, 0xff, 0xff, 0xff, 'a'};
    assert_bomb(text, sizeof(text));
}

static void test_wire__deep_and_wide_headers_cost_little(void **state)
{
    (void)state;
    static uint8_t header[BAO_HEADER_BYTES_MAX + 1];
    static const uint8_t fill[] = {0x91, 0x90, 0x81, 0x80, 0xc0, 0xc1, 0x00};
    for (size_t i = 0; i < sizeof(fill); i++) {
        memset(header, fill[i], sizeof(header));
        assert_bomb(header, BAO_HEADER_BYTES_MAX);
        /* As an unknown key's value, one operation, no lie in the count. */
        static const uint8_t begin[] = {0x92, 0x01, 0x81, 0xcc, 0xc8, 0xdc};
        size_t values = BAO_HEADER_BYTES_MAX - sizeof(begin) - 2;
        memcpy(header, begin, sizeof(begin));
        header[sizeof(begin)] = (uint8_t)(values >> 8);
        header[sizeof(begin) + 1] = (uint8_t)values;
        assert_bomb(header, BAO_HEADER_BYTES_MAX);
    }
    memset(header, 0, sizeof(header));
    assert_bomb(header, sizeof(header));
}

/* --- the second opinion --------------------------------------------------- */

static bool msgpack_c_accepts(const uint8_t *bytes, size_t count)
{
    msgpack_unpacked unpacked;
    size_t offset = 0;
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return verdict =
        msgpack_unpack_next(&unpacked, (const char *)bytes, count, &offset);
    msgpack_unpacked_destroy(&unpacked);
    return verdict == MSGPACK_UNPACK_SUCCESS && offset == count;
}

static bool safe_for_msgpack_c(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == 0xdd || bytes[i] == 0xdf) {
            return false;
        }
    }
    return true;
}

/* Bytes that are often msgpack: more small heads than chance would give. */
static size_t any_bytes(uint8_t *bytes, size_t capacity)
{
    static const uint8_t heads[] = {0x80, 0x81, 0x82, 0x90, 0x91, 0x92, 0xa0,
                                    0xa1, 0xa2, 0xc0, 0xc3, 0xc4, 0xc7, 0xca,
                                    0xcb, 0xcc, 0xcd, 0xd0, 0xd4, 0xd9, 0xda,
                                    0xdc, 0xde, 0x00, 0x01, 0x02, 0xff, 0xe0};
    size_t count = (size_t)model_random(capacity);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = model_random(4) == 0 ? (uint8_t)model_random(256)
                                        : heads[model_random(sizeof(heads))];
    }
    return count;
}

static void test_wire__validator_and_msgpack_c_agree(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    unsigned verdicts[BAO_MSGPACK_TRAILING + 1] = {0};
    unsigned count = 0;
    unsigned asked = 0;
    double end = seconds() + patience();
    model_seed(13);
    while (count < 20000 || seconds() < end) {
        size_t length = 0;
        if (model_random(2) == 0) {
            length = any_bytes(bytes, model_random(8) == 0 ? 200 : 12);
        } else {
            length = encode_random(bytes, sizeof(bytes), 2);
            if (model_random(4) != 0) {
                mutate(bytes, &length);
            }
        }
        enum bao_msgpack_verdict verdict =
            bao_msgpack_check(bao_span_of(bytes, length), BAO_DEPTH_MAX);
        verdicts[verdict]++;
        count++;
        if (verdict != BAO_MSGPACK_DEEP &&
            (verdict == BAO_MSGPACK_VALID ||
             safe_for_msgpack_c(bytes, length))) {
            asked++;
            assert_int_equal(msgpack_c_accepts(bytes, length),
                             verdict == BAO_MSGPACK_VALID);
        }
    }
    printf("# %u inputs, %u asked: valid %u, cut %u, reserved %u, deep %u, "
           "trailing %u\n",
           count,
           asked,
           verdicts[BAO_MSGPACK_VALID],
           verdicts[BAO_MSGPACK_CUT],
           verdicts[BAO_MSGPACK_RESERVED],
           verdicts[BAO_MSGPACK_DEEP],
           verdicts[BAO_MSGPACK_TRAILING]);
    for (unsigned i = 0; i <= BAO_MSGPACK_TRAILING; i++) {
        assert_true(verdicts[i] > 0);
    }
    assert_true(asked > count / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire__every_truncation_is_refused),
        cmocka_unit_test(test_wire__every_changed_byte_is_refused_or_read),
        cmocka_unit_test(test_wire__mutated_headers_are_refused_or_read),
        cmocka_unit_test(test_wire__bombs_for_msgpack_c_are_refused),
        cmocka_unit_test(test_wire__deep_and_wide_headers_cost_little),
        cmocka_unit_test(test_wire__validator_and_msgpack_c_agree),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("wire_hostile", tests, NULL, NULL);
}
