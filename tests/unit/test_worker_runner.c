/*
 * test_worker_runner.c - one child of the worker, without worker and broker:
 * tasks go in at one end of its channel, answers come out.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/unit.h"
#include "worker/runner.h"

struct child {
    struct bao_worker_settings settings;
    struct bao_options options;
    struct bao_channel channel;
    pid_t pid;
    struct bao_answer answer; /* the last one */
};

static struct child child;

/* Starts a child with these words of a command line; the answer to that. */
static enum bao_outcome start(char *const *words)
{
    int pair[2];
    int count = 0;
    int exit_code = 0;
    while (words[count] != NULL)
        count++;
    assert_true(bao_worker_settings_read(
        &child.settings, &child.options, count, words, &exit_code));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    pid_t self = getpid();
    (void)fflush(stdout);
    child.pid = fork();
    assert_true(child.pid >= 0);
    if (child.pid == 0) {
        (void)close(pair[0]);
        _exit(bao_runner(&child.settings, pair[1], self));
    }
    (void)close(pair[1]);
    bao_channel_init(&child.channel, pair[0]);
    assert_int_equal(bao_talk_read_answer(&child.channel, &child.answer),
                     BAO_TALK_OK);
    return child.answer.outcome;
}

#define START(...)         \
    start((char *const[]){ \
        (char[]){"baozi-worker"}, (char[]){"q"}, __VA_ARGS__, NULL})

static enum bao_outcome give(const void *payload, size_t bytes)
{
    static const char headers[] = "trace-id\0abc\0k\0v";
    const struct bao_task task = {.id = 7,
                                  .token = 9,
                                  .deliveries = 2,
                                  .priority = -3,
                                  .group = "buns",
                                  .headers = headers,
                                  .header_bytes = sizeof headers,
                                  .payload = payload,
                                  .bytes = bytes};
    assert_int_equal(bao_talk_send_task(&child.channel, &task), BAO_TALK_OK);
    assert_int_equal(bao_talk_read_answer(&child.channel, &child.answer),
                     BAO_TALK_OK);
    return child.answer.outcome;
}

/* Closes the channel; the child's exit code. */
static int end(void)
{
    int status = 0;
    bao_channel_close(&child.channel);
    assert_int_equal(waitpid(child.pid, &status, 0), child.pid);
    bao_worker_settings_fini(&child.settings, &child.options);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_worker_runner__exit_codes_are_outcomes(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--shell"},
                           (char[]){"--exec"},
                           (char[]){"echo one >&2; echo last words >&2; "
                                    "exit $1"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("0", 1), BAO_OUTCOME_DONE);
    assert_false(child.answer.has_result);
    assert_int_equal(give("75", 2), BAO_OUTCOME_RELEASE);
    assert_int_equal(give("65", 2), BAO_OUTCOME_REJECT);
    assert_int_equal(give("1", 1), BAO_OUTCOME_RETRY);
    assert_string_equal(child.answer.error,
                        "the command exited with 1: one / last words");
    assert_int_equal(give("255", 3), BAO_OUTCOME_RETRY);
    assert_true(child.answer.delay_ms < 0); /* the queue's own backoff */
    assert_int_equal(end(), 0);
}

static void test_worker_runner__a_signal_is_named(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--shell"},
                           (char[]){"--exec"},
                           (char[]){"kill -SEGV $$"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("", 0), BAO_OUTCOME_RETRY);
    assert_int_equal(child.answer.signal, SIGSEGV);
    assert_string_equal(child.answer.error,
                        "the command was killed by SIGSEGV");
    assert_int_equal(end(), 0);
}

static void test_worker_runner__stdin_result_and_environment(void **state)
{
    (void)state;
    assert_int_equal(
        START((char[]){"--result"},
              (char[]){"--shell"},
              (char[]){"--exec"},
              (char[]){"cat; echo \" $BAOZI_QUEUE $BAOZI_ID $BAOZI_TOKEN "
                       "$BAOZI_DELIVERIES $BAOZI_PRIORITY $BAOZI_GROUP "
                       "$BAOZI_HEADER_TRACE_ID $BAOZI_HEADER_K\""}),
        BAO_OUTCOME_READY);
    assert_int_equal(give("a\0b", 3), BAO_OUTCOME_DONE);
    static const char expected[] = "a\0b q 7 9 2 -3 buns abc v\n";
    assert_int_equal(child.answer.result_bytes, sizeof expected - 1);
    assert_memory_equal(child.answer.result, expected, sizeof expected - 1);
    assert_int_equal(end(), 0);
}

static void test_worker_runner__a_result_has_at_most_one_mebibyte(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--result"},
                           (char[]){"--exec"},
                           (char[]){"head -c {} /dev/zero"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("1048576", 7), BAO_OUTCOME_DONE);
    assert_true(child.answer.has_result);
    assert_int_equal(child.answer.result_bytes, BAO_RESULT_BYTES_MAX);
    assert_int_equal(give("1048577", 7), BAO_OUTCOME_DONE);
    assert_false(child.answer.has_result);
    assert_int_equal(give("0", 1), BAO_OUTCOME_DONE);
    assert_true(child.answer.has_result); /* an empty result is one */
    assert_int_equal(child.answer.result_bytes, 0);
    assert_int_equal(end(), 0);
}

static void test_worker_runner__a_bad_argument_is_rejected(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--exec"}, (char[]){"true {}"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("a\0b", 3), BAO_OUTCOME_REJECT);
    assert_non_null(strstr(child.answer.error, "NUL"));
    char *large = calloc(1, 200000);
    assert_non_null(large);
    memset(large, 'x', 200000);
    assert_int_equal(give(large, 200000), BAO_OUTCOME_REJECT);
    assert_non_null(strstr(child.answer.error, "128 KiB"));
    free(large);
    assert_int_equal(give("fine", 4), BAO_OUTCOME_DONE);
    assert_int_equal(end(), 0);
}

static void
test_worker_runner__a_command_that_is_not_there_is_told(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--exec"}, (char[]){"/no/such/{}"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("x", 1), BAO_OUTCOME_RETRY);
    assert_non_null(strstr(child.answer.error, "No such file"));
    assert_int_equal(end(), 0);
}

/* The job leaves a sleeper and a daemon with a session of its own. */
static void test_worker_runner__what_a_job_leaves_behind_is_killed(void **state)
{
    char pids[64] = "";
    long sleeper = 0;
    long daemon = 0;
    (void)state;
    assert_int_equal(
        START((char[]){"--result"},
              (char[]){"--shell"},
              (char[]){"--exec"},
              (char[]){"sleep 60 & echo $!; setsid sleep 60 & echo $!"}),
        BAO_OUTCOME_READY);
    assert_int_equal(give("", 0), BAO_OUTCOME_DONE);
    assert_true(child.answer.result_bytes < sizeof pids);
    memcpy(pids, child.answer.result, child.answer.result_bytes);
    assert_int_equal(sscanf(pids, "%ld %ld", &sleeper, &daemon), 2);
    assert_int_equal(kill((pid_t)sleeper, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(kill((pid_t)daemon, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(end(), 0);
}

static void test_worker_runner__builtins_answer(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--builtin"}, (char[]){"upper"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("hello", 5), BAO_OUTCOME_DONE);
    assert_int_equal(child.answer.result_bytes, 5);
    assert_memory_equal(child.answer.result, "HELLO", 5);
    assert_int_equal(end(), 0);
    assert_int_equal(START((char[]){"--builtin"}, (char[]){"echo"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(give("a\0b", 3), BAO_OUTCOME_DONE);
    assert_memory_equal(child.answer.result, "a\0b", 3);
    assert_int_equal(end(), 0);
}

static void test_worker_runner__a_plugin_that_is_none_is_unfit(void **state)
{
    (void)state;
    assert_int_equal(START((char[]){"--plugin"}, (char[]){"/proc/self/exe"}),
                     BAO_OUTCOME_UNFIT);
    assert_true(child.answer.error[0] != '\0');
    assert_int_equal(end(), 1);
}

/* Numbers that make no sense end the child, they do not crash it. */
static void test_worker_runner__nonsense_on_the_channel_ends_it(void **state)
{
    uint8_t nonsense[64];
    (void)state;
    memset(nonsense, 0xff, sizeof nonsense);
    assert_int_equal(START((char[]){"--builtin"}, (char[]){"echo"}),
                     BAO_OUTCOME_READY);
    assert_int_equal(send(child.channel.fd, nonsense, sizeof nonsense, 0),
                     sizeof nonsense);
    struct pollfd polled = {.fd = child.channel.fd, .events = POLLIN};
    assert_int_equal(poll(&polled, 1, 5000), 1);
    assert_int_equal(end(), 1);
}

static void
test_worker_talk__an_answer_that_makes_no_sense_is_refused(void **state)
{
    int pair[2];
    uint8_t nonsense[32];
    struct bao_channel channel;
    struct bao_answer answer;
    (void)state;
    for (int byte = 0; byte < 2; byte++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        memset(nonsense, byte == 0 ? 0 : 0xff, sizeof nonsense);
        assert_int_equal(write(pair[1], nonsense, sizeof nonsense),
                         sizeof nonsense);
        bao_channel_init(&channel, pair[0]);
        assert_int_equal(bao_talk_read_answer(&channel, &answer),
                         BAO_TALK_GARBLED);
        (void)close(pair[1]);
        assert_int_equal(bao_talk_read_answer(&channel, &answer),
                         BAO_TALK_ENDED);
        bao_channel_close(&channel);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_worker_runner__exit_codes_are_outcomes),
        cmocka_unit_test(test_worker_runner__a_signal_is_named),
        cmocka_unit_test(test_worker_runner__stdin_result_and_environment),
        cmocka_unit_test(test_worker_runner__a_result_has_at_most_one_mebibyte),
        cmocka_unit_test(test_worker_runner__a_bad_argument_is_rejected),
        cmocka_unit_test(
            test_worker_runner__a_command_that_is_not_there_is_told),
        cmocka_unit_test(
            test_worker_runner__what_a_job_leaves_behind_is_killed),
        cmocka_unit_test(test_worker_runner__builtins_answer),
        cmocka_unit_test(test_worker_runner__a_plugin_that_is_none_is_unfit),
        cmocka_unit_test(test_worker_runner__nonsense_on_the_channel_ends_it),
        cmocka_unit_test(
            test_worker_talk__an_answer_that_makes_no_sense_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("worker_runner", tests, NULL, NULL);
}
