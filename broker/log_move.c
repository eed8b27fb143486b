/*
 * log_move.c - compaction: live payloads leave segments that are mostly dead.
 *
 * A victim is a closed segment whose records both checkpoints hold and of
 * which less than half is live, the emptiest first. Its records are handed to
 * the owner, who appends a COPY for each payload that still lives there; then
 * nothing in it is live, and it goes (log_segment.c).
 *
 * The budget: a tenth of what is appended, and some with time; as much again
 * as is appended, and more, when the disk holds over twice of what is live.
 * Emptying a segment frees at least as much as it copies, so that keeps up.
 */
#include <stdlib.h>

#include "broker/log_walk.h"
#include "common/check.h"

#define SLICE_BYTES   (256u * 1024u) /* read or copied in one turn */
#define CREDIT_MAX    (8u * 1024u * 1024u)
#define IDLE_RATE     4u /* bytes a microsecond, by time alone */
#define PICK_US       10000u
#define QUIET_SEGMENT 2u /* over twice the live, before it hurries */

struct bao_log_mover {
    struct bao_log_walk walk;
    struct bao_log_segment *victim;
    uint64_t credit;     /* bytes that may be read or copied */
    uint64_t seen_bytes; /* stats.bytes when credit was given */
    uint64_t seen_us;
    uint64_t pick_us; /* when to look for a victim again */
};

enum baozi_status bao_log_move_open(struct bao_log *log)
{
    log->mover = calloc(1, sizeof *log->mover);
    if (log->mover == NULL)
        return BAOZI_NO_MEMORY;
    bao_log_walk_open(&log->mover->walk, log);
    return BAOZI_OK;
}

void bao_log_move_fini(struct bao_log *log)
{
    if (log->mover == NULL)
        return;
    bao_log_walk_fini(&log->mover->walk);
    free(log->mover);
}

/* --- whom and how fast --- */

static bool is_victim(const struct bao_log *log,
                      const struct bao_log_segment *segment)
{
    return segment->state == BAO_LOG_SEGMENT_CLOSED && !segment->moved &&
           segment->live_bytes > 0 &&
           segment->last_lsn < bao_log_keep_lsn(log) &&
           (uint64_t)segment->live_bytes * 2 < bao_log_segment_worth(segment);
}

static struct bao_log_segment *pick(const struct bao_log *log)
{
    struct bao_log_segment *best = NULL;
    uint64_t keep_lsn = bao_log_keep_lsn(log);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        struct bao_log_segment *segment = log->segments[i];
        if (segment->last_lsn >= keep_lsn)
            break;
        if (is_victim(log, segment) &&
            (best == NULL || segment->live_bytes < best->live_bytes))
            best = segment;
    }
    /* All of it must find room, or nothing is won. A whole file is soon back
     * in the reserve. */
    bool whole = best != NULL && best->file_bytes == log->stride_bytes;
    uint64_t room = whole ? bao_log_room(log, BAO_LOG_FOR_LEASES)
                          : bao_log_room(log, BAO_LOG_FOR_PUTS) / 2;
    if (best != NULL &&
        room < (uint64_t)best->live_bytes + log->stride_bytes / 4)
        return NULL;
    return best;
}

/* True if the disk holds much more than what is live. */
static bool is_urgent(const struct bao_log *log)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (log->segments[i]->state == BAO_LOG_SEGMENT_CLOSED)
            used += log->segments[i]->file_bytes;
    }
    return used > 2 * log->stats.live_bytes +
                      (uint64_t)QUIET_SEGMENT * log->stride_bytes;
}

static void give_credit(struct bao_log *log, bool urgent)
{
    struct bao_log_mover *mover = log->mover;
    uint64_t appended = log->stats.bytes - mover->seen_bytes;
    uint64_t elapsed_us = log->now_us - mover->seen_us;
    if (elapsed_us > CREDIT_MAX / IDLE_RATE)
        elapsed_us = CREDIT_MAX / IDLE_RATE;
    mover->credit += urgent ? 3 * appended : appended / 10;
    mover->credit += elapsed_us * IDLE_RATE;
    if (mover->credit > CREDIT_MAX)
        mover->credit = CREDIT_MAX;
    mover->seen_bytes = log->stats.bytes;
    mover->seen_us = log->now_us;
}

/* --- moving --- */

/* One step; false if there is nothing more to do now. */
static bool move_record(struct bao_log *log, uint64_t *spent)
{
    struct bao_log_mover *mover = log->mover;
    struct bao_log_record record;
    uint64_t before = log->stats.bytes;
    switch (bao_log_walk_next(&mover->walk, &record)) {
    case BAO_LOG_STEP_RECORD: break;
    case BAO_LOG_STEP_WAIT: return false;
    case BAO_LOG_STEP_END:
    case BAO_LOG_STEP_DAMAGED:
        mover->victim->moved = true;
        mover->victim = NULL;
        return false;
    }
    if (record.kind == BAO_RECORD_ENTRY || record.kind == BAO_RECORD_COPY)
        log->owner.move(log->owner.context, &record);
    log->stats.moved_bytes += log->stats.bytes - before;
    *spent += log->stats.bytes - before + bao_record_bytes(record.data.bytes);
    return !log->failed;
}

void bao_log_move_turn(struct bao_log *log)
{
    struct bao_log_mover *mover = log->mover;
    uint64_t spent = 0;
    if (log->owner.move == NULL)
        return;
    if (mover->victim == NULL) {
        if (log->now_us < mover->pick_us)
            return;
        mover->pick_us = log->now_us + PICK_US;
        mover->victim = pick(log);
        if (mover->victim == NULL)
            return;
        mover->seen_bytes = log->stats.bytes;
        bao_log_walk_begin(&mover->walk, mover->victim);
    }
    give_credit(log, is_urgent(log));
    uint64_t slice = mover->credit < SLICE_BYTES ? mover->credit : SLICE_BYTES;
    while (spent < slice && move_record(log, &spent))
        continue;
    mover->credit -= spent < mover->credit ? spent : mover->credit;
    /* What was copied is no reason to copy more. */
    mover->seen_bytes = log->stats.bytes;
    if (mover->victim == NULL)
        mover->pick_us = log->now_us; /* the next one at once */
}

uint64_t bao_log_move_deadline(const struct bao_log *log)
{
    const struct bao_log_mover *mover = log->mover;
    return mover->victim != NULL && !mover->walk.reading ? log->now_us + PICK_US
                                                         : UINT64_MAX;
}
