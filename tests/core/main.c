/*
 * main.c - all core tests as one TAP program.
 *
 * Arguments are parts of names: only the tests that have one of them run
 * (and not the list of sentences, which needs them all).
 */
#include "tests/core/tests.h"

static const struct core_test *const tables[] = {
    core_tests_story,     core_tests_tutorial, core_tests_put,
    core_tests_wait,      core_tests_lease,    core_tests_settle,
    core_tests_join,      core_tests_count,    core_tests_dead,
    core_tests_session,   core_tests_repeat,   core_tests_time,
    core_tests_bound,     core_tests_dedup,    core_tests_shutdown,
    core_tests_subscribe, core_tests_operate,  core_tests_look,
    core_tests_restart,   core_tests_image,    core_tests_random,
};
#define TABLES    (sizeof(tables) / sizeof(tables[0]))
#define TESTS_MAX 1000u

static void test_sentences__each_has_a_test(void **state)
{
    (void)state;
    core_sentences_check(tables, TABLES);
}

#ifdef BAO_MARKS
static void test_marks__each_was_reached(void **state)
{
    (void)state;
    core_marks_check();
}
#endif

static bool is_wanted(const char *name, int count, char **parts)
{
    for (int i = 1; i < count; i++) {
        if (strstr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return count < 2;
}

int main(int count, char **parts)
{
    static struct CMUnitTest tests[TESTS_MAX];
    size_t test_count = 0;
    for (size_t i = 0; i < TABLES; i++) {
        for (const struct core_test *test = tables[i]; test->name != NULL;
             test++) {
            assert_true(test_count + 1 < TESTS_MAX);
            if (is_wanted(test->name, count, parts)) {
                tests[test_count++] = (struct CMUnitTest){
                    .name = test->name, .test_func = test->run};
            }
        }
    }
    if (count < 2) {
        tests[test_count++] = (struct CMUnitTest)cmocka_unit_test(
            test_sentences__each_has_a_test);
#ifdef BAO_MARKS
        tests[test_count++] =
            (struct CMUnitTest)cmocka_unit_test(test_marks__each_was_reached);
#endif
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("core", tests, test_count, NULL, NULL) == 0
               ? 0
               : 1;
}
