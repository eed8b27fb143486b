/*
 * log_write.c - see log_write.h.
 */
#include "cli/log_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/time.h"

#define MANIFEST_BYTES (16u * 1024u)

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

bool log_write(const struct log_folder *folder,
               const char *name,
               const uint8_t *data,
               size_t bytes)
{
    int file =
        openat(folder->folder, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    bool good = write_all(file, data, bytes) && fsync(file) == 0;
    return close(file) == 0 && good;
}

FILE *log_write_begin(const struct log_folder *folder,
                      const char *within,
                      const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", within, name);
    int file =
        openat(folder->folder, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FILE *opened = file < 0 ? NULL : fdopen(file, "w");
    if (opened == NULL && file >= 0)
        (void)close(file);
    return opened;
}

bool log_write_end(FILE *file)
{
    if (file == NULL)
        return false;
    const bool good = fflush(file) == 0 && fsync(fileno(file)) == 0;
    return fclose(file) == 0 && good;
}

bool log_write_manifests(const struct log_folder *folder,
                         struct bao_manifest *next)
{
    size_t bytes = bao_manifest_bytes(next->segment_count);
    size_t room = (bytes / MANIFEST_BYTES + 1) * MANIFEST_BYTES;
    uint8_t *data = calloc(1, room);
    bool good = data != NULL;
    for (uint64_t i = 0; i < 2 && good; i++) {
        char name[16];
        uint64_t generation = folder->manifest.generation + 1 + i;
        next->generation = generation;
        bao_manifest_encode(next, data);
        (void)snprintf(name, sizeof name, "manifest.%d", (int)(generation % 2));
        good = log_write(folder, name, data, room);
    }
    free(data);
    return good && fsync(folder->folder) == 0;
}

/* A second repair in one second takes the next one. */
bool log_write_quarantine(const struct log_folder *folder,
                          char aside[LOG_ASIDE_BYTES])
{
    uint64_t second = bao_time_wall_us() / 1000000;
    int made;
    do {
        (void)snprintf(aside,
                       LOG_ASIDE_BYTES,
                       LOG_QUARANTINE "%llu",
                       (unsigned long long)second++);
        made = mkdirat(folder->folder, aside, 0700);
    } while (made != 0 && errno == EEXIST);
    return made == 0;
}

bool log_write_aside(const struct log_folder *folder,
                     const char *aside,
                     const char *name)
{
    char to[128];
    (void)snprintf(to, sizeof to, "%s/%s", aside, name);
    return renameat(folder->folder, name, folder->folder, to) == 0 ||
           errno == ENOENT;
}
