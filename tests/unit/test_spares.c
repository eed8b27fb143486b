/*
 * test_spares.c - blocks of a few sizes that are used again.
 */
#include "common/spares.h"
#include "tests/unit/model.h"

struct block {
    struct bao_link link;
    uint8_t size;
};

static const size_t sizes[BAO_SPARE_SIZES] = {100, 300, 1000};

static bool keep(struct bao_spares *spares, struct block *block, size_t bytes)
{
    block->size = bao_spares_size(spares, bytes);
    return bao_spares_keep(spares, block->size, &block->link);
}

/* The block that is kept for so many bytes, or NULL. */
static struct block *take(struct bao_spares *spares, size_t bytes)
{
    struct bao_link *link =
        bao_spares_take(spares, bao_spares_size(spares, bytes));
    return link == NULL ? NULL : BAO_OF(link, struct block, link);
}

static void test_spares__what_was_given_last_is_taken_first(void **state)
{
    (void)state;
    struct bao_spares spares;
    bao_spares_init(&spares, sizes);
    struct block first = {.size = 0};
    struct block second = {.size = 0};
    assert_true(keep(&spares, &first, 100));
    assert_true(keep(&spares, &second, 40));
    assert_ptr_equal(take(&spares, 99), &second);
    assert_ptr_equal(take(&spares, 100), &first);
    assert_null(take(&spares, 1));
}

static void test_spares__a_block_serves_only_what_fits_into_it(void **state)
{
    (void)state;
    struct bao_spares spares;
    bao_spares_init(&spares, sizes);
    struct block small = {.size = 0};
    struct block huge = {.size = 0};
    assert_true(keep(&spares, &small, 100));
    assert_null(take(&spares, 101));
    assert_int_equal(bao_spares_bytes(&spares, 1, 101), 300);
    assert_false(keep(&spares, &huge, 1001));
    assert_int_equal(huge.size, BAO_SPARE_OTHER);
    assert_int_equal(bao_spares_bytes(&spares, huge.size, 1001), 1001);
    assert_ptr_equal(take(&spares, 100), &small);
}

static void test_spares__no_more_are_kept_than_the_limit(void **state)
{
    (void)state;
    static struct block blocks[BAO_SPARES_KEPT + 1];
    struct bao_spares spares;
    bao_spares_init(&spares, sizes);
    for (unsigned i = 0; i < BAO_SPARES_KEPT; i++) {
        assert_true(keep(&spares, &blocks[i], 50));
    }
    assert_false(keep(&spares, &blocks[BAO_SPARES_KEPT], 50));
    unsigned drained = 0;
    while (bao_spares_drain(&spares) != NULL) {
        drained++;
    }
    assert_int_equal(drained, BAO_SPARES_KEPT);
    assert_null(take(&spares, 50));
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
