/*
 * settings.c - what the worker was told to do: one table and what options
 * mean together.
 */
#include "worker/settings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bao_operand operands[] = {
    {.name = "QUEUE",
     .offset = offsetof(struct bao_worker_settings, queue),
     .help = "the queue to work on; it is made if it is not there"},
    {0}};

#define AT(member) .offset = offsetof(struct bao_worker_settings, member)

static const struct bao_option options_table[] = {
    {.name = "children",
     .letter = 'c',
     .takes = BAO_TAKES_NUMBER,
     AT(children),
     .value = "N",
     .least = 1,
     .most = BAO_WORKER_CHILDREN_MAX,
     .environment = "BAOZI_CHILDREN",
     .help = "processes that work at once (default: one a processor)"},
    {.name = "exec",
     .takes = BAO_TAKES_TEXT,
     AT(exec),
     .value = "CMD",
     .help = "run this command for each item; {} is the payload, else it is "
             "on standard input"},
    {.name = "plugin",
     .takes = BAO_TAKES_TEXT,
     AT(plugin),
     .value = "FILE.so",
     .help = "let this plugin work; baozi_plugin.h tells how to write one"},
    {.name = "builtin",
     .takes = BAO_TAKES_CHOICE,
     .choices = "eater|echo|upper|sleep",
     AT(builtin),
     .help = "eater prints, echo and upper answer, sleep waits"},
    {.name = "shell",
     .takes = BAO_TAKES_NOTHING,
     AT(shell),
     .help = "run the text of --exec with sh -c; the payload is \"$1\", or "
             "standard input"},
    {.name = "result",
     .takes = BAO_TAKES_NOTHING,
     AT(result),
     .help = "what a command writes to standard output is the item's result "
             "(up to 1 MiB)"},
    {.name = "argument",
     .takes = BAO_TAKES_TEXT,
     AT(argument),
     .initial = "",
     .help = "handed to the plugin's init()"},
    {.name = "timeout",
     .takes = BAO_TAKES_DURATION,
     AT(timeout_ms),
     .help = "kill a child that works longer on one item (0: never)"},
    {.name = "max-tasks",
     .takes = BAO_TAKES_NUMBER,
     AT(max_tasks),
     .value = "N",
     .help = "replace a child after this many items (0: never)"},
    {.name = "prefetch",
     .takes = BAO_TAKES_NUMBER,
     AT(prefetch),
     .value = "N",
     .most = 100000,
     .help = "items to hold ready beyond those in work"},
    {.name = "grace",
     .takes = BAO_TAKES_DURATION,
     AT(grace_ms),
     .initial = "25s",
     .help = "at SIGTERM, let work go on this long; then release it"},
    {.name = "lease",
     .takes = BAO_TAKES_DURATION,
     AT(lease_ms),
     .most = UINT32_MAX,
     .help = "lease time (default: the queue's); renewed while a child works"},
    BAO_OPTION_SLEEP(struct bao_worker_settings,
                     sleep,
                     "how long eater and sleep take; a range is drawn from"),
    {.name = "until-empty",
     .takes = BAO_TAKES_NOTHING,
     AT(until_empty),
     .help = "end when the queue has nothing unfinished"},
    BAO_OPTION_CONNECT_TIMEOUT(struct bao_worker_settings, connect_timeout_ms),
    {.name = "quiet",
     .letter = 'q',
     .takes = BAO_TAKES_NOTHING,
     AT(quiet),
     .help = "log errors only"},
    {.name = "verbose",
     .letter = 'v',
     .takes = BAO_TAKES_NOTHING,
     AT(verbose),
     .help = "log each item"},
    BAO_OPTION_URL(struct bao_worker_settings, url),
    BAO_OPTION_FORMAT(struct bao_worker_settings, format),
    {0}};

#undef AT

/* Whether a file can be run: as a path, or found through PATH. */
static bool can_run(const char *name)
{
    if (strchr(name, '/') != NULL)
        return access(name, X_OK) == 0;
    const char *at = getenv("PATH");
    if (at == NULL)
        at = "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        char path[4096];
        size_t length = strcspn(at, ":");
        int bytes = snprintf(path,
                             sizeof path,
                             "%.*s%s%s",
                             (int)length,
                             at,
                             length == 0 ? "" : "/",
                             name);
        if (bytes > 0 && (size_t)bytes < sizeof path && access(path, X_OK) == 0)
            return true;
        if (at[length] == '\0')
            return false;
        at += length + 1;
    }
}

static bool check_exec(struct bao_worker_settings *settings,
                       struct bao_problem *problem)
{
    settings->runs = BAO_RUNS_EXEC;
    if (settings->shell)
        return bao_command_shell(&settings->command, settings->exec, problem);
    if (!bao_command_split(&settings->command, settings->exec, problem))
        return false;
    const char *name = settings->command.words[0];
    if (strstr(name, "{}") != NULL || can_run(name))
        return true;
    problem->exit_code = BAO_EXIT_CONFIGURATION;
    bao_problem_what(problem, "--exec: cannot run '%s'", name);
    bao_problem_why(problem,
                    "%s",
                    strchr(name, '/') == NULL
                        ? "no folder of PATH has such a program"
                        : strerror(errno));
    bao_problem_remedy(problem, "install it, mend the name, or give its path");
    return false;
}

static bool check_plugin(struct bao_worker_settings *settings,
                         struct bao_problem *problem)
{
    settings->runs = BAO_RUNS_PLUGIN;
    if (access(settings->plugin, R_OK) == 0)
        return true;
    problem->exit_code = BAO_EXIT_CONFIGURATION;
    bao_problem_what(problem, "--plugin: cannot read '%s'", settings->plugin);
    bao_problem_why(problem, "%s", strerror(errno));
    bao_problem_remedy(problem,
                       "give the path of a shared object made as "
                       "baozi_plugin.h says");
    return false;
}

/* All that options mean together. */
static bool
check(void *values, struct bao_options *options, struct bao_problem *problem)
{
    struct bao_worker_settings *settings = values;
    bool builtin = bao_options_given(options, "builtin");
    int runners = (settings->exec != NULL) + (settings->plugin != NULL) +
                  (builtin ? 1 : 0);
    if (runners != 1)
        return bao_problem_usage(
            problem,
            runners == 0 ? "nothing says how to work on an item"
                         : "more than one way to work on an item",
            "exactly one of --exec, --plugin and --builtin is needed",
            "say for example: baozi-worker QUEUE --exec 'gzip -t {}'");
    if ((settings->shell || settings->result) && settings->exec == NULL)
        return bao_problem_usage(
            problem,
            settings->shell ? "--shell without --exec"
                            : "--result without --exec",
            "it says how the command of --exec is run",
            "leave it out, or add --exec; plugins and builtins give "
            "their results by themselves");
    if (settings->quiet && settings->verbose)
        return bao_problem_usage(problem,
                                 "--quiet and --verbose together",
                                 "one asks for less, the other for more",
                                 "choose one");
    if (!bao_range_check(settings->sleep, &settings->takes, problem))
        return false;
    if (settings->children == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        settings->children = processors < 1 ? 1 : (uint64_t)processors;
        if (settings->children > BAO_WORKER_CHILDREN_MAX)
            settings->children = BAO_WORKER_CHILDREN_MAX;
    }
    if (settings->exec != NULL)
        return check_exec(settings, problem);
    if (settings->plugin != NULL)
        return check_plugin(settings, problem);
    settings->runs = BAO_RUNS_BUILTIN;
    return true;
}

const struct bao_program bao_worker_program = {
    .name = "baozi-worker",
    .purpose = "take items of a queue and work on them in a pool of processes",
    .options = options_table,
    .operands = operands,
    .examples =
        "  find . -name '*.gz' | baozi-producer files\n"
        "  baozi-worker files -c 4 --exec 'gzip -t {}'\n"
        "  baozi-worker mail --exec 'curl -sf -d @- https://example.org/'\n"
        "  baozi-worker logs --shell --exec 'zcat \"$1\" | wc -l' --result\n",
    .notes =
        "A command's exit code says how its item ended: 0 done, 75 try again "
        "in a second (not counted), 65 reject (dead at once), anything else "
        "a failed delivery that is counted and retried; so is a crash, a "
        "kill, or the end of --timeout. The command is split into words as a "
        "shell does, but no shell runs it. Its environment has BAOZI_QUEUE, "
        "BAOZI_ID, BAOZI_TOKEN, BAOZI_DELIVERIES, BAOZI_PRIORITY, "
        "BAOZI_GROUP and BAOZI_HEADER_NAME for each header. When a command "
        "ends, what it left running is killed. SIGTERM and SIGINT drain the "
        "worker: it takes nothing new, finishes within --grace and releases "
        "the rest uncounted; a second signal ends it at once.",
    .exits = "0 drained, or the queue is empty or shut down",
    .check = check};

bool bao_worker_settings_read(struct bao_worker_settings *settings,
                              struct bao_options *options,
                              int argc,
                              char *const *argv,
                              int *exit_code)
{
    *settings = (struct bao_worker_settings){0};
    if (bao_options_read(
            options, &bao_worker_program, settings, argc, argv, exit_code))
        return true;
    bao_command_fini(&settings->command);
    return false;
}

void bao_worker_settings_fini(struct bao_worker_settings *settings,
                              struct bao_options *options)
{
    bao_command_fini(&settings->command);
    bao_options_fini(options);
}
