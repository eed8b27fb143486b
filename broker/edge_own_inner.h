/*
 * edge_own_inner.h - what the files of the own edge share.
 *
 * edge_own.c opens, closes and turns; edge_own_listen.c has the addresses;
 * edge_own_peers.c knows who there is; edge_own_receive.c reads;
 * edge_own_frames.c has what was read; edge_own_send.c writes. No other
 * file includes this.
 *
 *   accept        greeting       READY       message        end of bytes
 *   -----> GREETS ------> SAYS_READY ----> TALKS --> OPENED ----> CLOSED
 *
 * All peers share one buffer to read into. A header or bodies that are whole
 * there are handed over where they lie; what somebody still holds when the next
 * event is asked for, what ends in the middle, and every big frame, gets memory
 * of its own. So an idle connection costs a record and nothing else.
 */
#ifndef BAO_EDGE_OWN_INNER_H
#define BAO_EDGE_OWN_INNER_H

#include "broker/edge_doors.h"
#include "broker/edge_own.h"
#include "broker/guard.h"
#include "common/pool.h"
#include "common/zmtp_bytes.h"

#define BAO_OWN_READ_BYTES (UINT64_C(256) << 10)

/* Data of an epoll event: which, or a connection's pidfd. */
#define BAO_OWN_OF_LISTENER (UINT64_C(1) << 63)
#define BAO_OWN_OF_PEER     (UINT64_C(1) << 62)

#define BAO_OWN_SPARES      256u
#define BAO_OWN_SPARE_BYTES ((size_t)128 << 10) /* at least */

/* Memory of a long frame that was freed. */
struct bao_own_spare {
    uint8_t *data;
    size_t bytes;
};

struct bao_own_frame {
    struct bao_frame frame;
    struct bao_edge_own *edge;
    uint8_t *own; /* its bytes, malloc'ed; NULL: they lie in the buffer */
    size_t capacity;
    bool told; /* counted in frame_bytes */
};

/* A message on its way in. */
struct bao_own_arrival {
    struct bao_own_frame *parts[BAO_PARTS_MAX];
    struct bao_own_frame *partial; /* being filled; NULL: skipped */
    struct bao_zmtp_head head;     /* of the frame being taken */
    uint64_t left;                 /* of its bytes */
    uint64_t wire_bytes;           /* of the message so far */
    uint32_t part_count;
    uint32_t surplus_count; /* parts that were dropped */
    uint64_t surplus_bytes; /* of them, and of the one that is */
    uint32_t head_count;
    bool in_frame;
    const char *malformed;
    uint8_t head_bytes[BAO_ZMTP_GREETING_BYTES]; /* cut short: a head, or a
                                                    greeting */
};

enum bao_own_state {
    BAO_OWN_GREETS,
    BAO_OWN_SAYS_READY,
    BAO_OWN_TALKS,
};

struct bao_own_peer {
    struct bao_link ready;    /* listed: there is something to read, in
                                 `ready` or `much` of the edge */
    struct bao_link writable; /* listed: WRITABLE is to be told */
    struct bao_link closing;  /* listed: its connection has ended */
    struct bao_list parked;   /* what waits to be written */
    size_t backlog_bytes;
    struct bao_own_arrival *arrival; /* of a message cut short, or NULL */
    uint64_t handle;
    uint64_t closed_due_us;
    const char *why;
    int descriptor;
    int pidfd; /* of a closing peer, -1 = none */
    enum bao_own_state state;
    bool has_much; /* listed in `much` */
    bool opened;   /* OPENED was told */
    bool welcomed; /* it said HELLO */
    bool process_gone;
};

struct bao_own_slot {
    struct bao_own_peer *peer; /* by descriptor */
    uint32_t generation;
};

struct bao_edge_own {
    struct bao_edge edge;
    void *memory;
    struct bao_arena *arena;
    struct bao_pool frames;
    struct bao_pool peers;
    struct bao_pool arrivals;
    struct bao_own_slot *slots;
    struct bao_guard *guard; /* lent, or NULL */
    struct bao_connections connections;
    struct bao_doors doors;
    uint64_t frame_bytes_max;
    uint64_t frame_bytes;  /* told, and still held */
    uint64_t parked_bytes; /* of all peers */
    int epoll;
    bool deaf; /* accepting failed: listeners wait until deaf_until_us */
    uint64_t deaf_until_us;
    uint64_t now_us;
    struct bao_list ready; /* peers that have something to read */
    struct bao_list much;  /* more than one read took */
    bool much_read;        /* one of these was, in this turn */
    bool much_waits;       /* none of these was, in the last turn */
    struct bao_list writable;
    struct bao_list closing;
    /* Being read: bytes [at, end) of `buffer` are `reading`'s. */
    struct bao_own_peer *reading;
    uint8_t *buffer;
    size_t at;
    size_t end;
    struct bao_own_spare spares[BAO_OWN_SPARES];
    size_t spare_count;
    uint64_t spare_bytes;
    uint64_t spares_until_us;
    bool filled;          /* the buffer was read full: there may be more */
    uint64_t turn_bytes;  /* read in this turn */
    uint32_t turn_closed; /* connections closed in this turn */
    struct bao_own_arrival spare;
    struct bao_own_arrival *lent; /* of the last event, or NULL */
    struct bao_frame *lent_frames[BAO_PARTS_MAX];
    bool held_back;  /* OPENED was told, its message comes next */
    const char *why; /* of what was refused last */
    bool offence;
    uint8_t *out; /* a message to be written */
};

static inline struct bao_edge_own *bao_edge_own_of(struct bao_edge *edge)
{
    return (struct bao_edge_own *)(void *)edge;
}

/* --- edge_own_listen.c --- */

/* Listens on one address, as bao_listener_open() made ready. False fills
 * *problem. */
bool bao_own_listen(struct bao_listener *listener,
                    int backlog,
                    struct bao_problem *problem);

/* --- edge_own_peers.c --- */

/* Takes in who waits at a listener. */
void bao_own_accept(struct bao_edge_own *edge, int listener);
struct bao_own_peer *bao_own_find(const struct bao_edge_own *edge,
                                  uint64_t handle);
/* Its connection has ended; CLOSED with `why` follows if it was opened. */
void bao_own_dies(struct bao_edge_own *edge,
                  struct bao_own_peer *peer,
                  const char *why);
/* Ends its connection; `offence`: for what it did. */
void bao_own_cut(struct bao_edge_own *edge,
                 struct bao_own_peer *peer,
                 const char *why,
                 bool offence);
/* CLOSED of a peer whose time has come. */
bool bao_own_next_closed(struct bao_edge_own *edge,
                         struct bao_edge_event *event);
/* Forgets a peer, whose messages were given up. */
void bao_own_remove(struct bao_edge_own *edge, struct bao_own_peer *peer);

/* --- edge_own_frames.c --- */

/* A frame without bytes; NULL if memory ran out. */
struct bao_own_frame *bao_own_frame_new(struct bao_edge_own *edge);
/* An empty frame that will have `bytes` takes spare memory, if some fits. */
void bao_own_frame_reuse(struct bao_own_frame *frame, uint64_t bytes);
/* Spare memory that nobody took goes back: a little, or all of it. */
bool bao_own_has_spares_due(const struct bao_edge_own *edge);
void bao_own_spares_turn(struct bao_edge_own *edge);
void bao_own_spares_end(struct bao_edge_own *edge);
/* A frame of bytes in the buffer. */
struct bao_own_frame *bao_own_frame_lent(struct bao_edge_own *edge,
                                         size_t bytes);
/* Room for `more` bytes behind those that it owns; false if there is none. */
bool bao_own_frame_room(struct bao_own_frame *frame, size_t more);
/* Its bytes leave the buffer; false if memory ran out. */
bool bao_own_frame_keep(struct bao_own_frame *frame);

bool bao_own_arrival_is_idle(const struct bao_own_arrival *arrival);
/* Gives up its frames. */
void bao_own_arrival_reset(struct bao_own_arrival *arrival);
/* The buffer is about to be used for another peer; false if memory ran out. */
bool bao_own_arrival_keep(struct bao_edge_own *edge,
                          struct bao_own_peer *peer,
                          struct bao_own_arrival *arrival);

/* --- edge_own_receive.c --- */

bool bao_edge_own_next(struct bao_edge *base, struct bao_edge_event *event);
/* Gives up the message last told. */
void bao_own_forget(struct bao_edge_own *edge);

/* --- edge_own_send.c --- */

enum bao_sent bao_edge_own_send(struct bao_edge *base,
                                uint64_t handle,
                                const struct bao_outgoing *message);
/* Sends bytes that are whole frames; what has no room is parked. */
void bao_own_say(struct bao_edge_own *edge,
                 struct bao_own_peer *peer,
                 struct bao_span bytes);
/* The socket has room again. */
void bao_own_write_on(struct bao_edge_own *edge, struct bao_own_peer *peer);
void bao_own_unpark(struct bao_edge_own *edge, struct bao_own_peer *peer);
size_t bao_own_out_bytes(void);

#endif
