/*
 * gateway_reply.c - what the core answers, encoded and with its bodies.
 *
 * An operation is lent for the step only and may be sent much later, so it is
 * encoded at once; its bodies are kept by reference until then.
 */
#include "broker/gateway_inner.h"
#include "common/check.h"
#include "common/log.h"
#include "common/planted.h"

/* What the bodies of one operation amount to. */
struct outline {
    uint32_t bodies; /* that are not empty */
    uint32_t big;
    uint64_t small_bytes;
    uint64_t big_bytes;
};

static uint64_t id_at(const struct bao_operation *operation, size_t i)
{
    return bao_has(operation, BAO_BIT(IDS)) ? bao_column64(operation->ids, i)
                                            : operation->id;
}

static bool is_big(uint32_t length, const struct outline *outline)
{
    return length >= BAO_BIG_BYTES && outline->big < BAO_BIG_FRAMES_MAX;
}

/* Measures the bodies, and writes the lengths with their big bits. */
static struct outline measure(struct bao_gateway *gateway,
                              const struct bao_operation *operation)
{
    struct outline outline = {0};
    size_t count = bao_column32_count(operation->lengths);
    BAO_ASSERT(count <= BAO_OPERATION_ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = bao_column32(operation->lengths, i);
        bool big = is_big(length, &outline);
        bao_store32(gateway->lengths + 4 * i,
                    big ? length | BAO_BIG_BIT : length);
        outline.bodies += length > 0;
        outline.big += big;
        *(big ? &outline.big_bytes : &outline.small_bytes) += length;
    }
    return outline;
}

/* Keeps the bodies for the reply, in the order of the lengths; false if one
 * is damaged: better to end than to serve other bytes, or to let the item
 * vanish. */
static bool keep_bodies(struct bao_gateway *gateway,
                        const struct bao_operation *operation,
                        struct bao_reply *reply)
{
    struct bao_reply_body *body = bao_reply_bodies(reply);
    size_t count = bao_column32_count(operation->lengths);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = bao_load32(gateway->lengths + 4 * i);
        if (length == 0)
            continue;
        struct bao_payload payload;
        const uint64_t id =
            id_at(operation, BAO_PLANTED(BODY_MIXED) ? count - 1 - i : i);
        const bool found = bao_bodies_find(gateway->bodies, id, &payload);
        /* The core counts what the bodies keep: they never disagree. */
        BAO_ASSERT(found);
        BAO_ASSERT(payload.bytes == (length & ~BAO_BIG_BIT));
        if (!bao_bodies_keep(gateway->bodies, id, &payload)) {
            gateway->journal->failed = true;
            return false;
        }
        *body++ = (struct bao_reply_body){
            .chunk = payload.chunk,
            .data = payload.data,
            .bytes = payload.bytes,
            .big = (length & BAO_BIG_BIT) != 0,
        };
    }
    return true;
}

/* Encodes into gateway->encoded; the bytes of the operation alone, or none
 * if it does not fit into any header. */
static struct bao_span encode(struct bao_gateway *gateway,
                              const struct bao_operation *operation,
                              const struct outline *outline)
{
    struct bao_operation marked;
    struct bao_writer writer;
    bao_writer_open(&writer, gateway->encoded, sizeof gateway->encoded);
    size_t before = writer.bytes;
    if (outline->big > 0) {
        marked = *operation;
        marked.lengths.data = gateway->lengths;
        operation = &marked;
    }
    if (bao_writer_add(&writer, operation) != BAOZI_OK)
        return (struct bao_span){0};
    return bao_span_of(gateway->encoded + before, writer.bytes - before);
}

static bool overflows(const struct bao_gateway *gateway,
                      const struct bao_gateway_peer *peer)
{
    return peer->blocked && (peer->box.bytes > gateway->outbox_peer_bytes_max ||
                             gateway->outbox.bytes > gateway->outbox_bytes_max);
}

void bao_gateway_reply(struct bao_gateway *gateway,
                       struct bao_gateway_peer *peer,
                       const struct bao_operation *operation,
                       const struct bao_need *need)
{
    struct outline outline = {0};
    if (peer->cut)
        return;
    if (bao_has(operation, BAO_BIT(LENGTHS)))
        outline = measure(gateway, operation);
    struct bao_span encoded = encode(gateway, operation, &outline);
    if (encoded.data == NULL || outline.small_bytes > BAO_BODIES_BYTES_MAX) {
        BAO_LOG(BAO_LOG_ERROR,
                bao_event("reply_too_large"),
                bao_text("verb", bao_verb_name(operation->verb)),
                bao_number("peer", peer->handle));
        bao_gateway_cut(gateway, peer, "a reply is too large");
        return;
    }
    struct bao_reply *reply = bao_reply_new(
        &gateway->outbox, (uint32_t)encoded.bytes, outline.bodies);
    if (reply == NULL) {
        bao_gateway_cut(gateway, peer, "no memory for its replies");
        return;
    }
    memcpy(bao_reply_operation(reply), encoded.data, encoded.bytes);
    memset(bao_reply_bodies(reply),
           0,
           outline.bodies * sizeof(struct bao_reply_body));
    if (outline.bodies > 0 && !keep_bodies(gateway, operation, reply)) {
        bao_reply_free(&gateway->outbox, reply);
        return;
    }
    reply->small_bytes = (uint32_t)outline.small_bytes;
    reply->big_count = outline.big;
    reply->bytes = encoded.bytes + outline.small_bytes + outline.big_bytes;
    bao_outbox_hold(&gateway->outbox, &peer->box, reply, need);
    if (overflows(gateway, peer))
        bao_gateway_cut(gateway, peer, "it does not read its replies");
}
