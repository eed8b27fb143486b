/*
 * fact_code.h - a fact as bytes: what the log stores and a replica receives.
 *
 * A record is [code][payloads]. The code is some 20 bytes for one item and 4
 * to 10 more for each further one; the payloads of its items (or the result
 * of a done item) follow back to back, in order. Those of BAO_BIG_BYTES and
 * more are not among them: each is a record of its own, so that one record
 * never outgrows a segment (bao_fact_body_is_apart).
 *
 * The code: kind, the bits of the members that are there, the time, then
 * those members in the order of their bits (fact_code.c has the table). Ids
 * are differences, times are relative to the fact's own. Members keep their
 * bits for ever; a record with an unknown bit or kind is of a newer version
 * and is refused like a damaged one.
 *
 * Pure. BOUNDS: what decodes obeys the limits that the core's assertions
 * take for granted: counts of vectors, lengths of texts, ranges of enums.
 */
#ifndef BAO_FACT_CODE_H
#define BAO_FACT_CODE_H

#include "broker/core/fact.h"
#include "common/baozi.h"

/* No code is longer. */
#define BAO_FACT_CODE_MAX (64u * 1024u)

/* In `hold` of a decoded body: its bytes are in the log. `offset` is where
 * they begin in the record, unless they are a record of their own. */
#define BAO_HOLD_LOGGED UINT64_MAX

/* Memory that a decoded fact points into. */
struct bao_fact_room {
    uint64_t ids[2 * BAO_RANGES_MAX];
    struct bao_put_item items[BAO_OPERATION_ITEMS_MAX];
    struct bao_queue_options options;
};

/* True if the bytes of this body make a record of their own. */
static inline bool bao_fact_body_is_apart(const struct bao_body *body)
{
    return body->bytes >= BAO_BIG_BYTES;
}

/* True if the fact brings a body for its i-th item that the log must keep. */
bool bao_fact_has_body(const struct bao_fact *fact, uint32_t i);
/* True if it brings a result that must be kept. */
bool bao_fact_has_result(const struct bao_fact *fact);

/* Writes the code at `at`, which has BAO_FACT_CODE_MAX bytes, and answers
 * how many it took. */
size_t bao_fact_encode(const struct bao_fact *fact, uint8_t *at);

/*
 * Reads a record. OK: *fact points into `room` and `record`, and the offsets
 * of its bodies into `record`. BAD_REQUEST: it is none; *why says why
 * (static text).
 */
BAOZI_MUST_USE enum baozi_status bao_fact_decode(struct bao_span record,
                                                 struct bao_fact_room *room,
                                                 struct bao_fact *fact,
                                                 const char **why);

#endif
