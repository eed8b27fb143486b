/*
 * queue.h - a queue's readings and options by SPEC's names, for the verbs
 * that show or set them.
 */
#ifndef BAO_CLI_QUEUE_H
#define BAO_CLI_QUEUE_H

#include "cli/cli.h"

/* How an option of a queue is written. */
struct cli_queue_option {
    const char *name; /* of SPEC S6; the flag has - for _ */
    enum baozi_queue_option option;
    enum bao_takes takes; /* NUMBER, SIZE, DURATION or CHOICE */
    const char *choices;
    uint64_t first_choice; /* value of the first of them */
};
extern const struct cli_queue_option cli_queue_options[]; /* ends with NULL */
extern const struct cli_member cli_queue_readings[];      /* ends with NULL */

/* Everything known of a queue, options and readings, as one object. */
json_t *cli_queue_json(const struct baozi_queue_stat *stat);

/* An option's value as text: "30s", "block", "64 MiB". */
const char *cli_queue_option_text(const struct cli_queue_option *option,
                                  uint64_t value,
                                  char *text,
                                  size_t bytes);

/* "open", "paused in", "shut down", "dead full", ... */
const char *cli_queue_condition(const struct baozi_queue_stat *stat);

/* Adds the columns that every list of queues has. */
#define CLI_QUEUE_TITLES                                              \
    "QUEUE", ">READY", ">LEASED", ">DELAYED", ">DEAD", ">UNFINISHED", \
        ">CONSUMERS"
void cli_queue_cells(struct cli_table *table,
                     const struct baozi_queue_stat *stat);

#endif
