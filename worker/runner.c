/*
 * runner.c - one child of the crew.
 *
 * It dies with the spawner (PR_SET_PDEATHSIG), leads a process group of its
 * own so that all it started can be killed at once, and adopts what its jobs
 * leave behind. Signals that a terminal or a service manager sends to
 * everybody are ignored: the supervisor decides when work ends.
 */
#include "worker/runner.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "worker/reap.h"

static void become_child(void)
{
    (void)setpgid(0, 0);
    bao_reap_adopt();
    (void)prctl(PR_SET_NAME, "baozi-child", 0, 0, 0);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing >= 0)
        (void)dup2(nothing, STDIN_FILENO);
    if (nothing > STDERR_FILENO)
        (void)close(nothing);
}

static const struct bao_handler *handler_of(enum bao_runs runs)
{
    switch (runs) {
    case BAO_RUNS_EXEC: return &bao_exec_handler;
    case BAO_RUNS_PLUGIN: return &bao_plugin_handler;
    case BAO_RUNS_BUILTIN: break;
    }
    return &bao_builtin_handler;
}

/* Takes tasks until the channel ends; false if it broke. */
static bool work(const struct bao_handler *handler,
                 void *state,
                 struct bao_channel *channel)
{
    for (;;) {
        struct bao_task task;
        enum bao_talk talk = bao_talk_read_task(channel, &task);
        if (talk != BAO_TALK_OK)
            return talk == BAO_TALK_ENDED;
        struct bao_answer answer = {.delay_ms = -1};
        handler->run(state, &task, &answer);
        if (answer.has_result && answer.result_bytes > BAO_RESULT_BYTES_MAX) {
            (void)fprintf(stderr,
                          "baozi-worker: the result of item %llu is not "
                          "kept\n  why: it is larger than 1 MiB\n  do:  store "
                          "it elsewhere and give its place as the result\n",
                          (unsigned long long)task.id);
            answer.has_result = 0;
            answer.result_bytes = 0;
        }
        if (bao_talk_send_answer(channel, &answer) != BAO_TALK_OK)
            return false;
    }
}

int bao_runner(const struct bao_worker_settings *settings, int fd, pid_t parent)
{
    struct bao_channel channel;
    struct bao_answer ready = {.outcome = BAO_OUTCOME_READY};
    const struct bao_handler *handler = handler_of(settings->runs);
    void *state = NULL;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        return 1; /* it died before we could be told */
    become_child();
    bao_channel_init(&channel, fd);
    if (handler->begin(settings, &state, ready.error, sizeof ready.error) !=
        0) {
        ready.outcome = BAO_OUTCOME_UNFIT;
        (void)bao_talk_send_answer(&channel, &ready);
        return 1;
    }
    bool good = bao_talk_send_answer(&channel, &ready) == BAO_TALK_OK &&
                work(handler, state, &channel);
    handler->end(state);
    bao_channel_close(&channel);
    return good ? 0 : 1;
}
