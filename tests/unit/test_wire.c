/*
 * test_wire.c - operations there and back, and the rules that a reader keeps.
 *
 * msgpack-c reads what the writer wrote, as a second opinion about every key.
 */
#include <msgpack.h>

#include "common/operation_check.h"
#include "common/wire.h"
#include "tests/lib/random_operation.h"
#include "tests/unit/model.h"

static uint8_t memory[BAO_HEADER_BYTES_MAX];

/* Encodes one operation; what a sender forgot to check goes out as it is. */
static struct bao_span encoded(const struct bao_operation *operation)
{
    struct bao_writer writer;
    bao_writer_open(&writer, memory, sizeof(memory));
    assert_int_equal(bao_writer_add(&writer, operation), BAOZI_OK);
    return bao_writer_close(&writer);
}

/* --- there and back ----------------------------------------------------- */

static void assert_same(const struct bao_operation *sent,
                        const struct bao_operation *got)
{
    const char *key = operation_differs(sent, got);
    if (key != NULL) {
        fail_msg("%s: %s differs", bao_verb_name(sent->verb), key);
    }
}

static void round_trips(uint64_t verb, bool answer)
{
    for (unsigned i = 0; i < 200; i++) {
        static struct random_memory random;
        struct bao_operation sent;
        if (!random_operation(model_random, verb, answer, &random, &sent)) {
            return;
        }
        const char *why = bao_operation_check(&sent);
        if (why != NULL) {
            fail_msg("%s: %s", bao_verb_name(verb), why);
        }
        static struct bao_reader reader;
        struct bao_operation got;
        assert_int_equal(bao_reader_open(&reader, encoded(&sent)), BAOZI_OK);
        assert_int_equal(bao_reader_next(&reader, &got), BAOZI_OK);
        assert_same(&sent, &got);
        assert_int_equal(bao_reader_next(&reader, &got), BAOZI_EMPTY);
        assert_int_equal(reader.bodies.offset, reader.claimed.offset);
        assert_int_equal(reader.bodies.big, reader.claimed.big);
    }
}

static void round_trips_of_all(uint64_t seed)
{
    (void)seed;
    for (const uint64_t *verb = all_verbs; *verb != 0; verb++) {
        round_trips(*verb, false);
        round_trips(*verb, true);
    }
}

static void test_wire__brings_every_operation_back(void **state)
{
    (void)state;
    model_each_seed("round trips", round_trips_of_all);
}

/* Adds operations until there is no room; then reads all of them again. */
static void fill_a_header(uint64_t seed)
{
    static struct random_memory random[BAO_OPERATIONS_MAX + 1];
    static struct bao_operation sent[BAO_OPERATIONS_MAX + 1];
    static uint8_t before[BAO_HEADER_BYTES_MAX];
    struct bao_writer writer;
    struct bao_body_cursor claim = {0};
    size_t capacity = 4 + (size_t)model_random(sizeof(memory));
    capacity = seed % 2 == 0 ? sizeof(memory) : capacity;
    bao_writer_open(&writer, memory, capacity);
    size_t count = 0;
    for (;;) {
        uint64_t verb = all_verbs[model_random(40)];
        struct bao_body_cursor with = claim;
        if (!random_operation(model_random,
                              verb,
                              model_random(2) == 0,
                              &random[count],
                              &sent[count]) ||
            !bao_body_claim(&with, &sent[count])) {
            continue;
        }
        size_t bytes = writer.bytes;
        memcpy(before, memory, bytes);
        enum baozi_status status = bao_writer_add(&writer, &sent[count]);
        if (status != BAOZI_OK) {
            assert_int_equal(status, BAOZI_FULL);
            assert_int_equal(writer.bytes, bytes);
            assert_int_equal(writer.operations, count);
            assert_memory_equal(memory, before, bytes);
            break;
        }
        claim = with;
        count++;
    }
    static struct bao_reader reader;
    struct bao_operation got;
    assert_int_equal(bao_reader_open(&reader, bao_writer_close(&writer)),
                     BAOZI_OK);
    assert_int_equal(reader.claimed.offset, claim.offset);
    assert_int_equal(reader.claimed.big, claim.big);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bao_reader_next(&reader, &got), BAOZI_OK);
        assert_same(&sent[i], &got);
    }
    assert_int_equal(bao_reader_next(&reader, &got), BAOZI_EMPTY);
}

static void test_wire__writer_that_is_full_has_written_nothing(void **state)
{
    (void)state;
    model_each_seed("full headers", fill_a_header);
}

static void test_wire__writer_uses_every_byte_and_no_more(void **state)
{
    (void)state;
    static struct random_memory random;
    struct bao_operation put;
    struct bao_writer writer;
    model_seed(3);
    assert_true(
        random_operation(model_random, BAO_VERB_PUT, false, &random, &put));
    size_t needed = encoded(&put).bytes;
    for (size_t capacity = 4; capacity <= needed + 1; capacity++) {
        uint8_t *exact = malloc(capacity);
        bao_writer_open(&writer, exact, capacity);
        assert_int_equal(bao_writer_add(&writer, &put),
                         capacity < needed ? BAOZI_FULL : BAOZI_OK);
        assert_int_equal(bao_writer_close(&writer).bytes,
                         capacity < needed ? 4 : needed);
        free(exact);
    }
}

static void test_wire__a_header_has_at_most_1024_operations(void **state)
{
    (void)state;
    struct bao_operation beat = {.present = BAO_BIT(VERB),
                                 .verb = BAO_VERB_HEARTBEAT};
    struct bao_writer writer;
    bao_writer_open(&writer, memory, sizeof(memory));
    for (unsigned i = 0; i < BAO_OPERATIONS_MAX; i++) {
        assert_int_equal(bao_writer_add(&writer, &beat), BAOZI_OK);
    }
    assert_int_equal(bao_writer_add(&writer, &beat), BAOZI_FULL);
    struct bao_span header = bao_writer_close(&writer);
    static struct bao_reader reader;
    assert_int_equal(bao_reader_open(&reader, header), BAOZI_OK);
    assert_int_equal(reader.operations, BAO_OPERATIONS_MAX);
    /* One more, by hand. */
    memory[header.bytes] = 0x81;
    memory[header.bytes + 1] = BAO_KEY_VERB;
    memory[header.bytes + 2] = BAO_VERB_HEARTBEAT;
    memory[2]++;
    header.bytes += 3;
    assert_int_equal(bao_reader_open(&reader, header), BAOZI_BAD_REQUEST);
    assert_string_equal(reader.why, "too many operations");
}

static void test_wire__fields_that_are_absent_are_zero(void **state)
{
    (void)state;
    struct bao_operation bye = {0};
    struct bao_operation got;
    static struct bao_reader reader;
    BAO_SET(&bye, VERB, verb, BAO_VERB_BYE);
    BAO_SET(&bye, RID, rid, 7);
    memset(&got, 0xa5, sizeof(got));
    assert_int_equal(bao_reader_open(&reader, encoded(&bye)), BAOZI_OK);
    assert_int_equal(bao_reader_next(&reader, &got), BAOZI_OK);
    bye.bodies = got.bodies;
    assert_memory_equal(&got, &bye, sizeof(got));
}

static void test_wire__columns_without_entries_are_absent(void **state)
{
    (void)state;
    struct bao_operation held = {0};
    struct bao_operation got;
    static struct bao_reader reader;
    BAO_SET(&held, VERB, verb, BAO_VERB_HELD);
    BAO_SET(&held, IDS, ids, bao_span_of(NULL, 0));
    BAO_SET(&held, TOKENS, tokens, bao_span_of(NULL, 0));
    assert_int_equal(bao_reader_open(&reader, encoded(&held)), BAOZI_OK);
    assert_int_equal(bao_reader_next(&reader, &got), BAOZI_OK);
    assert_int_equal(got.present, BAO_BIT(VERB));
}

/* --- the second opinion ------------------------------------------------- */

static bool msgpack_agrees_number(const msgpack_object *object, uint64_t value)
{
    return object->type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
           object->via.u64 == value;
}

static bool msgpack_agrees_signed(const msgpack_object *object, int64_t value)
{
    return (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
            object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) &&
           object->via.i64 == value;
}

static bool msgpack_agrees_text(const msgpack_object *object,
                                struct bao_span text)
{
    return object->type == MSGPACK_OBJECT_STR &&
           bao_span_equal(
               bao_span_of(object->via.str.ptr, object->via.str.size), text);
}

static bool msgpack_agrees_bytes(const msgpack_object *object,
                                 struct bao_span bytes)
{
    return object->type == MSGPACK_OBJECT_BIN &&
           bao_span_equal(
               bao_span_of(object->via.bin.ptr, object->via.bin.size), bytes);
}

static bool msgpack_agrees_texts(const msgpack_object *object,
                                 struct bao_span texts)
{
    size_t offset = 0;
    struct bao_span text;
    if (object->type != MSGPACK_OBJECT_ARRAY ||
        object->via.array.size != bao_texts_count(texts)) {
        return false;
    }
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        if (!bao_texts_next(texts, &offset, &text) ||
            !msgpack_agrees_text(&object->via.array.ptr[i], text)) {
            return false;
        }
    }
    return !bao_texts_next(texts, &offset, &text);
}

#define AGREES_NUMBER   msgpack_agrees_number
#define AGREES_SIGNED   msgpack_agrees_signed
#define AGREES_TEXT     msgpack_agrees_text
#define AGREES_BYTES    msgpack_agrees_bytes
#define AGREES_COLUMN32 msgpack_agrees_bytes
#define AGREES_COLUMN64 msgpack_agrees_bytes
#define AGREES_TEXTS    msgpack_agrees_texts

/* The value of `key` in msgpack-c's map; nil, which nothing agrees with, if
 * there is none. */
static const msgpack_object *value_of(const msgpack_object *map, uint64_t key)
{
    static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object_kv *pair = &map->via.map.ptr[i];
        if (msgpack_agrees_number(&pair->key, key)) {
            return &pair->val;
        }
    }
    return &nil;
}

static void assert_msgpack_agrees(const struct bao_operation *sent,
                                  const msgpack_object *map)
{
    uint32_t pairs = 0;
#define X(number, NAME, field, type, max)                      \
    if (bao_has(sent, BAO_BIT(NAME))) {                        \
        const msgpack_object *value = value_of(map, (number)); \
        pairs++;                                               \
        assert_non_null(value);                                \
        assert_true(AGREES_##type(value, sent->field));        \
    }
    BAO_KEY_TABLE(X)
#undef X
#define X(number, NAME, field, fallback, max)                            \
    if (sent->options != NULL &&                                         \
        (sent->options->present & BAO_OPTION_BIT(NAME)) != 0) {          \
        const msgpack_object *value = value_of(map, (number));           \
        pairs++;                                                         \
        assert_non_null(value);                                          \
        assert_true(msgpack_agrees_number(value, sent->options->field)); \
    }
    BAO_OPTION_TABLE(X)
#undef X
#define X(number, NAME, field)                                            \
    if (sent->readings != NULL) {                                         \
        const msgpack_object *value = value_of(map, (number));            \
        pairs++;                                                          \
        assert_non_null(value);                                           \
        assert_true(msgpack_agrees_number(value, sent->readings->field)); \
    }
    BAO_READING_TABLE(X)
#undef X
    assert_int_equal(map->via.map.size, pairs);
}

static void msgpack_reads_all(uint64_t seed)
{
    (void)seed;
    for (const uint64_t *verb = all_verbs; *verb != 0; verb++) {
        for (unsigned i = 0; i < 40; i++) {
            static struct random_memory random;
            struct bao_operation sent;
            if (!random_operation(
                    model_random, *verb, i % 2 != 0, &random, &sent)) {
                continue;
            }
            struct bao_span header = encoded(&sent);
            msgpack_unpacked unpacked;
            size_t offset = 0;
            msgpack_unpacked_init(&unpacked);
            assert_int_equal(msgpack_unpack_next(&unpacked,
                                                 (const char *)header.data,
                                                 header.bytes,
                                                 &offset),
                             MSGPACK_UNPACK_SUCCESS);
            assert_int_equal(offset, header.bytes);
            assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
            assert_int_equal(unpacked.data.via.array.size, 2);
            const msgpack_object *elements = unpacked.data.via.array.ptr;
            assert_true(
                msgpack_agrees_number(&elements[0], BAO_PROTOCOL_VERSION));
            assert_int_equal(elements[1].type, MSGPACK_OBJECT_MAP);
            assert_msgpack_agrees(&sent, &elements[1]);
            msgpack_unpacked_destroy(&unpacked);
        }
    }
}

static void test_wire__msgpack_c_reads_the_same_values(void **state)
{
    (void)state;
    model_each_seed("msgpack-c reads", msgpack_reads_all);
}

/* --- bodies and item headers -------------------------------------------- */

static void test_wire__bodies_follow_each_other_in_their_frames(void **state)
{
    (void)state;
    struct bao_body_cursor cursor = {0};
    struct bao_body_place place = bao_body_next(&cursor, 10);
    assert_int_equal(place.part, 0);
    assert_int_equal(place.offset, 0);
    assert_int_equal(place.bytes, 10);
    place = bao_body_next(&cursor, BAO_BIG_BIT | 70000u);
    assert_int_equal(place.part, 1);
    assert_int_equal(place.offset, 0);
    assert_int_equal(place.bytes, 70000);
    place = bao_body_next(&cursor, 0);
    assert_int_equal(place.part, 0);
    assert_int_equal(place.offset, 10);
    assert_int_equal(place.bytes, 0);
    place = bao_body_next(&cursor, BAO_BIG_BIT | 70001u);
    assert_int_equal(place.part, 2);
    assert_int_equal(cursor.offset, 10);
    assert_int_equal(cursor.big, 2);
}

static bool valid_item_header(const char *bytes, size_t count)
{
    return bao_item_header_valid(bao_span_of(bytes, count));
}
#define VALID_ITEM_HEADER(bytes) valid_item_header(bytes, sizeof(bytes) - 1)

static void test_wire__item_headers_are_small_maps_of_texts(void **state)
{
    (void)state;
    assert_true(VALID_ITEM_HEADER(""));
    assert_true(VALID_ITEM_HEADER("\x80"));
    assert_true(VALID_ITEM_HEADER("\x81\xa1k\xa1v"));
    assert_true(VALID_ITEM_HEADER("\x82\xa1k\xa0\xd9\x01l\xa2\xc3\xa9"));
    assert_true(VALID_ITEM_HEADER("\xde\x00\x01\xa1k\xa1v"));
    assert_false(VALID_ITEM_HEADER("\x81\xa1k\xa1v\x00"));
    assert_false(VALID_ITEM_HEADER("\x81\xa1k"));
    assert_false(VALID_ITEM_HEADER("\x82\xa1k\xa1v\xa1k\xa1w"));
    assert_false(VALID_ITEM_HEADER("\x81\xa0\xa1v"));
    assert_false(VALID_ITEM_HEADER("\x81\xa1k\x01"));
    assert_false(VALID_ITEM_HEADER("\x81\x01\xa1v"));
    assert_false(VALID_ITEM_HEADER("\x81\xa1k\xc4\x01v"));
    assert_false(VALID_ITEM_HEADER("\x81\xa1k\xa1\xff"));
    assert_false(VALID_ITEM_HEADER("\x91\xa1k"));
    assert_false(VALID_ITEM_HEADER("\xdf\xff\xff\xff\xff\xa1k\xa1v"));
}

static void test_wire__item_headers_have_at_most_64_entries(void **state)
{
    (void)state;
    uint8_t bytes[3 + 65 * 4];
    for (uint32_t count = 64; count <= 65; count++) {
        bytes[0] = 0xde;
        bytes[1] = 0;
        bytes[2] = (uint8_t)count;
        for (size_t i = 0; i < count; i++) {
            uint8_t *pair = bytes + 3 + 4 * i;
            pair[0] = 0xa2;
            pair[1] = (uint8_t)('a' + i / 10);
            pair[2] = (uint8_t)('0' + i % 10);
            pair[3] = 0xa0;
        }
        assert_int_equal(
            bao_item_header_valid(bao_span_of(bytes, 3 + 4 * count)),
            count == 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire__brings_every_operation_back),
        cmocka_unit_test(test_wire__writer_that_is_full_has_written_nothing),
        cmocka_unit_test(test_wire__writer_uses_every_byte_and_no_more),
        cmocka_unit_test(test_wire__a_header_has_at_most_1024_operations),
        cmocka_unit_test(test_wire__fields_that_are_absent_are_zero),
        cmocka_unit_test(test_wire__columns_without_entries_are_absent),
        cmocka_unit_test(test_wire__msgpack_c_reads_the_same_values),
        cmocka_unit_test(test_wire__bodies_follow_each_other_in_their_frames),
        cmocka_unit_test(test_wire__item_headers_are_small_maps_of_texts),
        cmocka_unit_test(test_wire__item_headers_have_at_most_64_entries),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
