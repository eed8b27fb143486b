/*
 * journal.c - the journal in memory.
 *
 * Invariant: committed <= synced <= written <= position.
 */
#include "broker/journal.h"

#include "common/check.h"

void bao_journal_open(struct bao_journal *journal)
{
    *journal = (struct bao_journal){0};
}

enum bao_level bao_journal_level(const struct bao_journal *journal)
{
    BAO_ASSERT(journal->marks.written <= journal->position);
    return BAO_LEVEL_MEMORY;
}

uint64_t bao_journal_put(struct bao_journal *journal,
                         const struct bao_fact *fact)
{
    BAO_ASSERT(fact->kind != 0);
    return ++journal->position;
}

void bao_journal_write(struct bao_journal *journal)
{
    journal->marks = (struct bao_marks){
        .written = journal->position,
        .synced = journal->position,
        .committed = journal->position,
    };
}

struct bao_marks bao_journal_marks(const struct bao_journal *journal)
{
    return journal->marks;
}
