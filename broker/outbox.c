/*
 * outbox.c - the replies of outbox.h.
 *
 * Invariant: a reply is in exactly one list of its peer; it is in a list of
 * `held` exactly when it is in `waiting`. A peer is in `dirty` only if it has
 * something ready.
 */
#include "broker/outbox.h"

#include "common/check.h"
#include "common/planted.h"

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

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

struct bao_need bao_outbox_need(enum bao_wait wait,
                                enum bao_level level,
                                const struct bao_depends *on)
{
    struct bao_need need = {.at = {0}};
    uint64_t facts = on->queue;
    if (wait == BAO_WAIT_NONE)
        return need;
    if (BAO_PLANTED(EARLY_REPLY) && wait != BAO_WAIT_LEASE)
        return need;
    if (level < BAO_LEVEL_DISK)
        need.at[BAO_MARK_SYNCED] = on->made;
    if (wait == BAO_WAIT_LEVEL)
        facts = later(on->step, on->queue);
    if (wait == BAO_WAIT_LEASE)
        facts = level == BAO_LEVEL_DISK ? on->puts : on->step;
    if (wait == BAO_WAIT_LEASE && level == BAO_LEVEL_DISK)
        need.at[BAO_MARK_WRITTEN] = on->step;
    switch (level) {
    case BAO_LEVEL_DEFAULT:
    case BAO_LEVEL_MEMORY: break;
    case BAO_LEVEL_OS: need.at[BAO_MARK_WRITTEN] = facts; break;
    case BAO_LEVEL_DISK: need.at[BAO_MARK_SYNCED] = facts; break;
    case BAO_LEVEL_QUORUM: need.at[BAO_MARK_COMMITTED] = facts; break;
    }
    return need;
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

/* Puts it where the strongest mark that it still needs is waited for; ready
 * if there is none. Positions of one list grow; most come at its end. */
static void place(struct bao_outbox *outbox, struct bao_reply *reply)
{
    int mark = BAO_MARK_COUNT - 1;
    while (mark >= 0 && reply->need.at[mark] == 0)
        mark--;
    if (mark < 0) {
        make_ready(outbox, reply);
        return;
    }
    struct bao_list *held = &outbox->held[mark];
    struct bao_link *before = &held->head;
    while (before->previous != &held->head &&
           BAO_OF(before->previous, struct bao_reply, held)->need.at[mark] >
               reply->need.at[mark])
        before = before->previous;
    reply->mark = (enum bao_mark)mark;
    bao_list_push(&reply->peer->waiting, &reply->own);
    if (before == &held->head)
        bao_list_push(held, &reply->held);
    else
        bao_list_insert_before(held, before, &reply->held);
}

void bao_outbox_hold(struct bao_outbox *outbox,
                     struct bao_outbox_peer *peer,
                     struct bao_reply *reply,
                     const struct bao_need *need)
{
    reply->peer = peer;
    reply->need = *need;
    peer->bytes += reply->bytes;
    outbox->bytes += reply->bytes;
    place(outbox, reply);
}

bool bao_outbox_wants_sync(const struct bao_outbox *outbox)
{
    return outbox->held[BAO_MARK_SYNCED].count > 0 ||
           outbox->held[BAO_MARK_COMMITTED].count > 0;
}

static void release(struct bao_outbox *outbox, enum bao_mark mark, uint64_t to)
{
    struct bao_link *link;
    while ((link = bao_list_first(&outbox->held[mark])) != NULL) {
        struct bao_reply *reply = BAO_OF(link, struct bao_reply, held);
        if (reply->need.at[mark] > to)
            return;
        bao_list_remove(&outbox->held[mark], link);
        bao_list_remove(&reply->peer->waiting, &reply->own);
        reply->need.at[mark] = 0;
        place(outbox, reply);
    }
}

void bao_outbox_release(struct bao_outbox *outbox,
                        const struct bao_marks *marks)
{
    /* What was synced may still have to be written: its turn comes last, and
     * once more. */
    release(outbox, BAO_MARK_WRITTEN, marks->written);
    release(outbox, BAO_MARK_COMMITTED, marks->committed);
    release(outbox, BAO_MARK_SYNCED, marks->synced);
    release(outbox, BAO_MARK_WRITTEN, marks->written);
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
        if (bodies[i].chunk != NULL)
            bao_bodies_give(outbox->bodies, bodies[i].chunk);
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
