/*
 * crew.h - the supervisor: one client, one subscription, N slots.
 *
 * Each slot is a thread with one child at a time. It takes an item, hands it
 * to its child, waits for the answer, and settles; so a slot's life reads
 * from top to bottom and no child can delay another. The main thread hears
 * signals and the spawner, and decides when all this ends:
 *
 *     RUNNING --signal, or no more work--> DRAINING --grace over--> LEAVING
 *              takes items                  finishes          kills, releases
 *
 * Lock order: there is one lock. It is never held while a call can wait for
 * the broker or a child.
 */
#ifndef BAO_WORKER_CREW_H
#define BAO_WORKER_CREW_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "common/baozi.h"
#include "common/log.h"
#include "worker/settings.h"
#include "worker/spawner.h"
#include "worker/talk.h"

enum bao_phase { BAO_PHASE_RUNNING, BAO_PHASE_DRAINING, BAO_PHASE_LEAVING };

/* Why a slot stopped waiting for its child. */
enum bao_stop {
    BAO_STOP_NONE,
    BAO_STOP_TIMEOUT, /* --timeout */
    BAO_STOP_CANCEL,  /* somebody asked to cancel the item */
    BAO_STOP_PHASE    /* the grace is over, or no child is needed */
};

struct bao_slot {
    struct bao_crew *crew;
    uint32_t number;
    pthread_t thread;
    struct bao_channel channel; /* to the child; fd -1: there is none */
    uint64_t tasks;             /* that this child has done */
    unsigned failures;          /* starts in a row that went wrong */

    /* while the child works */
    const struct baozi_item *item; /* NULL = none */
    uint64_t deadline_us;          /* 0 = none */
    enum bao_stop stop;

    /* under the lock, written by the main thread */
    bool asked; /* a child was asked for and has not ended */
    pid_t pid;  /* 0 = not known yet */
    int status; /* of waitpid(), once it ended; -1 = lost with the spawner */
};

struct bao_totals {
    uint64_t done, retried, released, rejected;
    uint64_t lost;     /* settles that came too late or did not arrive */
    uint64_t replaced; /* children */
};

struct bao_crew {
    const struct bao_worker_settings *settings;
    char *const *argv;
    struct baozi *client;
    struct bao_slot *slots;
    size_t slot_count;

    _Atomic bool working; /* the beginning is over */
    _Atomic int phase;    /* enum bao_phase */
    int drain_fd;         /* readable from DRAINING on; never read */
    int leave_fd;         /* readable from LEAVING on; never read */
    int event_fd;         /* tells the main thread to look */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct bao_spawner spawner;
    struct baozi_subscription *subscription; /* of who has the turn */
    bool turn;                               /* somebody is taking an item */
    bool away;                               /* the broker does not answer */
    bool gone;                               /* the queue is not there */
    bool begun;                              /* some child was READY once */
    size_t slots_left;                       /* threads that still run */
    bool left_behind;                        /* some threads never ended */
    bool drain_wanted; /* by a slot: the queue is empty or shut down */
    int exit_code;     /* of a fault; 0 = none */
    struct bao_totals totals;
};

/* One log line; may be called by any thread. */
#define BAO_CREW_LOG(crew, level, ...)                            \
    do {                                                          \
        (void)pthread_mutex_lock(&(crew)->lock);                  \
        if ((level) == BAO_LOG_ERROR || !(crew)->settings->quiet) \
            BAO_LOG((level), __VA_ARGS__);                        \
        (void)pthread_mutex_unlock(&(crew)->lock);                \
    } while (0)

/* --- crew.c --- */

/* Signals that came so far; written by their handler. */
struct bao_worker_signals {
    int fd; /* an eventfd, written with each one */
    volatile sig_atomic_t count;
    volatile sig_atomic_t last;
};

/*
 * Works until the work is over, a signal says so, or nothing can work. The
 * client is open, the queue declared; settings, client and argv are set in
 * `crew`, the rest is zero. Children, items and threads are gone when it
 * returns the exit code; the client is still open.
 */
int bao_crew_run(struct bao_crew *crew,
                 const struct bao_worker_signals *signals);

/* Asks the main thread to drain; `exit_code` 0 = nothing is wrong. */
void bao_crew_want_drain(struct bao_crew *crew, int exit_code);

/* Tells the main thread that something changed. */
void bao_crew_wake(struct bao_crew *crew);

static inline enum bao_phase bao_crew_phase(const struct bao_crew *crew)
{
    return (enum bao_phase)atomic_load(&crew->phase);
}

/* --- take.c --- */

/*
 * Takes the next item for `slot`, in turn with the others; waits until there
 * is one. False: the phase is over or the slot's child ended.
 */
bool bao_crew_take(struct bao_slot *slot, struct baozi_item *item);

/* Ends the subscription, once nobody takes any more: what was pushed ahead
 * goes back uncounted. */
void bao_crew_stop_taking(struct bao_crew *crew);

/* --- child.c --- */

/* Starts a child for the slot and waits until it is READY. False: it did not
 * begin (said, waited a while) or the phase is over. */
bool bao_child_start(struct bao_slot *slot);
/* Whether the slot's child is there. */
bool bao_child_is_there(struct bao_slot *slot);
/* Kills the child with all it started, and waits until it is gone; returns
 * its status. */
int bao_child_kill(struct bao_slot *slot);
/* Lets the child end in peace. */
void bao_child_retire(struct bao_slot *slot);
/* Waits until the child is gone; its status. */
int bao_child_wait(struct bao_slot *slot);
/* "was killed by SIGSEGV", "exited with 3". */
void bao_status_text(int status, char *text, size_t bytes);

/* --- slot.c --- */

void *bao_slot_main(void *context); /* the slot */

#endif
