/*
 * log_prepare.c - segments ahead of need, and the use of old ones again.
 *
 * A new segment is filled with zeros and synced before it gets its name, so
 * that a sync of records never waits for the file system to extend a file. An
 * old one becomes new by another head: with another salt its old records are
 * none. Both happen under a temporary name: what a crash leaves behind is
 * never taken for a segment.
 *
 * Three are ready when one is needed. The last two are the reserve: on a full
 * disk they go on taking what makes room again. Two, because what they take
 * is dead as soon as checkpoints are younger: while one is filled, the other
 * one becomes free.
 */
#include <errno.h>

#include "broker/log_inner.h"
#include "common/check.h"
#include "common/planted.h"

const char bao_log_prepare_name[] = "prepare.tmp";
const char bao_log_again_name[] = "again.tmp";

static int write_head(const struct bao_log *log,
                      const struct bao_log_segment *segment,
                      int file)
{
    uint8_t head[BAO_SEGMENT_HEAD_BYTES];
    bao_segment_encode(
        &(struct bao_segment_head){.format = BAO_DISK_FORMAT,
                                   .salt = segment->salt,
                                   .directory = log->directory,
                                   .number = segment->number,
                                   .bytes = segment->file_bytes,
                                   .stride_bytes = log->stride_bytes},
        head);
    return bao_log_write_all(log->storage, file, head, sizeof head, 0);
}

/* Zeros, some at a time: the syncs of the log come in between. */
static int fill(struct bao_log *log, int file, uint64_t bytes)
{
    const struct bao_storage *storage = log->storage;
    uint64_t done = 0;
    int error = storage->resize(storage->context, file, 0);
    while (error >= 0 && done < bytes) {
        done = bytes - done > BAO_LOG_ZERO_BYTES ? done + BAO_LOG_ZERO_BYTES
                                                 : bytes;
        error = storage->resize(storage->context, file, done);
        if (error >= 0)
            atomic_store(&log->prepare.filled, done);
        if (error >= 0 && done < bytes)
            error = storage->sync(storage->context, file);
    }
    return error;
}

/* Head, sync, name, sync of the name. */
static int finish(const struct bao_log *log,
                  const struct bao_log_segment *segment,
                  int file,
                  const char *temporary)
{
    const struct bao_storage *storage = log->storage;
    char name[BAO_SEGMENT_NAME_BYTES];
    bao_segment_name(segment->number, name);
    int error = write_head(log, segment, file);
    if (error >= 0)
        error = storage->sync(storage->context, file);
    if (error >= 0)
        error = storage->rename(storage->context, temporary, name);
    if (error >= 0 && !BAO_PLANTED(NAMES_UNSYNCED))
        error = storage->sync_dir(storage->context);
    return error < 0 ? error : file;
}

/* Zeros, if it is `new`, and a head for the open `file`. The file, or -errno;
 * after want of room nothing is left. */
static int complete(struct bao_log *log,
                    const struct bao_log_segment *segment,
                    int file,
                    bool new)
{
    const struct bao_storage *storage = log->storage;
    const char *temporary = new ? bao_log_prepare_name : bao_log_again_name;
    int error = 0;
    if (file < 0)
        return file;
    if (new)
        error = fill(log, file, segment->file_bytes);
    if (error >= 0)
        error = finish(log, segment, file, temporary);
    if (error >= 0)
        return file;
    storage->close(storage->context, file);
    if (bao_log_is_want_of_room(error)) {
        atomic_store(&log->prepare.filled, 0);
        (void)storage->remove(storage->context, temporary);
    }
    return error;
}

static int make_new(struct bao_log *log, const struct bao_log_segment *segment)
{
    const struct bao_storage *storage = log->storage;
    int file = storage->open(
        storage->context, bao_log_prepare_name, BAO_STORAGE_MAKE, NULL);
    return complete(log, segment, file, true);
}

/* A backup reads the old file: a new one takes its place. Where there is no
 * room for that the old one is taken all the same; the backup sees it by the
 * head, and begins again. */
static int make_beside(struct bao_log *log,
                       const struct bao_log_segment *segment)
{
    const struct bao_storage *storage = log->storage;
    int file = make_new(log, segment);
    if (bao_log_is_want_of_room(file)) {
        file = storage->open(
            storage->context, bao_log_again_name, BAO_STORAGE_FIND, NULL);
        return complete(log, segment, file, false);
    }
    if (file < 0)
        return file;
    int error = storage->remove(storage->context, bao_log_again_name);
    if (error >= 0)
        return file;
    storage->close(storage->context, file);
    return error;
}

/* Makes the file of `segment`: new, or of `old_name` ("": new). The file, or
 * -errno; after want of room nothing is left. */
static int make(struct bao_log *log,
                const struct bao_log_segment *segment,
                const char *old_name)
{
    const struct bao_storage *storage = log->storage;
    if (old_name[0] == '\0')
        return make_new(log, segment);
    int error = storage->rename(storage->context, old_name, bao_log_again_name);
    if (error < 0)
        return error;
    int file = storage->open(
        storage->context, bao_log_again_name, BAO_STORAGE_REUSE, NULL);
    return file == -EBUSY ? make_beside(log, segment)
                          : complete(log, segment, file, false);
}

static struct bao_log_segment *new_segment(struct bao_log *log, uint64_t bytes)
{
    struct bao_log_segment *segment =
        bao_log_segment_new(log, log->next_number);
    if (segment == NULL)
        return NULL;
    segment->state = BAO_LOG_SEGMENT_PREPARED;
    segment->file_bytes = bytes;
    do
        segment->salt = (uint32_t)bao_log_random(log);
    while (segment->salt == 0);
    return segment;
}

static void take(struct bao_log *log, struct bao_log_segment *segment, int file)
{
    uint64_t strides =
        (segment->file_bytes + log->stride_bytes - 1) / log->stride_bytes;
    segment->file = file;
    log->next_number = segment->number + strides;
    bao_log_segment_list(log, segment);
    log->prepared++;
}

/* The old segment is no more, whatever became of its file. */
static void forget_old(struct bao_log *log, struct bao_log_segment *old)
{
    if (old == NULL)
        return;
    bao_log_segment_unlist(log, old);
    bao_log_segment_free(log, old);
}

/* Dropped, and no copy of the manifest names it. */
static bool is_gone(const struct bao_log *log,
                    const struct bao_log_segment *segment)
{
    return segment->state == BAO_LOG_SEGMENT_DROPPED &&
           segment->drop_generation <= log->manifest.saved &&
           segment != log->removal.segment && segment != log->prepare.old;
}

uint32_t bao_log_again_count(const struct bao_log *log)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < log->segment_count; i++)
        count += is_gone(log, log->segments[i]) &&
                 log->segments[i]->file_bytes == log->stride_bytes;
    return count;
}

/* One that is gone: of the right size, if `usable`, else rather of another. */
static struct bao_log_segment *find_dropped(const struct bao_log *log,
                                            bool usable)
{
    struct bao_log_segment *found = NULL;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (!is_gone(log, segment))
            continue;
        if ((segment->file_bytes == log->stride_bytes) == usable)
            return segment;
        found = segment;
    }
    return usable ? NULL : found;
}

int bao_log_prepare_now(struct bao_log *log,
                        uint64_t bytes,
                        struct bao_log_segment **segment)
{
    char old_name[BAO_SEGMENT_NAME_BYTES] = "";
    struct bao_log_segment *old = bytes == 0 ? find_dropped(log, true) : NULL;
    struct bao_log_segment *new =
        new_segment(log, bytes == 0 ? log->stride_bytes : bytes);
    if (new == NULL)
        return -ENOSPC;
    if (old != NULL)
        bao_segment_name(old->number, old_name);
    int file = make(log, new, old_name);
    atomic_store(&log->prepare.filled, 0);
    if (file < 0) {
        bao_log_segment_free(log, new);
        return file;
    }
    forget_old(log, old);
    take(log, new, file);
    *segment = new;
    return 0;
}

/* --- in the background --- */

/* The last one is made when half of the open segment is used: until then an
 * old one may become free, which costs no zeros. */
static uint32_t wanted(const struct bao_log *log)
{
    bool soon = log->offset + log->fill > log->open->file_bytes / 2;
    return soon ? BAO_LOG_PREPARED_WANTED : BAO_LOG_PREPARED_WANTED - 1;
}

static int run_prepare(struct bao_log_job *job)
{
    struct bao_log_prepare *prepare = BAO_OF(job, struct bao_log_prepare, job);
    return make(prepare->log, prepare->segment, prepare->old_name);
}

static void prepare_done(struct bao_log_job *job)
{
    struct bao_log_prepare *prepare = BAO_OF(job, struct bao_log_prepare, job);
    struct bao_log *log = prepare->log;
    char name[BAO_SEGMENT_NAME_BYTES];
    prepare->busy = false;
    atomic_store(&prepare->filled, 0);
    if (job->result >= 0) {
        log->stats.recycled += prepare->old != NULL;
        forget_old(log, prepare->old);
        prepare->old = NULL;
        take(log, prepare->segment, job->result);
        /* On a full disk puts wait until the whole reserve is there. */
        log->full = log->full && log->prepared < wanted(log);
        log->room_retry_us = log->now_us;
        bao_log_space_ask(log);
        return;
    }
    bao_segment_name(prepare->segment->number, name);
    bao_log_segment_free(log, prepare->segment);
    forget_old(log, prepare->old);
    prepare->old = NULL;
    if (bao_log_is_want_of_room(job->result)) {
        log->full = true;
        log->room_retry_us = log->now_us + BAO_LOG_ROOM_RETRY_US;
    } else {
        bao_log_fail(log, "preparing failed", name, job->result);
    }
}

static void submit_prepare(struct bao_log *log)
{
    struct bao_log_prepare *prepare = &log->prepare;
    struct bao_log_segment *old = find_dropped(log, true);
    struct bao_log_segment *segment = new_segment(log, log->stride_bytes);
    if (segment == NULL) {
        log->full = true; /* the table is */
        log->room_retry_us = log->now_us + BAO_LOG_ROOM_RETRY_US;
        return;
    }
    *prepare = (struct bao_log_prepare){
        .job = {.run = run_prepare,
                .done = prepare_done,
                .lane = BAO_LOG_LANE_HELPER},
        .log = log,
        .segment = segment,
        .old = old,
        .busy = true,
    };
    if (old != NULL)
        bao_segment_name(old->number, prepare->old_name);
    bao_log_job_submit(&log->jobs, &prepare->job);
}

/* --- removing what is not used again --- */

static int run_removal(struct bao_log_job *job)
{
    struct bao_log_removal *removal = BAO_OF(job, struct bao_log_removal, job);
    const struct bao_storage *storage = removal->log->storage;
    char name[BAO_SEGMENT_NAME_BYTES];
    bao_segment_name(removal->segment->number, name);
    return storage->remove(storage->context, name);
}

static void removal_done(struct bao_log_job *job)
{
    struct bao_log_removal *removal = BAO_OF(job, struct bao_log_removal, job);
    struct bao_log *log = removal->log;
    char name[BAO_SEGMENT_NAME_BYTES];
    bao_segment_name(removal->segment->number, name);
    forget_old(log, removal->segment);
    removal->segment = NULL;
    removal->busy = false;
    if (job->result < 0 && job->result != -ENOENT)
        bao_log_fail(log, "removing failed", name, job->result);
}

bool bao_log_remove_spare(struct bao_log *log)
{
    struct bao_log_segment *segment = find_dropped(log, false);
    char name[BAO_SEGMENT_NAME_BYTES];
    if (segment == NULL)
        return false;
    bao_segment_name(segment->number, name);
    int error = log->storage->remove(log->storage->context, name);
    forget_old(log, segment);
    return error >= 0;
}

uint32_t bao_log_spare_count(const struct bao_log *log)
{
    uint32_t count = log->prepared;
    for (uint32_t i = 0; i < log->segment_count; i++)
        count += log->segments[i]->state == BAO_LOG_SEGMENT_DROPPED &&
                 log->segments[i]->file_bytes == log->stride_bytes;
    return count;
}

/* No more is kept than is needed. */
static bool has_too_many(const struct bao_log *log)
{
    uint32_t all = log->prepared;
    for (uint32_t i = 0; i < log->segment_count; i++)
        all += log->segments[i]->state == BAO_LOG_SEGMENT_DROPPED;
    uint32_t usable = bao_log_spare_count(log);
    return all > usable || usable > BAO_LOG_PREPARED_WANTED;
}

static void submit_removal(struct bao_log *log)
{
    struct bao_log_removal *removal = &log->removal;
    if (!has_too_many(log))
        return;
    struct bao_log_segment *segment = find_dropped(log, false);
    if (segment == NULL)
        return;
    *removal = (struct bao_log_removal){
        .job = {.run = run_removal,
                .done = removal_done,
                .lane = BAO_LOG_LANE_HELPER},
        .log = log,
        .segment = segment,
        .busy = true,
    };
    bao_log_job_submit(&log->jobs, &removal->job);
}

void bao_log_prepare_turn(struct bao_log *log)
{
    if (log->failed || log->prepare.busy)
        return;
    if (log->prepared < wanted(log)) {
        if (!log->full || log->now_us >= log->room_retry_us ||
            find_dropped(log, true) != NULL)
            submit_prepare(log);
    } else if (!log->removal.busy) {
        submit_removal(log);
    }
}

bool bao_log_prepare_wait(struct bao_log *log)
{
    while (log->prepared == 0 && !log->failed) {
        if (!log->prepare.busy)
            bao_log_prepare_turn(log);
        if (!log->prepare.busy)
            break; /* no room, and not yet time to try again */
        log->stats.waits++;
        bao_log_jobs_wait(&log->jobs, BAO_LOG_LANE_HELPER);
    }
    return log->prepared > 0 && !log->failed;
}
