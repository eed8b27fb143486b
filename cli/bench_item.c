/*
 * bench_item.c - items that tell of themselves.
 */
#include "cli/bench_item.h"

#include <string.h>

#include "common/check.h"

#define MARK 0x626e7531u /* not a number that comes by chance */

/* The filling's word `i`: a few instructions, and different everywhere. */
static uint64_t filling(const struct bench_item *item, size_t i)
{
    uint64_t word = item->sequence + ((uint64_t)item->producer << 40) + i;
    word *= UINT64_C(0x9e3779b97f4a7c15);
    return word ^ (word >> 29);
}

void bench_item_write(const struct bench_item *item,
                      uint8_t *data,
                      size_t bytes)
{
    uint32_t mark = MARK + (uint32_t)bytes;
    BAO_ASSERT(bytes >= BENCH_ITEM_BYTES_MIN);
    memcpy(data, &mark, 4);
    memcpy(data + 4, &item->producer, 4);
    memcpy(data + 8, &item->sequence, 8);
    memcpy(data + 16, &item->start_us, 8);
    size_t at = BENCH_ITEM_BYTES_MIN;
    for (size_t i = 0; at < bytes; i++, at += 8) {
        uint64_t word = filling(item, i);
        memcpy(data + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
}

bool bench_item_read(struct bench_item *item, const uint8_t *data, size_t bytes)
{
    uint32_t mark;
    if (bytes < BENCH_ITEM_BYTES_MIN)
        return false;
    memcpy(&mark, data, 4);
    memcpy(&item->producer, data + 4, 4);
    memcpy(&item->sequence, data + 8, 8);
    memcpy(&item->start_us, data + 16, 8);
    bool good = mark == MARK + (uint32_t)bytes;
    size_t at = BENCH_ITEM_BYTES_MIN;
    for (size_t i = 0; good && at < bytes; i++, at += 8) {
        uint64_t word = filling(item, i);
        uint64_t found = word;
        memcpy(&found, data + at, bytes - at < 8 ? bytes - at : 8);
        good = found == word;
    }
    return good;
}

static size_t words_each(uint64_t each)
{
    return (size_t)(each / 64 + 1);
}

size_t bench_seen_bytes(uint32_t producers, uint64_t each)
{
    return (size_t)producers * words_each(each) * sizeof(uint64_t);
}

static uint64_t *
word_of(const struct bench_seen *seen, uint32_t producer, uint64_t sequence)
{
    return seen->bits + producer * words_each(seen->each) + sequence / 64;
}

enum bench_sight bench_seen_note(const struct bench_seen *seen,
                                 const struct bench_item *item)
{
    if (item->producer >= seen->producers || item->sequence >= seen->each)
        return BENCH_SIGHT_STRANGE;
    uint64_t bit = UINT64_C(1) << (item->sequence % 64);
    uint64_t before = __atomic_fetch_or(
        word_of(seen, item->producer, item->sequence), bit, __ATOMIC_RELAXED);
    return (before & bit) != 0 ? BENCH_SIGHT_AGAIN : BENCH_SIGHT_NEW;
}

uint64_t bench_seen_count(const struct bench_seen *seen,
                          uint32_t producer,
                          uint64_t count)
{
    uint64_t found = 0;
    BAO_ASSERT(count <= seen->each);
    for (uint64_t i = 0; i < count; i += 64) {
        uint64_t word = *word_of(seen, producer, i);
        if (count - i < 64)
            word &= (UINT64_C(1) << (count - i)) - 1;
        found += (uint64_t)__builtin_popcountll(word);
    }
    return found;
}
