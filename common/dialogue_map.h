/*
 * dialogue_map.h - find a pointer by a number: request by rid, lease by token.
 *
 * Open addressing with linear probing in a table of a power of two, at most
 * half full; removal shifts back, so there are no tombstones. Zeroed memory
 * is a valid empty map.
 */
#ifndef BAO_DIALOGUE_MAP_H
#define BAO_DIALOGUE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bao_map_entry {
    uint64_t key;
    void *value; /* NULL: free */
};

struct bao_map {
    struct bao_map_entry *entries;
    size_t capacity;
    size_t count;
};

void bao_map_fini(struct bao_map *map);
/* Adds a key that is not there; false without memory (nothing changed). */
bool bao_map_put(struct bao_map *map, uint64_t key, void *value);
/* Or NULL. */
void *bao_map_find(const struct bao_map *map, uint64_t key);
/* Takes a key out; nothing happens if it is not there. */
void bao_map_remove(struct bao_map *map, uint64_t key);

#endif
