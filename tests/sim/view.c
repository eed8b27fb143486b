/*
 * view.c - sorts and narrows.
 */
#include "tests/sim/view.h"

#include <stdlib.h>

static void *make(size_t count, size_t bytes)
{
    void *made = calloc(count + 1, bytes);
    if (made == NULL) {
        abort();
    }
    return made;
}

/* --- grants and gaps ------------------------------------------------------ */

static int by_token(const void *a, const void *b)
{
    const struct view_grant *left = a;
    const struct view_grant *right = b;
    return left->token < right->token ? -1 : left->token > right->token;
}

static bool same_epoch(uint64_t a, uint64_t b)
{
    return a >> BAO_ID_SHIFT == b >> BAO_ID_SHIFT;
}

static void narrow_grants(struct view *view)
{
    struct view_grant *grants = view->grants;
    for (size_t i = 1; i < view->grant_count; i++) {
        if (same_epoch(grants[i - 1].token, grants[i].token) &&
            grants[i].time.from_us < grants[i - 1].time.from_us) {
            grants[i].time.from_us = grants[i - 1].time.from_us;
        }
    }
    for (size_t i = view->grant_count; i-- > 1;) {
        if (same_epoch(grants[i - 1].token, grants[i].token) &&
            grants[i - 1].time.to_us > grants[i].time.to_us) {
            grants[i - 1].time.to_us = grants[i].time.to_us;
        }
    }
}

static void add_grants(struct view *view)
{
    const struct sim_history *history = view->history;
    view->grants = make(history->delivery_count, sizeof *view->grants);
    for (size_t i = 0; i < history->delivery_count; i++) {
        const struct history_delivery *delivery = &history->deliveries[i];
        const struct history_op *get = &history->ops[delivery->op];
        const struct history_op *put =
            &history->ops[history->payloads[delivery->payload - 1]];
        if (delivery->token == 0) {
            continue;
        }
        view->grants[view->grant_count++] = (struct view_grant){
            .token = delivery->token,
            .id = delivery->id,
            .delivery = i,
            .time = {.from_us = get->asked_us > put->asked_us ? get->asked_us
                                                              : put->asked_us,
                     .to_us = delivery->us}};
    }
    qsort(view->grants, view->grant_count, sizeof *view->grants, by_token);
    narrow_grants(view);
}

static void
add_gap(struct view *view, uint64_t count, uint64_t from_us, uint64_t to_us)
{
    if (count > 0) {
        view->gaps[view->gap_count++] = (struct view_gap){
            .count = count, .time = {.from_us = from_us, .to_us = to_us}};
    }
}

/* When the last life before `us` ended, or the run began. */
static uint64_t life_began(const struct view *view, uint64_t us)
{
    uint64_t began_us = 0;
    for (size_t i = 0; i < view->history->event_count; i++) {
        const struct history_event *event = &view->history->events[i];
        if (event->kind == HISTORY_BROKER && event->us <= us) {
            began_us = event->us;
        }
    }
    return began_us;
}

static uint64_t life_ended(const struct view *view, uint64_t us)
{
    for (size_t i = 0; i < view->history->event_count; i++) {
        const struct history_event *event = &view->history->events[i];
        if (event->kind == HISTORY_BROKER && event->us > us) {
            return event->us;
        }
    }
    return SIM_NEVER;
}

/* Counts begin at 1 in the low bits of each life: see broker.c. */
#define LOW_BITS ((UINT64_C(1) << 20) - 1)

/* A durable broker goes on after a start: in every life between two tokens
 * that somebody saw, anything may have been handed out. */
static void add_gaps_of_starts(struct view *view)
{
    const struct view_grant *grants = view->grants;
    for (size_t i = 0; i <= view->grant_count; i++) {
        bool first = i == 0;
        bool last = i == view->grant_count;
        if (first || last ||
            !same_epoch(grants[i - 1].token, grants[i].token)) {
            add_gap(view,
                    SIM_NEVER,
                    first ? 0 : grants[i - 1].time.from_us,
                    last ? SIM_NEVER : grants[i].time.to_us);
        }
    }
}

static void add_gaps(struct view *view)
{
    const struct view_grant *grants = view->grants;
    view->gaps = make(view->grant_count * 3 + 2, sizeof *view->gaps);
    if (view->sim->disk != NULL) {
        add_gaps_of_starts(view);
    }
    for (size_t i = 0; i < view->grant_count; i++) {
        const struct view_grant *grant = &grants[i];
        bool first = i == 0 || !same_epoch(grants[i - 1].token, grant->token);
        bool last = i + 1 == view->grant_count ||
                    !same_epoch(grants[i + 1].token, grant->token);
        if (first) {
            add_gap(view,
                    (grant->token & LOW_BITS) - 1,
                    life_began(view, grant->time.from_us),
                    grant->time.to_us);
        }
        if (last) {
            add_gap(view,
                    SIM_NEVER,
                    grant->time.from_us,
                    life_ended(view, grant->time.to_us));
        } else {
            add_gap(view,
                    grants[i + 1].token - grant->token - 1,
                    grant->time.from_us,
                    grants[i + 1].time.to_us);
        }
    }
}

/* --- items ---------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct view_item *left = a;
    const struct view_item *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static void add_item(struct view *view, const struct view_item *item)
{
    view->items[view->item_count++] = *item;
}

static void add_told(struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool accepted = op->verb == BAO_VERB_PUT && op->told &&
                        op->status == BAOZI_OK &&
                        (op->told_flags & BAO_FLAG_DUPLICATE) == 0;
        for (uint32_t k = 0; accepted && k < op->count; k++) {
            struct view_item item = {
                .id = op->told_id + k,
                .payload = op->first_payload + k,
                .op = i,
                .life = op->life,
                .queue = op->queue,
                .accepted = {op->asked_us, op->told_us},
                .told = true,
                .settled_us = SIM_NEVER,
            };
            add_item(view, &item);
        }
    }
}

static void add_delivered(struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->delivery_count; i++) {
        const struct history_delivery *delivery = &history->deliveries[i];
        uint64_t put = history->payloads[delivery->payload - 1];
        struct view_item item = {
            .id = delivery->id,
            .payload = delivery->payload,
            .op = put,
            .life = delivery->life,
            .queue = delivery->queue,
            .accepted = {history->ops[put].asked_us, delivery->us},
            .prepaid = delivery->token == 0,
            .settled_us = SIM_NEVER,
        };
        add_item(view, &item);
    }
}

/* What several say of one id must be the same. */
static void merge_items(struct view *view)
{
    size_t kept = 0;
    qsort(view->items, view->item_count, sizeof *view->items, by_id);
    for (size_t i = 0; i < view->item_count; i++) {
        const struct view_item *item = &view->items[i];
        struct view_item *last = kept > 0 ? &view->items[kept - 1] : NULL;
        if (last == NULL || last->id != item->id) {
            view->items[kept++] = *item;
            continue;
        }
        VIEW_CHECK(view,
                   last->payload == item->payload,
                   "id %llx was given to p%llu and to p%llu",
                   VIEW_NUMBER(item->id),
                   VIEW_NUMBER(last->payload),
                   VIEW_NUMBER(item->payload));
        if (item->accepted.to_us < last->accepted.to_us) {
            last->accepted.to_us = item->accepted.to_us;
        }
        last->told |= item->told;
        last->prepaid |= item->prepaid;
    }
    view->item_count = kept;
}

/* Ids of one queue grow in the order of acceptance. */
static void narrow_items(struct view *view)
{
    struct view_item *items = view->items;
    for (size_t i = 1; i < view->item_count; i++) {
        if (same_epoch(items[i - 1].id, items[i].id) &&
            items[i - 1].life == items[i].life &&
            items[i].accepted.from_us < items[i - 1].accepted.from_us) {
            items[i].accepted.from_us = items[i - 1].accepted.from_us;
        }
    }
    for (size_t i = view->item_count; i-- > 1;) {
        if (same_epoch(items[i - 1].id, items[i].id) &&
            items[i - 1].life == items[i].life &&
            items[i - 1].accepted.to_us > items[i].accepted.to_us) {
            items[i - 1].accepted.to_us = items[i].accepted.to_us;
        }
    }
}

/* Grants of each item, by token: the grants stand in that order already. */
static void link_grants(struct view *view)
{
    size_t at = 0;
    view->by_item = make(view->grant_count, sizeof *view->by_item);
    for (size_t i = 0; i < view->grant_count; i++) {
        view_item(view, view->grants[i].id)->grant_count++;
    }
    for (size_t i = 0; i < view->item_count; i++) {
        view->items[i].first_grant = at;
        at += view->items[i].grant_count;
        view->items[i].grant_count = 0;
    }
    for (size_t i = 0; i < view->grant_count; i++) {
        struct view_item *item = view_item(view, view->grants[i].id);
        view->by_item[item->first_grant + item->grant_count++] = i;
    }
}

static void note_settles(struct view *view)
{
    const struct sim_history *history = view->history;
    for (size_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool final = op->verb == BAO_VERB_DONE || op->verb == BAO_VERB_REJECT;
        if (!final || !op->told || op->status != BAOZI_OK) {
            continue;
        }
        struct view_item *item = view_item(view, op->id);
        if (item != NULL && op->told_us < item->settled_us) {
            item->settled_us = op->told_us;
            item->settled_token = op->token;
        }
    }
}

static void add_items(struct view *view)
{
    const struct sim_history *history = view->history;
    view->items = make(history->payload_count + history->delivery_count,
                       sizeof *view->items);
    add_told(view);
    add_delivered(view);
    merge_items(view);
    narrow_items(view);
    link_grants(view);
    note_settles(view);
}

struct view *view_open(struct sim_history *history, struct sim *sim)
{
    struct view *view = make(1, sizeof *view);
    view->sim = sim;
    view->history = history;
    add_grants(view);
    add_gaps(view);
    add_items(view);
    return view;
}

void view_close(struct view *view)
{
    free(view->grants);
    free(view->by_item);
    free(view->gaps);
    free(view->items);
    free(view);
}

/* --- questions ------------------------------------------------------------ */

struct view_item *view_item(const struct view *view, uint64_t id)
{
    struct view_item key = {.id = id};
    return bsearch(
        &key, view->items, view->item_count, sizeof *view->items, by_id);
}

const struct view_grant *
view_item_grant(const struct view *view, const struct view_item *item, size_t i)
{
    return &view->grants[view->by_item[item->first_grant + i]];
}

const struct view_grant *view_grant(const struct view *view, uint64_t token)
{
    struct view_grant key = {.token = token};
    return bsearch(
        &key, view->grants, view->grant_count, sizeof *view->grants, by_token);
}

bool view_was_there(const struct view *view,
                    const struct view_item *item,
                    uint64_t to_us)
{
    /* With accounting `count` a hand-out may be paid for already, and has no
     * token then. */
    if (item->grant_count == 0 || item->queue == SIM_COUNTED ||
        view_item_grant(view, item, 0)->time.from_us <= to_us) {
        return false;
    }
    for (size_t i = 0; i < view->gap_count; i++) {
        const struct view_time *gap = &view->gaps[i].time;
        if (gap->from_us <= to_us && gap->to_us >= item->accepted.from_us) {
            return false;
        }
    }
    return true;
}

bool view_befell(const struct view *view,
                 enum history_fault kind,
                 unsigned client,
                 struct view_time when)
{
    for (size_t i = 0; i < view->history->event_count; i++) {
        const struct history_event *event = &view->history->events[i];
        bool lasts = kind == HISTORY_PAUSED || kind == HISTORY_STALLED;
        uint64_t from_us = lasts ? event->from_us : event->us;
        if (event->kind == kind && event->client == client &&
            event->us >= when.from_us && from_us <= when.to_us) {
            return true;
        }
    }
    return false;
}

/* While the broker is down no line is up. */
static bool
may_end_lease(const struct history_event *event, bool is_kept, bool is_up)
{
    switch (event->kind) {
    case HISTORY_BROKER: return event->cut || !is_kept;
    case HISTORY_STARTED: return false;
    case HISTORY_CUT: return is_up;
    case HISTORY_DIED:
    case HISTORY_BYE:
    case HISTORY_SESSION:
    case HISTORY_PAUSED:
    case HISTORY_STALLED: return true;
    }
    return true;
}

uint64_t view_disturbed_us(const struct view *view,
                           const struct history_delivery *delivery,
                           uint64_t from_us)
{
    bool is_kept = queue_is_kept(view->sim, delivery->queue);
    bool is_up = true;
    uint64_t least_us = SIM_NEVER;
    for (size_t i = 0; i < view->history->event_count; i++) {
        const struct history_event *event = &view->history->events[i];
        bool lasts =
            event->kind == HISTORY_PAUSED || event->kind == HISTORY_STALLED;
        uint64_t us = lasts ? event->from_us : event->us;
        bool concerns =
            event->client == delivery->client || event->client == SIM_CLIENTS;
        if (concerns && event->us >= from_us && us < least_us &&
            may_end_lease(event, is_kept, is_up)) {
            least_us = us;
        }
        if (event->client == SIM_CLIENTS) {
            is_up = event->kind == HISTORY_STARTED;
        }
    }
    return least_us;
}

bool view_was_cut(const struct view *view, struct view_time when)
{
    for (size_t i = 0; i < view->history->event_count; i++) {
        const struct history_event *event = &view->history->events[i];
        if (event->kind == HISTORY_BROKER && event->cut &&
            event->us >= when.from_us && event->us <= when.to_us) {
            return true;
        }
    }
    return false;
}

bool view_restarted(const struct view *view, struct view_time when)
{
    for (size_t i = 0; i < view->history->event_count; i++) {
        const struct history_event *event = &view->history->events[i];
        if (event->kind == HISTORY_BROKER && event->us >= when.from_us &&
            event->us <= when.to_us) {
            return true;
        }
    }
    return false;
}

bool view_in_one_life(const struct view *view, const struct history_op *op)
{
    struct view_time when = {op->asked_us, op->told_us};
    return op->told && !view_restarted(view, when);
}

bool view_in_one_memory(const struct view *view, const struct history_op *op)
{
    return queue_is_kept(view->sim, op->queue) ? op->told
                                               : view_in_one_life(view, op);
}

bool view_is_refusal(uint64_t status)
{
    switch (status) {
    case BAOZI_FULL:
    case BAOZI_SHUTDOWN:
    case BAOZI_CANCELLED:
    case BAOZI_NOT_FOUND:
    case BAOZI_QUOTA:
    case BAOZI_TOO_BIG:
    case BAOZI_DRAINING:
    case BAOZI_STORAGE_FULL:
    case BAOZI_BAD_REQUEST: return true;
    default: return false;
    }
}
