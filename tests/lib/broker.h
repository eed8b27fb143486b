/*
 * broker.h - a real broker for C tests: started, stopped, killed, restarted.
 *
 * The program is baozi-broker of the folder in BAOZI_BUILD (default: build).
 * It keeps everything in memory, listens on ipc in a temporary folder of its
 * own and on tcp on a port of its choice, and dies with the test. For the
 * thread sanitizer it says that libzmq is not to be looked into.
 */
#ifndef BAO_TESTS_BROKER_H
#define BAO_TESTS_BROKER_H

#include <stdbool.h>
#include <sys/types.h>

struct test_broker {
    pid_t pid;
    char folder[64];
    char ipc[128];
    char tcp[64];
};

/* Starts it and waits until it is ready; false if it does not get so far. */
bool broker_start(struct test_broker *broker);
/* Starts it again at the same addresses, after it ended. */
bool broker_restart(struct test_broker *broker);
/* SIGTERM, and its exit code (-1 if a signal ended it). */
int broker_stop(struct test_broker *broker);
/* SIGKILL. */
void broker_kill(struct test_broker *broker);
/* Removes what it left behind. */
void broker_forget(struct test_broker *broker);

#endif
