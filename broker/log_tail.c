/*
 * log_tail.c - the end of the log: what the manifest does not call sealed.
 *
 * The walk goes through whole batches. Where it stops the log ends, if
 * nothing was ever said to be synced beyond: a trailer that lies behind, or
 * the manifest. If something was, the place is damaged and is named. A
 * segment that a seal leads to was prepared and synced before: if it is not
 * there or has no head, that is damage too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"

/* Where the walk stopped. */
struct stop {
    uint32_t part;
    uint64_t offset;
    uint64_t lsn;
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

/* --- which files --- */

static enum baozi_status load(struct bao_log *log,
                              struct bao_log_part *part,
                              struct bao_log_report *report)
{
    struct bao_segment_head head = {0};
    int error = 0;
    enum baozi_status status = bao_log_load_segment(
        log, part->number, &head, &part->data, &part->bytes, &error);
    if (error < 0) {
        char name[BAO_SEGMENT_NAME_BYTES];
        bao_segment_name(part->number, name);
        return bao_log_complain(report, "reading failed", name, error);
    }
    if (status == BAOZI_NO_MEMORY)
        return status;
    part->has_head = status == BAOZI_OK;
    part->salt = part->has_head ? head.salt : 0;
    part->from = BAO_SEGMENT_HEAD_BYTES;
    part->to = BAO_SEGMENT_HEAD_BYTES;
    return BAOZI_OK;
}

/* The parts: what follows in the last listed segment, then those that are
 * not listed. */
static enum baozi_status load_all(struct bao_log *log,
                                  const struct bao_log_folder *folder,
                                  struct bao_log_tail *tail,
                                  struct bao_log_report *report)
{
    const struct bao_manifest *manifest = &folder->manifest;
    uint32_t count = manifest->segment_count;
    const struct bao_manifest_segment *last =
        count > 0 ? &manifest->segments[count - 1] : NULL;
    enum baozi_status status = BAOZI_OK;
    tail->first_lsn = last == NULL ? 1 : last->last_lsn + 1;
    tail->last_lsn = tail->first_lsn - 1;
    tail->parts = calloc(folder->number_count + 1, sizeof *tail->parts);
    if (tail->parts == NULL)
        return BAOZI_NO_MEMORY;
    if (manifest->clean)
        return BAOZI_OK;
    if (last != NULL && !last->closed) {
        struct bao_log_part *part = &tail->parts[tail->part_count++];
        part->number = last->number;
        status = load(log, part, report);
        part->from = last->bytes;
        part->to = last->bytes;
    }
    for (uint32_t i = 0; i < folder->number_count && status == BAOZI_OK; i++) {
        if (folder->numbers[i] < manifest->tail_first)
            continue;
        struct bao_log_part *part = &tail->parts[tail->part_count++];
        part->number = folder->numbers[i];
        status = load(log, part, report);
    }
    return status;
}

/* --- the walk --- */

static bool stop_at(struct stop *stop,
                    const struct bao_log_tail *tail,
                    const struct bao_scan *scan,
                    const char *why)
{
    stop->offset = scan->offset;
    stop->lsn = scan->lsn;
    stop->why = why;
    if (stop->part < tail->part_count)
        bao_segment_name(tail->parts[stop->part].number, stop->file);
    return false;
}

/* Goes to the segment that the seal names. False: it is not there. */
static bool follow(struct bao_log_tail *tail,
                   const struct bao_record_head *seal,
                   struct bao_scan *scan,
                   struct stop *stop)
{
    uint32_t next = stop->part + 1;
    struct bao_log_part *part = &tail->parts[next];
    stop->part = next;
    scan->offset = 0;
    if (next >= tail->part_count || part->number != seal->index) {
        stop->certain = true;
        (void)stop_at(stop, tail, scan, "the segment is not there");
        bao_segment_name(seal->index, stop->file);
        return false;
    }
    if (!part->has_head) {
        stop->certain = true;
        return stop_at(stop, tail, scan, "the head of the segment is damaged");
    }
    bao_scan_enter(
        scan, bao_span_of(part->data, part->bytes), part->salt, part->from);
    return true;
}

/* Steps over one record and notes where whole batches end. */
static bool walk_record(struct bao_log_tail *tail,
                        struct bao_scan *scan,
                        struct stop *stop,
                        uint32_t *whole_part)
{
    struct bao_record_head head;
    struct bao_span data;
    enum bao_scan_verdict verdict = bao_scan_next(scan, &head, &data);
    if (verdict != BAO_SCAN_RECORD)
        return stop_at(stop, tail, scan, bao_scan_verdict_text(verdict));
    if (bao_scan_is_whole(scan)) {
        for (; *whole_part < stop->part; (*whole_part)++)
            tail->parts[*whole_part].to = UINT64_MAX; /* to its seal */
        tail->parts[*whole_part].to = scan->offset;
        tail->last_lsn = scan->whole_lsn;
    }
    return head.kind != BAO_RECORD_SEAL || follow(tail, &head, scan, stop);
}

/* --- the verdict --- */

/* What lies behind the stop: adds it up, finds the boldest statement. */
static uint64_t look_behind(const struct bao_log_tail *tail,
                            const struct stop *stop,
                            uint64_t lsn,
                            struct bao_log_report *report)
{
    uint64_t durable = 0;
    for (uint32_t i = stop->part; i < tail->part_count; i++) {
        const struct bao_log_part *part = &tail->parts[i];
        struct bao_statement statement;
        bao_scan_find_statement(bao_span_of(part->data, part->bytes),
                                i == stop->part ? stop->offset : part->from,
                                part->salt,
                                lsn,
                                &statement);
        report->torn_records += statement.records;
        if (statement.durable > durable)
            durable = statement.durable;
    }
    return durable;
}

static void count_torn(const struct bao_log_tail *tail,
                       const struct stop *stop,
                       const struct bao_scan *scan,
                       struct bao_log_report *report)
{
    for (uint32_t i = 0; i <= stop->part && i < tail->part_count; i++) {
        const struct bao_log_part *part = &tail->parts[i];
        uint64_t end = i == stop->part ? stop->offset : part->bytes;
        if (part->to != UINT64_MAX && end > part->to)
            report->torn_bytes += end - part->to;
    }
    /* Of the record at the stop at least its head, if there is something. */
    if (stop->part < tail->part_count &&
        stop->offset + BAO_RECORD_HEAD_BYTES <= tail->parts[stop->part].bytes) {
        struct bao_record_head head;
        const struct bao_log_part *part = &tail->parts[stop->part];
        if (bao_record_decode(part->data + stop->offset, &head) &&
            head.salt == part->salt && head.lsn >= scan->lsn)
            report->torn_bytes += bao_record_bytes(head.bytes);
    }
}

static enum baozi_status judge(const struct bao_log_folder *folder,
                               const struct bao_log_tail *tail,
                               const struct stop *stop,
                               const struct bao_scan *scan,
                               struct bao_log_report *report)
{
    uint64_t lsn = tail->last_lsn + 1;
    uint64_t durable = look_behind(tail, stop, lsn, report);
    if (folder->manifest.durable_lsn > durable)
        durable = folder->manifest.durable_lsn;
    report->durable = durable;
    count_torn(tail, stop, scan, report);
    if (durable < lsn && !stop->certain)
        return BAOZI_OK;
    if (stop->part < tail->part_count &&
        stop->offset + BAO_RECORD_HEAD_BYTES <= tail->parts[stop->part].bytes) {
        struct bao_record_head head;
        if (bao_record_decode(tail->parts[stop->part].data + stop->offset,
                              &head))
            report->queue = head.queue;
    }
    return bao_log_corrupt(
        report, stop->file, stop->offset, stop->lsn, stop->why);
}

enum baozi_status bao_log_tail_read(struct bao_log *log,
                                    const struct bao_log_folder *folder,
                                    struct bao_log_tail *tail,
                                    struct bao_log_report *report)
{
    struct bao_scan scan;
    struct stop stop = {.why = "the log ends here"};
    uint32_t whole_part = 0;
    enum baozi_status status = load_all(log, folder, tail, report);
    if (status != BAOZI_OK)
        return status;
    bao_scan_begin(&scan, tail->first_lsn);
    if (tail->part_count > 0) {
        const struct bao_log_part *part = &tail->parts[0];
        if (part->has_head && part->from <= part->bytes) {
            bao_scan_enter(&scan,
                           bao_span_of(part->data, part->bytes),
                           part->salt,
                           part->from);
            while (walk_record(tail, &scan, &stop, &whole_part))
                continue;
        } else {
            (void)stop_at(&stop, tail, &scan, "there is no good head");
        }
    }
    tail->used = stop.part + 1;
    if (stop.file[0] == '\0')
        (void)snprintf(stop.file, sizeof stop.file, "the last segment");
    return judge(folder, tail, &stop, &scan, report);
}
