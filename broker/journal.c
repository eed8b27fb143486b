/*
 * journal.c - both flavours of journal.h.
 *
 * Invariant: committed <= synced <= written <= position.
 */
#include "broker/journal.h"

#include <stdlib.h>

#include "common/check.h"

#define SPANS_MAX    (BAO_OPERATION_ITEMS_MAX + 1u)
#define DEATHS_FIRST 1024u

void bao_journal_open(struct bao_journal *journal)
{
    *journal = (struct bao_journal){0};
}

enum baozi_status bao_journal_open_log(struct bao_journal *journal,
                                       struct bao_log *log,
                                       struct bao_arena *arena,
                                       uint64_t index)
{
    const uint64_t last = bao_log_last(log);
    *journal = (struct bao_journal){
        .log = log,
        .arena = arena,
        .index = index,
        .position = last,
        .marks = {.written = last, .synced = last, .committed = last},
        .code = malloc(BAO_FACT_CODE_MAX),
        .spans = calloc(SPANS_MAX, sizeof(struct bao_span)),
    };
    if (journal->code != NULL && journal->spans != NULL &&
        bao_unsynced_open(&journal->unsynced, arena))
        return BAOZI_OK;
    bao_journal_close(journal);
    return BAOZI_NO_MEMORY;
}

void bao_journal_close(struct bao_journal *journal)
{
    free(journal->code);
    free(journal->spans);
    free(journal->deaths);
    *journal = (struct bao_journal){0};
}

enum bao_level bao_journal_level(const struct bao_journal *journal)
{
    BAO_ASSERT(journal->marks.written <= journal->position);
    return journal->log != NULL ? BAO_LEVEL_DISK : BAO_LEVEL_MEMORY;
}

/* --- into the log --- */

static struct bao_log_place append(struct bao_journal *journal,
                                   const struct bao_log_entry *entry)
{
    struct bao_log_place place = {0};
    if (journal->failed)
        return place;
    if (bao_log_append(journal->log, entry, &place) != BAOZI_OK) {
        /* Admission keeps room for everything that must not be refused. */
        journal->failed = true;
        return (struct bao_log_place){0};
    }
    journal->position = place.lsn;
    return place;
}

static void live(struct bao_journal *journal, uint64_t address, int64_t bytes)
{
    if (address != 0)
        bao_log_live(journal->log, address, bytes);
}

/* Gathers one payload behind the code; neighbours become one span. */
static size_t gather(struct bao_journal *journal,
                     size_t count,
                     const struct bao_holds *holds,
                     const struct bao_body *body)
{
    struct bao_frame *frame;
    struct bao_span bytes = bao_holds_find(holds, body, &frame);
    struct bao_span *last = &journal->spans[count - 1];
    if (count > 1 && last->data + last->bytes == bytes.data) {
        last->bytes += bytes.bytes;
        return count;
    }
    journal->spans[count] = bytes;
    return count + 1;
}

uint64_t bao_journal_copy(struct bao_journal *journal,
                          uint64_t id,
                          bool result,
                          struct bao_span bytes)
{
    const struct bao_log_entry entry = {.kind = BAO_RECORD_COPY,
                                        .index = id,
                                        .term = result,
                                        .queue = id >> BAO_ID_SHIFT,
                                        .spans = &bytes,
                                        .span_count = 1};
    const uint64_t address = append(journal, &entry).address;
    live(journal, address, (int64_t)bytes.bytes);
    return address;
}

static uint64_t copy_apart(struct bao_journal *journal,
                           uint64_t id,
                           bool result,
                           const struct bao_holds *holds,
                           const struct bao_body *body)
{
    struct bao_frame *frame;
    return bao_journal_copy(
        journal, id, result, bao_holds_find(holds, body, &frame));
}

/* The body of an item, or with `i` = 0 of a settled one its result; NULL if
 * the log has nothing of it. */
static const struct bao_body *body_at(const struct bao_fact *fact, uint32_t i)
{
    if (fact->kind == BAO_FACT_ITEM_PUT)
        return bao_fact_has_body(fact, i) ? &fact->items[i].body : NULL;
    return i == 0 && bao_fact_has_result(fact) ? &fact->result : NULL;
}

static uint32_t bodies_of(const struct bao_fact *fact)
{
    if (fact->kind == BAO_FACT_ITEM_PUT)
        return fact->count;
    return bao_fact_has_result(fact) ? 1 : 0;
}

/* Gives the payloads of a fact that was appended their addresses. */
static void place_bodies(struct bao_journal *journal,
                         const struct bao_fact *fact,
                         const struct bao_holds *holds,
                         uint64_t address)
{
    const bool result = fact->kind != BAO_FACT_ITEM_PUT;
    for (uint32_t i = 0; i < bodies_of(fact); i++) {
        const struct bao_body *body = body_at(fact, i);
        journal->address[i] = 0;
        if (body == NULL || journal->failed)
            continue;
        if (bao_fact_body_is_apart(body)) {
            const uint64_t id = result ? fact->ids[0] : fact->first_id + i;
            journal->address[i] = copy_apart(journal, id, result, holds, body);
            continue;
        }
        journal->address[i] = address;
        live(journal, address, body->bytes);
        address += body->bytes;
    }
}

static void log_fact(struct bao_journal *journal,
                     const struct bao_fact *fact,
                     const struct bao_holds *holds)
{
    const size_t code_bytes = bao_fact_encode(fact, journal->code);
    size_t count = 1;
    journal->spans[0] = bao_span_of(journal->code, code_bytes);
    for (uint32_t i = 0; i < bodies_of(fact); i++) {
        const struct bao_body *body = body_at(fact, i);
        if (body != NULL && !bao_fact_body_is_apart(body))
            count = gather(journal, count, holds, body);
    }
    const struct bao_log_entry entry = {.kind = BAO_RECORD_ENTRY,
                                        .index = ++journal->index,
                                        .queue = fact->queue,
                                        .spans = journal->spans,
                                        .span_count = count};
    const struct bao_log_place place = append(journal, &entry);
    place_bodies(journal, fact, holds, place.address + code_bytes);
}

/* Nothing that came after a failure is ever safe. */
static uint64_t safe_at(const struct bao_journal *journal, uint64_t position)
{
    return journal->failed ? UINT64_MAX : position;
}

uint64_t bao_journal_put(struct bao_journal *journal,
                         const struct bao_fact *fact,
                         const struct bao_holds *holds)
{
    BAO_ASSERT(fact->kind != 0);
    if (journal->log == NULL)
        return ++journal->position;
    if (fact->unlogged) {
        for (uint32_t i = 0; i < bodies_of(fact); i++)
            journal->address[i] = 0;
        return journal->position;
    }
    log_fact(journal, fact, holds);
    if (fact->queue != 0 && !journal->failed)
        bao_unsynced_note(&journal->unsynced,
                          journal->position,
                          fact,
                          journal->marks.written);
    return safe_at(journal, journal->position);
}

/* --- what is dead --- */

static struct bao_journal_death *death_at(struct bao_journal *journal,
                                          uint32_t i)
{
    return &journal->deaths[(journal->death_first + i) &
                            (journal->death_capacity - 1)];
}

static bool deaths_grow(struct bao_journal *journal)
{
    const uint32_t capacity = journal->death_capacity == 0
                                  ? DEATHS_FIRST
                                  : 2 * journal->death_capacity;
    struct bao_journal_death *deaths = calloc(capacity, sizeof *deaths);
    if (deaths == NULL)
        return false;
    for (uint32_t i = 0; i < journal->death_count; i++)
        deaths[i] = *death_at(journal, i);
    free(journal->deaths);
    journal->deaths = deaths;
    journal->death_capacity = capacity;
    journal->death_first = 0;
    return true;
}

void bao_journal_drop(struct bao_journal *journal,
                      uint64_t address,
                      uint32_t bytes)
{
    if (journal->log == NULL || address == 0)
        return;
    if (journal->death_count == journal->death_capacity &&
        !deaths_grow(journal))
        return; /* it counts as live until the next start */
    *death_at(journal, journal->death_count++) = (struct bao_journal_death){
        .position = journal->position, .address = address, .bytes = bytes};
}

static void bury(struct bao_journal *journal)
{
    while (journal->death_count > 0) {
        const struct bao_journal_death *death = death_at(journal, 0);
        if (death->position > journal->marks.synced)
            return;
        live(journal, death->address, -(int64_t)death->bytes);
        journal->death_first++;
        journal->death_count--;
    }
}

/* --- turns --- */

static void look(struct bao_journal *journal)
{
    const struct bao_log_marks marks = bao_log_marks(journal->log);
    journal->failed = journal->failed || bao_log_failed(journal->log);
    journal->marks.written = marks.written;
    journal->marks.synced = marks.synced;
    journal->marks.committed = marks.synced;
    bao_unsynced_passed(&journal->unsynced, marks.synced);
    bury(journal);
}

void bao_journal_write(struct bao_journal *journal,
                       uint64_t now_us,
                       bool wanted)
{
    if (journal->log != NULL) {
        if (!journal->failed)
            bao_log_write(journal->log, now_us, !wanted);
        look(journal);
        return;
    }
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

bool bao_journal_failed(const struct bao_journal *journal)
{
    return journal->failed;
}

uint64_t bao_journal_last(const struct bao_journal *journal, uint64_t queue)
{
    if (journal->log == NULL || queue == 0)
        return 0;
    return safe_at(journal, bao_unsynced_last(&journal->unsynced, queue));
}

uint64_t bao_journal_put_of(const struct bao_journal *journal, uint64_t id)
{
    if (journal->log == NULL)
        return 0;
    return safe_at(journal, bao_unsynced_put(&journal->unsynced, id));
}

uint64_t bao_journal_made(const struct bao_journal *journal, uint64_t queue)
{
    if (journal->log == NULL || queue == 0)
        return 0;
    return safe_at(journal, bao_unsynced_made(&journal->unsynced, queue));
}
