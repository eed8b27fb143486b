/*
 * disk_payload.h - where payloads lie, as a checkpoint has it.
 *
 * Pure; shared by the broker and by `baozi log`. A piece of a checkpoint
 * begins with a byte that says what it has. One with addresses is records,
 * packed (packed.h): [id, as the difference to the one before][address][bytes
 * << 1 | result][crc].
 */
#ifndef BAO_DISK_PAYLOAD_H
#define BAO_DISK_PAYLOAD_H

#include "common/packed.h"

/* The first byte of a piece: whose it is. */
enum bao_piece_kind { BAO_PIECE_CORE = 1, BAO_PIECE_BODIES = 2 };

#define BAO_DISK_PAYLOAD_MAX 40u /* bytes of a record */

struct bao_disk_payload {
    uint64_t id;
    uint64_t address; /* of its first byte; never 0 */
    uint32_t bytes;
    uint32_t crc; /* of its bytes */
    bool result;  /* of a done item, no longer its body */
};

/* `before` is the id of the record before it in this piece, or 0. */
void bao_disk_payload_pack(struct bao_packer *packer,
                           uint64_t before,
                           const struct bao_disk_payload *payload);

/* Reads the next record; payload->id is the one before, and then its own. A
 * damaged one makes the reader bad. */
void bao_disk_payload_unpack(struct bao_unpacker *in,
                             struct bao_disk_payload *payload);

#endif
