/*
 * check.c - what happens when one of our own assertions is false.
 *
 * A broken invariant means that the state can no longer be trusted: the
 * program says which one and dies, so that a restart begins from the log.
 */
#include "common/check.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void bao_panic(const char *file, int line, const char *what)
{
    (void)fprintf(stderr, "panic: %s:%d: %s\n", file, line, what);
    (void)fflush(stderr);
    abort();
}

#ifdef BAO_MARKS

#define MARKS_MAX 1024u

struct mark {
    const char *name; /* a string literal, lent for ever */
    uint64_t count;
};

static struct mark marks[MARKS_MAX];
static atomic_flag marks_busy = ATOMIC_FLAG_INIT;

/* The mark's row, or the first free one, or NULL if the table is full. */
static struct mark *mark_find(const char *name)
{
    for (size_t i = 0; i < MARKS_MAX; i++) {
        if (marks[i].name == NULL || strcmp(marks[i].name, name) == 0)
            return &marks[i];
    }
    return NULL;
}

void bao_mark(const char *name)
{
    while (atomic_flag_test_and_set(&marks_busy))
        ;
    struct mark *mark = mark_find(name);
    if (mark != NULL) {
        mark->name = name;
        mark->count++;
    }
    atomic_flag_clear(&marks_busy);
}

uint64_t bao_mark_count(const char *name)
{
    while (atomic_flag_test_and_set(&marks_busy))
        ;
    const struct mark *mark = mark_find(name);
    uint64_t count = mark == NULL ? 0 : mark->count;
    atomic_flag_clear(&marks_busy);
    return count;
}

#endif
