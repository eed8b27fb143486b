/*
 * packed.h - numbers of 1 to 10 bytes, texts and bytes, one after the other.
 *
 * What the log and the checkpoint are written in. A number is its lowest
 * seven bits first, bit 7 set while more follow; the shortest form alone is
 * valid, so equal values have equal bytes. A span is its length, then its
 * bytes.
 *
 * Both sides know their end. A writer that has no room is `full` from then
 * on and writes nothing more; a reader that meets damage is `bad` from then
 * on and reads zeros: whoever uses them looks once, at the end.
 *
 * Pure: memory and spans are lent.
 */
#ifndef BAO_PACKED_H
#define BAO_PACKED_H

#include "common/span.h"

#define BAO_PACKED_NUMBER_MAX 10u /* bytes of a number */

struct bao_packer {
    uint8_t *at;
    uint8_t *end;
    bool full;
};

struct bao_unpacker {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

void bao_pack_number(struct bao_packer *packer, uint64_t value);
/* The bytes alone; their number is known to the reader. */
void bao_pack_bytes(struct bao_packer *packer, const void *data, size_t bytes);
void bao_pack_span(struct bao_packer *packer, struct bao_span span);

uint64_t bao_unpack_number(struct bao_unpacker *unpacker);
/* A number of at most `most`; a larger one is damage. */
uint64_t bao_unpack_most(struct bao_unpacker *unpacker, uint64_t most);
/* `bytes` bytes, lent; absent if they are not there. */
struct bao_span bao_unpack_bytes(struct bao_unpacker *unpacker, size_t bytes);
/* A span of at most `most` bytes. */
struct bao_span bao_unpack_span(struct bao_unpacker *unpacker, size_t most);

/* Signed numbers near 0 become small ones: 0, -1, 1, -2, ... */
static inline uint64_t bao_zigzag(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 != 0 ? UINT64_MAX : 0);
}

static inline uint64_t bao_unzigzag(uint64_t value)
{
    return value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0);
}

#endif
