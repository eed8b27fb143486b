/*
 * world_image.c - see world_image.h.
 */
#include "tests/core/world_image.h"

#include "tests/core/world_inside.h"
#include "tests/lib/unit.h"

/* --- a copy of one -------------------------------------------------------- */

static void copy_piece(struct image_copy *copy, struct bao_span piece)
{
    assert_true(piece.bytes > 0 && piece.bytes <= BAO_IMAGE_PIECE_BYTES);
    if (copy->bytes + piece.bytes > copy->capacity) {
        copy->capacity = 2 * (copy->bytes + piece.bytes);
        copy->data = realloc(copy->data, copy->capacity);
        assert_non_null(copy->data);
    }
    memcpy(copy->data + copy->bytes, piece.data, piece.bytes);
    copy->bytes += piece.bytes;
    copy->ends = realloc(copy->ends, (copy->pieces + 1) * sizeof(size_t));
    assert_non_null(copy->ends);
    copy->ends[copy->pieces++] = copy->bytes;
}

void image_copy_fini(struct image_copy *copy)
{
    free(copy->data);
    free(copy->ends);
    *copy = (struct image_copy){.data = NULL};
}

void image_begin(struct bao_core *core, struct image_copy *copy)
{
    *copy = (struct image_copy){.digest = bao_core_digest(core)};
    assert_true(bao_image_begin(core));
}

bool image_next(struct bao_core *core,
                struct image_copy *copy,
                uint32_t records)
{
    static uint8_t piece[BAO_IMAGE_PIECE_BYTES];
    assert_true(bao_image_under_way(core));
    const size_t bytes = bao_image_next(core, records, piece, sizeof(piece));
    if (bytes > 0) {
        copy_piece(copy, bao_span_of(piece, bytes));
    }
    assert_false(bao_image_failed(core));
    return bao_image_under_way(core);
}

void image_make(struct bao_core *core,
                struct image_copy *copy,
                uint32_t records)
{
    image_begin(core, copy);
    while (image_next(core, copy, records)) {
    }
}

enum baozi_status image_load(const struct image_copy *copy,
                             struct bao_core *core,
                             const char **why)
{
    const char *nothing = NULL;
    enum baozi_status status = BAOZI_OK;
    why = why == NULL ? &nothing : why;
    size_t from = 0;
    for (size_t i = 0; i < copy->pieces && status == BAOZI_OK; i++) {
        /* Of its own, so that a sanitizer sees who reads beyond it. */
        const size_t bytes = copy->ends[i] - from;
        uint8_t *piece = malloc(bytes + 1);
        assert_non_null(piece);
        memcpy(piece, copy->data + from, bytes);
        status = bao_image_load(core, bao_span_of(piece, bytes), why);
        from = copy->ends[i];
        free(piece);
    }
    if (status == BAOZI_OK) {
        status = bao_image_loaded(core, why);
    }
    return status;
}

/* --- in a world ----------------------------------------------------------- */

static uint64_t below(struct world_image *image, uint64_t most)
{
    image->random ^= image->random << 13;
    image->random ^= image->random >> 7;
    image->random ^= image->random << 17;
    return (image->random >> 11) % most;
}

void world_image_init(struct world_image *image)
{
    *image = (struct world_image){.random = UINT64_C(0x696d616765)};
}

void world_image_fini(struct world_image *image)
{
    image_copy_fini(&image->making);
    image_copy_fini(&image->made);
}

static void load(const struct image_copy *copy, struct bao_core *core)
{
    const char *why = NULL;
    if (image_load(copy, core, &why) != BAOZI_OK) {
        fail_msg("an image was refused: %s", why);
    }
    bao_core_check(core);
    if (copy->whole) {
        assert_true(bao_core_digest(core) == copy->digest);
    }
}

/* What the image and the facts behind it give is what all facts gave. With
 * facts that no log has it cannot be: they moved the tokens on, too. */
static void check(struct world *world)
{
    const struct image_copy *copy = &world->image.made;
    void *memory = NULL;
    struct bao_core *core = world_core_open(world->config, &memory);
    load(copy, core);
    fact_log_replay(&world->log, copy->log_count, core);
    bao_core_check(core);
    assert_true(world->partial ||
                bao_core_digest(core) == bao_core_digest(world->core));
    free(memory);
}

static void slice(struct world *world)
{
    struct world_image *image = &world->image;
    const uint32_t records = 1u + (uint32_t)below(image, 1u + below(image, 40));
    if (image_next(world->core, &image->making, records)) {
        return;
    }
    image_copy_fini(&image->made);
    image->made = image->making;
    image->making = (struct image_copy){.data = NULL};
    image->count++;
    check(world);
}

void world_image_step(struct world *world)
{
    struct world_image *image = &world->image;
    if (bao_image_under_way(world->core)) {
        if (below(image, 300) == 0) {
            bao_image_abandon(world->core);
        } else if (below(image, 2) == 0) {
            slice(world);
        }
    } else if (below(image, 6) == 0) {
        image_copy_fini(&image->making);
        image_begin(world->core, &image->making);
        image->making.log_count = world->log.count;
        image->making.whole = !world->partial;
    }
}

void world_image_die(struct world *world)
{
    if (bao_image_under_way(world->core)) {
        bao_image_abandon(world->core);
    }
}

static void load_and_replay(struct world *world, struct bao_core *core)
{
    load(&world->image.made, core);
    fact_log_replay(&world->log, world->image.made.log_count, core);
}

void world_image_recover(struct world *world,
                         struct bao_core *core,
                         struct bao_core *replay)
{
    const bool whole = world->image.made.whole && !world->partial;
    world->partial = false;
    if (world->image.made.pieces == 0 || below(&world->image, 2) == 0) {
        fact_log_replay(&world->log, 0, core);
        fact_log_replay(&world->log, 0, replay);
        return;
    }
    world->image.restarts++;
    load_and_replay(world, core);
    if (whole) {
        fact_log_replay(&world->log, 0, replay);
    } else {
        load_and_replay(world, replay);
    }
}
