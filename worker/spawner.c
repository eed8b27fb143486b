/*
 * spawner.c - starting, asking and ending the spawner; the supervisor's side.
 */
#include "worker/spawner.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/reap.h"

#define SOCKET_FD 3 /* in the spawner */

/* The environment with one variable more; free it. */
static char **environment_with(char *variable)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy == NULL)
        return NULL;
    copy[0] = variable;
    memcpy(copy + 1, environ, count * sizeof *copy);
    return copy;
}

/* Between fork and exec of a program with threads: system calls only. */
_Noreturn static void
become_spawner(int fd, char *const *argv, char *const *environment)
{
    sigset_t none;
    (void)setpgid(0, 0); /* a terminal's signals are the supervisor's */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(fd, SOCKET_FD) == SOCKET_FD)
        (void)execve("/proc/self/exe", argv, environment);
    _exit(127);
}

bool bao_spawner_start(struct bao_spawner *spawner, char *const *argv)
{
    char variable[64];
    int pair[2];
    *spawner = (struct bao_spawner){.fd = -1};
    (void)snprintf(
        variable, sizeof variable, "%s=%d", BAO_SPAWNER_VARIABLE, SOCKET_FD);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    char **environment = environment_with(variable);
    /* dup2 onto itself would leave close-on-exec set */
    int given = pair[1] == SOCKET_FD ? dup(pair[1]) : pair[1];
    pid_t pid = environment == NULL || given < 0 ? -1 : fork();
    if (pid == 0)
        become_spawner(given, argv, environment);
    int fault = errno;
    free(environment);
    (void)close(pair[1]);
    if (given >= 0 && given != pair[1])
        (void)close(given);
    if (pid < 0) {
        (void)close(pair[0]);
        errno = fault;
        return false;
    }
    (void)setpgid(pid, pid);
    *spawner = (struct bao_spawner){.fd = pair[0], .pid = pid};
    return true;
}

/* Sends one message, with a descriptor if it is not -1. */
static bool tell(int fd, const struct bao_spawn_message *message, int passed)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct bao_spawn_message copy = *message;
    struct iovec part = {.iov_base = &copy, .iov_len = sizeof copy};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};
    if (passed >= 0) {
        memset(&control, 0, sizeof control);
        whole.msg_control = control.bytes;
        whole.msg_controllen = sizeof control.bytes;
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &passed, sizeof passed);
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &whole, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof copy;
}

bool bao_spawner_ask_start(const struct bao_spawner *spawner,
                           uint32_t slot,
                           int child_fd)
{
    return tell(
        spawner->fd,
        &(struct bao_spawn_message){.verb = BAO_SPAWN_START, .slot = slot},
        child_fd);
}

bool bao_spawner_ask_kill(const struct bao_spawner *spawner,
                          uint32_t slot,
                          pid_t pid)
{
    return tell(spawner->fd,
                &(struct bao_spawn_message){
                    .verb = BAO_SPAWN_KILL, .slot = slot, .pid = pid},
                -1);
}

int bao_spawner_hear(const struct bao_spawner *spawner,
                     struct bao_spawn_message *message)
{
    ssize_t got;
    do {
        got = recv(spawner->fd, message, sizeof *message, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got == (ssize_t)sizeof *message)
        return 1;
    return got < 0 && errno == EAGAIN ? 0 : -1;
}

void bao_spawner_end(struct bao_spawner *spawner)
{
    if (spawner->fd >= 0)
        (void)close(spawner->fd); /* it sees this and kills everything */
    spawner->fd = -1;
    /* it needs a moment; a stopped one would need for ever */
    for (int tries = 0; tries < 2000; tries++) {
        pid_t ended = waitpid(spawner->pid, NULL, WNOHANG);
        if (ended == spawner->pid || (ended < 0 && errno == ECHILD))
            break;
        (void)poll(NULL, 0, 1);
    }
    bao_reap_strangers(NULL, NULL); /* none, if it did its work */
    spawner->pid = 0;
}

int bao_spawner_role(void)
{
    const char *value = getenv(BAO_SPAWNER_VARIABLE);
    if (value == NULL)
        return -1;
    char text[16];
    (void)snprintf(text, sizeof text, "%d", SOCKET_FD);
    bool ours = strcmp(value, text) == 0;
    int type = 0;
    socklen_t bytes = sizeof type;
    (void)unsetenv(BAO_SPAWNER_VARIABLE); /* not for the jobs */
    return ours &&
                   getsockopt(SOCKET_FD, SOL_SOCKET, SO_TYPE, &type, &bytes) ==
                       0 &&
                   type == SOCK_SEQPACKET
               ? SOCKET_FD
               : -1;
}
