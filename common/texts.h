/*
 * texts.h - a list of texts in one span: the value of a TEXTS key.
 *
 * The span is a whole msgpack array of str, so that a decoded list is lent by
 * its message and an encoded one is copied as it is. Pure, and free of
 * msgpack-c, so that the broker's core may build and read lists.
 */
#ifndef BAO_TEXTS_H
#define BAO_TEXTS_H

#include "common/baozi.h"
#include "common/span.h"

/* Walks a TEXTS span: false at its end. `*offset` starts at 0. */
bool bao_texts_next(struct bao_span texts,
                    size_t *offset,
                    struct bao_span *text);

/* How many texts it has. */
size_t bao_texts_count(struct bao_span texts);

/* Most bytes of a list of `count` texts with `bytes` bytes in all. */
#define BAO_TEXTS_BYTES(count, bytes) (3u + 3u * (count) + (bytes))

/*
 * Appends a text to a list being built in `data`; begin with *bytes = 0. The
 * list is {data, *bytes} after each call.
 * OK | FULL (no room, or 65,535 texts, or a text above 65,535 bytes: nothing
 * was written)
 */
BAOZI_MUST_USE enum baozi_status bao_texts_add(uint8_t *data,
                                               size_t capacity,
                                               size_t *bytes,
                                               struct bao_span text);

#endif
