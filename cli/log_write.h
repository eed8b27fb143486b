/*
 * log_write.h - files that a repair writes into a data folder.
 */
#ifndef BAO_CLI_LOG_WRITE_H
#define BAO_CLI_LOG_WRITE_H

#include <stdio.h>

#include "cli/log_folder.h"

#define LOG_ASIDE_BYTES 64u /* of a quarantine's name */

/* A new or overwritten file with these bytes, synced. */
bool log_write(const struct log_folder *folder,
               const char *name,
               const uint8_t *data,
               size_t bytes);

/* A new file `name` in its folder `within`, to be written piece by piece;
 * NULL if it cannot be made. */
FILE *log_write_begin(const struct log_folder *folder,
                      const char *within,
                      const char *name);
/* Syncs and closes it; false if anything of that failed, or for NULL. */
bool log_write_end(FILE *file);

/* Both copies, one after the other, with the next generations; synced. */
bool log_write_manifests(const struct log_folder *folder,
                         struct bao_manifest *next);

/* Makes a quarantine, named by the second. */
bool log_write_quarantine(const struct log_folder *folder,
                          char aside[LOG_ASIDE_BYTES]);
/* Moves a file there; one that is not there is no failure. */
bool log_write_aside(const struct log_folder *folder,
                     const char *aside,
                     const char *name);

#endif
