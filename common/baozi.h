/*
 * baozi.h - the client library of the baozi work-queue broker.
 *
 * A client talks to one broker. Queues live in the broker; put, get,
 * task_done and join mean what they mean in Python's JoinableQueue, across
 * processes and machines. Processing is at least once: a worker that dies
 * gives its item back. For effects that must happen once, hand the lease
 * token to the sink and let it refuse smaller ones (fencing).
 *
 * Threads   any number may use one client at once; a blocked call of one
 *           never delays another.
 * Fork      a child may use the handle; it gets a connection and a session of
 *           its own and holds none of the parent's leases.
 * Signals   a blocked call returns BAOZI_INTERRUPTED only if
 *           `interrupted` of the options says so; else it goes on.
 * Output    none, ever; no globals.
 *
 * Words: *lent* memory is the library's, valid until the stated moment;
 * *copied* memory is yours again when the call returns. `wait_ms` is
 * BAOZI_FOREVER, 0 (try), or milliseconds; the broker measures it. A call
 * that can reach no broker ends with CONNECTION_LOST `connect_timeout_ms`
 * later at most, or one second after its own time is over.
 *
 * Every call may return CONNECTION_LOST, SESSION_GONE, BAD_REQUEST, QUOTA,
 * DENIED, DRAINING, INTERRUPTED, CLOSED or NO_MEMORY; its comment lists the
 * others. baozi_explain() makes a text of the calling thread's last failure.
 */
#ifndef BAOZI_H
#define BAOZI_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BAOZI_MUST_USE __attribute__((warn_unused_result))
#define BAOZI_EXPORT   __attribute__((visibility("default")))
#else
#define BAOZI_MUST_USE
#define BAOZI_EXPORT
#endif
#define BAOZI_API BAOZI_EXPORT BAOZI_MUST_USE

#define BAOZI_VERSION "0.1.0"
#define BAOZI_FOREVER ((int64_t)-1)

enum baozi_status {
#define X(number, NAME, exit_code, what, remedy) BAOZI_##NAME = (number),
    BAOZI_STATUS_TABLE(X)
#undef X
};

/* "FULL" and so on; never NULL. */
BAOZI_EXPORT const char *baozi_status_name(enum baozi_status status);
/* "the queue is at its bound"; what to do about it; the exit code of SPEC
 * S11 for a program that ends with it. */
BAOZI_EXPORT const char *baozi_status_text(enum baozi_status status);
BAOZI_EXPORT const char *baozi_status_remedy(enum baozi_status status);
BAOZI_EXPORT int baozi_status_exit_code(enum baozi_status status);

/* --- client ------------------------------------------------------------- */

struct baozi; /* a client */

struct baozi_options {
    size_t size;     /* sizeof(struct baozi_options); 0 = all defaults */
    const char *url; /* ipc://... or tcp://...; NULL: BAOZI_URL, else the local
                        broker, looked for as SPEC S11 says */
    uint32_t connect_timeout_ms; /* 0: 5000 */
    uint32_t close_timeout_ms;   /* 0: 5000; how long baozi_close() waits */
    uint32_t window;             /* unconfirmed asynchronous puts; 0: 1024 */
    const char *program; /* shown by `baozi workers`; NULL: argv[0]'s name */
    int (*interrupted)(void *context); /* asked when a signal came, and twice a
                                          second; nonzero = return
                                          BAOZI_INTERRUPTED */
    void *context;
};

/*
 * Opens a client; it connects in the background. `options` may be NULL and
 * is copied. *client is owned by the caller: end it with baozi_close().
 * OK | BAD_REQUEST (url) | DENIED (the folder of the local broker is not this
 * user's alone) | NO_MEMORY
 */
BAOZI_API enum baozi_status baozi_open(const struct baozi_options *options,
                                       struct baozi **client);

/* Waits until the broker has welcomed this client. OK | CONNECTION_LOST |
 * BAD_VERSION */
BAOZI_API enum baozi_status baozi_connect(struct baozi *client,
                                          int64_t wait_ms);

/*
 * Flushes, says BYE (leases are released, not counted), waits at most
 * close_timeout_ms and frees the client; other threads' calls return CLOSED
 * first. Items and subscriptions end with it: settle or free them before.
 * In a forked child it frees the child's own connection only. NULL is
 * allowed. OK | CONNECTION_LOST (something in flight may not have arrived)
 */
BAOZI_EXPORT enum baozi_status baozi_close(struct baozi *client);

/*
 * Writes what the calling thread's last failed call on `client` was, why it
 * failed and what to do, in three lines; the first may end with the broker's
 * own words:
 *
 *     put on queue 'jobs': FULL
 *     the queue is at its bound
 *     wait longer, add workers, or raise maxsize or max_bytes
 *
 * Returns `text`, which is empty if no call of this thread has failed.
 */
BAOZI_EXPORT const char *
baozi_explain(const struct baozi *client, char *text, size_t bytes);

/* The address in use; lent for the client's life. */
BAOZI_EXPORT const char *baozi_url(const struct baozi *client);

/* --- queues ------------------------------------------------------------- */

enum baozi_kind { BAOZI_KIND_FIFO, BAOZI_KIND_LIFO, BAOZI_KIND_PRIORITY };
enum baozi_bound { BAOZI_BOUND_READY, BAOZI_BOUND_TOTAL };
enum baozi_overflow {
    BAOZI_OVERFLOW_BLOCK,
    BAOZI_OVERFLOW_REJECT,
    BAOZI_OVERFLOW_DROP_OLDEST
};
/* What an item outlives once its put is confirmed. */
enum baozi_durability {
    BAOZI_DURABILITY_DEFAULT, /* the strongest this broker has */
    BAOZI_DURABILITY_MEMORY,  /* nothing: it ends with the broker */
    BAOZI_DURABILITY_OS,      /* kill -9 of the broker. A power cut takes what
                                 was confirmed in its last 50 ms (or last
                                 8 MiB) and during one sync */
    BAOZI_DURABILITY_DISK,    /* a power cut */
    BAOZI_DURABILITY_QUORUM   /* the loss of a minority of brokers */
};
enum baozi_accounting { BAOZI_ACCOUNTING_LEASE, BAOZI_ACCOUNTING_COUNT };

/*
 * Options of a queue. Start from baozi_queue_options_init(), set members
 * with baozi_queue_option(); only options that were set are sent.
 */
struct baozi_queue_options {
    size_t size;
    uint64_t set; /* private: which options were set */
    uint64_t values[32];
};
enum baozi_queue_option {
    BAOZI_OPTION_MAXSIZE,   /* items, 0 = no bound */
    BAOZI_OPTION_MAX_BYTES, /* payload bytes, 0 = no bound */
    BAOZI_OPTION_BOUND,
    BAOZI_OPTION_OVERFLOW,
    BAOZI_OPTION_KIND,
    BAOZI_OPTION_DURABILITY,
    BAOZI_OPTION_ACCOUNTING,
    BAOZI_OPTION_LEASE_MS, /* 0 = as long as the session lives */
    BAOZI_OPTION_MAX_RUN_MS,
    BAOZI_OPTION_MAX_DELIVERIES,
    BAOZI_OPTION_BACKOFF_BASE_MS,
    BAOZI_OPTION_BACKOFF_CAP_MS,
    BAOZI_OPTION_TTL_MS, /* 0 = for ever */
    BAOZI_OPTION_RESULT_TTL_MS,
    BAOZI_OPTION_DEAD_MAX,
    BAOZI_OPTION_DEAD_TTL_MS,
    BAOZI_OPTION_DEDUP_WINDOW_MS,
    BAOZI_OPTION_DEDUP_MAX,
    BAOZI_OPTION_GROUP_TTL_MS,
    BAOZI_OPTION_GROUP_MAX,
    BAOZI_OPTION_PAUSED /* 1 in, 2 out, 3 both */
};

/* Begins with no option set; sets one. */
BAOZI_EXPORT void baozi_queue_options_init(struct baozi_queue_options *options);
BAOZI_EXPORT void baozi_queue_option(struct baozi_queue_options *options,
                                     enum baozi_queue_option option,
                                     uint64_t value);

/* Readings of a queue, taken at one moment; names as SPEC S14. */
struct baozi_queue_stat {
    size_t size;
    char name[201];
    uint64_t incarnation;
    struct baozi_queue_options options; /* all set */
    uint64_t ready, leased, delayed, dead, unfinished;
    uint64_t accepted, done, died, expired, cancelled, dropped, purged;
    uint64_t taken, prepaid;
    uint64_t bytes, dead_bytes;
    uint64_t parked_puts, parked_gets, parked_bytes, joiners, consumers;
    uint64_t oldest_ready_ms; /* age */
    uint64_t groups, dedup_keys, retried, redelivered;
    uint64_t shut;      /* 0 open, 1 shut down, 2 shut down at once */
    uint64_t dead_full; /* 1: dead_max or max_bytes keeps items from dying */
    uint64_t last_id;
    uint64_t made_ms; /* since 1970 */
};

/* Makes the queue, or checks that it has the options that are set (`options`
 * may be NULL). OK | EXISTS | BAD_REQUEST (an option, or a durability that
 * this broker cannot give) */
BAOZI_API enum baozi_status
baozi_declare(struct baozi *client,
              const char *queue,
              const struct baozi_queue_options *options);
/* Changes options from now on. OK | NOT_FOUND | BAD_REQUEST (kind only when
 * empty, accounting only at unfinished 0) */
BAOZI_API enum baozi_status
baozi_configure(struct baozi *client,
                const char *queue,
                const struct baozi_queue_options *options);
/* OK | NOT_FOUND */
BAOZI_API enum baozi_status baozi_stat(struct baozi *client,
                                       const char *queue,
                                       struct baozi_queue_stat *stat);
/* Calls `row` for each queue in order of name until it returns nonzero. OK */
BAOZI_API enum baozi_status
baozi_list(struct baozi *client,
           int (*row)(void *context, const struct baozi_queue_stat *stat),
           void *context);
/* direction: 1 in, 2 out, 3 both. OK | NOT_FOUND */
BAOZI_API enum baozi_status
baozi_pause(struct baozi *client, const char *queue, int direction);
BAOZI_API enum baozi_status
baozi_resume(struct baozi *client, const char *queue, int direction);
/* Drops ready and delayed items (the dead too if `dead`); *purged may be
 * NULL. OK | NOT_FOUND */
BAOZI_API enum baozi_status baozi_purge(struct baozi *client,
                                        const char *queue,
                                        int dead,
                                        uint64_t *purged);
/* OK | NOT_FOUND | BAD_REQUEST (not empty and not `force`) */
BAOZI_API enum baozi_status
baozi_delete(struct baozi *client, const char *queue, int force);
/* Python 3.13's queue.shutdown. OK | NOT_FOUND */
BAOZI_API enum baozi_status
baozi_shutdown(struct baozi *client, const char *queue, int immediate);
BAOZI_API enum baozi_status baozi_reopen(struct baozi *client,
                                         const char *queue);

/* --- put ---------------------------------------------------------------- */

struct baozi_header {
    const char *key;
    const char *value;
};

struct baozi_put_options {
    size_t size;
    int32_t priority; /* smaller first; only priority queues take other than 0*/
    uint64_t delay_ms;
    uint64_t not_before_ms; /* wall clock, since 1970; 0 = none */
    uint64_t ttl_ms;        /* 0 = the queue's */
    const char *group;
    const void *dedup_key; /* lent for the call */
    size_t dedup_key_bytes;
    uint64_t dedup_window_ms; /* 0 = the queue's */
    int unique;               /* dedup_key holds while not settled */
    int want_result;          /* keep the outcome for baozi_wait() */
    const struct baozi_header *headers;
    size_t header_count;
};

/* Accepted: `id` of the item, or of the first one of which this was a
 * duplicate; `level` the durability that was reached. */
struct baozi_receipt {
    uint64_t id;
    int duplicate;
    enum baozi_durability level;
};

/*
 * Puts one item and waits for room. The payload is copied; `options` and
 * `receipt` may be NULL.
 * OK | FULL | SHUTDOWN | NOT_FOUND | TOO_BIG | STORAGE_FULL | STORAGE_FAILED
 */
BAOZI_API enum baozi_status baozi_put(struct baozi *client,
                                      const char *queue,
                                      const void *payload,
                                      size_t bytes,
                                      const struct baozi_put_options *options,
                                      int64_t wait_ms,
                                      struct baozi_receipt *receipt);

struct baozi_payload {
    const void *data;
    size_t bytes;
};

/* All or nothing, in one piece of the order; ids are first, first + 1, ...
 * at most 1,024 items: of those below 64 KiB 4 MiB in all, and 15 larger ones.
 * `options` are for each of them. As baozi_put(); TOO_BIG at once if it can
 * never fit. */
BAOZI_API enum baozi_status
baozi_put_many(struct baozi *client,
               const char *queue,
               const struct baozi_payload *payloads,
               size_t count,
               const struct baozi_put_options *options,
               int64_t wait_ms,
               uint64_t *first_id);

/*
 * Puts in the background: returns as soon as the item is in the library's
 * window (waits for a place in it at most `wait_ms`: FULL). Order per thread
 * is kept. `answered`, if not NULL, is called once for each item from
 * whichever thread drives the client, with no lock held by the library; it
 * must not block or call the client. Without it, failures are counted and
 * reported by baozi_flush().
 */
typedef void baozi_answered(void *context,
                            enum baozi_status status,
                            const struct baozi_receipt *receipt);
BAOZI_API enum baozi_status
baozi_put_async(struct baozi *client,
                const char *queue,
                const void *payload,
                size_t bytes,
                const struct baozi_put_options *options,
                int64_t wait_ms,
                baozi_answered *answered,
                void *context);
/* Waits until every asynchronous put, receipt and settle is confirmed. OK |
 * TIMEOUT | the first failure that no callback took since the last flush */
BAOZI_API enum baozi_status baozi_flush(struct baozi *client, int64_t wait_ms);

/* --- get ---------------------------------------------------------------- */

/*
 * One leased item. Everything is lent until the item is settled or
 * baozi_item_free() is called on it; settling frees it. The library renews
 * the lease in the background until then, at most max_run.
 */
struct baozi_item {
    uint64_t id;
    uint64_t token; /* only grows: the fencing token; 0 = already settled */
    const void *payload;
    size_t bytes;
    uint32_t deliveries; /* 1 = never handed out before */
    int32_t priority;
    const char *group; /* NULL if none */
    void *hidden;      /* the library's */
};

struct baozi_get_options {
    size_t size;
    uint32_t lease_ms; /* 0 = the queue's */
    int automatic;     /* plain Queue.get: settled as it is handed over */
};

/* Takes the next item. OK | EMPTY | SHUTDOWN | NOT_FOUND */
BAOZI_API enum baozi_status baozi_get(struct baozi *client,
                                      const char *queue,
                                      const struct baozi_get_options *options,
                                      int64_t wait_ms,
                                      struct baozi_item *item);
/* Takes up to `most` (at most 1,024); returns as soon as one is there. */
BAOZI_API enum baozi_status
baozi_get_many(struct baozi *client,
               const char *queue,
               size_t most,
               const struct baozi_get_options *options,
               int64_t wait_ms,
               struct baozi_item *items,
               size_t *count);

/* The value of an item's header, lent like the item; NULL if there is none. */
BAOZI_EXPORT const char *baozi_item_header(const struct baozi_item *item,
                                           const char *key);
/* The i-th header, for looking at all: 0 when there is none. */
BAOZI_EXPORT int baozi_item_header_at(const struct baozi_item *item,
                                      size_t i,
                                      struct baozi_header *header);
/* Forgets an item without settling it: its lease is no longer renewed. */
BAOZI_EXPORT void baozi_item_free(struct baozi_item *item);

/* A subscription: items are pushed ahead, never more than the credit. */
struct baozi_subscription;
/* `items` and `bytes` (0 = no bound) that may be outstanding. OK |
 * NOT_FOUND */
BAOZI_API enum baozi_status
baozi_subscribe(struct baozi *client,
                const char *queue,
                uint32_t items,
                uint64_t bytes,
                const struct baozi_get_options *options,
                struct baozi_subscription **subscription);
/* The next pushed item; its lease begins now, and if this process dies from now
 * on, that counts as a failed delivery. OK | EMPTY | SHUTDOWN | NOT_FOUND |
 * SESSION_GONE (the subscription is the parent's, and this is a forked child)
 */
BAOZI_API enum baozi_status baozi_next(struct baozi_subscription *subscription,
                                       int64_t wait_ms,
                                       struct baozi_item *item);
/* Changes the credit; 0 items stops the pushing. */
BAOZI_API enum baozi_status
baozi_credit(struct baozi_subscription *subscription,
             uint32_t items,
             uint64_t bytes);
/* Ends and frees it, whatever the status; items that were not taken with
 * baozi_next() go back uncounted. No other thread may use it meanwhile. */
BAOZI_EXPORT enum baozi_status
baozi_unsubscribe(struct baozi_subscription *subscription);

/* --- settle ------------------------------------------------------------- */

/* Each settles one item and frees it whatever the status. OK | STALE |
 * NOT_FOUND | LOST */
BAOZI_API enum baozi_status baozi_done(struct baozi *client,
                                       struct baozi_item *item);
BAOZI_API enum baozi_status baozi_done_with(struct baozi *client,
                                            struct baozi_item *item,
                                            const void *result,
                                            size_t bytes);
/* In the background; a failure is reported by baozi_flush(). */
BAOZI_API enum baozi_status baozi_done_async(struct baozi *client,
                                             struct baozi_item *item);
/* A failed delivery: counted, backed off; delay_ms < 0 = the queue's own
 * backoff. */
BAOZI_API enum baozi_status baozi_retry(struct baozi *client,
                                        struct baozi_item *item,
                                        int64_t delay_ms,
                                        const char *error);
/* Back to its place, not counted. */
BAOZI_API enum baozi_status
baozi_release(struct baozi *client, struct baozi_item *item, uint64_t delay_ms);
/* Straight to the dead. */
BAOZI_API enum baozi_status
baozi_reject(struct baozi *client, struct baozi_item *item, const char *error);
/* Prolongs the lease; the item stays. OK | STALE */
BAOZI_API enum baozi_status
baozi_touch(struct baozi *client, struct baozi_item *item, uint32_t lease_ms);
/* JoinableQueue.task_done(): settles the oldest item taken from `queue`; what
 * is left of it in this program is freed with baozi_item_free(). OK | TOO_MANY
 * | NOT_FOUND */
BAOZI_API enum baozi_status baozi_task_done(struct baozi *client,
                                            const char *queue);

/* True if somebody asked to cancel this item while it was leased here. */
BAOZI_EXPORT int baozi_item_cancel_asked(const struct baozi_item *item);

/* --- outcomes, looking, operating --------------------------------------- */

enum baozi_state {
    BAOZI_STATE_NONE,
    BAOZI_STATE_READY,
    BAOZI_STATE_DELAYED,
    BAOZI_STATE_LEASED,
    BAOZI_STATE_DEAD,
    BAOZI_STATE_TAKEN,
    BAOZI_STATE_DONE,
    BAOZI_STATE_EXPIRED,
    BAOZI_STATE_CANCELLED,
    BAOZI_STATE_DROPPED,
    BAOZI_STATE_PURGED
};

/* "ready" and so on; never NULL. */
BAOZI_EXPORT const char *baozi_state_name(enum baozi_state state);

struct baozi_outcome {
    enum baozi_state state;
    const void *result; /* owned: free with baozi_outcome_free() */
    size_t bytes;
    char error[1025]; /* of a dead item */
};

/* Waits for an item's final state. OK | TIMEOUT | NOT_FOUND | LOST */
BAOZI_API enum baozi_status baozi_wait(struct baozi *client,
                                       uint64_t id,
                                       int64_t wait_ms,
                                       struct baozi_outcome *outcome);
BAOZI_EXPORT void baozi_outcome_free(struct baozi_outcome *outcome);

/* Drops an item that is not leased; a leased one is asked for (*asked = 1).
 * OK | NOT_FOUND */
BAOZI_API enum baozi_status
baozi_cancel(struct baozi *client, uint64_t id, int *asked);

/* An item looked at. Everything is lent until the callback returns. */
struct baozi_view {
    uint64_t id;
    enum baozi_state state;
    int32_t priority;
    uint32_t deliveries;
    uint64_t accepted_ms; /* since 1970 */
    uint64_t due_ms;      /* delayed: from now */
    uint64_t origin;      /* redriven from; 0 = none */
    uint64_t session;     /* leased: its holder */
    const char *group;    /* NULL if none */
    const char *error;    /* last error; NULL if none */
    const char *history;  /* dead: what ended each delivery; NULL if none */
    const void *payload;
    size_t bytes;
};

/* Looks at item `id`, or with 0 at the next ready one. OK | NOT_FOUND |
 * EMPTY */
BAOZI_API enum baozi_status
baozi_peek(struct baozi *client,
           const char *queue,
           uint64_t id,
           int (*row)(void *context, const struct baozi_view *view),
           void *context);
/* Looks at items in `state` after id *cursor, at most `most` in all (0 = no
 * end), whose error contains `match` (NULL = any), until `row` returns
 * nonzero. *cursor is the last one seen. OK | NOT_FOUND */
BAOZI_API enum baozi_status
baozi_browse(struct baozi *client,
             const char *queue,
             enum baozi_state state,
             const char *match,
             uint64_t *cursor,
             uint64_t most,
             int (*row)(void *context, const struct baozi_view *view),
             void *context);
/* Dead -> accepted anew, by ids, or up to `most` (0 = all) whose error
 * contains `match` (NULL = any), at most `rate` a second (0 = no limit). *moved
 * may be NULL. OK | NOT_FOUND */
BAOZI_API enum baozi_status baozi_redrive(struct baozi *client,
                                          const char *queue,
                                          const uint64_t *ids,
                                          size_t id_count,
                                          const char *match,
                                          uint32_t most,
                                          uint32_t rate,
                                          uint64_t *moved);

/* --- join --------------------------------------------------------------- */

enum baozi_scope {
    BAOZI_SCOPE_QUEUE, /* everything */
    BAOZI_SCOPE_GROUP, /* one group */
    BAOZI_SCOPE_MINE,  /* what this client put */
    BAOZI_SCOPE_UP_TO  /* what was accepted before the call */
};

/* How the scope's items ended: for QUEUE, GROUP and MINE since the queue,
 * group or session began; for UP_TO since the call. */
struct baozi_counts {
    uint64_t unfinished; /* on TIMEOUT: still to do */
    uint64_t done, dead, expired, cancelled, dropped, purged;
    size_t error_count;
    char errors[16][256]; /* the first errors of dead items */
};

/* Waits until everything in scope is settled; `group` for GROUP only;
 * `counts` may be NULL. OK | TIMEOUT | NOT_FOUND | LOST */
BAOZI_API enum baozi_status baozi_join(struct baozi *client,
                                       const char *queue,
                                       enum baozi_scope scope,
                                       const char *group,
                                       int64_t wait_ms,
                                       struct baozi_counts *counts);

/* --- the broker --------------------------------------------------------- */

struct baozi_session_info {
    uint64_t session;
    char host[257];
    char program[257];
    uint32_t pid;
    uint64_t leases;
    uint64_t silent_ms; /* since it was last heard */
    int connected;
};
BAOZI_API enum baozi_status
baozi_sessions(struct baozi *client,
               int (*row)(void *context, const struct baozi_session_info *info),
               void *context);

struct baozi_broker_info {
    size_t size;
    char version[257];
    uint64_t uptime_ms, epoch, boot;
    uint64_t queues, sessions, memory_bytes, memory_bytes_max;
    enum baozi_durability level; /* the strongest it has */
    int draining;
    unsigned damage_count;
    char damages[16][96]; /* places of its log that it found damaged */
};
BAOZI_API enum baozi_status baozi_broker(struct baozi *client,
                                         int64_t wait_ms,
                                         struct baozi_broker_info *info);

#ifdef __cplusplus
}
#endif

#endif
