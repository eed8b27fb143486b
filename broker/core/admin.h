/*
 * admin.h - queues and their options; the long work on whole queues.
 */
#ifndef BAO_CORE_ADMIN_H
#define BAO_CORE_ADMIN_H

#include "broker/core/out.h"

void bao_declare(struct bao_core *core, const struct bao_call *call);
void bao_configure(struct bao_core *core, const struct bao_call *call);
void bao_pause(struct bao_core *core, const struct bao_call *call);
void bao_reopen(struct bao_core *core, const struct bao_call *call);
void bao_delete(struct bao_core *core, const struct bao_call *call);
void bao_purge(struct bao_core *core, const struct bao_call *call);
void bao_shutdown(struct bao_core *core, const struct bao_call *call);
void bao_redrive(struct bao_core *core, const struct bao_call *call);

/* A slice of long work, as far as the step's budget goes; the chore may end
 * in it. */
void bao_chore_run(struct bao_core *core, struct bao_chore *chore);
/* A redrive with a rate may go on. */
void bao_chore_due(struct bao_core *core, struct bao_chore *chore);
/* A long work for this call; NULL: it was refused. */
struct bao_chore *bao_chore_new(struct bao_core *core,
                                const struct bao_call *call,
                                enum bao_chore_kind kind,
                                struct bao_queue *queue);
/* Answers `status` with the number moved, kept until acknowledged, and ends
 * the chore. */
void bao_chore_end(struct bao_core *core,
                   struct bao_chore *chore,
                   enum baozi_status status);
/* A slice of a redrive; true when it is finished. */
bool bao_redrive_run(struct bao_core *core,
                     struct bao_chore *chore,
                     enum baozi_status *status);

#endif
