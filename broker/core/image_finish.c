/*
 * image_finish.c - the end of loading: what has an order is linked, what
 * follows from other records is counted and must agree.
 */
#include "broker/core/image_loader.h"
#include "broker/core/items.h"
#include "broker/core/keep.h"
#include "broker/core/store.h"
#include "broker/core/tally.h"

static uint64_t order_of(const struct bao_link *link)
{
    return BAO_OF((uintptr_t)link, struct bao_lease, of_session)->order;
}

static bool is_granted_later(const struct bao_link *a, const struct bao_link *b)
{
    return order_of(a) > order_of(b);
}

static void link_leases(struct bao_image_loader *loader)
{
    bao_list_sort(&loader->leases, is_granted_later);
    struct bao_link *link = bao_list_pop(&loader->leases);
    for (; link != NULL; link = bao_list_pop(&loader->leases)) {
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, of_session);
        bao_lease_link(lease);
        if (lease->answer != NULL) {
            bao_list_push(&lease->answer->leases, &lease->of_answer);
        }
    }
}

/* --- sessions --------------------------------------------------------------
 */

static uint64_t ended_of(const struct bao_link *link)
{
    return BAO_OF((uintptr_t)link, struct bao_session, ended)->ended_us;
}

static bool is_ended_later(const struct bao_link *a, const struct bao_link *b)
{
    return ended_of(a) > ended_of(b);
}

static void remember_sessions(struct bao_image_loader *loader)
{
    bao_list_sort(&loader->ended_sessions, is_ended_later);
    struct bao_link *link = bao_list_pop(&loader->ended_sessions);
    for (; link != NULL; link = bao_list_pop(&loader->ended_sessions)) {
        bao_session_remember(loader->core,
                             BAO_OF(link, struct bao_session, ended));
    }
}

/* Kept answers that speak of an outcome. */
static void count_askers(struct bao_core *core,
                         const struct bao_session *session)
{
    struct bao_request *request = bao_window_from(session, 0);
    while (request != NULL) {
        const struct bao_answer *answer = bao_answer_of(request);
        if (answer->verb == BAO_VERB_WAIT) {
            struct bao_outcome *outcome =
                bao_outcome_find(core, answer->first_id);
            if (outcome != NULL) {
                outcome->askers++;
            }
        }
        request = bao_window_from(session, request->first + request->count);
    }
}

static void finish_sessions(struct bao_image_loader *loader)
{
    struct bao_core *core = loader->core;
    struct bao_tree_entry entry =
        bao_tree_first(&core->sessions, BAO_TREE_ANY, 0);
    while (entry.value != NULL) {
        count_askers(core, entry.value);
        entry = bao_tree_first(&core->sessions, BAO_TREE_ANY, entry.key + 1);
    }
    remember_sessions(loader);
}

/* --- queues ----------------------------------------------------------------
 */

static uint64_t finished_of(const struct bao_link *link)
{
    return BAO_OF((uintptr_t)link, struct bao_group, finished)->finished_us;
}

static bool is_finished_later(const struct bao_link *a,
                              const struct bao_link *b)
{
    return finished_of(a) > finished_of(b);
}

/* Those without open items go where finished ones are, oldest first. */
static void finish_groups(struct bao_core *core, struct bao_queue *queue)
{
    struct bao_list done;
    bao_list_init(&done);
    struct bao_link *link = bao_list_first(&queue->open_groups);
    while (link != NULL) {
        struct bao_group *group = BAO_OF(link, struct bao_group, finished);
        link = bao_list_next(&queue->open_groups, link);
        if (group->ledger.unfinished == 0) {
            bao_list_remove(&queue->open_groups, &group->finished);
            bao_list_push(&done, &group->finished);
        }
    }
    bao_list_sort(&done, is_finished_later);
    for (link = bao_list_pop(&done); link != NULL; link = bao_list_pop(&done)) {
        struct bao_group *group = BAO_OF(link, struct bao_group, finished);
        bao_group_finish(core, group, group->finished_us);
    }
}

static const char *finish_tallies(struct bao_core *core,
                                  struct bao_queue *queue)
{
    struct bao_link *link = bao_list_first(&queue->tallies);
    while (link != NULL) {
        struct bao_tally *tally = BAO_OF(link, struct bao_tally, of_queue);
        link = bao_list_next(&queue->tallies, link);
        if (tally->live != tally->ledger.unfinished) {
            return "a session that has put more or less than is there";
        }
        bao_tally_ended(core, tally, tally->ended_us);
        bao_tally_tidy(core, tally);
    }
    return NULL;
}

static const char *finish_keys(const struct bao_queue *queue)
{
    struct bao_link *link = bao_list_first(&queue->dedups);
    for (; link != NULL; link = bao_list_next(&queue->dedups, link)) {
        const struct bao_dedup *dedup =
            BAO_OF(link, struct bao_dedup, of_queue);
        if (dedup->live == 0 && dedup->until_us == 0) {
            return "a key that nothing holds";
        }
    }
    return NULL;
}

static const char *finish_queue(struct bao_core *core, struct bao_queue *queue)
{
    const uint64_t *counts = queue->counts;
    if (queue->ledger.unfinished + queue->prepaid !=
            counts[BAO_STATE_READY] + counts[BAO_STATE_DELAYED] +
                counts[BAO_STATE_LEASED] + counts[BAO_STATE_TAKEN] ||
        queue->reserved > queue->prepaid) {
        return "a queue that counts more or less than is in it";
    }
    finish_groups(core, queue);
    const char *why = finish_tallies(core, queue);
    return why != NULL ? why : finish_keys(queue);
}

const char *bao_image_finish(struct bao_image_loader *loader)
{
    const char *why = NULL;
    link_leases(loader);
    finish_sessions(loader);
    for (struct bao_queue *queue = loader->core->names[0];
         queue != NULL && why == NULL;
         queue = queue->next_name[0]) {
        why = finish_queue(loader->core, queue);
    }
    loader->core->last_queue = NULL;
    return why;
}
