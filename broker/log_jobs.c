/*
 * log_jobs.c - lanes of jobs.
 *
 * Invariant: a job is in one of: a lane's queue, an executor's hands
 * (running), the list of ended ones, nowhere.
 */
#include "broker/log_jobs.h"

#include "common/check.h"

static void lock(struct bao_log_jobs *jobs)
{
    int error = pthread_mutex_lock(&jobs->lock);
    BAO_ASSERT(error == 0);
}

static void unlock(struct bao_log_jobs *jobs)
{
    int error = pthread_mutex_unlock(&jobs->lock);
    BAO_ASSERT(error == 0);
}

int bao_log_jobs_open(struct bao_log_jobs *jobs,
                      const struct bao_log_executor *executor)
{
    *jobs = (struct bao_log_jobs){.executor = *executor};
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++)
        bao_list_init(&jobs->queued[i]);
    bao_list_init(&jobs->ended);
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
    lock(jobs);
    if (jobs->running[lane] == 0) {
        struct bao_link *link = bao_list_pop(&jobs->queued[lane]);
        if (link != NULL) {
            job = BAO_OF(link, struct bao_log_job, link);
            jobs->running[lane]++;
        }
    }
    unlock(jobs);
    return job;
}

void bao_log_job_run(struct bao_log_job *job)
{
    job->result = job->run(job);
}

void bao_log_job_end(struct bao_log_jobs *jobs, struct bao_log_job *job)
{
    lock(jobs);
    BAO_ASSERT(jobs->running[job->lane] == 1);
    jobs->running[job->lane]--;
    jobs->ended_count[job->lane]++;
    bao_list_push(&jobs->ended, &job->link);
    unlock(jobs);
}

bool bao_log_job_is_settled(struct bao_log_jobs *jobs, enum bao_log_lane lane)
{
    lock(jobs);
    bool settled = jobs->ended_count[lane] > 0 ||
                   (jobs->running[lane] == 0 && jobs->queued[lane].count == 0);
    unlock(jobs);
    return settled;
}

void bao_log_job_submit(struct bao_log_jobs *jobs, struct bao_log_job *job)
{
    BAO_ASSERT(!bao_link_is_listed(&job->link));
    lock(jobs);
    bao_list_push(&jobs->queued[job->lane], &job->link);
    unlock(jobs);
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

void bao_log_jobs_turn(struct bao_log_jobs *jobs)
{
    for (;;) {
        lock(jobs);
        struct bao_link *link = bao_list_pop(&jobs->ended);
        struct bao_log_job *job = NULL;
        if (link != NULL) {
            job = BAO_OF(link, struct bao_log_job, link);
            jobs->ended_count[job->lane]--;
        }
        unlock(jobs);
        if (job == NULL)
            return;
        job->done(job);
    }
}

void bao_log_jobs_wait(struct bao_log_jobs *jobs, enum bao_log_lane lane)
{
    if (!bao_log_job_is_settled(jobs, lane) && jobs->executor.wait != NULL)
        jobs->executor.wait(jobs->executor.context, lane);
}
