/*
 * recover.c - see recover.h.
 */
#include "broker/recover.h"

#include <stdlib.h>

#include "broker/core/image.h"
#include "common/log.h"
#include "common/time.h"

#define LOOK_FACTS 4096u
#define SHOW_US    1000000u
#define LOST_FIRST 64u

static void show_progress(struct bao_recovery *recovery)
{
    const uint64_t now_us = bao_time_monotonic_us();
    if (now_us - recovery->shown_us < SHOW_US)
        return;
    recovery->shown_us = now_us;
    BAO_LOG(BAO_LOG_INFO,
            bao_event("recovering"),
            bao_number("facts", recovery->facts),
            bao_number("of_about", recovery->report->last_lsn));
}

static enum baozi_status refuse(struct bao_recovery *recovery,
                                const struct bao_log_record *record,
                                const char *why)
{
    struct bao_problem *problem = &recovery->report->problem;
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_IO};
    bao_problem_what(problem,
                     "record %llu of the log, at address %llu, is no fact "
                     "that this broker can apply",
                     (unsigned long long)record->lsn,
                     (unsigned long long)record->address);
    bao_problem_why(problem, "%s", why);
    bao_problem_remedy(problem,
                       "start the version of baozi that wrote it, or look at "
                       "it with `baozi log dump`");
    return BAOZI_BAD_VERSION;
}

static void refuse_checkpoint(struct bao_recovery *recovery, const char *why)
{
    struct bao_problem *problem = &recovery->report->problem;
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_IO};
    bao_problem_what(problem, "the checkpoint of the log cannot be taken");
    bao_problem_why(problem, "%s", why);
    bao_problem_remedy(problem,
                       "start the version of baozi that wrote it, or look at "
                       "it with `baozi log verify`");
}

static enum baozi_status refuse_memory(struct bao_recovery *recovery)
{
    struct bao_problem *problem = &recovery->report->problem;
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_CONFIGURATION};
    bao_problem_what(problem,
                     "the memory is too small for what the log has, after "
                     "%llu facts",
                     (unsigned long long)recovery->facts);
    bao_problem_why(problem, "two fifths of --memory-limit are for records");
    bao_problem_remedy(problem, "raise --memory-limit");
    return BAOZI_NO_MEMORY;
}

static enum baozi_status take_record(void *context,
                                     const struct bao_log_record *record)
{
    static struct bao_fact_room room;
    struct bao_recovery *recovery = context;
    struct bao_fact fact;
    const char *why = NULL;
    if (record->kind == BAO_RECORD_COPY) {
        bao_bodies_recover_copy(recovery->bodies,
                                record->index,
                                record->term != 0,
                                record->data,
                                record->address);
        return BAOZI_OK;
    }
    if (record->kind != BAO_RECORD_ENTRY)
        return BAOZI_OK;
    if (bao_fact_decode(record->data, &room, &fact, &why) != BAOZI_OK)
        return refuse(recovery, record, why);
    if (bao_core_memory_left(recovery->core) < BAO_CORE_APPLY_BYTES)
        return refuse_memory(recovery);
    bao_core_apply(recovery->core, &fact);
    bao_bodies_recover(recovery->bodies, &fact, record->data, record->address);
    recovery->last_index = record->index;
    recovery->facts++;
    recovery->bytes += record->data.bytes;
    if (recovery->facts % LOOK_FACTS == 0)
        show_progress(recovery);
    return BAOZI_OK;
}

/* A piece of the checkpoint. */
static enum baozi_status take_piece(void *context, struct bao_span piece)
{
    struct bao_recovery *recovery = context;
    const struct bao_span rest =
        bao_span_of(piece.data + 1, piece.bytes > 0 ? piece.bytes - 1 : 0);
    const char *why = "a piece of a kind that this version does not know";
    enum baozi_status status = BAOZI_BAD_VERSION;
    recovery->imaged = true;
    if (piece.bytes > 0 && piece.data[0] == BAO_PIECE_CORE) {
        status = bao_image_load(recovery->core, rest, &why);
    } else if (piece.bytes > 0 && piece.data[0] == BAO_PIECE_BODIES) {
        why = "an address of a payload is damaged";
        status = bao_bodies_image_load(recovery->bodies, rest)
                     ? BAOZI_OK
                     : BAOZI_BAD_REQUEST;
    }
    if (status == BAOZI_NO_MEMORY)
        return refuse_memory(recovery);
    if (status != BAOZI_OK)
        refuse_checkpoint(recovery, why);
    return status;
}

static enum baozi_status load_checkpoint(struct bao_recovery *recovery)
{
    const char *why = NULL;
    enum baozi_status status = bao_log_checkpoint_load(
        recovery->log, take_piece, recovery, recovery->report);
    if (status != BAOZI_OK || !recovery->imaged)
        return status;
    recovery->last_index = recovery->report->checkpoint_index;
    status = bao_image_loaded(recovery->core, &why);
    if (status == BAOZI_NO_MEMORY)
        return refuse_memory(recovery);
    if (status != BAOZI_OK)
        refuse_checkpoint(recovery, why);
    return status;
}

/* --- what a repair left without bytes --- */

static void look_for(void *context, const struct bao_core_payload *payload)
{
    struct bao_recovery *recovery = context;
    if (recovery->lost_count == SIZE_MAX ||
        bao_bodies_recovered(recovery->bodies, recovery->log, payload))
        return;
    if (recovery->lost_count == recovery->lost_capacity) {
        const size_t capacity = 2 * recovery->lost_capacity + LOST_FIRST;
        struct bao_core_payload *grown =
            realloc(recovery->lost, capacity * sizeof *grown);
        if (grown == NULL) {
            recovery->lost_count = SIZE_MAX;
            return;
        }
        recovery->lost = grown;
        recovery->lost_capacity = capacity;
    }
    bao_bodies_lose(recovery->bodies, payload->id);
    recovery->lost[recovery->lost_count++] = *payload;
}

/* False if memory ran out. */
static bool look_for_lost(struct bao_recovery *recovery)
{
    if (recovery->report->epoch_floor == 0)
        return true; /* it was never repaired */
    bao_core_payloads(recovery->core, look_for, recovery);
    return recovery->lost_count != SIZE_MAX;
}

enum baozi_status bao_recover(struct bao_recovery *recovery)
{
    recovery->shown_us = bao_time_monotonic_us();
    enum baozi_status status = load_checkpoint(recovery);
    if (status == BAOZI_OK)
        status = bao_log_replay(
            recovery->log, take_record, recovery, recovery->report);
    if (status != BAOZI_OK)
        return status;
    bao_core_epoch_floor(recovery->core, recovery->report->epoch_floor);
    if (!look_for_lost(recovery))
        return refuse_memory(recovery);
    if (bao_bodies_count_live(recovery->bodies, recovery->log))
        return BAOZI_OK;
    struct bao_problem *problem = &recovery->report->problem;
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_IO};
    bao_problem_what(problem, "an item in the log has no payload");
    bao_problem_why(problem, "its record is there, the one with its bytes not");
    bao_problem_remedy(problem,
                       "look at it with `baozi log verify`, or restore a "
                       "backup");
    return BAOZI_STORAGE_FAILED;
}
