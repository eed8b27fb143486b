/*
 * disk_payload.c - see disk_payload.h.
 */
#include "common/disk_payload.h"

#include "common/limits.h"

_Static_assert(4 * BAO_PACKED_NUMBER_MAX <= BAO_DISK_PAYLOAD_MAX,
               "a record is four numbers");

void bao_disk_payload_pack(struct bao_packer *packer,
                           uint64_t before,
                           const struct bao_disk_payload *payload)
{
    bao_pack_number(packer, bao_zigzag(payload->id - before));
    bao_pack_number(packer, payload->address);
    bao_pack_number(packer, (uint64_t)payload->bytes << 1 | payload->result);
    bao_pack_number(packer, payload->crc);
}

void bao_disk_payload_unpack(struct bao_unpacker *in,
                             struct bao_disk_payload *payload)
{
    payload->id += bao_unzigzag(bao_unpack_number(in));
    payload->address = bao_unpack_number(in);
    const uint64_t size =
        bao_unpack_most(in, (uint64_t)BAO_ITEM_BYTES_MAX << 1 | 1);
    payload->bytes = (uint32_t)(size >> 1);
    payload->result = (size & 1) != 0;
    payload->crc = (uint32_t)bao_unpack_most(in, UINT32_MAX);
    in->bad = in->bad || payload->address == 0;
}
