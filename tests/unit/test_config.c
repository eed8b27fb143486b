/*
 * test_config.c - flags, environment and file of the broker, and the addresses
 * it will or will not listen on. What is refused says so in three parts.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/config.h"
#include "tests/lib/unit.h"

#define ARGUMENTS_MAX 32
#define TENS          "0123456789"

static struct bao_config config;
static char said[4096]; /* on stderr by the last read_config() */
static char folder[64];

/* Reads a configuration with stderr caught; the exit code, or -1 if it is
 * good (then the caller closes it). */
static int read_config(const char *const *words)
{
    /* What is read is lent by the words: they outlive the call. */
    static char copies[ARGUMENTS_MAX][320];
    char *argv[ARGUMENTS_MAX + 1] = {NULL};
    int argc = 0;
    (void)snprintf(copies[argc++], sizeof copies[0], "baozi-broker");
    for (; *words != NULL && argc < ARGUMENTS_MAX; words++)
        (void)snprintf(copies[argc++], sizeof copies[0], "%s", *words);
    for (int i = 0; i < argc; i++)
        argv[i] = copies[i];
    char path[128];
    (void)snprintf(path, sizeof path, "%s/stderr", folder);
    int file = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    int saved = dup(STDERR_FILENO);
    (void)fflush(stderr);
    (void)dup2(file, STDERR_FILENO);
    int exit_code = 0;
    bool good = bao_config_open(&config, argc, argv, &exit_code);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    (void)close(saved);
    ssize_t bytes = pread(file, said, sizeof said - 1, 0);
    said[bytes < 0 ? 0 : bytes] = '\0';
    (void)close(file);
    (void)unlink(path);
    return good ? -1 : exit_code;
}

#define READ(...) read_config((const char *const[]){__VA_ARGS__, NULL})

static int read_nothing(void)
{
    return read_config((const char *const[]){NULL});
}

static void refused(int exit_code, const char *word)
{
    assert_int_equal(exit_code, BAO_EXIT_CONFIGURATION);
    assert_non_null(strstr(said, word));
    assert_non_null(strstr(said, "why:"));
    assert_non_null(strstr(said, "do:"));
}

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/baozi-config.XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)setenv("BAOZI_RUNTIME_DIR", folder, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void write_file(char *path, size_t bytes, const char *text)
{
    (void)snprintf(path, bytes, "%s/broker.ini", folder);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void test_config__with_no_flags_it_is_local(void **state)
{
    (void)state;
    assert_int_equal(read_nothing(), -1);
    assert_int_equal(config.url_count, 2);
    assert_non_null(strstr(config.urls[0], folder));
    assert_non_null(strstr(config.urls[0], "ipc://"));
    assert_string_equal(config.urls[1], "tcp://127.0.0.1:22694");
    assert_int_equal(config.grace_ms, 10000);
    assert_int_equal(config.resume_grace_ms, 500);
    assert_true(config.memory_bytes >= 64u << 20);
    bao_config_close(&config);
}

static void test_config__flags_are_taken(void **state)
{
    (void)state;
    assert_int_equal(READ("--memory",
                          "--listen",
                          "tcp://127.0.0.1:*",
                          "--listen=ipc:///tmp/x.sock",
                          "--checkpoint-every",
                          "64KiB",
                          "--memory-limit",
                          "100MiB",
                          "--max-clients",
                          "7",
                          "--max-clients-per-address",
                          "5",
                          "--ban-after",
                          "3",
                          "--ipc-user",
                          "4321",
                          "--ipc-user",
                          "root",
                          "--cpu",
                          "0,2-3",
                          "--edge",
                          "libzmq",
                          "--grace",
                          "250ms",
                          "--http",
                          "off",
                          "--log",
                          "json",
                          "--format",
                          "json"),
                     -1);
    assert_int_equal(config.url_count, 2);
    assert_string_equal(config.urls[0], "tcp://127.0.0.1:*");
    assert_string_equal(config.urls[1], "ipc:///tmp/x.sock");
    assert_int_equal(config.checkpoint_bytes, 64u << 10);
    assert_int_equal(config.memory_bytes, 100u << 20);
    assert_int_equal(config.clients_max, 7);
    assert_int_equal(config.clients_address_max, 5);
    assert_int_equal(config.strikes_max, 3);
    assert_int_equal(config.cpus.bits[0], 1 | 4 | 8);
    assert_false(bao_cpus_any(&config.io_cpus));
    assert_int_equal(config.edge, BAO_EDGE_LIBZMQ);
    assert_int_equal(config.users.count, 2);
    assert_int_equal(config.users.ids[0], 4321);
    assert_int_equal(config.users.ids[1], 0);
    assert_int_equal(config.grace_ms, 250);
    assert_int_equal(config.log, BAO_LOG_JSON);
    assert_true(config.json);
    bao_config_close(&config);
}

static void test_config__lists_of_processors_are_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "a", "1,", ",1", "3-1", "1-", "1024", "99999", "0 1", "-1", "1--2"};
    struct bao_cpus cpus;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(bao_cpus_read(bad[i], &cpus));
    assert_true(bao_cpus_read("63-65,1023", &cpus));
    for (unsigned cpu = 0; cpu < BAO_CPUS_MAX; cpu++)
        assert_int_equal(bao_cpus_has(&cpus, cpu),
                         (cpu >= 63 && cpu <= 65) || cpu == 1023);
    assert_true(bao_cpus_any(&cpus));
    refused(READ("--memory", "--cpu", "first"), "no list of processors");
    refused(READ("--memory", "--cpu", "1023"), "has none of them");
    refused(READ("--memory", "--io-cpu", "1-"), "--io-cpu 1-");
}

static void test_config__a_flag_wins_over_environment_over_file(void **state)
{
    (void)state;
    char path[128];
    write_file(path,
               sizeof path,
               "# a comment\n"
               "grace = 1s\n"
               "resume-grace = 2s\n"
               "max-clients = 3\n"
               "listen = tcp://127.0.0.1:1001\n"
               "listen = tcp://127.0.0.1:1002\n");
    (void)setenv("BAOZI_GRACE", "11s", 1);
    (void)setenv("BAOZI_RESUME_GRACE", "12s", 1);
    assert_int_equal(READ("--grace", "21s", "--config", path), -1);
    assert_int_equal(config.grace_ms, 21000);
    assert_int_equal(config.resume_grace_ms, 12000);
    assert_int_equal(config.clients_max, 3);
    assert_int_equal(config.url_count, 2);
    assert_string_equal(config.urls[1], "tcp://127.0.0.1:1002");
    bao_config_close(&config);
    (void)unsetenv("BAOZI_GRACE");
    (void)unsetenv("BAOZI_RESUME_GRACE");
    (void)unlink(path);
}

#define LONG_50 "12345678901234567890123456789012345678901234567890"
#define LONG    LONG_50 LONG_50 LONG_50 LONG_50

static void test_config__a_bad_file_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *place;
        const char *word;
    } cases[] = {
        {"graec = 1s\n", ":1: ", "did you mean grace"},
        {"# one\n\n\ngrace = soon\n", ":4: ", "soon"},
        {"log = json\n[broker]\ngrace = 1s\n", ":3: ", "sections"},
        {"config = other.ini\n", ":1: ", "no other file"},
        {"log = json\nthis is nothing\n", ":2: ", "name = value"},
        {"nothing\ngrace = soon\n", ":1: ", "name = value"},
        {"grace = soon\nnothing\n", ":1: ", "soon"},
        {"log = json\n  soon\n", ":2: ", "soon"},
        {"\n#" LONG "\n", ":2: ", "too long"},
        {"data = " LONG "grace = soon", ":1: ", "too long"},
    };
    char path[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file(path, sizeof path, cases[i].text);
        refused(READ("--config", path), cases[i].word);
        assert_non_null(strstr(said, cases[i].place));
        assert_non_null(strstr(said, path));
    }
    (void)unlink(path);
    assert_int_equal(READ("--config", path), BAO_EXIT_CONFIGURATION);
    assert_non_null(strstr(said, "No such file"));
}

static void test_config__what_is_not_there_yet_is_refused(void **state)
{
    (void)state;
    refused(READ("--data", "x", "--memory"), "--data");
    refused(READ("--http", "127.0.0.1:22695"), "--http");
    assert_int_equal(READ("--nonsense"), BAO_EXIT_USAGE);
    assert_int_equal(READ("--memory-limit", "1MiB"), BAO_EXIT_USAGE);
    assert_int_equal(READ("--checkpoint-every", "1KiB"), BAO_EXIT_USAGE);
}

/* SPEC S13: fail closed. */
static void test_config__open_tcp_needs_insecure(void **state)
{
    (void)state;
    static const char *const open_urls[] = {
        "tcp://0.0.0.0:5000",
        "tcp://*:5000",
        "tcp://192.168.1.2:5000",
        "tcp://[::]:5000",
        "tcp://eth0:*",
        "tcp://127.0.0.1.example.org:5000",
        "tcp://localhost:5000",
    };
    for (size_t i = 0; i < sizeof open_urls / sizeof *open_urls; i++) {
        refused(READ("--listen", open_urls[i]), "--insecure");
        assert_int_equal(READ("--insecure", "--listen", open_urls[i]), -1);
        bao_config_close(&config);
    }
    static const char *const local_urls[] = {
        "tcp://127.0.0.1:5000",
        "tcp://127.1.2.3:*",
        "tcp://127.0.0.1:0",
        "tcp://[::1]:5000",
        "ipc:///tmp/some.sock",
    };
    for (size_t i = 0; i < sizeof local_urls / sizeof *local_urls; i++) {
        assert_int_equal(READ("--listen", local_urls[i]), -1);
        bao_config_close(&config);
    }
}

static void test_config__bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "udp://127.0.0.1:1",
        "127.0.0.1:5000",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:12a",
        "tcp://:5000",
        "ipc://",
        "ipc://*",
        "ipc://@abstract",
        "ipc:///tmp/" TENS TENS TENS TENS TENS TENS TENS TENS TENS TENS,
    };
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        refused(READ("--listen", urls[i]), "cannot listen");
}

static void test_config__a_folder_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    char place[128];
    (void)snprintf(place, sizeof place, "%s/a-file", folder);
    int file = open(place, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    (void)close(file);
    (void)setenv("BAOZI_RUNTIME_DIR", place, 1);
    refused(read_nothing(), "local socket");
    (void)setenv("BAOZI_RUNTIME_DIR", folder, 1);
    (void)unlink(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__with_no_flags_it_is_local),
        cmocka_unit_test(test_config__flags_are_taken),
        cmocka_unit_test(test_config__lists_of_processors_are_read),
        cmocka_unit_test(test_config__a_flag_wins_over_environment_over_file),
        cmocka_unit_test(test_config__a_bad_file_is_refused),
        cmocka_unit_test(test_config__what_is_not_there_yet_is_refused),
        cmocka_unit_test(test_config__open_tcp_needs_insecure),
        cmocka_unit_test(test_config__bad_addresses_are_refused),
        cmocka_unit_test(test_config__a_folder_that_is_not_ours_is_refused),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, setup, teardown);
}
