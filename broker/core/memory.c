/*
 * memory.c - the arena with a cushion, shared texts, timers.
 *
 * Invariant: while the cushion is whole, every allocation that an admitted
 * operation makes succeeds; without it only that is left which frees.
 */
#include "broker/core/memory.h"

#include "broker/core/shelf.h"

/* A block of the cushion: nothing but its link. */
struct bao_cushion {
    struct bao_cushion *next;
};

#define LEASE_OVERHEAD 8u /* a lease's share of its pool's chunk */

_Static_assert(BAO_CUSHION_BYTES_MIN % BAO_CUSHION_PIECE_BYTES == 0,
               "the cushion is whole pieces");

static bool is_whole(const struct bao_core *core)
{
    return core->cushion_pieces == core->cushion_whole;
}

/* Takes pieces while they are to be had. */
static bool refill(struct bao_core *core)
{
    while (!is_whole(core)) {
        struct bao_cushion *piece =
            bao_arena_take(core->arena, BAO_CUSHION_PIECE_BYTES);
        if (piece == NULL) {
            return false;
        }
        piece->next = core->cushion;
        core->cushion = piece;
        core->cushion_pieces++;
    }
    return true;
}

static void give_piece(struct bao_core *core)
{
    struct bao_cushion *piece = core->cushion;
    BAO_ASSERT(piece != NULL);
    BAO_ASSERT(core->cushion_pieces > 0);
    core->cushion = piece->next;
    core->cushion_pieces--;
    bao_arena_give(core->arena, piece);
}

bool bao_memory_open(struct bao_core *core)
{
    size_t bytes = bao_arena_capacity(core->arena) / BAO_CUSHION_SHARE;
    if (bytes < BAO_CUSHION_BYTES_MIN) {
        bytes = BAO_CUSHION_BYTES_MIN;
    }
    core->cushion_whole = bytes / BAO_CUSHION_PIECE_BYTES;
    return refill(core);
}

/* What it takes to hand out every item that is not leased now: a lease, and a
 * record if it is at rest. */
static size_t lease_bytes(const struct bao_core *core)
{
    BAO_ASSERT(core->items.taken >= core->leases.taken);
    return (core->items.taken - core->leases.taken + core->resting) *
               (sizeof(struct bao_lease) + LEASE_OVERHEAD) +
           core->resting * BAO_REST_RECORD_BYTES;
}

bool bao_memory_admits(struct bao_core *core)
{
    if (!is_whole(core) && !refill(core)) {
        return false;
    }
    const size_t left =
        bao_arena_capacity(core->arena) - bao_arena_used(core->arena);
    return left >= lease_bytes(core);
}

size_t bao_memory_spared(const struct bao_core *core)
{
    return core->cushion_pieces * BAO_CUSHION_PIECE_BYTES;
}

bool bao_memory_is_low(const struct bao_core *core)
{
    if (is_whole(core)) {
        return false;
    }
    const size_t left = bao_arena_capacity(core->arena) -
                        bao_arena_used(core->arena) + bao_memory_spared(core);
    return left < core->cushion_whole * BAO_CUSHION_PIECE_BYTES / 2;
}

void *bao_take_spare(struct bao_core *core, size_t bytes)
{
    void *block = bao_arena_take(core->arena, bytes);
    while (block == NULL && core->cushion_pieces > core->cushion_whole / 2) {
        give_piece(core);
        block = bao_arena_take(core->arena, bytes);
    }
    return block;
}

void *bao_take(struct bao_core *core, size_t bytes)
{
    void *block = bao_arena_take(core->arena, bytes);
    while (block == NULL) {
        give_piece(core);
        block = bao_arena_take(core->arena, bytes);
    }
    BAO_ASSERT(block != NULL);
    return block;
}

void *bao_take_slot(struct bao_core *core, struct bao_pool *pool)
{
    void *slot = bao_pool_take(pool);
    while (slot == NULL) {
        give_piece(core);
        slot = bao_pool_take(pool);
    }
    BAO_ASSERT(slot != NULL);
    return slot;
}

void bao_put_in_tree(struct bao_core *core,
                     struct bao_tree *tree,
                     uint64_t key,
                     void *value,
                     unsigned colour)
{
    while (!bao_tree_put(tree, key, value, colour)) {
        give_piece(core);
    }
    BAO_ASSERT(tree->count > 0);
}

void bao_put_in_heap(struct bao_core *core,
                     struct bao_heap *heap,
                     struct bao_heap_node *node,
                     uint64_t key,
                     uint64_t tie)
{
    while (!bao_heap_push(heap, node, key, tie)) {
        give_piece(core);
    }
    BAO_ASSERT(bao_heap_is_listed(node));
}

struct bao_text *bao_text_make(struct bao_core *core, struct bao_span span)
{
    if (span.bytes == 0) {
        return NULL;
    }
    BAO_ASSERT(span.bytes < UINT32_MAX);
    struct bao_text *text = bao_take(core, sizeof(*text) + span.bytes);
    text->references = 1;
    text->bytes = (uint32_t)span.bytes;
    memcpy(text->data, span.data, span.bytes);
    return text;
}

struct bao_text *bao_text_share(struct bao_text *text)
{
    if (text != NULL) {
        BAO_ASSERT(text->references > 0);
        text->references++;
    }
    return text;
}

void bao_text_drop(struct bao_core *core, struct bao_text *text)
{
    if (text == NULL) {
        return;
    }
    BAO_ASSERT(text->references > 0);
    text->references--;
    if (text->references == 0) {
        bao_arena_give(core->arena, text);
    }
}

struct bao_span bao_text_span(const struct bao_text *text)
{
    if (text == NULL) {
        return bao_span_of(NULL, 0);
    }
    return bao_span_of(text->data, text->bytes);
}

void bao_timer_set(struct bao_core *core,
                   struct bao_timer *timer,
                   enum bao_timer_kind kind,
                   uint64_t at_us,
                   uint64_t tie)
{
    BAO_ASSERT(kind != BAO_TIMER_NONE);
    BAO_ASSERT(kind != BAO_TIMER_WALL);
    if (at_us == BAO_NEVER) {
        bao_timer_stop(core, timer);
        return;
    }
    timer->kind = kind;
    bool good =
        bao_heap_is_listed(&timer->node)
            ? bao_heap_run_update(&core->timers, &timer->node, at_us, tie)
            : bao_heap_run_push(&core->timers, &timer->node, at_us, tie);
    while (!good) {
        give_piece(core);
        good = bao_heap_run_push(&core->timers, &timer->node, at_us, tie);
    }
}

void bao_timer_stop(struct bao_core *core, struct bao_timer *timer)
{
    if (bao_heap_is_listed(&timer->node)) {
        BAO_ASSERT(timer->kind != BAO_TIMER_WALL);
        bao_heap_run_remove(&core->timers, &timer->node);
    }
}
