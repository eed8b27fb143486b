/*
 * look.h - reading without changing: stat, list, peek, browse, sessions,
 * broker.
 */
#ifndef BAO_CORE_LOOK_H
#define BAO_CORE_LOOK_H

#include "broker/core/out.h"

void bao_stat(struct bao_core *core, const struct bao_call *call);
void bao_list_queues(struct bao_core *core, const struct bao_call *call);
void bao_peek(struct bao_core *core, const struct bao_call *call);
void bao_browse(struct bao_core *core, const struct bao_call *call);
void bao_sessions(struct bao_core *core, const struct bao_call *call);
void bao_broker(struct bao_core *core, const struct bao_call *call);
/* True if `part` is somewhere in `text`. */
bool bao_span_contains(struct bao_span text, struct bao_span part);

#endif
