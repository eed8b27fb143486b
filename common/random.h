/*
 * random.h - the only randomness of the edges. Pure code gets its random
 * bytes and seeds as arguments.
 */
#ifndef BAO_RANDOM_H
#define BAO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `data` with bytes fit for secrets (getrandom). Never fails: a kernel
 * without randomness ends the program. */
void bao_random_fill(void *data, size_t bytes);

/* One random number. */
uint64_t bao_random_number(void);

#endif
