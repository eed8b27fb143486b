/*
 * line.c - what follows from facts, and the serving of dirty queues.
 *
 * Invariant: at the end of a step either no line of any queue can move, or
 * its queue is dirty and the next tick is due at once.
 */
#include "broker/core/line.h"

#include "broker/core/get.h"
#include "broker/core/join.h"
#include "broker/core/memory.h"
#include "broker/core/put.h"
#include "broker/core/store.h"
#include "broker/core/wait.h"

void bao_line_touch(struct bao_core *core, struct bao_queue *queue)
{
    if (!bao_link_is_listed(&queue->dirty)) {
        bao_list_push(&core->dirty, &queue->dirty);
    }
}

void bao_line_after(struct bao_core *core)
{
    struct bao_queue *queue = core->fact_queue;
    if (queue != NULL && (queue->puts.count > 0 || queue->gets.count > 0 ||
                          queue->up_to.count > 0)) {
        bao_line_touch(core, queue);
    }
    if (core->waking) {
        return;
    }
    core->waking = true;
    if (core->woken.count > 0) {
        bao_join_wake(core);
    }
    if (core->woken_watches.count > 0) {
        bao_watch_wake(core);
    }
    core->waking = false;
}

void bao_line_serve(struct bao_core *core)
{
    while (core->dirty.count > 0 && core->budget > 0 &&
           bao_out_has_room(core)) {
        struct bao_queue *queue =
            BAO_OF(bao_list_pop(&core->dirty), struct bao_queue, dirty);
        bao_join_serve(core, queue);
        bao_put_serve(core, queue);
        bao_get_serve(core, queue);
        if (core->budget == 0 || !bao_out_has_room(core)) {
            BAO_MARK("a line is served on in the next tick");
            bao_line_touch(core, queue);
        }
    }
    if (core->dirty.count > 0) {
        core->awake = true;
    }
}

struct bao_queue *bao_line_queue(struct bao_core *core,
                                 const struct bao_call *call)
{
    struct bao_queue *queue = bao_queue_named(core, call->operation->queue);
    if (queue != NULL && !queue->deleting) {
        return queue;
    }
    struct bao_span name = call->operation->queue;
    if (name.bytes > BAO_QUEUE_NAME_BYTES_MAX) {
        name.bytes = 0;
    }
    bao_refuse(core,
               call,
               BAOZI_NOT_FOUND,
               name,
               BAO_LITERAL("there is no such queue; declare it first"));
    return NULL;
}

bool bao_line_drains(struct bao_core *core, const struct bao_call *call)
{
    if (!core->draining) {
        return false;
    }
    bao_refuse(core,
               call,
               BAOZI_DRAINING,
               call->operation->queue,
               BAO_LITERAL("the broker is going down; try again when it is "
                           "back"));
    return true;
}
