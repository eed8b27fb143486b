/*
 * disk.c - see disk.h.
 */
#include "broker/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/image.h"
#include "broker/recover.h"
#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "common/time.h"

#define PROGRAM        "baozi-broker"
#define MUCH_TO_REPLAY (UINT64_C(2) * BAO_LOG_SEGMENT_BYTES)
#define SETTLE_MS      1
#define SLICE_RECORDS  2048u /* of a checkpoint, a turn */
#define LOST_AT_ONCE   1024u

static bool refuse(const struct bao_problem *problem, int *exit_code)
{
    *exit_code = bao_problem_print(problem, PROGRAM);
    return false;
}

bool bao_disk_open(struct bao_disk *disk,
                   const char *folder,
                   uint64_t checkpoint_bytes,
                   int *exit_code)
{
    struct bao_problem problem;
    if (bao_storage_open(folder, &disk->storage, &problem) != BAOZI_OK)
        return refuse(&problem, exit_code);
    disk->locked = true;
    if (bao_log_threads_open(&disk->threads) != BAOZI_OK) {
        *exit_code = bao_complain_errno(
            PROGRAM, BAO_EXIT_IO, "cannot start the log's threads", errno);
        return false;
    }
    struct bao_log_config config = {.storage = &disk->storage,
                                    .folder = folder,
                                    .executor =
                                        bao_log_threads_executor(disk->threads),
                                    .checkpoint_bytes = checkpoint_bytes,
                                    .seed = bao_random_number()};
    if (bao_log_open(&config, &disk->log, &disk->report) != BAOZI_OK) {
        disk->log = NULL;
        return refuse(&disk->report.problem, exit_code);
    }
    if (bao_log_record_bytes_max(disk->log) >=
        BAO_ITEM_BYTES_MAX + BAO_ITEM_HEADER_BYTES_MAX)
        return true;
    *exit_code = bao_complain(PROGRAM,
                              BAO_EXIT_CONFIGURATION,
                              "the segments of this data directory are too "
                              "small",
                              "an item of 32 MiB does not fit into one",
                              "begin a new data directory");
    return false;
}

static void say_recovered(const struct bao_disk *disk,
                          const struct bao_recovery *recovery,
                          uint64_t begin_us)
{
    const struct bao_log_report *report = &disk->report;
    BAO_LOG(BAO_LOG_INFO,
            bao_event("recovered"),
            bao_number("facts", recovery->facts),
            bao_number("payloads", bao_bodies_count(disk->bodies)),
            bao_number("ms", (bao_time_monotonic_us() - begin_us) / 1000));
    if (report->torn_bytes > 0)
        BAO_LOG(BAO_LOG_WARNING,
                bao_event("torn_tail"),
                bao_number("bytes", report->torn_bytes),
                bao_number("records", report->torn_records),
                bao_text("meaning",
                         "written when the broker or the machine died, never "
                         "confirmed as synced; cut"));
}

bool bao_disk_recover(struct bao_disk *disk,
                      struct bao_core *core,
                      struct bao_bodies *bodies,
                      int *exit_code)
{
    const uint64_t begin_us = bao_time_monotonic_us();
    struct bao_recovery recovery = {.log = disk->log,
                                    .core = core,
                                    .bodies = bodies,
                                    .report = &disk->report,
                                    .last_index =
                                        disk->report.checkpoint_index};
    disk->core = core;
    disk->bodies = bodies;
    const bool good = bao_recover(&recovery) == BAOZI_OK;
    disk->lost = recovery.lost;
    disk->lost_count = recovery.lost_count;
    if (!good)
        return refuse(&disk->report.problem, exit_code);
    disk->last_index = recovery.last_index;
    disk->recovered_bytes = recovery.bytes;
    if (!disk->report.fresh)
        say_recovered(disk, &recovery, begin_us);
    return true;
}

static void move(void *context, const struct bao_log_record *record)
{
    struct bao_disk *disk = context;
    bao_bodies_move(disk->bodies, record);
}

static void damaged(void *context, const struct bao_log_report *report)
{
    const struct bao_disk *disk = context;
    char place[96];
    (void)snprintf(place,
                   sizeof place,
                   "%s, offset %" PRIu64,
                   report->file,
                   report->offset);
    bao_core_damaged(disk->core, place);
    BAO_LOG(BAO_LOG_ERROR,
            bao_event("damaged"),
            bao_text("file", report->file),
            bao_number("offset", report->offset),
            bao_number("queue", report->queue),
            bao_text("meaning",
                     "found while reading the log again; `baozi log verify` "
                     "tells whether a start or an item needs it"));
}

bool bao_disk_serve(struct bao_disk *disk,
                    struct bao_journal *journal,
                    struct bao_arena *arena,
                    size_t hot_bytes,
                    uint64_t now_us,
                    int *exit_code)
{
    const struct bao_log_owner owner = {
        .context = disk, .move = move, .damaged = damaged};
    bao_log_serve(disk->log, &owner, now_us);
    if (bao_journal_open_log(journal, disk->log, arena, disk->last_index) !=
        BAOZI_OK) {
        *exit_code = bao_complain(PROGRAM,
                                  BAO_EXIT_IO,
                                  "cannot begin to write the log",
                                  "memory ran out",
                                  "raise --memory-limit");
        return false;
    }
    disk->journal = journal;
    bao_bodies_over(disk->bodies, journal, hot_bytes);
    return true;
}

void bao_disk_end_lost(struct bao_disk *disk,
                       struct bao_gateway *gateway,
                       uint64_t now_us)
{
    for (size_t i = 0; i < disk->lost_count; i++) {
        const struct bao_command command = {.kind = BAO_COMMAND_PAYLOAD_LOST,
                                            .payload = disk->lost[i]};
        bao_gateway_command(gateway, now_us, &command);
        if (i % LOST_AT_ONCE == 0)
            bao_journal_write(disk->journal, now_us, true);
    }
    if (disk->lost_count > 0)
        BAO_LOG(BAO_LOG_WARNING,
                bao_event("payloads_lost"),
                bao_number("items", disk->lost_count),
                bao_number("first_queue", disk->lost[0].id >> BAO_ID_SHIFT),
                bao_text("meaning",
                         "a repair cut off the log where these items ended, "
                         "or a segment with their bytes is gone: they count "
                         "as purged"));
    free(disk->lost);
    disk->lost = NULL;
    disk->lost_count = 0;
}

/* --- checkpoints --- */

static void begin_checkpoint(struct bao_disk *disk, uint64_t now_us)
{
    if (bao_log_checkpoint_begin(disk->log, disk->journal->index) != BAOZI_OK)
        return;
    disk->writing = true;
    disk->dropped = !bao_image_begin(disk->core);
    disk->checkpoint_us = now_us;
    bao_bodies_image_begin(disk->bodies);
}

static void end_checkpoint(struct bao_disk *disk, uint64_t now_us)
{
    disk->writing = false;
    if (disk->dropped && bao_image_under_way(disk->core))
        bao_image_abandon(disk->core);
    if (disk->dropped)
        bao_log_checkpoint_drop(disk->log);
    else
        bao_log_checkpoint_end(disk->log);
    BAO_LOG(disk->dropped ? BAO_LOG_WARNING : BAO_LOG_INFO,
            bao_event(disk->dropped ? "checkpoint_dropped" : "checkpoint"),
            bao_number("ms", (now_us - disk->checkpoint_us) / 1000));
}

/* One piece: first all of the core, then the addresses of the payloads. 0:
 * it goes on with the next slice. */
static size_t next_piece(struct bao_disk *disk, uint8_t *to, size_t capacity)
{
    size_t bytes;
    if (bao_image_under_way(disk->core)) {
        to[0] = BAO_PIECE_CORE;
        bytes = bao_image_next(disk->core, SLICE_RECORDS, to + 1, capacity - 1);
        disk->dropped = disk->dropped || bao_image_failed(disk->core);
    } else {
        to[0] = BAO_PIECE_BODIES;
        bytes = bao_bodies_image_next(
            disk->bodies, SLICE_RECORDS, to + 1, capacity - 1);
    }
    return bytes == 0 ? 0 : bytes + 1;
}

/* A slice; true if the next one need not wait for the disk. */
static bool write_slice(struct bao_disk *disk, uint64_t now_us)
{
    static uint8_t piece[BAO_LOG_PIECE_BYTES_MAX];
    if (bao_log_checkpoint_state(disk->log) == BAO_LOG_CHECKPOINT_GIVEN_UP)
        disk->dropped = true;
    if (!disk->dropped) {
        if (bao_log_checkpoint_room(disk->log) < sizeof piece)
            return false;
        const size_t bytes = next_piece(disk, piece, sizeof piece);
        if (bytes > 0 && !disk->dropped)
            bao_log_checkpoint_write(disk->log, bao_span_of(piece, bytes));
    }
    if (!disk->dropped && (bao_image_under_way(disk->core) ||
                           bao_bodies_image_under_way(disk->bodies)))
        return true;
    end_checkpoint(disk, now_us);
    return false;
}

static void tell_room(struct bao_disk *disk)
{
    bao_core_log_room(disk->core,
                      bao_log_room(disk->log, BAO_LOG_FOR_PUTS),
                      bao_log_room(disk->log, BAO_LOG_FOR_LEASES));
}

void bao_disk_look(struct bao_disk *disk, uint64_t now_us)
{
    if (disk->log != NULL && bao_log_look(disk->log, now_us))
        tell_room(disk);
}

bool bao_disk_turn(struct bao_disk *disk, uint64_t now_us)
{
    if (disk->log == NULL || bao_journal_failed(disk->journal))
        return false;
    bao_log_threads_clear(disk->threads);
    bao_log_turn(disk->log, now_us);
    if (bao_log_failed(disk->log))
        return false; /* that is not a full disk; the journal will see it */
    if (bao_core_log_was_short(disk->core))
        bao_log_press(disk->log, now_us);
    tell_room(disk);
    if (disk->writing)
        return write_slice(disk, now_us);
    if (bao_log_checkpoint_due(disk->log, now_us)) {
        begin_checkpoint(disk, now_us);
        return disk->writing;
    }
    return false;
}

uint64_t bao_disk_deadline(const struct bao_disk *disk)
{
    return disk->log == NULL ? UINT64_MAX : bao_log_deadline(disk->log);
}

int bao_disk_pollfd(const struct bao_disk *disk)
{
    return disk->log == NULL ? -1 : bao_log_threads_pollfd(disk->threads);
}

/* Without hurry: the next start has less to replay. It is complete when what
 * was logged before its end is synced, so nothing is left to be written lazily,
 * for time does not go on here. */
static void whole_checkpoint(struct bao_disk *disk, uint64_t now_us)
{
    if (!disk->writing)
        begin_checkpoint(disk, now_us);
    while (disk->writing && !bao_log_failed(disk->log)) {
        if (!write_slice(disk, now_us))
            (void)poll(NULL, 0, SETTLE_MS);
        bao_log_turn(disk->log, now_us);
        bao_journal_write(disk->journal, now_us, true);
    }
    while (bao_log_checkpoint_state(disk->log) == BAO_LOG_CHECKPOINT_ENDING &&
           !bao_log_failed(disk->log)) {
        (void)poll(NULL, 0, SETTLE_MS);
        bao_log_turn(disk->log, now_us);
        bao_journal_write(disk->journal, now_us, true);
    }
}

bool bao_disk_settle(struct bao_disk *disk, uint64_t now_us)
{
    struct bao_journal *journal = disk->journal;
    for (;;) {
        bao_log_threads_clear(disk->threads);
        bao_log_turn(disk->log, now_us);
        bao_journal_write(journal, now_us, true);
        if (bao_journal_failed(journal))
            return false;
        if (bao_journal_marks(journal).synced >= journal->position)
            break;
        (void)poll(NULL, 0, SETTLE_MS);
    }
    if (disk->recovered_bytes > MUCH_TO_REPLAY)
        whole_checkpoint(disk, now_us);
    return !bao_log_failed(disk->log);
}

bool bao_disk_close(struct bao_disk *disk, bool checkpoint, uint64_t now_us)
{
    bool good = true;
    if (disk->log != NULL && checkpoint && disk->journal != NULL &&
        !bao_journal_failed(disk->journal))
        whole_checkpoint(disk, now_us);
    const bool served = disk->journal != NULL;
    if (served && bao_journal_failed(disk->journal))
        good = false;
    if (disk->log != NULL && served && good)
        good = bao_log_close(disk->log) == BAOZI_OK;
    else if (disk->log != NULL)
        bao_log_abandon(disk->log); /* a part of a turn must not be written */
    bao_log_threads_close(disk->threads);
    free(disk->lost);
    if (disk->locked)
        bao_storage_close(&disk->storage);
    *disk = (struct bao_disk){.log = NULL};
    return good;
}
