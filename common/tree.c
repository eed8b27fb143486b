/*
 * tree.c - the 64-ary radix tree of tree.h.
 *
 * A node at level l decides bits 6l..6l+5 of the key; children of level 0 are
 * the values. The bits above the root's are the same in all keys: `base`.
 * Invariant: bit s of a node's mask c is set exactly when an entry of colour c
 * lies below child s; a node without any bit does not exist. Only the masks of
 * a new node are cleared, because the tree of a queue that is nearly always
 * empty is made and given back for each item.
 */
#include "common/tree.h"

#include "common/check.h"

#define BITS       6u
#define SLOTS      64u
#define LEVELS_MAX 11u /* 64 bits in sixes */

struct bao_tree_node {
    uint64_t used; /* all masks together */
    uint64_t masks[BAO_TREE_COLOURS];
    void *children[SLOTS]; /* nodes, or values at level 0; what `used` does
                              not name was never written */
};

/* The nodes from the root (path[height]) down to the leaf (path[0]). */
struct path {
    struct bao_tree_node *nodes[LEVELS_MAX];
};

static unsigned slot_of(uint64_t key, unsigned level)
{
    return (unsigned)(key >> (BITS * level)) & (SLOTS - 1);
}

static uint64_t bit_of(unsigned slot)
{
    return UINT64_C(1) << slot;
}

/* What of a key lies above the bits that a root of this height decides. */
static uint64_t above(uint64_t key, uint32_t height)
{
    unsigned bits = BITS * (height + 1);
    return bits >= 64 ? 0 : key >> bits;
}

static bool is_in_range(const struct bao_tree *tree, uint64_t key)
{
    return above(key, tree->height) == tree->base;
}

static uint64_t mask_of(const struct bao_tree_node *node, unsigned colours)
{
    uint64_t mask = 0;
    if (colours == BAO_TREE_ANY)
        return node->used;
    for (unsigned c = 0; c < BAO_TREE_COLOURS; c++) {
        if ((colours >> c & 1) != 0)
            mask |= node->masks[c];
    }
    return mask;
}

static struct bao_tree_node *node_take(struct bao_tree *tree)
{
    struct bao_tree_node *node = bao_arena_take(tree->arena, sizeof(*node));
    if (node != NULL) {
        node->used = 0;
        memset(node->masks, 0, sizeof(node->masks));
    }
    return node;
}

void bao_tree_init(struct bao_tree *tree, struct bao_arena *arena)
{
    *tree = (struct bao_tree){.arena = arena};
}

/* Goes down with a path of its own, so that no call is recursive. */
void bao_tree_fini(struct bao_tree *tree)
{
    struct path path;
    unsigned level = tree->height;

    path.nodes[level] = tree->root;
    while (tree->root != NULL) {
        struct bao_tree_node *node = path.nodes[level];
        if (level > 0 && node->used != 0) {
            unsigned slot = (unsigned)__builtin_ctzll(node->used);
            node->used &= node->used - 1;
            level--;
            path.nodes[level] = node->children[slot];
            continue;
        }
        bao_arena_give(tree->arena, node);
        if (node == tree->root)
            break;
        level++;
    }
    bao_tree_init(tree, tree->arena);
}

/* Fills the path towards a key's leaf; returns the lowest level that is there
 * (height + 1: not even a root). */
static unsigned
walk(const struct bao_tree *tree, uint64_t key, struct path *path)
{
    unsigned level = tree->height + 1;
    struct bao_tree_node *node = tree->root;
    while (node != NULL) {
        level--;
        path->nodes[level] = node;
        unsigned slot = slot_of(key, level);
        bool below = level > 0 && (node->used & bit_of(slot)) != 0;
        node = below ? node->children[slot] : NULL;
    }
    return level;
}

/* The place of a key's value if the key is there, with its path; or NULL. */
static void **find(const struct bao_tree *tree, uint64_t key, struct path *path)
{
    if (tree->root == NULL || !is_in_range(tree, key) ||
        walk(tree, key, path) != 0)
        return NULL;
    unsigned slot = slot_of(key, 0);
    if ((path->nodes[0]->used & bit_of(slot)) == 0)
        return NULL;
    return &path->nodes[0]->children[slot];
}

/* Lowers the root while it leads to one child only. */
static void lower(struct bao_tree *tree)
{
    while (tree->root != NULL && tree->height > 0 &&
           (tree->root->used & (tree->root->used - 1)) == 0) {
        unsigned slot = (unsigned)__builtin_ctzll(tree->root->used);
        struct bao_tree_node *child = tree->root->children[slot];
        bao_arena_give(tree->arena, tree->root);
        tree->root = child;
        tree->height--;
        tree->base = tree->base << BITS | slot;
    }
    if (tree->root == NULL) {
        tree->height = 0;
        tree->base = 0;
    }
}

/* Puts roots on top until the key is in range. */
static bool raise_to(struct bao_tree *tree, uint64_t key)
{
    if (tree->root == NULL) {
        tree->base = above(key, 0);
        return true;
    }
    while (!is_in_range(tree, key)) {
        struct bao_tree_node *node = node_take(tree);
        if (node == NULL)
            return false;
        unsigned slot = (unsigned)tree->base & (SLOTS - 1);
        node->used = bit_of(slot);
        for (unsigned c = 0; c < BAO_TREE_COLOURS; c++)
            node->masks[c] = tree->root->masks[c] != 0 ? bit_of(slot) : 0;
        node->children[slot] = tree->root;
        tree->root = node;
        tree->base >>= BITS;
        tree->height++;
    }
    return true;
}

/* Makes the nodes that are missing on the way to a key; all or none. */
static bool make_path(struct bao_tree *tree, uint64_t key, struct path *path)
{
    unsigned there = walk(tree, key, path);
    for (unsigned level = there; level-- > 0;) {
        path->nodes[level] = node_take(tree);
        if (path->nodes[level] != NULL)
            continue;
        while (++level < there)
            bao_arena_give(tree->arena, path->nodes[level]);
        return false;
    }
    for (unsigned level = there; level-- > 0;) {
        if (level == tree->height)
            tree->root = path->nodes[level];
        else
            path->nodes[level + 1]->children[slot_of(key, level + 1)] =
                path->nodes[level];
    }
    return true;
}

/* Says on the whole path that an entry of this colour lies below. */
static void colour_path(const struct bao_tree *tree,
                        uint64_t key,
                        const struct path *path,
                        unsigned colour)
{
    for (unsigned level = 0; level <= tree->height; level++) {
        uint64_t bit = bit_of(slot_of(key, level));
        path->nodes[level]->masks[colour] |= bit;
        path->nodes[level]->used |= bit;
    }
}

bool bao_tree_put(struct bao_tree *tree,
                  uint64_t key,
                  void *value,
                  unsigned colour)
{
    struct path path;
    BAO_ASSERT(value != NULL && colour < BAO_TREE_COLOURS);

    if (!raise_to(tree, key) || !make_path(tree, key, &path)) {
        lower(tree);
        return false;
    }
    unsigned slot = slot_of(key, 0);
    BAO_ASSERT((path.nodes[0]->used & bit_of(slot)) == 0);
    path.nodes[0]->children[slot] = value;
    colour_path(tree, key, &path, colour);
    tree->count++;
    return true;
}

void *bao_tree_find(const struct bao_tree *tree, uint64_t key)
{
    struct path path;
    void **place = find(tree, key, &path);
    return place == NULL ? NULL : *place;
}

void bao_tree_replace(const struct bao_tree *tree, uint64_t key, void *value)
{
    struct path path;
    void **place = find(tree, key, &path);
    BAO_ASSERT(place != NULL);
    BAO_ASSERT(value != NULL);
    *place = value;
}

/* Says from `level` up that `key` no longer has this colour. */
static void uncolour_path(const struct bao_tree *tree,
                          uint64_t key,
                          const struct path *path,
                          unsigned level,
                          unsigned colour)
{
    for (; level <= tree->height; level++) {
        uint64_t *mask = &path->nodes[level]->masks[colour];
        *mask &= ~bit_of(slot_of(key, level));
        if (*mask != 0)
            break;
    }
}

/* Gives a key on its path exactly these colours. */
static void paint(const struct bao_tree *tree,
                  uint64_t key,
                  const struct path *path,
                  unsigned colours)
{
    uint64_t bit = bit_of(slot_of(key, 0));
    unsigned had = 0;
    for (unsigned c = 0; c < BAO_TREE_COLOURS; c++) {
        if ((path->nodes[0]->masks[c] & bit) == 0)
            continue;
        had |= 1u << c;
        if ((colours >> c & 1) == 0)
            uncolour_path(tree, key, path, 0, c);
    }
    BAO_ASSERT(had != 0);
    for (unsigned left = colours & ~had; left != 0; left &= left - 1)
        colour_path(tree, key, path, (unsigned)__builtin_ctz(left));
}

void bao_tree_remove(struct bao_tree *tree, uint64_t key)
{
    struct path path;
    void **place = find(tree, key, &path);
    BAO_ASSERT(place != NULL);

    tree->count--;
    unsigned level = 0;
    while (path.nodes[level]->used == bit_of(slot_of(key, level))) {
        bao_arena_give(tree->arena, path.nodes[level]);
        if (level == tree->height) {
            tree->root = NULL;
            lower(tree);
            return;
        }
        level++;
    }
    uint64_t bit = bit_of(slot_of(key, level));
    path.nodes[level]->used &= ~bit;
    for (unsigned c = 0; c < BAO_TREE_COLOURS; c++) {
        if ((path.nodes[level]->masks[c] & bit) != 0)
            uncolour_path(tree, key, &path, level, c);
    }
    lower(tree);
}

void bao_tree_recolour(struct bao_tree *tree, uint64_t key, unsigned colour)
{
    BAO_ASSERT(colour < BAO_TREE_COLOURS);
    bao_tree_paint(tree, key, 1u << colour);
}

void bao_tree_paint(struct bao_tree *tree, uint64_t key, unsigned colours)
{
    struct path path;
    void **place = find(tree, key, &path);
    BAO_ASSERT(place != NULL);
    BAO_ASSERT(colours != 0 && colours <= BAO_TREE_ANY);

    paint(tree, key, &path, colours);
}

/* Goes down from `node` at `level` to its smallest (or largest) entry. */
static struct bao_tree_entry descend(const struct bao_tree_node *node,
                                     unsigned level,
                                     unsigned colours,
                                     uint64_t key,
                                     bool smallest)
{
    for (;; level--) {
        uint64_t mask = mask_of(node, colours);
        BAO_ASSERT(mask != 0);
        unsigned slot = smallest ? (unsigned)__builtin_ctzll(mask)
                                 : 63u - (unsigned)__builtin_clzll(mask);
        key |= (uint64_t)slot << (BITS * level);
        if (level == 0)
            return (struct bao_tree_entry){key, node->children[slot]};
        node = node->children[slot];
    }
}

/* The bits of `key` above level `level`. */
static uint64_t prefix_of(uint64_t key, unsigned level)
{
    unsigned bits = BITS * (level + 1);
    return bits >= 64 ? 0 : key >> bits << bits;
}

/*
 * Follows `key` down as far as entries of the colours lie on its way, then
 * takes the nearest branch on the asked side of it.
 */
static struct bao_tree_entry nearest(const struct bao_tree *tree,
                                     unsigned colours,
                                     uint64_t key,
                                     bool smallest)
{
    struct path path;
    uint64_t beside[LEVELS_MAX]; /* branches on the asked side */
    unsigned level = tree->height;
    const struct bao_tree_node *node = tree->root;

    for (;; level--) {
        unsigned slot = slot_of(key, level);
        uint64_t mask = mask_of(node, colours);
        uint64_t after = ~UINT64_C(0) << slot & ~bit_of(slot);
        uint64_t before = bit_of(slot) - 1;
        path.nodes[level] = (struct bao_tree_node *)(uintptr_t)node;
        beside[level] = mask & (smallest ? after : before);
        if ((mask & bit_of(slot)) == 0)
            break;
        if (level == 0)
            return (struct bao_tree_entry){key, node->children[slot]};
        node = node->children[slot];
    }
    while (beside[level] == 0) {
        if (level == tree->height)
            return (struct bao_tree_entry){0, NULL};
        level++;
    }

    unsigned slot = smallest ? (unsigned)__builtin_ctzll(beside[level])
                             : 63u - (unsigned)__builtin_clzll(beside[level]);
    uint64_t start = prefix_of(key, level) | (uint64_t)slot << (BITS * level);
    node = path.nodes[level];
    if (level == 0)
        return (struct bao_tree_entry){start, node->children[slot]};
    return descend(node->children[slot], level - 1, colours, start, smallest);
}

/* The whole tree lies on the asked side of a key that is out of its range. */
static struct bao_tree_entry
outermost(const struct bao_tree *tree, unsigned colours, bool smallest)
{
    if (mask_of(tree->root, colours) == 0)
        return (struct bao_tree_entry){0, NULL};
    unsigned bits = BITS * (tree->height + 1);
    uint64_t start = bits >= 64 ? 0 : tree->base << bits;
    return descend(tree->root, tree->height, colours, start, smallest);
}

struct bao_tree_entry
bao_tree_first(const struct bao_tree *tree, unsigned colours, uint64_t from)
{
    if (tree->root == NULL || above(from, tree->height) > tree->base)
        return (struct bao_tree_entry){0, NULL};
    if (above(from, tree->height) < tree->base)
        return outermost(tree, colours, true);
    return nearest(tree, colours, from, true);
}

struct bao_tree_entry
bao_tree_last(const struct bao_tree *tree, unsigned colours, uint64_t to)
{
    if (tree->root == NULL || above(to, tree->height) < tree->base)
        return (struct bao_tree_entry){0, NULL};
    if (above(to, tree->height) > tree->base)
        return outermost(tree, colours, false);
    return nearest(tree, colours, to, false);
}
