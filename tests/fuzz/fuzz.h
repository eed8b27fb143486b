/*
 * fuzz.h - what every fuzz target shares: the entry that the fuzzer calls,
 * and an input that is read choice by choice.
 *
 * A target is a file fuzz_NAME.c with one function LLVMFuzzerTestOneInput();
 * its inputs lie in corpus/NAME, its words in NAME.dict if there is one. It is
 * built twice: with libFuzzer (flavour fuzz), which makes inputs, and with
 * replay.c (the other flavours), which only repeats those of the corpus.
 * What must hold is asserted with BAO_ASSERT.
 */
#ifndef BAO_TESTS_FUZZ_H
#define BAO_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/span.h"

/* NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The rest of an input. Past its end every choice is 0. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

static inline uint32_t fuzz_two_bytes(struct fuzz_input *input)
{
    uint32_t low = fuzz_byte(input);
    return low | (uint32_t)fuzz_byte(input) << 8;
}

/* The next `bytes` of it, as many as are left. */
static inline struct bao_span fuzz_bytes(struct fuzz_input *input, size_t bytes)
{
    size_t count = bytes < input->left ? bytes : input->left;
    struct bao_span span = bao_span_of(input->at, count);
    input->at += count;
    input->left -= count;
    return span;
}

/* A number as one byte chooses it: small ones, and the edges of types. */
static inline uint64_t fuzz_number(struct fuzz_input *input)
{
    static const uint64_t edges[] = {
        255,
        256,
        1000,
        1023,
        1024,
        1025,
        5000,
        65535,
        65536,
        1000000,
        INT32_MAX,
        UINT32_MAX,
        UINT64_C(1) << 32,
        UINT64_C(1) << 40,
        UINT64_C(1) << 53,
        INT64_MAX,
        UINT64_MAX - 1,
        UINT64_MAX,
    };
    const uint64_t edge_count = sizeof edges / sizeof edges[0];
    uint8_t byte = fuzz_byte(input);
    return byte < 256 - edge_count ? byte : edges[255 - byte];
}

#endif
