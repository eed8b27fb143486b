/*
 * test_worker_command.c - what becomes of the text of --exec.
 */
#include "tests/lib/unit.h"
#include "worker/command.h"

/* The words of `text` joined with |, or the first part of the complaint. */
static const char *split(const char *text)
{
    static char shown[1024];
    struct bao_command command;
    struct bao_problem problem = {0};
    shown[0] = '\0';
    if (!bao_command_split(&command, text, &problem)) {
        assert_int_equal(problem.exit_code, BAO_EXIT_USAGE);
        assert_true(problem.why[0] != '\0' && problem.remedy[0] != '\0');
        (void)snprintf(shown, sizeof shown, "%s", problem.what);
        return shown;
    }
    size_t used = 0;
    for (size_t i = 0; i < command.count; i++)
        used += (size_t)snprintf(shown + used,
                                 sizeof shown - used,
                                 "%s%s",
                                 i == 0 ? "" : "|",
                                 command.words[i]);
    assert_null(command.words[command.count]);
    bao_command_fini(&command);
    return shown;
}

static void test_worker_command__blanks_and_quotes_part_words(void **state)
{
    (void)state;
    assert_string_equal(split("gzip -t {}"), "gzip|-t|{}");
    assert_string_equal(split("  a \t b\n"), "a|b");
    assert_string_equal(split("'a b' \"c d\" e\\ f"), "a b|c d|e f");
    assert_string_equal(split("a'b'\"c\"d"), "abcd");
    assert_string_equal(split("'' \"\" x"), "||x");
    assert_string_equal(split("'a\\b' \"a\\b\" \"a\\\"b\" a\\'b"),
                        "a\\b|a\\b|a\"b|a'b");
    assert_string_equal(split("echo '$HOME | ; &'"), "echo|$HOME | ; &");
    assert_string_equal(split("echo \\$HOME \\| \"\\$x\""), "echo|$HOME|||$x");
    assert_string_equal(split("ls *.c ~ #x a=b"), "ls|*.c|~|#x|a=b");
}

static void
test_worker_command__what_only_a_shell_knows_is_refused(void **state)
{
    static const char *const texts[] = {"cat | wc",
                                        "a && b",
                                        "a; b",
                                        "a > b",
                                        "a < b",
                                        "echo $HOME",
                                        "a `b`",
                                        "(a)",
                                        "\"$HOME\"",
                                        "echo \"`id`\""};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_non_null(strstr(split(texts[i]), "has no meaning here"));
    assert_string_equal(split("a 'b"), "--exec: a ' is never closed");
    assert_string_equal(split("a \"b"), "--exec: a \" is never closed");
    assert_string_equal(split("a \\"), "--exec: a backslash ends the text");
    assert_string_equal(split(""), "--exec: there is no command in it");
    assert_string_equal(split(" \t "), "--exec: there is no command in it");
}

static void test_worker_command__a_shell_never_reads_the_payload(void **state)
{
    struct bao_command command;
    struct bao_problem problem = {0};
    char error[256];
    (void)state;
    assert_false(bao_command_shell(&command, "echo {}", &problem));
    assert_int_equal(problem.exit_code, BAO_EXIT_USAGE);
    assert_non_null(strstr(problem.remedy, "\"$1\""));

    assert_true(bao_command_shell(&command, "echo \"$1\"", &problem));
    assert_true(command.takes_payload);
    char **words =
        bao_command_fill(&command, "; rm -rf /", 10, error, sizeof error);
    assert_non_null(words);
    assert_string_equal(words[0], "/bin/sh");
    assert_string_equal(words[1], "-c");
    assert_string_equal(words[2], "echo \"$1\"");
    assert_string_equal(words[3], "sh");
    assert_string_equal(words[4], "; rm -rf /");
    assert_null(words[5]);
    free(words);
    bao_command_fini(&command);

    assert_true(bao_command_shell(&command, "wc -l", &problem));
    assert_false(command.takes_payload);
    assert_int_equal(command.count, 4);
    bao_command_fini(&command);
}

static void test_worker_command__payload_stands_in_each_place(void **state)
{
    struct bao_command command;
    struct bao_problem problem;
    char error[256];
    (void)state;
    assert_true(bao_command_split(&command, "cp {} /tmp/{}.{} x", &problem));
    assert_true(command.takes_payload);
    char **words = bao_command_fill(&command, "a b", 3, error, sizeof error);
    assert_non_null(words);
    assert_string_equal(words[1], "a b");
    assert_string_equal(words[2], "/tmp/a b.a b");
    assert_string_equal(words[3], "x");
    free(words);
    words = bao_command_fill(&command, NULL, 0, error, sizeof error);
    assert_non_null(words);
    assert_string_equal(words[1], "");
    assert_string_equal(words[2], "/tmp/.");
    free(words);
    /* braces of a payload are not looked at again */
    words = bao_command_fill(&command, "{}", 2, error, sizeof error);
    assert_non_null(words);
    assert_string_equal(words[2], "/tmp/{}.{}");
    free(words);
    bao_command_fini(&command);
}

static void
test_worker_command__what_cannot_be_an_argument_is_told(void **state)
{
    struct bao_command command;
    struct bao_problem problem;
    char error[256];
    char *large = malloc(BAO_ARGUMENT_BYTES_MAX);
    (void)state;
    assert_non_null(large);
    memset(large, 'x', BAO_ARGUMENT_BYTES_MAX);
    assert_true(bao_command_split(&command, "echo {}", &problem));
    assert_null(bao_command_fill(&command, "a\0b", 3, error, sizeof error));
    assert_non_null(strstr(error, "NUL"));
    /* the longest argument has its own NUL within the limit */
    char **words = bao_command_fill(
        &command, large, BAO_ARGUMENT_BYTES_MAX - 1, error, sizeof error);
    assert_non_null(words);
    free(words);
    assert_null(bao_command_fill(
        &command, large, BAO_ARGUMENT_BYTES_MAX, error, sizeof error));
    assert_non_null(strstr(error, "128 KiB"));
    assert_non_null(strstr(error, "standard input"));
    bao_command_fini(&command);
    assert_true(bao_command_split(&command, "echo {}{}", &problem));
    assert_null(bao_command_fill(
        &command, large, BAO_ARGUMENT_BYTES_MAX / 2, error, sizeof error));
    bao_command_fini(&command);
    /* on standard input anything goes */
    assert_true(bao_command_split(&command, "cat", &problem));
    words = bao_command_fill(&command, "a\0b", 3, error, sizeof error);
    assert_non_null(words);
    free(words);
    bao_command_fini(&command);
    free(large);
}

static void test_worker_command__header_names_become_variables(void **state)
{
    char name[32];
    (void)state;
    assert_true(bao_header_variable(name, sizeof name, "content-type"));
    assert_string_equal(name, "BAOZI_HEADER_CONTENT_TYPE");
    assert_true(bao_header_variable(name, sizeof name, "a.1/\xc3\xa9=Z"));
    assert_string_equal(name, "BAOZI_HEADER_A_1____Z");
    assert_false(bao_header_variable(name, sizeof name, ""));
    assert_true(bao_header_variable(name, sizeof name, "123456789012345678"));
    assert_false(bao_header_variable(name, sizeof name, "1234567890123456789"));
}

static void test_worker_command__the_tail_keeps_the_last_lines(void **state)
{
    struct bao_tail tail = {0};
    char line[BAO_TAIL_BYTES];
    (void)state;
    assert_string_equal(bao_tail_line(&tail, line, sizeof line), "");
    bao_tail_add(&tail, "\n  one\ntwo\x1b[0m\n\n", 16);
    assert_string_equal(bao_tail_line(&tail, line, sizeof line),
                        "one / two\\x1b[0m");
    for (int i = 0; i < 400; i++)
        bao_tail_add(&tail, "0123456\n", 8);
    bao_tail_add(&tail, "last\n", 5);
    (void)bao_tail_line(&tail, line, sizeof line);
    assert_memory_equal(line, "0123456 / ", 10); /* begins with a whole line */
    assert_non_null(strstr(line, "last"));
    char large[3 * BAO_TAIL_BYTES];
    memset(large, 'y', sizeof large);
    bao_tail_add(&tail, large, sizeof large);
    assert_int_equal(tail.count, BAO_TAIL_BYTES);
    (void)bao_tail_line(&tail, line, sizeof line);
    assert_int_equal(line[0], 'y');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_command__blanks_and_quotes_part_words),
        cmocka_unit_test(
            test_worker_command__what_only_a_shell_knows_is_refused),
        cmocka_unit_test(test_worker_command__a_shell_never_reads_the_payload),
        cmocka_unit_test(test_worker_command__payload_stands_in_each_place),
        cmocka_unit_test(
            test_worker_command__what_cannot_be_an_argument_is_told),
        cmocka_unit_test(test_worker_command__header_names_become_variables),
        cmocka_unit_test(test_worker_command__the_tail_keeps_the_last_lines),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("worker_command", tests, NULL, NULL);
}
