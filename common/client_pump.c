/*
 * client_pump.c - how any number of threads share one socket.
 *
 * Everything of the line and of the dialogue happens under the engine's lock.
 * Whoever has it, for whatever reason, pumps: takes what came, sends what may
 * go, and wakes the owner of each answer. At most one thread, the driver,
 * sleeps on the socket (poll, without the lock); other waiters sleep on a word
 * of their own (futex). So a lone caller drives the socket itself, and no
 * thread stands between it and the broker.
 *
 * Why no wake-up is lost:
 * 1. poll is level-triggered: what came and was not read ends it at once, and
 *    a pump that stops before all was read sets `dirty`.
 * 2. A thread that pumps while the driver sleeps takes the event away from
 *    it, but also does all the work of it, and wakes whom it concerns: the
 *    driver by `wake_fd` (drained only by the driver, under the lock), others
 *    by their word, which is set under the lock before the futex is woken, so
 *    a waiter that is about to sleep sees it changed.
 * 3. If there are waiters there is a driver: whoever stops being the driver,
 *    and whoever leaves while there is none, wakes one waiter, which becomes
 *    the driver, or leaves and does the same. With no waiters the background
 *    thread takes over.
 * 4. The driver sleeps no longer than the dialogue's deadline; who pumps and
 *    leaves an earlier one behind pokes it.
 * 5. Nobody sleeps while callbacks are due that nobody runs: what a waiter
 *    waits for may be among them, and is taken off the socket already.
 * 6. Sockets are cut and made under the lock; a driver that sleeps on another
 *    one, or on fewer events than the line waits for, is poked.
 *
 * The background thread drives while nobody else does. While callers come and
 * go it naps, so that it costs them nothing; a caller that stays leaves it
 * asleep and wakes it when leaving.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/client_inside.h"
#include "common/random.h"
#include "common/time.h"

#define NAP_US           10000u
#define LONG_US          3600000000u
#define PUMP_MESSAGES    64
#define PUMP_US          50u
#define CALLED_AT_ONCE   16u
#define GATHER_US        200u
#define RECONNECT_US     100000u
#define ATTEMPTS_COUNTED 3u /* then they are 0.4 to 1.2 s apart */
#define BACKGROUND_STACK (256u * 1024u)

/* --- waking ------------------------------------------------------------- */

static void poke(int fd)
{
    uint64_t one = 1;
    /* It can only fail because it is readable already. */
    ssize_t written = write(fd, &one, sizeof one);
    (void)written;
}

static void drain(int fd)
{
    uint64_t count;
    ssize_t bytes = read(fd, &count, sizeof count);
    (void)bytes;
}

static void wake_word(struct bao_waiter *waiter)
{
    atomic_store(&waiter->wake, 1);
    (void)syscall(
        SYS_futex, &waiter->wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void bao_wake(struct bao_engine *e, struct bao_waiter *waiter)
{
    if (e->driver == waiter) {
        if (e->driver_sleeps) {
            poke(waiter == &e->background_waiter ? e->background_fd
                                                 : e->wake_fd);
        }
        return;
    }
    /* One that does not sleep looks at what it waits for before it does, and
     * keeps the lock in between. */
    if (bao_link_is_listed(&waiter->link)) {
        wake_word(waiter);
    }
}

void bao_wake_all(struct bao_engine *e)
{
    for (struct bao_link *link = bao_list_first(&e->waiters); link != NULL;
         link = bao_list_next(&e->waiters, link)) {
        wake_word(BAO_OF(link, struct bao_waiter, link));
    }
    if (e->driver != NULL) {
        bao_wake(e, e->driver);
    }
}

void bao_wake_watchers(struct bao_engine *e)
{
    for (struct bao_link *link = bao_list_first(&e->watchers); link != NULL;
         link = bao_list_next(&e->watchers, link)) {
        bao_wake(e, BAO_OF(link, struct bao_waiter, watch));
    }
}

/* --- the pump ----------------------------------------------------------- */

static void cut(struct bao_engine *e, uint64_t now_us)
{
    bao_line_cut(&e->line);
    e->line_up = false;
    bao_dialogue_lost(e->dialogue, now_us);
    /* At once, unless the last one was young: then with some jitter, so that
     * a thousand clients do not come back in the same millisecond, and later
     * each time. */
    bool young = now_us - e->made_us < 10 * RECONNECT_US;
    uint64_t wait_us = RECONNECT_US << e->attempts;
    e->connect_us =
        young ? now_us + wait_us / 2 + bao_random_number() % wait_us : now_us;
    e->attempts += e->attempts < ATTEMPTS_COUNTED ? 1 : 0;
}

static void connect_if_due(struct bao_engine *e, uint64_t now_us)
{
    if (e->line.state != BAO_LINE_CUT || now_us < e->connect_us) {
        return;
    }
    e->made_us = now_us;
    if (bao_line_connect(&e->line, now_us) != BAOZI_OK) {
        e->connect_us = now_us + 10 * RECONNECT_US;
    }
}

/* Goes on with connecting; false if that failed. */
static bool advance(struct bao_engine *e, uint64_t now_us)
{
    connect_if_due(e, now_us);
    if (e->line_up) {
        return true;
    }
    if (bao_line_step(&e->line, now_us) != BAOZI_OK) {
        return false;
    }
    if (e->line.state == BAO_LINE_UP) {
        e->line_up = true;
        e->attempts = 0;
        bao_dialogue_connected(e->dialogue, now_us);
    }
    return true;
}

/* Takes some messages; false if the connection is gone. */
static bool receive_some(struct bao_engine *e, uint64_t now_us)
{
    for (int i = 0; i < PUMP_MESSAGES; i++) {
        enum baozi_status status = bao_line_receive(&e->line, &e->received);
        if (status != BAOZI_OK) {
            return status == BAOZI_EMPTY;
        }
        bao_dialogue_feed(e->dialogue, now_us, &e->received.message);
        bao_line_release(&e->line, &e->received);
    }
    e->dirty = true; /* others want the lock too */
    return true;
}

/* Sends some messages; false if the connection is gone. */
static bool send_some(struct bao_engine *e, uint64_t now_us)
{
    struct bao_outgoing out;
    for (int i = 0; i < PUMP_MESSAGES && bao_line_writable(&e->line) &&
                    bao_dialogue_next(e->dialogue, now_us, &out);
         i++) {
        if (bao_line_send(&e->line, &out) != BAOZI_OK) {
            return false;
        }
    }
    e->held = false;
    e->gather_count = 0;
    return bao_line_flush(&e->line) == BAOZI_OK;
}

/* What came is read before the clock judges: after a long stop, answers are
 * there already. False if a connection ended. */
static bool pump_once(struct bao_engine *e)
{
    uint64_t now_us = bao_time_monotonic_us();
    e->dirty = false;
    e->pumped_us = now_us;
    bool alive = advance(e, now_us);
    if (alive && e->line_up) {
        alive = receive_some(e, now_us);
    }
    bao_dialogue_tick(e->dialogue, now_us);
    if (alive && e->line_up) {
        alive = send_some(e, now_us);
    }
    alive = alive && bao_dialogue_broken(e->dialogue) == NULL;
    if (!alive) {
        cut(e, now_us);
    }
    return alive;
}

static uint64_t next_deadline(const struct bao_engine *e)
{
    uint64_t due_us = bao_dialogue_deadline(e->dialogue);
    uint64_t line_us = e->line.state == BAO_LINE_CUT
                           ? e->connect_us
                           : bao_line_deadline(&e->line);
    due_us = line_us < due_us ? line_us : due_us;
    return e->held && e->gather_us < due_us ? e->gather_us : due_us;
}

void bao_pump(struct bao_engine *e)
{
    if (!pump_once(e)) {
        (void)pump_once(e); /* connects again, if it is time */
    }
    bao_mind_deadline(e);
}

void bao_push(struct bao_engine *e, uint64_t now_us)
{
    if (!e->line_up || e->dirty || !send_some(e, now_us) ||
        bao_dialogue_broken(e->dialogue) != NULL) {
        bao_pump(e); /* which also finds out what is wrong */
    } else {
        bao_mind_deadline(e);
    }
}

void bao_gather(struct bao_engine *e, size_t count, uint64_t now_us)
{
    e->gather_count = count;
    e->gather_us = now_us + GATHER_US;
}

/* Somebody sends what is held, should its caller stay away. */
static void mind_held(struct bao_engine *e)
{
    e->held = true;
    if (e->driver != NULL) {
        bao_mind_deadline(e);
    } else if (e->timer_us != e->gather_us) {
        struct itimerspec at = {
            .it_value = {.tv_sec = (time_t)(e->gather_us / 1000000),
                         .tv_nsec = (long)(e->gather_us % 1000000) * 1000}};
        e->timer_us = e->gather_us;
        (void)timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    }
}

bool bao_gathers(const struct bao_engine *e, uint64_t now_us)
{
    return !e->dirty && e->gather_count > 0 && now_us < e->gather_us;
}

void bao_pump_soon(struct bao_engine *e, uint64_t now_us)
{
    if (e->dirty) {
        bao_pump(e);
    } else if (bao_gathers(e, now_us)) {
        if (!e->held && bao_dialogue_has_next(e->dialogue)) {
            mind_held(e);
        }
    } else if (now_us - e->pumped_us >= PUMP_US) {
        bao_pump(e);
    } else if (bao_dialogue_has_next(e->dialogue)) {
        bao_push(e, now_us);
    } else {
        bao_mind_deadline(e);
    }
}

/* True if the driver sleeps on the wrong thing, or for too long. */
static bool driver_errs(const struct bao_engine *e)
{
    short missing = (short)(bao_line_events(&e->line) & ~e->driver_events);
    return e->dirty || e->driver_fd != bao_line_fd(&e->line) ||
           e->driver_number != e->line.number || missing != 0 ||
           next_deadline(e) < e->driver_until_us;
}

void bao_mind_deadline(struct bao_engine *e)
{
    if (e->driver == NULL) {
        if (e->line.zmtp.out.bytes > 0 && !e->background_told) {
            e->background_told = true;
            poke(e->background_fd); /* it sends the rest */
        }
    } else if (e->driver_sleeps && driver_errs(e)) {
        bao_wake(e, e->driver);
    }
}

/* --- sleeping ----------------------------------------------------------- */

static struct timespec time_left(uint64_t until_us)
{
    uint64_t now_us = bao_time_monotonic_us();
    uint64_t left_us = until_us > now_us ? until_us - now_us : 0;
    left_us = left_us > LONG_US ? LONG_US : left_us;
    return (struct timespec){.tv_sec = (time_t)(left_us / 1000000),
                             .tv_nsec = (long)(left_us % 1000000) * 1000};
}

/* Sleeps on the socket. True if a signal handler ran. */
static bool
sleep_on_socket(struct bao_engine *e, int wake_fd, uint64_t until_us)
{
    e->driver_fd = bao_line_fd(&e->line);
    e->driver_events = bao_line_events(&e->line);
    e->driver_number = e->line.number;
    /* poll passes over a descriptor of -1: a line that is cut. */
    struct pollfd fds[2] = {{.fd = wake_fd, .events = POLLIN},
                            {.fd = e->driver_fd, .events = e->driver_events}};
    uint64_t due_us = next_deadline(e);
    e->driver_until_us = due_us < until_us ? due_us : until_us;
    if (e->dirty) {
        e->driver_until_us = 0;
    }
    e->driver_sleeps = true;
    struct timespec left = time_left(e->driver_until_us);
    (void)pthread_mutex_unlock(&e->lock);
    bool interrupted = ppoll(fds, 2, &left, NULL) < 0 && errno == EINTR;
    (void)pthread_mutex_lock(&e->lock);
    if (fds[0].revents != 0) {
        drain(wake_fd);
    }
    return interrupted;
}

/* Sleeps without the socket. FUTEX_WAIT with a timeout is never restarted
 * after a signal handler. True if one ran. */
static bool sleep_on_word(struct bao_engine *e,
                          struct bao_waiter *waiter,
                          uint64_t until_us)
{
    bao_list_push(&e->waiters, &waiter->link);
    struct timespec left = time_left(until_us);
    (void)pthread_mutex_unlock(&e->lock);
    long failed = syscall(
        SYS_futex, &waiter->wake, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0);
    bool interrupted = failed != 0 && errno == EINTR;
    (void)pthread_mutex_lock(&e->lock);
    atomic_store(&waiter->wake, 0);
    bao_list_remove(&e->waiters, &waiter->link);
    return interrupted;
}

bool bao_sleep(struct bao_engine *e,
               struct bao_waiter *waiter,
               uint64_t until_us)
{
    if (e->completed.count > 0 && !e->calling_back) {
        bao_call_back(e); /* it may be what the waiter waits for */
        return false;
    }
    if (e->driver == &e->background_waiter) {
        if (e->driver_sleeps) {
            poke(e->background_fd); /* it must not sleep on our descriptors */
        }
        e->driver = NULL;
    }
    if (e->driver != NULL && e->driver != waiter) {
        return sleep_on_word(e, waiter, until_us);
    }
    e->driver = waiter;
    bool interrupted = sleep_on_socket(e, e->wake_fd, until_us);
    e->driver_sleeps = false;
    bao_pump(e);
    bao_call_back(e);
    return interrupted;
}

/* Somebody must drive for those who still wait, or at least look after the
 * session. */
void bao_waiter_leave(struct bao_engine *e, struct bao_waiter *waiter)
{
    if (e->driver == waiter) {
        e->driver = NULL;
    }
    if (e->driver != NULL) {
        return;
    }
    struct bao_link *first = bao_list_first(&e->waiters);
    if (first != NULL) {
        wake_word(BAO_OF(first, struct bao_waiter, link));
    } else if (e->background_deep || e->dirty) {
        poke(e->background_fd);
    }
}

/* --- callbacks of asynchronous requests --------------------------------- */

static void call_back(struct bao_async *async)
{
    if (async->answered != NULL) {
        async->answered(async->context,
                        async->status,
                        async->status == BAOZI_OK ? &async->receipt : NULL);
    }
}

/* Some of the completed ones; true if somebody is to be told. */
static bool
take_completed(struct bao_engine *e, struct bao_async **some, size_t *count)
{
    bool tells = false;
    *count = 0;
    while (*count < CALLED_AT_ONCE && e->completed.count > 0) {
        struct bao_link *link = bao_list_pop(&e->completed);
        some[*count] = BAO_OF(link, struct bao_async, link);
        tells = tells || some[*count]->answered != NULL;
        (*count)++;
    }
    return tells;
}

/* One thread at a time runs them, so that they come in order. */
void bao_call_back(struct bao_engine *e)
{
    if (e->calling_back || e->completed.count == 0) {
        return;
    }
    e->calling_back = true;
    while (e->completed.count > 0) {
        struct bao_async *some[CALLED_AT_ONCE];
        size_t count;
        if (take_completed(e, some, &count)) {
            (void)pthread_mutex_unlock(&e->lock);
            for (size_t i = 0; i < count; i++) {
                call_back(some[i]);
            }
            (void)pthread_mutex_lock(&e->lock);
        }
        for (size_t i = 0; i < count; i++) {
            e->puts_count -= some[i]->holder == NULL ? 1 : 0;
            if (some[i]->holder != NULL) {
                bao_holder_give(e, some[i]->holder);
            }
            bao_async_free(e, some[i]);
        }
        e->async_count -= count;
    }
    e->calling_back = false;
    bao_wake_watchers(e);
}

/* --- the background thread ---------------------------------------------- */

/* Sleeps beside the callers. What the socket did not take at once leaves as
 * it takes it, whatever they do. */
static void background_nap(struct bao_engine *e, uint64_t nap_us)
{
    bool waits = e->driver == NULL && e->line.zmtp.out.bytes > 0;
    struct pollfd fds[3] = {
        {.fd = e->background_fd, .events = POLLIN},
        {.fd = e->timer_fd, .events = POLLIN},
        {.fd = waits ? bao_line_fd(&e->line) : -1, .events = POLLOUT}};
    struct timespec left = time_left(bao_time_monotonic_us() + nap_us);
    (void)pthread_mutex_unlock(&e->lock);
    (void)ppoll(fds, 3, &left, NULL);
    (void)pthread_mutex_lock(&e->lock);
    if (fds[0].revents != 0) {
        drain(e->background_fd);
        e->background_told = false;
    }
    if (fds[1].revents != 0) {
        drain(e->timer_fd);
    }
    if (waits || (e->held && fds[1].revents != 0)) {
        bao_pump(e);
    }
}

static void background_drive(struct bao_engine *e)
{
    e->driver = &e->background_waiter;
    (void)sleep_on_socket(e, e->background_fd, BAO_NEVER_US);
    e->background_told = false;
    if (e->driver == &e->background_waiter) {
        e->driver_sleeps = false;
        e->driver = NULL;
    }
}

static void *background_main(void *argument)
{
    struct bao_engine *e = argument;
    (void)pthread_mutex_lock(&e->lock);
    uint64_t seen = 0;
    while (!e->stopping) {
        bool quiet = seen == e->activity;
        seen = e->activity;
        if (e->driver != NULL && quiet) {
            e->background_deep = true;
            background_nap(e, LONG_US);
            e->background_deep = false;
            continue;
        }
        if (e->driver != NULL || !quiet) {
            background_nap(e, NAP_US);
            continue;
        }
        bao_pump(e);
        bao_call_back(e);
        if (e->driver != NULL || bao_list_first(&e->waiters) != NULL) {
            background_nap(e, NAP_US / 10); /* a waiter is about to drive */
            continue;
        }
        background_drive(e);
        bao_pump(e);
        bao_call_back(e);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* Signals are for the program's own threads. */
enum baozi_status bao_background_start(struct bao_engine *e)
{
    BAO_ASSERT(!e->background_runs);
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    (void)sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) {
        return BAOZI_NO_MEMORY;
    }
    (void)pthread_attr_setstacksize(&attributes, BACKGROUND_STACK);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed =
        pthread_create(&e->background, &attributes, background_main, e);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    e->background_runs = failed == 0;
    return failed == 0 ? BAOZI_OK : BAOZI_NO_MEMORY;
}

/* The lock is not held. */
void bao_background_stop(struct bao_engine *e)
{
    if (!e->background_runs) {
        return;
    }
    (void)pthread_mutex_lock(&e->lock);
    e->stopping = true;
    poke(e->background_fd);
    (void)pthread_mutex_unlock(&e->lock);
    (void)pthread_join(e->background, NULL);
    e->background_runs = false;
}
