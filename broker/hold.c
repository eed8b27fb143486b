/*
 * hold.c - the hold table of hold.h.
 *
 * Invariant: a hold has a frame for its small bytes, or a copy of them, or
 * none are claimed; kept_bytes is the sum of `kept` over all holds.
 */
#include "broker/hold.h"

#include <stdlib.h>

#include "common/check.h"

#define SLOTS_AT_ONCE 256u
#define BIG_MAX       (BAO_PARTS_MAX - 2u)

struct bao_hold {
    uint32_t references;
    uint32_t offset; /* of the small bytes in the bodies frame */
    uint32_t bytes;
    uint32_t first_big; /* part of big[0], less 1 */
    uint32_t big_count;
    size_t kept;              /* what it pins, once it is kept */
    struct bao_frame *bodies; /* NULL: `copy` has the small bytes */
    uint8_t *copy;
    struct bao_frame *big[BIG_MAX];
};

struct bao_hold_slot {
    struct bao_hold *hold;
    uint32_t generation;
    uint32_t next_free;
};

void bao_holds_open(struct bao_holds *holds, struct bao_arena *arena)
{
    *holds = (struct bao_holds){.arena = arena};
    bao_pool_init(&holds->pool, arena, sizeof(struct bao_hold));
}

static struct bao_hold *get(const struct bao_holds *holds, uint64_t handle)
{
    uint32_t index = (uint32_t)handle;
    BAO_ASSERT(index < holds->slot_count);
    BAO_ASSERT(holds->slots[index].generation == handle >> 32);
    BAO_ASSERT(holds->slots[index].hold != NULL);
    return holds->slots[index].hold;
}

static bool grow(struct bao_holds *holds)
{
    uint32_t count = holds->slot_count + SLOTS_AT_ONCE;
    struct bao_hold_slot *slots = realloc(holds->slots, count * sizeof *slots);
    if (slots == NULL)
        return false;
    holds->slots = slots;
    for (uint32_t i = count; i > holds->slot_count; i--) {
        slots[i - 1] = (struct bao_hold_slot){.next_free = holds->first_free};
        holds->first_free = i;
    }
    holds->slot_count = count;
    return true;
}

static void end(struct bao_holds *holds, uint32_t index)
{
    struct bao_hold_slot *slot = &holds->slots[index];
    struct bao_hold *hold = slot->hold;
    bao_frame_release(hold->bodies);
    for (uint32_t i = 0; i < hold->big_count; i++)
        bao_frame_release(hold->big[i]);
    bao_arena_give(holds->arena, hold->copy);
    holds->kept_bytes -= hold->kept;
    bao_pool_give(&holds->pool, hold);
    slot->hold = NULL;
    if (slot->generation == UINT32_MAX)
        return; /* its handles are used up */
    slot->next_free = holds->first_free;
    holds->first_free = index + 1;
}

void bao_holds_close(struct bao_holds *holds)
{
    for (uint32_t i = 0; i < holds->slot_count; i++) {
        if (holds->slots[i].hold != NULL)
            end(holds, i);
    }
    free(holds->slots);
    holds->slots = NULL;
    holds->slot_count = 0;
}

uint64_t bao_holds_take(struct bao_holds *holds,
                        struct bao_frame *const *frames,
                        struct bao_body_cursor begin,
                        struct bao_body_cursor end_at)
{
    if (holds->first_free == 0 && !grow(holds))
        return 0;
    struct bao_hold *hold = bao_pool_take(&holds->pool);
    if (hold == NULL)
        return 0;
    BAO_ASSERT(end_at.offset >= begin.offset);
    BAO_ASSERT(end_at.big >= begin.big && end_at.big <= BIG_MAX);
    *hold = (struct bao_hold){
        .references = 1,
        .offset = begin.offset,
        .bytes = end_at.offset - begin.offset,
        .first_big = begin.big,
        .big_count = end_at.big - begin.big,
    };
    if (hold->bytes > 0)
        hold->bodies = bao_frame_hold(frames[1]);
    for (uint32_t i = 0; i < hold->big_count; i++)
        hold->big[i] = bao_frame_hold(frames[2 + begin.big + i]);
    uint32_t index = holds->first_free - 1;
    struct bao_hold_slot *slot = &holds->slots[index];
    holds->first_free = slot->next_free;
    slot->generation++;
    slot->hold = hold;
    return (uint64_t)slot->generation << 32 | index;
}

void bao_holds_keep(struct bao_holds *holds, uint64_t handle)
{
    get(holds, handle)->references++;
}

void bao_holds_drop(struct bao_holds *holds, uint64_t handle)
{
    struct bao_hold *hold = get(holds, handle);
    BAO_ASSERT(hold->references > 0);
    if (--hold->references == 0)
        end(holds, (uint32_t)handle);
}

/* Copies the small bytes out of a frame that is mostly something else. */
static void shrink(struct bao_holds *holds, struct bao_hold *hold)
{
    size_t whole = hold->bodies->bytes.bytes;
    if (hold->bytes >= whole - whole / 4)
        return;
    uint8_t *copy = bao_arena_take(holds->arena, hold->bytes);
    if (copy == NULL)
        return; /* then it stays large, and is counted as such */
    memcpy(copy, hold->bodies->bytes.data + hold->offset, hold->bytes);
    bao_frame_release(hold->bodies);
    hold->bodies = NULL;
    hold->copy = copy;
}

void bao_holds_settle(struct bao_holds *holds, uint64_t handle)
{
    struct bao_hold *hold = get(holds, handle);
    if (hold->references > 1) {
        if (hold->bodies != NULL)
            shrink(holds, hold);
        hold->kept =
            hold->bodies != NULL ? hold->bodies->bytes.bytes : hold->bytes;
        for (uint32_t i = 0; i < hold->big_count; i++)
            hold->kept += hold->big[i]->bytes.bytes;
        holds->kept_bytes += hold->kept;
    }
    bao_holds_drop(holds, handle);
}

struct bao_span bao_holds_find(const struct bao_holds *holds,
                               const struct bao_body *body,
                               struct bao_frame **frame)
{
    const struct bao_hold *hold = get(holds, body->hold);
    *frame = NULL;
    if (body->part > 0) {
        BAO_ASSERT(body->part - 1 >= hold->first_big);
        BAO_ASSERT(body->part - 1 - hold->first_big < hold->big_count);
        *frame = hold->big[body->part - 1 - hold->first_big];
        BAO_ASSERT((*frame)->bytes.bytes == body->bytes);
        return (*frame)->bytes;
    }
    BAO_ASSERT(body->offset >= hold->offset);
    BAO_ASSERT(body->offset - hold->offset + body->bytes <= hold->bytes);
    if (hold->bodies != NULL)
        return bao_span_of(hold->bodies->bytes.data + body->offset,
                           body->bytes);
    return bao_span_of(hold->copy + (body->offset - hold->offset), body->bytes);
}
