/*
 * dialogue_feed.c - what the broker says.
 *
 * Nothing of it is believed: columns are compared with each other, and bodies
 * with the parts that came, before anybody reads them.
 */
#include "common/dialogue_inside.h"
#include "common/planted.h"

/* --- bodies ------------------------------------------------------------- */

/* The bytes of one body; false if the message does not have them. */
static bool body_of(const struct bao_message *message,
                    struct bao_body_cursor *cursor,
                    uint32_t length,
                    uint32_t header_bytes,
                    struct bao_letter *letter)
{
    struct bao_body_place place = bao_body_next(cursor, length);
    *letter = (struct bao_letter){0};
    if (header_bytes > place.bytes) {
        return false;
    }
    if (place.bytes == 0) {
        return true;
    }
    if (place.part >= message->part_count) {
        return false;
    }
    struct bao_span part = message->parts[place.part];
    if (place.offset > part.bytes || place.bytes > part.bytes - place.offset) {
        return false;
    }
    const uint8_t *data = part.data + place.offset;
    letter->header = bao_span_of(data, header_bytes);
    letter->payload =
        bao_span_of(data + header_bytes, place.bytes - header_bytes);
    return true;
}

bool bao_message_letter(const struct bao_message *message,
                        const struct bao_operation *operation,
                        struct bao_letter *letter)
{
    *letter = (struct bao_letter){0};
    if (!bao_has(operation, BAO_BIT(LENGTHS)) ||
        bao_column32_count(operation->lengths) == 0) {
        return true;
    }
    uint32_t header_bytes = 0;
    if (bao_has(operation, BAO_BIT(HEADER_LENGTHS)) &&
        bao_column32_count(operation->header_lengths) > 0) {
        header_bytes = bao_column32(operation->header_lengths, 0);
    }
    struct bao_body_cursor cursor = operation->bodies;
    return body_of(message,
                   &cursor,
                   bao_column32(operation->lengths, 0),
                   header_bytes,
                   letter);
}

static uint32_t number_at(struct bao_span column, size_t i, uint32_t fallback)
{
    return column.bytes == 0 ? fallback : bao_column32(column, i);
}

static struct bao_span column_if(const struct bao_operation *operation,
                                 uint64_t bit,
                                 struct bao_span column)
{
    return bao_has(operation, bit) ? column : (struct bao_span){0};
}

static bool fits(struct bao_span column, size_t count)
{
    return column.bytes == 0 || bao_column32_count(column) == count;
}

/* True if all bodies are in the bodies frame, and that has them: the usual
 * case, and quicker found out. */
static bool claims_small_bodies(const struct bao_items *items,
                                struct bao_body_cursor cursor)
{
    const struct bao_message *message = items->message;
    struct bao_body_cursor end = cursor;
    size_t bytes = message->part_count > 0 ? message->parts[0].bytes : 0;
    return bao_body_claim(&end, items->operation) && end.big == cursor.big &&
           end.offset <= bytes;
}

/* True if all bodies lie in the message, and all headers in them. */
static bool bodies_are_there(const struct bao_items *items, size_t count)
{
    const struct bao_operation *op = items->operation;
    struct bao_span headers =
        column_if(op, BAO_BIT(HEADER_LENGTHS), op->header_lengths);
    struct bao_body_cursor cursor = items->cursor;
    struct bao_letter letter;
    if (headers.bytes == 0 && claims_small_bodies(items, cursor)) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (!body_of(items->message,
                     &cursor,
                     bao_column32(op->lengths, i),
                     number_at(headers, i, 0),
                     &letter)) {
            return false;
        }
    }
    return true;
}

bool bao_items_open(struct bao_items *items,
                    const struct bao_operation *operation,
                    const struct bao_message *message)
{
    *items = (struct bao_items){.operation = operation,
                                .message = message,
                                .cursor = operation->bodies};
    const struct bao_operation *op = operation;
    if (!bao_has(op, BAO_BIT(IDS) | BAO_BIT(LENGTHS))) {
        return false;
    }
    size_t count = bao_column64_count(op->ids);
    if (bao_column32_count(op->lengths) != count ||
        !fits(column_if(op, BAO_BIT(HEADER_LENGTHS), op->header_lengths),
              count) ||
        !fits(column_if(op, BAO_BIT(DELIVERIES), op->deliveries), count) ||
        !fits(column_if(op, BAO_BIT(PRIORITIES), op->priorities), count)) {
        return false;
    }
    return bodies_are_there(items, count);
}

bool bao_items_next(struct bao_items *items, struct bao_item_in *item)
{
    const struct bao_operation *op = items->operation;
    uint32_t i = items->index;
    if (i >= bao_column64_count(op->ids)) {
        return false;
    }
    struct bao_span headers =
        column_if(op, BAO_BIT(HEADER_LENGTHS), op->header_lengths);
    struct bao_span deliveries =
        column_if(op, BAO_BIT(DELIVERIES), op->deliveries);
    struct bao_span priorities =
        column_if(op, BAO_BIT(PRIORITIES), op->priorities);
    *item = (struct bao_item_in){
        .id = bao_column64(op->ids, i),
        .token =
            bao_has(op, BAO_BIT(TOKEN)) && op->token != 0 ? op->token + i : 0,
        .deliveries = number_at(deliveries, i, 1),
        .priority = (int32_t)number_at(priorities, i, 0)};
    if (bao_has(op, BAO_BIT(GROUPS))) {
        (void)bao_texts_next(op->groups, &items->groups, &item->group);
    }
    items->index++;
    return body_of(items->message,
                   &items->cursor,
                   bao_column32(op->lengths, i),
                   number_at(headers, i, 0),
                   &item->letter);
}

/* --- items that nobody waits for ---------------------------------------- */

static bool is_receipted(const struct bao_dialogue *d, uint64_t token)
{
    for (size_t i = 0; i < d->receipts.count; i++) {
        if (d->receipts.data[i].last == token) {
            return true;
        }
    }
    return false;
}

/* Gives back what came for a request that was given up. An answer that was
 * sent twice brings items that are held or were handed over: those stay. */
static void give_back_all(struct bao_dialogue *d,
                          uint64_t now_us,
                          const struct bao_operation *op)
{
    if (!bao_has(op, BAO_BIT(IDS) | BAO_BIT(TOKEN)) || op->token == 0) {
        return;
    }
    BAO_MARK("items that nobody waits for are given back");
    for (size_t i = 0; i < bao_column64_count(op->ids); i++) {
        if (!is_receipted(d, op->token + i)) {
            bao_dialogue_give_back(
                d, now_us, bao_column64(op->ids, i), op->token + i);
        }
    }
}

/* --- answers ------------------------------------------------------------ */

static void drop_orphan(struct bao_dialogue *d, uint64_t rid)
{
    struct bao_pairs *orphans = &d->orphans;
    for (size_t i = 0; i < orphans->count; i++) {
        if (orphans->data[i].first == rid) {
            memmove(&orphans->data[i],
                    &orphans->data[i + 1],
                    (orphans->count - i - 1) * sizeof orphans->data[0]);
            orphans->count--;
            orphans->sent -= orphans->sent > i ? 1 : 0;
            return;
        }
    }
}

/* An answer proves that the broker had everything up to the message that the
 * request went in: receipts of those need not be said again. */
static void prove(struct bao_dialogue *d, uint64_t message)
{
    if (message < d->first_message) {
        return;
    }
    size_t gone = 0;
    while (gone < d->receipts.sent &&
           d->receipts.data[gone].message <= message) {
        gone++;
    }
    if (gone > 0) {
        memmove(d->receipts.data,
                d->receipts.data + gone,
                (d->receipts.count - gone) * sizeof d->receipts.data[0]);
        d->receipts.count -= gone;
        d->receipts.sent -= gone;
    }
}

/* An automatic get that its caller gave up, with the CANCEL under way: that
 * comes before any receipt and takes back what was answered. Those items are
 * somebody else's soon. */
static bool is_taken_back(const struct bao_request *request,
                          const struct bao_operation *answer)
{
    return !BAO_PLANTED(AUTO_HANDED) && bao_is_automatic(request) &&
           answer->status == BAOZI_OK && request->cancel == BAO_CANCEL_ASKED &&
           (request->errands & BAO_ERRAND_CANCEL) == 0;
}

/* To its caller it was cancelled. The CANCEL may be lost with the connection,
 * so the items are given back all the same. */
static void take_back(struct bao_dialogue *d,
                      uint64_t now_us,
                      struct bao_request *request,
                      const struct bao_operation *answer)
{
    BAO_MARK("a CANCEL crosses the answer of an automatic get");
    struct bao_operation cancelled = {0};
    struct bao_message nothing = {0};
    BAO_SET(&cancelled, VERB, verb, answer->verb);
    BAO_SET(&cancelled, RID, rid, answer->rid);
    BAO_SET(&cancelled, STATUS, status, BAOZI_CANCELLED);
    give_back_all(d, now_us, answer);
    bao_answer(d, request, &cancelled, &nothing);
}

static void answer_one(struct bao_dialogue *d,
                       uint64_t now_us,
                       const struct bao_operation *answer,
                       const struct bao_message *message)
{
    struct bao_request *request = bao_map_find(&d->requests, answer->rid);
    if (request == NULL) {
        drop_orphan(d, answer->rid);
        give_back_all(d, now_us, answer);
        return;
    }
    if (request->operation.verb != answer->verb) {
        bao_break(d, "an answer of another verb than its request");
        return;
    }
    prove(d, request->message);
    if (is_taken_back(request, answer)) {
        take_back(d, now_us, request, answer);
        return;
    }
    bao_answer(d, request, answer, message);
}

static bool is_vector(const struct bao_dialogue *d,
                      const struct bao_operation *answer)
{
    switch (answer->verb) {
    case BAO_VERB_DONE:
    case BAO_VERB_RETRY:
    case BAO_VERB_RELEASE:
    case BAO_VERB_REJECT: return true;
    case BAO_VERB_PUT: {
        const struct bao_request *request =
            bao_map_find(&d->requests, answer->rid);
        return request == NULL ||
               !bao_has(&request->operation, BAO_BIT(FLAGS)) ||
               (request->operation.flags & BAO_FLAG_ATOMIC) == 0;
    }
    default: return false;
    }
}

static void take_answer(struct bao_dialogue *d,
                        uint64_t now_us,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    uint64_t count = bao_has(answer, BAO_BIT(COUNT)) && is_vector(d, answer)
                         ? answer->count
                         : 1;
    if (count > BAO_OPERATION_ITEMS_MAX) {
        bao_break(d, "an answer to more requests than one operation has");
        return;
    }
    if (count == 0) {
        return;
    }
    if (answer->rid == 0 || answer->rid > d->last_rid ||
        count - 1 > d->last_rid - answer->rid) {
        bao_break(d, "an answer to what was never asked");
        return;
    }
    bao_ack_add(d, now_us, answer->rid, answer->rid + count - 1);
    struct bao_operation one = *answer;
    for (uint64_t i = 0; i < count && d->broken == NULL; i++) {
        answer_one(d, now_us, &one, message);
        one.rid++;
        one.id++;
    }
}

static void take_row(struct bao_dialogue *d,
                     const struct bao_operation *row,
                     const struct bao_message *message)
{
    struct bao_request *request = bao_map_find(&d->requests, row->rid);
    if (request != NULL && request->operation.verb == row->verb &&
        !request->own) {
        d->config.calls.row(d->config.context, request, row, message);
    }
}

/* --- notices ------------------------------------------------------------ */

static void take_delivery(struct bao_dialogue *d,
                          uint64_t now_us,
                          const struct bao_operation *op,
                          const struct bao_message *message)
{
    struct bao_request *request = bao_map_find(&d->requests, op->target);
    if (request == NULL || request->operation.verb != BAO_VERB_SUBSCRIBE) {
        give_back_all(d, now_us, op);
        return;
    }
    if (op->sequence <= request->sequence) {
        return; /* sent again after a resume, and here already */
    }
    request->sequence = op->sequence;
    d->config.calls.delivered(d->config.context, request, op, message);
}

static void take_send_body(struct bao_dialogue *d,
                           const struct bao_operation *op)
{
    uint64_t count = op->count > BAO_OPERATION_ITEMS_MAX
                         ? BAO_OPERATION_ITEMS_MAX
                         : op->count;
    for (uint64_t i = 0; i < count; i++) {
        struct bao_request *request =
            bao_map_find(&d->requests, op->target + i);
        if (request == NULL || request->operation.verb != BAO_VERB_PUT) {
            continue;
        }
        bao_errand(d, request, BAO_ERRAND_BODY);
        if (i == 0 && request->letter_count > 1) {
            return; /* put_many: its one rid stands for all bodies */
        }
    }
}

/* A join "up to now" learns its mark: sent again, it carries it. */
static void take_mark(struct bao_dialogue *d, const struct bao_operation *op)
{
    struct bao_request *request = bao_map_find(&d->requests, op->target);
    if (request == NULL || request->operation.verb != BAO_VERB_JOIN) {
        return;
    }
    struct bao_operation *join = &request->operation;
    uint64_t keys = BAO_BIT(MARK) | BAO_BIT(DONE) | BAO_BIT(DEAD) |
                    BAO_BIT(EXPIRED) | BAO_BIT(CANCELLED) | BAO_BIT(DROPPED) |
                    BAO_BIT(PURGED);
    join->present |= op->present & keys;
    join->mark = op->mark;
    join->done = op->done;
    join->dead = op->dead;
    join->expired = op->expired;
    join->cancelled = op->cancelled;
    join->dropped = op->dropped;
    join->purged = op->purged;
}

static void take_heartbeat(struct bao_dialogue *d,
                           const struct bao_operation *op)
{
    if (bao_has(op, BAO_BIT(HEARTBEAT_MS))) {
        uint64_t beat_us = op->heartbeat_ms * 1000;
        d->heartbeat_us =
            beat_us < BAO_HEARTBEAT_US_MIN ? BAO_HEARTBEAT_US_MIN : beat_us;
    }
}

static void take_notice(struct bao_dialogue *d,
                        uint64_t now_us,
                        const struct bao_operation *op,
                        const struct bao_message *message)
{
    struct bao_lease *lease;
    switch ((enum bao_verb)op->verb) {
    case BAO_VERB_HEARTBEAT: take_heartbeat(d, op); return;
    case BAO_VERB_DELIVER: take_delivery(d, now_us, op, message); return;
    case BAO_VERB_SEND_BODY: take_send_body(d, op); return;
    case BAO_VERB_AT: take_mark(d, op); return;
    case BAO_VERB_GONE: bao_session_gone(d, now_us, op); return;
    case BAO_VERB_PLEASE_CANCEL:
        lease = bao_map_find(&d->leases, op->token);
        if (lease != NULL && lease->id == op->id) {
            lease->cancel_asked = true;
        }
        return;
    case BAO_VERB_HELLO:
    case BAO_VERB_BYE:
    case BAO_VERB_ACK:
    case BAO_VERB_CANCEL:
    case BAO_VERB_BODY:
    case BAO_VERB_HELD:
    case BAO_VERB_DECLARE:
    case BAO_VERB_CONFIGURE:
    case BAO_VERB_DELETE:
    case BAO_VERB_PURGE:
    case BAO_VERB_PAUSE:
    case BAO_VERB_RESUME:
    case BAO_VERB_SHUTDOWN:
    case BAO_VERB_REOPEN:
    case BAO_VERB_LIST:
    case BAO_VERB_STAT:
    case BAO_VERB_PUT:
    case BAO_VERB_GET:
    case BAO_VERB_SUBSCRIBE:
    case BAO_VERB_CREDIT:
    case BAO_VERB_DONE:
    case BAO_VERB_RETRY:
    case BAO_VERB_RELEASE:
    case BAO_VERB_REJECT:
    case BAO_VERB_TOUCH:
    case BAO_VERB_DONE_NEXT:
    case BAO_VERB_STARTED:
    case BAO_VERB_RECEIPT:
    case BAO_VERB_CANCEL_ITEM:
    case BAO_VERB_WAIT:
    case BAO_VERB_PEEK:
    case BAO_VERB_BROWSE:
    case BAO_VERB_REDRIVE:
    case BAO_VERB_JOIN:
    case BAO_VERB_SESSIONS:
    case BAO_VERB_BROKER: bao_break(d, "the broker sent a request"); return;
    }
}

/* --- a message ---------------------------------------------------------- */

/* The parts must be exactly what the operations claim. */
static bool parts_match(const struct bao_reader *reader,
                        const struct bao_message *message)
{
    size_t frame = message->part_count > 0 ? message->parts[0].bytes : 0;
    size_t big = message->part_count > 0 ? message->part_count - 1 : 0;
    return frame == reader->claimed.offset && big == reader->claimed.big;
}

static void take(struct bao_dialogue *d,
                 uint64_t now_us,
                 const struct bao_operation *op,
                 const struct bao_message *message)
{
    if (!bao_is_answer(op)) {
        take_notice(d, now_us, op, message);
    } else if (op->verb == BAO_VERB_HELLO) {
        bao_session_welcome(d, now_us, op);
    } else if (bao_has(op, BAO_BIT(FLAGS)) &&
               (op->flags & BAO_FLAG_MORE) != 0) {
        take_row(d, op, message);
    } else {
        take_answer(d, now_us, op, message);
    }
}

void bao_dialogue_feed(struct bao_dialogue *d,
                       uint64_t now_us,
                       const struct bao_message *message)
{
    if (d->state == BAO_DIALOGUE_DOWN || d->broken != NULL) {
        return;
    }
    d->heard_us = now_us;
    d->beats = 0;
    d->doubted = false;
    struct bao_reader reader;
    enum baozi_status status = bao_reader_open(&reader, message->header);
    if (status == BAOZI_OK && !parts_match(&reader, message)) {
        status = BAOZI_BAD_REQUEST;
    }
    if (status != BAOZI_OK) {
        bao_break(d, "the broker sent a message that is not of the protocol");
        return;
    }
    struct bao_operation op;
    while (status != BAOZI_EMPTY && d->broken == NULL) {
        uint64_t required;
        uint64_t optional;
        uint64_t answer;
        status = bao_reader_next(&reader, &op);
        if (status == BAOZI_OK) {
            take(d, now_us, &op, message);
        } else if (status != BAOZI_EMPTY &&
                   bao_verb_keys(op.verb, &required, &optional, &answer)) {
            bao_break(d, "the broker sent an operation that makes no sense");
        } /* else a verb that is newer than we are: passed over */
    }
}
