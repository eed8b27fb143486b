/*
 * room.c - see room.h.
 */
#include "broker/core/room.h"

#define FACT_BYTES  ((uint64_t)64 << 10) /* of a fact, at most */
#define LEASE_BYTES 32u                  /* of an item in one, at most */
#define PUT_BYTES   ((uint64_t)4 << 10)  /* of a put or result, besides items */
#define ITEM_BYTES                                         \
    96u /* of an item in it: its columns, the head and the \
           padding of a record of its own */

static bool miss(struct bao_core *core)
{
    core->log_short = true;
    return false;
}

static void take(struct bao_core *core, uint64_t bytes)
{
    if (core->log_lease_room == UINT64_MAX) {
        return;
    }
    core->log_lease_room -=
        bytes < core->log_lease_room ? bytes : core->log_lease_room;
}

bool bao_room_for_put(struct bao_core *core,
                      const struct bao_queue *queue,
                      uint64_t bytes,
                      uint32_t count)
{
    const uint64_t needed = bytes + PUT_BYTES + (uint64_t)ITEM_BYTES * count;
    if (!queue->logged || core->log_room == UINT64_MAX) {
        return true;
    }
    if (needed > core->log_room || needed > core->log_lease_room) {
        return miss(core);
    }
    core->log_room -= needed;
    take(core, needed);
    return true;
}

bool bao_room_is_low(const struct bao_core *core, const struct bao_queue *queue)
{
    return queue->logged && core->log_lease_room < FACT_BYTES;
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
        return miss(core);
    }
    take(core, bytes + PUT_BYTES);
    return true;
}
