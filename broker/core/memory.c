/*
 * memory.c - the arena with a cushion, shared texts, timers.
 *
 * Invariant: while `cushion` is there, every allocation that an admitted
 * operation makes succeeds; without it only that is left which frees.
 */
#include "broker/core/memory.h"

static void cushion_use(struct bao_core *core)
{
    BAO_ASSERT(core->cushion != NULL);
    BAO_MARK("the cushion is given up");
    bao_arena_give(core->arena, core->cushion);
    core->cushion = NULL;
}

bool bao_memory_admits(struct bao_core *core)
{
    if (core->cushion == NULL) {
        core->cushion = bao_arena_take(core->arena, core->cushion_bytes);
    }
    return core->cushion != NULL;
}

bool bao_memory_is_low(const struct bao_core *core)
{
    if (core->cushion != NULL) {
        return false;
    }
    size_t left = bao_arena_capacity(core->arena) - bao_arena_used(core->arena);
    return left < core->cushion_bytes / 2;
}

void *bao_take(struct bao_core *core, size_t bytes)
{
    void *block = bao_arena_take(core->arena, bytes);
    if (block == NULL) {
        cushion_use(core);
        block = bao_arena_take(core->arena, bytes);
    }
    BAO_ASSERT(block != NULL);
    return block;
}

void *bao_take_slot(struct bao_core *core, struct bao_pool *pool)
{
    void *slot = bao_pool_take(pool);
    if (slot == NULL) {
        cushion_use(core);
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
    bool done = bao_tree_put(tree, key, value, colour);
    if (!done) {
        cushion_use(core);
        done = bao_tree_put(tree, key, value, colour);
    }
    BAO_ASSERT(done);
}

void bao_put_in_heap(struct bao_core *core,
                     struct bao_heap *heap,
                     struct bao_heap_node *node,
                     uint64_t key,
                     uint64_t tie)
{
    bool done = bao_heap_push(heap, node, key, tie);
    if (!done) {
        cushion_use(core);
        done = bao_heap_push(heap, node, key, tie);
    }
    BAO_ASSERT(done);
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
    BAO_ASSERT(kind != BAO_TIMER_NONE && kind != BAO_TIMER_WALL);
    if (at_us == BAO_NEVER) {
        bao_timer_stop(core, timer);
        return;
    }
    timer->kind = kind;
    if (bao_heap_is_listed(&timer->node)) {
        bao_heap_update(&core->timers, &timer->node, at_us, tie);
    } else {
        bao_put_in_heap(core, &core->timers, &timer->node, at_us, tie);
    }
}

void bao_timer_stop(struct bao_core *core, struct bao_timer *timer)
{
    if (bao_heap_is_listed(&timer->node)) {
        BAO_ASSERT(timer->kind != BAO_TIMER_WALL);
        bao_heap_remove(&core->timers, &timer->node);
    }
}
