/*
 * log_manifest.c - the two copies of what the folder holds.
 *
 * Each save writes both, one after the other, with generations that follow
 * each other: a crash in between leaves one whole copy, and afterwards a
 * single damaged copy loses nothing.
 */
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"

#define GROW_BYTES (16u * 1024u)

const char *const bao_log_manifest_names[2] = {"manifest.0", "manifest.1"};

void bao_log_manifest_want(struct bao_log *log)
{
    log->manifest.wanted = true;
}

static bool is_sealed(const struct bao_log *log,
                      const struct bao_log_segment *segment)
{
    return segment->state == BAO_LOG_SEGMENT_CLOSED &&
           segment->last_lsn <= log->marks.synced;
}

/* Lists the segments up to the first that is not sealed to its end. */
static void list_segments(const struct bao_log *log,
                          struct bao_manifest *manifest)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct bao_log_segment *segment = log->segments[i];
        if (segment->state == BAO_LOG_SEGMENT_DROPPED)
            continue;
        if (segment->state == BAO_LOG_SEGMENT_PREPARED)
            break;
        bool closed = is_sealed(log, segment);
        manifest->segments[manifest->segment_count++] =
            (struct bao_manifest_segment){
                .number = segment->number,
                .first_lsn = segment->first_lsn,
                .last_lsn = closed ? segment->last_lsn : segment->synced_lsn,
                .bytes = closed ? segment->bytes : segment->synced_bytes,
                .file_bytes = segment->file_bytes,
                .salt = segment->salt,
                .closed = closed,
            };
        manifest->tail_first = segment->number + 1;
        if (!closed)
            break;
    }
}

/* Makes the bytes of the next copy. */
static void encode(struct bao_log *log)
{
    struct bao_log_manifest *copy = &log->manifest;
    struct bao_manifest manifest = {
        .format = BAO_DISK_FORMAT,
        .clean = copy->clean,
        .directory = log->directory,
        .generation = copy->generation + 1,
        .stride_bytes = log->stride_bytes,
        .tail_first = log->tail_first,
        .next_number = log->next_number,
        .durable_lsn = log->marks.synced,
        .epoch_floor = log->epoch_floor,
        .checkpoint_count = log->checkpoint.kept_count,
        .checkpoints = {log->checkpoint.kept[0], log->checkpoint.kept[1]},
        .segments = copy->segments,
    };
    list_segments(log, &manifest);
    log->tail_first = manifest.tail_first;
    copy->bytes = bao_manifest_bytes(manifest.segment_count);
    bao_manifest_encode(&manifest, copy->data);
    if (manifest.segment_count == 0)
        return;
    const struct bao_manifest_segment *last =
        &copy->segments[manifest.segment_count - 1];
    copy->sealed_number = last->number;
    copy->sealed_bytes = last->bytes;
}

static int write_copy(struct bao_log *log, uint64_t generation)
{
    const struct bao_storage *storage = log->storage;
    struct bao_log_manifest *copy = &log->manifest;
    int file = copy->files[generation % 2];
    bao_manifest_set_generation(copy->data, generation);
    int error = bao_log_write_all(storage, file, copy->data, copy->bytes, 0);
    return error < 0 ? error : storage->sync(storage->context, file);
}

static int run(struct bao_log_job *job)
{
    struct bao_log_manifest *copy = BAO_OF(job, struct bao_log_manifest, job);
    struct bao_log *log = copy->log;
    const struct bao_storage *storage = log->storage;
    int error = 0;
    if (copy->bytes > copy->file_bytes) {
        uint64_t bytes = (copy->bytes / GROW_BYTES + 1) * GROW_BYTES;
        for (int i = 0; i < 2 && error >= 0; i++)
            error = storage->resize(storage->context, copy->files[i], bytes);
        if (error < 0)
            return error;
        copy->file_bytes = bytes;
    }
    error = write_copy(log, copy->generation - 1);
    return error < 0 ? error : write_copy(log, copy->generation);
}

static void note_saved(struct bao_log_manifest *copy)
{
    copy->saved = copy->generation - 1;
    copy->tail_number = copy->sealed_number;
    copy->tail_bytes = copy->sealed_bytes;
}

static void done(struct bao_log_job *job)
{
    struct bao_log_manifest *copy = BAO_OF(job, struct bao_log_manifest, job);
    struct bao_log *log = copy->log;
    copy->busy = false;
    if (job->result >= 0) {
        note_saved(copy);
    } else if (bao_log_is_want_of_room(job->result) &&
               copy->bytes > copy->file_bytes) {
        copy->wanted = true;
        copy->retry_us = log->now_us + BAO_LOG_ROOM_RETRY_US;
    } else {
        bao_log_fail(log,
                     "writing failed",
                     bao_log_manifest_names[copy->generation % 2],
                     job->result);
    }
}

/* True if much was sealed since the last copy. */
static bool has_grown(const struct bao_log *log)
{
    const struct bao_log_manifest *copy = &log->manifest;
    uint64_t quarter = log->stride_bytes / 4;
    uint64_t step = quarter < BAO_LOG_SEAL_BYTES ? quarter : BAO_LOG_SEAL_BYTES;
    const struct bao_log_segment *segment = bao_log_segment_at(
        log, bao_address_of(log->stride_bytes, copy->sealed_number, 0));
    if (segment == NULL)
        return true;
    if (segment->state == BAO_LOG_SEGMENT_CLOSED)
        return is_sealed(log, segment);
    /* A MARK is the last word in the log; this says the same elsewhere. */
    if (log->now_us >= copy->state_us && log->marks.synced > copy->stated_lsn)
        return true;
    return segment->synced_bytes - copy->sealed_bytes >= step;
}

static void begin(struct bao_log *log)
{
    struct bao_log_manifest *copy = &log->manifest;
    encode(log);
    copy->stated_lsn = log->marks.synced;
    copy->state_us = UINT64_MAX;
    copy->job = (struct bao_log_job){
        .run = run, .done = done, .lane = BAO_LOG_LANE_HELPER};
    copy->log = log;
    copy->generation += 2;
    copy->wanted = false;
    copy->busy = true;
}

void bao_log_manifest_turn(struct bao_log *log)
{
    struct bao_log_manifest *copy = &log->manifest;
    if (log->failed || copy->busy || (!copy->wanted && !has_grown(log)) ||
        log->now_us < copy->retry_us)
        return;
    begin(log);
    bao_log_job_submit(&log->jobs, &copy->job);
}

int bao_log_manifest_now(struct bao_log *log)
{
    struct bao_log_manifest *copy = &log->manifest;
    BAO_ASSERT(!copy->busy);
    begin(log);
    copy->busy = false;
    int error = run(&copy->job);
    if (error >= 0)
        note_saved(copy);
    return error;
}

bool bao_log_manifest_allocate(struct bao_log *log)
{
    struct bao_log_manifest *copy = &log->manifest;
    copy->data = malloc(bao_manifest_bytes(log->segments_max));
    copy->segments =
        malloc(log->segments_max * sizeof(struct bao_manifest_segment));
    return copy->data != NULL && copy->segments != NULL;
}

void bao_log_manifest_fini(struct bao_log *log)
{
    free(log->manifest.data);
    free(log->manifest.segments);
}

int bao_log_manifest_open(struct bao_log *log)
{
    const struct bao_storage *storage = log->storage;
    struct bao_log_manifest *copy = &log->manifest;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 2; i++) {
        uint64_t bytes = 0;
        copy->files[i] = storage->open(storage->context,
                                       bao_log_manifest_names[i],
                                       BAO_STORAGE_MAKE,
                                       &bytes);
        if (copy->files[i] < 0)
            return copy->files[i];
        least = bytes < least ? bytes : least;
    }
    copy->file_bytes = least;
    return 0;
}
