/*
 * log_jobs.h - the disk work that the log does not wait for, and who runs it.
 *
 * Three lanes, each first in, first out, one job at a time in each: SYNC
 * makes written records durable, HELPER prepares segments and makes
 * checkpoints and manifests durable, READ fetches payloads. The log submits;
 * an executor takes, runs and ends:
 *
 *     take()  -->  run()  -->  end()           then bao_log_turn() sees it
 *
 * The broker's executor has a thread a lane (log_threads.h). The simulator's
 * may let virtual time pass between the three: what run() makes durable is
 * what was written before it; what the log believes comes with end(). Without
 * one (all zero) jobs run where they are submitted.
 *
 * take, run and end may be called from any thread, one at a time for a lane.
 */
#ifndef BAO_LOG_JOBS_H
#define BAO_LOG_JOBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

enum bao_log_lane {
    BAO_LOG_LANE_SYNC,
    BAO_LOG_LANE_HELPER,
    BAO_LOG_LANE_READ,
    BAO_LOG_LANE_COUNT
};

/* Embedded in what it is about. */
struct bao_log_job {
    struct bao_link link;
    int (*run)(struct bao_log_job *job);   /* the work: 0 or -errno */
    void (*done)(struct bao_log_job *job); /* in bao_log_turn() */
    enum bao_log_lane lane;
    bool taken; /* since it was submitted */
    int result; /* of run */
};

struct bao_log_jobs;

struct bao_log_executor {
    void *context;
    /* The log opens: `jobs` is lent until stop(). 0 or -errno. */
    int (*start)(void *context, struct bao_log_jobs *jobs);
    /* A job was submitted on `lane`; must not block. */
    void (*wake)(void *context, enum bao_log_lane lane);
    /* Blocks until a job of `lane` was ended that bao_log_turn() has not
     * seen, or the lane is empty. */
    void (*wait)(void *context, enum bao_log_lane lane);
    /* Nothing runs when it returns; what was not taken never will be. */
    void (*stop)(void *context);
};

struct bao_log_jobs {
    pthread_mutex_t lock; /* of all below */
    struct bao_list queued[BAO_LOG_LANE_COUNT];
    struct bao_list ended[BAO_LOG_LANE_COUNT]; /* done() not called yet */
    uint32_t running[BAO_LOG_LANE_COUNT];      /* taken, not ended */
    struct bao_log_executor executor;          /* set before it starts */
};

/* --- for executors --- */

/* The next job of a lane, or NULL if there is none or one runs. */
struct bao_log_job *bao_log_job_take(struct bao_log_jobs *jobs,
                                     enum bao_log_lane lane);
void bao_log_job_run(struct bao_log_job *job);
void bao_log_job_end(struct bao_log_jobs *jobs, struct bao_log_job *job);
/* True if wait() has nothing to wait for. */
bool bao_log_job_is_settled(struct bao_log_jobs *jobs, enum bao_log_lane lane);

/* --- for the log --- */

int bao_log_jobs_open(struct bao_log_jobs *jobs,
                      const struct bao_log_executor *executor);
/* Stops the executor; done() of what is left is never called. */
void bao_log_jobs_close(struct bao_log_jobs *jobs);
void bao_log_job_submit(struct bao_log_jobs *jobs, struct bao_log_job *job);
/* While it is locked, nobody takes or ends a job. */
void bao_log_jobs_lock(struct bao_log_jobs *jobs);
void bao_log_jobs_unlock(struct bao_log_jobs *jobs);
/* True if the job was submitted and not taken; only while locked. */
bool bao_log_job_is_queued(const struct bao_log_jobs *jobs,
                           const struct bao_log_job *job);
/* Something of the lane was not seen by done() yet. */
bool bao_log_jobs_are_busy(struct bao_log_jobs *jobs, enum bao_log_lane lane);
/* Calls done() of all that ended since; of one lane only. */
void bao_log_jobs_turn(struct bao_log_jobs *jobs);
void bao_log_jobs_turn_lane(struct bao_log_jobs *jobs, enum bao_log_lane lane);
/* Waits until a job of `lane` has ended or none is left, and calls done().
 */
void bao_log_jobs_wait(struct bao_log_jobs *jobs, enum bao_log_lane lane);

#endif
