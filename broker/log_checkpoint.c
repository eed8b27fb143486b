/*
 * log_checkpoint.c - images of the owner's state, made durable beside the log.
 *
 *   begin -> pieces fill blocks of 64 KiB, which the helper writes
 *         -> end: trailer; the log is synced up to here; sync, rename,
 *            sync of the name; read back and checked
 *         -> both copies of the manifest name it and the one before it
 *
 * Two are kept; records that both hold are not needed any more. The third
 * one's file becomes the ballast: a file larger than the next image is likely
 * to be, which that image overwrites. So an image can be written on a full
 * disk, where nothing becomes free without one. Images keep the length that
 * ballast has: room that is given back may be gone before it is asked for
 * again. While there is no room for the ballast, the disk counts as full. Want
 * of room gives an image up, and the log goes on.
 */
#include <errno.h>
#include <stdlib.h>

#include "broker/log_inner.h"
#include "common/check.h"
#include "common/crc32c.h"
#include "common/planted.h"

const char bao_log_checkpoint_temporary[] = "checkpoint.tmp";

_Static_assert(BAO_LOG_PIECE_BYTES_MAX + 4 + BAO_BLOCK_HEAD_BYTES <=
                   BAO_BLOCK_BYTES,
               "a piece fits in a block");

enum baozi_status bao_log_checkpoint_open(struct bao_log *log)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    checkpoint->file = -1;
    checkpoint->log = log;
    for (size_t i = 0; i < BAO_LOG_BLOCKS; i++) {
        struct bao_log_block *block = &checkpoint->blocks[i];
        block->log = log;
        block->data = malloc(BAO_BLOCK_BYTES);
        if (block->data == NULL)
            return BAOZI_NO_MEMORY;
    }
    return BAOZI_OK;
}

void bao_log_checkpoint_fini(struct bao_log *log)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    if (checkpoint->file >= 0)
        log->storage->close(log->storage->context, checkpoint->file);
    for (size_t i = 0; i < BAO_LOG_BLOCKS; i++)
        free(checkpoint->blocks[i].data);
}

/* What a job of an image answered. */
static void note(struct bao_log *log, const char *what, int result)
{
    if (result >= 0 || result == -ECANCELED)
        return;
    if (bao_log_is_want_of_room(result) || result == -EBADMSG)
        log->checkpoint.given_up = true;
    else
        bao_log_fail(log, what, bao_log_checkpoint_temporary, result);
}

/* --- begin --- */

/* The file of an image that is not kept any more becomes the next one's. */
static int reuse_gone(const struct bao_log_checkpoint *checkpoint,
                      const char *name)
{
    const struct bao_storage *storage = checkpoint->log->storage;
    if (name[0] == '\0')
        return 0;
    int error =
        storage->rename(storage->context, name, bao_log_checkpoint_temporary);
    return error == -ENOENT ? 0 : error;
}

/* The file that an image is written to: what reuse_gone() left, unless a
 * backup reads that, or a new one. The file, or -errno. */
static int open_temporary(const struct bao_storage *storage, uint64_t *bytes)
{
    int file = storage->open(storage->context,
                             bao_log_checkpoint_temporary,
                             BAO_STORAGE_REUSE,
                             bytes);
    if (file == -EBUSY) {
        file = storage->remove(storage->context, bao_log_checkpoint_temporary);
        if (file >= 0)
            file = -ENOENT;
    }
    if (file != -ENOENT)
        return file;
    return storage->open(storage->context,
                         bao_log_checkpoint_temporary,
                         BAO_STORAGE_MAKE,
                         bytes);
}

/* Both copies of the manifest name it no more. */
static void take_gone(struct bao_log *log, char name[BAO_CHECKPOINT_NAME_BYTES])
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    name[0] = '\0';
    if (checkpoint->gone[0] == '\0' ||
        checkpoint->gone_generation > log->manifest.saved)
        return;
    memcpy(name, checkpoint->gone, sizeof checkpoint->gone);
    checkpoint->gone[0] = '\0';
}

static int run_open(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, job);
    const struct bao_storage *storage = checkpoint->log->storage;
    int error = reuse_gone(checkpoint, checkpoint->reuse);
    if (error < 0)
        return error;
    checkpoint->file = open_temporary(storage, &checkpoint->file_bytes);
    return checkpoint->file < 0 ? checkpoint->file : 0;
}

static void open_done(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, job);
    checkpoint->job_busy = false;
    note(checkpoint->log, "opening failed", job->result);
}

static void submit(struct bao_log_checkpoint *checkpoint,
                   int (*run)(struct bao_log_job *),
                   void (*done)(struct bao_log_job *))
{
    BAO_ASSERT(!checkpoint->job_busy);
    checkpoint->job_busy = true;
    checkpoint->job = (struct bao_log_job){
        .run = run, .done = done, .lane = BAO_LOG_LANE_HELPER};
    bao_log_job_submit(&checkpoint->log->jobs, &checkpoint->job);
}

enum baozi_status bao_log_checkpoint_begin(struct bao_log *log, uint64_t index)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    if (log->failed)
        return BAOZI_STORAGE_FAILED;
    if (checkpoint->state == BAO_LOG_CHECKPOINT_WRITING ||
        checkpoint->state == BAO_LOG_CHECKPOINT_ENDING || checkpoint->job_busy)
        return BAOZI_QUOTA;
    checkpoint->state = BAO_LOG_CHECKPOINT_WRITING;
    checkpoint->now = (struct bao_manifest_checkpoint){
        .number = ++checkpoint->last_number,
        .index = index,
        .replay_lsn = log->last_lsn + 1,
    };
    checkpoint->begun_bytes = log->stats.bytes;
    checkpoint->before_bytes = 0;
    checkpoint->sequence = 0;
    checkpoint->crc = 0;
    checkpoint->fill = 0;
    checkpoint->pieces = 0;
    checkpoint->filling = 0;
    checkpoint->given_up = false;
    checkpoint->trailed = false;
    checkpoint->ending = false;
    checkpoint->ballast_taken =
        checkpoint->kept_count == BAO_MANIFEST_CHECKPOINTS
            ? checkpoint->ballast_bytes
            : 0;
    checkpoint->ballast_bytes = 0;
    take_gone(log, checkpoint->reuse);
    submit(checkpoint, run_open, open_done);
    return BAOZI_OK;
}

/* --- pieces --- */

static int run_block(struct bao_log_job *job)
{
    struct bao_log_block *block = BAO_OF(job, struct bao_log_block, job);
    int file = block->log->checkpoint.file;
    if (file < 0)
        return -ECANCELED; /* opening it failed, and was noted */
    return bao_log_write_all(
        block->log->storage, file, block->data, block->bytes, block->offset);
}

static void block_done(struct bao_log_job *job)
{
    struct bao_log_block *block = BAO_OF(job, struct bao_log_block, job);
    block->busy = false;
    note(block->log, "writing failed", job->result);
}

/* Sends the block that is being filled to the helper, and takes the next. */
static void send_block(struct bao_log_checkpoint *checkpoint, size_t bytes)
{
    struct bao_log_block *block = &checkpoint->blocks[checkpoint->filling];
    BAO_ASSERT(!block->busy);
    block->bytes = bytes;
    block->offset = checkpoint->now.bytes;
    block->busy = true;
    block->job = (struct bao_log_job){
        .run = run_block, .done = block_done, .lane = BAO_LOG_LANE_HELPER};
    checkpoint->now.bytes += bytes;
    checkpoint->fill = 0;
    checkpoint->pieces = 0;
    checkpoint->filling = (checkpoint->filling + 1) % BAO_LOG_BLOCKS;
    bao_log_job_submit(&checkpoint->log->jobs, &block->job);
}

static void seal_block(struct bao_log_checkpoint *checkpoint)
{
    uint8_t bytes[4];
    uint32_t crc = bao_block_seal(checkpoint->blocks[checkpoint->filling].data,
                                  checkpoint->fill,
                                  checkpoint->sequence++,
                                  checkpoint->pieces);
    bao_store32(bytes, crc);
    checkpoint->crc = bao_crc32c(checkpoint->crc, bytes, sizeof bytes);
    send_block(checkpoint, BAO_BLOCK_HEAD_BYTES + checkpoint->fill);
}

static size_t left_in_block(const struct bao_log_checkpoint *checkpoint)
{
    return BAO_BLOCK_BYTES - BAO_BLOCK_HEAD_BYTES - checkpoint->fill;
}

size_t bao_log_checkpoint_room(const struct bao_log *log)
{
    const struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    uint32_t next = (checkpoint->filling + 1) % BAO_LOG_BLOCKS;
    if (checkpoint->state != BAO_LOG_CHECKPOINT_WRITING ||
        checkpoint->blocks[checkpoint->filling].busy)
        return 0;
    if (!checkpoint->blocks[next].busy)
        return BAO_LOG_PIECE_BYTES_MAX;
    size_t left = left_in_block(checkpoint);
    return left > 8 ? left - 8 : 0;
}

void bao_log_checkpoint_write(struct bao_log *log, struct bao_span piece)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    BAO_ASSERT(checkpoint->state == BAO_LOG_CHECKPOINT_WRITING);
    BAO_ASSERT(piece.bytes <= bao_log_checkpoint_room(log));
    size_t bytes = bao_piece_bytes(piece.bytes);
    if (bytes > left_in_block(checkpoint))
        seal_block(checkpoint);
    uint8_t *at = checkpoint->blocks[checkpoint->filling].data +
                  BAO_BLOCK_HEAD_BYTES + checkpoint->fill;
    memset(at + bytes - 4, 0, 4);
    bao_store32(at, (uint32_t)piece.bytes);
    if (piece.bytes > 0)
        memcpy(at + 4, piece.data, piece.bytes);
    checkpoint->fill += (uint32_t)bytes;
    checkpoint->pieces++;
}

/* --- end --- */

void bao_log_checkpoint_end(struct bao_log *log)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    BAO_ASSERT(checkpoint->state == BAO_LOG_CHECKPOINT_WRITING);
    checkpoint->state = BAO_LOG_CHECKPOINT_ENDING;
    checkpoint->end_lsn = log->last_lsn;
}

static void put_trailer(struct bao_log_checkpoint *checkpoint)
{
    struct bao_log_block *block = &checkpoint->blocks[checkpoint->filling];
    struct bao_block_trailer trailer = {
        .index = checkpoint->now.index,
        .replay_lsn = checkpoint->now.replay_lsn,
        .blocks = checkpoint->sequence,
        .crc = checkpoint->crc,
    };
    send_block(checkpoint, bao_block_trailer_encode(&trailer, block->data));
    checkpoint->trailed = true;
}

/* The length of the file for an image that follows one of so many bytes. */
static uint64_t ballast_after(const struct bao_log *log, uint64_t bytes)
{
    return 2 * bytes + log->stride_bytes / 4;
}

/* Everything is written: sync, name, and a look whether it can be read. */
static int run_end(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, job);
    const struct bao_storage *storage = checkpoint->log->storage;
    char name[BAO_CHECKPOINT_NAME_BYTES];
    int error = 0;
    bao_checkpoint_name(checkpoint->now.number, name);
    uint64_t kept = ballast_after(checkpoint->log, checkpoint->now.bytes);
    if (checkpoint->file_bytes != kept)
        error = storage->resize(storage->context, checkpoint->file, kept);
    if (bao_log_is_want_of_room(error))
        error = 0; /* the image itself has room */
    if (error >= 0) {
        error = storage->sync(storage->context, checkpoint->file);
        checkpoint->sync_failed = error < 0;
    }
    if (error >= 0)
        error = storage->rename(
            storage->context, bao_log_checkpoint_temporary, name);
    if (error >= 0)
        error = storage->sync_dir(storage->context);
    if (error >= 0 && bao_log_checkpoint_walk(
                          storage, &checkpoint->now, NULL, NULL) != BAOZI_OK)
        error = -EBADMSG;
    storage->close(storage->context, checkpoint->file);
    checkpoint->file = -1;
    return error;
}

static void end_done(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, job);
    struct bao_log *log = checkpoint->log;
    checkpoint->job_busy = false;
    note(log, "making it durable failed", job->result);
    if (log->failed || checkpoint->given_up)
        return;
    if (checkpoint->kept_count == BAO_MANIFEST_CHECKPOINTS) {
        bao_checkpoint_name(checkpoint->kept[1].number, checkpoint->gone);
        checkpoint->gone_generation = log->manifest.generation + 1;
    } else {
        checkpoint->kept_count++;
    }
    checkpoint->kept[1] = checkpoint->kept[0];
    checkpoint->kept[0] = checkpoint->now;
    checkpoint->kept_generation = log->manifest.generation + 1;
    bao_log_manifest_want(log);
}

/* --- giving up --- */

static int run_give_up(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, job);
    const struct bao_storage *storage = checkpoint->log->storage;
    if (checkpoint->file >= 0)
        storage->close(storage->context, checkpoint->file);
    checkpoint->file = -1;
    if (!checkpoint->sync_failed)
        return 0;                    /* what it has of room stays ballast */
    checkpoint->sync_failed = false; /* a file is never synced again then */
    int error = storage->remove(storage->context, bao_log_checkpoint_temporary);
    return error == -ENOENT ? 0 : error;
}

static void give_up_done(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, job);
    struct bao_log *log = checkpoint->log;
    checkpoint->job_busy = false;
    checkpoint->state = BAO_LOG_CHECKPOINT_GIVEN_UP;
    checkpoint->retry_us = log->now_us + BAO_LOG_ROOM_RETRY_US;
    if (job->result < 0)
        bao_log_fail(
            log, "removing failed", bao_log_checkpoint_temporary, job->result);
}

/* --- ballast --- */

static uint64_t ballast_wanted(const struct bao_log *log)
{
    const struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    uint64_t last = checkpoint->kept_count > 0 ? checkpoint->kept[0].bytes : 0;
    return ballast_after(log, last);
}

uint64_t bao_log_checkpoint_growth(const struct bao_log *log)
{
    const struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    uint64_t wanted = ballast_wanted(log);
    uint64_t now = ballast_after(log, checkpoint->now.bytes);
    uint64_t there = checkpoint->ballast_bytes > checkpoint->ballast_taken
                         ? checkpoint->ballast_bytes
                         : checkpoint->ballast_taken;
    wanted = now > wanted ? now : wanted;
    return wanted > there ? wanted - there : 0;
}

static int run_ballast(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, ballast_job);
    const struct bao_storage *storage = checkpoint->log->storage;
    uint64_t bytes = 0;
    int error = reuse_gone(checkpoint, checkpoint->ballast_reuse);
    if (error < 0)
        return error;
    int file = open_temporary(storage, &bytes);
    if (file < 0)
        return file;
    if (bytes < checkpoint->ballast_asked)
        error =
            storage->resize(storage->context, file, checkpoint->ballast_asked);
    storage->close(storage->context, file);
    return error;
}

static void ballast_done(struct bao_log_job *job)
{
    struct bao_log_checkpoint *checkpoint =
        BAO_OF(job, struct bao_log_checkpoint, ballast_job);
    struct bao_log *log = checkpoint->log;
    checkpoint->ballast_busy = false;
    checkpoint->ballast_taken = 0;
    checkpoint->ballast_full = job->result < 0;
    if (job->result >= 0) {
        /* Unless an image has already begun to overwrite it. */
        if (checkpoint->state != BAO_LOG_CHECKPOINT_WRITING &&
            checkpoint->state != BAO_LOG_CHECKPOINT_ENDING)
            checkpoint->ballast_bytes = checkpoint->ballast_asked;
    } else if (bao_log_is_want_of_room(job->result)) {
        checkpoint->ballast_us = log->now_us + BAO_LOG_ROOM_RETRY_US;
    } else {
        bao_log_fail(
            log, "preparing failed", bao_log_checkpoint_temporary, job->result);
    }
}

/* Between two images. */
static void keep_ballast(struct bao_log *log)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    if (checkpoint->ballast_busy || checkpoint->job_busy ||
        log->now_us < checkpoint->ballast_us ||
        checkpoint->ballast_bytes >= ballast_wanted(log))
        return;
    take_gone(log, checkpoint->ballast_reuse);
    checkpoint->ballast_asked = ballast_wanted(log);
    checkpoint->ballast_busy = true;
    checkpoint->ballast_job = (struct bao_log_job){
        .run = run_ballast, .done = ballast_done, .lane = BAO_LOG_LANE_HELPER};
    bao_log_job_submit(&log->jobs, &checkpoint->ballast_job);
}

static bool blocks_are_busy(const struct bao_log_checkpoint *checkpoint)
{
    for (size_t i = 0; i < BAO_LOG_BLOCKS; i++) {
        if (checkpoint->blocks[i].busy)
            return true;
    }
    return false;
}

/* --- turns --- */

static void go_on_ending(struct bao_log *log)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    if (checkpoint->ending) {
        if (!checkpoint->job_busy &&
            log->manifest.saved >= checkpoint->kept_generation) {
            checkpoint->state = BAO_LOG_CHECKPOINT_NONE;
            log->stats.checkpoints++;
            log->stats.checkpoint_bytes = checkpoint->now.bytes;
        }
        return;
    }
    if (checkpoint->pieces > 0 && !checkpoint->blocks[checkpoint->filling].busy)
        seal_block(checkpoint);
    if (!checkpoint->trailed && checkpoint->pieces == 0 &&
        !checkpoint->blocks[checkpoint->filling].busy)
        put_trailer(checkpoint);
    if (checkpoint->trailed && !blocks_are_busy(checkpoint) &&
        !checkpoint->job_busy &&
        (log->marks.synced >= checkpoint->end_lsn ||
         BAO_PLANTED(IMAGE_EARLY))) {
        checkpoint->ending = true;
        submit(checkpoint, run_end, end_done);
    }
}

void bao_log_checkpoint_turn(struct bao_log *log)
{
    struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    bool under_way = checkpoint->state == BAO_LOG_CHECKPOINT_WRITING ||
                     checkpoint->state == BAO_LOG_CHECKPOINT_ENDING;
    if (log->failed)
        return;
    if (!under_way) {
        keep_ballast(log);
    } else if (!checkpoint->given_up) {
        if (checkpoint->state == BAO_LOG_CHECKPOINT_ENDING)
            go_on_ending(log);
    } else if (!checkpoint->job_busy && !blocks_are_busy(checkpoint)) {
        submit(checkpoint, run_give_up, give_up_done);
    }
}

void bao_log_checkpoint_drop(struct bao_log *log)
{
    BAO_ASSERT(log->checkpoint.state == BAO_LOG_CHECKPOINT_WRITING);
    log->checkpoint.given_up = true;
}

enum bao_log_checkpoint_state
bao_log_checkpoint_state(const struct bao_log *log)
{
    return log->checkpoint.given_up ? BAO_LOG_CHECKPOINT_GIVEN_UP
                                    : log->checkpoint.state;
}

/* Room is wanted: a segment that is mostly dead waits only for both images to
 * be younger than it. */
static bool frees_room(const struct bao_log *log)
{
    uint64_t keep_lsn = bao_log_keep_lsn(log);
    if (!bao_log_is_full(log) && log->now_us >= log->press_us)
        return false;
    for (uint32_t i = log->segment_count; i > 0; i--) {
        const struct bao_log_segment *segment = log->segments[i - 1];
        if (segment->state == BAO_LOG_SEGMENT_CLOSED &&
            segment->last_lsn >= keep_lsn &&
            (uint64_t)segment->live_bytes * 2 < bao_log_segment_worth(segment))
            return true;
    }
    return false;
}

bool bao_log_checkpoint_due(const struct bao_log *log, uint64_t now_us)
{
    const struct bao_log_checkpoint *checkpoint = &log->checkpoint;
    uint64_t since =
        log->stats.bytes - checkpoint->begun_bytes + checkpoint->before_bytes;
    uint64_t enough = log->checkpoint_bytes == 0 ? log->stride_bytes / 2
                                                 : log->checkpoint_bytes;
    uint64_t last = checkpoint->kept_count > 0 ? checkpoint->kept[0].bytes : 0;
    if (log->failed || checkpoint->job_busy ||
        checkpoint->state == BAO_LOG_CHECKPOINT_WRITING ||
        checkpoint->state == BAO_LOG_CHECKPOINT_ENDING ||
        (checkpoint->state == BAO_LOG_CHECKPOINT_GIVEN_UP &&
         now_us < checkpoint->retry_us))
        return false;
    if (enough < last + last / 2)
        enough = last + last / 2;
    return since >= enough || frees_room(log);
}
