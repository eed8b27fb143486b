/*
 * log_append.c - records into the buffer, batches onto the disk, and the step
 * from one segment to the next.
 *
 * Behind every record BAO_LOG_END_BYTES stay free in its segment, so that the
 * trailer of its batch and the seal always find room.
 */
#include "broker/log_inner.h"
#include "common/check.h"
#include "common/crc32c.h"
#include "common/planted.h"

static const uint8_t zeros[BAO_RECORD_ALIGN];

uint64_t bao_log_record_bytes_max(const struct bao_log *log)
{
    return (log->stride_bytes - BAO_SEGMENT_HEAD_BYTES - BAO_LOG_END_BYTES -
            BAO_RECORD_HEAD_BYTES) /
           BAO_RECORD_ALIGN * BAO_RECORD_ALIGN;
}

/* --- bytes --- */

static void write_at(struct bao_log *log, const void *data, size_t bytes)
{
    char name[BAO_SEGMENT_NAME_BYTES];
    if (log->failed)
        return;
    int error = bao_log_write_all(
        log->storage, log->open->file, data, bytes, log->offset);
    log->offset += bytes;
    if (error == 0)
        return;
    bao_segment_name(log->open->number, name);
    bao_log_fail(log, "writing failed", name, error);
}

void bao_log_flush(struct bao_log *log)
{
    if (log->fill == 0)
        return;
    uint32_t fill = log->fill;
    log->fill = 0;
    write_at(log, log->buffer, fill);
}

static void put_bytes(struct bao_log *log, const void *data, size_t bytes)
{
    if (bytes > log->buffer_bytes - log->fill)
        bao_log_flush(log);
    if (bytes >= log->buffer_bytes) {
        write_at(log, data, bytes);
        return;
    }
    if (bytes > 0)
        memcpy(log->buffer + log->fill, data, bytes);
    log->fill += (uint32_t)bytes;
}

/* --- records --- */

/* Gives the head its lsn, counts it in the batch, and puts it. */
static void put_head(struct bao_log *log, struct bao_record_head *head)
{
    uint8_t bytes[BAO_RECORD_HEAD_BYTES];
    head->lsn = ++log->last_lsn;
    head->salt = log->open->salt;
    bao_record_encode(head, bytes);
    put_bytes(log, bytes, sizeof bytes);
    log->stats.records++;
    log->stats.bytes += bao_record_bytes(head->bytes);
    if (head->kind == BAO_RECORD_BATCH_END ||
        (head->kind == BAO_RECORD_MARK && log->batch_count == 0))
        return;
    if (log->batch_count++ == 0) {
        log->batch_lsn = head->lsn;
        log->batch_crc = 0;
    }
    log->batch_crc = bao_batch_crc(log->batch_crc, head);
}

static void put_data(struct bao_log *log,
                     const struct bao_span *spans,
                     size_t span_count,
                     uint32_t bytes)
{
    for (size_t i = 0; i < span_count; i++)
        put_bytes(log, spans[i].data, spans[i].bytes);
    size_t rest = bytes % BAO_RECORD_ALIGN;
    if (rest != 0)
        put_bytes(log, zeros, BAO_RECORD_ALIGN - rest);
}

/* Everything in the buffer belongs to whole batches. */
static void note_whole(struct bao_log *log)
{
    bao_log_flush(log);
    if (log->failed)
        return;
    log->open->bytes = log->offset;
    log->open->last_lsn = log->last_lsn;
    log->marks.written = log->last_lsn;
}

void bao_log_end_batch(struct bao_log *log)
{
    struct bao_record_head head = {
        .kind = BAO_RECORD_BATCH_END,
        .group = log->batch_count,
        .index = log->batch_lsn,
        .term = log->marks.synced,
        .data_crc = log->batch_crc,
    };
    BAO_ASSERT(bao_log_left_in_open(log) >= BAO_RECORD_HEAD_BYTES);
    put_head(log, &head);
    log->batch_count = 0;
    log->stats.batches++;
    note_whole(log);
}

void bao_log_put_trailer(struct bao_log *log, struct bao_record_head *head)
{
    put_head(log, head);
    if (log->batch_count == 0)
        note_whole(log);
}

/* --- segments --- */

void bao_log_open_segment(struct bao_log *log,
                          struct bao_log_segment *segment,
                          uint64_t first_lsn)
{
    BAO_ASSERT(segment->state == BAO_LOG_SEGMENT_PREPARED);
    BAO_ASSERT(segment->file >= 0 && log->fill == 0);
    segment->state = BAO_LOG_SEGMENT_OPEN;
    segment->first_lsn = first_lsn;
    segment->last_lsn = first_lsn - 1;
    segment->synced_lsn = first_lsn - 1;
    segment->bytes = BAO_SEGMENT_HEAD_BYTES;
    segment->synced_bytes = BAO_SEGMENT_HEAD_BYTES;
    segment->dead_lsn = 0;
    log->prepared--;
    log->open = segment;
    log->offset = BAO_SEGMENT_HEAD_BYTES;
}

/* Seals the open segment and goes on in the next one; false if there is
 * none. A batch that is open goes on there. */
static bool switch_segment(struct bao_log *log)
{
    if (log->prepared == 0 && !bao_log_prepare_wait(log))
        return false;
    struct bao_log_segment *old = log->open;
    struct bao_log_segment *next = bao_log_segment_prepared(log);
    struct bao_record_head head = {
        .kind = BAO_RECORD_SEAL,
        .index = next->number,
        .term = log->marks.synced,
    };
    BAO_ASSERT(bao_log_left_in_open(log) >= BAO_RECORD_HEAD_BYTES);
    put_head(log, &head);
    bao_log_flush(log);
    if (log->failed)
        return false;
    /* What it holds of this batch counts when the trailer is synced. */
    bao_log_sync_push(log, old, log->marks.written);
    old->state = BAO_LOG_SEGMENT_CLOSED;
    old->last_lsn = log->last_lsn;
    old->bytes = log->offset;
    log->files_open++;
    bao_log_open_segment(log, next, log->last_lsn + 1);
    return true;
}

enum baozi_status bao_log_put(struct bao_log *log,
                              struct bao_record_head *head,
                              const struct bao_span *spans,
                              size_t span_count,
                              uint64_t *address)
{
    uint64_t bytes = 0;
    uint32_t crc = 0;
    for (size_t i = 0; i < span_count; i++)
        bytes += spans[i].bytes;
    if (log->failed)
        return BAOZI_STORAGE_FAILED;
    if (bytes > bao_log_record_bytes_max(log))
        return BAOZI_TOO_BIG;
    if (bao_record_bytes(bytes) + BAO_LOG_END_BYTES >
            bao_log_left_in_open(log) &&
        !switch_segment(log))
        return log->failed ? BAOZI_STORAGE_FAILED : BAOZI_STORAGE_FULL;
    for (size_t i = 0; i < span_count; i++)
        crc = bao_crc32c(crc, spans[i].data, spans[i].bytes);
    head->bytes = (uint32_t)bytes;
    head->data_crc = crc;
    *address = bao_address_of(log->stride_bytes,
                              log->open->number,
                              log->offset + log->fill + BAO_RECORD_HEAD_BYTES);
    put_head(log, head);
    put_data(log, spans, span_count, head->bytes);
    return log->failed ? BAOZI_STORAGE_FAILED : BAOZI_OK;
}

enum baozi_status bao_log_append(struct bao_log *log,
                                 const struct bao_log_entry *entry,
                                 struct bao_log_place *place)
{
    struct bao_record_head head = {
        .kind = (uint8_t)entry->kind,
        .group = entry->group,
        .index = entry->index,
        .term = entry->term,
        .queue = entry->queue,
    };
    BAO_ASSERT(log->serving);
    BAO_ASSERT(entry->kind == BAO_RECORD_ENTRY ||
               entry->kind == BAO_RECORD_COPY ||
               entry->kind == BAO_RECORD_TRUNC);
    enum baozi_status status = bao_log_put(
        log, &head, entry->spans, entry->span_count, &place->address);
    place->lsn = log->last_lsn;
    return status;
}

/* --- the end of a turn --- */

static void ask_for_sync(struct bao_log *log)
{
    if (log->asked_lsn == log->marks.written || log->failed)
        return;
    log->asked_lsn = log->marks.written;
    log->asked_bytes = log->stats.bytes;
    log->lazy_us = UINT64_MAX;
    bao_log_sync_push(log, log->open, log->marks.written);
}

void bao_log_write(struct bao_log *log, uint64_t now_us, bool lazy)
{
    log->now_us = now_us;
    if (log->batch_count > 0 && !log->failed)
        bao_log_end_batch(log);
    if (!lazy || now_us >= log->lazy_us ||
        log->stats.bytes - log->asked_bytes >= BAO_LOG_LAZY_BYTES)
        ask_for_sync(log);
    else if (log->asked_lsn != log->marks.written && log->lazy_us == UINT64_MAX)
        log->lazy_us = now_us + BAO_LOG_LAZY_US;
}

void bao_log_put_mark(struct bao_log *log)
{
    struct bao_record_head head = {
        .kind = BAO_RECORD_MARK,
        .term = log->marks.synced,
    };
    BAO_ASSERT(log->batch_count == 0);
    if (bao_log_left_in_open(log) >= BAO_LOG_END_BYTES) {
        bao_log_put_trailer(log, &head);
    } else if (log->prepared > 1 && switch_segment(log)) {
        bao_log_end_batch(log); /* the seal states it as well */
    }
    log->mark_lsn = log->last_lsn;
    log->manifest.state_us = log->now_us + BAO_LOG_STATE_US;
    ask_for_sync(log);
}

/* --- asking --- */

struct bao_log_marks bao_log_marks(const struct bao_log *log)
{
    if (BAO_PLANTED(SYNCED_EARLY))
        return (struct bao_log_marks){log->marks.written, log->marks.written};
    return log->marks;
}

uint64_t bao_log_last(const struct bao_log *log)
{
    return log->last_lsn;
}
