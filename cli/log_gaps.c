/*
 * log_gaps.c - see log_gaps.h.
 */
#include "cli/log_gaps.h"

#include <stdio.h>
#include <unistd.h>

#include "cli/log_write.h"
#include "common/crc32c.h"

/* Where the scan is. */
struct place {
    struct log_segment *segment;
    struct bao_scan scan;
    uint64_t replay_lsn;
    uint64_t close_lsn; /* of the record that is to end a batch, or 0 */
    struct log_gaps gaps;
    bool odd; /* what the batch has is not what was written */
    bool closed;
    bool ended; /* there is nothing more to do */
};

/* True if a start reads the segment. */
static bool is_read(const struct place *place)
{
    return place->segment->seal.last_lsn >= place->replay_lsn;
}

static uint8_t *editable(const struct place *place)
{
    uint8_t *bytes = log_segment_edit(place->segment);
    return bytes == NULL ? NULL : bytes + place->scan.offset;
}

/* Of what is there from `at` on; the scan will meet it next. */
static struct bao_record_head mark_over(const struct place *place,
                                        uint64_t lsn,
                                        const uint8_t *at,
                                        size_t bytes)
{
    return (struct bao_record_head){
        .kind = BAO_RECORD_MARK,
        .bytes = (uint32_t)bytes,
        .lsn = lsn,
        .salt = place->segment->seal.salt,
        .data_crc = bao_crc32c(0, at + BAO_RECORD_HEAD_BYTES, bytes)};
}

/* The next good record of the segment behind the damage that leaves room for
 * what is missing before it; the end of what is sealed if there is none. */
static uint64_t find_next(const struct place *place, uint64_t *lsn)
{
    const struct bao_manifest_segment *seal = &place->segment->seal;
    const struct bao_scan *scan = &place->scan;
    struct bao_record_head head;
    uint64_t at = scan->offset + BAO_RECORD_HEAD_BYTES;
    for (; at + BAO_RECORD_HEAD_BYTES <= seal->bytes; at += BAO_RECORD_ALIGN) {
        if (!bao_record_decode(scan->bytes.data + at, &head) ||
            head.salt != seal->salt || head.lsn <= scan->lsn ||
            head.lsn > seal->last_lsn)
            continue;
        *lsn = head.lsn;
        if ((at - scan->offset) / BAO_RECORD_HEAD_BYTES >= *lsn - scan->lsn)
            return at;
    }
    *lsn = seal->last_lsn + 1;
    return seal->bytes;
}

/* Records of the numbers from the scan's to `next_lsn`, up to `end`: empty
 * ones, and a last one around the bytes that are left. */
static bool fill(struct place *place, uint64_t end, uint64_t next_lsn)
{
    const uint64_t room = end - place->scan.offset;
    const uint64_t count = next_lsn - place->scan.lsn;
    uint8_t *at = editable(place);
    if (at == NULL || count == 0 || room / BAO_RECORD_HEAD_BYTES < count)
        return false;
    uint64_t left = room;
    for (uint64_t i = 0; i < count; i++) {
        left -= BAO_RECORD_HEAD_BYTES;
        struct bao_record_head head = mark_over(
            place, place->scan.lsn + i, at, i + 1 == count ? (size_t)left : 0);
        bao_record_encode(&head, at);
        at += BAO_RECORD_HEAD_BYTES;
    }
    place->gaps.count++;
    place->gaps.last_lsn = next_lsn - 1;
    place->odd = true;
    return true;
}

static bool fill_gap(struct place *place)
{
    uint64_t lsn = 0;
    const uint64_t end = find_next(place, &lsn);
    return fill(place, end, lsn < place->replay_lsn ? lsn : place->replay_lsn);
}

/* The head is good, so it is known how long the record is. */
static bool fill_record(struct place *place, const struct bao_record_head *head)
{
    const uint64_t end = place->scan.offset + bao_record_bytes(head->bytes);
    return end <= place->segment->seal.bytes ? fill(place, end, head->lsn + 1)
                                             : fill_gap(place);
}

/* A trailer for the records that the batch has by now; a MARK if none is left.
 */
static bool end_batch(struct place *place, const struct bao_record_head *was)
{
    const struct bao_scan *scan = &place->scan;
    uint8_t *at = editable(place);
    struct bao_record_head head = *was;
    if (at == NULL)
        return false;
    head.kind = scan->batch_count > 0 ? BAO_RECORD_BATCH_END : BAO_RECORD_MARK;
    head.group = scan->batch_count;
    head.index = scan->batch_count > 0 ? scan->batch_lsn : 0;
    head.data_crc = scan->batch_count > 0
                        ? scan->batch_crc
                        : bao_crc32c(0, at + BAO_RECORD_HEAD_BYTES, head.bytes);
    bao_record_encode(&head, at);
    return true;
}

/* What is wrong at the scan's place is made good; false if it stays. */
static bool mend(struct place *place,
                 enum bao_scan_verdict verdict,
                 const struct bao_record_head *head)
{
    const bool before = place->scan.lsn < place->replay_lsn;
    if (!is_read(place) || place->close_lsn != 0)
        return false;
    if (verdict == BAO_SCAN_BAD_BATCH)
        return (before || place->odd) && end_batch(place, head);
    if (!before)
        return false;
    return verdict == BAO_SCAN_BAD_DATA ? fill_record(place, head)
                                        : fill_gap(place);
}

/* The record at the scan's place becomes a trailer. */
static bool close_batch(struct place *place)
{
    struct bao_scan look = place->scan;
    struct bao_record_head head;
    struct bao_span data;
    return bao_scan_next(&look, &head, &data) == BAO_SCAN_RECORD &&
           end_batch(place, &head);
}

/* Steps through a segment; false at damage that stays. */
static bool go_through(struct place *place)
{
    while (!place->ended && place->scan.lsn <= place->segment->seal.last_lsn) {
        struct bao_record_head head = {0};
        struct bao_span data;
        if (place->scan.lsn == place->close_lsn) {
            place->closed = close_batch(place);
            place->ended = true;
            break;
        }
        const enum bao_scan_verdict verdict =
            bao_scan_next(&place->scan, &head, &data);
        if (verdict != BAO_SCAN_RECORD) {
            if (!mend(place, verdict, &head))
                return false;
            continue;
        }
        if (head.kind == BAO_RECORD_BATCH_END)
            place->odd = false;
        place->ended = !place->odd && place->scan.lsn >= place->replay_lsn;
    }
    return true;
}

/* All that is sealed, as log_folder_walk() goes, so that a batch that began in
 * an earlier segment is whole here too. */
static void go(struct place *place, struct log_folder *folder)
{
    bao_scan_begin(&place->scan, 1);
    for (size_t i = 0; i < folder->count && !place->ended; i++) {
        struct log_segment *segment = &folder->segments[i];
        const struct bao_manifest_segment *seal = &segment->seal;
        if (!segment->listed || seal->last_lsn < seal->first_lsn)
            continue;
        place->segment = segment;
        if (place->scan.lsn != seal->first_lsn)
            bao_scan_begin(&place->scan, seal->first_lsn);
        if (log_segment_is_there(segment)) {
            bao_scan_enter(
                &place->scan,
                bao_span_of(segment->bytes.data, (size_t)seal->bytes),
                seal->salt,
                BAO_SEGMENT_HEAD_BYTES);
            if (go_through(place))
                continue;
        }
        place->ended = is_read(place);
        bao_scan_begin(&place->scan, seal->last_lsn + 1);
        place->odd = false;
    }
}

struct log_gaps log_gaps_fill(struct log_folder *folder, uint64_t replay_lsn)
{
    struct place place = {.replay_lsn = replay_lsn};
    go(&place, folder);
    return place.gaps;
}

bool log_gaps_end_batch(struct log_folder *folder, uint64_t replay_lsn)
{
    struct place place = {.replay_lsn = replay_lsn,
                          .close_lsn = replay_lsn - 1};
    go(&place, folder);
    return place.closed;
}

static bool write_one(const struct log_folder *folder,
                      const struct log_segment *segment,
                      const char *aside)
{
    char name[BAO_SEGMENT_NAME_BYTES];
    char was[160];
    char now[160];
    bao_segment_name(segment->number, name);
    (void)snprintf(was, sizeof was, "%s/%s", aside, name);
    (void)snprintf(now, sizeof now, "%s/%s.new", aside, name);
    return log_write(folder, now, segment->bytes.data, segment->bytes.bytes) &&
           linkat(folder->folder, name, folder->folder, was, 0) == 0 &&
           renameat(folder->folder, now, folder->folder, name) == 0 &&
           fsync(folder->folder) == 0;
}

/* The last one first: a trailer before the batch that it fits, so that a
 * repair that comes behind a crash in between still sees the gap. */
bool log_gaps_write(const struct log_folder *folder, const char *aside)
{
    bool good = true;
    for (size_t i = folder->count; i > 0 && good; i--) {
        if (folder->segments[i - 1].edited)
            good = write_one(folder, &folder->segments[i - 1], aside);
    }
    return good;
}
