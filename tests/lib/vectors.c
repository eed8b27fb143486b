/*
 * vectors.c - operation <-> JSON, made from the tables of operation.h.
 */
#include "tests/lib/vectors.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/texts.h"

/* --- operation -> JSON --------------------------------------------------- */

json_t *hex_of(struct bao_span bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *text = malloc(2 * bytes.bytes + 1);
    if (text == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < bytes.bytes; i++) {
        text[2 * i] = digits[bytes.data[i] >> 4];
        text[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    json_t *json = json_stringn(text, 2 * bytes.bytes);
    free(text);
    return json;
}

static json_t *json_of_number(unsigned key, uint64_t value)
{
    return key == BAO_KEY_VERB ? json_string(bao_verb_name(value))
                               : json_integer((json_int_t)value);
}

static json_t *json_of_signed(unsigned key, int64_t value)
{
    (void)key;
    return json_integer(value);
}

static json_t *json_of_text(unsigned key, struct bao_span text)
{
    (void)key;
    return json_stringn((const char *)text.data, text.bytes);
}

static json_t *json_of_bytes(unsigned key, struct bao_span bytes)
{
    (void)key;
    return hex_of(bytes);
}

static json_t *json_of_column32(unsigned key, struct bao_span column)
{
    json_t *array = json_array();
    for (size_t i = 0; i < bao_column32_count(column); i++) {
        uint32_t entry = bao_column32(column, i);
        json_int_t value =
            key == BAO_KEY_PRIORITIES ? (int32_t)entry : (json_int_t)entry;
        json_array_append_new(array, json_integer(value));
    }
    return array;
}

static json_t *json_of_column64(unsigned key, struct bao_span column)
{
    json_t *array = json_array();
    (void)key;
    for (size_t i = 0; i < bao_column64_count(column); i++) {
        json_array_append_new(
            array, json_integer((json_int_t)bao_column64(column, i)));
    }
    return array;
}

static json_t *json_of_texts(unsigned key, struct bao_span texts)
{
    json_t *array = json_array();
    size_t offset = 0;
    struct bao_span text;
    while (bao_texts_next(texts, &offset, &text)) {
        json_array_append_new(array, json_of_text(key, text));
    }
    return array;
}

#define JSON_OF_NUMBER   json_of_number
#define JSON_OF_SIGNED   json_of_signed
#define JSON_OF_TEXT     json_of_text
#define JSON_OF_BYTES    json_of_bytes
#define JSON_OF_COLUMN32 json_of_column32
#define JSON_OF_COLUMN64 json_of_column64
#define JSON_OF_TEXTS    json_of_texts

static json_t *json_of_options(const struct bao_queue_options *options)
{
    json_t *json = json_object();
#define X(number, NAME, field, fallback, max)                        \
    if ((options->present & BAO_OPTION_BIT(NAME)) != 0) {            \
        json_object_set_new(                                         \
            json, #field, json_integer((json_int_t)options->field)); \
    }
    BAO_OPTION_TABLE(X)
#undef X
    return json;
}

static json_t *json_of_readings(const struct bao_readings *readings)
{
    json_t *json = json_object();
#define X(number, NAME, field) \
    json_object_set_new(       \
        json, #field, json_integer((json_int_t)readings->field));
    BAO_READING_TABLE(X)
#undef X
    return json;
}

json_t *vector_of_operation(const struct bao_operation *operation)
{
    json_t *json = json_object();
#define X(number, NAME, field, type, max)                              \
    if (bao_has(operation, BAO_BIT(NAME))) {                           \
        json_object_set_new(                                           \
            json, #field, JSON_OF_##type((number), operation->field)); \
    }
    BAO_KEY_TABLE(X)
#undef X
    if (operation->options != NULL) {
        json_object_set_new(
            json, "options", json_of_options(operation->options));
    }
    if (operation->readings != NULL) {
        json_object_set_new(
            json, "readings", json_of_readings(operation->readings));
    }
    return json;
}

/* --- JSON -> operation --------------------------------------------------- */

bool bytes_of_hex(const char *hex, uint8_t *data, size_t most, size_t *bytes)
{
    size_t count = strlen(hex) / 2;
    if (strlen(hex) % 2 != 0 || count > most) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        char *end = NULL;
        data[i] = (uint8_t)strtoul(pair, &end, 16);
        if (end != pair + 2) {
            return false;
        }
    }
    *bytes = count;
    return true;
}

static bool
number_of(const json_t *json, struct vector_memory *memory, uint64_t *value)
{
    (void)memory;
    *value = (uint64_t)json_integer_value(json);
    if (json_is_string(json)) { /* a verb */
        for (*value = 1; *value < 256; (*value)++) {
            if (strcmp(bao_verb_name(*value), json_string_value(json)) == 0) {
                return true;
            }
        }
        return false;
    }
    return json_is_integer(json);
}

static bool
signed_of(const json_t *json, struct vector_memory *memory, int64_t *value)
{
    (void)memory;
    *value = json_integer_value(json);
    return json_is_integer(json);
}

static uint8_t *field_of(struct vector_memory *memory)
{
    if (memory->used == VECTOR_FIELDS) {
        fprintf(stderr, "vectors: too many fields\n");
        exit(1);
    }
    return memory->fields[memory->used++];
}

static bool
text_of(const json_t *json, struct vector_memory *memory, struct bao_span *text)
{
    (void)memory;
    *text = bao_span_of(json_string_value(json), json_string_length(json));
    return json_is_string(json);
}

static bool bytes_of(const json_t *json,
                     struct vector_memory *memory,
                     struct bao_span *bytes)
{
    uint8_t *data = field_of(memory);
    size_t count = 0;
    bool hex =
        json_is_string(json) &&
        bytes_of_hex(json_string_value(json), data, VECTOR_FIELD_BYTES, &count);
    *bytes = bao_span_of(data, count);
    return hex;
}

static bool column32_of(const json_t *json,
                        struct vector_memory *memory,
                        struct bao_span *column)
{
    uint8_t *data = field_of(memory);
    size_t count = json_array_size(json);
    for (size_t i = 0; i < count && i < VECTOR_FIELD_BYTES / 4; i++) {
        json_int_t entry = json_integer_value(json_array_get(json, i));
        bao_store32(data + 4 * i, (uint32_t)entry);
    }
    *column = bao_span_of(data, 4 * count);
    return json_is_array(json) && column->bytes <= VECTOR_FIELD_BYTES;
}

static bool column64_of(const json_t *json,
                        struct vector_memory *memory,
                        struct bao_span *column)
{
    uint8_t *data = field_of(memory);
    size_t count = json_array_size(json);
    for (size_t i = 0; i < count && i < VECTOR_FIELD_BYTES / 8; i++) {
        json_int_t entry = json_integer_value(json_array_get(json, i));
        bao_store64(data + 8 * i, (uint64_t)entry);
    }
    *column = bao_span_of(data, 8 * count);
    return json_is_array(json) && column->bytes <= VECTOR_FIELD_BYTES;
}

static bool texts_of(const json_t *json,
                     struct vector_memory *memory,
                     struct bao_span *texts)
{
    uint8_t *data = field_of(memory);
    size_t bytes = 0;
    for (size_t i = 0; i < json_array_size(json); i++) {
        struct bao_span text;
        if (!text_of(json_array_get(json, i), memory, &text) ||
            bao_texts_add(data, VECTOR_FIELD_BYTES, &bytes, text) != BAOZI_OK) {
            return false;
        }
    }
    *texts = bao_span_of(data, bytes);
    return json_is_array(json);
}

#define OF_NUMBER   number_of
#define OF_SIGNED   signed_of
#define OF_TEXT     text_of
#define OF_BYTES    bytes_of
#define OF_COLUMN32 column32_of
#define OF_COLUMN64 column64_of
#define OF_TEXTS    texts_of

static const char *options_of(const json_t *json,
                              struct bao_queue_options *options)
{
    size_t known = 0;
    memset(options, 0, sizeof(*options));
#define X(number, NAME, field, fallback, max)                            \
    if (json_object_get(json, #field) != NULL) {                         \
        options->present |= BAO_OPTION_BIT(NAME);                        \
        options->field =                                                 \
            (uint64_t)json_integer_value(json_object_get(json, #field)); \
        known++;                                                         \
    }
    BAO_OPTION_TABLE(X)
#undef X
    return known == json_object_size(json) ? NULL : "options";
}

static const char *readings_of(const json_t *json,
                               struct bao_readings *readings)
{
    size_t known = 0;
    memset(readings, 0, sizeof(*readings));
#define X(number, NAME, field)                                       \
    readings->field =                                                \
        (uint64_t)json_integer_value(json_object_get(json, #field)); \
    known += json_object_get(json, #field) != NULL;
    BAO_READING_TABLE(X)
#undef X
    return known == json_object_size(json) ? NULL : "readings";
}

const char *operation_of_vector(const json_t *json,
                                struct vector_memory *memory,
                                struct bao_operation *operation)
{
    const json_t *options = json_object_get(json, "options");
    const json_t *readings = json_object_get(json, "readings");
    const char *wrong = NULL;
    size_t known = (size_t)(options != NULL) + (size_t)(readings != NULL);
    memory->used = 0;
    memset(operation, 0, sizeof(*operation));
#define X(number, NAME, field, type, max)                                    \
    if (json_object_get(json, #field) != NULL) {                             \
        known++;                                                             \
        operation->present |= BAO_BIT(NAME);                                 \
        if (!OF_##type(                                                      \
                json_object_get(json, #field), memory, &operation->field)) { \
            wrong = #field;                                                  \
        }                                                                    \
    }
    BAO_KEY_TABLE(X)
#undef X
    if (wrong == NULL && options != NULL) {
        wrong = options_of(options, &memory->options);
        operation->options = &memory->options;
    }
    if (wrong == NULL && readings != NULL) {
        wrong = readings_of(readings, &memory->readings);
        operation->readings = &memory->readings;
    }
    if (wrong == NULL && known != json_object_size(json)) {
        wrong = "a member that is no key";
    }
    return wrong;
}
