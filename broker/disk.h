/*
 * disk.h - the data directory: opened, recovered, turned, closed.
 *
 * Holds what stands between the journal and the files: the folder with its
 * lock, the log, the threads that work for it. The broker opens it before the
 * core, recovers when core and bodies are there, and then the loop turns it:
 * a slice of a checkpoint a turn, when one is due.
 */
#ifndef BAO_DISK_H
#define BAO_DISK_H

#include "broker/gateway.h"
#include "broker/log.h"
#include "broker/log_threads.h"
#include "broker/storage.h"

struct bao_disk {
    struct bao_storage storage;
    struct bao_log_threads *threads;
    struct bao_log *log; /* NULL = there is no data directory */
    struct bao_log_report report;
    uint64_t last_index;         /* of the last fact that was recovered */
    uint64_t recovered_bytes;    /* of the facts behind the checkpoint */
    struct bao_journal *journal; /* lent, once it is served */
    struct bao_core *core;
    struct bao_bodies *bodies;
    struct bao_core_payload *lost; /* by a repair, until they were ended */
    size_t lost_count;
    bool locked;
    bool writing;           /* a checkpoint, in slices */
    bool dropped;           /* it cannot be completed */
    uint64_t checkpoint_us; /* when it began */
};

/* Locks the folder, making it if need be, and opens its log. With
 * `checkpoint_bytes` logged since the last image the next one is due (0: as
 * the log has it). False: it was said why; end with *exit_code. */
bool bao_disk_open(struct bao_disk *disk,
                   const char *folder,
                   uint64_t checkpoint_bytes,
                   int *exit_code);

/* Everything that the log has is applied to a fresh core and fresh bodies.
 * False as above. */
bool bao_disk_recover(struct bao_disk *disk,
                      struct bao_core *core,
                      struct bao_bodies *bodies,
                      int *exit_code);

/* From now on `journal` writes to it; all are lent. `arena` as in
 * bao_journal_open_log(). False as above. */
bool bao_disk_serve(struct bao_disk *disk,
                    struct bao_journal *journal,
                    struct bao_arena *arena,
                    size_t hot_bytes,
                    uint64_t now_us,
                    int *exit_code);

/* Behind the first tick of a start: what a repair left without its bytes ends,
 * and is told of. */
void bao_disk_end_lost(struct bao_disk *disk,
                       struct bao_gateway *gateway,
                       uint64_t now_us);

/* Waits until everything that was written is synced; false if it failed. A
 * start that had very much to replay writes a checkpoint first: a broker that
 * dies again and again would have more to replay each time. */
bool bao_disk_settle(struct bao_disk *disk, uint64_t now_us);

/* Begins a turn: what the core may put is from now on what the disk has room
 * for. Asks it at most every BAO_LOG_LOOK_US. */
void bao_disk_look(struct bao_disk *disk, uint64_t now_us);

/* Once a turn, before the journal is written: takes in what was synced, lets
 * the log tidy up, tells the core how much may still be put, and writes a
 * slice of a checkpoint. True if there is more to do at once. */
bool bao_disk_turn(struct bao_disk *disk, uint64_t now_us);
/* When that is due whatever happens; UINT64_MAX = never. */
uint64_t bao_disk_deadline(const struct bao_disk *disk);
/* Readable when it is due; -1 = there is none. */
int bao_disk_pollfd(const struct bao_disk *disk);

/* Writes what is left, syncs, unlocks; with `checkpoint` the next start has
 * nothing to replay. False if that failed. A disk that was never opened is
 * closed too. Core and bodies must still be there. */
bool bao_disk_close(struct bao_disk *disk, bool checkpoint, uint64_t now_us);

#endif
