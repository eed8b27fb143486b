/*
 * time.h - the only clocks. Edges read them and hand the time on as an
 * argument; nothing pure ever asks for it.
 */
#ifndef BAO_TIME_H
#define BAO_TIME_H

#include <stdint.h>

/* Microseconds since the machine started, suspension included; never goes
 * back (CLOCK_BOOTTIME). */
uint64_t bao_time_monotonic_us(void);

/* Microseconds since 1970. It may jump; for "not before 09:00" and for
 * showing only. */
uint64_t bao_time_wall_us(void);

#endif
