/*
 * log_threads.c - three threads that take, run and end the log's jobs.
 *
 * One lock and one condition for each lane; `wait` has a condition of its own.
 * A counter says that something was submitted, so no wake-up is lost between
 * an empty take and the sleep.
 */
#include "broker/log_threads.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/check.h"

struct lane {
    struct bao_log_threads *threads;
    enum bao_log_lane lane;
    pthread_t thread;
    bool started;
    uint64_t submitted; /* wake-ups so far */
    pthread_cond_t more;
};

struct bao_log_threads {
    struct bao_log_jobs *jobs;
    pthread_mutex_t lock; /* of submitted, ending */
    pthread_cond_t ended; /* a job of any lane */
    struct lane lanes[BAO_LOG_LANE_COUNT];
    bool ending;
    int eventfd;
};

static void must(int error)
{
    BAO_ASSERT(error == 0);
}

/* --- a lane's thread --- */

static void tell(struct bao_log_threads *threads)
{
    uint64_t one = 1;
    ssize_t written = write(threads->eventfd, &one, sizeof one);
    BAO_ASSERT(written == sizeof one || errno == EAGAIN);
    must(pthread_mutex_lock(&threads->lock));
    must(pthread_cond_broadcast(&threads->ended));
    must(pthread_mutex_unlock(&threads->lock));
}

/* Sleeps until something was submitted after `seen`; false to end. */
static bool await(struct lane *lane, uint64_t *seen)
{
    struct bao_log_threads *threads = lane->threads;
    must(pthread_mutex_lock(&threads->lock));
    while (lane->submitted == *seen && !threads->ending)
        must(pthread_cond_wait(&lane->more, &threads->lock));
    *seen = lane->submitted;
    bool going = !threads->ending;
    must(pthread_mutex_unlock(&threads->lock));
    return going;
}

static bool is_ending(struct bao_log_threads *threads)
{
    must(pthread_mutex_lock(&threads->lock));
    bool ending = threads->ending;
    must(pthread_mutex_unlock(&threads->lock));
    return ending;
}

static void *run(void *argument)
{
    struct lane *lane = argument;
    struct bao_log_threads *threads = lane->threads;
    uint64_t seen = 0;
    while (await(lane, &seen)) {
        struct bao_log_job *job;
        while (!is_ending(threads) &&
               (job = bao_log_job_take(threads->jobs, lane->lane)) != NULL) {
            bao_log_job_run(job);
            bao_log_job_end(threads->jobs, job);
            tell(threads);
        }
    }
    return NULL;
}

/* --- the executor --- */

static void stop(void *context)
{
    struct bao_log_threads *threads = context;
    must(pthread_mutex_lock(&threads->lock));
    threads->ending = true;
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++)
        must(pthread_cond_signal(&threads->lanes[i].more));
    must(pthread_mutex_unlock(&threads->lock));
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++) {
        if (threads->lanes[i].started)
            must(pthread_join(threads->lanes[i].thread, NULL));
        threads->lanes[i].started = false;
    }
    threads->jobs = NULL;
}

static int start(void *context, struct bao_log_jobs *jobs)
{
    struct bao_log_threads *threads = context;
    sigset_t all;
    sigset_t before;
    int error = 0;
    BAO_ASSERT(threads->jobs == NULL);
    threads->jobs = jobs;
    threads->ending = false;
    (void)sigfillset(&all);
    must(pthread_sigmask(SIG_SETMASK, &all, &before));
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT && error == 0; i++) {
        struct lane *lane = &threads->lanes[i];
        lane->submitted = 0;
        error = pthread_create(&lane->thread, NULL, run, lane);
        lane->started = error == 0;
    }
    must(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (error != 0)
        stop(threads);
    return -error;
}

static void wake(void *context, enum bao_log_lane lane)
{
    struct bao_log_threads *threads = context;
    must(pthread_mutex_lock(&threads->lock));
    threads->lanes[lane].submitted++;
    must(pthread_cond_signal(&threads->lanes[lane].more));
    must(pthread_mutex_unlock(&threads->lock));
}

static void wait_for(void *context, enum bao_log_lane lane)
{
    struct bao_log_threads *threads = context;
    must(pthread_mutex_lock(&threads->lock));
    while (!bao_log_job_is_settled(threads->jobs, lane))
        must(pthread_cond_wait(&threads->ended, &threads->lock));
    must(pthread_mutex_unlock(&threads->lock));
}

struct bao_log_executor
bao_log_threads_executor(struct bao_log_threads *threads)
{
    return (struct bao_log_executor){.context = threads,
                                     .start = start,
                                     .wake = wake,
                                     .wait = wait_for,
                                     .stop = stop};
}

/* --- open and close --- */

enum baozi_status bao_log_threads_open(struct bao_log_threads **threads)
{
    struct bao_log_threads *new = calloc(1, sizeof *new);
    if (new == NULL)
        return BAOZI_NO_MEMORY;
    new->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (new->eventfd < 0) {
        free(new);
        return BAOZI_NO_MEMORY;
    }
    must(pthread_mutex_init(&new->lock, NULL));
    must(pthread_cond_init(&new->ended, NULL));
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++) {
        new->lanes[i].threads = new;
        new->lanes[i].lane = (enum bao_log_lane)i;
        must(pthread_cond_init(&new->lanes[i].more, NULL));
    }
    *threads = new;
    return BAOZI_OK;
}

void bao_log_threads_close(struct bao_log_threads *threads)
{
    if (threads == NULL)
        return;
    BAO_ASSERT(threads->jobs == NULL);
    for (size_t i = 0; i < BAO_LOG_LANE_COUNT; i++)
        must(pthread_cond_destroy(&threads->lanes[i].more));
    must(pthread_cond_destroy(&threads->ended));
    must(pthread_mutex_destroy(&threads->lock));
    (void)close(threads->eventfd);
    free(threads);
}

int bao_log_threads_pollfd(const struct bao_log_threads *threads)
{
    return threads->eventfd;
}

void bao_log_threads_clear(const struct bao_log_threads *threads)
{
    uint64_t count = 0;
    ssize_t got = read(threads->eventfd, &count, sizeof count);
    BAO_ASSERT(got == sizeof count || errno == EAGAIN);
}
