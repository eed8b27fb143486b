/*
 * arena.c - the two-level segregated fit of arena.h.
 *
 * Memory is a row of blocks without gaps, closed by a taken block of size 0.
 * A block is its size (a multiple of 16, this word included) and what lies
 * behind it; payloads are 16-aligned because sizes lie 8 below.
 *
 *   taken   [size|flags][payload ...............................]
 *   free    [size|flags][next][previous] ............. [size]
 *
 * The last word lets the next block find its free neighbour; it is only there
 * when the next block's PREVIOUS_FREE flag says so. A free block is IDLE when
 * all its whole pages were named to the owner, or never used. Free blocks hang
 * in lists by size class: 32 classes for each power of two, two levels of
 * bitmaps.
 */
#include "common/arena.h"

#include "common/check.h"
#include "common/poison.h"

#define ALIGN           16u
#define WORD            8u
#define BLOCK_MIN       32u /* size, two links, size again */
#define FREE            ((uint64_t)1)
#define PREVIOUS_FREE   ((uint64_t)2)
#define IDLE            ((uint64_t)4)
#define FLAGS           (FREE | PREVIOUS_FREE | IDLE)
#define SECOND_BITS     5u
#define SECOND_COUNT    (1u << SECOND_BITS)
#define SMALL_BYTES     (SECOND_COUNT * ALIGN) /* below: one class per size */
#define SMALL_BITS      9u
#define FIRST_COUNT     40u
#define ARENA_BYTES_MIN (64u * 1024u)
#define IDLE_BYTES_MIN  (64u * 1024u) /* of a block whose pages are named */

_Static_assert(SMALL_BYTES == 1u << SMALL_BITS, "classes meet at 512");
_Static_assert(sizeof(uint64_t) == WORD && sizeof(void *) <= WORD,
               "links fit in words");

struct block {
    uint64_t size; /* | flags */
    struct block *next;
    struct block *previous;
};

struct bao_arena {
    size_t capacity;
    size_t used;
    size_t peak;        /* of what idle pages may be among, since they were
                         named last */
    size_t crumbs;      /* in free blocks that are too small and not idle */
    size_t late;        /* given since naming began: not named, perhaps */
    unsigned idle_list; /* lists at and above are done; 0: naming is over */
    uint8_t *idle_end;  /* of the block being named, from its end down */
    uint8_t *idle_upto; /* below it nothing of that block was named yet */
    uint8_t *high;      /* nothing from here on was ever used */
    uint64_t first_map;
    uint32_t second_map[FIRST_COUNT];
    struct block *lists[FIRST_COUNT][SECOND_COUNT];
    struct block *first; /* the block of the lowest address */
};

_Static_assert(sizeof(struct bao_arena) < ARENA_BYTES_MIN / 2,
               "the smallest arena has room for blocks");

struct place {
    unsigned first;
    unsigned second;
};

static uint64_t block_size(const struct block *block)
{
    return block->size & ~FLAGS;
}

static struct block *block_at(struct block *block, uint64_t offset)
{
    return (struct block *)(void *)((uint8_t *)block + offset);
}

static struct block *block_next(struct block *block)
{
    return block_at(block, block_size(block));
}

static void *block_payload(struct block *block)
{
    return (uint8_t *)block + WORD;
}

/*
 * A free block is poisoned between its links and its last word. Take and give
 * mark only what they change, so that a large neighbour costs nothing.
 */
static uint8_t *after_links(struct block *block)
{
    return (uint8_t *)block + sizeof(*block);
}

static void poison(const uint8_t *first, const uint8_t *last)
{
    BAO_ASSERT(first <= last);
    BAO_POISON(first, (size_t)(last - first));
}

/* The class that blocks of `size` are listed in. */
static struct place place_of(uint64_t size)
{
    if (size < SMALL_BYTES)
        return (struct place){0, (unsigned)(size / ALIGN)};
    unsigned top = 63u - (unsigned)__builtin_clzll(size);
    return (struct place){top - SMALL_BITS + 1,
                          (unsigned)(size >> (top - SECOND_BITS)) &
                              (SECOND_COUNT - 1)};
}

/* The least class in which every block has at least `size`. */
static struct place place_for(uint64_t size)
{
    if (size >= SMALL_BYTES) {
        unsigned top = 63u - (unsigned)__builtin_clzll(size);
        size += (UINT64_C(1) << (top - SECOND_BITS)) - 1;
    }
    return place_of(size);
}

static void write_footer(struct block *block)
{
    uint8_t *end = (uint8_t *)block + block_size(block) - WORD;
    bao_store64(end, block_size(block));
}

static bool is_crumb(const struct block *block)
{
    return block_size(block) < IDLE_BYTES_MIN && (block->size & IDLE) == 0;
}

/* Lists a block that was just made free; its flags are set here. */
static void list_block(struct bao_arena *arena, struct block *block)
{
    uint64_t size = block_size(block);
    struct place at = place_of(size);
    struct block *head = arena->lists[at.first][at.second];

    BAO_ASSERT(size >= BLOCK_MIN && size % ALIGN == 0);
    BAO_ASSERT(at.first < FIRST_COUNT);
    arena->crumbs += is_crumb(block) ? size : 0;
    block->size |= FREE;
    block->next = head;
    block->previous = NULL;
    if (head != NULL)
        head->previous = block;
    arena->lists[at.first][at.second] = block;
    arena->second_map[at.first] |= 1u << at.second;
    arena->first_map |= UINT64_C(1) << at.first;

    write_footer(block);
    block_next(block)->size |= PREVIOUS_FREE;
}

static void unlist_block(struct bao_arena *arena, struct block *block)
{
    uint64_t size = block_size(block);
    struct place at = place_of(size);

    BAO_ASSERT((block->size & FREE) != 0);
    arena->crumbs -= is_crumb(block) ? size : 0;
    if (block->next != NULL)
        block->next->previous = block->previous;
    if (block->previous != NULL)
        block->previous->next = block->next;
    else
        arena->lists[at.first][at.second] = block->next;
    if (arena->lists[at.first][at.second] == NULL) {
        arena->second_map[at.first] &= ~(1u << at.second);
        if (arena->second_map[at.first] == 0)
            arena->first_map &= ~(UINT64_C(1) << at.first);
    }
    block->size &= ~(FREE | IDLE);
    block_next(block)->size &= ~PREVIOUS_FREE;
}

/* A listed block of at least `size`, or NULL. */
static struct block *find_block(const struct bao_arena *arena, uint64_t size)
{
    struct place at = place_for(size);
    if (at.first >= FIRST_COUNT)
        return NULL;

    uint32_t second = arena->second_map[at.first] & (~0u << at.second);
    if (second == 0) {
        uint64_t first =
            at.first + 1 >= FIRST_COUNT
                ? 0
                : arena->first_map & (~UINT64_C(0) << (at.first + 1));
        if (first == 0)
            return NULL;
        at.first = (unsigned)__builtin_ctzll(first);
        second = arena->second_map[at.first];
    }
    return arena->lists[at.first][(unsigned)__builtin_ctz(second)];
}

struct bao_arena *bao_arena_init(void *memory, size_t bytes)
{
    BAO_ASSERT(memory != NULL && (uintptr_t)memory % ALIGN == 0);
    BAO_ASSERT(bytes >= ARENA_BYTES_MIN);
    BAO_ASSERT(bytes < UINT64_C(1) << (FIRST_COUNT + SMALL_BITS - 2));

    struct bao_arena *arena = memory;
    memset(arena, 0, sizeof(*arena));

    /* The first size word lies 8 below a 16-aligned payload; so does the
     * word of the closing block, which needs no payload. */
    size_t start = (sizeof(*arena) + WORD + ALIGN - 1) / ALIGN * ALIGN - WORD;
    size_t end = (bytes - WORD) / ALIGN * ALIGN - WORD;
    arena->capacity = end - start;
    arena->first = (struct block *)(void *)((uint8_t *)memory + start);
    arena->first->size = arena->capacity | IDLE;
    block_next(arena->first)->size = 0;
    list_block(arena, arena->first);
    poison(after_links(arena->first), (uint8_t *)memory + end - WORD);
    return arena;
}

/* What a taken block must have for `bytes`. */
static uint64_t size_for(size_t bytes)
{
    const uint64_t size = (bytes + WORD + ALIGN - 1) / ALIGN * ALIGN;
    return size < BLOCK_MIN ? BLOCK_MIN : size;
}

/* A block is taken, or longer than it was. */
static void note_use(struct bao_arena *arena, struct block *block)
{
    uint8_t *end = (uint8_t *)block_next(block) + sizeof(*block);
    if (end > arena->high)
        arena->high = end;
    if (arena->used > arena->peak)
        arena->peak = arena->used;
}

void *bao_arena_take(struct bao_arena *arena, size_t bytes)
{
    if (bytes > arena->capacity)
        return NULL;
    const uint64_t size = size_for(bytes);
    struct block *block = find_block(arena, size);
    if (block == NULL)
        return NULL;
    BAO_ASSERT(block_size(block) >= size);
    const uint64_t idle = block->size & IDLE;
    unlist_block(arena, block);

    uint64_t rest = block_size(block) - size;
    if (rest >= BLOCK_MIN) {
        block->size = size | (block->size & FLAGS);
        struct block *tail = block_next(block);
        BAO_UNPOISON(tail, sizeof(*tail));
        tail->size = rest | idle;
        list_block(arena, tail);
    }
    BAO_UNPOISON(block_payload(block), block_size(block) - WORD);
    arena->used += block_size(block);
    note_use(arena, block);
    return block_payload(block);
}

void bao_arena_give(struct bao_arena *arena, void *payload)
{
    if (payload == NULL)
        return;
    struct block *block = (struct block *)(void *)((uint8_t *)payload - WORD);
    uint64_t size = block_size(block);
    BAO_ASSERT((uintptr_t)payload % ALIGN == 0);
    BAO_ASSERT((block->size & FREE) == 0 && size >= BLOCK_MIN);
    BAO_ASSERT(arena->used >= size);
    arena->used -= size;
    arena->late += size;

    uint8_t *first = after_links(block);
    uint8_t *last = (uint8_t *)block + size - WORD;
    struct block *next = block_next(block);
    if ((next->size & FREE) != 0) {
        unlist_block(arena, next);
        block->size += block_size(next);
        last = after_links(next);
    }
    if ((block->size & PREVIOUS_FREE) != 0) {
        uint64_t before = bao_load64((uint8_t *)block - WORD);
        struct block *previous =
            (struct block *)(void *)((uint8_t *)block - before);
        uint64_t merged = block_size(block);
        BAO_ASSERT(block_size(previous) == before);
        unlist_block(arena, previous);
        previous->size += merged;
        first = (uint8_t *)block - WORD;
        block = previous;
    }
    list_block(arena, block);
    poison(first, last);
}

/* Cuts a taken block to `size`; the rest joins a free neighbour behind it.
 * `idle` is IDLE if the rest was so before, and has no such neighbour. */
static void
cut(struct bao_arena *arena, struct block *block, uint64_t size, uint64_t idle)
{
    const uint64_t rest = block_size(block) - size;
    if (rest < BLOCK_MIN)
        return;
    uint8_t *last = (uint8_t *)block + block_size(block) - WORD;
    struct block *next = block_next(block);
    block->size = size | (block->size & FLAGS);
    struct block *tail = block_next(block);
    tail->size = rest;
    arena->used -= rest;
    arena->late += rest;
    if ((next->size & FREE) != 0) {
        unlist_block(arena, next);
        tail->size += block_size(next);
        last = after_links(next);
        BAO_ASSERT(idle == 0);
    }
    tail->size |= idle;
    list_block(arena, tail);
    poison(after_links(tail), last);
}

void bao_arena_trim(struct bao_arena *arena, void *payload, size_t bytes)
{
    struct block *block = (struct block *)(void *)((uint8_t *)payload - WORD);
    BAO_ASSERT((block->size & FREE) == 0);
    BAO_ASSERT(block_size(block) >= size_for(bytes));
    cut(arena, block, size_for(bytes), 0);
}

bool bao_arena_extend(struct bao_arena *arena, void *payload, size_t bytes)
{
    struct block *block = (struct block *)(void *)((uint8_t *)payload - WORD);
    struct block *next = block_next(block);
    if (bytes > arena->capacity)
        return false;
    const uint64_t size = size_for(bytes);
    BAO_ASSERT((block->size & FREE) == 0);
    if (block_size(block) >= size)
        return true;
    if ((next->size & FREE) == 0 || block_size(block) + block_size(next) < size)
        return false;
    const uint64_t more = block_size(next);
    const uint64_t idle = next->size & IDLE;
    unlist_block(arena, next);
    block->size += more;
    arena->used += more;
    /* What is taken, and the head of what is cut off behind it. */
    const uint64_t taken = size - (block_size(block) - more);
    const uint64_t clean = taken + sizeof(struct block);
    BAO_UNPOISON(next, clean < more ? clean : more);
    cut(arena, block, size, idle);
    note_use(arena, block);
    return true;
}

size_t bao_arena_used(const struct bao_arena *arena)
{
    return arena->used;
}

size_t bao_arena_capacity(const struct bao_arena *arena)
{
    return arena->capacity;
}

/* --- giving pages back --- */

size_t bao_arena_kept(const struct bao_arena *arena)
{
    const size_t now = arena->used + arena->crumbs;
    return arena->peak > now ? arena->peak - now : 0;
}

/* The next block whose pages were not all named, from the largest on; or
 * NULL. */
static struct block *next_idle(struct bao_arena *arena)
{
    const struct place least = place_of(IDLE_BYTES_MIN);
    const unsigned end = least.first * SECOND_COUNT + least.second;
    if (arena->idle_list == 0) {
        arena->idle_list = FIRST_COUNT * SECOND_COUNT;
        arena->idle_end = NULL;
        arena->late = 0;
    }
    while (arena->idle_list > end) {
        const unsigned at = arena->idle_list - 1;
        struct block *block =
            arena->lists[at / SECOND_COUNT][at % SECOND_COUNT];
        while (block != NULL && (block->size & IDLE) != 0)
            block = block->next;
        if (block != NULL)
            return block;
        arena->idle_list--;
    }
    arena->idle_list = 0;
    return NULL;
}

static size_t over_page(const uint8_t *at)
{
    return (uintptr_t)at % BAO_ARENA_PAGE_BYTES;
}

/* The first page boundary at or above `at`. */
static uint8_t *page_from(uint8_t *at)
{
    return over_page(at) == 0 ? at
                              : at + (BAO_ARENA_PAGE_BYTES - over_page(at));
}

/* What of a block is to be named, from its end down, so that it may lose or
 * gain something at its beginning meanwhile. */
static uint8_t *named_upto(struct bao_arena *arena, struct block *block)
{
    uint8_t *end = (uint8_t *)block + block_size(block);
    if (arena->idle_end != end) {
        uint8_t *last = end - WORD;
        last -= over_page(last);
        uint8_t *high = page_from(arena->high);
        arena->idle_end = end;
        arena->idle_upto = last < high ? last : high;
    }
    return arena->idle_upto;
}

void *bao_arena_idle(struct bao_arena *arena, size_t *bytes)
{
    struct block *block = next_idle(arena);
    for (; block != NULL; block = next_idle(arena)) {
        uint8_t *first = page_from(after_links(block));
        uint8_t *upto = named_upto(arena, block);
        if (upto > first) {
            *bytes = (size_t)(upto - first);
            if (*bytes > BAO_ARENA_IDLE_BYTES)
                *bytes = BAO_ARENA_IDLE_BYTES;
            arena->idle_upto = upto - *bytes;
            return arena->idle_upto;
        }
        block->size |= IDLE;
    }
    arena->peak = arena->used + arena->crumbs + arena->late;
    return NULL;
}

/* How many blocks hang in the lists; each must be free and rightly listed. */
static size_t check_lists(const struct bao_arena *arena)
{
    size_t listed = 0;
    for (unsigned i = 0; i < FIRST_COUNT; i++) {
        bool any = (arena->first_map >> i & 1) != 0;
        BAO_ASSERT(any == (arena->second_map[i] != 0));
        for (unsigned j = 0; j < SECOND_COUNT; j++) {
            const struct block *block = arena->lists[i][j];
            any = (arena->second_map[i] >> j & 1) != 0;
            BAO_ASSERT(any == (block != NULL));
            for (; block != NULL; block = block->next) {
                struct place at = place_of(block_size(block));
                BAO_ASSERT(at.first == i && at.second == j);
                BAO_ASSERT((block->size & FREE) != 0);
                BAO_ASSERT(block->next == NULL ||
                           block->next->previous == block);
                listed++;
            }
        }
    }
    return listed;
}

void bao_arena_check(const struct bao_arena *arena)
{
    size_t used = 0;
    size_t all = 0;
    size_t free_count = 0;
    size_t crumbs = 0;
    bool previous_free = false;

    struct block *block = arena->first;
    for (; block_size(block) != 0; block = block_next(block)) {
        bool is_free = (block->size & FREE) != 0;
        BAO_ASSERT(((block->size & PREVIOUS_FREE) != 0) == previous_free);
        BAO_ASSERT(!(is_free && previous_free));
        all += block_size(block);
        used += is_free ? 0 : block_size(block);
        free_count += is_free ? 1 : 0;
        crumbs += is_free && is_crumb(block) ? block_size(block) : 0;
        previous_free = is_free;
    }
    BAO_ASSERT(((block->size & PREVIOUS_FREE) != 0) == previous_free);
    BAO_ASSERT(all == arena->capacity);
    BAO_ASSERT(used == arena->used);
    BAO_ASSERT(crumbs == arena->crumbs);
    BAO_ASSERT(check_lists(arena) == free_count);
}
