/*
 * hold.h - the hold table: received bytes that somebody may still need.
 *
 * A hold is the bytes of one operation of one received message. The gateway
 * takes one before each step that brings bodies and gives its own reference
 * back after it; the core keeps more (EFFECT_KEEP) while a put is parked. The
 * core and the facts name a hold by its u64 handle: generation << 32 | index,
 * never 0, never reused.
 *
 * What stays is made small: when the bytes of a kept operation are only a
 * part of the frame they came in, they are copied and the frame is let go.
 * Big frames are held as they are.
 */
#ifndef BAO_HOLD_H
#define BAO_HOLD_H

#include "broker/core/fact.h"
#include "broker/edge.h"
#include "common/pool.h"

struct bao_hold;

struct bao_holds {
    struct bao_arena *arena;
    struct bao_pool pool;
    struct bao_hold_slot *slots; /* by index */
    uint32_t slot_count;
    uint32_t first_free; /* index + 1, 0 = none */
    size_t kept_bytes;   /* that kept holds really pin */
};

/* `arena` is lent. */
void bao_holds_open(struct bao_holds *holds, struct bao_arena *arena);
/* Releases everything that is still held. */
void bao_holds_close(struct bao_holds *holds);

/*
 * Holds the bytes that `operation` claims of a message, whose sizes were
 * checked. `end` is where the next operation's bodies begin. One reference is
 * the caller's. 0 if memory ran out.
 */
uint64_t bao_holds_take(struct bao_holds *holds,
                        struct bao_frame *const *frames,
                        struct bao_body_cursor begin,
                        struct bao_body_cursor end);

/* One reference more or less. */
void bao_holds_keep(struct bao_holds *holds, uint64_t handle);
void bao_holds_drop(struct bao_holds *holds, uint64_t handle);

/* The caller of bao_holds_take() is done: gives its reference back, and makes
 * what others keep small. */
void bao_holds_settle(struct bao_holds *holds, uint64_t handle);

/* The bytes of a body, lent until its hold is dropped. If they are a whole
 * big frame, *frame is that frame (lent), else NULL. */
struct bao_span bao_holds_find(const struct bao_holds *holds,
                               const struct bao_body *body,
                               struct bao_frame **frame);

#endif
