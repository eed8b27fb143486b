/*
 * fuzz_image.c - any bytes as a checkpoint's image: refused, or a sound core.
 *
 * The first two bytes of an input are the length of the first piece; the rest
 * is the second one. (An image says what its digest is, so of those that were
 * changed nearly all are refused at the latest when everything is loaded and
 * linked.) What is taken must pass the core's own recount and work on.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/core/image.h"
#include "common/check.h"
#include "common/poison.h"
#include "tests/fuzz/fuzz.h"

#define MEMORY_BYTES ((size_t)16 << 20)
#define DAY_US       (UINT64_C(86400) * 1000 * 1000)

/* A fresh core, in memory that is used again. */
static struct bao_core *core_anew(void)
{
    static void *memory;
    struct bao_core *core = NULL;
    if (memory == NULL) {
        memory = aligned_alloc(4096, MEMORY_BYTES);
    }
    BAO_UNPOISON(memory, MEMORY_BYTES);
    const struct bao_core_config config = {.memory = memory,
                                           .memory_bytes = MEMORY_BYTES,
                                           .body_bytes_max = UINT64_MAX / 2,
                                           .now_us = 1000000,
                                           .epoch = 1,
                                           .seed = 1,
                                           .level = BAO_LEVEL_DISK};
    const enum baozi_status status = bao_core_open(&config, &core);
    BAO_ASSERT(status == BAOZI_OK);
    return core;
}

/* Loads a copy, so that a sanitizer sees who reads beyond it. */
static enum baozi_status load(struct bao_core *core, struct bao_span piece)
{
    const char *why = NULL;
    uint8_t *copy = malloc(piece.bytes + 1);
    BAO_ASSERT(copy != NULL);
    if (piece.bytes > 0) {
        memcpy(copy, piece.data, piece.bytes);
    }
    const enum baozi_status status =
        bao_image_load(core, bao_span_of(copy, piece.bytes), &why);
    BAO_ASSERT(status == BAOZI_OK || why != NULL);
    free(copy);
    return status;
}

/* It begins again as after a restart, and time passes. */
static void work_on(struct bao_core *core)
{
    struct bao_out out;
    uint64_t now_us = bao_core_now_us(core);
    bao_core_check(core);
    if (now_us > UINT64_MAX / 2) {
        return;
    }
    bao_core_recovered(core, now_us, 1);
    for (unsigned i = 0; i < 20; i++) {
        bao_core_tick(core, now_us, &out);
        now_us += i < 10 ? 100000 : DAY_US;
    }
    bao_core_check(core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct bao_core *core = core_anew();
    const char *why = NULL;
    const struct bao_span first = fuzz_bytes(&input, fuzz_two_bytes(&input));
    const struct bao_span second = fuzz_bytes(&input, input.left);
    if (load(core, first) != BAOZI_OK ||
        (second.bytes > 0 && load(core, second) != BAOZI_OK)) {
        return 0;
    }
    if (bao_image_loaded(core, &why) == BAOZI_OK) {
        work_on(core);
    } else {
        BAO_ASSERT(why != NULL);
    }
    return 0;
}
