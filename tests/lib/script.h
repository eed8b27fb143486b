/*
 * script.h - operations as text, for tests that are stories.
 *
 *   PUT rid=1 queue=buns lengths=3,70000 flags=1
 *   PUT rid=1 status=FULL error='no room'
 *
 * Numbers are decimal, statuses have names, columns are lists with commas,
 * texts may stand in quotes, bytes are hex; options are not supported.
 */
#ifndef BAO_TESTS_SCRIPT_H
#define BAO_TESTS_SCRIPT_H

#include "common/operation.h"

/* Memory that a parsed operation's spans lie in. */
struct script_operation {
    struct bao_operation operation;
    uint8_t bytes[4096];
    size_t used;
};

/* Reads one line; exits with a message if it cannot be read. */
void script_parse(const char *line, struct script_operation *parsed);

/* Writes an operation as one line without its end; it is cut if it is longer
 * than `bytes` - 1. */
void script_write(const struct bao_operation *operation,
                  char *text_data,
                  size_t bytes);

#endif
