/*
 * runner.h - one child of the crew: takes tasks from its channel, works,
 * answers; ends when the channel is closed.
 */
#ifndef BAO_WORKER_RUNNER_H
#define BAO_WORKER_RUNNER_H

#include <sys/types.h>

#include "worker/settings.h"
#include "worker/talk.h"

/*
 * A way to work. `state` is what begin() made. begin() says 0, or writes why
 * the child is unfit. run() fills the answer, which was zeroed but for
 * delay_ms = -1; what it lends lives until the next call.
 */
struct bao_handler {
    int (*begin)(const struct bao_worker_settings *settings,
                 void **state,
                 char *error,
                 size_t error_bytes);
    void (*run)(void *state,
                const struct bao_task *task,
                struct bao_answer *answer);
    void (*end)(void *state);
};

extern const struct bao_handler bao_exec_handler;
extern const struct bao_handler bao_plugin_handler;
extern const struct bao_handler bao_builtin_handler;

/* The child's whole life, just after the fork; `parent` is the spawner. Its
 * exit code: 0 when told to end, 1 when unfit or the channel broke. */
int bao_runner(const struct bao_worker_settings *settings,
               int fd,
               pid_t parent);

#endif
