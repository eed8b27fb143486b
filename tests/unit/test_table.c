/*
 * test_table.c - the hash table against a naive model: a flag per key.
 */
#include <string.h>

#include "common/table.h"
#include "tests/unit/model.h"

#define THINGS 4000u

struct thing {
    struct bao_table_node node;
    uint64_t key;
    bool listed;
};

static struct thing things[THINGS];

/* Few hashes for some, so that chains hold several keys of one hash. */
static uint64_t hash_of(uint64_t key, uint64_t seed)
{
    return bao_hash_number(key % 7 == 0 ? key % 5 : key, seed);
}

static struct thing *
find(const struct bao_table *table, uint64_t key, uint64_t seed)
{
    struct bao_table_node *node = bao_table_first(table, hash_of(key, seed));
    for (; node != NULL; node = bao_table_next(node)) {
        struct thing *thing = BAO_OF(node, struct thing, node);
        assert_int_equal(node->hash, hash_of(key, seed));
        if (thing->key == key)
            return thing;
    }
    return NULL;
}

/* Everything that is in the buckets, each once, and nothing else. */
static void check_all(const struct bao_table *table, uint64_t seed)
{
    size_t listed = 0;
    for (size_t i = 0; i < THINGS; i++) {
        const struct thing *found = find(table, i, seed);
        assert_ptr_equal(found, things[i].listed ? &things[i] : NULL);
        listed += things[i].listed ? 1 : 0;
    }
    assert_int_equal(table->count, listed);
    assert_true(table->buckets >= 1u << table->level &&
                table->buckets < 2u << table->level);
}

static size_t change(struct bao_table *table, uint64_t seed, bool growing)
{
    struct thing *thing = &things[model_random(THINGS)];
    if (!thing->listed && (growing || model_random(5) == 0)) {
        bao_table_put(table, &thing->node, hash_of(thing->key, seed));
        thing->listed = true;
    } else if (thing->listed && (!growing || model_random(5) == 0)) {
        bao_table_remove(table, &thing->node);
        thing->listed = false;
    }
    return table->count;
}

static void run_model(uint64_t seed)
{
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    struct bao_table table;
    memset(things, 0, sizeof(things));
    for (uint64_t i = 0; i < THINGS; i++)
        things[i].key = i;
    assert_true(bao_table_init(&table, arena));

    for (unsigned step = 0; step < 40000; step++) {
        size_t count = change(&table, seed, (step / 10000) % 2 == 0);
        struct bao_table_node *any = bao_table_any(&table);
        assert_int_equal(any == NULL, count == 0);
        if (any != NULL)
            assert_true(BAO_OF(any, struct thing, node)->listed);
        if (step % 500 == 0)
            check_all(&table, seed);
    }
    for (struct bao_table_node *node = bao_table_any(&table); node != NULL;
         node = bao_table_any(&table)) {
        bao_table_remove(&table, node);
        BAO_OF(node, struct thing, node)->listed = false;
    }
    check_all(&table, seed);
    bao_table_fini(&table);
    model_arena_end(arena, memory);
}

static void test_table__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("table", run_model);
}

/* Removing while walking one hash is allowed when the next is read first. */
static void test_table__a_walk_survives_the_removal_of_its_node(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    struct bao_table table;
    memset(things, 0, sizeof(things));
    assert_true(bao_table_init(&table, arena));
    for (unsigned i = 0; i < THINGS; i++)
        bao_table_put(&table, &things[i].node, bao_hash_number(i % 100, 1));
    for (unsigned h = 0; h < 100; h++) {
        unsigned seen = 0;
        struct bao_table_node *node =
            bao_table_first(&table, bao_hash_number(h, 1));
        while (node != NULL) {
            struct bao_table_node *next = bao_table_next(node);
            bao_table_remove(&table, node);
            node = next;
            seen++;
        }
        assert_int_equal(seen, THINGS / 100);
    }
    assert_int_equal(table.count, 0);
    bao_table_fini(&table);
    model_arena_end(arena, memory);
}

/* Without memory the chains only grow longer; with it they shorten again. */
static void test_table__put_never_fails(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    struct bao_table table;
    memset(things, 0, sizeof(things));
    void *all = model_exhaust(arena);
    assert_false(bao_table_init(&table, arena));
    model_relieve(arena, all);
    assert_int_equal(bao_arena_used(arena), 0);

    assert_true(bao_table_init(&table, arena));
    all = model_exhaust(arena);
    for (uint64_t i = 0; i < 1000; i++) {
        things[i].key = i;
        things[i].listed = true;
        bao_table_put(&table, &things[i].node, hash_of(i, 3));
    }
    assert_int_equal(table.count, 1000);
    for (uint64_t i = 0; i < 1000; i++)
        assert_ptr_equal(find(&table, i, 3), &things[i]);
    model_relieve(arena, all);
    for (uint64_t i = 1000; i < THINGS; i++) {
        things[i].key = i;
        things[i].listed = true;
        bao_table_put(&table, &things[i].node, hash_of(i, 3));
    }
    assert_true(table.buckets >= THINGS * 9 / 10);
    check_all(&table, 3);
    bao_table_fini(&table);
    model_arena_end(arena, memory);
}

/* Shrinks with its elements, so that a peak is not kept. */
static void test_table__gives_a_peak_back(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    struct bao_table table;
    memset(things, 0, sizeof(things));
    assert_true(bao_table_init(&table, arena));
    for (uint64_t i = 0; i < THINGS; i++)
        bao_table_put(&table, &things[i].node, bao_hash_number(i, 1));
    size_t peak = bao_arena_used(arena);
    for (uint64_t i = 0; i < THINGS; i++)
        bao_table_remove(&table, &things[i].node);
    assert_true(table.buckets <= 16);
    assert_true(bao_arena_used(arena) <= peak / 3);
    bao_table_fini(&table);
    model_arena_end(arena, memory);
}

/* Close keys, equal prefixes and other seeds lead to other hashes, and low
 * bits are as good as high ones. */
static void test_table__hashes_spread(void **state)
{
    (void)state;
    unsigned buckets[256] = {0};
    uint8_t text[40];
    memset(text, 'a', sizeof(text));
    for (uint64_t i = 0; i < 25600; i++) {
        bao_store64(text + 16, i);
        uint64_t hash = bao_hash_bytes(bao_span_of(text, sizeof(text)), 9);
        buckets[hash & 255]++;
        buckets[bao_hash_number(i, 9) & 255]++;
    }
    for (unsigned i = 0; i < 256; i++)
        assert_true(buckets[i] > 120 && buckets[i] < 290);

    for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
        uint64_t hash = bao_hash_bytes(bao_span_of(text, bytes), 1);
        assert_true(hash != bao_hash_bytes(bao_span_of(text, bytes), 2));
        assert_true(hash != bao_hash_bytes(bao_span_of(text, bytes + 1), 1));
    }
    assert_true(bao_hash_number(0, 0) != bao_hash_number(1, 0));
    assert_int_equal(bao_hash_bytes(bao_span_of(NULL, 0), 5),
                     bao_hash_bytes(bao_span_of(text, 0), 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table__agrees_with_a_naive_model),
        cmocka_unit_test(test_table__a_walk_survives_the_removal_of_its_node),
        cmocka_unit_test(test_table__put_never_fails),
        cmocka_unit_test(test_table__gives_a_peak_back),
        cmocka_unit_test(test_table__hashes_spread),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
