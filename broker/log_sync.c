/*
 * log_sync.c - from written to synced.
 *
 * Every write asks for a sync of its segment. While one runs, later ones of
 * the same segment become one request, whose lsn is raised until it is taken:
 * that is the whole of group commit. After a failure no sync is tried again.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"
#include "common/planted.h"

static int run(struct bao_log_job *job)
{
    struct bao_log_sync *sync = BAO_OF(job, struct bao_log_sync, job);
    struct bao_log *log = sync->log;
    if (atomic_load(&log->sync_failed))
        return -ECANCELED;
    if (BAO_PLANTED(SYNC_SKIPPED) ||
        (BAO_PLANTED(BATCH_SKIPPED) && sync->segment != log->open))
        return 0;
    int error = log->storage->sync(log->storage->context, sync->file);
    if (BAO_PLANTED(SYNC_AGAIN) && error < 0)
        error = log->storage->sync(log->storage->context, sync->file);
    if (error < 0)
        atomic_store(&log->sync_failed, true);
    return error;
}

static void done(struct bao_log_job *job)
{
    struct bao_log_sync *sync = BAO_OF(job, struct bao_log_sync, job);
    struct bao_log *log = sync->log;
    struct bao_log_segment *segment = sync->segment;
    if (log->last_sync == sync)
        log->last_sync = NULL;
    segment->pins--;
    sync->next_free = log->free_syncs;
    log->free_syncs = sync;
    if (job->result < 0) {
        char name[BAO_SEGMENT_NAME_BYTES];
        bao_segment_name(segment->number, name);
        bao_log_fail(log, "syncing failed", name, job->result);
    }
    if (log->failed)
        return;
    BAO_ASSERT(sync->lsn >= log->marks.synced);
    BAO_ASSERT(sync->lsn <= log->marks.written);
    log->stats.syncs++;
    log->marks.synced = sync->lsn;
    segment->synced_lsn = sync->lsn;
    segment->synced_bytes = sync->bytes;
    log->idle_us = UINT64_MAX;
}

static struct bao_log_sync *new_sync(struct bao_log *log)
{
    struct bao_log_sync *sync = log->free_syncs;
    if (sync != NULL) {
        log->free_syncs = sync->next_free;
    } else {
        sync = malloc(sizeof *sync);
        if (sync == NULL)
            return NULL;
        sync->next_made = log->syncs;
        log->syncs = sync;
    }
    *sync = (struct bao_log_sync){
        .next_made = sync->next_made,
        .job = {.run = run, .done = done, .lane = BAO_LOG_LANE_SYNC},
        .log = log,
    };
    return sync;
}

void bao_log_sync_push(struct bao_log *log,
                       struct bao_log_segment *segment,
                       uint64_t lsn)
{
    struct bao_log_sync *last = log->last_sync;
    BAO_ASSERT(lsn <= log->marks.written);
    if (last != NULL && last->segment == segment) {
        bao_log_jobs_lock(&log->jobs);
        bool waits = bao_log_job_is_queued(&log->jobs, &last->job);
        if (waits) {
            last->lsn = lsn;
            last->bytes = segment->bytes;
        }
        bao_log_jobs_unlock(&log->jobs);
        if (waits)
            return;
    }
    struct bao_log_sync *sync = new_sync(log);
    if (sync == NULL) {
        bao_log_fail(log, "syncing failed", "memory", -ENOMEM);
        return;
    }
    sync->segment = segment;
    sync->file = segment->file;
    sync->lsn = lsn;
    sync->bytes = segment->bytes;
    segment->pins++;
    log->last_sync = sync;
    bao_log_job_submit(&log->jobs, &sync->job);
}

void bao_log_sync_turn(struct bao_log *log)
{
    if (log->failed)
        return;
    if (log->now_us >= log->lazy_us && log->batch_count == 0)
        bao_log_write(log, log->now_us, false);
    bool idle = log->marks.synced == log->last_lsn && log->batch_count == 0 &&
                log->mark_lsn != log->last_lsn;
    if (!idle)
        log->idle_us = UINT64_MAX;
    else if (log->idle_us == UINT64_MAX)
        log->idle_us = log->now_us + BAO_LOG_MARK_IDLE_US;
    else if (log->now_us >= log->idle_us)
        bao_log_put_mark(log);
}

void bao_log_sync_fini(struct bao_log *log)
{
    while (log->syncs != NULL) {
        struct bao_log_sync *sync = log->syncs;
        log->syncs = sync->next_made;
        free(sync);
    }
}
