/*
 * storage.h - the ten disk calls that the log will make, and no others.
 *
 * The log on disk is written against this table, so that tests can put a disk
 * in its place that lies: that forgets what was not synced, tears writes,
 * runs full or fails. Files lie flat in one folder, which the context names.
 *
 * Calls answer 0, or -errno; `read` and `write` the bytes moved, which may be
 * fewer than asked for.
 */
#ifndef BAO_STORAGE_H
#define BAO_STORAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bao_storage {
    void *context;
    /* A file for reading and writing, made if it is not there: a number
     * >= 0 that the other calls take. */
    int (*open)(void *context, const char *name);
    ssize_t (*write)(void *context,
                     int file,
                     const void *data,
                     size_t bytes,
                     uint64_t offset);
    ssize_t (*read)(void *context,
                    int file,
                    void *data,
                    size_t bytes,
                    uint64_t offset);
    /* Everything written to `file` before is on the disk when this is 0. If
     * it fails, nothing may be assumed and it may not be asked again. */
    int (*sync)(void *context, int file);
    int (*size)(void *context, int file, uint64_t *bytes);
    int (*rename)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *name);
    /* Calls `found` for every name. */
    int (*list)(void *context,
                void (*found)(void *argument, const char *name),
                void *argument);
    /* Names made, renamed or removed before are on the disk. */
    int (*sync_dir)(void *context);
    /* Makes `file` at least `bytes` long, zero-filled and allocated, so that
     * later writes into it cannot fail for want of room. */
    int (*prepare)(void *context, int file, uint64_t bytes);
};

#endif
