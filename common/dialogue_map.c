/*
 * dialogue_map.c - find a pointer by a number.
 */
#include "common/dialogue_map.h"

#include <stdlib.h>

#include "common/check.h"

static size_t home_of(const struct bao_map *map, uint64_t key)
{
    uint64_t mixed = key * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(mixed >> 32) & (map->capacity - 1);
}

static size_t next_of(const struct bao_map *map, size_t at)
{
    return (at + 1) & (map->capacity - 1);
}

/* The place of `key`, or the free place where it belongs. */
static size_t place_of(const struct bao_map *map, uint64_t key)
{
    size_t at = home_of(map, key);
    while (map->entries[at].value != NULL && map->entries[at].key != key) {
        at = next_of(map, at);
    }
    return at;
}

static bool grow(struct bao_map *map)
{
    struct bao_map old = *map;
    size_t capacity = old.capacity == 0 ? 64 : old.capacity * 2;
    struct bao_map_entry *entries = calloc(capacity, sizeof *entries);
    if (entries == NULL) {
        return false;
    }
    map->entries = entries;
    map->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].value != NULL) {
            entries[place_of(map, old.entries[i].key)] = old.entries[i];
        }
    }
    free(old.entries);
    return true;
}

void bao_map_fini(struct bao_map *map)
{
    free(map->entries);
    *map = (struct bao_map){0};
}

bool bao_map_put(struct bao_map *map, uint64_t key, void *value)
{
    BAO_ASSERT(value != NULL);
    if (2 * (map->count + 1) > map->capacity && !grow(map)) {
        return false;
    }
    size_t at = place_of(map, key);
    BAO_ASSERT(map->entries[at].value == NULL);
    map->entries[at] = (struct bao_map_entry){.key = key, .value = value};
    map->count++;
    return true;
}

void *bao_map_find(const struct bao_map *map, uint64_t key)
{
    return map->capacity == 0 ? NULL : map->entries[place_of(map, key)].value;
}

void bao_map_remove(struct bao_map *map, uint64_t key)
{
    if (map->capacity == 0) {
        return;
    }
    size_t hole = place_of(map, key);
    if (map->entries[hole].value == NULL) {
        return;
    }
    map->count--;
    for (size_t at = next_of(map, hole); map->entries[at].value != NULL;
         at = next_of(map, at)) {
        size_t home = home_of(map, map->entries[at].key);
        size_t from_home = (at - home) & (map->capacity - 1);
        size_t from_hole = (at - hole) & (map->capacity - 1);
        if (from_home >= from_hole) {
            map->entries[hole] = map->entries[at];
            hole = at;
        }
    }
    map->entries[hole].value = NULL;
}
