/*
 * test_random.c - thousands of random commands a seed.
 *
 * A few sessions do anything that a client may do to a few queues of every
 * kind, lose their connections, die and come back. World and judge check
 * after every step; here it is checked that every request is answered exactly
 * once, that a repeated one gets its answer again, and at the end that nothing
 * still waits. The seed is printed; BAO_SEED=n runs it alone.
 */
#include "tests/core/random.h"
#include "tests/core/tests.h"
#include "tests/unit/model.h"

const char *const random_names[QUEUES] = {
    "fifo",
    "lifo",
    "priority",
    "count",
    "drop",
    "small",
};

uint64_t random_below(uint64_t below)
{
    return model_random(below);
}

/* --- hearing ------------------------------------------------------------- */

struct request *
random_find(struct run *run, const struct world_client *client, uint64_t rid)
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
    struct request *request = random_find(run, client, operation->rid);
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

unsigned random_chance(unsigned percent)
{
    return model_random(100) < percent;
}

void random_send_request(struct run *run,
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

void random_send_notice(struct run *run,
                        unsigned c,
                        struct bao_operation *operation)
{
    world_send(run->world, run->clients[c]->peer, operation, NULL, 0);
}

struct bao_operation random_begin(uint64_t verb)
{
    struct bao_operation operation = {0};
    BAO_SET(&operation, VERB, verb, verb);
    return operation;
}

struct bao_operation random_begin_queue(uint64_t verb)
{
    struct bao_operation operation = random_begin(verb);
    BAO_SET(&operation,
            QUEUE,
            queue,
            bao_span_text(random_names[model_random(QUEUES)]));
    return operation;
}

void random_add_wait(struct bao_operation *operation)
{
    switch (model_random(3)) {
    case 0: BAO_SET(operation, WAIT_MS, wait_ms, 0); break;
    case 1: BAO_SET(operation, WAIT_MS, wait_ms, 1 + model_random(300)); break;
    default: break;
    }
}

/* --- sessions
 * ------------------------------------------------------------------- */

static void declare_all(struct run *run, unsigned c)
{
    for (unsigned i = 0; i < QUEUES; i++) {
        struct bao_queue_options options = {0};
        struct bao_operation declare = random_begin(BAO_VERB_DECLARE);
        BAO_SET(&declare, QUEUE, queue, bao_span_text(random_names[i]));
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
        if (i == 4 && run->memory) {
            options.present |= BAO_OPTION_BIT(DURABILITY);
            options.durability = BAO_LEVEL_MEMORY;
        }
        declare.options = &options;
        random_send_request(run, c, &declare, NULL, 0);
    }
}

static void say_held(struct run *run, unsigned c)
{
    static uint8_t ids[8 * BAO_OPERATION_ITEMS_MAX];
    static uint8_t tokens[8 * BAO_OPERATION_ITEMS_MAX];
    struct world_client *client = run->clients[c];
    struct bao_operation held = random_begin(BAO_VERB_HELD);
    assert_true(client->lease_count <= BAO_OPERATION_ITEMS_MAX);
    if (client->lease_count > 1 && random_chance(20)) {
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
    random_send_notice(run, c, &held);
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
            bool again = request->left == 0 && random_chance(20);
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
    if (random_chance(50)) {
        world_run(run->world, run->world->now_ms + model_random(2000));
    }
    world_restart(run->world);
    run->asked.count = 0;
    run->restarts++;
}

/* A queue goes, whatever is in it, and is made again. */
static void do_replace(struct run *run, unsigned c)
{
    struct bao_operation replace = random_begin_queue(BAO_VERB_DELETE);
    BAO_SET(&replace, FLAGS, flags, BAO_FLAG_FORCE);
    random_send_request(run, c, &replace, NULL, 0);
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
        if (random_chance(30)) {
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
    if (random_chance(10)) {
        random_bodies(run);
    }
    if (what < 30) {
        random_put(run, c);
    } else if (what < 50) {
        random_get(run, c);
    } else if (what < 75) {
        random_settle(run, c);
    } else if (what < 80) {
        random_join(run, c);
    } else if (what < 86) {
        random_ask(run, c);
    } else if (what < 88) {
        random_subscribe(run, c);
    } else if (what < 91) {
        random_cancel(run, c);
    } else if (what < 96) {
        random_ack(run, c);
    } else if (what < 98) {
        random_operate(run, c);
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
        struct bao_operation delete_it = random_begin(BAO_VERB_DELETE);
        BAO_SET(&delete_it, QUEUE, queue, bao_span_text(random_names[i]));
        BAO_SET(&delete_it, FLAGS, flags, BAO_FLAG_FORCE);
        random_send_request(run, 0, &delete_it, NULL, 0);
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
    run.memory = seed % 4 == 0;
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
        if (random_chance(5)) {
            world_lag(run.world, model_random(100));
        }
        if (random_chance(40)) {
            world_run(run.world, run.world->now_ms + model_random(60));
        }
    }
    finish(&run);
    printf("# %llu facts, %llu answers (%llu ok, %llu full, %llu empty, %llu "
           "stale, %llu cancelled), %llu pushes, %llu restarts (%llu from an "
           "image), %llu images\n",
           (unsigned long long)run.world->judge.facts,
           (unsigned long long)run.answers,
           (unsigned long long)run.statuses[BAOZI_OK],
           (unsigned long long)run.statuses[BAOZI_FULL],
           (unsigned long long)run.statuses[BAOZI_EMPTY],
           (unsigned long long)run.statuses[BAOZI_STALE],
           (unsigned long long)run.statuses[BAOZI_CANCELLED],
           (unsigned long long)run.pushes,
           (unsigned long long)run.restarts,
           (unsigned long long)run.world->image.restarts,
           (unsigned long long)run.world->image.count);
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
