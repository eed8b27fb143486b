/*
 * bodies_image.c - the addresses of payloads, as part of a checkpoint.
 *
 * A record (common/disk_payload.h) needs no exact moment: a payload that
 * comes, ends or moves while it is written is told of by a fact or a COPY
 * behind the checkpoint. Only what was put after it began must not be in it,
 * for its fact may be lost.
 */
#include "broker/bodies_inner.h"
#include "common/check.h"
#include "common/disk_payload.h"

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
    while (items-- > 0 &&
           (size_t)(packer.end - packer.at) >= BAO_DISK_PAYLOAD_MAX) {
        uint64_t id = 0;
        struct bao_payload payload;
        if (!next(bodies, &id, &payload))
            break;
        if (payload.address == 0)
            continue; /* of a memory queue */
        const struct bao_disk_payload at = {.id = id,
                                            .address = payload.address,
                                            .bytes = payload.bytes,
                                            .crc = payload.crc,
                                            .result = payload.result};
        bao_disk_payload_pack(&packer, before, &at);
        before = id;
    }
    BAO_ASSERT(!packer.full);
    return (size_t)(packer.at - to);
}

bool bao_bodies_image_load(struct bao_bodies *bodies, struct bao_span piece)
{
    struct bao_unpacker in = {.at = piece.data,
                              .end = piece.data + piece.bytes};
    struct bao_disk_payload at = {.id = 0};
    while (in.at < in.end) {
        struct bao_spot spot;
        bao_disk_payload_unpack(&in, &at);
        if (in.bad || bao_spot_find(bodies, at.id, &spot))
            return false;
        const struct bao_payload cold = {.address = at.address,
                                         .bytes = at.bytes,
                                         .crc = at.crc,
                                         .result = at.result};
        bao_bodies_put_cold(bodies, at.id, &cold);
    }
    return true;
}
