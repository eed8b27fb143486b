/*
 * test_histogram.c - percentiles against the sorted list of all values.
 */
#include "common/histogram.h"
#include "tests/lib/unit.h"

#define COUNT 20000u

static struct bao_histogram histogram, other;
static uint64_t values[COUNT];

static uint64_t seed = 1;
static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void clear(void)
{
    histogram = (struct bao_histogram){0};
    other = (struct bao_histogram){0};
}

/* The smallest value with at least permille thousandths not above it. */
static uint64_t exact(unsigned permille)
{
    size_t rank = ((size_t)COUNT * permille + 999) / 1000;
    return values[rank == 0 ? 0 : rank - 1];
}

static void test_histogram__an_empty_one_says_0(void **state)
{
    (void)state;
    clear();
    assert_int_equal(bao_histogram_value(&histogram, 500), 0);
    assert_true(bao_histogram_mean(&histogram) < 1e-9);
    bao_histogram_add(&histogram, &other);
    assert_int_equal(histogram.count, 0);
}

static void test_histogram__small_values_are_exact(void **state)
{
    (void)state;
    clear();
    for (uint64_t value = 1; value <= 200; value++)
        bao_histogram_record(&histogram, value);
    assert_int_equal(bao_histogram_value(&histogram, 0), 1);
    assert_int_equal(bao_histogram_value(&histogram, 5), 1);
    assert_int_equal(bao_histogram_value(&histogram, 6), 2);
    assert_int_equal(bao_histogram_value(&histogram, 500), 100);
    assert_int_equal(bao_histogram_value(&histogram, 995), 199);
    assert_int_equal(bao_histogram_value(&histogram, 1000), 200);
    assert_int_equal(histogram.least, 1);
    assert_int_equal(histogram.most, 200);
}

/* Values of all sizes: never below the exact one, never 0.8 % above. */
static void test_histogram__large_values_are_within_a_hundredth(void **state)
{
    (void)state;
    clear();
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = draw() >> (24 + draw() % 40);
        bao_histogram_record(&histogram, values[i]);
    }
    qsort(values, COUNT, sizeof values[0], compare);
    for (unsigned permille = 0; permille <= 1000; permille++) {
        uint64_t want = exact(permille);
        uint64_t found = bao_histogram_value(&histogram, permille);
        assert_true(found >= want);
        assert_true(found - want <= want / 128);
    }
    assert_int_equal(histogram.least, values[0]);
    assert_int_equal(histogram.most, values[COUNT - 1]);
}

static void test_histogram__two_halves_are_the_whole(void **state)
{
    static struct bao_histogram whole;
    (void)state;
    clear();
    whole = (struct bao_histogram){0};
    for (size_t i = 0; i < 5000; i++) {
        uint64_t value = draw() % 1000000 + 10;
        bao_histogram_record(i % 3 == 0 ? &histogram : &other, value);
        bao_histogram_record(&whole, value);
    }
    bao_histogram_add(&histogram, &other);
    assert_memory_equal(&histogram, &whole, sizeof whole);
}

static void
test_histogram__what_is_too_large_counts_as_the_largest(void **state)
{
    (void)state;
    clear();
    bao_histogram_record(&histogram, UINT64_MAX);
    bao_histogram_record(&histogram, 1);
    assert_int_equal(histogram.most, UINT64_MAX);
    assert_int_equal(bao_histogram_value(&histogram, 500), 1);
    assert_int_equal(bao_histogram_value(&histogram, 1000),
                     (UINT64_C(1) << BAO_HISTOGRAM_BITS) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram__an_empty_one_says_0),
        cmocka_unit_test(test_histogram__small_values_are_exact),
        cmocka_unit_test(test_histogram__large_values_are_within_a_hundredth),
        cmocka_unit_test(test_histogram__two_halves_are_the_whole),
        cmocka_unit_test(
            test_histogram__what_is_too_large_counts_as_the_largest),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
