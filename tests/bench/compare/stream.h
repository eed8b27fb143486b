/*
 * stream.h - a plain socket with buffers in both directions, for the systems
 * that are spoken to without a library: so each gets whole batches in one
 * write and one read, which their libraries do not all offer.
 */
#ifndef BAO_BENCH_STREAM_H
#define BAO_BENCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream {
    int fd;
    char *in;
    size_t in_used, in_at, in_room; /* in_at: what was consumed */
    char *out;
    size_t out_used, out_room;
};

/* tcp://HOST:PORT or unix:PATH. False: it was said why. */
bool stream_open(struct stream *stream, const char *url);

/* Adds to what is to be sent. */
void stream_add(struct stream *stream, const void *data, size_t bytes);
__attribute__((format(printf, 2, 3))) void
stream_print(struct stream *stream, const char *format, ...);

/* Sends all of it, and keeps what comes meanwhile. */
bool stream_flush(struct stream *stream);

/* Reads what is there, waiting at most wait_ms (-1: for ever). False: the
 * connection ended. *any says whether something came. */
bool stream_fill(struct stream *stream, int wait_ms, bool *any);

/* The next `bytes` bytes, `skip` behind the ones consumed; NULL: not here
 * yet. */
const char *stream_look(const struct stream *stream, size_t skip, size_t bytes);

/* The length of the line that begins `skip` behind the consumed, without its
 * CR LF; -1: not here yet. */
long stream_line(const struct stream *stream, size_t skip);

void stream_consume(struct stream *stream, size_t bytes);

#endif
