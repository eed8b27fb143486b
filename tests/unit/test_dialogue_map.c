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
        assert_int_equal(map.count, count);
    }
    bao_map_fini(&map);
    assert_null(bao_map_find(&map, 0));
}

static void test_dialogue_map__does_what_its_model_does(void **state)
{
    (void)state;
    model_each_seed("dialogue_map", random_things);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dialogue_map__does_what_its_model_does),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("dialogue_map", tests, NULL, NULL);
}
