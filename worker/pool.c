/*
 * pool.c - the main thread: hears signals and the spawner, starts the slots,
 * ends the phases.
 *
 * The first signal begins the drain, the second ends it: children are killed
 * and their items released. A third one ends the program as it stands
 * (main.c); the spawner then kills the children.
 */
#include "worker/pool.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"
#include "worker/reap.h"

#define SPAWN_AGAIN_MS 500
#define LEAVING_MS     10000 /* then whoever still waits is left alone */
#define HURRIED_MS     1500  /* the same after a second signal */

/* What the main thread alone knows. */
struct conductor {
    struct bao_pool *pool;
    const struct bao_signals *signals;
    int signals_seen;
    int exit_code;
    uint64_t phase_ends_us; /* of DRAINING and LEAVING */
    uint64_t spawn_at_us;   /* 0: a spawner runs */
};

void bao_pool_wake(struct bao_pool *pool)
{
    uint64_t one = 1;
    ssize_t written = write(pool->event_fd, &one, sizeof one);
    (void)written; /* full means that it is readable already */
}

void bao_pool_want_drain(struct bao_pool *pool, int exit_code)
{
    (void)pthread_mutex_lock(&pool->lock);
    pool->drain_wanted = true;
    if (pool->exit_code == 0)
        pool->exit_code = exit_code;
    (void)pthread_mutex_unlock(&pool->lock);
    bao_pool_wake(pool);
}

static void
enter(struct conductor *conductor, enum bao_phase phase, uint64_t lasts_ms)
{
    struct bao_pool *pool = conductor->pool;
    uint64_t one = 1;
    conductor->phase_ends_us = bao_time_monotonic_us() + lasts_ms * 1000;
    (void)pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->phase, phase);
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    if (write(pool->drain_fd, &one, sizeof one) < 0 ||
        (phase == BAO_PHASE_LEAVING &&
         write(pool->leave_fd, &one, sizeof one) < 0))
        BAO_POOL_LOG(pool,
                     BAO_LOG_ERROR,
                     bao_event("phase"),
                     bao_text("why", strerror(errno)));
}

/* A child ended: its slot learns how. The lock is held. */
static void child_ended(struct bao_slot *slot, int status)
{
    slot->asked = false;
    slot->status = status;
    /* a grandchild may hold the other end open: the slot must not wait */
    if (slot->channel.fd >= 0)
        (void)shutdown(slot->channel.fd, SHUT_RDWR);
}

/* The spawner died, and with it the children: clears up, starts another. */
static void spawner_lost(struct conductor *conductor)
{
    struct bao_pool *pool = conductor->pool;
    struct bao_spawner gone;
    (void)pthread_mutex_lock(&pool->lock);
    gone = pool->spawner;
    pool->spawner.fd = -1;
    (void)pthread_mutex_unlock(&pool->lock);
    bao_spawner_end(&gone);
    (void)pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < pool->slot_count; i++) {
        if (pool->slots[i].asked)
            child_ended(&pool->slots[i], -1);
    }
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    BAO_POOL_LOG(pool,
                 BAO_LOG_ERROR,
                 bao_event("spawner_lost"),
                 bao_number("pid", (uint64_t)gone.pid));
    conductor->spawn_at_us = bao_time_monotonic_us() + SPAWN_AGAIN_MS * 1000;
}

static bool spawn(struct conductor *conductor)
{
    struct bao_pool *pool = conductor->pool;
    struct bao_spawner spawner;
    bool good = bao_spawner_start(&spawner, pool->argv);
    conductor->spawn_at_us =
        good ? 0 : bao_time_monotonic_us() + SPAWN_AGAIN_MS * 1000;
    (void)pthread_mutex_lock(&pool->lock);
    pool->spawner = spawner;
    (void)pthread_cond_broadcast(&pool->changed);
    (void)pthread_mutex_unlock(&pool->lock);
    return good;
}

static void hear_spawner(struct conductor *conductor)
{
    struct bao_pool *pool = conductor->pool;
    struct bao_spawn_message message;
    int heard;
    while ((heard = bao_spawner_hear(&pool->spawner, &message)) > 0) {
        if (message.slot >= pool->slot_count)
            continue;
        struct bao_slot *slot = &pool->slots[message.slot];
        (void)pthread_mutex_lock(&pool->lock);
        if (message.verb == BAO_SPAWN_STARTED)
            slot->pid = message.pid;
        else if (message.verb == BAO_SPAWN_ENDED && message.pid == 0)
            child_ended(slot, -1);
        else if (message.verb == BAO_SPAWN_ENDED && message.pid == slot->pid)
            child_ended(slot, message.status);
        (void)pthread_cond_broadcast(&pool->changed);
        (void)pthread_mutex_unlock(&pool->lock);
    }
    if (heard < 0)
        spawner_lost(conductor);
}

static void log_phase(struct bao_pool *pool, const char *event, const char *why)
{
    BAO_POOL_LOG(pool, BAO_LOG_INFO, bao_event(event), bao_text("why", why));
}

/* Moves on to the next phase if a signal, a slot or the time says so. */
static void look_at_phase(struct conductor *conductor)
{
    struct bao_pool *pool = conductor->pool;
    int signals = conductor->signals->count;
    bool new_signal = signals != conductor->signals_seen;
    conductor->signals_seen = signals;
    (void)pthread_mutex_lock(&pool->lock);
    bool wanted = pool->drain_wanted;
    (void)pthread_mutex_unlock(&pool->lock);

    int last = conductor->signals->last;
    if (new_signal && (signals > 1 || last != SIGTERM))
        conductor->exit_code = BAO_EXIT_SIGNAL + last;
    enum bao_phase phase = bao_pool_phase(pool);
    if (phase == BAO_PHASE_RUNNING && (signals > 0 || wanted)) {
        log_phase(pool, "drain", signals > 0 ? strsignal(last) : "it is over");
        enter(conductor, BAO_PHASE_DRAINING, pool->settings->grace_ms);
        phase = BAO_PHASE_DRAINING;
    }
    bool over = conductor->phase_ends_us != 0 &&
                bao_time_monotonic_us() >= conductor->phase_ends_us;
    if (phase == BAO_PHASE_DRAINING && (signals > 1 || over)) {
        log_phase(pool, "leave", over ? "the grace is over" : "told again");
        enter(conductor,
              BAO_PHASE_LEAVING,
              signals > 1 ? HURRIED_MS : LEAVING_MS);
    } else if (phase == BAO_PHASE_LEAVING && new_signal && signals > 1) {
        enter(conductor, BAO_PHASE_LEAVING, HURRIED_MS);
    }
}

/* How long poll may wait. */
static int wait_ms(const struct conductor *conductor)
{
    uint64_t until_us = conductor->phase_ends_us;
    if (conductor->spawn_at_us != 0 &&
        (until_us == 0 || conductor->spawn_at_us < until_us))
        until_us = conductor->spawn_at_us;
    if (until_us == 0)
        return -1;
    uint64_t now_us = bao_time_monotonic_us();
    if (until_us <= now_us)
        return 0;
    uint64_t left_ms = (until_us - now_us) / 1000 + 1;
    return left_ms > 60000 ? 60000 : (int)left_ms;
}

/* Until all slots ended; false if some would not in time. */
static bool conduct(struct conductor *conductor)
{
    struct bao_pool *pool = conductor->pool;
    for (;;) {
        struct pollfd polled[3] = {
            {.fd = pool->event_fd, .events = POLLIN},
            {.fd = conductor->signals->fd, .events = POLLIN},
            {.fd = pool->spawner.fd, .events = POLLIN}, /* -1: left out */
        };
        uint64_t count;
        (void)poll(polled, 3, wait_ms(conductor));
        for (int i = 0; i < 2; i++) {
            if (polled[i].revents != 0 &&
                read(polled[i].fd, &count, sizeof count) < 0)
                break; /* somebody was faster: as good as read */
        }
        if (polled[2].revents != 0)
            hear_spawner(conductor);
        look_at_phase(conductor);
        enum bao_phase phase = bao_pool_phase(pool);
        if (conductor->spawn_at_us != 0 &&
            bao_time_monotonic_us() >= conductor->spawn_at_us)
            (void)spawn(conductor);
        (void)pthread_mutex_lock(&pool->lock);
        size_t left = pool->slots_left;
        (void)pthread_mutex_unlock(&pool->lock);
        if (left == 0)
            return true;
        if (phase == BAO_PHASE_LEAVING &&
            bao_time_monotonic_us() >= conductor->phase_ends_us)
            return false;
    }
}

/* Makes what the threads share. False: errno tells. */
static bool open_pool(struct bao_pool *pool)
{
    pthread_condattr_t monotonic;
    pool->slot_count = (size_t)pool->settings->children;
    pool->spawner.fd = -1;
    pool->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->leave_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->slots = calloc(pool->slot_count, sizeof *pool->slots);
    if (pool->slots == NULL || pool->drain_fd < 0 || pool->leave_fd < 0 ||
        pool->event_fd < 0)
        return false;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&pool->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return true;
}

/* Starts the slots' threads with all signals blocked: they are for the main
 * thread. Returns how many run. */
static size_t start_slots(struct bao_pool *pool)
{
    sigset_t all;
    sigset_t before;
    size_t started = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < pool->slot_count; started++) {
        struct bao_slot *slot = &pool->slots[started];
        slot->pool = pool;
        slot->number = (uint32_t)started;
        bao_channel_init(&slot->channel, -1);
        int fault = pthread_create(&slot->thread, NULL, bao_slot_main, slot);
        if (fault != 0) {
            errno = fault;
            break;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

int bao_pool_run(struct bao_pool *pool, const struct bao_signals *signals)
{
    struct conductor conductor = {.pool = pool, .signals = signals};
    bao_reap_adopt();
    if (!open_pool(pool) || !spawn(&conductor))
        return bao_complain_errno(bao_worker_program.name,
                                  BAO_EXIT_IO,
                                  "the pool cannot be started",
                                  errno);
    /* slots count themselves out under the lock: none is missed */
    (void)pthread_mutex_lock(&pool->lock);
    size_t started = start_slots(pool);
    pool->slots_left = started;
    (void)pthread_mutex_unlock(&pool->lock);
    if (started < pool->slot_count) {
        conductor.exit_code =
            bao_complain_errno(bao_worker_program.name,
                               BAO_EXIT_IO,
                               "a child's thread cannot be started",
                               errno);
        bao_pool_want_drain(pool, conductor.exit_code);
    }
    BAO_POOL_LOG(pool,
                 BAO_LOG_INFO,
                 bao_event("ready"),
                 bao_text("queue", pool->settings->queue),
                 bao_text("url", baozi_url(pool->client)),
                 bao_number("children", started));
    bool clean = conduct(&conductor);
    bao_spawner_end(&pool->spawner);
    for (size_t i = 0; clean && i < started; i++)
        (void)pthread_join(pool->slots[i].thread, NULL);
    if (clean && pool->subscription != NULL)
        (void)baozi_unsubscribe(pool->subscription);
    /* threads that wait for the broker still use the pool: nothing is freed */
    if (pool->exit_code != 0)
        return pool->exit_code;
    if (!clean && conductor.exit_code == 0)
        return BAO_EXIT_UNREACHABLE;
    return conductor.exit_code;
}
