/*
 * tree.h - an ordered map from u64 to pointers in which entries have colours.
 *
 * An entry has the one colour that it was put with, or the several that it was
 * painted with. A 64-ary radix tree. Every node keeps, per colour, a mask of
 * the children below which an entry of that colour lies, so "the first ready
 * item at or after this id" and "the last one" are a walk of the height (at
 * most 11, in practice 1 to 4). Its height follows the distance between the
 * keys, not their size: a queue of few items has few nodes however large its
 * ids are. Empty nodes go back to the arena at once.
 *
 * Colours are 0..BAO_TREE_COLOURS-1; colour masks are 1 << colour.
 */
#ifndef BAO_TREE_H
#define BAO_TREE_H

#include "common/arena.h"

#define BAO_TREE_COLOURS 6u
#define BAO_TREE_ANY     ((1u << BAO_TREE_COLOURS) - 1u)

struct bao_tree_node;

struct bao_tree {
    struct bao_arena *arena;
    struct bao_tree_node *root;
    uint64_t base;   /* of all keys, what is above the root's bits */
    uint32_t height; /* levels below the root */
    uint64_t count;
};

struct bao_tree_entry {
    uint64_t key;
    void *value; /* NULL: no such entry */
};

void bao_tree_init(struct bao_tree *tree, struct bao_arena *arena);
/* Gives the nodes back; the values are the caller's. */
void bao_tree_fini(struct bao_tree *tree);

/* Adds a key that is not there; false if memory ran out (nothing changed).
 * `value` must not be NULL. */
bool bao_tree_put(struct bao_tree *tree,
                  uint64_t key,
                  void *value,
                  unsigned colour);
/* The value of `key`, or NULL. */
void *bao_tree_find(const struct bao_tree *tree, uint64_t key);
/* Gives a key that is there another value, not NULL. */
void bao_tree_replace(const struct bao_tree *tree, uint64_t key, void *value);
/* Takes a key that is there out. */
void bao_tree_remove(struct bao_tree *tree, uint64_t key);
/* Changes the colour of a key that is there. */
void bao_tree_recolour(struct bao_tree *tree, uint64_t key, unsigned colour);
/* Gives a key that is there exactly the colours of the mask, at least one. */
void bao_tree_paint(struct bao_tree *tree, uint64_t key, unsigned colours);
/* The smallest key >= `from` that has a colour of the mask. */
struct bao_tree_entry
bao_tree_first(const struct bao_tree *tree, unsigned colours, uint64_t from);
/* The largest key <= `to` that has a colour of the mask. */
struct bao_tree_entry
bao_tree_last(const struct bao_tree *tree, unsigned colours, uint64_t to);

#endif
