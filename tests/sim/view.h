/*
 * view.h - a history put in order, for the judges.
 *
 * Ids grow in the order of acceptance and tokens in the order of hand-out
 * (SPEC S1), so each id and each token that somebody was told of narrows when
 * the others can have been given: what was accepted before it was accepted
 * earlier, what was handed out after it was handed out later. A token that
 * nobody saw belongs to an item that some dead or cut off client was given;
 * it could be any item.
 */
#ifndef BAO_TESTS_SIM_VIEW_H
#define BAO_TESTS_SIM_VIEW_H

#include "tests/sim/history.h"
#include "tests/sim/queues.h"

/* Between which two moments something happened. */
struct view_time {
    uint64_t from_us;
    uint64_t to_us;
};

/* A token that somebody was given. */
struct view_grant {
    uint64_t token;
    uint64_t id;
    uint64_t delivery; /* in the history */
    struct view_time time;
};

/* Tokens that nobody saw, between two that were seen. */
struct view_gap {
    uint64_t count;
    struct view_time time;
};

struct view_item {
    uint64_t id;
    uint64_t payload;
    uint64_t op; /* that put it */
    unsigned life;
    unsigned queue;
    struct view_time accepted;
    size_t first_grant; /* in by_item: its grants, by token */
    size_t grant_count;
    bool told;           /* a put was answered OK with this id */
    bool prepaid;        /* it was handed out and settled at once */
    bool redriven;       /* its payload had another id before */
    uint64_t settled_us; /* a final settle of it was told OK; NEVER = none */
    uint64_t settled_token;
};

struct view {
    struct sim *sim;
    struct sim_history *history;
    struct view_grant *grants; /* by token */
    size_t grant_count;
    size_t *by_item; /* indices of grants by (id, token) */
    struct view_gap *gaps;
    size_t gap_count;
    struct view_item *items; /* by id */
    size_t item_count;
};

struct view *view_open(struct sim_history *history, struct sim *sim);
void view_close(struct view *view);

/* NULL if nobody was told of it. */
struct view_item *view_item(const struct view *view, uint64_t id);
const struct view_grant *view_item_grant(const struct view *view,
                                         const struct view_item *item,
                                         size_t i);

/* The one with that token, which somebody was given. */
const struct view_grant *view_grant(const struct view *view, uint64_t token);

/* True if nobody can have been given the item from its acceptance up to
 * `to_us`, and somebody was later: so it was there all the time. */
bool view_was_there(const struct view *view,
                    const struct view_item *item,
                    uint64_t to_us);

/* True if something of that kind befell the client between the two. */
bool view_befell(const struct view *view,
                 enum history_fault kind,
                 unsigned client,
                 struct view_time when);
/* The first moment after `from_us` at which something befell the holder of a
 * delivery, or the broker, that may end its lease; NEVER if there was none. A
 * broker that was killed, and has the item on its disk, has the lease too, and
 * what befell the line of a client while the broker was down does not count. */
uint64_t view_disturbed_us(const struct view *view,
                           const struct history_delivery *delivery,
                           uint64_t from_us);
/* True if its power was cut between the two. */
bool view_was_cut(const struct view *view, struct view_time when);
/* True if the broker died between the two. */
bool view_restarted(const struct view *view, struct view_time when);

/* The op was asked and answered in one life of the broker. */
bool view_in_one_life(const struct view *view, const struct history_op *op);

/* All that time one broker remembered it, across starts if it is durable. */
bool view_in_one_memory(const struct view *view, const struct history_op *op);

/* Answers that say: it was not accepted. */
bool view_is_refusal(uint64_t status);

/* `condition` must be true of the history. */
#define VIEW_CHECK(view, condition, ...) \
    ((condition) ? (void)0 : sim_fail((view)->sim, __VA_ARGS__))

/* For printing. */
#define VIEW_NUMBER(number) ((unsigned long long)(number))

#endif
