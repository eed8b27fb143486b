/*
 * room.h - what the log still has room for, so that a disk that is nearly full
 * refuses in time what it could not take (SPEC S9).
 *
 * Puts stop first; what they may not use is kept for the rest. When most of
 * that is used too, nothing new is handed out until there is room again: only
 * what frees room goes on. The log tells both numbers each turn
 * (bao_core_log_room); what is decided in between is taken from them: from the
 * second also what is put, since it is the room for all.
 */
#ifndef BAO_CORE_ROOM_H
#define BAO_CORE_ROOM_H

#include "broker/core/state.h"

/* Takes the bytes of a put of `count` items; false if there is no room for
 * it. */
bool bao_room_for_put(struct bao_core *core,
                      const struct bao_queue *queue,
                      uint64_t bytes,
                      uint32_t count);

/* True if nothing of this queue may be handed out now. */
bool bao_room_is_low(const struct bao_core *core,
                     const struct bao_queue *queue);

/* Takes what it costs to hand out `count` items. */
void bao_room_for_leases(struct bao_core *core,
                         const struct bao_queue *queue,
                         uint32_t count);

/* Takes the bytes of a result; false if it cannot be kept. */
bool bao_room_for_result(struct bao_core *core,
                         const struct bao_queue *queue,
                         uint64_t bytes);

#endif
