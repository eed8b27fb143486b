/*
 * test_dialogue_map.c - the dialogue's map against a naive model.
 */
#include "common/dialogue_map.h"
#include "tests/unit/model.h"

#define KEYS 512u

static void random_things(uint64_t seed)
{
    (void)seed;
    struct bao_map map = {0};
    int values[KEYS];
    bool there[KEYS] = {false};
    size_t count = 0;
    for (int step = 0; step < 20000; step++) {
        uint64_t slot = model_random(KEYS);
        /* Keys far apart and close together. */
        uint64_t key = slot % 2 == 0 ? slot : slot << 40;
        void *found = bao_map_find(&map, key);
        assert_ptr_equal(found, there[slot] ? &values[slot] : NULL);
        if (!there[slot] && model_random(3) > 0) {
            assert_true(bao_map_put(&map, key, &values[slot]));
            there[slot] = true;
            count++;
        } else {
            bao_map_remove(&map, key);
            count -= there[slot] ? 1 : 0;
            there[slot] = false;
        }
        assert_int_equal(bao_map_count(&map), count);
    }
    bao_map_fini(&map);
    assert_null(bao_map_find(&map, 0));
}

/* As rids come and go: in order, some hundred at a time, and a few of them
 * stay for long, so that others find their places taken. */
static void test_dialogue_map__finds_what_stays_among_what_goes(void **state)
{
    (void)state;
    enum { NUMBERS = 20000, ALIVE = 300, STAYS_EACH = 97, STAYS = 5000 };
    struct bao_map map = {0};
    static int values[NUMBERS];
    for (uint64_t key = 0; key < NUMBERS; key++) {
        assert_null(bao_map_find(&map, key));
        assert_true(bao_map_put(&map, key, &values[key]));
        if (key >= ALIVE && (key - ALIVE) % STAYS_EACH != 0) {
            bao_map_remove(&map, key - ALIVE);
            assert_null(bao_map_find(&map, key - ALIVE));
        }
        if (key >= STAYS && (key - STAYS) % STAYS_EACH == 0) {
            assert_ptr_equal(bao_map_find(&map, key - STAYS),
                             &values[key - STAYS]);
            bao_map_remove(&map, key - STAYS);
            assert_null(bao_map_find(&map, key - STAYS));
        }
        assert_ptr_equal(bao_map_find(&map, key), &values[key]);
    }
    assert_true(bao_map_count(&map) < ALIVE + STAYS / STAYS_EACH + 2);
    assert_true(map.places.capacity <= 4096);
    bao_map_fini(&map);
}

static void test_dialogue_map__does_what_its_model_does(void **state)
{
    (void)state;
    model_each_seed("dialogue_map", random_things);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogue_map__finds_what_stays_among_what_goes),
        cmocka_unit_test(test_dialogue_map__does_what_its_model_does),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue_map", tests, NULL, NULL);
}
