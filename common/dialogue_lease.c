/*
 * dialogue_lease.c - held leases and their renewal at a third of their time.
 *
 * Leases of one length stand in one class, in order of renewal: a renewed one
 * goes to the end, so the first of each class is the next one due. Whatever
 * is due within a twelfth of its time goes along in the same TOUCH.
 */
#include <stdlib.h>

#include "common/dialogue_inside.h"

static uint64_t third_us(uint32_t lease_ms)
{
    return (uint64_t)lease_ms * 1000 / 3;
}

static struct bao_lease_class *find_class(struct bao_dialogue *d,
                                          uint32_t lease_ms)
{
    struct bao_lease_class *class;
    struct bao_link *link;
    for (link = bao_list_first(&d->classes); link != NULL;
         link = bao_list_next(&d->classes, link)) {
        class = BAO_OF(link, struct bao_lease_class, link);
        if (class->lease_ms == lease_ms) {
            return class;
        }
    }
    class = calloc(1, sizeof *class);
    if (class != NULL) {
        class->lease_ms = lease_ms;
        bao_list_init(&class->leases);
        bao_list_push(&d->classes, &class->link);
    }
    return class;
}

static void
enter(uint64_t now_us, struct bao_lease *lease, struct bao_lease_class *class)
{
    lease->class = class;
    lease->renew_us = class->lease_ms == 0 ? BAO_NEVER_US
                                           : now_us + third_us(class->lease_ms);
    bao_list_push(&class->leases, &lease->link);
}

static void leave(struct bao_dialogue *d, struct bao_lease *lease)
{
    struct bao_lease_class *class = lease->class;
    bao_list_remove(&class->leases, &lease->link);
    lease->class = NULL;
    if (class->leases.count == 0) {
        bao_list_remove(&d->classes, &class->link);
        free(class);
    }
}

bool bao_dialogue_hold(struct bao_dialogue *d,
                       uint64_t now_us,
                       struct bao_lease *lease)
{
    BAO_ASSERT(lease->token != 0 && lease->class == NULL);
    if (bao_map_find(&d->leases, lease->token) != NULL) {
        return false; /* a broker that repeats a token */
    }
    struct bao_lease_class *class = find_class(d, lease->lease_ms);
    if (class == NULL) {
        return false;
    }
    enter(now_us, lease, class);
    if (!bao_map_put(&d->leases, lease->token, lease)) {
        leave(d, lease);
        return false;
    }
    return true;
}

void bao_dialogue_drop(struct bao_dialogue *d, struct bao_lease *lease)
{
    if (lease->class != NULL) {
        leave(d, lease);
        bao_map_remove(&d->leases, lease->token);
    }
    if (bao_link_is_listed(&lease->starting)) {
        bao_list_remove(&d->starting, &lease->starting);
    }
}

static void tell_started(struct bao_dialogue *d, struct bao_lease *lease)
{
    if (!bao_link_is_listed(&lease->starting)) {
        bao_list_push(&d->starting, &lease->starting);
    }
}

void bao_dialogue_started(struct bao_dialogue *d,
                          uint64_t now_us,
                          struct bao_lease *lease)
{
    if (lease->class == NULL || lease->started) {
        return;
    }
    lease->started = true;
    if (d->starting.count == 0) {
        d->starting_us = now_us + BAO_STARTED_AFTER_US;
        d->starting_due = false;
    }
    tell_started(d, lease);
    bao_dialogue_renewed(d, now_us, lease, lease->lease_ms);
}

void bao_dialogue_renewed(struct bao_dialogue *d,
                          uint64_t now_us,
                          struct bao_lease *lease,
                          uint32_t lease_ms)
{
    if (lease->class == NULL) {
        return;
    }
    struct bao_lease_class *class = find_class(d, lease_ms);
    if (class == NULL) {
        return; /* then it is renewed in its old rhythm */
    }
    /* The class may be the lease's own one: leave only if it is another, or
     * the last one out would end it. */
    if (class != lease->class) {
        leave(d, lease);
    } else {
        bao_list_remove(&class->leases, &lease->link);
    }
    lease->lease_ms = lease_ms;
    enter(now_us, lease, class);
}

void bao_dialogue_settled(struct bao_dialogue *d, uint64_t id)
{
    struct bao_link *link = bao_list_first(&d->classes);
    for (; link != NULL; link = bao_list_next(&d->classes, link)) {
        struct bao_lease_class *class =
            BAO_OF(link, struct bao_lease_class, link);
        for (struct bao_link *at = bao_list_first(&class->leases); at != NULL;
             at = bao_list_next(&class->leases, at)) {
            struct bao_lease *lease = BAO_OF(at, struct bao_lease, link);
            if (lease->id == id) {
                bao_dialogue_drop(d, lease);
                return;
            }
        }
    }
}

size_t bao_dialogue_held(const struct bao_dialogue *d)
{
    return bao_map_count(&d->leases);
}

void bao_dialogue_give_back(struct bao_dialogue *d,
                            uint64_t now_us,
                            uint64_t id,
                            uint64_t token)
{
    if (token == 0 || bao_map_find(&d->leases, token) != NULL) {
        return; /* settled already, or still held */
    }
    struct bao_own_request *own = bao_own_make(BAO_VERB_RELEASE, 1);
    if (own == NULL) {
        bao_break(d, "no memory to give an item back"); /* a resume does */
        return;
    }
    bao_store64(own->columns, id);
    bao_store64(own->columns + 8, token);
    bao_dialogue_submit(d, now_us, &own->request);
}

/* --- renewal ------------------------------------------------------------ */

uint64_t bao_leases_due(const struct bao_dialogue *d)
{
    uint64_t due_us = BAO_NEVER_US;
    for (struct bao_link *link = bao_list_first(&d->classes); link != NULL;
         link = bao_list_next(&d->classes, link)) {
        struct bao_lease_class *class =
            BAO_OF(link, struct bao_lease_class, link);
        struct bao_link *first = bao_list_first(&class->leases);
        due_us =
            bao_sooner(due_us, BAO_OF(first, struct bao_lease, link)->renew_us);
    }
    return due_us;
}

/* How many of the first leases of a class are due, or nearly so. */
static uint32_t count_due(const struct bao_lease_class *class, uint64_t now_us)
{
    uint64_t soon_us = now_us + third_us(class->lease_ms) / 4;
    uint32_t count = 0;
    for (struct bao_link *link = bao_list_first(&class->leases);
         link != NULL && count < BAO_OPERATION_ITEMS_MAX;
         link = bao_list_next(&class->leases, link)) {
        if (BAO_OF(link, struct bao_lease, link)->renew_us > soon_us) {
            break;
        }
        count++;
    }
    return count;
}

static void
touch(struct bao_dialogue *d, struct bao_lease_class *class, uint64_t now_us)
{
    uint32_t count = count_due(class, now_us);
    struct bao_own_request *own = bao_own_make(BAO_VERB_TOUCH, count);
    for (uint32_t i = 0; i < count; i++) {
        struct bao_link *link = bao_list_pop(&class->leases);
        struct bao_lease *lease = BAO_OF(link, struct bao_lease, link);
        if (own != NULL) {
            bao_store64(own->columns + 8 * i, lease->id);
            bao_store64(own->columns + 8 * (count + i), lease->token);
        }
        enter(now_us, lease, class);
    }
    if (own == NULL) {
        return; /* the next third tries again */
    }
    BAO_SET(&own->request.operation, LEASE_MS, lease_ms, class->lease_ms);
    bao_dialogue_submit(d, now_us, &own->request);
}

void bao_leases_tick(struct bao_dialogue *d, uint64_t now_us)
{
    for (struct bao_link *link = bao_list_first(&d->classes); link != NULL;
         link = bao_list_next(&d->classes, link)) {
        struct bao_lease_class *class =
            BAO_OF(link, struct bao_lease_class, link);
        struct bao_link *first = bao_list_first(&class->leases);
        while (BAO_OF(first, struct bao_lease, link)->renew_us <= now_us) {
            touch(d, class, now_us);
            first = bao_list_first(&class->leases);
        }
    }
}

/* The class of 0 ms is never due. */
static void end_renewal(struct bao_dialogue *d, struct bao_lease *lease)
{
    struct bao_lease_class *class = find_class(d, 0);
    if (class != NULL && class != lease->class) {
        leave(d, lease);
        enter(0, lease, class);
    }
}

/* Of several leases of one item only the youngest can be alive, so what is
 * said of the item is said of the oldest that is still renewed. */
static struct bao_lease *oldest_renewed(const struct bao_dialogue *d,
                                        const struct bao_own_request *own,
                                        uint64_t id)
{
    struct bao_lease *oldest = NULL;
    for (uint32_t i = 0; i < own->count; i++) {
        if (bao_load64(own->columns + 8 * i) != id) {
            continue;
        }
        struct bao_lease *lease = bao_map_find(
            &d->leases, bao_load64(own->columns + 8 * (own->count + i)));
        if (lease != NULL && lease->renew_us != BAO_NEVER_US &&
            (oldest == NULL || lease->token < oldest->token)) {
            oldest = lease;
        }
    }
    return oldest;
}

/* Our TOUCH was answered: STALE names those that are not to be renewed any
 * more, because they ended or max_run is over. What their holder sends for
 * them is still the broker's to judge. */
void bao_leases_touched(struct bao_dialogue *d,
                        const struct bao_own_request *own,
                        const struct bao_operation *answer)
{
    if (answer->status != BAOZI_STALE || !bao_has(answer, BAO_BIT(IDS))) {
        return;
    }
    for (size_t i = 0; i < bao_column64_count(answer->ids); i++) {
        struct bao_lease *lease =
            oldest_renewed(d, own, bao_column64(answer->ids, i));
        if (lease != NULL) {
            end_renewal(d, lease);
        }
    }
}

/* --- session ------------------------------------------------------------ */

/* After a resume everything is renewed soon: time may have been lost, and so
 * may have been what was said of it. */
void bao_leases_renew_all(struct bao_dialogue *d, uint64_t now_us)
{
    for (struct bao_link *link = bao_list_first(&d->classes); link != NULL;
         link = bao_list_next(&d->classes, link)) {
        struct bao_lease_class *class =
            BAO_OF(link, struct bao_lease_class, link);
        for (struct bao_link *at = bao_list_first(&class->leases); at != NULL;
             at = bao_list_next(&class->leases, at)) {
            struct bao_lease *lease = BAO_OF(at, struct bao_lease, link);
            if (lease->renew_us != BAO_NEVER_US) {
                lease->renew_us = now_us;
            }
            if (lease->started) {
                tell_started(d, lease);
            }
        }
    }
    d->starting_due = d->starting.count > 0;
}

void bao_leases_lose_all(struct bao_dialogue *d, enum baozi_status gone)
{
    struct bao_link *link;
    while ((link = bao_list_first(&d->classes)) != NULL) {
        struct bao_lease_class *class =
            BAO_OF(link, struct bao_lease_class, link);
        struct bao_link *first = bao_list_first(&class->leases);
        struct bao_lease *lease = BAO_OF(first, struct bao_lease, link);
        lease->gone = gone;
        bao_dialogue_drop(d, lease);
    }
}

/* What HELD will say. */
bool bao_leases_snapshot(struct bao_dialogue *d)
{
    d->held.count = 0;
    d->held.sent = 0;
    for (struct bao_link *link = bao_list_first(&d->classes); link != NULL;
         link = bao_list_next(&d->classes, link)) {
        struct bao_lease_class *class =
            BAO_OF(link, struct bao_lease_class, link);
        for (struct bao_link *at = bao_list_first(&class->leases); at != NULL;
             at = bao_list_next(&class->leases, at)) {
            struct bao_lease *lease = BAO_OF(at, struct bao_lease, link);
            struct bao_pair pair = {.first = lease->id, .last = lease->token};
            if (!bao_pairs_add(&d->held, pair)) {
                return false;
            }
        }
    }
    return true;
}
