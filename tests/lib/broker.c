/*
 * broker.c - a real broker for C tests.
 */
#include "tests/lib/broker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The thread sanitizer asks every program that is linked with it. libzmq is
 * not instrumented, so what it does inside cannot be judged. */
/* NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier) */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libzmq.so\nrace:libzmq.so\n";
}

/* NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier) */

_Noreturn static void become_broker(const struct test_broker *broker, int out)
{
    const char *build = getenv("BAOZI_BUILD");
    char path[512];
    char ipc[128];
    char tcp[64];
    (void)snprintf(
        path, sizeof path, "%s/baozi-broker", build != NULL ? build : "build");
    (void)snprintf(ipc, sizeof ipc, "%s", broker->ipc);
    (void)snprintf(tcp, sizeof tcp, "%s", broker->tcp);
    char name[] = "baozi-broker";
    char memory[] = "--memory";
    char http[] = "--http";
    char off[] = "off";
    char listen[] = "--listen";
    char *arguments[] = {
        name, memory, http, off, listen, ipc, listen, tcp, NULL};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out, STDOUT_FILENO);
    char log[128];
    (void)snprintf(log, sizeof log, "%s/log", broker->folder);
    int error = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (error >= 0) {
        (void)dup2(error, STDERR_FILENO);
    }
    (void)execv(path, arguments);
    _exit(127);
}

/* Reads what it prints until "ready", and where it listens on tcp. */
static bool wait_until_ready(struct test_broker *broker, FILE *output)
{
    char line[256];
    while (fgets(line, sizeof line, output) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "listening tcp://", 16) == 0) {
            (void)snprintf(broker->tcp, sizeof broker->tcp, "%.60s", line + 10);
        }
        if (strcmp(line, "ready") == 0) {
            return true;
        }
    }
    return false;
}

bool broker_restart(struct test_broker *broker)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return false;
    }
    broker->pid = fork();
    if (broker->pid == 0) {
        become_broker(broker, pipes[1]);
    }
    (void)close(pipes[1]);
    FILE *output = fdopen(pipes[0], "r");
    bool ready = broker->pid > 0 && wait_until_ready(broker, output);
    (void)fclose(output);
    return ready;
}

bool broker_start(struct test_broker *broker)
{
    (void)snprintf(
        broker->folder, sizeof broker->folder, "/tmp/baozi-test-XXXXXX");
    if (mkdtemp(broker->folder) == NULL) {
        return false;
    }
    (void)snprintf(
        broker->ipc, sizeof broker->ipc, "ipc://%s/socket", broker->folder);
    (void)snprintf(broker->tcp, sizeof broker->tcp, "tcp://127.0.0.1:*");
    return broker_restart(broker);
}

int broker_stop(struct test_broker *broker)
{
    int status = 0;
    (void)kill(broker->pid, SIGTERM);
    (void)waitpid(broker->pid, &status, 0);
    broker->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void broker_kill(struct test_broker *broker)
{
    if (broker->pid > 0) {
        (void)kill(broker->pid, SIGKILL);
        (void)waitpid(broker->pid, NULL, 0);
        broker->pid = 0;
    }
}

void broker_forget(struct test_broker *broker)
{
    const char *names[] = {"socket", "socket.lock", "log"};
    char path[128];
    broker_kill(broker);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", broker->folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(broker->folder);
}
