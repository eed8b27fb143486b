/*
 * settings.h - what the worker was told to do.
 *
 * Supervisor and spawner read the same command line with the same table, so
 * nothing has to be handed from one to the other.
 */
#ifndef BAO_WORKER_SETTINGS_H
#define BAO_WORKER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/options.h"
#include "common/range.h"
#include "worker/command.h"

#define BAO_WORKER_CHILDREN_MAX 1024

enum bao_builtin {
    BAO_BUILTIN_EATER,
    BAO_BUILTIN_ECHO,
    BAO_BUILTIN_UPPER,
    BAO_BUILTIN_SLEEP
};

enum bao_runs { BAO_RUNS_EXEC, BAO_RUNS_PLUGIN, BAO_RUNS_BUILTIN };

struct bao_worker_settings {
    const char *queue;
    const char *url;
    int format; /* enum bao_format */
    uint64_t children;
    const char *exec;
    const char *plugin;
    int builtin; /* enum bao_builtin, if `runs` says so */
    const char *argument;
    bool shell;
    bool result;
    uint64_t prefetch;
    uint64_t grace_ms;
    uint64_t max_tasks;
    uint64_t timeout_ms;
    uint64_t lease_ms;
    uint64_t connect_timeout_ms;
    const char *sleep;
    bool until_empty;
    bool quiet;
    bool verbose;

    /* made from the above */
    enum bao_runs runs;
    struct bao_command command; /* of exec */
    struct bao_range takes;     /* of `sleep` */
};

extern const struct bao_program bao_worker_program;

/*
 * Reads the command line. `options` keeps the texts and is ended with
 * bao_worker_settings_fini(). False: end with *exit_code, all was said.
 */
bool bao_worker_settings_read(struct bao_worker_settings *settings,
                              struct bao_options *options,
                              int argc,
                              char *const *argv,
                              int *exit_code);
void bao_worker_settings_fini(struct bao_worker_settings *settings,
                              struct bao_options *options);

#endif
