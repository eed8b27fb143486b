/*
 * names.h - queues in order of name: a skip list, for LIST with a cursor.
 *
 * How high a queue stands follows from its incarnation, so that replay makes
 * the same list. Adding, removing and finding take O(log n) on average.
 */
#ifndef BAO_CORE_NAMES_H
#define BAO_CORE_NAMES_H

#include "broker/core/state.h"

void bao_names_add(struct bao_core *core, struct bao_queue *queue);
void bao_names_remove(struct bao_core *core, struct bao_queue *queue);

#endif
