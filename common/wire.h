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
 * Decoding trusts nothing and never calls msgpack-c: msgpack_check.h reads
 * the bytes where they lie, and every length and count is checked against the
 * bytes that are there before it is used. Encoding is msgpack-c's packer,
 * writing straight into the caller's memory. Neither allocates.
 *
 *   wire_reader.c      bytes -> operation: types, ranges, texts
 *   operation_check.c  what must be true of an operation as a whole
 *   wire.c             operation -> bytes, and where bodies lie
 */
#ifndef BAO_WIRE_H
#define BAO_WIRE_H

#include "common/baozi.h"
#include "common/operation.h"
#include "common/texts.h"

/* --- decoding --------------------------------------------------------- */

struct bao_reader {
    struct bao_span header;
    size_t offset;
    uint32_t operations;            /* still to come */
    struct bao_body_cursor bodies;  /* claimed by the operations read so far */
    struct bao_body_cursor claimed; /* by the whole message: known when open */
    struct bao_queue_options options; /* of the operation last read */
    struct bao_readings readings;
    const char *why; /* static text of the last refusal */
};

/*
 * Begins to read a header frame. `header` is lent for the reader's life.
 * OK | BAD_REQUEST (not msgpack, not ours, too long: reader->why) |
 * BAD_VERSION (the first element is not BAO_PROTOCOL_VERSION).
 *
 * The form of the whole header is validated here, so that a bad one is
 * refused before any of its operations is acted on: msgpack's grammar, depth,
 * no key twice in an operation, and the LENGTHS. So `claimed` is known before
 * the first operation: the bodies frame must be exactly claimed.offset long
 * and the big frames be exactly claimed.big, else the message is malformed.
 */
BAOZI_MUST_USE enum baozi_status bao_reader_open(struct bao_reader *reader,
                                                 struct bao_span header);

/*
 * Reads the next operation. Its spans are lent by the header; options and
 * readings by the reader until the next call. Keys that are absent are zero;
 * a column or list without entries is absent. Unknown keys are skipped.
 * OK | EMPTY (no more) | BAD_REQUEST (a key missing, out of range, not of
 * this verb, unknown verb: reader->why).
 *
 * After BAD_REQUEST the reader is at the next operation all the same, and
 * `operation` has the keys that could be read: with RID among them it can be
 * answered, for bao_operation_requests() requests; without, it cannot.
 */
BAOZI_MUST_USE enum baozi_status
bao_reader_next(struct bao_reader *reader, struct bao_operation *operation);

/* Counts the bodies of an operation that has LENGTHS into `cursor`; true if a
 * message may still have that many. A PUT with NO_BODY has none. */
bool bao_body_claim(struct bao_body_cursor *cursor,
                    const struct bao_operation *operation);

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

/* True if `bytes` is a valid item header: a msgpack map of at most
 * BAO_ITEM_HEADERS_MAX texts to texts, each key once and not empty, in at most
 * BAO_ITEM_HEADER_BYTES_MAX; no bytes at all are no headers. */
bool bao_item_header_valid(struct bao_span bytes);

/* --- encoding --------------------------------------------------------- */

struct bao_writer {
    uint8_t *data; /* the caller's, at least BAO_HEADER_BYTES_MAX */
    size_t capacity;
    size_t bytes; /* written so far */
    uint32_t operations;
};

/* Begins a header in the caller's memory; what is above BAO_HEADER_BYTES_MAX
 * is not used. */
void bao_writer_open(struct bao_writer *writer, void *data, size_t capacity);

/*
 * Adds one operation. What it holds is the caller's responsibility: it is
 * written as it is. OK | FULL (no room left or BAO_OPERATIONS_MAX reached:
 * nothing was written; send what there is and begin another; with
 * writer->operations 0 it can never fit and must be split).
 */
BAOZI_MUST_USE enum baozi_status
bao_writer_add(struct bao_writer *writer,
               const struct bao_operation *operation);

/* Finishes the header: the bytes to send, lent by the writer's memory. More
 * may be added and closed again. */
struct bao_span bao_writer_close(struct bao_writer *writer);

#endif
