/*
 * dialogue_run.c - requests, and the bodies of a message.
 *
 * Consecutive puts (or settles) that differ only in their bodies, priorities
 * and ids become one vector operation with consecutive rids: a run.
 */
#include <stdlib.h>

#include "common/dialogue_inside.h"

/* --- bodies of the message ---------------------------------------------- */

static bool
add_piece(struct bao_dialogue *d, struct bao_span bytes, uint32_t part)
{
    if (bytes.bytes == 0) {
        return true;
    }
    if (d->piece_count == d->piece_capacity) {
        size_t capacity = d->piece_capacity == 0 ? 64 : d->piece_capacity * 2;
        struct bao_piece *pieces =
            realloc(d->pieces, capacity * sizeof *d->pieces);
        if (pieces == NULL) {
            return false;
        }
        d->pieces = pieces;
        d->piece_capacity = capacity;
    }
    d->pieces[d->piece_count++] =
        (struct bao_piece){.bytes = bytes, .part = part};
    return true;
}

uint32_t bao_letter_bytes(const struct bao_letter *letter)
{
    return (uint32_t)(letter->header.bytes + letter->payload.bytes);
}

/* Adds the body of one letter behind the others; its LENGTHS entry. */
bool bao_letter_add(struct bao_dialogue *d,
                    const struct bao_letter *letter,
                    uint32_t *length)
{
    uint32_t bytes = bao_letter_bytes(letter);
    uint32_t part = 0;
    *length = bytes;
    if (bytes >= BAO_BIG_BYTES) {
        part = ++d->big_count;
        d->big_bytes += bytes;
        *length |= BAO_BIG_BIT;
    } else {
        d->small_bytes += bytes;
    }
    return add_piece(d, letter->header, part) &&
           add_piece(d, letter->payload, part);
}

/* Adds an operation to the message; false if it has no room. */
bool bao_operation_add(struct bao_dialogue *d,
                       const struct bao_operation *operation)
{
    enum baozi_status status = bao_writer_add(&d->writer, operation);
    if (status != BAOZI_OK && d->writer.operations == 0) {
        bao_break(d, "an operation that fits in no message");
    }
    return status == BAOZI_OK;
}

/* --- runs of requests --------------------------------------------------- */

static bool is_atomic(const struct bao_request *request)
{
    return bao_has(&request->operation, BAO_BIT(FLAGS)) &&
           (request->operation.flags & BAO_FLAG_ATOMIC) != 0;
}

/* What else a put or a settle may bring, but for its body and priority. */
#define OPTIONS                                                     \
    (BAO_BIT(DELAY_MS) | BAO_BIT(NOT_BEFORE_MS) | BAO_BIT(TTL_MS) | \
     BAO_BIT(FLAGS) | BAO_BIT(GROUP) | BAO_BIT(ERROR))

static bool same_options(const struct bao_operation *a,
                         const struct bao_operation *b)
{
    return a->delay_ms == b->delay_ms && a->not_before_ms == b->not_before_ms &&
           a->ttl_ms == b->ttl_ms && a->flags == b->flags &&
           bao_span_equal(a->group, b->group) &&
           bao_span_equal(a->error, b->error);
}

/* True if others may stand in the operation that `first` begins. */
static bool may_lead(const struct bao_request *first)
{
    const struct bao_operation *op = &first->operation;
    return bao_is_batch(first) && !is_atomic(first) &&
           !bao_has(op, BAO_BIT(DEDUP_KEY)) &&
           !bao_has(op, BAO_BIT(FAIRNESS_KEY)) && first->letter_count <= 1;
}

/* True if `next` may stand in the operation that `first` leads. */
static bool may_merge(const struct bao_request *first,
                      const struct bao_request *last,
                      const struct bao_request *next)
{
    const struct bao_operation *a = &first->operation;
    const struct bao_operation *b = &next->operation;
    uint64_t free_keys = BAO_BIT(PRIORITY);
    return a->verb == b->verb && first->until_us == next->until_us &&
           (a->present & ~free_keys) == (b->present & ~free_keys) &&
           first->letter_count == next->letter_count &&
           first->own == next->own &&
           (next->rid == 0 ? last->rid == 0 : next->rid == last->rid + 1) &&
           bao_span_equal(a->queue, b->queue) &&
           ((a->present & OPTIONS) == 0 || same_options(a, b));
}

/* What a run of requests would add to the message. */
struct bao_run {
    uint32_t count;
    uint32_t small_bytes;
    uint32_t big_count;
    uint32_t big_bytes;
    uint64_t bytes;
    bool without_bodies;
};

/* Adds a request's bodies to the run; false if they have no room in the
 * message (the first request of an empty message always has). */
static bool run_takes(const struct bao_dialogue *d,
                      struct bao_run *run,
                      const struct bao_request *request)
{
    uint64_t bytes = run->bytes;
    uint32_t small_bytes = run->small_bytes;
    uint32_t big_count = run->big_count;
    uint32_t big_bytes = run->big_bytes;
    for (uint32_t i = 0; i < request->letter_count; i++) {
        uint32_t one_bytes = bao_letter_bytes(&request->letters[i]);
        bytes += one_bytes;
        if (one_bytes >= BAO_BIG_BYTES) {
            big_count++;
            big_bytes += one_bytes;
        } else {
            small_bytes += one_bytes;
        }
    }
    bool empty = d->small_bytes == 0 && d->big_count == 0 && run->count == 0;
    if (!empty && (d->small_bytes + small_bytes > BAO_BATCH_BYTES ||
                   d->big_count + big_count > BAO_PARTS_MAX - 2 ||
                   d->big_bytes + big_bytes > BAO_BATCH_BIG_BYTES)) {
        return false;
    }
    run->bytes = bytes;
    run->small_bytes = small_bytes;
    run->big_count = big_count;
    run->big_bytes = big_bytes;
    run->count++;
    return true;
}

/* The longest run that begins at the head of `list` and has room. */
static struct bao_run measure_run(const struct bao_dialogue *d,
                                  const struct bao_list *list)
{
    struct bao_run run = {0};
    struct bao_link *link = bao_list_first(list);
    const struct bao_request *first = BAO_OF(link, struct bao_request, link);
    const struct bao_request *last = first;
    bool is_put = first->operation.verb == BAO_VERB_PUT;
    uint64_t credit =
        d->credit_bytes > d->credit_used ? d->credit_bytes - d->credit_used : 0;
    uint32_t most = BAO_OPERATION_ITEMS_MAX;
    if (list == &d->batch) {
        most = d->batch_end - d->batch_sent;
    }
    if (!may_lead(first)) {
        most = 1;
    }
    while (link != NULL && run.count < most) {
        const struct bao_request *request =
            BAO_OF(link, struct bao_request, link);
        if (run.count > 0 && !may_merge(first, last, request)) {
            break;
        }
        struct bao_run before = run;
        if (!run_takes(d, &run, request)) {
            break;
        }
        if (is_put && run.bytes > credit) {
            if (before.count > 0) {
                return before;
            }
            BAO_MARK("a put beyond the credit goes without its body");
            run.without_bodies = true;
            return run;
        }
        last = request;
        link = bao_list_next(list, link);
    }
    return run;
}

static uint64_t wait_ms_left(const struct bao_request *request, uint64_t now_us)
{
    return request->until_us <= now_us
               ? 0
               : (request->until_us - now_us + 999) / 1000;
}

/* What belongs in every operation of the run, whatever its verb. */
static void start_operation(struct bao_dialogue *d,
                            struct bao_operation *op,
                            struct bao_request *first,
                            uint64_t now_us)
{
    *op = first->operation;
    BAO_SET(op, RID, rid, first->rid != 0 ? first->rid : d->last_rid + 1);
    bool waits = op->verb == BAO_VERB_PUT || op->verb == BAO_VERB_GET ||
                 op->verb == BAO_VERB_WAIT || op->verb == BAO_VERB_JOIN;
    if (waits && first->until_us != BAO_NEVER_US) {
        BAO_SET(op, WAIT_MS, wait_ms, wait_ms_left(first, now_us));
    }
    if (op->verb == BAO_VERB_JOIN || op->verb == BAO_VERB_WAIT) {
        if (first->boot == 0) {
            first->boot = d->boot;
        } else if (first->boot != d->boot) {
            BAO_SET(op, BOOT, boot, first->boot);
        }
    }
    if (op->verb == BAO_VERB_SUBSCRIBE && first->sequence > 0) {
        BAO_SET(op, SEQUENCE, sequence, first->sequence);
    }
}

/* LENGTHS and HEADER_LENGTHS of all letters of the run. */
static void pack_lengths(struct bao_dialogue *d,
                         struct bao_operation *op,
                         const struct bao_run *run,
                         const struct bao_request *first)
{
    uint8_t *lengths = d->columns[BAO_SCRATCH_LENGTHS];
    uint8_t *headers = d->columns[BAO_SCRATCH_HEADERS];
    size_t n = 0;
    bool any_header = false;
    const struct bao_request *request = first;
    for (uint32_t i = 0; i < run->count; i++) {
        for (uint32_t k = 0; k < request->letter_count; k++, n++) {
            const struct bao_letter *letter = &request->letters[k];
            uint32_t bytes = bao_letter_bytes(letter);
            bool big = bytes >= BAO_BIG_BYTES && !run->without_bodies;
            bao_store32(lengths + 4 * n, bytes | (big ? BAO_BIG_BIT : 0));
            bao_store32(headers + 4 * n, (uint32_t)letter->header.bytes);
            any_header |= letter->header.bytes > 0;
        }
        request = BAO_OF(request->link.next, struct bao_request, link);
    }
    if (n > 0) {
        BAO_SET(op, LENGTHS, lengths, bao_span_of(lengths, 4 * n));
    }
    if (any_header) {
        BAO_SET(
            op, HEADER_LENGTHS, header_lengths, bao_span_of(headers, 4 * n));
    }
    if (run->without_bodies) {
        BAO_SET(op, FLAGS, flags, op->flags | BAO_FLAG_NO_BODY);
    }
}

/* IDS and TOKENS of settles, PRIORITIES of puts, where there are several. */
static void pack_vector(struct bao_dialogue *d,
                        struct bao_operation *op,
                        uint32_t count,
                        const struct bao_request *first)
{
    uint8_t *ids = d->columns[BAO_SCRATCH_IDS];
    uint8_t *tokens = d->columns[BAO_SCRATCH_TOKENS];
    uint8_t *priorities = d->columns[BAO_SCRATCH_PRIORITIES];
    bool is_put = op->verb == BAO_VERB_PUT;
    bool differ = false;
    const struct bao_request *request = first;
    for (uint32_t i = 0; i < count; i++) {
        const struct bao_operation *one = &request->operation;
        if (is_put) {
            differ |= one->priority != first->operation.priority;
            bao_store32(priorities + 4 * i, (uint32_t)(int32_t)one->priority);
        } else {
            bao_store64(ids + 8 * i, bao_column64(one->ids, 0));
            bao_store64(tokens + 8 * i, bao_column64(one->tokens, 0));
        }
        request = BAO_OF(request->link.next, struct bao_request, link);
    }
    if (!is_put) {
        op->ids = bao_span_of(ids, 8 * (size_t)count);
        op->tokens = bao_span_of(tokens, 8 * (size_t)count);
    } else if (differ) {
        op->present &= ~BAO_BIT(PRIORITY);
        BAO_SET(op,
                PRIORITIES,
                priorities,
                bao_span_of(priorities, 4 * (size_t)count));
    }
}

/* Marks one request of the run as sent and adds its bodies. */
static bool send_one(struct bao_dialogue *d,
                     struct bao_request *request,
                     bool without_bodies,
                     uint64_t now_us)
{
    if (request->rid == 0) {
        request->rid = ++d->last_rid;
        if (!bao_map_put(&d->requests, request->rid, request)) {
            d->last_rid--;
            request->rid = 0;
            return false;
        }
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < request->letter_count && !without_bodies; i++) {
        uint32_t length;
        if (!bao_letter_add(d, &request->letters[i], &length)) {
            return false;
        }
        bytes += bao_letter_bytes(&request->letters[i]);
    }
    if (request->operation.verb == BAO_VERB_PUT) {
        request->credit_bytes = bytes;
        d->credit_used += bytes;
    }
    request->attempts++;
    request->sent_us = now_us;
    request->message = d->messages;
    d->batch_sent += bao_is_batch(request) ? 1 : 0;
    bao_list_remove(request->queue, &request->link);
    request->queue = &d->sent;
    bao_list_push(&d->sent, &request->link);
    bao_timer_sent(d, request, now_us);
    return true;
}

/* Moves the first run of `list` into the message. False if it has no room. */
bool bao_run_add(struct bao_dialogue *d, struct bao_list *list, uint64_t now_us)
{
    struct bao_run run = measure_run(d, list);
    if (run.count == 0) {
        return false;
    }
    struct bao_request *first =
        BAO_OF(bao_list_first(list), struct bao_request, link);
    struct bao_operation op;
    start_operation(d, &op, first, now_us);
    pack_lengths(d, &op, &run, first);
    if (run.count > 1) {
        pack_vector(d, &op, run.count, first);
    }
    if (!bao_operation_add(d, &op)) {
        return false;
    }
    for (uint32_t i = 0; i < run.count; i++) {
        struct bao_request *request =
            BAO_OF(bao_list_first(list), struct bao_request, link);
        if (!send_one(d, request, run.without_bodies, now_us)) {
            bao_break(d, "no memory for a message");
            return false;
        }
    }
    return true;
}

bool bao_runs_add(struct bao_dialogue *d,
                  struct bao_list *list,
                  uint64_t now_us)
{
    while (list->count > 0) {
        if (d->sent.count >= d->waiting_max) {
            return true; /* the broker takes no more; answers make room */
        }
        if (!bao_run_add(d, list, now_us)) {
            return false;
        }
    }
    return true;
}
