/*
 * resolve.h - the addresses of a host's name, found without waiting.
 *
 * A name server may take many seconds, and the thread that asks may not: so a
 * thread of its own asks. Numbers are no names and are read at once.
 */
#ifndef BAO_RESOLVE_H
#define BAO_RESOLVE_H

#include <netdb.h>

#include "common/baozi.h"

/* A question; shared with the thread that asks it. */
struct bao_resolve;

/* Asks. OK | NO_MEMORY (or threads, or descriptors). End it with
 * bao_resolve_end(). */
BAOZI_MUST_USE enum baozi_status bao_resolve_start(struct bao_resolve **resolve,
                                                   const char *host,
                                                   const char *port);
/* OK: `*addresses` is the caller's, to be freed by freeaddrinfo() | EMPTY (not
 * yet) | NOT_FOUND. Only until it is not EMPTY. */
BAOZI_MUST_USE enum baozi_status bao_resolve_look(struct bao_resolve *resolve,
                                                  struct addrinfo **addresses);
/* Readable once there is an answer. */
int bao_resolve_fd(const struct bao_resolve *resolve);
/* Never waits. NULL is allowed. */
void bao_resolve_end(struct bao_resolve *resolve);

#endif
