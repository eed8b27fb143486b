/*
 * random_do.c - what a client of the random test may do.
 */
#include "tests/core/random.h"
#include "tests/lib/unit.h"

/* --- what a client may do
 * ----------------------------------------------------- */

void random_put(struct run *run, unsigned c)
{
    static uint8_t bytes[70000];
    struct world_payload payloads[4];
    size_t count = 1 + (random_chance(30) ? random_below(4) : 0);
    struct bao_operation put = random_begin_queue(BAO_VERB_PUT);
    for (size_t i = 0; i < count; i++) {
        uint32_t length = random_chance(2) ? 70000 : (uint32_t)random_below(40);
        payloads[i] = (struct world_payload){bytes, length, 0};
    }
    random_add_wait(&put);
    if (random_chance(15)) {
        BAO_SET(&put, FLAGS, flags, BAO_FLAG_ATOMIC);
    }
    if (random_chance(20)) {
        BAO_SET(&put, DELAY_MS, delay_ms, random_below(500));
    }
    if (random_chance(20)) {
        BAO_SET(&put, TTL_MS, ttl_ms, 1 + random_below(1000));
    }
    if (random_chance(30)) {
        static const char *const groups[] = {"g", "h", "i"};
        BAO_SET(&put, GROUP, group, bao_span_text(groups[random_below(3)]));
    }
    if (random_chance(25)) {
        static const char *const keys[] = {"k", "l", "m", "n"};
        BAO_SET(
            &put, DEDUP_KEY, dedup_key, bao_span_text(keys[random_below(4)]));
        if (random_chance(50)) {
            BAO_SET(&put, FLAGS, flags, put.flags | BAO_FLAG_UNIQUE);
        } else {
            BAO_SET(&put, DEDUP_WINDOW_MS, dedup_window_ms, random_below(500));
        }
    }
    if (random_chance(20)) {
        BAO_SET(&put, FLAGS, flags, put.flags | BAO_FLAG_WANT_RESULT);
    }
    if (random_chance(5)) {
        BAO_SET(&put, FLAGS, flags, put.flags | BAO_FLAG_NO_BODY);
    }
    if (put.queue.data[0] == 'p') {
        BAO_SET(&put, PRIORITY, priority, (int64_t)random_below(5) - 2);
    }
    random_send_request(run, c, &put, payloads, count);
}

/* Sends the bodies that were last asked for: as many, and all of one length
 * as they were promised, or something else. */
void random_bodies(struct run *run)
{
    static uint8_t bytes[70000 + 1];
    struct world_payload payloads[4];
    struct bao_operation body = random_begin(BAO_VERB_BODY);
    unsigned c = run->asked.client;
    uint64_t count = run->asked.count;
    const struct request *request =
        random_find(run, run->clients[c], run->asked.target);
    if (count == 0 || count > 4 || !run->clients[c]->connected ||
        request == NULL) {
        return;
    }
    uint64_t first = run->asked.target - request->first;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t length = request->lengths[(first + i) % 4];
        payloads[i] = (struct world_payload){
            bytes, random_chance(5) ? length + 1 : length, 0};
    }
    run->asked.count = 0;
    BAO_SET(&body, TARGET, target, run->asked.target);
    world_send(run->world, run->clients[c]->peer, &body, payloads, count);
}

void random_get(struct run *run, unsigned c)
{
    struct bao_operation get = random_begin_queue(BAO_VERB_GET);
    random_add_wait(&get);
    if (random_chance(30)) {
        BAO_SET(&get, LIMIT, limit, 1 + random_below(5));
    }
    if (random_chance(30)) {
        BAO_SET(&get, LEASE_MS, lease_ms, 1 + random_below(400));
    }
    if (random_chance(20)) {
        BAO_SET(&get, FLAGS, flags, BAO_FLAG_AUTO);
    }
    random_send_request(run, c, &get, NULL, 0);
}

/* Takes a lease out of the client's list; a wrong token now and then. */
static bool take_lease(struct world_client *client, uint8_t *id, uint8_t *token)
{
    if (client->lease_count == 0) {
        return false;
    }
    size_t at = random_below(client->lease_count);
    struct world_lease lease = client->leases[at];
    bao_store64(id, lease.id);
    bao_store64(token, lease.token + (random_chance(3) ? 1 : 0));
    client->leases[at] = client->leases[--client->lease_count];
    return true;
}

/* What was not settled goes back into the list. */
static void keep_leases(struct world_client *client,
                        const uint8_t *ids,
                        const uint8_t *tokens,
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        client->leases[client->lease_count++] = (struct world_lease){
            bao_load64(ids + 8 * i), bao_load64(tokens + 8 * i)};
    }
}

void random_settle(struct run *run, unsigned c)
{
    static const uint64_t verbs[] = {
        BAO_VERB_DONE,
        BAO_VERB_DONE,
        BAO_VERB_DONE,
        BAO_VERB_RETRY,
        BAO_VERB_RELEASE,
        BAO_VERB_REJECT,
        BAO_VERB_RECEIPT,
        BAO_VERB_STARTED,
        BAO_VERB_TOUCH,
    };
    uint8_t ids[8 * 4];
    uint8_t tokens[8 * 4];
    size_t count = 0;
    size_t most = 1 + random_below(4);
    struct world_client *client = run->clients[c];
    struct bao_operation settle = random_begin(verbs[random_below(9)]);
    while (count < most &&
           take_lease(client, ids + 8 * count, tokens + 8 * count)) {
        count++;
    }
    if (count == 0) {
        return;
    }
    BAO_SET(&settle, IDS, ids, bao_span_of(ids, 8 * count));
    BAO_SET(&settle, TOKENS, tokens, bao_span_of(tokens, 8 * count));
    if (settle.verb == BAO_VERB_RECEIPT || settle.verb == BAO_VERB_STARTED) {
        random_send_notice(run, c, &settle);
        if (settle.verb == BAO_VERB_STARTED) {
            keep_leases(client, ids, tokens, count);
        }
        return;
    }
    struct world_payload result = {(const uint8_t *)"result", 6, 0};
    bool with = settle.verb == BAO_VERB_DONE && count == 1 && random_chance(40);
    if (settle.verb == BAO_VERB_RETRY && random_chance(50)) {
        BAO_SET(&settle, DELAY_MS, delay_ms, random_below(200));
        BAO_SET(&settle, ERROR, error, bao_span_text("failed"));
    }
    random_send_request(run, c, &settle, &result, with ? 1 : 0);
    if (settle.verb == BAO_VERB_TOUCH) {
        keep_leases(client, ids, tokens, count);
    }
}

/* An id that may or may not be there any more. */
static uint64_t random_id(struct run *run)
{
    struct judge *judge = &run->world->judge;
    unsigned at = (unsigned)random_below(judge->queue_count);
    const struct judge_queue *queue = &judge->queues[at];
    uint64_t last = queue->last_id & ((UINT64_C(1) << BAO_ID_SHIFT) - 1);
    uint64_t back = random_below(last + 1) % 20;
    return (queue->queue << BAO_ID_SHIFT) + 1 + (last - back);
}

void random_join(struct run *run, unsigned c)
{
    struct bao_operation join = random_begin_queue(BAO_VERB_JOIN);
    random_add_wait(&join);
    switch (random_below(4)) {
    case 0:
        BAO_SET(&join, SCOPE, scope, BAO_SCOPE_GROUP);
        BAO_SET(&join, GROUP, group, bao_span_text("g"));
        break;
    case 1: BAO_SET(&join, SCOPE, scope, BAO_SCOPE_MINE); break;
    case 2: BAO_SET(&join, SCOPE, scope, BAO_SCOPE_UP_TO); break;
    default: break;
    }
    random_send_request(run, c, &join, NULL, 0);
}

void random_ask(struct run *run, unsigned c)
{
    struct bao_operation ask;
    switch (random_below(7)) {
    case 0:
        ask = random_begin(BAO_VERB_WAIT);
        BAO_SET(&ask, ID, id, random_id(run));
        random_add_wait(&ask);
        break;
    case 1:
        ask = random_begin(BAO_VERB_CANCEL_ITEM);
        BAO_SET(&ask, ID, id, random_id(run));
        break;
    case 2: ask = random_begin_queue(BAO_VERB_STAT); break;
    case 3: ask = random_begin_queue(BAO_VERB_PEEK); break;
    case 4:
        ask = random_begin_queue(BAO_VERB_BROWSE);
        BAO_SET(&ask, STATE, state, BAO_STATE_READY + random_below(5));
        BAO_SET(&ask, LIMIT, limit, 1 + random_below(4));
        break;
    case 5: ask = random_begin(BAO_VERB_LIST); break;
    default: ask = random_begin_queue(BAO_VERB_DONE_NEXT); break;
    }
    random_send_request(run, c, &ask, NULL, 0);
}

void random_subscribe(struct run *run, unsigned c)
{
    struct bao_operation subscribe = random_begin_queue(BAO_VERB_SUBSCRIBE);
    BAO_SET(&subscribe, LIMIT, limit, 1 + random_below(8));
    if (random_chance(50)) {
        BAO_SET(&subscribe, BYTES, bytes, random_below(100));
    }
    random_send_request(run, c, &subscribe, NULL, 0);
}

/* Names a request of its own that waits, is answered, or is to come. */
void random_cancel(struct run *run, unsigned c)
{
    struct world_client *client = run->clients[c];
    struct bao_operation cancel = random_begin(BAO_VERB_CANCEL);
    uint64_t back = random_below(30);
    uint64_t next = client->next_rid;
    BAO_SET(&cancel, TARGET, target, back < next ? next - back : next);
    random_send_notice(run, c, &cancel);
}

/* Acknowledges what was answered, all or a part of it. */
void random_ack(struct run *run, unsigned c)
{
    uint8_t ranges[16 * 64];
    size_t count = 0;
    struct bao_operation ack = random_begin(BAO_VERB_ACK);
    for (size_t i = 0; i < run->request_count && count < 64; i++) {
        struct request *request = &run->requests[i];
        if (request->client == c && request->left == 0 &&
            request->session == run->clients[c]->session &&
            request->message.header != NULL && random_chance(70)) {
            bao_store64(ranges + 16 * count, request->first);
            bao_store64(ranges + 16 * count + 8,
                        request->first + request->count - 1);
            world_message_fini(&request->message);
            count++;
        }
    }
    if (count > 0) {
        BAO_SET(&ack, RANGES, ranges, bao_span_of(ranges, 16 * count));
        random_send_notice(run, c, &ack);
    }
}

void random_operate(struct run *run, unsigned c)
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
    struct bao_operation operate = random_begin_queue(verbs[random_below(10)]);
    switch (operate.verb) {
    case BAO_VERB_PAUSE:
        BAO_SET(&operate, STATE, state, 1 + random_below(3));
        break;
    case BAO_VERB_RESUME: BAO_SET(&operate, STATE, state, 3); break;
    case BAO_VERB_PURGE:
        if (random_chance(30)) {
            BAO_SET(&operate, FLAGS, flags, BAO_FLAG_DEAD);
        }
        break;
    case BAO_VERB_SHUTDOWN:
        if (random_chance(30)) {
            BAO_SET(&operate, FLAGS, flags, BAO_FLAG_IMMEDIATE);
        }
        break;
    case BAO_VERB_REDRIVE:
        BAO_SET(&operate, LIMIT, limit, 1 + random_below(5));
        if (random_chance(30)) {
            BAO_SET(&operate, RATE, rate, 1 + random_below(50));
        }
        break;
    case BAO_VERB_CONFIGURE:
        options.present = BAO_OPTION_BIT(MAX_DELIVERIES);
        options.max_deliveries = 1 + random_below(5);
        operate.options = &options;
        break;
    default: break;
    }
    random_send_request(run, c, &operate, NULL, 0);
}
