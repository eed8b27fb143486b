/*
 * tell.h - lines of the picture for what clients ask and are told.
 */
#ifndef BAO_TESTS_SIM_TELL_H
#define BAO_TESTS_SIM_TELL_H

#include "tests/sim/history.h"

void tell_asked(struct sim *sim, uint64_t index);
void tell_told(struct sim *sim, uint64_t index);
void tell_delivered(struct sim *sim, uint64_t index);

/* An id as people read it: incarnation/number. Lent until the next call. */
const char *tell_id(uint64_t id);

#endif
