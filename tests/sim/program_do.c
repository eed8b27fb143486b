/*
 * program_do.c - every kind of call, with arguments by chance.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/count.h"
#include "tests/sim/disk.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/program.h"

/* --- tools ---------------------------------------------------------------- */

struct history_op ask_op(unsigned queue)
{
    return (struct history_op){
        .queue = queue, .wait_ms = SIM_NEVER, .delivery = HISTORY_NONE};
}

struct sim_call *
ask_begin(struct sim_client *client, uint64_t verb, unsigned queue)
{
    struct sim_call *call = call_new(client, verb);
    if (queue < SIM_QUEUES) {
        BAO_SET(&call->request.operation,
                QUEUE,
                queue,
                bao_span_text(sim_queues[queue].name));
    }
    return call;
}

void ask_simple(struct sim_client *client, uint64_t verb, unsigned queue)
{
    struct history_op op = ask_op(queue);
    call_submit(ask_begin(client, verb, queue), &op);
}

uint64_t ask_wait_ms(struct sim *sim)
{
    switch (sim_below(sim, 6)) {
    case 0:
    case 1: return 0;
    case 2:
    case 3: return sim_between(sim, 20, 900);
    case 4: return sim_between(sim, 900, 6000);
    default: return SIM_NEVER;
    }
}

void ask_flags(struct sim_call *call, uint64_t flags)
{
    if (flags != 0) {
        BAO_SET(&call->request.operation, FLAGS, flags, flags);
    }
}

/* --- queues --------------------------------------------------------------- */

void do_declare(struct sim_client *client, unsigned queue)
{
    const struct sim *sim = client->sim;
    struct sim_call *call = ask_begin(client, BAO_VERB_DECLARE, queue);
    struct history_op op = ask_op(queue);
    call->options = sim_queues[queue].options;
    if (queue_level(sim, queue) != BAO_LEVEL_DEFAULT) {
        call->options.present |= BAO_OPTION_BIT(DURABILITY);
        call->options.durability = queue_level(sim, queue);
    }
    call->request.operation.options = &call->options;
    client->opened |= 1u << queue;
    call_submit(call, &op);
}

static uint64_t direction(struct sim *sim)
{
    return sim_between(sim, 1, 3);
}

static void configure(struct sim_client *client, unsigned queue)
{
    struct sim_call *call = ask_begin(client, BAO_VERB_CONFIGURE, queue);
    struct history_op op = ask_op(queue);
    call->options.present = BAO_OPTION_BIT(MAX_DELIVERIES);
    call->options.max_deliveries = sim_between(client->sim, 1, 4);
    call->request.operation.options = &call->options;
    call_submit(call, &op);
}

/* Most of what an operator breaks, the same chance mends. */
void do_operate(struct sim_client *client, unsigned queue)
{
    static const uint64_t verbs[] = {BAO_VERB_PAUSE,
                                     BAO_VERB_RESUME,
                                     BAO_VERB_RESUME,
                                     BAO_VERB_PURGE,
                                     BAO_VERB_SHUTDOWN,
                                     BAO_VERB_REOPEN,
                                     BAO_VERB_REOPEN,
                                     BAO_VERB_CONFIGURE,
                                     BAO_VERB_DELETE};
    struct sim *sim = client->sim;
    uint64_t verb = verbs[sim_below(sim, sizeof verbs / sizeof verbs[0])];
    if (!sim_queues[queue].operated) {
        queue = SIM_WILD;
    }
    if (verb == BAO_VERB_CONFIGURE) {
        configure(client, queue);
        return;
    }
    struct sim_call *call = ask_begin(client, verb, queue);
    struct history_op op = ask_op(queue);
    if (verb == BAO_VERB_PAUSE || verb == BAO_VERB_RESUME) {
        op.scope = direction(sim);
        BAO_SET(&call->request.operation, STATE, state, op.scope);
    } else if (verb == BAO_VERB_PURGE) {
        ask_flags(call, sim_chance(sim, 500) ? BAO_FLAG_DEAD : 0);
    } else if (verb == BAO_VERB_SHUTDOWN) {
        ask_flags(call, sim_chance(sim, 500) ? BAO_FLAG_IMMEDIATE : 0);
    } else if (verb == BAO_VERB_DELETE) {
        ask_flags(call, sim_chance(sim, 700) ? BAO_FLAG_FORCE : 0);
    }
    call_submit(call, &op);
}

void do_redrive(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    if (!sim_queues[queue].redriven) {
        queue = SIM_REJECT;
    }
    struct sim_call *call = ask_begin(client, BAO_VERB_REDRIVE, queue);
    struct history_op op = ask_op(queue);
    op.limit = sim_between(sim, 1, 4);
    uint64_t rate = sim_chance(sim, 300) ? sim_between(sim, 5, 50) : 0;
    if (rate == 0 && sim->disk != NULL) {
        op.limit = 4; /* and so slow that a start comes in between */
        rate = sim_between(sim, 1, 3);
        if (sim_chance(sim, 250)) {
            nemesis_cut_soon(sim, 2 * SIM_SECOND);
        }
    }
    BAO_SET(&call->request.operation, LIMIT, limit, op.limit);
    BAO_SET(&call->request.operation, RATE, rate, rate); /* 0: at once */
    call_submit(call, &op);
}

void do_look(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    struct history_op op = ask_op(queue);
    static const uint64_t verbs[] = {BAO_VERB_STAT,
                                     BAO_VERB_STAT,
                                     BAO_VERB_PEEK,
                                     BAO_VERB_BROWSE,
                                     BAO_VERB_LIST,
                                     BAO_VERB_SESSIONS,
                                     BAO_VERB_BROKER};
    uint64_t verb = verbs[sim_below(sim, sizeof verbs / sizeof verbs[0])];
    if (verb == BAO_VERB_LIST || verb == BAO_VERB_SESSIONS ||
        verb == BAO_VERB_BROKER) {
        ask_simple(client, verb, SIM_QUEUES);
        return;
    }
    struct sim_call *call = ask_begin(client, verb, queue);
    if (verb == BAO_VERB_BROWSE) {
        BAO_SET(&call->request.operation,
                STATE,
                state,
                sim_between(sim, BAO_STATE_READY, BAO_STATE_TAKEN));
        BAO_SET(&call->request.operation, LIMIT, limit, sim_between(sim, 1, 5));
    }
    call_submit(call, &op);
}

/* --- get ------------------------------------------------------------------ */

void ask_get(struct sim_client *client,
             unsigned queue,
             uint64_t wait_ms,
             uint64_t limit)
{
    struct sim_call *call = ask_begin(client, BAO_VERB_GET, queue);
    struct history_op op = ask_op(queue);
    op.wait_ms = wait_ms;
    op.limit = limit;
    if (limit > 1) {
        BAO_SET(&call->request.operation, LIMIT, limit, limit);
    }
    call_submit(call, &op);
}

void do_get(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    struct sim_call *call = ask_begin(client, BAO_VERB_GET, queue);
    struct history_op op = ask_op(queue);
    op.wait_ms = ask_wait_ms(sim);
    op.limit = sim_chance(sim, 250) ? sim_between(sim, 2, 4) : 1;
    if (op.limit > 1) {
        SIM_COUNT(sim, GET_MANY);
        BAO_SET(&call->request.operation, LIMIT, limit, op.limit);
    }
    if (sim_chance(sim, 200)) {
        op.lease_ms = sim_between(sim, 300, 2500);
        BAO_SET(&call->request.operation, LEASE_MS, lease_ms, op.lease_ms);
    }
    ask_flags(call, sim_chance(sim, 150) ? BAO_FLAG_AUTO : 0);
    call_submit(call, &op);
}

static struct sim_call *a_subscription(struct sim_client *client)
{
    struct bao_link *link = bao_list_first(&client->calls);
    for (; link != NULL; link = bao_list_next(&client->calls, link)) {
        struct sim_call *call = BAO_OF(link, struct sim_call, link);
        if (call->subscription) {
            return call;
        }
    }
    return NULL;
}

/* Subscribes, or changes the credit of what is subscribed to. */
void do_subscribe(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    struct sim_call *call = a_subscription(client);
    uint32_t limit = (uint32_t)sim_between(sim, 1, 4);
    uint64_t bytes = sim_chance(sim, 400) ? sim_between(sim, 20, 40000) : 0;
    if (call != NULL) {
        struct history_op *op = history_op(sim->history, call->op);
        limit = sim_chance(sim, 200) ? 0 : limit;
        op->limit = limit > op->limit ? limit : op->limit; /* ever allowed */
        bao_dialogue_credit(client->dialogue, &call->request, limit, bytes);
        sim_say(sim,
                SIM_PARTY(client->index),
                '>',
                "#%llu credit %u items, %llu bytes",
                (unsigned long long)call->op,
                limit,
                (unsigned long long)bytes);
        return;
    }
    call = ask_begin(client, BAO_VERB_SUBSCRIBE, queue);
    struct history_op op = ask_op(queue);
    op.limit = limit;
    BAO_SET(&call->request.operation, LIMIT, limit, limit);
    if (bytes > 0) {
        BAO_SET(&call->request.operation, BYTES, bytes, bytes);
    }
    call_submit(call, &op);
}

/* --- settle --------------------------------------------------------------- */

static struct sim_hold *a_hold(struct sim_client *client)
{
    if (client->holds.count == 0) {
        return NULL;
    }
    uint64_t at = sim_below(client->sim, client->holds.count);
    struct bao_link *link = bao_list_first(&client->holds);
    while (at-- > 0) {
        link = bao_list_next(&client->holds, link);
    }
    return BAO_OF(link, struct sim_hold, link);
}

/* The result of an item says which one it is of. */
static void add_result(struct sim_call *call, uint64_t id)
{
    call->bodies[0] = malloc(24);
    if (call->bodies[0] == NULL) {
        abort();
    }
    payload_fill(call->bodies[0], 24, id);
    call->letters[0].payload = bao_span_of(call->bodies[0], 24);
    call->request.letters = call->letters;
    call->request.letter_count = 1;
}

void ask_settle(struct sim_client *client, struct sim_hold *hold, uint64_t verb)
{
    struct sim *sim = client->sim;
    struct sim_call *call = call_new(client, verb);
    struct bao_operation *settle = &call->request.operation;
    struct history_op op = ask_op(hold->queue);
    op.id = hold->lease.id;
    op.token = hold->lease.token;
    op.delivery = hold->delivery;
    bao_store64(call->ids, op.id);
    bao_store64(call->tokens, op.token);
    BAO_SET(settle, IDS, ids, bao_span_of(call->ids, 8));
    BAO_SET(settle, TOKENS, tokens, bao_span_of(call->tokens, 8));
    if (verb == BAO_VERB_DONE && sim_chance(sim, 600)) {
        add_result(call, op.id);
    }
    if ((verb == BAO_VERB_RETRY || verb == BAO_VERB_RELEASE) &&
        sim_chance(sim, 300)) {
        op.delay_ms = sim_between(sim, 1, 300);
        BAO_SET(settle, DELAY_MS, delay_ms, op.delay_ms);
    }
    if (verb == BAO_VERB_RETRY || verb == BAO_VERB_REJECT) {
        BAO_SET(settle, ERROR, error, bao_span_text("burnt"));
    }
    bao_list_remove(&client->holds, &hold->link);
    call->hold = hold;
    struct history_delivery *delivery =
        &sim->history->deliveries[hold->delivery];
    if (verb != BAO_VERB_TOUCH && delivery->return_us == SIM_NEVER) {
        delivery->return_us = sim->now_us;
    }
    call_submit(call, &op);
}

void do_settle(struct sim_client *client)
{
    static const uint64_t verbs[] = {BAO_VERB_DONE,
                                     BAO_VERB_DONE,
                                     BAO_VERB_DONE,
                                     BAO_VERB_DONE,
                                     BAO_VERB_DONE,
                                     BAO_VERB_DONE,
                                     BAO_VERB_RETRY,
                                     BAO_VERB_RELEASE,
                                     BAO_VERB_REJECT,
                                     BAO_VERB_TOUCH};
    struct sim *sim = client->sim;
    for (uint64_t i = sim_between(sim, 1, 3); i > 0; i--) {
        struct sim_hold *hold = a_hold(client);
        if (hold == NULL) {
            return;
        }
        if (hold->pushed && sim_chance(sim, 500)) {
            hold->pushed = false;
            bao_dialogue_started(client->dialogue, sim->now_us, &hold->lease);
            continue;
        }
        ask_settle(client,
                   hold,
                   verbs[sim_below(sim, sizeof verbs / sizeof verbs[0])]);
    }
}

/* Settles the oldest lease on the queue, which one is not known: all that
 * this client holds there may come back. */
void do_task_done(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    unsigned on = sim_chance(sim, 600) ? SIM_COUNTED : queue;
    struct bao_link *link = bao_list_first(&client->holds);
    for (; link != NULL; link = bao_list_next(&client->holds, link)) {
        struct sim_hold *hold = BAO_OF(link, struct sim_hold, link);
        struct history_delivery *delivery =
            &sim->history->deliveries[hold->delivery];
        if (hold->queue == on && delivery->return_us == SIM_NEVER) {
            delivery->return_us = sim->now_us;
        }
    }
    ask_simple(client, BAO_VERB_DONE_NEXT, on);
}

/* --- join, wait, cancel --------------------------------------------------- */

void do_join(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    struct sim_call *call = ask_begin(client, BAO_VERB_JOIN, queue);
    struct history_op op = ask_op(queue);
    op.wait_ms = ask_wait_ms(sim);
    op.scope = sim_below(sim, BAO_SCOPE_UP_TO + 1);
    if (op.scope != BAO_SCOPE_QUEUE) {
        BAO_SET(&call->request.operation, SCOPE, scope, op.scope);
    }
    if (op.scope == BAO_SCOPE_GROUP) {
        op.group = 1 + (unsigned)sim_below(sim, SIM_GROUPS);
        (void)snprintf(call->text, sizeof call->text, "g%u", op.group);
        BAO_SET(
            &call->request.operation, GROUP, group, bao_span_text(call->text));
    }
    call_submit(call, &op);
}

/* The id of an item that some put was told of, mostly a young one. */
static uint64_t an_id(struct sim *sim, unsigned *queue)
{
    struct sim_history *history = sim->history;
    for (unsigned tries = 0; tries < 30 && history->op_count > 0; tries++) {
        uint64_t back = sim_below(sim, history->op_count) % 200;
        const struct history_op *op =
            &history->ops[history->op_count - 1 - back];
        if (op->verb == BAO_VERB_PUT && op->told && op->status == BAOZI_OK) {
            *queue = op->queue;
            return op->told_id + sim_below(sim, op->count);
        }
    }
    return 0;
}

void do_item(struct sim_client *client)
{
    struct sim *sim = client->sim;
    unsigned queue = 0;
    uint64_t id = an_id(sim, &queue);
    if (id == 0) {
        return;
    }
    bool cancels = sim_queues[queue].redriven && sim_chance(sim, 500);
    struct sim_call *call =
        call_new(client, cancels ? BAO_VERB_CANCEL_ITEM : BAO_VERB_WAIT);
    struct history_op op = ask_op(queue);
    op.id = id;
    op.wait_ms = cancels ? SIM_NEVER : ask_wait_ms(sim);
    BAO_SET(&call->request.operation, ID, id, id);
    call_submit(call, &op);
}

/* --- mistakes, giving up -------------------------------------------------- */

void do_mistake(struct sim_client *client)
{
    struct sim *sim = client->sim;
    struct history_op op = ask_op(SIM_FIFO);
    struct sim_call *call;
    switch (sim_below(sim, 4)) {
    case 0: /* another size than it has, if it is there */
        call = ask_begin(client, BAO_VERB_DECLARE, SIM_WILD);
        op.queue = SIM_WILD;
        call->options = sim_queues[SIM_WILD].options;
        call->options.maxsize++;
        call->request.operation.options = &call->options;
        break;
    case 1: /* fifo knows no priority */
        call = ask_begin(client, BAO_VERB_PUT, SIM_FIFO);
        op.count = 1;
        op.priority = 1;
        op.first_payload = history_payloads(sim->history, 1);
        BAO_SET(&call->request.operation, PRIORITY, priority, 1);
        ask_letter(call, 0, op.first_payload, 20);
        break;
    case 2: /* more than the queue may ever hold */
        call = ask_begin(client, BAO_VERB_PUT, SIM_COUNTED);
        op.queue = SIM_COUNTED;
        op.count = CALL_LETTERS;
        op.first_payload = history_payloads(sim->history, op.count);
        ask_flags(call, BAO_FLAG_ATOMIC);
        for (unsigned i = 0; i < CALL_LETTERS; i++) {
            ask_letter(call, i, op.first_payload + i, 20);
        }
        break;
    default: /* nobody made it */
        call = call_new(client, BAO_VERB_STAT);
        op.queue = SIM_QUEUES;
        BAO_SET(
            &call->request.operation, QUEUE, queue, bao_span_text("nowhere"));
        break;
    }
    call_submit(call, &op);
}

void do_give_up(struct sim_client *client)
{
    struct sim *sim = client->sim;
    if (client->calls.count == 0) {
        return;
    }
    uint64_t at = sim_below(sim, client->calls.count);
    struct bao_link *link = bao_list_first(&client->calls);
    while (at-- > 0) {
        link = bao_list_next(&client->calls, link);
    }
    struct sim_call *call = BAO_OF(link, struct sim_call, link);
    bool settles = call->hold != NULL;
    if (!settles && sim_chance(sim, 150)) {
        call_forget(call);
    } else {
        call_cancel(call);
        if (sim_chance(sim, 60)) { /* before anybody heard of it */
            client_cut(sim, client->index, true, sim_chance(sim, 500));
        }
    }
}

void do_bye(struct sim_client *client)
{
    struct history_op op = ask_op(SIM_QUEUES);
    history_event(client->sim->history,
                  &(struct history_event){.kind = HISTORY_BYE,
                                          .client = client->index,
                                          .us = client->sim->now_us});
    call_submit(call_new(client, BAO_VERB_BYE), &op);
}
