/*
 * reap.h - no process stays behind.
 *
 * Spawner and children are subreapers: whatever a job leaves behind, even a
 * daemon with a session of its own, becomes a child of one of them. Each
 * clears away what it did not start itself.
 */
#ifndef BAO_WORKER_REAP_H
#define BAO_WORKER_REAP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Makes orphaned descendants of this process its children. */
void bao_reap_adopt(void);

/*
 * Kills (SIGKILL) every child of this process for which `keep` is false
 * (NULL: every one) and reaps those, until none is left. Descendants that
 * become children as their parents die are killed too.
 */
void bao_reap_strangers(bool (*keep)(void *context, pid_t pid), void *context);

#endif
