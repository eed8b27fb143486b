/*
 * client_inside.h - what the files of the client library share; nobody else
 * includes it.
 *
 * A `struct baozi` is what the program holds; its engine is what talks. One
 * engine belongs to one process: a forked child makes its own and never
 * touches the parent's (client.c). All of an engine is guarded by its lock;
 * how threads share the socket under it stands in client_pump.c.
 */
#ifndef BAO_CLIENT_INSIDE_H
#define BAO_CLIENT_INSIDE_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/check.h"
#include "common/link.h"
#include "common/place.h"
#include "common/spares.h"

struct bao_engine;

/* Lies alone in a page that a fork empties (MADV_WIPEONFORK). */
struct bao_guard {
    _Atomic uint32_t state; /* 0 in a child that has no engine yet */
    pid_t pid;              /* compared only where the kernel wipes nothing */
};

/* What baozi_open() was told, with defaults filled in. */
struct bao_settings {
    char url[256];
    char program[BAO_TEXT_BYTES_MAX];
    uint32_t connect_timeout_ms;
    uint32_t close_timeout_ms;
    uint32_t window;
    int (*interrupted)(void *context);
    void *context;
};

struct baozi {
    struct bao_settings settings;
    struct bao_guard *guard;
    bool wiped; /* the kernel empties the guard */
    struct bao_engine *_Atomic engine;
    struct bao_engine *inherited; /* the parent's; kept only to be found */
};

/* --- sleeping (client_pump.c) ------------------------------------------- */

/* A thread inside a call. */
struct bao_waiter {
    struct bao_link link;  /* among those that sleep without the socket */
    struct bao_link watch; /* among those that look at a condition */
    _Atomic uint32_t wake;
};

/* --- requests ----------------------------------------------------------- */

/* What a request's owner does with what comes; under the lock. */
struct bao_owner {
    void (*answered)(struct bao_engine *engine,
                     struct bao_request *request,
                     const struct bao_operation *answer,
                     const struct bao_message *message);
    void (*row)(struct bao_engine *engine,
                struct bao_request *request,
                const struct bao_operation *row,
                const struct bao_message *message);
    void (*delivered)(struct bao_engine *engine,
                      struct bao_request *request,
                      const struct bao_operation *items,
                      const struct bao_message *message);
};

#define BAO_DETAIL_BYTES 384

/* One blocking call; lives on its thread's stack. */
struct bao_call {
    struct bao_request request; /* request.owner = &owner */
    struct bao_owner owner;
    struct bao_waiter waiter;
    const char *verb; /* "put", for texts */
    struct bao_span queue;
    /* Copies what the answer brings; may change `status`. */
    void (*take)(struct bao_engine *engine,
                 struct bao_call *call,
                 const struct bao_operation *answer,
                 const struct bao_message *message);
    void *result; /* for `take` and for rows */
    bool done;
    bool interrupted;
    enum baozi_status status;
    enum baozi_status late; /* what CANCELLED at the deadline means */
    char detail[BAO_DETAIL_BYTES];
};

/* An asynchronous put or settle; malloc'd. */
struct bao_async {
    struct bao_request request;
    struct bao_link link;     /* among the completed */
    struct bao_letter letter; /* of a put */
    baozi_answered *answered; /* or NULL */
    void *context;
    enum baozi_status status;
    struct baozi_receipt receipt;
    struct bao_holder *holder; /* of a settle */
    uint8_t size;              /* of its block (spares.h) */
    uint8_t bytes[]; /* queue name, group, dedup key, header, payload */
};

/* What a baozi_item hides: one block with its bytes behind it. */
struct bao_holder {
    struct bao_lease lease;
    struct bao_engine *engine; /* never followed in another process */
    struct baozi *client;
    struct bao_link link; /* in a subscription's buffer */
    int32_t priority;
    uint32_t deliveries;
    const char *group;
    struct bao_span header;
    struct bao_span payload;
    struct baozi_header *headers; /* decoded when first asked for */
    size_t header_count;
    uint8_t size; /* of its block (spares.h) */
    uint8_t id_column[8], token_column[8];
    uint8_t bytes[];
};

struct baozi_subscription {
    struct bao_request request;
    struct bao_owner owner;
    struct baozi *client;
    struct bao_engine *engine;
    struct bao_list items; /* holders that came and were not taken */
    bool ended;
    enum baozi_status status; /* it ended with */
    char detail[BAO_DETAIL_BYTES];
    char queue[BAO_QUEUE_NAME_BYTES_MAX + 1];
};

/* --- the engine --------------------------------------------------------- */

#define BAO_FAILURES 256u

/* The last failure of one thread. */
struct bao_failure {
    pthread_t thread;
    uint64_t number; /* the smallest is the oldest */
    enum baozi_status status;
    char what[320]; /* "put on queue 'jobs'" */
    char detail[BAO_DETAIL_BYTES];
};

struct bao_engine {
    const struct bao_settings *settings;
    pthread_mutex_t lock;
    struct bao_line line;
    struct bao_dialogue *dialogue;
    uint64_t connect_us; /* when to connect again */
    uint64_t made_us;    /* the last socket */
    uint32_t attempts;   /* to connect, that failed since one did not */
    bool line_up;
    bool dirty;          /* there is more to read */
    uint64_t pumped_us;  /* the last pump */
    size_t gather_count; /* so many more may join the batch before it goes */
    uint64_t gather_us;  /* or until then */
    bool held;           /* something could go that still gathers */
    uint64_t timer_us;   /* when timer_fd fires */
    int timer_fd;        /* wakes the background thread */

    struct bao_waiter *driver; /* who sleeps on the socket */
    bool driver_sleeps;
    short driver_events;    /* for these */
    int driver_fd;          /* on this one */
    uint64_t driver_number; /* of this connection */
    uint64_t driver_until_us;
    int wake_fd;              /* wakes the driver */
    struct bao_list waiters;  /* sleep without the socket */
    struct bao_list watchers; /* look at conditions of their own */
    uint64_t activity;        /* grows with every call */
    uint64_t settled_us;      /* when the last settle was given to us, */
    uint64_t settled;         /* and `activity` then */
    atomic_size_t users;      /* pins that were taken and not let go, */
    size_t left;              /* and of these were let go by bao_leave() */
    bool closing;

    pthread_t background;
    bool background_runs;
    bool background_deep; /* sleeps until it is woken */
    bool background_told; /* is poked already */
    bool stopping;
    int background_fd;
    struct bao_waiter background_waiter;

    size_t async_count; /* puts, settles: not yet called back */
    size_t puts_count;  /* of these: puts */
    struct bao_list completed;
    struct bao_spares asyncs;  /* blocks for the next ones, made blank */
    struct bao_spares holders; /* and for the next items */
    bool calling_back;
    enum baozi_status async_status; /* first failure since the last flush */
    char async_detail[BAO_DETAIL_BYTES];

    pthread_mutex_t failures_lock;
    struct bao_failure *failures[BAO_FAILURES];
    uint64_t failure_number;
    struct bao_received received;
};

/* client.c */
/* Enters a call: the engine, locked; NULL with *status if there is none. */
struct bao_engine *bao_enter(struct baozi *client, enum baozi_status *status);
/* Leaves the lock, after the callbacks that are due; the engine stays pinned.
 * NULL is allowed, as in bao_unpin(). */
void bao_unlock(struct bao_engine *engine);
/* Leaves the lock as bao_unlock() does, and the call: the pin is gone too. */
void bao_leave(struct bao_engine *engine);
/* Nobody is inside a call. The lock is held. */
bool bao_is_alone(const struct bao_engine *engine);
/* A pinned engine is not freed: baozi_close() waits. bao_enter() pins. NULL if
 * this process has none. */
struct bao_engine *bao_pin(const struct baozi *client);
void bao_unpin(struct bao_engine *engine);
/* The engine of this process, or NULL if it has none (yet). Not pinned. */
struct bao_engine *bao_engine_here(const struct baozi *client);

/* client_pump.c */
void bao_pump(struct bao_engine *engine);
/* After something was submitted: sends what may go. Who then sleeps on the
 * socket reads what came. */
void bao_push(struct bao_engine *engine, uint64_t now_us);
/* After something was left for the batch: pumps if a message may go, or the
 * last pump is some time ago. Else it costs no call to the system. */
void bao_pump_soon(struct bao_engine *engine, uint64_t now_us);
/* Of a caller that puts or settles many: the next `count` may wait for each
 * other, but not long. */
void bao_gather(struct bao_engine *engine, size_t count, uint64_t now_us);
/* They still do; and nothing that came waits to be looked at. */
bool bao_gathers(const struct bao_engine *engine, uint64_t now_us);
/* Whoever sleeps on the socket does not sleep past the dialogue's deadline. */
void bao_mind_deadline(struct bao_engine *engine);
/* Sleeps once, until something may have changed or until_us. The lock is held
 * on return. True if a signal handler ran. */
bool bao_sleep(struct bao_engine *engine,
               struct bao_waiter *waiter,
               uint64_t until_us);
void bao_wake(struct bao_engine *engine, struct bao_waiter *waiter);
void bao_wake_all(struct bao_engine *engine);
void bao_wake_watchers(struct bao_engine *engine);
/* To be called before a waiter's memory goes. */
void bao_waiter_leave(struct bao_engine *engine, struct bao_waiter *waiter);
/* Runs the callbacks of completed asynchronous requests, unlocked. */
void bao_call_back(struct bao_engine *engine);
enum baozi_status bao_background_start(struct bao_engine *engine);
void bao_background_stop(struct bao_engine *engine);

/* client_call.c */
void bao_call_init(struct bao_call *call,
                   uint64_t verb,
                   const char *name,
                   const char *queue);
/* Runs a call to its end: enters, submits, waits, leaves, notes a failure. */
enum baozi_status
bao_call_run(struct baozi *client, struct bao_call *call, int64_t wait_ms);
/* The middle of it, with the lock held. */
void bao_call_wait(struct bao_engine *engine, struct bao_call *call);
/* The request's own answer, for owners that are a bao_call. */
void bao_call_answered(struct bao_engine *engine,
                       struct bao_request *request,
                       const struct bao_operation *answer,
                       const struct bao_message *message);
/* Waits until `is_ready` says so. OK | TIMEOUT | INTERRUPTED | CLOSED |
 * CONNECTION_LOST (no session for connect_timeout) */
enum baozi_status bao_wait_for(struct bao_engine *engine,
                               bool (*is_ready)(struct bao_engine *engine,
                                                void *thing),
                               void *thing,
                               int64_t wait_ms);
/* Refuses a call for its arguments: BAD_REQUEST, noted with `why`. */
enum baozi_status bao_client_refuse(struct baozi *client,
                                    const struct bao_call *call,
                                    const char *why);
uint64_t bao_until_us(int64_t wait_ms);
const char *bao_check_queue(const char *queue);
const char *bao_check_wait(int64_t wait_ms);
void bao_copy_text(char *target, size_t bytes, struct bao_span text);

/* client_text.c */
enum baozi_status bao_note(struct baozi *client,
                           enum baozi_status status,
                           const char *verb,
                           struct bao_span queue,
                           const char *detail);
void bao_failures_free(struct bao_engine *engine);

/* client_item.c */
/* Copies an item; NULL without memory. The lock is held. */
struct bao_holder *bao_holder_make(struct baozi *client,
                                   struct bao_engine *engine,
                                   const struct bao_item_in *item,
                                   uint32_t lease_ms);
void bao_holder_free(struct bao_holder *holder);
/* Frees it, or keeps its block for the next. The lock is held. */
void bao_holder_give(struct bao_engine *engine, struct bao_holder *holder);
void bao_holders_init(struct bao_engine *engine);
void bao_holders_free(struct bao_engine *engine);
void bao_holder_show(struct bao_holder *holder, struct baozi_item *item);

/* client_async.c */
/* An empty request with `bytes` behind it; NULL without memory. The lock is
 * held, as in all of these. */
struct bao_async *
bao_async_make(struct bao_engine *engine, uint64_t verb, size_t bytes);
void bao_async_free(struct bao_engine *engine, struct bao_async *async);
void bao_asyncs_init(struct bao_engine *engine);
/* Frees what is kept for later ones. */
void bao_asyncs_free(struct bao_engine *engine);
/* Submits it: it is the library's now; and pumps, when that is due. */
void bao_async_submit(struct bao_engine *engine, struct bao_async *async);

#endif
