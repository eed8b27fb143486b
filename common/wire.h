/*
 * wire.h - operations <-> the bytes of a message's header frame.
 *
 * A message is [header][bodies][big frame]...: the header is msgpack
 * [version, operation, operation, ...], each operation a map of small
 * integer keys (operation.h). Bodies are opaque and lie outside; an operation
 * says how many bytes of them are its own (LENGTHS). An entry with
 * BAO_BIG_BIT travels as a frame of its own, in order. Each body is
 * [item header bytes][payload]; HEADER_LENGTHS says where the cut is, and the
 * item header is a msgpack map of str to str.
 *
 * Pure: no allocation, no system call. Decoding trusts nothing: every length
 * and count is checked against the bytes that are there before it is used.
 */
#ifndef BAO_WIRE_H
#define BAO_WIRE_H

#include "common/operation.h"
#include "common/status.h"

#include "common/baozi.h"

/* --- decoding --------------------------------------------------------- */

struct bao_reader {
    struct bao_span header;
    size_t offset;
    uint32_t operations; /* still to come */
    struct bao_body_cursor bodies;
    struct bao_queue_options options; /* of the operation last read */
    struct bao_readings readings;
    const char *why; /* static text of the last refusal */
};

/*
 * Begins to read a header frame. `header` is lent for the reader's life.
 * OK | BAD_REQUEST (not msgpack, not ours, too long: reader->why) |
 * BAD_VERSION (first element is not BAO_PROTOCOL_VERSION).
 * The whole header is validated here, so that a bad one is refused before
 * any of its operations is acted on.
 */
BAOZI_MUST_USE enum baozi_status bao_reader_open(struct bao_reader *reader,
                                                 struct bao_span header);

/*
 * Reads the next operation. Its spans are lent by the header; options and
 * readings by the reader until the next call. Unknown keys are skipped.
 * OK | EMPTY (no more) | BAD_REQUEST (a key missing, out of range, not of
 * this verb, unknown verb: reader->why; the reader is at the next operation
 * all the same, and operation->rid is set where it could be read).
 */
BAOZI_MUST_USE enum baozi_status
bao_reader_next(struct bao_reader *reader, struct bao_operation *operation);

/*
 * The sum of bodies that a message's operations claim, after all of them were
 * read: the bodies frame must be exactly this long and the big frames be
 * exactly this many. (reader->bodies)
 */

/* One body: which part of the message (0 = the bodies frame, 1.. = a big
 * frame), where in it, and how long. */
struct bao_body_place {
    uint32_t part;
    uint32_t offset;
    uint32_t bytes;
};

/* The place of the body of LENGTHS entry `length`; moves the cursor on. A big
 * entry's `bytes` are length without BAO_BIG_BIT. */
struct bao_body_place bao_body_next(struct bao_body_cursor *cursor,
                                    uint32_t length);

/* Walks a TEXTS span: false at its end. `*offset` starts at 0. */
bool bao_texts_next(struct bao_span texts,
                    size_t *offset,
                    struct bao_span *text);

/* True if `bytes` is a valid item header: a msgpack map of at most 64 str to
 * str, at most BAO_ITEM_HEADER_BYTES_MAX. */
bool bao_item_header_valid(struct bao_span bytes);

/* --- encoding --------------------------------------------------------- */

struct bao_writer {
    uint8_t *data; /* the caller's, at least BAO_HEADER_BYTES_MAX */
    size_t capacity;
    size_t bytes;
    uint32_t operations;
};

/* Begins a header in the caller's memory. */
void bao_writer_open(struct bao_writer *writer, void *data, size_t capacity);

/*
 * Adds one operation. OK | FULL (no room left or BAO_OPERATIONS_MAX reached:
 * nothing was written; send what there is and begin another).
 */
BAOZI_MUST_USE enum baozi_status
bao_writer_add(struct bao_writer *writer,
               const struct bao_operation *operation);

/* Finishes the header: the bytes to send, lent by the writer's memory. */
struct bao_span bao_writer_close(struct bao_writer *writer);

/* Appends a text to a TEXTS value being built in `data` (begin with *bytes =
 * 0 and *count = 0); FULL if it does not fit. */
BAOZI_MUST_USE enum baozi_status bao_texts_add(uint8_t *data,
                                               size_t capacity,
                                               size_t *bytes,
                                               struct bao_span text);

#endif
