/*
 * test_spares.c - blocks of a few sizes that are used again.
 */
#include <stdlib.h>

#include "common/spares.h"
#include "tests/unit/model.h"

struct block {
    struct bao_link link;
    uint8_t size;
};

static const size_t sizes[BAO_SPARE_SIZES] = {100, 300, 1000};

static struct block *take(struct bao_spares *spares, size_t bytes)
{
    uint8_t size = bao_spares_size(spares, bytes);
    struct bao_link *link = bao_spares_take(spares, size);
    struct block *block =
        link != NULL ? BAO_OF(link, struct block, link)
                     : calloc(1, bao_spares_bytes(spares, size, bytes));
    assert_non_null(block);
    block->size = size;
    return block;
}

static void give(struct bao_spares *spares, struct block *block)
{
    if (!bao_spares_keep(spares, block->size, &block->link)) {
        free(block);
    }
}

static void end(struct bao_spares *spares)
{
    struct bao_link *link;
    while ((link = bao_spares_drain(spares)) != NULL) {
        free(BAO_OF(link, struct block, link));
    }
}

static void test_spares__what_was_given_last_is_taken_first(void **state)
{
    (void)state;
    struct bao_spares spares;
    bao_spares_init(&spares, sizes);
    struct block *first = take(&spares, 100);
    struct block *second = take(&spares, 40);
    give(&spares, first);
    give(&spares, second);
    assert_ptr_equal(take(&spares, 99), second);
    assert_ptr_equal(take(&spares, 100), first);
    give(&spares, first);
    give(&spares, second);
    end(&spares);
}

static void test_spares__a_block_serves_only_what_fits_into_it(void **state)
{
    (void)state;
    struct bao_spares spares;
    bao_spares_init(&spares, sizes);
    struct block *small = take(&spares, 100);
    give(&spares, small);
    struct block *larger = take(&spares, 101);
    assert_ptr_not_equal(larger, small);
    assert_int_equal(larger->size, 1);
    assert_int_equal(bao_spares_bytes(&spares, larger->size, 101), 300);
    struct block *huge = take(&spares, 1001);
    assert_int_equal(huge->size, BAO_SPARE_OTHER);
    assert_int_equal(bao_spares_bytes(&spares, huge->size, 1001), 1001);
    assert_false(bao_spares_keep(&spares, huge->size, &huge->link));
    free(huge);
    give(&spares, larger);
    end(&spares);
}

static void test_spares__no_more_are_kept_than_the_limit(void **state)
{
    (void)state;
    struct bao_spares spares;
    bao_spares_init(&spares, sizes);
    for (unsigned i = 0; i < BAO_SPARES_KEPT; i++) {
        struct block *block = calloc(1, sizes[0]);
        assert_non_null(block);
        assert_true(bao_spares_keep(&spares, 0, &block->link));
    }
    struct block one_more = {.size = 0};
    assert_false(bao_spares_keep(&spares, 0, &one_more.link));
    unsigned drained = 0;
    struct bao_link *link;
    while ((link = bao_spares_drain(&spares)) != NULL) {
        free(BAO_OF(link, struct block, link));
        drained++;
    }
    assert_int_equal(drained, BAO_SPARES_KEPT);
    assert_null(bao_spares_take(&spares, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spares__what_was_given_last_is_taken_first),
        cmocka_unit_test(test_spares__a_block_serves_only_what_fits_into_it),
        cmocka_unit_test(test_spares__no_more_are_kept_than_the_limit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("spares", tests, NULL, NULL);
}
