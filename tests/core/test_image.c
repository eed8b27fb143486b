/*
 * test_image.c - the image of a core with something of everything in it.
 *
 * That images are right while the core works is checked in every story and
 * in the random test (world_image.h); here are their bytes: slices of every
 * size, damage at every byte, and what they cost.
 */
#include "common/poison.h"
#include "tests/core/tests.h"
#include "tests/core/world_image.h"
#include "tests/core/world_inside.h"
#include "tests/unit/model.h"

#define MEMORY_BYTES ((size_t)16 << 20)
#define T0_US        (WORLD_BASE_MS * 1000)
#define DAY_US       (UINT64_C(86400) * 1000 * 1000)
#define ID(queue, n) ((uint64_t)(queue) << BAO_ID_SHIFT | (n))

enum { FIFO = 1, PRIORITY, COUNTED, MEMORY };

/* A core in memory of its own, used again and again. */
static struct bao_core *core_anew(unsigned which)
{
    static void *memories[2];
    struct bao_core *core = NULL;
    struct bao_core_config config = world_config();
    if (memories[which] == NULL) {
        memories[which] = aligned_alloc(4096, MEMORY_BYTES);
        assert_non_null(memories[which]);
    }
    BAO_UNPOISON(memories[which], MEMORY_BYTES);
    config.memory = memories[which];
    config.memory_bytes = MEMORY_BYTES;
    assert_int_equal(bao_core_open(&config, &core), BAOZI_OK);
    return core;
}

/* --- something of everything ---------------------------------------------- */

static void say(struct bao_core *core, struct bao_fact fact)
{
    static uint64_t rid = 100;
    fact.time_us = fact.time_us == 0 ? T0_US + 5000 : fact.time_us;
    if (fact.verb != 0) {
        fact.rid = fact.rid == 0 ? rid : fact.rid;
        rid += 10;
    }
    fact_log_pass(&fact, core);
}

static void make(struct bao_core *core,
                 uint64_t incarnation,
                 const char *name,
                 void (*change)(struct bao_queue_options *options))
{
    struct bao_queue_options options = bao_queue_options_default();
    options.durability = BAO_LEVEL_DISK;
    change(&options);
    say(core,
        (struct bao_fact){.kind = BAO_FACT_QUEUE_MADE,
                          .queue = incarnation,
                          .session = 1,
                          .verb = BAO_VERB_DECLARE,
                          .name = bao_span_text(name),
                          .options = &options});
}

static void as_fifo(struct bao_queue_options *options)
{
    options->dedup_window_ms = 5000;
}

static void as_priority(struct bao_queue_options *options)
{
    options->kind = BAO_KIND_PRIORITY;
    options->overflow = BAO_OVERFLOW_DROP_OLDEST;
    options->dead_ttl_ms = 1000;
}

static void as_counted(struct bao_queue_options *options)
{
    options->accounting = BAO_ACCOUNTING_COUNT;
}

static void as_memory(struct bao_queue_options *options)
{
    options->durability = BAO_LEVEL_MEMORY;
}

static void open_sessions(struct bao_core *core)
{
    static const uint8_t names[3][BAO_CLIENT_ID_BYTES] = {"p1", "w1", "w2"};
    for (unsigned i = 0; i < 3; i++) {
        struct bao_span client = bao_span_of(names[i], BAO_CLIENT_ID_BYTES);
        say(core,
            (struct bao_fact){.kind = BAO_FACT_SESSION_OPENED,
                              .session = i + 1,
                              .client = client,
                              .secret = client,
                              .host = bao_span_text("kitchen"),
                              .name = bao_span_text("cook"),
                              .pid = 40 + i});
    }
}

/* Five items of `fact`, whose first id is n. */
static void put(struct bao_core *core, struct bao_fact fact, uint64_t n)
{
    static const struct bao_put_item items[5] = {
        {.body = {.bytes = 100}, .priority = 0},
        {.body = {.bytes = 100}, .priority = -3},
        {.body = {.bytes = 120, .header_bytes = 20}, .priority = 7},
        {.body = {.bytes = 0}, .priority = INT32_MIN},
        {.body = {.bytes = 70000}, .priority = 7},
    };
    fact.kind = BAO_FACT_ITEM_PUT;
    fact.session = 1;
    fact.verb = BAO_VERB_PUT;
    fact.count = 5;
    fact.items = items;
    fact.first_id = ID(fact.queue, n);
    say(core, fact);
}

static void put_all(struct bao_core *core)
{
    put(core, (struct bao_fact){.queue = FIFO}, 1);
    put(core,
        (struct bao_fact){.queue = FIFO,
                          .group = bao_span_text("steamed"),
                          .dedup_key = bao_span_text("k1"),
                          .dedup_until_us = T0_US + DAY_US,
                          .flags = BAO_FLAG_UNIQUE | BAO_FLAG_WANT_RESULT},
        6);
    put(core,
        (struct bao_fact){.queue = FIFO,
                          .due_us = T0_US + 70000,
                          .ttl_us = T0_US + 900000,
                          .dedup_key = bao_span_text("k2"),
                          .flags = BAO_FLAG_UNIQUE,
                          .fairness_key = bao_span_text("tenant 7")},
        11);
    put(core,
        (struct bao_fact){.queue = FIFO,
                          .due_us = UINT64_C(1800000005000000),
                          .flags = BAO_FACT_WALL},
        16);
    put(core,
        (struct bao_fact){.queue = PRIORITY, .group = bao_span_text("fried")},
        1);
    put(core, (struct bao_fact){.queue = COUNTED, .flags = 0}, 1);
    put(core, (struct bao_fact){.queue = COUNTED}, 6);
}

static void lease(struct bao_core *core,
                  uint64_t queue,
                  const uint64_t *ids,
                  uint32_t count,
                  uint16_t verb)
{
    static uint64_t token;
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_LEASED,
                            .queue = queue,
                            .session = verb == BAO_VERB_GET ? 2 : 3,
                            .ids = ids,
                            .count = count,
                            .until_us = T0_US + 35000,
                            .verb = verb,
                            .rid = verb == BAO_VERB_GET ? 0 : 7};
    if (queue == COUNTED) {
        fact.until_us = UINT64_MAX;
    }
    if (verb == BAO_VERB_SUBSCRIBE) {
        fact.first_id = 1;
    }
    fact.token = (UINT64_C(1) << BAO_ID_SHIFT) | (token + 1);
    token += count;
    say(core, fact);
}

static void
end(struct bao_core *core, uint64_t id, enum bao_fact_kind kind, uint16_t cause)
{
    say(core,
        (struct bao_fact){
            .kind = kind,
            .queue = id >> BAO_ID_SHIFT,
            .session = 2,
            .ids = &id,
            .count = 1,
            .cause = cause,
            .verb =
                cause == BAO_CAUSE_RETRIED ? BAO_VERB_RETRY : BAO_VERB_REJECT,
            .flags = kind == BAO_FACT_ITEM_DEAD ? BAO_FLAG_WANT_RESULT : 0,
            .error = bao_span_text("the bun fell on the floor")});
}

static void settle(struct bao_core *core, uint64_t id, uint16_t state)
{
    struct bao_fact fact = {.kind = BAO_FACT_ITEM_SETTLED,
                            .queue = id >> BAO_ID_SHIFT,
                            .session = 2,
                            .ids = &id,
                            .count = 1,
                            .state = state,
                            .verb = BAO_VERB_DONE};
    if (id == ID(FIFO, 6)) {
        fact.flags = BAO_FLAG_WANT_RESULT;
        fact.result.hold = 1;
        fact.result.bytes = 9;
    }
    say(core, fact);
}

static void answer(struct bao_core *core)
{
    static const uint64_t counts[7] = {1, 2, 3, 4, 5, 6, 7};
    struct bao_fact fact = {.kind = BAO_FACT_ANSWERED,
                            .session = 1,
                            .queue = FIFO,
                            .verb = BAO_VERB_JOIN,
                            .ids = counts,
                            .count = 7};
    say(core, fact);
    fact.verb = BAO_VERB_WAIT;
    fact.ids = NULL;
    fact.count = 0;
    fact.first_id = ID(FIFO, 6);
    fact.state = BAO_STATE_DONE;
    say(core, fact);
}

static struct bao_core *core_with_everything(void)
{
    struct bao_core *core = core_anew(0);
    struct bao_out out;
    const uint64_t gone = ID(COUNTED, 2);
    say(core, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    open_sessions(core);
    make(core, FIFO, "buns", as_fifo);
    make(core, PRIORITY, "cakes", as_priority);
    make(core, COUNTED, "dumplings", as_counted);
    make(core, MEMORY, "bowls", as_memory);
    put_all(core);
    lease(core, FIFO, (const uint64_t[]){1 | ID(FIFO, 0)}, 1, BAO_VERB_GET);
    lease(core,
          FIFO,
          (const uint64_t[]){ID(FIFO, 6), ID(FIFO, 7), ID(FIFO, 8)},
          3,
          BAO_VERB_GET);
    lease(core,
          PRIORITY,
          (const uint64_t[]){ID(PRIORITY, 4), ID(PRIORITY, 2)},
          2,
          BAO_VERB_SUBSCRIBE);
    lease(core,
          COUNTED,
          (const uint64_t[]){ID(COUNTED, 1), ID(COUNTED, 2)},
          2,
          BAO_VERB_GET);
    settle(core, ID(FIFO, 6), BAO_STATE_DONE);
    end(core, ID(FIFO, 7), BAO_FACT_ITEM_DEAD, BAO_CAUSE_REJECTED);
    end(core, ID(FIFO, 1), BAO_FACT_ITEM_RETURNED, BAO_CAUSE_RETRIED);
    lease(core, FIFO, (const uint64_t[]){ID(FIFO, 1)}, 1, BAO_VERB_GET);
    end(core, ID(PRIORITY, 4), BAO_FACT_ITEM_DEAD, BAO_CAUSE_REJECTED);
    say(core,
        (struct bao_fact){.kind = BAO_FACT_ITEM_TAKEN,
                          .queue = COUNTED,
                          .ids = &gone,
                          .count = 1});
    say(core,
        (struct bao_fact){.kind = BAO_FACT_PREPAID,
                          .queue = COUNTED,
                          .count = 1,
                          .session = 2,
                          .verb = BAO_VERB_DONE_NEXT});
    answer(core);
    say(core,
        (struct bao_fact){.kind = BAO_FACT_SESSION_ENDED,
                          .session = 3,
                          .cause = BAO_CAUSE_DIED});
    bao_core_recovered(core, T0_US + 6000, 1);
    bao_core_tick(core, T0_US + 6000, &out);
    bao_core_check(core);
    return core;
}

/* --- the tests ------------------------------------------------------------ */

static void test_image__is_the_same_in_slices_of_any_size(void **state)
{
    struct bao_core *core = core_with_everything();
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
    struct bao_core *loaded = core_anew(1);
    assert_int_equal(image_load(&whole, loaded, NULL), BAOZI_OK);
    assert_true(bao_core_digest(loaded) == bao_core_digest(core));
    assert_true(bao_core_now_us(loaded) == bao_core_now_us(core));
    bao_core_check(loaded);
    image_copy_fini(&whole);
}

/* Its own image is the same but for the order of what was linked. */
static void test_image__of_a_loaded_core_is_its_image_again(void **state)
{
    struct bao_core *core = core_with_everything();
    struct image_copy first = {.data = NULL};
    struct image_copy second = {.data = NULL};
    struct bao_out out;
    (void)state;
    image_make(core, &first, 100);
    struct bao_core *loaded = core_anew(1);
    assert_int_equal(image_load(&first, loaded, NULL), BAOZI_OK);
    bao_core_recovered(loaded, T0_US + 6000, 1);
    bao_core_tick(loaded, T0_US + 6000, &out);
    image_make(loaded, &second, 100);
    core = core_anew(0);
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
    struct bao_core *core = core_anew(1);
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
    image_make(core_with_everything(), &copy, 1000);
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
    image_make(core_with_everything(), &copy, 1000);
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
    image_make(core_with_everything(), &copy, 1000);
    image_make(core_with_everything(), &bad, 1000);
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
    image_make(core_with_everything(), &copy, 1000);
    copy.data[0]++;
    assert_int_equal(image_load(&copy, core_anew(1), &why), BAOZI_BAD_VERSION);
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
    say(core, fact);
}

/* Plain ones, or fewer with a long key each. */
static struct bao_core *core_with_many(bool keyed)
{
    static uint8_t key[BAO_KEY_BYTES_MAX];
    struct bao_core *core = core_anew(0);
    struct bao_out out;
    say(core, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    open_sessions(core);
    make(core, FIFO, "buns", as_fifo);
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
    struct bao_core *loaded = core_anew(1);
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
    say(large, (struct bao_fact){.kind = BAO_FACT_EPOCH, .epoch = 1});
    open_sessions(large);
    make(large, FIFO, "buns", as_fifo);
    for (uint64_t n = 0; n < 150; n++) {
        put_many(large,
                 1 + n * BAO_OPERATION_ITEMS_MAX,
                 BAO_OPERATION_ITEMS_MAX,
                 bao_span_of(NULL, 0));
    }
    bao_core_recovered(large, T0_US + 6000, 1);
    bao_core_tick(large, T0_US + 6000, &out);
    image_make(large, &copy, BAO_IMAGE_SLICE);
    assert_int_equal(image_load(&copy, core_anew(1), &why), BAOZI_NO_MEMORY);
    image_copy_fini(&copy);
    free(memory);
}

const struct core_test core_tests_image[] = {
    CORE_TEST(test_image__is_the_same_in_slices_of_any_size, ""),
    CORE_TEST(test_image__of_a_loaded_core_is_its_image_again, ""),
    CORE_TEST(test_image__damaged_is_refused_or_does_no_harm, ""),
    CORE_TEST(test_image__cut_short_is_refused, ""),
    CORE_TEST(test_image__many_changes_at_once_are_refused, ""),
    CORE_TEST(test_image__of_a_newer_baozi_is_refused, ""),
    CORE_TEST(test_image__of_plain_items_is_a_few_bytes_each, ""),
    CORE_TEST(test_image__without_one_of_its_pieces_is_refused, ""),
    CORE_TEST(test_image__larger_than_the_memory_is_refused, ""),
    CORE_TESTS_END,
};
