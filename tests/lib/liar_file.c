/*
 * liar_file.c - files and names of the lying disk, and what a power cut
 * leaves of them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/lib/liar_inner.h"

uint64_t liar_draw(struct liar *liar)
{
    liar->random += 0x9e3779b97f4a7c15u;
    uint64_t z = liar->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t liar_below(struct liar *liar, uint64_t n)
{
    return n == 0 ? 0 : liar_draw(liar) % n;
}

/* --- images --- */

void liar_image_resize(struct liar_image *image, uint64_t bytes)
{
    if (bytes > image->capacity) {
        uint64_t capacity = bytes + bytes / 2;
        image->data = realloc(image->data, capacity);
        BAO_ASSERT(image->data != NULL);
        image->capacity = capacity;
    }
    if (bytes > image->bytes)
        memset(image->data + image->bytes, 0, bytes - image->bytes);
    image->bytes = bytes;
}

void liar_image_copy(struct liar_image *to, const struct liar_image *from)
{
    *to = (struct liar_image){0};
    liar_image_resize(to, from->bytes);
    if (from->bytes > 0)
        memcpy(to->data, from->data, from->bytes);
}

static uint64_t sectors(uint64_t bytes)
{
    return (bytes + LIAR_SECTOR_BYTES - 1) / LIAR_SECTOR_BYTES;
}

void liar_mark_dirty(struct liar_file_data *file, uint64_t from, uint64_t to)
{
    uint64_t last = sectors(to);
    if (last > file->dirty_room) {
        file->dirty = realloc(file->dirty, last * 2);
        BAO_ASSERT(file->dirty != NULL);
        memset(file->dirty + file->dirty_room, 0, last * 2 - file->dirty_room);
        file->dirty_room = last * 2;
    }
    if (last > from / LIAR_SECTOR_BYTES)
        memset(file->dirty + from / LIAR_SECTOR_BYTES,
               1,
               last - from / LIAR_SECTOR_BYTES);
}

/* One sector of the cache reaches the disk. */
static void write_back(struct liar_file_data *file, uint64_t sector)
{
    uint64_t from = sector * LIAR_SECTOR_BYTES;
    uint64_t to = from + LIAR_SECTOR_BYTES;
    if (to > file->cached.bytes)
        to = file->cached.bytes;
    if (to > file->disk.bytes)
        to = file->disk.bytes;
    if (from < to)
        memcpy(file->disk.data + from, file->cached.data + from, to - from);
}

void liar_file_sync(struct liar_file_data *file)
{
    liar_image_resize(&file->disk, file->cached.bytes);
    for (uint64_t i = 0; i < file->dirty_room; i++) {
        if (file->dirty[i] == 1)
            write_back(file, i);
    }
    if (file->dirty_room > 0)
        memset(file->dirty, 0, file->dirty_room);
}

void liar_file_free(struct liar_file_data *file)
{
    free(file->cached.data);
    free(file->disk.data);
    free(file->dirty);
    free(file);
}

/* --- names --- */

struct liar_file_name *liar_find_name(struct liar_folder *folder,
                                      const char *text)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (strcmp(folder->names[i].text, text) == 0)
            return &folder->names[i];
    }
    return NULL;
}

void liar_set_name(struct liar_folder *folder, const char *text, int file)
{
    struct liar_file_name *name = liar_find_name(folder, text);
    if (name == NULL) {
        BAO_ASSERT(folder->count < LIAR_NAMES_MAX);
        name = &folder->names[folder->count++];
        BAO_ASSERT(strlen(text) < LIAR_NAME_BYTES);
        memcpy(name->text, text, strlen(text) + 1);
    }
    name->file = file;
}

void liar_drop_name(struct liar_folder *folder, const char *text)
{
    struct liar_file_name *name = liar_find_name(folder, text);
    if (name == NULL)
        return;
    size_t at = (size_t)(name - folder->names);
    memmove(name, name + 1, (folder->count - at - 1) * sizeof *name);
    folder->count--;
}

static void apply(struct liar_folder *folder, const struct liar_change *change)
{
    switch (change->kind) {
    case CHANGE_MAKE: liar_set_name(folder, change->to, change->file); break;
    case CHANGE_RENAME:
        liar_drop_name(folder, change->from);
        liar_set_name(folder, change->to, change->file);
        break;
    case CHANGE_REMOVE: liar_drop_name(folder, change->from); break;
    }
}

void liar_change_name(struct liar *liar,
                      enum liar_change_kind kind,
                      const char *from,
                      const char *to,
                      int file)
{
    if (liar->change_count == liar->change_room) {
        liar->change_room = liar->change_room * 2 + 16;
        liar->changes =
            realloc(liar->changes, liar->change_room * sizeof *liar->changes);
        BAO_ASSERT(liar->changes != NULL);
    }
    struct liar_change *new = &liar->changes[liar->change_count++];
    *new = (struct liar_change){.kind = kind, .file = file};
    memcpy(new->from, from, strlen(from) + 1);
    memcpy(new->to, to, strlen(to) + 1);
    apply(&liar->cached, new);
}

static bool is_named(const struct liar_folder *folder, int file)
{
    for (size_t i = 0; i < folder->count; i++) {
        if (folder->names[i].file == file)
            return true;
    }
    return false;
}

static bool is_open(const struct liar *liar, int file)
{
    for (size_t i = 0; i < LIAR_FILES_MAX; i++) {
        if (liar->handles[i] == file + 1)
            return true;
    }
    return false;
}

/* Frees the files that neither a name nor a handle leads to. */
void liar_sweep(struct liar *liar)
{
    for (int i = 0; i < (int)LIAR_FILES_MAX; i++) {
        if (liar->files[i] == NULL || is_named(&liar->cached, i) ||
            is_named(&liar->disk, i) || is_open(liar, i))
            continue;
        bool changing = false;
        for (size_t k = 0; k < liar->change_count; k++)
            changing = changing || liar->changes[k].file == i;
        if (changing)
            continue;
        liar_file_free(liar->files[i]);
        liar->files[i] = NULL;
    }
}

uint64_t liar_bytes_of_all(const struct liar *liar)
{
    uint64_t bytes = 0;
    for (int i = 0; i < (int)LIAR_FILES_MAX; i++) {
        if (liar->files[i] != NULL &&
            (is_named(&liar->cached, i) || is_open(liar, i)))
            bytes += liar->files[i]->cached.bytes;
    }
    return bytes;
}

/* --- power --- */

/* True if this sector of the cache was written back in time. */
static bool survives(struct liar *liar,
                     enum liar_cut cut,
                     uint64_t sector,
                     uint64_t edge,
                     bool page)
{
    switch (cut) {
    case LIAR_CUT_NOTHING: return true;
    case LIAR_CUT_PAGES: return page;
    case LIAR_CUT_SECTORS: return liar_below(liar, 2) == 0;
    case LIAR_CUT_FRONT: return sector < edge;
    case LIAR_CUT_BACK: return sector >= edge;
    case LIAR_CUT_ALL:
    case LIAR_CUT_COUNT: break;
    }
    return false;
}

static void
cut_file(struct liar *liar, struct liar_file_data *file, enum liar_cut cut)
{
    uint64_t edge = liar_below(liar, file->dirty_room + 1);
    bool page = false;
    bool longer = cut == LIAR_CUT_NOTHING ||
                  (cut != LIAR_CUT_ALL && liar_below(liar, 2) == 0);
    if (longer)
        liar_image_resize(&file->disk, file->cached.bytes);
    for (uint64_t i = 0; i < file->dirty_room; i++) {
        if (i % (LIAR_PAGE_BYTES / LIAR_SECTOR_BYTES) == 0)
            page = liar_below(liar, 2) == 0;
        if (file->dirty[i] == 1 && survives(liar, cut, i, edge, page))
            write_back(file, i);
    }
    if (file->dirty_room > 0)
        memset(file->dirty, 0, file->dirty_room);
    free(file->cached.data);
    liar_image_copy(&file->cached, &file->disk);
    file->failed = false;
}

void liar_cut_power(struct liar *liar, enum liar_cut cut)
{
    size_t kept = cut == LIAR_CUT_ALL ? 0 : liar->change_count;
    if (cut != LIAR_CUT_ALL && cut != LIAR_CUT_NOTHING)
        kept = (size_t)liar_below(liar, liar->change_count + 1);
    for (size_t i = 0; i < kept; i++)
        apply(&liar->disk, &liar->changes[i]);
    liar->change_count = 0;
    liar->cached = liar->disk;
    for (size_t i = 0; i < LIAR_FILES_MAX; i++) {
        if (liar->files[i] != NULL)
            cut_file(liar, liar->files[i], cut);
    }
    liar_kill(liar);
}
