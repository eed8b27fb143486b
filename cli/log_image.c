/*
 * log_image.c - see log_image.h.
 *
 * A checkpoint that is written anew has the same blocks and pieces; a piece
 * with addresses has fewer records. So it never grows: the difference of two
 * ids takes no more room than the record between them.
 */
#include "cli/log_image.h"

#include <stdlib.h>
#include <string.h>

#include "common/crc32c.h"

struct image {
    log_take_payload *take;
    void *context;
    uint8_t *to; /* of the new one; NULL: it is only read */
    size_t room;
    size_t bytes;
    uint32_t crc;
    uint32_t blocks;
    /* The block that is filled. */
    size_t piece_bytes;
    uint32_t pieces;
};

static bool is_addresses(struct bao_span piece)
{
    return piece.bytes > 0 && piece.data[0] == BAO_PIECE_BODIES;
}

/* The piece with what is wanted; `packer` has room for as much as it had. */
static bool
sift(struct image *image, struct bao_span piece, struct bao_packer *packer)
{
    struct bao_unpacker in = {.at = piece.data + 1,
                              .end = piece.data + piece.bytes};
    struct bao_disk_payload payload = {.id = 0};
    uint64_t before = 0;
    while (in.at < in.end) {
        bao_disk_payload_unpack(&in, &payload);
        if (in.bad)
            return false;
        if (!image->take(image->context, &payload) || packer == NULL)
            continue;
        bao_disk_payload_pack(packer, before, &payload);
        before = payload.id;
    }
    return packer == NULL || !packer->full;
}

/* Adds a piece to the block that is filled. */
static bool add(struct image *image, struct bao_span piece)
{
    const size_t filled = BAO_BLOCK_HEAD_BYTES + image->piece_bytes;
    const size_t most = filled + bao_piece_bytes(piece.bytes);
    if (most > BAO_BLOCK_BYTES || most > image->room - image->bytes)
        return false;
    uint8_t *at = image->to + image->bytes + filled;
    size_t bytes = piece.bytes;
    memset(at, 0, bao_piece_bytes(piece.bytes));
    if (is_addresses(piece)) {
        struct bao_packer packer = {.at = at + 5, .end = at + 4 + piece.bytes};
        at[4] = BAO_PIECE_BODIES;
        if (!sift(image, piece, &packer))
            return false;
        bytes = (size_t)(packer.at - (at + 4));
    } else if (piece.bytes > 0) {
        memcpy(at + 4, piece.data, piece.bytes);
    }
    bao_store32(at, (uint32_t)bytes);
    image->piece_bytes += bao_piece_bytes(bytes);
    image->pieces++;
    return true;
}

static bool take_block(struct image *image, const struct bao_block *block)
{
    struct bao_span body = block->body;
    struct bao_span piece;
    uint8_t crc[4];
    image->piece_bytes = 0;
    image->pieces = 0;
    for (uint32_t i = 0; i < block->pieces; i++) {
        if (!bao_block_next(&body, &piece))
            return false;
        const bool good = image->to != NULL     ? add(image, piece)
                          : is_addresses(piece) ? sift(image, piece, NULL)
                                                : true;
        if (!good)
            return false;
    }
    if (image->to == NULL)
        return true;
    bao_store32(crc,
                bao_block_seal(image->to + image->bytes,
                               image->piece_bytes,
                               image->blocks,
                               image->pieces));
    image->crc = bao_crc32c(image->crc, crc, sizeof crc);
    image->bytes += BAO_BLOCK_HEAD_BYTES + image->piece_bytes;
    return true;
}

static bool end(struct image *image, const struct bao_block *block)
{
    struct bao_block_trailer trailer;
    if (!bao_block_trailer_decode(block, &trailer))
        return false;
    trailer.crc = image->crc;
    if (image->to == NULL)
        return true;
    if (image->room - image->bytes <
        BAO_BLOCK_HEAD_BYTES + BAO_BLOCK_TRAILER_BYTES)
        return false;
    image->bytes +=
        bao_block_trailer_encode(&trailer, image->to + image->bytes);
    return true;
}

static bool walk(struct image *image, struct bao_span bytes)
{
    struct bao_block block = {0};
    for (;; image->blocks++) {
        if (!bao_block_decode(bytes, image->blocks, &block))
            return false;
        if (block.last)
            return end(image, &block);
        if (!take_block(image, &block))
            return false;
        bytes =
            bao_span_of(bytes.data + block.bytes, bytes.bytes - block.bytes);
    }
}

bool log_image_read(const struct log_folder *folder,
                    const struct bao_manifest_checkpoint *checkpoint,
                    log_take_payload *take,
                    void *context)
{
    char name[BAO_CHECKPOINT_NAME_BYTES];
    struct image image = {.take = take, .context = context};
    bao_checkpoint_name(checkpoint->number, name);
    struct bao_span bytes = log_folder_map(folder, name);
    const bool good = bytes.data != NULL && walk(&image, bytes);
    log_folder_unmap(bytes);
    return good;
}

uint8_t *log_image_write(const struct log_folder *folder,
                         const struct bao_manifest_checkpoint *checkpoint,
                         log_take_payload *take,
                         void *context,
                         size_t *bytes)
{
    char name[BAO_CHECKPOINT_NAME_BYTES];
    bao_checkpoint_name(checkpoint->number, name);
    struct bao_span old = log_folder_map(folder, name);
    struct image image = {.take = take, .context = context, .room = old.bytes};
    if (old.data != NULL)
        image.to = malloc(old.bytes);
    const bool good = image.to != NULL && walk(&image, old);
    log_folder_unmap(old);
    *bytes = image.bytes;
    if (good)
        return image.to;
    free(image.to);
    return NULL;
}
