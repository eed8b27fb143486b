/*
 * child.c - a slot's child: started, watched, killed, let go.
 *
 * The spawner forks and reaps; its messages reach the slot through the main
 * thread, which writes `pid`, `asked` and `status` under the lock and wakes
 * who waits.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"
#include "worker/crew.h"

#define TICK_MS        200  /* how often a busy slot looks for a cancel */
#define RETIRE_MS      5000 /* for fini() of a plugin */
#define BACKOFF_MS     100  /* after a child that did not begin, doubled */
#define BACKOFF_CAP_MS 10000
#define TRIES_MAX      3 /* before any child ever began */

void bao_status_text(int status, char *text, size_t bytes)
{
    if (status == -1)
        (void)snprintf(text, bytes, "was lost with its spawner");
    else if (WIFSIGNALED(status))
        (void)snprintf(text,
                       bytes,
                       "was killed by SIG%s",
                       sigabbrev_np(WTERMSIG(status)) == NULL
                           ? "?"
                           : sigabbrev_np(WTERMSIG(status)));
    else
        (void)snprintf(text, bytes, "exited with %d", WEXITSTATUS(status));
}

/* The channel's wait: for the child, the deadline, a cancel, the phase. */
static int slot_wait(void *context, int fd, short events)
{
    struct bao_slot *slot = context;
    struct bao_crew *crew = slot->crew;
    int end_fd = slot->item == NULL ? crew->drain_fd : crew->leave_fd;
    for (;;) {
        struct pollfd polled[2] = {{.fd = fd, .events = events},
                                   {.fd = end_fd, .events = POLLIN}};
        uint64_t now_us = bao_time_monotonic_us();
        int wait_ms = slot->item == NULL ? -1 : TICK_MS;
        if (slot->deadline_us != 0) {
            uint64_t left_ms = now_us >= slot->deadline_us
                                   ? 0
                                   : (slot->deadline_us - now_us) / 1000 + 1;
            if (left_ms < TICK_MS)
                wait_ms = (int)left_ms;
        }
        (void)poll(polled, 2, wait_ms);
        if (polled[0].revents != 0)
            return 0;
        if (polled[1].revents != 0)
            slot->stop = BAO_STOP_PHASE;
        else if (slot->deadline_us != 0 &&
                 bao_time_monotonic_us() >= slot->deadline_us)
            slot->stop = BAO_STOP_TIMEOUT;
        else if (slot->item != NULL && baozi_item_cancel_asked(slot->item))
            slot->stop = BAO_STOP_CANCEL;
        if (slot->stop != BAO_STOP_NONE)
            return 1;
    }
}

/* Waits while `waiting` of the slot is so; at most until_us (0: for ever).
 * The lock is held. */
static void wait_changed(struct bao_slot *slot, uint64_t until_us)
{
    struct bao_crew *crew = slot->crew;
    if (until_us == 0) {
        (void)pthread_cond_wait(&crew->changed, &crew->lock);
        return;
    }
    uint64_t now_us = bao_time_monotonic_us();
    uint64_t left_us = until_us > now_us ? until_us - now_us : 0;
    struct timespec at;
    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    uint64_t at_ns = (uint64_t)at.tv_nsec + left_us % 1000000 * 1000;
    at.tv_sec += (time_t)(left_us / 1000000 + at_ns / 1000000000);
    at.tv_nsec = (long)(at_ns % 1000000000);
    (void)pthread_cond_timedwait(&crew->changed, &crew->lock, &at);
}

bool bao_child_is_there(struct bao_slot *slot)
{
    (void)pthread_mutex_lock(&slot->crew->lock);
    bool there = slot->asked && slot->channel.fd >= 0;
    (void)pthread_mutex_unlock(&slot->crew->lock);
    return there;
}

/* Closes our end under the lock: the main thread may be looking at it. */
static void close_channel(struct bao_slot *slot)
{
    (void)pthread_mutex_lock(&slot->crew->lock);
    bao_channel_close(&slot->channel);
    (void)pthread_mutex_unlock(&slot->crew->lock);
}

int bao_child_wait(struct bao_slot *slot)
{
    (void)pthread_mutex_lock(&slot->crew->lock);
    while (slot->asked)
        wait_changed(slot, 0);
    int status = slot->status;
    (void)pthread_mutex_unlock(&slot->crew->lock);
    close_channel(slot);
    return status;
}

int bao_child_kill(struct bao_slot *slot)
{
    struct bao_crew *crew = slot->crew;
    (void)pthread_mutex_lock(&crew->lock);
    while (slot->asked && slot->pid == 0)
        wait_changed(slot, 0);
    if (slot->asked)
        (void)bao_spawner_ask_kill(&crew->spawner, slot->number, slot->pid);
    (void)pthread_mutex_unlock(&crew->lock);
    return bao_child_wait(slot);
}

void bao_child_retire(struct bao_slot *slot)
{
    struct bao_crew *crew = slot->crew;
    uint64_t until_us = bao_time_monotonic_us() + RETIRE_MS * 1000u;
    close_channel(slot); /* the child sees the end and ends */
    (void)pthread_mutex_lock(&crew->lock);
    while (slot->asked && bao_time_monotonic_us() < until_us &&
           bao_crew_phase(crew) != BAO_PHASE_LEAVING)
        wait_changed(slot, until_us);
    (void)pthread_mutex_unlock(&crew->lock);
    (void)bao_child_kill(slot); /* if it is still there */
}

/* Asks the spawner; false if the phase is over or it cannot be asked. */
static bool ask(struct bao_slot *slot)
{
    struct bao_crew *crew = slot->crew;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return false;
    (void)pthread_mutex_lock(&crew->lock);
    while (crew->spawner.fd < 0 && bao_crew_phase(crew) == BAO_PHASE_RUNNING)
        wait_changed(slot, 0);
    bool good = bao_crew_phase(crew) == BAO_PHASE_RUNNING;
    if (good) {
        bao_channel_init(&slot->channel, pair[0]);
        slot->channel.wait = slot_wait;
        slot->channel.context = slot;
        slot->pid = 0;
        slot->tasks = 0;
        slot->asked =
            bao_spawner_ask_start(&crew->spawner, slot->number, pair[1]);
        good = slot->asked;
        if (!good)
            bao_channel_close(&slot->channel);
    } else {
        (void)close(pair[0]);
    }
    (void)pthread_mutex_unlock(&crew->lock);
    (void)close(pair[1]);
    return good;
}

/* A child did not begin: says so, and waits before the next try; nobody ever
 * began: the worker cannot work, so it ends. */
static void did_not_begin(struct bao_slot *slot, bool unfit, const char *why)
{
    struct bao_crew *crew = slot->crew;
    slot->failures++;
    (void)pthread_mutex_lock(&crew->lock);
    bool fatal = !crew->begun && (unfit || slot->failures >= TRIES_MAX);
    bool first = fatal && crew->exit_code == 0;
    if (first)
        crew->exit_code = bao_complain(
            bao_worker_program.name,
            BAO_EXIT_CONFIGURATION,
            "no child can begin to work",
            why,
            "mend what the reason names, then start the worker again");
    (void)pthread_mutex_unlock(&crew->lock);
    if (fatal) {
        bao_crew_want_drain(crew, BAO_EXIT_CONFIGURATION);
        return;
    }
    BAO_CREW_LOG(crew,
                 BAO_LOG_ERROR,
                 bao_event("child_unfit"),
                 bao_number("slot", slot->number),
                 bao_text("why", why));
    int wait_ms = BACKOFF_CAP_MS;
    if (slot->failures < 7)
        wait_ms = BACKOFF_MS << slot->failures;
    struct pollfd polled = {.fd = crew->drain_fd, .events = POLLIN};
    (void)poll(&polled, 1, wait_ms);
}

bool bao_child_start(struct bao_slot *slot)
{
    struct bao_answer answer;
    char why[256] = "the child ";
    if (!ask(slot)) {
        if (bao_crew_phase(slot->crew) == BAO_PHASE_RUNNING)
            did_not_begin(slot, false, strerror(errno));
        return false;
    }
    slot->stop = BAO_STOP_NONE;
    slot->deadline_us = 0;
    enum bao_talk talk = bao_talk_read_answer(&slot->channel, &answer);
    if (talk == BAO_TALK_OK && answer.outcome == BAO_OUTCOME_READY) {
        slot->failures = 0;
        (void)pthread_mutex_lock(&slot->crew->lock);
        slot->crew->begun = true;
        (void)pthread_mutex_unlock(&slot->crew->lock);
        return true;
    }
    bool unfit = talk == BAO_TALK_OK && answer.outcome == BAO_OUTCOME_UNFIT;
    int status = unfit || talk == BAO_TALK_ENDED ? bao_child_wait(slot)
                                                 : bao_child_kill(slot);
    if (slot->stop == BAO_STOP_PHASE)
        return false;
    size_t used = strlen(why);
    bao_status_text(status, why + used, sizeof why - used);
    did_not_begin(slot, unfit, unfit ? answer.error : why);
    return false;
}
