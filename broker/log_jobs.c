/*
 * log_jobs.c - lanes of jobs.
 *
 * Invariant: a job is in one of: a lane's queue, an executor's hands
 * (running), the list of ended ones, nowhere.
 */
#include "broker/log_jobs.h"

#include <errno.h>

#include "common/check.h"

void bao_log_jobs_lock(struct bao_log_jobs *jobs)
{
    int error = pthread_mutex_lock(&jobs->lock);
    BAO_ASSERT(error == 0);
}

void bao_log_jobs_unlock(struct bao_log_jobs *jobs)
{
    int error = pthread_mutex_unlock(&jobs->lock);
    BAO_ASSERT(error == 0);
}

int bao_log_jobs_open(struct bao_log_jobs *jobs,
                      const struct bao_log_executor *executor)
{
    *jobs = (struct bao_log_jobs){.executor = *executor};
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++) {
        bao_list_init(&jobs->queued[i]);
        bao_list_init(&jobs->ended[i]);
    }
    int error = pthread_mutex_init(&jobs->lock, NULL);
    if (error != 0)
        return -error;
    if (executor->start == NULL)
        return 0;
    int result = executor->start(executor->context, jobs);
    if (result < 0)
        (void)pthread_mutex_destroy(&jobs->lock);
    return result;
}

void bao_log_jobs_close(struct bao_log_jobs *jobs)
{
    if (jobs->executor.stop != NULL)
        jobs->executor.stop(jobs->executor.context);
    int error = pthread_mutex_destroy(&jobs->lock);
    BAO_ASSERT(error == 0);
}

struct bao_log_job *bao_log_job_take(struct bao_log_jobs *jobs,
                                     enum bao_log_lane lane)
{
    struct bao_log_job *job = NULL;
    bao_log_jobs_lock(jobs);
    if (jobs->running[lane] == 0) {
        struct bao_link *link = bao_list_pop(&jobs->queued[lane]);
        if (link != NULL) {
            job = BAO_OF(link, struct bao_log_job, link);
            job->taken = true;
            jobs->running[lane]++;
        }
    }
    bao_log_jobs_unlock(jobs);
    return job;
}

void bao_log_job_run(struct bao_log_job *job)
{
    job->result = job->run(job);
}

void bao_log_job_end(struct bao_log_jobs *jobs, struct bao_log_job *job)
{
    bao_log_jobs_lock(jobs);
    BAO_ASSERT(jobs->running[job->lane] == 1);
    jobs->running[job->lane]--;
    bao_list_push(&jobs->ended[job->lane], &job->link);
    bao_log_jobs_unlock(jobs);
}

bool bao_log_job_is_settled(struct bao_log_jobs *jobs, enum bao_log_lane lane)
{
    bao_log_jobs_lock(jobs);
    bool settled = jobs->ended[lane].count > 0 ||
                   (jobs->running[lane] == 0 && jobs->queued[lane].count == 0);
    bao_log_jobs_unlock(jobs);
    return settled;
}

void bao_log_job_submit(struct bao_log_jobs *jobs, struct bao_log_job *job)
{
    BAO_ASSERT(!bao_link_is_listed(&job->link));
    bao_log_jobs_lock(jobs);
    job->taken = false;
    job->result = -ECANCELED;
    bao_list_push(&jobs->queued[job->lane], &job->link);
    bao_log_jobs_unlock(jobs);
    if (jobs->executor.wake != NULL) {
        jobs->executor.wake(jobs->executor.context, job->lane);
        return;
    }
    enum bao_log_lane lane = job->lane;
    while ((job = bao_log_job_take(jobs, lane)) != NULL) {
        bao_log_job_run(job);
        bao_log_job_end(jobs, job);
    }
}

bool bao_log_job_is_queued(const struct bao_log_jobs *jobs,
                           const struct bao_log_job *job)
{
    (void)jobs;
    return bao_link_is_listed(&job->link) && !job->taken;
}

bool bao_log_jobs_are_busy(struct bao_log_jobs *jobs, enum bao_log_lane lane)
{
    bao_log_jobs_lock(jobs);
    bool busy = jobs->queued[lane].count > 0 || jobs->running[lane] > 0 ||
                jobs->ended[lane].count > 0;
    bao_log_jobs_unlock(jobs);
    return busy;
}

void bao_log_jobs_turn_lane(struct bao_log_jobs *jobs, enum bao_log_lane lane)
{
    for (;;) {
        bao_log_jobs_lock(jobs);
        struct bao_link *link = bao_list_pop(&jobs->ended[lane]);
        bao_log_jobs_unlock(jobs);
        if (link == NULL)
            return;
        struct bao_log_job *job = BAO_OF(link, struct bao_log_job, link);
        job->done(job);
    }
}

void bao_log_jobs_turn(struct bao_log_jobs *jobs)
{
    bao_log_jobs_turn_lane(jobs, BAO_LOG_LANE_SYNC);
    bao_log_jobs_turn_lane(jobs, BAO_LOG_LANE_HELPER);
    bao_log_jobs_turn_lane(jobs, BAO_LOG_LANE_READ);
}

void bao_log_jobs_wait(struct bao_log_jobs *jobs, enum bao_log_lane lane)
{
    if (!bao_log_job_is_settled(jobs, lane) && jobs->executor.wait != NULL)
        jobs->executor.wait(jobs->executor.context, lane);
    bao_log_jobs_turn_lane(jobs, lane);
}
