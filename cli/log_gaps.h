/*
 * log_gaps.h - damaged records that a start must step over, though it does not
 * need them: they lie in front of the place where its checkpoint ends, in a
 * segment whose later records it reads.
 *
 * Nothing of the state is in them, and payloads are found by their addresses;
 * so MARK records take their place, around what bytes lie there, and the
 * trailer of their batch is made anew.
 */
#ifndef BAO_CLI_LOG_GAPS_H
#define BAO_CLI_LOG_GAPS_H

#include "cli/log_folder.h"

struct log_gaps {
    size_t count;
    uint64_t last_lsn; /* of a record that is no more; 0: none */
};

/* From here on the segments have no damage in front of replay_lsn that could
 * be filled, in memory. */
struct log_gaps log_gaps_fill(struct log_folder *folder, uint64_t replay_lsn);

/* Ends a batch with the last record in front of replay_lsn, in memory, so that
 * the log can be cut behind it. False if that record is not there. */
bool log_gaps_end_batch(struct log_folder *folder, uint64_t replay_lsn);

/* Puts the segments that were changed in the place of those that were there,
 * which go into the folder `aside`; synced. */
bool log_gaps_write(const struct log_folder *folder, const char *aside);

#endif
