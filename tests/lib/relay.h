/*
 * relay.h - a bad network in one thread: a TCP relay that delays, holds, loses
 * and cuts.
 *
 * It listens on a port of 127.0.0.1 and joins each connection (the near end)
 * with one that it makes itself to the target (the far end). Bytes that come
 * from one end wait in a line until they are due and leave by the other; what
 * happens to them on the way is set for each way apart and may change at any
 * time. Nothing here blocks but relay_turn, and all chance comes from a seed.
 *
 * Bytes of one way of one connection always stay in order, as TCP keeps them;
 * those of different connections overtake each other (see RELAY_ORPHAN).
 */
#ifndef BAO_TESTS_RELAY_H
#define BAO_TESTS_RELAY_H

#include <stdbool.h>
#include <stdint.h>

/* The two ways of a connection. */
enum relay_way {
    RELAY_UP,  /* from the near end to the far one: to the broker */
    RELAY_DOWN /* and back */
};
#define RELAY_WAYS 2

enum relay_flow {
    RELAY_FLOWS,
    RELAY_STALLS,  /* kept, and passed on when it flows again */
    RELAY_SWALLOWS /* lost; when it flows again, a connection that lost
                      something is reset, since its bytes are wrong */
};

/* How a connection ends. */
enum relay_end {
    RELAY_CUT,      /* both ends are closed, what waits is lost */
    RELAY_RESET,    /* the same, and the peers see ECONNRESET */
    RELAY_ORPHAN,   /* the near end is reset; what it had sent still goes to
                       the far end, late, which stays open meanwhile */
    RELAY_HALF_UP,  /* the far end sees end of file behind what waits, the
                       other way goes on */
    RELAY_HALF_DOWN /* the same for the near end */
};

struct relay_settings {
    uint64_t delay_us;         /* each byte is that late */
    uint64_t jitter_us;        /* and up to so much more */
    uint64_t bytes_per_second; /* 0: as fast as it goes */
    enum relay_flow flow;
};

struct relay_counts {
    uint64_t accepted; /* connections so far */
    uint64_t refused;  /* of them: reset at once */
    uint64_t open;     /* now */
    uint64_t ended;    /* by us: cut, reset, orphaned, mid-frame */
    uint64_t bytes[RELAY_WAYS];
    uint64_t lost_bytes; /* swallowed, or waiting when it was cut */
};

struct relay;

/* NULL if it cannot listen. Free it with relay_close(), which resets all. */
struct relay *relay_open(int target_port, uint64_t seed);
void relay_close(struct relay *relay);
int relay_port(const struct relay *relay);

void relay_set(struct relay *relay,
               enum relay_way way,
               const struct relay_settings *settings);
struct relay_settings relay_settings(const struct relay *relay,
                                     enum relay_way way);
/* New connections are reset at once. */
void relay_refuse(struct relay *relay, bool refuse);
/* Each later connection is ended after 1 to 2 * `bytes` bytes, wherever in a
 * frame that is: closed or reset, as chance wants. 0: no more. */
void relay_lifetime(struct relay *relay, uint64_t bytes);
/* Ends all connections that stand now. */
void relay_end_all(struct relay *relay, enum relay_end end);
struct relay_counts relay_counts(const struct relay *relay);

/* Passes on what is due; waits at most `wait_us` for something to do. True if
 * the descriptor `other` (-1: none) can be read. */
bool relay_turn(struct relay *relay, uint64_t wait_us, int other);

#endif
