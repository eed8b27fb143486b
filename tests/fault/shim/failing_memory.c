/*
 * failing_memory.c - a library to preload that lets a program's own requests
 * for memory fail.
 *
 *     FAILING_MEMORY=FIRST-LAST LD_PRELOAD=.../failing_memory.so program
 *
 * FIRST-LAST are the ones that fail, counted from 1 over all threads: malloc,
 * calloc, realloc, aligned_alloc, mmap of memory alone, and pthread_create,
 * whose stack is memory too. Only those count that are called from the program
 * itself or from libbaozi.so (by the return address): what libzmq, msgpack and
 * the C library take for themselves is left to them. libzmq ends the process
 * by design when it gets none, so there would be nothing to see.
 *
 * FAILING_MEMORY_COUNT=FILE: one line a call, "CALL OFFSET", where OFFSET is
 * the caller's place in its file, so that a test can loop over every one of
 * them, or over every place once.
 * FAILING_MEMORY_TOLD=FILE: the same line for those that failed.
 * FAILING_MEMORY_ARM=FILE: nothing is counted or fails before FILE is there.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RANGES_MAX 16u

struct range {
    uintptr_t base;
    uintptr_t first;
    uintptr_t last;
};

/* The C library's own, for whoever stands in front of it. */
/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */

static struct range ranges[RANGES_MAX]; /* of code that is ours */
static size_t range_count;
static unsigned long first, last;
static atomic_ulong calls;
static int count_file = -1;
static int told_file = -1;
static const char *arm;
static bool reading = true; /* the plan; and a fork has none */

static int note_ranges(struct dl_phdr_info *info, size_t bytes, void *context)
{
    (void)bytes;
    (void)context;
    if (info->dlpi_name[0] != '\0' &&
        strstr(info->dlpi_name, "libbaozi") == NULL)
        return 0;
    for (unsigned i = 0; i < info->dlpi_phnum && range_count < RANGES_MAX;
         i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            struct range *range = &ranges[range_count++];
            range->base = info->dlpi_addr;
            range->first = info->dlpi_addr + part->p_vaddr;
            range->last = range->first + part->p_memsz;
        }
    }
    return 0;
}

static int open_book(const char *name)
{
    const char *path = getenv(name);
    return path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
}

__attribute__((constructor)) static void read_plan(void)
{
    const char *text = getenv("FAILING_MEMORY");
    (void)dl_iterate_phdr(note_ranges, NULL);
    count_file = open_book("FAILING_MEMORY_COUNT");
    told_file = open_book("FAILING_MEMORY_TOLD");
    arm = getenv("FAILING_MEMORY_ARM");
    if (text != NULL && sscanf(text, "%lu-%lu", &first, &last) != 2)
        first = last = 0;
    (void)unsetenv("LD_PRELOAD");
    reading = false;
}

static void tell(int file, const char *call, uintptr_t place)
{
    char line[64];
    int bytes =
        snprintf(line, sizeof line, "%s %#lx\n", call, (unsigned long)place);
    ssize_t written = write(file, line, (size_t)bytes);
    (void)written;
}

/* True if this call is to fail. */
static bool fails(const char *call, const void *caller)
{
    const uintptr_t at = (uintptr_t)caller;
    size_t i = 0;
    if (reading)
        return false;
    while (i < range_count && (at < ranges[i].first || at >= ranges[i].last))
        i++;
    if (i == range_count || (arm != NULL && access(arm, F_OK) != 0))
        return false;
    unsigned long number = atomic_fetch_add(&calls, 1) + 1;
    if (count_file >= 0)
        tell(count_file, call, at - ranges[i].base);
    if (number < first || number > last)
        return false;
    if (told_file >= 0)
        tell(told_file, call, at - ranges[i].base);
    errno = ENOMEM;
    return true;
}

#define FAILS(call) fails(call, __builtin_return_address(0))

/* These stand in for the system's, under names of ours for what they take. */
#pragma GCC visibility push(default)
/* NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

void *malloc(size_t bytes)
{
    return FAILS("malloc") ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return FAILS("calloc") ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    return FAILS("realloc") ? NULL : __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return FAILS("aligned_alloc") ? NULL : __libc_memalign(alignment, bytes);
}

void *
mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    if ((flags & MAP_ANONYMOUS) != 0 && FAILS("mmap"))
        return MAP_FAILED;
    long got = syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
    return got == -1 ? MAP_FAILED : (void *)got;
}

int pthread_create(pthread_t *thread,
                   const pthread_attr_t *attributes,
                   void *(*run)(void *),
                   void *context)
{
    typedef int (*create_call)(
        pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    create_call call;
    void *found = dlsym(RTLD_NEXT, "pthread_create");
    if (found == NULL)
        abort();
    /* POSIX says that a function's address fits a void pointer; C does not. */
    memcpy(&call, &found, sizeof call);
    if (FAILS("pthread_create"))
        return EAGAIN;
    return call(thread, attributes, run, context);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */
#pragma GCC visibility pop
