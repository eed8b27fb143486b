/*
 * state.h - the map of the core: every record, each member with a phrase.
 *
 * "(volatile)" marks what facts do not carry: it is lost in a restart and
 * told again by the clients. All else is changed by store.c alone and counts
 * in the digest.
 */
#ifndef BAO_CORE_STATE_H
#define BAO_CORE_STATE_H

#include "broker/core/core.h"
#include "broker/core/item.h"
#include "common/check.h"
#include "common/pool.h"
#include "common/table.h"
#include "common/tree.h"

#define BAO_NEVER            UINT64_MAX
#define BAO_MS               UINT64_C(1000) /* microseconds in one */
#define BAO_N_MASK           ((UINT64_C(1) << BAO_ID_SHIFT) - 1)
#define BAO_ID_JUMP          (UINT64_C(1) << 20) /* at every start */
#define BAO_NAME_LEVELS      8u  /* of the skip list of queue names */
#define BAO_CANCELS_MAX      64u /* remembered ones of a session */
#define BAO_GRANT_MAX        64u /* items of one push */
#define BAO_BODY_WAIT_US     (10u * 1000u * BAO_MS) /* for a body asked for */
#define BAO_RESTART_GRACE_US (10u * 1000u * BAO_MS)
#define BAO_DEAD_ANSWERS_MAX 200000u /* of all dead sessions: 32 MiB */
#define BAO_CREDIT_MAX       65536u  /* of one subscription */
#define BAO_SHELVES_FEW      4u
#define BAO_LOOK_MAX         1024u /* items that one browse looks at */
#define BAO_ERROR_KEPT       255u  /* bytes of an error that a join tells */
#define BAO_GROUPS_BYTES     (16u * 1024u) /* group names in one answer */

_Static_assert(BAO_GRANT_MAX <= BAO_STEP_ITEMS_MAX, "a push is one step");
_Static_assert(BAO_LOOK_MAX >= BAO_ROWS_MAX, "a page of rows can be found");
_Static_assert(BAO_ERROR_KEPT < BAO_ERROR_BYTES_MAX, "a join shortens");
_Static_assert(BAO_STATE_TAKEN <= BAO_TREE_COLOURS, "a colour for each state");
_Static_assert(BAO_GROUPS_BYTES < BAO_HEADER_BYTES_MAX / 2,
               "group names leave room for the columns");

/* How an item ended, as an index of bao_ledger.settled. */
enum bao_ending {
    BAO_ENDING_DONE,
    BAO_ENDING_DEAD,
    BAO_ENDING_EXPIRED,
    BAO_ENDING_CANCELLED,
    BAO_ENDING_DROPPED,
    BAO_ENDING_PURGED,
    BAO_ENDINGS
};

#define BAO_DAMAGE_BYTES 96u /* a place of the log, as a text */

/* The first errors of a scope, for those who join. */
struct bao_errors {
    uint32_t count;
    struct bao_text *texts[BAO_JOIN_ERRORS_MAX];
};

/* The counts of a scope: a queue, a group, what one session put.
 * unfinished = accepted - the sum of settled. */
struct bao_ledger {
    uint64_t accepted;
    uint64_t unfinished;
    uint64_t settled[BAO_ENDINGS];
    uint64_t weight; /* of its counts in the digest */
    struct bao_errors *errors;
    struct bao_list joiners; /* waiters, oldest first (volatile) */
    uint64_t woken_serial;   /* joiners up to it are answered (volatile) */
    struct bao_link woken;   /* in core->woken while some are (volatile) */
};

struct bao_group {
    struct bao_ledger ledger;
    struct bao_queue *queue;
    struct bao_text *name;
    struct bao_table_node by_name;
    struct bao_link finished; /* in queue->finished, or queue->open_groups */
    struct bao_timer timer;
    uint32_t stamp; /* of the last image that has it (volatile) */
    uint64_t finished_us;
};

/* A key of the caller's own: first_id answers whoever repeats it. */
struct bao_dedup {
    struct bao_queue *queue;
    struct bao_text *key;
    uint64_t first_id;
    uint64_t until_us; /* of the window; 0 = none */
    uint32_t live;     /* unsettled items that hold it (`unique`) */
    uint32_t stamp;    /* of the last image that has it (volatile) */
    struct bao_timer timer;
    struct bao_link of_queue;
    struct bao_table_node by_key;
};

/* What one session has in one queue: what it put, what it holds. */
struct bao_tally {
    struct bao_ledger ledger;
    struct bao_session *session; /* NULL = forgotten */
    uint64_t session_number;
    struct bao_queue *queue;
    struct bao_table_node by_pair;
    struct bao_link of_session;
    struct bao_link of_queue;
    struct bao_list leases;   /* oldest first, without prepaid ones */
    struct bao_list outcomes; /* kept for this session */
    struct bao_list gets;     /* its waiting gets here (volatile) */
    uint32_t prepaid;         /* leases that are prepaid */
    uint32_t live;            /* unsettled items that point here */
    uint32_t uses;            /* leases and waiting gets */
    uint32_t stamp;           /* of the last image that has it (volatile) */
    uint64_t ended_us;        /* when the session ended; 0 = it lives */
    struct bao_timer timer;   /* forgets the outcomes */
};

/* How an item ended, kept for whoever asks. */
struct bao_outcome {
    uint64_t id;
    struct bao_queue *queue;
    struct bao_tally *owner; /* or NULL */
    struct bao_text *error;
    struct bao_link of_owner;
    struct bao_link of_queue;
    struct bao_table_node by_id;
    uint32_t askers; /* kept answers to wait that speak of it */
    uint32_t stamp;  /* of the last image that has it (volatile) */
    uint32_t result_bytes;
    uint8_t state;
    bool result; /* the bodies have one */
};

/* Those who wait for one item's outcome (volatile). */
struct bao_watch {
    uint64_t id;
    struct bao_list waiters;
    struct bao_table_node by_id;
    struct bao_link woken; /* in core->woken_watches once it is known */
    struct bao_text *error;
    uint32_t result_bytes;
    uint8_t state;
    bool result;
};

/* A range of a session's requests: waiting, or answered and kept. */
struct bao_request {
    uint64_t first;
    uint32_t count;
    bool waiting;
};

/* An answer that is kept until it is acknowledged. */
struct bao_answer {
    struct bao_request request;
    struct bao_session *session;
    uint64_t queue; /* incarnation */
    uint64_t first_id;
    uint64_t number; /* COUNT or PURGED */
    uint32_t flags;
    uint16_t verb;
    uint16_t status;
    uint32_t stamp;         /* of the last image that has it (volatile) */
    bool unlogged;          /* its fact is in no log, so it is in no image */
    struct bao_list leases; /* GET: what it handed out */
    struct bao_text *extra; /* JOIN: counts, then errors; WAIT: the error */
};

/* What a redrive that is not answered has moved (progress.c). */
struct bao_progress {
    uint64_t rid;
    struct bao_session *session;
    uint64_t queue; /* incarnation */
    uint64_t mark;  /* the last n that was there when it began */
    uint64_t moved;
    uint32_t stamp; /* of the last image that has it (volatile) */
    struct bao_link of_session;
};

/* The bodies of a put that waits (volatile). */
struct bao_parked {
    struct bao_parked *next; /* in core->unparked */
    uint64_t hold;           /* 0 = without bodies: SEND_BODY will ask */
    uint64_t bytes;
    uint32_t references; /* waiters that share it after a split */
    uint32_t flags;
    uint64_t delay_us;
    uint64_t not_before_ms;
    uint64_t ttl_us;
    uint64_t window_us; /* of dedup */
    struct bao_span group;
    struct bao_span dedup_key;
    struct bao_span fairness_key;
    bool timed; /* not_before_ms is set */
    bool ttl_set;
    uint32_t count; /* of items */
    struct bao_put_item *items;
};

/* A subscription (volatile); its leases keep it when it has ended. */
struct bao_stream {
    struct bao_waiter *waiter; /* NULL = ended */
    uint32_t references;
    uint32_t limit; /* items of credit */
    uint64_t bytes_limit;
    uint32_t items; /* outstanding */
    uint64_t bytes;
    uint64_t sequence; /* of the last delivery */
    uint64_t started;  /* order of the last lease that was settled */
    uint64_t oldest;   /* at death: order of the oldest unstarted */
    bool judged;       /* `oldest` is set */
    struct bao_list leases;
};

enum bao_waiter_kind {
    BAO_WAITER_PUT,
    BAO_WAITER_GET,
    BAO_WAITER_SUBSCRIBE,
    BAO_WAITER_JOIN,
    BAO_WAITER_OUTCOME,
    BAO_WAITER_CHORE
};

/* A request that waits (volatile). */
struct bao_waiter {
    struct bao_request request; /* first member */
    enum bao_waiter_kind kind;
    uint16_t verb;
    struct bao_session *session;
    struct bao_queue *queue; /* NULL: OUTCOME */
    struct bao_timer timer;
    uint64_t until_us;
    uint64_t serial;         /* of enrolling */
    struct bao_link place;   /* in its line */
    struct bao_tally *tally; /* GET and SUBSCRIBE */
    struct bao_link mine;    /* in tally->gets */
    uint32_t flags;
    uint32_t limit;            /* GET: items */
    uint64_t bytes;            /* GET: bytes, 0 = any */
    uint64_t lease_us;         /* GET and SUBSCRIBE */
    struct bao_parked *parked; /* PUT */
    uint32_t at;               /* PUT: index in parked of request.first */
    bool asked;                /* PUT: SEND_BODY is on its way */
    uint64_t asked_us;
    struct bao_stream *stream;  /* SUBSCRIBE */
    struct bao_ledger *ledger;  /* JOIN: NULL = UP_TO */
    struct bao_heap_node up_to; /* JOIN UP_TO */
    uint64_t mark;
    uint64_t base[BAO_ENDINGS];
    uint64_t errors_seen;    /* JOIN UP_TO: of the queue, at the call */
    struct bao_watch *watch; /* OUTCOME */
    struct bao_chore *chore; /* CHORE */
};

enum bao_session_state {
    BAO_SESSION_LIVE,
    BAO_SESSION_DEAD /* remembered for an hour */
};

struct bao_session {
    uint64_t number;
    uint8_t client[BAO_CLIENT_ID_BYTES];
    uint8_t secret[BAO_CLIENT_ID_BYTES];
    struct bao_text *host;
    struct bao_text *program;
    uint32_t pid;
    uint32_t stamp;     /* of the last image that has it (volatile) */
    uint8_t state;      /* enum bao_session_state */
    bool connected;     /* (volatile) as all below to `window` */
    bool leaving;       /* said BYE; its leases are being released */
    bool sorting;       /* HELD is complete; what it left out goes back */
    bool restarted;     /* the broker was; it did not come back yet */
    uint64_t sort_left; /* leases that `sorting` has still to look at */
    uint64_t strays_us; /* what no subscription took up by then goes back; 0 =
                           it did, or there was no HELD */
    uint64_t peer;      /* the last; 0 = none */
    uint64_t bye_rid;
    uint64_t heard_us;
    uint64_t closed_us;
    uint64_t ended_us;
    uint32_t heartbeat_ms; /* as last told */
    uint32_t held_round;
    uint64_t doomed; /* leases granted before this order are returned */
    uint64_t parked_bytes;
    uint32_t waiting; /* requests */
    uint32_t subscriptions;
    uint32_t cancel_count;
    uint32_t cancel_next;
    uint64_t *cancels;      /* rids to cancel on arrival */
    uint64_t top;           /* no request above it is in the window */
    uint64_t seen;          /* no request above it arrived in this start */
    struct bao_tree window; /* requests by first rid; 0 waiting, 1 kept */
    /* The next one may go on it: of those that a log has, and of the others, so
     * that a start finds the same answers. */
    struct bao_answer *last_answers[2];
    uint32_t answers; /* requests answered and kept */
    struct bao_list tallies;
    struct bao_list leases;
    struct bao_list progresses; /* of redrives that are not answered */
    struct bao_timer timer;
    struct bao_link ended; /* in core->ended while DEAD */
    struct bao_link task;  /* in core->busy while it has work */
    struct bao_table_node by_client;
    struct bao_table_node by_peer;
};

enum bao_chore_kind {
    BAO_CHORE_PURGE,
    BAO_CHORE_DELETE,
    BAO_CHORE_SHUTDOWN,
    BAO_CHORE_REDRIVE
};

/* Long work with a cursor (volatile). */
struct bao_chore {
    enum bao_chore_kind kind;
    struct bao_waiter *waiter; /* the request; NULL = its session ended */
    struct bao_queue *queue;
    uint64_t cursor; /* next n to look at */
    uint64_t mark;   /* last n that is meant */
    uint64_t moved;
    uint32_t flags;
    uint32_t limit;
    bool orphan;      /* its session died and may ask for it again */
    uint32_t rate;    /* a second; 0 = no limit */
    uint64_t next_us; /* REDRIVE with a rate: the next one */
    struct bao_text *match;
    uint64_t *ids; /* REDRIVE by ids */
    uint32_t id_count;
    struct bao_timer timer;
    struct bao_link task; /* in core->chores while it may run */
    struct bao_link of_queue;
};

struct bao_queue {
    uint64_t incarnation;
    struct bao_text *name;
    uint32_t stamp; /* of the last image that has it (volatile) */
    struct bao_queue_options options;
    enum bao_level level; /* what is confirmed */
    bool logged;          /* its contents are facts of a log */
    uint8_t shut;         /* 0 open, 1 shut down, 2 at once */
    bool deleting;        /* a forced delete is under way (volatile) */
    bool indexed;         /* every ready item is in `worst` */
    uint64_t index_next;
    uint64_t made_us;
    uint64_t last; /* n of the last item */
    uint64_t weight;
    struct bao_tree shelves; /* by n / 64; a colour is a state - 1 */
    struct bao_shelf *few[BAO_SHELVES_FEW]; /* by n: of them no tree is made */
    uint32_t few_count;
    struct bao_shelf *shelf; /* the last that was asked for (a cache) */
    struct bao_heap order;   /* READY items of a priority queue */
    struct bao_heap worst;   /* the same, least urgent first */
    uint64_t counts[BAO_STATE_TAKEN + 1]; /* items in each state */
    uint64_t bytes[BAO_STATE_TAKEN + 1];
    uint64_t prepaid;
    uint64_t reserved; /* of these, by leases that are prepaid */
    uint64_t doomed;
    uint64_t retried;
    uint64_t redelivered;
    struct bao_ledger ledger;
    struct bao_errors *recent; /* the last errors, as a ring */
    uint64_t recent_total;
    uint64_t group_count;
    struct bao_list finished; /* groups without open items, oldest first */
    struct bao_list open_groups;
    struct bao_list dedups;
    uint64_t dedup_count;
    struct bao_list leases; /* oldest first, without prepaid ones */
    struct bao_list tallies;
    struct bao_list outcomes;
    uint64_t holders;       /* tallies with leases */
    uint64_t consumers;     /* tallies with uses (volatile) */
    struct bao_list puts;   /* waiters (volatile) */
    struct bao_list gets;   /* waiters with credit (volatile) */
    struct bao_heap up_to;  /* joiners by mark (volatile) */
    struct bao_list chores; /* (volatile) */
    uint64_t parked_gets;   /* (volatile) as all below */
    uint64_t parked_bytes;
    uint64_t joiners;
    struct bao_link dirty;   /* in core->dirty: its lines may move */
    struct bao_link starved; /* in core->starved: memory is low */
    struct bao_table_node by_name;
    struct bao_table_node by_incarnation;
    struct bao_queue *next_name[BAO_NAME_LEVELS];
};

/* The step's scratch: facts, effects and what they point at. */
struct bao_scratch {
    uint8_t *data;
    size_t capacity;
    size_t used;
    struct bao_fact *facts;
    uint32_t fact_count;
    uint32_t fact_capacity;
    struct bao_effect *effects;
    uint32_t effect_count;
    uint32_t effect_capacity;
    struct bao_effect *last; /* made by bao_reply or bao_notice */
};

struct bao_cushion;
struct bao_image;
struct bao_image_loader;

struct bao_core {
    struct bao_core_config config;
    struct bao_arena *arena;
    struct bao_image *image;         /* under way, or NULL (volatile) */
    struct bao_image_loader *loader; /* of one, before the first step */
    bool image_failed;               /* the last one did (volatile) */
    uint32_t stamp;              /* of the last image that began (volatile) */
    struct bao_cushion *cushion; /* pieces of memory kept for what must not
                                    fail */
    size_t cushion_pieces;
    size_t cushion_whole; /* so many pieces are wanted */
    uint64_t now_us;
    uint64_t opened_us;
    uint64_t digest;
    uint64_t random;
    bool started; /* EPOCH was said */
    bool failed;  /* the log is: nothing is confirmed any more */
    bool draining;
    bool waking;     /* joiners are being answered: no second time inside */
    bool awake;      /* a tick has something to do now */
    uint32_t budget; /* items that this step may still move */
    uint64_t epoch;
    uint64_t epoch_floor; /* the next one is greater (volatile) */
    uint64_t token;       /* n of the last one */
    uint64_t first_n;     /* new queues count on from it */
    uint64_t order;       /* of the last lease */
    uint64_t serial;      /* of the last waiter */
    uint64_t last_incarnation;
    uint64_t last_session;
    uint64_t queue_count;
    uint64_t live_sessions;
    uint64_t dead_answers;         /* kept by dead sessions */
    uint64_t resting;              /* items that have no record */
    uint64_t body_bytes;           /* of all payloads */
    uint64_t unlogged_bytes;       /* of these, in memory queues */
    uint64_t log_room;             /* bytes that puts may log (volatile) */
    uint64_t log_lease_room;       /* bytes for what frees none (volatile) */
    bool log_short;                /* one of them was missed (volatile) */
    uint64_t parked_bytes;         /* (volatile) */
    struct bao_session *last_peer; /* a cache */
    struct bao_queue *last_queue;  /* a cache */
    struct bao_queue *fact_queue;  /* of the fact just applied */
    struct bao_heap_run timers;    /* by broker time */
    struct bao_heap wall;          /* by wall clock */
    struct bao_tree sessions;      /* by number */
    struct bao_table by_client;
    struct bao_table by_peer;
    struct bao_table queues_by_name;
    struct bao_table queues_by_incarnation;
    struct bao_table groups;
    struct bao_table dedups;
    struct bao_table tallies;
    struct bao_table outcomes;
    struct bao_table watches;
    struct bao_queue *names[BAO_NAME_LEVELS]; /* first of each level */
    struct bao_list ended;                    /* dead sessions, oldest first */
    struct bao_list busy;                     /* sessions with work */
    struct bao_list chores;                   /* that may run now */
    struct bao_list dirty;                    /* queues whose lines may move */
    struct bao_list starved;       /* queues whose gets wait for memory */
    struct bao_list woken;         /* ledgers with joiners to answer */
    struct bao_list woken_watches; /* outcomes with waiters to answer */
    struct bao_parked *unparked;   /* given back when the next step begins */
    struct bao_pool items;         /* those that are not at rest */
    struct bao_pool shelves;
    struct bao_pool records; /* columns of shelves */
    struct bao_pool notes;
    struct bao_pool leases;
    struct bao_pool waiters;
    struct bao_pool answers;
    struct bao_pool tallies_pool;
    struct bao_pool groups_pool;
    struct bao_pool dedups_pool;
    struct bao_pool outcomes_pool;
    struct bao_pool watches_pool;
    struct bao_pool streams;
    struct bao_pool errors;
    struct bao_scratch scratch;
    struct bao_operation unsent; /* replies to nobody are written here */
    struct bao_effect unsent_effect;

    /* Places of the log that were found damaged (volatile). */
    uint32_t damage_count;
    char damages[BAO_DAMAGES_MAX][BAO_DAMAGE_BYTES];
};

#endif
