/*
 * heap.c - the 4-ary heap of heap.h.
 *
 * Four children a node: half the depth of a binary heap, and four siblings
 * lie side by side. Segments are given back as the heap shrinks (one spare is
 * kept, so that a count that swings round a multiple of 1,024 costs nothing).
 * Invariant: no entry is smaller than its parent; entry i's node says 1 + i.
 */
#include "common/heap.h"

#include "common/check.h"

#define SEGMENT_ENTRIES 1024u
#define FIRST_ENTRIES   16u /* a small heap begins with this many */
#define ARITY           4u

_Static_assert(SEGMENT_ENTRIES % FIRST_ENTRIES == 0, "it grows by doubling");

void bao_heap_init(struct bao_heap *heap, struct bao_arena *arena)
{
    *heap = (struct bao_heap){.arena = arena};
}

void bao_heap_fini(struct bao_heap *heap)
{
    for (uint32_t i = 0; i < heap->segment_count; i++)
        bao_arena_give(heap->arena, heap->segments[i]);
    bao_arena_give(heap->arena, heap->segments);
    bao_heap_init(heap, heap->arena);
}

static struct bao_heap_entry *entry_at(const struct bao_heap *heap,
                                       uint32_t index)
{
    return &heap->segments[index / SEGMENT_ENTRIES][index % SEGMENT_ENTRIES];
}

static bool is_less(const struct bao_heap_entry *a,
                    const struct bao_heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void place(const struct bao_heap *heap,
                  uint32_t index,
                  const struct bao_heap_entry *entry)
{
    *entry_at(heap, index) = *entry;
    entry->node->position = index + 1;
}

/* Moves `entry` from the hole at `index` towards the top. */
static void sift_up(const struct bao_heap *heap,
                    uint32_t index,
                    struct bao_heap_entry entry)
{
    while (index > 0) {
        uint32_t parent = (index - 1) / ARITY;
        const struct bao_heap_entry *above = entry_at(heap, parent);
        if (!is_less(&entry, above))
            break;
        place(heap, index, above);
        index = parent;
    }
    place(heap, index, &entry);
}

/* The smallest child of `index`, or `count` if it has none. */
static uint32_t smallest_child(const struct bao_heap *heap, uint32_t index)
{
    uint64_t first = (uint64_t)index * ARITY + 1;
    if (first >= heap->count)
        return heap->count;

    uint64_t end = first + ARITY;
    if (end > heap->count)
        end = heap->count;
    uint32_t best = (uint32_t)first;
    for (uint32_t i = best + 1; i < end; i++) {
        if (is_less(entry_at(heap, i), entry_at(heap, best)))
            best = i;
    }
    return best;
}

/* Moves `entry` from the hole at `index` to where it belongs. */
static void
settle(const struct bao_heap *heap, uint32_t index, struct bao_heap_entry entry)
{
    for (;;) {
        uint32_t child = smallest_child(heap, index);
        if (child == heap->count || !is_less(entry_at(heap, child), &entry))
            break;
        place(heap, index, entry_at(heap, child));
        index = child;
    }
    sift_up(heap, index, entry);
}

/* Makes the directory hold at least one more segment. */
static bool grow_directory(struct bao_heap *heap)
{
    if (heap->segment_count < heap->segment_capacity)
        return true;

    uint32_t capacity =
        heap->segment_capacity == 0 ? 2 : heap->segment_capacity * 2;
    struct bao_heap_entry **segments =
        bao_arena_take(heap->arena, capacity * sizeof(*segments));
    if (segments == NULL)
        return false;
    if (heap->segments != NULL)
        memcpy(
            segments, heap->segments, heap->segment_count * sizeof(*segments));
    bao_arena_give(heap->arena, heap->segments);
    heap->segments = segments;
    heap->segment_capacity = capacity;
    return true;
}

/* Makes the first segment, or one twice as long as it was. */
static bool grow_first(struct bao_heap *heap)
{
    uint32_t entries =
        heap->first_entries == 0 ? FIRST_ENTRIES : heap->first_entries * 2;
    struct bao_heap_entry *segment =
        bao_arena_take(heap->arena, entries * sizeof(*segment));
    if (segment == NULL)
        return false;
    if (heap->segment_count == 1) {
        memcpy(segment, heap->segments[0], heap->count * sizeof(*segment));
        bao_arena_give(heap->arena, heap->segments[0]);
    }
    heap->segments[0] = segment;
    heap->segment_count = 1;
    heap->first_entries = entries;
    return true;
}

/* Makes room for one more entry. */
static bool reserve(struct bao_heap *heap)
{
    if (heap->count < heap->first_entries)
        return true;
    if (heap->first_entries < SEGMENT_ENTRIES)
        return (heap->segment_count == 1 || grow_directory(heap)) &&
               grow_first(heap);
    if (heap->count < heap->segment_count * SEGMENT_ENTRIES)
        return true;
    if (heap->segment_count >= UINT32_MAX / SEGMENT_ENTRIES ||
        !grow_directory(heap))
        return false;

    struct bao_heap_entry *segment =
        bao_arena_take(heap->arena, SEGMENT_ENTRIES * sizeof(*segment));
    if (segment == NULL)
        return false;
    heap->segments[heap->segment_count++] = segment;
    return true;
}

/* Gives back what the heap no longer needs. */
static void shrink(struct bao_heap *heap)
{
    while (heap->segment_count > 1 &&
           heap->count + SEGMENT_ENTRIES <=
               (heap->segment_count - 1) * SEGMENT_ENTRIES)
        bao_arena_give(heap->arena, heap->segments[--heap->segment_count]);
    if (heap->count == 0)
        bao_heap_fini(heap);
}

bool bao_heap_push(struct bao_heap *heap,
                   struct bao_heap_node *node,
                   uint64_t key,
                   uint64_t tie)
{
    BAO_ASSERT(!bao_heap_is_listed(node));
    if (!reserve(heap))
        return false;

    uint32_t index = heap->count++;
    sift_up(heap,
            index,
            (struct bao_heap_entry){.key = key, .tie = tie, .node = node});
    return true;
}

const struct bao_heap_entry *bao_heap_first(const struct bao_heap *heap)
{
    return heap->count == 0 ? NULL : entry_at(heap, 0);
}

void bao_heap_remove(struct bao_heap *heap, struct bao_heap_node *node)
{
    BAO_ASSERT(bao_heap_is_listed(node) && node->position <= heap->count);
    uint32_t index = node->position - 1;
    BAO_ASSERT(entry_at(heap, index)->node == node);

    struct bao_heap_entry last = *entry_at(heap, --heap->count);
    node->position = 0;
    if (last.node != node)
        settle(heap, index, last);
    shrink(heap);
}

void bao_heap_update(struct bao_heap *heap,
                     struct bao_heap_node *node,
                     uint64_t key,
                     uint64_t tie)
{
    BAO_ASSERT(bao_heap_is_listed(node) && node->position <= heap->count);
    uint32_t index = node->position - 1;
    BAO_ASSERT(entry_at(heap, index)->node == node);

    settle(heap,
           index,
           (struct bao_heap_entry){.key = key, .tie = tie, .node = node});
}
