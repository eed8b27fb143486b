/*
 * gateway_send.c - the replies of a turn leave: one message for each peer.
 *
 * A message ends where the next reply would break a limit of the wire; then
 * another one begins. Bodies lie in the order of the operations, which is the
 * order of the replies.
 */
#include "broker/gateway_inner.h"
#include "common/check.h"

/* Small bodies are copied into the message, and the transport may queue 64
 * messages of a peer that does not read: so they stay small. One answer alone
 * may be as large as the wire allows. */
#define MERGED_BYTES (512u * 1024u)
_Static_assert(MERGED_BYTES <= BAO_BODIES_BYTES_MAX, "merged bodies fit");

/* A message being gathered. */
struct gathering {
    struct bao_writer writer;
    size_t pieces;
    size_t big;
    uint64_t small_bytes;
};

static bool fits(const struct gathering *gathering,
                 const struct bao_reply *reply)
{
    const struct bao_writer *writer = &gathering->writer;
    return writer->operations < BAO_OPERATIONS_MAX &&
           writer->bytes + reply->operation_bytes <= writer->capacity &&
           gathering->pieces + reply->body_count <= BAO_PIECES_MAX &&
           gathering->big + reply->big_count <= BAO_BIG_FRAMES_MAX &&
           (gathering->small_bytes == 0 ||
            gathering->small_bytes + reply->small_bytes <= MERGED_BYTES);
}

static void add(struct bao_gateway *gateway,
                struct gathering *gathering,
                struct bao_reply *reply)
{
    struct bao_writer *writer = &gathering->writer;
    const struct bao_reply_body *bodies = bao_reply_bodies(reply);
    /* It was encoded by a writer before; its bytes stand for themselves. */
    memcpy(writer->data + writer->bytes,
           bao_reply_operation(reply),
           reply->operation_bytes);
    writer->bytes += reply->operation_bytes;
    writer->operations++;
    gathering->small_bytes += reply->small_bytes;
    for (uint32_t i = 0; i < reply->body_count; i++) {
        struct bao_piece piece = {
            .bytes = bao_span_of(bodies[i].data, bodies[i].bytes),
            .frame = bodies[i].big ? bao_chunk_frame(bodies[i].chunk) : NULL,
        };
        if (bodies[i].big)
            gateway->big[gathering->big++] = piece;
        else
            gateway->pieces[gathering->pieces++] = piece;
    }
}

/* Sends as many ready replies as one message holds. */
static enum bao_sent send_some(struct bao_gateway *gateway,
                               struct bao_gateway_peer *peer)
{
    struct gathering gathering = {0};
    bao_writer_open(&gathering.writer, gateway->header, sizeof gateway->header);
    struct bao_reply *reply = bao_outbox_first(&peer->box);
    uint32_t count = 0;
    while (reply != NULL && fits(&gathering, reply)) {
        add(gateway, &gathering, reply);
        reply = bao_outbox_after(&peer->box, reply);
        count++;
    }
    BAO_ASSERT(count > 0); /* one reply always fits */
    struct bao_outgoing message = {
        .header = bao_writer_close(&gathering.writer),
        .bodies = gateway->pieces,
        .body_count = gathering.pieces,
        .big = gateway->big,
        .big_count = gathering.big,
    };
    enum bao_sent sent = bao_edge_send(gateway->edge, peer->handle, &message);
    for (; count > 0; count--)
        bao_reply_free(&gateway->outbox, bao_outbox_first(&peer->box));
    return sent;
}

void bao_gateway_send(struct bao_gateway *gateway)
{
    struct bao_outbox_peer *box;
    while ((box = bao_outbox_next(&gateway->outbox)) != NULL) {
        struct bao_gateway_peer *peer =
            BAO_OF(box, struct bao_gateway_peer, box);
        while (!peer->blocked && box->ready.count > 0) {
            enum bao_sent sent = send_some(gateway, peer);
            if (sent == BAO_PARKED)
                peer->blocked = true;
            /* GONE: the edge will say CLOSED; what is left goes with it. */
        }
    }
}
