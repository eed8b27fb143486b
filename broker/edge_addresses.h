/*
 * edge_addresses.h - what each tcp address has, and what it has done.
 *
 * Counts the connections of an address and how often one of them was cut for
 * what it did. Too many of the former are refused. Too many of the latter
 * within a minute are a ban: of a minute, and of twice the last one if that
 * ended less than an hour ago, but never of more than an hour. This machine's
 * own loopback addresses are all programs of this machine, good and bad, and
 * are not counted at all.
 *
 * An address is remembered while it has connections or strikes; of those that
 * have only strikes, the BAO_ADDRESSES_IDLE_MAX that left last.
 */
#ifndef BAO_EDGE_ADDRESSES_H
#define BAO_EDGE_ADDRESSES_H

#include <sys/socket.h>

#include "common/pool.h"
#include "common/table.h"

#define BAO_ADDRESS_WINDOW_US  UINT64_C(60000000)
#define BAO_ADDRESS_BAN_US     UINT64_C(60000000) /* the first one */
#define BAO_ADDRESS_BAN_MAX_US UINT64_C(3600000000)
#define BAO_ADDRESSES_IDLE_MAX 4096u

struct bao_address {
    struct bao_table_node node;
    struct bao_link idle; /* listed: it has no connection */
    uint8_t bytes[16];    /* IPv6, or IPv4 mapped into it */
    size_t open_count;
    uint32_t strikes;
    uint64_t first_strike_us;
    uint64_t ban_us; /* of the last ban; 0 = none */
    uint64_t banned_until_us;
};

struct bao_addresses {
    struct bao_table table;
    struct bao_pool pool;
    struct bao_list idle; /* by the time they left */
    uint64_t seed;
    size_t open_max;      /* connections of one address */
    uint32_t strikes_max; /* so many are a ban; 0 = never */
    uint64_t bans;        /* ever */
};

/* `arena` is lent. False if memory ran out. The limits are the caller's to
 * set: open_max and strikes_max. */
bool bao_addresses_open(struct bao_addresses *addresses,
                        struct bao_arena *arena,
                        uint64_t seed);
/* Forgets all, those with connections too. */
void bao_addresses_close(struct bao_addresses *addresses);

/*
 * A connection of this peer came: *address is its record, until
 * bao_addresses_leave(); NULL if it is not counted. Returns NULL, or why it
 * must be cut at once: static text.
 */
const char *bao_addresses_enter(struct bao_addresses *addresses,
                                const struct sockaddr_storage *peer,
                                uint64_t now_us,
                                struct bao_address **address);

/* A connection is gone. NULL is allowed, here and below. */
void bao_addresses_leave(struct bao_addresses *addresses,
                         struct bao_address *address);

/* One was cut for what it did, which counts as so many strikes. True if that
 * made a ban of it: address->ban_us is how long. */
bool bao_addresses_strike(struct bao_addresses *addresses,
                          struct bao_address *address,
                          uint32_t strikes,
                          uint64_t now_us);

#endif
