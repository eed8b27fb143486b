/*
 * log_open.c - a log comes and goes; what goes wrong is said here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"
#include "common/crc32c.h"

/* --- trouble --- */

static const char *error_text(int error, char *room, size_t bytes)
{
    return strerror_r(-error, room, bytes);
}

void bao_log_fail(struct bao_log *log,
                  const char *what,
                  const char *file,
                  int error)
{
    char room[64];
    if (log->failed)
        return;
    log->failed = true;
    atomic_store(&log->sync_failed, true);
    (void)snprintf(log->failure,
                   sizeof log->failure,
                   "%s: %s: %s",
                   file,
                   what,
                   error_text(error, room, sizeof room));
}

bool bao_log_is_want_of_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT || error == -EFBIG ||
           error == -EMFILE || error == -ENFILE;
}

enum baozi_status bao_log_complain(struct bao_log_report *report,
                                   const char *what,
                                   const char *file,
                                   int error)
{
    char room[64];
    bool full = bao_log_is_want_of_room(error);
    report->problem.exit_code = BAO_EXIT_IO;
    (void)snprintf(report->file, sizeof report->file, "%s", file);
    bao_problem_what(&report->problem, "%s: %s", file, what);
    bao_problem_why(
        &report->problem, "%s", error_text(error, room, sizeof room));
    bao_problem_remedy(&report->problem,
                       "%s",
                       full ? "make room on that disk, then start again"
                            : "mend the disk, or restore a backup on another");
    return full ? BAOZI_STORAGE_FULL : BAOZI_STORAGE_FAILED;
}

bool bao_log_failed(const struct bao_log *log)
{
    return log->failed;
}

const char *bao_log_failure(const struct bao_log *log)
{
    return log->failure;
}

/* splitmix64: salts need to differ, not to be secret. */
uint64_t bao_log_random(struct bao_log *log)
{
    log->random += 0x9e3779b97f4a7c15u;
    uint64_t z = log->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* --- disk calls that finish --- */

int bao_log_write_all(const struct bao_storage *storage,
                      int file,
                      const void *data,
                      size_t bytes,
                      uint64_t offset)
{
    const uint8_t *at = data;
    while (bytes > 0) {
        ssize_t moved =
            storage->write(storage->context, file, at, bytes, offset);
        if (moved == -EINTR)
            continue;
        if (moved <= 0)
            return moved < 0 ? (int)moved : -EIO;
        at += moved;
        bytes -= (size_t)moved;
        offset += (uint64_t)moved;
    }
    return 0;
}

int bao_log_read_all(const struct bao_storage *storage,
                     int file,
                     void *data,
                     size_t bytes,
                     uint64_t offset)
{
    uint8_t *at = data;
    while (bytes > 0) {
        ssize_t moved =
            storage->read(storage->context, file, at, bytes, offset);
        if (moved == -EINTR)
            continue;
        if (moved <= 0)
            return moved < 0 ? (int)moved : -EIO;
        at += moved;
        bytes -= (size_t)moved;
        offset += (uint64_t)moved;
    }
    return 0;
}

int bao_log_read_file(const struct bao_storage *storage,
                      const char *name,
                      uint8_t **data,
                      size_t *bytes)
{
    uint64_t size = 0;
    int file = storage->open(storage->context, name, BAO_STORAGE_FIND, &size);
    if (file < 0)
        return file;
    *data = malloc(size + 1);
    *bytes = size;
    int error = *data == NULL ? -ENOMEM
                              : bao_log_read_all(storage, file, *data, size, 0);
    storage->close(storage->context, file);
    if (error < 0) {
        free(*data);
        *data = NULL;
    }
    return error;
}

/* --- open --- */

static bool allocate(struct bao_log *log, const struct bao_log_config *config)
{
    uint32_t count =
        config->segments_max == 0 ? BAO_LOG_SEGMENTS_MAX : config->segments_max;
    log->segments_max = count;
    log->segments = calloc(count, sizeof(struct bao_log_segment *));
    log->pool = calloc(count, sizeof *log->pool);
    log->buffer_bytes =
        config->buffer_bytes == 0 ? BAO_LOG_BUFFER_BYTES : config->buffer_bytes;
    BAO_ASSERT(log->buffer_bytes >= BAO_LOG_END_BYTES);
    log->buffer = malloc(log->buffer_bytes);
    if (log->segments == NULL || log->pool == NULL || log->buffer == NULL ||
        !bao_log_manifest_allocate(log))
        return false;
    /* Pages of the pool are touched as segments come: the list of free ones
     * grows from the front. */
    for (uint32_t i = count; i > 0; i--) {
        log->pool[i - 1].next_free = log->free;
        log->free = &log->pool[i - 1];
    }
    return true;
}

static enum baozi_status open_parts(struct bao_log *log)
{
    enum baozi_status status = bao_log_checkpoint_open(log);
    if (status == BAOZI_OK)
        status = bao_log_move_open(log);
    return status == BAOZI_OK ? bao_log_scrub_open(log) : status;
}

enum baozi_status bao_log_open(const struct bao_log_config *config,
                               struct bao_log **log,
                               struct bao_log_report *report)
{
    struct bao_log *new = calloc(1, sizeof *new);
    enum baozi_status status = BAOZI_NO_MEMORY;
    *report = (struct bao_log_report){.folder = config->folder};
    BAO_ASSERT(bao_crc32c_test());
    if (new == NULL)
        return BAOZI_NO_MEMORY;
    new->storage = config->storage;
    new->random = config->seed;
    new->lazy_us = UINT64_MAX;
    new->idle_us = UINT64_MAX;
    new->manifest.state_us = UINT64_MAX;
    new->manifest.files[0] = -1;
    new->manifest.files[1] = -1;
    new->checkpoint_bytes = config->checkpoint_bytes;
    if (allocate(new, config) && open_parts(new) == BAOZI_OK)
        status = bao_log_recover(new, config, report);
    if (status == BAOZI_OK) {
        int error = bao_log_jobs_open(&new->jobs, &config->executor);
        new->jobs_open = error >= 0;
        if (error < 0)
            status = bao_log_complain(report, "no thread", "log", error);
    }
    if (status == BAOZI_NO_MEMORY && report->problem.what[0] == '\0')
        (void)bao_log_complain(report, "opening failed", "log", -ENOMEM);
    if (status != BAOZI_OK) {
        bao_log_abandon(new);
        return status;
    }
    *log = new;
    return BAOZI_OK;
}

void bao_log_serve(struct bao_log *log,
                   const struct bao_log_owner *owner,
                   uint64_t now_us)
{
    BAO_ASSERT(!log->serving && log->open != NULL);
    log->owner = *owner;
    log->now_us = now_us;
    log->serving = true;
    log->asked_bytes = log->stats.bytes;
    bao_log_cut_ended(log);
    bao_log_space_ask(log);
}

/* --- turns --- */

void bao_log_turn(struct bao_log *log, uint64_t now_us)
{
    log->now_us = now_us;
    bao_log_jobs_turn(&log->jobs);
    if (!log->serving || log->failed)
        return;
    bao_log_sync_turn(log);
    bao_log_checkpoint_turn(log);
    bao_log_move_turn(log);
    bao_log_segments_turn(log);
    bao_log_manifest_turn(log);
    bao_log_prepare_turn(log);
    bao_log_scrub_turn(log);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t bao_log_deadline(const struct bao_log *log)
{
    uint64_t due_us = earlier(log->lazy_us, log->idle_us);
    if (log->failed || !log->serving)
        return UINT64_MAX;
    if (log->full)
        due_us = earlier(due_us, log->room_retry_us);
    if (log->checkpoint.ballast_full)
        due_us = earlier(due_us, log->checkpoint.ballast_us);
    due_us = earlier(due_us, log->manifest.state_us);
    due_us = earlier(due_us, bao_log_move_deadline(log));
    return earlier(due_us, bao_log_scrub_deadline(log));
}

void bao_log_stats(const struct bao_log *log, struct bao_log_stats *stats)
{
    *stats = log->stats;
    stats->prepared = log->prepared;
    stats->full = bao_log_is_full(log);
    stats->segments = 0;
    stats->disk_bytes = 2 * log->manifest.file_bytes;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        stats->segments += log->segments[i]->state == BAO_LOG_SEGMENT_OPEN ||
                           log->segments[i]->state == BAO_LOG_SEGMENT_CLOSED;
        stats->disk_bytes += log->segments[i]->file_bytes;
    }
    stats->disk_bytes += log->checkpoint.ballast_bytes;
    for (uint32_t i = 0; i < log->checkpoint.kept_count; i++)
        stats->disk_bytes += log->checkpoint.kept[i].bytes;
}

/* --- close --- */

static void free_all(struct bao_log *log)
{
    bao_log_start_fini(log);
    const struct bao_storage *storage = log->storage;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i]->file >= 0)
            storage->close(storage->context, log->segments[i]->file);
    }
    for (int i = 0; i < 2; i++) {
        if (log->manifest.files[i] >= 0)
            storage->close(storage->context, log->manifest.files[i]);
    }
    bao_log_checkpoint_fini(log);
    bao_log_move_fini(log);
    bao_log_scrub_fini(log);
    bao_log_sync_fini(log);
    bao_log_manifest_fini(log);
    free(log->segments);
    free(log->pool);
    free(log->buffer);
    free(log);
}

void bao_log_abandon(struct bao_log *log)
{
    if (log->jobs_open)
        bao_log_jobs_close(&log->jobs);
    if (log->prepare.busy && log->prepare.job.result >= 0)
        log->storage->close(log->storage->context, log->prepare.job.result);
    free_all(log);
}

/* Waits for all jobs of a lane. */
static void settle(struct bao_log *log, enum bao_log_lane lane)
{
    while (bao_log_jobs_are_busy(&log->jobs, lane))
        bao_log_jobs_wait(&log->jobs, lane);
    bao_log_jobs_turn_lane(&log->jobs, lane);
}

enum baozi_status bao_log_close(struct bao_log *log)
{
    bao_log_write(log, log->now_us, false);
    settle(log, BAO_LOG_LANE_SYNC);
    if (!log->failed && log->mark_lsn != log->last_lsn) {
        bao_log_put_mark(log);
        settle(log, BAO_LOG_LANE_SYNC);
    }
    log->serving = false;
    settle(log, BAO_LOG_LANE_READ);
    settle(log, BAO_LOG_LANE_HELPER);
    if (!log->failed && log->marks.synced == log->last_lsn) {
        log->manifest.clean = true;
        int error = bao_log_manifest_now(log);
        if (error < 0)
            bao_log_fail(log, "writing failed", "manifest", error);
    }
    enum baozi_status status = log->failed ? BAOZI_STORAGE_FAILED : BAOZI_OK;
    bao_log_abandon(log);
    return status;
}
