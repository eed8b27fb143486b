/*
 * cpus.c - lists of processors, and who keeps to them.
 */
#include "broker/cpus.h"

#include <sched.h>
#include <stddef.h>
#include <unistd.h>

_Static_assert(BAO_CPUS_MAX <= CPU_SETSIZE, "the system's set has room");

/* Reads a number below BAO_CPUS_MAX and steps behind it. */
static bool read_cpu(const char **at, unsigned *cpu)
{
    const char *begin = *at;
    *cpu = 0;
    while (**at >= '0' && **at <= '9' && *at - begin < 4)
        *cpu = *cpu * 10 + (unsigned)(*(*at)++ - '0');
    return *at > begin && *cpu < BAO_CPUS_MAX;
}

bool bao_cpus_read(const char *text, struct bao_cpus *cpus)
{
    const char *at = text;
    *cpus = (struct bao_cpus){.bits = {0}};
    for (;;) {
        unsigned first;
        if (!read_cpu(&at, &first))
            return false;
        unsigned last = first;
        if (*at == '-') {
            at++;
            if (!read_cpu(&at, &last) || last < first)
                return false;
        }
        for (unsigned cpu = first; cpu <= last; cpu++)
            cpus->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
        if (*at == '\0')
            return true;
        if (*at++ != ',')
            return false;
    }
}

bool bao_cpus_has(const struct bao_cpus *cpus, unsigned cpu)
{
    return (cpus->bits[cpu / 64] >> cpu % 64 & 1) != 0;
}

bool bao_cpus_any(const struct bao_cpus *cpus)
{
    for (size_t i = 0; i < BAO_CPUS_MAX / 64; i++) {
        if (cpus->bits[i] != 0)
            return true;
    }
    return false;
}

/* What the system calls a set of processors. */
static void copy(const struct bao_cpus *cpus, cpu_set_t *set)
{
    CPU_ZERO(set);
    for (unsigned cpu = 0; cpu < BAO_CPUS_MAX; cpu++) {
        if (bao_cpus_has(cpus, cpu))
            CPU_SET(cpu, set);
    }
}

bool bao_cpus_possible(const struct bao_cpus *cpus)
{
    const long count = sysconf(_SC_NPROCESSORS_CONF);
    for (unsigned cpu = 0; cpu < BAO_CPUS_MAX && (long)cpu < count; cpu++) {
        if (bao_cpus_has(cpus, cpu))
            return true;
    }
    return false;
}

bool bao_cpus_pin(const struct bao_cpus *cpus)
{
    cpu_set_t set;
    copy(cpus, &set);
    return !bao_cpus_any(cpus) || sched_setaffinity(0, sizeof set, &set) == 0;
}
