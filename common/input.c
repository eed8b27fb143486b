/*
 * input.c - items read from files and pipes, one after another.
 *
 * One buffer grows by doubling up to the largest item plus its end mark; the
 * bytes before `begin` are used up and are moved away before it grows.
 */
#include "common/input.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"

#define FIRST_CAPACITY (64u * 1024u)

void bao_input_init(struct bao_input *input,
                    int fd,
                    enum bao_input_split split,
                    size_t item_bytes_max,
                    int stop_fd)
{
    *input = (struct bao_input){.fd = fd,
                                .split = split,
                                .item_bytes_max = item_bytes_max,
                                .stop_fd = stop_fd};
}

void bao_input_fini(struct bao_input *input)
{
    free(input->buffer);
    input->buffer = NULL;
    input->capacity = 0;
}

int bao_input_wait(int fd, int stop_fd, int64_t wait_ms)
{
    struct pollfd polled[2] = {{.fd = stop_fd, .events = POLLIN},
                               {.fd = fd, .events = POLLIN}};
    struct timespec wait = {.tv_sec = (time_t)(wait_ms / 1000),
                            .tv_nsec = (long)(wait_ms % 1000) * 1000000};
    int ready = ppoll(polled, 2, wait_ms < 0 ? NULL : &wait, NULL);
    if (ready > 0 && polled[0].revents != 0)
        return -1;
    return ready > 0 ? 1 : 0; /* a signal: not readable yet */
}

/* Makes room for at least one more byte. False: no memory. */
static int make_room(struct bao_input *input)
{
    if (input->begin > 0) {
        memmove(input->buffer,
                input->buffer + input->begin,
                input->end - input->begin);
        input->end -= input->begin;
        input->begin = 0;
    }
    if (input->end < input->capacity)
        return 1;
    size_t capacity =
        input->capacity == 0 ? FIRST_CAPACITY : input->capacity * 2;
    size_t most = input->item_bytes_max + 1;
    if (capacity > most && most >= FIRST_CAPACITY)
        capacity = most;
    uint8_t *grown = realloc(input->buffer, capacity);
    if (grown == NULL)
        return 0;
    input->buffer = grown;
    input->capacity = capacity;
    return 1;
}

/* Reads once more. ITEM: something came or the end was seen. */
static enum bao_input_found read_more(struct bao_input *input)
{
    if (!make_room(input)) {
        errno = ENOMEM;
        return BAO_INPUT_FAILED;
    }
    for (;;) {
        int ready = bao_input_wait(input->fd, input->stop_fd, -1);
        if (ready < 0)
            return BAO_INPUT_STOPPED;
        if (ready == 0)
            continue;
        ssize_t got = read(input->fd,
                           input->buffer + input->end,
                           input->capacity - input->end);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return BAO_INPUT_FAILED;
        input->at_end = got == 0;
        input->end += (size_t)got;
        return BAO_INPUT_ITEM;
    }
}

/* Hands out `bytes` unread ones and forgets them and `mark` more. */
static enum bao_input_found hand_out(struct bao_input *input,
                                     size_t length,
                                     size_t mark,
                                     const uint8_t **data,
                                     size_t *bytes)
{
    static const uint8_t nothing[1] = {0};
    BAO_ASSERT(input->begin + length + mark <= input->end);
    input->number++;
    *data = input->buffer == NULL ? nothing : input->buffer + input->begin;
    *bytes = length;
    input->begin += length + mark;
    input->scanned = 0;
    return length > input->item_bytes_max ? BAO_INPUT_TOO_BIG : BAO_INPUT_ITEM;
}

enum bao_input_found
bao_input_next(struct bao_input *input, const uint8_t **data, size_t *bytes)
{
    int end_mark = input->split == BAO_INPUT_NULS ? '\0' : '\n';
    for (;;) {
        size_t unread = input->end - input->begin;
        const uint8_t *mark = NULL;
        if (input->split != BAO_INPUT_WHOLE && unread > input->scanned)
            mark = memchr(input->buffer + input->begin + input->scanned,
                          end_mark,
                          unread - input->scanned);
        if (mark != NULL)
            return hand_out(input,
                            (size_t)(mark - input->buffer) - input->begin,
                            1,
                            data,
                            bytes);
        input->scanned = unread;
        if (unread > input->item_bytes_max) {
            input->number++;
            return BAO_INPUT_TOO_BIG;
        }
        if (input->at_end) {
            if (unread > 0 ||
                (input->split == BAO_INPUT_WHOLE && input->number == 0))
                return hand_out(input, unread, 0, data, bytes);
            return BAO_INPUT_END;
        }
        enum bao_input_found found = read_more(input);
        if (found != BAO_INPUT_ITEM)
            return found;
    }
}
