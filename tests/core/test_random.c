/*
 * test_random.c - thousands of random commands a seed.
 *
 * A few sessions do anything that a client may do to a few queues of every
 * kind, lose their connections, die and come back. World and judge check
 * after every step; here it is checked that every request is answered exactly
 * once, that a repeated one gets its answer again, and at the end that nothing
 * still waits. The seed is printed; BAO_SEED=n runs it alone.
 */
#include "tests/core/tests.h"
#include "tests/core/world.h"
#include "tests/unit/model.h"

#define CLIENTS      5u
#define QUEUES       6u
#define STEPS        2500u
#define REQUESTS_MAX 20000u

struct request {
    unsigned client;
    uint64_t session; /* it was sent in */
    uint64_t first;
    uint32_t count;
    uint32_t left; /* not yet answered */
    uint8_t answered[8];
    uint64_t verb;
    uint32_t lengths[4]; /* of a put's bodies */
    struct world_message message;
};

struct run {
    struct world *world;
    struct world_client *clients[CLIENTS];
    struct request *requests;
    size_t request_count;
    uint64_t answers;
    uint64_t statuses[64];
    uint64_t pushes;
    uint64_t restarts;
    struct {
        unsigned client;
        uint64_t target;
        uint64_t count;
    } asked; /* bodies that were asked for; count 0 = none */
};

static const char *const names[QUEUES] = {
    "fifo",
    "lifo",
    "priority",
    "count",
    "drop",
    "small",
};

/* --- hearing ------------------------------------------------------------- */

static struct request *
find(struct run *run, const struct world_client *client, uint64_t rid)
{
    for (size_t i = run->request_count; i-- > 0;) {
        struct request *request = &run->requests[i];
        if (run->clients[request->client] == client &&
            request->session == client->session && rid >= request->first &&
            rid < request->first + request->count) {
            return request;
        }
    }
    return NULL;
}

/* The session of this client is no more; it begins another. */
static void void_requests(struct run *run, const struct world_client *client)
{
    for (size_t i = 0; i < run->request_count; i++) {
        struct request *request = &run->requests[i];
        if (run->clients[request->client] == client) {
            request->left = 0;
        }
    }
}

/* Only answers of open requests: the exactly-once of SPEC S3.2. */
static void hear_answer(struct run *run,
                        const struct world_client *client,
                        const struct bao_operation *operation)
{
    struct request *request = find(run, client, operation->rid);
    assert_non_null(request);
    if ((operation->flags & BAO_FLAG_MORE) != 0) {
        return;
    }
    assert_int_equal(request->verb, operation->verb);
    bool many = request->count > 1 && bao_has(operation, BAO_BIT(COUNT));
    uint64_t count = many ? operation->count : 1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = operation->rid + i - request->first;
        assert_true(at < request->count);
        assert_int_equal(request->answered[at], 0);
        request->answered[at] = 1;
        assert_true(request->left > 0);
        request->left--;
    }
    run->answers += count;
    run->statuses[operation->status] += count;
}

static void listen(struct world *world, const struct world_heard *heard)
{
    struct run *run = world->context;
    const struct bao_operation *operation = heard->operation;
    if (operation == NULL || heard->client == NULL ||
        heard->peer != heard->client->peer) {
        return;
    }
    if (operation->verb == BAO_VERB_GONE) {
        heard->client->connected = false;
        return;
    }
    if (operation->verb == BAO_VERB_DELIVER) {
        run->pushes++;
    }
    if (operation->verb == BAO_VERB_SEND_BODY) {
        unsigned c = 0;
        while (run->clients[c] != heard->client) {
            c++;
        }
        run->asked.client = c;
        run->asked.target = operation->target;
        run->asked.count = operation->count;
    }
    if (bao_is_answer(operation) && operation->verb != BAO_VERB_HELLO) {
        hear_answer(run, heard->client, operation);
    }
}

/* --- sending ---------------------------------------------------------------
 */

static unsigned chance(unsigned percent)
{
    return model_random(100) < percent;
}

static void send_request(struct run *run,
                         unsigned c,
                         struct bao_operation *operation,
                         const struct world_payload *payloads,
                         size_t payload_count)
{
    struct world_client *client = run->clients[c];
    assert_true(run->request_count < REQUESTS_MAX);
    struct request *request = &run->requests[run->request_count++];
    *request = (struct request){.client = c,
                                .session = client->session,
                                .first = client->next_rid,
                                .verb = operation->verb};
    static const uint8_t zeros[32];
    BAO_SET(operation, RID, rid, client->next_rid);
    if (payload_count > 0) {
        BAO_SET(
            operation, LENGTHS, lengths, bao_span_of(zeros, 4 * payload_count));
    }
    request->count = (uint32_t)bao_operation_requests(operation);
    request->left = request->count;
    assert_true(request->count <= sizeof(request->answered));
    for (size_t i = 0; i < payload_count; i++) {
        request->lengths[i] = payloads[i].bytes;
    }
    client->next_rid += request->count;
    world_keep(run->world, &request->message);
    world_send(run->world, client->peer, operation, payloads, payload_count);
}

static void
send_notice(struct run *run, unsigned c, struct bao_operation *operation)
{
    world_send(run->world, run->clients[c]->peer, operation, NULL, 0);
}

static struct bao_operation begin(uint64_t verb)
{
    struct bao_operation operation = {0};
    BAO_SET(&operation, VERB, verb, verb);
    return operation;
}

static struct bao_operation begin_queue(uint64_t verb)
{
    struct bao_operation operation = begin(verb);
    BAO_SET(
        &operation, QUEUE, queue, bao_span_text(names[model_random(QUEUES)]));
    return operation;
}

static void add_wait(struct bao_operation *operation)
{
    switch (model_random(3)) {
    case 0: BAO_SET(operation, WAIT_MS, wait_ms, 0); break;
    case 1: BAO_SET(operation, WAIT_MS, wait_ms, 1 + model_random(300)); break;
    default: break;
    }
}

/* --- what a client may do
 * ----------------------------------------------------- */

static void do_put(struct run *run, unsigned c)
{
    static uint8_t bytes[70000];
    struct world_payload payloads[4];
    size_t count = 1 + (chance(30) ? model_random(4) : 0);
    struct bao_operation put = begin_queue(BAO_VERB_PUT);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = chance(2) ? 70000 : (uint32_t)model_random(40);
        payloads[i] = (struct world_payload){bytes, length, 0};
    }
    add_wait(&put);
    if (chance(15)) {
        BAO_SET(&put, FLAGS, flags, BAO_FLAG_ATOMIC);
    }
    if (chance(20)) {
        BAO_SET(&put, DELAY_MS, delay_ms, model_random(500));
    }
    if (chance(20)) {
        BAO_SET(&put, TTL_MS, ttl_ms, 1 + model_random(1000));
    }
    if (chance(30)) {
        static const char *const groups[] = {"g", "h", "i"};
        BAO_SET(&put, GROUP, group, bao_span_text(groups[model_random(3)]));
    }
    if (chance(25)) {
        static const char *const keys[] = {"k", "l", "m", "n"};
        BAO_SET(
            &put, DEDUP_KEY, dedup_key, bao_span_text(keys[model_random(4)]));
        if (chance(50)) {
            BAO_SET(&put, FLAGS, flags, put.flags | BAO_FLAG_UNIQUE);
        } else {
            BAO_SET(&put, DEDUP_WINDOW_MS, dedup_window_ms, model_random(500));
        }
    }
    if (chance(20)) {
        BAO_SET(&put, FLAGS, flags, put.flags | BAO_FLAG_WANT_RESULT);
    }
    if (chance(5)) {
        BAO_SET(&put, FLAGS, flags, put.flags | BAO_FLAG_NO_BODY);
    }
    if (put.queue.data[0] == 'p') {
        BAO_SET(&put, PRIORITY, priority, (int64_t)model_random(5) - 2);
    }
    send_request(run, c, &put, payloads, count);
}

/* Sends the bodies that were last asked for: as many, and all of one length
 * as they were promised, or something else. */
static void do_bodies(struct run *run)
{
    static uint8_t bytes[70000];
    struct world_payload payloads[4];
    struct bao_operation body = begin(BAO_VERB_BODY);
    unsigned c = run->asked.client;
    uint64_t count = run->asked.count;
    const struct request *request =
        find(run, run->clients[c], run->asked.target);
    if (count == 0 || count > 4 || !run->clients[c]->connected ||
        request == NULL) {
        return;
    }
    uint64_t first = run->asked.target - request->first;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t length = request->lengths[(first + i) % 4];
        payloads[i] =
            (struct world_payload){bytes, chance(5) ? length + 1 : length, 0};
    }
    run->asked.count = 0;
    BAO_SET(&body, TARGET, target, run->asked.target);
    world_send(run->world, run->clients[c]->peer, &body, payloads, count);
}

static void do_get(struct run *run, unsigned c)
{
    struct bao_operation get = begin_queue(BAO_VERB_GET);
    add_wait(&get);
    if (chance(30)) {
        BAO_SET(&get, LIMIT, limit, 1 + model_random(5));
    }
    if (chance(30)) {
        BAO_SET(&get, LEASE_MS, lease_ms, 1 + model_random(400));
    }
    if (chance(20)) {
        BAO_SET(&get, FLAGS, flags, BAO_FLAG_AUTO);
    }
    send_request(run, c, &get, NULL, 0);
}

/* Takes a lease out of the client's list; a wrong token now and then. */
static bool take_lease(struct world_client *client, uint8_t *id, uint8_t *token)
{
    if (client->lease_count == 0) {
        return false;
    }
    size_t at = model_random(client->lease_count);
    struct world_lease lease = client->leases[at];
    bao_store64(id, lease.id);
    bao_store64(token, lease.token + (chance(3) ? 1 : 0));
    client->leases[at] = client->leases[--client->lease_count];
    return true;
}

static void do_settle(struct run *run, unsigned c)
{
    static const uint64_t verbs[] = {
        BAO_VERB_DONE,
        BAO_VERB_DONE,
        BAO_VERB_DONE,
        BAO_VERB_RETRY,
        BAO_VERB_RELEASE,
        BAO_VERB_REJECT,
        BAO_VERB_RECEIPT,
        BAO_VERB_TOUCH,
    };
    uint8_t ids[8 * 4];
    uint8_t tokens[8 * 4];
    size_t count = 0;
    size_t most = 1 + model_random(4);
    struct world_client *client = run->clients[c];
    struct bao_operation settle = begin(verbs[model_random(8)]);
    while (count < most &&
           take_lease(client, ids + 8 * count, tokens + 8 * count)) {
        count++;
    }
    if (count == 0) {
        return;
    }
    BAO_SET(&settle, IDS, ids, bao_span_of(ids, 8 * count));
    BAO_SET(&settle, TOKENS, tokens, bao_span_of(tokens, 8 * count));
    if (settle.verb == BAO_VERB_RECEIPT) {
        send_notice(run, c, &settle);
        return;
    }
    struct world_payload result = {(const uint8_t *)"result", 6, 0};
    bool with = settle.verb == BAO_VERB_DONE && count == 1 && chance(40);
    if (settle.verb == BAO_VERB_RETRY && chance(50)) {
        BAO_SET(&settle, DELAY_MS, delay_ms, model_random(200));
        BAO_SET(&settle, ERROR, error, bao_span_text("failed"));
    }
    send_request(run, c, &settle, &result, with ? 1 : 0);
    if (settle.verb == BAO_VERB_TOUCH) {
        for (size_t i = 0; i < count; i++) {
            client->leases[client->lease_count++] = (struct world_lease){
                bao_load64(ids + 8 * i), bao_load64(tokens + 8 * i)};
        }
    }
}

/* An id that may or may not be there any more. */
static uint64_t random_id(struct run *run)
{
    struct judge *judge = &run->world->judge;
    unsigned at = (unsigned)model_random(judge->queue_count);
    const struct judge_queue *queue = &judge->queues[at];
    uint64_t last = queue->last_id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
    uint64_t back = model_random(last + 1) % 20;
    return (queue->queue << BAO_ID_SHIFT) + 1 + (last - back);
}

static void do_join(struct run *run, unsigned c)
{
    struct bao_operation join = begin_queue(BAO_VERB_JOIN);
    add_wait(&join);
    switch (model_random(4)) {
    case 0:
        BAO_SET(&join, SCOPE, scope, BAO_SCOPE_GROUP);
        BAO_SET(&join, GROUP, group, bao_span_text("g"));
        break;
    case 1: BAO_SET(&join, SCOPE, scope, BAO_SCOPE_MINE); break;
    case 2: BAO_SET(&join, SCOPE, scope, BAO_SCOPE_UP_TO); break;
    default: break;
    }
    send_request(run, c, &join, NULL, 0);
}

static void do_ask(struct run *run, unsigned c)
{
    struct bao_operation ask;
    switch (model_random(7)) {
    case 0:
        ask = begin(BAO_VERB_WAIT);
        BAO_SET(&ask, ID, id, random_id(run));
        add_wait(&ask);
        break;
    case 1:
        ask = begin(BAO_VERB_CANCEL_ITEM);
        BAO_SET(&ask, ID, id, random_id(run));
        break;
    case 2: ask = begin_queue(BAO_VERB_STAT); break;
    case 3: ask = begin_queue(BAO_VERB_PEEK); break;
    case 4:
        ask = begin_queue(BAO_VERB_BROWSE);
        BAO_SET(&ask, STATE, state, BAO_STATE_READY + model_random(5));
        BAO_SET(&ask, LIMIT, limit, 1 + model_random(4));
        break;
    case 5: ask = begin(BAO_VERB_LIST); break;
    default: ask = begin_queue(BAO_VERB_DONE_NEXT); break;
    }
    send_request(run, c, &ask, NULL, 0);
}

static void do_subscribe(struct run *run, unsigned c)
{
    struct bao_operation subscribe = begin_queue(BAO_VERB_SUBSCRIBE);
    BAO_SET(&subscribe, LIMIT, limit, 1 + model_random(8));
    if (chance(50)) {
        BAO_SET(&subscribe, BYTES, bytes, model_random(100));
    }
    send_request(run, c, &subscribe, NULL, 0);
}

/* Names a request of its own that waits, is answered, or is to come. */
static void do_cancel(struct run *run, unsigned c)
{
    struct world_client *client = run->clients[c];
    struct bao_operation cancel = begin(BAO_VERB_CANCEL);
    uint64_t back = model_random(30);
    uint64_t next = client->next_rid;
    BAO_SET(&cancel, TARGET, target, back < next ? next - back : next);
    send_notice(run, c, &cancel);
}

/* Acknowledges what was answered, all or a part of it. */
static void do_ack(struct run *run, unsigned c)
{
    uint8_t ranges[16 * 64];
    size_t count = 0;
    struct bao_operation ack = begin(BAO_VERB_ACK);
    for (size_t i = 0; i < run->request_count && count < 64; i++) {
        struct request *request = &run->requests[i];
        if (request->client == c && request->left == 0 &&
            request->session == run->clients[c]->session &&
            request->message.header != NULL && chance(70)) {
            bao_store64(ranges + 16 * count, request->first);
            bao_store64(ranges + 16 * count + 8,
                        request->first + request->count - 1);
            world_message_fini(&request->message);
            count++;
        }
    }
    if (count > 0) {
        BAO_SET(&ack, RANGES, ranges, bao_span_of(ranges, 16 * count));
        send_notice(run, c, &ack);
    }
}

static void do_operate(struct run *run, unsigned c)
{
    static const uint64_t verbs[] = {
        BAO_VERB_PAUSE,
        BAO_VERB_RESUME,
        BAO_VERB_RESUME,
        BAO_VERB_PURGE,
        BAO_VERB_REDRIVE,
        BAO_VERB_REDRIVE,
        BAO_VERB_SHUTDOWN,
        BAO_VERB_REOPEN,
        BAO_VERB_REOPEN,
        BAO_VERB_CONFIGURE,
    };
    struct bao_queue_options options = {0};
    struct bao_operation operate = begin_queue(verbs[model_random(10)]);
    switch (operate.verb) {
    case BAO_VERB_PAUSE:
        BAO_SET(&operate, STATE, state, 1 + model_random(3));
        break;
    case BAO_VERB_RESUME: BAO_SET(&operate, STATE, state, 3); break;
    case BAO_VERB_PURGE:
        if (chance(30)) {
            BAO_SET(&operate, FLAGS, flags, BAO_FLAG_DEAD);
        }
        break;
    case BAO_VERB_SHUTDOWN:
        if (chance(30)) {
            BAO_SET(&operate, FLAGS, flags, BAO_FLAG_IMMEDIATE);
        }
        break;
    case BAO_VERB_REDRIVE:
        BAO_SET(&operate, LIMIT, limit, 1 + model_random(5));
        if (chance(30)) {
            BAO_SET(&operate, RATE, rate, 1 + model_random(50));
        }
        break;
    case BAO_VERB_CONFIGURE:
        options.present = BAO_OPTION_BIT(MAX_DELIVERIES);
        options.max_deliveries = 1 + model_random(5);
        operate.options = &options;
        break;
    default: break;
    }
    send_request(run, c, &operate, NULL, 0);
}

/* --- sessions
 * ------------------------------------------------------------------- */

static void declare_all(struct run *run, unsigned c)
{
    for (unsigned i = 0; i < QUEUES; i++) {
        struct bao_queue_options options = {0};
        struct bao_operation declare = begin(BAO_VERB_DECLARE);
        BAO_SET(&declare, QUEUE, queue, bao_span_text(names[i]));
        options.present = BAO_OPTION_BIT(KIND) | BAO_OPTION_BIT(MAXSIZE) |
                          BAO_OPTION_BIT(LEASE) | BAO_OPTION_BIT(ACCOUNTING) |
                          BAO_OPTION_BIT(OVERFLOW) | BAO_OPTION_BIT(BOUND) |
                          BAO_OPTION_BIT(DEAD_MAX) | BAO_OPTION_BIT(GROUP_TTL) |
                          BAO_OPTION_BIT(MAX_BYTES);
        options.kind = i == 1 ? BAO_KIND_LIFO
                              : (i == 2 ? BAO_KIND_PRIORITY : BAO_KIND_FIFO);
        options.accounting =
            i == 3 ? BAO_ACCOUNTING_COUNT : BAO_ACCOUNTING_LEASE;
        options.overflow =
            i == 4 ? BAO_OVERFLOW_DROP_OLDEST : BAO_OVERFLOW_BLOCK;
        options.bound = i == 5 ? BAO_BOUND_TOTAL : BAO_BOUND_READY;
        options.maxsize = i == 5 ? 2 : 10;
        options.max_bytes = i == 4 ? 300 : 0;
        options.lease_ms = 500;
        options.dead_max = 5;
        options.group_ttl_ms = 1000;
        declare.options = &options;
        send_request(run, c, &declare, NULL, 0);
    }
}

static void say_held(struct run *run, unsigned c)
{
    static uint8_t ids[8 * BAO_OPERATION_ITEMS_MAX];
    static uint8_t tokens[8 * BAO_OPERATION_ITEMS_MAX];
    struct world_client *client = run->clients[c];
    struct bao_operation held = begin(BAO_VERB_HELD);
    assert_true(client->lease_count <= BAO_OPERATION_ITEMS_MAX);
    if (client->lease_count > 1 && chance(20)) {
        client->lease_count /= 2; /* the rest was lost on the way */
    }
    for (size_t i = 0; i < client->lease_count; i++) {
        bao_store64(ids + 8 * i, client->leases[i].id);
        bao_store64(tokens + 8 * i, client->leases[i].token);
    }
    if (client->lease_count > 0) {
        BAO_SET(&held, IDS, ids, bao_span_of(ids, 8 * client->lease_count));
        BAO_SET(&held,
                TOKENS,
                tokens,
                bao_span_of(tokens, 8 * client->lease_count));
    }
    send_notice(run, c, &held);
}

/* Comes back with its session if there still is one, and sends again what
 * was not answered, and now and then what was. */
static void reconnect(struct run *run, unsigned c)
{
    struct world_client *client = run->clients[c];
    uint64_t session = client->session;
    client->session = 0;
    if (session != 0) {
        world_hello(run->world, client, true, BAO_PROTOCOL_VERSION);
    }
    if (client->session == session && session != 0) {
        say_held(run, c);
        for (size_t i = 0; i < run->request_count; i++) {
            struct request *request = &run->requests[i];
            bool again = request->left == 0 && chance(20);
            if (request->client != c || request->session != session ||
                request->message.header == NULL ||
                (request->left == 0 && !again)) {
                continue;
            }
            if (request->left != request->count) {
                /* Partly or wholly answered: all is answered again. */
                memset(request->answered, 0, sizeof(request->answered));
                request->left = request->count;
            }
            world_send_again(run->world, client->peer, &request->message);
        }
        return;
    }
    void_requests(run, client);
    client->lease_count = 0;
    world_hello(run->world, client, false, BAO_PROTOCOL_VERSION);
    assert_true(client->session != 0);
}

static void do_session(struct run *run, unsigned c)
{
    struct world_client *client = run->clients[c];
    struct bao_command command = {.kind = BAO_COMMAND_PEER_CLOSED,
                                  .peer = client->peer};
    switch (model_random(4)) {
    case 0: command.kind = BAO_COMMAND_PROCESS_GONE; break;
    case 1: reconnect(run, c); return;
    default: break;
    }
    client->connected = false;
    world_command(run->world, &command);
}

/* --- the run
 * ----------------------------------------------------------------------- */

/* The broker dies and comes back; clients come back when they like. */
static void do_restart(struct run *run)
{
    world_die(run->world);
    if (chance(50)) {
        world_run(run->world, run->world->now_ms + model_random(2000));
    }
    world_restart(run->world);
    run->asked.count = 0;
    run->restarts++;
}

/* A queue goes, whatever is in it, and is made again. */
static void do_replace(struct run *run, unsigned c)
{
    struct bao_operation replace = begin_queue(BAO_VERB_DELETE);
    BAO_SET(&replace, FLAGS, flags, BAO_FLAG_FORCE);
    send_request(run, c, &replace, NULL, 0);
    declare_all(run, c);
}

static void do_something(struct run *run)
{
    unsigned c = (unsigned)model_random(CLIENTS);
    struct world_client *client = run->clients[c];
    if (model_random(400) == 0) {
        do_restart(run);
        return;
    }
    if (!client->connected) {
        if (chance(30)) {
            reconnect(run, c);
        }
        return;
    }
    if (client->lease_count > 900) {
        client->lease_count = 900;
    }
    unsigned what = (unsigned)model_random(100);
    if (model_random(150) == 0) {
        do_replace(run, c);
    }
    if (chance(10)) {
        do_bodies(run);
    }
    if (what < 30) {
        do_put(run, c);
    } else if (what < 50) {
        do_get(run, c);
    } else if (what < 75) {
        do_settle(run, c);
    } else if (what < 80) {
        do_join(run, c);
    } else if (what < 86) {
        do_ask(run, c);
    } else if (what < 88) {
        do_subscribe(run, c);
    } else if (what < 91) {
        do_cancel(run, c);
    } else if (what < 96) {
        do_ack(run, c);
    } else if (what < 98) {
        do_operate(run, c);
    } else {
        do_session(run, c);
    }
}

/* Everything that waits must be answered when its queue goes. */
static void finish(struct run *run)
{
    for (unsigned c = 0; c < CLIENTS; c++) {
        if (!run->clients[c]->connected) {
            reconnect(run, c);
        }
    }
    for (unsigned i = 0; i < QUEUES; i++) {
        struct bao_operation delete_it = begin(BAO_VERB_DELETE);
        BAO_SET(&delete_it, QUEUE, queue, bao_span_text(names[i]));
        BAO_SET(&delete_it, FLAGS, flags, BAO_FLAG_FORCE);
        send_request(run, 0, &delete_it, NULL, 0);
    }
    world_run(run->world, run->world->now_ms + 10);
    for (size_t i = 0; i < run->request_count; i++) {
        struct request *request = &run->requests[i];
        if (request->left > 0) {
            fail_msg("%s rid %llu was never answered",
                     bao_verb_name(request->verb),
                     (unsigned long long)request->first);
        }
        world_message_fini(&request->message);
    }
}

static void run_seed(uint64_t seed)
{
    struct run run = {0};
    const char *steps = getenv("BAO_STEPS");
    uint64_t count = steps == NULL ? STEPS : strtoull(steps, NULL, 10);
    struct bao_core_config config = world_config();
    config.answers_max = 200;
    config.waiting_max = 60;
    config.parked_bytes_max = 500;
    config.seed = seed;
    run.requests = calloc(REQUESTS_MAX, sizeof(*run.requests));
    assert_non_null(run.requests);
    run.world = world_open(&config);
    run.world->listen = listen;
    run.world->context = &run;
    for (unsigned c = 0; c < CLIENTS; c++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "c%u", c);
        run.clients[c] = world_client(run.world, name);
        world_hello(run.world, run.clients[c], false, BAO_PROTOCOL_VERSION);
    }
    declare_all(&run, 0);
    for (uint64_t i = 0; i < count && run.request_count + 100 < REQUESTS_MAX;
         i++) {
        do_something(&run);
        if (chance(5)) {
            world_lag(run.world, model_random(100));
        }
        if (chance(40)) {
            world_run(run.world, run.world->now_ms + model_random(60));
        }
    }
    finish(&run);
    printf("# %llu facts, %llu answers (%llu ok, %llu full, %llu empty, %llu "
           "stale, %llu cancelled), %llu pushes, %llu restarts\n",
           (unsigned long long)run.world->judge.facts,
           (unsigned long long)run.answers,
           (unsigned long long)run.statuses[BAOZI_OK],
           (unsigned long long)run.statuses[BAOZI_FULL],
           (unsigned long long)run.statuses[BAOZI_EMPTY],
           (unsigned long long)run.statuses[BAOZI_STALE],
           (unsigned long long)run.statuses[BAOZI_CANCELLED],
           (unsigned long long)run.pushes,
           (unsigned long long)run.restarts);
    world_close(run.world);
    free(run.requests);
}

static void test_random__every_request_is_answered_exactly_once(void **state)
{
    (void)state;
    model_each_seed("random", run_seed);
}

const struct core_test core_tests_random[] = {
    CORE_TEST(test_random__every_request_is_answered_exactly_once,
              "S3.2.a S3.5.a S4.1.a"),
    CORE_TESTS_END,
};
