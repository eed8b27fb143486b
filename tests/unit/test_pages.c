/*
 * test_pages.c - what a peak leaves behind goes back to the system.
 */
#include <sys/mman.h>

#include "broker/pages.h"
#include "common/check.h"
#include "tests/unit/model.h"

#define BYTES  ((size_t)256 << 20)
#define PAGES  (BYTES / BAO_ARENA_PAGE_BYTES)
#define BLOCK  ((size_t)100000)
#define BLOCKS 1000u

static size_t resident_pages(void *memory)
{
    static unsigned char pages[PAGES];
    size_t count = 0;
    assert_int_equal(mincore(memory, BYTES, pages), 0);
    for (size_t i = 0; i < PAGES; i++)
        count += pages[i] & 1;
    return count;
}

static void *memory_open(void)
{
    void *memory = mmap(NULL,
                        BYTES,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    assert_true(memory != MAP_FAILED);
    (void)madvise(memory, BYTES, MADV_NOHUGEPAGE);
    return memory;
}

/* Blocks filled with their own byte; every `kept`th stays when the others
 * go. */
static void peak(struct bao_arena *arena, uint8_t **blocks)
{
    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = bao_arena_take(arena, BLOCK);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i & 255u), BLOCK);
    }
}

static void turns(struct bao_pages *pages, uint64_t now_us)
{
    unsigned count = 0;
    while (bao_pages_turn(pages, now_us)) {
        count++;
        assert_true(count < 10 * BLOCKS);
    }
}

static void test_pages__of_a_peak_go_back_after_a_second(void **state)
{
    static uint8_t *blocks[BLOCKS];
    struct bao_pages pages;
    void *memory = memory_open();
    struct bao_arena *arena = bao_arena_init(memory, BYTES);
    (void)state;
    bao_pages_open(&pages, arena);
    peak(arena, blocks);
    const size_t all = resident_pages(memory);
    turns(&pages, 5);
    assert_true(bao_pages_deadline(&pages) == UINT64_MAX);
    for (unsigned i = 0; i < BLOCKS; i++) {
        if (i % 10 != 0)
            bao_arena_give(arena, blocks[i]);
    }
    turns(&pages, 10);
    assert_int_equal(resident_pages(memory), all);
    assert_true(bao_pages_deadline(&pages) == 10 + BAO_PAGES_WAIT_US);
    turns(&pages, 10 + BAO_PAGES_WAIT_US);
    assert_true(bao_pages_deadline(&pages) == UINT64_MAX);
    assert_true(resident_pages(memory) < all / 10 + 2 * BLOCKS / 10 + 16);
    bao_arena_check(arena);
    for (unsigned i = 0; i < BLOCKS; i += 10) {
        for (size_t at = 0; at < BLOCK; at++)
            BAO_ASSERT(blocks[i][at] == (i & 255u));
        bao_arena_give(arena, blocks[i]);
    }
    assert_int_equal(bao_arena_used(arena), 0);
    (void)munmap(memory, BYTES);
}

/* Blocks of two kinds in turn: when one kind goes, no hole is large enough;
 * when the other goes too, all of it goes back. */
static void test_pages__of_holes_go_back_once_they_meet(void **state)
{
    static void *blocks[2 * BLOCKS];
    struct bao_pages pages;
    void *memory = memory_open();
    struct bao_arena *arena = bao_arena_init(memory, BYTES);
    (void)state;
    bao_pages_open(&pages, arena);
    for (unsigned i = 0; i < 2 * BLOCKS; i++) {
        blocks[i] = bao_arena_take(arena, 15000);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, 15000);
    }
    const size_t all = resident_pages(memory);
    uint64_t now_us = 10;
    for (unsigned kind = 0; kind < 2; kind++) {
        for (unsigned i = kind; i < 2 * BLOCKS; i += 2)
            bao_arena_give(arena, blocks[i]);
        turns(&pages, now_us);
        now_us += BAO_PAGES_WAIT_US;
        turns(&pages, now_us);
        assert_int_equal(resident_pages(memory) > all / 2, kind == 0);
    }
    assert_true(resident_pages(memory) < 16);
    (void)munmap(memory, BYTES);
}

/* While pages go back, others are taken and given all the time, and much more
 * is given: once all is calm nothing of it is resident. */
static void test_pages__go_back_while_work_goes_on(void **state)
{
    static uint8_t *blocks[BLOCKS];
    struct bao_pages pages;
    void *memory = memory_open();
    struct bao_arena *arena = bao_arena_init(memory, BYTES);
    uint64_t now_us = 10;
    (void)state;
    bao_pages_open(&pages, arena);
    peak(arena, blocks);
    for (unsigned i = BLOCKS; i-- > 0;) {
        bao_arena_give(arena, blocks[i]);
        void *more = bao_arena_take(arena, 3 * BLOCK);
        assert_non_null(more);
        memset(more, 1, 3 * BLOCK);
        now_us += BAO_PAGES_WAIT_US / 300;
        (void)bao_pages_turn(&pages, now_us);
        bao_arena_give(arena, more);
    }
    for (unsigned i = 0; i < 100; i++) {
        now_us += BAO_PAGES_WAIT_US / 10;
        turns(&pages, now_us);
    }
    bao_arena_check(arena);
    assert_true(resident_pages(memory) * BAO_ARENA_PAGE_BYTES <
                2 * BAO_PAGES_KEPT_BYTES);
    (void)munmap(memory, BYTES);
}

static void test_pages__a_small_peak_stays(void **state)
{
    struct bao_pages pages;
    void *memory = memory_open();
    struct bao_arena *arena = bao_arena_init(memory, BYTES);
    (void)state;
    bao_pages_open(&pages, arena);
    void *block = bao_arena_take(arena, BAO_PAGES_KEPT_BYTES - 4096);
    assert_non_null(block);
    memset(block, 1, BAO_PAGES_KEPT_BYTES - 4096);
    const size_t all = resident_pages(memory);
    bao_arena_give(arena, block);
    turns(&pages, 10);
    turns(&pages, 10 + 2 * BAO_PAGES_WAIT_US);
    assert_int_equal(resident_pages(memory), all);
    (void)munmap(memory, BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages__of_a_peak_go_back_after_a_second),
        cmocka_unit_test(test_pages__of_holes_go_back_once_they_meet),
        cmocka_unit_test(test_pages__go_back_while_work_goes_on),
        cmocka_unit_test(test_pages__a_small_peak_stays),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
