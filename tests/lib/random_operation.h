/*
 * random_operation.h - random valid operations of every verb, for tests.
 *
 * What is made passes bao_operation_check(). Everything that an operation
 * points at lies in the caller's `struct random_memory`.
 */
#ifndef BAO_TESTS_RANDOM_OPERATION_H
#define BAO_TESTS_RANDOM_OPERATION_H

#include "common/operation.h"

enum { RANDOM_ENTRIES = 8, RANDOM_TEXT_BYTES = 40 };

struct random_memory {
    uint8_t columns[7][16 * RANDOM_ENTRIES];
    uint8_t texts[64][RANDOM_TEXT_BYTES];
    uint8_t lists[2][RANDOM_ENTRIES * (RANDOM_TEXT_BYTES + 3) + 3];
    size_t columns_used;
    size_t texts_used;
    size_t lists_used;
    struct bao_queue_options options;
    struct bao_readings readings;
};

/* A number below `below`, from the test's generator. */
typedef uint64_t random_source(uint64_t below);

/* A request (or notice) of `verb`, or an answer to one; false if the verb has
 * none. */
bool random_operation(random_source *source,
                      uint64_t verb,
                      bool answer,
                      struct random_memory *memory,
                      struct bao_operation *operation);

/* NULL if the two are equal in all that is present, else the key's name. */
const char *operation_differs(const struct bao_operation *a,
                              const struct bao_operation *b);

/* Every verb there is, in order; ends with 0. */
extern const uint64_t all_verbs[];

#endif
