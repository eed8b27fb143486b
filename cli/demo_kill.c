/*
 * demo_kill.c - `baozi demo --kill`: an eater is killed in mid-bun, and the
 * bun is watched until somebody else has it.
 *
 * A bun that was just handed over is chosen, so that its eater is surely
 * still at it; who holds it is asked of the broker, and so is where it goes.
 * The whole eater dies, the worker and its child that eats.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/demo.h"
#include "common/text.h"
#include "common/time.h"

#define AFTER_EATEN 3u /* so many are eaten before the knife comes out */

struct look {
    struct demo *demo;
    uint64_t session;
    uint32_t pid;
    enum baozi_state state;
    uint64_t id;
    char name[64];
};

static int take_view(void *context, const struct baozi_view *view)
{
    struct look *look = context;
    look->id = view->id;
    look->state = view->state;
    look->session = view->session;
    (void)bao_write_escaped(
        look->name, sizeof look->name, view->payload, view->bytes);
    return 0;
}

static int take_pid(void *context, const struct baozi_session_info *info)
{
    struct look *look = context;
    if (info->session == look->session)
        look->pid = info->pid;
    return 0;
}

/* The newest leased item, if there is one that was not leased before. */
static bool find_fresh(struct demo *demo, struct look *look)
{
    uint64_t cursor = demo->seen_id;
    enum baozi_status status = baozi_browse(demo->cli->client,
                                            demo->queue,
                                            BAOZI_STATE_LEASED,
                                            NULL,
                                            &cursor,
                                            0,
                                            take_view,
                                            look);
    if (status != BAOZI_OK || look->id == 0)
        return false;
    demo->seen_id = look->id;
    return true;
}

static void kill_holder(struct demo *demo, const struct look *look)
{
    char line[160];
    for (size_t i = 0; i < DEMO_EATERS; i++) {
        if (demo->eaters[i].pid == 0 || demo->mouths[i] == 0 ||
            look->pid != (uint32_t)demo->eaters[i].pid)
            continue;
        demo->victim = i;
        demo->victim_session = look->session;
        demo->bun_id = look->id;
        memcpy(demo->bun, look->name, sizeof demo->bun);
        (void)snprintf(line,
                       sizeof line,
                       "%d is killed with %s in its mouth",
                       demo->mouths[i],
                       demo->bun);
        demo_say(demo, line, true);
        demo->killed_us = bao_time_monotonic_us();
        (void)kill(demo->eaters[i].pid, SIGKILL);
        demo->kill = DEMO_KILL_KILLED;
        return;
    }
}

/* Where is the bun now? */
static void follow(struct demo *demo)
{
    struct look look = {.demo = demo};
    enum baozi_status status = baozi_peek(
        demo->cli->client, demo->queue, demo->bun_id, take_view, &look);
    bool gone = status == BAOZI_NOT_FOUND || status == BAOZI_EMPTY;
    if (status != BAOZI_OK && !gone)
        return;
    bool held = !gone && look.state == BAOZI_STATE_LEASED;
    if (held && look.session == demo->victim_session)
        return;
    uint64_t now_us = bao_time_monotonic_us();
    if (demo->kill == DEMO_KILL_KILLED) {
        demo->returned_us = now_us - demo->killed_us;
        demo->kill = DEMO_KILL_RETURNED;
    }
    if (held || gone) {
        demo->taken_us = now_us - demo->killed_us;
        demo->kill = DEMO_KILL_TAKEN;
    }
}

void demo_kill_step(struct demo *demo)
{
    struct look look = {.demo = demo};
    switch (demo->kill) {
    case DEMO_KILL_OFF:
    case DEMO_KILL_TAKEN: return;
    case DEMO_KILL_WAITS:
        if (!find_fresh(demo, &look) || demo->eaten < AFTER_EATEN)
            return;
        if (baozi_sessions(demo->cli->client, take_pid, &look) == BAOZI_OK)
            kill_holder(demo, &look);
        return;
    case DEMO_KILL_KILLED:
    case DEMO_KILL_RETURNED: follow(demo); return;
    }
}

int demo_kill_poll_ms(const struct demo *demo)
{
    bool idle = demo->kill == DEMO_KILL_OFF || demo->kill == DEMO_KILL_TAKEN;
    return idle ? 1000 : 5;
}
