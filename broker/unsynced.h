/*
 * unsynced.h - how far the log must be synced for what a queue shows.
 *
 * Most queues have nothing in flight; those that have are listed here with
 * the position of their last fact, and of the puts among them: an item may be
 * handed out when its own put is on the disk, whatever came later. Ids of a
 * queue grow with positions, so a put is found by its id; one entry stands
 * for all puts of a turn, which are synced together.
 *
 * When memory runs out it forgets single queues and says of all of them that
 * the last position counts, which is never too early.
 */
#ifndef BAO_UNSYNCED_H
#define BAO_UNSYNCED_H

#include "broker/core/fact.h"
#include "common/arena.h"
#include "common/list.h"
#include "common/table.h"

struct bao_unsynced {
    struct bao_arena *arena; /* lent */
    struct bao_table queues;
    struct bao_list order; /* by last position */
    uint64_t all;          /* for every queue, until then; 0 = none */
};

/* False if memory ran out. */
bool bao_unsynced_open(struct bao_unsynced *unsynced, struct bao_arena *arena);

/* A fact, of a queue, has `position`. Those above `written` are of the turn
 * that is not over. */
void bao_unsynced_note(struct bao_unsynced *unsynced,
                       uint64_t position,
                       const struct bao_fact *fact,
                       uint64_t written);

/* Everything up to `synced` is on the disk. */
void bao_unsynced_passed(struct bao_unsynced *unsynced, uint64_t synced);

/* The position that all of the queue's facts have when it is synced, or that
 * the put of item `id` has; 0 = it is synced. */
uint64_t bao_unsynced_last(const struct bao_unsynced *unsynced,
                           uint64_t incarnation);
uint64_t bao_unsynced_put(const struct bao_unsynced *unsynced, uint64_t id);

/* The position of the fact that made the queue; 0 = it is synced, or was. Who
 * was told an id of a queue that a power cut unmakes would find another item
 * under it, for the next queue has its incarnation. */
uint64_t bao_unsynced_made(const struct bao_unsynced *unsynced,
                           uint64_t incarnation);

#endif
