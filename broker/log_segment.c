/*
 * log_segment.c - the table of segments: who is where, what is live, and who
 * may go.
 *
 * A segment goes when it is closed and sealed, every record in it is older
 * than both checkpoints, nothing in it is live, and what made it so (the
 * copies, the facts that ended items) is synced. It is dropped first: the
 * next manifest does not name it. When both copies say so, its file is used
 * again or removed (log_prepare.c).
 */
#include <errno.h>

#include "broker/log_inner.h"
#include "common/check.h"
#include "common/planted.h"

struct bao_log_segment *bao_log_segment_new(struct bao_log *log,
                                            uint64_t number)
{
    struct bao_log_segment *segment = log->free;
    if (segment == NULL)
        return NULL;
    log->free = segment->next_free;
    *segment = (struct bao_log_segment){.number = number, .file = -1};
    return segment;
}

void bao_log_segment_free(struct bao_log *log, struct bao_log_segment *segment)
{
    BAO_ASSERT(segment->file < 0 && segment->pins == 0);
    segment->next_free = log->free;
    log->free = segment;
}

/* Index of the first segment with a number above `number`. */
static uint32_t above(const struct bao_log *log, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = log->segment_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (log->segments[middle]->number <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void bao_log_segment_list(struct bao_log *log, struct bao_log_segment *segment)
{
    uint32_t at = above(log, segment->number);
    BAO_ASSERT(log->segment_count < log->segments_max);
    memmove(&log->segments[at + 1],
            &log->segments[at],
            (log->segment_count - at) * sizeof *log->segments);
    log->segments[at] = segment;
    log->segment_count++;
}

void bao_log_segment_unlist(struct bao_log *log,
                            struct bao_log_segment *segment)
{
    uint32_t at = above(log, segment->number);
    BAO_ASSERT(at > 0 && log->segments[at - 1] == segment);
    memmove(&log->segments[at - 1],
            &log->segments[at],
            (log->segment_count - at) * sizeof *log->segments);
    log->segment_count--;
}

static bool holds(const struct bao_log_segment *segment,
                  uint64_t stride_bytes,
                  uint64_t address)
{
    uint64_t start = segment->number * stride_bytes;
    return address >= start && address - start < segment->file_bytes;
}

/* Its place in the table, or segment_count if there is none. */
static uint32_t find_at(const struct bao_log *log, uint64_t address)
{
    uint32_t hint = log->hint;
    if (hint < log->segment_count &&
        holds(log->segments[hint], log->stride_bytes, address))
        return hint;
    uint32_t at = above(log, address / log->stride_bytes);
    if (at == 0 || !holds(log->segments[at - 1], log->stride_bytes, address))
        return log->segment_count;
    return at - 1;
}

struct bao_log_segment *bao_log_segment_at(const struct bao_log *log,
                                           uint64_t address)
{
    uint32_t at = find_at(log, address);
    return at < log->segment_count ? log->segments[at] : NULL;
}

struct bao_log_segment *bao_log_segment_prepared(const struct bao_log *log)
{
    for (uint32_t i = log->segment_count; i > 0; i--) {
        struct bao_log_segment *segment = log->segments[i - 1];
        if (segment->state != BAO_LOG_SEGMENT_PREPARED)
            return i < log->segment_count ? log->segments[i] : NULL;
    }
    return log->segment_count > 0 ? log->segments[0] : NULL;
}

/* --- files --- */

void bao_log_segment_close_file(struct bao_log *log,
                                struct bao_log_segment *segment)
{
    if (segment->file < 0)
        return;
    log->storage->close(log->storage->context, segment->file);
    segment->file = -1;
    if (segment->state == BAO_LOG_SEGMENT_CLOSED)
        log->files_open--;
}

/* Closes the file of closed segments that was not used for longest. */
static void close_oldest(struct bao_log *log)
{
    struct bao_log_segment *oldest = NULL;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (segment->state == BAO_LOG_SEGMENT_CLOSED && segment->file >= 0 &&
            segment->pins == 0 &&
            (oldest == NULL || segment->used < oldest->used))
            oldest = segment;
    }
    if (oldest != NULL)
        bao_log_segment_close_file(log, oldest);
}

int bao_log_segment_file(struct bao_log *log, struct bao_log_segment *segment)
{
    char name[BAO_SEGMENT_NAME_BYTES];
    segment->used = ++log->files_clock;
    if (segment->file >= 0)
        return segment->file;
    if (log->files_open >= BAO_LOG_FILES_MAX)
        close_oldest(log);
    bao_segment_name(segment->number, name);
    int file =
        log->storage->open(log->storage->context, name, BAO_STORAGE_FIND, NULL);
    if (file < 0)
        return file;
    segment->file = file;
    if (segment->state == BAO_LOG_SEGMENT_CLOSED)
        log->files_open++;
    return file;
}

/* --- what is live --- */

/* `segment` is where `address` lies, or NULL. */
static bool has(const struct bao_log *log,
                const struct bao_log_segment *segment,
                uint64_t address,
                uint64_t bytes)
{
    if (segment == NULL || segment->state == BAO_LOG_SEGMENT_PREPARED ||
        segment->state == BAO_LOG_SEGMENT_DROPPED)
        return false;
    const uint64_t start = segment->number * log->stride_bytes;
    return address + bytes - start <=
           (segment == log->open ? log->offset : segment->bytes);
}

bool bao_log_has(const struct bao_log *log, uint64_t address, uint64_t bytes)
{
    return has(log, bao_log_segment_at(log, address), address, bytes);
}

void bao_log_live(struct bao_log *log, uint64_t address, int64_t bytes)
{
    log->hint = find_at(log, address);
    BAO_ASSERT(log->hint < log->segment_count);
    struct bao_log_segment *segment = log->segments[log->hint];
    BAO_ASSERT(bytes >= 0 || segment->live_bytes >= -bytes);
    segment->live_bytes += bytes;
    log->stats.live_bytes += (uint64_t)bytes;
    if (segment->live_bytes == 0)
        segment->dead_lsn = log->last_lsn;
}

uint64_t bao_log_keep_lsn(const struct bao_log *log)
{
    const struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    if (BAO_PLANTED(KEEP_NOTHING))
        return UINT64_MAX;
    /* Both copies of the manifest must name both. */
    if (checkpoint->kept_count < BAO_MANIFEST_CHECKPOINTS ||
        log->manifest.saved < checkpoint->kept_generation)
        return 0;
    return checkpoint->kept[checkpoint->kept_count - 1].replay_lsn;
}

static bool may_go(const struct bao_log *log,
                   const struct bao_log_segment *segment)
{
    return segment->state == BAO_LOG_SEGMENT_CLOSED &&
           segment->last_lsn < bao_log_keep_lsn(log) &&
           (segment->live_bytes == 0 || BAO_PLANTED(SEGMENT_EARLY)) &&
           segment->pins == 0 && segment->dead_lsn <= log->marks.synced;
}

void bao_log_segments_turn(struct bao_log *log)
{
    if (log->failed)
        return;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (segment->last_lsn >= bao_log_keep_lsn(log))
            break;
        if (!may_go(log, segment))
            continue;
        bao_log_segment_close_file(log, segment);
        segment->state = BAO_LOG_SEGMENT_DROPPED;
        segment->drop_generation = log->manifest.generation + 1;
        bao_log_manifest_want(log);
    }
}

/* --- reading --- */

static int run_read(struct bao_log_job *job)
{
    struct bao_log_read *read = BAO_OF(job, struct bao_log_read, job);
    struct bao_log *log = read->log;
    uint64_t start = read->segment->number * log->stride_bytes;
    return bao_log_read_all(log->storage,
                            read->file,
                            read->data,
                            read->bytes,
                            read->address - start);
}

static void read_done(struct bao_log_job *job)
{
    struct bao_log_read *read = BAO_OF(job, struct bao_log_read, job);
    read->segment->pins--;
    read->status = job->result < 0 ? BAOZI_STORAGE_FAILED : BAOZI_OK;
    read->done(read, read->context);
}

/* The segment, if all of it is written there; its file is open then. */
static enum baozi_status find(struct bao_log *log,
                              uint64_t address,
                              size_t bytes,
                              struct bao_log_segment **found)
{
    struct bao_log_segment *segment = bao_log_segment_at(log, address);
    if (segment != NULL && segment == log->open && log->fill > 0 &&
        address + bytes > segment->number * log->stride_bytes + log->offset)
        bao_log_flush(log); /* it still lies in the buffer */
    if (!has(log, segment, address, bytes))
        return BAOZI_LOST;
    *found = segment;
    return bao_log_segment_file(log, segment) < 0 ? BAOZI_STORAGE_FAILED
                                                  : BAOZI_OK;
}

void bao_log_read(struct bao_log *log, struct bao_log_read *read)
{
    read->log = log;
    read->status = find(log, read->address, read->bytes, &read->segment);
    if (read->status != BAOZI_OK) {
        read->done(read, read->context);
        return;
    }
    read->file = read->segment->file;
    read->segment->pins++;
    read->job = (struct bao_log_job){
        .run = run_read, .done = read_done, .lane = BAO_LOG_LANE_READ};
    bao_log_job_submit(&log->jobs, &read->job);
}

enum baozi_status bao_log_read_now(struct bao_log *log,
                                   uint64_t address,
                                   void *data,
                                   size_t bytes)
{
    struct bao_log_segment *segment = NULL;
    enum baozi_status status = find(log, address, bytes, &segment);
    if (status != BAOZI_OK)
        return status;
    int error = bao_log_read_all(log->storage,
                                 segment->file,
                                 data,
                                 bytes,
                                 address - segment->number * log->stride_bytes);
    return error < 0 ? BAOZI_STORAGE_FAILED : BAOZI_OK;
}

void bao_log_name_place(const struct bao_log *log,
                        uint64_t address,
                        char file[BAO_SEGMENT_NAME_BYTES],
                        uint64_t *offset)
{
    const struct bao_log_segment *segment = bao_log_segment_at(log, address);
    file[0] = '\0';
    *offset = 0;
    if (segment == NULL)
        return;
    bao_segment_name(segment->number, file);
    *offset = address - segment->number * log->stride_bytes;
}
