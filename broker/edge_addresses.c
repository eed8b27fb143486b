/*
 * edge_addresses.c - the table of edge_addresses.h.
 *
 * Invariant: an address is in `idle` exactly when it has no connection; it
 * has strikes then, else it would have been forgotten.
 */
#include "broker/edge_addresses.h"

#include <netinet/in.h>

#include "common/check.h"

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* The address as 16 bytes; false if it is none of the internet. */
static bool read_address(const struct sockaddr_storage *peer, uint8_t bytes[16])
{
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)peer;
        memcpy(bytes, mapped, sizeof mapped);
        memcpy(bytes + sizeof mapped, &in->sin_addr, 4);
        return true;
    }
    if (peer->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)peer;
        memcpy(bytes, &in->sin6_addr, 16);
        return true;
    }
    return false;
}

static bool is_loopback(const uint8_t bytes[16])
{
    static const uint8_t one[16] = {[15] = 1};
    if (memcmp(bytes, mapped, sizeof mapped) == 0)
        return bytes[12] == 127;
    return memcmp(bytes, one, sizeof one) == 0;
}

bool bao_addresses_open(struct bao_addresses *addresses,
                        struct bao_arena *arena,
                        uint64_t seed)
{
    *addresses = (struct bao_addresses){.seed = seed, .open_max = SIZE_MAX};
    bao_list_init(&addresses->idle);
    bao_pool_init(&addresses->pool, arena, sizeof(struct bao_address));
    return bao_table_init(&addresses->table, arena);
}

static void forget(struct bao_addresses *addresses, struct bao_address *address)
{
    if (bao_link_is_listed(&address->idle))
        bao_list_remove(&addresses->idle, &address->idle);
    bao_table_remove(&addresses->table, &address->node);
    bao_pool_give(&addresses->pool, address);
}

void bao_addresses_close(struct bao_addresses *addresses)
{
    struct bao_table_node *node;
    while ((node = bao_table_any(&addresses->table)) != NULL)
        forget(addresses, BAO_OF(node, struct bao_address, node));
    bao_table_fini(&addresses->table);
}

/* Its record, made if it is new; NULL if memory ran out. */
static struct bao_address *get(struct bao_addresses *addresses,
                               const uint8_t bytes[16])
{
    uint64_t hash = bao_hash_bytes(bao_span_of(bytes, 16), addresses->seed);
    struct bao_table_node *node = bao_table_first(&addresses->table, hash);
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_address *known = BAO_OF(node, struct bao_address, node);
        if (memcmp(known->bytes, bytes, 16) == 0)
            return known;
    }
    struct bao_address *made = bao_pool_take(&addresses->pool);
    if (made == NULL)
        return NULL;
    memcpy(made->bytes, bytes, 16);
    bao_table_put(&addresses->table, &made->node, hash);
    return made;
}

const char *bao_addresses_enter(struct bao_addresses *addresses,
                                const struct sockaddr_storage *peer,
                                uint64_t now_us,
                                struct bao_address **address)
{
    uint8_t bytes[16];
    *address = NULL;
    if (!read_address(peer, bytes) || is_loopback(bytes))
        return NULL;
    struct bao_address *found = get(addresses, bytes);
    if (found == NULL)
        return "no memory for its address";
    if (bao_link_is_listed(&found->idle))
        bao_list_remove(&addresses->idle, &found->idle);
    found->open_count++;
    *address = found;
    if (found->banned_until_us > now_us)
        return "its address is banned";
    if (found->open_count > addresses->open_max)
        return "too many clients from its address";
    return NULL;
}

void bao_addresses_leave(struct bao_addresses *addresses,
                         struct bao_address *address)
{
    if (address == NULL)
        return;
    BAO_ASSERT(address->open_count > 0);
    if (--address->open_count > 0)
        return;
    if (address->strikes == 0) {
        forget(addresses, address);
        return;
    }
    bao_list_push(&addresses->idle, &address->idle);
    if (addresses->idle.count > BAO_ADDRESSES_IDLE_MAX)
        forget(
            addresses,
            BAO_OF(bao_list_first(&addresses->idle), struct bao_address, idle));
}

static void ban(struct bao_address *address, uint64_t now_us)
{
    const uint64_t last_us = address->ban_us;
    if (last_us == 0 ||
        now_us - address->banned_until_us > BAO_ADDRESS_BAN_MAX_US)
        address->ban_us = BAO_ADDRESS_BAN_US;
    else if (last_us < BAO_ADDRESS_BAN_MAX_US / 2)
        address->ban_us = 2 * last_us;
    else
        address->ban_us = BAO_ADDRESS_BAN_MAX_US;
    address->banned_until_us = now_us + address->ban_us;
}

bool bao_addresses_strike(struct bao_addresses *addresses,
                          struct bao_address *address,
                          uint32_t strikes,
                          uint64_t now_us)
{
    /* What is still under way when its address is banned is no news. */
    if (address == NULL || address->banned_until_us > now_us)
        return false;
    if (address->strikes == 0 ||
        now_us - address->first_strike_us > BAO_ADDRESS_WINDOW_US) {
        address->strikes = 0;
        address->first_strike_us = now_us;
    }
    address->strikes += strikes;
    if (addresses->strikes_max == 0 ||
        address->strikes < addresses->strikes_max)
        return false;
    address->strikes = 1;
    address->first_strike_us = now_us;
    ban(address, now_us);
    addresses->bans++;
    return true;
}
