/*
 * buffer.h - bytes that grow up to a stated maximum; for the edges only.
 *
 * Bytes are appended at the end and consumed at the front. The memory comes
 * from malloc and is owned by the buffer; no buffer exists without a maximum,
 * because a peer may be what fills it. The pure core does not use it.
 *
 * Invariant: start + bytes <= capacity <= 2 * bytes_max; bytes <=
 * bytes_max.
 */
#ifndef BAO_BUFFER_H
#define BAO_BUFFER_H

#include "common/baozi.h"
#include "common/span.h"

struct bao_buffer {
    uint8_t *data;
    size_t start;     /* of what is not consumed yet */
    size_t bytes;     /* from there on */
    size_t capacity;  /* of data */
    size_t bytes_max; /* never holds more than this */
};

/* An empty buffer; nothing is allocated yet. */
void bao_buffer_init(struct bao_buffer *buffer, size_t bytes_max);
void bao_buffer_fini(struct bao_buffer *buffer); /* may be called twice */

/* Copies `bytes` to the end. OK | FULL (over bytes_max) | NO_MEMORY; but for
 * OK nothing changed. `bytes` may not lie in the buffer itself. */
BAOZI_MUST_USE enum baozi_status bao_buffer_append(struct bao_buffer *buffer,
                                                   struct bao_span bytes);

/*
 * Makes room for `bytes` more and shows where: write there, then say how many
 * with bao_buffer_commit(). *room is lent until the next change of the
 * buffer. OK | FULL | NO_MEMORY
 */
BAOZI_MUST_USE enum baozi_status
bao_buffer_reserve(struct bao_buffer *buffer, size_t bytes, uint8_t **room);
void bao_buffer_commit(struct bao_buffer *buffer, size_t bytes);

/* What it holds; lent until the next change. */
struct bao_span bao_buffer_view(const struct bao_buffer *buffer);

/* Forgets the first `bytes` (at most what it holds). */
void bao_buffer_consume(struct bao_buffer *buffer, size_t bytes);

/* Forgets everything and gives the memory of a peak back. */
void bao_buffer_clear(struct bao_buffer *buffer);

#endif
