/*
 * packed.c - see packed.h.
 */
#include "common/packed.h"

void bao_pack_number(struct bao_packer *packer, uint64_t value)
{
    uint8_t bytes[BAO_PACKED_NUMBER_MAX];
    size_t count = 0;
    while (value > 127) {
        bytes[count++] = (uint8_t)(value | 128u);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    bao_pack_bytes(packer, bytes, count);
}

void bao_pack_bytes(struct bao_packer *packer, const void *data, size_t bytes)
{
    if (packer->full || bytes > (size_t)(packer->end - packer->at)) {
        packer->full = true;
        return;
    }
    if (bytes > 0)
        memcpy(packer->at, data, bytes);
    packer->at += bytes;
}

void bao_pack_span(struct bao_packer *packer, struct bao_span span)
{
    bao_pack_number(packer, span.bytes);
    bao_pack_bytes(packer, span.data, span.bytes);
}

uint64_t bao_unpack_number(struct bao_unpacker *unpacker)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !unpacker->bad; shift += 7) {
        if (unpacker->at == unpacker->end)
            break;
        const uint8_t byte = *unpacker->at++;
        const uint64_t bits = byte & 127u;
        if (shift == 63 && bits > 1)
            break; /* above 64 bits */
        if (byte == 0 && shift > 0)
            break; /* not the shortest form */
        value |= bits << shift;
        if (byte < 128)
            return value;
    }
    unpacker->bad = true;
    return 0;
}

uint64_t bao_unpack_most(struct bao_unpacker *unpacker, uint64_t most)
{
    const uint64_t value = bao_unpack_number(unpacker);
    if (value <= most)
        return value;
    unpacker->bad = true;
    return 0;
}

struct bao_span bao_unpack_bytes(struct bao_unpacker *unpacker, size_t bytes)
{
    if (unpacker->bad || bytes > (size_t)(unpacker->end - unpacker->at)) {
        unpacker->bad = true;
        return bao_span_of(NULL, 0);
    }
    struct bao_span span = bao_span_of(unpacker->at, bytes);
    unpacker->at += bytes;
    return bytes == 0 ? bao_span_of(NULL, 0) : span;
}

struct bao_span bao_unpack_span(struct bao_unpacker *unpacker, size_t most)
{
    return bao_unpack_bytes(unpacker, (size_t)bao_unpack_most(unpacker, most));
}
