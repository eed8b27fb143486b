/*
 * planted.h - choosing one of the bugs of common/planted.h.
 */
#ifndef BAO_TESTS_SIM_PLANTED_H
#define BAO_TESTS_SIM_PLANTED_H

#include <stdbool.h>

/* How many there are, number 0 (none) included; 0 in all builds but one. */
unsigned planted_count(void);
/* False if there is no such bug in this build; those of the log are known too,
 * though not counted: its own tests find them. */
bool planted_choose(const char *name);
/* The one that was chosen needs a durable broker. */
bool planted_is_durable(void);
const char *planted_name(unsigned number);
const char *planted_text(unsigned number);

#endif
