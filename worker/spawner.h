/*
 * spawner.h - the process that forks the children.
 *
 * The supervisor has threads (its own and ZeroMQ's), so it must not fork
 * children that go on running C code. It starts this program once more as a
 * *spawner*: one thread, no sockets but the one to the supervisor. The
 * spawner forks children when asked, reaps them, kills what they leave
 * behind, and tells. If the supervisor dies, even by kill -9, the spawner
 * sees its socket close and kills everything; if the spawner dies, its
 * children die (PR_SET_PDEATHSIG) and the supervisor starts another one.
 *
 *     supervisor --START slot + socket--> spawner --fork--> child
 *                --KILL slot, pid------->         --kill--> child's group
 *                <--STARTED, ENDED-------
 */
#ifndef BAO_WORKER_SPAWNER_H
#define BAO_WORKER_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/settings.h"

/* Carries the number of the spawner's socket to the new program. */
#define BAO_SPAWNER_VARIABLE "BAOZI_WORKER_SPAWNER"

enum bao_spawn_verb {
    BAO_SPAWN_START,
    BAO_SPAWN_KILL,
    BAO_SPAWN_STARTED, /* pid */
    BAO_SPAWN_ENDED,   /* pid, status of waitpid(); pid 0: fork failed with
                          errno `status` */
};

struct bao_spawn_message {
    uint32_t verb; /* enum bao_spawn_verb */
    uint32_t slot;
    int32_t pid;
    int32_t status;
};

/* --- in the supervisor --- */

struct bao_spawner {
    int fd; /* readable: a message is there; -1 = not running */
    pid_t pid;
};

/* Starts the program's own file as a spawner with the same arguments. False:
 * errno tells why. Safe with threads. */
bool bao_spawner_start(struct bao_spawner *spawner, char *const *argv);

/* Asks for a child; `child_fd` is its end of a channel and stays ours to
 * close. Any thread may ask. False: the spawner is gone. */
bool bao_spawner_ask_start(const struct bao_spawner *spawner,
                           uint32_t slot,
                           int child_fd);
bool bao_spawner_ask_kill(const struct bao_spawner *spawner,
                          uint32_t slot,
                          pid_t pid);

/* Takes one message without waiting. 1 taken, 0 none, -1 the spawner is
 * gone. */
int bao_spawner_hear(const struct bao_spawner *spawner,
                     struct bao_spawn_message *message);

/* Ends it with all its children and waits until they are gone. */
void bao_spawner_end(struct bao_spawner *spawner);

/* --- in the spawner --- */

/* The number of the socket if this process is to be a spawner, else -1. */
int bao_spawner_role(void);

/* The spawner's whole life; its exit code. */
int bao_spawner_main(const struct bao_worker_settings *settings, int fd);

#endif
