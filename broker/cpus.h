/*
 * cpus.h - the processors that a thread may run on.
 *
 * Where processors are few, waking a thread on another one costs more than
 * what it does then. A broker that stays on one is not moved about.
 */
#ifndef BAO_CPUS_H
#define BAO_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#define BAO_CPUS_MAX 1024u

struct bao_cpus {
    uint64_t bits[BAO_CPUS_MAX / 64]; /* none = wherever the system likes */
};

/* Reads "0", "0-3", "0,2-3"; false if it is no such list. */
bool bao_cpus_read(const char *text, struct bao_cpus *cpus);

bool bao_cpus_any(const struct bao_cpus *cpus);
bool bao_cpus_has(const struct bao_cpus *cpus, unsigned cpu);

/* True if this machine has one of them at least. */
bool bao_cpus_possible(const struct bao_cpus *cpus);

/* Keeps the calling thread to them; with none it stays as it is. False if the
 * system refuses. */
bool bao_cpus_pin(const struct bao_cpus *cpus);

#endif
