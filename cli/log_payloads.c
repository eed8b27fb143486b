/*
 * log_payloads.c - see log_payloads.h.
 *
 * A start finds an item without an address of its payload and ends it as
 * purged, in a folder that was repaired (broker/recover.c). So a payload is
 * given up by a checkpoint that does not have its address.
 */
#include "cli/log_payloads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/log_image.h"
#include "cli/log_write.h"
#include "common/crc32c.h"
#include "common/limits.h"

/* --- which are damaged --- */

static bool holds(const struct log_payloads *found, size_t i, uint64_t address)
{
    const struct log_folder *folder = found->folder;
    const struct log_segment *segment = &folder->segments[i];
    const uint64_t begin = segment->number * folder->manifest.stride_bytes;
    return segment->listed && address >= begin &&
           address - begin < segment->seal.bytes;
}

/* The listed segment with that address, or NULL. */
static const struct log_segment *segment_of(struct log_payloads *found,
                                            uint64_t address)
{
    const struct log_folder *folder = found->folder;
    if (found->hint < folder->count && holds(found, found->hint, address))
        return &folder->segments[found->hint];
    for (size_t i = 0; i < folder->count; i++) {
        if (!holds(found, i, address))
            continue;
        found->hint = i;
        return &folder->segments[i];
    }
    return NULL;
}

/* The bytes at its place; absent where a start looks by itself, or where the
 * segment is gone: then its item ended since. */
static struct bao_span bytes_of(struct log_payloads *found,
                                const struct bao_disk_payload *payload)
{
    const struct log_segment *segment = segment_of(found, payload->address);
    if (segment == NULL ||
        (segment->seal.last_lsn >= found->replay_lsn && !segment->edited))
        return bao_span_of(NULL, 0);
    const uint64_t offset =
        payload->address -
        segment->number * found->folder->manifest.stride_bytes;
    if (offset > segment->bytes.bytes ||
        payload->bytes > segment->bytes.bytes - offset)
        return bao_span_of(NULL, 0); /* it is cut: the walk says so */
    return bao_span_of(segment->bytes.data + offset, payload->bytes);
}

static bool look_at(void *context, const struct bao_disk_payload *payload)
{
    struct log_payloads *found = context;
    const struct bao_span bytes = bytes_of(found, payload);
    if (bytes.data == NULL ||
        bao_crc32c(0, bytes.data, bytes.bytes) == payload->crc)
        return true;
    if (found->count == found->room) {
        const size_t room = found->room == 0 ? 16 : 2 * found->room;
        struct bao_disk_payload *grown =
            realloc(found->list, room * sizeof *grown);
        if (grown == NULL) {
            found->no_memory = true;
            return true;
        }
        found->list = grown;
        found->room = room;
    }
    found->list[found->count++] = *payload;
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct bao_disk_payload *left = a;
    const struct bao_disk_payload *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static struct bao_disk_payload *
find(const struct log_payloads *found, uint64_t id, bool result)
{
    const struct bao_disk_payload key = {.id = id};
    struct bao_disk_payload *one =
        found->count == 0
            ? NULL
            : bsearch(&key, found->list, found->count, sizeof key, compare);
    return one != NULL && one->result == result ? one : NULL;
}

/* Its bytes lie elsewhere by now. */
static void note_copy(void *context,
                      const struct log_segment *segment,
                      uint64_t offset,
                      const struct bao_record_head *head,
                      struct bao_span data)
{
    struct log_payloads *found = context;
    (void)segment;
    (void)offset;
    if (head->kind != BAO_RECORD_COPY || head->lsn < found->replay_lsn)
        return;
    struct bao_disk_payload *one = find(found, head->index, head->term != 0);
    if (one != NULL && one->bytes == data.bytes)
        one->address = 0;
}

static void pass(void *context, const struct log_damage *damage)
{
    (void)context;
    (void)damage;
}

static void leave_out_moved(struct log_payloads *found)
{
    struct log_walk walk = {
        .context = found, .record = note_copy, .damage = pass};
    size_t count = 0;
    log_folder_walk(found->folder, &walk);
    for (size_t i = 0; i < found->count; i++) {
        if (found->list[i].address != 0)
            found->list[count++] = found->list[i];
    }
    found->count = count;
}

bool log_payloads_find(const struct log_folder *folder,
                       struct log_payloads *found)
{
    const struct bao_manifest_checkpoint *newest =
        log_checkpoint_newest(folder);
    *found = (struct log_payloads){.folder = folder};
    if (newest == NULL)
        return true;
    found->replay_lsn = newest->replay_lsn;
    if (!log_image_read(folder, newest, look_at, found) || found->no_memory)
        return false;
    if (found->count == 0)
        return true;
    qsort(found->list, found->count, sizeof *found->list, compare);
    leave_out_moved(found);
    return true;
}

void log_payloads_free(struct log_payloads *found)
{
    free(found->list);
}

struct log_damage log_payload_damage(const struct log_payloads *found,
                                     const struct bao_disk_payload *payload)
{
    struct log_damage damage = {
        .queue = payload->id >> BAO_ID_SHIFT,
        .item = payload->id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1),
        .why = payload->result ? "the result that a done item left is damaged"
                               : "the payload of an item is damaged"};
    const uint64_t stride = found->folder->manifest.stride_bytes;
    for (size_t i = 0; i < found->folder->count; i++) {
        if (!holds(found, i, payload->address))
            continue;
        const uint64_t number = found->folder->segments[i].number;
        bao_segment_name(number, damage.file);
        damage.offset = payload->address - number * stride;
    }
    return damage;
}

/* --- given up --- */

static bool write_one(const struct log_payloads *found,
                      const struct bao_disk_payload *payload,
                      FILE *list,
                      FILE *data)
{
    struct log_payloads look = *found;
    const struct bao_span bytes = bytes_of(&look, payload);
    if (bytes.data == NULL)
        return false; /* only what was read is in the list */
    const struct log_damage damage = log_payload_damage(found, payload);
    return fprintf(list,
                   "%s offset=%" PRIu64 " bytes=%" PRIu32 " queue=%" PRIu64
                   " item=%" PRIu64 " %s\n",
                   damage.file,
                   damage.offset,
                   payload->bytes,
                   damage.queue,
                   damage.item,
                   payload->result ? "result" : "body") > 0 &&
           fwrite(bytes.data, 1, bytes.bytes, data) == bytes.bytes;
}

bool log_payloads_set_aside(const struct log_payloads *found, const char *aside)
{
    FILE *list = log_write_begin(found->folder, aside, "payloads.txt");
    FILE *data = log_write_begin(found->folder, aside, "payloads");
    bool good = list != NULL && data != NULL;
    for (size_t i = 0; i < found->count && good; i++)
        good = write_one(found, &found->list[i], list, data);
    good = log_write_end(list) && good;
    good = log_write_end(data) && good;
    return good;
}

static bool is_kept(void *context, const struct bao_disk_payload *payload)
{
    const struct log_payloads *found = context;
    const struct bao_disk_payload *one =
        find(found, payload->id, payload->result);
    return one == NULL || one->address != payload->address;
}

bool log_payloads_forget(struct log_payloads *found,
                         struct bao_manifest_checkpoint *checkpoint,
                         uint64_t number)
{
    char name[BAO_CHECKPOINT_NAME_BYTES];
    size_t bytes = 0;
    uint8_t *data =
        log_image_write(found->folder, checkpoint, is_kept, found, &bytes);
    bao_checkpoint_name(number, name);
    const bool good =
        data != NULL && log_write(found->folder, name, data, bytes);
    free(data);
    checkpoint->number = number;
    checkpoint->bytes = bytes;
    return good;
}
