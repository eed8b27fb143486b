/*
 * log_room.c - how much more certainly fits.
 *
 * The owner decides first and writes then, so what it decides must have room.
 * That is what is left in the open segment, the prepared ones, and those that
 * the disk has room for. The file system is asked for the last, every
 * BAO_LOG_LOOK_US at most and whenever a segment was prepared. From its answer
 * goes what images are likely to grow by, and something for the file system's
 * own records. Once it said ENOSPC, only what is prepared counts: quotas are
 * not in its answer.
 *
 * THE BOUND. A record goes whole into the first segment, from the open one on,
 * that has room for it; a segment that was left is not filled further. So what
 * was put into one and the first record of the next are together more than the
 * former had room for. Let n segments of `whole` bytes follow the open one,
 * which has `here`. If the records do not fit, pairs of neighbours, the last
 * segment with the record that found no room, give a sum of more than
 *
 *     n even: here + n / 2 * whole        n odd: (n + 1) / 2 * whole
 *
 * and up to that all records fit, however large and in whatever order.
 */
#include "broker/log_inner.h"

/* Of the disk, for its own records and the manifests: one part in so many of
 * a segment. */
#define BESIDE_PART 4u

static uint64_t less(uint64_t from, uint64_t bytes)
{
    return from > bytes ? from - bytes : 0;
}

/* --- the disk --- */

void bao_log_space_ask(struct bao_log *log)
{
    struct bao_log_space *space = &log->space;
    /* First: what is written in between counts as taken. */
    uint64_t filled = atomic_load(&log->prepare.filled);
    int64_t bytes = log->storage->space(log->storage->context);
    if (bytes < 0) {
        /* It cannot tell: as before, ENOSPC will. */
        space->known = false;
        return;
    }
    uint64_t count =
        less(filled + (uint64_t)bytes,
             bao_log_checkpoint_growth(log) + log->stride_bytes / BESIDE_PART) /
        log->stride_bytes;
    uint64_t most = less(log->segments_max, log->segment_count);
    space->segments = count < most ? count : most;
    space->again = log->free != NULL ? bao_log_again_count(log) : 0;
    space->again += log->prepare.busy && log->prepare.old != NULL;
    space->known = true;
}

bool bao_log_is_short(const struct bao_log *log)
{
    int64_t bytes = log->storage->space(log->storage->context);
    return bytes >= 0 &&
           (uint64_t)bytes / log->stride_bytes + bao_log_spare_count(log) <
               BAO_LOG_PREPARED_WANTED;
}

bool bao_log_look(struct bao_log *log, uint64_t now_us)
{
    if (!log->serving || log->failed || now_us < log->space.ask_us)
        return false;
    log->space.ask_us = now_us + BAO_LOG_LOOK_US;
    bao_log_space_ask(log);
    return true;
}

void bao_log_press(struct bao_log *log, uint64_t now_us)
{
    log->press_us = now_us + BAO_LOG_PRESS_US;
}

/* --- what fits --- */

static uint64_t whole_segment(const struct bao_log *log)
{
    return log->stride_bytes - BAO_SEGMENT_HEAD_BYTES - BAO_LOG_END_BYTES;
}

/* In the open segment and `count` more. */
static uint64_t fits(const struct bao_log *log, uint64_t count)
{
    uint64_t here = less(bao_log_left_in_open(log), BAO_LOG_END_BYTES);
    uint64_t pairs = (count + 1) / 2 * whole_segment(log);
    return count % 2 == 0 ? here + pairs : pairs;
}

/* Bytes that a start after a crash would write again. */
static uint64_t tail_bytes(const struct bao_log *log)
{
    const struct bao_log_manifest *manifest = &log->manifest;
    uint64_t bytes = 0;
    for (uint32_t i = log->segment_count; i > 0; i--) {
        const struct bao_log_segment *segment = log->segments[i - 1];
        if (segment->number < manifest->tail_number)
            break;
        if (segment->state == BAO_LOG_SEGMENT_PREPARED ||
            segment->state == BAO_LOG_SEGMENT_DROPPED)
            continue;
        uint64_t from = segment->number == manifest->tail_number
                            ? manifest->tail_bytes
                            : BAO_SEGMENT_HEAD_BYTES;
        uint64_t to =
            segment == log->open ? log->offset + log->fill : segment->bytes;
        bytes += less(to, from);
    }
    return bytes;
}

/* Of the segments that are left when so many were used, those that a start
 * finds room in: not the dropped ones, which are used before the disk's room
 * is. */
static uint64_t left_for_start(const struct bao_log *log,
                               const struct bao_log_space *space,
                               uint64_t used)
{
    uint64_t all = log->prepared + space->again + space->segments;
    return all - used - less(space->again, less(used, log->prepared));
}

/* If so many of them are used: what fits, and can be written once more. */
static uint64_t room_in(const struct bao_log *log,
                        const struct bao_log_space *space,
                        uint64_t used)
{
    uint64_t room = fits(log, used);
    uint64_t again = less(left_for_start(log, space, used) * whole_segment(log),
                          tail_bytes(log) + BAO_SEGMENT_HEAD_BYTES);
    return room < again ? room : again;
}

/*
 * The reserve is left alone, and of the rest so much that the whole tail, with
 * what is put now, finds room once more. n segments surely take n / 2 of puts,
 * so of each three that there are one or two are used.
 */
static uint64_t room_for_puts(const struct bao_log *log,
                              const struct bao_log_space *space)
{
    uint64_t all = log->prepared + space->again + space->segments;
    if (all < BAO_LOG_PREPARED_RESERVE)
        return 0; /* the open one is of the reserve */
    uint64_t whole = whole_segment(log);
    uint64_t taken = tail_bytes(log) + bao_log_left_in_open(log);
    uint64_t used = less(all * whole, taken) / (whole + whole / 2);
    uint64_t most = all - BAO_LOG_PREPARED_RESERVE;
    if (used >= most)
        return room_in(log, space, most);
    uint64_t room = room_in(log, space, used);
    uint64_t more = room_in(log, space, used + 1);
    return room > more ? room : more;
}

uint64_t bao_log_room(const struct bao_log *log, enum bao_log_use use)
{
    const struct bao_log_space none = {.known = true};
    const struct bao_log_space *space =
        bao_log_is_full(log) ? &none : &log->space;
    if (log->failed)
        return 0;
    if (!space->known)
        return UINT64_MAX;
    uint64_t room =
        use == BAO_LOG_FOR_PUTS
            ? room_for_puts(log, space)
            : fits(log, log->prepared + space->again + space->segments);
    room = less(room, BAO_RECORD_HEAD_BYTES); /* the turn's trailer */
    return use == BAO_LOG_FOR_LEASES ? less(room, log->stride_bytes / 4) : room;
}
