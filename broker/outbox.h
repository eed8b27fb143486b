/*
 * outbox.h - replies that wait until what they tell is safe.
 *
 * A reply is an operation, already encoded, with the bodies that go with it.
 * It is held until the journal's marks have passed the positions that it
 * needs; then it becomes ready at its peer. The owner of a peer takes all
 * that is ready and merges it into one message.
 *
 *   level    NONE   LEVEL      SEEN       LEASE
 *   memory   now    now        now        now
 *   os       now    written    written    written
 *   disk     now    synced     synced     written, and synced up to the puts
 *   quorum   now    committed  committed  committed
 *
 * LEVEL waits for the facts of its own step, and for what its queue showed
 * before (a duplicate's answer waits like the first one's); SEEN for what its
 * queue showed. A lease needs no sync of its own: lost in a power cut it is
 * not remembered, and its item is ready again. But an item that it hands out
 * must not be lost with it.
 *
 * Memory of a reply: one block of the arena; bodies are counted references.
 */
#ifndef BAO_OUTBOX_H
#define BAO_OUTBOX_H

#include "broker/bodies.h"
#include "broker/core/core.h"
#include "broker/journal.h"
#include "common/list.h"

/* One body of a reply, in the order of its lengths. */
struct bao_reply_body {
    struct bao_chunk *chunk; /* that has it: the outbox counts in it */
    const uint8_t *data;
    uint32_t bytes;
    bool big; /* travels as a frame of its own */
};

struct bao_outbox_peer;

enum bao_mark {
    BAO_MARK_WRITTEN,
    BAO_MARK_SYNCED,
    BAO_MARK_COMMITTED,
    BAO_MARK_COUNT
};

/* The position that each mark must have passed; 0 = any will do. */
struct bao_need {
    uint64_t at[BAO_MARK_COUNT];
};

/* Positions that a reply may depend on; 0 = nothing is in flight. */
struct bao_depends {
    uint64_t step;  /* of the last fact of its step */
    uint64_t queue; /* of the last fact of its queue */
    uint64_t puts;  /* of the last put that it hands out */
    uint64_t made;  /* of the fact that made its queue */
};

struct bao_reply {
    struct bao_link own;  /* in its peer's `ready` or `waiting` */
    struct bao_link held; /* listed: with a mark */
    struct bao_outbox_peer *peer;
    enum bao_mark mark; /* that it waits for now */
    struct bao_need need;
    uint32_t operation_bytes;
    uint32_t body_count;
    size_t bytes; /* all that will be sent */
    uint32_t small_bytes;
    uint32_t big_count;
    /* Behind it: body_count bodies, then the encoded operation. */
};

/* What is held for one peer; part of the owner's record of it. */
struct bao_outbox_peer {
    struct bao_list ready;   /* replies that may leave, in order */
    struct bao_list waiting; /* replies that wait for a mark */
    struct bao_link dirty;   /* listed: it has something ready */
    size_t bytes;            /* of all its replies */
};

struct bao_outbox {
    struct bao_arena *arena;
    struct bao_bodies *bodies;
    struct bao_list held[BAO_MARK_COUNT]; /* by the position needed */
    struct bao_list dirty;                /* peers with something ready */
    size_t bytes;                         /* of all replies */
};

/* Both are lent. */
void bao_outbox_open(struct bao_outbox *outbox,
                     struct bao_arena *arena,
                     struct bao_bodies *bodies);

void bao_outbox_peer_open(struct bao_outbox_peer *peer);
/* Forgets all replies of a peer. */
void bao_outbox_peer_close(struct bao_outbox *outbox,
                           struct bao_outbox_peer *peer);

/* What a reply of this class must wait for. */
struct bao_need bao_outbox_need(enum bao_wait wait,
                                enum bao_level level,
                                const struct bao_depends *on);

/* Room for a reply of that size; NULL if memory ran out. Fill its bodies and
 * operation, then hold it or free it. */
struct bao_reply *bao_reply_new(struct bao_outbox *outbox,
                                uint32_t operation_bytes,
                                uint32_t body_count);
struct bao_reply_body *bao_reply_bodies(struct bao_reply *reply);
uint8_t *bao_reply_operation(struct bao_reply *reply);

/* Takes a filled reply: it leaves when all marks have passed what it needs. */
void bao_outbox_hold(struct bao_outbox *outbox,
                     struct bao_outbox_peer *peer,
                     struct bao_reply *reply,
                     const struct bao_need *need);

/* True if a reply waits for something to be synced. */
bool bao_outbox_wants_sync(const struct bao_outbox *outbox);

/* Makes ready what the marks have passed. */
void bao_outbox_release(struct bao_outbox *outbox,
                        const struct bao_marks *marks);

/* The next peer with something ready, taken off the list; or NULL. */
struct bao_outbox_peer *bao_outbox_next(struct bao_outbox *outbox);

/* Puts a peer that has something ready on that list again. */
void bao_outbox_again(struct bao_outbox *outbox, struct bao_outbox_peer *peer);

/* The first ready reply of a peer, lent until it was sent; or NULL. */
struct bao_reply *bao_outbox_first(const struct bao_outbox_peer *peer);
struct bao_reply *bao_outbox_after(const struct bao_outbox_peer *peer,
                                   const struct bao_reply *reply);

/* A reply was sent, or shall be forgotten. */
void bao_reply_free(struct bao_outbox *outbox, struct bao_reply *reply);

#endif
