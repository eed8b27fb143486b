/*
 * dialogue_map.c - find a pointer by a number.
 */
#include "common/dialogue_map.h"

#include <stdlib.h>

#include "common/check.h"

#define CAPACITY_MIN 64u

static bool table_double(const struct bao_map_table *old,
                         struct bao_map_table *table)
{
    table->count = 0;
    table->capacity = old->capacity == 0 ? CAPACITY_MIN : old->capacity * 2;
    table->entries = calloc(table->capacity, sizeof *table->entries);
    return table->entries != NULL;
}

/* --- the strays --------------------------------------------------------- */

static size_t home_of(const struct bao_map_table *strays, uint64_t key)
{
    uint64_t mixed = key * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(mixed >> 32) & (strays->capacity - 1);
}

static size_t next_of(const struct bao_map_table *strays, size_t at)
{
    return (at + 1) & (strays->capacity - 1);
}

/* The place of `key`, or the free place where it belongs. */
static size_t place_of(const struct bao_map_table *strays, uint64_t key)
{
    size_t at = home_of(strays, key);
    while (strays->entries[at].value != NULL &&
           strays->entries[at].key != key) {
        at = next_of(strays, at);
    }
    return at;
}

static bool grow_strays(struct bao_map_table *strays)
{
    struct bao_map_table old = *strays;
    struct bao_map_table larger;
    if (!table_double(&old, &larger)) {
        return false;
    }
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].value != NULL) {
            larger.entries[place_of(&larger, old.entries[i].key)] =
                old.entries[i];
        }
    }
    larger.count = old.count;
    free(old.entries);
    *strays = larger;
    return true;
}

static bool put_stray(struct bao_map_table *strays, struct bao_map_entry entry)
{
    if (2 * (strays->count + 1) > strays->capacity && !grow_strays(strays)) {
        return false;
    }
    size_t at = place_of(strays, entry.key);
    BAO_ASSERT(strays->entries[at].value == NULL);
    strays->entries[at] = entry;
    strays->count++;
    return true;
}

void *bao_map_find_stray(const struct bao_map *map, uint64_t key)
{
    return map->strays.entries[place_of(&map->strays, key)].value;
}

static void remove_stray(struct bao_map_table *strays, uint64_t key)
{
    size_t hole = place_of(strays, key);
    if (strays->entries[hole].value == NULL) {
        return;
    }
    strays->count--;
    for (size_t at = next_of(strays, hole); strays->entries[at].value != NULL;
         at = next_of(strays, at)) {
        size_t home = home_of(strays, strays->entries[at].key);
        size_t from_home = (at - home) & (strays->capacity - 1);
        size_t from_hole = (at - hole) & (strays->capacity - 1);
        if (from_home >= from_hole) {
            strays->entries[hole] = strays->entries[at];
            hole = at;
        }
    }
    strays->entries[hole].value = NULL;
}

/* --- the map ------------------------------------------------------------ */

static struct bao_map_entry *own_place(const struct bao_map_table *places,
                                       uint64_t key)
{
    return &places->entries[key & (places->capacity - 1)];
}

/* Keys that did not share a place do not share one in a larger table. */
static bool grow_places(struct bao_map_table *places)
{
    struct bao_map_table old = *places;
    struct bao_map_table larger;
    if (!table_double(&old, &larger)) {
        return false;
    }
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].value != NULL) {
            *own_place(&larger, old.entries[i].key) = old.entries[i];
        }
    }
    larger.count = old.count;
    free(old.entries);
    *places = larger;
    return true;
}

void bao_map_fini(struct bao_map *map)
{
    free(map->places.entries);
    free(map->strays.entries);
    *map = (struct bao_map){0};
}

bool bao_map_put(struct bao_map *map, uint64_t key, void *value)
{
    BAO_ASSERT(value != NULL);
    struct bao_map_table *places = &map->places;
    const struct bao_map_entry entry = {.key = key, .value = value};
    if (places->capacity == 0 && !grow_places(places)) {
        return false;
    }
    struct bao_map_entry *own = own_place(places, key);
    /* A larger table helps only while this one is well filled: a number that
     * lives long is in somebody's way in any. */
    while (own->value != NULL && 2 * places->count >= places->capacity) {
        if (!grow_places(places)) {
            return false;
        }
        own = own_place(places, key);
    }
    if (own->value != NULL) {
        BAO_ASSERT(own->key != key);
        return put_stray(&map->strays, entry);
    }
    *own = entry;
    places->count++;
    return true;
}

void bao_map_remove(struct bao_map *map, uint64_t key)
{
    if (map->places.capacity == 0) {
        return;
    }
    struct bao_map_entry *own = own_place(&map->places, key);
    if (own->key == key && own->value != NULL) {
        own->value = NULL;
        map->places.count--;
    } else if (map->strays.count > 0) {
        remove_stray(&map->strays, key);
    }
}
