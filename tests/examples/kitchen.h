/*
 * kitchen.h - what the tutorials' examples share: a broker of their own, TAP,
 * child processes. The examples themselves use baozi.h and nothing else of
 * baozi, as a user's program would.
 */
#ifndef KITCHEN_H
#define KITCHEN_H

#include <baozi.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct {
    pid_t pid;
    char folder[64];
    int planned;
    int told;
    int failed;
} kitchen;

/* --- TAP ------------------------------------------------------------------ */

static inline void plan(int tests)
{
    kitchen.planned = tests;
    printf("1..%d\n", tests);
    fflush(stdout);
}

/* One test: a sentence, with values of printf, that must be true. */
__attribute__((format(printf, 2, 3))) static inline bool
ok(bool held, const char *sentence, ...)
{
    va_list values;
    va_start(values, sentence);
    printf("%sok %d - ", held ? "" : "not ", ++kitchen.told);
    vprintf(sentence, values);
    printf("\n");
    fflush(stdout);
    va_end(values);
    kitchen.failed += !held;
    return held;
}

/* A test that a call answered `expected`; says what it answered. */
static inline bool
answers(enum baozi_status found, enum baozi_status expected, const char *what)
{
    return ok(found == expected,
              "%s answers %s (found %s)",
              what,
              baozi_status_name(expected),
              baozi_status_name(found));
}

/* For what must work so that the rest makes sense. */
static inline void must(enum baozi_status status, const char *what)
{
    if (status == BAOZI_OK)
        return;
    printf("Bail out! %s: %s\n", what, baozi_status_name(status));
    fflush(stdout);
    if (kitchen.pid > 0)
        kill(kitchen.pid, SIGKILL);
    _exit(1);
}

/* --- time and chance ------------------------------------------------------ */

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

/* --- the broker ----------------------------------------------------------- */

/* build/release/tests/examples/t02 -> build/baozi-broker */
static inline void find_broker(char *path, size_t bytes)
{
    const char *build = getenv("BAOZI_BUILD");
    if (build != NULL) {
        snprintf(path, bytes, "%s/baozi-broker", build);
        return;
    }
    ssize_t length = readlink("/proc/self/exe", path, bytes - 1);
    path[length < 0 ? 0 : length] = '\0';
    for (int up = 0; up < 4; up++) {
        char *slash = strrchr(path, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    size_t used = strlen(path);
    snprintf(path + used, bytes - used, "/baozi-broker");
}

static inline struct baozi *open_client(void)
{
    struct baozi *client = NULL;
    must(baozi_open(NULL, &client), "baozi_open");
    must(baozi_connect(client, 10000), "baozi_connect");
    return client;
}

/*
 * Starts a broker in a folder of its own and points BAOZI_URL at it, so that
 * every client of this process and of its children finds it. It dies with
 * this process, should that die first.
 */
static inline void open_kitchen(void)
{
    char path[4096];
    char url[128];
    const char *base = getenv("TMPDIR");
    find_broker(path, sizeof path);
    snprintf(kitchen.folder,
             sizeof kitchen.folder,
             "%s/bun-XXXXXX",
             base != NULL && strlen(base) < 40 ? base : "/tmp");
    if (mkdtemp(kitchen.folder) == NULL) {
        printf("Bail out! mkdtemp: %s\n", strerror(errno));
        exit(1);
    }
    snprintf(url, sizeof url, "ipc://%s/broker", kitchen.folder);
    setenv("BAOZI_URL", url, 1);
    fflush(stdout);
    kitchen.pid = fork();
    if (kitchen.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char out[80];
        snprintf(out, sizeof out, "%s/out", kitchen.folder);
        if (freopen(out, "w", stdout) == NULL)
            _exit(127);
        execl(path,
              path,
              "--memory",
              "--http",
              "off",
              "--listen",
              url,
              (char *)NULL);
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        _exit(127);
    }
    struct baozi *client = open_client(); /* it listens */
    baozi_close(client);
}

/* Ends the broker as an operator would and tidies up; returns main's value. */
static inline int close_kitchen(void)
{
    int status = 0;
    char path[96];
    kill(kitchen.pid, SIGTERM);
    waitpid(kitchen.pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        printf("# the broker ended with status %#x\n", (unsigned)status);
        kitchen.failed++;
    }
    const char *names[] = {"out", "broker"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", kitchen.folder, names[i]);
        unlink(path);
    }
    rmdir(kitchen.folder);
    return kitchen.failed != 0 || kitchen.told != kitchen.planned;
}

/* --- children ------------------------------------------------------------- */

/* A child process that runs `act(number)` and ends with its value. */
static inline pid_t start_child(int (*act)(int number), int number)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        kitchen.pid = 0;
        _exit(act(number));
    }
    if (pid < 0) {
        printf("Bail out! fork: %s\n", strerror(errno));
        exit(1);
    }
    return pid;
}

/* Its exit code; -signal if one ended it. */
static inline int wait_child(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
