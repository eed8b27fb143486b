/*
 * guard.h - cuts peers that send more than the broker can see.
 *
 * ZeroMQ shows a message only when its last part has come, and neither its
 * high-water mark nor its size limit counts the parts before that. So a peer
 * that never ends its message fills memory unseen [Z8]. The guard compares,
 * for each tcp connection, what the kernel received (TCP_INFO) with what the
 * edge consumed; the difference is the connection's backlog. It cuts
 *
 *   - who is not welcomed and has a backlog above 64 KiB;
 *   - who is welcomed and has one above the put credit and one item more;
 *   - the largest, as long as all of them have more than `total_bytes`;
 *   - the largest, if memory grew far beyond what the ledger and all backlogs
 *     explain (empty parts: two bytes on the wire are 64 in memory).
 *
 * A cut is shutdown(2): the descriptor stays the transport library's. Every
 * 10 ms (50 ms while memory is calm) a thread of its own compares resident
 * memory with the ledger; memory that grew by 16 MiB without a reason makes
 * it look at all connections at once, otherwise at a hundredth of them.
 *
 * A local socket has no such counter. Its folder and its peer's user protect
 * (edge_connections.h); if memory grew and no other culprit is there, local
 * peers that never said HELLO are cut.
 *
 * It also knows what a peer has not yet taken of what was sent to it, so that
 * the edge can hold back before ZeroMQ's queue grows.
 *
 * Calls come from the one thread that owns the edge; they take no lock.
 */
#ifndef BAO_GUARD_H
#define BAO_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/baozi.h"

struct bao_guard;

struct bao_guard_config {
    uint64_t credit_bytes; /* what a welcomed peer may have on its way */
    uint64_t total_bytes;  /* what all peers may; at least one item */
    bool threadless;       /* for tests: only bao_guard_look() looks */
    /* Bytes of memory that are resident; NULL = asks the system. */
    uint64_t (*resident)(void *context);
    void *context;
};

/* How many connections were cut, and why. */
struct bao_guard_counts {
    uint64_t greeting; /* too much before they were welcomed */
    uint64_t credit;   /* more than one peer may have on its way */
    uint64_t total;    /* the largest of all together */
    uint64_t memory;   /* memory grew without another reason */
    uint64_t scans;    /* looks at all connections */
};

/* Starts the thread, if there is to be one. OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status
bao_guard_open(const struct bao_guard_config *config, struct bao_guard **guard);
/* NULL is allowed, here and below: nothing is guarded. */
void bao_guard_close(struct bao_guard *guard);

/* A connection was accepted; `cookie` is the kernel's name of its socket,
 * `counted` says that it is a tcp socket. */
void bao_guard_watch(struct bao_guard *guard,
                     int descriptor,
                     uint64_t cookie,
                     bool counted);

/* Why a connection was cut, and whether that was its own doing for sure. */
struct bao_verdict {
    const char *why;
    bool is_offence;
};

/* It is gone. NULL, or the verdict on it: static. */
const struct bao_verdict *bao_guard_forget(struct bao_guard *guard,
                                           int descriptor);

/* It said HELLO and has put credit from now on. */
void bao_guard_welcome(struct bao_guard *guard, int descriptor);

/* So many bytes of the wire were consumed; were given to the transport. */
void bao_guard_consumed(struct bao_guard *guard,
                        int descriptor,
                        uint64_t bytes);
void bao_guard_sent(struct bao_guard *guard, int descriptor, uint64_t bytes);

/* False if its peer has so much to take that it should get no more now. */
bool bao_guard_has_room(struct bao_guard *guard, int descriptor);

/* What the broker knows that it uses, told whenever it has changed. */
enum bao_guard_use {
    BAO_USE_LEDGER, /* records, payloads, replies */
    BAO_USE_FRAMES, /* received frames that are still held */
    BAO_USE_COUNT
};
void bao_guard_explain(struct bao_guard *guard,
                       enum bao_guard_use use,
                       uint64_t bytes);

/* One tick of the thread. */
void bao_guard_look(struct bao_guard *guard, uint64_t now_us);

struct bao_guard_counts bao_guard_counts(const struct bao_guard *guard);

#endif
