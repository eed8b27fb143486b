/*
 * outbox.c - the replies of outbox.h.
 *
 * Invariant: a reply is in exactly one list of its peer; it is in a list of
 * `held` exactly when it is in `waiting`. A peer is in `dirty` only if it has
 * something ready.
 */
#include "broker/outbox.h"

#include "common/check.h"

void bao_outbox_open(struct bao_outbox *outbox,
                     struct bao_arena *arena,
                     struct bao_bodies *bodies)
{
    *outbox = (struct bao_outbox){.arena = arena, .bodies = bodies};
    bao_list_init(&outbox->dirty);
    for (size_t i = 0; i < BAO_MARK_COUNT; i++)
        bao_list_init(&outbox->held[i]);
}

void bao_outbox_peer_open(struct bao_outbox_peer *peer)
{
    *peer = (struct bao_outbox_peer){0};
    bao_list_init(&peer->ready);
    bao_list_init(&peer->waiting);
}

static struct bao_reply *reply_of(struct bao_link *link)
{
    return link == NULL ? NULL : BAO_OF(link, struct bao_reply, own);
}

void bao_outbox_peer_close(struct bao_outbox *outbox,
                           struct bao_outbox_peer *peer)
{
    struct bao_reply *reply;
    while ((reply = reply_of(bao_list_first(&peer->ready))) != NULL)
        bao_reply_free(outbox, reply);
    while ((reply = reply_of(bao_list_first(&peer->waiting))) != NULL)
        bao_reply_free(outbox, reply);
    BAO_ASSERT(peer->bytes == 0);
    if (bao_link_is_listed(&peer->dirty))
        bao_list_remove(&outbox->dirty, &peer->dirty);
}

enum bao_mark bao_outbox_mark(enum bao_wait wait, enum bao_level level)
{
    if (wait == BAO_WAIT_NONE)
        return BAO_MARK_NOW;
    switch (level) {
    case BAO_LEVEL_DEFAULT:
    case BAO_LEVEL_MEMORY: return BAO_MARK_NOW;
    case BAO_LEVEL_OS: return BAO_MARK_WRITTEN;
    case BAO_LEVEL_DISK: return BAO_MARK_SYNCED;
    case BAO_LEVEL_QUORUM: return BAO_MARK_COMMITTED;
    }
    return BAO_MARK_COMMITTED;
}

struct bao_reply *bao_reply_new(struct bao_outbox *outbox,
                                uint32_t operation_bytes,
                                uint32_t body_count)
{
    struct bao_reply *reply = bao_arena_take(
        outbox->arena,
        sizeof *reply + body_count * sizeof(struct bao_reply_body) +
            operation_bytes);
    if (reply == NULL)
        return NULL;
    *reply = (struct bao_reply){
        .operation_bytes = operation_bytes,
        .body_count = body_count,
    };
    return reply;
}

struct bao_reply_body *bao_reply_bodies(struct bao_reply *reply)
{
    return (struct bao_reply_body *)(void *)(reply + 1);
}

uint8_t *bao_reply_operation(struct bao_reply *reply)
{
    return (uint8_t *)(bao_reply_bodies(reply) + reply->body_count);
}

static void make_ready(struct bao_outbox *outbox, struct bao_reply *reply)
{
    bao_list_push(&reply->peer->ready, &reply->own);
    bao_outbox_again(outbox, reply->peer);
}

void bao_outbox_hold(struct bao_outbox *outbox,
                     struct bao_outbox_peer *peer,
                     struct bao_reply *reply,
                     enum bao_mark mark,
                     uint64_t position)
{
    reply->peer = peer;
    reply->mark = mark;
    reply->position = position;
    peer->bytes += reply->bytes;
    outbox->bytes += reply->bytes;
    if (mark == BAO_MARK_NOW) {
        make_ready(outbox, reply);
        return;
    }
    bao_list_push(&peer->waiting, &reply->own);
    bao_list_push(&outbox->held[mark], &reply->held);
}

static void release(struct bao_outbox *outbox, enum bao_mark mark, uint64_t to)
{
    struct bao_link *link;
    while ((link = bao_list_first(&outbox->held[mark])) != NULL) {
        struct bao_reply *reply = BAO_OF(link, struct bao_reply, held);
        if (reply->position > to)
            return;
        bao_list_remove(&outbox->held[mark], link);
        bao_list_remove(&reply->peer->waiting, &reply->own);
        make_ready(outbox, reply);
    }
}

void bao_outbox_release(struct bao_outbox *outbox,
                        const struct bao_marks *marks)
{
    release(outbox, BAO_MARK_WRITTEN, marks->written);
    release(outbox, BAO_MARK_SYNCED, marks->synced);
    release(outbox, BAO_MARK_COMMITTED, marks->committed);
}

struct bao_outbox_peer *bao_outbox_next(struct bao_outbox *outbox)
{
    struct bao_link *link = bao_list_pop(&outbox->dirty);
    return link == NULL ? NULL : BAO_OF(link, struct bao_outbox_peer, dirty);
}

void bao_outbox_again(struct bao_outbox *outbox, struct bao_outbox_peer *peer)
{
    BAO_ASSERT(peer->ready.count > 0);
    if (!bao_link_is_listed(&peer->dirty))
        bao_list_push(&outbox->dirty, &peer->dirty);
}

struct bao_reply *bao_outbox_first(const struct bao_outbox_peer *peer)
{
    return reply_of(bao_list_first(&peer->ready));
}

struct bao_reply *bao_outbox_after(const struct bao_outbox_peer *peer,
                                   const struct bao_reply *reply)
{
    return reply_of(bao_list_next(&peer->ready, &reply->own));
}

/* Gives the bodies back, and its place in the lists. */
void bao_reply_free(struct bao_outbox *outbox, struct bao_reply *reply)
{
    struct bao_outbox_peer *peer = reply->peer;
    struct bao_reply_body *bodies = bao_reply_bodies(reply);
    for (uint32_t i = 0; i < reply->body_count; i++) {
        if (bodies[i].payload != NULL)
            bao_bodies_give(outbox->bodies, bodies[i].payload);
    }
    if (peer != NULL) {
        bool waits = bao_link_is_listed(&reply->held);
        if (waits)
            bao_list_remove(&outbox->held[reply->mark], &reply->held);
        bao_list_remove(waits ? &peer->waiting : &peer->ready, &reply->own);
        peer->bytes -= reply->bytes;
        outbox->bytes -= reply->bytes;
    }
    bao_arena_give(outbox->arena, reply);
}
