/*
 * log_folder.c - what a folder holds: its names, and which manifest counts.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"

static bool add_number(struct bao_log_numbers *numbers, uint64_t number)
{
    if (numbers->count == numbers->room) {
        uint32_t room = numbers->room * 2 + 16;
        uint64_t *grown =
            realloc(numbers->numbers, room * sizeof *numbers->numbers);
        if (grown == NULL)
            return false;
        numbers->numbers = grown;
        numbers->room = room;
    }
    numbers->numbers[numbers->count++] = number;
    return true;
}

static void found(void *argument, const char *name)
{
    struct bao_log_folder *folder = argument;
    uint64_t number = 0;
    for (int i = 0; i < 2; i++) {
        if (strcmp(name, bao_log_manifest_names[i]) == 0)
            folder->has_manifest[i] = true;
    }
    bool good = true;
    if (bao_segment_number(name, &number))
        good = add_number(&folder->segments, number);
    else if (bao_checkpoint_number(name, &number))
        good = add_number(&folder->checkpoints, number);
    folder->no_memory = folder->no_memory || !good;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return *left < *right ? -1 : *left > *right;
}

/* Reads one copy into `manifest`; what is wrong with it. */
static enum bao_manifest_verdict read_copy(struct bao_log *log,
                                           const char *name,
                                           struct bao_manifest *manifest,
                                           int *error)
{
    uint8_t *data = NULL;
    size_t bytes = 0;
    *error = bao_log_read_file(log->storage, name, &data, &bytes);
    if (*error < 0)
        return BAO_MANIFEST_DAMAGED;
    manifest->segments = calloc(bytes / BAO_MANIFEST_SEGMENT_BYTES + 1,
                                sizeof *manifest->segments);
    enum bao_manifest_verdict verdict = BAO_MANIFEST_DAMAGED;
    if (manifest->segments == NULL)
        *error = -ENOMEM;
    else
        verdict = bao_manifest_decode(bao_span_of(data, bytes),
                                      manifest,
                                      log->segments_max - BAO_LOG_PREPARED_MAX);
    free(data);
    return verdict;
}

static enum baozi_status refuse_newer(struct bao_log_report *report,
                                      const char *name)
{
    (void)memcpy(report->file, name, strlen(name) + 1);
    report->problem.exit_code = BAO_EXIT_PROTOCOL;
    bao_problem_what(
        &report->problem, "%s: written by a newer version of baozi", name);
    bao_problem_why(&report->problem,
                    "this one knows formats up to %u; nothing was changed",
                    BAO_DISK_FORMAT);
    bao_problem_remedy(&report->problem,
                       "start the newer version, or another data folder");
    return BAOZI_BAD_VERSION;
}

static enum baozi_status refuse_many(struct bao_log_report *report,
                                     const char *name)
{
    (void)bao_log_complain(report, "too many segments", name, -ENOSPC);
    return BAOZI_STORAGE_FULL;
}

/* Takes `copy` if it is the newer one. */
static void prefer(struct bao_log_folder *folder, struct bao_manifest *copy)
{
    struct bao_manifest *manifest = &folder->manifest;
    if (manifest->segments != NULL &&
        manifest->generation >= copy->generation) {
        free(copy->segments);
        return;
    }
    free(manifest->segments);
    *manifest = *copy;
}

static enum baozi_status read_manifests(struct bao_log *log,
                                        struct bao_log_folder *folder,
                                        struct bao_log_report *report)
{
    for (int i = 0; i < 2; i++) {
        const char *name = bao_log_manifest_names[i];
        struct bao_manifest copy = {0};
        int error = 0;
        enum bao_manifest_verdict verdict = read_copy(log, name, &copy, &error);
        if (verdict == BAO_MANIFEST_GOOD) {
            prefer(folder, &copy);
            continue;
        }
        free(copy.segments);
        if (error < 0 && error != -ENOENT)
            return bao_log_complain(report, "reading failed", name, error);
        if (verdict == BAO_MANIFEST_NEWER)
            return refuse_newer(report, name);
        if (verdict == BAO_MANIFEST_MANY)
            return refuse_many(report, name);
        report->manifests_bad++;
    }
    return BAOZI_OK;
}

enum baozi_status bao_log_folder_read(struct bao_log *log,
                                      struct bao_log_folder *folder,
                                      struct bao_log_report *report)
{
    const struct bao_storage *storage = log->storage;
    int error = storage->list(storage->context, found, folder);
    if (error < 0)
        return bao_log_complain(report, "listing failed", ".", error);
    if (folder->no_memory)
        return BAOZI_NO_MEMORY;
    if (folder->segments.count > 1)
        qsort(folder->segments.numbers,
              folder->segments.count,
              sizeof *folder->segments.numbers,
              compare);
    enum baozi_status status = read_manifests(log, folder, report);
    if (status != BAOZI_OK || folder->manifest.segments != NULL)
        return status;
    /* Neither copy is good. They are made before anything else: if nothing
     * else is there, making them was cut short. */
    if (folder->segments.count == 0 && folder->checkpoints.count == 0) {
        report->fresh = true;
        report->manifests_bad = 0;
        return BAOZI_OK;
    }
    return bao_log_corrupt(report,
                           bao_log_manifest_names[0],
                           0,
                           0,
                           "neither copy of the manifest is whole");
}

void bao_log_folder_fini(struct bao_log_folder *folder)
{
    free(folder->segments.numbers);
    free(folder->checkpoints.numbers);
    free(folder->manifest.segments);
}
