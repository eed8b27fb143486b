/*
 * edge_zmq_peers.c - handles and routing ids.
 *
 * Invariant: a slot either holds a peer whose handle has the slot's
 * generation, or is in the free list; the generation grows at each use.
 */
#include "broker/edge_zmq_peers.h"

#include <stdlib.h>

#include "common/check.h"

#define SLOTS_AT_ONCE 256u

struct bao_zmq_peer_slot {
    struct bao_zmq_peer *peer;
    uint32_t generation;
    uint32_t next_free;
};

bool bao_zmq_peers_open(struct bao_zmq_peers *peers, struct bao_arena *arena)
{
    *peers = (struct bao_zmq_peers){.arena = arena};
    return bao_table_init(&peers->table, arena);
}

void bao_zmq_peers_close(struct bao_zmq_peers *peers)
{
    free(peers->slots);
    peers->slots = NULL;
    peers->slot_count = 0;
}

bool bao_routing_read(const void *data, size_t bytes, uint32_t *routing)
{
    const uint8_t *at = data;
    if (bytes != BAO_ROUTING_BYTES || at[0] != 0)
        return false;
    *routing = (uint32_t)at[1] << 24 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 8 | (uint32_t)at[4];
    return true;
}

void bao_routing_write(uint32_t routing, uint8_t data[BAO_ROUTING_BYTES])
{
    data[0] = 0;
    data[1] = (uint8_t)(routing >> 24);
    data[2] = (uint8_t)(routing >> 16);
    data[3] = (uint8_t)(routing >> 8);
    data[4] = (uint8_t)routing;
}

bool bao_routing_is_younger(uint32_t a, uint32_t b)
{
    return a != b && a - b < UINT32_C(0x80000000);
}

static bool grow(struct bao_zmq_peers *peers)
{
    uint32_t count = peers->slot_count + SLOTS_AT_ONCE;
    struct bao_zmq_peer_slot *slots =
        realloc(peers->slots, count * sizeof *slots);
    if (slots == NULL)
        return false;
    peers->slots = slots;
    for (uint32_t i = count; i > peers->slot_count; i--) {
        slots[i - 1] =
            (struct bao_zmq_peer_slot){.next_free = peers->first_free};
        peers->first_free = i;
    }
    peers->slot_count = count;
    return true;
}

struct bao_zmq_peer *bao_zmq_peers_add(struct bao_zmq_peers *peers,
                                       uint32_t routing)
{
    if (peers->first_free == 0 && !grow(peers))
        return NULL;
    struct bao_zmq_peer *peer = bao_arena_take(peers->arena, sizeof *peer);
    if (peer == NULL)
        return NULL;
    uint32_t index = peers->first_free - 1;
    struct bao_zmq_peer_slot *slot = &peers->slots[index];
    peers->first_free = slot->next_free;
    slot->generation++;
    slot->peer = peer;
    *peer = (struct bao_zmq_peer){
        .handle = (uint64_t)slot->generation << 32 | index,
        .routing = routing,
        .descriptor = -1,
        .pidfd = -1,
    };
    bao_list_init(&peer->messages);
    bao_table_put(&peers->table, &peer->node, bao_hash_number(routing, 0));
    return peer;
}

void bao_zmq_peers_remove(struct bao_zmq_peers *peers,
                          struct bao_zmq_peer *peer)
{
    uint32_t index = (uint32_t)peer->handle;
    struct bao_zmq_peer_slot *slot = &peers->slots[index];
    BAO_ASSERT(slot->peer == peer);
    BAO_ASSERT(!bao_link_is_listed(&peer->closing));
    BAO_ASSERT(!bao_link_is_listed(&peer->parked));
    BAO_ASSERT(peer->messages.count == 0);
    bao_table_remove(&peers->table, &peer->node);
    bao_arena_give(peers->arena, peer);
    slot->peer = NULL;
    /* A slot whose generations are used up is never used again. */
    if (slot->generation == UINT32_MAX)
        return;
    slot->next_free = peers->first_free;
    peers->first_free = index + 1;
}

struct bao_zmq_peer *bao_zmq_peers_by_routing(const struct bao_zmq_peers *peers,
                                              uint32_t routing)
{
    struct bao_table_node *node =
        bao_table_first(&peers->table, bao_hash_number(routing, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_zmq_peer *peer = BAO_OF(node, struct bao_zmq_peer, node);
        if (peer->routing == routing)
            return peer;
    }
    return NULL;
}

struct bao_zmq_peer *bao_zmq_peers_by_handle(const struct bao_zmq_peers *peers,
                                             uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= peers->slot_count)
        return NULL;
    struct bao_zmq_peer *peer = peers->slots[index].peer;
    return peer != NULL && peer->handle == handle ? peer : NULL;
}
