/*
 * queue_set.c - `baozi queue create` and `baozi queue set`: the options of
 * SPEC S6 by their names.
 */
#include <string.h>

#include "cli/queue.h"

/* What a flag was read into, by enum baozi_queue_option. */
static struct values {
    struct cli_common common;
    const char *queue;
    uint64_t numbers[32];
    int choices[32];
} values;

#define NUMBER(word, OPTION, about)                                        \
    {                                                                      \
        .name = word, .takes = BAO_TAKES_NUMBER, .most = UINT32_MAX,       \
        .offset = offsetof(struct values, numbers[BAOZI_OPTION_##OPTION]), \
        .help = about                                                      \
    }
#define DURATION(word, OPTION, longest, about)                             \
    {                                                                      \
        .name = word, .takes = BAO_TAKES_DURATION, .most = longest,        \
        .offset = offsetof(struct values, numbers[BAOZI_OPTION_##OPTION]), \
        .help = about                                                      \
    }
#define CHOICE(word, OPTION, words, about)                                 \
    {                                                                      \
        .name = word, .takes = BAO_TAKES_CHOICE, .choices = words,         \
        .offset = offsetof(struct values, choices[BAOZI_OPTION_##OPTION]), \
        .help = about                                                      \
    }

static const struct bao_option options[] = {
    NUMBER("maxsize", MAXSIZE, "bound in items; 0 = none"),
    {.name = "max-bytes",
     .takes = BAO_TAKES_SIZE,
     .offset = offsetof(struct values, numbers[BAOZI_OPTION_MAX_BYTES]),
     .help = "bound in payload bytes; 0 = none"},
    CHOICE("bound",
           BOUND,
           "ready|total",
           "what the bounds count: ready and delayed, or leased too"),
    CHOICE("overflow",
           OVERFLOW,
           "block|reject|drop_oldest",
           "what a put does at the bound"),
    CHOICE("kind", KIND, "fifo|lifo|priority", "the order of items"),
    CHOICE("durability",
           DURABILITY,
           "memory|os|disk|quorum",
           "when a put is confirmed; os: a power cut may take the last 50 ms"),
    CHOICE("accounting",
           ACCOUNTING,
           "lease|count",
           "count: task_done as in Python's JoinableQueue"),
    DURATION("lease",
             LEASE_MS,
             UINT32_MAX,
             "how long a taker may be silent; 0 = as long as it lives"),
    DURATION("max-run", MAX_RUN_MS, 0, "how long a lease may be renewed"),
    NUMBER("max-deliveries", MAX_DELIVERIES, "then the item is dead"),
    DURATION("backoff-base", BACKOFF_BASE_MS, UINT32_MAX, "first retry delay"),
    DURATION("backoff-cap", BACKOFF_CAP_MS, UINT32_MAX, "longest retry delay"),
    DURATION("ttl", TTL_MS, 0, "forget items not taken by then; 0 = never"),
    DURATION("result-ttl", RESULT_TTL_MS, 0, "how long results are kept"),
    NUMBER("dead-max", DEAD_MAX, "how many dead items are kept"),
    DURATION("dead-ttl",
             DEAD_TTL_MS,
             0,
             "how long dead items are kept; 0 = for ever"),
    DURATION("dedup-window", DEDUP_WINDOW_MS, 0, "how long a key holds"),
    NUMBER("dedup-max", DEDUP_MAX, "how many keys at most"),
    DURATION("group-ttl", GROUP_TTL_MS, 0, "how long counts of a group stay"),
    NUMBER("group-max", GROUP_MAX, "how many groups at most"),
    CLI_COMMON_OPTIONS(struct values),
    {0},
};

static const struct bao_operand operands[] = {
    {.name = "QUEUE",
     .offset = offsetof(struct values, queue),
     .help = "its name"},
    {0},
};

/* The flag of an option: "max_bytes" -> "max-bytes". */
static void flag_name(const char *name, char text[32])
{
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < 32; i++)
        text[i] = name[i] == '_' ? '-' : name[i];
    text[i] = '\0';
}

/* Collects what was set; returns how many options that is. */
static size_t collect(const struct cli *cli,
                      struct baozi_queue_options *collected)
{
    size_t count = 0;
    baozi_queue_options_init(collected);
    for (const struct cli_queue_option *row = cli_queue_options; row->name;
         row++) {
        char flag[32];
        flag_name(row->name, flag);
        if (row->option == BAOZI_OPTION_PAUSED ||
            bao_options_origin(cli->parsed, flag) <= BAO_ORIGIN_DEFAULT)
            continue;
        uint64_t value =
            row->takes == BAO_TAKES_CHOICE
                ? (uint64_t)values.choices[row->option] + row->first_choice
                : values.numbers[row->option];
        baozi_queue_option(collected, row->option, value);
        count++;
    }
    return count;
}

static int run_create(struct cli *cli)
{
    struct baozi_queue_options wanted;
    int exit_code = BAO_EXIT_OK;
    size_t count = collect(cli, &wanted);
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status =
        baozi_declare(cli->client, values.queue, count > 0 ? &wanted : NULL);
    return status == BAOZI_OK ? BAO_EXIT_OK : cli_fail(cli, status);
}

static const struct bao_program create_program = {
    .name = "baozi queue create",
    .purpose = "make a queue, or check the options of one",
    .options = options,
    .operands = operands,
    .examples = "  baozi queue create jobs --maxsize 1000 --lease 5m\n"
                "  baozi queue create urgent --kind priority\n",
    .notes = "What is not given has the broker's default. A queue that is "
             "there already is\nleft as it is; if an option differs, that "
             "is an error.\n",
    .exits = "0 it is there; 1 it has other options",
};
const struct cli_command cli_queue_create = {.program = &create_program,
                                             .values = &values,
                                             .run = run_create};

static int run_set(struct cli *cli)
{
    struct baozi_queue_options wanted;
    int exit_code = BAO_EXIT_OK;
    if (collect(cli, &wanted) == 0)
        return cli_usage(cli,
                         "nothing to set",
                         "no option of the queue was given",
                         "baozi queue set --help lists them");
    if (!cli_open(cli, 0, &exit_code))
        return exit_code;
    enum baozi_status status =
        baozi_configure(cli->client, values.queue, &wanted);
    return status == BAOZI_OK ? BAO_EXIT_OK : cli_fail(cli, status);
}

static const struct bao_program set_program = {
    .name = "baozi queue set",
    .purpose = "change options of a queue from now on",
    .options = options,
    .operands = operands,
    .examples = "  baozi queue set jobs --maxsize 50000\n"
                "  baozi queue set jobs --max-deliveries 3 --backoff-cap 10m\n",
    .notes = "The kind changes only while the queue is empty, the accounting "
             "only while\nnothing is unfinished.\n",
    .exits = "0 changed; 1 no such queue",
};
const struct cli_command cli_queue_set = {.program = &set_program,
                                          .values = &values,
                                          .run = run_set};
