/*
 * journal.h - the order of the facts, and how safe each of them is.
 *
 * Every fact gets a position; positions grow by one. The loop writes once at
 * the end of a turn. Marks say how far the facts have come:
 *
 *   written    handed to the operating system: survives the broker's death
 *   synced     on the disk: survives a power cut
 *   committed  on most replicas
 *
 * This journal lives in memory: it promises the level `memory` and no more,
 * keeps no fact, and its marks move as soon as the turn is written. The log
 * on disk will stand behind the same functions.
 */
#ifndef BAO_JOURNAL_H
#define BAO_JOURNAL_H

#include "broker/core/fact.h"

struct bao_marks {
    uint64_t written;
    uint64_t synced;
    uint64_t committed;
};

struct bao_journal {
    uint64_t position; /* of the last fact; 0 = none yet */
    struct bao_marks marks;
};

void bao_journal_open(struct bao_journal *journal);

/* The strongest level that this journal gives. */
enum bao_level bao_journal_level(const struct bao_journal *journal);

/* Takes one fact and answers its position. */
uint64_t bao_journal_put(struct bao_journal *journal,
                         const struct bao_fact *fact);

/* The turn is over: writes what was put since. */
void bao_journal_write(struct bao_journal *journal);

/* How far it is; they only grow. */
struct bao_marks bao_journal_marks(const struct bao_journal *journal);

#endif
