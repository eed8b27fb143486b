/*
 * dialogue.c - requests: taken in, answered, cancelled, forgotten.
 *
 * Invariant: a request with a rid is in `requests` (the map) and in `sent` or
 * `again`; one without is in `control`, `batch` or `again`.
 */
#include <stdlib.h>

#include "common/dialogue_inside.h"

/* --- open and close ----------------------------------------------------- */

static void copy_text(struct bao_span *text, char *memory)
{
    size_t bytes =
        text->bytes < BAO_TEXT_BYTES_MAX ? text->bytes : BAO_TEXT_BYTES_MAX;
    if (bytes > 0) {
        memcpy(memory, text->data, bytes);
    }
    *text = bao_span_of(memory, bytes);
}

struct bao_dialogue *bao_dialogue_open(const struct bao_dialogue_config *config,
                                       uint64_t now_us)
{
    struct bao_dialogue *d = calloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->config = *config;
    copy_text(&d->config.host, d->host);
    copy_text(&d->config.program, d->program);
    struct bao_list *lists[] = {&d->control,
                                &d->batch,
                                &d->again,
                                &d->sent,
                                &d->timed,
                                &d->errands,
                                &d->starting,
                                &d->classes};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        bao_list_init(lists[i]);
    }
    d->generator = bao_load64(config->seed) ^ bao_load64(config->seed + 8);
    bao_session_new_client(d);
    d->item_bytes_max = BAO_ITEM_BYTES_MAX;
    d->down_since_us = now_us;
    d->timed_us = BAO_NEVER_US;
    d->reach_us = BAO_NEVER_US;
    return d;
}

static void let_go_own(struct bao_list *list)
{
    struct bao_link *link;
    while ((link = bao_list_pop(list)) != NULL) {
        struct bao_request *request = BAO_OF(link, struct bao_request, link);
        if (request->own) {
            free(BAO_OF(request, struct bao_own_request, request));
        }
    }
}

void bao_dialogue_close(struct bao_dialogue *d)
{
    let_go_own(&d->control);
    let_go_own(&d->batch);
    let_go_own(&d->again);
    let_go_own(&d->sent);
    struct bao_link *link;
    while ((link = bao_list_pop(&d->classes)) != NULL) {
        free(BAO_OF(link, struct bao_lease_class, link));
    }
    bao_map_fini(&d->requests);
    bao_map_fini(&d->leases);
    free(d->acks.data);
    free(d->receipts.data);
    free(d->held.data);
    free(d->orphans.data);
    free(d->pieces);
    free(d);
}

/* --- small tools -------------------------------------------------------- */

void bao_break(struct bao_dialogue *d, const char *why)
{
    if (d->broken == NULL) {
        d->broken = why;
    }
}

bool bao_is_batch(const struct bao_request *request)
{
    switch (request->operation.verb) {
    case BAO_VERB_PUT:
    case BAO_VERB_DONE:
    case BAO_VERB_RETRY:
    case BAO_VERB_RELEASE:
    case BAO_VERB_REJECT: return true;
    default: return false;
    }
}

/* True if the broker may let it wait: then silence says nothing. */
bool bao_may_wait(const struct bao_request *request)
{
    switch (request->operation.verb) {
    case BAO_VERB_PUT:
    case BAO_VERB_GET:
    case BAO_VERB_WAIT:
    case BAO_VERB_JOIN:
    case BAO_VERB_SUBSCRIBE:
    case BAO_VERB_REDRIVE: return true;
    default: return false;
    }
}

/* A get whose items are settled by their receipt. */
bool bao_is_automatic(const struct bao_request *request)
{
    const struct bao_operation *op = &request->operation;
    return op->verb == BAO_VERB_GET && bao_has(op, BAO_BIT(FLAGS)) &&
           (op->flags & BAO_FLAG_AUTO) != 0;
}

bool bao_pairs_add(struct bao_pairs *pairs, struct bao_pair pair)
{
    if (pairs->count == pairs->capacity) {
        size_t capacity = pairs->capacity == 0 ? 64 : pairs->capacity * 2;
        struct bao_pair *data =
            realloc(pairs->data, capacity * sizeof *pairs->data);
        if (data == NULL) {
            return false;
        }
        pairs->data = data;
        pairs->capacity = capacity;
    }
    pairs->data[pairs->count++] = pair;
    return true;
}

/* The first range that ends at or behind rid - 1. Answers come nearly in
 * order, so the search begins at the end. */
static size_t find_range(const struct bao_pairs *acks, uint64_t rid)
{
    size_t at = acks->count;
    while (at > 0 && acks->data[at - 1].last + 1 >= rid) {
        at--;
    }
    return at;
}

/* Joins a range with the ones that it touches from at[0] on. */
static void join_ranges(struct bao_pairs *acks, size_t at)
{
    struct bao_pair *near = &acks->data[at];
    while (at + 1 < acks->count && near->last + 1 >= near[1].first) {
        near->last = near[1].last > near->last ? near[1].last : near->last;
        memmove(near + 1, near + 2, (acks->count - at - 2) * sizeof *near);
        acks->count--;
    }
}

/* Adds answered rids to the ranges that are to be acknowledged, which stay
 * ascending and apart. */
void bao_ack_add(struct bao_dialogue *d,
                 uint64_t now_us,
                 uint64_t first,
                 uint64_t last)
{
    if (d->acked_rids == 0) {
        d->ack_us = now_us + BAO_ACK_AFTER_US;
    }
    d->acked_rids += last - first + 1;
    d->ack_due |= d->acked_rids >= BAO_ACK_COUNT;
    struct bao_pairs *acks = &d->acks;
    size_t at = find_range(acks, first);
    struct bao_pair range = {.first = first, .last = last};
    if (at < acks->count && acks->data[at].first <= last + 1) {
        struct bao_pair *near = &acks->data[at];
        near->first = near->first < first ? near->first : first;
        near->last = near->last > last ? near->last : last;
        join_ranges(acks, at);
        return;
    }
    if (!bao_pairs_add(acks, range)) {
        bao_break(d, "no memory for acknowledgements");
        return;
    }
    memmove(acks->data + at + 1,
            acks->data + at,
            (acks->count - at - 1) * sizeof range);
    acks->data[at] = range;
}

struct bao_own_request *bao_own_make(uint64_t verb, uint32_t count)
{
    struct bao_own_request *own = calloc(1, sizeof *own + 16 * (size_t)count);
    if (own == NULL) {
        return NULL;
    }
    own->count = count;
    own->request.own = true;
    own->request.until_us = BAO_NEVER_US;
    struct bao_operation *op = &own->request.operation;
    BAO_SET(op, VERB, verb, verb);
    BAO_SET(op, IDS, ids, bao_span_of(own->columns, 8 * (size_t)count));
    BAO_SET(op,
            TOKENS,
            tokens,
            bao_span_of(own->columns + 8 * (size_t)count, 8 * (size_t)count));
    return own;
}

void bao_errand(struct bao_dialogue *d, struct bao_request *request, int what)
{
    request->errands = (uint8_t)(request->errands | (unsigned)what);
    if (!bao_link_is_listed(&request->errand)) {
        bao_list_push(&d->errands, &request->errand);
    }
}

/* --- taken in ----------------------------------------------------------- */

void bao_dialogue_submit(struct bao_dialogue *d,
                         uint64_t now_us,
                         struct bao_request *request)
{
    BAO_ASSERT(request->queue == NULL);
    request->submitted_us = now_us;
    request->queue = bao_is_batch(request) ? &d->batch : &d->control;
    bao_list_push(request->queue, &request->link);
    if (d->state == BAO_DIALOGUE_REFUSED) {
        bao_fail(d, request, d->refusal, d->refusal_text);
        return;
    }
    if (d->state != BAO_DIALOGUE_OPEN) {
        uint64_t reach_us = now_us + d->config.connect_timeout_us;
        d->reach_us = reach_us < d->reach_us ? reach_us : d->reach_us;
    }
    bao_timer_start(d, request);
}

/* --- out again ---------------------------------------------------------- */

/* Unlinks a request from everything. */
void bao_take_out(struct bao_dialogue *d, struct bao_request *request)
{
    BAO_ASSERT(request->queue != NULL);
    bao_list_remove(request->queue, &request->link);
    if (request->queue == &d->sent && bao_is_batch(request)) {
        d->batch_sent--;
    }
    request->queue = NULL;
    if (request->rid != 0) {
        bao_map_remove(&d->requests, request->rid);
    }
    if (bao_link_is_listed(&request->timed)) {
        bao_list_remove(&d->timed, &request->timed);
    }
    if (bao_link_is_listed(&request->errand)) {
        bao_list_remove(&d->errands, &request->errand);
    }
    request->errands = 0;
    for (size_t i = 0; i < BAO_SLOTS && request->message != 0; i++) {
        if (d->slots[i].message == request->message) {
            d->slots[i].message = 0;
        }
    }
    d->credit_used -= request->credit_bytes;
    request->credit_bytes = 0;
}

/* Gives a request its answer; `request` is its owner's afterwards. */
void bao_answer(struct bao_dialogue *d,
                struct bao_request *request,
                const struct bao_operation *answer,
                const struct bao_message *message)
{
    bao_take_out(d, request);
    if (!request->own) {
        d->config.calls.answered(d->config.context, request, answer, message);
        return;
    }
    struct bao_own_request *own =
        BAO_OF(request, struct bao_own_request, request);
    if (request->operation.verb == BAO_VERB_TOUCH) {
        bao_leases_touched(d, own, answer);
    }
    free(own);
}

/* A rid that we give up may still wait there, and take an item one day: the
 * next resume cancels it. */
static void add_orphan(struct bao_dialogue *d,
                       const struct bao_request *request)
{
    if (request->rid == 0 || !bao_may_wait(request) ||
        d->orphans.count >= BAO_ORPHANS_MAX) {
        return;
    }
    struct bao_pair orphan = {.first = request->rid};
    if (!bao_pairs_add(&d->orphans, orphan)) {
        bao_break(d, "no memory for requests given up");
    }
}

/* Ends a request by our own verdict. */
void bao_fail(struct bao_dialogue *d,
              struct bao_request *request,
              enum baozi_status status,
              const char *text)
{
    add_orphan(d, request);
    struct bao_operation answer = {0};
    struct bao_message message = {0};
    BAO_SET(&answer, VERB, verb, request->operation.verb);
    BAO_SET(&answer, RID, rid, request->rid);
    BAO_SET(&answer, STATUS, status, (uint64_t)status);
    if (text != NULL && text[0] != '\0') {
        BAO_SET(&answer, ERROR, error, bao_span_text(text));
    }
    bao_answer(d, request, &answer, &message);
}

void bao_dialogue_cancel(struct bao_dialogue *d,
                         uint64_t now_us,
                         struct bao_request *request)
{
    if (request->queue == NULL || request->cancel == BAO_CANCEL_ASKED) {
        return;
    }
    if (request->rid == 0) {
        request->cancel = BAO_CANCEL_ASKED;
        bao_fail(d, request, BAOZI_CANCELLED, NULL);
        return;
    }
    if (request->cancel == BAO_CANCEL_NONE) {
        if (request->queue == &d->sent) {
            bao_errand(d, request, BAO_ERRAND_CANCEL);
        }
        bao_alarm_set(d, request, now_us + BAO_ANSWER_GRACE_US);
    }
    request->cancel = BAO_CANCEL_ASKED;
}

void bao_dialogue_forget(struct bao_dialogue *d, struct bao_request *request)
{
    if (request->queue != NULL) {
        add_orphan(d, request);
        bao_take_out(d, request);
    }
}

void bao_dialogue_credit(struct bao_dialogue *d,
                         struct bao_request *request,
                         uint32_t items,
                         uint64_t bytes)
{
    BAO_SET(&request->operation, LIMIT, limit, items);
    BAO_SET(&request->operation, BYTES, bytes, bytes);
    if (bytes == 0) {
        request->operation.present &= ~BAO_BIT(BYTES);
    }
    if (request->queue == &d->sent) {
        bao_errand(d, request, BAO_ERRAND_CREDIT);
    }
}

size_t bao_dialogue_outstanding(const struct bao_dialogue *d)
{
    return d->control.count + d->batch.count + d->again.count + d->sent.count;
}

static void fail_list(struct bao_dialogue *d,
                      struct bao_list *list,
                      enum baozi_status status,
                      const char *text)
{
    /* What a callback submits meanwhile comes behind the last one. */
    for (size_t left = list->count; left > 0; left--) {
        struct bao_link *link = bao_list_first(list);
        if (link == NULL) {
            return;
        }
        bao_fail(d, BAO_OF(link, struct bao_request, link), status, text);
    }
}

void bao_dialogue_fail_all(struct bao_dialogue *d,
                           enum baozi_status status,
                           const char *text)
{
    fail_list(d, &d->sent, status, text);
    fail_list(d, &d->again, status, text);
    fail_list(d, &d->control, status, text);
    fail_list(d, &d->batch, status, text);
}

/* --- what others may ask ------------------------------------------------ */

const char *bao_dialogue_broken(const struct bao_dialogue *d)
{
    return d->broken;
}

bool bao_dialogue_is_open(const struct bao_dialogue *d)
{
    return d->state == BAO_DIALOGUE_OPEN;
}

uint64_t bao_dialogue_down_since(const struct bao_dialogue *d)
{
    return d->down_since_us;
}

enum baozi_status bao_dialogue_refusal(const struct bao_dialogue *d,
                                       const char **text)
{
    *text = d->refusal_text;
    return d->state == BAO_DIALOGUE_REFUSED ? d->refusal : BAOZI_OK;
}

uint64_t bao_dialogue_session(const struct bao_dialogue *d)
{
    return d->session;
}

uint32_t bao_dialogue_item_bytes_max(const struct bao_dialogue *d)
{
    return d->item_bytes_max;
}

size_t bao_dialogue_receipts(const struct bao_dialogue *d)
{
    return d->receipts.count;
}
