/*
 * crew.c - the main thread: hears signals and the spawner, starts the slots,
 * ends the phases.
 *
 * The first signal begins the drain, the second ends it: children are killed
 * and their items released. A third one ends the program as it stands
 * (main.c); the spawner then kills the children.
 */
#include "worker/crew.h"

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
    struct bao_crew *crew;
    const struct bao_worker_signals *signals;
    int signals_seen;
    int exit_code;
    uint64_t phase_ends_us; /* of DRAINING and LEAVING */
    uint64_t spawn_at_us;   /* 0: a spawner runs */
};

void bao_crew_wake(struct bao_crew *crew)
{
    uint64_t one = 1;
    ssize_t written = write(crew->event_fd, &one, sizeof one);
    (void)written; /* full means that it is readable already */
}

void bao_crew_want_drain(struct bao_crew *crew, int exit_code)
{
    (void)pthread_mutex_lock(&crew->lock);
    crew->drain_wanted = true;
    if (crew->exit_code == 0)
        crew->exit_code = exit_code;
    (void)pthread_mutex_unlock(&crew->lock);
    bao_crew_wake(crew);
}

static void
enter(struct conductor *conductor, enum bao_phase phase, uint64_t lasts_ms)
{
    struct bao_crew *crew = conductor->crew;
    uint64_t one = 1;
    conductor->phase_ends_us = bao_time_monotonic_us() + lasts_ms * 1000;
    (void)pthread_mutex_lock(&crew->lock);
    atomic_store(&crew->phase, phase);
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
    if (write(crew->drain_fd, &one, sizeof one) < 0 ||
        (phase == BAO_PHASE_LEAVING &&
         write(crew->leave_fd, &one, sizeof one) < 0))
        BAO_CREW_LOG(crew,
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
    struct bao_crew *crew = conductor->crew;
    struct bao_spawner gone;
    (void)pthread_mutex_lock(&crew->lock);
    gone = crew->spawner;
    crew->spawner.fd = -1;
    (void)pthread_mutex_unlock(&crew->lock);
    pid_t pid = gone.pid;
    bao_spawner_end(&gone);
    (void)pthread_mutex_lock(&crew->lock);
    for (size_t i = 0; i < crew->slot_count; i++) {
        if (crew->slots[i].asked)
            child_ended(&crew->slots[i], -1);
    }
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
    BAO_CREW_LOG(crew,
                 BAO_LOG_ERROR,
                 bao_event("spawner_lost"),
                 bao_number("pid", (uint64_t)pid));
    conductor->spawn_at_us = bao_time_monotonic_us() + SPAWN_AGAIN_MS * 1000;
}

static bool spawn(struct conductor *conductor)
{
    struct bao_crew *crew = conductor->crew;
    struct bao_spawner spawner;
    bool good = bao_spawner_start(&spawner, crew->argv);
    conductor->spawn_at_us =
        good ? 0 : bao_time_monotonic_us() + SPAWN_AGAIN_MS * 1000;
    (void)pthread_mutex_lock(&crew->lock);
    crew->spawner = spawner;
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
    return good;
}

static void hear_spawner(struct conductor *conductor)
{
    struct bao_crew *crew = conductor->crew;
    struct bao_spawn_message message;
    int heard;
    while ((heard = bao_spawner_hear(&crew->spawner, &message)) > 0) {
        if (message.slot >= crew->slot_count)
            continue;
        struct bao_slot *slot = &crew->slots[message.slot];
        (void)pthread_mutex_lock(&crew->lock);
        if (message.verb == BAO_SPAWN_STARTED)
            slot->pid = message.pid;
        else if (message.verb == BAO_SPAWN_ENDED && message.pid == 0)
            child_ended(slot, -1);
        else if (message.verb == BAO_SPAWN_ENDED && message.pid == slot->pid)
            child_ended(slot, message.status);
        (void)pthread_cond_broadcast(&crew->changed);
        (void)pthread_mutex_unlock(&crew->lock);
    }
    if (heard < 0)
        spawner_lost(conductor);
}

static void log_phase(struct bao_crew *crew, const char *event, const char *why)
{
    BAO_CREW_LOG(crew, BAO_LOG_INFO, bao_event(event), bao_text("why", why));
}

/* Moves on to the next phase if a signal, a slot or the time says so. */
static void look_at_phase(struct conductor *conductor)
{
    struct bao_crew *crew = conductor->crew;
    int signals = conductor->signals->count;
    bool new_signal = signals != conductor->signals_seen;
    conductor->signals_seen = signals;
    (void)pthread_mutex_lock(&crew->lock);
    bool wanted = crew->drain_wanted;
    (void)pthread_mutex_unlock(&crew->lock);

    int last = conductor->signals->last;
    if (new_signal && (signals > 1 || last != SIGTERM))
        conductor->exit_code = BAO_EXIT_SIGNAL + last;
    enum bao_phase phase = bao_crew_phase(crew);
    if (phase == BAO_PHASE_RUNNING && (signals > 0 || wanted)) {
        log_phase(
            crew, "drain", signals > 0 ? sigabbrev_np(last) : "it is over");
        enter(conductor, BAO_PHASE_DRAINING, crew->settings->grace_ms);
        phase = BAO_PHASE_DRAINING;
    }
    bool over = conductor->phase_ends_us != 0 &&
                bao_time_monotonic_us() >= conductor->phase_ends_us;
    if (phase == BAO_PHASE_DRAINING && (signals > 1 || over)) {
        log_phase(crew, "leave", over ? "the grace is over" : "told again");
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
    struct bao_crew *crew = conductor->crew;
    for (;;) {
        struct pollfd polled[3] = {
            {.fd = crew->event_fd, .events = POLLIN},
            {.fd = conductor->signals->fd, .events = POLLIN},
            {.fd = crew->spawner.fd, .events = POLLIN}, /* -1: left out */
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
        enum bao_phase phase = bao_crew_phase(crew);
        if (conductor->spawn_at_us != 0 &&
            bao_time_monotonic_us() >= conductor->spawn_at_us)
            (void)spawn(conductor);
        (void)pthread_mutex_lock(&crew->lock);
        size_t left = crew->slots_left;
        (void)pthread_mutex_unlock(&crew->lock);
        if (left == 0)
            return true;
        if (phase == BAO_PHASE_LEAVING &&
            bao_time_monotonic_us() >= conductor->phase_ends_us)
            return false;
    }
}

/* Makes what the threads share. False: errno tells. */
static bool open_crew(struct bao_crew *crew)
{
    pthread_condattr_t monotonic;
    crew->slot_count = (size_t)crew->settings->children;
    crew->spawner.fd = -1;
    crew->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    crew->leave_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    crew->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    crew->slots = calloc(crew->slot_count, sizeof *crew->slots);
    if (crew->slots == NULL || crew->drain_fd < 0 || crew->leave_fd < 0 ||
        crew->event_fd < 0)
        return false;
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&crew->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return true;
}

/* Starts the slots' threads with all signals blocked: they are for the main
 * thread. Returns how many run. */
static size_t start_slots(struct bao_crew *crew)
{
    sigset_t all;
    sigset_t before;
    size_t started = 0;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; started < crew->slot_count; started++) {
        struct bao_slot *slot = &crew->slots[started];
        slot->crew = crew;
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

int bao_crew_run(struct bao_crew *crew,
                 const struct bao_worker_signals *signals)
{
    struct conductor conductor = {.crew = crew, .signals = signals};
    bao_reap_adopt();
    if (!open_crew(crew) || !spawn(&conductor))
        return bao_complain_errno(bao_worker_program.name,
                                  BAO_EXIT_IO,
                                  "the crew cannot be started",
                                  errno);
    /* slots count themselves out under the lock: none is missed */
    (void)pthread_mutex_lock(&crew->lock);
    size_t started = start_slots(crew);
    crew->slots_left = started;
    (void)pthread_mutex_unlock(&crew->lock);
    if (started < crew->slot_count) {
        conductor.exit_code =
            bao_complain_errno(bao_worker_program.name,
                               BAO_EXIT_IO,
                               "a child's thread cannot be started",
                               errno);
        bao_crew_want_drain(crew, conductor.exit_code);
    }
    BAO_CREW_LOG(crew,
                 BAO_LOG_INFO,
                 bao_event("ready"),
                 bao_text("queue", crew->settings->queue),
                 bao_text("url", baozi_url(crew->client)),
                 bao_number("children", started));
    bool clean = conduct(&conductor);
    crew->left_behind = !clean;
    bao_spawner_end(&crew->spawner);
    for (size_t i = 0; clean && i < started; i++)
        (void)pthread_join(crew->slots[i].thread, NULL);
    /* threads that wait for the broker still use the crew: nothing is freed */
    if (crew->exit_code != 0)
        return crew->exit_code;
    if (!clean && conductor.exit_code == 0)
        return BAO_EXIT_UNREACHABLE;
    return conductor.exit_code;
}
