/*
 * random_fact.h - random facts of every kind, for the codec's tests.
 *
 * Members are chosen blindly, within their limits: what a fact means is the
 * core's business. Everything that a fact points at lies in the caller's
 * `struct random_fact_memory`.
 */
#ifndef BAO_TESTS_RANDOM_FACT_H
#define BAO_TESTS_RANDOM_FACT_H

#include "broker/fact_code.h"
#include "tests/lib/random_operation.h"

struct random_fact_memory {
    struct bao_fact_room room;
    uint8_t texts[8][BAO_KEY_BYTES_MAX];
    size_t texts_used;
};

void random_fact(random_source *source,
                 enum bao_fact_kind kind,
                 struct random_fact_memory *memory,
                 struct bao_fact *fact);

/* NULL if they are equal in all that a log keeps, else the member's name. */
const char *fact_differs(const struct bao_fact *a, const struct bao_fact *b);

/* Bytes of the payloads that follow a fact's code in its record. */
size_t fact_payload_bytes(const struct bao_fact *fact);

#endif
