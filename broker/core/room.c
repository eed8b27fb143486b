/*
 * room.c - see room.h.
 */
#include "broker/core/room.h"

#define FACT_BYTES  ((uint64_t)64 << 10) /* of a fact, at most */
#define LEASE_BYTES 32u                  /* of an item in one, at most */

bool bao_room_for_put(struct bao_core *core,
                      const struct bao_queue *queue,
                      uint64_t bytes)
{
    if (!queue->logged || core->log_room == UINT64_MAX) {
        return true;
    }
    if (bytes + FACT_BYTES > core->log_room) {
        return false;
    }
    core->log_room -= bytes + FACT_BYTES;
    return true;
}

bool bao_room_is_low(const struct bao_core *core, const struct bao_queue *queue)
{
    return queue->logged && core->log_lease_room < FACT_BYTES;
}

static void take(struct bao_core *core, uint64_t bytes)
{
    if (core->log_lease_room == UINT64_MAX) {
        return;
    }
    core->log_lease_room -=
        bytes < core->log_lease_room ? bytes : core->log_lease_room;
}

void bao_room_for_leases(struct bao_core *core,
                         const struct bao_queue *queue,
                         uint32_t count)
{
    if (queue->logged) {
        take(core, LEASE_BYTES * ((uint64_t)count + 8));
    }
}

bool bao_room_for_result(struct bao_core *core,
                         const struct bao_queue *queue,
                         uint64_t bytes)
{
    if (!queue->logged || core->log_lease_room == UINT64_MAX) {
        return true;
    }
    if (bytes + FACT_BYTES > core->log_lease_room) {
        return false;
    }
    take(core, bytes);
    return true;
}
