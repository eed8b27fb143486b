/*
 * failing_disk.c - a library to preload that makes a program's disk calls
 * fail, or kills the program at one of them.
 *
 *     FAILING_DISK=CALL:FIRST-LAST:WHAT LD_PRELOAD=.../failing_disk.so program
 *
 *   CALL   pwrite, fdatasync, fsync, renameat, unlinkat, ftruncate, or any
 *   FIRST-LAST   which of them, counted from 1 over all threads
 *   WHAT   a number: that errno, and the call is not made
 *          kill: SIGKILL instead of the call; killed: after it
 *          torn: SIGKILL after the first half of a pwrite
 *          short: half of a pwrite is written, and that is what it says
 *
 * FAILING_DISK_ARM=FILE: nothing is counted or fails before FILE is there.
 *
 * FAILING_DISK_COUNT=FILE: how many calls there were, written there with one
 * line a call, so that a test can loop over every one of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct plan {
    char call[16];
    unsigned long first;
    unsigned long last;
    char what[16];
    const char *arm;
    int count_file;
};

static struct plan plan;
static atomic_ulong calls;

__attribute__((constructor)) static void read_plan(void)
{
    const char *text = getenv("FAILING_DISK");
    const char *count = getenv("FAILING_DISK_COUNT");
    plan.arm = getenv("FAILING_DISK_ARM");
    plan.count_file =
        count == NULL ? -1 : open(count, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (text == NULL || sscanf(text,
                               "%15[a-z]:%lu-%lu:%15s",
                               plan.call,
                               &plan.first,
                               &plan.last,
                               plan.what) != 4)
        plan.call[0] = '\0';
    /* the children of a broker, if it had any, have a whole disk */
    (void)unsetenv("LD_PRELOAD");
}

/* True if this call is one that the plan means. */
static bool is_meant(const char *call)
{
    bool any = strcmp(plan.call, "any") == 0;
    if (plan.count_file >= 0) {
        char line[32];
        int bytes = snprintf(line, sizeof line, "%s\n", call);
        ssize_t written = write(plan.count_file, line, (size_t)bytes);
        (void)written;
    }
    if (!any && strcmp(plan.call, call) != 0)
        return false;
    if (plan.arm != NULL && access(plan.arm, F_OK) != 0)
        return false;
    unsigned long number = atomic_fetch_add(&calls, 1) + 1;
    return number >= plan.first && number <= plan.last;
}

static bool is_plan(const char *what)
{
    return strcmp(plan.what, what) == 0;
}

/* What happens instead of a call: true if it was refused with errno. */
static bool refuse(const char *call, bool *kill_after)
{
    *kill_after = false;
    if (!is_meant(call))
        return false;
    if (is_plan("kill"))
        (void)raise(SIGKILL);
    *kill_after = is_plan("killed");
    int error = atoi(plan.what);
    if (error > 0)
        errno = error;
    return error > 0;
}

static int end(int result, bool kill_after)
{
    if (kill_after)
        (void)raise(SIGKILL);
    return result;
}

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL)
        abort();
    return found;
}

/* POSIX says that a function's address fits a void pointer; C does not. */
#define NEXT(type, name)      \
    type call;                \
    void *found = next(name); \
    memcpy(&call, &found, sizeof call)

/* These stand in for the system's, under names of ours for what they take. */
#pragma GCC visibility push(default)
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

ssize_t pwrite(int file, const void *data, size_t bytes, off_t offset)
{
    typedef ssize_t (*pwrite_call)(int, const void *, size_t, off_t);
    NEXT(pwrite_call, "pwrite");
    bool kill_after = false;
    if (is_meant("pwrite")) {
        bool half = is_plan("torn") || is_plan("short");
        if (is_plan("kill"))
            (void)raise(SIGKILL);
        if (atoi(plan.what) > 0) {
            errno = atoi(plan.what);
            return -1;
        }
        kill_after = is_plan("torn") || is_plan("killed");
        if (half && bytes > 1)
            bytes /= 2;
    }
    ssize_t moved = call(file, data, bytes, offset);
    if (kill_after)
        (void)raise(SIGKILL);
    return moved;
}

int fdatasync(int file)
{
    typedef int (*fdatasync_call)(int);
    NEXT(fdatasync_call, "fdatasync");
    bool kill_after;
    return refuse("fdatasync", &kill_after) ? -1 : end(call(file), kill_after);
}

int fsync(int file)
{
    typedef int (*fsync_call)(int);
    NEXT(fsync_call, "fsync");
    bool kill_after;
    return refuse("fsync", &kill_after) ? -1 : end(call(file), kill_after);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    typedef int (*renameat_call)(int, const char *, int, const char *);
    NEXT(renameat_call, "renameat");
    bool kill_after;
    return refuse("renameat", &kill_after)
               ? -1
               : end(call(from_folder, from, to_folder, to), kill_after);
}

int unlinkat(int folder, const char *name, int flags)
{
    typedef int (*unlinkat_call)(int, const char *, int);
    NEXT(unlinkat_call, "unlinkat");
    bool kill_after;
    return refuse("unlinkat", &kill_after)
               ? -1
               : end(call(folder, name, flags), kill_after);
}

int ftruncate(int file, off_t bytes)
{
    typedef int (*ftruncate_call)(int, off_t);
    NEXT(ftruncate_call, "ftruncate");
    bool kill_after;
    return refuse("ftruncate", &kill_after)
               ? -1
               : end(call(file, bytes), kill_after);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
#pragma GCC visibility pop
