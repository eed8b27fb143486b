/*
 * dialogue_inside.h - what the files of the dialogue share; nobody else
 * includes it.
 *
 *            submit            next                    feed
 *   caller ---------> [QUEUED] -----> [SENT] ----------------> answered
 *                        ^              | lost
 *                        |  next        v
 *                        '---- (first) [AGAIN]
 *
 * Each linked request is in exactly one of: `control` (goes out at once),
 * `batch` (puts and settles, at most two messages of them in flight),
 * `again` (was sent on a connection that is gone; by rid), `sent` (by rid).
 */
#ifndef BAO_DIALOGUE_INSIDE_H
#define BAO_DIALOGUE_INSIDE_H

#include "common/check.h"
#include "common/dialogue.h"
#include "common/dialogue_map.h"
#include "common/wire.h"

#define BAO_CANCEL_AFTER_US (50u * 1000u)   /* the broker's own answer first */
#define BAO_ANSWER_GRACE_US (1000u * 1000u) /* S3.2: one second more */
#define BAO_ACK_AFTER_US    (1000u * 1000u)
#define BAO_STARTED_AFTER_US \
    (10u * 1000u) /* what is done sooner, is not told */
#define BAO_ACK_COUNT         256u
#define BAO_ACK_RANGES        256u
#define BAO_HELLO_AGAIN_US    (1000u * 1000u)
#define BAO_SLOTS             2u /* messages of puts and settles in flight */
#define BAO_SLOT_US           (2u * 1000u) /* a silent one holds back no more */
#define BAO_BATCH_BYTES       (64u * 1024u)
#define BAO_BATCH_BIG_BYTES   (4u * 1024u * 1024u)
#define BAO_BATCH_WHOLE       16u  /* so many are never divided */
#define BAO_BATCH_OUTSTANDING 768u /* puts and settles sent, unanswered */
#define BAO_YOUNG_US          (1000u * 1000u)
/* A request is suspected of killing connections: each one that dies young is
 * a point, each that the broker ends itself ten. */
#define BAO_QUICK_LOSSES_MAX 50u
#define BAO_GONE_LOSSES      10u
#define BAO_HEARTBEAT_US_MIN (50u * 1000u)
#define BAO_ORPHANS_MAX      1024u

_Static_assert(BAO_BATCH_OUTSTANDING < BAO_ANSWERS_MAX,
               "a full batch leaves room for other answers in the window");

enum bao_dialogue_state {
    BAO_DIALOGUE_DOWN,      /* no connection */
    BAO_DIALOGUE_HELLO_DUE, /* connected */
    BAO_DIALOGUE_HELLO_SENT,
    BAO_DIALOGUE_REFUSED, /* HELLO was refused; again at hello_us */
    BAO_DIALOGUE_OPEN
};

enum bao_errand {
    BAO_ERRAND_CANCEL = 1,
    BAO_ERRAND_CREDIT = 2,
    BAO_ERRAND_BODY = 4
};

/* Leases of one length, in order of renewal: renewing moves to the end. */
struct bao_lease_class {
    struct bao_link link;
    uint32_t lease_ms;
    struct bao_list leases;
};

struct bao_pair {
    uint64_t first; /* an id, or the first rid of a range */
    uint64_t last;  /* a token, or the last rid */
    uint64_t message;
};

/* A growing array of pairs. */
struct bao_pairs {
    struct bao_pair *data;
    size_t count;
    size_t capacity;
    size_t sent; /* of these, from the front */
};

/* Which of `columns` holds what while an operation is put together. */
enum bao_scratch {
    BAO_SCRATCH_IDS,
    BAO_SCRATCH_TOKENS,
    BAO_SCRATCH_LENGTHS,
    BAO_SCRATCH_HEADERS,
    BAO_SCRATCH_PRIORITIES,
    BAO_SCRATCH_COUNT
};

struct bao_dialogue {
    struct bao_dialogue_config config;
    char host[BAO_TEXT_BYTES_MAX];
    char program[BAO_TEXT_BYTES_MAX];
    enum bao_dialogue_state state;
    const char *broken;

    /* the session */
    uint64_t generator; /* of client ids */
    uint8_t client[BAO_CLIENT_ID_BYTES];
    uint8_t secret[BAO_CLIENT_ID_BYTES];
    bool has_session;
    uint64_t session, epoch, boot;
    uint64_t heartbeat_us;
    uint32_t waiting_max;
    uint64_t credit_bytes, credit_used;
    uint32_t item_bytes_max;
    enum baozi_status refusal;
    char refusal_text[BAO_ERROR_BYTES_MAX + 1];
    bool session_lost; /* resume was refused: a new one is to come */
    bool thrown_out;   /* the broker ended this connection by GONE */
    uint64_t lost_boot;

    /* times */
    uint64_t down_since_us;
    uint64_t open_since_us;
    uint64_t hello_us; /* HELLO_SENT: give up; REFUSED: try again */
    uint64_t heard_us, said_us;
    uint64_t beat_us; /* the last heartbeat that we sent */
    uint32_t beats;   /* sent since something was heard */
    bool beat_due;
    bool doubted; /* a request ended in silence, nothing heard since */
    bool ack_due;
    uint64_t ack_us;   /* when the oldest unacknowledged answer came */
    uint64_t timed_us; /* not later than any due_us */
    uint64_t reach_us; /* not later than any "nobody answers" */

    /* requests */
    uint32_t usual;     /* puts and settles under way, at most, lately */
    bool pressed;       /* nothing joins the batch: its caller waits */
    uint32_t batch_end; /* batch_sent when the message is full */
    struct bao_list control, batch, again, sent, timed, errands;
    struct bao_map requests; /* by rid: sent and again */
    uint64_t last_rid;
    uint64_t messages;      /* sent on this and earlier connections */
    uint64_t first_message; /* of this connection */
    uint64_t proved;        /* message that was certainly received */
    uint32_t batch_sent;    /* puts and settles in `sent` */
    struct {
        uint64_t message; /* 0: free */
        uint64_t sent_us;
    } slots[BAO_SLOTS];

    /* acknowledgements, receipts, what a resume must tell */
    struct bao_pairs acks;
    size_t acked_rids;
    struct bao_pairs receipts;
    struct bao_pairs orphans; /* rids given up here that may still wait there */
    struct bao_pairs held;    /* snapshot, `sent` is the cursor */
    bool held_due;            /* even an empty one must be said */

    /* leases */
    struct bao_list classes;
    struct bao_map leases;    /* by token */
    struct bao_list starting; /* handed over, and the broker is not told yet */
    uint64_t starting_us;     /* when it is to be told of the first */
    bool starting_due;

    /* the message being built */
    struct bao_writer writer;
    struct bao_piece *pieces;
    size_t piece_count, piece_capacity;
    uint32_t small_bytes, big_count, big_bytes;
    uint8_t columns[BAO_SCRATCH_COUNT][8 * BAO_OPERATION_ITEMS_MAX];
    uint8_t header[BAO_HEADER_BYTES_MAX];
};

/* A request that the dialogue makes for itself. */
struct bao_own_request {
    struct bao_request request;
    uint32_t count;
    uint8_t columns[]; /* count ids, count tokens */
};

/* dialogue.c */
bool bao_is_batch(const struct bao_request *request);
bool bao_may_wait(const struct bao_request *request);
bool bao_is_automatic(const struct bao_request *request);
void bao_break(struct bao_dialogue *d, const char *why);
void bao_take_out(struct bao_dialogue *d, struct bao_request *request);
void bao_answer(struct bao_dialogue *d,
                struct bao_request *request,
                const struct bao_operation *answer,
                const struct bao_message *message);
void bao_fail(struct bao_dialogue *d,
              struct bao_request *request,
              enum baozi_status status,
              const char *text);
void bao_errand(struct bao_dialogue *d, struct bao_request *request, int what);
bool bao_pairs_add(struct bao_pairs *pairs, struct bao_pair pair);
void bao_ack_add(struct bao_dialogue *d,
                 uint64_t now_us,
                 uint64_t first,
                 uint64_t last);
struct bao_own_request *bao_own_make(uint64_t verb, uint32_t count);

/* dialogue_run.c: false if the message has no room */
bool bao_operation_add(struct bao_dialogue *d,
                       const struct bao_operation *operation);
uint32_t bao_letter_bytes(const struct bao_letter *letter);
bool bao_letter_add(struct bao_dialogue *d,
                    const struct bao_letter *letter,
                    uint32_t *length);
bool bao_run_add(struct bao_dialogue *d,
                 struct bao_list *list,
                 uint64_t now_us);
bool bao_runs_add(struct bao_dialogue *d,
                  struct bao_list *list,
                  uint64_t now_us);

/* dialogue_timer.c */
uint64_t bao_sooner(uint64_t a, uint64_t b);
void bao_alarm_set(struct bao_dialogue *d,
                   struct bao_request *request,
                   uint64_t due_us);
void bao_timer_start(struct bao_dialogue *d, struct bao_request *request);
void bao_timer_sent(struct bao_dialogue *d,
                    struct bao_request *request,
                    uint64_t now_us);

/* dialogue_session.c */
void bao_session_welcome(struct bao_dialogue *d,
                         uint64_t now_us,
                         const struct bao_operation *answer);
void bao_session_gone(struct bao_dialogue *d,
                      uint64_t now_us,
                      const struct bao_operation *notice);
void bao_session_new_client(struct bao_dialogue *d);

/* dialogue_lease.c */
void bao_leases_renew_all(struct bao_dialogue *d, uint64_t now_us);
void bao_leases_lose_all(struct bao_dialogue *d, enum baozi_status gone);
bool bao_leases_snapshot(struct bao_dialogue *d);
uint64_t bao_leases_due(const struct bao_dialogue *d);
void bao_leases_tick(struct bao_dialogue *d, uint64_t now_us);
void bao_leases_touched(struct bao_dialogue *d,
                        const struct bao_own_request *own,
                        const struct bao_operation *answer);

#endif
