/*
 * msgpack_check.h - a cursor over msgpack bytes that trusts nothing.
 *
 * msgpack-c reserves memory for what a header announces before it looks
 * whether that is there: 5 bytes make it ask for 384 MB. So nothing that a
 * peer sent reaches it. These functions read the bytes where they lie: no
 * allocation, no recursion, and every count and length is compared with the
 * bytes that remain before it is used. The work is at most one step per byte.
 *
 * The readers return false and leave the cursor where it was if the next
 * value is of another type or cut short; bao_msgpack_skip() passes over it.
 * Any form of a number or length is accepted, not only the shortest.
 */
#ifndef BAO_MSGPACK_CHECK_H
#define BAO_MSGPACK_CHECK_H

#include "common/span.h"

/* What is still to be read; both ends lent. */
struct bao_msgpack {
    const uint8_t *at;
    const uint8_t *end;
};

enum bao_msgpack_verdict {
    BAO_MSGPACK_VALID,
    BAO_MSGPACK_CUT,      /* announces more than there is */
    BAO_MSGPACK_RESERVED, /* the byte 0xc1, which msgpack never uses */
    BAO_MSGPACK_DEEP,     /* arrays and maps nested too deep */
    BAO_MSGPACK_TRAILING  /* bytes after the value */
};

static inline struct bao_msgpack bao_msgpack_of(struct bao_span bytes)
{
    return (struct bao_msgpack){
        .at = bytes.data,
        .end = bytes.bytes == 0 ? bytes.data : bytes.data + bytes.bytes};
}

static inline size_t bao_msgpack_left(const struct bao_msgpack *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

/* True if `bytes` is exactly one value with at most `depth` levels of arrays
 * and maps. `depth` is at most BAO_DEPTH_MAX. */
enum bao_msgpack_verdict bao_msgpack_check(struct bao_span bytes,
                                           unsigned depth);

enum bao_msgpack_verdict bao_msgpack_skip_long(struct bao_msgpack *cursor,
                                               unsigned depth);

/* A number from 0 to 2^64 - 1; one that fits an int64. */
bool bao_msgpack_number_long(struct bao_msgpack *cursor, uint64_t *value);
bool bao_msgpack_signed(struct bao_msgpack *cursor, int64_t *value);

/* str; bin. The span is lent by the cursor's bytes. */
bool bao_msgpack_text_long(struct bao_msgpack *cursor, struct bao_span *text);
bool bao_msgpack_bytes(struct bao_msgpack *cursor, struct bao_span *bytes);

/* The head of an array or map. Its entries are there as far as one byte for
 * each value can tell: `count` is never more than the bytes that remain. */
bool bao_msgpack_array(struct bao_msgpack *cursor, uint32_t *count);
bool bao_msgpack_map_long(struct bao_msgpack *cursor, uint32_t *count);

/* The short forms are nearly all there is: a number of one byte, a text of up
 * to 31, a map of up to 15 pairs. */

static inline bool bao_msgpack_number(struct bao_msgpack *cursor,
                                      uint64_t *value)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        *value = *cursor->at++;
        return true;
    }
    return bao_msgpack_number_long(cursor, value);
}

static inline bool bao_msgpack_text(struct bao_msgpack *cursor,
                                    struct bao_span *text)
{
    if (cursor->at < cursor->end && (*cursor->at & 0xe0u) == 0xa0) {
        size_t bytes = *cursor->at & 0x1fu;
        if (bytes < bao_msgpack_left(cursor)) {
            *text = bao_span_of(cursor->at + 1, bytes);
            cursor->at += 1 + bytes;
            return true;
        }
    }
    return bao_msgpack_text_long(cursor, text);
}

static inline bool bao_msgpack_map(struct bao_msgpack *cursor, uint32_t *count)
{
    if (cursor->at < cursor->end && (*cursor->at & 0xf0u) == 0x80) {
        uint32_t pairs = *cursor->at & 0x0fu;
        if (2 * pairs < bao_msgpack_left(cursor)) {
            *count = pairs;
            cursor->at++;
            return true;
        }
    }
    return bao_msgpack_map_long(cursor, count);
}

/* Passes over one value; where the cursor is after a failure is not said. */
static inline enum bao_msgpack_verdict
bao_msgpack_skip(struct bao_msgpack *cursor, unsigned depth)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        cursor->at++;
        return BAO_MSGPACK_VALID;
    }
    return bao_msgpack_skip_long(cursor, depth);
}

#endif
