/*
 * bodies_rack.c - the rack of bodies_rack.h.
 *
 * Invariant: if the tree has an entry, `count` is 0. It takes all when they are
 * more than a few, and is used until it is empty again.
 */
#include "broker/bodies_rack.h"

void bao_rack_init(struct bao_rack *rack, struct bao_arena *arena)
{
    rack->count = 0;
    bao_tree_init(&rack->tree, arena);
}

/* The place of the smallest key >= `key` among the few. */
static uint32_t place_of(const struct bao_rack *rack, uint64_t key)
{
    uint32_t at = 0;
    while (at < rack->count && rack->few[at].key < key)
        at++;
    return at;
}

static bool is_at(const struct bao_rack *rack, uint32_t at, uint64_t key)
{
    return at < rack->count && rack->few[at].key == key;
}

struct bao_tray *bao_rack_find(const struct bao_rack *rack, uint64_t key)
{
    if (rack->tree.count > 0)
        return bao_tree_find(&rack->tree, key);
    const uint32_t at = place_of(rack, key);
    return is_at(rack, at, key) ? rack->few[at].value : NULL;
}

struct bao_tree_entry bao_rack_first(const struct bao_rack *rack, uint64_t from)
{
    const uint32_t at = place_of(rack, from);
    if (rack->tree.count > 0)
        return bao_tree_first(&rack->tree, BAO_TREE_ANY, from);
    return at < rack->count ? rack->few[at] : (struct bao_tree_entry){0, NULL};
}

struct bao_tree_entry bao_rack_last(const struct bao_rack *rack)
{
    if (rack->tree.count > 0)
        return bao_tree_last(&rack->tree, BAO_TREE_ANY, UINT64_MAX);
    if (rack->count == 0)
        return (struct bao_tree_entry){0, NULL};
    return rack->few[rack->count - 1];
}

static void
put_in_tree(struct bao_rack *rack, uint64_t key, struct bao_tray *tray)
{
    const bool good = bao_tree_put(&rack->tree, key, tray, 0);
    BAO_ASSERT(good);
}

void bao_rack_put(struct bao_rack *rack, uint64_t key, struct bao_tray *tray)
{
    const uint32_t at = place_of(rack, key);
    BAO_ASSERT(!is_at(rack, at, key));
    if (rack->tree.count > 0 || rack->count == BAO_RACK_FEW) {
        for (uint32_t i = 0; i < rack->count; i++)
            put_in_tree(rack, rack->few[i].key, rack->few[i].value);
        rack->count = 0;
        put_in_tree(rack, key, tray);
        return;
    }
    memmove(&rack->few[at + 1],
            &rack->few[at],
            (rack->count - at) * sizeof rack->few[0]);
    rack->few[at] = (struct bao_tree_entry){key, tray};
    rack->count++;
}

void bao_rack_replace(struct bao_rack *rack,
                      uint64_t key,
                      struct bao_tray *tray)
{
    const uint32_t at = place_of(rack, key);
    if (rack->tree.count > 0 && tray != NULL) {
        bao_tree_replace(&rack->tree, key, tray);
        return;
    }
    if (rack->tree.count > 0) {
        bao_tree_remove(&rack->tree, key);
        return;
    }
    BAO_ASSERT(is_at(rack, at, key));
    rack->few[at].value = tray;
    if (tray != NULL)
        return;
    rack->count--;
    memmove(&rack->few[at],
            &rack->few[at + 1],
            (rack->count - at) * sizeof rack->few[0]);
}
