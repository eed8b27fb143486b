/*
 * disk.h - the disk of a durable run, which outlives the broker's lives.
 *
 * The broker's own disk.c opens its log on it, with the log's three lanes of
 * jobs in virtual time: a sync takes as long as chance says, and what the log
 * believes comes with its end. The disk lies as tests/lib/liar.h says.
 */
#ifndef BAO_TESTS_SIM_DISK_H
#define BAO_TESTS_SIM_DISK_H

#include "broker/log.h"
#include "tests/sim/sim.h"

/* How a life of the broker ends. */
enum sim_end {
    SIM_END_CLEAN,  /* it closes its log */
    SIM_END_FAILED, /* its disk failed, and it exits */
    SIM_END_KILLED, /* kill -9: what was written is there */
    SIM_END_CUT     /* the power is cut: what was synced is there */
};

void disk_open(struct sim *sim);
void disk_close(struct sim *sim);

/* False: no power cut befalls this run, so that what is only written must be
 * there again; some queues have the level `os` then. */
bool disk_may_be_cut(const struct sim *sim);
/* Bodies of 64 KiB and more fit into a segment. */
bool disk_takes_big(const struct sim *sim);

/* The broker dies before its log is abandoned. */
void disk_dies(struct sim *sim);
/* The broker's log was closed, or abandoned. */
void disk_ended(struct sim *sim, enum sim_end end);
/* A start begins, and perhaps does not come to its end: false at its end if
 * something was made to fail meanwhile. */
void disk_start_begins(struct sim *sim);
bool disk_start_ends(struct sim *sim);
/* For the counts: what a start found, and what a turn did. */
void disk_started(struct sim *sim, const struct bao_log_report *report);
void disk_turned(struct sim *sim, const struct bao_log *log);

/* --- what befalls it --- */

/* Syncs take long until then. */
void disk_slow(struct sim *sim, uint64_t until_us);
/* No room for more until then. */
void disk_full(struct sim *sim, uint64_t until_us);
/* One of the next calls fails. */
void disk_fail(struct sim *sim);
/* All is well with it. */
void disk_heal(struct sim *sim);
/* A call was made to fail in this life. */
bool disk_fails(const struct sim *sim);
/* Something was made to fail, or there was no room, in this life. */
bool disk_is_bad(const struct sim *sim);

#endif
