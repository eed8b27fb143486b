/*
 * log_walk.h - goes through the records of one closed segment, in the
 * background: compaction and scrubbing do it.
 *
 * Bytes come by jobs of the READ lane, some at a time; all of them are checked
 * as at a start.
 */
#ifndef BAO_LOG_WALK_H
#define BAO_LOG_WALK_H

#include "broker/log_inner.h"

#define BAO_LOG_WALK_BYTES (256u * 1024u)

enum bao_log_step {
    BAO_LOG_STEP_RECORD,
    BAO_LOG_STEP_WAIT, /* bytes are being read */
    BAO_LOG_STEP_END,
    BAO_LOG_STEP_DAMAGED /* bao_log_walk_report() tells where */
};

struct bao_log_walk {
    struct bao_log *log;
    struct bao_log_segment *segment; /* pinned; NULL: none */
    uint8_t *data;
    size_t capacity;
    size_t fill;
    uint64_t base; /* in the file, of data[0] */
    struct bao_scan scan;
    struct bao_log_job job;
    size_t wanted; /* bytes to read */
    int file;
    bool reading;
    int error;
};

/* Its memory comes when it is used. */
void bao_log_walk_open(struct bao_log_walk *walk, struct bao_log *log);
void bao_log_walk_fini(struct bao_log_walk *walk);

/* Begins with this segment; the one before must have ended. */
void bao_log_walk_begin(struct bao_log_walk *walk,
                        struct bao_log_segment *segment);
/* The next record; `record->data` is lent until the next call. After END or
 * DAMAGED there is no segment any more. */
enum bao_log_step bao_log_walk_next(struct bao_log_walk *walk,
                                    struct bao_log_record *record);

#endif
