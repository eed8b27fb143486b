/*
 * dialogue_map.h - find a pointer by a number: request by rid, lease by token.
 *
 * Both kinds of numbers grow by one from each to the next, and few of them
 * are alive at a time. So each has a place of its own in a table of a power
 * of two, by its last bits, and finding it is one compare. A number whose
 * place is taken, by one that lives long or comes from a strange broker, goes
 * among the strays: open addressing with linear probing, at most half full;
 * removal shifts back, so there are no tombstones. Zeroed memory is a valid
 * empty map.
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

struct bao_map_table {
    struct bao_map_entry *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

struct bao_map {
    struct bao_map_table places; /* each key at its own place, */
    struct bao_map_table strays; /* or here: in one of them only */
};

void bao_map_fini(struct bao_map *map);
/* Adds a key that is not there; false without memory (nothing changed). */
bool bao_map_put(struct bao_map *map, uint64_t key, void *value);
/* Takes a key out; nothing happens if it is not there. */
void bao_map_remove(struct bao_map *map, uint64_t key);

/* Only for what follows. */
void *bao_map_find_stray(const struct bao_map *map, uint64_t key);

/* Or NULL. */
static inline void *bao_map_find(const struct bao_map *map, uint64_t key)
{
    if (map->places.capacity == 0) {
        return NULL;
    }
    const struct bao_map_entry *own =
        &map->places.entries[key & (map->places.capacity - 1)];
    if (own->key == key && own->value != NULL) {
        return own->value;
    }
    return map->strays.count == 0 ? NULL : bao_map_find_stray(map, key);
}

static inline size_t bao_map_count(const struct bao_map *map)
{
    return map->places.count + map->strays.count;
}

#endif
