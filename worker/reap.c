/*
 * reap.c - no process stays behind.
 *
 * Children are found by their parent in /proc: the list of children that
 * some kernels offer is not everywhere. The search runs only after something
 * died that may have left children, never on the way of an ordinary item.
 */
#include "worker/reap.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 500 /* of 2 ms: a killed process is gone long before */

void bao_reap_adopt(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/* The parent of process `name` as /proc says; 0 if it is gone. */
static pid_t parent_of(const char *name)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof path, "/proc/%.20s/stat", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text - 1);
    (void)close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    /* pid (any name) state parent ... */
    const char *after = strrchr(text, ')');
    if (after == NULL || strlen(after) < 5)
        return 0;
    return (pid_t)strtol(after + 4, NULL, 10);
}

/* Kills and reaps the strangers among the children of now; returns how many
 * there were. */
static size_t clear_once(bool (*keep)(void *context, pid_t pid), void *context)
{
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return 0;
    size_t found = 0;
    pid_t self = getpid();
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            parent_of(entry->d_name) != self)
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (keep != NULL && keep(context, pid))
            continue;
        found++;
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, WNOHANG);
    }
    (void)closedir(folder);
    return found;
}

void bao_reap_strangers(bool (*keep)(void *context, pid_t pid), void *context)
{
    const struct timespec moment = {.tv_nsec = 2000000};
    for (int round = 0; round < ROUNDS_MAX; round++) {
        siginfo_t info;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 &&
            errno == ECHILD)
            return; /* no children at all: the common case */
        if (clear_once(keep, context) == 0)
            return;
        (void)nanosleep(&moment, NULL);
    }
}
