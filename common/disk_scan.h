/*
 * disk_scan.h - walks the records of segments, and judges where they end.
 *
 * Pure; it sees a segment as one span. The walk goes from record to record
 * and from batch to batch; a batch may begin in one segment and end in the
 * next. What follows the last whole batch is not part of the log - unless a
 * later record states that the log had been synced beyond it: then the place
 * is damaged, and bao_scan_find_statement() finds that record.
 */
#ifndef BAO_DISK_SCAN_H
#define BAO_DISK_SCAN_H

#include "common/disk_record.h"

enum bao_scan_verdict {
    BAO_SCAN_RECORD,    /* head and data are good */
    BAO_SCAN_NO_RECORD, /* no head here, or one of an earlier life */
    BAO_SCAN_BAD_LSN,   /* a good head with a number that is not the next */
    BAO_SCAN_BAD_DATA,  /* a good head; its data is damaged or cut */
    BAO_SCAN_BAD_BATCH  /* a trailer that does not fit its batch */
};

struct bao_scan {
    /* The segment; changed by bao_scan_enter(). */
    struct bao_span bytes;
    uint32_t salt;
    uint64_t offset; /* of the next record */
    uint64_t lsn;    /* of the next record */

    uint64_t begun_lsn; /* what came before is not known */

    /* The batch that is open: its records so far. */
    uint64_t batch_lsn; /* of its first */
    uint32_t batch_count;
    uint32_t batch_crc;
    uint64_t whole_lsn; /* last one of the last whole batch */
};

/* Begins at `lsn`. If that is within a batch, the trailer of this first one
 * cannot be checked and is believed. */
void bao_scan_begin(struct bao_scan *scan, uint64_t lsn);
/* Goes on at `offset` of this segment. */
void bao_scan_enter(struct bao_scan *scan,
                    struct bao_span bytes,
                    uint32_t salt,
                    uint64_t offset);
/* The record at the scan's place, and steps over it if it is RECORD. `head`
 * is set but for NO_RECORD. */
enum bao_scan_verdict bao_scan_next(struct bao_scan *scan,
                                    struct bao_record_head *head,
                                    struct bao_span *data);
/* True if no batch is open: the last record ended one. */
static inline bool bao_scan_is_whole(const struct bao_scan *scan)
{
    return scan->batch_count == 0;
}
const char *bao_scan_verdict_text(enum bao_scan_verdict verdict);

/* One step of the checksum over a batch. */
uint32_t bao_batch_crc(uint32_t before, const struct bao_record_head *head);

/* What lies behind the end. */
struct bao_statement {
    uint64_t durable; /* greatest that was stated; 0: none */
    uint64_t offset;  /* of the record that did */
    uint64_t records; /* good heads with an lsn from the given one on */
    uint64_t batches; /* trailers among them */
    uint64_t end;     /* of the last of them in the file */
};

/* Looks at every place from `offset` on for heads of records with an lsn of
 * at least `lsn` and this salt (0: any). */
void bao_scan_find_statement(struct bao_span bytes,
                             uint64_t offset,
                             uint32_t salt,
                             uint64_t lsn,
                             struct bao_statement *statement);

#endif
