/*
 * client.c - opening and closing a client, and what happens after a fork.
 *
 * A fork copies a client whose locks may be held and whose socket has threads
 * that the child has not. So the child touches nothing of the parent's
 * engine: the guard page reads 0 there, and the first call makes a new engine
 * with a connection, a session and locks of its own. The parent's stays
 * reachable through `inherited` and is never looked at.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/client_inside.h"
#include "common/random.h"
#include "common/time.h"

enum { GUARD_FOREIGN, GUARD_MAKING, GUARD_READY };

#define CONNECT_TIMEOUT_MS 5000u
#define CLOSE_TIMEOUT_MS   5000u
#define WINDOW             1024u
#define GUARD_BYTES        4096u
#define LOOK_AGAIN_US      500u

/* --- the dialogue's calls ----------------------------------------------- */

static const struct bao_owner *owner_of(const struct bao_request *request)
{
    return request->owner;
}

static void on_answered(void *context,
                        struct bao_request *request,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    owner_of(request)->answered(context, request, answer, message);
}

static void on_row(void *context,
                   struct bao_request *request,
                   const struct bao_operation *row,
                   const struct bao_message *message)
{
    if (owner_of(request)->row != NULL) {
        owner_of(request)->row(context, request, row, message);
    }
}

static void on_delivered(void *context,
                         struct bao_request *request,
                         const struct bao_operation *items,
                         const struct bao_message *message)
{
    owner_of(request)->delivered(context, request, items, message);
}

static void on_welcomed(void *context, bool resumed)
{
    (void)resumed; /* leases that ended say so themselves */
    bao_wake_watchers(context);
}

/* --- the engine --------------------------------------------------------- */

static struct bao_dialogue *make_dialogue(struct bao_engine *e)
{
    struct bao_dialogue_config config = {
        .pid = (uint32_t)getpid(),
        .program = bao_span_text(e->settings->program),
        .connect_timeout_us = (uint64_t)e->settings->connect_timeout_ms * 1000,
        .calls = {.answered = on_answered,
                  .row = on_row,
                  .delivered = on_delivered,
                  .welcomed = on_welcomed},
        .context = e};
    char host[BAO_TEXT_BYTES_MAX] = "";
    if (gethostname(host, sizeof host - 1) == 0) {
        config.host = bao_span_text(host);
    }
    bao_random_fill(config.seed, sizeof config.seed);
    return bao_dialogue_open(&config, bao_time_monotonic_us());
}

/* Everything but its threads, which are gone already. */
static void engine_free(struct bao_engine *e)
{
    if (e == NULL) {
        return;
    }
    bao_line_cut(&e->line);
    if (e->dialogue != NULL) {
        bao_dialogue_close(e->dialogue);
    }
    if (e->wake_fd >= 0) {
        (void)close(e->wake_fd);
    }
    if (e->background_fd >= 0) {
        (void)close(e->background_fd);
    }
    if (e->timer_fd >= 0) {
        (void)close(e->timer_fd);
    }
    bao_asyncs_free(e);
    bao_holders_free(e);
    bao_failures_free(e);
    (void)pthread_mutex_destroy(&e->lock);
    (void)pthread_mutex_destroy(&e->failures_lock);
    free(e);
}

static enum baozi_status engine_make(const struct bao_settings *settings,
                                     struct bao_engine **engine)
{
    struct bao_engine *e = calloc(1, sizeof *e);
    if (e == NULL) {
        return BAOZI_NO_MEMORY;
    }
    e->settings = settings;
    e->line = (struct bao_line){.fd = -1};
    bao_list_init(&e->waiters);
    bao_list_init(&e->watchers);
    bao_list_init(&e->completed);
    bao_asyncs_init(e);
    bao_holders_init(e);
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_mutex_init(&e->failures_lock, NULL);
    e->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    e->background_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    e->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    e->dialogue = make_dialogue(e);
    enum baozi_status status = BAOZI_NO_MEMORY;
    if (e->wake_fd >= 0 && e->background_fd >= 0 && e->timer_fd >= 0 &&
        e->dialogue != NULL) {
        status = bao_line_open(
            &e->line, settings->url, settings->connect_timeout_ms);
    }
    if (status == BAOZI_OK) {
        e->made_us = bao_time_monotonic_us();
        status = bao_line_connect(&e->line, e->made_us);
    }
    if (status != BAOZI_OK) {
        engine_free(e);
        return status;
    }
    *engine = e;
    return BAOZI_OK;
}

/* --- fork --------------------------------------------------------------- */

static uint32_t guard_state(const struct baozi *client)
{
    if (!client->wiped && client->guard->pid != getpid()) {
        return GUARD_FOREIGN;
    }
    return atomic_load_explicit(&client->guard->state, memory_order_acquire);
}

static struct bao_guard *guard_make(bool *wiped)
{
    void *page = mmap(NULL,
                      GUARD_BYTES,
                      PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS,
                      -1,
                      0);
    if (page == MAP_FAILED) {
        return NULL;
    }
    *wiped = madvise(page, GUARD_BYTES, MADV_WIPEONFORK) == 0;
    struct bao_guard *guard = page;
    guard->pid = getpid();
    atomic_store(&guard->state, GUARD_READY);
    return guard;
}

/* The first call in a child makes its engine; others wait for it. */
static enum baozi_status guard_cross(struct baozi *client)
{
    uint32_t foreign = GUARD_FOREIGN;
    if (!client->wiped && client->guard->pid != getpid()) {
        client->guard->pid = getpid();
        atomic_store(&client->guard->state, GUARD_FOREIGN);
    }
    while (!atomic_compare_exchange_strong(
        &client->guard->state, &foreign, GUARD_MAKING)) {
        if (foreign == GUARD_READY) {
            return BAOZI_OK;
        }
        foreign = GUARD_FOREIGN;
        (void)sched_yield();
    }
    struct bao_engine *engine = NULL;
    enum baozi_status status = engine_make(&client->settings, &engine);
    if (status != BAOZI_OK) {
        atomic_store(&client->guard->state, GUARD_FOREIGN);
        return status;
    }
    if (client->inherited == NULL) {
        client->inherited = atomic_load(&client->engine);
    }
    atomic_store(&client->engine, engine);
    atomic_store_explicit(
        &client->guard->state, GUARD_READY, memory_order_release);
    return BAOZI_OK;
}

struct bao_engine *bao_engine_here(const struct baozi *client)
{
    return guard_state(client) == GUARD_READY ? atomic_load(&client->engine)
                                              : NULL;
}

/* --- entering and leaving a call ---------------------------------------- */

struct bao_engine *bao_pin(const struct baozi *client)
{
    struct bao_engine *e = bao_engine_here(client);
    if (e != NULL) {
        atomic_fetch_add(&e->users, 1);
    }
    return e;
}

void bao_unpin(struct bao_engine *e)
{
    if (e != NULL) {
        atomic_fetch_sub(&e->users, 1); /* it may be gone from here on */
    }
}

struct bao_engine *bao_enter(struct baozi *client, enum baozi_status *status)
{
    *status = BAOZI_OK;
    if (guard_state(client) != GUARD_READY) {
        *status = guard_cross(client);
        if (*status != BAOZI_OK) {
            return NULL;
        }
    }
    struct bao_engine *e = atomic_load(&client->engine);
    atomic_fetch_add(&e->users, 1);
    (void)pthread_mutex_lock(&e->lock);
    *status = e->closing ? BAOZI_CLOSED : BAOZI_OK;
    if (*status == BAOZI_OK && !e->background_runs) {
        *status = bao_background_start(e);
    }
    if (*status != BAOZI_OK) {
        (void)pthread_mutex_unlock(&e->lock);
        bao_unpin(e);
        return NULL;
    }
    e->activity++;
    return e;
}

void bao_unlock(struct bao_engine *e)
{
    if (e != NULL) {
        bao_call_back(e);
        (void)pthread_mutex_unlock(&e->lock);
    }
}

/* The pin ends under the lock, where a plain number will do. Who closes takes
 * the lock after us before it frees anything. */
void bao_leave(struct bao_engine *e)
{
    bao_call_back(e);
    e->left++;
    (void)pthread_mutex_unlock(&e->lock);
}

bool bao_is_alone(const struct bao_engine *e)
{
    return atomic_load(&e->users) == e->left;
}

/* --- open --------------------------------------------------------------- */

static enum baozi_status choose_url(const char *given, char *url, size_t bytes)
{
    struct bao_place place;
    if (given == NULL || given[0] == '\0') {
        given = getenv("BAOZI_URL");
    }
    if (given == NULL || given[0] == '\0') {
        enum baozi_status status = bao_place_find(&place);
        if (status != BAOZI_OK) {
            return status == BAOZI_DENIED ? status : BAOZI_BAD_REQUEST;
        }
        given = place.url;
    }
    if (strlen(given) >= bytes) {
        return BAOZI_BAD_REQUEST;
    }
    memcpy(url, given, strlen(given) + 1);
    return BAOZI_OK;
}

/* Options of an older, shorter struct are filled up with zeros. */
static enum baozi_status settle_options(const struct baozi_options *given,
                                        struct bao_settings *settings)
{
    struct baozi_options options = {0};
    if (given != NULL && given->size > 0) {
        size_t bytes =
            given->size < sizeof options ? given->size : sizeof options;
        memcpy(&options, given, bytes);
    }
    *settings = (struct bao_settings){
        .connect_timeout_ms = options.connect_timeout_ms != 0
                                  ? options.connect_timeout_ms
                                  : CONNECT_TIMEOUT_MS,
        .close_timeout_ms = options.close_timeout_ms != 0
                                ? options.close_timeout_ms
                                : CLOSE_TIMEOUT_MS,
        .window = options.window != 0 ? options.window : WINDOW,
        .interrupted = options.interrupted,
        .context = options.context};
    if (settings->connect_timeout_ms > INT32_MAX) {
        settings->connect_timeout_ms = INT32_MAX;
    }
    const char *program = options.program != NULL
                              ? options.program
                              : program_invocation_short_name;
    (void)snprintf(settings->program, sizeof settings->program, "%s", program);
    return choose_url(options.url, settings->url, sizeof settings->url);
}

enum baozi_status baozi_open(const struct baozi_options *options,
                             struct baozi **client)
{
    struct bao_engine *engine = NULL;
    *client = NULL;
    struct baozi *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return BAOZI_NO_MEMORY;
    }
    enum baozi_status status = settle_options(options, &made->settings);
    if (status == BAOZI_OK) {
        made->guard = guard_make(&made->wiped);
        status = made->guard == NULL ? BAOZI_NO_MEMORY : BAOZI_OK;
    }
    if (status == BAOZI_OK) {
        status = engine_make(&made->settings, &engine);
    }
    if (status != BAOZI_OK) {
        if (made->guard != NULL) {
            (void)munmap(made->guard, GUARD_BYTES);
        }
        free(made);
        return status;
    }
    atomic_store(&made->engine, engine);
    *client = made;
    return BAOZI_OK;
}

const char *baozi_url(const struct baozi *client)
{
    return client->settings.url;
}

static bool is_welcome(struct bao_engine *e, void *thing)
{
    (void)thing;
    const char *text;
    return bao_dialogue_is_open(e->dialogue) ||
           bao_dialogue_refusal(e->dialogue, &text) != BAOZI_OK;
}

enum baozi_status baozi_connect(struct baozi *client, int64_t wait_ms)
{
    enum baozi_status status;
    char detail[BAO_DETAIL_BYTES] = "";
    struct bao_engine *e = bao_enter(client, &status);
    if (e != NULL) {
        status = bao_wait_for(e, is_welcome, NULL, wait_ms);
        if (status == BAOZI_TIMEOUT) {
            status = BAOZI_CONNECTION_LOST;
        }
        const char *text = "";
        if (status == BAOZI_OK && !bao_dialogue_is_open(e->dialogue)) {
            status = bao_dialogue_refusal(e->dialogue, &text);
            bao_copy_text(detail, sizeof detail, bao_span_text(text));
        }
    }
    bao_unlock(e);
    (void)bao_note(client, status, "connect", (struct bao_span){0}, detail);
    bao_unpin(e);
    return status;
}

/* --- close -------------------------------------------------------------- */

/* Lets everything in flight be confirmed, and says BYE. The lock is held. */
static enum baozi_status say_goodbye(struct bao_engine *e)
{
    struct bao_call bye;
    bao_call_init(&bye, BAO_VERB_BYE, "close", NULL);
    bool said = false;
    uint64_t until_us = bao_until_us((int64_t)e->settings->close_timeout_ms);
    /* Without a session there is nothing to say goodbye to, unless something
     * still waits to be sent. */
    bool needed = bao_dialogue_session(e->dialogue) != 0 || e->async_count > 0;
    bao_pump(e);
    while (needed && !bye.done && bao_time_monotonic_us() < until_us) {
        bool alone = bao_is_alone(e);
        if (alone && e->async_count == 0 && !said) {
            said = true;
            bao_dialogue_submit(
                e->dialogue, bao_time_monotonic_us(), &bye.request);
            bao_pump(e);
            continue;
        }
        /* Nobody tells when the last thread is out: look again soon. */
        uint64_t soon_us = bao_time_monotonic_us() + LOOK_AGAIN_US;
        bool waits = !alone && soon_us < until_us;
        (void)bao_sleep(e, &bye.waiter, waits ? soon_us : until_us);
    }
    bao_dialogue_forget(e->dialogue, &bye.request);
    bao_waiter_leave(e, &bye.waiter);
    bool clean = !needed || (bye.done && bye.status == BAOZI_OK);
    return clean && e->async_status == BAOZI_OK ? BAOZI_OK
                                                : BAOZI_CONNECTION_LOST;
}

/* Nobody will wait for them any more: their owners are told. */
static void end_async(struct bao_engine *e)
{
    const struct timespec look_again = {.tv_nsec = LOOK_AGAIN_US * 1000L};
    bao_dialogue_fail_all(e->dialogue,
                          BAOZI_CONNECTION_LOST,
                          "the client was closed before it was confirmed");
    bao_call_back(e);
    while (e->calling_back || !bao_is_alone(e)) {
        (void)pthread_mutex_unlock(&e->lock);
        (void)nanosleep(&look_again, NULL);
        (void)pthread_mutex_lock(&e->lock);
    }
}

static void client_free(struct baozi *client)
{
    (void)munmap(client->guard, GUARD_BYTES);
    free(client);
}

enum baozi_status baozi_close(struct baozi *client)
{
    if (client == NULL) {
        return BAOZI_OK;
    }
    struct bao_engine *e = bao_engine_here(client);
    if (e == NULL) { /* a child that never used it */
        client_free(client);
        return BAOZI_OK;
    }
    (void)pthread_mutex_lock(&e->lock);
    if (e->closing) {
        (void)pthread_mutex_unlock(&e->lock);
        return BAOZI_CLOSED;
    }
    e->closing = true;
    bao_wake_all(e);
    enum baozi_status status = say_goodbye(e);
    end_async(e);
    (void)pthread_mutex_unlock(&e->lock);
    bao_background_stop(e);
    engine_free(e);
    client_free(client);
    return status;
}
