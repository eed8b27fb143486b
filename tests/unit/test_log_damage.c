/*
 * test_log_damage.c - every single harm to a small log is either harmless or
 * named; nothing wrong is served, nothing synced is missing in silence.
 *
 * log_world.c judges what comes back: it ends the program when an entry that
 * was synced is not there or not right.
 */
#include <errno.h>

#include "tests/lib/log_world.h"
#include "tests/lib/unit.h"

#define SEGMENT_BYTES (16u * 1024u)

/* Lives for a while and is closed, or dies with a MARK behind its last batch.
 */
static void live(struct log_world *world, uint64_t seed, bool closes)
{
    log_world_init(world, seed, SEGMENT_BYTES);
    world->bytes_max = 500;
    assert_int_equal(log_world_open(world), BAOZI_OK);
    for (int i = 0; i < 18; i++) {
        assert_true(log_world_put(world, 1 + (uint64_t)i % 4));
        log_world_turn(world, 100);
        if (i == 5 || i == 10)
            assert_true(log_world_checkpoint(world));
    }
    log_world_turn(world, 20000);
    log_world_turn(world, 20000);
    if (closes)
        assert_int_equal(log_world_close(world), BAOZI_OK);
    else
        log_world_cut(world, LIAR_CUT_ALL);
    assert_int_equal(world->safe, world->next - 1);
}

/* Opens a harmed copy: it works, or the place is named. Answers if it works.
 */
static bool opens_or_names(struct log_world *copy, const char *file)
{
    enum baozi_status status = log_world_open(copy);
    if (status == BAOZI_OK)
        return true;
    if (status != BAOZI_STORAGE_FAILED && status != BAOZI_BAD_VERSION)
        print_message("# status %d: %s; %s\n",
                      (int)status,
                      copy->report.problem.what,
                      copy->report.problem.why);
    assert_true(status == BAOZI_STORAGE_FAILED || status == BAOZI_BAD_VERSION);
    assert_true(copy->report.problem.what[0] != '\0');
    assert_true(copy->report.problem.remedy[0] != '\0');
    if (status == BAOZI_STORAGE_FAILED) {
        assert_true(copy->report.corrupt);
        assert_true(copy->report.file[0] != '\0');
        assert_non_null(strstr(copy->report.problem.what, copy->report.file));
    }
    if (file != NULL)
        assert_string_equal(copy->report.file, file);
    return false;
}

/* The last byte of a file that is not zero. */
static uint64_t used_bytes(struct liar *liar, const char *name)
{
    uint64_t bytes = 0;
    const uint8_t *data = liar_file(liar, name, &bytes);
    while (bytes > 0 && data[bytes - 1] == 0)
        bytes--;
    return bytes;
}

/* A refused start changes nothing, so the copy is used again. */
static void flip_all(struct log_world *world, uint64_t *refused)
{
    struct log_world copy;
    log_world_copy(world, &copy);
    for (size_t i = 0; liar_name(world->liar, i) != NULL; i++) {
        const char *name = liar_name(world->liar, i);
        uint64_t used = used_bytes(world->liar, name);
        uint64_t bytes = 0;
        (void)liar_file(world->liar, name, &bytes);
        for (uint64_t at = 0; at < bytes; at += at < used ? 1 : 997) {
            uint8_t mask = (uint8_t)(1u << at % 8);
            liar_flip(copy.liar, name, at, mask);
            if (opens_or_names(&copy, NULL)) {
                log_world_fini(&copy);
                log_world_copy(world, &copy);
            } else {
                liar_flip(copy.liar, name, at, mask);
                liar_kill(copy.liar);
                (*refused)++;
            }
        }
    }
    assert_true(opens_or_names(&copy, NULL));
    log_world_fini(&copy);
}

/* [S9, F9] Every byte of all files flipped in turn. */
static void test_damage__flipped_bytes_are_harmless_or_named(void **state)
{
    (void)state;
    uint64_t refused = 0;
    for (int closes = 0; closes < 2; closes++) {
        struct log_world world;
        live(&world, 3, closes == 1);
        flip_all(&world, &refused);
        log_world_fini(&world);
    }
    print_message("# %llu flips were refused\n", (unsigned long long)refused);
    assert_true(refused > 1000);
}

/* The segment with the end of the log. */
static const char *last_segment(struct liar *liar)
{
    const char *last = "";
    for (size_t i = 0; liar_name(liar, i) != NULL; i++) {
        const char *name = liar_name(liar, i);
        if (strncmp(name, "segment-", 8) == 0 &&
            used_bytes(liar, name) > 4096 && strcmp(name, last) > 0)
            last = name;
    }
    return last;
}

/* [S9, F8] The last segment cut at every byte: it never was so short, so the
 * place is named. */
static void test_damage__a_cut_segment_is_named(void **state)
{
    (void)state;
    struct log_world world;
    live(&world, 4, false);
    const char *last = last_segment(world.liar);
    for (uint64_t at = 0; at < SEGMENT_BYTES; at += at < 4096 ? 64 : 1) {
        struct log_world copy;
        log_world_copy(&world, &copy);
        liar_truncate(copy.liar, last, at);
        assert_false(opens_or_names(&copy, last));
        log_world_fini(&copy);
    }
    log_world_fini(&world);
}

/* [S9, F8] A last batch that was never synced, torn at every byte: the log
 * starts, and has all before it. */
static void test_damage__a_torn_last_batch_is_cut(void **state)
{
    (void)state;
    struct log_world world;
    log_world_init(&world, 9, SEGMENT_BYTES);
    world.bytes_max = 300;
    log_world_slow(&world, 1);
    assert_int_equal(log_world_open(&world), BAOZI_OK);
    for (int i = 0; i < 20; i++) {
        assert_true(log_world_put(&world, 2));
        log_world_turn(&world, 100);
    }
    while (world.safe + 1 < world.next)
        log_world_turn(&world, 100);
    uint64_t safe = world.safe;
    const char *last = last_segment(world.liar);
    uint64_t before = used_bytes(world.liar, last);
    world.laziness = UINT32_MAX;
    assert_true(log_world_put(&world, 3));
    log_world_turn(&world, 100);
    uint64_t after = used_bytes(world.liar, last);
    assert_true(after > before + 3 * 56);
    log_world_kill(&world);
    assert_int_equal(world.safe, safe);
    uint64_t torn = 0;
    for (uint64_t at = before; at <= after; at++) {
        struct log_world copy;
        uint64_t bytes = 0;
        log_world_copy(&world, &copy);
        uint8_t *data = liar_file(copy.liar, last, &bytes);
        memset(data + at, 0, bytes - at);
        assert_true(opens_or_names(&copy, NULL));
        assert_int_equal(copy.replayed, at < after ? safe : safe + 3);
        torn += copy.report.torn_bytes > 0;
        assert_int_equal(log_world_close(&copy), BAOZI_OK);
        log_world_fini(&copy);
    }
    assert_true(torn > 100);
    log_world_fini(&world);
}

/* Opens a harmed copy; 1 if it was refused. What opened must also close. */
static uint64_t judge(struct log_world *copy)
{
    bool opened = opens_or_names(copy, NULL);
    if (opened)
        assert_int_equal(log_world_close(copy), BAOZI_OK);
    log_world_fini(copy);
    return opened ? 0 : 1;
}

/* The file takes the bytes of each other one of its kind. */
static uint64_t replace_by_others(const struct log_world *world,
                                  const char *name)
{
    uint64_t refused = 0;
    for (size_t i = 0; liar_name(world->liar, i) != NULL; i++) {
        const char *other = liar_name(world->liar, i);
        struct log_world copy;
        if (strncmp(other, name, 8) != 0 || strcmp(other, name) == 0)
            continue;
        log_world_copy(world, &copy);
        liar_duplicate(copy.liar, other, name);
        refused += judge(&copy);
    }
    return refused;
}

/* [F10] Files missing, emptied, zeroed, doubled, or old again. */
static void test_damage__files_that_are_missing_or_wrong(void **state)
{
    (void)state;
    struct log_world world;
    live(&world, 5, false);
    uint64_t refused = 0;
    for (size_t i = 0; liar_name(world.liar, i) != NULL; i++) {
        const char *name = liar_name(world.liar, i);
        struct log_world copy;
        uint64_t bytes = 0;
        log_world_copy(&world, &copy);
        liar_delete(copy.liar, name);
        refused += judge(&copy);
        log_world_copy(&world, &copy);
        liar_truncate(copy.liar, name, 0);
        refused += judge(&copy);
        log_world_copy(&world, &copy);
        uint8_t *data = liar_file(copy.liar, name, &bytes);
        memset(data, 0, bytes);
        refused += judge(&copy);
        refused += replace_by_others(&world, name);
    }
    print_message("# %llu harms were refused\n", (unsigned long long)refused);
    assert_true(refused >= 4);
    log_world_fini(&world);
}

/* A bad image falls back to the one before; both bad is named. */
static void test_damage__a_bad_checkpoint_falls_back(void **state)
{
    (void)state;
    struct log_world world;
    char names[2][64] = {"", ""};
    size_t count = 0;
    live(&world, 6, false);
    for (size_t i = 0; liar_name(world.liar, i) != NULL; i++) {
        const char *name = liar_name(world.liar, i);
        if (strncmp(name, "checkpoint-", 11) == 0 && count < 2)
            (void)snprintf(names[count++], 64, "%s", name);
    }
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        struct log_world copy;
        log_world_copy(&world, &copy);
        liar_flip(copy.liar, names[i], 30, 1);
        assert_true(opens_or_names(&copy, NULL));
        assert_true(copy.report.has_checkpoint);
        assert_int_equal(copy.report.checkpoints_bad, i);
        assert_int_equal(log_world_close(&copy), BAOZI_OK);
        log_world_fini(&copy);
    }
    liar_flip(world.liar, names[0], 30, 1);
    liar_flip(world.liar, names[1], 30, 1);
    (void)opens_or_names(&world, NULL);
    assert_int_equal(world.report.checkpoints_bad, 2);
    log_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage__flipped_bytes_are_harmless_or_named),
        cmocka_unit_test(test_damage__a_cut_segment_is_named),
        cmocka_unit_test(test_damage__a_torn_last_batch_is_cut),
        cmocka_unit_test(test_damage__files_that_are_missing_or_wrong),
        cmocka_unit_test(test_damage__a_bad_checkpoint_falls_back),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
