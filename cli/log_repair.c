/*
 * log_repair.c - `baozi log repair --quarantine`: makes a damaged data folder
 * one that a broker starts with, and says what that costs.
 *
 * Facts build on each other, so the log is cut at the first damage that a
 * start would read: everything before it stays, everything behind it is set
 * aside in a folder `quarantine-...`. Payloads that had been moved behind it
 * (COPY records) are facts of nobody; they are kept, in a segment of their
 * own. A manifest that is gone is made anew from the segments. The manifest
 * says from which epoch on the next start must count, so that no token of what
 * is cut off comes again.
 *
 * What no start reads and is gone, or cut, costs the payloads that were there.
 * A damaged head of a listed segment is made anew (log_heads.c). Damage in
 * front of what a start needs, in a segment that it reads, is filled
 * (log_gaps.c).
 *
 * A damaged payload that no start reads needs no cut: it is given up alone, by
 * a checkpoint without its address (log_payloads.c). The next start ends its
 * item as purged.
 *
 *   what is given up is copied aside, the kept copies and new checkpoints are
 *   written                                                -> synced
 *   -> both manifests say what remains                     -> synced
 *   -> filled segments and new heads take their places     -> synced
 *   -> what no manifest names any more is moved aside
 *
 * A crash in between leaves the old state or the new one, or one that the
 * repair, given again, makes the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/log_copies.h"
#include "cli/log_heads.h"
#include "cli/log_repair_inner.h"
#include "cli/log_write.h"
#include "common/crc32c.h"
#include "common/random.h"
#include "common/time.h"

static struct values {
    struct cli_common common;
    const char *folder;
    bool quarantine;
} values = {.folder = "baozi-data"};

#define AT(member) .offset = offsetof(struct values, member)

static int fail(const struct log_repair *repair, const char *what)
{
    return bao_complain_errno(repair->cli->name, BAO_EXIT_IO, what, errno);
}

/* --- what to keep --- */

/* True if it costs payloads alone: all else of the segment is in the
 * checkpoint. The numbers of the log go on behind the last segment, so that one
 * is not just left out. */
static bool costs_payloads(const struct log_repair *repair,
                           const struct log_damage *damage)
{
    const struct bao_manifest *manifest = &repair->folder->manifest;
    char last[BAO_SEGMENT_NAME_BYTES] = "";
    if (manifest->segment_count > 0)
        bao_segment_name(manifest->segments[manifest->segment_count - 1].number,
                         last);
    return damage->file_lsn != 0 && damage->file_lsn < repair->replay_lsn &&
           strcmp(damage->file, last) != 0;
}

static void note_damage(void *context, const struct log_damage *damage)
{
    struct log_repair *repair = context;
    if (log_damage_is_unread(damage, repair->replay_lsn))
        return; /* in the checkpoint */
    if (costs_payloads(repair, damage)) {
        if (repair->file_count < LOG_REPAIR_FILES_MAX)
            repair->files[repair->file_count++] = *damage;
        return;
    }
    repair->damage = *damage;
    repair->found = true;
    repair->walk.stop = true;
}

static void note_record(void *context,
                        const struct log_segment *segment,
                        uint64_t offset,
                        const struct bao_record_head *head,
                        struct bao_span data)
{
    const struct log_repair *repair = context;
    struct log_walked *walked =
        &repair->walked[segment - repair->folder->segments];
    if (walked->first_lsn == 0)
        walked->first_lsn = head->lsn;
    walked->last_lsn = head->lsn;
    walked->end = offset + bao_record_bytes(data.bytes);
}

/* The checkpoints that are whole, newest first. */
static void keep_checkpoints(struct log_repair *repair)
{
    const struct bao_manifest *manifest = &repair->folder->manifest;
    struct log_damage damage;
    repair->replay_lsn = 1;
    for (uint32_t i = 0; i < manifest->checkpoint_count; i++) {
        if (!log_checkpoint_check(
                repair->folder, &manifest->checkpoints[i], &damage))
            continue;
        uint32_t count = repair->next.checkpoint_count++;
        repair->next.checkpoints[count] = manifest->checkpoints[i];
        if (count == 0)
            repair->replay_lsn = manifest->checkpoints[i].replay_lsn;
    }
}

/* What the next manifest says of a segment: of the tail, which the last one
 * did not seal, what was found there. */
static struct bao_manifest_segment sealed(const struct log_repair *repair,
                                          size_t i)
{
    const struct log_segment *segment = &repair->folder->segments[i];
    const struct log_walked *walked = &repair->walked[i];
    struct bao_manifest_segment kept = segment->seal;
    kept.number = segment->number;
    kept.salt = segment->head.salt;
    kept.file_bytes = segment->bytes.bytes;
    kept.closed = true;
    if (!segment->listed)
        kept.first_lsn = walked->first_lsn;
    if (!segment->listed || walked->last_lsn > kept.last_lsn) {
        kept.last_lsn = walked->last_lsn;
        kept.bytes = walked->end;
    }
    if (segment == repair->walk.whole_segment &&
        (!segment->listed || kept.last_lsn >= repair->replay_lsn)) {
        kept.bytes = repair->walk.whole_offset;
        kept.last_lsn = repair->walk.whole_lsn;
    }
    return kept;
}

/* What is left of the segments that no start reads: records up to where one is
 * cut; of one without any, nothing. */
static void shorten(struct log_repair *repair)
{
    for (size_t i = 0; i < repair->folder->count; i++) {
        struct log_segment *segment = &repair->folder->segments[i];
        struct log_walked *walked = &repair->walked[i];
        if (!segment->listed || log_segment_is_there(segment) ||
            segment->seal.last_lsn >= repair->replay_lsn)
            continue;
        walked->useless = walked->first_lsn == 0;
        segment->listed = !walked->useless;
        segment->seal.last_lsn = walked->last_lsn;
        segment->seal.bytes = walked->end;
        segment->seal.file_bytes = segment->bytes.bytes;
    }
}

/* All that are listed. */
static void list_segments(struct log_repair *repair)
{
    const struct log_folder *folder = repair->folder;
    struct bao_manifest *next = &repair->next;
    next->segment_count = 0;
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->segments[i].listed)
            next->segments[next->segment_count++] = folder->segments[i].seal;
    }
}

/* The segments up to the last whole batch before the damage. */
static void keep_segments(struct log_repair *repair)
{
    const struct log_folder *folder = repair->folder;
    const struct log_segment *last = repair->walk.whole_segment;
    struct bao_manifest *next = &repair->next;
    next->segment_count = 0;
    for (size_t i = 0; last != NULL && i < folder->count; i++) {
        const struct log_segment *segment = &folder->segments[i];
        if (segment->number <= last->number &&
            (segment->listed || repair->walked[i].first_lsn != 0))
            next->segments[next->segment_count++] = sealed(repair, i);
    }
}

/* --- what is behind --- */

static void note_lost(struct log_repair *repair,
                      const struct bao_record_head *head)
{
    if (repair->lost_first == 0 || head->lsn < repair->lost_first)
        repair->lost_first = head->lsn;
    if (head->lsn > repair->lost_last)
        repair->lost_last = head->lsn;
    if (head->kind != BAO_RECORD_ENTRY)
        return;
    repair->lost_entries++;
    for (size_t i = 0; i < repair->queue_count; i++) {
        if (repair->queues[i] == head->queue)
            return;
    }
    if (repair->queue_count < LOG_REPAIR_QUEUES_MAX)
        repair->queues[repair->queue_count++] = head->queue;
}

/* All good records behind the cut in one segment: copies are kept, the rest is
 * counted as lost. */
static bool look_behind(struct log_repair *repair,
                        const struct log_segment *segment,
                        uint64_t offset,
                        struct log_copies *copies)
{
    struct bao_span bytes = segment->bytes;
    struct bao_record_head head;
    while (offset + BAO_RECORD_HEAD_BYTES <= bytes.bytes) {
        if (!bao_record_decode(bytes.data + offset, &head) ||
            head.lsn <= repair->walk.whole_lsn ||
            (segment->has_head && head.salt != segment->head.salt)) {
            offset += BAO_RECORD_ALIGN;
            continue;
        }
        uint64_t end = offset + bao_record_bytes(head.bytes);
        struct bao_span data =
            end > bytes.bytes
                ? bao_span_of(NULL, 0)
                : bao_span_of(bytes.data + offset + BAO_RECORD_HEAD_BYTES,
                              head.bytes);
        bool good = end <= bytes.bytes &&
                    bao_crc32c(0, data.data, data.bytes) == head.data_crc;
        if (good && head.kind == BAO_RECORD_COPY) {
            repair->kept_copies++;
            if (!log_copies_add(copies, &head, data))
                return false;
        } else if (head.lsn > repair->kept_lsn) {
            note_lost(repair, &head);
        }
        offset = end <= bytes.bytes ? end : offset + BAO_RECORD_ALIGN;
    }
    return true;
}

static bool is_behind(const struct log_repair *repair,
                      const struct log_segment *segment)
{
    const struct log_segment *last = repair->walk.whole_segment;
    return last == NULL || segment->number > last->number;
}

/* What is cut off the last kept segment is copied aside. */
static bool copy_rest_aside(const struct log_repair *repair)
{
    const struct log_segment *last = repair->walk.whole_segment;
    char segment[BAO_SEGMENT_NAME_BYTES];
    char name[160];
    size_t end = last == NULL ? 0 : last->bytes.bytes;
    while (last != NULL && end > repair->walk.whole_offset &&
           last->bytes.data[end - 1] == 0)
        end--;
    if (last == NULL || repair->walk.whole_offset >= end)
        return true;
    bao_segment_name(last->number, segment);
    (void)snprintf(name,
                   sizeof name,
                   "%s/%s.from-%llu",
                   repair->aside,
                   segment,
                   (unsigned long long)repair->walk.whole_offset);
    return log_write(repair->folder,
                     name,
                     last->bytes.data + repair->walk.whole_offset,
                     end - repair->walk.whole_offset);
}

static bool keep_copies(struct log_repair *repair)
{
    const struct log_folder *folder = repair->folder;
    struct log_copies copies = {.lsn = repair->kept_lsn + 1,
                                .salt = (uint32_t)bao_random_number() | 1};
    char name[BAO_SEGMENT_NAME_BYTES];
    bool good = true;
    for (size_t i = 0; i < folder->count && good; i++) {
        const struct log_segment *segment = &folder->segments[i];
        const struct log_segment *last = repair->walk.whole_segment;
        if (last != NULL && last->number == segment->number)
            good = look_behind(
                repair, segment, repair->walk.whole_offset, &copies);
        else if (is_behind(repair, segment))
            good =
                look_behind(repair, segment, BAO_SEGMENT_HEAD_BYTES, &copies);
    }
    good = good && log_copies_end(&copies);
    if (good && log_repair_is_apart(repair))
        good = log_copies_mark(&copies);
    if (good && copies.bytes > 0) {
        struct bao_segment_head head = {
            .format = BAO_DISK_FORMAT,
            .salt = copies.salt,
            .directory = repair->next.directory,
            .number = repair->next.next_number,
            .bytes = copies.bytes,
            .stride_bytes = repair->next.stride_bytes,
        };
        bao_segment_encode(&head, copies.data);
        bao_segment_name(head.number, name);
        good = log_write(folder, name, copies.data, copies.bytes);
        repair->next.segments[repair->next.segment_count++] =
            (struct bao_manifest_segment){
                .number = head.number,
                .first_lsn = repair->kept_lsn + 1,
                .last_lsn = copies.lsn - 1,
                .bytes = copies.bytes,
                .file_bytes = copies.bytes,
                .salt = copies.salt,
                .closed = true,
            };
        repair->next.next_number +=
            copies.bytes / repair->next.stride_bytes + 1;
    }
    free(copies.data);
    return good;
}

/* --- what changes --- */

static bool move_aside(const struct log_repair *repair)
{
    const struct log_folder *folder = repair->folder;
    const struct bao_manifest *old = &folder->manifest;
    bool good = true;
    for (size_t i = 0; i < folder->count && good; i++) {
        char name[BAO_SEGMENT_NAME_BYTES];
        bao_segment_name(folder->segments[i].number, name);
        if (repair->walked[i].useless ||
            (log_repair_is_cut(repair) &&
             is_behind(repair, &folder->segments[i]) &&
             log_segment_is_used(&folder->segments[i])))
            good = log_write_aside(folder, repair->aside, name);
    }
    for (uint32_t i = 0; i < old->checkpoint_count && good; i++) {
        char name[BAO_CHECKPOINT_NAME_BYTES];
        bool kept = false;
        for (uint32_t k = 0; k < repair->next.checkpoint_count; k++)
            kept = kept || repair->next.checkpoints[k].number ==
                               old->checkpoints[i].number;
        bao_checkpoint_name(old->checkpoints[i].number, name);
        if (!kept)
            good = log_write_aside(folder, repair->aside, name);
    }
    return good && fsync(folder->folder) == 0;
}

/* Everything but the tail's end, where it is cut. */
static bool cut(struct log_repair *repair)
{
    struct bao_manifest *next = &repair->next;
    keep_segments(repair);
    if (!copy_rest_aside(repair) || !keep_copies(repair))
        return false;
    next->clean = false;
    next->tail_first = next->next_number;
    next->durable_lsn = next->segment_count == 0
                            ? 0
                            : next->segments[next->segment_count - 1].last_lsn;
    return true;
}

/* Their items end at the next start. */
static bool give_up_payloads(struct log_repair *repair)
{
    struct bao_manifest *next = &repair->next;
    uint64_t number = repair->folder->checkpoint_last;
    if (repair->payloads.count == 0)
        return true;
    if (!log_payloads_set_aside(&repair->payloads, repair->aside))
        return false;
    for (uint32_t i = next->checkpoint_count; i > 0; i--) {
        if (!log_payloads_forget(
                &repair->payloads, &next->checkpoints[i - 1], ++number))
            return false;
    }
    return true;
}

static int change(struct log_repair *repair)
{
    struct log_folder *folder = repair->folder;
    struct bao_manifest *next = &repair->next;
    if (!log_write_quarantine(folder, repair->aside))
        return fail(repair, "the quarantine cannot be made");
    if ((log_repair_is_cut(repair) && !cut(repair)) ||
        !give_up_payloads(repair))
        return fail(repair, "setting aside failed; nothing was changed");
    /* Each start makes a segment of its own, so no epoch is greater than the
     * number of the last one. */
    if (next->epoch_floor < next->next_number)
        next->epoch_floor = next->next_number;
    if (fsync(folder->folder) != 0 || !log_write_manifests(folder, next) ||
        !log_gaps_write(folder, repair->aside) ||
        !log_heads_write(folder, repair->aside) || !move_aside(repair))
        return fail(repair, "writing the new state failed; repeat it");
    return BAO_EXIT_OK;
}

/* --- the verb --- */

/* What stays if nothing is cut. */
static void begin_next(struct log_repair *repair,
                       struct bao_manifest_segment *segments)
{
    const struct log_folder *folder = repair->folder;
    struct bao_manifest *next = &repair->next;
    *next = folder->manifest;
    next->checkpoint_count = 0;
    next->format = BAO_DISK_FORMAT;
    next->segments = segments;
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->segments[i].number >= next->next_number)
            next->next_number = folder->segments[i].number + 1;
    }
    if (folder->aside_last >= next->next_number)
        next->next_number = folder->aside_last + 1;
    keep_checkpoints(repair);
}

/* An older checkpoint goes that would need what is no more. */
static void drop_checkpoints(struct log_repair *repair, uint64_t lost_lsn)
{
    struct bao_manifest *next = &repair->next;
    while (next->checkpoint_count > 1 &&
           next->checkpoints[next->checkpoint_count - 1].replay_lsn <= lost_lsn)
        next->checkpoint_count--;
}

static void walk(struct log_repair *repair)
{
    repair->file_count = 0;
    repair->walk = (struct log_walk){
        .context = repair, .record = note_record, .damage = note_damage};
    log_folder_walk(repair->folder, &repair->walk);
}

/* What is damaged, and what will be kept. */
static void judge(struct log_repair *repair)
{
    struct log_folder *folder = repair->folder;
    struct log_damage order;
    repair->gaps = log_gaps_fill(folder, repair->replay_lsn);
    drop_checkpoints(repair, repair->gaps.last_lsn);
    walk(repair);
    if (log_repair_is_apart(repair) &&
        log_gaps_end_batch(folder, repair->replay_lsn))
        walk(repair);
    repair->kept_lsn = repair->walk.whole_lsn;
    if (log_repair_is_apart(repair)) {
        repair->kept_lsn = repair->replay_lsn - 1;
        drop_checkpoints(repair, repair->kept_lsn);
    }
    if (!repair->found)
        repair->damage = (struct log_damage){
            .file = "manifest.0", .why = "no copy of the manifest was whole"};
    if (!log_order_is_whole(folder, &order)) {
        repair->unordered = true;
        repair->damage = order;
    }
    shorten(repair);
    list_segments(repair);
}

static bool is_nothing_to_do(const struct log_repair *repair)
{
    return !log_repair_is_cut(repair) && repair->payloads.count == 0 &&
           repair->heads == 0 && repair->gaps.count == 0 &&
           repair->file_count == 0 && !repair->unordered;
}

static int repair_folder(struct log_repair *repair)
{
    judge(repair);
    if (!log_payloads_find(repair->folder, &repair->payloads))
        return fail(repair, "the payloads could not be looked at");
    if (is_nothing_to_do(repair)) {
        (void)fprintf(stderr,
                      "%s: a broker starts here; nothing was changed\n",
                      repair->cli->name);
        return BAO_EXIT_OK;
    }
    if (repair->unordered)
        return bao_complain(repair->cli->name,
                            BAO_EXIT_IO,
                            "this cannot be repaired; nothing was changed",
                            repair->damage.why,
                            "`baozi log verify` names it; restore a backup");
    int exit_code = change(repair);
    return exit_code == BAO_EXIT_OK ? log_repair_tell(repair) : exit_code;
}

static int run_repair(struct cli *cli)
{
    struct log_folder folder;
    struct log_repair repair = {.cli = cli, .folder = &folder};
    int exit_code = BAO_EXIT_OK;
    if (!values.quarantine)
        return cli_usage(cli,
                         "repair needs --quarantine",
                         "it cuts the log and sets aside what it cuts off",
                         "look with baozi log verify, then give --quarantine");
    if (!log_folder_open(cli, values.folder, true, &folder, &exit_code))
        return exit_code;
    repair.rebuilt = !folder.has_manifest;
    if (repair.rebuilt)
        exit_code = log_manifest_rebuild(cli, &folder);
    else
        repair.heads = log_heads_take(&folder);
    struct bao_manifest_segment *segments =
        calloc(folder.count + 2, sizeof *segments);
    repair.walked = calloc(folder.count + 1, sizeof *repair.walked);
    if (segments == NULL || repair.walked == NULL)
        exit_code = fail(&repair, "memory ran out");
    else if (exit_code == BAO_EXIT_OK) {
        begin_next(&repair, segments);
        exit_code = repair_folder(&repair);
    }
    log_payloads_free(&repair.payloads);
    free(segments);
    free(repair.walked);
    log_folder_close(&folder);
    return exit_code;
}

static const struct bao_operand operands[] = {
    {.name = "DIR",
     AT(folder),
     .optional = true,
     .help = "the broker's --data (default: ./baozi-data)"},
    {0},
};

static const struct bao_option options[] = {
    {.name = "quarantine",
     AT(quarantine),
     .help = "cut at the damage; what is cut off goes into a folder in DIR"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_program program = {
    .name = "baozi log repair",
    .purpose = "make a damaged data folder one that a broker starts with",
    .options = options,
    .operands = operands,
    .examples = "  baozi log repair --quarantine /var/lib/baozi\n",
    .notes = "Everything behind the damage is lost to the broker, also what\n"
             "was confirmed; it tells how much. Clients find their sessions\n"
             "gone or older: start them anew. Where only payloads are damaged\n"
             "that no start reads, their items alone end: the next start\n"
             "counts them as purged. Damage that a start only steps over, in\n"
             "front of where its checkpoint ends, is filled and costs no more\n"
             "than that; nor does a segment that is gone, if no start reads\n"
             "it.\n",
    .exits = "0 repaired, or nothing to do; 74 it cannot be repaired",
};
const struct cli_command cli_log_repair = {.program = &program,
                                           .values = &values,
                                           .run = run_repair};
