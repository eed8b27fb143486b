/*
 * options.h - one table per program; everything said about options is made
 * from it.
 *
 * A program states its options and operands (the words without dashes) in
 * tables; from them come the parsing, values from the environment and from a
 * configuration file, --help, --version, completion for three shells, and
 * every message about bad usage. A value lands in a member of the program's
 * own struct.
 *
 *     struct values { const char *queue; uint64_t rate; bool join; ... };
 *     static const struct bao_operand operands[] = {
 *         {.name = "QUEUE", .offset = offsetof(struct values, queue)}, {0}};
 *     static const struct bao_option options[] = {
 *         BAO_OPTION_URL(struct values, url),
 *         {.name = "rate", .takes = BAO_TAKES_NUMBER, .least = 1,
 *          .offset = offsetof(struct values, rate),
 *          .help = "put at most this many items a second"},
 *         {0}};
 *     static const struct bao_program program = {.name = "baozi-producer",
 *         .purpose = "put lines into a queue", .options = options,
 *         .operands = operands};
 *
 *     struct values values = {0};
 *     struct bao_options parsed;
 *     int exit_code;
 *     bao_options_init(&parsed, &program, &values);
 *     if (!bao_options_run(&parsed, argc, argv, &exit_code)) {
 *         bao_options_fini(&parsed);
 *         return exit_code;  // --help, --version, or a message was printed
 *     }
 *
 * A flag wins over the environment, that over the file, that over the
 * default, in whatever order they are read.
 */
#ifndef BAO_OPTIONS_H
#define BAO_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/complain.h"

#define BAO_OPTIONS_MAX 64u /* rows of one table, without the closing one */

/* What follows the option, and the type of the member it is stored in. */
enum bao_takes {
    BAO_TAKES_NOTHING,  /* bool; in files and environment: yes, no, ... */
    BAO_TAKES_TEXT,     /* const char * */
    BAO_TAKES_NUMBER,   /* uint64_t */
    BAO_TAKES_INTEGER,  /* int64_t, may be negative */
    BAO_TAKES_SIZE,     /* uint64_t bytes: 4096, 64KiB, 1.5MiB, 2GiB */
    BAO_TAKES_DURATION, /* uint64_t milliseconds: 500ms, 1.5s, 30, 5m, 1h, 2d;
                           a bare number is seconds */
    BAO_TAKES_WAIT,     /* int64_t milliseconds as above, or `forever` (-1) */
    BAO_TAKES_CHOICE,   /* int: the place in `choices`, from 0 */
    BAO_TAKES_TEXTS     /* struct bao_texts; the option may be repeated */
};

/* A list of texts; `texts` belongs to the struct bao_options. */
struct bao_texts {
    const char **texts;
    size_t count;
};

/* One option. A table ends with a row whose name is NULL. */
struct bao_option {
    const char *name; /* long name without dashes; also its name in files */
    char letter;      /* -c; 0 = none */
    enum bao_takes takes;
    size_t offset;           /* of the member in the values */
    const char *value;       /* word in the help; NULL: by what it takes */
    const char *initial;     /* default as text; NULL: the member stays */
    const char *environment; /* variable that sets it; NULL = none */
    const char *choices;     /* "text|json" */
    int64_t least;           /* of a number, size or duration; both 0: any */
    int64_t most;
    const char *help; /* one line; NULL: works but is not shown */
};

/* A word without dashes. A table ends with a row whose name is NULL; only
 * the last row may be repeated (its member is a struct bao_texts, others are
 * const char *). */
struct bao_operand {
    const char *name; /* "QUEUE" */
    size_t offset;
    bool optional;
    bool repeated;
    const char *help; /* NULL: only in the usage line */
};

struct bao_options;
struct bao_program {
    const char *name; /* "baozi-worker", or "baozi put" */
    const char *purpose;
    const struct bao_option *options;
    const struct bao_operand *operands; /* NULL: none */
    const char *examples;               /* lines for --help; NULL: none */
    const char *notes; /* a paragraph, broken into lines here; NULL: none */
    const char *exits; /* what 0 and 1 mean here; NULL: the usual text */
    /* What is wrong with values that were read well, seen together; may make
     * other values from them. NULL: nothing. */
    bool (*check)(void *values,
                  struct bao_options *options,
                  struct bao_problem *problem);
};

/* Options that every program has. The members are `const char *url` and
 * `int format` (enum bao_format). */
#define BAO_OPTION_URL(type, member)                                       \
    {                                                                      \
        .name = "url", .takes = BAO_TAKES_TEXT, .value = "URL",            \
        .offset = offsetof(type, member), .environment = "BAOZI_URL",      \
        .help = "the broker: ipc://PATH or tcp://HOST:PORT (default: the " \
                "local one)"                                               \
    }
#define BAO_OPTION_FORMAT(type, member)                                      \
    {                                                                        \
        .name = "format", .takes = BAO_TAKES_CHOICE, .choices = "text|json", \
        .offset = offsetof(type, member), .initial = "text",                 \
        .environment = "BAOZI_FORMAT", .help = "how results are written"     \
    }
enum bao_format { BAO_FORMAT_TEXT, BAO_FORMAT_JSON };

/* For a program that stays when its broker goes; a `uint64_t`. */
#define BAO_OPTION_CONNECT_TIMEOUT(type, member)                             \
    {                                                                        \
        .name = "connect-timeout", .takes = BAO_TAKES_DURATION,              \
        .offset = offsetof(type, member), .initial = "5s",                   \
        .help = "how long the broker may be away at the start; later it is " \
                "waited for"                                                 \
    }

/* Where a value came from; a later one of these wins. */
enum bao_origin {
    BAO_ORIGIN_NONE, /* nobody set it, there is no default */
    BAO_ORIGIN_DEFAULT,
    BAO_ORIGIN_FILE,
    BAO_ORIGIN_ENVIRONMENT,
    BAO_ORIGIN_FLAG
};

/* Options being read; the caller's memory. Private but for `wants`. */
struct bao_options {
    const struct bao_program *program;
    void *values;
    unsigned char origins[BAO_OPTIONS_MAX]; /* enum bao_origin */
    void *copies;                           /* texts that we own */
    enum bao_wants {
        BAO_WANTS_RUN,
        BAO_WANTS_HELP,
        BAO_WANTS_VERSION,
        BAO_WANTS_COMPLETION
    } wants;
    const char *shell; /* for which completion is wanted */
};

/*
 * Begins: writes the table's defaults into `values`, which the caller has
 * zeroed or preset and which lives as long as `options`, as do the tables.
 * A default that cannot be read is our own mistake (asserted).
 */
void bao_options_init(struct bao_options *options,
                      const struct bao_program *program,
                      void *values);

/* Frees what the values lend: after this no text in them may be used. */
void bao_options_fini(struct bao_options *options);

/*
 * All that a program's main does first: environment, then flags (argv[0] is
 * skipped), then what is asked for by --help, --version or
 * --completion bash|zsh|fish, and the program's check. True: go on. False:
 * end with *exit_code; everything was said already.
 */
bool bao_options_run(struct bao_options *options,
                     int argc,
                     char *const *argv,
                     int *exit_code);

/* Both of these: init and run. After false there is nothing to end. */
bool bao_options_read(struct bao_options *options,
                      const struct bao_program *program,
                      void *values,
                      int argc,
                      char *const *argv,
                      int *exit_code);

/* The pieces of it. Each returns false and fills *problem (exit code 64, or
 * 78 from the environment or a file) when it refuses something. */
bool bao_options_parse(struct bao_options *options,
                       int argc,
                       char *const *argv,
                       struct bao_problem *problem);
bool bao_options_environment(struct bao_options *options,
                             struct bao_problem *problem);

/*
 * Sets one option by its name, as a configuration file does; `text` is
 * copied. A value that came from a stronger origin stays, and this is no
 * error; the text is checked all the same.
 */
bool bao_options_set(struct bao_options *options,
                     const char *name,
                     const char *text,
                     enum bao_origin origin,
                     struct bao_problem *problem);

/* Where the value of option `name` (must exist) came from, and whether
 * somebody asked for it: it is no default. */
enum bao_origin bao_options_origin(const struct bao_options *options,
                                   const char *name);

bool bao_options_given(const struct bao_options *options, const char *name);

/* Memory that lives as long as the options, for what a check makes; NULL if
 * there is none, then bao_options_no_memory() says so and returns false. */
void *bao_options_memory(struct bao_options *options, size_t bytes);
bool bao_options_no_memory(struct bao_problem *problem);

void bao_options_help(const struct bao_program *program, FILE *out);

/*
 * Writes a completion script. `commands` are the programs of a command with
 * subcommands (named "baozi put", ...), or NULL for a program that stands
 * alone. False: no such shell (bash, zsh, fish).
 */
bool bao_options_completion(const struct bao_program *program,
                            const struct bao_program *const *commands,
                            size_t command_count,
                            const char *shell,
                            FILE *out);

/*
 * The word of `words` (count of them) that `word` most likely meant, NULL if
 * none is near.
 */
const char *
bao_nearest(const char *word, const char *const *words, size_t count);

#endif
