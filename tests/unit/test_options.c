/*
 * test_options.c - the option table: what it reads, what it refuses and what
 * it says; with the texts that it reads values by.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/options.h"
#include "common/text.h"

struct values {
    const char *queue;
    struct bao_texts files;
    const char *url;
    int format;
    bool join;
    bool verbose;
    uint64_t rate;
    uint64_t count;
    int64_t priority;
    uint64_t bytes;
    uint64_t lease_ms;
    int64_t wait_ms;
    struct bao_texts headers;
};

#define AT(member) .offset = offsetof(struct values, member)

static const struct bao_option options[] = {
    BAO_OPTION_URL(struct values, url),
    BAO_OPTION_FORMAT(struct values, format),
    {.name = "join", AT(join), .help = "wait for the items"},
    {.name = "verbose", .letter = 'v', AT(verbose), .help = "say more"},
    {.name = "rate",
     .takes = BAO_TAKES_NUMBER,
     AT(rate),
     .least = 1,
     .most = 1000,
     .environment = "TEST_OPTIONS_RATE",
     .help = "items a second"},
    {.name = "count",
     .letter = 'c',
     .takes = BAO_TAKES_NUMBER,
     AT(count),
     .initial = "3",
     .help = "how many"},
    {.name = "priority",
     .takes = BAO_TAKES_INTEGER,
     AT(priority),
     .least = INT32_MIN,
     .most = INT32_MAX,
     .help = "smaller first"},
    {.name = "max-bytes",
     .takes = BAO_TAKES_SIZE,
     AT(bytes),
     .initial = "64KiB",
     .help = "bound"},
    {.name = "lease",
     .takes = BAO_TAKES_DURATION,
     AT(lease_ms),
     .initial = "30s",
     .most = 3600000,
     .help = "lease time"},
    {.name = "timeout",
     .takes = BAO_TAKES_WAIT,
     AT(wait_ms),
     .initial = "forever",
     .help = "how long to wait"},
    {.name = "header",
     .takes = BAO_TAKES_TEXTS,
     AT(headers),
     .value = "KEY=VALUE",
     .help = "a header of the item"},
    {.name = "hidden", .takes = BAO_TAKES_TEXT, AT(url)},
    {0},
};

static const struct bao_operand operands[] = {
    {.name = "QUEUE", AT(queue), .help = "the queue"},
    {.name = "FILE", AT(files), .optional = true, .repeated = true},
    {0},
};

static const struct bao_program program = {
    .name = "baozi-test",
    .purpose = "try the table",
    .options = options,
    .operands = operands,
    .examples = "  baozi-test jobs\n",
    .notes = "A paragraph that is far longer than the eighty columns which a "
             "line of the help may have, so that it must be broken.",
};

struct world {
    struct values values;
    struct bao_options parsed;
    struct bao_problem problem;
};

static int set_up(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    unsetenv("BAOZI_URL");
    unsetenv("BAOZI_FORMAT");
    unsetenv("TEST_OPTIONS_RATE");
    bao_options_init(&world.parsed, &program, &world.values);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    bao_options_fini(&world->parsed);
    return 0;
}

/* Parses words that end with NULL. */
static bool parse(struct world *world, ...)
{
    static char *words[32];
    int count = 0;
    va_list list;
    va_start(list, world);
    words[count++] = (char *)(uintptr_t) "baozi-test";
    for (char *word; (word = va_arg(list, char *)) != NULL;)
        words[count++] = word;
    va_end(list);
    words[count] = NULL;
    return bao_options_parse(&world->parsed, count, words, &world->problem);
}

static void test_options__defaults_stand_until_somebody_sets_them(void **state)
{
    struct world *world = *state;
    assert_true(parse(world, "jobs", NULL));
    assert_string_equal(world->values.queue, "jobs");
    assert_int_equal(world->values.count, 3);
    assert_int_equal(world->values.bytes, 65536);
    assert_int_equal(world->values.lease_ms, 30000);
    assert_int_equal(world->values.wait_ms, -1);
    assert_int_equal(world->values.format, BAO_FORMAT_TEXT);
    assert_int_equal(bao_options_origin(&world->parsed, "count"),
                     BAO_ORIGIN_DEFAULT);
    assert_int_equal(bao_options_origin(&world->parsed, "rate"),
                     BAO_ORIGIN_NONE);
}

static void test_options__each_kind_is_read_as_its_type(void **state)
{
    struct world *world = *state;
    assert_true(parse(world,
                      "--join",
                      "-vc7",
                      "--rate=20",
                      "--priority",
                      "-5",
                      "jobs",
                      "--max-bytes",
                      "1.5MiB",
                      "--lease",
                      "1m30s",
                      "--timeout=0",
                      "--format",
                      "json",
                      "a.txt",
                      "--",
                      "--join",
                      NULL));
    assert_true(world->values.join);
    assert_true(world->values.verbose);
    assert_int_equal(world->values.count, 7);
    assert_int_equal(world->values.rate, 20);
    assert_int_equal(world->values.priority, -5);
    assert_int_equal(world->values.bytes, 1536 * 1024);
    assert_int_equal(world->values.lease_ms, 90000);
    assert_int_equal(world->values.wait_ms, 0);
    assert_int_equal(world->values.format, BAO_FORMAT_JSON);
    assert_int_equal(world->values.files.count, 2);
    assert_string_equal(world->values.files.texts[0], "a.txt");
    assert_string_equal(world->values.files.texts[1], "--join");
    assert_int_equal(bao_options_origin(&world->parsed, "lease"),
                     BAO_ORIGIN_FLAG);
}

static void test_options__a_repeated_option_keeps_every_value(void **state)
{
    struct world *world = *state;
    char words[20][16];
    char *argv[42] = {words[0]};
    int argc = 1;
    (void)snprintf(words[0], sizeof words[0], "x");
    for (int i = 1; i < 20; i++) {
        argv[argc++] = (char *)(uintptr_t) "--header";
        (void)snprintf(words[i], sizeof words[i], "k=%d", i);
        argv[argc++] = words[i];
    }
    argv[argc++] = (char *)(uintptr_t) "jobs";
    assert_true(bao_options_parse(&world->parsed, argc, argv, &world->problem));
    assert_int_equal(world->values.headers.count, 19);
    for (size_t i = 1; i < 20; i++)
        assert_string_equal(world->values.headers.texts[i - 1], words[i]);
}

static void test_options__an_unknown_option_names_the_nearest(void **state)
{
    struct world *world = *state;
    assert_false(parse(world, "jobs", "--tiemout", "3", NULL));
    assert_int_equal(world->problem.exit_code, 64);
    assert_string_equal(world->problem.what, "unknown option --tiemout");
    assert_string_equal(world->problem.remedy, "did you mean --timeout?");
    assert_false(parse(world, "jobs", "--pri=3", NULL));
    assert_string_equal(world->problem.remedy, "did you mean --priority?");
    assert_false(parse(world, "jobs", "--zzzzzzzz", NULL));
    assert_non_null(strstr(world->problem.remedy, "--help"));
    assert_false(parse(world, "jobs", "-x", NULL));
    assert_string_equal(world->problem.what, "unknown option -x");
}

static void test_options__bad_values_are_refused_with_a_reason(void **state)
{
    struct world *world = *state;
    static const char *const bad[] = {
        "--rate=0",
        "--rate=1001",
        "--rate=ten",
        "--rate=",
        "--rate=-1",
        "--rate=99999999999999999999",
        "--count=18446744073709551615",
        "--priority=2147483648",
        "--priority=1.5",
        "--max-bytes=1XiB",
        "--max-bytes=1KiB2",
        "--max-bytes=20000000TiB",
        "--lease=61m",
        "--lease=5x",
        "--lease=forever",
        "--timeout=-1",
        "--format=xml",
        "--join=yes",
        "--header",
        "-c",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(world, "jobs", bad[i], NULL))
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(world->problem.exit_code, 64);
        assert_true(world->problem.what[0] != '\0');
        assert_true(world->problem.why[0] != '\0');
        assert_true(world->problem.remedy[0] != '\0');
    }
    assert_int_equal(world->values.rate, 0);
    assert_int_equal(world->values.lease_ms, 30000);
    assert_false(parse(world, "jobs", "--lease=61m", NULL));
    assert_string_equal(world->problem.why, "it must be from 0s to 1h");
    assert_false(parse(world, "jobs", "--format=xml", NULL));
    assert_string_equal(world->problem.why, "its value is one of: text, json");
}

static void test_options__a_missing_operand_is_named(void **state)
{
    struct world *world = *state;
    assert_false(parse(world, "--join", NULL));
    assert_int_equal(world->problem.exit_code, 64);
    assert_string_equal(world->problem.what, "QUEUE is missing");
}

static void test_options__flag_beats_environment_beats_file(void **state)
{
    struct world *world = *state;
    setenv("TEST_OPTIONS_RATE", "200", 1);
    assert_true(parse(world, "jobs", "--count", "9", NULL));
    assert_true(bao_options_environment(&world->parsed, &world->problem));
    assert_true(bao_options_set(
        &world->parsed, "rate", "100", BAO_ORIGIN_FILE, &world->problem));
    assert_true(bao_options_set(
        &world->parsed, "count", "1", BAO_ORIGIN_FILE, &world->problem));
    assert_true(bao_options_set(
        &world->parsed, "join", "yes", BAO_ORIGIN_FILE, &world->problem));
    assert_int_equal(world->values.rate, 200);
    assert_int_equal(world->values.count, 9);
    assert_true(world->values.join);
    assert_int_equal(bao_options_origin(&world->parsed, "rate"),
                     BAO_ORIGIN_ENVIRONMENT);
}

static void test_options__a_flag_replaces_a_files_list(void **state)
{
    struct world *world = *state;
    char text[] = "a=1";
    assert_true(bao_options_set(
        &world->parsed, "header", text, BAO_ORIGIN_FILE, &world->problem));
    text[0] = 'x'; /* it was copied */
    assert_true(bao_options_set(
        &world->parsed, "header", "b=2", BAO_ORIGIN_FILE, &world->problem));
    assert_int_equal(world->values.headers.count, 2);
    assert_string_equal(world->values.headers.texts[0], "a=1");
    assert_true(parse(world, "jobs", "--header", "c=3", NULL));
    assert_int_equal(world->values.headers.count, 1);
    assert_string_equal(world->values.headers.texts[0], "c=3");
}

static void test_options__a_bad_setting_of_a_file_is_configuration(void **state)
{
    struct world *world = *state;
    assert_false(bao_options_set(
        &world->parsed, "rat", "1", BAO_ORIGIN_FILE, &world->problem));
    assert_int_equal(world->problem.exit_code, 78);
    assert_string_equal(world->problem.remedy, "did you mean rate?");
    assert_false(bao_options_set(
        &world->parsed, "join", "perhaps", BAO_ORIGIN_FILE, &world->problem));
    assert_int_equal(world->problem.exit_code, 78);
    setenv("TEST_OPTIONS_RATE", "many", 1);
    assert_false(bao_options_environment(&world->parsed, &world->problem));
    assert_int_equal(world->problem.exit_code, 78);
    assert_non_null(strstr(world->problem.what, "TEST_OPTIONS_RATE"));
}

static void test_options__help_wins_over_what_is_missing(void **state)
{
    struct world *world = *state;
    assert_true(parse(world, "--help", "--nonsense", NULL));
    assert_int_equal(world->parsed.wants, BAO_WANTS_HELP);
}

static char *written(char *text, size_t bytes, const char *shell)
{
    FILE *out = fmemopen(text, bytes, "w");
    assert_non_null(out);
    if (shell == NULL)
        bao_options_help(&program, out);
    else
        assert_true(bao_options_completion(&program, NULL, 0, shell, out));
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_options__help_shows_every_row_in_80_columns(void **state)
{
    char text[8192];
    (void)state;
    written(text, sizeof text, NULL);
    assert_non_null(strstr(text, "baozi-test - try the table\n"));
    assert_non_null(
        strstr(text, "Usage: baozi-test [OPTION]... QUEUE [FILE]...\n"));
    for (const struct bao_option *option = options; option->name; option++) {
        char name[32];
        (void)snprintf(name, sizeof name, "--%s", option->name);
        assert_int_equal(strstr(text, name) != NULL, option->help != NULL);
    }
    assert_non_null(strstr(text, "(default: 64KiB)"));
    assert_non_null(strstr(text, "[$TEST_OPTIONS_RATE]"));
    assert_non_null(strstr(text, "Exit codes:"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) < 80);
}

static void test_options__completion_knows_every_shown_option(void **state)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char text[8192];
        written(text, sizeof text, shells[i]);
        assert_non_null(strstr(text, "max-bytes"));
        assert_non_null(strstr(text, "baozi-test"));
        assert_null(strstr(text, "hidden"));
    }
    assert_false(bao_options_completion(&program, NULL, 0, "csh", stderr));
}

static void test_options__the_nearest_word_is_near_or_none(void **state)
{
    static const char *const words[] = {"put", "get", "peek", "queue"};
    (void)state;
    assert_string_equal(bao_nearest("pt", words, 4), "put");
    assert_string_equal(bao_nearest("gte", words, 4), "get");
    assert_string_equal(bao_nearest("queues", words, 4), "queue");
    assert_string_equal(bao_nearest("qu", words, 4), "queue");
    assert_null(bao_nearest("elephant", words, 4));
    assert_null(bao_nearest("", words, 4));
}

static void test_text__durations_are_read_exactly_or_not_at_all(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},
                {"30", 30000},
                {"0.1", 100},
                {"500ms", 500},
                {"1.5s", 1500},
                {"1h30m", 5400000},
                {"2d", 172800000},
                {"0.001s", 1},
                {"1m0.5s", 60500},
                {"90min", 5400000}};
    static const char *const bad[] = {"",
                                      "s",
                                      "1x",
                                      "-1s",
                                      " 1s",
                                      "1 s",
                                      "1s ",
                                      "1.s",
                                      ".5s",
                                      "1s30",
                                      "99999999999999999999",
                                      "999999999999999999d"};
    uint64_t ms = 77;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(bao_read_duration(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
    ms = 77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (bao_read_duration(bad[i], &ms))
            fail_msg("'%s' was read", bad[i]);
    }
    assert_int_equal(ms, 77);
}

static void test_text__numbers_never_wrap(void **state)
{
    uint64_t number;
    int64_t integer;
    (void)state;
    assert_true(bao_read_number("18446744073709551615", &number));
    assert_true(number == UINT64_MAX);
    assert_false(bao_read_number("18446744073709551616", &number));
    assert_true(bao_read_integer("-9223372036854775808", &integer));
    assert_true(integer == INT64_MIN);
    assert_true(bao_read_integer("9223372036854775807", &integer));
    assert_true(integer == INT64_MAX);
    assert_false(bao_read_integer("9223372036854775808", &integer));
    assert_false(bao_read_integer("-9223372036854775809", &integer));
    assert_false(bao_read_integer("-", &integer));
    assert_true(bao_read_size("16777215.5TiB", &number));
    assert_false(bao_read_size("16777216TiB", &number));
}

static void test_text__a_duration_written_exactly_reads_back(void **state)
{
    static const uint64_t values[] = {
        0, 1, 999, 1000, 1500, 60000, 61000, 3600000, 86400000, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char text[BAO_TEXT_BYTES];
        uint64_t ms = 5;
        bao_write_duration_exact(text, sizeof text, values[i]);
        assert_true(bao_read_duration(text, &ms));
        assert_true(ms == values[i]);
    }
}

static void test_text__what_people_read_is_short(void **state)
{
    char text[BAO_TEXT_BYTES];
    (void)state;
#define SAYS(write, value, expected) \
    assert_string_equal(write(text, sizeof text, (value)), (expected))
    SAYS(bao_write_count, 999, "999");
    SAYS(bao_write_count, 12345, "12.3 k");
    SAYS(bao_write_count, 999999, "999 k");
    SAYS(bao_write_count, 4560000, "4.56 M");
    SAYS(bao_write_count, UINT64_MAX, "18.4 E");
    SAYS(bao_write_size, 0, "0 B");
    SAYS(bao_write_size, 1536, "1.5 KiB");
    SAYS(bao_write_size, UINT64_C(64) << 20, "64 MiB");
    SAYS(bao_write_size, UINT64_MAX, "15.9 EiB");
    SAYS(bao_write_duration, 350, "350 ms");
    SAYS(bao_write_duration, 1500, "1.5 s");
    SAYS(bao_write_duration, 125000, "2 m 5 s");
    SAYS(bao_write_duration, 3600000, "1 h");
    SAYS(bao_write_duration, UINT64_MAX, "213503982334 d 14 h");
#undef SAYS
}

static void test_text__escaped_text_is_one_safe_line(void **state)
{
    char text[64];
    (void)state;
    bao_write_escaped(text, sizeof text, "a\nb\t\033[1m\\\0", 10);
    assert_string_equal(text, "a\\nb\\t\\x1b[1m\\\\\\x00");
    bao_write_escaped(text, sizeof text, "\xe5\x8c\x85\xff\xc2\x9b", 6);
    assert_string_equal(text, "\xe5\x8c\x85\\xff\\xc2\\x9b");
    bao_write_escaped(text, 8, "\xe5\x8c\x85\xe5\x8c\x85\xe5\x8c\x85", 9);
    assert_string_equal(text, "\xe5\x8c\x85...");
    bao_write_escaped(text, 4, "abcdef", 6);
    assert_string_equal(text, "...");
    bao_write_escaped(text, 7, "abcdef", 6);
    assert_string_equal(text, "abcdef");
    for (size_t bytes = 1; bytes < 12; bytes++) {
        bao_write_escaped(text, bytes, "ab\ncd\xe5\x8c\x85xyz", 11);
        assert_true(strlen(text) < bytes);
    }
}

static void test_complain__parts_are_cut_not_overrun(void **state)
{
    struct bao_problem problem = {0};
    char longer[2000];
    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    bao_problem_what(&problem, "%s", longer);
    bao_problem_why(&problem, "%s", longer);
    bao_problem_remedy(&problem, "%s", longer);
    assert_int_equal(strlen(problem.what), sizeof problem.what - 1);
    assert_int_equal(strlen(problem.why), sizeof problem.why - 1);
    assert_int_equal(strlen(problem.remedy), sizeof problem.remedy - 1);
}

int main(void)
{
#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        FRESH(test_options__defaults_stand_until_somebody_sets_them),
        FRESH(test_options__each_kind_is_read_as_its_type),
        FRESH(test_options__a_repeated_option_keeps_every_value),
        FRESH(test_options__an_unknown_option_names_the_nearest),
        FRESH(test_options__bad_values_are_refused_with_a_reason),
        FRESH(test_options__a_missing_operand_is_named),
        FRESH(test_options__flag_beats_environment_beats_file),
        FRESH(test_options__a_flag_replaces_a_files_list),
        FRESH(test_options__a_bad_setting_of_a_file_is_configuration),
        FRESH(test_options__help_wins_over_what_is_missing),
        cmocka_unit_test(test_options__help_shows_every_row_in_80_columns),
        cmocka_unit_test(test_options__completion_knows_every_shown_option),
        cmocka_unit_test(test_options__the_nearest_word_is_near_or_none),
        cmocka_unit_test(test_text__durations_are_read_exactly_or_not_at_all),
        cmocka_unit_test(test_text__numbers_never_wrap),
        cmocka_unit_test(test_text__a_duration_written_exactly_reads_back),
        cmocka_unit_test(test_text__what_people_read_is_short),
        cmocka_unit_test(test_text__escaped_text_is_one_safe_line),
        cmocka_unit_test(test_complain__parts_are_cut_not_overrun),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
