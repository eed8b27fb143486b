/*
 * bench_worker.c - a producer and a consumer of `baozi bench`: each the one
 * thing that its process does.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/bench.h"
#include "common/time.h"

#define READY_MS 10000

static struct bench_side *side; /* of this process */
static sem_t confirm_wanted;    /* open loop: something is unconfirmed */

static int interrupted(void *context)
{
    (void)context;
    return cli_signal() != 0;
}

/* Keeps the first failure for the parent to tell. */
static int fail(struct bench *bench, const char *what, enum baozi_status status)
{
    struct bao_problem *problem = &side->problem;
    char text[sizeof problem->why] = "";
    side->status = status;
    if (status == BAOZI_INTERRUPTED)
        return BAO_EXIT_SIGNAL + cli_signal();
    if (bench->cli->client != NULL)
        (void)baozi_explain(bench->cli->client, text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    problem->exit_code = baozi_status_exit_code(status);
    bao_problem_what(problem, "%s", what);
    bao_problem_why(
        problem, "%s", text[0] != '\0' ? text : baozi_status_text(status));
    bao_problem_remedy(problem, "%s", baozi_status_remedy(status));
    return problem->exit_code;
}

/* Opens this process's own client, and waits for the common beginning. */
static int begin(struct bench *bench, const char *who)
{
    const struct baozi_options options = {
        .size = sizeof options,
        .url = bench->settings->common.url,
        .window = (uint32_t)bench->settings->window,
        .program = bench->cli->name,
        .interrupted = interrupted,
    };
    bench->cli->client = NULL;
    enum baozi_status status = baozi_open(&options, &bench->cli->client);
    if (status == BAOZI_OK)
        status = baozi_connect(bench->cli->client, READY_MS);
    if (status != BAOZI_OK)
        return fail(bench, who, status);
    __atomic_store_n(&side->ready, true, __ATOMIC_RELEASE);
    return BAO_EXIT_OK;
}

static int await_go(struct bench *bench)
{
    struct timespec pause = {.tv_nsec = 200000};
    while (__atomic_load_n(&bench->shared->go, __ATOMIC_ACQUIRE) == 0) {
        if (cli_signal() != 0)
            return BAO_EXIT_SIGNAL + cli_signal();
        (void)nanosleep(&pause, NULL);
    }
    side->begin_us = bench->shared->begin_us;
    return BAO_EXIT_OK;
}

/* One writer; the parent reads it for the progress line. */
static void count_up(uint64_t *counter) /* NOLINT(*-non-const-parameter) */
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* --- producer --- */

/* The context is the time at which the put was meant to begin. */
static void answered(void *context,
                     enum baozi_status status,
                     const struct baozi_receipt *receipt)
{
    uint64_t now_us = bao_time_monotonic_us();
    uint64_t start_us = (uint64_t)(uintptr_t)context;
    (void)receipt;
    if (status != BAOZI_OK) {
        side->status = side->failed == 0 ? status : side->status;
        side->failed++;
        return;
    }
    bao_histogram_record(&side->latency, now_us - start_us);
    side->end_us = now_us;
    count_up(&side->count);
}

/*
 * Open loop: between two puts nobody would look for answers, and they would be
 * seen late. This thread does, while anything is unconfirmed.
 */
static void *confirm(void *context)
{
    const struct bench *bench = context;
    enum baozi_status status = BAOZI_OK;
    while (status == BAOZI_OK) {
        if (sem_wait(&confirm_wanted) == 0)
            status = baozi_flush(bench->cli->client, BAOZI_FOREVER);
    }
    return NULL;
}

static bool confirm_start(struct bench *bench)
{
    pthread_t thread;
    if (sem_init(&confirm_wanted, 0, 0) != 0 ||
        pthread_create(&thread, NULL, confirm, bench) != 0)
        return false;
    (void)pthread_detach(thread); /* it ends with the process */
    return true;
}

/* When put number `i` of this producer is meant to begin, at the set rate:
 * the producers take turns. */
static uint64_t
intended_us(const struct bench *bench, uint32_t number, uint64_t i)
{
    const struct bench_settings *settings = bench->settings;
    double place = (double)i * (double)settings->producers + number;
    return side->begin_us + (uint64_t)(place * 1e6 / (double)settings->rate);
}

static void sleep_until(uint64_t until_us)
{
    struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                             .tv_nsec = (long)(until_us % 1000000) * 1000};
    while (cli_signal() == 0 &&
           clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL) != 0)
        continue;
}

/* Waits for the time of the next put, and says it. */
static uint64_t next_start_us(const struct bench *bench, uint32_t number)
{
    uint64_t now_us = bao_time_monotonic_us();
    if (bench->settings->rate == 0)
        return now_us;
    uint64_t start_us = intended_us(bench, number, side->put);
    if (start_us > now_us)
        sleep_until(start_us);
    else if (now_us - start_us > 1000)
        side->late++;
    return start_us;
}

/* How many items this producer puts at most. */
static uint64_t share(const struct bench *bench, uint32_t number)
{
    uint64_t producers = bench->settings->producers;
    uint64_t count = bench->settings->count;
    return count == 0 ? bench->each
                      : count / producers + (number < count % producers);
}

static bool
is_over(const struct bench *bench, uint32_t number, uint64_t start_us)
{
    const struct bench_settings *settings = bench->settings;
    return side->put == share(bench, number) || cli_signal() != 0 ||
           (settings->duration_ms > 0 &&
            start_us >= side->begin_us + settings->duration_ms * 1000);
}

static enum baozi_status
put_all(struct bench *bench, uint32_t number, uint8_t *data)
{
    size_t bytes = (size_t)bench->settings->item_bytes;
    bool open_loop = bench->settings->rate > 0;
    enum baozi_status status = BAOZI_OK;
    uint64_t start_us = next_start_us(bench, number);
    while (status == BAOZI_OK && !is_over(bench, number, start_us)) {
        struct bench_item item = {
            .producer = number, .sequence = side->put, .start_us = start_us};
        bench_item_write(&item, data, bytes);
        count_up(&side->put);
        status = baozi_put_async(bench->cli->client,
                                 bench->queue,
                                 data,
                                 bytes,
                                 NULL,
                                 BAOZI_FOREVER,
                                 answered,
                                 (void *)(uintptr_t)start_us);
        if (open_loop)
            (void)sem_post(&confirm_wanted);
        start_us = next_start_us(bench, number);
    }
    if (status == BAOZI_OK && cli_signal() != 0)
        status = BAOZI_INTERRUPTED;
    return status == BAOZI_OK ? baozi_flush(bench->cli->client, BAOZI_FOREVER)
                              : status;
}

int bench_producer(struct bench *bench, uint32_t number)
{
    side = &bench->shared->sides[number];
    int exit_code = begin(bench, "a producer cannot begin");
    if (exit_code == BAO_EXIT_OK)
        exit_code = await_go(bench);
    if (exit_code != BAO_EXIT_OK)
        return exit_code;
    uint8_t *data = malloc((size_t)bench->settings->item_bytes);
    if (data == NULL || (bench->settings->rate > 0 && !confirm_start(bench))) {
        free(data);
        return fail(bench, "a producer cannot begin", BAOZI_NO_MEMORY);
    }
    enum baozi_status status = put_all(bench, number, data);
    free(data);
    if (status == BAOZI_OK && side->failed > 0)
        status = side->status;
    return status == BAOZI_OK ? BAO_EXIT_OK
                              : fail(bench, "a producer failed", status);
}

/* --- consumer --- */

static void look_at(const struct bench *bench, const struct baozi_item *taken)
{
    struct bench_item item;
    uint64_t now_us = bao_time_monotonic_us();
    if (taken->bytes != bench->settings->item_bytes ||
        !bench_item_read(&item, taken->payload, taken->bytes)) {
        side->altered++;
        return;
    }
    switch (bench_seen_note(&bench->shared->seen, &item)) {
    case BENCH_SIGHT_NEW: break;
    case BENCH_SIGHT_AGAIN: side->doubled++; break;
    case BENCH_SIGHT_STRANGE: side->altered++; break;
    }
    bao_histogram_record(&side->latency,
                         now_us > item.start_us ? now_us - item.start_us : 0);
    side->end_us = now_us;
}

static enum baozi_status take_all(struct bench *bench)
{
    struct baozi_subscription *subscription = NULL;
    struct baozi_item item;
    struct baozi *client = bench->cli->client;
    enum baozi_status status =
        baozi_subscribe(client,
                        bench->queue,
                        (uint32_t)bench->settings->window,
                        0,
                        NULL,
                        &subscription);
    if (status != BAOZI_OK)
        return status;
    for (;;) {
        status = baozi_next(subscription, BAOZI_FOREVER, &item);
        if (status != BAOZI_OK)
            break;
        look_at(bench, &item);
        status = baozi_done_async(client, &item);
        if (status != BAOZI_OK)
            break;
        count_up(&side->count);
    }
    if (status == BAOZI_SHUTDOWN)
        status = baozi_flush(client, BAOZI_FOREVER);
    enum baozi_status ended = baozi_unsubscribe(subscription);
    return status == BAOZI_OK ? ended : status;
}

int bench_consumer(struct bench *bench, uint32_t number)
{
    uint32_t producers = (uint32_t)bench->settings->producers;
    side = &bench->shared->sides[producers + number];
    int exit_code = begin(bench, "a consumer cannot begin");
    if (exit_code == BAO_EXIT_OK)
        exit_code = await_go(bench);
    if (exit_code != BAO_EXIT_OK)
        return exit_code;
    enum baozi_status status = take_all(bench);
    return status == BAOZI_OK ? BAO_EXIT_OK
                              : fail(bench, "a consumer failed", status);
}
