/*
 * admin.c - declare, configure, pause, resume, reopen.
 *
 * Options are always complete in a queue; `present` of a request says which
 * of them are meant.
 */
#include "broker/core/admin.h"

#include "broker/core/line.h"
#include "broker/core/memory.h"
#include "broker/core/shelf.h"
#include "broker/core/store.h"

#define X(number, NAME, field, fallback, max) BAO_OPTION_BIT(NAME) |
static const uint64_t all_options = BAO_OPTION_TABLE(X) 0;
#undef X

static bool
refuse(struct bao_core *core, const struct bao_call *call, struct bao_span why)
{
    struct bao_span name = call->operation->queue;
    if (name.bytes > BAO_QUEUE_NAME_BYTES_MAX) {
        name.bytes = 0;
    }
    bao_refuse(core, call, BAOZI_BAD_REQUEST, name, why);
    return false;
}

static bool name_is_good(struct bao_span name)
{
    if (name.bytes == 0 || name.bytes > BAO_QUEUE_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.bytes; i++) {
        const uint8_t byte = name.data[i];
        if (byte < 0x20 || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Lays the options that are set in `given` over `options`. False: refused. */
static bool overlay(struct bao_core *core,
                    const struct bao_call *call,
                    const struct bao_queue_options *given,
                    struct bao_queue_options *options)
{
    bool in_range = true;
    if (given != NULL) {
#define X(number, NAME, field, fallback, max)                   \
    if ((given->present & BAO_OPTION_BIT(NAME)) != 0) {         \
        in_range = in_range && given->field <= (uint64_t)(max); \
        options->field = given->field;                          \
    }
        BAO_OPTION_TABLE(X)
#undef X
    }
    if (!in_range) {
        return refuse(
            core, call, BAO_LITERAL("an option is larger than it may be"));
    }
    if (options->durability == BAO_LEVEL_DEFAULT) {
        options->durability = (uint64_t)core->config.level;
    }
    if (options->durability > (uint64_t)core->config.level) {
        BAO_MARK("a durability that this broker cannot give");
        return refuse(core,
                      call,
                      BAO_LITERAL("this broker cannot give that durability; "
                                  "start it with a data directory, or ask "
                                  "for less"));
    }
    options->present = all_options;
    return true;
}

/* True if what is set in `given` is what the queue has. */
static bool same_options(const struct bao_core *core,
                         const struct bao_queue_options *given,
                         const struct bao_queue_options *has)
{
    if (given == NULL) {
        return true;
    }
    struct bao_queue_options wanted = *given;
    if (wanted.durability == BAO_LEVEL_DEFAULT) {
        wanted.durability = (uint64_t)core->config.level;
    }
    bool same = true;
#define X(number, NAME, field, fallback, max)           \
    if ((wanted.present & BAO_OPTION_BIT(NAME)) != 0) { \
        same = same && wanted.field == has->field;      \
    }
    BAO_OPTION_TABLE(X)
#undef X
    return same;
}

static void answer_declare(struct bao_core *core,
                           const struct bao_call *call,
                           const struct bao_queue *queue,
                           uint64_t flags)
{
    struct bao_operation *op = bao_reply(
        core, call->session, queue, BAO_VERB_DECLARE, call->rid, BAOZI_OK);
    BAO_SET(op, ID, id, queue->incarnation);
    BAO_SET(op, FLAGS, flags, flags);
    BAO_SET(op, LEVEL, level, (uint64_t)queue->level);
    bao_reply_waits(core, flags != 0 ? BAO_WAIT_LEVEL : BAO_WAIT_SEEN);
}

static void declare_new(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    struct bao_queue_options *options =
        bao_scratch_take(core, sizeof(*options));
    *options = bao_queue_options_default();
    if (!overlay(core, call, op->options, options)) {
        return;
    }
    if (core->queue_count >= core->config.queues_max ||
        core->last_incarnation >= BAO_N_MASK >> 16 ||
        !bao_memory_admits(core)) {
        BAO_MARK("too many queues");
        bao_refuse(core,
                   call,
                   BAOZI_QUOTA,
                   op->queue,
                   BAO_LITERAL("the broker has as many queues as it may "
                               "have; delete some"));
        return;
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_QUEUE_MADE);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_DECLARE;
    fact->queue = core->last_incarnation + 1;
    fact->name = op->queue;
    fact->flags = BAO_FLAG_CREATED;
    fact->options = options;
    bao_decide(core, fact);
    answer_declare(core, call, core->last_queue, BAO_FLAG_CREATED);
}

void bao_declare(struct bao_core *core, const struct bao_call *call)
{
    const struct bao_operation *op = call->operation;
    if (!name_is_good(op->queue)) {
        (void)refuse(core,
                     call,
                     BAO_LITERAL("a queue name has 1 to 200 bytes and no "
                                 "control characters"));
        return;
    }
    const struct bao_queue *queue = bao_queue_named(core, op->queue);
    if (queue == NULL) {
        declare_new(core, call);
        return;
    }
    if (queue->deleting) {
        bao_refuse(core,
                   call,
                   BAOZI_EXISTS,
                   op->queue,
                   BAO_LITERAL("it is being deleted; declare it again "
                               "shortly"));
        return;
    }
    if (!same_options(core, op->options, &queue->options)) {
        bao_refuse(core,
                   call,
                   BAOZI_EXISTS,
                   op->queue,
                   BAO_LITERAL("it exists with other options; use them, or "
                               "change them with configure"));
        return;
    }
    answer_declare(core, call, queue, 0);
}

/* Says new options on behalf of a request, and answers it. */
static void set_options(struct bao_core *core,
                        const struct bao_call *call,
                        struct bao_queue *queue,
                        const struct bao_queue_options *options)
{
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_QUEUE_SET);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = call->verb;
    fact->queue = queue->incarnation;
    fact->options = options;
    bao_decide(core, fact);
    (void)bao_reply(
        core, call->session, queue, call->verb, call->rid, BAOZI_OK);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}

void bao_configure(struct bao_core *core, const struct bao_call *call)
{
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    struct bao_queue_options *options =
        bao_scratch_take(core, sizeof(*options));
    *options = queue->options;
    if (!overlay(core, call, call->operation->options, options)) {
        return;
    }
    if (options->kind != queue->options.kind && !bao_shelf_none(queue)) {
        (void)refuse(
            core, call, BAO_LITERAL("its kind changes only when it is empty"));
        return;
    }
    if (options->durability > BAO_LEVEL_MEMORY && !queue->logged &&
        queue->ledger.accepted > 0) {
        BAO_MARK("a used memory queue cannot become durable");
        (void)refuse(core,
                     call,
                     BAO_LITERAL("what it holds is in memory only; a queue "
                                 "becomes durable before its first put, or "
                                 "is deleted and declared anew"));
        return;
    }
    if (options->accounting != queue->options.accounting &&
        (queue->ledger.unfinished > 0 || queue->prepaid > 0)) {
        (void)refuse(core,
                     call,
                     BAO_LITERAL("its accounting changes only when nothing "
                                 "is unfinished"));
        return;
    }
    set_options(core, call, queue, options);
}

void bao_pause(struct bao_core *core, const struct bao_call *call)
{
    const uint64_t both = BAO_DIRECTION_IN | BAO_DIRECTION_OUT;
    const uint64_t directions = call->operation->state;
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    if (directions == 0 || directions > both) {
        (void)refuse(
            core, call, BAO_LITERAL("the direction is 1 in, 2 out or 3 both"));
        return;
    }
    struct bao_queue_options *options =
        bao_scratch_take(core, sizeof(*options));
    *options = queue->options;
    if (call->verb == BAO_VERB_PAUSE) {
        options->paused |= directions;
    } else {
        options->paused &= ~directions;
    }
    set_options(core, call, queue, options);
}

void bao_reopen(struct bao_core *core, const struct bao_call *call)
{
    struct bao_queue *queue = bao_line_queue(core, call);
    if (queue == NULL) {
        return;
    }
    struct bao_fact *fact = bao_fact_new(core, BAO_FACT_QUEUE_SHUT);
    fact->session = call->session->number;
    fact->rid = call->rid;
    fact->verb = BAO_VERB_REOPEN;
    fact->queue = queue->incarnation;
    fact->state = 0;
    bao_decide(core, fact);
    (void)bao_reply(
        core, call->session, queue, BAO_VERB_REOPEN, call->rid, BAOZI_OK);
    bao_reply_waits(core, BAO_WAIT_LEVEL);
}
