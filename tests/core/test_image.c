/*
 * test_image.c - the bytes of an image.
 *
 * That images are right while the core works is checked in every story and
 * in the random test (world_image.h); here are slices of every size, damage
 * at every byte, want of memory, and what an item costs.
 */
#include "tests/core/image_facts.h"
#include "tests/core/tests.h"
#include "tests/core/world_image.h"
#include "tests/core/world_inside.h"
#include "tests/unit/model.h"

#define DAY_US (UINT64_C(86400) * 1000 * 1000)

/* --- the tests ------------------------------------------------------------ */

static void test_image__is_the_same_in_slices_of_any_size(void **state)
{
    struct bao_core *core = image_core_with_everything();
    struct image_copy whole = {.data = NULL};
    (void)state;
    image_make(core, &whole, 1000000);
    assert_true(whole.bytes > 500);
    assert_true(whole.bytes < 2500);
    for (uint32_t records = 1; records < 80; records++) {
        struct image_copy copy = {.data = NULL};
        image_make(core, &copy, records);
        assert_int_equal(copy.bytes, whole.bytes);
        assert_memory_equal(copy.data, whole.data, whole.bytes);
        image_copy_fini(&copy);
    }
    struct bao_core *loaded = image_core(1);
    assert_int_equal(image_load(&whole, loaded, NULL), BAOZI_OK);
    assert_true(bao_core_digest(loaded) == bao_core_digest(core));
    assert_true(bao_core_now_us(loaded) == bao_core_now_us(core));
    bao_core_check(loaded);
    image_copy_fini(&whole);
}

/* Its own image is the same but for the order of what was linked. */
static void test_image__of_a_loaded_core_is_its_image_again(void **state)
{
    struct bao_core *core = image_core_with_everything();
    struct image_copy first = {.data = NULL};
    struct image_copy second = {.data = NULL};
    struct bao_out out;
    (void)state;
    image_make(core, &first, 100);
    struct bao_core *loaded = image_core(1);
    assert_int_equal(image_load(&first, loaded, NULL), BAOZI_OK);
    bao_core_recovered(loaded, T0_US + 6000, 1);
    bao_core_tick(loaded, T0_US + 6000, &out);
    image_make(loaded, &second, 100);
    core = image_core(0);
    assert_int_equal(image_load(&second, core, NULL), BAOZI_OK);
    assert_true(bao_core_digest(loaded) == bao_core_digest(core));
    image_copy_fini(&first);
    image_copy_fini(&second);
}

/* Refused, or so little wrong with it that the core is sound. */
static bool is_refused(const struct image_copy *copy)
{
    const char *why = NULL;
    struct bao_out out;
    struct bao_core *core = image_core(1);
    enum baozi_status status = image_load(copy, core, &why);
    if (status != BAOZI_OK) {
        assert_non_null(why);
        assert_true(status == BAOZI_BAD_REQUEST || status == BAOZI_BAD_VERSION);
        return true;
    }
    bao_core_check(core);
    uint64_t now_us = bao_core_now_us(core);
    bao_core_recovered(core, now_us, 1);
    for (unsigned i = 0; i < 30 && now_us < BAO_FOREVER_MS / 2; i++) {
        bao_core_tick(core, now_us, &out);
        now_us += i < 10 ? 100000 : DAY_US;
    }
    bao_core_check(core);
    return false;
}

static void test_image__damaged_is_refused_or_does_no_harm(void **state)
{
    struct image_copy copy = {.data = NULL};
    unsigned harmless = 0;
    (void)state;
    image_make(image_core_with_everything(), &copy, 1000);
    model_seed(7);
    for (size_t i = 0; i < copy.bytes; i++) {
        const uint8_t was = copy.data[i];
        for (unsigned how = 0; how < 3; how++) {
            const uint8_t bits[3] = {1, 128, (uint8_t)(1 + model_random(255))};
            copy.data[i] = was ^ bits[how];
            harmless += !is_refused(&copy);
        }
        copy.data[i] = was;
    }
    printf("# %zu bytes, each changed thrice: %u changes did no harm\n",
           copy.bytes,
           harmless);
    assert_true(harmless < copy.bytes); /* of 3 a byte: texts and times */
    assert_false(is_refused(&copy));
    image_copy_fini(&copy);
}

static void test_image__cut_short_is_refused(void **state)
{
    struct image_copy copy = {.data = NULL};
    (void)state;
    image_make(image_core_with_everything(), &copy, 1000);
    assert_int_equal(copy.pieces, 1);
    for (size_t bytes = 0; bytes < copy.bytes; bytes++) {
        copy.ends[0] = bytes;
        assert_true(is_refused(&copy));
    }
    copy.ends[0] = copy.bytes;
    assert_false(is_refused(&copy));
    image_copy_fini(&copy);
}

static void test_image__many_changes_at_once_are_refused(void **state)
{
    struct image_copy copy = {.data = NULL};
    struct image_copy bad = {.data = NULL};
    (void)state;
    image_make(image_core_with_everything(), &copy, 1000);
    image_make(image_core_with_everything(), &bad, 1000);
    model_seed(11);
    for (unsigned round = 0; round < 3000; round++) {
        memcpy(bad.data, copy.data, copy.bytes);
        const size_t at = 1 + model_random(copy.bytes - 1);
        const size_t from = model_random(copy.bytes);
        size_t bytes = 1 + model_random(24);
        bytes = bytes < copy.bytes - at ? bytes : copy.bytes - at;
        bytes = bytes < copy.bytes - from ? bytes : copy.bytes - from;
        memmove(bad.data + at, copy.data + from, bytes);
        (void)is_refused(&bad);
    }
    image_copy_fini(&copy);
    image_copy_fini(&bad);
}

static void test_image__of_a_newer_baozi_is_refused(void **state)
{
    struct image_copy copy = {.data = NULL};
    const char *why = NULL;
    (void)state;
    image_make(image_core_with_everything(), &copy, 1000);
    copy.data[0]++;
    assert_int_equal(image_load(&copy, image_core(1), &why), BAOZI_BAD_VERSION);
    image_copy_fini(&copy);
}

/* Version 1 had the same rows but those of redrives. */
static void test_image__of_an_older_baozi_is_read(void **state)
{
    struct image_copy copy = {.data = NULL};
    (void)state;
    image_make(image_core_with_everything(), &copy, 1000);
    assert_int_equal(copy.pieces, 1);
    copy.data[0] = 1;
    assert_false(is_refused(&copy));
    image_copy_fini(&copy);
}

/* --- many items ----------------------------------------------------------- */

static void
put_many(struct bao_core *core, uint64_t n, uint32_t count, struct bao_span key)
{
    static struct bao_put_item items[BAO_OPERATION_ITEMS_MAX];
    for (unsigned i = 0; i < BAO_OPERATION_ITEMS_MAX; i++) {
        items[i].body.bytes = 100;
    }
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                                  .queue = FIFO,
                                  .session = 1,
                                  .count = count,
                                  .items = items,
                                  .first_id = ID(FIFO, n),
                                  .fairness_key = key};
    image_say(core, fact);
}

/* Plain ones, or fewer with a long key each. */
static struct bao_core *core_with_many(bool keyed)
{
    static uint8_t key[BAO_KEY_BYTES_MAX];
    struct bao_core *core = image_core(0);
    struct bao_out out;
    image_say(core, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    image_open_sessions(core);
    image_make_queue(core, FIFO, "buns", image_fifo);
    const uint32_t count = keyed ? 1 : BAO_OPERATION_ITEMS_MAX;
    for (uint64_t n = 0; n < (keyed ? 900 : 20); n++) {
        bao_store64(key, n);
        put_many(core,
                 1 + n * count,
                 count,
                 bao_span_of(key, keyed ? sizeof(key) : 0));
    }
    bao_core_recovered(core, T0_US + 6000, 1);
    bao_core_tick(core, T0_US + 6000, &out);
    return core;
}

static void test_image__of_plain_items_is_a_few_bytes_each(void **state)
{
    struct image_copy copy = {.data = NULL};
    struct bao_core *core = core_with_many(false);
    (void)state;
    image_make(core, &copy, BAO_IMAGE_SLICE);
    printf("# %zu bytes of 20480 items\n", copy.bytes);
    assert_true(copy.bytes < 18u * 20480u);
    struct bao_core *loaded = image_core(1);
    assert_int_equal(image_load(&copy, loaded, NULL), BAOZI_OK);
    assert_true(bao_core_digest(loaded) == bao_core_digest(core));
    image_copy_fini(&copy);
}

static void without_piece(const struct image_copy *copy, size_t gone)
{
    struct image_copy less = {.data = NULL};
    const size_t from = gone == 0 ? 0 : copy->ends[gone - 1];
    const size_t bytes = copy->ends[gone] - from;
    less.data = malloc(copy->bytes);
    less.ends = malloc(copy->pieces * sizeof(size_t));
    assert_non_null(less.data);
    assert_non_null(less.ends);
    memcpy(less.data, copy->data, from);
    memcpy(less.data + from,
           copy->data + from + bytes,
           copy->bytes - bytes - from);
    for (size_t i = 0; i < copy->pieces; i++) {
        if (i != gone) {
            less.ends[less.pieces++] = copy->ends[i] - (i > gone ? bytes : 0);
        }
    }
    assert_true(is_refused(&less));
    image_copy_fini(&less);
}

static void test_image__without_one_of_its_pieces_is_refused(void **state)
{
    struct image_copy copy = {.data = NULL};
    (void)state;
    image_make(core_with_many(true), &copy, 777);
    assert_true(copy.pieces > 3);
    for (size_t gone = 0; gone < copy.pieces; gone++) {
        without_piece(&copy, gone);
    }
    assert_false(is_refused(&copy));
    image_copy_fini(&copy);
}

/* A broker with less memory than before says so. */
static void test_image__larger_than_the_memory_is_refused(void **state)
{
    struct image_copy copy = {.data = NULL};
    struct bao_core *large = NULL;
    void *memory = NULL;
    struct bao_core_config config = world_config();
    struct bao_out out;
    const char *why = NULL;
    (void)state;
    config.memory_bytes = (size_t)64 << 20;
    large = world_core_open(config, &memory);
    image_say(large, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    image_open_sessions(large);
    image_make_queue(large, FIFO, "buns", image_fifo);
    for (uint64_t n = 0; n < 150; n++) {
        put_many(large,
                 1 + n * BAO_OPERATION_ITEMS_MAX,
                 BAO_OPERATION_ITEMS_MAX,
                 bao_span_of(NULL, 0));
    }
    bao_core_recovered(large, T0_US + 6000, 1);
    bao_core_tick(large, T0_US + 6000, &out);
    image_make(large, &copy, BAO_IMAGE_SLICE);
    assert_int_equal(image_load(&copy, image_core(1), &why), BAOZI_NO_MEMORY);
    image_copy_fini(&copy);
    free(memory);
}

static void act_on(struct bao_core *core,
                   enum bao_fact_kind kind,
                   uint64_t first,
                   uint32_t count)
{
    static uint64_t ids[BAO_OPERATION_ITEMS_MAX];
    static uint64_t token = 1;
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = ID(FIFO, first + i);
    }
    struct bao_fact fact = {.kind = kind,
                            .queue = FIFO,
                            .time_us = T0_US + 7000,
                            .session = 2,
                            .ids = ids,
                            .count = count,
                            .until_us = UINT64_MAX,
                            .state = BAO_STATE_PURGED};
    if (kind == BAO_FACT_ITEM_LEASED) {
        fact.token = (UINT64_C(2) << BAO_ID_SHIFT) | token;
        token += count;
    }
    fact_log_pass(&fact, core);
}

/* Items with long keys, and so many plain ones that nothing fits any more. */
static struct bao_core *core_that_is_full(uint64_t *count)
{
    static uint8_t key[BAO_KEY_BYTES_MAX];
    struct bao_core *core = image_core(0);
    uint64_t n = 1;
    image_say(core, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    image_open_sessions(core);
    image_make_queue(core, FIFO, "buns", image_fifo);
    for (; n <= 10000; n++) {
        bao_store64(key, n);
        put_many(core, n, 1, bao_span_of(key, sizeof(key)));
    }
    const size_t full =
        IMAGE_CORE_BYTES - ((size_t)4 << 20) - ((size_t)400 << 10);
    for (; bao_core_memory_used(core) < full; n += 1000) {
        put_many(core, n, 1000, bao_span_of(NULL, 0));
    }
    *count = n - 1;
    return core;
}

/* Steps go on when there is no memory for what they save; the next image is
 * made when there is. */
static void test_image__fails_alone_when_memory_runs_out(void **state)
{
    static uint8_t piece[BAO_IMAGE_PIECE_BYTES];
    struct image_copy copy = {.data = NULL};
    uint64_t count = 0;
    uint64_t n = 1;
    (void)state;
    struct bao_core *core = core_that_is_full(&count);
    assert_true(bao_image_begin(core));
    for (; !bao_image_failed(core); n += 500) {
        assert_true(n < 10000);
        act_on(core, BAO_FACT_ITEM_LEASED, n, 500);
    }
    assert_true(bao_image_under_way(core));
    act_on(core, BAO_FACT_ITEM_LEASED, n, 100);
    assert_int_equal(bao_image_next(core, 1, piece, sizeof(piece)), 0);
    assert_false(bao_image_under_way(core));
    assert_true(bao_image_failed(core));
    bao_core_check(core);
    for (n = 12001; n + 1000 <= count; n += 1000) {
        act_on(core, BAO_FACT_ITEM_SETTLED, n, 1000);
    }
    image_make(core, &copy, BAO_IMAGE_SLICE);
    struct bao_core *loaded = image_core(1);
    assert_int_equal(image_load(&copy, loaded, NULL), BAOZI_OK);
    assert_true(bao_core_digest(loaded) == bao_core_digest(core));
    bao_core_check(loaded);
    image_copy_fini(&copy);
}

const struct core_test core_tests_image[] = {
    CORE_TEST(test_image__is_the_same_in_slices_of_any_size, ""),
    CORE_TEST(test_image__of_a_loaded_core_is_its_image_again, ""),
    CORE_TEST(test_image__damaged_is_refused_or_does_no_harm, ""),
    CORE_TEST(test_image__cut_short_is_refused, ""),
    CORE_TEST(test_image__many_changes_at_once_are_refused, ""),
    CORE_TEST(test_image__of_a_newer_baozi_is_refused, ""),
    CORE_TEST(test_image__of_an_older_baozi_is_read, ""),
    CORE_TEST(test_image__of_plain_items_is_a_few_bytes_each, ""),
    CORE_TEST(test_image__without_one_of_its_pieces_is_refused, ""),
    CORE_TEST(test_image__larger_than_the_memory_is_refused, ""),
    CORE_TEST(test_image__fails_alone_when_memory_runs_out, ""),
    CORE_TESTS_END,
};
