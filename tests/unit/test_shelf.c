/*
 * test_shelf.c - items at rest and on their way, against a list of them all.
 *
 * Facts come to a real core; between them items leave rest for no reason and
 * rest again, images are made in slices, and the core recounts itself. Each
 * item must look as the list says, whether it has a record or not.
 */
#include "broker/core/image.h"
#include "broker/core/order.h"
#include "broker/core/shelf.h"
#include "tests/unit/model.h"

#define CORE_BYTES ((size_t)16 << 20)
#define ITEMS      700u
#define STEPS      700u
#define QUEUE      1u
#define SESSIONS   3u
#define PIECES     16u
#define T0_US      UINT64_C(1000000)

struct known {
    uint64_t n;
    uint64_t accepted_us;
    uint64_t session;
    uint32_t bytes;
    uint32_t header_bytes;
    uint32_t state;
    bool again; /* it was handed out before */
};

struct saved {
    size_t count;
    size_t bytes[PIECES];
    uint8_t data[PIECES][BAO_IMAGE_PIECE_BYTES];
    uint64_t digest;
};

static struct known known[ITEMS];
static size_t known_count;
static uint64_t last_n;
static uint64_t now_us;
static uint64_t token;
static struct saved saved;

static struct bao_core *core_open(void *memory)
{
    struct bao_core *core = NULL;
    const struct bao_core_config config = {.memory = memory,
                                           .memory_bytes = CORE_BYTES,
                                           .body_bytes_max = UINT64_MAX / 2,
                                           .now_us = T0_US,
                                           .epoch = 1,
                                           .seed = 1,
                                           .level = BAO_LEVEL_DISK};
    assert_int_equal(bao_core_open(&config, &core), BAOZI_OK);
    return core;
}

static void begin(struct bao_core *core, enum bao_kind kind)
{
    struct bao_queue_options options = bao_queue_options_default();
    options.kind = kind;
    for (uint64_t i = 1; i <= SESSIONS; i++) {
        uint8_t client[BAO_CLIENT_ID_BYTES] = {(uint8_t)i};
        const struct bao_span id = bao_span_of(client, sizeof(client));
        const struct bao_fact opened = {.kind = BAO_FACT_SESSION_OPENED,
                                        .time_us = T0_US,
                                        .session = i,
                                        .client = id,
                                        .secret = id};
        bao_core_apply(core, &opened);
    }
    const struct bao_fact made = {.kind = BAO_FACT_QUEUE_MADE,
                                  .time_us = T0_US,
                                  .queue = QUEUE,
                                  .name = bao_span_text("buns"),
                                  .options = &options};
    bao_core_apply(core, &made);
}

static struct bao_queue *queue_of(struct bao_core *core)
{
    assert_non_null(core->names[0]);
    return core->names[0];
}

static uint64_t id_of(uint64_t n)
{
    return (uint64_t)QUEUE << BAO_ID_SHIFT | n;
}

static uint32_t some_bytes(void)
{
    switch (model_random(12)) {
    case 0: return 0;
    case 1: return BAO_REST_BYTES_MAX;
    case 2: return BAO_REST_BYTES_MAX + 1u;
    default: return (uint32_t)model_random(300);
    }
}

/* A put: most at once, some with a delay; each with a time of its own, or the
 * last one's. */
static void put(struct bao_core *core)
{
    static struct bao_put_item items[100];
    const size_t room = ITEMS - known_count;
    uint64_t count = model_random(4) == 0 ? 1 + model_random(100) : 1;
    count = count < room ? count : room;
    if (count == 0)
        return;
    now_us += model_random(2) * model_random(UINT64_C(1) << 36);
    last_n += model_random(30) == 0 ? 1000 : 0;
    const struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                                  .time_us = now_us,
                                  .session = model_random(SESSIONS + 1),
                                  .queue = QUEUE,
                                  .count = (uint32_t)count,
                                  .items = items,
                                  .due_us =
                                      model_random(6) == 0 ? now_us + 5 : 0,
                                  .first_id = id_of(last_n + 1)};
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t bytes = some_bytes();
        const uint32_t header =
            model_random(8) == 0 ? (uint32_t)model_random(bytes + 1) : 0;
        items[i] = (struct bao_put_item){
            .body = {.bytes = bytes, .header_bytes = header}};
        last_n++;
        known[known_count++] = (struct known){
            .n = last_n,
            .accepted_us = now_us,
            .session = fact.session,
            .bytes = bytes,
            .header_bytes = header,
            .state = fact.due_us == 0 ? BAO_STATE_READY : BAO_STATE_DELAYED};
    }
    bao_core_apply(core, &fact);
}

static void one_fact(struct bao_core *core,
                     const struct known *item,
                     enum bao_fact_kind kind)
{
    const uint64_t id = id_of(item->n);
    const struct bao_fact fact = {
        .kind = kind,
        .time_us = now_us,
        .session = kind == BAO_FACT_ITEM_LEASED ? 1 : 0,
        .queue = QUEUE,
        .ids = &id,
        .count = 1,
        .token = kind == BAO_FACT_ITEM_LEASED ? token : 0,
        .until_us = now_us + 30000000,
        .cause = BAO_CAUSE_RELEASED,
        .state = BAO_STATE_PURGED};
    bao_core_apply(core, &fact);
}

/* The next thing that can become of an item. */
static void move_one(struct bao_core *core, size_t i)
{
    struct known *item = &known[i];
    if (item->state == BAO_STATE_READY && model_random(3) > 0) {
        token++;
        one_fact(core, item, BAO_FACT_ITEM_LEASED);
        item->state = BAO_STATE_LEASED;
        item->again = true;
    } else if (item->state == BAO_STATE_LEASED && model_random(4) == 0) {
        one_fact(core, item, BAO_FACT_ITEM_RETURNED);
        item->state = BAO_STATE_READY;
    } else if (item->state == BAO_STATE_DELAYED) {
        one_fact(core, item, BAO_FACT_ITEM_READY);
        item->state = BAO_STATE_READY;
    } else {
        one_fact(core, item, BAO_FACT_ITEM_SETTLED);
        memmove(item, item + 1, (known_count - i - 1) * sizeof(*item));
        known_count--;
    }
}

/* Out of rest and back, as when somebody waits for it and goes. */
static void disturb(struct bao_core *core)
{
    struct bao_queue *queue = queue_of(core);
    struct bao_item *items[40];
    size_t count = 0;
    for (; count < 40 && known_count > 0; count++) {
        const struct known *one = &known[model_random(known_count)];
        items[count] = bao_item_at(core, queue, id_of(one->n));
        assert_non_null(items[count]);
        assert_ptr_equal(bao_item_find(queue, one->n), items[count]);
        if ((items[count]->flags & BAO_ITEM_WATCHED) != 0)
            break;
        items[count]->flags |= BAO_ITEM_WATCHED;
        bao_item_rest(core, items[count]); /* it may not */
        assert_ptr_equal(bao_item_find(queue, one->n), items[count]);
    }
    for (size_t i = 0; i < count; i++) {
        items[i]->flags &= (uint8_t)~BAO_ITEM_WATCHED;
        bao_item_rest(core, items[i]);
    }
}

/* --- looking ---------------------------------------------------------------
 */

static void check_one(const struct bao_queue *queue, const struct known *one)
{
    struct bao_item room;
    const struct bao_item *item = bao_item_look(queue, one->n, &room);
    assert_non_null(item);
    assert_true(item->id == id_of(one->n));
    assert_true(item->accepted_us == one->accepted_us);
    assert_int_equal(item->bytes, one->bytes);
    assert_int_equal(item->header_bytes, one->header_bytes);
    assert_int_equal(item->state, one->state);
    assert_ptr_equal(item->queue, queue);
    assert_true((item->tally == NULL ? 0 : item->tally->session_number) ==
                one->session);
    assert_true(item->history == 0 ||
                (one->again && one->state != BAO_STATE_DELAYED));
    const bool rests = one->state == BAO_STATE_READY && !one->again &&
                       one->bytes <= BAO_REST_BYTES_MAX &&
                       queue->options.kind != BAO_KIND_PRIORITY;
    assert_int_equal(item == &room, rests);
    assert_int_equal(bao_item_find(queue, one->n) == NULL, rests);
}

static bool is_of(const struct known *one, unsigned colours)
{
    return (colours >> (one->state - 1) & 1) != 0;
}

static void check_nearest(const struct bao_queue *queue)
{
    const unsigned colours = (unsigned)model_random(BAO_TREE_ANY + 1);
    const uint64_t n = model_random(last_n + 70);
    uint64_t next = 0;
    uint64_t last = 0;
    bool there = false;
    for (size_t i = 0; i < known_count; i++) {
        there |= known[i].n == n;
        if (known[i].n <= n && is_of(&known[i], colours))
            last = known[i].n;
        if (known[i].n >= n && is_of(&known[i], colours) && next == 0)
            next = known[i].n;
    }
    assert_true(bao_shelf_next(queue, colours, n) == next);
    assert_true(bao_shelf_last(queue, colours, n) == last);
    assert_int_equal(bao_shelf_has(queue, n), there);
    if (!there) {
        struct bao_item room;
        assert_null(bao_item_look(queue, n, &room));
        assert_null(bao_item_find(queue, n));
    }
}

static void check_all(struct bao_core *core)
{
    const struct bao_queue *queue = queue_of(core);
    bao_core_check(core);
    for (size_t i = 0; i < known_count; i++)
        check_one(queue, &known[i]);
    for (unsigned i = 0; i < 20; i++)
        check_nearest(queue);
}

/* --- images -----------------------------------------------------------------
 */

static void image_end(const struct bao_core *core)
{
    void *memory = aligned_alloc(4096, CORE_BYTES);
    const char *why = NULL;
    assert_non_null(memory);
    assert_false(bao_image_failed(core));
    struct bao_core *loaded = core_open(memory);
    for (size_t i = 0; i < saved.count; i++)
        assert_int_equal(
            bao_image_load(
                loaded, bao_span_of(saved.data[i], saved.bytes[i]), &why),
            BAOZI_OK);
    assert_int_equal(bao_image_loaded(loaded, &why), BAOZI_OK);
    assert_true(bao_core_digest(loaded) == saved.digest);
    bao_core_check(loaded);
    free(memory);
}

static void image_some(struct bao_core *core)
{
    if (!bao_image_under_way(core)) {
        if (model_random(8) != 0)
            return;
        saved.count = 0;
        saved.digest = bao_core_digest(core);
        assert_true(bao_image_begin(core));
        return;
    }
    assert_true(saved.count < PIECES);
    const size_t bytes = bao_image_next(core,
                                        1 + (uint32_t)model_random(40),
                                        saved.data[saved.count],
                                        BAO_IMAGE_PIECE_BYTES);
    saved.bytes[saved.count] = bytes;
    saved.count += bytes > 0;
    if (!bao_image_under_way(core))
        image_end(core);
}

static void run_model(uint64_t seed)
{
    void *memory = aligned_alloc(4096, CORE_BYTES);
    assert_non_null(memory);
    struct bao_core *core = core_open(memory);
    const enum bao_kind kinds[] = {
        BAO_KIND_FIFO, BAO_KIND_LIFO, BAO_KIND_FIFO, BAO_KIND_PRIORITY};
    begin(core, kinds[seed % 4]);
    const size_t empty = bao_core_memory_used(core);
    known_count = 0;
    last_n = 0;
    token = 0;
    now_us = T0_US;
    for (unsigned step = 0; step < STEPS; step++) {
        const bool growing = step / 100 % 2 == 0;
        if (model_random(10) < (growing ? 6 : 2))
            put(core);
        for (unsigned i = growing ? 1 : 8; i > 0 && known_count > 0; i--)
            move_one(core,
                     model_random(2) == 0 ? 0 : model_random(known_count));
        if (model_random(5) == 0)
            disturb(core);
        image_some(core);
        if (step % 8 == 0)
            check_all(core);
    }
    while (known_count > 0)
        move_one(core, known_count - 1);
    if (bao_image_under_way(core))
        bao_image_abandon(core);
    bao_core_check(core);
    assert_true(bao_shelf_none(queue_of(core)));
    assert_int_equal(core->resting, 0);
    /* One chunk of each pool, the tallies, and no more. */
    assert_true(bao_core_memory_used(core) < empty + ((size_t)256 << 10));
    free(memory);
}

static void test_shelf__agrees_with_a_list(void **state)
{
    (void)state;
    model_each_seed("shelf", run_model);
}

/* --- memory ------------------------------------------------------------------
 */

/* What an item costs that is put with `count` others, each `apart_us` later. */
static size_t bytes_an_item(uint32_t count, uint64_t apart_us)
{
    static struct bao_put_item items[64];
    void *memory = aligned_alloc(4096, CORE_BYTES);
    assert_non_null(memory);
    struct bao_core *core = core_open(memory);
    begin(core, BAO_KIND_FIFO);
    for (uint32_t i = 0; i < count; i++)
        items[i].body.bytes = 100;
    size_t before = 0;
    for (uint64_t n = 1; n < 128000; n += count) {
        const struct bao_fact fact = {.kind = BAO_FACT_ITEM_PUT,
                                      .time_us = T0_US + n * apart_us,
                                      .session = 1 + n % SESSIONS,
                                      .queue = QUEUE,
                                      .count = count,
                                      .items = items,
                                      .first_id = id_of(n)};
        bao_core_apply(core, &fact);
        if (n <= 64)
            before = bao_core_memory_used(core);
    }
    const size_t bytes = (bao_core_memory_used(core) - before) / 127936;
    bao_core_check(core);
    free(memory);
    return bytes;
}

static void test_shelf__a_resting_item_costs_at_most_20_bytes(void **state)
{
    (void)state;
    assert_true(bytes_an_item(64, 1) <= 5);
    assert_true(bytes_an_item(1, 1) <= 20);
    assert_true(bytes_an_item(1, 0) <= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shelf__agrees_with_a_list),
        cmocka_unit_test(test_shelf__a_resting_item_costs_at_most_20_bytes),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("shelf", tests, NULL, NULL);
}
