/*
 * loop.c - the turns of loop.h.
 */
#include "broker/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "broker/bodies.h"
#include "broker/pages.h"
#include "common/complain.h"
#include "common/log.h"
#include "common/time.h"

/* The wall clock is compared with broker time at least this often: slewing
 * moves it without a jump. */
#define WALL_LOOK_US  (60u * 1000000u)
#define WALL_SLACK_US 1000
#define FAREWELL_US   (500u * 1000u)
#define LAST_WORDS_US (50u * 1000u)
#define ARENAS        3u /* of core, gateway, bodies */

struct loop {
    struct bao_loop_config config;
    int signals; /* signalfd */
    int wall;    /* timerfd that tells of jumps */
    uint64_t now_us;
    uint64_t wall_look_us;
    int64_t wall_offset_us;
    uint64_t drain_until_us;
    int ended_by; /* a signal, or 0 */
    bool draining;
    bool farewell; /* draining, and nothing is leased */
    bool alone;    /* draining, and no session is left */
    bool ended;
    bool failed; /* the disk did; the last answers are leaving */
    uint64_t failed_until_us;
    struct bao_pages pages[ARENAS];
};

/* --- time --- */

void bao_clock_open(struct bao_clock *clock)
{
    clock->wall_us = bao_time_wall_us();
    clock->monotonic_us = bao_time_monotonic_us();
}

void bao_clock_not_before(struct bao_clock *clock, uint64_t now_us)
{
    const uint64_t behind_us = bao_clock_now_us(clock);
    if (behind_us < now_us)
        clock->wall_us += now_us - behind_us;
}

uint64_t bao_clock_now_us(const struct bao_clock *clock)
{
    return clock->wall_us + (bao_time_monotonic_us() - clock->monotonic_us);
}

int64_t bao_clock_wall_offset_us(const struct bao_clock *clock)
{
    return (int64_t)(bao_time_wall_us() - bao_clock_now_us(clock));
}

/* A timer that never fires but is cancelled when the wall clock is set. */
static bool watch_wall(int timer)
{
    struct itimerspec never = {
        .it_value = {.tv_sec = (time_t)(bao_time_wall_us() / 1000000) +
                               10 * 365 * 86400}};
    return timerfd_settime(timer,
                           TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                           &never,
                           NULL) == 0;
}

static void look_at_wall(struct loop *loop)
{
    int64_t offset = bao_clock_wall_offset_us(loop->config.clock);
    int64_t moved = offset - loop->wall_offset_us;
    loop->wall_look_us = loop->now_us + WALL_LOOK_US;
    if (moved > -WALL_SLACK_US && moved < WALL_SLACK_US)
        return;
    struct bao_command command = {.kind = BAO_COMMAND_WALL_JUMPED,
                                  .wall_offset_us = offset};
    loop->wall_offset_us = offset;
    bao_gateway_command(loop->config.gateway, loop->now_us, &command);
}

/* --- signals --- */

static void drain(struct loop *loop, int signal)
{
    struct bao_command command = {.kind = BAO_COMMAND_DRAIN};
    if (loop->draining) {
        loop->ended = true;
        loop->ended_by = signal;
        return;
    }
    loop->draining = true;
    loop->drain_until_us = loop->now_us + loop->config.grace_ms * 1000;
    BAO_LOG(BAO_LOG_INFO,
            bao_event("draining"),
            bao_number("leases", bao_core_leases(loop->config.core)),
            bao_number("grace_ms", loop->config.grace_ms));
    bao_gateway_command(loop->config.gateway, loop->now_us, &command);
}

static void take_signals(struct loop *loop)
{
    struct signalfd_siginfo info;
    while (read(loop->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            loop->config.grace_ms = loop->config.reload(loop->config.context);
        else
            drain(loop, (int)info.ssi_signo);
    }
}

/* --- a turn --- */

static bool is_spent(const struct loop *loop, const struct bao_work *work)
{
    return work->messages >= BAO_TURN_MESSAGES ||
           work->operations >= BAO_TURN_OPERATIONS ||
           work->bytes >= BAO_TURN_BYTES ||
           bao_clock_now_us(loop->config.clock) - loop->now_us >= BAO_TURN_US;
}

/* One turn; true if there is more to do at once. */
static bool turn(struct loop *loop)
{
    struct bao_edge *edge = loop->config.edge;
    struct bao_gateway *gateway = loop->config.gateway;
    struct bao_edge_event event;
    struct bao_work work = {0};
    bool spent = false;
    bao_disk_look(loop->config.disk, loop->now_us);
    bao_gateway_tick(gateway, loop->now_us);
    bao_edge_turn(edge, loop->now_us);
    while (!spent && !loop->failed && bao_edge_next(edge, &event)) {
        bao_gateway_event(gateway, loop->now_us, &event, &work);
        spent = is_spent(loop, &work);
    }
    bool more = bao_disk_turn(loop->config.disk, loop->now_us);
    for (unsigned i = 0; i < ARENAS; i++)
        more = bao_pages_turn(&loop->pages[i], loop->now_us) || more;
    more = bao_gateway_release(gateway) || more;
    bao_guard_explain(loop->config.guard,
                      BAO_USE_LEDGER,
                      bao_core_memory_used(loop->config.core) +
                          bao_gateway_bytes(gateway));
    if (bao_gateway_failed(gateway) && !loop->failed) {
        loop->failed = true;
        loop->failed_until_us = loop->now_us + LAST_WORDS_US;
    }
    return more || spent;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Draining ends with the grace. Once nothing is leased, those who are left
 * have FAREWELL_US to read their answers and to say BYE; once nobody is left,
 * the last answers have LAST_WORDS_US to leave. */
static bool is_drained(struct loop *loop)
{
    const struct bao_core *core = loop->config.core;
    if (!loop->draining)
        return false;
    if (!loop->farewell && bao_core_leases(core) == 0) {
        loop->farewell = true;
        loop->drain_until_us =
            earlier(loop->drain_until_us, loop->now_us + FAREWELL_US);
    }
    if (!loop->alone && bao_core_sessions(core) == 0) {
        loop->alone = true;
        loop->drain_until_us =
            earlier(loop->drain_until_us, loop->now_us + LAST_WORDS_US);
    }
    return loop->now_us >= loop->drain_until_us;
}

/* The disk failed, and the last answers had their time. */
static bool is_failed(const struct loop *loop)
{
    return loop->failed && loop->now_us >= loop->failed_until_us;
}

/* Sleeps until something is due or comes. False if poll itself failed. */
static bool wait_for_work(struct loop *loop, bool more)
{
    struct pollfd fds[] = {
        {.fd = bao_edge_pollfd(loop->config.edge), .events = POLLIN},
        {.fd = loop->signals, .events = POLLIN},
        {.fd = loop->wall, .events = POLLIN},
        {.fd = bao_disk_pollfd(loop->config.disk), .events = POLLIN},
    };
    struct timespec timeout = {0};
    uint64_t now_us = bao_clock_now_us(loop->config.clock);
    uint64_t due_us = earlier(bao_core_deadline(loop->config.core),
                              bao_edge_deadline(loop->config.edge));
    due_us = earlier(due_us, loop->wall_look_us);
    due_us = earlier(due_us, bao_disk_deadline(loop->config.disk));
    for (unsigned i = 0; i < ARENAS; i++)
        due_us = earlier(due_us, bao_pages_deadline(&loop->pages[i]));
    if (loop->failed)
        due_us = loop->failed_until_us;
    if (loop->draining)
        due_us = earlier(due_us, loop->drain_until_us);
    if (!more && due_us > now_us && !bao_edge_ready(loop->config.edge)) {
        timeout.tv_sec = (time_t)((due_us - now_us) / 1000000);
        timeout.tv_nsec = (long)((due_us - now_us) % 1000000 * 1000);
    }
    if (ppoll(fds, 4, &timeout, NULL) < 0 && errno != EINTR)
        return false;
    /* The clock of the turn: read once. */
    loop->now_us = bao_clock_now_us(loop->config.clock);
    if ((fds[1].revents & POLLIN) != 0)
        take_signals(loop);
    if (fds[2].revents != 0) {
        uint64_t expirations;
        ssize_t bytes = read(loop->wall, &expirations, sizeof expirations);
        (void)bytes; /* ECANCELED is what we wait for */
        (void)watch_wall(loop->wall);
        loop->wall_look_us = 0;
    }
    if (loop->now_us >= loop->wall_look_us)
        look_at_wall(loop);
    return true;
}

static bool open_watchers(struct loop *loop)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    loop->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    loop->wall = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    return loop->signals >= 0 && loop->wall >= 0 && watch_wall(loop->wall);
}

int bao_loop_run(const struct bao_loop_config *config)
{
    struct loop loop = {.config = *config, .signals = -1, .wall = -1};
    loop.now_us = bao_clock_now_us(config->clock);
    loop.wall_offset_us = bao_clock_wall_offset_us(config->clock);
    loop.wall_look_us = loop.now_us + WALL_LOOK_US;
    bao_pages_open(&loop.pages[0], bao_core_arena(config->core));
    bao_pages_open(&loop.pages[1], bao_gateway_arena(config->gateway));
    bao_pages_open(&loop.pages[2],
                   bao_bodies_arena(bao_gateway_bodies(config->gateway)));
    bool good = open_watchers(&loop);
    bool more = true;
    while (good && !loop.ended && !is_drained(&loop) && !is_failed(&loop)) {
        good = wait_for_work(&loop, more);
        more = good && turn(&loop);
    }
    int error = errno;
    if (loop.signals >= 0)
        (void)close(loop.signals);
    if (loop.wall >= 0)
        (void)close(loop.wall);
    if (!good)
        return bao_complain_errno(
            "baozi-broker", BAO_EXIT_IO, "waiting for events failed", error);
    if (loop.failed)
        return BAO_EXIT_IO;
    return loop.ended ? BAO_EXIT_SIGNAL + loop.ended_by : BAO_EXIT_OK;
}
