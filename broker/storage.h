/*
 * storage.h - the eleven disk calls that the log makes, and no others.
 *
 * The log is written against this table, so that tests can put a disk in its
 * place that lies: that forgets what was not synced, tears writes, runs full
 * or fails (tests/lib/liar.h). Files lie flat in one folder, which the
 * context names. Calls may come from several threads at once, but never two
 * on the same file besides reads.
 *
 * Calls answer 0 or more, or -errno; `read` and `write` the bytes moved, which
 * may be fewer than asked for.
 */
#ifndef BAO_STORAGE_H
#define BAO_STORAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/complain.h"

enum bao_storage_mode {
    BAO_STORAGE_FIND, /* -ENOENT if it is not there */
    BAO_STORAGE_MAKE, /* made if it is not there */
    BAO_STORAGE_REUSE /* as FIND, to be overwritten: -EBUSY while a backup
                         reads it (it holds a shared flock on the file) */
};

struct bao_storage {
    void *context;
    /* A file for reading and writing: a number >= 0 that the other calls
     * take. `bytes` becomes its size; it may be NULL. */
    int (*open)(void *context,
                const char *name,
                enum bao_storage_mode mode,
                uint64_t *bytes);
    void (*close)(void *context, int file);
    ssize_t (*read)(void *context,
                    int file,
                    void *data,
                    size_t bytes,
                    uint64_t offset);
    ssize_t (*write)(void *context,
                     int file,
                     const void *data,
                     size_t bytes,
                     uint64_t offset);
    /* Everything written to `file` before is on the disk when this is 0. If
     * it fails, nothing may be assumed and it may not be asked again. */
    int (*sync)(void *context, int file);
    /* Cuts `file` to `bytes`, or lengthens it by zeros that are written out,
     * so that later writes into it cannot fail for want of room. */
    int (*resize)(void *context, int file, uint64_t bytes);
    int (*rename)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *name);
    /* Calls `found` for every name. */
    int (*list)(void *context,
                void (*found)(void *argument, const char *name),
                void *argument);
    /* Names made, renamed or removed before are on the disk. */
    int (*sync_dir)(void *context);
    /* Bytes that files may still grow by, as the file system sees it now;
     * -errno if it cannot tell. A hint: it holds nothing for the caller. */
    int64_t (*space)(void *context);
};

/*
 * The real disk: makes `folder` if it is not there (0700) and locks it, so
 * that no second broker uses it. `storage` is filled; close it when all files
 * are closed. OK, else `problem` says what, why and what to do:
 *
 * EXISTS          another broker has the folder
 * STORAGE_FULL    no room to make it
 * STORAGE_FAILED  it cannot be made or used
 * NO_MEMORY
 */
BAOZI_MUST_USE enum baozi_status bao_storage_open(const char *folder,
                                                  struct bao_storage *storage,
                                                  struct bao_problem *problem);
void bao_storage_close(struct bao_storage *storage);

#endif
