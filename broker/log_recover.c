/*
 * log_recover.c - from a folder to a log that can go on.
 *
 *   manifest -> every listed segment is there and has its head
 *            -> a good checkpoint (the older one, if the newer is damaged)
 *            -> the tail: walked, cut, judged (log_tail.c)
 *            -> rewritten into a fresh segment and synced (log_rewrite.c)
 *            -> a manifest that says so, in both copies
 *
 * The first three are bao_log_open(), the others come in bao_log_replay(),
 * when all sealed records were read: a start that is refused changes nothing.
 * Until the last step nothing of the old state is changed, so a crash in
 * between begins anew. Nothing is removed on the word of a single copy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"

enum baozi_status bao_log_corrupt(struct bao_log_report *report,
                                  const char *file,
                                  uint64_t offset,
                                  uint64_t lsn,
                                  const char *why)
{
    report->corrupt = true;
    report->offset = offset;
    report->lsn = lsn;
    report->problem.exit_code = BAO_EXIT_IO;
    (void)snprintf(report->file, sizeof report->file, "%s", file);
    char queue[40] = "";
    if (report->queue != 0)
        (void)snprintf(queue,
                       sizeof queue,
                       ", queue number %llu",
                       (unsigned long long)report->queue);
    bao_problem_what(&report->problem,
                     "the log is damaged: %s, offset %llu, lsn %llu%s",
                     file,
                     (unsigned long long)offset,
                     (unsigned long long)lsn,
                     queue);
    bao_problem_why(&report->problem,
                    "%s; the log was synced up to lsn %llu",
                    why,
                    (unsigned long long)report->durable);
    bao_problem_remedy(&report->problem,
                       "restore a backup, or set the damaged part aside with "
                       "`baozi log repair --quarantine %s`",
                       report->folder != NULL ? report->folder : "DIR");
    return BAOZI_STORAGE_FAILED;
}

/* --- listed segments --- */

static enum baozi_status check_listed(struct bao_log *log,
                                      const struct bao_manifest_segment *listed,
                                      struct bao_log_report *report)
{
    const struct bao_storage *storage = log->storage;
    uint8_t bytes[BAO_SEGMENT_HEAD_BYTES];
    struct bao_segment_head head;
    char name[BAO_SEGMENT_NAME_BYTES];
    uint64_t size = 0;
    bao_segment_name(listed->number, name);
    int file = storage->open(storage->context, name, BAO_STORAGE_FIND, &size);
    if (file == -ENOENT)
        return bao_log_corrupt(
            report, name, 0, listed->first_lsn, "the segment is not there");
    if (file < 0)
        return bao_log_complain(report, "opening failed", name, file);
    int error = size < sizeof bytes
                    ? 0
                    : bao_log_read_all(storage, file, bytes, sizeof bytes, 0);
    storage->close(storage->context, file);
    if (error < 0)
        return bao_log_complain(report, "reading failed", name, error);
    if (size < listed->bytes || size < sizeof bytes)
        return bao_log_corrupt(
            report, name, size, listed->first_lsn, "the segment is cut");
    if (!bao_segment_decode(bytes, &head) || head.number != listed->number ||
        head.directory != log->directory || head.salt != listed->salt)
        return bao_log_corrupt(report,
                               name,
                               0,
                               listed->first_lsn,
                               "the head of the segment is damaged");
    return BAOZI_OK;
}

static enum baozi_status adopt_listed(struct bao_log *log,
                                      const struct bao_manifest *manifest,
                                      struct bao_log_report *report)
{
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        const struct bao_manifest_segment *listed = &manifest->segments[i];
        enum baozi_status status = check_listed(log, listed, report);
        if (status != BAOZI_OK)
            return status;
        struct bao_log_segment *segment =
            bao_log_segment_new(log, listed->number);
        if (segment == NULL)
            return BAOZI_NO_MEMORY;
        segment->state = BAO_LOG_SEGMENT_CLOSED;
        segment->salt = listed->salt;
        segment->first_lsn = listed->first_lsn;
        segment->last_lsn = listed->last_lsn;
        segment->synced_lsn = listed->last_lsn;
        segment->bytes = listed->bytes;
        segment->synced_bytes = listed->bytes;
        segment->file_bytes = listed->file_bytes;
        segment->whole = listed->closed && /* by a start, most likely */
                         listed->bytes / 3 < listed->file_bytes / 8;
        bao_log_segment_list(log, segment);
    }
    return BAOZI_OK;
}

/* --- checkpoints --- */

static enum baozi_status choose_checkpoint(struct bao_log *log,
                                           const struct bao_manifest *manifest,
                                           struct bao_log_report *report)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    char name[BAO_CHECKPOINT_NAME_BYTES];
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++) {
        /* The older one is trusted until it is needed. */
        enum baozi_status status =
            checkpoint->kept_count > 0
                ? BAOZI_OK
                : bao_log_checkpoint_walk(
                      log->storage, &manifest->checkpoints[i], NULL, NULL);
        if (status == BAOZI_NO_MEMORY)
            return status;
        if (status == BAOZI_OK)
            checkpoint->kept[checkpoint->kept_count++] =
                manifest->checkpoints[i];
        else
            report->checkpoints_bad++;
    }
    if (checkpoint->kept_count > 0) {
        report->has_checkpoint = true;
        report->checkpoint_index = checkpoint->kept[0].index;
        report->checkpoint_lsn = checkpoint->kept[0].replay_lsn;
        return BAOZI_OK;
    }
    report->checkpoint_lsn = 1;
    if (manifest->checkpoint_count == 0 || log->segment_count == 0 ||
        log->segments[0]->first_lsn == 1)
        return BAOZI_OK; /* the log itself is whole */
    bao_checkpoint_name(manifest->checkpoints[0].number, name);
    return bao_log_corrupt(
        report, name, 0, 0, "no checkpoint is whole, and older records went");
}

/* The records from the checkpoint on are there without a gap. */
static enum baozi_status check_order(const struct bao_log *log,
                                     const struct bao_log_tail *tail,
                                     struct bao_log_report *report)
{
    char name[BAO_SEGMENT_NAME_BYTES] = "the first segment";
    uint64_t lsn = report->checkpoint_lsn;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct bao_log_segment *segment = log->segments[i];
        if (segment->last_lsn < lsn || segment->last_lsn < segment->first_lsn)
            continue;
        bao_segment_name(segment->number, name);
        if (segment->first_lsn > lsn)
            return bao_log_corrupt(report, name, 0, lsn, "records are missing");
        lsn = segment->last_lsn + 1;
    }
    if (tail->first_lsn > lsn || tail->last_lsn + 1 < lsn)
        return bao_log_corrupt(report, name, 0, lsn, "records are missing");
    return BAOZI_OK;
}

/* --- a new folder --- */

static void adopt_config(struct bao_log *log,
                         const struct bao_log_config *config)
{
    uint64_t bytes = config->segment_bytes == 0 ? BAO_LOG_SEGMENT_BYTES
                                                : config->segment_bytes;
    BAO_ASSERT(bytes >= BAO_LOG_SEGMENT_BYTES_MIN && bytes <= UINT32_MAX / 2);
    BAO_ASSERT(bytes % BAO_SEGMENT_HEAD_BYTES == 0);
    log->directory = bao_log_random(log);
    log->stride_bytes = bytes;
    log->next_number = 1;
    log->tail_first = 1;
}

/* The manifests come first: a folder without a good one and without anything
 * else was never used. */
static enum baozi_status make_folder(struct bao_log *log,
                                     struct bao_log_report *report)
{
    const struct bao_storage *storage = log->storage;
    int error = bao_log_manifest_open(log);
    if (error >= 0)
        error = bao_log_manifest_now(log);
    if (error >= 0)
        error = storage->sync_dir(storage->context);
    return error < 0
               ? bao_log_complain(
                     report, "writing failed", bao_log_manifest_names[0], error)
               : BAOZI_OK;
}

/* --- an old one --- */

/* A file that is not part of the log becomes a dropped segment: it is used
 * again, or removed. */
static bool adopt_file(struct bao_log *log, uint64_t number, uint64_t bytes)
{
    struct bao_log_segment *segment = bao_log_segment_new(log, number);
    if (segment == NULL)
        return false;
    segment->state = BAO_LOG_SEGMENT_DROPPED;
    segment->file_bytes = bytes;
    bao_log_segment_list(log, segment);
    return true;
}

/* Segments that were prepared and never used: one of them can take the tail.
 * The one that a seal leads to stays, or it would be missed after a crash. */
static enum baozi_status adopt_prepared(struct bao_log *log,
                                        const struct bao_log_tail *tail)
{
    for (uint32_t i = tail->used; i < tail->part_count; i++) {
        const struct bao_log_part *part = &tail->parts[i];
        if (part->file_bytes > 0 &&
            !adopt_file(log, part->number, part->file_bytes))
            return BAOZI_NO_MEMORY;
    }
    return BAOZI_OK;
}

/* One file of the rest: used again if it can be, else removed at once, so
 * that a start that fails again and again does not fill the disk. */
static enum baozi_status adopt_or_remove(struct bao_log *log, uint64_t number)
{
    const struct bao_storage *storage = log->storage;
    char name[BAO_SEGMENT_NAME_BYTES];
    uint64_t bytes = 0;
    bao_segment_name(number, name);
    int file = storage->open(storage->context, name, BAO_STORAGE_FIND, &bytes);
    if (file < 0)
        return BAOZI_OK; /* it took the tail, under another name */
    storage->close(storage->context, file);
    if (bytes == log->stride_bytes &&
        bao_log_spare_count(log) < BAO_LOG_PREPARED_WANTED)
        return adopt_file(log, number, bytes) ? BAOZI_OK : BAOZI_NO_MEMORY;
    (void)storage->remove(storage->context, name);
    return BAOZI_OK;
}

/* The rest, when both copies say that it is not part of the log. */
static enum baozi_status adopt_unused(struct bao_log *log,
                                      const struct bao_log_folder *folder,
                                      struct bao_log_report *report)
{
    enum baozi_status status = BAOZI_OK;
    for (uint32_t i = 0; i < folder->segments.count && status == BAOZI_OK;
         i++) {
        uint64_t number = folder->segments.numbers[i];
        if (bao_log_segment_at(
                log, bao_address_of(log->stride_bytes, number, 0)) != NULL)
            continue;
        if (number < folder->manifest.tail_first && report->manifests_bad > 0)
            report->strays++;
        else
            status = adopt_or_remove(log, number);
    }
    return status;
}

/* Images that no manifest names. */
static void remove_checkpoints(struct bao_log *log,
                               const struct bao_log_folder *folder,
                               const struct bao_log_report *report)
{
    const struct bao_manifest *manifest = &folder->manifest;
    for (uint32_t i = 0; i < folder->checkpoints.count; i++) {
        char name[BAO_CHECKPOINT_NAME_BYTES];
        bool named = false;
        for (uint32_t k = 0; k < manifest->checkpoint_count; k++)
            named = named || manifest->checkpoints[k].number ==
                                 folder->checkpoints.numbers[i];
        if (named || report->manifests_bad > 0)
            continue; /* also a damaged one: it may tell something yet */
        bao_checkpoint_name(folder->checkpoints.numbers[i], name);
        (void)log->storage->remove(log->storage->context, name);
    }
}

/* Left by a crash, never used. The file of an image stays: it is ballast. */
static void remove_temporary(struct bao_log *log)
{
    const struct bao_storage *storage = log->storage;
    (void)storage->remove(storage->context, bao_log_prepare_name);
    (void)storage->remove(storage->context, bao_log_again_name);
}

static void adopt_manifest(struct bao_log *log,
                           const struct bao_log_folder *folder)
{
    const struct bao_manifest *manifest = &folder->manifest;
    log->directory = manifest->directory;
    log->stride_bytes = manifest->stride_bytes;
    log->tail_first = manifest->tail_first;
    log->next_number = manifest->next_number;
    log->epoch_floor = manifest->epoch_floor;
    log->manifest.generation = manifest->generation;
    for (uint32_t i = 0; i < folder->segments.count; i++) {
        if (folder->segments.numbers[i] >= log->next_number)
            log->next_number = folder->segments.numbers[i] + 1;
    }
    for (uint32_t i = 0; i < folder->checkpoints.count; i++) {
        if (folder->checkpoints.numbers[i] > log->checkpoint.last_number)
            log->checkpoint.last_number = folder->checkpoints.numbers[i];
    }
}

/* The last listed segment ends where it was sealed: what followed is in the
 * fresh one. If nothing in it was sealed, it is not needed at all. Answers it,
 * if it is to be cut. */
static struct bao_log_segment *end_listed(struct bao_log *log,
                                          const struct bao_manifest *manifest)
{
    uint32_t count = manifest->segment_count;
    if (count == 0 || manifest->segments[count - 1].closed)
        return NULL;
    struct bao_log_segment *last = bao_log_segment_at(
        log,
        bao_address_of(
            log->stride_bytes, manifest->segments[count - 1].number, 0));
    BAO_ASSERT(last != NULL);
    if (last->last_lsn >= last->first_lsn) {
        last->whole = bao_log_is_short(log);
        if (last->whole)
            return NULL; /* see bao_log_cut_ended() */
        last->file_bytes = last->bytes;
        return last;
    }
    last->state = BAO_LOG_SEGMENT_DROPPED;
    last->drop_generation = log->manifest.generation + 1;
    return NULL;
}

/* Gives the rest of its file back; it does not matter if that fails. */
static void cut(struct bao_log *log, struct bao_log_segment *segment)
{
    int file = segment == NULL ? -1 : bao_log_segment_file(log, segment);
    if (file < 0)
        return;
    (void)log->storage->resize(log->storage->context, file, segment->bytes);
    bao_log_segment_close_file(log, segment);
}

void bao_log_cut_ended(struct bao_log *log)
{
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (segment->state != BAO_LOG_SEGMENT_CLOSED || !segment->whole ||
            (uint64_t)segment->live_bytes * 2 < segment->file_bytes)
            continue;
        cut(log, segment);
        segment->file_bytes = segment->bytes;
        segment->whole = false;
        bao_log_manifest_want(log);
    }
}

static enum baozi_status judge_folder(struct bao_log *log,
                                      const struct bao_log_folder *folder,
                                      struct bao_log_tail *tail,
                                      struct bao_log_report *report)
{
    enum baozi_status status = adopt_listed(log, &folder->manifest, report);
    if (status == BAOZI_OK)
        status = choose_checkpoint(log, &folder->manifest, report);
    if (status == BAOZI_OK)
        status = bao_log_tail_read(log, folder, tail, report);
    if (status == BAOZI_OK)
        status = check_order(log, tail, report);
    return status;
}

static enum baozi_status change_folder(struct bao_log *log,
                                       const struct bao_log_folder *folder,
                                       const struct bao_log_tail *tail,
                                       struct bao_log_report *report)
{
    remove_temporary(log);
    int error = report->fresh ? 0 : bao_log_manifest_open(log);
    if (error < 0)
        return bao_log_complain(
            report, "opening failed", bao_log_manifest_names[0], error);
    enum baozi_status status = adopt_prepared(log, tail);
    if (status == BAOZI_OK)
        status = bao_log_rewrite(log, tail, report);
    if (status != BAOZI_OK)
        return status;
    struct bao_log_segment *ended = end_listed(log, &folder->manifest);
    error = bao_log_manifest_now(log);
    if (error < 0)
        return bao_log_complain(
            report, "writing failed", bao_log_manifest_names[0], error);
    cut(log, ended);
    remove_checkpoints(log, folder, report);
    return adopt_unused(log, folder, report);
}

/* What was logged since the checkpoint, so that the next one is due in time.
 */
static uint64_t bytes_since(const struct bao_log *log, uint64_t lsn)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        const struct bao_log_segment *segment = log->segments[i];
        if (segment->state != BAO_LOG_SEGMENT_PREPARED &&
            segment->state != BAO_LOG_SEGMENT_DROPPED &&
            segment->last_lsn >= lsn)
            bytes += segment->bytes;
    }
    return bytes;
}

enum baozi_status bao_log_recover(struct bao_log *log,
                                  const struct bao_log_config *config,
                                  struct bao_log_report *report)
{
    struct bao_log_start *start = calloc(1, sizeof *start);
    if (start == NULL)
        return BAOZI_NO_MEMORY;
    log->start = start;
    start->tail.first_lsn = 1;
    enum baozi_status status = bao_log_folder_read(log, &start->folder, report);
    if (status == BAOZI_OK && report->fresh) {
        adopt_config(log, config);
        report->checkpoint_lsn = 1;
    } else if (status == BAOZI_OK) {
        adopt_manifest(log, &start->folder);
        report->epoch_floor = log->epoch_floor;
        status = judge_folder(log, &start->folder, &start->tail, report);
    }
    log->last_lsn = start->tail.last_lsn;
    report->last_lsn = log->last_lsn;
    return status;
}

enum baozi_status bao_log_settle(struct bao_log *log,
                                 struct bao_log_report *report)
{
    struct bao_log_start *start = log->start;
    enum baozi_status status =
        report->fresh ? make_folder(log, report) : BAOZI_OK;
    if (status == BAOZI_OK)
        status = change_folder(log, &start->folder, &start->tail, report);
    log->checkpoint.before_bytes = bytes_since(log, report->checkpoint_lsn);
    bao_log_start_fini(log);
    return status;
}

void bao_log_start_fini(struct bao_log *log)
{
    if (log->start == NULL)
        return;
    bao_log_tail_fini(&log->start->tail);
    bao_log_folder_fini(&log->start->folder);
    free(log->start);
    log->start = NULL;
}
