/*
 * disk_record.h - bytes of a segment: its head, its records, its cells.
 *
 * Pure; shared by the broker's log and by `baozi log`. broker/JOURNAL.md is
 * the same in prose. Numbers are little-endian. A segment is
 *
 *     [head, 4,096 bytes] [record] [record] ... [zeros or old records]
 *
 * and a record is a head of 56 bytes and its data, padded to 8. The head has
 * a checksum of its own, so that a damaged data part does not hide where the
 * next record is. Old records are told from new ones by the salt, drawn anew
 * each time a segment is put to use.
 */
#ifndef BAO_DISK_RECORD_H
#define BAO_DISK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/span.h"

#define BAO_DISK_FORMAT 1u /* a directory of a greater one is refused */

#define BAO_SEGMENT_HEAD_BYTES 4096u
#define BAO_RECORD_HEAD_BYTES  56u
#define BAO_RECORD_ALIGN       8u
#define BAO_CELL_HEAD_BYTES    8u

/* Kinds; numbers are on the disk. */
enum bao_record_kind {
    BAO_RECORD_ENTRY = 1,     /* facts and payloads: group, index, term */
    BAO_RECORD_COPY = 2,      /* a payload's new place: queue, id */
    BAO_RECORD_TRUNC = 3,     /* entries of group >= index do not count */
    BAO_RECORD_MARK = 4,      /* says how far was synced */
    BAO_RECORD_SEAL = 5,      /* last of a segment: the log goes on in the
                                 next one */
    BAO_RECORD_BATCH_END = 6, /* the batch is whole; says how far was synced */
};

/*
 * The head of a record. `index`, `term`, `queue` and `group` mean:
 *
 *              group   index       term      queue
 *   ENTRY      group   index       term      of the first fact, or 0
 *   COPY       0       item id     result?   queue
 *   TRUNC      group   index       term      0
 *   MARK       0       0           durable   0
 *   SEAL       0       next number durable   0
 *   BATCH_END  count   first lsn   durable   0
 *
 * result? is 0 for the body of the item and 1 for its result.
 * durable is the lsn up to which the log was synced when this was written.
 * data_crc of BATCH_END is the checksum of the data_crc and head_crc, 8 bytes
 * a record, of all records of the batch before it; count says how many.
 */
struct bao_record_head {
    uint8_t kind;
    uint8_t flags; /* 0 in this version */
    uint32_t bytes;
    uint64_t lsn;
    uint32_t salt;
    uint32_t group;
    uint64_t index;
    uint64_t term;
    uint64_t queue;
    uint32_t data_crc;
    uint32_t head_crc; /* filled by encode */
};

/* Writes BAO_RECORD_HEAD_BYTES. */
void bao_record_encode(struct bao_record_head *head, uint8_t *to);

/* Reads a head; false if the bytes are not one (magic, checksum, kind). */
bool bao_record_decode(const uint8_t *from, struct bao_record_head *head);

/* True for MARK, SEAL and BATCH_END, whose `term` says what was synced. */
bool bao_record_states_durable(const struct bao_record_head *head);

/* Bytes of a record with so much data, padding included. */
static inline uint64_t bao_record_bytes(uint64_t data_bytes)
{
    return BAO_RECORD_HEAD_BYTES + (data_bytes + BAO_RECORD_ALIGN - 1) /
                                       BAO_RECORD_ALIGN * BAO_RECORD_ALIGN;
}

const char *bao_record_kind_name(enum bao_record_kind kind);

/* --- segments --- */

struct bao_segment_head {
    uint32_t format;
    uint32_t salt;
    uint64_t directory; /* number of the folder, drawn when it was made */
    uint64_t number;
    uint64_t bytes;        /* of the file */
    uint64_t stride_bytes; /* of all addresses: see below */
};

/* Writes BAO_SEGMENT_HEAD_BYTES. */
void bao_segment_encode(const struct bao_segment_head *head, uint8_t *to);
/* False if the bytes are not one. A head of a newer format is still read up
 * to `format`, which is then greater than BAO_DISK_FORMAT. */
bool bao_segment_decode(const uint8_t *from, struct bao_segment_head *head);

/* An address is number * stride + offset in the file. */
static inline uint64_t
bao_address_of(uint64_t stride_bytes, uint64_t number, uint64_t offset)
{
    return number * stride_bytes + offset;
}

/* Names of files: "segment-%016llx". 24 characters and the end. */
#define BAO_SEGMENT_NAME_BYTES 25u
void bao_segment_name(uint64_t number, char name[BAO_SEGMENT_NAME_BYTES]);
/* False if the name is not one of a segment. */
bool bao_segment_number(const char *name, uint64_t *number);

/* --- cells: payloads that are read by themselves --- */

/*
 * A cell is [crc32c u32][bytes u32][payload][padding to 8], the checksum over
 * bytes and payload. Whoever keeps its address can read and check it without
 * the record around it.
 */
static inline uint64_t bao_cell_bytes(uint64_t payload_bytes)
{
    return BAO_CELL_HEAD_BYTES + (payload_bytes + BAO_RECORD_ALIGN - 1) /
                                     BAO_RECORD_ALIGN * BAO_RECORD_ALIGN;
}
/* Writes the 8 bytes before the payload, which lies in two pieces (header
 * and rest; either may be empty). */
void bao_cell_encode(struct bao_span first,
                     struct bao_span rest,
                     uint8_t to[BAO_CELL_HEAD_BYTES]);
/* The payload in `cell` (at least its bao_cell_bytes()); false if damaged. */
bool bao_cell_check(struct bao_span cell, struct bao_span *payload);

#endif
