/*
 * journal.h - the order of the facts, and how safe each of them is.
 *
 * Every fact gets a position; positions grow. The loop writes once at the end
 * of a turn. Marks say how far the facts have come:
 *
 *   written    handed to the operating system: survives the broker's death
 *   synced     on the disk: survives a power cut
 *   committed  on most replicas; without replicas as far as synced
 *
 * There are two flavours behind these functions. In memory it promises the
 * level `memory` and no more, keeps no fact, and its marks move as soon as
 * the turn is written. Over a log (log.h) it promises `disk`: a position is
 * the log's number of a record, each fact is a record of group 0 whose index
 * grows by one, and payloads have an address there. A payload of
 * BAO_BIG_BYTES and more is a COPY record behind its fact, in one batch with
 * it.
 *
 * What follows a failure of the log is not written any more, its position is
 * UINT64_MAX, which no mark ever passes, and the marks stand still:
 * bao_journal_failed() is to be asked each turn.
 */
#ifndef BAO_JOURNAL_H
#define BAO_JOURNAL_H

#include "broker/fact_code.h"
#include "broker/hold.h"
#include "broker/log.h"
#include "broker/unsynced.h"

struct bao_marks {
    uint64_t written;
    uint64_t synced;
    uint64_t committed;
};

/* A payload that ended with the fact at `position`. */
struct bao_journal_death {
    uint64_t position;
    uint64_t address;
    uint32_t bytes;
};

struct bao_journal {
    uint64_t position; /* of the last fact; 0 = none yet */
    struct bao_marks marks;
    struct bao_log *log; /* lent; NULL = in memory. All below is the log's */
    uint64_t index;      /* of the last entry */
    bool failed;
    struct bao_arena *arena; /* lent */
    struct bao_unsynced unsynced;
    struct bao_journal_death *deaths; /* a ring, oldest first */
    uint32_t death_capacity;          /* a power of 2 */
    uint32_t death_first;
    uint32_t death_count;
    uint8_t *code;                             /* of the last fact */
    struct bao_span *spans;                    /* code and payloads */
    uint64_t address[BAO_OPERATION_ITEMS_MAX]; /* of the last fact's payloads,
                                                  0 = it has none */
};

/* In memory. */
void bao_journal_open(struct bao_journal *journal);

/* Over a log that takes appends; `index` is that of its last entry, `arena`
 * (lent) has room for what is in flight. OK | NO_MEMORY */
BAOZI_MUST_USE enum baozi_status
bao_journal_open_log(struct bao_journal *journal,
                     struct bao_log *log,
                     struct bao_arena *arena,
                     uint64_t index);
void bao_journal_close(struct bao_journal *journal);

/* The strongest level that this journal gives. */
enum bao_level bao_journal_level(const struct bao_journal *journal);

/*
 * Takes one fact, whose bodies lie in `holds`, and answers its position; that
 * of the fact before for one that no log has. journal->address says where its
 * payloads lie, in order of its items ([0] for a result).
 */
uint64_t bao_journal_put(struct bao_journal *journal,
                         const struct bao_fact *fact,
                         const struct bao_holds *holds);

/* Writes a payload once more, as a COPY; answers its new address, 0 if the
 * log failed. */
uint64_t bao_journal_copy(struct bao_journal *journal,
                          uint64_t id,
                          bool result,
                          struct bao_span bytes);

/* The payload at `address` ended with the last fact: its bytes are dead once
 * that is synced. */
void bao_journal_drop(struct bao_journal *journal,
                      uint64_t address,
                      uint32_t bytes);

/* The turn is over: writes what was put since. With `wanted` somebody waits
 * for it, or for something before it, to be synced. */
void bao_journal_write(struct bao_journal *journal,
                       uint64_t now_us,
                       bool wanted);

/* How far it is; they only grow. */
struct bao_marks bao_journal_marks(const struct bao_journal *journal);

bool bao_journal_failed(const struct bao_journal *journal);

/* The position that must be synced before what this queue shows may be told,
 * or before this item may be handed out; 0 = nothing is in flight. */
uint64_t bao_journal_last(const struct bao_journal *journal, uint64_t queue);
uint64_t bao_journal_put_of(const struct bao_journal *journal, uint64_t id);
/* Likewise before anything of the queue may be told that is less durable. */
uint64_t bao_journal_made(const struct bao_journal *journal, uint64_t queue);

#endif
