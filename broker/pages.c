/*
 * pages.c - from the idle pages of an arena to madvise().
 *
 * Invariant: a deadline is set exactly while much is kept.
 */
#include "broker/pages.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void bao_pages_open(struct bao_pages *pages, struct bao_arena *arena)
{
    *pages = (struct bao_pages){.arena = arena, .due_us = UINT64_MAX};
}

bool bao_pages_turn(struct bao_pages *pages, uint64_t now_us)
{
    if (!pages->giving) {
        if (bao_arena_kept(pages->arena) < BAO_PAGES_KEPT_BYTES) {
            pages->due_us = UINT64_MAX;
            return false;
        }
        if (pages->due_us == UINT64_MAX)
            pages->due_us = now_us + BAO_PAGES_WAIT_US;
        if (now_us < pages->due_us)
            return false;
        pages->giving = true;
    }
    size_t bytes = 0;
    void *idle = bao_arena_idle(pages->arena, &bytes);
    if (idle == NULL) {
        pages->giving = false;
        pages->due_us = UINT64_MAX;
        return false;
    }
    /* Without effect they are only resident, as they were. */
    (void)madvise(idle, bytes, MADV_DONTNEED);
    return true;
}

uint64_t bao_pages_deadline(const struct bao_pages *pages)
{
    return pages->due_us;
}

void *bao_pages_large(size_t bytes)
{
    uint8_t *data = malloc(bytes);
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    if (data == NULL || bytes < 2 * page_bytes)
        return data;
    const size_t skipped = page_bytes - (uintptr_t)data % page_bytes;
    const size_t whole = (bytes - skipped) / page_bytes * page_bytes;
    /* Without effect they are small, as they were. */
    (void)madvise(data + skipped, whole, MADV_HUGEPAGE);
    return data;
}
