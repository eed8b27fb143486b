/*
 * history.h - what clients asked and were told, and what befell them.
 *
 * The only thing that the judges of checker*.c look at. Times are true time;
 * a request is asked at asked_us, its one outcome is told at told_us.
 */
#ifndef BAO_TESTS_SIM_HISTORY_H
#define BAO_TESTS_SIM_HISTORY_H

#include "common/baozi.h"
#include "common/operation.h"
#include "tests/sim/sim.h"

#define HISTORY_NONE  UINT64_MAX
#define HISTORY_COUNT 6u /* done dead expired cancelled dropped purged */

/* One request and its outcome. */
struct history_op {
    unsigned client;
    uint64_t process; /* which life of the client, 1.. over all clients */
    uint64_t session; /* of the client when it asked, likewise */
    uint64_t told_session;
    unsigned life; /* client_life() of who answered; 0 = nobody did */
    uint64_t verb;
    unsigned queue; /* SIM_QUEUES: of none */
    uint64_t asked_us;
    uint64_t told_us;
    bool told;
    bool given_up;  /* the caller cancelled it */
    bool forgotten; /* the caller went away: no outcome is expected */
    uint64_t status;
    /* asked */
    uint64_t wait_ms; /* SIM_NEVER: for ever */
    uint64_t flags;
    uint64_t scope;
    unsigned group; /* 0 = none */
    int64_t priority;
    uint64_t delay_ms;
    uint64_t ttl_ms;
    uint64_t key;           /* dedup; 0 = none */
    uint64_t first_payload; /* puts: payloads first.. */
    uint32_t count;         /* of items that it puts */
    uint64_t limit;
    uint64_t lease_ms; /* of a get; 0 = the queue's */
    uint64_t id;       /* that it is about */
    uint64_t token;
    uint64_t delivery; /* that a settle is about, or NONE */
    /* told */
    uint32_t attempts; /* how often it was sent */
    uint64_t told_id;
    uint64_t told_flags;
    uint64_t told_count;
    uint64_t told_lease_ms;
    uint64_t told_state;
    uint64_t unfinished;
    uint64_t counts[HISTORY_COUNT];
    struct bao_readings *stat; /* owned; of a STAT */
    uint64_t incarnation;      /* told by STAT and DECLARE */
};

/* One item that came to a client. */
struct history_delivery {
    uint64_t op; /* the get or subscription that brought it */
    unsigned client;
    uint64_t process;
    uint64_t session;
    unsigned life;
    unsigned queue;
    uint64_t us;
    uint64_t id;
    uint64_t token; /* 0: paid for already */
    uint32_t deliveries;
    uint64_t payload;
    uint64_t lease_ms;
    bool automatic;
    bool kept;          /* handed over; else given back at once */
    uint64_t return_us; /* when its holder first asked to settle it, or let it
                           go; NEVER = it did not */
};

enum history_fault {
    HISTORY_DIED,    /* the client's process, without a word */
    HISTORY_BYE,     /* the client asked for an end */
    HISTORY_SESSION, /* the client was given a new session */
    HISTORY_CUT,     /* the client's connection broke, or was given up */
    HISTORY_PAUSED,  /* the client stood still, up to now */
    HISTORY_STALLED, /* nothing passed between the client and the broker, or
                        the broker stood still, up to now */
    HISTORY_BROKER,  /* a life of the broker ended */
    HISTORY_STARTED  /* and another began */
};

struct history_event {
    enum history_fault kind;
    unsigned client;
    uint64_t us;
    uint64_t from_us; /* PAUSED, STALLED */
    bool cut;         /* BROKER: its power was cut */
};

struct sim_history {
    struct history_op *ops;
    size_t op_count, op_capacity;
    struct history_delivery *deliveries;
    size_t delivery_count, delivery_capacity;
    struct history_event *events;
    size_t event_count, event_capacity;
    uint64_t *payloads; /* payload - 1 -> op that put it */
    size_t payload_count, payload_capacity;
    uint64_t last_process;
    uint64_t last_session;
};

struct sim_history *history_open(void);
void history_close(struct sim_history *history);

/* A new op; its index. The caller fills it in. */
uint64_t history_ask(struct sim_history *history, const struct history_op *op);
struct history_op *history_op(struct sim_history *history, uint64_t index);
uint64_t history_deliver(struct sim_history *history,
                         const struct history_delivery *delivery);
void history_event(struct sim_history *history,
                   const struct history_event *event);
/* The next `count` payloads belong to the op that will be asked next: the
 * number of the first. */
uint64_t history_payloads(struct sim_history *history, uint32_t count);

/* --- payloads: each says who it is ---------------------------------------- */

/* Fills `bytes` bytes, at least 8. */
void payload_fill(uint8_t *data, size_t bytes, uint64_t number);
/* The number of a payload, or 0 if it is none that was ever made. */
uint64_t payload_number(struct bao_span bytes);

#endif
