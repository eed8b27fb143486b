/*
 * shelf.c - where the shelves of a queue are, and which items are on them.
 *
 * Invariants: every item has one colour, and is either held (it has a record)
 * or resting (shelf_rest.c). A shelf without items does not exist. A few
 * shelves of a queue are a list in the order of their numbers, so that a short
 * queue needs no tree. If there are more all are in the tree, with the colours
 * of their masks that are not empty; they stay there until the last is gone.
 */
#include "broker/core/memory.h"
#include "broker/core/shelf_inside.h"

static uint64_t mask_of(const struct bao_shelf *shelf, unsigned colours)
{
    uint64_t mask = 0;
    for (unsigned left = colours; left != 0; left &= left - 1) {
        mask |= shelf->masks[__builtin_ctz(left)];
    }
    return mask;
}

/* The first shelf from `number` on that has such items, or NULL. */
static struct bao_shelf *
first_from(const struct bao_queue *queue, unsigned colours, uint64_t number)
{
    if (queue->few_count == 0) {
        return bao_tree_first(&queue->shelves, colours, number).value;
    }
    for (uint32_t i = 0; i < queue->few_count; i++) {
        struct bao_shelf *shelf = queue->few[i];
        if (shelf->number >= number && mask_of(shelf, colours) != 0) {
            return shelf;
        }
    }
    return NULL;
}

/* The last one up to `number`. */
static struct bao_shelf *
last_upto(const struct bao_queue *queue, unsigned colours, uint64_t number)
{
    if (queue->few_count == 0) {
        return bao_tree_last(&queue->shelves, colours, number).value;
    }
    for (uint32_t i = queue->few_count; i-- > 0;) {
        struct bao_shelf *shelf = queue->few[i];
        if (shelf->number <= number && mask_of(shelf, colours) != 0) {
            return shelf;
        }
    }
    return NULL;
}

struct bao_shelf *bao_shelf_of(const struct bao_queue *queue, uint64_t n)
{
    const uint64_t number = n / BAO_SHELF_ITEMS;
    if (queue->shelf != NULL && queue->shelf->number == number) {
        return queue->shelf;
    }
    if (queue->few_count == 0) {
        return bao_tree_find(&queue->shelves, number);
    }
    for (uint32_t i = 0; i < queue->few_count; i++) {
        if (queue->few[i]->number == number) {
            return queue->few[i];
        }
    }
    return NULL;
}

/* --- coming and going -------------------------------------------------------
 */

static unsigned colours_of(const struct bao_shelf *shelf)
{
    unsigned colours = 0;
    for (unsigned c = 0; c < BAO_TREE_COLOURS; c++) {
        colours |= (unsigned)(shelf->masks[c] != 0) << c;
    }
    return colours;
}

/* Its masks have become empty, or have not been so before. */
static void repaint(struct bao_queue *queue, const struct bao_shelf *shelf)
{
    if (queue->few_count == 0) {
        bao_tree_paint(&queue->shelves, shelf->number, colours_of(shelf));
    }
}

/* A shelf without items comes in; it will get one of this colour. */
static void list(struct bao_core *core,
                 struct bao_queue *queue,
                 struct bao_shelf *shelf,
                 unsigned colour)
{
    uint32_t i = queue->few_count;
    if (i < BAO_SHELVES_FEW && queue->shelves.count == 0) {
        for (; i > 0 && queue->few[i - 1]->number > shelf->number; i--) {
            queue->few[i] = queue->few[i - 1];
        }
        queue->few[i] = shelf;
        queue->few_count++;
        return;
    }
    for (; queue->few_count > 0; queue->few_count--) {
        struct bao_shelf *one = queue->few[queue->few_count - 1];
        bao_put_in_tree(core, &queue->shelves, one->number, one, 0);
        bao_tree_paint(&queue->shelves, one->number, colours_of(one));
    }
    bao_put_in_tree(core, &queue->shelves, shelf->number, shelf, colour);
}

/* It has no items any more. */
static void shelf_free(struct bao_core *core,
                       struct bao_queue *queue,
                       struct bao_shelf *shelf)
{
    queue->shelf = NULL;
    if (queue->few_count == 0) {
        bao_tree_remove(&queue->shelves, shelf->number);
    } else {
        uint32_t i = 0;
        for (; queue->few[i] != shelf; i++) {
            BAO_ASSERT(i + 1 < queue->few_count);
        }
        queue->few_count--;
        for (; i < queue->few_count; i++) {
            queue->few[i] = queue->few[i + 1];
        }
    }
    bao_pool_give(&core->shelves, shelf);
}

struct bao_shelf *bao_shelf_get(struct bao_core *core,
                                struct bao_queue *queue,
                                uint64_t n,
                                unsigned colour)
{
    struct bao_shelf *shelf = bao_shelf_of(queue, n);
    if (shelf == NULL) {
        shelf = bao_take_slot(core, &core->shelves);
        shelf->number = n / BAO_SHELF_ITEMS;
        shelf->runs = shelf->inside;
        shelf->run_capacity = BAO_SHELF_RUNS;
        shelf->stamp = core->stamp;
        list(core, queue, shelf, colour);
    }
    queue->shelf = shelf;
    return shelf;
}

void bao_shelf_mark(struct bao_queue *queue,
                    struct bao_shelf *shelf,
                    unsigned colour,
                    uint64_t bits)
{
    const bool paints = shelf->masks[colour] == 0 && bao_shelf_all(shelf) != 0;
    BAO_ASSERT((bao_shelf_all(shelf) & bits) == 0);
    shelf->masks[colour] |= bits;
    if (paints) {
        repaint(queue, shelf);
    }
}

void bao_shelf_hold(struct bao_core *core,
                    struct bao_shelf *shelf,
                    unsigned slot,
                    struct bao_item *item)
{
    if (shelf->records == NULL) {
        struct bao_records *column = bao_take_slot(core, &core->records);
        shelf->records = column->items;
    }
    shelf->held |= bao_shelf_bit(slot);
    shelf->records[slot] = item;
}

void bao_shelf_let_go(struct bao_core *core,
                      struct bao_shelf *shelf,
                      unsigned slot)
{
    BAO_ASSERT((shelf->held >> slot & 1) != 0);
    shelf->held &= ~bao_shelf_bit(slot);
    if (shelf->held == 0) {
        bao_pool_give(&core->records, shelf->records);
        shelf->records = NULL;
    }
}

void bao_shelf_add(struct bao_core *core, struct bao_item *item)
{
    const uint64_t n = item->id & BAO_N_MASK;
    const unsigned colour = bao_shelf_colour((enum bao_state)item->state);
    struct bao_shelf *shelf = bao_shelf_get(core, item->queue, n, colour);
    bao_shelf_mark(
        item->queue, shelf, colour, bao_shelf_bit(bao_shelf_slot(n)));
    bao_shelf_hold(core, shelf, bao_shelf_slot(n), item);
}

void bao_shelf_recolour(const struct bao_item *item, enum bao_state from)
{
    struct bao_queue *queue = item->queue;
    const uint64_t n = item->id & BAO_N_MASK;
    const uint64_t bit = bao_shelf_bit(bao_shelf_slot(n));
    struct bao_shelf *shelf = bao_shelf_of(queue, n);
    BAO_ASSERT(shelf != NULL);
    uint64_t *source = &shelf->masks[bao_shelf_colour(from)];
    uint64_t *target =
        &shelf->masks[bao_shelf_colour((enum bao_state)item->state)];
    BAO_ASSERT((shelf->held & bit) != 0);
    BAO_ASSERT((*source & bit) != 0);
    const bool paints = *target == 0 || *source == bit;
    *source &= ~bit;
    *target |= bit;
    queue->shelf = shelf;
    if (paints) {
        repaint(queue, shelf);
    }
}

void bao_shelf_remove(struct bao_core *core,
                      const struct bao_item *item,
                      enum bao_state from)
{
    struct bao_queue *queue = item->queue;
    const uint64_t n = item->id & BAO_N_MASK;
    const uint64_t bit = bao_shelf_bit(bao_shelf_slot(n));
    struct bao_shelf *shelf = bao_shelf_of(queue, n);
    BAO_ASSERT(shelf != NULL);
    uint64_t *source = &shelf->masks[bao_shelf_colour(from)];
    BAO_ASSERT((*source & bit) != 0);
    *source &= ~bit;
    bao_shelf_let_go(core, shelf, bao_shelf_slot(n));
    queue->shelf = shelf;
    if (bao_shelf_all(shelf) == 0) {
        shelf_free(core, queue, shelf);
    } else if (*source == 0) {
        repaint(queue, shelf);
    }
}

/* --- looking ----------------------------------------------------------------
 */

bool bao_shelf_has(const struct bao_queue *queue, uint64_t n)
{
    const struct bao_shelf *shelf = bao_shelf_of(queue, n);
    return shelf != NULL &&
           (bao_shelf_all(shelf) >> bao_shelf_slot(n) & 1) != 0;
}

struct bao_item *bao_item_find(const struct bao_queue *queue, uint64_t id)
{
    const uint64_t n = id & BAO_N_MASK;
    const struct bao_shelf *shelf = bao_shelf_of(queue, n);
    if (shelf == NULL || (shelf->held >> bao_shelf_slot(n) & 1) == 0) {
        return NULL;
    }
    return shelf->records[bao_shelf_slot(n)];
}

const struct bao_item *
bao_item_look(const struct bao_queue *queue, uint64_t id, struct bao_item *room)
{
    const uint64_t n = id & BAO_N_MASK;
    const struct bao_shelf *shelf = bao_shelf_of(queue, n);
    if (shelf == NULL || (bao_shelf_all(shelf) >> bao_shelf_slot(n) & 1) == 0) {
        return NULL;
    }
    if ((shelf->held >> bao_shelf_slot(n) & 1) != 0) {
        return shelf->records[bao_shelf_slot(n)];
    }
    *room = (struct bao_item){.id = 0};
    bao_shelf_read(queue, shelf, bao_shelf_slot(n), room);
    return room;
}

static uint64_t n_at(const struct bao_shelf *shelf, unsigned slot)
{
    return shelf->number * BAO_SHELF_ITEMS + slot;
}

uint64_t
bao_shelf_next(const struct bao_queue *queue, unsigned colours, uint64_t n)
{
    const uint64_t number = n / BAO_SHELF_ITEMS;
    const struct bao_shelf *shelf = bao_shelf_of(queue, n);
    if (shelf != NULL) {
        const uint64_t mask =
            mask_of(shelf, colours) & ~bao_shelf_below(bao_shelf_slot(n));
        if (mask != 0) {
            return n_at(shelf, (unsigned)__builtin_ctzll(mask));
        }
    }
    shelf = first_from(queue, colours, number + 1);
    if (shelf == NULL) {
        return 0;
    }
    return n_at(shelf, (unsigned)__builtin_ctzll(mask_of(shelf, colours)));
}

uint64_t
bao_shelf_last(const struct bao_queue *queue, unsigned colours, uint64_t n)
{
    const uint64_t number = n / BAO_SHELF_ITEMS;
    const struct bao_shelf *shelf = bao_shelf_of(queue, n);
    if (shelf != NULL) {
        const unsigned slot = bao_shelf_slot(n);
        const uint64_t mask = mask_of(shelf, colours) & bao_shelf_upto(slot);
        if (mask != 0) {
            return n_at(shelf, 63u - (unsigned)__builtin_clzll(mask));
        }
    }
    if (number == 0) {
        return 0;
    }
    shelf = last_upto(queue, colours, number - 1);
    if (shelf == NULL) {
        return 0;
    }
    return n_at(shelf,
                63u - (unsigned)__builtin_clzll(mask_of(shelf, colours)));
}

struct bao_shelf *bao_shelf_from(const struct bao_queue *queue, uint64_t n)
{
    return first_from(queue, BAO_TREE_ANY, n / BAO_SHELF_ITEMS);
}

/* --- checking ---------------------------------------------------------------
 */

void bao_shelf_check(const struct bao_queue *queue,
                     const struct bao_shelf *shelf)
{
    uint64_t all = 0;
    BAO_ASSERT(queue->few_count == 0 || queue->shelves.count == 0);
    BAO_ASSERT(bao_shelf_of(queue, n_at(shelf, 0)) == shelf);
    for (unsigned c = 0; c < BAO_TREE_COLOURS; c++) {
        BAO_ASSERT((all & shelf->masks[c]) == 0);
        all |= shelf->masks[c];
        BAO_ASSERT((shelf->masks[c] != 0) ==
                   (first_from(queue, 1u << c, shelf->number) == shelf));
    }
    const uint64_t ready = shelf->masks[bao_shelf_colour(BAO_STATE_READY)];
    BAO_ASSERT(all != 0);
    BAO_ASSERT(all == bao_shelf_all(shelf));
    BAO_ASSERT((shelf->resting & shelf->held) == 0);
    BAO_ASSERT((shelf->resting & ~ready) == 0);
    BAO_ASSERT((shelf->held != 0) == (shelf->records != NULL));
    BAO_ASSERT(shelf->run_count ==
               (unsigned)__builtin_popcountll(shelf->begins));
    BAO_ASSERT(shelf->run_count <= shelf->run_capacity);
    BAO_ASSERT((shelf->run_capacity == BAO_SHELF_RUNS) ==
               (shelf->runs == shelf->inside));
    BAO_ASSERT(shelf->run_capacity <= BAO_SHELF_ITEMS);
    const uint64_t first = shelf->resting & (0 - shelf->resting);
    BAO_ASSERT(first != 0 || shelf->header_bytes == NULL);
    BAO_ASSERT(first != 0 || shelf->run_count == 0);
    BAO_ASSERT(first == 0 || (shelf->begins & (first | (first - 1))) != 0);
    for (uint64_t left = shelf->held; left != 0; left &= left - 1) {
        const unsigned slot = (unsigned)__builtin_ctzll(left);
        const struct bao_item *item = shelf->records[slot];
        BAO_ASSERT((item->id & BAO_N_MASK) == n_at(shelf, slot));
        BAO_ASSERT(
            shelf->masks[bao_shelf_colour((enum bao_state)item->state)] >>
                slot &
            1);
    }
}
