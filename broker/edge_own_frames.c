/*
 * edge_own_frames.c - what was read: frames, and messages cut short.
 *
 * Invariant: a frame with `own` bytes needs the buffer no more; frame_bytes
 * is the sum of all frames that were told and not yet freed.
 */
#include <stdlib.h>

#include "broker/edge_own_inner.h"
#include "common/check.h"

#define SPARES_KEPT    4u      /* while long frames keep coming */
#define SPARES_KEPT_US 100000u /* and for so long after the last */
#define SPARES_TURN    2u      /* given back in a turn */

/* Memory of a long frame goes back to the system a little each turn: a queue
 * that is removed with a hundred of them would make one turn long. Until then
 * the next long frames have it, which saves touching new pages. */
static void give_back(struct bao_edge_own *edge, uint8_t *data, size_t bytes)
{
    if (bytes < BAO_OWN_SPARE_BYTES || edge->spare_count == BAO_OWN_SPARES) {
        free(data);
        return;
    }
    edge->spares[edge->spare_count++] =
        (struct bao_own_spare){.data = data, .bytes = bytes};
    edge->spare_bytes += bytes;
    edge->spares_until_us = edge->now_us + SPARES_KEPT_US;
}

static struct bao_own_spare drop_spare(struct bao_edge_own *edge, size_t i)
{
    const struct bao_own_spare spare = edge->spares[i];
    edge->spares[i] = edge->spares[--edge->spare_count];
    edge->spare_bytes -= spare.bytes;
    return spare;
}

bool bao_own_has_spares_due(const struct bao_edge_own *edge)
{
    return edge->spare_count > SPARES_KEPT ||
           (edge->spare_count > 0 && edge->now_us >= edge->spares_until_us);
}

void bao_own_spares_turn(struct bao_edge_own *edge)
{
    for (unsigned i = 0; i < SPARES_TURN && bao_own_has_spares_due(edge); i++)
        free(drop_spare(edge, edge->spare_count - 1).data);
}

void bao_own_spares_end(struct bao_edge_own *edge)
{
    while (edge->spare_count > 0)
        free(drop_spare(edge, edge->spare_count - 1).data);
}

static void frame_free(struct bao_frame *frame)
{
    struct bao_own_frame *ours = (struct bao_own_frame *)(void *)frame;
    if (ours->told)
        ours->edge->frame_bytes -= frame->bytes.bytes;
    give_back(ours->edge, ours->own, ours->capacity);
    bao_pool_give(&ours->edge->frames, ours);
}

struct bao_own_frame *bao_own_frame_new(struct bao_edge_own *edge)
{
    struct bao_own_frame *frame = bao_pool_take(&edge->frames);
    if (frame == NULL)
        return NULL;
    frame->edge = edge;
    frame->frame.references = 1;
    frame->frame.free = frame_free;
    return frame;
}

void bao_own_frame_reuse(struct bao_own_frame *frame, uint64_t bytes)
{
    struct bao_edge_own *edge = frame->edge;
    for (size_t i = edge->spare_count; i > 0; i--) {
        const size_t room = edge->spares[i - 1].bytes;
        if (room > 2 * bytes)
            continue;
        frame->own = drop_spare(edge, i - 1).data;
        frame->capacity = room;
        frame->frame.bytes.data = frame->own;
        return;
    }
}

struct bao_own_frame *bao_own_frame_lent(struct bao_edge_own *edge,
                                         size_t bytes)
{
    struct bao_own_frame *frame = bao_own_frame_new(edge);
    BAO_ASSERT(edge->end - edge->at >= bytes);
    if (frame != NULL)
        frame->frame.bytes = bao_span_of(edge->buffer + edge->at, bytes);
    return frame;
}

bool bao_own_frame_room(struct bao_own_frame *frame, size_t more)
{
    const size_t needed = frame->frame.bytes.bytes + more;
    if (needed <= frame->capacity && frame->own != NULL)
        return true;
    uint8_t *own = realloc(frame->own, needed > 0 ? needed : 1);
    if (own == NULL)
        return false;
    frame->own = own;
    frame->capacity = needed;
    frame->frame.bytes.data = own;
    return true;
}

bool bao_own_frame_keep(struct bao_own_frame *frame)
{
    const struct bao_span bytes = frame->frame.bytes;
    if (frame->own != NULL)
        return true;
    uint8_t *own = malloc(bytes.bytes > 0 ? bytes.bytes : 1);
    if (own == NULL)
        return false;
    if (bytes.bytes > 0)
        memcpy(own, bytes.data, bytes.bytes);
    frame->own = own;
    frame->capacity = bytes.bytes;
    frame->frame.bytes.data = own;
    return true;
}

bool bao_own_arrival_is_idle(const struct bao_own_arrival *arrival)
{
    return arrival->part_count == 0 && arrival->surplus_count == 0 &&
           !arrival->in_frame && arrival->head_count == 0;
}

void bao_own_arrival_reset(struct bao_own_arrival *arrival)
{
    for (uint32_t i = 0; i < arrival->part_count; i++)
        bao_frame_release(&arrival->parts[i]->frame);
    if (arrival->partial != NULL)
        bao_frame_release(&arrival->partial->frame);
    arrival->partial = NULL;
    arrival->part_count = 0;
    arrival->surplus_count = 0;
    arrival->surplus_bytes = 0;
    arrival->head_count = 0;
    arrival->in_frame = false;
    arrival->malformed = NULL;
    arrival->wire_bytes = 0;
    arrival->left = 0;
}

bool bao_own_arrival_keep(struct bao_edge_own *edge,
                          struct bao_own_peer *peer,
                          struct bao_own_arrival *arrival)
{
    if (bao_own_arrival_is_idle(arrival)) {
        if (peer->arrival != NULL)
            bao_pool_give(&edge->arrivals, peer->arrival);
        peer->arrival = NULL;
        return true;
    }
    for (uint32_t i = 0; i < arrival->part_count; i++) {
        if (!bao_own_frame_keep(arrival->parts[i]))
            return false;
    }
    if (peer->arrival != NULL)
        return true;
    peer->arrival = bao_pool_take(&edge->arrivals);
    if (peer->arrival == NULL)
        return false;
    *peer->arrival = *arrival;
    *arrival = (struct bao_own_arrival){.part_count = 0};
    return true;
}
