/*
 * hello.c - a client introduces itself, or comes back.
 *
 * Only who knows a session's secret may resume it; an unknown one is answered
 * SESSION_GONE and begins anew under another client id.
 */
#include "broker/core/get.h"
#include "broker/core/keep.h"
#include "broker/core/memory.h"
#include "broker/core/put.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "broker/core/store.h"

#define COLOUR_WAITING 1u

static struct bao_session *find_client(const struct bao_core *core,
                                       struct bao_span client)
{
    struct bao_table_node *node =
        bao_table_first(&core->by_client, bao_hash_bytes(client, 0));
    for (; node != NULL; node = bao_table_next(node)) {
        struct bao_session *session =
            BAO_OF(node, struct bao_session, by_client);
        if (memcmp(session->client, client.data, BAO_CLIENT_ID_BYTES) == 0) {
            return session;
        }
    }
    return NULL;
}

/* Takes equally long wherever the first difference is. */
static bool is_secret(const struct bao_session *session, struct bao_span given)
{
    if (given.bytes != BAO_CLIENT_ID_BYTES) {
        return false;
    }
    unsigned difference = 0;
    for (size_t i = 0; i < BAO_CLIENT_ID_BYTES; i++) {
        difference |= (unsigned)(session->secret[i] ^ given.data[i]);
    }
    return difference == 0;
}

static void welcome(struct bao_core *core,
                    const struct bao_session *session,
                    uint64_t rid,
                    bool resumed)
{
    struct bao_operation *op =
        bao_reply(core, session, NULL, BAO_VERB_HELLO, rid, BAOZI_OK);
    uint64_t credit = BAO_PARKED_SESSION_BYTES;
    if (core->config.parked_bytes_max < credit) {
        credit = core->config.parked_bytes_max;
    }
    BAO_SET(op, PROTOCOL, protocol, BAO_PROTOCOL_VERSION);
    BAO_SET(op, SESSION, session, session->number);
    BAO_SET(op,
            SECRET,
            secret,
            bao_scratch_copy(
                core, bao_span_of(session->secret, BAO_CLIENT_ID_BYTES)));
    BAO_SET(op, EPOCH, epoch, core->epoch);
    BAO_SET(op, BOOT, boot, core->config.boot);
    BAO_SET(op, HEARTBEAT_MS, heartbeat_ms, session->heartbeat_ms);
    BAO_SET(op, LIMIT, limit, core->config.waiting_max);
    BAO_SET(op, CREDIT_BYTES, credit_bytes, credit);
    BAO_SET(op, ITEM_BYTES_MAX, item_bytes_max, BAO_ITEM_BYTES_MAX);
    BAO_SET(op, VERSION, version, BAO_LITERAL(BAOZI_VERSION));
    uint64_t flags = resumed ? BAO_FLAG_RESUMED : 0;
    flags |= core->config.level >= BAO_LEVEL_DISK ? BAO_FLAG_LASTING : 0;
    if (flags != 0) {
        BAO_SET(op, FLAGS, flags, flags);
    }
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

static struct bao_span
text_key(const struct bao_operation *op, uint64_t bit, struct bao_span value)
{
    if (!bao_has(op, bit)) {
        return bao_span_of(NULL, 0);
    }
    if (value.bytes > BAO_TEXT_BYTES_MAX) {
        value.bytes = BAO_TEXT_BYTES_MAX;
    }
    return value;
}

static void open_new(struct bao_core *core, const struct bao_command *command)
{
    const struct bao_operation *op = command->operation;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_SESSION_OPENED);
    fact->session = core->last_session + 1;
    fact->client = op->client;
    fact->secret = bao_span_of(command->random, BAO_CLIENT_ID_BYTES);
    fact->host = text_key(op, BAO_BIT(HOST), op->host);
    fact->name = text_key(op, BAO_BIT(PROGRAM), op->program);
    fact->pid = bao_has(op, BAO_BIT(PID)) ? (uint32_t)op->pid : 0;
    const uint64_t number = fact->session;
    bao_decide(core, fact);
    struct bao_session *session = bao_session_of(core, number);
    bao_session_bind(core, session, command->peer);
    welcome(core, session, op->rid, false);
}

static void rejoin_lines(struct bao_core *core, struct bao_session *session)
{
    /* From the last to the first, so that the first stands in front. */
    uint64_t to = UINT64_MAX;
    for (;;) {
        struct bao_tree_entry entry =
            bao_tree_last(&session->window, COLOUR_WAITING, to);
        if (entry.value == NULL) {
            return;
        }
        struct bao_waiter *waiter = bao_waiter_of(entry.value);
        bao_put_unask(core, waiter);
        if (waiter->kind == BAO_WAITER_GET ||
            waiter->kind == BAO_WAITER_SUBSCRIBE) {
            bao_get_rejoin(core, waiter);
        }
        if (entry.key == 0) {
            return;
        }
        to = entry.key - 1;
    }
}

/* After a restart of the broker the leases run on for their full time
 * (SPEC S9). */
static void run_on(struct bao_core *core, struct bao_session *session)
{
    BAO_MARK("a session comes back after a restart");
    struct bao_link *link = bao_list_first(&session->leases);
    for (; link != NULL; link = bao_list_next(&session->leases, link)) {
        bao_lease_prolong(core, BAO_OF(link, struct bao_lease, of_session));
    }
}

static void revive(struct bao_core *core, const struct bao_session *session)
{
    BAO_MARK("a dead session is revived");
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_SESSION_REVIVED);
    fact->session = session->number;
    bao_decide(core, fact);
}

static void resume(struct bao_core *core,
                   const struct bao_command *command,
                   struct bao_session *session)
{
    if (session->state == BAO_SESSION_DEAD) {
        revive(core, session);
    } else if (session->connected) {
        BAO_MARK("a session is resumed elsewhere");
        bao_say_gone(core,
                     session->peer,
                     BAOZI_SESSION_GONE,
                     BAO_LITERAL("the session was resumed elsewhere"));
    }
    if (session->restarted) {
        run_on(core, session);
    }
    bao_session_unbind(core, session);
    session->held_round++;
    session->sorting = false;
    bao_session_bind(core, session, command->peer);
    rejoin_lines(core, session);
    welcome(core, session, command->operation->rid, true);
}

/* Nothing was ever asked of it: its HELLO was only repeated. */
static bool is_unused(const struct bao_session *session)
{
    return session->top == 0 && session->leases.count == 0 &&
           session->tallies.count == 0;
}

/* Whose welcome was lost knows no secret to resume the session with, however
 * long it was away. */
static void welcome_again(struct bao_core *core,
                          const struct bao_command *command,
                          struct bao_session *session)
{
    BAO_MARK("a hello is repeated");
    if (session->state == BAO_SESSION_DEAD) {
        revive(core, session);
    }
    bao_session_unbind(core, session);
    bao_session_bind(core, session, command->peer);
    welcome(core, session, command->operation->rid, false);
}

static bool hello_is_sane(struct bao_core *core,
                          const struct bao_call *call,
                          const struct bao_session *already)
{
    const struct bao_operation *op = call->operation;
    const uint64_t least =
        bao_has(op, BAO_BIT(PROTOCOL_MIN)) ? op->protocol_min : op->protocol;
    if (least > BAO_PROTOCOL_VERSION || op->protocol < BAO_PROTOCOL_VERSION) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_VERSION,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("this broker speaks protocol 1"));
        return false;
    }
    if (op->client.bytes != BAO_CLIENT_ID_BYTES) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("a client id has 16 bytes"));
        return false;
    }
    if (already != NULL) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("this connection has a session already"));
        return false;
    }
    return true;
}

void bao_hello(struct bao_core *core,
               const struct bao_command *command,
               struct bao_session *already)
{
    const struct bao_operation *op = command->operation;
    struct bao_session nobody = {.peer = command->peer, .connected = true};
    struct bao_call call = {.operation = op,
                            .session = &nobody,
                            .rid = op->rid,
                            .count = 1,
                            .verb = BAO_VERB_HELLO};
    if (!hello_is_sane(core, &call, already)) {
        return;
    }
    struct bao_session *session = find_client(core, op->client);
    const bool resumes =
        bao_has(op, BAO_BIT(FLAGS)) && (op->flags & BAO_FLAG_RESUME) != 0;
    if (resumes) {
        const bool known = session != NULL && !session->leaving &&
                           bao_has(op, BAO_BIT(SECRET)) &&
                           is_secret(session, op->secret);
        if (!known) {
            bao_refuse(core,
                       &call,
                       BAOZI_SESSION_GONE,
                       bao_span_of(NULL, 0),
                       BAO_LITERAL("no such session is remembered; begin a "
                                   "new one"));
            return;
        }
        if (session->state == BAO_SESSION_DEAD &&
            bao_session_has_waiters(session)) {
            bao_refuse(core,
                       &call,
                       BAOZI_QUOTA,
                       bao_span_of(NULL, 0),
                       BAO_LITERAL("the session is being taken down; try "
                                   "again"));
            return;
        }
        resume(core, command, session);
        return;
    }
    if (session != NULL && is_unused(session) && !session->leaving) {
        welcome_again(core, command, session);
        return;
    }
    if (session != NULL) {
        bao_refuse(core,
                   &call,
                   BAOZI_EXISTS,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("this client id has a session; resume it with "
                               "its secret, or choose a new id"));
        return;
    }
    if (core->live_sessions >= core->config.sessions_max ||
        bao_memory_is_low(core)) {
        BAO_MARK("too many sessions");
        bao_refuse(core,
                   &call,
                   BAOZI_QUOTA,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("the broker has as many sessions as it may "
                               "have"));
        return;
    }
    open_new(core, command);
}
