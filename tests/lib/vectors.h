/*
 * vectors.h - operations as JSON, for the golden vectors in tests/vectors.
 *
 * Keys have their names, numbers are JSON integers, columns arrays of them,
 * bytes are hex; options and readings are objects of their own.
 */
#ifndef BAO_TESTS_VECTORS_H
#define BAO_TESTS_VECTORS_H

#include <jansson.h>

#include "common/operation.h"

enum { VECTOR_FIELDS = 32, VECTOR_FIELD_BYTES = 4096 };

/* What an operation made from JSON points at. */
struct vector_memory {
    uint8_t fields[VECTOR_FIELDS][VECTOR_FIELD_BYTES];
    size_t used;
    struct bao_queue_options options;
    struct bao_readings readings;
};

/* A new reference. */
json_t *vector_of_operation(const struct bao_operation *operation);

/* NULL, or the name of the member that makes no sense. */
const char *operation_of_vector(const json_t *json,
                                struct vector_memory *memory,
                                struct bao_operation *operation);

/* Bytes as hex: a new reference; and back: false if it is no hex or does not
 * fit. */
json_t *hex_of(struct bao_span bytes);
bool bytes_of_hex(const char *hex, uint8_t *data, size_t most, size_t *bytes);

#endif
