/*
 * test_worker_settings.c - options of the worker and what they mean together.
 */
#include "tests/lib/unit.h"
#include "worker/settings.h"

/* Reads a command line given as one text; 0 or the exit code. */
static int read_line(const char *line, struct bao_worker_settings *settings)
{
    static struct bao_options options;
    static char words_text[512];
    struct bao_problem problem = {0};
    char *words[32] = {(char[]){"baozi-worker"}};
    int count = 1;
    (void)snprintf(words_text, sizeof words_text, "%s", line);
    for (char *word = strtok(words_text, " "); word != NULL && count < 31;
         word = strtok(NULL, " "))
        words[count++] = word;
    *settings = (struct bao_worker_settings){0};
    bao_options_init(&options, &bao_worker_program, settings);
    if (bao_options_parse(&options, count, words, &problem))
        (void)bao_worker_program.check(settings, &options, &problem);
    if (problem.exit_code != 0) {
        assert_true(problem.what[0] != '\0');
        assert_true(problem.why[0] != '\0');
        assert_true(problem.remedy[0] != '\0');
    }
    bao_worker_settings_fini(settings, &options);
    return problem.exit_code;
}

static void test_worker_settings__one_way_to_work_is_needed(void **state)
{
    struct bao_worker_settings settings;
    (void)state;
    assert_int_equal(read_line("", &settings), BAO_EXIT_USAGE);
    assert_int_equal(read_line("q", &settings), BAO_EXIT_USAGE);
    assert_int_equal(read_line("q --exec true", &settings), 0);
    assert_int_equal(settings.runs, BAO_RUNS_EXEC);
    assert_true(settings.children >= 1);
    assert_int_equal(settings.grace_ms, 25000);
    assert_int_equal(read_line("q --builtin upper -c 3", &settings), 0);
    assert_int_equal(settings.runs, BAO_RUNS_BUILTIN);
    assert_int_equal(settings.builtin, BAO_BUILTIN_UPPER);
    assert_int_equal(settings.children, 3);
    assert_int_equal(read_line("q --exec true --builtin echo", &settings),
                     BAO_EXIT_USAGE);
    assert_int_equal(read_line("q --builtin cook", &settings), BAO_EXIT_USAGE);
}

static void test_worker_settings__what_does_not_fit_is_refused(void **state)
{
    static const char *const lines[] = {"q --exec true -c 0",
                                        "q --exec true -c 1025",
                                        "q --exec true -c x",
                                        "q --exec true --timeout fast",
                                        "q --exec true --no-such",
                                        "q extra --exec true",
                                        "q --builtin echo --shell",
                                        "q --builtin echo --result",
                                        "q --exec true -q -v",
                                        "q --builtin eater --sleep 3s-1s",
                                        "q --builtin eater --sleep x",
                                        "q --exec 'true"};
    struct bao_worker_settings settings;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(read_line(lines[i], &settings), BAO_EXIT_USAGE);
}

static void test_worker_settings__what_is_not_there_is_told(void **state)
{
    struct bao_worker_settings settings;
    (void)state;
    assert_int_equal(read_line("q --exec no-such-program-here", &settings),
                     BAO_EXIT_CONFIGURATION);
    assert_int_equal(read_line("q --exec /no/such/file", &settings),
                     BAO_EXIT_CONFIGURATION);
    assert_int_equal(read_line("q --plugin /no/such.so", &settings),
                     BAO_EXIT_CONFIGURATION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_settings__one_way_to_work_is_needed),
        cmocka_unit_test(test_worker_settings__what_does_not_fit_is_refused),
        cmocka_unit_test(test_worker_settings__what_is_not_there_is_told),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("worker_settings", tests, NULL, NULL);
}
