/*
 * progress.c - how far a redrive has come, until it is answered.
 *
 * Each fact that moves an item names its request, so a start knows how many a
 * request had moved: when it is sent again it goes on, within its limit.
 * Invariant: a request has a progress or a kept answer, never both.
 */
#include "broker/core/digest.h"
#include "broker/core/image_touch.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/store.h"

struct bao_progress *bao_progress_within(const struct bao_session *session,
                                         uint64_t first,
                                         uint64_t last)
{
    struct bao_link *link = bao_list_first(&session->progresses);
    for (; link != NULL; link = bao_list_next(&session->progresses, link)) {
        struct bao_progress *one =
            BAO_OF(link, struct bao_progress, of_session);
        if (one->rid >= first && one->rid <= last) {
            return one;
        }
    }
    return NULL;
}

struct bao_progress *bao_progress_new(struct bao_core *core,
                                      struct bao_session *session,
                                      uint64_t rid)
{
    struct bao_progress *one = bao_take(core, sizeof(*one));
    *one = (struct bao_progress){.session = session, .rid = rid};
    one->stamp = core->stamp;
    bao_list_push(&session->progresses, &one->of_session);
    return one;
}

void bao_progress_drop(struct bao_core *core, struct bao_progress *one)
{
    bao_image_touch_progress(core, one);
    core->digest -= bao_digest_progress(one);
    bao_list_remove(&one->session->progresses, &one->of_session);
    bao_arena_give(core->arena, one);
}

void bao_progress_ack(struct bao_core *core,
                      struct bao_session *session,
                      uint64_t first,
                      uint64_t last)
{
    struct bao_progress *one = bao_progress_within(session, first, last);
    for (; one != NULL; one = bao_progress_within(session, first, last)) {
        bao_progress_drop(core, one);
    }
}

void bao_progress_count(struct bao_core *core, const struct bao_fact *fact)
{
    struct bao_session *session = bao_session_of(core, fact->session);
    BAO_ASSERT(session != NULL);
    BAO_ASSERT(fact->rid > 0);
    struct bao_progress *one = bao_progress_find(session, fact->rid);
    if (one != NULL && one->queue != fact->queue) {
        bao_progress_drop(core, one); /* of one that was deleted since */
        one = NULL;
    }
    if (one == NULL) {
        one = bao_progress_new(core, session, fact->rid);
        one->queue = fact->queue;
        one->mark = (fact->first_id & BAO_N_MASK) - 1;
    } else {
        bao_image_touch_progress(core, one);
        core->digest -= bao_digest_progress(one);
    }
    one->moved += fact->count;
    core->digest += bao_digest_progress(one);
}
