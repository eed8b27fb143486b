/*
 * test_tree.c - the ordered map against a naive model: an array of keys with
 * colours, searched from end to end.
 */
#include <string.h>

#include "common/tree.h"
#include "tests/unit/model.h"

#define ENTRIES 400u

struct entry {
    uint64_t key;
    unsigned colours;
    bool listed;
};

static struct entry entries[ENTRIES];

static const uint64_t edges[] = {
    0,
    1,
    62,
    63,
    64,
    65,
    4095,
    4096,
    4097,
    262143,
    262144,
    UINT64_C(1) << 24,
    UINT64_C(1) << 30,
    (UINT64_C(1) << 40) - 1,
    UINT64_C(1) << 40,
    UINT64_C(1) << 54,
    (UINT64_C(1) << 60) - 1,
    UINT64_C(1) << 60,
    UINT64_C(1) << 63,
    UINT64_MAX - 64,
    UINT64_MAX - 1,
    UINT64_MAX,
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

static uint64_t random_key(unsigned bits)
{
    if (bits == 12) /* far from 0 and close together, as a queue's ids are */
        return (UINT64_C(7) << 40) + model_random(4096);
    switch (model_random(4)) {
    case 0: return edges[model_random(EDGES)];
    case 1: return (UINT64_C(1) << model_random(64)) - model_random(2);
    default:
        return (model_random(UINT64_C(1) << 32) << 32 |
                model_random(UINT64_C(1) << 32)) >>
               (64 - bits);
    }
}

/* The model's entry of `key`, or a free one, or NULL. */
static struct entry *model_find(uint64_t key)
{
    struct entry *free_one = NULL;
    for (size_t i = 0; i < ENTRIES; i++) {
        if (entries[i].listed && entries[i].key == key)
            return &entries[i];
        if (!entries[i].listed)
            free_one = &entries[i];
    }
    return free_one;
}

static struct entry *
model_nearest(unsigned colours, uint64_t key, bool smallest)
{
    struct entry *best = NULL;
    for (size_t i = 0; i < ENTRIES; i++) {
        struct entry *entry = &entries[i];
        if (!entry->listed || (colours & entry->colours) == 0)
            continue;
        if (smallest ? entry->key < key : entry->key > key)
            continue;
        if (best == NULL ||
            (smallest ? entry->key < best->key : entry->key > best->key))
            best = entry;
    }
    return best;
}

static void
check_nearest(const struct bao_tree *tree, unsigned colours, uint64_t key)
{
    const struct entry *model = model_nearest(colours, key, true);
    struct bao_tree_entry found = bao_tree_first(tree, colours, key);
    assert_ptr_equal(found.value, model);
    if (model != NULL)
        assert_true(found.key == model->key);

    model = model_nearest(colours, key, false);
    found = bao_tree_last(tree, colours, key);
    assert_ptr_equal(found.value, model);
    if (model != NULL)
        assert_true(found.key == model->key);
}

/* Every entry in order; the height follows the distance of the outer two. */
static void check_walk(const struct bao_tree *tree)
{
    uint64_t seen = 0;
    uint64_t from = 0;
    uint64_t smallest = 0;
    uint64_t largest = 0;
    for (;;) {
        struct bao_tree_entry at = bao_tree_first(tree, BAO_TREE_ANY, from);
        if (at.value == NULL)
            break;
        smallest = seen == 0 ? at.key : smallest;
        largest = at.key;
        seen++;
        if (at.key == UINT64_MAX)
            break;
        from = at.key + 1;
    }
    assert_int_equal(seen, tree->count);
    uint32_t height = 0;
    while (height < 10 &&
           largest >> (6 * (height + 1)) != smallest >> (6 * (height + 1)))
        height++;
    assert_int_equal(tree->height, height);
}

static void change(struct bao_tree *tree, unsigned bits, bool growing)
{
    uint64_t key = random_key(bits);
    struct entry *entry = model_find(key);
    assert_ptr_equal(bao_tree_find(tree, key),
                     entry != NULL && entry->listed ? entry : NULL);
    if (entry != NULL && !entry->listed && growing) {
        const unsigned colour = (unsigned)model_random(BAO_TREE_COLOURS);
        *entry = (struct entry){key, 1u << colour, true};
        assert_true(bao_tree_put(tree, key, entry, colour));
        return;
    }
    entry = &entries[model_random(ENTRIES)];
    if (!entry->listed)
        return;
    if (model_random(4) == 0) {
        const unsigned colour = (unsigned)model_random(BAO_TREE_COLOURS);
        entry->colours = 1u << colour;
        bao_tree_recolour(tree, entry->key, colour);
    } else if (model_random(3) == 0) {
        entry->colours = 1 + (unsigned)model_random(BAO_TREE_ANY);
        bao_tree_paint(tree, entry->key, entry->colours);
    } else if (!growing || model_random(4) == 0) {
        bao_tree_remove(tree, entry->key);
        entry->listed = false;
    }
}

static void run_model(uint64_t seed)
{
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 4 * 1024 * 1024);
    struct bao_tree tree;
    memset(entries, 0, sizeof(entries));
    bao_tree_init(&tree, arena);
    unsigned bits = seed % 3 == 0 ? 64 : (seed % 3 == 1 ? 10 : 12);

    for (unsigned step = 0; step < 8000; step++) {
        change(&tree, bits, (step / 2000) % 2 == 0);
        unsigned colours = (unsigned)model_random(BAO_TREE_ANY + 1);
        check_nearest(&tree, colours, random_key(bits));
        check_nearest(&tree, BAO_TREE_ANY, edges[model_random(EDGES)]);
        if (step % 16 == 0)
            check_walk(&tree);
    }
    if (seed % 3 == 0) {
        bao_tree_fini(&tree);
        assert_int_equal(tree.count, 0);
    }
    for (size_t i = 0; i < ENTRIES && tree.count > 0; i++) {
        if (entries[i].listed)
            bao_tree_remove(&tree, entries[i].key);
    }
    assert_null(tree.root);
    assert_int_equal(tree.height, 0);
    model_arena_end(arena, memory); /* empty nodes went back at once */
}

static void test_tree__agrees_with_a_naive_model(void **state)
{
    (void)state;
    model_each_seed("tree", run_model);
}

static void test_tree__each_edge_key_stands_alone(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 64 * 1024);
    struct bao_tree tree;
    struct entry value;
    bao_tree_init(&tree, arena);
    for (size_t i = 0; i < EDGES; i++) {
        uint64_t key = edges[i];
        assert_true(bao_tree_put(&tree, key, &value, 5));
        assert_ptr_equal(bao_tree_find(&tree, key), &value);
        assert_true(bao_tree_first(&tree, BAO_TREE_ANY, 0).key == key);
        assert_true(bao_tree_last(&tree, 1u << 5, UINT64_MAX).key == key);
        assert_null(bao_tree_first(&tree, 1u << 4, 0).value);
        assert_null(bao_tree_first(&tree, 0, 0).value);
        if (key != UINT64_MAX) {
            assert_null(bao_tree_find(&tree, key + 1));
            assert_null(bao_tree_first(&tree, BAO_TREE_ANY, key + 1).value);
        }
        if (key != 0) {
            assert_null(bao_tree_find(&tree, key - 1));
            assert_null(bao_tree_last(&tree, BAO_TREE_ANY, key - 1).value);
        }
        bao_tree_remove(&tree, key);
        assert_null(tree.root);
    }
    model_arena_end(arena, memory);
}

/* With room for k nodes and no more, for every k: a put that fails leaves the
 * tree and the arena as they were. */
static void test_tree__a_put_without_memory_changes_nothing(void **state)
{
    (void)state;
    void *memory;
    struct bao_arena *arena = model_arena(&memory, 256 * 1024);
    struct bao_tree tree;
    struct entry value;
    unsigned refused = 0;
    const size_t node_bytes = 7 * 8 + 64 * 8;

    for (unsigned room = 0; room < 24; room++) {
        bao_tree_init(&tree, arena);
        assert_true(bao_tree_put(&tree, 7, &value, 0));
        void *nodes[24];
        for (unsigned i = 0; i < room; i++)
            nodes[i] = bao_arena_take(arena, node_bytes);
        void *all = model_exhaust(arena);
        for (unsigned i = 0; i < room; i++)
            bao_arena_give(arena, nodes[i]);

        size_t used = bao_arena_used(arena);
        bool put = bao_tree_put(&tree, UINT64_MAX, &value, 1);
        if (!put) {
            refused++;
            assert_int_equal(bao_arena_used(arena), used);
            assert_int_equal(tree.height, 0);
            assert_int_equal(tree.count, 1);
            assert_null(bao_tree_find(&tree, UINT64_MAX));
            assert_true(bao_tree_last(&tree, BAO_TREE_ANY, UINT64_MAX).key ==
                        7);
            assert_ptr_equal(bao_tree_find(&tree, 7), &value);
        }
        bao_arena_check(arena);
        model_relieve(arena, all);
        bao_tree_fini(&tree);
        assert_int_equal(bao_arena_used(arena), 0);
    }
    /* Ten new roots and ten nodes down to the key. */
    assert_int_equal(refused, 20);
    model_arena_end(arena, memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__agrees_with_a_naive_model),
        cmocka_unit_test(test_tree__each_edge_key_stands_alone),
        cmocka_unit_test(test_tree__a_put_without_memory_changes_nothing),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
