/*
 * config_file.h - the broker's configuration file: `name = value` lines.
 *
 * A name is that of an option without its dashes; # and ; begin comments.
 * What is wrong is told with the file and the line that it is in.
 */
#ifndef BAO_CONFIG_FILE_H
#define BAO_CONFIG_FILE_H

#include <stdio.h>

#include "common/options.h"

/* Sets what the file says and no stronger origin did. False: *problem tells
 * what is wrong. */
bool bao_config_file_read(struct bao_options *options,
                          const char *path,
                          struct bao_problem *problem);

/* The same from an open file; `path` is its name for people. */
bool bao_config_stream_read(struct bao_options *options,
                            FILE *file,
                            const char *path,
                            struct bao_problem *problem);

#endif
