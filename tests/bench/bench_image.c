/*
 * bench_image.c - what an image of the core costs, and a restart from it.
 *
 * Prints, for queues of so many 100-byte items: bytes and ns an item to save,
 * the longest slice, ns an item to load, memory an item before and after; then
 * what steps cost while images are made without a pause. Times are of the
 * processor.
 *
 *   build/release/tests/bench/bench_image [ITEMS...]    1,000,000
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "broker/core/image.h"
#include "common/check.h"

#define MEMORY_BYTES ((size_t)8 << 30)
#define IMAGE_BYTES  ((size_t)4 << 30)
#define BATCH        BAO_OPERATION_ITEMS_MAX
#define T0_US        UINT64_C(1000000)
#define QUEUE        1u

enum shape { PLAIN, PRIORITY, LEASED, KEYED, SHAPES };
static const char *const names[SHAPES] = {"plain",
                                          "priority",
                                          "leased",
                                          "grouped"};

struct image {
    uint8_t *data; /* pieces, each behind its length */
    size_t bytes;
    size_t pieces;
};

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "bench_image: %s\n", what);
    exit(1);
}

/* Address space; pages come as they are used. */
static void *reserve(size_t bytes)
{
    void *memory = mmap(NULL,
                        bytes,
                        PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                        -1,
                        0);
    if (memory == MAP_FAILED) {
        fail("no memory");
    }
    return memory;
}

static struct bao_core *core_open(void **memory)
{
    struct bao_core *core = NULL;
    *memory = reserve(MEMORY_BYTES);
    const struct bao_core_config config = {.memory = *memory,
                                           .memory_bytes = MEMORY_BYTES,
                                           .body_bytes_max = UINT64_MAX / 2,
                                           .now_us = T0_US,
                                           .epoch = 1,
                                           .seed = 1,
                                           .level = BAO_LEVEL_DISK};
    if (bao_core_open(&config, &core) != BAOZI_OK) {
        fail("the core did not open");
    }
    return core;
}

/* --- facts ---------------------------------------------------------------- */

static void begin(struct bao_core *core, enum shape shape)
{
    static const uint8_t client[BAO_CLIENT_ID_BYTES] = {7};
    const struct bao_span id = bao_span_of(client, sizeof(client));
    struct bao_queue_options options = bao_queue_options_default();
    options.durability = BAO_LEVEL_DISK;
    options.kind = shape == PRIORITY ? BAO_KIND_PRIORITY : BAO_KIND_FIFO;
    const struct bao_fact opened = {.kind = BAO_FACT_SESSION_OPENED,
                                    .time_us = T0_US,
                                    .session = 1,
                                    .client = id,
                                    .secret = id};
    const struct bao_fact made = {.kind = BAO_FACT_QUEUE_MADE,
                                  .time_us = T0_US,
                                  .queue = QUEUE,
                                  .name = bao_span_text("buns"),
                                  .options = &options};
    bao_core_apply(core, &opened);
    bao_core_apply(core, &made);
}

static void put(struct bao_core *core, enum shape shape, uint64_t n)
{
    static struct bao_put_item items[BATCH];
    char group[24];
    (void)snprintf(group, sizeof(group), "group %" PRIu64, n / 50000);
    for (uint32_t i = 0; i < BATCH; i++) {
        items[i].body.bytes = 100;
        items[i].priority =
            shape == PRIORITY ? (int32_t)((n + i) * 2654435761u % 1000) : 0;
    }
    const struct bao_fact fact = {
        .kind = BAO_FACT_ITEM_PUT,
        .time_us = T0_US + n,
        .session = 1,
        .queue = QUEUE,
        .count = BATCH,
        .items = items,
        .first_id = (uint64_t)QUEUE << BAO_ID_SHIFT | n,
        .group = bao_span_of(group, shape == KEYED ? strlen(group) : 0)};
    bao_core_apply(core, &fact);
}

/* Leases or settles a batch from n on. */
static void act_on(struct bao_core *core, enum bao_fact_kind kind, uint64_t n)
{
    static uint64_t ids[BATCH];
    for (uint32_t i = 0; i < BATCH; i++) {
        ids[i] = (uint64_t)QUEUE << BAO_ID_SHIFT | (n + i);
    }
    const struct bao_fact fact = {.kind = kind,
                                  .time_us = T0_US + n,
                                  .session = 1,
                                  .queue = QUEUE,
                                  .ids = ids,
                                  .count = BATCH,
                                  .token = n,
                                  .until_us = T0_US + n + 30000000,
                                  .state = BAO_STATE_DONE};
    bao_core_apply(core, &fact);
}

static uint64_t fill(struct bao_core *core, enum shape shape, uint64_t items)
{
    uint64_t n = 1;
    begin(core, shape);
    for (; n <= items; n += BATCH) {
        put(core, shape, n);
        if (shape == LEASED) {
            act_on(core, BAO_FACT_ITEM_LEASED, n);
        }
    }
    return n;
}

/* --- images --------------------------------------------------------------- */

/* One slice, kept if `image` is not NULL. */
static void slice(struct bao_core *core, struct image *image)
{
    static uint8_t piece[BAO_IMAGE_PIECE_BYTES];
    const size_t bytes =
        bao_image_next(core, BAO_IMAGE_SLICE, piece, sizeof(piece));
    if (bytes == 0 || image == NULL) {
        return;
    }
    if (image->bytes + bytes + sizeof(bytes) > IMAGE_BYTES) {
        fail("the image is too large");
    }
    memcpy(image->data + image->bytes, &bytes, sizeof(bytes));
    memcpy(image->data + image->bytes + sizeof(bytes), piece, bytes);
    image->bytes += sizeof(bytes) + bytes;
    image->pieces++;
}

static double save(struct bao_core *core, struct image *image, double *longest)
{
    const double start = seconds_now();
    double now = start;
    *longest = 0;
    if (!bao_image_begin(core)) {
        fail("the image did not begin");
    }
    while (bao_image_under_way(core)) {
        slice(core, image);
        const double then = now;
        now = seconds_now();
        *longest = now - then > *longest ? now - then : *longest;
    }
    return now - start;
}

static double load(const struct image *image, struct bao_core *core)
{
    const char *why = NULL;
    const double start = seconds_now();
    size_t at = 0;
    while (at < image->bytes) {
        size_t bytes = 0;
        memcpy(&bytes, image->data + at, sizeof(bytes));
        at += sizeof(bytes);
        if (bao_image_load(core, bao_span_of(image->data + at, bytes), &why) !=
            BAOZI_OK) {
            fail(why);
        }
        at += bytes;
    }
    if (bao_image_loaded(core, &why) != BAOZI_OK) {
        fail(why);
    }
    return seconds_now() - start;
}

static void run(enum shape shape, uint64_t items)
{
    struct image image = {.data = reserve(IMAGE_BYTES)};
    void *memory = NULL;
    void *loaded_memory = NULL;
    double longest = 0;
    struct bao_core *core = core_open(&memory);
    struct bao_core *loaded = core_open(&loaded_memory);
    const uint64_t count = fill(core, shape, items) - 1;
    const double n = (double)count;
    const double saved = save(core, &image, &longest);
    const double load_s = load(&image, loaded);
    if (bao_core_digest(core) != bao_core_digest(loaded)) {
        fail("what was loaded is not what was saved");
    }
    printf("%-9s %9" PRIu64 " %6.1f %7.0f %7.2f %7.0f %7.2f %6.0f %6.0f\n",
           names[shape],
           count,
           (double)image.bytes / n,
           saved * 1e9 / n,
           longest * 1e3,
           load_s * 1e9 / n,
           load_s,
           (double)bao_core_memory_used(core) / n,
           (double)bao_core_memory_used(loaded) / n);
    (void)munmap(image.data, IMAGE_BYTES);
    (void)munmap(memory, MEMORY_BYTES);
    (void)munmap(loaded_memory, MEMORY_BYTES);
}

/* put, lease, done of the oldest ones, a batch a fact. */
static void run_steps(bool imaging, uint64_t items)
{
    void *memory = NULL;
    struct bao_core *core = core_open(&memory);
    const uint64_t last = fill(core, PLAIN, items);
    uint64_t images = 0;
    double image_s = 0;
    const double start = seconds_now();
    uint64_t n = 1;
    for (; n < 4 * items; n += BATCH) {
        put(core, PLAIN, last + n - 1);
        act_on(core, BAO_FACT_ITEM_LEASED, n);
        act_on(core, BAO_FACT_ITEM_SETTLED, n);
        if (!imaging) {
            continue;
        }
        const double before = seconds_now();
        if (!bao_image_under_way(core)) {
            images++;
            if (!bao_image_begin(core)) {
                fail("the image did not begin");
            }
        }
        slice(core, NULL);
        image_s += seconds_now() - before;
    }
    printf("%-28s %7.0f ns/item (%" PRIu64 " images, their slices %.0f "
           "more)\n",
           imaging ? "put, get, done under images" : "put, get, done",
           (seconds_now() - start - image_s) * 1e9 / (double)n,
           images,
           image_s * 1e9 / (double)n);
    (void)munmap(memory, MEMORY_BYTES);
}

int main(int count, char **words)
{
    printf("an image in slices of %u records\n", BAO_IMAGE_SLICE);
    printf("%-9s %9s %6s %7s %7s %7s %7s %6s %6s\n",
           "items",
           "count",
           "B/item",
           "save ns",
           "most ms",
           "load ns",
           "load s",
           "mem B",
           "after");
    for (int i = 1; i < count; i++) {
        for (unsigned shape = 0; shape < SHAPES; shape++) {
            run((enum shape)shape, strtoull(words[i], NULL, 10));
        }
    }
    if (count < 2) {
        for (unsigned shape = 0; shape < SHAPES; shape++) {
            run((enum shape)shape, 1000000);
        }
        run_steps(false, 200000);
        run_steps(true, 200000);
    }
    return 0;
}
