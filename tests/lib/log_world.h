/*
 * log_world.h - a log on a lying disk, and an owner that knows what it wrote.
 *
 * Entries are numbered; what is in the n-th follows from n, so whatever comes
 * back from the disk can be judged alone. The owner counts which of them were
 * synced, and after each start checks the promise: all of those are there, in
 * order and unharmed, perhaps some more, and nothing else.
 */
#ifndef BAO_TESTS_LOG_WORLD_H
#define BAO_TESTS_LOG_WORLD_H

#include "broker/log.h"
#include "tests/lib/liar.h"

struct log_world {
    struct liar *liar; /* owned */
    struct bao_log_config config;
    struct bao_log *log; /* NULL while closed */
    struct bao_log_report report;
    struct bao_log_jobs *jobs; /* if they are slow */
    uint32_t laziness;         /* one in so many turns does slow jobs */
    uint32_t steps;            /* so many steps of each lane, then; 0: one */
    uint64_t now_us;
    uint64_t random;
    uint64_t next;      /* number of the next entry, from 1 */
    uint64_t safe;      /* the last one that is known to be synced */
    uint64_t bytes_max; /* of an entry */
    uint32_t large;     /* one in so many has more than 200 bytes; 0: 64 */
    uint64_t replayed;  /* the last number that the last start found */
    uint64_t loaded;    /* of these from the checkpoint: up to this one */
    uint64_t copies;    /* COPY records replayed */
    /* Where the ends of batches are: number and lsn, for `safe`. */
    uint64_t *lsns; /* of entry n at n - 1 */
    uint64_t lsn_room;
};

/* A new disk with this seed; segments of so many bytes. */
void log_world_init(struct log_world *world,
                    uint64_t seed,
                    uint64_t segment_bytes);
void log_world_fini(struct log_world *world);

/* Before it is opened: jobs take many turns, in each lane one step (take,
 * run, end) in about `laziness` turns. */
void log_world_slow(struct log_world *world, uint32_t laziness);

/* Opens, loads and replays, checks what comes, and serves. */
enum baozi_status log_world_open(struct log_world *world);
/* Appends `count` entries as one batch; false if the log refused one. */
bool log_world_put(struct log_world *world, uint64_t count);
/* The turn ends; time goes on by `us`, and what was synced is noted. */
void log_world_turn(struct log_world *world, uint64_t us);
/* Writes an image that covers all entries; false if it was given up. */
bool log_world_checkpoint(struct log_world *world);
/* Closes in order; dies; loses power. */
enum baozi_status log_world_close(struct log_world *world);
void log_world_kill(struct log_world *world);
void log_world_cut(struct log_world *world, enum liar_cut cut);

/* Another world with the same disk and knowledge; the log must be closed.
 * Jobs are not slow there. */
void log_world_copy(const struct log_world *world, struct log_world *copy);

uint64_t log_world_draw(struct log_world *world, uint64_t below);

/* Bytes of the entry `number`, and its filling. */
size_t log_entry_bytes(const struct log_world *world, uint64_t number);
void log_entry_fill(uint64_t number, uint8_t *data, size_t bytes);

#endif
