/*
 * demo_process.h - the demo's children: programs beside our own, whose output
 * we read line by line.
 *
 * Every child asks the kernel to be told (SIGTERM) when we die, however we
 * die, and is in a process group of its own, so that Ctrl-C comes to us
 * alone and we end them in order.
 */
#ifndef BAO_CLI_DEMO_PROCESS_H
#define BAO_CLI_DEMO_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct demo_process {
    pid_t pid;  /* 0: not started, or reaped */
    int out;    /* its stdout; -1 at its end */
    int status; /* of waitpid, once reaped */
    size_t used;
    char line[1024]; /* the beginning of a line */
};

/*
 * Starts `program`, found in the folder of our own executable. `words` ends
 * with NULL and begins with the program's name. Its stderr is ours, or is
 * appended to the file `log` if that is not NULL. False: errno.
 */
bool demo_start(struct demo_process *process,
                const char *program,
                const char *const *words,
                const char *log);

/*
 * Reads what is there and hands over each whole line, without its newline.
 * False once its output has ended (it is closed then).
 */
bool demo_read(struct demo_process *process,
               void (*line)(void *context,
                            struct demo_process *process,
                            const char *text),
               void *context);

/* Reaps it if it has ended, waiting at most `wait_ms`. True: it is gone. */
bool demo_reap(struct demo_process *process, int wait_ms);

/* Ends it: SIGTERM, after `grace_ms` SIGKILL; reaps it and closes its
 * output, which is not read. */
void demo_stop(struct demo_process *process, int grace_ms);

#endif
