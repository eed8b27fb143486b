/*
 * dialogue.h - the client's half of the protocol, without a socket.
 *
 * A dialogue turns requests into messages and messages into answers. It keeps
 * request ids, what must be sent again after a reconnect, what was answered
 * and is to be acknowledged, cancels, heartbeats, held leases and their
 * renewal, subscriptions, and put credit. It knows no socket, thread, clock or
 * random source: time is an argument, its seed is given at open, so that a
 * simulator can drive it as well as `link` does.
 *
 *   connection made      bao_dialogue_connected(d, now)
 *   message came         bao_dialogue_feed(d, now, &message)
 *   time passed          bao_dialogue_tick(d, now)
 *   while it may send    bao_dialogue_next(d, now, &out) -> send all of it
 *   sleep until          bao_dialogue_deadline(d, now)
 *   connection gone, or  bao_dialogue_broken(d) is true:
 *                        cut it, bao_dialogue_lost(d, now), connect again
 *
 * Requests and leases are the caller's memory, linked in here until they are
 * answered or forgotten (dropped). All calls of `bao_dialogue_calls` come from
 * inside feed, tick, lost, submit or cancel; they may submit, hold, drop and
 * forget, but must not feed, tick or ask for the next message.
 *
 * Memory: malloc, for what is bounded by the requests and leases given to it.
 * What cannot be had makes the dialogue `broken`, never wrong.
 */
#ifndef BAO_DIALOGUE_H
#define BAO_DIALOGUE_H

#include "common/baozi.h"
#include "common/list.h"
#include "common/operation.h"

#define BAO_NEVER_US UINT64_MAX

/* A message that came: parts[0] is the bodies frame, parts[1..] the big ones;
 * all lent for the call. */
struct bao_message {
    struct bao_span header;
    const struct bao_span *parts;
    size_t part_count;
};

/* One body that a request carries: [item header][payload]. */
struct bao_letter {
    struct bao_span header;
    struct bao_span payload;
};

/* Why a CANCEL was sent. */
enum bao_cancel {
    BAO_CANCEL_NONE,
    BAO_CANCEL_DEADLINE, /* its time was over */
    BAO_CANCEL_ASKED     /* bao_dialogue_cancel() */
};

/*
 * One request with one answer. The caller sets the first part, zeroes the
 * rest, and leaves all of it alone until it was answered or forgotten.
 * Everything `operation` and `letters` point at is lent as long.
 */
struct bao_request {
    struct bao_operation operation; /* without RID and WAIT_MS */
    const struct bao_letter *letters;
    uint32_t letter_count;
    uint64_t until_us; /* its time is over; BAO_NEVER_US = it may wait */
    const void *owner; /* the caller's */

    /* May be read by the caller. */
    uint64_t rid;      /* 0: not sent yet */
    uint32_t attempts; /* how often it was sent */
    enum bao_cancel cancel;

    /* The dialogue's own. */
    struct bao_link link;   /* in one of the dialogue's queues */
    struct bao_link timed;  /* something of it is due at due_us */
    struct bao_link errand; /* a CANCEL, CREDIT or BODY is to be sent */
    struct bao_list *queue; /* the one that `link` is in */
    uint64_t submitted_us;  /* when it was given to us */
    uint64_t sent_us;       /* when it was sent last */
    uint64_t due_us;        /* of the next timer; see dialogue_timer.c */
    uint64_t boot;          /* the broker's, when first sent */
    uint64_t sequence;      /* SUBSCRIBE: last delivery that came */
    uint64_t message;       /* number of the message it went in */
    uint64_t credit_bytes;  /* put credit that it uses */
    uint64_t probe_us;      /* since when a heartbeat asks for it; 0 = not */
    uint32_t quick_losses;  /* connections it saw die young */
    uint8_t errands;        /* what `errand` stands for */
    bool own;               /* made by the dialogue itself */
};

/* One held lease. The caller's memory, from hold to drop. */
struct bao_lease {
    uint64_t id;
    uint64_t token;
    uint32_t lease_ms; /* 0: as long as the session lives */
    bool cancel_asked; /* PLEASE_CANCEL came */
    /* OK while its session lives; then STALE (the session ended, the item went
     * back) or LOST (the broker restarted without a memory of it). */
    enum baozi_status gone;

    bool started;             /* bao_dialogue_started() was called */
    struct bao_link starting; /* listed while the broker is not told so */
    struct bao_link link;     /* of its class, by renewal */
    uint64_t renew_us;        /* BAO_NEVER_US: renewal has ended */
    struct bao_lease_class *class;
};

struct bao_dialogue_calls {
    /* The request has its one answer and is the caller's again. A failure of
     * our own (CONNECTION_LOST ...) looks the same, with `message` empty. */
    void (*answered)(void *context,
                     struct bao_request *request,
                     const struct bao_operation *answer,
                     const struct bao_message *message);
    /* A row came; rows of an earlier attempt are void. */
    void (*row)(void *context,
                struct bao_request *request,
                const struct bao_operation *row,
                const struct bao_message *message);
    /* Items came for a subscription. */
    void (*delivered)(void *context,
                      struct bao_request *subscription,
                      const struct bao_operation *items,
                      const struct bao_message *message);
    /* A session is open; if not resumed, every lease held before is gone. */
    void (*welcomed)(void *context, bool resumed);
};

struct bao_dialogue_config {
    uint8_t seed[16];            /* random; client ids come from it */
    struct bao_span host;        /* copied, cut at BAO_TEXT_BYTES_MAX */
    struct bao_span program;     /* copied, likewise */
    uint32_t pid;                /* shown to operators */
    uint64_t connect_timeout_us; /* nobody answers: CONNECTION_LOST */
    struct bao_dialogue_calls calls;
    void *context;
};

/* A piece of the next message's bodies; part 0 is the bodies frame. Pieces of
 * one part follow each other. Lent until the next call. */
struct bao_piece {
    struct bao_span bytes;
    uint32_t part;
};

struct bao_outgoing {
    struct bao_span header;
    const struct bao_piece *pieces;
    size_t piece_count;
    uint32_t part_count; /* 0: header only; else bodies frame + big ones */
};

struct bao_dialogue;

/* NULL without memory. */
struct bao_dialogue *bao_dialogue_open(const struct bao_dialogue_config *config,
                                       uint64_t now_us);
/* Frees it; requests and leases still linked are simply let go. */
void bao_dialogue_close(struct bao_dialogue *dialogue);

/* --- the connection ----------------------------------------------------- */

void bao_dialogue_connected(struct bao_dialogue *dialogue, uint64_t now_us);
void bao_dialogue_lost(struct bao_dialogue *dialogue, uint64_t now_us);
/* Takes a message. Whatever is wrong with it makes the dialogue broken. */
void bao_dialogue_feed(struct bao_dialogue *dialogue,
                       uint64_t now_us,
                       const struct bao_message *message);
void bao_dialogue_tick(struct bao_dialogue *dialogue, uint64_t now_us);
/* The next message; false if there is none now. */
bool bao_dialogue_next(struct bao_dialogue *dialogue,
                       uint64_t now_us,
                       struct bao_outgoing *out);
/* True if next() would give a message now. */
bool bao_dialogue_has_next(const struct bao_dialogue *dialogue);
/* The caller waits: what is in the batch now is all that it will be. */
void bao_dialogue_press(struct bao_dialogue *dialogue);
/* When tick() is due; BAO_NEVER_US = not before something happens. */
uint64_t bao_dialogue_deadline(const struct bao_dialogue *dialogue);
/* Why this connection is of no use any more; NULL while it is. */
const char *bao_dialogue_broken(const struct bao_dialogue *dialogue);

/* True while a session is open on a live connection. */
bool bao_dialogue_is_open(const struct bao_dialogue *dialogue);
/* Since when no session was open (only while it is not). */
uint64_t bao_dialogue_down_since(const struct bao_dialogue *dialogue);
/* What the last HELLO was refused with, OK if it was not; `*text` lent until
 * the next feed. */
enum baozi_status bao_dialogue_refusal(const struct bao_dialogue *dialogue,
                                       const char **text);
uint64_t bao_dialogue_session(const struct bao_dialogue *dialogue);
/* Largest item that the broker takes. */
uint32_t bao_dialogue_item_bytes_max(const struct bao_dialogue *dialogue);

/* --- requests ----------------------------------------------------------- */

/* Queues a request; it is answered exactly once, unless forgotten. */
void bao_dialogue_submit(struct bao_dialogue *dialogue,
                         uint64_t now_us,
                         struct bao_request *request);
/* Gives a request up: CANCELLED at once if it was not sent; else CANCEL goes
 * out and its answer, or CONNECTION_LOST a second later, comes. */
void bao_dialogue_cancel(struct bao_dialogue *dialogue,
                         uint64_t now_us,
                         struct bao_request *request);
/* Unlinks a request without an answer: what comes for it later is
 * acknowledged, and items that come with it are released. */
void bao_dialogue_forget(struct bao_dialogue *dialogue,
                         struct bao_request *request);
/* Changes the credit of a subscription (operation.limit and .bytes). */
void bao_dialogue_credit(struct bao_dialogue *dialogue,
                         struct bao_request *request,
                         uint32_t items,
                         uint64_t bytes);
/* Requests that are not answered yet, our own included. */
size_t bao_dialogue_outstanding(const struct bao_dialogue *dialogue);
/* What ends every request from now on; for a handle that closes. */
void bao_dialogue_fail_all(struct bao_dialogue *dialogue,
                           enum baozi_status status,
                           const char *text);

/* --- leases ------------------------------------------------------------- */

/* Holds a lease: it is renewed and told of after a resume. False without
 * memory: give the item back. */
bool bao_dialogue_hold(struct bao_dialogue *dialogue,
                       uint64_t now_us,
                       struct bao_lease *lease);
void bao_dialogue_drop(struct bao_dialogue *dialogue, struct bao_lease *lease);
/* An item of a subscription is handed over: its lease begins now. The broker
 * is told within some milliseconds, unless the lease is dropped sooner. */
void bao_dialogue_started(struct bao_dialogue *dialogue,
                          uint64_t now_us,
                          struct bao_lease *lease);
/* The broker settled item `id` without its token (task_done): its lease, if
 * it is held, is dropped. Usually the oldest one, so found at once. */
void bao_dialogue_settled(struct bao_dialogue *dialogue, uint64_t id);
/* The lease was prolonged by `lease_ms` from now. */
void bao_dialogue_renewed(struct bao_dialogue *dialogue,
                          uint64_t now_us,
                          struct bao_lease *lease,
                          uint32_t lease_ms);
size_t bao_dialogue_held(const struct bao_dialogue *dialogue);
/* Says that an item of an automatic get was handed over. False without
 * memory. */
bool bao_dialogue_receipt(struct bao_dialogue *dialogue,
                          uint64_t id,
                          uint64_t token);
/* Receipts that the broker is not known to have. */
size_t bao_dialogue_receipts(const struct bao_dialogue *dialogue);
/* Gives an item back uncounted that nobody will take. */
void bao_dialogue_give_back(struct bao_dialogue *dialogue,
                            uint64_t now_us,
                            uint64_t id,
                            uint64_t token);

/* --- reading what came -------------------------------------------------- */

/* Walks the items of a GET answer or a DELIVER. */
struct bao_items {
    const struct bao_operation *operation;
    const struct bao_message *message;
    struct bao_body_cursor cursor;
    size_t groups; /* place in GROUPS */
    uint32_t index;
};

struct bao_item_in {
    uint64_t id;
    uint64_t token;
    uint32_t deliveries;
    int32_t priority;
    struct bao_span group; /* empty: none */
    struct bao_letter letter;
};

/* `operation` is checked as a whole: false if columns do not match or a body
 * is not there. */
bool bao_items_open(struct bao_items *items,
                    const struct bao_operation *operation,
                    const struct bao_message *message);
/* The next item, lent by the message; false at the end. */
bool bao_items_next(struct bao_items *items, struct bao_item_in *item);

/* The one body of an answer or row; an empty span if it has none. */
bool bao_message_letter(const struct bao_message *message,
                        const struct bao_operation *operation,
                        struct bao_letter *letter);

#endif
