/*
 * edge_listen.h - where the broker may listen, and how it stops for a while.
 *
 * A listener is one address: ipc://PATH or tcp://HOST:PORT. For ipc the
 * socket file is guarded by a lock on PATH.lock, held as long as the broker
 * runs: only its holder removes a stale file, so that two brokers never take
 * the path from each other, and a crash needs no clean-up.
 *
 * Pausing makes new connections wait or fail without touching those that are
 * there. (The library's own way, unbind, was tried: it ends every connection
 * that came through the address.) An ipc file is renamed out of the way; a
 * tcp socket gets a packet filter that drops what is new.
 */
#ifndef BAO_EDGE_LISTEN_H
#define BAO_EDGE_LISTEN_H

#include <stdbool.h>

#include "common/complain.h"
#include "common/place.h"

#define BAO_ADDRESS_BYTES 300u
#define BAO_LISTENERS_MAX 16u

struct bao_listener {
    char url[BAO_ADDRESS_BYTES];     /* as asked for */
    char address[BAO_ADDRESS_BYTES]; /* as bound, the port resolved */
    const char *path;                /* ipc: the file, in `url`; else NULL */
    int lock;                        /* ipc: the lock's descriptor, or -1 */
    int descriptor; /* the library's listening socket, or -1; lent */
    bool bound;     /* set by who bound it: there is a file to remove */
    bool paused;
};

/* True if nobody beyond this machine can reach `url`. */
bool bao_url_is_local(const char *url);

/*
 * Checks that `url` is an address baozi listens on, written as it must be.
 * False fills *problem (exit code 78).
 */
bool bao_url_check(const char *url, struct bao_problem *problem);

/*
 * Makes ready to bind: for ipc takes the lock and removes a stale file.
 * False fills *problem: the address is wrong, somebody listens there, or the
 * file is no socket (exit code 78), or a system call failed (74).
 */
bool bao_listener_open(struct bao_listener *listener,
                       const char *url,
                       struct bao_problem *problem);

/* After the socket was closed: removes its file, gives the lock back. */
void bao_listener_close(struct bao_listener *listener);

/* Stops new connections, and lets them come again. What the system refuses
 * is left as it is. */
void bao_listener_pause(struct bao_listener *listener);
void bao_listener_resume(struct bao_listener *listener);

#endif
