/*
 * demo_process.c - starts, reads and ends the demo's children.
 */
#include "cli/demo_process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The path of a program beside our own. */
static bool find_beside(const char *program, char *path, size_t bytes)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length < 0)
        return false;
    own[length] = '\0';
    char *slash = strrchr(own, '/');
    if (slash == NULL) {
        errno = ENOENT;
        return false;
    }
    *slash = '\0';
    if ((size_t)snprintf(path, bytes, "%s/%s", own, program) >= bytes) {
        errno = ENAMETOOLONG;
        return false;
    }
    return access(path, X_OK) == 0;
}

/*
 * In the child: only calls that are safe between fork and exec. `log` is
 * where stderr goes, -1 = where ours goes.
 *
 * If we are killed, so is it. SIGTERM would not do: the kernel sends this
 * signal once for each of our threads that ends, and a broker that hears it
 * twice leaves at once, while an eater that heard it once waits for that
 * broker until its grace is over.
 */
_Noreturn static void
become(const char *path, char *const *words, int out, int log, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127); /* it died before we asked to be told */
    bool logs = log < 0 || dup2(log, STDERR_FILENO) >= 0;
    if (logs && dup2(out, STDOUT_FILENO) >= 0)
        (void)execv(path, words);
    _exit(127);
}

bool demo_start(struct demo_process *process,
                const char *program,
                const char *const *words,
                const char *log)
{
    char path[PATH_MAX];
    int log_fd = -1;
    char *mutable_words[32];
    int ends[2];
    size_t count = 0;
    *process = (struct demo_process){.out = -1};
    if (!find_beside(program, path, sizeof path))
        return false;
    for (; count < 31 && words[count] != NULL; count++)
        memcpy(&mutable_words[count], &words[count], sizeof(char *));
    mutable_words[count] = NULL;
    if (log != NULL) {
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_fd < 0)
            return false;
    }
    if (pipe2(ends, O_CLOEXEC) != 0) {
        int error = errno;
        if (log_fd >= 0)
            (void)close(log_fd);
        errno = error;
        return false;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(path, mutable_words, ends[1], log_fd, parent);
    int error = errno;
    if (log_fd >= 0)
        (void)close(log_fd);
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        errno = error;
        return false;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    process->pid = pid;
    process->out = ends[0];
    return true;
}

bool demo_read(struct demo_process *process,
               void (*line)(void *context,
                            struct demo_process *process,
                            const char *text),
               void *context)
{
    while (process->out >= 0) {
        ssize_t got = read(process->out,
                           process->line + process->used,
                           sizeof process->line - 1 - process->used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0) {
            (void)close(process->out);
            process->out = -1;
            break;
        }
        process->used += (size_t)got;
        process->line[process->used] = '\0';
        char *begin = process->line;
        char *end;
        while ((end = strchr(begin, '\n')) != NULL) {
            *end = '\0';
            line(context, process, begin);
            begin = end + 1;
        }
        process->used -= (size_t)(begin - process->line);
        if (process->used == sizeof process->line - 1)
            process->used = 0; /* not a line of ours */
        memmove(process->line, begin, process->used);
    }
    return false;
}

bool demo_reap(struct demo_process *process, int wait_ms)
{
    struct timespec pause = {.tv_nsec = 2000000};
    for (int passed_ms = 0;; passed_ms += 2) {
        if (process->pid == 0)
            return true;
        pid_t pid = waitpid(process->pid, &process->status, WNOHANG);
        if (pid == process->pid || (pid < 0 && errno == ECHILD)) {
            process->pid = 0;
            return true;
        }
        if (passed_ms >= wait_ms)
            return false;
        (void)nanosleep(&pause, NULL);
    }
}

void demo_stop(struct demo_process *process, int grace_ms)
{
    if (process->pid != 0 && !demo_reap(process, 0)) {
        (void)kill(process->pid, SIGTERM);
        if (!demo_reap(process, grace_ms)) {
            (void)kill(process->pid, SIGKILL);
            (void)demo_reap(process, 10000);
        }
    }
    if (process->out >= 0)
        (void)close(process->out);
    process->out = -1;
}
