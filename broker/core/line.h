/*
 * line.h - the lines of waiting puts and gets, and when they move.
 *
 * Every fact that may let a line move marks its queue dirty; the end of each
 * step, and each tick, serves the dirty queues as far as the step's budget
 * goes.
 */
#ifndef BAO_CORE_LINE_H
#define BAO_CORE_LINE_H

#include "broker/core/out.h"

/* What follows from the fact just applied: dirty lines, joiners, watchers. */
void bao_line_after(struct bao_core *core);
/* The lines of a queue may move. */
void bao_line_touch(struct bao_core *core, struct bao_queue *queue);
/* Serves the dirty queues. */
void bao_line_serve(struct bao_core *core);

/* The queue that a call names, or NULL: then it was refused. */
struct bao_queue *bao_line_queue(struct bao_core *core,
                                 const struct bao_call *call);
/* True if the broker is going down: then the call was refused. */
bool bao_line_drains(struct bao_core *core, const struct bao_call *call);

#endif
