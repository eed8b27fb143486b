/*
 * tree.c - the 64-ary radix tree of tree.h.
 *
 * A node at level l decides bits 6l..6l+5 of the key; children of level 0 are
 * the values. Invariant: bit s of a node's mask c is set exactly when an entry
 * of colour c lies below child s; a node without any bit does not exist.
 */
#include "common/tree.h"

#include "common/check.h"

#define BITS       6u
#define SLOTS      64u
#define LEVELS_MAX 11u /* 64 bits in sixes */

struct bao_tree_node {
    uint64_t masks[BAO_TREE_COLOURS];
    void *children[SLOTS]; /* nodes, or values at level 0 */
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

static bool is_in_range(const struct bao_tree *tree, uint64_t key)
{
    unsigned bits = BITS * (tree->height + 1);
    return bits >= 64 || key >> bits == 0;
}

static uint64_t mask_of(const struct bao_tree_node *node, unsigned colours)
{
    uint64_t mask = 0;
    for (unsigned c = 0; c < BAO_TREE_COLOURS; c++) {
        if ((colours >> c & 1) != 0)
            mask |= node->masks[c];
    }
    return mask;
}

static struct bao_tree_node *node_take(struct bao_tree *tree)
{
    struct bao_tree_node *node = bao_arena_take(tree->arena, sizeof(*node));
    if (node != NULL)
        memset(node, 0, sizeof(*node));
    return node;
}

void bao_tree_init(struct bao_tree *tree, struct bao_arena *arena)
{
    *tree = (struct bao_tree){.arena = arena};
}

/* Goes down with a path of its own, so that no call is recursive. */
void bao_tree_fini(struct bao_tree *tree)
{
    struct path path = {{NULL}};
    uint64_t left[LEVELS_MAX] = {0};
    unsigned level = tree->height;

    if (tree->root != NULL) {
        path.nodes[level] = tree->root;
        left[level] = mask_of(tree->root, BAO_TREE_ANY);
    }
    while (tree->root != NULL) {
        struct bao_tree_node *node = path.nodes[level];
        if (level > 0 && left[level] != 0) {
            unsigned slot = (unsigned)__builtin_ctzll(left[level]);
            left[level] &= left[level] - 1;
            level--;
            path.nodes[level] = node->children[slot];
            left[level] = mask_of(path.nodes[level], BAO_TREE_ANY);
            continue;
        }
        bao_arena_give(tree->arena, node);
        if (node == tree->root)
            break;
        level++;
    }
    bao_tree_init(tree, tree->arena);
}

/* Fills the path to a key's leaf; false if a node on it is missing. */
static bool walk(const struct bao_tree *tree, uint64_t key, struct path *path)
{
    if (tree->root == NULL || !is_in_range(tree, key))
        return false;

    struct bao_tree_node *node = tree->root;
    for (unsigned level = tree->height; level > 0; level--) {
        path->nodes[level] = node;
        node = node->children[slot_of(key, level)];
        if (node == NULL)
            return false;
    }
    path->nodes[0] = node;
    return true;
}

/* Lowers the root while it only leads to its first child. */
static void lower(struct bao_tree *tree)
{
    while (tree->root != NULL && tree->height > 0 &&
           mask_of(tree->root, BAO_TREE_ANY) == 1) {
        struct bao_tree_node *child = tree->root->children[0];
        bao_arena_give(tree->arena, tree->root);
        tree->root = child;
        tree->height--;
    }
    if (tree->root == NULL)
        tree->height = 0;
}

/* Puts roots on top until the key is in range. */
static bool raise_to(struct bao_tree *tree, uint64_t key)
{
    while (!is_in_range(tree, key)) {
        if (tree->root != NULL) {
            struct bao_tree_node *node = node_take(tree);
            if (node == NULL)
                return false;
            for (unsigned c = 0; c < BAO_TREE_COLOURS; c++)
                node->masks[c] = tree->root->masks[c] != 0 ? 1 : 0;
            node->children[0] = tree->root;
            tree->root = node;
        }
        tree->height++;
    }
    return true;
}

/* Gives back the nodes on the way to `key` below which no entry lies. */
static void prune(struct bao_tree *tree, uint64_t key)
{
    struct path path = {{NULL}};
    struct bao_tree_node *node = tree->root;
    unsigned level = tree->height;

    while (node != NULL) {
        path.nodes[level] = node;
        if (level == 0)
            break;
        node = node->children[slot_of(key, level)];
        level--;
    }
    for (level = 0; level <= tree->height; level++) {
        node = path.nodes[level];
        if (node == NULL)
            continue;
        if (mask_of(node, BAO_TREE_ANY) != 0)
            break;
        bao_arena_give(tree->arena, node);
        if (level == tree->height)
            tree->root = NULL;
        else
            path.nodes[level + 1]->children[slot_of(key, level + 1)] = NULL;
    }
    lower(tree);
}

/* Makes the nodes down to a key's leaf. */
static bool make_path(struct bao_tree *tree, uint64_t key, struct path *path)
{
    struct bao_tree_node **place = &tree->root;
    for (unsigned level = tree->height;; level--) {
        if (*place == NULL)
            *place = node_take(tree);
        if (*place == NULL)
            return false;
        path->nodes[level] = *place;
        if (level == 0)
            return true;
        place =
            (struct bao_tree_node **)&(*place)->children[slot_of(key, level)];
    }
}

bool bao_tree_put(struct bao_tree *tree,
                  uint64_t key,
                  void *value,
                  unsigned colour)
{
    struct path path;
    BAO_ASSERT(value != NULL && colour < BAO_TREE_COLOURS);

    if (!raise_to(tree, key)) {
        lower(tree);
        return false;
    }
    if (!make_path(tree, key, &path)) {
        prune(tree, key);
        return false;
    }

    struct bao_tree_node *leaf = path.nodes[0];
    BAO_ASSERT(leaf->children[slot_of(key, 0)] == NULL);
    leaf->children[slot_of(key, 0)] = value;
    for (unsigned level = 0; level <= tree->height; level++)
        path.nodes[level]->masks[colour] |= bit_of(slot_of(key, level));
    tree->count++;
    return true;
}

void *bao_tree_find(const struct bao_tree *tree, uint64_t key)
{
    struct path path;
    if (!walk(tree, key, &path))
        return NULL;
    return path.nodes[0]->children[slot_of(key, 0)];
}

/* Says on the whole path that `key` no longer has its colour. */
static void
uncolour(const struct bao_tree *tree, uint64_t key, const struct path *path)
{
    uint64_t bit = bit_of(slot_of(key, 0));
    unsigned colour = 0;
    while (colour < BAO_TREE_COLOURS &&
           (path->nodes[0]->masks[colour] & bit) == 0)
        colour++;
    BAO_ASSERT(colour < BAO_TREE_COLOURS);

    for (unsigned level = 0; level <= tree->height; level++) {
        uint64_t *mask = &path->nodes[level]->masks[colour];
        *mask &= ~bit_of(slot_of(key, level));
        if (*mask != 0)
            break;
    }
}

void bao_tree_remove(struct bao_tree *tree, uint64_t key)
{
    struct path path;
    bool found = walk(tree, key, &path);
    BAO_ASSERT(found && path.nodes[0]->children[slot_of(key, 0)] != NULL);

    uncolour(tree, key, &path);
    path.nodes[0]->children[slot_of(key, 0)] = NULL;
    tree->count--;
    for (unsigned level = 0; level <= tree->height; level++) {
        if (mask_of(path.nodes[level], BAO_TREE_ANY) != 0)
            break;
        bao_arena_give(tree->arena, path.nodes[level]);
        if (level == tree->height)
            tree->root = NULL;
        else
            path.nodes[level + 1]->children[slot_of(key, level + 1)] = NULL;
    }
    lower(tree);
}

void bao_tree_recolour(struct bao_tree *tree, uint64_t key, unsigned colour)
{
    struct path path;
    bool found = walk(tree, key, &path);
    BAO_ASSERT(found && path.nodes[0]->children[slot_of(key, 0)] != NULL);
    BAO_ASSERT(colour < BAO_TREE_COLOURS);

    uncolour(tree, key, &path);
    for (unsigned level = 0; level <= tree->height; level++)
        path.nodes[level]->masks[colour] |= bit_of(slot_of(key, level));
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
        uint64_t above = ~UINT64_C(0) << slot & ~bit_of(slot);
        uint64_t below = bit_of(slot) - 1;
        path.nodes[level] = (struct bao_tree_node *)(uintptr_t)node;
        beside[level] = mask & (smallest ? above : below);
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

struct bao_tree_entry
bao_tree_first(const struct bao_tree *tree, unsigned colours, uint64_t from)
{
    if (tree->root == NULL || !is_in_range(tree, from))
        return (struct bao_tree_entry){0, NULL};
    return nearest(tree, colours, from, true);
}

struct bao_tree_entry
bao_tree_last(const struct bao_tree *tree, unsigned colours, uint64_t to)
{
    if (tree->root == NULL)
        return (struct bao_tree_entry){0, NULL};
    if (!is_in_range(tree, to)) {
        if (mask_of(tree->root, colours) == 0)
            return (struct bao_tree_entry){0, NULL};
        return descend(tree->root, tree->height, colours, 0, false);
    }
    return nearest(tree, colours, to, false);
}
