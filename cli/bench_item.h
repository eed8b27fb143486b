/*
 * bench_item.h - an item that can be recognised: who put it, which one it is,
 * when it was meant to leave, and a filling that follows from the first two.
 *
 * One set of seen items is shared by all consumers, so an item that came
 * twice is noticed whoever got it.
 */
#ifndef BAO_CLI_BENCH_ITEM_H
#define BAO_CLI_BENCH_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_ITEM_BYTES_MIN 24u

struct bench_item {
    uint32_t producer; /* from 0 */
    uint64_t sequence; /* from 0, of that producer */
    uint64_t start_us; /* bao_time_monotonic_us(), intended */
};

/* Writes the item as `bytes` bytes, at least BENCH_ITEM_BYTES_MIN. */
void bench_item_write(const struct bench_item *item,
                      uint8_t *data,
                      size_t bytes);

/* Reads it back; false if a byte is not what was written. */
bool bench_item_read(struct bench_item *item,
                     const uint8_t *data,
                     size_t bytes);

/* Which items came: one bit each in memory that processes share. */
struct bench_seen {
    uint32_t producers;
    uint64_t each; /* items of one producer at most */
    uint64_t *bits;
};

/* Bytes that `bits` needs, zeroed. */
size_t bench_seen_bytes(uint32_t producers, uint64_t each);

enum bench_sight {
    BENCH_SIGHT_NEW,
    BENCH_SIGHT_AGAIN,
    BENCH_SIGHT_STRANGE /* there is no such item */
};
enum bench_sight bench_seen_note(const struct bench_seen *seen,
                                 const struct bench_item *item);

/* How many of the first `count` items of a producer came. */
uint64_t bench_seen_count(const struct bench_seen *seen,
                          uint32_t producer,
                          uint64_t count);

#endif
