/*
 * test_pool.c - the pool against a naive model: slots filled with their own
 * number.
 */
#include <string.h>

#include "common/pool.h"
#include "tests/unit/model.h"

#define SLOTS 1000u

static void run_model(uint64_t seed)
{
    static uint8_t *slots[SLOTS];
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    struct bao_pool pool;
    size_t bytes = 1 + model_random(120);
    size_t taken = 0;
    bao_pool_init(&pool, arena, bytes);
    memset(slots, 0, sizeof(slots));

    for (unsigned step = 0; step < 20000; step++) {
        /* Phases of growing and shrinking, so that chunks empty. */
        bool growing = (step / 2000) % 2 == 0;
        size_t i = model_random(SLOTS);
        uint8_t fill = (uint8_t)(i * 7 + seed);
        if (slots[i] == NULL && (growing || model_random(4) == 0)) {
            slots[i] = bao_pool_take(&pool);
            if (slots[i] == NULL)
                continue;
            assert_int_equal((uintptr_t)slots[i] % 8, 0);
            for (size_t j = 0; j < bytes; j++)
                assert_int_equal(slots[i][j], 0);
            memset(slots[i], fill, bytes);
            taken++;
        } else if (slots[i] != NULL && (!growing || model_random(4) == 0)) {
            for (size_t j = 0; j < bytes; j++)
                assert_int_equal(slots[i][j], fill);
            bao_pool_give(&pool, slots[i]);
            slots[i] = NULL;
            taken--;
        }
        assert_int_equal(pool.taken, taken);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i] != NULL)
            bao_pool_give(&pool, slots[i]);
    }
    assert_int_equal(pool.taken, 0);
    assert_int_equal(pool.partial.count, 0);
    /* One empty chunk is kept and no more. */
    assert_true(bao_arena_used(arena) <= 64 * (bytes + 16) + 64);
    bao_arena_check(arena);
    free(memory);
}

static void test_pool__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("pool", run_model);
}

static void test_pool__answers_null_when_memory_runs_out(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 64 * 1024);
    struct bao_pool pool;
    bao_pool_init(&pool, arena, 64);
    void *all = model_exhaust(arena);
    assert_null(bao_pool_take(&pool));
    assert_int_equal(pool.taken, 0);
    model_relieve(arena, all);

    void *slot = bao_pool_take(&pool);
    assert_non_null(slot);
    bao_pool_give(&pool, slot);
    free(memory);
}

/* A peak is not kept: all chunks but one go back to the arena. */
static void test_pool__gives_a_peak_back(void **state)
{
    (void)state;
    static void *slots[4096];
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 1024 * 1024);
    struct bao_pool pool;
    bao_pool_init(&pool, arena, 100);
    for (unsigned i = 0; i < 4096; i++) {
        slots[i] = bao_pool_take(&pool);
        assert_non_null(slots[i]);
    }
    size_t peak = bao_arena_used(arena);
    for (unsigned i = 0; i < 4096; i++)
        bao_pool_give(&pool, slots[i]);
    assert_true(bao_arena_used(arena) <= peak / 60);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__agrees_with_a_naive_model),
        cmocka_unit_test(test_pool__answers_null_when_memory_runs_out),
        cmocka_unit_test(test_pool__gives_a_peak_back),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
