/*
 * disk_record.c - segment heads, record heads and cells to bytes and back.
 */
#include "common/disk_record.h"

#include "common/check.h"
#include "common/crc32c.h"

#define RECORD_MAGIC   0x7a62u /* "bz" */
#define RECORD_CRC_AT  52u
#define SEGMENT_CRC_AT 60u

static const uint8_t segment_magic[8] =
    {'B', 'A', 'O', 'Z', 'I', 'S', 'E', 'G'};

void bao_record_encode(struct bao_record_head *head, uint8_t *to)
{
    to[0] = (uint8_t)(RECORD_MAGIC & 0xff);
    to[1] = (uint8_t)(RECORD_MAGIC >> 8);
    to[2] = head->kind;
    to[3] = head->flags;
    bao_store32(to + 4, head->bytes);
    bao_store64(to + 8, head->lsn);
    bao_store32(to + 16, head->salt);
    bao_store32(to + 20, head->group);
    bao_store64(to + 24, head->index);
    bao_store64(to + 32, head->term);
    bao_store64(to + 40, head->queue);
    bao_store32(to + 48, head->data_crc);
    head->head_crc = bao_crc32c(0, to, RECORD_CRC_AT);
    bao_store32(to + RECORD_CRC_AT, head->head_crc);
}

bool bao_record_decode(const uint8_t *from, struct bao_record_head *head)
{
    if (from[0] != (RECORD_MAGIC & 0xff) || from[1] != RECORD_MAGIC >> 8)
        return false;
    *head = (struct bao_record_head){
        .kind = from[2],
        .flags = from[3],
        .bytes = bao_load32(from + 4),
        .lsn = bao_load64(from + 8),
        .salt = bao_load32(from + 16),
        .group = bao_load32(from + 20),
        .index = bao_load64(from + 24),
        .term = bao_load64(from + 32),
        .queue = bao_load64(from + 40),
        .data_crc = bao_load32(from + 48),
        .head_crc = bao_load32(from + RECORD_CRC_AT),
    };
    return head->kind >= BAO_RECORD_ENTRY &&
           head->kind <= BAO_RECORD_BATCH_END &&
           head->head_crc == bao_crc32c(0, from, RECORD_CRC_AT);
}

bool bao_record_states_durable(const struct bao_record_head *head)
{
    return head->kind == BAO_RECORD_MARK || head->kind == BAO_RECORD_SEAL ||
           head->kind == BAO_RECORD_BATCH_END;
}

const char *bao_record_kind_name(enum bao_record_kind kind)
{
    switch (kind) {
    case BAO_RECORD_ENTRY: return "entry";
    case BAO_RECORD_COPY: return "copy";
    case BAO_RECORD_TRUNC: return "trunc";
    case BAO_RECORD_MARK: return "mark";
    case BAO_RECORD_SEAL: return "seal";
    case BAO_RECORD_BATCH_END: return "batch_end";
    }
    return "unknown";
}

/* --- segments --- */

void bao_segment_encode(const struct bao_segment_head *head, uint8_t *to)
{
    memset(to, 0, BAO_SEGMENT_HEAD_BYTES);
    memcpy(to, segment_magic, sizeof segment_magic);
    bao_store32(to + 8, head->format);
    bao_store32(to + 12, head->salt);
    bao_store64(to + 16, head->directory);
    bao_store64(to + 24, head->number);
    bao_store64(to + 32, head->bytes);
    bao_store64(to + 40, head->stride_bytes);
    bao_store32(to + SEGMENT_CRC_AT, bao_crc32c(0, to, SEGMENT_CRC_AT));
}

bool bao_segment_decode(const uint8_t *from, struct bao_segment_head *head)
{
    if (memcmp(from, segment_magic, sizeof segment_magic) != 0 ||
        bao_load32(from + SEGMENT_CRC_AT) !=
            bao_crc32c(0, from, SEGMENT_CRC_AT))
        return false;
    *head = (struct bao_segment_head){
        .format = bao_load32(from + 8),
        .salt = bao_load32(from + 12),
        .directory = bao_load64(from + 16),
        .number = bao_load64(from + 24),
        .bytes = bao_load64(from + 32),
        .stride_bytes = bao_load64(from + 40),
    };
    return true;
}

#define PREFIX "segment-"

void bao_segment_name(uint64_t number, char name[BAO_SEGMENT_NAME_BYTES])
{
    size_t at = sizeof PREFIX - 1;
    memcpy(name, PREFIX, at);
    for (int shift = 60; shift >= 0; shift -= 4)
        name[at++] = "0123456789abcdef"[number >> shift & 0xf];
    name[at] = '\0';
    BAO_ASSERT(at + 1 == BAO_SEGMENT_NAME_BYTES);
}

bool bao_segment_number(const char *name, uint64_t *number)
{
    size_t at = sizeof PREFIX - 1;
    uint64_t value = 0;
    if (strlen(name) != BAO_SEGMENT_NAME_BYTES - 1 ||
        memcmp(name, PREFIX, at) != 0)
        return false;
    for (; name[at] != '\0'; at++) {
        char c = name[at];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *number = value;
    return value != 0;
}

/* --- cells --- */

void bao_cell_encode(struct bao_span first,
                     struct bao_span rest,
                     uint8_t to[BAO_CELL_HEAD_BYTES])
{
    bao_store32(to + 4, (uint32_t)(first.bytes + rest.bytes));
    uint32_t crc = bao_crc32c(0, to + 4, 4);
    crc = bao_crc32c(crc, first.data, first.bytes);
    bao_store32(to, bao_crc32c(crc, rest.data, rest.bytes));
}

bool bao_cell_check(struct bao_span cell, struct bao_span *payload)
{
    if (cell.bytes < BAO_CELL_HEAD_BYTES)
        return false;
    uint32_t bytes = bao_load32(cell.data + 4);
    if (bytes > cell.bytes - BAO_CELL_HEAD_BYTES ||
        bao_load32(cell.data) != bao_crc32c(0, cell.data + 4, 4 + bytes))
        return false;
    *payload = bao_span_of(cell.data + BAO_CELL_HEAD_BYTES, bytes);
    return true;
}
