/*
 * edge_connections.h - the connections behind an edge, by their descriptor.
 *
 * The descriptors belong to the transport library; this table only knows what
 * they are, and never closes one. It learns of them from the library's
 * monitor, in order: accepted, gone. A descriptor number comes back as soon
 * as the library has closed it, so everything that acts on one first compares
 * the kernel's socket cookie with the one noted at accept.
 *
 * It also counts descriptors against the limit, keeps the HELLO deadline of
 * connections that nobody has welcomed yet, and a pidfd for each connection
 * of a local process, so that the death of a process is told apart from the
 * end of a connection.
 */
#ifndef BAO_EDGE_CONNECTIONS_H
#define BAO_EDGE_CONNECTIONS_H

#include "broker/edge_addresses.h"
#include "broker/guard.h"
#include "common/list.h"

struct bao_connection {
    struct bao_link greeting; /* listed until it was welcomed */
    uint64_t cookie;      /* the kernel's name of the socket, never reused */
    uint64_t deadline_us; /* of HELLO */
    uint64_t peer;        /* 0 = no message has come yet */
    struct bao_address *address; /* of tcp from elsewhere; else NULL */
    const char *why;             /* it was cut, and why; NULL */
    int pidfd;                   /* -1 = none */
    uint32_t pid;
    bool open;
    bool local;
    bool process_gone;
};

/* Who may connect to a local socket besides this user and root. */
#define BAO_USERS_MAX 16u
struct bao_users {
    uint32_t ids[BAO_USERS_MAX];
    size_t count; /* 0 = whoever the file's rights let in */
};

/* What happened since the start. */
struct bao_connection_counts {
    uint64_t accepted;
    uint64_t too_many;  /* cut: more clients than allowed */
    uint64_t addresses; /* cut: its address is banned, or has its share */
    uint64_t users;     /* cut: its user may not connect */
    uint64_t mute;      /* cut: no HELLO in time */
    uint64_t punished;  /* cut: for what it did, the guard's included */
};

struct bao_connections {
    struct bao_connection *slots; /* by descriptor */
    struct bao_list greeting;     /* by deadline */
    size_t slot_count;            /* the limit of descriptors */
    size_t open_count;
    size_t pidfd_count;
    size_t base_count; /* descriptors that are not connections */
    int *spares;       /* descriptors kept free, by keeping them open */
    size_t spare_count;
    size_t spare_max;
    size_t open_max;
    uint64_t hello_us;
    int epoll;               /* lent: told of pidfds; data = descriptor */
    uint64_t now_us;         /* of this turn */
    struct bao_guard *guard; /* lent: told of all; or NULL */
    struct bao_addresses addresses;
    struct bao_users users;
    struct bao_connection_counts counts;
};

struct bao_connections_config {
    size_t open_max;         /* 0 = as many as the limit allows */
    size_t open_address_max; /* of one address; 0 = a quarter of that */
    uint32_t strikes_max;    /* of one address; 0 = no ban */
    uint64_t hello_us;       /* from accept to welcome */
    struct bao_users users;
    int epoll;               /* lent */
    struct bao_guard *guard; /* lent, or NULL */
    struct bao_arena *arena; /* lent */
};

/* Sized by the process's limit of descriptors, which the caller has raised.
 * OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status
bao_connections_open(struct bao_connections *connections,
                     const struct bao_connections_config *config);
void bao_connections_close(struct bao_connections *connections);

/*
 * The edge listens: counts what is open and no connection, and keeps
 * `spare_max` descriptors in reserve. OK | NO_MEMORY
 */
BAOZI_MUST_USE enum baozi_status
bao_connections_settle(struct bao_connections *connections, size_t spare_max);

/* Takes the reserve (again), as far as there is room; gives it up, so that
 * what the kernel has accepted already can be taken in. */
void bao_connections_keep_spares(struct bao_connections *connections);
void bao_connections_give_spares(struct bao_connections *connections);

/* The monitor says: accepted, on a descriptor that is not open here. The
 * connection is cut at once if there are already too many, in all or of its
 * address, if that is banned, or if its user may not connect. */
void bao_connections_accepted(struct bao_connections *connections,
                              int descriptor);

/* The monitor says: gone. The connection as it was, with its pidfd, which is
 * the caller's now; `open` is false if it was not known. */
struct bao_connection bao_connections_gone(struct bao_connections *connections,
                                           int descriptor);

/* The open connection of this descriptor, or NULL. */
struct bao_connection *
bao_connections_find(const struct bao_connections *connections, int descriptor);

/* It said HELLO and was welcomed: no deadline any more. */
void bao_connections_welcome(struct bao_connections *connections,
                             struct bao_connection *connection);

/* Shuts the socket down, in both directions; the monitor will say gone. */
void bao_connections_cut(struct bao_connections *connections,
                         struct bao_connection *connection,
                         const char *why);

/* The same for what it did: a strike against its address. */
void bao_connections_punish(struct bao_connections *connections,
                            struct bao_connection *connection,
                            const char *why);

/* A pidfd became readable: notes that the process is gone, and cuts. */
void bao_connections_process_gone(struct bao_connections *connections,
                                  int descriptor);

/* Cuts those whose HELLO deadline has passed. */
void bao_connections_expire(struct bao_connections *connections);

/* The next HELLO deadline, or UINT64_MAX. */
uint64_t bao_connections_deadline(const struct bao_connections *connections);

/* How much of the limit is used, in per cent. */
unsigned bao_connections_load(const struct bao_connections *connections);

/* True if the process that `pidfd` names has ended. */
bool bao_process_ended(int pidfd);

#endif
