/*
 * report.h - the last words: what was put, confirmed, and came of it.
 */
#ifndef BAO_PRODUCER_REPORT_H
#define BAO_PRODUCER_REPORT_H

#include "producer/join.h"

/* Writes the counts to stdout, as text (not if quiet) or one JSON object.
 * False: they could not be written. */
bool bao_producer_report(struct bao_feed *feed,
                         const struct bao_joined *joined);

/* How many joined items ended otherwise than done. */
uint64_t bao_joined_failed(const struct bao_joined *joined);

#endif
