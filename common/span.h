/*
 * span.h - bytes that somebody else owns.
 *
 * A span is always lent; whoever hands it out says how long it lives. A span
 * with data NULL and 0 bytes is "absent"; columns are packed little-endian
 * numbers and may be unaligned, so they are read with the functions below.
 */
#ifndef BAO_SPAN_H
#define BAO_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bao_span {
    const uint8_t *data;
    size_t bytes;
};

static inline struct bao_span bao_span_of(const void *data, size_t bytes)
{
    return (struct bao_span){.data = data, .bytes = bytes};
}

/* `text` without its final NUL; lent as long as `text` lives. */
static inline struct bao_span bao_span_text(const char *text)
{
    return bao_span_of(text, strlen(text));
}

static inline bool bao_span_equal(struct bao_span a, struct bao_span b)
{
    return a.bytes == b.bytes &&
           (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Zeros where the compiler knows their number: some hundred bytes are
 * cleared quicker by the library than by the instruction that it would take
 * (rep stos), which is slow to start. */
static inline void bao_clear(void *data, size_t bytes)
{
    __asm__("" : "+r"(bytes));
    memset(data, 0, bytes);
}

static inline uint32_t bao_load32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

static inline uint64_t bao_load64(const uint8_t *at)
{
    return (uint64_t)bao_load32(at) | (uint64_t)bao_load32(at + 4) << 32;
}

static inline void bao_store32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
    at[2] = (uint8_t)(value >> 16);
    at[3] = (uint8_t)(value >> 24);
}

static inline void bao_store64(uint8_t *at, uint64_t value)
{
    bao_store32(at, (uint32_t)value);
    bao_store32(at + 4, (uint32_t)(value >> 32));
}

/* How many numbers a column holds, and the i-th of them (must exist). */
static inline size_t bao_column32_count(struct bao_span column)
{
    return column.bytes / 4;
}

static inline size_t bao_column64_count(struct bao_span column)
{
    return column.bytes / 8;
}

static inline uint32_t bao_column32(struct bao_span column, size_t i)
{
    return bao_load32(column.data + 4 * i);
}

static inline uint64_t bao_column64(struct bao_span column, size_t i)
{
    return bao_load64(column.data + 8 * i);
}

#endif
