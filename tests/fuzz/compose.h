/*
 * compose.h - operations that make sense, chosen byte by byte.
 *
 * Raw bytes seldom become a request that gets far. Here an input chooses the
 * verb, which keys are there, and each value among what is plausible now: a
 * few queues, ids and tokens that were seen, requests that were sent.
 */
#ifndef BAO_TESTS_FUZZ_COMPOSE_H
#define BAO_TESTS_FUZZ_COMPOSE_H

#include "common/baozi.h"
#include "common/operation.h"
#include "tests/fuzz/fuzz.h"

enum { FUZZ_KNOWN = 32, FUZZ_ENTRIES_MAX = 6 };

/* What one side may speak of. */
struct fuzz_known {
    uint64_t ids[FUZZ_KNOWN]; /* with a token each */
    uint64_t tokens[FUZZ_KNOWN];
    unsigned seen;   /* ids noted so far; the last FUZZ_KNOWN are kept */
    uint64_t rid;    /* the next one */
    uint64_t target; /* an open request */
    uint64_t sequence;
    uint64_t session, boot;
    uint8_t client[16];
    uint8_t secret[16];
};

/* What a composed operation points at. */
struct fuzz_memory {
    uint8_t columns[8][16 * FUZZ_ENTRIES_MAX];
    unsigned columns_used;
    uint8_t list[64];
    struct bao_queue_options options;
    struct bao_readings readings;
};

/* Notes the items of a decoded GET, DELIVER or PUT answer. */
void fuzz_know(struct fuzz_known *known, const struct bao_operation *operation);

/* A request or notice of `verb`, or (answer) what may answer it. */
void fuzz_compose(struct fuzz_input *input,
                  const struct fuzz_known *known,
                  uint64_t verb,
                  bool answer,
                  struct fuzz_memory *memory,
                  struct bao_operation *operation);

/* A verb that there is. */
uint64_t fuzz_verb(struct fuzz_input *input);

/* What one of us sent was read to its end: every operation of it was valid;
 * `last` and `why` tell of the one that was not. */
void fuzz_all_valid(enum baozi_status status,
                    const struct bao_operation *last,
                    const char *why);

/* How many bytes the bodies take that the operation claims: those of the
 * bodies frame, and of each big frame; returns how many of these there are.
 */
uint32_t fuzz_body_sizes(const struct bao_operation *operation,
                         size_t *small_bytes,
                         size_t *big_bytes);

#endif
