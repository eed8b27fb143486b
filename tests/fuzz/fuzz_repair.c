/*
 * fuzz_repair.c - any harm to a broker's data folder, looked at by `baozi log
 * verify`, mended by `baozi log repair`, and started again.
 *
 * Two small folders are made once by a broker of its own, one closed in order
 * and one of a broker that was killed; both have a checkpoint that is younger
 * than most of the payloads. The first byte of an input chooses the folder
 * (bit 0) and whether checksums are made to fit what was harmed (bit 1); then
 * follow harms (harm.h). The folder is put into a temporary one, where the
 * verbs of the program look at it as they do for a user. What must hold:
 *
 *   - what verify calls good a broker starts with, and after one harm all
 *     that was put and not cancelled is there;
 *   - what a broker starts with repair does not give up;
 *   - what was repaired verify calls good, a broker starts with, and it goes
 *     on; nothing in it is damaged;
 *   - a repair that cannot help changes nothing;
 *   - no start has other bytes for an item than those that were put.
 *
 * Where the checksums fit, the verbs must not fall over what they read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/log.h"
#include "tests/fuzz/harm.h"
#include "tests/fuzz/repair_verbs.h"
#include "tests/fuzz/repair_world.h"

#define FIT 2u /* bit of the first byte */

/* --- what the target takes over (see wrap.mk) --- */

/* NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier) */
void __wrap_bao_log_line(enum bao_log_level level,
                         const struct bao_log_field *fields);
void __wrap_bao_log_threads_clear(const struct bao_log_threads *threads);
int __wrap_fsync(int file);
int __wrap_poll(struct pollfd *files, nfds_t count, int wait_ms);

void __wrap_bao_log_line(enum bao_log_level level,
                         const struct bao_log_field *fields)
{
    (void)level;
    BAO_ASSERT(fields[0].name != NULL);
}

/* There are none: jobs are done at once. */
void __wrap_bao_log_threads_clear(const struct bao_log_threads *threads)
{
    BAO_ASSERT(threads == NULL);
}

/* Nobody pulls the plug here. */
int __wrap_fsync(int file)
{
    (void)file;
    return 0;
}

/* Nor sleeps anybody. */
int __wrap_poll(struct pollfd *files, nfds_t count, int wait_ms)
{
    (void)wait_ms;
    BAO_ASSERT(files == NULL && count == 0);
    return 0;
}
/* NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier) */

/* --- starts --- */

static bool start(struct repair_world *world)
{
    repair_mute();
    const bool good = repair_world_start(world);
    (void)repair_unmute(NULL);
    return good;
}

/* --- a folder of files --- */

static char folder[64];

static void remove_folder(void)
{
    (void)rmdir(folder);
}

static int open_folder(void)
{
    if (folder[0] == '\0') {
        const char *parent = getenv("TMPDIR");
        (void)snprintf(folder,
                       sizeof folder,
                       "%s/fuzz-repair-XXXXXX",
                       parent != NULL && strlen(parent) < 40 ? parent : "/tmp");
        const char *made = mkdtemp(folder);
        BAO_ASSERT(made != NULL);
        (void)atexit(remove_folder);
    }
    const int opened = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    BAO_ASSERT(opened >= 0);
    return opened;
}

static void write_file(int within, const char *name, struct bao_span bytes)
{
    const int file =
        openat(within, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    BAO_ASSERT(file >= 0);
    const ssize_t moved = write(file, bytes.data, bytes.bytes);
    BAO_ASSERT(moved == (ssize_t)bytes.bytes);
    (void)close(file);
}

static void write_files(int within, struct liar *liar)
{
    const char *name = NULL;
    uint64_t bytes = 0;
    write_file(within, "lock", bao_span_of("", 0));
    for (size_t i = 0; (name = liar_name(liar, i)) != NULL; i++) {
        const uint8_t *data = liar_file(liar, name, &bytes);
        if (data != NULL)
            write_file(within, name, bao_span_of(data, bytes));
    }
}

/* Each file of a folder, not of those in it. */
static void each_file(int within,
                      void (*take)(void *context, int within, const char *name),
                      void *context)
{
    struct stat stat;
    const struct dirent *entry;
    DIR *names = fdopendir(openat(within, ".", O_RDONLY | O_DIRECTORY));
    BAO_ASSERT(names != NULL);
    while ((entry = readdir(names)) != NULL) {
        if (fstatat(within, entry->d_name, &stat, 0) == 0 &&
            S_ISREG(stat.st_mode))
            take(context, within, entry->d_name);
    }
    (void)closedir(names);
}

static void remove_file(void *context, int within, const char *name)
{
    (void)context;
    (void)unlinkat(within, name, 0);
}

/* Everything goes, quarantines too. */
static void empty(int within)
{
    const struct dirent *entry;
    DIR *names = fdopendir(openat(within, ".", O_RDONLY | O_DIRECTORY));
    BAO_ASSERT(names != NULL);
    while ((entry = readdir(names)) != NULL) {
        if (strncmp(entry->d_name, "quarantine-", 11) != 0)
            continue;
        const int inside = openat(within, entry->d_name, O_RDONLY);
        each_file(inside, remove_file, NULL);
        (void)close(inside);
        (void)unlinkat(within, entry->d_name, AT_REMOVEDIR);
    }
    (void)closedir(names);
    each_file(within, remove_file, NULL);
}

static uint8_t *read_file(int within, const char *name, size_t *bytes)
{
    struct stat stat;
    const int file = openat(within, name, O_RDONLY | O_CLOEXEC);
    const bool there = file >= 0 && fstat(file, &stat) == 0;
    BAO_ASSERT(there);
    *bytes = (size_t)stat.st_size;
    uint8_t *data = malloc(*bytes + 1);
    BAO_ASSERT(data != NULL);
    const ssize_t moved = read(file, data, *bytes);
    BAO_ASSERT(moved == stat.st_size);
    (void)close(file);
    return data;
}

static void add_to_sum(void *context, int within, const char *name)
{
    uint64_t *sum = context;
    size_t bytes = 0;
    uint8_t *data = read_file(within, name, &bytes);
    *sum += bao_crc32c(bao_crc32c(0, name, strlen(name)), data, bytes);
    free(data);
}

/* A number that tells whether any file changed. */
static uint64_t sum_of(int within)
{
    uint64_t sum = 0;
    each_file(within, add_to_sum, &sum);
    return sum;
}

static void take_file(void *context, int within, const char *name)
{
    const struct bao_storage *storage = liar_storage(context);
    size_t bytes = 0;
    uint64_t had = 0;
    if (strcmp(name, "lock") == 0)
        return;
    uint8_t *data = read_file(within, name, &bytes);
    const int file =
        storage->open(storage->context, name, BAO_STORAGE_MAKE, &had);
    BAO_ASSERT(file >= 0);
    const int64_t moved =
        storage->write(storage->context, file, data, bytes, 0);
    BAO_ASSERT(moved == (int64_t)bytes);
    (void)storage->sync(storage->context, file);
    storage->close(storage->context, file);
    free(data);
}

/* The disk has what the folder has. */
static void take_files(int within, struct liar *liar)
{
    const char *name = NULL;
    while ((name = liar_name(liar, 0)) != NULL)
        liar_delete(liar, name);
    each_file(within, take_file, liar);
}

/* --- the folders that are harmed --- */

static void live(struct repair_world *world, bool closes)
{
    *world = (struct repair_world){.liar = liar_new(9), .now_us = 1000000};
    for (unsigned life = 0; life < 2; life++) {
        const bool good = start(world);
        BAO_ASSERT(good);
        for (unsigned i = 0; i < REPAIR_ITEMS / 2 - 8; i++) {
            repair_world_put(world);
            if (world->items > 6 && world->items % 3 == 0)
                repair_world_cancel(world, world->items - 6);
        }
        repair_world_idle(world);
        if (life == 0 || closes)
            repair_world_close(world);
        else
            repair_world_kill(world);
    }
}

static const struct repair_world *base(bool closed)
{
    static struct repair_world worlds[2];
    if (worlds[closed].liar == NULL)
        live(&worlds[closed], closed);
    return &worlds[closed];
}

/* --- judgement --- */

/* What is there is right; `whole`: nothing is damaged; `all`: nothing that
 * was put and not cancelled is missing. */
static void look(struct repair_world *world, bool whole, bool all)
{
    for (unsigned n = 1; n <= world->items; n++) {
        const enum repair_found found = repair_world_look(world, n);
        BAO_ASSERT(!whole || found != REPAIR_DAMAGED);
        BAO_ASSERT(!all || world->cancelled[n] || found == REPAIR_WHOLE);
    }
}

static void judge_repaired(struct repair_world *world, int within)
{
    const bool good = repair_verify(folder);
    BAO_ASSERT(good);
    take_files(within, world->liar);
    for (unsigned life = 0; life < 2; life++) {
        const bool started = start(world);
        BAO_ASSERT(started);
        look(world, true, false);
        repair_world_put(world);
        if (life == 0)
            repair_world_close(world);
        else
            repair_world_kill(world);
    }
}

static void judge(struct repair_world *world, unsigned harms)
{
    const int within = open_folder();
    bool changed = false;
    write_files(within, world->liar);
    const uint64_t before = sum_of(within);
    const bool good = repair_verify(folder);
    struct repair_world once = *world;
    once.liar = liar_copy(world->liar);
    const bool started = start(&once);
    BAO_ASSERT(started || !good);
    if (started) {
        look(&once, good, good && harms < 2);
        repair_world_kill(&once);
    }
    liar_free(once.liar);
    const int exit_code = repair_mend(folder, &changed);
    BAO_ASSERT(exit_code == 0 || !started);
    BAO_ASSERT(changed || sum_of(within) == before);
    BAO_ASSERT(!changed || !good);
    if (exit_code == 0)
        judge_repaired(world, within);
    empty(within);
    (void)close(within);
}

static void believe(struct repair_world *world)
{
    const int within = open_folder();
    bool changed = false;
    fuzz_fit_checksums(world->liar);
    write_files(within, world->liar);
    (void)repair_verify(folder);
    (void)repair_mend(folder, &changed);
    (void)repair_verify(folder);
    empty(within);
    (void)close(within);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const unsigned choice = fuzz_byte(&input);
    struct repair_world world = *base((choice & 1) != 0);
    world.liar = liar_copy(world.liar);
    const unsigned harms = fuzz_harm(world.liar, &input);
    if ((choice & FIT) == 0)
        judge(&world, harms);
    else
        believe(&world);
    liar_free(world.liar);
    return 0;
}
