/*
 * recover.h - a start from the log: the core and the bodies as they were.
 *
 * Facts are applied in order; payloads stay where they are, only their
 * addresses are taken. When it is done the journal goes on behind the last
 * record, the core begins the next epoch, and that is on the disk before
 * anybody is answered.
 *
 * A repair may have cut off the ends of items whose bytes went because of
 * them. Such payloads are named, and the core ends their items once it may
 * say facts (BAO_COMMAND_PAYLOAD_LOST).
 */
#ifndef BAO_RECOVER_H
#define BAO_RECOVER_H

#include "broker/bodies.h"
#include "broker/core/core.h"
#include "broker/core/image.h"
#include "broker/log.h"
#include "common/disk_payload.h"

struct bao_recovery {
    struct bao_log *log; /* all lent */
    struct bao_core *core;
    struct bao_bodies *bodies;
    bool imaged;                   /* a checkpoint was taken */
    struct bao_log_report *report; /* of bao_log_open(); goes on being filled */
    uint64_t facts;                /* applied */
    uint64_t bytes;                /* of them, payloads included */
    uint64_t last_index;           /* of the last one */
    uint64_t shown_us;             /* when progress was last logged */
    struct bao_core_payload *lost; /* after a repair: what has no bytes; owned
                                      by whoever recovers */
    size_t lost_count;
    size_t lost_capacity;
};

/*
 * Replays everything. OK, else report->problem says what, why and what to do:
 *
 * STORAGE_FAILED  damage, or a disk that cannot be read
 * BAD_VERSION     facts of a newer version
 * NO_MEMORY       the core is too small for them
 */
BAOZI_MUST_USE enum baozi_status bao_recover(struct bao_recovery *recovery);

#endif
