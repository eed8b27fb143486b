/*
 * unit.h - what every cmocka test program includes, in the order it needs.
 */
#ifndef BAO_TESTS_UNIT_H
#define BAO_TESTS_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

#endif
