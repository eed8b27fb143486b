/*
 * fuzz_log.c - any harm to the files of a log: a start that is right, or that
 * is refused and names the place.
 *
 * Two small folders are made once, one closed in order and one whose power was
 * cut. The first byte of an input chooses the folder (bit 0) and whether
 * checksums are made to fit what was harmed (bit 1); then follow harms
 * (harm.h).
 *
 * One harm, whatever it is, must be harmless or refused by name, and nothing
 * that was synced may be missing in silence; of several, which together may
 * take away what tells of the loss, nothing wrong may be served. Where the
 * checksums fit anything may be served, but the log must not fall over it, in
 * a start nor in what follows.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "tests/fuzz/harm.h"
#include "tests/lib/log_world.h"

#define SEGMENT_BYTES (16u * 1024u)
#define FIT           2u         /* bit of the first byte */
#define DISK_BYTES    (4u << 20) /* for segments as large as one is told */

/* --- the folders --- */

static void live(struct log_world *world, bool closes)
{
    log_world_init(world, 3, SEGMENT_BYTES);
    world->bytes_max = 500;
    enum baozi_status status = log_world_open(world);
    BAO_ASSERT(status == BAOZI_OK);
    for (uint64_t i = 0; i < 18; i++) {
        bool good = log_world_put(world, 1 + i % 4);
        log_world_turn(world, 100);
        if (i == 5 || i == 10)
            good = good && log_world_checkpoint(world);
        BAO_ASSERT(good);
    }
    /* Idle, so that a MARK and both manifests state all of it. */
    for (int i = 0; i < 8; i++)
        log_world_turn(world, 500000);
    if (closes)
        status = log_world_close(world);
    else
        log_world_cut(world, LIAR_CUT_ALL);
    BAO_ASSERT(status == BAOZI_OK && world->safe == world->next - 1);
}

static const struct log_world *folder(bool closed)
{
    static struct log_world worlds[2];
    if (worlds[closed].liar == NULL)
        live(&worlds[closed], closed);
    return &worlds[closed];
}

/* --- starts --- */

/* Refused, with all that an operator needs. */
static void check_refusal(const struct bao_log_report *report,
                          enum baozi_status status)
{
    BAO_ASSERT(status == BAOZI_STORAGE_FAILED || status == BAOZI_BAD_VERSION ||
               status == BAOZI_STORAGE_FULL);
    BAO_ASSERT(report->problem.what[0] != '\0');
    BAO_ASSERT(report->problem.remedy[0] != '\0');
    BAO_ASSERT(!report->corrupt ||
               strstr(report->problem.what, report->file) != NULL);
}

static void judge(struct log_world *world, unsigned harms)
{
    const uint64_t next = world->next;
    if (harms > 1)
        world->safe = 0;
    enum baozi_status status = log_world_open(world);
    if (status != BAOZI_OK) {
        check_refusal(&world->report, status);
        return;
    }
    BAO_ASSERT(world->next <= next);
    bool good = log_world_put(world, 3);
    log_world_turn(world, 20000);
    BAO_ASSERT(good && !bao_log_failed(world->log));
    status = log_world_close(world);
    BAO_ASSERT(status == BAOZI_OK);
}

static enum baozi_status take_record(void *context,
                                     const struct bao_log_record *record)
{
    uint32_t *sum = context;
    *sum = bao_crc32c(*sum, record->data.data, record->data.bytes);
    return BAOZI_OK;
}

static enum baozi_status take_piece(void *context, struct bao_span piece)
{
    uint32_t *sum = context;
    *sum = bao_crc32c(*sum, piece.data, piece.bytes);
    return BAOZI_OK;
}

static void move(void *context, const struct bao_log_record *record)
{
    (void)take_record(context, record);
}

static void damaged(void *context, const struct bao_log_report *report)
{
    (void)context;
    BAO_ASSERT(report->file[0] != '\0');
}

/* What the log is told to be true it may believe, but not fall over. */
static void believe(const struct bao_log_config *config)
{
    struct bao_log *log = NULL;
    struct bao_log_report report;
    uint32_t sum = 0;
    enum baozi_status status = bao_log_open(config, &log, &report);
    if (status != BAOZI_OK) {
        check_refusal(&report, status);
        return;
    }
    status = bao_log_checkpoint_load(log, take_piece, &sum, &report);
    if (status == BAOZI_OK)
        status = bao_log_replay(log, take_record, &sum, &report);
    if (status != BAOZI_OK) {
        check_refusal(&report, status);
        bao_log_abandon(log);
        return;
    }
    const struct bao_log_owner owner = {
        .context = &sum, .move = move, .damaged = damaged};
    bao_log_serve(log, &owner, 1);
    for (uint64_t i = 0; i < 20; i++) {
        bao_log_turn(log, i * 300000);
        bao_log_write(log, i * 300000, false);
    }
    (void)bao_log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const unsigned choice = fuzz_byte(&input);
    struct log_world world;
    log_world_copy(folder((choice & 1) != 0), &world);
    const unsigned harms = fuzz_harm(world.liar, &input);
    if ((choice & FIT) == 0) {
        judge(&world, harms);
    } else {
        fuzz_fit_checksums(world.liar);
        liar_limit(world.liar, DISK_BYTES);
        world.config.seed = 1;
        believe(&world.config);
    }
    log_world_fini(&world);
    return 0;
}
