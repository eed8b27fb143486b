/*
 * image.h - all durable state as bytes, as of one moment, while work goes on.
 *
 * A checkpoint has such an image: loaded into a fresh core, followed by the
 * facts that came behind that moment, it gives the state that the whole log
 * would give. Payloads are not in it, nor where they lie; of a queue that is
 * not logged it has the definition alone, as a log would.
 *
 *     bao_image_begin(core)              between two steps: the moment
 *     while (bao_image_under_way(core))  a slice a turn; steps go on between
 *         bytes = bao_image_next(core, BAO_IMAGE_SLICE, piece, sizeof piece);
 *
 *     bao_image_load(fresh, piece, &why) for each piece, in order
 *     bao_image_loaded(fresh, &why)      it was all of it, unharmed
 *
 * Touch before write: the slices save the records in order; a step that is
 * about to change or free a record that was not saved yet saves it first, as
 * it still is (image_touch.h). So each is saved once, as of the moment, and
 * nothing is ever undone. The sum of what was saved is checked against the
 * digest of the moment.
 *
 * BOUNDS: a slice looks at `records` records that are not saved yet. What is
 * saved waits in pieces of 56 KiB, taken from the core's memory: one, and
 * what steps touch between two calls of bao_image_next() - 2 to 40 bytes for
 * an item, 2.2 KiB if it has all texts that it may have; 40 KiB for a queue,
 * 20 KiB for a group, tally or answer with all its errors. Half of the cushion
 * may be used for it; when that is gone too the image fails and is begun
 * again later. Nothing else is harmed: the log has it all.
 */
#ifndef BAO_CORE_IMAGE_H
#define BAO_CORE_IMAGE_H

#include "broker/core/core.h"

#define BAO_IMAGE_PIECE_BYTES (56u * 1024u) /* of a piece, at most */
#define BAO_IMAGE_SLICE       4096u         /* records: 0.2 to 0.5 ms */

/* Begins the image of what is true now; none may be under way. False if
 * memory ran out. No EPOCH may come before it ends. */
BAOZI_MUST_USE bool bao_image_begin(struct bao_core *core);

/* Writes the next piece at `to`, which has `capacity` bytes, at least
 * BAO_IMAGE_PIECE_BYTES; if none is full yet, it saves up to `records` more
 * first. Answers the bytes of the piece, or 0: none is full yet. */
size_t bao_image_next(struct bao_core *core,
                      uint32_t records,
                      uint8_t *to,
                      size_t capacity);

/* True from begin until every piece was handed out, or the image failed. */
bool bao_image_under_way(const struct bao_core *core);

/* True if memory ran out under the last one: what was written is no image.
 * bao_image_next() ends it. */
bool bao_image_failed(const struct bao_core *core);

/* Gives it up. */
void bao_image_abandon(struct bao_core *core);

/*
 * Takes the next piece, lent for the call, into a core that was just opened.
 * Whatever its bytes are, nothing asserts and no memory beyond the core's is
 * touched.
 *
 * OK
 * BAD_REQUEST  damaged: *why says what is wrong (static text)
 * BAD_VERSION  written by a newer baozi
 * NO_MEMORY    the core is too small for it
 *
 * After anything but OK the core is of no use.
 */
BAOZI_MUST_USE enum baozi_status
bao_image_load(struct bao_core *core, struct bao_span piece, const char **why);

/* All pieces were taken: links what belongs together, and checks that
 * everything is there. OK, or as above. */
BAOZI_MUST_USE enum baozi_status bao_image_loaded(struct bao_core *core,
                                                  const char **why);

#endif
