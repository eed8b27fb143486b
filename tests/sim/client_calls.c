/*
 * client_calls.c - requests, their outcomes, and the items that come.
 */
#include "tests/sim/client_calls.h"

#include <stdlib.h>

#include "tests/sim/count.h"
#include "tests/sim/program.h"
#include "tests/sim/tell.h"

/* --- calls ---------------------------------------------------------------- */

struct sim_call *call_new(struct sim_client *client, uint64_t verb)
{
    struct sim_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        abort();
    }
    call->client = client;
    call->request.until_us = BAO_NEVER_US;
    call->subscription = verb == BAO_VERB_SUBSCRIBE;
    BAO_SET(&call->request.operation, VERB, verb, verb);
    return call;
}

void call_free(struct sim_call *call)
{
    for (unsigned i = 0; i < CALL_LETTERS; i++) {
        free(call->bodies[i]);
    }
    free(call->hold);
    free(call);
}

void call_submit(struct sim_call *call, struct history_op *op)
{
    struct sim_client *client = call->client;
    struct sim *sim = client->sim;
    op->client = client->index;
    op->process = client->process;
    op->session = client->session;
    op->verb = call->request.operation.verb;
    op->asked_us = sim->now_us;
    op->flags = call->request.operation.flags;
    if (op->wait_ms != SIM_NEVER) {
        call->request.until_us = sim->now_us + op->wait_ms * SIM_MS;
    }
    call->op = history_ask(sim->history, op);
    bao_list_push(&client->calls, &call->link);
    tell_asked(sim, call->op);
    bao_dialogue_submit(client->dialogue, sim->now_us, &call->request);
}

void call_cancel(struct sim_call *call)
{
    struct sim_client *client = call->client;
    struct history_op *op = history_op(client->sim->history, call->op);
    if (op->given_up) {
        return;
    }
    SIM_COUNT(client->sim, GIVEN_UP);
    op->given_up = true;
    sim_say(client->sim,
            SIM_PARTY(client->index),
            '>',
            "#%llu is given up",
            (unsigned long long)call->op);
    bao_dialogue_cancel(client->dialogue, client->sim->now_us, &call->request);
}

void call_forget(struct sim_call *call)
{
    struct sim_client *client = call->client;
    SIM_COUNT(client->sim, FORGOTTEN);
    history_op(client->sim->history, call->op)->forgotten = true;
    sim_say(client->sim,
            SIM_PARTY(client->index),
            '=',
            "#%llu: its caller goes away",
            (unsigned long long)call->op);
    bao_dialogue_forget(client->dialogue, &call->request);
    bao_list_remove(&client->calls, &call->link);
    call_free(call);
}

/* --- items ---------------------------------------------------------------- */

void hold_free(struct sim_client *client, struct sim_hold *hold)
{
    if (bao_link_is_listed(&hold->link)) {
        bao_list_remove(&client->holds, &hold->link);
    }
    bao_dialogue_drop(client->dialogue, &hold->lease);
    free(hold);
}

static void
check_header(struct sim *sim, const struct bao_item_in *item, uint64_t payload)
{
    uint8_t header[SIM_HEADER_BYTES];
    struct bao_span want = {0};
    if (program_has_header(payload)) {
        program_header(header, payload);
        want = bao_span_of(header, sizeof header);
        SIM_COUNT(sim, HEADERS);
    }
    if (!bao_span_equal(want, item->letter.header)) {
        sim_fail(sim,
                 "payload %llu came with the header of another",
                 (unsigned long long)payload);
    }
}

/* Notes an item that came; its payload must be one that was made. */
static uint64_t note_item(struct sim_client *client,
                          const struct sim_call *call,
                          const struct bao_item_in *item,
                          const struct bao_operation *answer)
{
    struct sim *sim = client->sim;
    const struct history_op *op = history_op(sim->history, call->op);
    uint64_t payload = payload_number(item->letter.payload);
    if (payload == 0 || payload > sim->history->payload_count) {
        sim_fail(sim,
                 "item %llx came with a body that nobody ever put",
                 (unsigned long long)item->id);
    }
    check_header(sim, item, payload);
    struct history_delivery delivery = {
        .op = call->op,
        .client = client->index,
        .process = client->process,
        .session = client->session,
        .life = client_life(client, op->queue),
        .queue = op->queue,
        .us = sim->now_us,
        .id = item->id,
        .token = item->token,
        .deliveries = item->deliveries,
        .payload = payload,
        .lease_ms = answer->lease_ms,
        .automatic = (op->flags & BAO_FLAG_AUTO) != 0,
        .kept = true,
        .return_us = SIM_NEVER,
    };
    if (item->deliveries > 1) {
        SIM_COUNT(sim, REDELIVERED);
    }
    uint64_t index = history_deliver(sim->history, &delivery);
    tell_delivered(sim, index);
    return index;
}

static void take_item(struct sim_client *client,
                      struct sim_call *call,
                      const struct bao_item_in *item,
                      const struct bao_operation *answer)
{
    struct sim *sim = client->sim;
    uint64_t index = note_item(client, call, item, answer);
    struct history_delivery *delivery = &sim->history->deliveries[index];
    if (item->token == 0) {
        return; /* settled already */
    }
    if (delivery->automatic) {
        if (!bao_dialogue_receipt(client->dialogue, item->id, item->token)) {
            sim_fail(sim, "no memory");
        }
        return;
    }
    struct sim_hold *hold = calloc(1, sizeof *hold);
    if (hold == NULL) {
        abort();
    }
    hold->lease.id = item->id;
    hold->lease.token = item->token;
    hold->lease.lease_ms = (uint32_t)answer->lease_ms;
    hold->delivery = index;
    hold->queue = delivery->queue;
    hold->pushed = call->subscription;
    if (!bao_dialogue_hold(client->dialogue, sim->now_us, &hold->lease)) {
        sim_fail(sim, "token %llx came twice", (unsigned long long)item->token);
    }
    bao_list_push(&client->holds, &hold->link);
}

static void take_items(struct sim_client *client,
                       struct sim_call *call,
                       const struct bao_operation *answer,
                       const struct bao_message *message)
{
    struct bao_items items;
    struct bao_item_in item;
    if (!bao_items_open(&items, answer, message)) {
        sim_fail(client->sim, "items that cannot be read");
    }
    while (bao_items_next(&items, &item)) {
        take_item(client, call, &item, answer);
    }
    program_delivered(client);
}

/* --- outcomes ------------------------------------------------------------- */

static void note_counts(struct history_op *op,
                        const struct bao_operation *answer)
{
    op->told_id = answer->id;
    op->told_flags = answer->flags;
    op->told_count = answer->count;
    op->told_lease_ms = answer->lease_ms;
    op->told_state = answer->state;
    op->unfinished = answer->unfinished;
    op->counts[0] = answer->done;
    op->counts[1] = answer->dead;
    op->counts[2] = answer->expired;
    op->counts[3] = answer->cancelled;
    op->counts[4] = answer->dropped;
    op->counts[5] = answer->purged;
    op->incarnation = answer->id;
    if (op->verb == BAO_VERB_STAT && answer->readings != NULL) {
        op->stat = malloc(sizeof *op->stat);
        if (op->stat == NULL) {
            abort();
        }
        *op->stat = *answer->readings;
    }
}

/* What CANCELLED means to the caller, as in client_call.c. */
static uint64_t status_of(const struct sim_call *call,
                          const struct bao_operation *answer)
{
    if (answer->status == BAOZI_CANCELLED &&
        call->request.cancel == BAO_CANCEL_DEADLINE) {
        switch (answer->verb) {
        case BAO_VERB_PUT: return BAOZI_FULL;
        case BAO_VERB_GET: return BAOZI_EMPTY;
        default: return BAOZI_TIMEOUT;
        }
    }
    return answer->status;
}

/* A settle, touch or task_done was answered: what becomes of the lease. */
static void settle_hold(struct sim_client *client,
                        struct sim_call *call,
                        const struct bao_operation *answer)
{
    if (call->hold == NULL) {
        return;
    }
    struct sim_hold *hold = call->hold;
    call->hold = NULL;
    if (answer->verb != BAO_VERB_TOUCH) {
        hold_free(client, hold);
        return;
    }
    if (answer->status == BAOZI_OK && bao_has(answer, BAO_BIT(LEASE_MS))) {
        bao_dialogue_renewed(client->dialogue,
                             client->sim->now_us,
                             &hold->lease,
                             (uint32_t)answer->lease_ms);
    }
    bao_list_push(&client->holds, &hold->link);
}

/* task_done() settled the oldest lease, perhaps as soon as it was asked, and
 * before the item came: it is in our hands no more. */
static void
drop_settled(struct sim_client *client, uint64_t id, uint64_t asked_us)
{
    struct sim_history *history = client->sim->history;
    struct bao_link *link = bao_list_first(&client->holds);
    for (; link != NULL; link = bao_list_next(&client->holds, link)) {
        struct sim_hold *hold = BAO_OF(link, struct sim_hold, link);
        if (hold->lease.id == id) {
            history->deliveries[hold->delivery].return_us = asked_us;
            hold_free(client, hold);
            return;
        }
    }
    bao_dialogue_settled(client->dialogue, id);
}

static void on_answered(void *context,
                        struct bao_request *request,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    struct sim_client *client = context;
    struct sim *sim = client->sim;
    struct sim_call *call = BAO_OF(request, struct sim_call, request);
    struct history_op *op = history_op(sim->history, call->op);
    if (op->told) {
        sim_fail(sim, "#%llu has two outcomes", (unsigned long long)call->op);
    }
    op->told = true;
    op->attempts = request->attempts;
    op->told_us = sim->now_us;
    op->told_session = client->session;
    op->life = client_life(client, op->queue);
    op->status = status_of(call, answer);
    note_counts(op, answer);
    tell_told(sim, call->op);
    if (request->attempts > 1) {
        SIM_COUNT(sim, RESENT);
    }
    if (request->cancel == BAO_CANCEL_DEADLINE) {
        SIM_COUNT(sim, DEADLINES);
    }
    if (answer->verb == BAO_VERB_GET && answer->status == BAOZI_OK) {
        take_items(client, call, answer, message);
    }
    if (answer->verb == BAO_VERB_WAIT && answer->status == BAOZI_OK) {
        program_outcome(client, call, answer, message);
    }
    settle_hold(client, call, answer);
    if (answer->verb == BAO_VERB_DONE_NEXT && answer->status == BAOZI_OK &&
        bao_has(answer, BAO_BIT(ID))) {
        drop_settled(
            client, answer->id, history_op(sim->history, call->op)->asked_us);
    }
    bao_list_remove(&client->calls, &call->link);
    struct history_op copy = *history_op(sim->history, call->op);
    program_told(call, &copy);
    call_free(call);
}

static void on_row(void *context,
                   struct bao_request *request,
                   const struct bao_operation *row,
                   const struct bao_message *message)
{
    struct sim_client *client = context;
    struct bao_letter letter;
    (void)request;
    bool shows = row->verb == BAO_VERB_PEEK || row->verb == BAO_VERB_BROWSE;
    if (!shows || row->state == BAO_STATE_TAKEN) {
        return; /* what is taken has no body any more */
    }
    if (!bao_message_letter(message, row, &letter)) {
        sim_fail(client->sim, "a row whose body cannot be read");
    }
    uint64_t payload = payload_number(letter.payload);
    if (payload == 0 || payload > client->sim->history->payload_count) {
        sim_fail(client->sim,
                 "item %llx is shown with a body that nobody put",
                 (unsigned long long)row->id);
    }
}

static void on_delivered(void *context,
                         struct bao_request *subscription,
                         const struct bao_operation *items,
                         const struct bao_message *message)
{
    struct sim_client *client = context;
    SIM_COUNT(client->sim, PUSHED);
    take_items(
        client, BAO_OF(subscription, struct sim_call, request), items, message);
}

const struct bao_dialogue_calls client_calls = {
    .answered = on_answered,
    .row = on_row,
    .delivered = on_delivered,
};

void client_sweep(struct sim_client *client)
{
    struct bao_link *link = bao_list_first(&client->holds);
    while (link != NULL) {
        struct sim_hold *hold = BAO_OF(link, struct sim_hold, link);
        link = bao_list_next(&client->holds, link);
        if (hold->lease.gone != BAOZI_OK) {
            SIM_COUNT(client->sim, LEASES_LOST);
            hold_free(client, hold);
        }
    }
    if (client->ended) {
        SIM_COUNT(client->sim, BYES);
        sim_say(client->sim, SIM_PARTY(client->index), '=', "ends");
        client_end(client);
    }
}
