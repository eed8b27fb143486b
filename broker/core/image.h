/*
 * image.h - all durable state as bytes, as of one moment, while work goes on.
 *
 * A checkpoint is such an image: loaded into a fresh core, followed by the
 * facts that came behind that moment, it gives the state that the whole log
 * would give. Payloads are not in it; the owner may give each a log address,
 * which the image carries. Of a queue that is not logged it has the
 * definition alone, as a log would.
 *
 *     bao_image_begin()                  between two steps: the moment
 *     while (bao_image_next(core, 4096)) a slice a turn; steps go on between
 *         ...
 *
 * Touch before write: the slices save the records in order; a step that is
 * about to change or free a record that was not saved yet saves it first, as
 * it still is (image_touch.h). So each is saved once, as of the moment, and
 * nothing is ever undone. The sum of what was saved is checked against the
 * digest of the moment.
 *
 * What is saved gathers in a piece in memory that the caller lends. A full
 * one is written at once, from a slice or from inside a step, so nothing is
 * lost and no other memory is used. The bound: a step writes, in all its
 * pieces, what it changes - at most 2.2 KiB for each item that it moves (its
 * texts) and 40 KiB for a queue, 20 KiB for a group, session or answer.
 *
 * BOUNDS: a slice looks at `records` records and no more than that.
 */
#ifndef BAO_CORE_IMAGE_H
#define BAO_CORE_IMAGE_H

#include "broker/core/core.h"

#define BAO_IMAGE_PIECE_BYTES  (56u * 1024u) /* of a piece, at most */
#define BAO_IMAGE_MEMORY_BYTES (64u * 1024u) /* that one image needs */
#define BAO_IMAGE_SLICE        4096u         /* records: 0.2 to 0.5 ms */

struct bao_image_sink {
    void *context;
    /* Takes one piece, never more than BAO_IMAGE_PIECE_BYTES, lent for the
     * call. It may be called in the midst of a step: not to call the core. */
    void (*write)(void *context, struct bao_span piece);
    /* Where the log has the payload of an item (or the result of a done one);
     * 0 = nowhere. NULL: no addresses. */
    uint64_t (*address)(void *context, uint64_t id);
};

/* Begins the image of what is true now, in `memory` (8-aligned, of
 * BAO_IMAGE_MEMORY_BYTES, lent until the image ends). None may be under way,
 * and the core must have begun. `sink` is copied. */
void bao_image_begin(struct bao_core *core,
                     void *memory,
                     const struct bao_image_sink *sink);

/* Saves up to `records` more. False when that was the last of them: all
 * pieces are written and the image is ended. */
bool bao_image_next(struct bao_core *core, uint32_t records);

/* Gives it up; what was written is worth nothing. */
void bao_image_abandon(struct bao_core *core);

/* True between begin and end. */
bool bao_image_is_under_way(const struct bao_core *core);

/* --- loading --------------------------------------------------------------
 */

/* A payload that an item or an outcome of the image needs. */
struct bao_image_body {
    uint64_t id;
    uint64_t address; /* as the sink gave it */
    uint32_t bytes;   /* headers included */
    uint32_t header_bytes;
    bool result; /* of a done item, no longer its body */
};

struct bao_image_loader;
typedef void bao_image_place(void *context, const struct bao_image_body *body);

/* Begins to load into a core that was just opened. `place` hears of every
 * payload; it may be NULL. The loader lives in the core's memory. */
struct bao_image_loader *bao_image_load_begin(struct bao_core *core,
                                              bao_image_place *place,
                                              void *context);

/*
 * Takes the next piece, lent for the call. Whatever its bytes are, nothing
 * asserts and no memory beyond the core's is touched.
 *
 * OK
 * BAD_REQUEST  damaged: *why says what is wrong (static text)
 * BAD_VERSION  written by a newer baozi
 * NO_MEMORY    the core is too small for it
 *
 * After anything but OK the loader and the core are of no use.
 */
BAOZI_MUST_USE enum baozi_status bao_image_load(struct bao_image_loader *loader,
                                                struct bao_span piece,
                                                const char **why);

/* All pieces were taken: links what belongs together, checks that everything
 * is there, and gives the loader back. OK, or as above. */
BAOZI_MUST_USE enum baozi_status
bao_image_load_end(struct bao_image_loader *loader, const char **why);

#endif
