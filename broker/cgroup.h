/*
 * cgroup.h - how much memory the control groups of the system leave to this
 * process: those of containers, of services, of a test.
 */
#ifndef BAO_CGROUP_H
#define BAO_CGROUP_H

#include <stdint.h>

/* The least limit of this process's group and of those around it, of either
 * version of control groups; `all` if none is less. */
uint64_t bao_cgroup_memory(uint64_t all);

#endif
