/*
 * backup.c - `baozi backup`: a copy of a data directory, also of a live one.
 *
 * It reads files and asks no broker. The manifest is read, then what it names
 * is copied, the youngest segment first: so an older one is never behind a
 * younger one, and what the copy has is a log as it was at one moment (its end
 * may be torn, as after a power cut). If the manifest is another one at the
 * end, something may have gone meanwhile, and the rest is copied again; whole
 * segments that stayed are not.
 *
 * A broker that is started on the copy goes on from there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/disk_manifest.h"
#include "common/text.h"

#define SEGMENTS_MAX 65536u
#define MANIFEST_MAX           \
    (BAO_MANIFEST_HEAD_BYTES + \
     (size_t)SEGMENTS_MAX * BAO_MANIFEST_SEGMENT_BYTES)
#define COPY_BYTES ((size_t)1 << 20)
#define TRIES      100u
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
    bool whole; /* nothing will be added to it any more */
    bool copied;
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

static struct file *find(struct backup *backup, const char *name)
{
    for (size_t i = 0; i < backup->file_count; i++)
        if (strcmp(backup->files[i].name, name) == 0)
            return &backup->files[i];
    return NULL;
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
static bool add_segment(struct backup *backup, const char *name, bool copied)
{
    struct file file = {.copied = copied};
    if (!bao_segment_number(name, &file.number))
        return true;
    const struct bao_manifest_segment *segment =
        listed(&backup->manifest, file.number);
    if (segment == NULL && file.number < backup->manifest.tail_first)
        return true;
    file.whole = segment != NULL && segment->closed;
    file.copied = copied && file.whole;
    bao_segment_name(file.number, file.name);
    return add(backup, &file);
}

static bool add_checkpoints(struct backup *backup)
{
    for (uint32_t i = 0; i < backup->manifest.checkpoint_count; i++) {
        struct file file = {.whole = true};
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

/* The files of this manifest; those that were copied whole stay so. */
static bool list_files(struct backup *backup)
{
    struct backup before = *backup;
    DIR *folder = fdopendir(openat(backup->source, ".", O_RDONLY | O_CLOEXEC));
    bool good = folder != NULL;
    backup->files = NULL;
    backup->file_count = 0;
    backup->file_room = 0;
    while (good) {
        const struct dirent *entry = readdir(folder);
        if (entry == NULL)
            break;
        const struct file *was = find(&before, entry->d_name);
        good = add_segment(
            backup, entry->d_name, was != NULL && was->whole && was->copied);
    }
    if (folder != NULL)
        (void)closedir(folder);
    if (good && backup->file_count > 1)
        qsort(backup->files, backup->file_count, sizeof *backup->files, by_age);
    free(before.files);
    return good && add_checkpoints(backup);
}

/* --- copying ---------------------------------------------------------------*/

static bool copy_bytes(struct backup *backup, int from, int to)
{
    static uint8_t data[COPY_BYTES];
    for (;;) {
        ssize_t bytes = read(from, data, sizeof data);
        if (bytes == 0)
            return fsync(to) == 0;
        if (bytes < 0 || write(to, data, (size_t)bytes) != bytes)
            return false;
        backup->copied_bytes += (uint64_t)bytes;
    }
}

static bool copy_file(struct backup *backup, const char *name)
{
    int from = openat(backup->source, name, O_RDONLY | O_CLOEXEC);
    int to = from < 0 ? -1
                      : openat(backup->target,
                               name,
                               O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                               0600);
    bool good = from >= 0 && to >= 0 && copy_bytes(backup, from, to);
    int error = errno;
    if (from >= 0)
        (void)close(from);
    if (to >= 0 && close(to) != 0)
        good = false;
    errno = error;
    return good;
}

/* One pass; OK, AGAIN if a file went meanwhile, or an exit code. */
static int copy_all(struct backup *backup)
{
    for (size_t i = 0; i < backup->file_count; i++) {
        struct file *file = &backup->files[i];
        if (file->copied)
            continue;
        if (!copy_file(backup, file->name))
            return errno == ENOENT ? BAO_EXIT_AGAIN
                                   : fail(backup, file->name, errno);
        file->copied = true;
    }
    return BAO_EXIT_OK;
}

static bool is_wanted(struct backup *backup, const char *name)
{
    return name[0] == '.' || find(backup, name) != NULL;
}

/* What an earlier pass copied and this manifest does not name. */
static bool remove_others(struct backup *backup)
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

/* Passes until nothing went meanwhile. */
static int back_up(struct backup *backup)
{
    for (unsigned i = 0; i < TRIES; i++) {
        if (!read_manifest(backup))
            return bao_complain(backup->cli->name,
                                BAO_EXIT_IO,
                                "this is no data directory that can be read",
                                "it has no manifest that this version knows",
                                "name the folder that the broker got with "
                                "--data");
        const uint64_t generation = backup->manifest.generation;
        if (!list_files(backup))
            return fail(backup, values.data, errno);
        int exit_code = copy_all(backup);
        if (exit_code != BAO_EXIT_OK && exit_code != BAO_EXIT_AGAIN)
            return exit_code;
        struct backup now = {.cli = backup->cli, .source = backup->source};
        const bool same = exit_code == BAO_EXIT_OK && read_manifest(&now) &&
                          now.manifest.generation == generation;
        free(now.bytes);
        free(now.manifest.segments);
        if (!same)
            continue;
        if (remove_others(backup) && write_manifest(backup))
            return BAO_EXIT_OK;
        return fail(backup, values.target, errno);
    }
    return bao_complain(backup->cli->name,
                        BAO_EXIT_AGAIN,
                        "the data changes faster than it can be copied",
                        "files were put to another use meanwhile each time",
                        "try again when there is less load");
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
