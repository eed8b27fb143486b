/*
 * disk_scan.c - the walk over a segment.
 */
#include "common/disk_scan.h"

#include "common/check.h"
#include "common/crc32c.h"
#include "common/planted.h"

void bao_scan_begin(struct bao_scan *scan, uint64_t lsn)
{
    BAO_ASSERT(lsn > 0);
    *scan =
        (struct bao_scan){.lsn = lsn, .begun_lsn = lsn, .whole_lsn = lsn - 1};
}

void bao_scan_enter(struct bao_scan *scan,
                    struct bao_span bytes,
                    uint32_t salt,
                    uint64_t offset)
{
    scan->bytes = bytes;
    scan->salt = salt;
    scan->offset = offset;
}

uint32_t bao_batch_crc(uint32_t before, const struct bao_record_head *head)
{
    uint8_t both[8];
    bao_store32(both, head->data_crc);
    bao_store32(both + 4, head->head_crc);
    return bao_crc32c(before, both, sizeof both);
}

/* True if the record ends what was open; a MARK between batches stands alone.
 */
static bool ends_batch(const struct bao_scan *scan,
                       const struct bao_record_head *head)
{
    return head->kind == BAO_RECORD_BATCH_END ||
           (head->kind == BAO_RECORD_MARK && scan->batch_count == 0);
}

static bool fits_batch(const struct bao_scan *scan,
                       const struct bao_record_head *head)
{
    return head->kind != BAO_RECORD_BATCH_END ||
           head->index < scan->begun_lsn ||
           (scan->batch_count > 0 && head->group == scan->batch_count &&
            head->index == scan->batch_lsn &&
            head->data_crc == scan->batch_crc);
}

static void step(struct bao_scan *scan, const struct bao_record_head *head)
{
    if (ends_batch(scan, head)) {
        scan->whole_lsn = head->lsn;
        scan->batch_count = 0;
        scan->batch_crc = 0;
    } else {
        if (scan->batch_count == 0)
            scan->batch_lsn = head->lsn;
        scan->batch_count++;
        scan->batch_crc = bao_batch_crc(scan->batch_crc, head);
    }
    scan->offset += bao_record_bytes(head->bytes);
    scan->lsn++;
}

enum bao_scan_verdict bao_scan_next(struct bao_scan *scan,
                                    struct bao_record_head *head,
                                    struct bao_span *data)
{
    uint64_t left = scan->bytes.bytes - scan->offset;
    BAO_ASSERT(scan->offset <= scan->bytes.bytes);
    if (left < BAO_RECORD_HEAD_BYTES)
        return BAO_SCAN_NO_RECORD;
    const uint8_t *at = scan->bytes.data + scan->offset;
    if (!bao_record_decode(at, head) || head->salt != scan->salt)
        return BAO_SCAN_NO_RECORD;
    if (head->lsn != scan->lsn)
        return BAO_SCAN_BAD_LSN;
    if (bao_record_bytes(head->bytes) > left)
        return BAO_SCAN_BAD_DATA;
    *data = bao_span_of(at + BAO_RECORD_HEAD_BYTES, head->bytes);
    if (head->kind == BAO_RECORD_BATCH_END) {
        if (!fits_batch(scan, head))
            return BAO_SCAN_BAD_BATCH;
    } else if (bao_crc32c(0, data->data, data->bytes) != head->data_crc &&
               !BAO_PLANTED(CRC_UNCHECKED)) {
        return BAO_SCAN_BAD_DATA;
    }
    step(scan, head);
    return BAO_SCAN_RECORD;
}

const char *bao_scan_verdict_text(enum bao_scan_verdict verdict)
{
    switch (verdict) {
    case BAO_SCAN_RECORD: return "a good record";
    case BAO_SCAN_NO_RECORD: return "no record where one was written";
    case BAO_SCAN_BAD_LSN: return "a record that does not follow";
    case BAO_SCAN_BAD_DATA: return "a record whose data is damaged";
    case BAO_SCAN_BAD_BATCH: return "a trailer that does not fit its batch";
    }
    return "nothing";
}

void bao_scan_find_statement(struct bao_span bytes,
                             uint64_t offset,
                             uint32_t salt,
                             uint64_t lsn,
                             struct bao_statement *statement)
{
    struct bao_record_head head;
    uint64_t at =
        (offset + BAO_RECORD_ALIGN - 1) / BAO_RECORD_ALIGN * BAO_RECORD_ALIGN;
    *statement = (struct bao_statement){0};
    while (at + BAO_RECORD_HEAD_BYTES <= bytes.bytes) {
        if (!bao_record_decode(bytes.data + at, &head) || head.lsn < lsn ||
            (salt != 0 && head.salt != salt)) {
            at += BAO_RECORD_ALIGN;
            continue;
        }
        statement->records++;
        if (bao_record_states_durable(&head)) {
            statement->batches += head.kind == BAO_RECORD_BATCH_END;
            if (head.term > statement->durable) {
                statement->durable = head.term;
                statement->offset = at;
            }
        }
        uint64_t end = at + bao_record_bytes(head.bytes);
        at = end <= bytes.bytes ? end : at + BAO_RECORD_ALIGN;
        statement->end = at;
    }
}
