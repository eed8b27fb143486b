/*
 * log_rebuild.c - a manifest made from nothing but segments and checkpoints,
 * when both copies are gone.
 *
 * From the newest segment backwards: of each older one counts what comes
 * before the first record of the newer, up to a whole batch. So an old tail
 * that had been rewritten and not removed yet is not taken twice.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/log_folder.h"
#include "common/time.h"

struct extent {
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t offset; /* behind the last */
};

/* The whole batches of a segment with lsns below `end_lsn`; if all of it is
 * below, also the batch that goes on in the next one. */
static bool measure(const struct log_segment *segment,
                    uint64_t end_lsn,
                    struct extent *extent)
{
    struct bao_scan scan;
    struct bao_record_head head;
    struct bao_span data;
    bool sealed = false;
    if (!segment->has_head ||
        segment->bytes.bytes < BAO_SEGMENT_HEAD_BYTES + BAO_RECORD_HEAD_BYTES ||
        !bao_record_decode(segment->bytes.data + BAO_SEGMENT_HEAD_BYTES,
                           &head) ||
        head.salt != segment->head.salt || head.lsn >= end_lsn)
        return false;
    *extent = (struct extent){.first_lsn = head.lsn,
                              .last_lsn = head.lsn - 1,
                              .offset = BAO_SEGMENT_HEAD_BYTES};
    bao_scan_begin(&scan, head.lsn);
    bao_scan_enter(
        &scan, segment->bytes, segment->head.salt, BAO_SEGMENT_HEAD_BYTES);
    while (!sealed && scan.lsn < end_lsn &&
           bao_scan_next(&scan, &head, &data) == BAO_SCAN_RECORD) {
        sealed = head.kind == BAO_RECORD_SEAL;
        if (bao_scan_is_whole(&scan) || (sealed && scan.lsn == end_lsn)) {
            extent->last_lsn = head.lsn;
            extent->offset = scan.offset;
        }
    }
    return extent->last_lsn >= extent->first_lsn;
}

static void list_segments(struct log_folder *folder)
{
    struct bao_manifest *manifest = &folder->manifest;
    uint64_t end_lsn = UINT64_MAX;
    for (size_t i = folder->count; i > 0; i--) {
        struct log_segment *segment = &folder->segments[i - 1];
        struct extent extent;
        if (!measure(segment, end_lsn, &extent))
            continue;
        segment->listed = true;
        segment->seal = (struct bao_manifest_segment){
            .number = segment->number,
            .first_lsn = extent.first_lsn,
            .last_lsn = extent.last_lsn,
            .bytes = extent.offset,
            .file_bytes = segment->bytes.bytes,
            .salt = segment->head.salt,
            .closed = true,
        };
        if (end_lsn == UINT64_MAX)
            manifest->durable_lsn = extent.last_lsn;
        end_lsn = extent.first_lsn;
        manifest->directory = segment->head.directory;
        manifest->stride_bytes = segment->head.stride_bytes;
    }
    for (size_t i = 0; i < folder->count; i++) {
        manifest->next_number = folder->segments[i].number + 1;
        if (folder->segments[i].listed)
            manifest->segments[manifest->segment_count++] =
                folder->segments[i].seal;
    }
    manifest->tail_first = manifest->next_number;
}

/* What the last block of a checkpoint says of it. */
static bool read_trailer(const struct log_folder *folder,
                         uint64_t number,
                         struct bao_manifest_checkpoint *checkpoint)
{
    char name[BAO_CHECKPOINT_NAME_BYTES];
    struct bao_block block = {0};
    struct bao_block_trailer trailer;
    uint64_t offset = 0;
    bao_checkpoint_name(number, name);
    struct bao_span bytes = log_folder_map(folder, name);
    bool good = bytes.bytes > 0;
    for (uint32_t sequence = 0; good && !block.last; sequence++) {
        good = bao_block_decode(
            bao_span_of(bytes.data + offset, bytes.bytes - offset),
            sequence,
            &block);
        offset += good ? block.bytes : 0;
    }
    good = good && bao_block_trailer_decode(&block, &trailer);
    if (good)
        *checkpoint = (struct bao_manifest_checkpoint){
            .number = number,
            .index = trailer.index,
            .replay_lsn = trailer.replay_lsn,
            .bytes = offset,
        };
    log_folder_unmap(bytes);
    return good;
}

static void list_checkpoints(struct log_folder *folder)
{
    struct bao_manifest *manifest = &folder->manifest;
    for (uint64_t number = folder->checkpoint_last;
         number > 0 && folder->checkpoint_last - number < 16 &&
         manifest->checkpoint_count < BAO_MANIFEST_CHECKPOINTS;
         number--) {
        struct bao_manifest_checkpoint *checkpoint =
            &manifest->checkpoints[manifest->checkpoint_count];
        if (read_trailer(folder, number, checkpoint))
            manifest->checkpoint_count++;
    }
}

int log_manifest_rebuild(const struct cli *cli, struct log_folder *folder)
{
    struct bao_manifest *manifest = &folder->manifest;
    free(manifest->segments);
    *manifest = (struct bao_manifest){
        .format = BAO_DISK_FORMAT,
        .generation = bao_time_wall_us(),
        .segments =
            calloc(folder->count + 1, sizeof(struct bao_manifest_segment)),
    };
    for (int i = 0; i < 2; i++) {
        if (folder->copies[i] == BAO_MANIFEST_NEWER)
            return bao_complain(cli->name,
                                BAO_EXIT_PROTOCOL,
                                "a newer version of baozi wrote this folder",
                                NULL,
                                "repair it with that version");
    }
    if (manifest->segments == NULL)
        return bao_complain(cli->name,
                            BAO_EXIT_IO,
                            "the folder could not be looked at",
                            "memory ran out",
                            "free memory, then repeat");
    list_segments(folder);
    list_checkpoints(folder);
    bool from_start =
        manifest->segment_count > 0 && manifest->segments[0].first_lsn == 1;
    if (manifest->segment_count > 0 &&
        (manifest->checkpoint_count > 0 || from_start)) {
        folder->has_manifest = true;
        return BAO_EXIT_OK;
    }
    return bao_complain(cli->name,
                        BAO_EXIT_IO,
                        "this cannot be repaired; nothing was changed",
                        "both copies of the manifest are gone, and neither a "
                        "checkpoint nor the beginning of the log is there",
                        "restore a backup");
}
