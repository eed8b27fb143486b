/*
 * edge.h - what the broker asks of a transport: the boundary to the sockets.
 *
 * An edge accepts connections, hands over whole messages and sends whole
 * messages. No type of a transport library and no routing id comes past it;
 * a peer is a u64 handle: generation << 32 | index. A handle is never 0 and
 * never comes back; indexes are small and do.
 *
 *   each turn:  bao_edge_turn(edge, now_us)
 *               while (bao_edge_next(edge, &event)) ...
 *               bao_edge_send(...) as often as needed
 *               bao_edge_flush(edge)
 *   sleep:      only if !bao_edge_ready(edge); on bao_edge_pollfd(edge) and
 *               until bao_edge_deadline(edge)
 *
 * One thread owns an edge. Nothing here blocks.
 */
#ifndef BAO_EDGE_H
#define BAO_EDGE_H

#include "common/limits.h"
#include "common/span.h"

struct bao_edge;
struct bao_edge_operations;
struct bao_doors;
struct bao_connections;

/* One received frame, counted by its holders. */
struct bao_frame {
    struct bao_span bytes;
    uint32_t references;
    void (*free)(struct bao_frame *frame); /* the edge's */
};

/* Keeps a frame beyond the event that brought it; ends that. The bytes live
 * until the last holder has let go, which must be before the edge closes. Those
 * of a big frame stay where they are; those of header and bodies may move when
 * the event is over. */
static inline struct bao_frame *bao_frame_hold(struct bao_frame *frame)
{
    frame->references++;
    return frame;
}

static inline void bao_frame_release(struct bao_frame *frame)
{
    if (frame != NULL && --frame->references == 0)
        frame->free(frame);
}

/*
 *              first message       close(), death
 *   (connected) ----------> OPENED ---------------> CLOSED
 *                           MESSAGE, WRITABLE
 */
enum bao_edge_event_kind {
    BAO_EDGE_OPENED,   /* a new peer; its first MESSAGE follows */
    BAO_EDGE_MESSAGE,  /* `frames`, or `malformed` */
    BAO_EDGE_WRITABLE, /* what was PARKED has left: send again */
    BAO_EDGE_CLOSED    /* the connection is gone; nothing more comes */
};

struct bao_edge_event {
    enum bao_edge_event_kind kind;
    uint64_t peer;
    bool local;   /* OPENED: on this machine, through a file */
    uint32_t pid; /* OPENED: of a local peer; 0 = not known */
    /* MESSAGE: header, bodies, big frames; lent until the next call of
     * bao_edge_next(). */
    struct bao_frame *const *frames;
    uint32_t frame_count;
    const char *malformed; /* MESSAGE: not NULL = no frames, and why */
    bool process_gone;     /* CLOSED: and so is the peer's process */
    const char *why;       /* CLOSED: static text */
};

/* Bytes to send: a part of the bodies frame, or a frame of its own. If
 * `frame` is not NULL, `bytes` are exactly its bytes and need no copy. */
struct bao_piece {
    struct bao_span bytes;
    struct bao_frame *frame;
};

/* A message to send; everything is lent for the call. */
struct bao_outgoing {
    struct bao_span header;
    const struct bao_piece *bodies; /* gathered into one frame */
    size_t body_count;
    const struct bao_piece *big; /* a frame each */
    size_t big_count;
};

enum bao_sent {
    BAO_SENT,   /* with the transport: on its way, not yet arrived */
    BAO_PARKED, /* kept here; send no more until WRITABLE */
    BAO_GONE    /* there is no such peer any more */
};

/* What an implementation offers; see the functions below. */
struct bao_edge_operations {
    void (*turn)(struct bao_edge *edge, uint64_t now_us);
    bool (*next)(struct bao_edge *edge, struct bao_edge_event *event);
    enum bao_sent (*send)(struct bao_edge *edge,
                          uint64_t peer,
                          const struct bao_outgoing *message);
    void (*flush)(struct bao_edge *edge);
    void (*admit)(struct bao_edge *edge, uint64_t peer);
    void (*close)(struct bao_edge *edge, uint64_t peer, const char *why);
    void (*punish)(struct bao_edge *edge, uint64_t peer, const char *why);
    size_t (*backlog)(const struct bao_edge *edge, uint64_t peer);
    bool (*ready)(struct bao_edge *edge);
    int (*pollfd)(const struct bao_edge *edge);
    uint64_t (*deadline)(const struct bao_edge *edge);
    /* For edge_open.h. */
    void (*end)(struct bao_edge *edge, int linger_ms);
};

/* The first member of every implementation. */
struct bao_edge {
    const struct bao_edge_operations *operations;
    /* Lent, as long as it lives; NULL in one without sockets. */
    const struct bao_doors *doors;
    const struct bao_connections *connections;
};

/* A turn begins: looks at timers, deaths and what became writable. */
static inline void bao_edge_turn(struct bao_edge *edge, uint64_t now_us)
{
    edge->operations->turn(edge, now_us);
}

/* The next thing that happened; false if nothing is left for now. */
static inline bool bao_edge_next(struct bao_edge *edge,
                                 struct bao_edge_event *event)
{
    return edge->operations->next(edge, event);
}

/* Sends one message. */
static inline enum bao_sent bao_edge_send(struct bao_edge *edge,
                                          uint64_t peer,
                                          const struct bao_outgoing *message)
{
    return edge->operations->send(edge, peer, message);
}

/* The turn's sends are complete: pass on what was gathered. */
static inline void bao_edge_flush(struct bao_edge *edge)
{
    edge->operations->flush(edge);
}

/* This peer was welcomed: its HELLO deadline is lifted. */
static inline void bao_edge_admit(struct bao_edge *edge, uint64_t peer)
{
    edge->operations->admit(edge, peer);
}

/* Cuts a peer's connection; CLOSED with `why` (static text) follows. Its
 * messages are no longer handed over. Unknown peers are ignored. */
static inline void
bao_edge_close(struct bao_edge *edge, uint64_t peer, const char *why)
{
    edge->operations->close(edge, peer, why);
}

/* The same for what it did, which counts against its address too, where the
 * transport knows one. */
static inline void
bao_edge_punish(struct bao_edge *edge, uint64_t peer, const char *why)
{
    if (edge->operations->punish != NULL)
        edge->operations->punish(edge, peer, why);
    else
        edge->operations->close(edge, peer, why);
}

/* Bytes parked for a peer. */
static inline size_t bao_edge_backlog(const struct bao_edge *edge,
                                      uint64_t peer)
{
    return edge->operations->backlog(edge, peer);
}

/* True if next() may have something: ask after the last send and before
 * every sleep, because pollfd tells of changes only. */
static inline bool bao_edge_ready(struct bao_edge *edge)
{
    return edge->operations->ready(edge);
}

/* Readable when turn() and next() are to be called. */
static inline int bao_edge_pollfd(const struct bao_edge *edge)
{
    return edge->operations->pollfd(edge);
}

/* When turn() is due whatever happens; UINT64_MAX = never. */
static inline uint64_t bao_edge_deadline(const struct bao_edge *edge)
{
    return edge->operations->deadline(edge);
}

#endif
