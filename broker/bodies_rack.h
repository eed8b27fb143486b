/*
 * bodies_rack.h - the trays of a queue, by key: the number of an item / 64.
 *
 * A few stand in place, so that a queue of a hundred items needs no tree; more
 * hang in one, some 9 bytes a tray. No other file than the bodies' includes
 * this.
 */
#ifndef BAO_BODIES_RACK_H
#define BAO_BODIES_RACK_H

#include "broker/bodies_tray.h"
#include "common/tree.h"

#define BAO_RACK_FEW 4u

struct bao_rack {
    struct bao_tree tree;                    /* empty while they are few */
    uint32_t count;                          /* of `few` */
    struct bao_tree_entry few[BAO_RACK_FEW]; /* keys grow */
};

void bao_rack_init(struct bao_rack *rack, struct bao_arena *arena);

/* NULL if there is none. */
struct bao_tray *bao_rack_find(const struct bao_rack *rack, uint64_t key);
/* The one of the smallest key >= `from`, and of the largest: its value is NULL
 * if there is none. */
struct bao_tree_entry bao_rack_first(const struct bao_rack *rack,
                                     uint64_t from);
struct bao_tree_entry bao_rack_last(const struct bao_rack *rack);

/* A key that is not there; it must not fail for want of memory. */
void bao_rack_put(struct bao_rack *rack, uint64_t key, struct bao_tray *tray);
/* A key that is there gets another tray, or with NULL goes. */
void bao_rack_replace(struct bao_rack *rack,
                      uint64_t key,
                      struct bao_tray *tray);

#endif
