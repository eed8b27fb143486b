/*
 * heap_run.c - the runs beside a heap of heap_run.h.
 *
 * Invariant: entries of a run are in order; its first and its last one are
 * live, or it is empty. A node in a run has the bit IN_RUN, its run and its
 * place for a position, which no heap ever gives.
 */
#include "common/heap_run.h"

#include "common/check.h"

#define IN_RUN    UINT32_C(0x80000000)
#define PLACE     (BAO_HEAP_RUN_ENTRIES - 1)
#define RUN_SHIFT 16u

_Static_assert((BAO_HEAP_RUN_ENTRIES & PLACE) == 0, "a power of two");
_Static_assert(BAO_HEAP_RUN_ENTRIES <= 1u << RUN_SHIFT, "a place fits");

void bao_heap_run_init(struct bao_heap_run *heap, struct bao_arena *arena)
{
    *heap = (struct bao_heap_run){.runs = {{.entries = NULL}}};
    bao_heap_init(&heap->heap, arena);
    for (unsigned i = 0; i < BAO_HEAP_RUNS; i++)
        heap->runs[i].entries = bao_arena_take(
            arena, BAO_HEAP_RUN_ENTRIES * sizeof(struct bao_heap_entry));
}

void bao_heap_run_fini(struct bao_heap_run *heap)
{
    struct bao_arena *arena = heap->heap.arena;
    bao_heap_fini(&heap->heap);
    for (unsigned i = 0; i < BAO_HEAP_RUNS; i++)
        bao_arena_give(arena, heap->runs[i].entries);
    *heap = (struct bao_heap_run){.runs = {{.entries = NULL}}};
    bao_heap_init(&heap->heap, arena);
}

static struct bao_heap_entry *entry_at(const struct bao_heap_ring *run,
                                       uint32_t i)
{
    return &run->entries[i & PLACE];
}

static bool is_empty(const struct bao_heap_ring *run)
{
    return run->head == run->tail;
}

static bool is_less(const struct bao_heap_entry *a,
                    const struct bao_heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void set(const struct bao_heap_run *heap,
                const struct bao_heap_ring *run,
                uint32_t i,
                const struct bao_heap_entry *entry)
{
    const uint32_t number = (uint32_t)(run - heap->runs);
    *entry_at(run, i) = *entry;
    entry->node->position = IN_RUN | number << RUN_SHIFT | (i & PLACE);
}

/* Moves what is live to the front of the ring. */
static void close_gaps(const struct bao_heap_run *heap,
                       struct bao_heap_ring *run)
{
    uint32_t to = run->head;
    for (uint32_t i = run->head; i != run->tail; i++) {
        const struct bao_heap_entry entry = *entry_at(run, i);
        if (entry.node == NULL)
            continue;
        set(heap, run, to, &entry);
        to++;
    }
    run->tail = to;
    BAO_ASSERT(run->tail - run->head == run->live);
}

/* Room at the end: by closing gaps only where they are half of it, so that
 * each entry is moved for one that was taken out. */
static bool has_room(const struct bao_heap_run *heap, struct bao_heap_ring *run)
{
    if (run->tail - run->head < BAO_HEAP_RUN_ENTRIES)
        return true;
    if (run->live > BAO_HEAP_RUN_ENTRIES / 2)
        return false;
    close_gaps(heap, run);
    return true;
}

/* Keys this far apart are neighbours: no need to look for a better run. */
#define CLOSE UINT64_C(0x10000)

/* True if the run that was last appended to ends close before the entry. */
static bool fits_recent(const struct bao_heap_run *heap,
                        const struct bao_heap_entry *entry)
{
    const struct bao_heap_ring *run = &heap->runs[heap->recent];
    if (is_empty(run) || run->tail - run->head == BAO_HEAP_RUN_ENTRIES)
        return false;
    const struct bao_heap_entry *last = entry_at(run, run->tail - 1);
    return !is_less(entry, last) && entry->key - last->key < CLOSE;
}

/* The run that ends closest before the entry, an empty one if none does; NULL
 * if there is none with room. */
static struct bao_heap_ring *run_for(struct bao_heap_run *heap,
                                     const struct bao_heap_entry *entry)
{
    struct bao_heap_ring *best = NULL;
    struct bao_heap_ring *empty = NULL;
    for (unsigned i = 0; i < BAO_HEAP_RUNS; i++) {
        struct bao_heap_ring *run = &heap->runs[i];
        if (run->entries == NULL)
            return NULL;
        if (is_empty(run)) {
            empty = run;
            continue;
        }
        const struct bao_heap_entry *last = entry_at(run, run->tail - 1);
        if (!is_less(entry, last) &&
            (best == NULL || is_less(entry_at(best, best->tail - 1), last)) &&
            has_room(heap, run))
            best = run;
    }
    return best != NULL ? best : empty;
}

bool bao_heap_run_push(struct bao_heap_run *heap,
                       struct bao_heap_node *node,
                       uint64_t key,
                       uint64_t tie)
{
    const struct bao_heap_entry entry = {.key = key, .tie = tie, .node = node};
    BAO_ASSERT(!bao_heap_is_listed(node));
    struct bao_heap_ring *run = &heap->runs[heap->recent];
    if (!fits_recent(heap, &entry))
        run = run_for(heap, &entry);
    if (run == NULL)
        return bao_heap_push(&heap->heap, node, key, tie);
    heap->recent = (uint32_t)(run - heap->runs);
    set(heap, run, run->tail, &entry);
    run->tail++;
    run->live++;
    return true;
}

const struct bao_heap_entry *bao_heap_run_first(const struct bao_heap_run *heap)
{
    const struct bao_heap_entry *first = bao_heap_first(&heap->heap);
    for (unsigned i = 0; i < BAO_HEAP_RUNS; i++) {
        const struct bao_heap_ring *run = &heap->runs[i];
        if (is_empty(run))
            continue;
        const struct bao_heap_entry *entry = entry_at(run, run->head);
        if (first == NULL || is_less(entry, first))
            first = entry;
    }
    return first;
}

void bao_heap_run_remove(struct bao_heap_run *heap, struct bao_heap_node *node)
{
    if ((node->position & IN_RUN) == 0) {
        bao_heap_remove(&heap->heap, node);
        return;
    }
    struct bao_heap_ring *run =
        &heap->runs[(node->position & ~IN_RUN) >> RUN_SHIFT];
    struct bao_heap_entry *entry = entry_at(run, node->position);
    BAO_ASSERT(entry->node == node);
    entry->node = NULL;
    node->position = 0;
    run->live--;
    while (!is_empty(run) && entry_at(run, run->head)->node == NULL)
        run->head++;
    while (!is_empty(run) && entry_at(run, run->tail - 1)->node == NULL)
        run->tail--;
}

bool bao_heap_run_update(struct bao_heap_run *heap,
                         struct bao_heap_node *node,
                         uint64_t key,
                         uint64_t tie)
{
    if ((node->position & IN_RUN) == 0) {
        bao_heap_update(&heap->heap, node, key, tie);
        return true;
    }
    bao_heap_run_remove(heap, node);
    return bao_heap_run_push(heap, node, key, tie);
}

uint32_t bao_heap_run_count(const struct bao_heap_run *heap)
{
    uint32_t count = heap->heap.count;
    for (unsigned i = 0; i < BAO_HEAP_RUNS; i++)
        count += heap->runs[i].live;
    return count;
}
