/*
 * test_arena.c - the arena against a naive model: a table of blocks, each
 * filled with its own byte, so that an overlap is seen as a wrong byte.
 */
#include <string.h>

#include "common/arena.h"
#include "tests/unit/model.h"

#define BLOCKS 512u

struct block {
    uint8_t *at;
    size_t bytes;
    uint8_t fill;
};

static void check_fill(const struct block *block)
{
    for (size_t i = 0; i < block->bytes; i++)
        assert_int_equal(block->at[i], block->fill);
}

/* Sizes from 0 to beyond the arena, most of them small. */
static size_t random_size(void)
{
    switch (model_random(8)) {
    case 0: return model_random(16384);
    case 1: return 16 * model_random(64);
    case 2: return (size_t)1 << model_random(18);
    case 3: return 0;
    default: return model_random(300);
    }
}

/* As if the system had taken them, and given others. */
static void lose_idle_pages(struct bao_arena *arena)
{
    size_t bytes = 0;
    uint8_t *idle = bao_arena_idle(arena, &bytes);
    assert_int_equal((uintptr_t)idle % BAO_ARENA_PAGE_BYTES, 0);
    assert_int_equal(bytes % BAO_ARENA_PAGE_BYTES, 0);
    for (size_t i = 0; i < bytes; i += 8) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
        memset(idle + i, 0, 8);
#endif
    }
}

/* Shorter always, longer if there is room behind it. */
static void resize(struct bao_arena *arena, struct block *block)
{
    const size_t before = bao_arena_used(arena);
    const size_t bytes = model_random(2 * block->bytes + 1);
    check_fill(block);
    if (bytes <= block->bytes) {
        bao_arena_trim(arena, block->at, bytes);
        assert_true(bao_arena_used(arena) <= before);
    } else if (!bao_arena_extend(arena, block->at, bytes)) {
        assert_int_equal(bao_arena_used(arena), before);
        return;
    }
    block->bytes = bytes;
    memset(block->at, block->fill, bytes);
}

static void test_arena__lengthens_into_what_is_free_behind(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 64 * 1024);
    void *first = bao_arena_take(arena, 1000);
    void *second = bao_arena_take(arena, 1000);
    assert_false(bao_arena_extend(arena, first, 1100));
    bao_arena_trim(arena, second, 100);
    assert_true(bao_arena_extend(arena, second, 5000));
    bao_arena_give(arena, second);
    bao_arena_check(arena);
    const size_t used = bao_arena_used(arena);
    assert_true(bao_arena_extend(arena, first, 2000));
    assert_int_equal(bao_arena_used(arena), used + 1008);
    assert_false(bao_arena_extend(arena, first, 64 * 1024));
    assert_false(bao_arena_extend(arena, first, SIZE_MAX));
    bao_arena_give(arena, first);
    model_arena_end(arena, memory);
}

static void run_model(uint64_t seed)
{
    static struct block blocks[BLOCKS];
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    memset(blocks, 0, sizeof(blocks));

    for (unsigned step = 0; step < 6000; step++) {
        struct block *block = &blocks[model_random(BLOCKS)];
        if (block->at == NULL) {
            block->bytes = random_size();
            block->fill = (uint8_t)(step + seed);
            size_t before = bao_arena_used(arena);
            block->at = bao_arena_take(arena, block->bytes);
            if (block->at == NULL) {
                assert_int_equal(bao_arena_used(arena), before);
            } else {
                assert_int_equal((uintptr_t)block->at % 16, 0);
                assert_true(bao_arena_used(arena) >= before + block->bytes);
                memset(block->at, block->fill, block->bytes);
            }
        } else if (model_random(3) == 0) {
            resize(arena, block);
        } else {
            check_fill(block);
            bao_arena_give(arena, block->at);
            block->at = NULL;
        }
        assert_true(bao_arena_used(arena) + bao_arena_kept(arena) <=
                    bao_arena_capacity(arena));
        if (model_random(20) == 0)
            lose_idle_pages(arena);
        bao_arena_check(arena);
    }
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (blocks[i].at != NULL)
            check_fill(&blocks[i]);
        bao_arena_give(arena, blocks[i].at);
    }
    model_arena_end(arena, memory);
}

static void test_arena__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("arena", run_model);
}

/* All of it can be taken again after any history: nothing is left in crumbs. */
static void test_arena__merges_neighbours_at_once(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 1024 * 1024);
    void *blocks[64];
    for (unsigned i = 0; i < 64; i++) {
        blocks[i] = bao_arena_take(arena, 4096);
        assert_non_null(blocks[i]);
    }
    for (unsigned i = 0; i < 64; i += 2)
        bao_arena_give(arena, blocks[i]);
    bao_arena_check(arena);
    for (unsigned i = 1; i < 64; i += 2)
        bao_arena_give(arena, blocks[i]);
    bao_arena_check(arena);
    void *large = bao_arena_take(arena, 900 * 1024);
    assert_non_null(large);
    bao_arena_give(arena, large);
    model_arena_end(arena, memory);
}

static void test_arena__refuses_what_can_never_fit(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 64 * 1024);
    assert_null(bao_arena_take(arena, SIZE_MAX));
    assert_null(bao_arena_take(arena, SIZE_MAX - 7));
    assert_null(bao_arena_take(arena, bao_arena_capacity(arena) + 1));
    assert_null(bao_arena_take(arena, bao_arena_capacity(arena)));
    model_arena_end(arena, memory);
}

/* Pages that were never used are never touched: only the first block's and
 * the closing page are. */
static void test_arena__does_not_touch_what_it_does_not_use(void **state)
{
    (void)state;
    const size_t bytes = 1024 * 1024;
    uint8_t *memory = aligned_alloc(4096, bytes);
    assert_non_null(memory);
    memset(memory, 0xa5, bytes);
    struct bao_arena *arena = bao_arena_init(memory, bytes);
    void *block = bao_arena_take(arena, 100);
    assert_non_null(block);
    bao_arena_give(arena, block);
    block = bao_arena_take(arena, 8192);
    bao_arena_give(arena, block);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__clang__)
    for (size_t i = 64 * 1024; i < bytes - 4096; i++)
        assert_int_equal(memory[i], 0xa5);
#endif
    model_arena_end(arena, memory);
}

static size_t idle_all(struct bao_arena *arena, unsigned *count)
{
    size_t all = 0;
    size_t bytes = 0;
    for (*count = 0; bao_arena_idle(arena, &bytes) != NULL; (*count)++)
        all += bytes;
    return all;
}

static void test_arena__names_idle_pages_once(void **state)
{
    (void)state;
    void *memory;
    unsigned count = 0;
    struct bao_arena *arena = model_arena(&memory, (size_t)64 << 20);
    assert_int_equal(idle_all(arena, &count), 0); /* never used */
    void *low = bao_arena_take(arena, 1u << 20);
    void *large = bao_arena_take(arena, 40u << 20);
    void *high = bao_arena_take(arena, 300);
    assert_int_equal(bao_arena_kept(arena), 0);
    bao_arena_give(arena, large);
    assert_true(bao_arena_kept(arena) >= (40u << 20));
    const size_t named = idle_all(arena, &count);
    assert_true(named > (40u << 20) - 3 * BAO_ARENA_PAGE_BYTES);
    assert_true(named <= 40u << 20);
    assert_int_equal(count, 3);
    assert_int_equal(bao_arena_kept(arena), 0);
    assert_int_equal(idle_all(arena, &count), 0);
    /* What is left of it when a part is taken was not used since. */
    large = bao_arena_take(arena, 39u << 20);
    assert_int_equal(idle_all(arena, &count), 0);
    bao_arena_give(arena, large);
    assert_true(idle_all(arena, &count) > 39u << 20);
    bao_arena_give(arena, low);
    bao_arena_give(arena, high);
    model_arena_end(arena, memory);
}

static void test_arena__gives_back_nothing_for_null(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 64 * 1024);
    bao_arena_give(arena, NULL);
    assert_true(bao_arena_capacity(arena) < 64 * 1024);
    assert_true(bao_arena_capacity(arena) > 48 * 1024);
    model_arena_end(arena, memory);
}

/* Fill it to the brim and empty it, many times over. */
static void test_arena__is_whole_again_after_exhaustion(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 128 * 1024);
    for (unsigned i = 0; i < 10; i++) {
        void *all = model_exhaust(arena);
        bao_arena_check(arena);
        assert_null(bao_arena_take(arena, 16));
        assert_true(bao_arena_used(arena) + 16 * 40 >=
                    bao_arena_capacity(arena) * 99 / 100);
        model_relieve(arena, all);
        bao_arena_check(arena);
        assert_int_equal(bao_arena_used(arena), 0);
    }
    model_arena_end(arena, memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__agrees_with_a_naive_model),
        cmocka_unit_test(test_arena__lengthens_into_what_is_free_behind),
        cmocka_unit_test(test_arena__merges_neighbours_at_once),
        cmocka_unit_test(test_arena__refuses_what_can_never_fit),
        cmocka_unit_test(test_arena__does_not_touch_what_it_does_not_use),
        cmocka_unit_test(test_arena__names_idle_pages_once),
        cmocka_unit_test(test_arena__gives_back_nothing_for_null),
        cmocka_unit_test(test_arena__is_whole_again_after_exhaustion),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
