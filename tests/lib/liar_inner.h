/*
 * liar_inner.h - what the two files of the lying disk share.
 *
 * A file has two images, cached and on the disk, and a flag for each sector
 * in which they may differ. The folder is a list of names and the list of
 * changes that are not on the disk yet.
 */
#ifndef BAO_TESTS_LIAR_INNER_H
#define BAO_TESTS_LIAR_INNER_H

#include <pthread.h>

#include "tests/lib/liar.h"

#define LIAR_SECTOR_BYTES 512u
#define LIAR_PAGE_BYTES   4096u
#define LIAR_NAMES_MAX    512u
#define LIAR_FILES_MAX    1024u
#define LIAR_NAME_BYTES   64u

struct liar_image {
    uint8_t *data;
    uint64_t bytes;
    uint64_t capacity;
};

struct liar_file_data {
    struct liar_image cached;
    struct liar_image disk;
    uint8_t *dirty; /* one flag a sector of the longer image */
    uint64_t dirty_room;
    uint32_t holders; /* names and open files, cached and on the disk */
    bool failed;      /* a sync of it did */
};

struct liar_file_name {
    char text[LIAR_NAME_BYTES];
    int file; /* index */
};

struct liar_folder {
    struct liar_file_name names[LIAR_NAMES_MAX];
    size_t count;
};

enum liar_change_kind { CHANGE_MAKE, CHANGE_RENAME, CHANGE_REMOVE };

struct liar_change {
    enum liar_change_kind kind;
    char from[LIAR_NAME_BYTES];
    char to[LIAR_NAME_BYTES];
    int file;
};

struct liar {
    struct bao_storage storage;
    pthread_mutex_t lock;
    uint64_t random;
    struct liar_file_data *files[LIAR_FILES_MAX];
    int handles[LIAR_FILES_MAX]; /* file index + 1, 0 = free */
    struct liar_folder cached;
    struct liar_folder disk;
    struct liar_change *changes;
    size_t change_count;
    size_t change_room;
    uint64_t calls[LIAR_CALL_COUNT + 1];
    uint64_t fail_at[LIAR_CALL_COUNT + 1];
    int fail_error[LIAR_CALL_COUNT + 1];
    bool fail_always;
    bool failing;
    int failing_error;
    uint32_t shorten;
    uint32_t read_by_others;
    uint64_t limit_bytes;
    uint64_t syncs_after_failure;
};

/* --- liar_file.c --- */
uint64_t liar_draw(struct liar *liar);
uint64_t liar_below(struct liar *liar, uint64_t n);
void liar_image_resize(struct liar_image *image, uint64_t bytes);
void liar_image_copy(struct liar_image *to, const struct liar_image *from);
void liar_mark_dirty(struct liar_file_data *file, uint64_t from, uint64_t to);
void liar_file_sync(struct liar_file_data *file);
void liar_file_free(struct liar_file_data *file);
struct liar_file_name *liar_find_name(struct liar_folder *folder,
                                      const char *text);
void liar_set_name(struct liar_folder *folder, const char *text, int file);
void liar_drop_name(struct liar_folder *folder, const char *text);
void liar_change_name(struct liar *liar,
                      enum liar_change_kind kind,
                      const char *from,
                      const char *to,
                      int file);
void liar_sweep(struct liar *liar);
uint64_t liar_bytes_of_all(const struct liar *liar);

#endif
