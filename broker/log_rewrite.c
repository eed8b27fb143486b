/*
 * log_rewrite.c - the tail of the last life, at the head of a fresh segment.
 *
 * What was written but not known to be synced may be in the page cache only,
 * and after a failed sync the cache says that it is clean. So the tail is
 * written once more, elsewhere and under a new salt, and synced before
 * anything is answered. Lsns stay; a seal becomes a MARK in its place, and
 * trailers are made anew. A torn rest of the old segment is never read again.
 */
#include <errno.h>

#include "broker/log_inner.h"
#include "common/check.h"
#include "common/planted.h"

/* Behind the tail, in a segment that is not whole: one part in so many. */
#define LEAST_PART 8u

/* Behind the last record of it that counts: what lies behind a seal is
 * nothing. */
static uint64_t end_of(const struct bao_log_part *part)
{
    uint64_t offset = part->from;
    bool sealed = false;
    while (offset < part->to && !sealed) {
        struct bao_record_head head;
        bool good = bao_record_decode(part->data + offset, &head);
        BAO_ASSERT(good);
        offset += bao_record_bytes(head.bytes);
        sealed = head.kind == BAO_RECORD_SEAL;
    }
    return offset;
}

/* Room for all whole batches of the tail. */
static uint64_t bytes_needed(const struct bao_log_tail *tail)
{
    uint64_t bytes = BAO_SEGMENT_HEAD_BYTES + 2 * BAO_LOG_END_BYTES;
    for (uint32_t i = 0; i < tail->part_count; i++) {
        const struct bao_log_part *part = &tail->parts[i];
        bytes += end_of(part) - part->from;
    }
    return bytes;
}

static void rewrite_record(struct bao_log *log,
                           struct bao_record_head head,
                           struct bao_span data)
{
    uint64_t address = 0;
    BAO_ASSERT(head.lsn == log->last_lsn + 1);
    if (bao_record_states_durable(&head))
        log->marks.synced = head.term; /* as it was stated then */
    if (head.kind == BAO_RECORD_BATCH_END && log->batch_count > 0) {
        bao_log_end_batch(log);
    } else if (bao_record_states_durable(&head)) {
        head = (struct bao_record_head){.kind = BAO_RECORD_MARK,
                                        .term = log->marks.synced};
        bao_log_put_trailer(log, &head);
    } else {
        enum baozi_status status = bao_log_put(log, &head, &data, 1, &address);
        BAO_ASSERT(status != BAOZI_TOO_BIG && status != BAOZI_STORAGE_FULL);
    }
}

static void rewrite_part(struct bao_log *log, const struct bao_log_part *part)
{
    uint64_t offset = part->from;
    bool sealed = false;
    while (offset < part->to && !sealed && !log->failed) {
        struct bao_record_head head;
        bool good = bao_record_decode(part->data + offset, &head);
        BAO_ASSERT(good);
        rewrite_record(log,
                       head,
                       bao_span_of(part->data + offset + BAO_RECORD_HEAD_BYTES,
                                   head.bytes));
        offset += bao_record_bytes(head.bytes);
        sealed = head.kind == BAO_RECORD_SEAL;
    }
}

static int prepare(struct bao_log *log, const struct bao_log_tail *tail)
{
    struct bao_log_segment *segment = NULL;
    uint64_t bytes = bytes_needed(tail);
    bytes = (bytes + BAO_SEGMENT_HEAD_BYTES - 1) / BAO_SEGMENT_HEAD_BYTES *
            BAO_SEGMENT_HEAD_BYTES;
    bool large = bytes > log->stride_bytes;
    int error = bao_log_prepare_now(log, large ? bytes : 0, &segment);
    /* What was prepared for other uses must do. */
    while (large && bao_log_is_want_of_room(error) && bao_log_remove_spare(log))
        error = bao_log_prepare_now(log, bytes, &segment);
    /* On a disk that stays full each start would need a segment more: a part
     * of one, what the last start gave back, lets it go on. */
    uint64_t part = log->stride_bytes / 2;
    while (bao_log_is_want_of_room(error) &&
           part >= bytes + log->stride_bytes / LEAST_PART) {
        error = bao_log_prepare_now(
            log, part - part % BAO_SEGMENT_HEAD_BYTES, &segment);
        part /= 2;
    }
    if (error >= 0)
        bao_log_open_segment(log, segment, tail->first_lsn);
    return error;
}

enum baozi_status bao_log_rewrite(struct bao_log *log,
                                  const struct bao_log_tail *tail,
                                  struct bao_log_report *report)
{
    char name[BAO_SEGMENT_NAME_BYTES];
    int error = prepare(log, tail);
    if (error < 0)
        return bao_log_complain(
            report, "preparing a segment failed", bao_log_prepare_name, error);
    log->last_lsn = tail->first_lsn - 1;
    log->marks.written = log->last_lsn;
    for (uint32_t i = 0; i < tail->part_count; i++)
        rewrite_part(log, &tail->parts[i]);
    bao_log_flush(log);
    BAO_ASSERT(log->failed ||
               (log->batch_count == 0 && log->last_lsn == tail->last_lsn));
    bao_segment_name(log->open->number, name);
    error = log->failed ? -EIO : 0;
    if (error >= 0 && !BAO_PLANTED(REWRITE_UNSYNCED))
        error = log->storage->sync(log->storage->context, log->open->file);
    if (error < 0)
        return bao_log_complain(report, "rewriting failed", name, error);
    report->rewritten_bytes = log->offset - BAO_SEGMENT_HEAD_BYTES;
    log->marks.written = log->last_lsn;
    log->marks.synced = log->last_lsn;
    log->asked_lsn = log->last_lsn;
    log->open->synced_lsn = log->open->last_lsn;
    log->open->synced_bytes = log->open->bytes;
    log->stats = (struct bao_log_stats){0};
    return BAOZI_OK;
}
