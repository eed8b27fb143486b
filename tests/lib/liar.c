/*
 * liar.c - the calls of the lying disk, and its faults.
 */
#include "tests/lib/liar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "tests/lib/liar_inner.h"

/* --- faults --- */

/* Counts a call; -error if it is to fail. */
static int enter(struct liar *liar, enum liar_call call)
{
    int error = 0;
    int kinds[2] = {(int)call, LIAR_CALL_COUNT};
    int locked = pthread_mutex_lock(&liar->lock);
    BAO_ASSERT(locked == 0);
    for (int i = 0; i < 2; i++) {
        int kind = kinds[i];
        liar->calls[kind]++;
        if (liar->fail_at[kind] == 0 || --liar->fail_at[kind] > 0)
            continue;
        error = -liar->fail_error[kind];
        if (liar->fail_always) {
            liar->failing = true;
            liar->failing_error = error;
        }
    }
    return liar->failing ? liar->failing_error : error;
}

static void leave(struct liar *liar)
{
    int locked = pthread_mutex_unlock(&liar->lock);
    BAO_ASSERT(locked == 0);
}

static struct liar_file_data *file_of(struct liar *liar, int handle)
{
    BAO_ASSERT(handle >= 0 && handle < (int)LIAR_FILES_MAX);
    BAO_ASSERT(liar->handles[handle] > 0);
    return liar->files[liar->handles[handle] - 1];
}

/* --- the calls --- */

static int open_name(struct liar *liar,
                     const char *text,
                     enum bao_storage_mode mode,
                     uint64_t *bytes)
{
    const struct liar_file_name *name = liar_find_name(&liar->cached, text);
    int index = name == NULL ? 0 : name->file;
    int handle = 0;
    if (name == NULL) {
        if (mode != BAO_STORAGE_MAKE)
            return -ENOENT;
        while (index < (int)LIAR_FILES_MAX && liar->files[index] != NULL)
            index++;
        BAO_ASSERT(index < (int)LIAR_FILES_MAX);
        liar->files[index] = calloc(1, sizeof(struct liar_file_data));
        BAO_ASSERT(liar->files[index] != NULL);
        liar_change_name(liar, CHANGE_MAKE, "", text, index);
    }
    if (mode == BAO_STORAGE_REUSE && liar->read_by_others != 0 &&
        liar_below(liar, liar->read_by_others) == 0)
        return -EBUSY;
    while (handle < (int)LIAR_FILES_MAX && liar->handles[handle] != 0)
        handle++;
    BAO_ASSERT(handle < (int)LIAR_FILES_MAX);
    liar->handles[handle] = index + 1;
    if (bytes != NULL)
        *bytes = liar->files[index]->cached.bytes;
    return handle;
}

static int liar_open(void *context,
                     const char *name,
                     enum bao_storage_mode mode,
                     uint64_t *bytes)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_OPEN);
    if (result == 0)
        result = open_name(liar, name, mode, bytes);
    leave(liar);
    return result;
}

static void liar_close(void *context, int handle)
{
    struct liar *liar = context;
    int locked = pthread_mutex_lock(&liar->lock);
    BAO_ASSERT(locked == 0);
    (void)file_of(liar, handle);
    liar->handles[handle] = 0;
    liar_sweep(liar);
    leave(liar);
}

/* How many of `bytes` are moved this time. */
static ssize_t shortened(struct liar *liar, size_t bytes)
{
    if (liar->shorten == 0 || liar_below(liar, liar->shorten) != 0)
        return (ssize_t)bytes;
    return liar_below(liar, 3) == 0 ? -EINTR
                                    : (ssize_t)(1 + liar_below(liar, bytes));
}

static ssize_t
liar_read(void *context, int handle, void *data, size_t bytes, uint64_t offset)
{
    struct liar *liar = context;
    ssize_t result = enter(liar, LIAR_READ);
    if (result == 0) {
        const struct liar_image *image = &file_of(liar, handle)->cached;
        uint64_t left = offset < image->bytes ? image->bytes - offset : 0;
        size_t moved = bytes < left ? bytes : (size_t)left;
        result = moved == 0 ? 0 : shortened(liar, moved);
        if (result > 0)
            memcpy(data, image->data + offset, (size_t)result);
    }
    leave(liar);
    return result;
}

/* Bytes that a file may have; -ENOSPC if not even `least`. */
static int64_t admit(struct liar *liar,
                     const struct liar_file_data *file,
                     uint64_t least,
                     uint64_t most)
{
    uint64_t used = liar_bytes_of_all(liar) - file->cached.bytes;
    if (most <= file->cached.bytes || liar->limit_bytes == 0 ||
        used + most <= liar->limit_bytes)
        return (int64_t)most;
    uint64_t room = liar->limit_bytes > used ? liar->limit_bytes - used : 0;
    if (room < file->cached.bytes)
        room = file->cached.bytes;
    return room < least ? -ENOSPC : (int64_t)room;
}

static ssize_t liar_write(void *context,
                          int handle,
                          const void *data,
                          size_t bytes,
                          uint64_t offset)
{
    struct liar *liar = context;
    ssize_t result = enter(liar, LIAR_WRITE);
    if (result == 0 && bytes > 0) {
        struct liar_file_data *file = file_of(liar, handle);
        int64_t end = admit(liar, file, offset + 1, offset + bytes);
        result = end < 0 ? (ssize_t)end
                         : shortened(liar, (size_t)((uint64_t)end - offset));
        if (result > 0) {
            uint64_t last = offset + (uint64_t)result;
            if (last > file->cached.bytes)
                liar_image_resize(&file->cached, last);
            memcpy(file->cached.data + offset, data, (size_t)result);
            liar_mark_dirty(file, offset, last);
        }
    }
    leave(liar);
    return result;
}

static int liar_sync(void *context, int handle)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_SYNC);
    struct liar_file_data *file = file_of(liar, handle);
    liar->syncs_after_failure += file->failed;
    if (result == 0) {
        liar_file_sync(file);
    } else {
        /* The cache says that it is clean, and it is not on the disk. */
        file->failed = true;
        if (file->dirty_room > 0)
            memset(file->dirty, 0, file->dirty_room);
    }
    leave(liar);
    return result;
}

static int liar_resize(void *context, int handle, uint64_t bytes)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_RESIZE);
    if (result == 0) {
        struct liar_file_data *file = file_of(liar, handle);
        uint64_t before = file->cached.bytes;
        int64_t end = admit(liar, file, 0, bytes);
        liar_image_resize(&file->cached, (uint64_t)end);
        if ((uint64_t)end > before)
            liar_mark_dirty(file, before, (uint64_t)end);
        result = (uint64_t)end < bytes ? -ENOSPC : 0;
    }
    leave(liar);
    return result;
}

static int liar_rename(void *context, const char *from, const char *to)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_RENAME);
    if (result == 0) {
        const struct liar_file_name *name = liar_find_name(&liar->cached, from);
        if (name == NULL)
            result = -ENOENT;
        else
            liar_change_name(liar, CHANGE_RENAME, from, to, name->file);
    }
    liar_sweep(liar);
    leave(liar);
    return result;
}

static int liar_remove(void *context, const char *text)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_REMOVE);
    if (result == 0) {
        const struct liar_file_name *name = liar_find_name(&liar->cached, text);
        if (name == NULL)
            result = -ENOENT;
        else
            liar_change_name(liar, CHANGE_REMOVE, text, "", name->file);
    }
    liar_sweep(liar);
    leave(liar);
    return result;
}

static int liar_list(void *context,
                     void (*found)(void *argument, const char *name),
                     void *argument)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_LIST);
    for (size_t i = 0; result == 0 && i < liar->cached.count; i++)
        found(argument, liar->cached.names[i].text);
    leave(liar);
    return result;
}

static int liar_sync_dir(void *context)
{
    struct liar *liar = context;
    int result = enter(liar, LIAR_SYNC_DIR);
    if (result == 0) {
        liar->disk = liar->cached;
        liar->change_count = 0;
    }
    liar_sweep(liar);
    leave(liar);
    return result;
}

/* Without a limit there is room for anything. */
static int64_t liar_space(void *context)
{
    struct liar *liar = context;
    int64_t result = enter(liar, LIAR_SPACE);
    if (result == 0) {
        uint64_t limit =
            liar->limit_bytes == 0 ? UINT64_MAX : liar->limit_bytes;
        uint64_t used = liar_bytes_of_all(liar);
        uint64_t left = limit > used ? limit - used : 0;
        result = left < INT64_MAX ? (int64_t)left : INT64_MAX;
    }
    leave(liar);
    return result;
}

/* --- life and death --- */

static void set_calls(struct liar *liar)
{
    liar->storage = (struct bao_storage){.context = liar,
                                         .open = liar_open,
                                         .close = liar_close,
                                         .read = liar_read,
                                         .write = liar_write,
                                         .sync = liar_sync,
                                         .resize = liar_resize,
                                         .rename = liar_rename,
                                         .remove = liar_remove,
                                         .list = liar_list,
                                         .sync_dir = liar_sync_dir,
                                         .space = liar_space};
    int made = pthread_mutex_init(&liar->lock, NULL);
    BAO_ASSERT(made == 0);
}

struct liar *liar_new(uint64_t seed)
{
    struct liar *liar = calloc(1, sizeof *liar);
    BAO_ASSERT(liar != NULL);
    liar->random = seed;
    set_calls(liar);
    return liar;
}

void liar_free(struct liar *liar)
{
    for (size_t i = 0; i < LIAR_FILES_MAX; i++) {
        if (liar->files[i] != NULL)
            liar_file_free(liar->files[i]);
    }
    (void)pthread_mutex_destroy(&liar->lock);
    free(liar->changes);
    free(liar);
}

struct liar *liar_copy(const struct liar *liar)
{
    struct liar *copy = malloc(sizeof *copy);
    BAO_ASSERT(copy != NULL);
    *copy = *liar;
    set_calls(copy);
    memset(copy->handles, 0, sizeof copy->handles);
    copy->changes = NULL;
    copy->change_room = liar->change_count;
    if (liar->change_count > 0) {
        copy->changes = malloc(liar->change_count * sizeof *copy->changes);
        BAO_ASSERT(copy->changes != NULL);
        memcpy(copy->changes,
               liar->changes,
               liar->change_count * sizeof *copy->changes);
    }
    for (size_t i = 0; i < LIAR_FILES_MAX; i++) {
        const struct liar_file_data *from = liar->files[i];
        if (from == NULL)
            continue;
        struct liar_file_data *file = calloc(1, sizeof *file);
        BAO_ASSERT(file != NULL);
        *file = *from;
        liar_image_copy(&file->cached, &from->cached);
        liar_image_copy(&file->disk, &from->disk);
        file->dirty = from->dirty_room == 0 ? NULL : malloc(from->dirty_room);
        BAO_ASSERT(file->dirty != NULL || from->dirty_room == 0);
        if (from->dirty_room > 0)
            memcpy(file->dirty, from->dirty, from->dirty_room);
        copy->files[i] = file;
    }
    liar_sweep(copy);
    return copy;
}

const struct bao_storage *liar_storage(struct liar *liar)
{
    return &liar->storage;
}

void liar_kill(struct liar *liar)
{
    memset(liar->handles, 0, sizeof liar->handles);
    liar->failing = false;
    liar_sweep(liar);
}

/* --- knobs --- */

void liar_fail(struct liar *liar, enum liar_call call, uint64_t n, int error)
{
    liar->fail_at[call] = n;
    liar->fail_error[call] = error;
    liar->failing = false;
}

void liar_fail_on(struct liar *liar, bool always)
{
    liar->fail_always = always;
}

uint64_t liar_calls(const struct liar *liar, enum liar_call call)
{
    return liar->calls[call];
}

void liar_shorten(struct liar *liar, uint32_t n)
{
    liar->shorten = n;
}

void liar_read_by_others(struct liar *liar, uint32_t n)
{
    liar->read_by_others = n;
}

void liar_limit(struct liar *liar, uint64_t bytes)
{
    liar->limit_bytes = bytes;
}

uint64_t liar_bytes(const struct liar *liar)
{
    return liar_bytes_of_all(liar);
}

uint64_t liar_syncs_after_failure(const struct liar *liar)
{
    return liar->syncs_after_failure;
}

static struct liar_file_data *named(struct liar *liar, const char *text)
{
    const struct liar_file_name *name = liar_find_name(&liar->cached, text);
    return name == NULL ? NULL : liar->files[name->file];
}

uint8_t *liar_file(struct liar *liar, const char *name, uint64_t *bytes)
{
    struct liar_file_data *file = named(liar, name);
    if (file == NULL)
        return NULL;
    *bytes = file->cached.bytes;
    return file->cached.data;
}

void liar_flip(struct liar *liar,
               const char *name,
               uint64_t offset,
               uint8_t mask)
{
    struct liar_file_data *file = named(liar, name);
    BAO_ASSERT(file != NULL && offset < file->cached.bytes);
    file->cached.data[offset] ^= mask;
    if (offset < file->disk.bytes)
        file->disk.data[offset] ^= mask;
}

void liar_truncate(struct liar *liar, const char *name, uint64_t bytes)
{
    struct liar_file_data *file = named(liar, name);
    BAO_ASSERT(file != NULL && bytes <= file->cached.bytes);
    file->cached.bytes = bytes;
    if (file->disk.bytes > bytes)
        file->disk.bytes = bytes;
}

void liar_delete(struct liar *liar, const char *name)
{
    liar_drop_name(&liar->cached, name);
    liar_drop_name(&liar->disk, name);
    liar_sweep(liar);
}

void liar_duplicate(struct liar *liar, const char *from, const char *to)
{
    const struct liar_file_data *source = named(liar, from);
    BAO_ASSERT(source != NULL);
    int handle = open_name(liar, to, BAO_STORAGE_MAKE, NULL);
    struct liar_file_data *target = file_of(liar, handle);
    free(target->cached.data);
    liar_image_copy(&target->cached, &source->cached);
    liar_mark_dirty(target, 0, target->cached.bytes);
    liar_file_sync(target);
    liar->handles[handle] = 0;
    liar_set_name(&liar->disk, to, liar_find_name(&liar->cached, to)->file);
}

const char *liar_name(const struct liar *liar, size_t i)
{
    return i < liar->cached.count ? liar->cached.names[i].text : NULL;
}
