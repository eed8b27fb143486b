/*
 * core.c - open, step, tick, deadline: the frame around everything.
 *
 * A step carries out one command: it finds the session, answers what was
 * asked before, hands new requests to their verb, and serves the lines that
 * may move. What is too long for one step goes on in ticks.
 */
#include "broker/core/core.h"

#include "broker/core/admin.h"
#include "broker/core/digest.h"
#include "broker/core/get.h"
#include "broker/core/items.h"
#include "broker/core/join.h"
#include "broker/core/keep.h"
#include "broker/core/line.h"
#include "broker/core/look.h"
#include "broker/core/memory.h"
#include "broker/core/put.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "broker/core/shelf.h"
#include "broker/core/store.h"
#include "broker/core/tick.h"
#include "broker/core/wait.h"
#include "broker/core/waiter.h"
#include "common/planted.h"

#define MEMORY_BYTES_MIN ((size_t)16 << 20)
#define STARVED_US       (10u * BAO_MS)

/* --- open ------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value == 0 ? fallback : value;
}

static void defaults(struct bao_core_config *config)
{
    config->answers_max = or_default(config->answers_max, BAO_ANSWERS_MAX);
    config->waiting_max = or_default(config->waiting_max, BAO_WAITING_MAX);
    config->heartbeat_leased_ms =
        or_default(config->heartbeat_leased_ms, BAO_HEARTBEAT_LEASED_MS);
    config->heartbeat_idle_ms =
        or_default(config->heartbeat_idle_ms, BAO_HEARTBEAT_IDLE_MS);
    config->resume_grace_ms =
        or_default(config->resume_grace_ms, BAO_RESUME_GRACE_MS);
    config->sessions_max = or_default(config->sessions_max, BAO_SESSIONS_MAX);
    config->queues_max = or_default(config->queues_max, BAO_QUEUES_MAX);
    if (config->unlogged_bytes_max == 0) {
        config->unlogged_bytes_max = config->body_bytes_max;
    }
    if (config->level == BAO_LEVEL_DEFAULT) {
        config->level = BAO_LEVEL_MEMORY;
    }
}

static void open_tables(struct bao_core *core)
{
    bool done = bao_table_init(&core->by_client, core->arena);
    done = bao_table_init(&core->by_peer, core->arena) && done;
    done = bao_table_init(&core->queues_by_name, core->arena) && done;
    done = bao_table_init(&core->queues_by_incarnation, core->arena) && done;
    done = bao_table_init(&core->groups, core->arena) && done;
    done = bao_table_init(&core->dedups, core->arena) && done;
    done = bao_table_init(&core->tallies, core->arena) && done;
    done = bao_table_init(&core->outcomes, core->arena) && done;
    done = bao_table_init(&core->watches, core->arena) && done;
    BAO_ASSERT(done);
    bao_tree_init(&core->sessions, core->arena);
    bao_heap_run_init(&core->timers, core->arena);
    bao_heap_init(&core->wall, core->arena);
    bao_list_init(&core->ended);
    bao_list_init(&core->busy);
    bao_list_init(&core->chores);
    bao_list_init(&core->dirty);
    bao_list_init(&core->starved);
    bao_list_init(&core->woken);
    bao_list_init(&core->woken_watches);
}

static void open_pools(struct bao_core *core)
{
    struct bao_arena *arena = core->arena;
    bao_pool_init(&core->items, arena, sizeof(struct bao_item));
    bao_pool_init(&core->shelves, arena, sizeof(struct bao_shelf));
    bao_pool_init(&core->records, arena, sizeof(struct bao_records));
    bao_pool_init(&core->notes, arena, sizeof(struct bao_note));
    bao_pool_init(&core->leases, arena, sizeof(struct bao_lease));
    bao_pool_init(&core->waiters, arena, sizeof(struct bao_waiter));
    bao_pool_init(&core->answers, arena, sizeof(struct bao_answer));
    bao_pool_init(&core->tallies_pool, arena, sizeof(struct bao_tally));
    bao_pool_init(&core->groups_pool, arena, sizeof(struct bao_group));
    bao_pool_init(&core->dedups_pool, arena, sizeof(struct bao_dedup));
    bao_pool_init(&core->outcomes_pool, arena, sizeof(struct bao_outcome));
    bao_pool_init(&core->watches_pool, arena, sizeof(struct bao_watch));
    bao_pool_init(&core->streams, arena, sizeof(struct bao_stream));
    bao_pool_init(&core->errors, arena, sizeof(struct bao_errors));
}

enum baozi_status bao_core_open(const struct bao_core_config *config,
                                struct bao_core **out)
{
    BAO_ASSERT(config != NULL);
    BAO_ASSERT(out != NULL);
    if (config->memory_bytes < MEMORY_BYTES_MIN || config->memory == NULL) {
        return BAOZI_NO_MEMORY;
    }
    struct bao_arena *arena =
        bao_arena_init(config->memory, config->memory_bytes);
    struct bao_core *core = bao_arena_take(arena, sizeof(*core));
    BAO_ASSERT(core != NULL);
    memset(core, 0, sizeof(*core));
    core->arena = arena;
    core->config = *config;
    defaults(&core->config);
    core->now_us = config->now_us;
    core->opened_us = config->now_us;
    core->log_room = UINT64_MAX;
    core->log_lease_room = UINT64_MAX;
    core->random = bao_digest_mix(config->seed ^ UINT64_C(0x62616f7a69)) | 1;
    open_tables(core);
    open_pools(core);
    bao_out_init(core);
    bao_out_begin(core);
    const bool enough = bao_memory_open(core);
    BAO_ASSERT(enough);
    core->digest = bao_digest_core(core);
    *out = core;
    return BAOZI_OK;
}

/* --- requests --------------------------------------------------------------
 */

/* One place where verbs branch. True: it was one that a client may send. */
static bool dispatch(struct bao_core *core, const struct bao_call *call)
{
    switch ((enum bao_verb)call->operation->verb) {
    case BAO_VERB_BYE: bao_bye(core, call); return true;
    case BAO_VERB_HEARTBEAT: bao_heartbeat(core, call); return true;
    case BAO_VERB_ACK: bao_ack(core, call); return true;
    case BAO_VERB_CANCEL: bao_cancel(core, call); return true;
    case BAO_VERB_BODY: bao_put_body(core, call); return true;
    case BAO_VERB_HELD: bao_held(core, call); return true;
    case BAO_VERB_STARTED: bao_started(core, call); return true;
    case BAO_VERB_DECLARE: bao_declare(core, call); return true;
    case BAO_VERB_CONFIGURE: bao_configure(core, call); return true;
    case BAO_VERB_DELETE: bao_delete(core, call); return true;
    case BAO_VERB_PURGE: bao_purge(core, call); return true;
    case BAO_VERB_PAUSE:
    case BAO_VERB_RESUME: bao_pause(core, call); return true;
    case BAO_VERB_SHUTDOWN: bao_shutdown(core, call); return true;
    case BAO_VERB_REOPEN: bao_reopen(core, call); return true;
    case BAO_VERB_LIST: bao_list_queues(core, call); return true;
    case BAO_VERB_STAT: bao_stat(core, call); return true;
    case BAO_VERB_PUT: bao_put(core, call); return true;
    case BAO_VERB_GET: bao_get(core, call); return true;
    case BAO_VERB_SUBSCRIBE: bao_subscribe(core, call); return true;
    case BAO_VERB_CREDIT: bao_credit(core, call); return true;
    case BAO_VERB_DONE:
    case BAO_VERB_RETRY:
    case BAO_VERB_RELEASE:
    case BAO_VERB_REJECT: bao_settle(core, call); return true;
    case BAO_VERB_TOUCH: bao_touch(core, call); return true;
    case BAO_VERB_DONE_NEXT: bao_done_next(core, call); return true;
    case BAO_VERB_RECEIPT: bao_receipt(core, call); return true;
    case BAO_VERB_CANCEL_ITEM: bao_cancel_item(core, call); return true;
    case BAO_VERB_WAIT: bao_wait(core, call); return true;
    case BAO_VERB_PEEK: bao_peek(core, call); return true;
    case BAO_VERB_BROWSE: bao_browse(core, call); return true;
    case BAO_VERB_REDRIVE: bao_redrive(core, call); return true;
    case BAO_VERB_JOIN: bao_join(core, call); return true;
    case BAO_VERB_SESSIONS: bao_sessions(core, call); return true;
    case BAO_VERB_BROKER: bao_broker(core, call); return true;
    case BAO_VERB_HELLO:
    case BAO_VERB_DELIVER:
    case BAO_VERB_SEND_BODY:
    case BAO_VERB_AT:
    case BAO_VERB_GONE:
    case BAO_VERB_PLEASE_CANCEL: return false;
    }
    return false;
}

/* Verbs whose good answers are kept; the others only look, or can be done
 * twice. */
static bool is_kept(uint64_t verb)
{
    const uint64_t looks =
        UINT64_C(1) << BAO_VERB_STAT | UINT64_C(1) << BAO_VERB_LIST |
        UINT64_C(1) << BAO_VERB_PEEK | UINT64_C(1) << BAO_VERB_BROWSE |
        UINT64_C(1) << BAO_VERB_SESSIONS | UINT64_C(1) << BAO_VERB_BROKER |
        UINT64_C(1) << BAO_VERB_TOUCH | UINT64_C(1) << BAO_VERB_BYE |
        UINT64_C(1) << BAO_VERB_SUBSCRIBE;
    return verb >= 64 || (looks >> verb & 1) == 0;
}

static void request_new(struct bao_core *core, const struct bao_call *call)
{
    if (call->session->answers >= core->config.answers_max &&
        is_kept(call->verb)) {
        BAO_MARK("too many answers are not acknowledged");
        bao_refuse(core,
                   call,
                   BAOZI_QUOTA,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("too many answers of this session are not "
                               "acknowledged; acknowledge some"));
        return;
    }
    const bool known = dispatch(core, call);
    BAO_ASSERT(known);
}

/* A request that still waits: its time is the one of the repetition. */
static void request_waiting(struct bao_core *core,
                            const struct bao_call *call,
                            struct bao_waiter *waiter)
{
    BAO_MARK("a waiting request is repeated");
    if (waiter->verb != call->verb) {
        return;
    }
    if (waiter->kind == BAO_WAITER_SUBSCRIBE) {
        bao_subscribe_again(core, call, waiter);
        return;
    }
    if (waiter->kind != BAO_WAITER_CHORE) {
        bao_waiter_time(core, waiter, bao_waiter_until(core, call->operation));
    }
}

/* How many of the call's requests, from the first on, are new. */
static uint32_t new_run(const struct bao_session *session,
                        const struct bao_call *call)
{
    const uint64_t cancelled = bao_cancel_next(session, call->rid) - call->rid;
    const uint32_t most =
        cancelled < call->count ? (uint32_t)cancelled : call->count;
    const struct bao_request *next = bao_window_from(session, call->rid);
    BAO_ASSERT(most > 0);
    if (next != NULL && next->first - call->rid < most) {
        return (uint32_t)(next->first - call->rid);
    }
    return most;
}

/* The slow way: some of the requests may be known. */
static void request_known(struct bao_core *core, struct bao_call call)
{
    struct bao_session *session = call.session;
    const uint32_t end = call.from + call.count;
    while (call.from < end) {
        call.count = end - call.from;
        struct bao_request *request = bao_window_find(session, call.rid);
        if (request == NULL && bao_cancel_remembered(session, call.rid)) {
            call.count = 1;
            bao_refuse(core,
                       &call,
                       BAOZI_CANCELLED,
                       bao_span_of(NULL, 0),
                       bao_span_of(NULL, 0));
        } else if (request == NULL) {
            call.count = new_run(session, &call);
            request_new(core, &call);
        } else {
            const uint64_t left = request->count - (call.rid - request->first);
            call.count = left < call.count ? (uint32_t)left : call.count;
            if (request->waiting) {
                request_waiting(core, &call, bao_waiter_of(request));
            } else if (BAO_PLANTED(REPEAT_IS_NEW) ||
                       (BAO_PLANTED(WINDOW_LOST) && core->epoch > 1) ||
                       !bao_answer_again(core, &call, bao_answer_of(request))) {
                bao_answer_renew(core, &call);
                request_new(core, &call);
            }
        }
        call.rid += call.count;
        call.from += call.count;
    }
}

static void request(struct bao_core *core, struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    const uint64_t count = bao_operation_requests(op);
    call->rid = op->rid;
    call->count = 1;
    if (op->rid == 0 || count > BAO_OPERATION_ITEMS_MAX ||
        op->rid > UINT64_MAX - count) {
        bao_refuse(core,
                   call,
                   BAOZI_BAD_REQUEST,
                   bao_span_of(NULL, 0),
                   BAO_LITERAL("request ids begin with 1, and an operation "
                               "has at most 1,024 of them"));
        return;
    }
    call->count = (uint32_t)count;
    const uint64_t last = op->rid + count - 1;
    if (last > call->session->seen) {
        call->session->seen = last;
    }
    if (op->rid > call->session->top && call->session->cancel_count == 0) {
        request_new(core, call);
        return;
    }
    request_known(core, *call);
}

static void operation(struct bao_core *core, const struct bao_command *command)
{
    const struct bao_operation *op = command->operation;
    BAO_ASSERT(op != NULL);
    BAO_ASSERT(command->peer != 0);
    struct bao_session *session = bao_session_at(core, command->peer);
    if (session != NULL && !session->connected) {
        session = NULL; /* its connection was said to be closed */
    }
    if (op->verb == BAO_VERB_HELLO) {
        bao_hello(core, command, session);
        return;
    }
    if (session == NULL || session->leaving) {
        bao_say_gone(core,
                     command->peer,
                     BAOZI_SESSION_GONE,
                     BAO_LITERAL("this connection has no session; say hello "
                                 "first"));
        return;
    }
    session->heard_us = core->now_us;
    struct bao_call call = {.operation = op,
                            .session = session,
                            .hold = command->hold,
                            .count = 1,
                            .verb = (uint16_t)op->verb};
    if (bao_has(op, BAO_BIT(RID))) {
        uint64_t required = 0;
        uint64_t optional = 0;
        uint64_t answer = 0;
        const bool known =
            bao_verb_keys(op->verb, &required, &optional, &answer) &&
            (required & BAO_BIT(RID)) != 0;
        if (known) {
            request(core, &call);
            return;
        }
    }
    (void)dispatch(core, &call);
}

/* --- step ------------------------------------------------------------------
 */

/* The first thing ever said: which start this is. */
static void start(struct bao_core *core)
{
    core->started = true;
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_EPOCH);
    fact->epoch = core->config.epoch;
    fact->token = core->config.first_n;
    bao_decide(core, fact);
    bao_session_restart(core);
}

static void begin(struct bao_core *core, uint64_t now_us)
{
    BAO_ASSERT(now_us >= core->now_us);
    core->now_us = now_us;
    core->budget = BAO_STEP_ITEMS_MAX;
    core->awake = false;
    bao_out_begin(core);
    if (!core->started) {
        start(core);
    }
    if (core->starved.count > 0 && !bao_memory_is_low(core)) {
        struct bao_link *link = bao_list_pop(&core->starved);
        for (; link != NULL; link = bao_list_pop(&core->starved)) {
            bao_line_touch(core, BAO_OF(link, struct bao_queue, starved));
        }
    }
}

static void drain(struct bao_core *core)
{
    core->draining = true;
    for (struct bao_queue *queue = core->names[0]; queue != NULL;
         queue = queue->next_name[0]) {
        if (queue->puts.count > 0 || queue->gets.count > 0) {
            bao_line_touch(core, queue);
        }
    }
}

void bao_core_step(struct bao_core *core,
                   uint64_t now_us,
                   const struct bao_command *command,
                   struct bao_out *out)
{
    struct bao_session *session = NULL;
    begin(core, now_us);
    switch (command->kind) {
    case BAO_COMMAND_OPERATION: operation(core, command); break;
    case BAO_COMMAND_PEER_CLOSED:
        session = bao_session_at(core, command->peer);
        if (session != NULL) {
            bao_session_closed(core, session);
        }
        break;
    case BAO_COMMAND_PROCESS_GONE:
        session = bao_session_at(core, command->peer);
        if (session != NULL) {
            session->connected = false;
            bao_session_die(core, session);
        }
        break;
    case BAO_COMMAND_DRAIN: drain(core); break;
    case BAO_COMMAND_WALL_JUMPED:
        BAO_MARK("the wall clock jumps");
        core->config.wall_offset_us = command->wall_offset_us;
        break;
    case BAO_COMMAND_PAYLOAD_LOST: bao_lost(core, &command->payload); break;
    case BAO_COMMAND_STORAGE_FAILED:
        core->failed = true;
        bao_session_fail(core);
        bao_out_end(core, out);
        return;
    }
    bao_tick_work(core);
    bao_line_serve(core);
    bao_out_end(core, out);
}

void bao_core_tick(struct bao_core *core, uint64_t now_us, struct bao_out *out)
{
    begin(core, now_us);
    bao_join_wake(core);
    bao_watch_wake(core);
    bao_line_serve(core);
    bao_tick_work(core);
    bao_tick_timers(core);
    bao_line_serve(core);
    bao_session_forget(core);
    bao_out_end(core, out);
}

uint64_t bao_core_deadline(const struct bao_core *core)
{
    if (core->awake || core->dirty.count > 0 || core->chores.count > 0 ||
        core->busy.count > 0) {
        return 0;
    }
    uint64_t at = BAO_NEVER;
    const struct bao_heap_entry *first = bao_heap_run_first(&core->timers);
    if (first != NULL) {
        at = first->key;
    }
    first = bao_heap_first(&core->wall);
    if (first != NULL) {
        const uint64_t now = bao_wall_us(core);
        const uint64_t due =
            first->key > now ? core->now_us + (first->key - now) : 0;
        at = due < at ? due : at;
    }
    if (core->starved.count > 0 && core->now_us + STARVED_US < at) {
        at = core->now_us + STARVED_US;
    }
    return at;
}

void bao_core_apply(struct bao_core *core, const struct bao_fact *fact)
{
    BAO_ASSERT(!core->started);
    if (fact->time_us > core->now_us) {
        core->now_us = fact->time_us;
    }
    bao_store_apply(core, fact);
    BAO_ASSERT(core->woken.count == 0);
}

void bao_core_epoch_floor(struct bao_core *core, uint64_t epoch)
{
    BAO_ASSERT(!core->started);
    core->epoch_floor = epoch;
}

void bao_core_recovered(struct bao_core *core,
                        uint64_t now_us,
                        int64_t wall_offset_us)
{
    BAO_ASSERT(!core->started);
    BAO_ASSERT(now_us >= core->now_us);
    core->now_us = now_us;
    core->opened_us = now_us;
    core->config.wall_offset_us = wall_offset_us;
    uint64_t last = core->epoch;
    last = last < core->epoch_floor ? core->epoch_floor : last;
    core->config.epoch = last + (BAO_PLANTED(EPOCH_KEPT) ? 0 : 1);
    core->awake = true;
}

uint64_t bao_core_now_us(const struct bao_core *core)
{
    return core->now_us;
}

void bao_core_log_room(struct bao_core *core,
                       uint64_t put_bytes,
                       uint64_t lease_bytes)
{
    core->log_room = put_bytes;
    core->log_lease_room = lease_bytes;
}

bool bao_core_log_was_short(struct bao_core *core)
{
    const bool was_short = core->log_short;
    core->log_short = false;
    return was_short;
}

uint64_t bao_core_waiting(const struct bao_core *core)
{
    return core->waiters.taken;
}

uint64_t bao_core_digest(const struct bao_core *core)
{
    return core->digest;
}

size_t bao_core_memory_used(const struct bao_core *core)
{
    return bao_arena_used(core->arena) - bao_memory_spared(core);
}

size_t bao_core_memory_left(const struct bao_core *core)
{
    const size_t left = bao_arena_capacity(core->arena) -
                        bao_arena_used(core->arena) + bao_memory_spared(core);
    const size_t records = core->resting * BAO_REST_RECORD_BYTES;
    return left > records ? left - records : 0;
}

struct bao_arena *bao_core_arena(const struct bao_core *core)
{
    return core->arena;
}

uint64_t bao_core_sessions(const struct bao_core *core)
{
    return core->live_sessions;
}

uint64_t bao_core_leases(const struct bao_core *core)
{
    return core->leases.taken;
}
