/*
 * log_scrub.c - reads every closed segment again and again, slowly, so that a
 * damage is known before the day it matters.
 */
#include <stdlib.h>

#include "broker/log_walk.h"
#include "common/check.h"

#define RATE        1u        /* bytes a microsecond: 1 MiB a second or so */
#define SLICE_US    250000u   /* a chunk of records so often */
#define ROUND_US    60000000u /* between two rounds at least */
#define SLICE_BYTES (SLICE_US * RATE)

struct bao_log_scrub {
    struct bao_log_walk walk;
    uint64_t number; /* segments up to this one were read in this round */
    uint64_t due_us;
};

enum baozi_status bao_log_scrub_open(struct bao_log *log)
{
    log->scrub = calloc(1, sizeof *log->scrub);
    if (log->scrub == NULL)
        return BAOZI_NO_MEMORY;
    bao_log_walk_open(&log->scrub->walk, log);
    return BAOZI_OK;
}

void bao_log_scrub_fini(struct bao_log *log)
{
    if (log->scrub == NULL)
        return;
    bao_log_walk_fini(&log->scrub->walk);
    free(log->scrub);
}

/* The next closed and synced segment of this round, or NULL. */
static struct bao_log_segment *next_segment(const struct bao_log *log)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (segment->number > log->scrub->number &&
            segment->state == BAO_LOG_SEGMENT_CLOSED &&
            segment->last_lsn <= log->marks.synced &&
            segment->last_lsn >= segment->first_lsn)
            return segment;
    }
    return NULL;
}

void bao_log_scrub_turn(struct bao_log *log)
{
    struct bao_log_scrub *scrub = log->scrub;
    struct bao_log_record record;
    uint64_t spent = 0;
    if (log->now_us < scrub->due_us)
        return;
    if (scrub->walk.segment == NULL) {
        struct bao_log_segment *segment = next_segment(log);
        if (segment == NULL) {
            log->stats.scrub_rounds += scrub->number > 0;
            scrub->number = 0;
            scrub->due_us = log->now_us + ROUND_US;
            return;
        }
        scrub->number = segment->number;
        bao_log_walk_begin(&scrub->walk, segment);
    }
    while (spent < SLICE_BYTES) {
        enum bao_log_step step = bao_log_walk_next(&scrub->walk, &record);
        if (step == BAO_LOG_STEP_WAIT)
            return;
        if (step != BAO_LOG_STEP_RECORD)
            break;
        spent += bao_record_bytes(record.data.bytes);
    }
    log->stats.scrubbed_bytes += spent;
    scrub->due_us = log->now_us + SLICE_US;
}

uint64_t bao_log_scrub_deadline(const struct bao_log *log)
{
    return log->scrub->walk.reading ? UINT64_MAX : log->scrub->due_us;
}
