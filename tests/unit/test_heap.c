/*
 * test_heap.c - the heap against a naive model: an unsorted array.
 */
#include <string.h>

#include "common/heap.h"
#include "common/list.h"
#include "tests/unit/model.h"

#define THINGS 5000u /* some segments of 1,024 */

struct thing {
    struct bao_heap_node node;
    uint64_t key;
    uint64_t tie;
};

static struct thing things[THINGS];

static const uint64_t edges[] = {
    0,
    1,
    63,
    64,
    65,
    4096,
    UINT64_MAX - 1,
    UINT64_MAX,
};

static uint64_t random_key(void)
{
    if (model_random(4) == 0)
        return edges[model_random(sizeof(edges) / sizeof(edges[0]))];
    return model_random(200); /* many equal ones: the tie decides */
}

static bool is_less(const struct thing *a, const struct thing *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

/* No entry is smaller than its parent, and each node knows its place. */
static void check_order(const struct bao_heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct bao_heap_entry *entry =
            &heap->segments[i / 1024][i % 1024];
        const struct thing *thing = BAO_OF(entry->node, struct thing, node);
        assert_int_equal(entry->node->position, i + 1);
        assert_int_equal(entry->key, thing->key);
        assert_int_equal(entry->tie, thing->tie);
        if (i > 0) {
            uint32_t parent = (i - 1) / 4;
            const struct bao_heap_entry *above =
                &heap->segments[parent / 1024][parent % 1024];
            assert_false(
                is_less(thing, BAO_OF(above->node, struct thing, node)));
        }
    }
}

static void check_first(const struct bao_heap *heap, size_t count)
{
    const struct thing *best = NULL;
    const struct bao_heap_entry *first = bao_heap_first(heap);
    size_t listed = 0;
    for (size_t i = 0; i < THINGS; i++) {
        if (!bao_heap_is_listed(&things[i].node))
            continue;
        listed++;
        if (best == NULL || is_less(&things[i], best))
            best = &things[i];
    }
    assert_int_equal(listed, count);
    assert_int_equal(heap->count, count);
    if (best == NULL)
        assert_null(first);
    else
        assert_ptr_equal(first->node, &best->node);
}

/* One random change of a random thing; returns the new count. */
static size_t change(struct bao_heap *heap, size_t count, bool growing)
{
    size_t i = model_random(THINGS);
    struct thing *thing = &things[i];
    if (!bao_heap_is_listed(&thing->node)) {
        if (!growing && model_random(4) != 0)
            return count;
        thing->key = random_key();
        thing->tie = i;
        assert_true(bao_heap_push(heap, &thing->node, thing->key, thing->tie));
        return count + 1;
    }
    if (model_random(3) == 0) {
        thing->key = random_key();
        bao_heap_update(heap, &thing->node, thing->key, thing->tie);
        return count;
    }
    if (growing && model_random(4) != 0)
        return count;
    bao_heap_remove(heap, &thing->node);
    assert_false(bao_heap_is_listed(&thing->node));
    return count - 1;
}

static void run_model(uint64_t seed)
{
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 512 * 1024);
    struct bao_heap heap;
    size_t count = 0;
    (void)seed;
    memset(things, 0, sizeof(things));
    bao_heap_init(&heap, arena);

    for (unsigned step = 0; step < 40000; step++) {
        count = change(&heap, count, (step / 10000) % 2 == 0);
        if (step % 64 == 0 || count < 40) {
            check_order(&heap);
            check_first(&heap, count);
        }
    }
    /* What comes out is sorted. */
    struct thing last = {{0}, 0, 0};
    while (heap.count > 0) {
        struct thing *thing =
            BAO_OF(bao_heap_first(&heap)->node, struct thing, node);
        assert_false(is_less(thing, &last));
        last = *thing;
        bao_heap_remove(&heap, &thing->node);
    }
    assert_null(bao_heap_first(&heap));
    model_arena_end(arena, memory); /* an empty heap holds no memory */
}

static void test_heap__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("heap", run_model);
}

/* At every size at which it must grow, a failing push changes nothing. */
static void test_heap__a_push_without_memory_changes_nothing(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 512 * 1024);
    struct bao_heap heap;
    unsigned refused = 0;
    memset(things, 0, sizeof(things));
    bao_heap_init(&heap, arena);

    for (size_t i = 0; i < 3000; i++) {
        things[i].key = 3000 - i;
        things[i].tie = i;
        void *all = model_exhaust(arena);
        bool pushed = bao_heap_push(&heap, &things[i].node, things[i].key, i);
        if (!pushed) {
            refused++;
            assert_int_equal(heap.count, i);
            assert_false(bao_heap_is_listed(&things[i].node));
            check_order(&heap);
        }
        model_relieve(arena, all);
        if (!pushed)
            assert_true(
                bao_heap_push(&heap, &things[i].node, things[i].key, i));
    }
    /* 16, 32, ... 1,024, then each segment. */
    assert_int_equal(refused, 7 + 2);
    check_first(&heap, 3000);
    bao_heap_fini(&heap);
    model_arena_end(arena, memory);
}

static void test_heap__the_tie_decides_between_equal_keys(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 64 * 1024);
    struct bao_heap heap;
    memset(things, 0, sizeof(things));
    bao_heap_init(&heap, arena);
    for (uint64_t i = 0; i < 100; i++)
        assert_true(
            bao_heap_push(&heap, &things[i].node, UINT64_MAX, (i * 37) % 100));
    for (uint64_t i = 0; i < 100; i++) {
        const struct bao_heap_entry *first = bao_heap_first(&heap);
        assert_int_equal(first->tie, i);
        bao_heap_remove(&heap, first->node);
    }
    model_arena_end(arena, memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap__agrees_with_a_naive_model),
        cmocka_unit_test(test_heap__a_push_without_memory_changes_nothing),
        cmocka_unit_test(test_heap__the_tie_decides_between_equal_keys),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
