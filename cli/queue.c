/*
 * queue.c - a queue's readings and options by SPEC's names.
 */
#include "cli/queue.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

const struct cli_queue_option cli_queue_options[] = {
    {"maxsize", BAOZI_OPTION_MAXSIZE, BAO_TAKES_NUMBER, NULL, 0},
    {"max_bytes", BAOZI_OPTION_MAX_BYTES, BAO_TAKES_SIZE, NULL, 0},
    {"bound",
     BAOZI_OPTION_BOUND,
     BAO_TAKES_CHOICE,
     "ready|total",
     BAOZI_BOUND_READY},
    {"overflow",
     BAOZI_OPTION_OVERFLOW,
     BAO_TAKES_CHOICE,
     "block|reject|drop_oldest",
     BAOZI_OVERFLOW_BLOCK},
    {"kind",
     BAOZI_OPTION_KIND,
     BAO_TAKES_CHOICE,
     "fifo|lifo|priority",
     BAOZI_KIND_FIFO},
    {"durability",
     BAOZI_OPTION_DURABILITY,
     BAO_TAKES_CHOICE,
     "memory|os|disk|quorum",
     BAOZI_DURABILITY_MEMORY},
    {"accounting",
     BAOZI_OPTION_ACCOUNTING,
     BAO_TAKES_CHOICE,
     "lease|count",
     BAOZI_ACCOUNTING_LEASE},
    {"lease", BAOZI_OPTION_LEASE_MS, BAO_TAKES_DURATION, NULL, 0},
    {"max_run", BAOZI_OPTION_MAX_RUN_MS, BAO_TAKES_DURATION, NULL, 0},
    {"max_deliveries", BAOZI_OPTION_MAX_DELIVERIES, BAO_TAKES_NUMBER, NULL, 0},
    {"backoff_base", BAOZI_OPTION_BACKOFF_BASE_MS, BAO_TAKES_DURATION, NULL, 0},
    {"backoff_cap", BAOZI_OPTION_BACKOFF_CAP_MS, BAO_TAKES_DURATION, NULL, 0},
    {"ttl", BAOZI_OPTION_TTL_MS, BAO_TAKES_DURATION, NULL, 0},
    {"result_ttl", BAOZI_OPTION_RESULT_TTL_MS, BAO_TAKES_DURATION, NULL, 0},
    {"dead_max", BAOZI_OPTION_DEAD_MAX, BAO_TAKES_NUMBER, NULL, 0},
    {"dead_ttl", BAOZI_OPTION_DEAD_TTL_MS, BAO_TAKES_DURATION, NULL, 0},
    {"dedup_window", BAOZI_OPTION_DEDUP_WINDOW_MS, BAO_TAKES_DURATION, NULL, 0},
    {"dedup_max", BAOZI_OPTION_DEDUP_MAX, BAO_TAKES_NUMBER, NULL, 0},
    {"group_ttl", BAOZI_OPTION_GROUP_TTL_MS, BAO_TAKES_DURATION, NULL, 0},
    {"group_max", BAOZI_OPTION_GROUP_MAX, BAO_TAKES_NUMBER, NULL, 0},
    {"paused", BAOZI_OPTION_PAUSED, BAO_TAKES_CHOICE, "no|in|out|both", 0},
    {NULL, BAOZI_OPTION_MAXSIZE, BAO_TAKES_NUMBER, NULL, 0},
};

#define READING(name)                                  \
    {                                                  \
#name, offsetof(struct baozi_queue_stat, name) \
    }
const struct cli_member cli_queue_readings[] = {
    READING(ready),
    READING(leased),
    READING(delayed),
    READING(dead),
    READING(unfinished),
    READING(accepted),
    READING(done),
    READING(died),
    READING(expired),
    READING(cancelled),
    READING(dropped),
    READING(purged),
    READING(taken),
    READING(prepaid),
    READING(bytes),
    READING(dead_bytes),
    READING(parked_puts),
    READING(parked_gets),
    READING(parked_bytes),
    READING(joiners),
    READING(consumers),
    READING(oldest_ready_ms),
    READING(groups),
    READING(dedup_keys),
    READING(retried),
    READING(redelivered),
    READING(shut),
    READING(dead_full),
    READING(last_id),
    READING(made_ms),
    {NULL, 0},
};
#undef READING

/* The word of a choice; "?" for a number that has none. */
static void choice_text(const struct cli_queue_option *option,
                        uint64_t value,
                        char *text,
                        size_t bytes)
{
    const char *word = option->choices;
    uint64_t place = value - option->first_choice;
    (void)snprintf(text, bytes, "?");
    if (value < option->first_choice)
        return;
    for (; place > 0; place--) {
        word = strchr(word, '|');
        if (word == NULL)
            return;
        word++;
    }
    (void)snprintf(text, bytes, "%.*s", (int)strcspn(word, "|"), word);
}

const char *cli_queue_option_text(const struct cli_queue_option *option,
                                  uint64_t value,
                                  char *text,
                                  size_t bytes)
{
    if (option->takes == BAO_TAKES_CHOICE)
        choice_text(option, value, text, bytes);
    else if (option->takes == BAO_TAKES_DURATION)
        (void)bao_write_duration_exact(text, bytes, value);
    else if (option->takes == BAO_TAKES_SIZE)
        (void)bao_write_size(text, bytes, value);
    else
        (void)snprintf(text, bytes, "%llu", (unsigned long long)value);
    return text;
}

json_t *cli_queue_json(const struct baozi_queue_stat *stat)
{
    json_t *object = json_object();
    char text[BAO_TEXT_BYTES];
    (void)json_object_set_new(object, "name", json_string(stat->name));
    cli_json_members(object, cli_queue_readings, stat);
    for (const struct cli_queue_option *row = cli_queue_options; row->name;
         row++) {
        uint64_t value = stat->options.values[row->option];
        json_t *json = row->takes == BAO_TAKES_CHOICE
                           ? json_string(cli_queue_option_text(
                                 row, value, text, sizeof text))
                           : cli_json_number(value);
        (void)json_object_set_new(object, row->name, json);
    }
    return object;
}

const char *cli_queue_condition(const struct baozi_queue_stat *stat)
{
    static const char *const paused[] = {
        "open", "paused in", "paused out", "paused"};
    if (stat->shut != 0)
        return "shut down";
    if (stat->options.values[BAOZI_OPTION_PAUSED] != 0)
        return paused[stat->options.values[BAOZI_OPTION_PAUSED] & 3];
    return stat->dead_full != 0 ? "dead full" : "open";
}

void cli_queue_cells(struct cli_table *table,
                     const struct baozi_queue_stat *stat)
{
    cli_table_add(table, stat->name);
    cli_table_number(table, stat->ready);
    cli_table_number(table, stat->leased);
    cli_table_number(table, stat->delayed);
    cli_table_number(table, stat->dead);
    cli_table_number(table, stat->unfinished);
    cli_table_number(table, stat->consumers);
}
