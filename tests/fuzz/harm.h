/*
 * harm.h - harm to the files of a lying disk, as an input chooses it.
 */
#ifndef BAO_TESTS_FUZZ_HARM_H
#define BAO_TESTS_FUZZ_HARM_H

#include "tests/fuzz/fuzz.h"
#include "tests/lib/liar.h"

/* Until the input ends: a byte for the file (its upper bits) and what to do
 * (0 in the lowest two: cut it), two for the offset, and of an overwrite how
 * many bytes, and they. Answers how many harms there were. */
unsigned fuzz_harm(struct liar *liar, struct fuzz_input *input);

/* Makes the checksums of segments and manifests fit what they have now. */
void fuzz_fit_checksums(struct liar *liar);

#endif
