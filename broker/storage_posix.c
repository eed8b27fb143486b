/*
 * storage_posix.c - the real disk.
 *
 * File numbers are descriptors. The folder's own descriptor is kept, so that
 * it may be renamed or reached by another way meanwhile; a lock file in it
 * (flock, gone with the process) keeps a second broker out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker/storage.h"

#define FOLDER_MODE 0700
#define FILE_MODE   0600
#define ZERO_BYTES  (256u * 1024u)

struct disk {
    int folder;
    int lock;
};

static int result(int answer)
{
    return answer < 0 ? -errno : answer;
}

/* Whether somebody holds a lock on the file, as `baozi backup` does while it
 * copies. Nobody can take one unseen after this: what is used again is named
 * by no manifest, and a backup reads the manifest again behind its locks. */
static bool is_read(int file)
{
    if (flock(file, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK;
    (void)flock(file, LOCK_UN);
    return false;
}

static int disk_open(void *context,
                     const char *name,
                     enum bao_storage_mode mode,
                     uint64_t *bytes)
{
    const struct disk *disk = context;
    struct stat stat;
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW |
                (mode == BAO_STORAGE_MAKE ? O_CREAT : 0);
    int file = openat(disk->folder, name, flags, FILE_MODE);
    if (file < 0)
        return -errno;
    if (mode == BAO_STORAGE_REUSE && is_read(file)) {
        (void)close(file);
        return -EBUSY;
    }
    if (bytes == NULL)
        return file;
    if (fstat(file, &stat) < 0) {
        int error = -errno;
        (void)close(file);
        return error;
    }
    *bytes = (uint64_t)stat.st_size;
    return file;
}

static void disk_close(void *context, int file)
{
    (void)context;
    (void)close(file);
}

static ssize_t
disk_read(void *context, int file, void *data, size_t bytes, uint64_t offset)
{
    (void)context;
    ssize_t moved = pread(file, data, bytes, (off_t)offset);
    return moved < 0 ? -errno : moved;
}

static ssize_t disk_write(void *context,
                          int file,
                          const void *data,
                          size_t bytes,
                          uint64_t offset)
{
    (void)context;
    ssize_t moved = pwrite(file, data, bytes, (off_t)offset);
    return moved < 0 ? -errno : moved;
}

static int disk_sync(void *context, int file)
{
    (void)context;
    return result(fdatasync(file));
}

/* Zeros that are written, not only promised: a sync of later writes need not
 * touch the file system's own records. */
static int disk_resize(void *context, int file, uint64_t bytes)
{
    static const uint8_t zeros[ZERO_BYTES];
    struct stat stat;
    if (fstat(file, &stat) < 0)
        return -errno;
    uint64_t at = (uint64_t)stat.st_size;
    if (at >= bytes)
        return result(ftruncate(file, (off_t)bytes));
    while (at < bytes) {
        size_t step = bytes - at < ZERO_BYTES ? bytes - at : ZERO_BYTES;
        ssize_t moved = disk_write(context, file, zeros, step, at);
        if (moved == -EINTR)
            continue;
        if (moved <= 0)
            return moved < 0 ? (int)moved : -EIO;
        at += (uint64_t)moved;
    }
    return 0;
}

static int disk_rename(void *context, const char *from, const char *to)
{
    const struct disk *disk = context;
    return result(renameat(disk->folder, from, disk->folder, to));
}

static int disk_remove(void *context, const char *name)
{
    const struct disk *disk = context;
    return result(unlinkat(disk->folder, name, 0));
}

static int disk_list(void *context,
                     void (*found)(void *argument, const char *name),
                     void *argument)
{
    const struct disk *disk = context;
    int folder = openat(disk->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = folder < 0 ? NULL : fdopendir(folder);
    if (names == NULL) {
        int error = -errno;
        if (folder >= 0)
            (void)close(folder);
        return error;
    }
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(names)) != NULL)
        found(argument, entry->d_name);
    int error = -errno;
    (void)closedir(names);
    return error;
}

static int disk_sync_dir(void *context)
{
    const struct disk *disk = context;
    return result(fsync(disk->folder));
}

/* A file system without a limit (a tmpfs may be one) has no blocks at all. What
 * is kept for root stays root's, also where the broker is. */
static int64_t disk_space(void *context)
{
    const struct disk *disk = context;
    struct statvfs all;
    int answer = fstatvfs(disk->folder, &all);
    while (answer < 0 && errno == EINTR)
        answer = fstatvfs(disk->folder, &all);
    if (answer < 0)
        return -errno;
    if (all.f_blocks == 0 || all.f_frsize == 0)
        return -EOPNOTSUPP;
    const uint64_t blocks_max = (uint64_t)INT64_MAX / all.f_frsize;
    return (int64_t)((all.f_bavail < blocks_max ? all.f_bavail : blocks_max) *
                     all.f_frsize);
}

/* --- open --- */

static enum baozi_status refuse(struct bao_problem *problem,
                                const char *folder,
                                const char *what,
                                int error)
{
    char room[64];
    problem->exit_code = BAO_EXIT_IO;
    bao_problem_what(problem, "%s: %s", folder, what);
    bao_problem_why(problem, "%s", strerror_r(error, room, sizeof room));
    bao_problem_remedy(problem,
                       "give a folder that is yours and on a disk with room");
    return error == ENOSPC || error == EDQUOT ? BAOZI_STORAGE_FULL
                                              : BAOZI_STORAGE_FAILED;
}

static enum baozi_status
lock_folder(const char *folder, struct disk *disk, struct bao_problem *problem)
{
    disk->lock = openat(disk->folder,
                        "lock",
                        O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
                        FILE_MODE);
    if (disk->lock < 0)
        return refuse(problem, folder, "its lock cannot be made", errno);
    if (flock(disk->lock, LOCK_EX | LOCK_NB) == 0)
        return BAOZI_OK;
    if (errno != EWOULDBLOCK)
        return refuse(problem, folder, "it cannot be locked", errno);
    problem->exit_code = BAO_EXIT_IO;
    bao_problem_what(problem, "%s is in use", folder);
    bao_problem_why(problem, "another broker keeps its data there");
    bao_problem_remedy(problem, "end that one, or give another --data");
    return BAOZI_EXISTS;
}

/* Makes the folder, and its name durable. */
static int make_folder(const char *folder)
{
    char parent[4096];
    if (mkdir(folder, FOLDER_MODE) < 0)
        return errno == EEXIST ? 0 : -errno;
    (void)snprintf(parent, sizeof parent, "%s/..", folder);
    int above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above < 0)
        return -errno;
    int error = result(fsync(above));
    (void)close(above);
    return error;
}

static enum baozi_status
open_folder(const char *folder, struct disk *disk, struct bao_problem *problem)
{
    int error = make_folder(folder);
    if (error < 0)
        return refuse(problem, folder, "it cannot be made", -error);
    disk->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->folder < 0)
        return refuse(problem, folder, "it cannot be opened", errno);
    return lock_folder(folder, disk, problem);
}

static void close_disk(struct disk *disk)
{
    if (disk->lock >= 0)
        (void)close(disk->lock);
    if (disk->folder >= 0)
        (void)close(disk->folder);
    free(disk);
}

enum baozi_status bao_storage_open(const char *folder,
                                   struct bao_storage *storage,
                                   struct bao_problem *problem)
{
    struct disk *disk = malloc(sizeof *disk);
    *problem = (struct bao_problem){0};
    if (disk == NULL) {
        (void)refuse(problem, folder, "it cannot be opened", ENOMEM);
        return BAOZI_NO_MEMORY;
    }
    *disk = (struct disk){.folder = -1, .lock = -1};
    enum baozi_status status = open_folder(folder, disk, problem);
    if (status != BAOZI_OK) {
        close_disk(disk);
        return status;
    }
    *storage = (struct bao_storage){.context = disk,
                                    .open = disk_open,
                                    .close = disk_close,
                                    .read = disk_read,
                                    .write = disk_write,
                                    .sync = disk_sync,
                                    .resize = disk_resize,
                                    .rename = disk_rename,
                                    .remove = disk_remove,
                                    .list = disk_list,
                                    .sync_dir = disk_sync_dir,
                                    .space = disk_space};
    return BAOZI_OK;
}

void bao_storage_close(struct bao_storage *storage)
{
    close_disk(storage->context);
    *storage = (struct bao_storage){0};
}
