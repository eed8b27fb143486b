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
 *   the cut part is copied aside, the kept copies written  -> synced
 *   -> both manifests say what remains                     -> synced
 *   -> what no manifest names any more is moved aside
 *
 * A crash in between leaves the old state or the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/log_copies.h"
#include "cli/log_folder.h"
#include "common/crc32c.h"
#include "common/random.h"
#include "common/time.h"

#define MANIFEST_BYTES (16u * 1024u)
#define QUEUES_MAX     16u

static struct values {
    struct cli_common common;
    const char *folder;
    bool quarantine;
} values = {.folder = "baozi-data"};

#define AT(member) .offset = offsetof(struct values, member)

/* What the walk saw of a segment. */
struct walked {
    uint64_t first_lsn; /* 0: nothing */
    uint64_t last_lsn;
    uint64_t end; /* behind the last */
};

struct repair {
    const struct cli *cli;
    struct log_folder *folder;
    struct log_walk walk;
    struct walked *walked;    /* of each segment of the folder */
    struct log_damage damage; /* the first that matters */
    bool found;
    bool rebuilt;        /* there was no manifest */
    uint64_t replay_lsn; /* of the checkpoint that will be used */
    struct bao_manifest next;
    char aside[64]; /* name of the quarantine */
    /* What is lost. */
    uint64_t lost_entries;
    uint64_t lost_first;
    uint64_t lost_last;
    uint64_t queues[QUEUES_MAX];
    size_t queue_count;
    uint64_t kept_copies;
};

static int fail(const struct repair *repair, const char *what)
{
    return bao_complain_errno(repair->cli->name, BAO_EXIT_IO, what, errno);
}

/* --- writing --- */

static bool write_all(int file, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t moved = write(file, data, bytes);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return false;
        data += moved;
        bytes -= (size_t)moved;
    }
    return true;
}

/* A new or overwritten file in `folder` with these bytes, synced. */
static bool
write_file(int folder, const char *name, const uint8_t *data, size_t bytes)
{
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    bool good = write_all(file, data, bytes) && fsync(file) == 0;
    return close(file) == 0 && good;
}

static bool set_aside(const struct repair *repair, const char *name)
{
    char to[128];
    (void)snprintf(to, sizeof to, "%s/%s", repair->aside, name);
    return renameat(repair->folder->folder, name, repair->folder->folder, to) ==
               0 ||
           errno == ENOENT;
}

/* --- what to keep --- */

static void note_damage(void *context, const struct log_damage *damage)
{
    struct repair *repair = context;
    if (damage->sealed_lsn != 0 && damage->sealed_lsn < repair->replay_lsn)
        return; /* in the checkpoint: a start does not read it */
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
    const struct repair *repair = context;
    struct walked *walked = &repair->walked[segment - repair->folder->segments];
    if (walked->first_lsn == 0)
        walked->first_lsn = head->lsn;
    walked->last_lsn = head->lsn;
    walked->end = offset + bao_record_bytes(data.bytes);
}

/* The checkpoints that are whole, newest first. */
static void keep_checkpoints(struct repair *repair)
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
static struct bao_manifest_segment sealed(const struct repair *repair, size_t i)
{
    const struct log_segment *segment = &repair->folder->segments[i];
    const struct walked *walked = &repair->walked[i];
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
    if (segment == repair->walk.whole_segment) {
        kept.bytes = repair->walk.whole_offset;
        kept.last_lsn = repair->walk.whole_lsn;
    }
    return kept;
}

/* The segments up to the last whole batch before the damage. */
static void keep_segments(struct repair *repair)
{
    const struct log_folder *folder = repair->folder;
    const struct log_segment *last = repair->walk.whole_segment;
    struct bao_manifest *next = &repair->next;
    for (size_t i = 0; last != NULL && i < folder->count; i++) {
        const struct log_segment *segment = &folder->segments[i];
        if (segment->number <= last->number &&
            (segment->listed || repair->walked[i].first_lsn != 0))
            next->segments[next->segment_count++] = sealed(repair, i);
    }
}

/* --- what is behind --- */

static void note_lost(struct repair *repair, const struct bao_record_head *head)
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
    if (repair->queue_count < QUEUES_MAX)
        repair->queues[repair->queue_count++] = head->queue;
}

/* All good records behind the cut in one segment: copies are kept, the rest is
 * counted as lost. */
static bool look_behind(struct repair *repair,
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
        } else {
            note_lost(repair, &head);
        }
        offset = end <= bytes.bytes ? end : offset + BAO_RECORD_ALIGN;
    }
    return true;
}

static bool is_behind(const struct repair *repair,
                      const struct log_segment *segment)
{
    const struct log_segment *last = repair->walk.whole_segment;
    return last == NULL || segment->number > last->number;
}

/* What is cut off the last kept segment is copied aside. */
static bool copy_rest_aside(const struct repair *repair)
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
    return write_file(repair->folder->folder,
                      name,
                      last->bytes.data + repair->walk.whole_offset,
                      end - repair->walk.whole_offset);
}

static bool keep_copies(struct repair *repair)
{
    const struct log_folder *folder = repair->folder;
    struct log_copies copies = {.lsn = repair->walk.whole_lsn + 1,
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
        good = write_file(folder->folder, name, copies.data, copies.bytes);
        repair->next.segments[repair->next.segment_count++] =
            (struct bao_manifest_segment){
                .number = head.number,
                .first_lsn = repair->walk.whole_lsn + 1,
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

/* --- the manifest --- */

static bool write_manifests(struct repair *repair)
{
    struct bao_manifest *next = &repair->next;
    size_t bytes = bao_manifest_bytes(next->segment_count);
    size_t room = (bytes / MANIFEST_BYTES + 1) * MANIFEST_BYTES;
    uint8_t *data = calloc(1, room);
    bool good = data != NULL;
    for (uint64_t i = 0; i < 2 && good; i++) {
        char name[16];
        uint64_t generation = repair->folder->manifest.generation + 1 + i;
        next->generation = generation;
        bao_manifest_encode(next, data);
        (void)snprintf(name, sizeof name, "manifest.%d", (int)(generation % 2));
        good = write_file(repair->folder->folder, name, data, room);
    }
    free(data);
    return good && fsync(repair->folder->folder) == 0;
}

/* False for one that was prepared and never used. */
static bool has_records(const struct log_segment *segment)
{
    struct bao_record_head head;
    return !segment->has_head ||
           (segment->bytes.bytes >=
                BAO_SEGMENT_HEAD_BYTES + BAO_RECORD_HEAD_BYTES &&
            bao_record_decode(segment->bytes.data + BAO_SEGMENT_HEAD_BYTES,
                              &head) &&
            head.salt == segment->head.salt);
}

static bool move_aside(const struct repair *repair)
{
    const struct log_folder *folder = repair->folder;
    const struct bao_manifest *old = &folder->manifest;
    bool good = true;
    for (size_t i = 0; i < folder->count && good; i++) {
        char name[BAO_SEGMENT_NAME_BYTES];
        bao_segment_name(folder->segments[i].number, name);
        if (is_behind(repair, &folder->segments[i]) &&
            has_records(&folder->segments[i]))
            good = set_aside(repair, name);
    }
    for (uint32_t i = 0; i < old->checkpoint_count && good; i++) {
        char name[BAO_CHECKPOINT_NAME_BYTES];
        bool kept = false;
        for (uint32_t k = 0; k < repair->next.checkpoint_count; k++)
            kept = kept || repair->next.checkpoints[k].number ==
                               old->checkpoints[i].number;
        bao_checkpoint_name(old->checkpoints[i].number, name);
        if (!kept)
            good = set_aside(repair, name);
    }
    return good && fsync(folder->folder) == 0;
}

/* Named by the second; a second repair in it takes the next one. */
static bool make_quarantine(struct repair *repair)
{
    uint64_t second = bao_time_wall_us() / 1000000;
    int made;
    do {
        (void)snprintf(repair->aside,
                       sizeof repair->aside,
                       LOG_QUARANTINE "%llu",
                       (unsigned long long)second++);
        made = mkdirat(repair->folder->folder, repair->aside, 0700);
    } while (made != 0 && errno == EEXIST);
    return made == 0;
}

static int change(struct repair *repair)
{
    struct log_folder *folder = repair->folder;
    struct bao_manifest *next = &repair->next;
    if (!make_quarantine(repair))
        return fail(repair, "the quarantine cannot be made");
    keep_segments(repair);
    if (!copy_rest_aside(repair) || !keep_copies(repair))
        return fail(repair, "setting aside failed; nothing was changed");
    /* Each start makes a segment of its own, so no epoch is greater than the
     * number of the last one. */
    if (next->epoch_floor < next->next_number)
        next->epoch_floor = next->next_number;
    next->tail_first = next->next_number;
    next->durable_lsn = next->segment_count == 0
                            ? 0
                            : next->segments[next->segment_count - 1].last_lsn;
    if (fsync(folder->folder) != 0 || !write_manifests(repair) ||
        !move_aside(repair))
        return fail(repair, "writing the new state failed; repeat it");
    return BAO_EXIT_OK;
}

/* --- what is told --- */

static int tell(const struct repair *repair)
{
    const struct cli *cli = repair->cli;
    if (cli_json(cli)) {
        json_t *queues = json_array();
        for (size_t i = 0; i < repair->queue_count; i++)
            (void)json_array_append_new(queues,
                                        cli_json_number(repair->queues[i]));
        return cli_print_json(cli,
                              json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s}",
                                        "last_lsn",
                                        cli_json_number(repair->walk.whole_lsn),
                                        "lost_first_lsn",
                                        cli_json_number(repair->lost_first),
                                        "lost_last_lsn",
                                        cli_json_number(repair->lost_last),
                                        "lost_entries",
                                        cli_json_number(repair->lost_entries),
                                        "queues",
                                        queues,
                                        "kept_copies",
                                        cli_json_number(repair->kept_copies),
                                        "quarantine",
                                        repair->aside),
                              false);
    }
    (void)printf("cut at lsn %llu: %s, offset %llu: %s\n",
                 (unsigned long long)repair->damage.lsn,
                 repair->damage.file,
                 (unsigned long long)repair->damage.offset,
                 repair->damage.why);
    (void)printf("lost: %llu entries that were readable, lsn %llu to %llu, "
                 "and what is damaged; queue numbers:",
                 (unsigned long long)repair->lost_entries,
                 (unsigned long long)repair->lost_first,
                 (unsigned long long)repair->lost_last);
    for (size_t i = 0; i < repair->queue_count; i++)
        (void)printf(" %llu", (unsigned long long)repair->queues[i]);
    (void)printf("%s\nkept: all up to lsn %llu, and %llu moved payloads\n"
                 "set aside: %s/%s\n",
                 repair->queue_count == QUEUES_MAX ? " ..." : "",
                 (unsigned long long)repair->walk.whole_lsn,
                 (unsigned long long)repair->kept_copies,
                 repair->folder->path,
                 repair->aside);
    return BAO_EXIT_OK;
}

/* --- the verb --- */

static int repair_folder(struct repair *repair)
{
    struct log_folder *folder = repair->folder;
    struct bao_manifest *next = &repair->next;
    struct bao_manifest_segment *segments = next->segments;
    *next = folder->manifest;
    next->checkpoint_count = 0;
    next->segment_count = 0;
    next->clean = false;
    next->format = BAO_DISK_FORMAT;
    next->segments = segments;
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->segments[i].number >= next->next_number)
            next->next_number = folder->segments[i].number + 1;
    }
    if (folder->aside_last >= next->next_number)
        next->next_number = folder->aside_last + 1;
    keep_checkpoints(repair);
    repair->walk = (struct log_walk){
        .context = repair, .record = note_record, .damage = note_damage};
    log_folder_walk(folder, &repair->walk);
    if (!repair->found && repair->rebuilt) {
        repair->damage = (struct log_damage){
            .file = "manifest.0", .why = "no copy of the manifest was whole"};
    } else if (!repair->found) {
        (void)fprintf(stderr,
                      "%s: a broker starts here; nothing was changed\n",
                      repair->cli->name);
        return BAO_EXIT_OK;
    }
    if (repair->replay_lsn > repair->walk.whole_lsn + 1 ||
        (next->checkpoint_count == 0 && folder->manifest.checkpoint_count > 0))
        return bao_complain(repair->cli->name,
                            BAO_EXIT_IO,
                            "this cannot be repaired; nothing was changed",
                            repair->found ? repair->damage.why
                                          : "what a start needs is damaged",
                            "`baozi log verify` names it; restore a backup");
    int exit_code = change(repair);
    return exit_code == BAO_EXIT_OK ? tell(repair) : exit_code;
}

static int run_repair(struct cli *cli)
{
    struct log_folder folder;
    struct repair repair = {.cli = cli, .folder = &folder};
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
    struct bao_manifest_segment *segments =
        calloc(folder.count + 2, sizeof *segments);
    repair.next.segments = segments;
    repair.walked = calloc(folder.count + 1, sizeof *repair.walked);
    if (segments == NULL || repair.walked == NULL)
        exit_code = fail(&repair, "memory ran out");
    if (exit_code == BAO_EXIT_OK)
        exit_code = repair_folder(&repair);
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
             "gone or older: start them anew.\n",
    .exits = "0 repaired, or nothing to do; 74 it cannot be repaired",
};
const struct cli_command cli_log_repair = {.program = &program,
                                           .values = &values,
                                           .run = run_repair};
