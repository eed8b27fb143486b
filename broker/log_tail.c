/*
 * log_tail.c - the end of the log: what the manifest does not call sealed.
 *
 * The walk goes through whole batches. Where it stops the log ends, if
 * nothing was ever said to be synced beyond: a trailer that lies behind, or
 * the manifest. If something was, the place is damaged and is named. A
 * segment that a seal leads to was prepared and synced before: if it is not
 * there, is shorter than it was made, or has no head, that is damage too.
 *
 * Segments that were prepared and never used are read at their beginning
 * only, unless something is found there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "broker/pages.h"
#include "common/check.h"
#include "common/planted.h"

#define PROBE_BYTES (256u * 1024u)

/* Where the walk is, and where it stopped. */
struct walk {
    struct bao_log *log;
    struct bao_log_tail *tail;
    struct bao_log_report *report;
    struct bao_scan scan;
    enum baozi_status status; /* of reading */
    uint32_t part;
    uint32_t whole_part; /* where the last whole batch ended */
    const char *why;
    bool certain; /* damage whatever lies behind */
    char file[BAO_SEGMENT_NAME_BYTES];
};

void bao_log_tail_fini(struct bao_log_tail *tail)
{
    for (uint32_t i = 0; i < tail->part_count; i++)
        free(tail->parts[i].data);
    free(tail->parts);
}

/* --- reading --- */

static int read_part(struct bao_log *log,
                     struct bao_log_part *part,
                     int file,
                     uint64_t from,
                     uint64_t to)
{
    if (part->data == NULL)
        part->data = bao_pages_large(part->file_bytes + 1);
    if (part->data == NULL)
        return -ENOMEM;
    if (from >= to)
        return 0;
    return bao_log_read_all(
        log->storage, file, part->data + from, (size_t)(to - from), from);
}

static void look_at_head(const struct bao_log *log, struct bao_log_part *part)
{
    struct bao_segment_head head;
    if (part->file_bytes < BAO_SEGMENT_HEAD_BYTES ||
        !bao_segment_decode(part->data, &head) || head.number != part->number ||
        head.directory != log->directory)
        return;
    part->has_head = true;
    part->is_cut = part->file_bytes < head.bytes;
    part->salt = head.salt;
}

/* Reads the head, and what lies between `from` and `to`. */
static enum baozi_status
load(struct walk *walk, struct bao_log_part *part, uint64_t to)
{
    struct bao_log *log = walk->log;
    const struct bao_storage *storage = log->storage;
    char name[BAO_SEGMENT_NAME_BYTES];
    bao_segment_name(part->number, name);
    int file = storage->open(
        storage->context, name, BAO_STORAGE_FIND, &part->file_bytes);
    if (file < 0)
        return bao_log_complain(walk->report, "opening failed", name, file);
    uint64_t end = to < part->file_bytes ? to : part->file_bytes;
    uint64_t head = BAO_SEGMENT_HEAD_BYTES < part->file_bytes
                        ? BAO_SEGMENT_HEAD_BYTES
                        : part->file_bytes;
    int error = part->bytes > 0 ? 0 : read_part(log, part, file, 0, head);
    if (error >= 0)
        error = read_part(
            log, part, file, part->bytes > 0 ? part->bytes : part->from, end);
    storage->close(storage->context, file);
    if (error < 0)
        return bao_log_complain(walk->report, "reading failed", name, error);
    if (part->bytes == 0)
        look_at_head(log, part);
    part->bytes = end;
    return BAOZI_OK;
}

/* Reads the rest of a part that was only looked at. */
static bool extend(struct walk *walk, struct bao_log_part *part)
{
    if (part->bytes < part->file_bytes && walk->status == BAOZI_OK)
        walk->status = load(walk, part, UINT64_MAX);
    return walk->status == BAOZI_OK;
}

static struct bao_log_part *
add_part(struct walk *walk, uint64_t number, uint64_t from, uint64_t to)
{
    struct bao_log_part *part = &walk->tail->parts[walk->tail->part_count++];
    part->number = number;
    part->from = from;
    part->to = from;
    if (walk->status == BAOZI_OK)
        walk->status = load(walk, part, to);
    return part;
}

/* The parts: what follows in the last listed segment, then those that are
 * not listed. */
static enum baozi_status load_all(struct walk *walk,
                                  const struct bao_log_folder *folder)
{
    const struct bao_manifest *manifest = &folder->manifest;
    struct bao_log_tail *tail = walk->tail;
    uint32_t count = manifest->segment_count;
    const struct bao_manifest_segment *last =
        count > 0 ? &manifest->segments[count - 1] : NULL;
    tail->first_lsn = last == NULL ? 1 : last->last_lsn + 1;
    tail->last_lsn = tail->first_lsn - 1;
    tail->parts = calloc(folder->segments.count + 1, sizeof *tail->parts);
    if (tail->parts == NULL)
        return BAOZI_NO_MEMORY;
    if (last != NULL && !last->closed && !manifest->clean)
        (void)add_part(walk, last->number, last->bytes, UINT64_MAX);
    for (uint32_t i = 0; i < folder->segments.count; i++) {
        if (folder->segments.numbers[i] >= manifest->tail_first)
            (void)add_part(walk,
                           folder->segments.numbers[i],
                           BAO_SEGMENT_HEAD_BYTES,
                           PROBE_BYTES);
    }
    return walk->status;
}

/* --- the walk --- */

static bool stop(struct walk *walk, const char *why)
{
    walk->why = why;
    if (walk->part < walk->tail->part_count)
        bao_segment_name(walk->tail->parts[walk->part].number, walk->file);
    return false;
}

/* Begins with a part, at its `from`. */
static bool enter(struct walk *walk, bool certain)
{
    struct bao_log_part *part = &walk->tail->parts[walk->part];
    walk->scan.offset = 0;
    walk->certain = certain;
    if (!extend(walk, part))
        return false;
    if (!part->has_head)
        return stop(walk, "the head of the segment is damaged");
    walk->scan.offset = part->bytes;
    walk->certain = part->is_cut && certain;
    if (part->from > part->bytes)
        return stop(walk, "the segment is cut");
    walk->certain = false;
    bao_scan_enter(&walk->scan,
                   bao_span_of(part->data, part->bytes),
                   part->salt,
                   part->from);
    return true;
}

/* Goes to the segment that the seal names. */
static bool follow(struct walk *walk, const struct bao_record_head *seal)
{
    uint32_t next = walk->part + 1;
    walk->part = next;
    if (next < walk->tail->part_count &&
        walk->tail->parts[next].number == seal->index)
        return enter(walk, true);
    walk->certain = true;
    walk->scan.offset = 0;
    (void)stop(walk, "the segment is not there");
    bao_segment_name(seal->index, walk->file);
    return false;
}

/* Steps over one record and notes where whole batches end. */
static bool walk_record(struct walk *walk)
{
    struct bao_log_tail *tail = walk->tail;
    struct bao_record_head head;
    struct bao_span data;
    enum bao_scan_verdict verdict = bao_scan_next(&walk->scan, &head, &data);
    if (verdict != BAO_SCAN_RECORD) {
        /* A prepared file never shrinks by itself. */
        walk->certain = tail->parts[walk->part].is_cut;
        return stop(walk,
                    walk->certain ? "the segment is cut"
                                  : bao_scan_verdict_text(verdict));
    }
    if (bao_scan_is_whole(&walk->scan) || BAO_PLANTED(TAIL_KEPT)) {
        for (; walk->whole_part < walk->part; walk->whole_part++)
            tail->parts[walk->whole_part].to = UINT64_MAX; /* to its seal */
        tail->parts[walk->whole_part].to = walk->scan.offset;
        tail->last_lsn = walk->scan.whole_lsn;
    }
    return head.kind != BAO_RECORD_SEAL || follow(walk, &head);
}

/* --- the verdict --- */

/* What lies behind the stop: adds it up, finds the boldest statement. */
static uint64_t look_behind(struct walk *walk, uint64_t lsn)
{
    uint64_t durable = 0;
    for (uint32_t i = walk->part; i < walk->tail->part_count; i++) {
        struct bao_log_part *part = &walk->tail->parts[i];
        struct bao_statement statement = {0};
        bool again = true;
        while (again) {
            uint64_t bytes = part->bytes;
            bao_scan_find_statement(bao_span_of(part->data, bytes),
                                    i == walk->part ? walk->scan.offset
                                                    : part->from,
                                    part->salt,
                                    lsn,
                                    &statement);
            again = statement.records > 0 && extend(walk, part) &&
                    part->bytes > bytes;
        }
        walk->report->torn_records += statement.records;
        if (statement.durable > durable)
            durable = statement.durable;
    }
    return durable;
}

/* The head at the stop, if there is a good one that is not of old. */
static bool head_at_stop(const struct walk *walk, struct bao_record_head *head)
{
    if (walk->part >= walk->tail->part_count)
        return false;
    const struct bao_log_part *part = &walk->tail->parts[walk->part];
    uint64_t offset = walk->scan.offset;
    return offset >= BAO_SEGMENT_HEAD_BYTES &&
           offset + BAO_RECORD_HEAD_BYTES <= part->bytes &&
           bao_record_decode(part->data + offset, head) &&
           head->salt == part->salt && head->lsn >= walk->scan.lsn;
}

static void count_torn(struct walk *walk)
{
    const struct bao_log_tail *tail = walk->tail;
    struct bao_record_head head;
    for (uint32_t i = 0; i <= walk->part && i < tail->part_count; i++) {
        const struct bao_log_part *part = &tail->parts[i];
        uint64_t end = i == walk->part ? walk->scan.offset : part->bytes;
        if (part->to != UINT64_MAX && end > part->to)
            walk->report->torn_bytes += end - part->to;
    }
    if (head_at_stop(walk, &head))
        walk->report->torn_bytes += bao_record_bytes(head.bytes);
}

static enum baozi_status judge(struct walk *walk,
                               const struct bao_log_folder *folder)
{
    struct bao_log_report *report = walk->report;
    struct bao_record_head head;
    uint64_t lsn = walk->tail->last_lsn + 1;
    uint64_t durable = look_behind(walk, lsn);
    if (walk->status != BAOZI_OK)
        return walk->status;
    if (folder->manifest.durable_lsn > durable)
        durable = folder->manifest.durable_lsn;
    report->durable = durable;
    count_torn(walk);
    if ((durable < lsn && !walk->certain) || BAO_PLANTED(DAMAGE_CUT))
        return BAOZI_OK;
    if (head_at_stop(walk, &head) && head.lsn == walk->scan.lsn)
        report->queue = head.queue;
    if (walk->file[0] == '\0')
        (void)snprintf(walk->file, sizeof walk->file, "the last segment");
    return bao_log_corrupt(
        report, walk->file, walk->scan.offset, walk->scan.lsn, walk->why);
}

enum baozi_status bao_log_tail_read(struct bao_log *log,
                                    const struct bao_log_folder *folder,
                                    struct bao_log_tail *tail,
                                    struct bao_log_report *report)
{
    struct walk walk = {
        .log = log, .tail = tail, .report = report, .why = "nothing is there"};
    enum baozi_status status = load_all(&walk, folder);
    if (status != BAOZI_OK)
        return status;
    bao_scan_begin(&walk.scan, tail->first_lsn);
    if (folder->manifest.clean) {
        tail->used = 0;
        return folder->manifest.durable_lsn == tail->last_lsn
                   ? BAOZI_OK
                   : bao_log_corrupt(report,
                                     bao_log_manifest_names[0],
                                     0,
                                     tail->last_lsn + 1,
                                     "it contradicts itself");
    }
    if (tail->part_count > 0 && enter(&walk, false)) {
        while (walk_record(&walk))
            continue;
    }
    tail->used = walk.part + 1;
    return walk.status == BAOZI_OK ? judge(&walk, folder) : walk.status;
}
