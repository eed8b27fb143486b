/*
 * bodies_image.c - the addresses of payloads, as part of a checkpoint.
 *
 * A record is [id, as the difference to the one before][address][bytes << 1 |
 * result][crc], packed. It needs no exact moment: a payload that comes, ends
 * or moves while it is written is told of by a fact or a COPY behind the
 * checkpoint. Only what was put after it began must not be in it, for its fact
 * may be lost.
 */
#include "broker/bodies_inner.h"
#include "common/check.h"
#include "common/packed.h"

#define RECORD_MAX 40u

static struct bao_bodies_queue *queue_of(struct bao_link *link)
{
    return link == NULL ? NULL : BAO_OF(link, struct bao_bodies_queue, here);
}

void bao_bodies_image_begin(struct bao_bodies *bodies)
{
    struct bao_link *link = bao_list_first(&bodies->here);
    bodies->image_at = queue_of(link);
    bodies->image_next = 0;
    for (; link != NULL; link = bao_list_next(&bodies->here, link)) {
        struct bao_bodies_queue *queue = queue_of(link);
        queue->image_last = bao_spot_last(queue);
    }
}

bool bao_bodies_image_under_way(const struct bao_bodies *bodies)
{
    return bodies->image_at != NULL;
}

void bao_bodies_image_skip(struct bao_bodies *bodies)
{
    bodies->image_at =
        queue_of(bao_list_next(&bodies->here, &bodies->image_at->here));
    bodies->image_next = 0;
}

/* The next payload of the queues that the image has; false behind the last. */
static bool
next(struct bao_bodies *bodies, uint64_t *id, struct bao_payload *payload)
{
    while (bodies->image_at != NULL) {
        struct bao_bodies_queue *queue = bodies->image_at;
        struct bao_spot spot;
        if (bao_spot_first(queue, bodies->image_next, &spot) &&
            spot.number <= queue->image_last) {
            bodies->image_next = spot.number + 1;
            *id = queue->incarnation << BAO_ID_SHIFT | spot.number;
            bao_spot_look(&spot, payload);
            return true;
        }
        bao_bodies_image_skip(bodies);
    }
    return false;
}

size_t bao_bodies_image_next(struct bao_bodies *bodies,
                             uint32_t items,
                             uint8_t *to,
                             size_t capacity)
{
    struct bao_packer packer = {.at = to, .end = to + capacity};
    uint64_t before = 0;
    while (items-- > 0 && (size_t)(packer.end - packer.at) >= RECORD_MAX) {
        uint64_t id = 0;
        struct bao_payload payload;
        if (!next(bodies, &id, &payload))
            break;
        if (payload.address == 0)
            continue; /* of a memory queue */
        bao_pack_number(&packer, bao_zigzag(id - before));
        bao_pack_number(&packer, payload.address);
        bao_pack_number(&packer, (uint64_t)payload.bytes << 1 | payload.result);
        bao_pack_number(&packer, payload.crc);
        before = id;
    }
    BAO_ASSERT(!packer.full);
    return (size_t)(packer.at - to);
}

bool bao_bodies_image_load(struct bao_bodies *bodies, struct bao_span piece)
{
    struct bao_unpacker in = {.at = piece.data,
                              .end = piece.data + piece.bytes};
    uint64_t id = 0;
    while (in.at < in.end && !in.bad) {
        id += bao_unzigzag(bao_unpack_number(&in));
        const uint64_t address = bao_unpack_number(&in);
        const uint64_t size =
            bao_unpack_most(&in, (uint64_t)BAO_ITEM_BYTES_MAX << 1 | 1);
        const uint64_t crc = bao_unpack_most(&in, UINT32_MAX);
        struct bao_spot spot;
        if (in.bad || address == 0 || bao_spot_find(bodies, id, &spot))
            return false;
        const struct bao_payload cold = {.address = address,
                                         .bytes = (uint32_t)(size >> 1),
                                         .crc = (uint32_t)crc,
                                         .result = (size & 1) != 0};
        bao_bodies_put_cold(bodies, id, &cold);
    }
    return !in.bad;
}
