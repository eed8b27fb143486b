/*
 * pages.h - what the broker asks of the system about its pages.
 *
 * Idle pages of an arena go back to it, a slice a turn. A peak leaves pages
 * behind that are free and still resident. When they are more than
 * BAO_PAGES_KEPT_BYTES for a second, they are given back, 16 MiB a turn; fewer
 * stay, because the next peak would only fault them in again. And what is read
 * at once gets large pages.
 */
#ifndef BAO_PAGES_H
#define BAO_PAGES_H

#include "common/arena.h"

#define BAO_PAGES_KEPT_BYTES ((size_t)4 << 20)
#define BAO_PAGES_WAIT_US    UINT64_C(1000000)

struct bao_pages {
    struct bao_arena *arena; /* lent; its pages are the process's own */
    uint64_t due_us;
    bool giving;
};

void bao_pages_open(struct bao_pages *pages, struct bao_arena *arena);

/* Gives a slice back if it is time; true if there is more to do at once. */
bool bao_pages_turn(struct bao_pages *pages, uint64_t now_us);

/* When the next turn has something to do; UINT64_MAX = it is not known. */
uint64_t bao_pages_deadline(const struct bao_pages *pages);

/* Memory from malloc() for much that is read at once, in large pages where
 * the system has them: a fault for each small one can cost more than reading.
 * NULL without memory. */
void *bao_pages_large(size_t bytes);

#endif
