/*
 * dialogue_next.c - builds the next message to send.
 *
 * Order in a message: acknowledgements, receipts, HELD (after a resume),
 * STARTED, errands (CANCEL, CREDIT, BODY), a heartbeat, what must be sent
 * again, what goes out at once, and last the batch.
 *
 * Puts and settles go out together, with two messages of them in flight at
 * most. With none in flight they go at once. With one, they go when they are
 * half of what is usually under way, so that the two are of a size and
 * neither end runs dry; or when the caller waits, because nothing joins them
 * then. Else a caller that goes on putting would send one item, and then the
 * other hundred a round trip later. What waits goes at the latest when the
 * one in flight is answered, so nothing waits for a time.
 *
 * A message counts as in flight until the first of its requests is answered,
 * or for 2 ms: a put that waits for room must not hold back the settle that
 * would make room. All other requests go out at once, so a blocked get delays
 * nobody.
 */
#include "common/dialogue_inside.h"

/* --- one operation without rid ------------------------------------------ */

static struct bao_operation make_notice(uint64_t verb)
{
    struct bao_operation op = {0};
    BAO_SET(&op, VERB, verb, verb);
    return op;
}

/* Packs pairs[from..from+count) as two columns. */
static void
pack_pairs(struct bao_dialogue *d, const struct bao_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bao_store64(d->columns[BAO_SCRATCH_IDS] + 8 * i, pairs[i].first);
        bao_store64(d->columns[BAO_SCRATCH_TOKENS] + 8 * i, pairs[i].last);
    }
}

static void
set_columns(struct bao_dialogue *d, struct bao_operation *op, size_t count)
{
    BAO_SET(op, IDS, ids, bao_span_of(d->columns[BAO_SCRATCH_IDS], 8 * count));
    BAO_SET(op,
            TOKENS,
            tokens,
            bao_span_of(d->columns[BAO_SCRATCH_TOKENS], 8 * count));
}

static size_t at_most(size_t count, size_t most)
{
    return count < most ? count : most;
}

static bool add_acks(struct bao_dialogue *d)
{
    while (d->acks.count > 0) {
        size_t count = at_most(d->acks.count, BAO_OPERATION_ITEMS_MAX / 4);
        uint8_t *column = d->columns[BAO_SCRATCH_IDS];
        const struct bao_pair *from = d->acks.data + d->acks.count - count;
        for (size_t i = 0; i < count; i++) {
            bao_store64(column + 16 * i, from[i].first);
            bao_store64(column + 16 * i + 8, from[i].last);
        }
        struct bao_operation op = make_notice(BAO_VERB_ACK);
        BAO_SET(&op, RANGES, ranges, bao_span_of(column, 16 * count));
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        d->acks.count -= count;
    }
    d->acked_rids = 0;
    d->ack_due = false;
    return true;
}

static bool add_receipts(struct bao_dialogue *d)
{
    struct bao_pairs *receipts = &d->receipts;
    while (receipts->sent < receipts->count) {
        size_t count =
            at_most(receipts->count - receipts->sent, BAO_OPERATION_ITEMS_MAX);
        pack_pairs(d, receipts->data + receipts->sent, count);
        struct bao_operation op = make_notice(BAO_VERB_RECEIPT);
        set_columns(d, &op, count);
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            receipts->data[receipts->sent + i].message = d->messages;
        }
        receipts->sent += count;
    }
    return true;
}

/* HELD: what we hold; even "nothing" must be said. */
static bool add_held(struct bao_dialogue *d)
{
    while (d->held_due) {
        size_t left = d->held.count - d->held.sent;
        size_t count = at_most(left, BAO_OPERATION_ITEMS_MAX);
        struct bao_operation op = make_notice(BAO_VERB_HELD);
        if (count > 0) {
            pack_pairs(d, d->held.data + d->held.sent, count);
            set_columns(d, &op, count);
        }
        if (count < left) {
            BAO_SET(&op, FLAGS, flags, BAO_FLAG_MORE);
        }
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        d->held.sent += count;
        d->held_due = count < left;
    }
    return true;
}

/* STARTED: what was handed over a while ago and is still at work. */
static bool add_started(struct bao_dialogue *d)
{
    while (d->starting_due && d->starting.count > 0) {
        size_t count = 0;
        struct bao_link *link = bao_list_first(&d->starting);
        for (; link != NULL && count < BAO_OPERATION_ITEMS_MAX;
             link = bao_list_next(&d->starting, link)) {
            const struct bao_lease *lease =
                BAO_OF(link, struct bao_lease, starting);
            bao_store64(d->columns[BAO_SCRATCH_IDS] + 8 * count, lease->id);
            bao_store64(d->columns[BAO_SCRATCH_TOKENS] + 8 * count,
                        lease->token);
            count++;
        }
        struct bao_operation op = make_notice(BAO_VERB_STARTED);
        set_columns(d, &op, count);
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        for (; count > 0; count--) {
            (void)bao_list_pop(&d->starting);
        }
    }
    d->starting_due = false;
    return true;
}

/* After a resume: requests that we gave up must not take an item there. */
static bool add_orphans(struct bao_dialogue *d)
{
    while (d->orphans.sent < d->orphans.count) {
        struct bao_operation op = make_notice(BAO_VERB_CANCEL);
        BAO_SET(&op, TARGET, target, d->orphans.data[d->orphans.sent].first);
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        d->orphans.sent++;
    }
    return true;
}

/* --- errands ------------------------------------------------------------ */

/* The bodies of a put that the broker asked for. */
static bool add_body(struct bao_dialogue *d, struct bao_request *request)
{
    struct bao_writer before = d->writer;
    uint8_t *column = d->columns[BAO_SCRATCH_LENGTHS];
    bool room = d->small_bytes == 0 && d->big_count == 0;
    for (uint32_t i = 0; i < request->letter_count; i++) {
        uint32_t bytes = bao_letter_bytes(&request->letters[i]);
        bool is_big = bytes >= BAO_BIG_BYTES;
        room = room || (request->letter_count == 1 && !is_big &&
                        d->small_bytes + bytes <= BAO_BATCH_BYTES);
        bao_store32(column + 4 * i, bytes | (is_big ? BAO_BIG_BIT : 0));
    }
    if (!room) {
        return false; /* the next message */
    }
    struct bao_operation op = make_notice(BAO_VERB_BODY);
    BAO_SET(&op, TARGET, target, request->rid);
    BAO_SET(&op,
            LENGTHS,
            lengths,
            bao_span_of(column, 4 * (size_t)request->letter_count));
    if (!bao_operation_add(d, &op)) {
        d->writer = before;
        return false;
    }
    for (uint32_t i = 0; i < request->letter_count; i++) {
        uint32_t length;
        if (!bao_letter_add(d, &request->letters[i], &length)) {
            bao_break(d, "no memory for a message");
            return false;
        }
    }
    return true;
}

static bool add_errand(struct bao_dialogue *d, struct bao_request *request)
{
    if ((request->errands & BAO_ERRAND_CANCEL) != 0) {
        struct bao_operation op = make_notice(BAO_VERB_CANCEL);
        BAO_SET(&op, TARGET, target, request->rid);
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        request->errands &= (uint8_t)~BAO_ERRAND_CANCEL;
    }
    if ((request->errands & BAO_ERRAND_CREDIT) != 0) {
        struct bao_operation op = make_notice(BAO_VERB_CREDIT);
        BAO_SET(&op, TARGET, target, request->rid);
        BAO_SET(&op, LIMIT, limit, request->operation.limit);
        if (bao_has(&request->operation, BAO_BIT(BYTES))) {
            BAO_SET(&op, BYTES, bytes, request->operation.bytes);
        }
        if (!bao_operation_add(d, &op)) {
            return false;
        }
        request->errands &= (uint8_t)~BAO_ERRAND_CREDIT;
    }
    if ((request->errands & BAO_ERRAND_BODY) != 0) {
        if (!add_body(d, request)) {
            return false;
        }
        request->errands &= (uint8_t)~BAO_ERRAND_BODY;
    }
    return true;
}

static bool add_errands(struct bao_dialogue *d)
{
    struct bao_link *link;
    while ((link = bao_list_first(&d->errands)) != NULL) {
        struct bao_request *request = BAO_OF(link, struct bao_request, errand);
        /* One that was made new meanwhile has nothing to be told. */
        if (request->rid != 0 && !add_errand(d, request)) {
            return false;
        }
        bao_list_remove(&d->errands, link);
        request->errands = 0;
    }
    return true;
}

static bool add_beat(struct bao_dialogue *d)
{
    if (!d->beat_due) {
        return true;
    }
    struct bao_operation op = make_notice(BAO_VERB_HEARTBEAT);
    if (!bao_operation_add(d, &op)) {
        return false;
    }
    d->beat_due = false;
    return true;
}

/* --- the batch ---------------------------------------------------------- */

static size_t free_slot(const struct bao_dialogue *d)
{
    for (size_t i = 0; i < BAO_SLOTS; i++) {
        if (d->slots[i].message == 0) {
            return i;
        }
    }
    return BAO_SLOTS;
}

/* How many messages of the batch are in flight. */
static size_t in_flight(const struct bao_dialogue *d)
{
    size_t count = 0;
    for (size_t i = 0; i < BAO_SLOTS; i++) {
        count += d->slots[i].message != 0;
    }
    return count;
}

/* What is under way when the caller does what it usually does. */
static size_t half_of_usual(const struct bao_dialogue *d)
{
    size_t under_way = d->batch_sent + d->batch.count;
    size_t usual = under_way > d->usual ? under_way : d->usual;
    return (usual + 1) / 2;
}

static bool batch_may_go(const struct bao_dialogue *d)
{
    if (d->batch.count == 0) {
        return false;
    }
    size_t flying = in_flight(d);
    bool enough = d->pressed || d->batch.count >= half_of_usual(d);
    return (flying == 0 || (flying < BAO_SLOTS && enough)) &&
           d->batch_sent < BAO_BATCH_OUTSTANDING &&
           d->sent.count < d->waiting_max;
}

/* How many may be in flight after the next message: half of what is usually
 * under way goes with it. */
static uint32_t batch_end(const struct bao_dialogue *d)
{
    size_t half = half_of_usual(d);
    size_t end =
        d->batch_sent + (half > BAO_BATCH_WHOLE ? half : BAO_BATCH_WHOLE);
    return end < BAO_BATCH_OUTSTANDING ? (uint32_t)end : BAO_BATCH_OUTSTANDING;
}

/* The most of late: it grows at once, falls by and by while there are many,
 * and fast when there are few. */
static void learn_usual(struct bao_dialogue *d)
{
    uint32_t under_way = d->batch_sent + (uint32_t)d->batch.count;
    bool few = under_way <= d->usual / 4;
    d->usual -= few ? (d->usual + 1) / 2 : (d->usual + 7) / 8;
    d->usual = under_way > d->usual ? under_way : d->usual;
}

static void add_batch(struct bao_dialogue *d, uint64_t now_us)
{
    if (!batch_may_go(d)) {
        return;
    }
    size_t slot = free_slot(d);
    uint32_t before = d->batch_sent;
    d->batch_end = batch_end(d);
    learn_usual(d);
    while (d->batch.count > 0 && d->batch_sent < d->batch_end &&
           d->sent.count < d->waiting_max &&
           bao_run_add(d, &d->batch, now_us)) {
    }
    if (d->batch_sent > before) {
        d->slots[slot].message = d->messages;
        d->slots[slot].sent_us = now_us;
        d->pressed = d->pressed && d->batch.count > 0;
    }
}

void bao_dialogue_press(struct bao_dialogue *d)
{
    d->pressed = d->batch.count > 0;
}

/* --- the message -------------------------------------------------------- */

static void start_message(struct bao_dialogue *d)
{
    bao_writer_open(&d->writer, d->header, sizeof d->header);
    d->piece_count = 0;
    d->small_bytes = 0;
    d->big_count = 0;
    d->big_bytes = 0;
    d->messages++;
}

static void finish_message(struct bao_dialogue *d,
                           uint64_t now_us,
                           struct bao_outgoing *out)
{
    *out = (struct bao_outgoing){.header = bao_writer_close(&d->writer),
                                 .pieces = d->pieces,
                                 .piece_count = d->piece_count};
    if (d->small_bytes > 0 || d->big_count > 0) {
        out->part_count = 1 + d->big_count;
    }
    d->said_us = now_us;
}

static void say_hello(struct bao_dialogue *d, uint64_t now_us)
{
    struct bao_operation op = make_notice(BAO_VERB_HELLO);
    BAO_SET(&op, RID, rid, 0);
    BAO_SET(&op, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
    BAO_SET(&op, PROTOCOL_MIN, protocol_min, BAO_PROTOCOL_VERSION);
    BAO_SET(&op, CLIENT, client, bao_span_of(d->client, sizeof d->client));
    BAO_SET(&op, HOST, host, d->config.host);
    BAO_SET(&op, PID, pid, d->config.pid);
    BAO_SET(&op, PROGRAM, program, d->config.program);
    if (d->has_session) {
        BAO_SET(&op, FLAGS, flags, BAO_FLAG_RESUME);
        BAO_SET(&op, SECRET, secret, bao_span_of(d->secret, sizeof d->secret));
    }
    (void)bao_operation_add(d, &op);
    d->state = BAO_DIALOGUE_HELLO_SENT;
    d->hello_us = now_us + d->config.connect_timeout_us;
}

bool bao_dialogue_has_next(const struct bao_dialogue *d)
{
    if (d->broken != NULL || d->state == BAO_DIALOGUE_DOWN) {
        return false;
    }
    if (d->state != BAO_DIALOGUE_OPEN) {
        return d->state == BAO_DIALOGUE_HELLO_DUE;
    }
    bool requests = (d->again.count > 0 || d->control.count > 0) &&
                    d->sent.count < d->waiting_max;
    return requests || d->ack_due || d->held_due || d->beat_due ||
           (d->starting_due && d->starting.count > 0) || d->errands.count > 0 ||
           d->receipts.sent < d->receipts.count ||
           d->orphans.sent < d->orphans.count || batch_may_go(d);
}

bool bao_dialogue_next(struct bao_dialogue *d,
                       uint64_t now_us,
                       struct bao_outgoing *out)
{
    if (!bao_dialogue_has_next(d)) {
        return false;
    }
    start_message(d);
    if (d->state == BAO_DIALOGUE_HELLO_DUE) {
        say_hello(d, now_us);
    } else if (add_acks(d) && add_receipts(d) && add_held(d) &&
               add_started(d) && add_orphans(d) && add_errands(d) &&
               add_beat(d) && bao_runs_add(d, &d->again, now_us) &&
               d->again.count == 0 && bao_runs_add(d, &d->control, now_us)) {
        add_batch(d, now_us);
    }
    if (d->broken != NULL || d->writer.operations == 0) {
        return false;
    }
    finish_message(d, now_us, out);
    return true;
}

bool bao_dialogue_receipt(struct bao_dialogue *d, uint64_t id, uint64_t token)
{
    struct bao_pair receipt = {.first = id, .last = token};
    return bao_pairs_add(&d->receipts, receipt);
}
