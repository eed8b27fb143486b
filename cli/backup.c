/*
 * backup.c - `baozi backup`: a copy of a data directory, also of a live one.
 *
 * It asks no broker. The manifest is read, then every file that it names is
 * opened and locked (a shared flock), then the manifest is read again: if it is
 * still the same one, none of them was put to another use before it was locked,
 * and none will be while it is (BAO_STORAGE_REUSE); removing only takes their
 * names. So it ends under any load, and a backup that dies leaves nothing.
 *
 * What is still written to is copied from its end to its beginning, and the
 * youngest segment first: so an older part is never behind a younger one, and
 * what the copy has is a log as it was at one moment (its end may be torn, as
 * after a power cut). A broker that is started on the copy goes on from there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/disk_manifest.h"
#include "common/text.h"

#define SEGMENTS_MAX 65536u
#define MANIFEST_MAX           \
    (BAO_MANIFEST_HEAD_BYTES + \
     (size_t)SEGMENTS_MAX * BAO_MANIFEST_SEGMENT_BYTES)
#define COPY_BYTES ((size_t)1 << 20)
#define PAGE_BYTES ((size_t)4096)
#define TRIES      1000u
#define COPIES     5u /* a disk without room may spoil them */
#define PAUSE_NS   2000000l
#define NAME_BYTES 32u

static struct values {
    struct cli_common common;
    const char *data;
    const char *target;
} values;

#define AT(member) .offset = offsetof(struct values, member)

/* A file of the folder to be copied. */
struct file {
    char name[NAME_BYTES];
    uint64_t number;
    bool segment; /* and no checkpoint */
    bool whole;   /* nothing will be added to it any more */
    int held;     /* its descriptor, locked; -1: not yet */
};

struct backup {
    const struct cli *cli;
    int source;
    int target;
    uint8_t *bytes; /* of the manifest that counts */
    size_t byte_count;
    struct bao_manifest manifest;
    struct file *files; /* checkpoints, then segments, youngest first */
    size_t file_count;
    size_t file_room;
    uint64_t copied_bytes;
};

static int fail(const struct backup *backup, const char *what, int error)
{
    return bao_complain_errno(backup->cli->name, BAO_EXIT_IO, what, error);
}

/* --- the manifest ----------------------------------------------------------*/

/* Reads a whole file; NULL if it is not there or too long. */
static uint8_t *read_file(int folder, const char *name, size_t *bytes)
{
    int file = openat(folder, name, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (file < 0)
        return NULL;
    uint8_t *data = NULL;
    if (fstat(file, &stat) == 0 && stat.st_size > 0 &&
        (uint64_t)stat.st_size <= MANIFEST_MAX)
        data = malloc((size_t)stat.st_size);
    if (data != NULL &&
        read(file, data, (size_t)stat.st_size) != stat.st_size) {
        free(data);
        data = NULL;
    }
    (void)close(file);
    *bytes = data == NULL ? 0 : (size_t)stat.st_size;
    return data;
}

/* Takes the better of the two copies; false if there is none. */
static bool read_manifest(struct backup *backup)
{
    struct bao_manifest found = {
        .segments = calloc(SEGMENTS_MAX, sizeof(struct bao_manifest_segment))};
    bool any = false;
    if (found.segments == NULL)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        size_t bytes = 0;
        uint8_t *data = read_file(
            backup->source, i == 0 ? "manifest.0" : "manifest.1", &bytes);
        struct bao_span span = bao_span_of(data, bytes);
        if (data == NULL ||
            bao_manifest_decode(span, &found, SEGMENTS_MAX) !=
                BAO_MANIFEST_GOOD ||
            (any && found.generation <= backup->manifest.generation)) {
            free(data);
            continue;
        }
        any = true;
        struct bao_manifest_segment *spare = backup->manifest.segments;
        backup->manifest = found;
        found.segments = spare != NULL
                             ? spare
                             : calloc(SEGMENTS_MAX, sizeof *found.segments);
        free(backup->bytes);
        backup->bytes = data;
        backup->byte_count = bytes;
        if (found.segments == NULL)
            break;
    }
    free(found.segments);
    return any;
}

/* --- what is to be copied --------------------------------------------------*/

static bool is_listed(const struct backup *backup, const char *name)
{
    for (size_t i = 0; i < backup->file_count; i++)
        if (strcmp(backup->files[i].name, name) == 0)
            return true;
    return false;
}

static bool add(struct backup *backup, const struct file *file)
{
    if (backup->file_count == backup->file_room) {
        size_t room = backup->file_room == 0 ? 64 : 2 * backup->file_room;
        struct file *files = realloc(backup->files, room * sizeof *files);
        if (files == NULL)
            return false;
        backup->files = files;
        backup->file_room = room;
    }
    backup->files[backup->file_count++] = *file;
    return true;
}

static const struct bao_manifest_segment *
listed(const struct bao_manifest *manifest, uint64_t number)
{
    for (uint32_t i = 0; i < manifest->segment_count; i++)
        if (manifest->segments[i].number == number)
            return &manifest->segments[i];
    return NULL;
}

/* A segment that the manifest names, or that may hold the log's tail. */
static bool add_segment(struct backup *backup, const char *name)
{
    struct file file = {.segment = true, .held = -1};
    if (!bao_segment_number(name, &file.number))
        return true;
    const struct bao_manifest_segment *segment =
        listed(&backup->manifest, file.number);
    if (segment == NULL && file.number < backup->manifest.tail_first)
        return true;
    file.whole = segment != NULL && segment->closed;
    bao_segment_name(file.number, file.name);
    return add(backup, &file);
}

static bool add_checkpoints(struct backup *backup)
{
    for (uint32_t i = 0; i < backup->manifest.checkpoint_count; i++) {
        struct file file = {.whole = true, .held = -1};
        bao_checkpoint_name(backup->manifest.checkpoints[i].number, file.name);
        if (!add(backup, &file))
            return false;
    }
    return true;
}

static int by_age(const void *left, const void *right)
{
    const struct file *a = left;
    const struct file *b = right;
    if (a->number == b->number)
        return strcmp(a->name, b->name);
    return a->number > b->number ? -1 : 1;
}

/* The files of this manifest. */
static bool list_files(struct backup *backup)
{
    DIR *folder = fdopendir(openat(backup->source, ".", O_RDONLY | O_CLOEXEC));
    bool good = folder != NULL;
    while (good) {
        const struct dirent *entry = readdir(folder);
        if (entry == NULL)
            break;
        good = add_segment(backup, entry->d_name);
    }
    if (folder != NULL)
        (void)closedir(folder);
    if (good && backup->file_count > 1)
        qsort(backup->files, backup->file_count, sizeof *backup->files, by_age);
    return good && add_checkpoints(backup);
}

/* --- holding them ----------------------------------------------------------*/

static void release_all(struct backup *backup)
{
    for (size_t i = 0; i < backup->file_count; i++)
        if (backup->files[i].held >= 0)
            (void)close(backup->files[i].held);
    backup->file_count = 0;
}

/* Opens and locks all; OK, AGAIN if one is gone or taken, or an exit code. */
static int hold_all(struct backup *backup)
{
    for (size_t i = 0; i < backup->file_count; i++) {
        struct file *file = &backup->files[i];
        file->held = openat(backup->source, file->name, O_RDONLY | O_CLOEXEC);
        if (file->held >= 0 && flock(file->held, LOCK_SH | LOCK_NB) == 0)
            continue;
        if (errno == ENOENT || errno == EWOULDBLOCK)
            return BAO_EXIT_AGAIN;
        return fail(backup, file->name, errno);
    }
    return BAO_EXIT_OK;
}

static bool is_manifest_same(const struct backup *backup)
{
    struct backup now = {.cli = backup->cli, .source = backup->source};
    const bool same = read_manifest(&now) &&
                      now.manifest.generation == backup->manifest.generation;
    free(now.bytes);
    free(now.manifest.segments);
    return same;
}

/* A manifest and all that it names, held; OK, AGAIN, or an exit code. */
static int hold(struct backup *backup)
{
    if (!read_manifest(backup))
        return bao_complain(backup->cli->name,
                            BAO_EXIT_IO,
                            "this is no data directory that can be read",
                            "it has no manifest that this version knows",
                            "name the folder that the broker got with --data");
    if (!list_files(backup))
        return fail(backup, values.data, errno);
    int exit_code = hold_all(backup);
    if (exit_code == BAO_EXIT_OK && !is_manifest_same(backup))
        exit_code = BAO_EXIT_AGAIN;
    return exit_code;
}

/* --- copying ---------------------------------------------------------------*/

static bool read_all(int from, uint8_t *data, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t moved =
            pread(from, data + done, bytes - done, (off_t)(offset + done));
        if (moved > 0)
            done += (size_t)moved;
        else if (moved == 0 || errno != EINTR)
            return false;
    }
    return true;
}

static bool
write_all(int to, const uint8_t *data, size_t bytes, uint64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t moved =
            pwrite(to, data + done, bytes - done, (off_t)(offset + done));
        if (moved > 0)
            done += (size_t)moved;
        else if (moved == 0 || errno != EINTR)
            return false;
    }
    return true;
}

/* A page that somebody may be writing to: read until it is twice the same, so
 * that its front is not older than its end. */
static bool read_page(int from, uint8_t *data, size_t bytes, uint64_t offset)
{
    uint8_t again[PAGE_BYTES];
    for (;;) {
        if (!read_all(from, data, bytes, offset) ||
            !read_all(from, again, bytes, offset))
            return false;
        if (memcmp(data, again, bytes) == 0)
            return true;
    }
}

/* From the end to the beginning, in pages if it is written to. */
static bool copy_bytes(struct backup *backup, const struct file *file, int to)
{
    static uint8_t data[COPY_BYTES];
    const size_t step = file->whole ? COPY_BYTES : PAGE_BYTES;
    struct stat stat;
    if (fstat(file->held, &stat) != 0)
        return false;
    uint64_t end = (uint64_t)stat.st_size;
    while (end > 0) {
        const uint64_t offset = (end - 1) / step * step;
        const size_t bytes = (size_t)(end - offset);
        const bool good = file->whole
                              ? read_all(file->held, data, bytes, offset)
                              : read_page(file->held, data, bytes, offset);
        if (!good || !write_all(to, data, bytes, offset))
            return false;
        end = offset;
        backup->copied_bytes += bytes;
    }
    return fsync(to) == 0;
}

/* A broker without room takes a file all the same, and gives it another head
 * before it writes anything else. */
static bool is_taken(const struct backup *backup, const struct file *file)
{
    uint8_t bytes[BAO_SEGMENT_HEAD_BYTES];
    struct bao_segment_head head;
    return file->segment && (!read_all(file->held, bytes, sizeof bytes, 0) ||
                             !bao_segment_decode(bytes, &head) ||
                             head.directory != backup->manifest.directory ||
                             head.number != file->number);
}

/* OK, AGAIN if it was put to another use, or an exit code. */
static int copy_file(struct backup *backup, const struct file *file)
{
    int to = openat(backup->target,
                    file->name,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                    0600);
    bool good = to >= 0 && copy_bytes(backup, file, to);
    int error = errno;
    if (to >= 0 && close(to) != 0 && good) {
        good = false;
        error = errno;
    }
    if (!good)
        return fail(backup, file->name, error);
    return is_taken(backup, file) ? BAO_EXIT_AGAIN : BAO_EXIT_OK;
}

/* OK, AGAIN, or an exit code. */
static int copy_all(struct backup *backup)
{
    int exit_code = BAO_EXIT_OK;
    for (size_t i = 0; i < backup->file_count && exit_code == BAO_EXIT_OK; i++)
        exit_code = copy_file(backup, &backup->files[i]);
    return exit_code;
}

static bool is_wanted(const struct backup *backup, const char *name)
{
    return name[0] == '.' || is_listed(backup, name);
}

/* What an earlier pass copied and this manifest does not name. */
static bool remove_others(const struct backup *backup)
{
    DIR *folder = fdopendir(openat(backup->target, ".", O_RDONLY | O_CLOEXEC));
    if (folder == NULL)
        return false;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
        if (!is_wanted(backup, entry->d_name))
            (void)unlinkat(backup->target, entry->d_name, 0);
    return closedir(folder) == 0;
}

static bool write_copy(struct backup *backup, const char *name)
{
    int file = openat(
        backup->target, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    bool good = write(file, backup->bytes, backup->byte_count) ==
                    (ssize_t)backup->byte_count &&
                fsync(file) == 0;
    return close(file) == 0 && good;
}

/* Both copies, the one with the even generation first. */
static bool write_manifest(struct backup *backup)
{
    const uint64_t even = (backup->manifest.generation + 1) / 2 * 2;
    bao_manifest_set_generation(backup->bytes, even);
    bool good = write_copy(backup, "manifest.0");
    bao_manifest_set_generation(backup->bytes, even + 1);
    return good && write_copy(backup, "manifest.1") &&
           fsync(backup->target) == 0;
}

/* Each segment is a descriptor while it is held. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Until all was held at once, and stayed what it was. */
static int back_up(struct backup *backup)
{
    unsigned copies = 0;
    raise_limit();
    for (unsigned i = 0; i < TRIES && copies < COPIES; i++) {
        int exit_code = hold(backup);
        if (exit_code == BAO_EXIT_OK) {
            exit_code = copy_all(backup);
            copies++;
        }
        if (exit_code == BAO_EXIT_OK) {
            if (remove_others(backup) && write_manifest(backup))
                return BAO_EXIT_OK;
            return fail(backup, values.target, errno);
        }
        if (exit_code != BAO_EXIT_AGAIN)
            return exit_code;
        release_all(backup);
        (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return bao_complain(backup->cli->name,
                        BAO_EXIT_AGAIN,
                        "the data changes faster than it can be copied",
                        "files were put to another use meanwhile each time",
                        "make room on the broker's disk, or try again when "
                        "there is less load");
}

/* --- the command -----------------------------------------------------------*/

/* Makes the target, or takes an empty folder. */
static int open_target(struct backup *backup)
{
    if (mkdir(values.target, 0700) != 0 &&
        (errno != EEXIST || rmdir(values.target) != 0 ||
         mkdir(values.target, 0700) != 0))
        return fail(backup, values.target, errno);
    backup->target = open(values.target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return backup->target < 0 ? fail(backup, values.target, errno)
                              : BAO_EXIT_OK;
}

static int say(const struct backup *backup)
{
    char size[BAO_TEXT_BYTES];
    if (cli_json(backup->cli)) {
        json_t *object = json_object();
        (void)json_object_set_new(
            object, "target", cli_json_text(values.target));
        (void)json_object_set_new(
            object, "bytes", cli_json_number(backup->copied_bytes));
        (void)json_object_set_new(
            object, "files", cli_json_number(backup->file_count));
        return cli_print_json(backup->cli, object, false);
    }
    (void)printf("%zu files, %s\n",
                 backup->file_count,
                 bao_write_size(size, sizeof size, backup->copied_bytes));
    return BAO_EXIT_OK;
}

static int run(struct cli *cli)
{
    struct backup backup = {.cli = cli, .target = -1};
    backup.source = open(values.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (backup.source < 0)
        return fail(&backup, values.data, errno);
    int exit_code = open_target(&backup);
    if (exit_code == BAO_EXIT_OK)
        exit_code = back_up(&backup);
    if (exit_code == BAO_EXIT_OK)
        exit_code = say(&backup);
    release_all(&backup);
    if (backup.target >= 0)
        (void)close(backup.target);
    (void)close(backup.source);
    free(backup.files);
    free(backup.bytes);
    free(backup.manifest.segments);
    return exit_code;
}

static const struct bao_option options[] = {
    {.name = "data",
     .takes = BAO_TAKES_TEXT,
     .value = "DIR",
     AT(data),
     .initial = "./baozi-data",
     .environment = "BAOZI_DATA",
     .help = "the broker's data directory"},
    CLI_COMMON_OPTIONS(struct values),
    {0},
};
static const struct bao_operand operands[] = {
    {.name = "TARGET", AT(target), .help = "a folder; made, or empty"},
    {0},
};
static const struct bao_program program = {
    .name = "baozi backup",
    .purpose = "copy a data directory, also of a running broker",
    .options = options,
    .operands = operands,
    .examples = "  baozi backup --data /var/lib/baozi /backup/monday\n"
                "  baozi-broker --data /backup/monday\n",
    .notes = "What was confirmed before it began is in the copy. A broker that "
             "is started on the\ncopy goes on from there; never run two on "
             "copies of one directory for the same\nclients.\n",
    .exits = "0 copied; 75 the data changed too fast",
};
const struct cli_command cli_backup = {.program = &program,
                                       .values = &values,
                                       .run = run};
