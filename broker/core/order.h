/*
 * order.h - which item is next, and which is dropped first.
 *
 * fifo and lifo need nothing but the tree of items: the lowest or highest
 * ready id. Priority queues have a heap by (priority, id) and, once they may
 * drop the oldest, a second one by (least urgent, id).
 */
#ifndef BAO_CORE_ORDER_H
#define BAO_CORE_ORDER_H

#include "broker/core/shelf.h"

/* The item that get hands out next, to look at: its record, or *room filled
 * in like one; or NULL. */
const struct bao_item *bao_order_peek(const struct bao_queue *queue,
                                      struct bao_item *room);
/* Its record, since it is leased or settled in this step. */
struct bao_item *bao_order_first(struct bao_core *core,
                                 struct bao_queue *queue);
/* Takes the next item after `before` (NULL: the first) out of the order; the
 * fact that leases it must follow in this step, or bao_order_untake(). */
struct bao_item *bao_order_take(struct bao_core *core,
                                struct bao_queue *queue,
                                const struct bao_item *before);
/* It is not leased after all, and may rest again. */
void bao_order_untake(struct bao_core *core,
                      struct bao_queue *queue,
                      struct bao_item *item);
/* The ready item that drop_oldest gives up first, or NULL. */
struct bao_item *bao_order_worst(struct bao_core *core,
                                 struct bao_queue *queue);
/* A ready item comes in or leaves. */
void bao_order_add(struct bao_core *core,
                   struct bao_queue *queue,
                   struct bao_item *item);
void bao_order_remove(struct bao_queue *queue, struct bao_item *item);
/* Builds the second heap if the options need it; uses up core->budget. True
 * when bao_order_worst() may be asked. */
bool bao_order_index(struct bao_core *core, struct bao_queue *queue);

/* The first item in a state of the mask, from n on, or NULL. */
struct bao_item *bao_order_from(struct bao_core *core,
                                struct bao_queue *queue,
                                unsigned states,
                                uint64_t n);
/* The same, to look at. */
const struct bao_item *bao_order_look(const struct bao_queue *queue,
                                      unsigned states,
                                      uint64_t n,
                                      struct bao_item *room);

/* Bit of a state in a tree's colour mask. */
#define BAO_COLOUR(STATE) (1u << (BAO_STATE_##STATE - 1))
#define BAO_COLOURS_UNSETTLED                                       \
    (BAO_COLOUR(READY) | BAO_COLOUR(DELAYED) | BAO_COLOUR(LEASED) | \
     BAO_COLOUR(TAKEN))

#endif
