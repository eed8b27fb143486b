/*
 * settings.c - what the producer was told to do: one table and what options
 * mean together.
 */
#include "producer/settings.h"

#include <errno.h>
#include <stdlib.h>
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
    {.name = "delay",
     .takes = BAO_TAKES_DURATION,
     AT(delay_ms),
     .help = "hand the items out this much later"},
    {.name = "ttl",
     .takes = BAO_TAKES_DURATION,
     AT(ttl_ms),
     .help = "items expire after this (default: the queue's)"},
    {.name = "priority",
     .takes = BAO_TAKES_INTEGER,
     AT(priority),
     .least = INT32_MIN,
     .most = INT32_MAX,
     .help = "smaller comes first; for queues of that kind"},
    {.name = "group",
     .takes = BAO_TAKES_TEXT,
     AT(group),
     .help = "count the items in this group of the queue"},
    {.name = "header",
     .takes = BAO_TAKES_TEXTS,
     AT(headers),
     .value = "K=V",
     .help = "give each item this header"},
    {.name = "dedup-key",
     .takes = BAO_TAKES_TEXT,
     AT(dedup_key),
     .value = "TEXT",
     .help = "a second item with this key is not stored; {} is the payload"},
    {.name = "dedup-window",
     .takes = BAO_TAKES_DURATION,
     AT(dedup_window_ms),
     .help = "how long the key holds (default: the queue's)"},
    {.name = "unique",
     .takes = BAO_TAKES_NOTHING,
     AT(unique),
     .help = "the key holds until its item is settled; without --dedup-key it "
             "is the payload"},
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
    {.name = "sleep",
     .takes = BAO_TAKES_TEXT,
     AT(sleep),
     .value = "D or D-D",
     .initial = "1s-3s",
     .help = "how long the cook takes for one; a range is drawn from"},
    {.name = "connect-timeout",
     .takes = BAO_TAKES_DURATION,
     AT(connect_timeout_ms),
     .initial = "5s",
     .help = "how long the broker may be away at the start; later it is "
             "waited for"},
    {.name = "quiet",
     .letter = 'q',
     .takes = BAO_TAKES_NOTHING,
     AT(quiet),
     .help = "no progress and no counts, only errors"},
    BAO_OPTION_URL(struct bao_producer_settings, url),
    BAO_OPTION_FORMAT(struct bao_producer_settings, format),
    {0}};

#undef AT

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
             "expired, cancelled, dropped or purged"};

static bool usage(struct bao_problem *problem,
                  const char *what,
                  const char *why,
                  const char *remedy)
{
    problem->exit_code = BAO_EXIT_USAGE;
    bao_problem_what(problem, "%s", what);
    bao_problem_why(problem, "%s", why);
    bao_problem_remedy(problem, "%s", remedy);
    return false;
}

/* K=V texts become pairs. */
static bool check_headers(struct bao_producer_settings *settings,
                          struct bao_problem *problem)
{
    size_t bytes = 0;
    settings->pairs =
        calloc(settings->headers.count + 1, sizeof *settings->pairs);
    for (size_t i = 0; i < settings->headers.count; i++) {
        char *copy = strdup(settings->headers.texts[i]);
        char *equals = copy == NULL ? NULL : strchr(copy, '=');
        if (settings->pairs == NULL || equals == NULL || equals == copy) {
            free(copy);
            return usage(problem,
                         "--header: this is no K=V",
                         "a header has a name, an equals sign and a value",
                         "say for example --header content-type=text/plain");
        }
        bytes += strlen(copy);
        *equals = '\0';
        settings->pairs[i] =
            (struct baozi_header){.key = copy, .value = equals + 1};
    }
    if (bytes > BAO_ITEM_HEADER_BYTES_MAX)
        return usage(problem,
                     "--header: the headers are too large",
                     "all headers of an item may have 4 KiB together",
                     "put large values into the payload");
    return true;
}

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

bool bao_producer_settings_check(struct bao_producer_settings *settings,
                                 const struct bao_options *options,
                                 struct bao_problem *problem)
{
    settings->cooks =
        bao_options_origin(options, "builtin") > BAO_ORIGIN_DEFAULT;
    settings->has_timeout =
        bao_options_origin(options, "timeout") > BAO_ORIGIN_DEFAULT;
    settings->has_maxsize =
        bao_options_origin(options, "maxsize") > BAO_ORIGIN_DEFAULT;
    settings->has_kind =
        bao_options_origin(options, "kind") > BAO_ORIGIN_DEFAULT;
    int splits = (settings->null ? 1 : 0) + (settings->whole ? 1 : 0) +
                 (settings->json ? 1 : 0);
    if (splits > 1)
        return usage(problem,
                     "more than one of --null, --file and --json",
                     "each says where an item ends",
                     "choose one");
    if (settings->whole && settings->files.count == 0)
        return usage(problem,
                     "--file without a FILE",
                     "each FILE is one item, and there is none",
                     "name files, or - for all of standard input as one item");
    if (settings->cooks && (splits > 0 || settings->files.count > 0))
        return usage(problem,
                     "--builtin together with input",
                     "the cook makes its items and reads none",
                     "leave out the files, --null, --file and --json");
    if (settings->dedup_key == NULL && !settings->unique &&
        bao_options_origin(options, "dedup-window") > BAO_ORIGIN_DEFAULT)
        return usage(problem,
                     "--dedup-window without --dedup-key",
                     "it says how long that key holds",
                     "add --dedup-key '{}' to use the payload as the key");
    if (settings->unique &&
        bao_options_origin(options, "dedup-window") > BAO_ORIGIN_DEFAULT)
        return usage(problem,
                     "--unique together with --dedup-window",
                     "a unique key holds until its item is settled",
                     "leave out one of them");
    if (!bao_read_range(settings->sleep, &settings->takes))
        return usage(problem,
                     "--sleep: this is no duration",
                     "a duration like 200ms, or a range like 1s-3s with the "
                     "smaller one first, is needed",
                     "say for example --sleep 100ms-300ms");
    return check_headers(settings, problem) && check_files(settings, problem);
}

bool bao_producer_settings_read(struct bao_producer_settings *settings,
                                struct bao_options *options,
                                int argc,
                                char *const *argv,
                                int *exit_code)
{
    struct bao_problem problem = {0};
    *settings = (struct bao_producer_settings){0};
    bao_options_init(options, &bao_producer_program, settings);
    if (!bao_options_run(options, argc, argv, exit_code)) {
        bao_options_fini(options);
        return false;
    }
    if (!bao_producer_settings_check(settings, options, &problem)) {
        *exit_code = bao_problem_print(&problem, bao_producer_program.name);
        bao_producer_settings_fini(settings, options);
        return false;
    }
    return true;
}

void bao_producer_settings_fini(struct bao_producer_settings *settings,
                                struct bao_options *options)
{
    for (size_t i = 0; settings->pairs != NULL && i < settings->headers.count;
         i++) {
        char *copy; /* the key begins the copy we made */
        memcpy(&copy, &settings->pairs[i].key, sizeof copy);
        free(copy);
    }
    free(settings->pairs);
    settings->pairs = NULL;
    bao_options_fini(options);
}
