/*
 * log_load.c - reading back: the pieces of an image, the records of the log.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "broker/pages.h"
#include "common/check.h"
#include "common/crc32c.h"

/* --- a checkpoint --- */

#define WINDOW_BYTES (4u * BAO_BLOCK_BYTES)

/* A file that is read from the front, some blocks at a time. */
struct window {
    const struct bao_storage *storage;
    int file;
    uint64_t file_bytes;
    uint64_t offset; /* of data[0] */
    size_t fill;
    size_t at;
    uint8_t *data;
};

/* Makes sure that a whole block, if there is one, lies at `at`. */
static int look(struct window *window)
{
    uint64_t next = window->offset + window->fill;
    size_t left = window->fill - window->at;
    if (left >= BAO_BLOCK_BYTES || next == window->file_bytes)
        return 0;
    memmove(window->data, window->data + window->at, left);
    window->offset += window->at;
    window->at = 0;
    window->fill = left;
    size_t bytes = WINDOW_BYTES - left;
    if (bytes > window->file_bytes - next)
        bytes = (size_t)(window->file_bytes - next);
    int error = bao_log_read_all(
        window->storage, window->file, window->data + left, bytes, next);
    if (error >= 0)
        window->fill += bytes;
    return error;
}

static enum baozi_status
hand_out(const struct bao_block *block, bao_log_take_piece *take, void *context)
{
    struct bao_span body = block->body;
    struct bao_span piece;
    enum baozi_status status = BAOZI_OK;
    for (uint32_t i = 0; i < block->pieces && status == BAOZI_OK; i++) {
        if (!bao_block_next(&body, &piece))
            return BAOZI_LOST;
        status = take(context, piece);
    }
    return status;
}

static enum baozi_status
walk_blocks(struct window *window,
            const struct bao_manifest_checkpoint *which,
            bao_log_take_piece *take,
            void *context)
{
    struct bao_block block;
    struct bao_block_trailer trailer;
    uint32_t crc = 0;
    for (uint32_t sequence = 0;; sequence++) {
        if (look(window) < 0 ||
            !bao_block_decode(bao_span_of(window->data + window->at,
                                          window->fill - window->at),
                              sequence,
                              &block))
            return BAOZI_LOST;
        if (block.last)
            break;
        uint8_t bytes[4];
        bao_store32(bytes, block.crc);
        crc = bao_crc32c(crc, bytes, sizeof bytes);
        window->at += block.bytes;
        enum baozi_status status =
            take == NULL ? BAOZI_OK : hand_out(&block, take, context);
        if (status != BAOZI_OK)
            return status;
    }
    return bao_block_trailer_decode(&block, &trailer) && trailer.crc == crc &&
                   trailer.index == which->index &&
                   trailer.replay_lsn == which->replay_lsn
               ? BAOZI_OK
               : BAOZI_LOST;
}

enum baozi_status
bao_log_checkpoint_walk(const struct bao_storage *storage,
                        const struct bao_manifest_checkpoint *which,
                        bao_log_take_piece *take,
                        void *context)
{
    char name[BAO_CHECKPOINT_NAME_BYTES];
    struct window window = {.storage = storage};
    bao_checkpoint_name(which->number, name);
    window.file = storage->open(
        storage->context, name, BAO_STORAGE_FIND, &window.file_bytes);
    if (window.file < 0)
        return BAOZI_LOST;
    enum baozi_status status = BAOZI_LOST;
    if (window.file_bytes >= which->bytes) {
        window.file_bytes = which->bytes;
        window.data = malloc(WINDOW_BYTES);
        status = window.data == NULL
                     ? BAOZI_NO_MEMORY
                     : walk_blocks(&window, which, take, context);
    }
    free(window.data);
    storage->close(storage->context, window.file);
    return status;
}

enum baozi_status bao_log_checkpoint_load(struct bao_log *log,
                                          bao_log_take_piece *take,
                                          void *context,
                                          struct bao_log_report *report)
{
    char name[BAO_CHECKPOINT_NAME_BYTES];
    if (log->checkpoint.kept_count == 0)
        return BAOZI_OK;
    const struct bao_manifest_checkpoint *which = &log->checkpoint.kept[0];
    enum baozi_status status =
        bao_log_checkpoint_walk(log->storage, which, take, context);
    if (status != BAOZI_LOST)
        return status;
    /* It was whole when the log was opened. */
    bao_checkpoint_name(which->number, name);
    return bao_log_complain(report, "reading failed", name, -EIO);
}

/* --- the records --- */

static bool is_for_owner(const struct bao_record_head *head)
{
    return !bao_record_states_durable(head);
}

/* Hands out what lies in one segment and is not in the checkpoint. */
static enum baozi_status replay_segment(struct bao_log *log,
                                        const struct bao_log_segment *segment,
                                        struct bao_scan *scan,
                                        bao_log_take *take,
                                        void *context,
                                        uint64_t from_lsn)
{
    enum baozi_status status = BAOZI_OK;
    struct bao_record_head head = {0};
    struct bao_span data = {0};
    while (scan->lsn <= segment->last_lsn && status == BAOZI_OK) {
        if (bao_scan_next(scan, &head, &data) != BAO_SCAN_RECORD)
            return BAOZI_LOST;
        if (head.lsn < from_lsn || !is_for_owner(&head))
            continue;
        status = take(context,
                      &(struct bao_log_record){
                          .kind = (enum bao_record_kind)head.kind,
                          .lsn = head.lsn,
                          .group = head.group,
                          .index = head.index,
                          .term = head.term,
                          .queue = head.queue,
                          .data = data,
                          .address = bao_address_of(
                              log->stride_bytes,
                              segment->number,
                              (uint64_t)(data.data - scan->bytes.data)),
                      });
    }
    return status;
}

/* Names the place where the walk stopped. */
static enum baozi_status refuse(const struct bao_log_segment *segment,
                                const struct bao_scan *scan,
                                struct bao_log_report *report)
{
    struct bao_record_head head;
    char name[BAO_SEGMENT_NAME_BYTES];
    struct bao_scan again = *scan;
    struct bao_span data;
    enum bao_scan_verdict verdict = bao_scan_next(&again, &head, &data);
    bao_segment_name(segment->number, name);
    report->queue = verdict == BAO_SCAN_BAD_DATA ? head.queue : 0;
    return bao_log_corrupt(
        report, name, scan->offset, scan->lsn, bao_scan_verdict_text(verdict));
}

struct replay {
    bao_log_take *take;
    void *context;
    struct bao_log_report *report;
    struct bao_scan scan;
    bool begun;
};

static enum baozi_status replay_file(struct bao_log *log,
                                     struct bao_log_segment *segment,
                                     struct replay *replay)
{
    char name[BAO_SEGMENT_NAME_BYTES];
    int file = bao_log_segment_file(log, segment);
    bao_segment_name(segment->number, name);
    if (file < 0)
        return bao_log_complain(replay->report, "opening failed", name, file);
    uint8_t *data = bao_pages_large(segment->bytes);
    if (data == NULL)
        return BAOZI_NO_MEMORY;
    int error = bao_log_read_all(log->storage, file, data, segment->bytes, 0);
    if (error < 0) {
        free(data);
        return bao_log_complain(replay->report, "reading failed", name, error);
    }
    if (!replay->begun)
        bao_scan_begin(&replay->scan, segment->first_lsn);
    replay->begun = true;
    bao_scan_enter(&replay->scan,
                   bao_span_of(data, segment->bytes),
                   segment->salt,
                   BAO_SEGMENT_HEAD_BYTES);
    enum baozi_status status = replay_segment(log,
                                              segment,
                                              &replay->scan,
                                              replay->take,
                                              replay->context,
                                              replay->report->checkpoint_lsn);
    if (status == BAOZI_LOST)
        status = refuse(segment, &replay->scan, replay->report);
    free(data);
    return status;
}

/* The segments that are closed, or the open one. */
static enum baozi_status replay_state(struct bao_log *log,
                                      struct replay *replay,
                                      enum bao_log_segment_state state)
{
    enum baozi_status status = BAOZI_OK;
    for (uint32_t i = 0; i < log->segment_count && status == BAOZI_OK; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (segment->state == state &&
            segment->last_lsn >= segment->first_lsn &&
            segment->last_lsn >= replay->report->checkpoint_lsn)
            status = replay_file(log, segment, replay);
    }
    return status;
}

enum baozi_status bao_log_replay(struct bao_log *log,
                                 bao_log_take *take,
                                 void *context,
                                 struct bao_log_report *report)
{
    struct replay replay = {.take = take, .context = context, .report = report};
    BAO_ASSERT(!log->serving && log->start != NULL);
    enum baozi_status status =
        replay_state(log, &replay, BAO_LOG_SEGMENT_CLOSED);
    if (status == BAOZI_OK)
        status = bao_log_settle(log, report);
    return status == BAOZI_OK ? replay_state(log, &replay, BAO_LOG_SEGMENT_OPEN)
                              : status;
}
