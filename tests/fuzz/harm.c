/*
 * harm.c - see harm.h.
 */
#include "tests/fuzz/harm.h"

#include <string.h>

#include "common/check.h"
#include "common/crc32c.h"
#include "common/disk_manifest.h"
#include "common/disk_scan.h"

#define FILES_MAX          32u
#define MANIFEST_BYTES_MAX (16u * 1024u)

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

unsigned fuzz_harm(struct liar *liar, struct fuzz_input *input)
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
    uint8_t copy[MANIFEST_BYTES_MAX];
    if (bytes < 40 || bytes > size || bytes > sizeof copy)
        return;
    memcpy(copy, data, bytes);
    bao_manifest_set_generation(copy, bao_load64(data + 32));
    overwrite(liar, name, 0, bao_span_of(copy, bytes));
}

void fuzz_fit_checksums(struct liar *liar)
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
