/*
 * log_heads.c - see log_heads.h.
 *
 * If a file is not the segment that it claims to be, its records have another
 * salt than the manifest says, and the walk finds that.
 */
#include "cli/log_heads.h"

#include "cli/log_write.h"

size_t log_heads_take(struct log_folder *folder)
{
    size_t count = 0;
    for (size_t i = 0; i < folder->count; i++) {
        struct log_segment *segment = &folder->segments[i];
        const struct bao_manifest_segment *seal = &segment->seal;
        if (!segment->listed ||
            (segment->has_head && segment->head.salt == seal->salt) ||
            segment->bytes.bytes < BAO_SEGMENT_HEAD_BYTES)
            continue;
        segment->head = (struct bao_segment_head){
            .format = BAO_DISK_FORMAT,
            .salt = seal->salt,
            .directory = folder->manifest.directory,
            .number = seal->number,
            .bytes = seal->file_bytes,
            .stride_bytes = folder->manifest.stride_bytes,
        };
        segment->has_head = true;
        segment->new_head = true;
        count++;
    }
    return count;
}

static bool write_one(const struct log_folder *folder,
                      const struct log_segment *segment,
                      const char *aside)
{
    uint8_t head[BAO_SEGMENT_HEAD_BYTES];
    char segment_name[BAO_SEGMENT_NAME_BYTES];
    char name[160];
    bao_segment_name(segment->number, segment_name);
    (void)snprintf(name, sizeof name, "%s/%s.head", aside, segment_name);
    bao_segment_encode(&segment->head, head);
    return log_write(folder, name, segment->bytes.data, sizeof head) &&
           log_write(folder, segment_name, head, sizeof head);
}

bool log_heads_write(const struct log_folder *folder, const char *aside)
{
    bool good = true;
    for (size_t i = 0; i < folder->count && good; i++) {
        if (folder->segments[i].new_head)
            good = write_one(folder, &folder->segments[i], aside);
    }
    return good;
}
