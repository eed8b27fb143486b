/*
 * buffer.c - the growing bytes of buffer.h.
 *
 * Consuming only moves `start`; the rest slides to the front when room is
 * asked for and half of the memory lies before it, else the memory doubles: so
 * each byte is moved a bounded number of times.
 */
#include "common/buffer.h"

#include <stdlib.h>

#include "common/check.h"

#define FIRST_CAPACITY 256u
#define KEPT_CAPACITY  4096u /* kept by clear */

void bao_buffer_init(struct bao_buffer *buffer, size_t bytes_max)
{
    BAO_ASSERT(bytes_max <= SIZE_MAX / 4);
    *buffer = (struct bao_buffer){.bytes_max = bytes_max};
}

void bao_buffer_fini(struct bao_buffer *buffer)
{
    free(buffer->data);
    bao_buffer_init(buffer, buffer->bytes_max);
}

/* The next capacity that holds `needed` bytes: at most twice the maximum, so
 * that a full buffer still slides only once in a while. */
static size_t next_capacity(const struct bao_buffer *buffer, size_t needed)
{
    size_t capacity =
        buffer->capacity == 0 ? FIRST_CAPACITY : buffer->capacity * 2;
    while (capacity < needed)
        capacity *= 2;
    return capacity > 2 * buffer->bytes_max ? 2 * buffer->bytes_max : capacity;
}

/* Brings the bytes to the front of memory that is large enough. */
static enum baozi_status make_room(struct bao_buffer *buffer, size_t needed)
{
    if (needed <= buffer->capacity && buffer->start >= buffer->capacity / 2) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->bytes);
        buffer->start = 0;
        return BAOZI_OK;
    }

    size_t capacity = next_capacity(buffer, needed);
    BAO_ASSERT(capacity >= needed);
    uint8_t *data = malloc(capacity);
    if (data == NULL)
        return BAOZI_NO_MEMORY;
    if (buffer->bytes > 0)
        memcpy(data, buffer->data + buffer->start, buffer->bytes);
    free(buffer->data);
    buffer->data = data;
    buffer->capacity = capacity;
    buffer->start = 0;
    return BAOZI_OK;
}

enum baozi_status
bao_buffer_reserve(struct bao_buffer *buffer, size_t bytes, uint8_t **room)
{
    BAO_ASSERT(buffer->bytes <= buffer->bytes_max);
    if (bytes > buffer->bytes_max - buffer->bytes)
        return BAOZI_FULL;

    size_t needed = buffer->bytes + bytes;
    if (needed > buffer->capacity - buffer->start) {
        enum baozi_status status = make_room(buffer, needed);
        if (status != BAOZI_OK)
            return status;
    }
    *room = needed == 0 ? NULL : buffer->data + buffer->start + buffer->bytes;
    return BAOZI_OK;
}

void bao_buffer_commit(struct bao_buffer *buffer, size_t bytes)
{
    BAO_ASSERT(bytes <= buffer->capacity - buffer->start - buffer->bytes);
    BAO_ASSERT(bytes <= buffer->bytes_max - buffer->bytes);
    buffer->bytes += bytes;
}

enum baozi_status bao_buffer_append(struct bao_buffer *buffer,
                                    struct bao_span bytes)
{
    uint8_t *room;
    if (bytes.bytes == 0)
        return BAOZI_OK;
    enum baozi_status status = bao_buffer_reserve(buffer, bytes.bytes, &room);
    if (status != BAOZI_OK)
        return status;
    BAO_ASSERT(room != NULL); /* some bytes were asked for */
    memcpy(room, bytes.data, bytes.bytes);
    bao_buffer_commit(buffer, bytes.bytes);
    return BAOZI_OK;
}

struct bao_span bao_buffer_view(const struct bao_buffer *buffer)
{
    if (buffer->bytes == 0)
        return bao_span_of(NULL, 0);
    return bao_span_of(buffer->data + buffer->start, buffer->bytes);
}

void bao_buffer_consume(struct bao_buffer *buffer, size_t bytes)
{
    BAO_ASSERT(bytes <= buffer->bytes);
    buffer->bytes -= bytes;
    buffer->start = buffer->bytes == 0 ? 0 : buffer->start + bytes;
}

void bao_buffer_clear(struct bao_buffer *buffer)
{
    if (buffer->capacity > KEPT_CAPACITY) {
        bao_buffer_fini(buffer);
        return;
    }
    buffer->start = 0;
    buffer->bytes = 0;
}
