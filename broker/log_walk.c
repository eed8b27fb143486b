/*
 * log_walk.c - the walk of log_walk.h.
 */
#include "broker/log_walk.h"

#include <errno.h>
#include <stdlib.h>

#include "common/check.h"

void bao_log_walk_open(struct bao_log_walk *walk, struct bao_log *log)
{
    *walk = (struct bao_log_walk){.log = log};
}

void bao_log_walk_fini(struct bao_log_walk *walk)
{
    free(walk->data);
}

static int run(struct bao_log_job *job)
{
    struct bao_log_walk *walk = BAO_OF(job, struct bao_log_walk, job);
    return bao_log_read_all(
        walk->log->storage, walk->file, walk->data, walk->wanted, walk->base);
}

static void done(struct bao_log_job *job)
{
    struct bao_log_walk *walk = BAO_OF(job, struct bao_log_walk, job);
    walk->reading = false;
    walk->error = job->result;
    walk->fill = job->result < 0 ? 0 : walk->wanted;
    bao_scan_enter(&walk->scan,
                   bao_span_of(walk->data, walk->fill),
                   walk->segment->salt,
                   0);
}

static bool reserve(struct bao_log_walk *walk, size_t bytes)
{
    if (bytes <= walk->capacity)
        return true;
    free(walk->data);
    walk->data = malloc(bytes);
    walk->capacity = walk->data == NULL ? 0 : bytes;
    return walk->data != NULL;
}

/* Reads on from where the scan is, at least `bytes`. False: it cannot. */
static bool read_on(struct bao_log_walk *walk, uint64_t bytes)
{
    struct bao_log_segment *segment = walk->segment;
    uint64_t from = walk->base + walk->scan.offset;
    uint64_t left = segment->bytes - from;
    if (bytes > left)
        return false;
    if (!reserve(walk,
                 bytes > BAO_LOG_WALK_BYTES ? bytes : BAO_LOG_WALK_BYTES)) {
        walk->error = -ENOMEM;
        return false;
    }
    walk->file = bao_log_segment_file(walk->log, segment);
    if (walk->file < 0) {
        walk->error = walk->file;
        return false;
    }
    walk->base = from;
    walk->wanted = left < walk->capacity ? left : walk->capacity;
    walk->reading = true;
    walk->job = (struct bao_log_job){
        .run = run, .done = done, .lane = BAO_LOG_LANE_READ};
    bao_log_job_submit(&walk->log->jobs, &walk->job);
    return true;
}

void bao_log_walk_begin(struct bao_log_walk *walk,
                        struct bao_log_segment *segment)
{
    BAO_ASSERT(walk->segment == NULL && !walk->reading);
    segment->pins++;
    walk->segment = segment;
    walk->base = BAO_SEGMENT_HEAD_BYTES;
    walk->fill = 0;
    walk->error = 0;
    bao_scan_begin(&walk->scan, segment->first_lsn);
    bao_scan_enter(&walk->scan, bao_span_of(walk->data, 0), segment->salt, 0);
}

static enum bao_log_step stop(struct bao_log_walk *walk, enum bao_log_step step)
{
    struct bao_log *log = walk->log;
    struct bao_log_segment *segment = walk->segment;
    segment->pins--;
    walk->segment = NULL;
    if (step != BAO_LOG_STEP_DAMAGED)
        return step;
    char name[BAO_SEGMENT_NAME_BYTES];
    struct bao_log_report report = {.durable = log->marks.synced};
    bao_segment_name(segment->number, name);
    (void)bao_log_corrupt(&report,
                          name,
                          walk->base + walk->scan.offset,
                          walk->scan.lsn,
                          walk->error < 0 ? "it cannot be read"
                                          : "the record is damaged");
    log->stats.damaged++;
    if (log->owner.damaged != NULL)
        log->owner.damaged(log->owner.context, &report);
    return step;
}

/* True if the record at the scan lies wholly in what was read; else *wanted
 * is what must be read from there. */
static bool is_whole(const struct bao_log_walk *walk, uint64_t *wanted)
{
    struct bao_record_head head;
    uint64_t left = walk->fill - walk->scan.offset;
    *wanted = BAO_RECORD_HEAD_BYTES;
    if (left < *wanted)
        return false;
    if (!bao_record_decode(walk->data + walk->scan.offset, &head))
        return true; /* the scan will say what is wrong */
    *wanted = bao_record_bytes(head.bytes);
    return left >= *wanted;
}

enum bao_log_step bao_log_walk_next(struct bao_log_walk *walk,
                                    struct bao_log_record *record)
{
    struct bao_record_head head;
    struct bao_span data;
    uint64_t wanted = 0;
    if (walk->reading)
        return BAO_LOG_STEP_WAIT;
    if (walk->error == -ENOMEM || bao_log_is_want_of_room(walk->error))
        return stop(walk, BAO_LOG_STEP_END); /* another time */
    if (walk->error < 0)
        return stop(walk, BAO_LOG_STEP_DAMAGED);
    if (walk->scan.lsn > walk->segment->last_lsn)
        return stop(walk, BAO_LOG_STEP_END);
    if (!is_whole(walk, &wanted) && read_on(walk, wanted))
        return BAO_LOG_STEP_WAIT;
    if (walk->error == -ENOMEM || bao_log_is_want_of_room(walk->error))
        return stop(walk, BAO_LOG_STEP_END);
    uint64_t offset = walk->base + walk->scan.offset;
    if (bao_scan_next(&walk->scan, &head, &data) != BAO_SCAN_RECORD)
        return stop(walk, BAO_LOG_STEP_DAMAGED);
    *record = (struct bao_log_record){
        .kind = (enum bao_record_kind)head.kind,
        .lsn = head.lsn,
        .group = head.group,
        .index = head.index,
        .term = head.term,
        .queue = head.queue,
        .data = data,
        .address = bao_address_of(walk->log->stride_bytes,
                                  walk->segment->number,
                                  offset + BAO_RECORD_HEAD_BYTES),
    };
    return BAO_LOG_STEP_RECORD;
}
