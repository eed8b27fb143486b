/*
 * log_threads.h - the broker's executor: a thread for each lane of the log.
 *
 * The threads block all signals, sleep when there is nothing to do, and tell
 * of each job that ended through an eventfd, so that the loop can poll for it.
 */
#ifndef BAO_LOG_THREADS_H
#define BAO_LOG_THREADS_H

#include "broker/log_jobs.h"
#include "common/baozi.h"

struct bao_log_threads;

/* OK | NO_MEMORY (descriptors included). Give bao_log_threads_executor() to
 * the log, close the log, then these. */
BAOZI_MUST_USE enum baozi_status
bao_log_threads_open(struct bao_log_threads **threads);
void bao_log_threads_close(struct bao_log_threads *threads);

struct bao_log_executor
bao_log_threads_executor(struct bao_log_threads *threads);

/* Readable when a job has ended since bao_log_threads_clear(). */
int bao_log_threads_pollfd(const struct bao_log_threads *threads);
/* Call it before bao_log_turn(). */
void bao_log_threads_clear(const struct bao_log_threads *threads);

#endif
