/*
 * log_folder.c - reading a data folder, and the walk through its records.
 */
#include "cli/log_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/crc32c.h"

static const char *const copy_names[2] = {"manifest.0", "manifest.1"};

/* --- files --- */

struct bao_span log_folder_map(const struct log_folder *folder,
                               const char *name)
{
    struct bao_span none = {0};
    struct stat stat;
    int file = openat(folder->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0)
        return none;
    void *data = MAP_FAILED;
    if (fstat(file, &stat) == 0 && stat.st_size > 0)
        data =
            mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    (void)close(file);
    return data == MAP_FAILED ? none : bao_span_of(data, (size_t)stat.st_size);
}

void log_folder_unmap(struct bao_span bytes)
{
    /* munmap() wants a pointer to what may be written. */
    if (bytes.data != NULL)
        (void)munmap((void *)(uintptr_t)bytes.data, bytes.bytes);
}

/* --- open --- */

static void
add_segment(struct log_folder *folder, const char *name, uint64_t number)
{
    struct log_segment *grown = realloc(
        folder->segments, (folder->count + 1) * sizeof *folder->segments);
    if (grown == NULL)
        return;
    folder->segments = grown;
    struct log_segment *segment = &grown[folder->count++];
    *segment = (struct log_segment){.number = number,
                                    .bytes = log_folder_map(folder, name)};
    segment->has_head =
        segment->bytes.bytes >= BAO_SEGMENT_HEAD_BYTES &&
        bao_segment_decode(segment->bytes.data, &segment->head) &&
        segment->head.number == number;
}

static int compare(const void *a, const void *b)
{
    const struct log_segment *left = a;
    const struct log_segment *right = b;
    return left->number < right->number ? -1 : left->number > right->number;
}

/* The numbers of segments that were set aside, whole or in part. */
static void read_quarantine(struct log_folder *folder, const char *name)
{
    int inside =
        openat(folder->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = inside < 0 ? NULL : fdopendir(inside);
    const struct dirent *entry;
    while (names != NULL && (entry = readdir(names)) != NULL) {
        char segment[BAO_SEGMENT_NAME_BYTES] = "";
        uint64_t number = 0;
        memcpy(
            segment, entry->d_name, strnlen(entry->d_name, sizeof segment - 1));
        if (bao_segment_number(segment, &number) && number > folder->aside_last)
            folder->aside_last = number;
    }
    if (names != NULL)
        (void)closedir(names);
}

static int read_names(struct log_folder *folder)
{
    int again = openat(folder->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    uint64_t number = 0;
    if (names == NULL)
        return errno;
    while ((entry = readdir(names)) != NULL) {
        if (bao_segment_number(entry->d_name, &number))
            add_segment(folder, entry->d_name, number);
        else if (bao_checkpoint_number(entry->d_name, &number) &&
                 number > folder->checkpoint_last)
            folder->checkpoint_last = number;
        else if (strncmp(entry->d_name,
                         LOG_QUARANTINE,
                         sizeof LOG_QUARANTINE - 1) == 0)
            read_quarantine(folder, entry->d_name);
    }
    (void)closedir(names);
    if (folder->count > 1)
        qsort(
            folder->segments, folder->count, sizeof *folder->segments, compare);
    return 0;
}

static void read_manifest(struct log_folder *folder, int i)
{
    struct bao_span bytes = log_folder_map(folder, copy_names[i]);
    uint32_t room = (uint32_t)(bytes.bytes / BAO_MANIFEST_SEGMENT_BYTES + 1);
    struct bao_manifest copy = {
        .segments = calloc(room, sizeof(struct bao_manifest_segment))};
    folder->has_copy[i] = bytes.bytes > 0;
    folder->copies[i] = BAO_MANIFEST_DAMAGED;
    if (copy.segments != NULL)
        folder->copies[i] = bao_manifest_decode(bytes, &copy, room);
    log_folder_unmap(bytes);
    if (folder->copies[i] == BAO_MANIFEST_GOOD &&
        (!folder->has_manifest ||
         copy.generation > folder->manifest.generation)) {
        free(folder->manifest.segments);
        folder->manifest = copy;
        folder->has_manifest = true;
    } else {
        free(copy.segments);
    }
}

static void note_listed(struct log_folder *folder)
{
    for (uint32_t i = 0; i < folder->manifest.segment_count; i++) {
        const struct bao_manifest_segment *seal = &folder->manifest.segments[i];
        for (size_t k = 0; k < folder->count; k++) {
            struct log_segment *segment = &folder->segments[k];
            if (segment->number != seal->number)
                continue;
            segment->listed = true;
            segment->seal = *seal;
        }
    }
    for (size_t k = 0; k < folder->count && folder->has_manifest; k++) {
        struct log_segment *segment = &folder->segments[k];
        segment->has_head = segment->has_head && segment->head.directory ==
                                                     folder->manifest.directory;
    }
}

static bool has_a_manifest(const struct log_folder *folder)
{
    return faccessat(folder->folder, "manifest.0", F_OK, 0) == 0 ||
           faccessat(folder->folder, "manifest.1", F_OK, 0) == 0;
}

/* A backup that no broker has run in has no lock file: who only looks needs
 * none, who changes it makes one. */
static int
lock_folder(const struct cli *cli, struct log_folder *folder, bool alone)
{
    const bool can_make = alone && has_a_manifest(folder);
    folder->lock =
        openat(folder->folder,
               "lock",
               O_RDWR | O_CLOEXEC | O_NOFOLLOW | (can_make ? O_CREAT : 0),
               0600);
    if (folder->lock < 0 && errno == ENOENT && has_a_manifest(folder))
        return BAO_EXIT_OK;
    if (folder->lock < 0)
        return bao_complain(cli->name,
                            BAO_EXIT_IO,
                            "this is no data folder of a broker",
                            "it has no lock file",
                            "give the folder that baozi-broker --data names");
    folder->busy =
        flock(folder->lock, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0;
    if (!folder->busy)
        return BAO_EXIT_OK;
    if (alone)
        return bao_complain(cli->name,
                            BAO_EXIT_AGAIN,
                            "the folder is in use",
                            "a broker runs in it",
                            "stop it first");
    (void)fprintf(stderr,
                  "%s: a broker runs in it: its last records may be seen half "
                  "written\n",
                  cli->name);
    return BAO_EXIT_OK;
}

bool log_folder_open(const struct cli *cli,
                     const char *path,
                     bool alone,
                     struct log_folder *folder,
                     int *exit_code)
{
    *folder = (struct log_folder){.path = path, .lock = -1};
    folder->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->folder < 0) {
        *exit_code = bao_complain_errno(
            cli->name, BAO_EXIT_IO, "the folder cannot be opened", errno);
        return false;
    }
    *exit_code = lock_folder(cli, folder, alone);
    if (*exit_code == BAO_EXIT_OK) {
        int error = read_names(folder);
        read_manifest(folder, 0);
        read_manifest(folder, 1);
        note_listed(folder);
        if (error == 0)
            return true;
        *exit_code = bao_complain_errno(
            cli->name, BAO_EXIT_IO, "the folder cannot be read", error);
    }
    log_folder_close(folder);
    return false;
}

void log_folder_close(struct log_folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        log_folder_unmap(folder->segments[i].bytes);
    free(folder->segments);
    free(folder->manifest.segments);
    if (folder->lock >= 0)
        (void)close(folder->lock);
    (void)close(folder->folder);
}

/* --- segments --- */

/* False for a file that is another one, or has no head. */
static bool is_headed(const struct log_segment *segment)
{
    return segment->has_head && segment->head.salt == segment->seal.salt;
}

bool log_segment_is_there(const struct log_segment *segment)
{
    return is_headed(segment) && segment->bytes.bytes >= segment->seal.bytes;
}

uint8_t *log_segment_edit(struct log_segment *segment)
{
    /* A private mapping: the file does not change. */
    uint8_t *bytes = (uint8_t *)(uintptr_t)segment->bytes.data;
    if (!segment->edited &&
        mprotect(bytes, segment->bytes.bytes, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    segment->edited = true;
    return bytes;
}

bool log_segment_is_used(const struct log_segment *segment)
{
    struct bao_record_head head;
    return !segment->has_head ||
           (segment->bytes.bytes >=
                BAO_SEGMENT_HEAD_BYTES + BAO_RECORD_HEAD_BYTES &&
            bao_record_decode(segment->bytes.data + BAO_SEGMENT_HEAD_BYTES,
                              &head) &&
            head.salt == segment->head.salt);
}

/* --- checkpoints --- */

static bool
checkpoint_is_whole(const struct bao_manifest_checkpoint *checkpoint,
                    struct bao_span bytes,
                    uint64_t *offset)
{
    struct bao_block block = {0};
    struct bao_block_trailer trailer;
    uint32_t crc = 0;
    *offset = 0;
    for (uint32_t sequence = 0; !block.last; sequence++) {
        if (!bao_block_decode(
                bao_span_of(bytes.data + *offset, bytes.bytes - *offset),
                sequence,
                &block))
            return false;
        uint8_t number[4];
        bao_store32(number, block.crc);
        if (!block.last)
            crc = bao_crc32c(crc, number, sizeof number);
        *offset += block.bytes;
    }
    return bao_block_trailer_decode(&block, &trailer) && trailer.crc == crc &&
           trailer.index == checkpoint->index &&
           trailer.replay_lsn == checkpoint->replay_lsn;
}

bool log_checkpoint_check(const struct log_folder *folder,
                          const struct bao_manifest_checkpoint *checkpoint,
                          struct log_damage *damage)
{
    *damage = (struct log_damage){.lsn = checkpoint->replay_lsn,
                                  .why = "the checkpoint is damaged",
                                  .harmless = true};
    bao_checkpoint_name(checkpoint->number, damage->file);
    struct bao_span bytes = log_folder_map(folder, damage->file);
    if (bytes.bytes == 0)
        damage->why = "the checkpoint is not there";
    bool good = bytes.bytes > 0 &&
                checkpoint_is_whole(checkpoint, bytes, &damage->offset);
    log_folder_unmap(bytes);
    return good;
}

const struct bao_manifest_checkpoint *
log_checkpoint_newest(const struct log_folder *folder)
{
    struct log_damage damage;
    for (uint32_t i = 0; i < folder->manifest.checkpoint_count; i++) {
        if (log_checkpoint_check(
                folder, &folder->manifest.checkpoints[i], &damage))
            return &folder->manifest.checkpoints[i];
    }
    return NULL;
}

uint64_t log_replay_lsn(const struct log_folder *folder)
{
    const struct bao_manifest_checkpoint *newest =
        log_checkpoint_newest(folder);
    return newest == NULL ? 1 : newest->replay_lsn;
}

bool log_order_is_whole(const struct log_folder *folder,
                        struct log_damage *damage)
{
    const struct bao_manifest *manifest = &folder->manifest;
    uint64_t lsn = log_replay_lsn(folder);
    *damage = (struct log_damage){.why = "records are missing"};
    for (uint32_t i = 0; i < manifest->segment_count; i++) {
        const struct bao_manifest_segment *seal = &manifest->segments[i];
        if (seal->last_lsn < lsn || seal->last_lsn < seal->first_lsn)
            continue;
        bao_segment_name(seal->number, damage->file);
        damage->lsn = lsn;
        if (seal->first_lsn > lsn)
            return false;
        lsn = seal->last_lsn + 1;
    }
    return true;
}

/* --- damage --- */

bool log_damage_is_unread(const struct log_damage *damage, uint64_t replay_lsn)
{
    return damage->sealed_lsn != 0 && damage->sealed_lsn < replay_lsn;
}

void log_damage_print(const struct log_damage *damage)
{
    (void)printf("%s, offset %" PRIu64, damage->file, damage->offset);
    if (damage->item == 0)
        (void)printf(", lsn %" PRIu64, damage->lsn);
    if (damage->queue != 0)
        (void)printf(", queue number %" PRIu64, damage->queue);
    if (damage->item != 0)
        (void)printf(", item %" PRIu64, damage->item);
    (void)printf(": %s", damage->why);
}

json_t *log_damage_json(const struct log_damage *damage)
{
    json_t *object = json_pack("{s:s, s:o, s:o, s:s, s:b}",
                               "file",
                               damage->file,
                               "offset",
                               cli_json_number(damage->offset),
                               "lsn",
                               cli_json_number(damage->lsn),
                               "why",
                               damage->why,
                               "harmless",
                               damage->harmless);
    if (object != NULL && damage->queue != 0)
        (void)json_object_set_new(
            object, "queue", cli_json_number(damage->queue));
    if (object != NULL && damage->item != 0)
        (void)json_object_set_new(
            object, "item", cli_json_number(damage->item));
    return object;
}

/* --- the walk --- */

static void tell_damage(struct log_walk *walk,
                        const struct log_segment *segment,
                        const struct bao_scan *scan,
                        struct log_damage damage)
{
    damage.offset = scan->offset;
    damage.lsn = scan->lsn;
    struct bao_record_head head;
    bao_segment_name(segment->number, damage.file);
    if (scan->offset + BAO_RECORD_HEAD_BYTES <= segment->bytes.bytes &&
        bao_record_decode(segment->bytes.data + scan->offset, &head) &&
        head.lsn == scan->lsn)
        damage.queue = head.queue;
    walk->damage(walk->context, &damage);
}

static void tell_missing(struct log_walk *walk,
                         uint64_t number,
                         uint64_t lsn,
                         uint64_t file_lsn)
{
    struct log_damage damage = {
        .lsn = lsn, .why = "the segment is not there", .file_lsn = file_lsn};
    bao_segment_name(number, damage.file);
    walk->damage(walk->context, &damage);
}

/* One record; false at the end of what is good. */
static bool step(struct log_walk *walk,
                 const struct log_segment *segment,
                 struct bao_scan *scan,
                 struct bao_record_head *head,
                 const char **why)
{
    struct bao_span data;
    uint64_t offset = scan->offset;
    enum bao_scan_verdict verdict = bao_scan_next(scan, head, &data);
    if (verdict != BAO_SCAN_RECORD) {
        *why = bao_scan_verdict_text(verdict);
        return false;
    }
    walk->records++;
    walk->entries += head->kind == BAO_RECORD_ENTRY;
    walk->batches += head->kind == BAO_RECORD_BATCH_END;
    if (bao_record_states_durable(head) && head->term > walk->durable_lsn)
        walk->durable_lsn = head->term;
    if (bao_scan_is_whole(scan)) {
        walk->whole_lsn = scan->whole_lsn;
        walk->whole_segment = segment;
        walk->whole_offset = scan->offset;
    }
    if (walk->record != NULL)
        walk->record(walk->context, segment, offset, head, data);
    return true;
}

/* What the manifest calls sealed. */
static void walk_sealed(struct log_walk *walk,
                        const struct log_segment *segment,
                        struct bao_scan *scan)
{
    const struct bao_manifest_segment *seal = &segment->seal;
    struct bao_record_head head = {0};
    const char *why = "the head of the segment is damaged";
    if (scan->lsn != seal->first_lsn)
        bao_scan_begin(scan, seal->first_lsn);
    bao_scan_enter(
        scan, segment->bytes, segment->head.salt, BAO_SEGMENT_HEAD_BYTES);
    const bool headed = is_headed(segment);
    const bool whole = log_segment_is_there(segment);
    bool good = headed;
    while (good && scan->lsn <= seal->last_lsn)
        good = step(walk, segment, scan, &head, &why);
    if (good && whole)
        return;
    tell_damage(walk,
                segment,
                scan,
                (struct log_damage){
                    .why = headed && !whole ? "the segment is cut" : why,
                    .sealed_lsn = whole ? seal->last_lsn : 0,
                    .file_lsn = whole ? 0 : seal->last_lsn,
                });
    bao_scan_begin(scan, seal->last_lsn + 1);
}

/* The greatest statement behind the end, and how many records lie there. */
static uint64_t look_behind(const struct log_folder *folder,
                            struct log_walk *walk,
                            size_t i,
                            const struct bao_scan *scan)
{
    uint64_t durable = folder->manifest.durable_lsn;
    uint64_t offset = scan->offset;
    for (; i < folder->count; i++) {
        const struct log_segment *segment = &folder->segments[i];
        struct bao_statement statement;
        bao_scan_find_statement(segment->bytes,
                                offset,
                                segment->has_head ? segment->head.salt : 0,
                                scan->whole_lsn + 1,
                                &statement);
        walk->torn_records += statement.records;
        if (statement.durable > durable)
            durable = statement.durable;
        offset = BAO_SEGMENT_HEAD_BYTES;
    }
    return durable;
}

/* What follows the last listed segment; `i` is where it begins. */
static void walk_tail(const struct log_folder *folder,
                      struct log_walk *walk,
                      struct bao_scan *scan,
                      size_t i)
{
    struct bao_record_head head = {0};
    const char *why = "the segment is not there";
    if (i >= folder->count) {
        if (folder->manifest.durable_lsn > scan->whole_lsn)
            tell_missing(walk, folder->manifest.tail_first, scan->lsn, 0);
        return;
    }
    const uint64_t from = folder->segments[i].listed
                              ? folder->segments[i].seal.bytes
                              : BAO_SEGMENT_HEAD_BYTES;
    bool good =
        folder->segments[i].has_head && from <= folder->segments[i].bytes.bytes;
    if (good)
        bao_scan_enter(scan,
                       folder->segments[i].bytes,
                       folder->segments[i].head.salt,
                       from);
    while (good && step(walk, &folder->segments[i], scan, &head, &why)) {
        if (head.kind != BAO_RECORD_SEAL)
            continue;
        good = i + 1 < folder->count &&
               folder->segments[i + 1].number == head.index &&
               folder->segments[i + 1].has_head;
        why = "the segment that follows is not there";
        if (good)
            i++;
        if (good)
            bao_scan_enter(scan,
                           folder->segments[i].bytes,
                           folder->segments[i].head.salt,
                           BAO_SEGMENT_HEAD_BYTES);
    }
    uint64_t durable = look_behind(folder, walk, i, scan);
    if (durable > walk->durable_lsn)
        walk->durable_lsn = durable;
    bool led = !good && head.kind == BAO_RECORD_SEAL;
    /* A prepared file never shrinks by itself. */
    bool is_cut = good && folder->segments[i].bytes.bytes <
                              folder->segments[i].head.bytes;
    if (is_cut)
        why = "the segment is cut";
    if (durable > scan->whole_lsn || led || is_cut)
        tell_damage(
            walk, &folder->segments[i], scan, (struct log_damage){.why = why});
}

void log_folder_walk(const struct log_folder *folder, struct log_walk *walk)
{
    struct bao_scan scan;
    size_t tail = folder->count;
    bao_scan_begin(&scan, 1);
    for (uint32_t i = 0; i < folder->manifest.segment_count && !walk->stop;
         i++) {
        const struct bao_manifest_segment *seal = &folder->manifest.segments[i];
        const struct log_segment *segment = NULL;
        for (size_t k = 0; k < folder->count; k++) {
            if (folder->segments[k].number == seal->number)
                segment = &folder->segments[k];
        }
        if (segment == NULL) {
            tell_missing(walk, seal->number, seal->first_lsn, seal->last_lsn);
            bao_scan_begin(&scan, seal->last_lsn + 1);
            continue;
        }
        walk_sealed(walk, segment, &scan);
        if (i + 1 == folder->manifest.segment_count && !seal->closed)
            tail = (size_t)(segment - folder->segments);
    }
    for (size_t k = 0; tail == folder->count && k < folder->count; k++) {
        if (folder->segments[k].number >= folder->manifest.tail_first)
            tail = k;
    }
    if (!folder->manifest.clean && !walk->stop)
        walk_tail(folder, walk, &scan, tail);
}
