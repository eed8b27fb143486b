/*
 * image.c - the moment, the pieces, the slices.
 *
 * The slices go through the records in an order in which they can be found
 * again after any step: sessions by number, answers by request, queues by
 * name, items by id, and the lists of a queue by a cursor that whoever takes
 * its record away moves on.
 */
#include "broker/core/image.h"

#include "broker/core/digest.h"
#include "broker/core/image_inside.h"
#include "broker/core/keep.h"
#include "broker/core/shelf.h"
#include "broker/core/store.h"

/* --- pieces ----------------------------------------------------------------
 */

static void pieces_give(struct bao_core *core)
{
    struct bao_image *image = core->image;
    struct bao_link *link = bao_list_pop(&image->full);
    for (; link != NULL; link = bao_list_pop(&image->full)) {
        bao_arena_give(core->arena, BAO_OF(link, struct bao_image_piece, link));
    }
    bao_arena_give(core->arena, image->piece);
    image->piece = NULL;
}

/* An empty piece to fill; without memory the image fails. */
static void piece_begin(struct bao_core *core)
{
    struct bao_image *image = core->image;
    image->piece = bao_take_spare(core, sizeof(*image->piece));
    if (image->piece == NULL) {
        BAO_MARK("an image fails for want of memory");
        core->image_failed = true;
        pieces_give(core);
        return;
    }
    memset(&image->piece->link, 0, sizeof(image->piece->link));
    image->packer = (struct bao_packer){.at = image->piece->data,
                                        .end = image->piece->data +
                                               sizeof(image->piece->data)};
    bao_image_past_init(&image->past);
    bao_pack_number(&image->packer, BAO_IMAGE_VERSION);
}

static void piece_end(struct bao_image *image, const uint8_t *end)
{
    image->piece->bytes = (size_t)(end - image->piece->data);
    bao_list_push(&image->full, &image->piece->link);
    image->piece = NULL;
}

static void pack_errors(struct bao_packer *packer,
                        const struct bao_errors *errors)
{
    const uint32_t count = errors == NULL ? 0 : errors->count;
    bao_pack_number(packer, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct bao_text *text = errors->texts[i];
        bao_pack_span(packer, bao_span_of(text->data, text->bytes));
    }
}

static void pack(struct bao_image *image, enum bao_image_kind kind)
{
    bao_image_pack(&image->packer, &image->past, kind, &image->row);
    if (kind == BAO_IMAGE_QUEUE || kind == BAO_IMAGE_GROUP ||
        kind == BAO_IMAGE_TALLY) {
        pack_errors(&image->packer, image->lists[0]);
    }
    if (kind == BAO_IMAGE_QUEUE) {
        pack_errors(&image->packer, image->lists[1]);
    }
}

void bao_image_add(struct bao_core *core, enum bao_image_kind kind)
{
    struct bao_image *image = core->image;
    const uint8_t *before = image->packer.at;
    if (image->piece == NULL) {
        return;
    }
    image->rows++;
    pack(image, kind);
    if (!image->packer.full) {
        return;
    }
    piece_end(image, before);
    piece_begin(core);
    if (image->piece != NULL) {
        pack(image, kind);
        BAO_ASSERT(!image->packer.full);
    }
}

/* --- begin and end ---------------------------------------------------------
 */

static void add_core(struct bao_core *core)
{
    struct bao_image *image = core->image;
    uint64_t *numbers = image->row.numbers;
    numbers[BAO_CORE_EPOCH] = core->epoch;
    numbers[BAO_CORE_TOKEN] = core->token;
    numbers[BAO_CORE_FIRST_N] = core->first_n;
    numbers[BAO_CORE_ORDER] = core->order;
    numbers[BAO_CORE_INCARNATION] = core->last_incarnation;
    numbers[BAO_CORE_SESSION] = core->last_session;
    numbers[BAO_CORE_NOW] = core->now_us;
    image->saved = bao_digest_core(core);
    bao_image_add(core, BAO_IMAGE_CORE);
}

bool bao_image_begin(struct bao_core *core)
{
    BAO_ASSERT(core->image == NULL);
    struct bao_image *image = bao_take_spare(core, sizeof(*image));
    if (image == NULL) {
        return false;
    }
    memset(image, 0, sizeof(*image));
    bao_list_init(&image->full);
    image->begun = core->digest;
    core->image = image;
    core->image_failed = false;
    core->stamp++;
    piece_begin(core);
    add_core(core);
    return true;
}

void bao_image_abandon(struct bao_core *core)
{
    pieces_give(core);
    bao_arena_give(core->arena, core->image);
    core->image = NULL;
}

/* Everything is saved. */
static void add_end(struct bao_core *core)
{
    struct bao_image *image = core->image;
    BAO_ASSERT(image->partial || image->saved == image->begun);
    image->row.numbers[BAO_END_DIGEST] = image->saved;
    image->row.numbers[BAO_END_ROWS] = image->rows;
    bao_image_add(core, BAO_IMAGE_END);
    if (image->piece != NULL) {
        piece_end(image, image->packer.at);
    }
}

bool bao_image_failed(const struct bao_core *core)
{
    return core->image_failed;
}

bool bao_image_under_way(const struct bao_core *core)
{
    return core->image != NULL;
}

/* --- slices ----------------------------------------------------------------
 */

/* True if the record of a list's stage that holds `link` is saved. */
static bool is_saved(const struct bao_core *core, struct bao_link *link)
{
    uint32_t stamp = 0;
    switch (core->image->stage) {
    case BAO_IMAGE_AT_FINISHED:
    case BAO_IMAGE_AT_GROUPS:
        stamp = BAO_OF(link, struct bao_group, finished)->stamp;
        break;
    case BAO_IMAGE_AT_DEDUPS:
        stamp = BAO_OF(link, struct bao_dedup, of_queue)->stamp;
        break;
    case BAO_IMAGE_AT_TALLIES:
        stamp = BAO_OF(link, struct bao_tally, of_queue)->stamp;
        break;
    case BAO_IMAGE_AT_OUTCOMES:
        stamp = BAO_OF(link, struct bao_outcome, of_queue)->stamp;
        break;
    case BAO_IMAGE_AT_SESSIONS:
    case BAO_IMAGE_AT_ANSWERS:
    case BAO_IMAGE_AT_QUEUES:
    case BAO_IMAGE_AT_ITEMS:
    case BAO_IMAGE_AT_END: bao_panic(__FILE__, __LINE__, "a list");
    }
    return stamp == core->stamp;
}

static void save_linked(struct bao_core *core, struct bao_link *link)
{
    switch (core->image->stage) {
    case BAO_IMAGE_AT_FINISHED:
    case BAO_IMAGE_AT_GROUPS:
        bao_image_save_group(core, BAO_OF(link, struct bao_group, finished));
        return;
    case BAO_IMAGE_AT_DEDUPS:
        bao_image_save_dedup(core, BAO_OF(link, struct bao_dedup, of_queue));
        return;
    case BAO_IMAGE_AT_TALLIES:
        bao_image_save_tally(core, BAO_OF(link, struct bao_tally, of_queue));
        return;
    case BAO_IMAGE_AT_OUTCOMES:
        bao_image_save_outcome(core,
                               BAO_OF(link, struct bao_outcome, of_queue));
        return;
    case BAO_IMAGE_AT_SESSIONS:
    case BAO_IMAGE_AT_ANSWERS:
    case BAO_IMAGE_AT_QUEUES:
    case BAO_IMAGE_AT_ITEMS:
    case BAO_IMAGE_AT_END: bao_panic(__FILE__, __LINE__, "a list");
    }
}

static struct bao_list *list_of(struct bao_queue *queue,
                                enum bao_image_stage stage)
{
    switch (stage) {
    case BAO_IMAGE_AT_FINISHED: return &queue->finished;
    case BAO_IMAGE_AT_GROUPS: return &queue->open_groups;
    case BAO_IMAGE_AT_DEDUPS: return &queue->dedups;
    case BAO_IMAGE_AT_TALLIES: return &queue->tallies;
    case BAO_IMAGE_AT_OUTCOMES: return &queue->outcomes;
    case BAO_IMAGE_AT_SESSIONS:
    case BAO_IMAGE_AT_ANSWERS:
    case BAO_IMAGE_AT_QUEUES:
    case BAO_IMAGE_AT_ITEMS:
    case BAO_IMAGE_AT_END: break;
    }
    return NULL;
}

/* The cursor goes to the first record at or behind `link` that is not
 * saved. */
static void cursor_set(struct bao_core *core, struct bao_link *link)
{
    struct bao_image *image = core->image;
    while (link != NULL && is_saved(core, link)) {
        link = bao_list_next(image->list, link);
    }
    image->link = link;
}

void bao_image_passed(struct bao_core *core, const struct bao_link *link)
{
    struct bao_image *image = core->image;
    if (image->link == link) {
        cursor_set(core, bao_list_next(image->list, link));
    }
}

static void stage_set(struct bao_core *core,
                      struct bao_queue *queue,
                      enum bao_image_stage stage)
{
    struct bao_image *image = core->image;
    image->stage = stage;
    image->rid = 0;
    image->list = list_of(queue, stage);
    if (image->list != NULL) {
        cursor_set(core, bao_list_first(image->list));
    }
}

static void slice_sessions(struct bao_core *core)
{
    struct bao_image *image = core->image;
    struct bao_tree_entry entry =
        bao_tree_first(&core->sessions, BAO_TREE_ANY, image->number);
    if (entry.value == NULL) {
        image->stage = BAO_IMAGE_AT_QUEUES;
        return;
    }
    struct bao_session *session = entry.value;
    bao_image_touch_session(core, session);
    struct bao_link *link = bao_list_first(&session->progresses);
    for (; link != NULL; link = bao_list_next(&session->progresses, link)) {
        bao_image_touch_progress(core,
                                 BAO_OF(link, struct bao_progress, of_session));
    }
    image->number = entry.key;
    image->rid = 0;
    image->stage = BAO_IMAGE_AT_ANSWERS;
}

static void slice_answers(struct bao_core *core)
{
    struct bao_image *image = core->image;
    struct bao_session *session = bao_session_of(core, image->number);
    struct bao_request *request =
        session == NULL ? NULL : bao_window_from(session, image->rid);
    if (request == NULL) {
        image->number++;
        image->stage = BAO_IMAGE_AT_SESSIONS;
        return;
    }
    image->rid = request->first + 1;
    if (!request->waiting) {
        bao_image_touch_answer(core, bao_answer_of(request));
    }
}

static void slice_queues(struct bao_core *core)
{
    struct bao_image *image = core->image;
    struct bao_queue *queue =
        bao_queue_after(core, bao_span_of(image->name, image->name_bytes));
    if (queue == NULL) {
        image->stage = BAO_IMAGE_AT_END;
        return;
    }
    image->name_bytes = queue->name->bytes;
    memcpy(image->name, queue->name->data, image->name_bytes);
    image->incarnation = queue->incarnation;
    bao_image_touch_queue(core, queue);
    if (queue->logged) {
        stage_set(core, queue, BAO_IMAGE_AT_FINISHED);
    }
}

/* A list is at its end: the next one, or the items. */
static void list_end(struct bao_core *core)
{
    struct bao_image *image = core->image;
    struct bao_queue *queue = bao_queue_look(core, image->incarnation);
    if (queue == NULL) {
        BAO_MARK("a queue goes while its image is made");
        image->stage = BAO_IMAGE_AT_QUEUES;
        return;
    }
    stage_set(core, queue, image->stage + 1);
}

/* Saves items of a shelf from image->rid on; answers how many it looked at,
 * at most `records`. */
static uint32_t slice_shelf(struct bao_core *core,
                            const struct bao_queue *queue,
                            struct bao_shelf *shelf,
                            uint32_t records)
{
    struct bao_image *image = core->image;
    const uint64_t first = shelf->number * BAO_SHELF_ITEMS;
    uint64_t left = shelf->held | shelf->resting;
    uint32_t looked = 0;
    if (image->rid > first) {
        left &= UINT64_MAX << (image->rid - first);
    }
    bao_shelf_stamp(core, shelf);
    for (; left != 0 && looked < records; left &= left - 1) {
        const unsigned slot = (unsigned)__builtin_ctzll(left);
        if ((shelf->held >> slot & 1) != 0) {
            bao_image_touch_item(core, shelf->records[slot]);
        } else if ((shelf->unsaved >> slot & 1) != 0) {
            bao_image_save_resting(core, queue, shelf, slot);
        }
        image->rid = first + slot + 1;
        looked++;
    }
    if (left == 0) {
        image->rid = first + BAO_SHELF_ITEMS;
    }
    return looked;
}

/* Answers how many items it looked at. */
static uint32_t slice_items(struct bao_core *core, uint32_t records)
{
    struct bao_image *image = core->image;
    const struct bao_queue *queue = bao_queue_look(core, image->incarnation);
    uint32_t looked = 0;
    struct bao_shelf *shelf =
        queue == NULL ? NULL : bao_shelf_from(queue, image->rid);
    while (shelf != NULL) {
        looked += slice_shelf(core, queue, shelf, records - looked);
        if (looked == records) {
            return looked;
        }
        shelf = bao_shelf_from(queue, image->rid);
    }
    image->stage = BAO_IMAGE_AT_QUEUES;
    return looked + 1;
}

/* A part of a slice; answers how much of it is used. */
static uint32_t slice(struct bao_core *core, uint32_t records)
{
    struct bao_image *image = core->image;
    switch (image->stage) {
    case BAO_IMAGE_AT_SESSIONS: slice_sessions(core); return 1;
    case BAO_IMAGE_AT_ANSWERS: slice_answers(core); return 1;
    case BAO_IMAGE_AT_QUEUES: slice_queues(core); return 1;
    case BAO_IMAGE_AT_FINISHED:
    case BAO_IMAGE_AT_GROUPS:
    case BAO_IMAGE_AT_DEDUPS:
    case BAO_IMAGE_AT_TALLIES:
    case BAO_IMAGE_AT_OUTCOMES:
        if (image->link == NULL) {
            list_end(core);
        } else {
            save_linked(core, image->link);
        }
        return 1;
    case BAO_IMAGE_AT_ITEMS: return slice_items(core, records);
    case BAO_IMAGE_AT_END: break;
    }
    bao_panic(__FILE__, __LINE__, "a stage");
}

static size_t hand_out(struct bao_core *core, uint8_t *to, size_t capacity)
{
    struct bao_link *link = bao_list_pop(&core->image->full);
    if (link == NULL) {
        return 0;
    }
    struct bao_image_piece *piece = BAO_OF(link, struct bao_image_piece, link);
    const size_t bytes = piece->bytes;
    BAO_ASSERT(bytes <= capacity);
    memcpy(to, piece->data, bytes);
    bao_arena_give(core->arena, piece);
    return bytes;
}

size_t bao_image_next(struct bao_core *core,
                      uint32_t records,
                      uint8_t *to,
                      size_t capacity)
{
    struct bao_image *image = core->image;
    BAO_ASSERT(image != NULL);
    BAO_ASSERT(capacity >= BAO_IMAGE_PIECE_BYTES);
    while (records > 0 && image->full.count == 0 && image->piece != NULL &&
           image->stage != BAO_IMAGE_AT_END) {
        records -= slice(core, records);
    }
    if (image->piece != NULL && image->stage == BAO_IMAGE_AT_END) {
        add_end(core);
    }
    const size_t bytes = hand_out(core, to, capacity);
    if (image->piece == NULL && image->full.count == 0) {
        bao_image_abandon(core);
    }
    return bytes;
}
