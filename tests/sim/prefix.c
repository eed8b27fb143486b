/*
 * prefix.c - the digest after each fact of a durable run, and two floors.
 */
#include "tests/sim/prefix.h"

#include <stdlib.h>

#include "broker/journal.h"

/* The position of the journal at the end of a turn, and its index then. */
struct mark {
    uint64_t position;
    uint64_t index;
};

struct sim_prefix {
    uint64_t *digests; /* after fact i, at i; of none at 0 */
    uint64_t count;    /* facts */
    uint64_t capacity;
    struct mark *marks;
    size_t mark_first, mark_count, mark_capacity;
    uint64_t synced;  /* facts that the journal called synced */
    uint64_t written; /* and written */
    uint64_t least;   /* that the next start must find */
    bool begun;
};

static void *grown(void *old, uint64_t *capacity, size_t bytes)
{
    *capacity = *capacity == 0 ? 1024 : *capacity * 2;
    void *made = realloc(old, *capacity * bytes);
    if (made == NULL) {
        abort();
    }
    return made;
}

void prefix_open(struct sim *sim)
{
    sim->prefix = calloc(1, sizeof *sim->prefix);
    if (sim->prefix == NULL) {
        abort();
    }
}

void prefix_close(struct sim *sim)
{
    if (sim->prefix != NULL) {
        free(sim->prefix->digests);
        free(sim->prefix->marks);
        free(sim->prefix);
        sim->prefix = NULL;
    }
}

static void put_digest(struct sim_prefix *prefix, uint64_t digest)
{
    if (prefix->count >= prefix->capacity) {
        prefix->digests =
            grown(prefix->digests, &prefix->capacity, sizeof *prefix->digests);
    }
    prefix->digests[prefix->count] = digest;
}

void prefix_fact(struct sim *sim, uint64_t digest)
{
    sim->prefix->count++;
    put_digest(sim->prefix, digest);
}

static void add_mark(struct sim_prefix *prefix, const struct mark *mark)
{
    if (prefix->mark_count == prefix->mark_capacity) {
        uint64_t capacity = prefix->mark_capacity;
        prefix->marks = grown(prefix->marks, &capacity, sizeof *prefix->marks);
        prefix->mark_capacity = (size_t)capacity;
    }
    prefix->marks[prefix->mark_count++] = *mark;
}

void prefix_turn(struct sim *sim, const struct bao_journal *journal)
{
    struct sim_prefix *prefix = sim->prefix;
    struct bao_marks safe = bao_journal_marks(journal);
    if (journal->index != prefix->count) {
        sim_fail(sim,
                 "%llu facts, but the journal has %llu",
                 (unsigned long long)prefix->count,
                 (unsigned long long)journal->index);
    }
    if (!journal->failed) { /* else the last facts have no position */
        add_mark(prefix, &(struct mark){journal->position, journal->index});
    }
    if (!journal->failed && safe.written >= journal->position) {
        prefix->written = journal->index;
    }
    while (prefix->mark_first < prefix->mark_count &&
           prefix->marks[prefix->mark_first].position <= safe.synced) {
        prefix->synced = prefix->marks[prefix->mark_first++].index;
    }
}

void prefix_ended(struct sim *sim, bool written)
{
    struct sim_prefix *prefix = sim->prefix;
    if (!written) {
        prefix->written = prefix->synced;
    }
    prefix->least =
        prefix->written > prefix->synced ? prefix->written : prefix->synced;
}

void prefix_found(struct sim *sim, uint64_t index, uint64_t digest)
{
    struct sim_prefix *prefix = sim->prefix;
    if (!prefix->begun) {
        put_digest(prefix, digest);
        prefix->begun = true;
    }
    if (index > prefix->count || index < prefix->least) {
        sim_fail(sim,
                 "a start finds %llu facts; it must be %llu to %llu",
                 (unsigned long long)index,
                 (unsigned long long)prefix->least,
                 (unsigned long long)prefix->count);
    }
    if (prefix->digests[index] != digest) {
        sim_fail(sim,
                 "a start finds %llu facts, but not what they said",
                 (unsigned long long)index);
    }
    sim_say(sim,
            SIM_BROKER,
            '=',
            "finds %llu of %llu facts",
            (unsigned long long)index,
            (unsigned long long)prefix->count);
    prefix->count = index;
    prefix->synced = index;
    prefix->written = index;
    prefix->least = index;
    prefix->mark_first = 0;
    prefix->mark_count = 0;
}
