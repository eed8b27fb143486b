/*
 * test_heap_run.c - a heap with a run against a naive model, with keys that
 * mostly come in order.
 */
#include <string.h>

#include "common/heap_run.h"
#include "common/list.h"
#include "common/poison.h"
#include "tests/unit/model.h"

#define THINGS       6000u /* more than the runs have room for */
#define MEMORY_BYTES (1u << 20)

struct thing {
    struct bao_heap_node node;
    uint64_t key;
    uint64_t tie;
};

static struct thing things[THINGS];
static _Alignas(16) uint8_t memory[MEMORY_BYTES];

static bool is_less(const struct thing *a, const struct thing *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static const struct thing *least(void)
{
    const struct thing *found = NULL;
    for (unsigned i = 0; i < THINGS; i++) {
        if (bao_heap_is_listed(&things[i].node) &&
            (found == NULL || is_less(&things[i], found)))
            found = &things[i];
    }
    return found;
}

static void check_first(const struct bao_heap_run *run)
{
    const struct bao_heap_entry *first = bao_heap_run_first(run);
    const struct thing *expected = least();
    if (expected == NULL) {
        assert_null(first);
        assert_int_equal(bao_heap_run_count(run), 0);
        return;
    }
    assert_non_null(first);
    assert_int_equal(first->key, expected->key);
    assert_int_equal(first->tie, expected->tie);
}

/* What a test before left poisoned is anybody's again. */
static struct bao_arena *open_memory(void)
{
    BAO_UNPOISON(memory, sizeof memory);
    return bao_arena_init(memory, sizeof memory);
}

/* `stray` of 16 keys do not come in order; at most `most` are there. */
static void churn(unsigned stray, unsigned most, unsigned steps)
{
    struct bao_heap_run run;
    struct bao_arena *arena = open_memory();
    memset(things, 0, sizeof things);
    bao_heap_run_init(&run, arena);
    const size_t used = bao_arena_used(arena);
    uint64_t now = 1;
    for (unsigned i = 0; i < steps; i++) {
        struct thing *thing = &things[model_random(most)];
        now += model_random(3);
        uint64_t key = now;
        if (model_random(16) < stray)
            key = model_random(2 * now);
        if (!bao_heap_is_listed(&thing->node)) {
            thing->key = key;
            thing->tie = model_random(4);
            assert_true(
                bao_heap_run_push(&run, &thing->node, thing->key, thing->tie));
        } else if (model_random(4) == 0) {
            thing->key = key;
            assert_true(bao_heap_run_update(
                &run, &thing->node, thing->key, thing->tie));
        } else {
            bao_heap_run_remove(&run, &thing->node);
        }
        if (i % 64 == 0)
            check_first(&run);
    }
    /* What is left comes out in order. */
    const struct bao_heap_entry *entry;
    uint64_t last = 0;
    while ((entry = bao_heap_run_first(&run)) != NULL) {
        assert_true(entry->key >= last);
        last = entry->key;
        bao_heap_run_remove(&run,
                            &BAO_OF(entry->node, struct thing, node)->node);
    }
    check_first(&run);
    assert_int_equal(bao_arena_used(arena), used);
    bao_heap_run_fini(&run);
    bao_arena_check(arena);
}

static void test_heap_run__agrees_with_a_naive_model(void **state)
{
    (void)state;
    for (unsigned stray = 0; stray <= 16; stray += 4) {
        model_seed(stray);
        churn(stray, 10, 3000);
        churn(stray, 1000, 8000);
        churn(stray, THINGS, 40000);
    }
}

/* One that stays at the head does not let the run grow without end. */
static void test_heap_run__an_old_one_pins_no_room(void **state)
{
    (void)state;
    struct bao_heap_run run;
    struct bao_arena *arena = open_memory();
    memset(things, 0, sizeof things);
    bao_heap_run_init(&run, arena);
    assert_true(bao_heap_run_push(&run, &things[0].node, 1, 0));
    for (uint64_t i = 0; i < 100000; i++) {
        struct thing *thing = &things[1 + i % 100];
        if (bao_heap_is_listed(&thing->node))
            bao_heap_run_remove(&run, &thing->node);
        assert_true(bao_heap_run_push(&run, &thing->node, 10 + i, 0));
        assert_int_equal(run.heap.count, 0);
    }
    assert_ptr_equal(bao_heap_run_first(&run)->node, &things[0].node);
    assert_int_equal(bao_heap_run_count(&run), 101);
    bao_heap_run_fini(&run);
}

/* Deadlines of a few lengths, each in order: none needs the heap. */
static void test_heap_run__a_few_lengths_have_a_run_each(void **state)
{
    (void)state;
    model_seed(1);
    struct bao_heap_run run;
    struct bao_arena *arena = open_memory();
    memset(things, 0, sizeof things);
    bao_heap_run_init(&run, arena);
    for (uint64_t i = 0; i < 10000; i++) {
        struct thing *thing = &things[i % 800];
        if (bao_heap_is_listed(&thing->node))
            bao_heap_run_remove(&run, &thing->node);
        uint64_t key = i + 1000000 * model_random(BAO_HEAP_RUNS);
        assert_true(bao_heap_run_push(&run, &thing->node, key, 0));
        assert_int_equal(run.heap.count, 0);
    }
    bao_heap_run_fini(&run);
}

static void test_heap_run__without_memory_for_a_run_it_is_a_heap(void **state)
{
    (void)state;
    struct bao_heap_run run;
    static _Alignas(16) uint8_t little[64u << 10];
    struct bao_arena *arena = bao_arena_init(little, sizeof little);
    memset(things, 0, sizeof things);
    bao_heap_run_init(&run, arena);
    assert_null(run.runs[BAO_HEAP_RUNS - 1].entries);
    for (uint64_t i = 0; i < 10; i++)
        assert_true(bao_heap_run_push(&run, &things[i].node, 10 - i, 0));
    assert_ptr_equal(bao_heap_run_first(&run)->node, &things[9].node);
    assert_int_equal(run.heap.count, 10);
    bao_heap_run_fini(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_run__agrees_with_a_naive_model),
        cmocka_unit_test(test_heap_run__an_old_one_pins_no_room),
        cmocka_unit_test(test_heap_run__a_few_lengths_have_a_run_each),
        cmocka_unit_test(test_heap_run__without_memory_for_a_run_it_is_a_heap),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
