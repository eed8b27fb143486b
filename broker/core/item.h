/*
 * item.h - an item of a queue, and the lease somebody may have on it.
 *
 *                put                    get
 *   (nothing) -------> [READY] ------------------> [LEASED] ---> (settled)
 *       |                ^  |  ^                    |  |  |        done
 *       | put later      |  |  '---- returned ------'  |  |        expired
 *       v                |  |                          |  |        cancelled
 *   [DELAYED] -- due ----'  |  <--- returned, later ---'  |        purged
 *     |   |                 |                             |
 *     |   '- dead has room -|-----------.        died     |
 *     v                     v           v                 |
 *   (settled)            (settled)    [DEAD] <------------'---> [TAKEN]
 *                         dropped       |    consumed, `count`     |
 *                                       v                          v
 *                                   (forgotten)                (settled)
 *
 * The arrows are a table in item.c; bao_item_move() is the only way along
 * one, and it keeps the queue's counts, bytes, order and tree colours right.
 * An item's state in the tree of its queue is its colour.
 */
#ifndef BAO_CORE_ITEM_H
#define BAO_CORE_ITEM_H

#include "common/arena.h"
#include "common/heap_run.h"
#include "common/list.h"
#include "common/operation.h"

struct bao_core;
struct bao_queue;
struct bao_group;
struct bao_dedup;
struct bao_tally;
struct bao_answer;
struct bao_stream;
struct bao_shelf;

/* What a timer is of; the heap's node leads to the timer, the kind to its
 * owner. */
enum bao_timer_kind {
    BAO_TIMER_NONE,
    BAO_TIMER_ITEM,    /* due, expires, lease ends, or dead long enough */
    BAO_TIMER_WALL,    /* due by the wall clock: its own heap */
    BAO_TIMER_WAITER,  /* FULL, EMPTY, TIMEOUT */
    BAO_TIMER_SESSION, /* silent, out of grace, or forgotten */
    BAO_TIMER_GROUP,   /* finished long enough */
    BAO_TIMER_DEDUP,   /* the window is over */
    BAO_TIMER_TALLY,   /* results nobody asked for */
    BAO_TIMER_CHORE    /* a redrive with a rate */
};

struct bao_timer {
    struct bao_heap_node node;
    uint32_t kind;
};

/* A text that several records share. */
struct bao_text {
    uint32_t references;
    uint32_t bytes;
    uint8_t data[];
};

/* Bits of bao_item.flags. */
enum bao_item_flag {
    BAO_ITEM_WANT_RESULT = 1, /* its outcome is kept */
    BAO_ITEM_WATCHED = 2,     /* somebody waits for its outcome (volatile) */
    BAO_ITEM_DOOMED = 4,      /* delayed only because the dead are full */
    BAO_ITEM_CANCEL = 8,      /* becomes cancelled when it returns */
    BAO_ITEM_MARKED = 16,     /* in the vector being decided (volatile) */
    BAO_ITEM_UNIQUE = 32      /* its dedup key held while it lived */
};
#define BAO_ITEM_FLAGS_VOLATILE \
    ((unsigned)BAO_ITEM_WATCHED | (unsigned)BAO_ITEM_MARKED)

/* What few items have. */
struct bao_note {
    struct bao_item *item;
    struct bao_dedup *dedup;       /* its key's record, while not settled */
    struct bao_text *dedup_key;    /* the key itself, for looking */
    struct bao_text *fairness_key; /* carried for the fairness issue */
    struct bao_text *group_name;   /* DEAD: the group it was counted in */
    struct bao_text *error;        /* the last one */
    uint64_t origin;               /* redriven from; 0 = none */
    uint64_t wall_us;              /* not before, by the wall clock */
    struct bao_timer wall;
};

struct bao_item {
    uint64_t id;
    struct bao_queue *queue;
    struct bao_lease *lease; /* LEASED only */
    struct bao_tally *tally; /* of the session that put it, or NULL */
    struct bao_group *group; /* or NULL */
    struct bao_note *note;   /* or NULL */
    uint64_t accepted_us;
    uint64_t due_us;     /* DELAYED: ready then; DEAD: died then */
    uint64_t expires_us; /* 0 = never */
    uint64_t history;    /* causes of the last 16 returns, 4 bits each */
    uint64_t digest;     /* what it adds to the core's */
    struct bao_timer timer;
    struct bao_heap_node order; /* priority queues: READY */
    struct bao_heap_node worst; /* and drop_oldest */
    int32_t priority;
    uint32_t bytes; /* headers included */
    uint32_t header_bytes;
    uint32_t deliveries; /* handed out so often and counted */
    uint8_t state;       /* enum bao_state, READY to TAKEN */
    uint8_t flags;       /* enum bao_item_flag */
    uint32_t stamp;      /* of the last image that has it (volatile) */
};

/* Bits of bao_lease.flags. */
enum bao_lease_flag {
    BAO_LEASE_AUTO = 1,    /* settled by its receipt */
    BAO_LEASE_PREPAID = 2, /* settled by the ack of its get */
    BAO_LEASE_PUSHED = 4   /* by a subscription */
};

/* Who holds an item, and until when. */
struct bao_lease {
    uint64_t token; /* 0 = prepaid */
    struct bao_item *item;
    struct bao_tally *tally; /* of the holder: its session and this queue */
    uint64_t since_us;
    uint64_t until_us;          /* UINT64_MAX = none; touch moves it */
    uint64_t run_until_us;      /* UINT64_MAX = none */
    uint64_t lease_us;          /* as granted; 0 = no deadline */
    uint64_t rid;               /* of the get or subscribe */
    uint64_t sequence;          /* of the delivery */
    uint64_t order;             /* of granting; grows as tokens do */
    struct bao_answer *answer;  /* of the get, while not acknowledged */
    struct bao_stream *stream;  /* of the subscription, or NULL */
    struct bao_link of_session; /* oldest first; listed by HELD: at the end */
    struct bao_link of_tally;
    struct bao_link of_queue;
    struct bao_link of_answer;
    struct bao_link of_stream;
    uint32_t held; /* the round of HELD that it survived */
    uint32_t flags;
    bool started; /* PUSHED: STARTED came (volatile) */
};

#endif
