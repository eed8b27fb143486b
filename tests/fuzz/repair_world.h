/*
 * repair_world.h - a durable broker on a lying disk, as small as one can be:
 * the core, the gateway, payloads and the log, and one client at its edge.
 *
 * It knows what it put: the n-th item has a size and bytes that follow from
 * n, so whatever comes back can be judged alone.
 */
#ifndef BAO_TESTS_FUZZ_REPAIR_WORLD_H
#define BAO_TESTS_FUZZ_REPAIR_WORLD_H

#include "broker/bodies.h"
#include "broker/disk.h"
#include "broker/gateway.h"
#include "tests/lib/liar.h"

enum { REPAIR_ITEMS = 96 };

struct repair_world {
    struct bao_edge edge; /* first: the fake edge */
    struct liar *liar;    /* owned */
    struct bao_core *core;
    struct bao_gateway *gateway;
    struct bao_journal journal;
    struct bao_disk disk;
    uint64_t now_us;
    uint64_t rid;
    unsigned starts;
    unsigned items;                   /* put so far */
    uint64_t ids[REPAIR_ITEMS + 1];   /* of the n-th, from 1 */
    bool cancelled[REPAIR_ITEMS + 1]; /* it need not be there */
};

/* A start on what the disk has. False if it is refused. */
bool repair_world_start(struct repair_world *world);
/* Closed in order, with a checkpoint; or killed. */
void repair_world_close(struct repair_world *world);
void repair_world_kill(struct repair_world *world);

/* Until a MARK and both manifests state all that was written. */
void repair_world_idle(struct repair_world *world);

/* The client puts the next item, or cancels one; a turn, all is synced. */
void repair_world_put(struct repair_world *world);
void repair_world_cancel(struct repair_world *world, unsigned n);

/* What the broker has for the n-th item. */
enum repair_found {
    REPAIR_ABSENT,
    REPAIR_WHOLE, /* the bytes that were put; others are asserted */
    REPAIR_DAMAGED
};
enum repair_found repair_world_look(struct repair_world *world, unsigned n);

#endif
