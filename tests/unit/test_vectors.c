/*
 * test_vectors.c - the golden vectors in tests/vectors, read both ways.
 *
 * operations.json  what this version writes: bytes <-> operations, exactly
 * accepted.json    other forms of bytes that must be read as the operations
 * refused.json     headers that must be refused, where, why, and what can be
 *                  answered
 *
 * With BAOZI_VECTORS=write the bytes of operations.json are made anew from its
 * operations; the numbers on the wire never change, so a difference in an old
 * vector is a broken protocol.
 */
#include "common/wire.h"
#include "tests/lib/unit.h"
#include "tests/lib/vectors.h"

enum { OPERATIONS = 8 };

static uint8_t memory[BAO_HEADER_BYTES_MAX];
static struct vector_memory fields[OPERATIONS];
static struct bao_reader reader;

static json_t *load(const char *file, const char *list)
{
    char path[256];
    json_error_t error;
    (void)snprintf(path, sizeof(path), "tests/vectors/%s", file);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        fail_msg("%s:%d: %s", path, error.line, error.text);
    }
    assert_int_equal(json_integer_value(json_object_get(root, "protocol")),
                     BAO_PROTOCOL_VERSION);
    assert_true(json_array_size(json_object_get(root, list)) > 0);
    return root;
}

static const char *text(const json_t *vector, const char *member)
{
    const char *value = json_string_value(json_object_get(vector, member));
    return value == NULL ? "" : value;
}

static struct bao_span bytes_of(const json_t *vector, const char *member)
{
    static uint8_t data[BAO_HEADER_BYTES_MAX];
    size_t bytes = 0;
    assert_true(bytes_of_hex(text(vector, member), data, sizeof(data), &bytes));
    return bao_span_of(data, bytes);
}

/* --- both ways ------------------------------------------------------------ */

static struct bao_span encoded(const json_t *vector)
{
    const json_t *operations = json_object_get(vector, "operations");
    struct bao_writer writer;
    size_t i;
    json_t *json;
    bao_writer_open(&writer, memory, sizeof(memory));
    assert_true(json_array_size(operations) <= OPERATIONS);
    json_array_foreach(operations, i, json)
    {
        struct bao_operation operation;
        const char *wrong = operation_of_vector(json, &fields[i], &operation);
        if (wrong != NULL) {
            fail_msg("%s: %s", text(vector, "name"), wrong);
        }
        assert_int_equal(bao_writer_add(&writer, &operation), BAOZI_OK);
    }
    return bao_writer_close(&writer);
}

static void assert_decodes(const json_t *vector)
{
    const char *name = text(vector, "name");
    const json_t *operations = json_object_get(vector, "operations");
    struct bao_operation got;
    size_t i;
    json_t *wanted;
    if (bao_reader_open(&reader, bytes_of(vector, "header")) != BAOZI_OK) {
        fail_msg("%s: %s", name, reader.why);
    }
    json_array_foreach(operations, i, wanted)
    {
        if (bao_reader_next(&reader, &got) != BAOZI_OK) {
            fail_msg("%s: %s", name, reader.why);
        }
        json_t *json = vector_of_operation(&got);
        if (!json_equal(json, wanted)) {
            fail_msg("%s: read as %s", name, json_dumps(json, 0));
        }
        json_decref(json);
    }
    assert_int_equal(bao_reader_next(&reader, &got), BAOZI_EMPTY);
}

/* The bodies of a vector are what its header claims. */
static void assert_bodies(const json_t *vector)
{
    const json_t *big = json_object_get(vector, "big_frames");
    struct bao_span bodies = bytes_of(vector, "bodies");
    if (reader.claimed.offset != bodies.bytes ||
        reader.claimed.big != json_array_size(big)) {
        fail_msg("%s: claims %u bytes and %u big frames",
                 text(vector, "name"),
                 reader.claimed.offset,
                 reader.claimed.big);
    }
}

static void write_vectors(json_t *root)
{
    size_t i;
    json_t *vector;
    json_array_foreach(json_object_get(root, "vectors"), i, vector)
    {
        json_object_set_new(vector, "header", hex_of(encoded(vector)));
    }
    assert_int_equal(
        json_dump_file(root, "tests/vectors/operations.json", JSON_INDENT(2)),
        0);
}

static void test_vectors__operations_are_these_bytes(void **state)
{
    (void)state;
    const char *mode = getenv("BAOZI_VECTORS");
    json_t *root = load("operations.json", "vectors");
    size_t i;
    json_t *vector;
    if (mode != NULL && strcmp(mode, "write") == 0) {
        write_vectors(root);
    }
    json_array_foreach(json_object_get(root, "vectors"), i, vector)
    {
        struct bao_span header = encoded(vector);
        struct bao_span wanted = bytes_of(vector, "header");
        if (!bao_span_equal(header, wanted)) {
            fail_msg("%s: written as other bytes", text(vector, "name"));
        }
        assert_decodes(vector);
        assert_bodies(vector);
    }
    json_decref(root);
}

static void test_vectors__other_forms_are_read_alike(void **state)
{
    (void)state;
    json_t *root = load("accepted.json", "accepted");
    size_t i;
    json_t *vector;
    json_array_foreach(json_object_get(root, "accepted"), i, vector)
    {
        assert_decodes(vector);
    }
    json_decref(root);
}

/* --- what they cover ------------------------------------------------------ */

struct covered {
    bool requests[256];
    bool answers[256];
    uint64_t keys;
    uint64_t options;
    bool readings;
};

static void cover(struct covered *covered, const json_t *vector)
{
    size_t i;
    json_t *json;
    json_array_foreach(json_object_get(vector, "operations"), i, json)
    {
        struct bao_operation operation;
        assert_null(operation_of_vector(json, &fields[0], &operation));
        if (bao_is_answer(&operation)) {
            covered->answers[operation.verb] = true;
        } else {
            covered->requests[operation.verb] = true;
        }
        covered->keys |= operation.present;
        covered->options |=
            operation.options == NULL ? 0 : operation.options->present;
        covered->readings |= operation.readings != NULL;
    }
}

static void test_vectors__every_verb_and_key_has_one(void **state)
{
    (void)state;
    static struct covered covered;
    json_t *root = load("operations.json", "vectors");
    size_t i;
    json_t *vector;
    json_array_foreach(json_object_get(root, "vectors"), i, vector)
    {
        cover(&covered, vector);
    }
#define X(number, NAME, required, optional, answer) \
    assert_true(covered.requests[number]);          \
    assert_true(covered.answers[number] || ((required)&BAO_BIT(RID)) == 0);
    BAO_VERB_TABLE(X)
#undef X
    for (unsigned key = 0; key < 63; key++) {
        if ((covered.keys & UINT64_C(1) << key) == 0) {
            fail_msg("no vector has %s", bao_key_name(key));
        }
    }
#define X(number, NAME, field, fallback, max) \
    assert_true((covered.options & BAO_OPTION_BIT(NAME)) != 0);
    BAO_OPTION_TABLE(X)
#undef X
    assert_true(covered.readings);
    json_decref(root);
}

/* --- refused -------------------------------------------------------------- */

static void
assert_text(const json_t *vector, const char *member, const char *is)
{
    if (strcmp(text(vector, member), is) != 0) {
        fail_msg("%s: %s is '%s'", text(vector, "name"), member, is);
    }
}

static void assert_refused(const json_t *vector)
{
    struct bao_operation got;
    memset(&got, 0, sizeof(got));
    enum baozi_status status =
        bao_reader_open(&reader, bytes_of(vector, "header"));
    const char *at = "header";
    if (status == BAOZI_OK) {
        status = bao_reader_next(&reader, &got);
        at = "operation";
    }
    assert_text(vector, "status", baozi_status_name(status));
    assert_text(vector, "at", at);
    assert_text(vector, "why", reader.why);
    const json_t *rid = json_object_get(vector, "rid");
    assert_int_equal(bao_has(&got, BAO_BIT(RID)), rid != NULL);
    if (rid != NULL) {
        assert_int_equal(got.rid, json_integer_value(rid));
        assert_int_equal(
            bao_operation_requests(&got),
            json_integer_value(json_object_get(vector, "requests")));
    }
    assert_int_equal(bao_reader_next(&reader, &got), BAOZI_EMPTY);
}

static void test_vectors__refused_headers_are_refused_so(void **state)
{
    (void)state;
    json_t *root = load("refused.json", "refused");
    size_t i;
    json_t *vector;
    json_array_foreach(json_object_get(root, "refused"), i, vector)
    {
        assert_refused(vector);
    }
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors__operations_are_these_bytes),
        cmocka_unit_test(test_vectors__other_forms_are_read_alike),
        cmocka_unit_test(test_vectors__every_verb_and_key_has_one),
        cmocka_unit_test(test_vectors__refused_headers_are_refused_so),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
