/*
 * client_queue.c - declare, configure, pause and the like.
 */
#include "common/client_inside.h"

/* Public options are numbered as the protocol's keys, from 64 on. */
_Static_assert(BAOZI_OPTION_MAXSIZE + 64 == BAO_OPTION_MAXSIZE &&
                   BAOZI_OPTION_LEASE_MS + 64 == BAO_OPTION_LEASE &&
                   BAOZI_OPTION_TTL_MS + 64 == BAO_OPTION_TTL &&
                   BAOZI_OPTION_PAUSED + 64 == BAO_OPTION_PAUSED,
               "public options stand in the order of the protocol's");
_Static_assert((int)BAOZI_KIND_PRIORITY == (int)BAO_KIND_PRIORITY &&
                   (int)BAOZI_BOUND_TOTAL == (int)BAO_BOUND_TOTAL &&
                   (int)BAOZI_OVERFLOW_DROP_OLDEST ==
                       (int)BAO_OVERFLOW_DROP_OLDEST &&
                   (int)BAOZI_DURABILITY_QUORUM == (int)BAO_LEVEL_QUORUM &&
                   (int)BAOZI_STATE_PURGED == (int)BAO_STATE_PURGED &&
                   (int)BAOZI_SCOPE_UP_TO == (int)BAO_SCOPE_UP_TO &&
                   (int)BAOZI_ACCOUNTING_COUNT == (int)BAO_ACCOUNTING_COUNT,
               "public words have the protocol's numbers");

void baozi_queue_options_init(struct baozi_queue_options *options)
{
    *options = (struct baozi_queue_options){.size = sizeof *options};
}

void baozi_queue_option(struct baozi_queue_options *options,
                        enum baozi_queue_option option,
                        uint64_t value)
{
    if ((unsigned)option < 32) {
        options->set |= UINT64_C(1) << (unsigned)option;
        options->values[option] = value;
    }
}

/* NULL, or why not. */
static const char *to_wire(const struct baozi_queue_options *options,
                           struct bao_queue_options *wire)
{
    const uint64_t *values = options->values;
    *wire = bao_queue_options_default();
    wire->present = options->set;
#define X(number, NAME, field, fallback, max)                        \
    if ((options->set & (UINT64_C(1) << ((number)-64))) != 0) {      \
        if (values[(number)-64] > (max)) {                           \
            return "the option " #field " is larger than it may be"; \
        }                                                            \
        wire->field = values[(number)-64];                           \
    }
    BAO_OPTION_TABLE(X)
#undef X
    return NULL;
}

static enum baozi_status with_options(struct baozi *client,
                                      struct bao_call *call,
                                      const char *queue,
                                      const struct baozi_queue_options *options)
{
    struct bao_queue_options wire;
    const char *why = bao_check_queue(queue);
    if (why == NULL && options != NULL && options->set != 0) {
        why = to_wire(options, &wire);
        call->request.operation.options = &wire;
    }
    return why != NULL ? bao_client_refuse(client, call, why)
                       : bao_call_run(client, call, BAOZI_FOREVER);
}

enum baozi_status baozi_declare(struct baozi *client,
                                const char *queue,
                                const struct baozi_queue_options *options)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_DECLARE, "declare", queue);
    return with_options(client, &call, queue, options);
}

enum baozi_status baozi_configure(struct baozi *client,
                                  const char *queue,
                                  const struct baozi_queue_options *options)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_CONFIGURE, "configure", queue);
    return with_options(client, &call, queue, options);
}

/* A request that names a queue and has an answer without contents. */
static enum baozi_status
run(struct baozi *client, struct bao_call *call, const char *queue)
{
    const char *why = bao_check_queue(queue);
    return why != NULL ? bao_client_refuse(client, call, why)
                       : bao_call_run(client, call, BAOZI_FOREVER);
}

static enum baozi_status direct(struct baozi *client,
                                struct bao_call *call,
                                const char *queue,
                                int direction)
{
    if (direction < BAO_DIRECTION_IN ||
        direction > (BAO_DIRECTION_IN | BAO_DIRECTION_OUT)) {
        return bao_client_refuse(
            client, call, "a direction is 1 (in), 2 (out) or 3 (both)");
    }
    BAO_SET(&call->request.operation, STATE, state, (uint64_t)direction);
    return run(client, call, queue);
}

enum baozi_status
baozi_pause(struct baozi *client, const char *queue, int direction)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_PAUSE, "pause", queue);
    return direct(client, &call, queue, direction);
}

enum baozi_status
baozi_resume(struct baozi *client, const char *queue, int direction)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_RESUME, "resume", queue);
    return direct(client, &call, queue, direction);
}

static void take_purged(struct bao_engine *e,
                        struct bao_call *call,
                        const struct bao_operation *answer,
                        const struct bao_message *message)
{
    (void)e;
    (void)message;
    uint64_t *purged = call->result;
    if (purged != NULL && call->status == BAOZI_OK) {
        *purged = answer->purged;
    }
}

enum baozi_status
baozi_purge(struct baozi *client, const char *queue, int dead, uint64_t *purged)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_PURGE, "purge", queue);
    if (dead != 0) {
        BAO_SET(&call.request.operation, FLAGS, flags, BAO_FLAG_DEAD);
    }
    call.take = take_purged;
    call.result = purged;
    return run(client, &call, queue);
}

enum baozi_status
baozi_delete(struct baozi *client, const char *queue, int force)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_DELETE, "delete", queue);
    if (force != 0) {
        BAO_SET(&call.request.operation, FLAGS, flags, BAO_FLAG_FORCE);
    }
    return run(client, &call, queue);
}

enum baozi_status
baozi_shutdown(struct baozi *client, const char *queue, int immediate)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_SHUTDOWN, "shutdown", queue);
    if (immediate != 0) {
        BAO_SET(&call.request.operation, FLAGS, flags, BAO_FLAG_IMMEDIATE);
    }
    return run(client, &call, queue);
}

enum baozi_status baozi_reopen(struct baozi *client, const char *queue)
{
    struct bao_call call;
    bao_call_init(&call, BAO_VERB_REOPEN, "reopen", queue);
    return run(client, &call, queue);
}
