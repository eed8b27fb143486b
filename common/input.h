/*
 * input.h - items read from files and pipes, one after another.
 *
 * An item is a line (without its newline), a text between NULs, or a whole
 * file. Any number of items may come; none may be larger than the limit, and
 * memory holds one item at a time. Reading ends early when the caller's stop
 * descriptor becomes readable; a signal handler may write to it.
 */
#ifndef BAO_INPUT_H
#define BAO_INPUT_H

#include <stddef.h>
#include <stdint.h>

enum bao_input_split {
    BAO_INPUT_LINES, /* ends with newline; the last one may lack it */
    BAO_INPUT_NULS,  /* ends with NUL; the last one may lack it */
    BAO_INPUT_WHOLE  /* everything up to the end of the file */
};

enum bao_input_found {
    BAO_INPUT_ITEM,
    BAO_INPUT_END,
    BAO_INPUT_STOPPED, /* the stop descriptor is readable */
    BAO_INPUT_TOO_BIG, /* this item is larger than the limit */
    BAO_INPUT_FAILED   /* errno tells; NO_MEMORY is ENOMEM */
};

/* One file being read; the caller's memory. */
struct bao_input {
    int fd; /* lent; not closed here */
    enum bao_input_split split;
    size_t item_bytes_max;
    int stop_fd;     /* lent; -1: never */
    uint64_t number; /* of the item found last in this file, from 1 */
    uint8_t *buffer;
    size_t capacity;
    size_t begin; /* unread bytes are buffer[begin .. end) */
    size_t end;
    size_t scanned; /* bytes after begin known to hold no end of an item */
    int at_end;     /* the file has no more */
};

/* Begins to read `fd`; reading stops when `stop_fd` (-1: none) is readable. */
void bao_input_init(struct bao_input *input,
                    int fd,
                    enum bao_input_split split,
                    size_t item_bytes_max,
                    int stop_fd);

/* The next item; it is lent until the next call. After TOO_BIG or FAILED
 * nothing more can be read. */
enum bao_input_found
bao_input_next(struct bao_input *input, const uint8_t **data, size_t *bytes);

void bao_input_fini(struct bao_input *input);

/* Waits at most `wait_ms` (-1: no end) for `fd` (-1: for nothing but the
 * time). 1 it is readable, 0 it is not, -1 stop_fd is readable. */
int bao_input_wait(int fd, int stop_fd, int64_t wait_ms);

#endif
