/*
 * test_producer_settings.c - options of the producer and what they mean
 * together.
 */
#include "producer/settings.h"
#include "tests/lib/unit.h"

static struct bao_options options;
static struct bao_producer_settings settings;

static void end(void)
{
    bao_options_fini(&options);
}

/* Reads a command line given as one text; 0 (call end() then) or the exit
 * code. */
static int begin(const char *line)
{
    static char words_text[512];
    struct bao_problem problem = {0};
    char *words[32] = {(char[]){"baozi-producer"}};
    int count = 1;
    (void)snprintf(words_text, sizeof words_text, "%s", line);
    for (char *word = strtok(words_text, " "); word != NULL && count < 31;
         word = strtok(NULL, " "))
        words[count++] = word;
    settings = (struct bao_producer_settings){0};
    bao_options_init(&options, &bao_producer_program, &settings);
    if (bao_options_parse(&options, count, words, &problem) &&
        bao_producer_program.check(&settings, &options, &problem))
        return 0;
    assert_true(problem.what[0] != '\0' && problem.why[0] != '\0' &&
                problem.remedy[0] != '\0');
    end();
    return problem.exit_code;
}

static void test_producer_settings__defaults_put_lines_for_ever(void **state)
{
    (void)state;
    assert_int_equal(begin("q"), 0);
    assert_string_equal(settings.queue, "q");
    assert_int_equal(settings.files.count, 0);
    assert_int_equal(settings.timeout_ms, -1);
    assert_int_equal(settings.join_timeout_ms, -1);
    assert_false(settings.has_timeout);
    assert_false(settings.has_maxsize);
    assert_false(settings.cooks);
    end();
    assert_int_equal(begin("q --maxsize 0 --timeout 0 - /dev/null"), 0);
    assert_true(settings.has_maxsize);
    assert_true(settings.has_timeout);
    assert_int_equal(settings.timeout_ms, 0);
    assert_int_equal(settings.files.count, 2);
    end();
}

static void test_producer_settings__headers_are_pairs(void **state)
{
    (void)state;
    assert_int_equal(begin("q --header a=b --header c=d=e --header f="), 0);
    assert_int_equal(settings.put.headers.count, 3);
    assert_string_equal(settings.put.pairs[0].key, "a");
    assert_string_equal(settings.put.pairs[0].value, "b");
    assert_string_equal(settings.put.pairs[1].value, "d=e");
    assert_string_equal(settings.put.pairs[2].value, "");
    end();
    assert_int_equal(begin("q --header nothing"), BAO_EXIT_USAGE);
    assert_int_equal(begin("q --header a=b --header =b"), BAO_EXIT_USAGE);
}

static void test_producer_settings__what_does_not_fit_is_refused(void **state)
{
    static const char *const lines[] = {"",
                                        "q --null --json",
                                        "q --file",
                                        "q --builtin cook --json",
                                        "q --builtin cook /dev/null",
                                        "q --builtin bake",
                                        "q --dedup-window 5s",
                                        "q --unique --dedup-window 5s",
                                        "q --sleep 2s-1s",
                                        "q --priority 2147483648",
                                        "q --rate -1",
                                        "q --kind stack",
                                        "q --window 0"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(begin(lines[i]), BAO_EXIT_USAGE);
    assert_int_equal(begin("q /no/such/file"), BAO_EXIT_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_producer_settings__defaults_put_lines_for_ever),
        cmocka_unit_test(test_producer_settings__headers_are_pairs),
        cmocka_unit_test(test_producer_settings__what_does_not_fit_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("producer_settings", tests, NULL, NULL);
}
