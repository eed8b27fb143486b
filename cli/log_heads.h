/*
 * log_heads.h - damaged heads of segments, made anew: all that a head says of
 * a listed segment the manifest says too.
 */
#ifndef BAO_CLI_LOG_HEADS_H
#define BAO_CLI_LOG_HEADS_H

#include "cli/log_folder.h"

/* From here on such segments have the head that they should have, in memory.
 * Answers how many there are. */
size_t log_heads_take(struct log_folder *folder);

/* Copies what stands in their place into the folder `aside`, and writes them;
 * synced. */
bool log_heads_write(const struct log_folder *folder, const char *aside);

#endif
