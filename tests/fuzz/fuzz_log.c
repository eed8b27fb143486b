/*
 * fuzz_log.c - any harm to the files of a log: a start that is right, or that
 * is refused and names the place.
 *
 * Two small folders are made once, one closed in order and one whose power was
 * cut. The first byte of an input chooses the folder (bit 0) and whether
 * checksums are made to fit what was harmed (bit 1); then follow harms: a byte
 * for the file and what to do, two for the offset, and of an overwrite how
 * many bytes, and they.
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
#include "common/disk_manifest.h"
#include "common/disk_scan.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/log_world.h"

#define SEGMENT_BYTES (16u * 1024u)
#define FIT           2u /* bit of the first byte */
#define FILES_MAX     32u
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

/* --- harms --- */

static void overwrite(struct liar *liar,
                      const char *name,
                      uint64_t offset,
                      struct bao_span bytes)
{
    uint64_t size = 0;
    const uint8_t *data = liar_file(liar, name, &size);
    for (size_t i = 0; i < bytes.bytes && offset + i < size; i++) {
        uint8_t mask = (uint8_t)(data[offset + i] ^ bytes.data[i]);
        if (mask != 0)
            liar_flip(liar, name, offset + i, mask);
    }
}

static const char *file_of(const struct liar *liar, unsigned number)
{
    unsigned count = 0;
    while (count < FILES_MAX && liar_name(liar, count) != NULL)
        count++;
    BAO_ASSERT(count > 0);
    return liar_name(liar, number % count);
}

/* Answers how many there were. */
static unsigned harm(struct liar *liar, struct fuzz_input *input)
{
    unsigned harms = 0;
    for (; input->left > 0; harms++) {
        const unsigned choice = fuzz_byte(input);
        const char *name = file_of(liar, choice / 4);
        const uint64_t offset = fuzz_two_bytes(input);
        uint64_t size = 0;
        (void)liar_file(liar, name, &size);
        if (choice % 4 == 0)
            liar_truncate(liar, name, offset < size ? offset : size);
        else
            overwrite(liar, name, offset, fuzz_bytes(input, fuzz_byte(input)));
    }
    return harms;
}

/* --- checksums that fit --- */

static void fit_segment(struct liar *liar, const char *name)
{
    uint64_t size = 0;
    const uint8_t *data = liar_file(liar, name, &size);
    uint32_t batch = 0;
    uint64_t at = BAO_SEGMENT_HEAD_BYTES;
    uint8_t head_bytes[BAO_RECORD_HEAD_BYTES];
    while (at + BAO_RECORD_HEAD_BYTES <= size) {
        const uint64_t bytes = bao_record_bytes(bao_load32(data + at + 4));
        if (bytes > size - at || bao_load32(data + at + 16) == 0)
            return;
        struct bao_record_head head = {
            .kind = data[at + 2],
            .bytes = bao_load32(data + at + 4),
            .lsn = bao_load64(data + at + 8),
            .salt = bao_load32(data + at + 16),
            .group = bao_load32(data + at + 20),
            .index = bao_load64(data + at + 24),
            .term = bao_load64(data + at + 32),
            .queue = bao_load64(data + at + 40),
            .data_crc = bao_crc32c(0,
                                   data + at + BAO_RECORD_HEAD_BYTES,
                                   bao_load32(data + at + 4)),
        };
        if (head.kind == BAO_RECORD_BATCH_END)
            head.data_crc = batch;
        bao_record_encode(&head, head_bytes);
        batch =
            head.kind == BAO_RECORD_BATCH_END ? 0 : bao_batch_crc(batch, &head);
        overwrite(liar, name, at, bao_span_of(head_bytes, sizeof head_bytes));
        at += bytes;
    }
}

static void fit_segment_head(struct liar *liar, const char *name)
{
    uint64_t size = 0;
    uint8_t crc[4];
    const uint8_t *data = liar_file(liar, name, &size);
    if (size < 64)
        return;
    bao_store32(crc, bao_crc32c(0, data, 60));
    overwrite(liar, name, 60, bao_span_of(crc, sizeof crc));
}

static void fit_manifest(struct liar *liar, const char *name)
{
    uint64_t size = 0;
    const uint8_t *data = liar_file(liar, name, &size);
    const uint64_t bytes = size < 24 ? 0 : bao_load64(data + 16);
    uint8_t copy[SEGMENT_BYTES];
    if (bytes < 40 || bytes > size || bytes > sizeof copy)
        return;
    memcpy(copy, data, bytes);
    bao_manifest_set_generation(copy, bao_load64(data + 32));
    overwrite(liar, name, 0, bao_span_of(copy, bytes));
}

static void fit_all(struct liar *liar)
{
    const char *name = NULL;
    for (size_t i = 0; (name = liar_name(liar, i)) != NULL; i++) {
        if (strncmp(name, "segment-", 8) == 0) {
            fit_segment(liar, name);
            fit_segment_head(liar, name);
        }
        if (strncmp(name, "manifest.", 9) == 0)
            fit_manifest(liar, name);
    }
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
    const unsigned harms = harm(world.liar, &input);
    if ((choice & FIT) == 0) {
        judge(&world, harms);
    } else {
        fit_all(world.liar);
        liar_limit(world.liar, DISK_BYTES);
        world.config.seed = 1;
        believe(&world.config);
    }
    log_world_fini(&world);
    return 0;
}
