/*
 * time.c - the only clocks.
 */
#include "common/time.h"

#include <time.h>

#include "common/check.h"

static uint64_t read_clock_us(clockid_t clock)
{
    struct timespec now;
    int failed = clock_gettime(clock, &now);
    BAO_ASSERT(failed == 0); /* only a wrong clock id can fail */
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t bao_time_monotonic_us(void)
{
    return read_clock_us(CLOCK_BOOTTIME);
}

uint64_t bao_time_wall_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}
