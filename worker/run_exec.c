/*
 * run_exec.c - works by running a command for each item.
 *
 * The payload on standard input is a file in memory, so a command that never
 * reads it cannot block us. The job leads a process group of its own and
 * dies with this child; when its first process has ended, what it left
 * running is killed, and only then the last of its output is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/reap.h"
#include "worker/runner.h"

#define EXIT_RELEASE 75
#define EXIT_REJECT  65

struct exec {
    const struct bao_worker_settings *settings;
    uint8_t *result; /* of --result, BAO_RESULT_BYTES_MAX */
    int child_fd;    /* readable when a process of ours ended */
};

/* One job running. */
struct job {
    pid_t pid;
    int input;    /* its standard input; -1 = nothing */
    int out[2];   /* pipe of its standard output; -1 = ours */
    int error[2]; /* pipe of its standard error */
    int fault[2]; /* carries errno if the command cannot be run */
    size_t result_bytes;
    bool result_full;
    struct bao_tail tail;
};

static int exec_begin(const struct bao_worker_settings *settings,
                      void **state,
                      char *error,
                      size_t error_bytes)
{
    sigset_t ends;
    struct exec *exec = calloc(1, sizeof *exec);
    if (exec != NULL && settings->result)
        exec->result = malloc(BAO_RESULT_BYTES_MAX);
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGCHLD);
    (void)sigprocmask(SIG_SETMASK, &ends, NULL);
    if (exec != NULL) {
        exec->settings = settings;
        exec->child_fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    if (exec == NULL || (settings->result && exec->result == NULL) ||
        exec->child_fd < 0) {
        (void)snprintf(error, error_bytes, "%s", strerror(errno));
        if (exec != NULL)
            free(exec->result);
        free(exec);
        return 1;
    }
    *state = exec;
    return 0;
}

static void exec_end(void *state)
{
    struct exec *exec = state;
    (void)close(exec->child_fd);
    free(exec->result);
    free(exec);
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_job(struct job *job)
{
    close_end(&job->input);
    for (int end = 0; end < 2; end++) {
        close_end(&job->out[end]);
        close_end(&job->error[end]);
        close_end(&job->fault[end]);
    }
}

/* A file in memory with the payload, to be read from its begin. */
static int payload_file(const struct bao_task *task)
{
    int fd = memfd_create("payload", MFD_CLOEXEC);
    size_t written = 0;
    while (fd >= 0 && written < task->bytes) {
        ssize_t bytes =
            write(fd, task->payload + written, task->bytes - written);
        if (bytes < 0 && errno == EINTR)
            continue;
        if (bytes <= 0) {
            (void)close(fd);
            return -1;
        }
        written += (size_t)bytes;
    }
    if (fd >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    return fd;
}

static bool
open_job(const struct exec *exec, const struct bao_task *task, struct job *job)
{
    *job = (struct job){
        .input = -1, .out = {-1, -1}, .error = {-1, -1}, .fault = {-1, -1}};
    if (!exec->settings->command.takes_payload) {
        job->input = payload_file(task);
        if (job->input < 0)
            return false;
    }
    return (!exec->settings->result || pipe2(job->out, O_CLOEXEC) == 0) &&
           pipe2(job->error, O_CLOEXEC) == 0 &&
           pipe2(job->fault, O_CLOEXEC) == 0;
}

static void set_number(const char *name, uint64_t number)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    (void)setenv(name, text, 1);
}

static void set_environment(const struct bao_worker_settings *settings,
                            const struct bao_task *task)
{
    char name[256];
    (void)setenv("BAOZI_QUEUE", settings->queue, 1);
    set_number("BAOZI_ID", task->id);
    set_number("BAOZI_TOKEN", task->token);
    set_number("BAOZI_DELIVERIES", task->deliveries);
    (void)snprintf(name, sizeof name, "%d", task->priority);
    (void)setenv("BAOZI_PRIORITY", name, 1);
    if (settings->url != NULL)
        (void)setenv("BAOZI_URL", settings->url, 1);
    if (task->group != NULL)
        (void)setenv("BAOZI_GROUP", task->group, 1);
    const char *at = task->headers;
    const char *end = at + task->header_bytes;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (bao_header_variable(name, sizeof name, at))
            (void)setenv(name, value, 1);
        at = value + strlen(value) + 1;
    }
}

/* The life of the job before it becomes the command. */
_Noreturn static void become_job(const struct exec *exec,
                                 const struct bao_task *task,
                                 const struct job *job,
                                 char **words)
{
    static const int restored[] = {
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGCHLD};
    sigset_t none;
    pid_t child = getppid();
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)setpgid(0, 0);
    for (size_t i = 0; i < sizeof restored / sizeof restored[0]; i++)
        (void)signal(restored[i], SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    set_environment(exec->settings, task);
    bool good = child == getppid() &&
                (job->input < 0 || dup2(job->input, STDIN_FILENO) >= 0) &&
                (job->out[1] < 0 || dup2(job->out[1], STDOUT_FILENO) >= 0) &&
                dup2(job->error[1], STDERR_FILENO) >= 0;
    if (good)
        (void)execvp(words[0], words);
    int fault = errno;
    ssize_t told = write(job->fault[1], &fault, sizeof fault);
    _exit(told == (ssize_t)sizeof fault ? 127 : 126);
}

/* Writes all of it to the worker's own stderr. */
static void pass_on(const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(STDERR_FILENO, data, bytes);
        if (written <= 0)
            return; /* nobody listens; the tail is kept all the same */
        data += written;
        bytes -= (size_t)written;
    }
}

/* Reads once from the job's standard output; false at its end. */
static bool read_out(const struct exec *exec, struct job *job)
{
    char beyond[4096];
    size_t room = BAO_RESULT_BYTES_MAX - job->result_bytes;
    ssize_t got =
        room > 0 ? read(job->out[0], exec->result + job->result_bytes, room)
                 : read(job->out[0], beyond, sizeof beyond);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    if (room > 0)
        job->result_bytes += (size_t)got;
    else
        job->result_full = true;
    return true;
}

static bool read_error(struct job *job)
{
    char data[4096];
    ssize_t got = read(job->error[0], data, sizeof data);
    if (got <= 0)
        return got < 0 && errno == EINTR;
    pass_on(data, (size_t)got);
    bao_tail_add(&job->tail, data, (size_t)got);
    return true;
}

/* Reads what the job says until its first process has ended; that one is not
 * reaped yet, so its process group is still its own. */
static void follow(const struct exec *exec, struct job *job)
{
    for (;;) {
        struct pollfd polled[3] = {
            {.fd = exec->child_fd, .events = POLLIN},
            {.fd = job->error[0], .events = POLLIN},
            {.fd = job->out[0], .events = POLLIN}, /* -1 is left out */
        };
        if (poll(polled, 3, -1) < 0)
            continue;
        if (polled[1].revents != 0 && !read_error(job))
            close_end(&job->error[0]);
        if (polled[2].revents != 0 && !read_out(exec, job))
            close_end(&job->out[0]);
        if (polled[0].revents == 0)
            continue;
        struct signalfd_siginfo signal_info;
        while (read(exec->child_fd, &signal_info, sizeof signal_info) > 0)
            ;
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
                0 ||
            info.si_pid == job->pid)
            return;
    }
}

/* What is still in the pipes when everybody who could write is gone. */
static void read_rest(const struct exec *exec, struct job *job)
{
    if (job->error[0] >= 0 && fcntl(job->error[0], F_SETFL, O_NONBLOCK) == 0)
        while (read_error(job))
            ;
    if (job->out[0] >= 0 && fcntl(job->out[0], F_SETFL, O_NONBLOCK) == 0)
        while (read_out(exec, job))
            ;
}

/* Turns the way the job ended into an answer. */
static void judge(const struct exec *exec,
                  const struct bao_task *task,
                  const struct job *job,
                  int status,
                  struct bao_answer *answer)
{
    char last[BAO_ERROR_BYTES_MAX - 256];
    const char *name = exec->settings->shell ? "the command"
                                             : exec->settings->command.words[0];
    (void)bao_tail_line(&job->tail, last, sizeof last);
    const char *colon = last[0] == '\0' ? "" : ": ";
    if (WIFSIGNALED(status)) {
        answer->outcome = BAO_OUTCOME_RETRY;
        answer->signal = WTERMSIG(status);
        (void)snprintf(answer->error,
                       sizeof answer->error,
                       "%.200s was killed by SIG%s%s%s",
                       name,
                       sigabbrev_np(answer->signal) == NULL
                           ? "?"
                           : sigabbrev_np(answer->signal),
                       colon,
                       last);
        return;
    }
    int code = WEXITSTATUS(status);
    if (code == 0) {
        answer->outcome = BAO_OUTCOME_DONE;
        answer->has_result = exec->settings->result && !job->result_full;
        answer->result = exec->result;
        answer->result_bytes = answer->has_result ? job->result_bytes : 0;
        if (job->result_full)
            (void)fprintf(stderr,
                          "baozi-worker: the result of item %llu is not "
                          "kept\n  why: it is larger than 1 MiB\n  do:  store "
                          "it elsewhere and print its place\n",
                          (unsigned long long)task->id);
        return;
    }
    answer->outcome = code == EXIT_RELEASE  ? BAO_OUTCOME_RELEASE
                      : code == EXIT_REJECT ? BAO_OUTCOME_REJECT
                                            : BAO_OUTCOME_RETRY;
    (void)snprintf(answer->error,
                   sizeof answer->error,
                   "%.200s exited with %d%s%s",
                   name,
                   code,
                   colon,
                   last);
}

/* Starts the job; false: `answer` says why there is none. */
static bool start(const struct exec *exec,
                  const struct bao_task *task,
                  struct job *job,
                  struct bao_answer *answer)
{
    char **words = bao_command_fill(&exec->settings->command,
                                    task->payload,
                                    task->bytes,
                                    answer->error,
                                    sizeof answer->error);
    answer->outcome = BAO_OUTCOME_REJECT;
    if (words == NULL)
        return false;
    answer->outcome = BAO_OUTCOME_RETRY;
    job->pid = open_job(exec, task, job) ? fork() : -1;
    if (job->pid == 0)
        become_job(exec, task, job, words);
    int fault = job->pid < 0 ? errno : 0;
    free(words);
    if (job->pid < 0) {
        (void)snprintf(answer->error,
                       sizeof answer->error,
                       "the command was not started: %s",
                       strerror(fault));
        return false;
    }
    (void)setpgid(job->pid, job->pid);
    close_end(&job->error[1]);
    close_end(&job->fault[1]);
    close_end(&job->out[1]);
    if (read(job->fault[0], &fault, sizeof fault) != (ssize_t)sizeof fault)
        return true; /* closed by exec: it runs */
    (void)waitpid(job->pid, NULL, 0);
    if (fault == E2BIG)
        answer->outcome = BAO_OUTCOME_REJECT;
    (void)snprintf(answer->error,
                   sizeof answer->error,
                   "the command cannot be run: %s; mend --exec",
                   strerror(fault));
    return false;
}

static void
exec_run(void *state, const struct bao_task *task, struct bao_answer *answer)
{
    const struct exec *exec = state;
    struct job job = {
        .input = -1, .out = {-1, -1}, .error = {-1, -1}, .fault = {-1, -1}};
    if (start(exec, task, &job, answer)) {
        int status = 0;
        follow(exec, &job);
        (void)kill(-job.pid, SIGKILL);
        (void)waitpid(job.pid, &status, 0);
        bao_reap_strangers(NULL, NULL);
        read_rest(exec, &job);
        judge(exec, task, &job, status, answer);
    }
    close_job(&job);
}

const struct bao_handler bao_exec_handler = {.begin = exec_begin,
                                             .run = exec_run,
                                             .end = exec_end};
