/*
 * msgpack_check.c - the msgpack grammar, as far as a broker may believe it.
 *
 * head_of() knows the grammar: what the first byte of a value announces.
 * Everything else follows from it. Compared with msgpack-c on random and
 * mutated input in tests/unit/test_wire.c.
 */
#include "common/msgpack_check.h"

#include "common/check.h"
#include "common/limits.h"

/* What a value's first bytes say about it. */
enum shape {
    SHAPE_NUMBER, /* `count` is the value */
    SHAPE_SIGNED, /* `count` is the value in two's complement */
    SHAPE_TEXT,   /* `count` bytes follow, here and below */
    SHAPE_BYTES,
    SHAPE_OPAQUE, /* nil, bool, float, ext */
    SHAPE_ARRAY,  /* `count` values follow */
    SHAPE_MAP,    /* `count` pairs follow */
};

struct head {
    enum shape shape;
    uint32_t bytes; /* of the head itself */
    uint64_t count;
};

/* `bytes` is 0, 1, 2, 4 or 8. */
static uint64_t load_big_endian(const uint8_t *at, size_t bytes)
{
    switch (bytes) {
    case 0: return 0;
    case 1: return at[0];
    case 2: return (uint64_t)at[0] << 8 | at[1];
    case 4: return __builtin_bswap32(bao_load32(at));
    default: return __builtin_bswap64(bao_load64(at));
    }
}

static uint64_t sign_extended(uint64_t value, size_t bytes)
{
    BAO_ASSERT(bytes > 0 && bytes <= sizeof(value));
    uint64_t sign = UINT64_C(1) << (8 * bytes - 1);
    return (value ^ sign) - sign;
}

/* The heads 0xc0..0xdf: a first byte, then `bytes` of a length or value, then
 * `extra` bytes that belong to what follows. */
static const struct {
    uint8_t shape;
    uint8_t bytes;
    uint8_t extra;
} long_heads[32] = {
    [0x00] = {SHAPE_OPAQUE, 0, 0}, /* nil; 0xc1 is refused before */
    [0x02] = {SHAPE_OPAQUE, 0, 0}, /* false */
    [0x03] = {SHAPE_OPAQUE, 0, 0}, /* true */
    [0x04] = {SHAPE_BYTES, 1, 0},  /* bin */
    [0x05] = {SHAPE_BYTES, 2, 0},  [0x06] = {SHAPE_BYTES, 4, 0},
    [0x07] = {SHAPE_OPAQUE, 1, 1}, /* ext: its type is one byte more */
    [0x08] = {SHAPE_OPAQUE, 2, 1}, [0x09] = {SHAPE_OPAQUE, 4, 1},
    [0x0a] = {SHAPE_OPAQUE, 0, 4},                                /* float */
    [0x0b] = {SHAPE_OPAQUE, 0, 8}, [0x0c] = {SHAPE_NUMBER, 1, 0}, /* uint */
    [0x0d] = {SHAPE_NUMBER, 2, 0}, [0x0e] = {SHAPE_NUMBER, 4, 0},
    [0x0f] = {SHAPE_NUMBER, 8, 0}, [0x10] = {SHAPE_SIGNED, 1, 0}, /* int */
    [0x11] = {SHAPE_SIGNED, 2, 0}, [0x12] = {SHAPE_SIGNED, 4, 0},
    [0x13] = {SHAPE_SIGNED, 8, 0}, [0x14] = {SHAPE_OPAQUE, 0, 2}, /* fixext */
    [0x15] = {SHAPE_OPAQUE, 0, 3}, [0x16] = {SHAPE_OPAQUE, 0, 5},
    [0x17] = {SHAPE_OPAQUE, 0, 9}, [0x18] = {SHAPE_OPAQUE, 0, 17},
    [0x19] = {SHAPE_TEXT, 1, 0}, /* str */
    [0x1a] = {SHAPE_TEXT, 2, 0},   [0x1b] = {SHAPE_TEXT, 4, 0},
    [0x1c] = {SHAPE_ARRAY, 2, 0},  [0x1d] = {SHAPE_ARRAY, 4, 0},
    [0x1e] = {SHAPE_MAP, 2, 0},    [0x1f] = {SHAPE_MAP, 4, 0},
};

static enum bao_msgpack_verdict long_head_of(const struct bao_msgpack *cursor,
                                             struct head *head)
{
    uint8_t first = *cursor->at;
    if (first == 0xc1) {
        return BAO_MSGPACK_RESERVED;
    }
    uint8_t row = (uint8_t)(first - 0xc0);
    size_t bytes = long_heads[row].bytes;
    if (bao_msgpack_left(cursor) < 1 + bytes) {
        return BAO_MSGPACK_CUT;
    }
    uint64_t value = load_big_endian(cursor->at + 1, bytes);
    head->shape = (enum shape)long_heads[row].shape;
    head->bytes = (uint32_t)(1 + bytes);
    head->count = head->shape == SHAPE_SIGNED ? sign_extended(value, bytes)
                                              : value + long_heads[row].extra;
    return BAO_MSGPACK_VALID;
}

static bool is_nest(enum shape shape)
{
    return shape == SHAPE_ARRAY || shape == SHAPE_MAP;
}

/* Least bytes after the head: its run, or one for each value of a nest. A
 * count is at most 2^32 + 16 there, so doubling it cannot overflow. */
static uint64_t follows(const struct head *head)
{
    if (head->shape < SHAPE_TEXT) {
        return 0;
    }
    return head->shape == SHAPE_MAP ? 2 * head->count : head->count;
}

/* Reads a head, and refuses one that announces more than there is. */
static inline enum bao_msgpack_verdict head_of(const struct bao_msgpack *cursor,
                                               struct head *head)
{
    if (cursor->at == cursor->end) {
        return BAO_MSGPACK_CUT;
    }
    uint8_t first = *cursor->at;
    *head = (struct head){.shape = SHAPE_NUMBER, .bytes = 1, .count = first};
    if (first < 0x80) {
        return BAO_MSGPACK_VALID;
    }
    if (first >= 0xe0) {
        head->shape = SHAPE_SIGNED;
        head->count = sign_extended(first, 1);
    } else if (first >= 0xc0) {
        enum bao_msgpack_verdict verdict = long_head_of(cursor, head);
        if (verdict != BAO_MSGPACK_VALID) {
            return verdict;
        }
    } else if (first >= 0xa0) {
        head->shape = SHAPE_TEXT;
        head->count = first & 0x1fu;
    } else {
        head->shape = first >= 0x90 ? SHAPE_ARRAY : SHAPE_MAP;
        head->count = first & 0x0fu;
    }
    return follows(head) > bao_msgpack_left(cursor) - head->bytes
               ? BAO_MSGPACK_CUT
               : BAO_MSGPACK_VALID;
}

/* Passes over an array or map of at most `depth` levels. */
static enum bao_msgpack_verdict skip_nest(struct bao_msgpack *cursor,
                                          unsigned depth)
{
    /* left[0] is the value itself; left[n] what an array or map n levels
     * deep still has to come. */
    uint64_t left[BAO_DEPTH_MAX + 1] = {1};
    unsigned level = 0;
    for (;;) {
        while (left[level] == 0) {
            if (level == 0) {
                return BAO_MSGPACK_VALID;
            }
            level--;
        }
        left[level]--;
        struct head head;
        enum bao_msgpack_verdict verdict = head_of(cursor, &head);
        if (verdict != BAO_MSGPACK_VALID) {
            return verdict;
        }
        cursor->at += head.bytes;
        if (!is_nest(head.shape)) {
            cursor->at += follows(&head);
        } else if (level == depth) {
            return BAO_MSGPACK_DEEP;
        } else {
            left[++level] = follows(&head);
        }
    }
}

enum bao_msgpack_verdict bao_msgpack_skip_long(struct bao_msgpack *cursor,
                                               unsigned depth)
{
    BAO_ASSERT(depth <= BAO_DEPTH_MAX);
    struct head head;
    enum bao_msgpack_verdict verdict = head_of(cursor, &head);
    if (verdict != BAO_MSGPACK_VALID) {
        return verdict;
    }
    if (is_nest(head.shape)) {
        return skip_nest(cursor, depth);
    }
    cursor->at += head.bytes + follows(&head);
    return BAO_MSGPACK_VALID;
}

enum bao_msgpack_verdict bao_msgpack_check(struct bao_span bytes,
                                           unsigned depth)
{
    struct bao_msgpack cursor = bao_msgpack_of(bytes);
    enum bao_msgpack_verdict verdict = bao_msgpack_skip(&cursor, depth);
    if (verdict == BAO_MSGPACK_VALID && cursor.at != cursor.end) {
        return BAO_MSGPACK_TRAILING;
    }
    return verdict;
}

bool bao_msgpack_number_long(struct bao_msgpack *cursor, uint64_t *value)
{
    struct head head;
    if (head_of(cursor, &head) != BAO_MSGPACK_VALID ||
        head.shape > SHAPE_SIGNED ||
        (head.shape == SHAPE_SIGNED && head.count > INT64_MAX)) {
        return false;
    }
    cursor->at += head.bytes;
    *value = head.count;
    return true;
}

bool bao_msgpack_signed(struct bao_msgpack *cursor, int64_t *value)
{
    struct head head;
    if (head_of(cursor, &head) != BAO_MSGPACK_VALID ||
        head.shape > SHAPE_SIGNED ||
        (head.shape == SHAPE_NUMBER && head.count > INT64_MAX)) {
        return false;
    }
    cursor->at += head.bytes;
    *value = (int64_t)head.count;
    return true;
}

static bool
read_run(struct bao_msgpack *cursor, enum shape shape, struct bao_span *run)
{
    struct head head;
    if (head_of(cursor, &head) != BAO_MSGPACK_VALID || head.shape != shape) {
        return false;
    }
    *run = bao_span_of(cursor->at + head.bytes, (size_t)head.count);
    cursor->at += head.bytes + head.count;
    return true;
}

bool bao_msgpack_text_long(struct bao_msgpack *cursor, struct bao_span *text)
{
    return read_run(cursor, SHAPE_TEXT, text);
}

bool bao_msgpack_bytes(struct bao_msgpack *cursor, struct bao_span *bytes)
{
    return read_run(cursor, SHAPE_BYTES, bytes);
}

static bool
read_count(struct bao_msgpack *cursor, enum shape shape, uint32_t *count)
{
    struct head head;
    if (head_of(cursor, &head) != BAO_MSGPACK_VALID || head.shape != shape) {
        return false;
    }
    cursor->at += head.bytes;
    *count = (uint32_t)head.count;
    return true;
}

bool bao_msgpack_array(struct bao_msgpack *cursor, uint32_t *count)
{
    return read_count(cursor, SHAPE_ARRAY, count);
}

bool bao_msgpack_map_long(struct bao_msgpack *cursor, uint32_t *count)
{
    return read_count(cursor, SHAPE_MAP, count);
}
