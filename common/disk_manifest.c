/*
 * disk_manifest.c - manifests and checkpoint blocks to bytes and back.
 */
#include "common/disk_manifest.h"

#include "common/check.h"
#include "common/crc32c.h"

#define CRC_AT        12u
#define CRC_FROM      16u
#define CHECKPOINT_AT 80u /* the second one follows the first */
#define TRAILER_MAGIC 0x6e645a42u
#define NUMBER_END    (UINT64_C(1) << 62) /* no number is so large */

_Static_assert(BAO_MANIFEST_CHECKPOINTS == 2, "the layout has two");

static const uint8_t magic[8] = {'B', 'A', 'O', 'Z', 'I', 'M', 'A', 'N'};

/* Over all but the checksum itself. */
static uint32_t checksum(const uint8_t *data, uint64_t bytes)
{
    uint32_t crc = bao_crc32c(0, data, CRC_AT);
    return bao_crc32c(crc, data + CRC_FROM, bytes - CRC_FROM);
}

size_t bao_manifest_bytes(uint32_t segment_count)
{
    return BAO_MANIFEST_HEAD_BYTES +
           (size_t)segment_count * BAO_MANIFEST_SEGMENT_BYTES;
}

/* Head: magic 8, format 4, crc 4, bytes 8, directory 8, generation 8, stride
 * 8, tail 8, next 8, durable 8, flags 4, checkpoints 4 = 80; two checkpoints
 * of 32 bytes; segment count 4, epoch floor 8, zeros to 160. */
#define COUNT_AT (CHECKPOINT_AT + 64u)
#define FLOOR_AT (COUNT_AT + 4u)

void bao_manifest_encode(const struct bao_manifest *manifest, uint8_t *to)
{
    size_t bytes = bao_manifest_bytes(manifest->segment_count);
    uint8_t *at = to + BAO_MANIFEST_HEAD_BYTES;
    memset(to, 0, BAO_MANIFEST_HEAD_BYTES);
    memcpy(to, magic, sizeof magic);
    bao_store32(to + 8, manifest->format);
    bao_store64(to + 16, bytes);
    bao_store64(to + 24, manifest->directory);
    bao_store64(to + 40, manifest->stride_bytes);
    bao_store64(to + 48, manifest->tail_first);
    bao_store64(to + 56, manifest->next_number);
    bao_store64(to + 64, manifest->durable_lsn);
    bao_store32(to + 72, manifest->clean ? 1 : 0);
    bao_store32(to + 76, manifest->checkpoint_count);
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++) {
        const struct bao_manifest_checkpoint *from = &manifest->checkpoints[i];
        uint8_t *place = to + CHECKPOINT_AT + 32 * i;
        bao_store64(place, from->number);
        bao_store64(place + 8, from->index);
        bao_store64(place + 16, from->replay_lsn);
        bao_store64(place + 24, from->bytes);
    }
    bao_store32(to + COUNT_AT, manifest->segment_count);
    bao_store64(to + FLOOR_AT, manifest->epoch_floor);
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        const struct bao_manifest_segment *from = &manifest->segments[i];
        bao_store64(at, from->number);
        bao_store64(at + 8, from->first_lsn);
        bao_store64(at + 16, from->last_lsn);
        bao_store64(at + 24, from->bytes);
        bao_store64(at + 32, from->file_bytes);
        bao_store32(at + 40, from->salt);
        bao_store32(at + 44, from->closed ? 1 : 0);
        bao_store64(at + 48, 0);
        at += BAO_MANIFEST_SEGMENT_BYTES;
    }
    BAO_ASSERT(at == to + bytes);
    bao_manifest_set_generation(to, manifest->generation);
}

void bao_manifest_set_generation(uint8_t *manifest, uint64_t generation)
{
    bao_store64(manifest + 32, generation);
    bao_store32(manifest + CRC_AT,
                checksum(manifest, bao_load64(manifest + 16)));
}

static enum bao_manifest_verdict look_at(struct bao_span from)
{
    if (from.bytes < 24 || memcmp(from.data, magic, sizeof magic) != 0)
        return BAO_MANIFEST_DAMAGED;
    uint64_t bytes = bao_load64(from.data + 16);
    if (bytes < 24 || bytes > from.bytes ||
        bao_load32(from.data + CRC_AT) != checksum(from.data, bytes))
        return BAO_MANIFEST_DAMAGED;
    if (bao_load32(from.data + 8) > BAO_DISK_FORMAT)
        return BAO_MANIFEST_NEWER;
    return bytes < bao_manifest_bytes(0) ? BAO_MANIFEST_DAMAGED
                                         : BAO_MANIFEST_GOOD;
}

static void read_lists(struct bao_span from, struct bao_manifest *manifest)
{
    const uint8_t *at = from.data + BAO_MANIFEST_HEAD_BYTES;
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++) {
        const uint8_t *place = from.data + CHECKPOINT_AT + 32 * i;
        manifest->checkpoints[i] = (struct bao_manifest_checkpoint){
            .number = bao_load64(place),
            .index = bao_load64(place + 8),
            .replay_lsn = bao_load64(place + 16),
            .bytes = bao_load64(place + 24),
        };
    }
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        manifest->segments[i] = (struct bao_manifest_segment){
            .number = bao_load64(at),
            .first_lsn = bao_load64(at + 8),
            .last_lsn = bao_load64(at + 16),
            .bytes = bao_load64(at + 24),
            .file_bytes = bao_load64(at + 32),
            .salt = bao_load32(at + 40),
            .closed = (bao_load32(at + 44) & 1) != 0,
        };
        at += BAO_MANIFEST_SEGMENT_BYTES;
    }
}

/* Lsns and numbers grow, nothing overlaps, only the last one goes on. */
static bool fits_behind(const struct bao_manifest_segment *segment,
                        const struct bao_manifest_segment *before,
                        uint64_t stride_bytes)
{
    uint64_t strides = before->file_bytes / stride_bytes +
                       (before->file_bytes % stride_bytes != 0);
    return before->closed && segment->first_lsn > before->last_lsn &&
           segment->number > before->number &&
           segment->number - before->number >= strides;
}

static bool is_sound_segment(const struct bao_manifest *manifest, uint32_t i)
{
    const struct bao_manifest_segment *segment = &manifest->segments[i];
    return segment->number > 0 && segment->number < manifest->tail_first &&
           segment->number < NUMBER_END / manifest->stride_bytes &&
           segment->first_lsn > 0 && segment->last_lsn < NUMBER_END &&
           segment->last_lsn + 1 >= segment->first_lsn &&
           segment->bytes >= BAO_SEGMENT_HEAD_BYTES &&
           segment->bytes <= segment->file_bytes &&
           segment->file_bytes < NUMBER_END && segment->salt != 0 &&
           (i == 0 ||
            fits_behind(segment, segment - 1, manifest->stride_bytes));
}

/* What the checksum does not say: that a log could have written it. */
static bool is_sound(const struct bao_manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        if (!is_sound_segment(manifest, i))
            return false;
    }
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++) {
        const struct bao_manifest_checkpoint *one = &manifest->checkpoints[i];
        if (one->number == 0 || one->number >= NUMBER_END ||
            one->replay_lsn == 0 || one->replay_lsn >= NUMBER_END ||
            one->bytes >= NUMBER_END ||
            (i > 0 && (one->number >= one[-1].number ||
                       one->replay_lsn > one[-1].replay_lsn)))
            return false;
    }
    return manifest->tail_first <= manifest->next_number &&
           manifest->next_number < NUMBER_END / manifest->stride_bytes &&
           manifest->generation < NUMBER_END &&
           manifest->durable_lsn < NUMBER_END;
}

enum bao_manifest_verdict bao_manifest_decode(struct bao_span from,
                                              struct bao_manifest *manifest,
                                              uint32_t room)
{
    enum bao_manifest_verdict verdict = look_at(from);
    if (verdict != BAO_MANIFEST_GOOD)
        return verdict;
    struct bao_manifest_segment *segments = manifest->segments;
    *manifest = (struct bao_manifest){
        .format = bao_load32(from.data + 8),
        .directory = bao_load64(from.data + 24),
        .generation = bao_load64(from.data + 32),
        .stride_bytes = bao_load64(from.data + 40),
        .tail_first = bao_load64(from.data + 48),
        .next_number = bao_load64(from.data + 56),
        .durable_lsn = bao_load64(from.data + 64),
        .clean = (bao_load32(from.data + 72) & 1) != 0,
        .checkpoint_count = bao_load32(from.data + 76),
        .segment_count = bao_load32(from.data + COUNT_AT),
        .epoch_floor = bao_load64(from.data + FLOOR_AT),
        .segments = segments,
    };
    if (manifest->checkpoint_count > BAO_MANIFEST_CHECKPOINTS ||
        bao_load64(from.data + 16) !=
            bao_manifest_bytes(manifest->segment_count) ||
        manifest->stride_bytes < 4 * BAO_SEGMENT_HEAD_BYTES ||
        manifest->stride_bytes >= NUMBER_END)
        return BAO_MANIFEST_DAMAGED;
    if (manifest->segment_count > room)
        return BAO_MANIFEST_MANY;
    read_lists(from, manifest);
    return is_sound(manifest) ? BAO_MANIFEST_GOOD : BAO_MANIFEST_DAMAGED;
}

/* --- names --- */

#define PREFIX "checkpoint-"

void bao_checkpoint_name(uint64_t number, char name[BAO_CHECKPOINT_NAME_BYTES])
{
    char digits[BAO_SEGMENT_NAME_BYTES];
    bao_segment_name(number, digits);
    memcpy(name, PREFIX, sizeof PREFIX - 1);
    memcpy(name + sizeof PREFIX - 1, digits + strlen("segment-"), 17);
    BAO_ASSERT(strlen(name) + 1 == BAO_CHECKPOINT_NAME_BYTES);
}

bool bao_checkpoint_number(const char *name, uint64_t *number)
{
    char digits[BAO_SEGMENT_NAME_BYTES];
    if (strlen(name) + 1 != BAO_CHECKPOINT_NAME_BYTES ||
        memcmp(name, PREFIX, sizeof PREFIX - 1) != 0)
        return false;
    memcpy(digits, "segment-", 8);
    memcpy(digits + 8, name + sizeof PREFIX - 1, 17);
    return bao_segment_number(digits, number);
}

/* --- blocks --- */

uint32_t bao_block_seal(uint8_t *block,
                        size_t pieces_bytes,
                        uint32_t sequence,
                        uint32_t pieces)
{
    size_t bytes = BAO_BLOCK_HEAD_BYTES + pieces_bytes;
    BAO_ASSERT(bytes <= BAO_BLOCK_BYTES);
    bao_store32(block + 4, (uint32_t)bytes);
    bao_store32(block + 8, sequence);
    bao_store32(block + 12, pieces);
    uint32_t crc = bao_crc32c(0, block + 4, bytes - 4);
    bao_store32(block, crc);
    return crc;
}

size_t bao_block_trailer_encode(const struct bao_block_trailer *trailer,
                                uint8_t *to)
{
    uint8_t *at = to + BAO_BLOCK_HEAD_BYTES;
    bao_store64(at, trailer->index);
    bao_store64(at + 8, trailer->replay_lsn);
    bao_store64(at + 16, trailer->blocks);
    bao_store32(at + 24, trailer->crc);
    bao_store32(at + 28, TRAILER_MAGIC);
    (void)bao_block_seal(to,
                         BAO_BLOCK_TRAILER_BYTES,
                         (uint32_t)trailer->blocks | BAO_BLOCK_LAST,
                         0);
    return BAO_BLOCK_HEAD_BYTES + BAO_BLOCK_TRAILER_BYTES;
}

bool bao_block_decode(struct bao_span from,
                      uint32_t sequence,
                      struct bao_block *block)
{
    if (from.bytes < BAO_BLOCK_HEAD_BYTES)
        return false;
    uint32_t bytes = bao_load32(from.data + 4);
    uint32_t found = bao_load32(from.data + 8);
    if (bytes < BAO_BLOCK_HEAD_BYTES || bytes > BAO_BLOCK_BYTES ||
        bytes > from.bytes || (found & ~BAO_BLOCK_LAST) != sequence ||
        bao_load32(from.data) != bao_crc32c(0, from.data + 4, bytes - 4))
        return false;
    *block = (struct bao_block){
        .crc = bao_load32(from.data),
        .pieces = bao_load32(from.data + 12),
        .bytes = bytes,
        .body = bao_span_of(from.data + BAO_BLOCK_HEAD_BYTES,
                            bytes - BAO_BLOCK_HEAD_BYTES),
        .last = (found & BAO_BLOCK_LAST) != 0,
    };
    return true;
}

bool bao_block_trailer_decode(const struct bao_block *block,
                              struct bao_block_trailer *trailer)
{
    const uint8_t *at = block->body.data;
    if (!block->last || block->body.bytes != BAO_BLOCK_TRAILER_BYTES ||
        bao_load32(at + 28) != TRAILER_MAGIC)
        return false;
    *trailer = (struct bao_block_trailer){
        .index = bao_load64(at),
        .replay_lsn = bao_load64(at + 8),
        .blocks = bao_load64(at + 16),
        .crc = bao_load32(at + 24),
    };
    return true;
}

bool bao_block_next(struct bao_span *body, struct bao_span *piece)
{
    if (body->bytes < 4)
        return false;
    uint32_t bytes = bao_load32(body->data);
    if (bytes > body->bytes - 4)
        return false;
    size_t step = bao_piece_bytes(bytes);
    *piece = bao_span_of(body->data + 4, bytes);
    step = step > body->bytes ? body->bytes : step;
    *body = bao_span_of(body->data + step, body->bytes - step);
    return true;
}
