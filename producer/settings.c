/*
 * settings.c - what the producer was told to do: one table and what options
 * mean together.
 */
#include "producer/settings.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/limits.h"

#define AT(member) .offset = offsetof(struct bao_producer_settings, member)

static const struct bao_operand operands[] = {
    {.name = "QUEUE",
     AT(queue),
     .help = "the queue to put into; it is made if it is not there"},
    {.name = "FILE",
     AT(files),
     .optional = true,
     .repeated = true,
     .help = "where items are read from; none or - is standard input"},
    {0}};

static const struct bao_option options_table[] = {
    {.name = "null",
     .letter = '0',
     .takes = BAO_TAKES_NOTHING,
     AT(null),
     .help = "items end with NUL, not with a newline"},
    {.name = "file",
     .takes = BAO_TAKES_NOTHING,
     AT(whole),
     .help = "each FILE is one item, whatever is in it"},
    {.name = "json",
     .takes = BAO_TAKES_NOTHING,
     AT(json),
     .help = "each line must be a JSON value; a bad one ends the work (65)"},
    {.name = "join",
     .letter = 'j',
     .takes = BAO_TAKES_NOTHING,
     AT(join),
     .help = "wait until all items are settled; 1 if some are not done"},
    {.name = "join-timeout",
     .takes = BAO_TAKES_WAIT,
     AT(join_timeout_ms),
     .initial = "forever",
     .help = "wait at most this long for that"},
    {.name = "maxsize",
     .takes = BAO_TAKES_NUMBER,
     AT(maxsize),
     .value = "N",
     .help = "make the queue with this bound (0: none)"},
    {.name = "kind",
     .takes = BAO_TAKES_CHOICE,
     .choices = "fifo|lifo|priority",
     AT(kind),
     .help = "make the queue of this kind"},
    {.name = "rate",
     .takes = BAO_TAKES_NUMBER,
     AT(rate),
     .value = "N",
     .most = 1000000000,
     .help = "put at most this many items a second"},
    {.name = "timeout",
     .takes = BAO_TAKES_WAIT,
     AT(timeout_ms),
     .initial = "forever",
     .help = "how long one put may wait for room (then 75); puts then go one "
             "by one"},
    BAO_OPTIONS_PUT(struct bao_producer_settings, put),
    {.name = "window",
     .takes = BAO_TAKES_NUMBER,
     AT(window),
     .initial = "1024",
     .least = 1,
     .most = BAO_WAITING_MAX,
     .help = "puts under way that are not confirmed yet"},
    {.name = "builtin",
     .takes = BAO_TAKES_CHOICE,
     .choices = "cook|steamer",
     AT(builtin),
     .help = "make items instead of reading them, like the tutorial's cook"},
    {.name = "count",
     .takes = BAO_TAKES_NUMBER,
     AT(count),
     .value = "N",
     .initial = "10",
     .help = "how many the cook makes"},
    {.name = "name",
     .takes = BAO_TAKES_TEXT,
     AT(name),
     .initial = "包子",
     .help = "what the cook makes: name0, name1, ..."},
    BAO_OPTION_SLEEP(struct bao_producer_settings,
                     sleep,
                     "how long the cook takes for one; a range is drawn from"),
    BAO_OPTION_CONNECT_TIMEOUT(struct bao_producer_settings,
                               connect_timeout_ms),
    {.name = "quiet",
     .letter = 'q',
     .takes = BAO_TAKES_NOTHING,
     AT(quiet),
     .help = "no progress and no counts, only errors"},
    BAO_OPTION_URL(struct bao_producer_settings, url),
    BAO_OPTION_FORMAT(struct bao_producer_settings, format),
    {0}};

#undef AT

static bool check_files(const struct bao_producer_settings *settings,
                        struct bao_problem *problem)
{
    for (size_t i = 0; i < settings->files.count; i++) {
        const char *name = settings->files.texts[i];
        if (strcmp(name, "-") == 0 || access(name, R_OK) == 0)
            continue;
        problem->exit_code = BAO_EXIT_IO;
        bao_problem_what(problem, "cannot read %s", name);
        bao_problem_why(problem, "%s", strerror(errno));
        bao_problem_remedy(problem, "mend the name; nothing was put");
        return false;
    }
    return true;
}

/* All that options mean together. */
static bool
check(void *values, struct bao_options *options, struct bao_problem *problem)
{
    struct bao_producer_settings *settings = values;
    settings->cooks = bao_options_given(options, "builtin");
    settings->has_timeout = bao_options_given(options, "timeout");
    settings->has_maxsize = bao_options_given(options, "maxsize");
    settings->has_kind = bao_options_given(options, "kind");
    int splits = (settings->null ? 1 : 0) + (settings->whole ? 1 : 0) +
                 (settings->json ? 1 : 0);
    if (splits > 1)
        return bao_problem_usage(problem,
                                 "more than one of --null, --file and --json",
                                 "each says where an item ends",
                                 "choose one");
    if (settings->whole && settings->files.count == 0)
        return bao_problem_usage(
            problem,
            "--file without a FILE",
            "each FILE is one item, and there is none",
            "name files, or - for all of standard input as one item");
    if (settings->cooks && (splits > 0 || settings->files.count > 0))
        return bao_problem_usage(
            problem,
            "--builtin together with input",
            "the cook makes its items and reads none",
            "leave out the files, --null, --file and --json");
    return bao_range_check(settings->sleep, &settings->takes, problem) &&
           bao_put_settings_check(&settings->put, options, problem) &&
           check_files(settings, problem);
}

const struct bao_program bao_producer_program = {
    .name = "baozi-producer",
    .purpose = "put items into a queue, one for each line of input",
    .options = options_table,
    .operands = operands,
    .examples = "  seq 1 1000 | baozi-producer numbers --join\n"
                "  find . -print0 | baozi-producer files --null\n"
                "  baozi-producer pictures --file *.png --ttl 1h\n",
    .notes =
        "An empty line is an empty item. Items are put in order; up to "
        "--window of them are under way at once, and a full queue makes the "
        "producer wait. After an item that cannot be put, nothing more is "
        "read, and what was put before is confirmed. SIGINT and SIGTERM end "
        "the reading and the wait; what was confirmed is told.",
    .exits = "0 all put (--join: and done), 1 joined with items that are dead, "
             "expired, cancelled, dropped or purged",
    .check = check};

bool bao_producer_settings_read(struct bao_producer_settings *settings,
                                struct bao_options *options,
                                int argc,
                                char *const *argv,
                                int *exit_code)
{
    *settings = (struct bao_producer_settings){0};
    return bao_options_read(
        options, &bao_producer_program, settings, argc, argv, exit_code);
}
