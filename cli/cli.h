/*
 * cli.h - what the subcommands of `baozi` share.
 *
 * A subcommand is a file with one table row, `const struct cli_command`: its
 * options and operands (a struct bao_program), the memory they are read into,
 * which begins with a struct cli_common, and a function that does the work
 * and returns the exit code of SPEC S11. main.c lists the rows; a process
 * runs one of them, so the memory may be static.
 *
 * Data goes to stdout, as a table or as JSON with SPEC's names as keys;
 * everything else to stderr.
 */
#ifndef BAO_CLI_H
#define BAO_CLI_H

#include <jansson.h>

#include "common/baozi.h"
#include "common/options.h"

/* The beginning of every subcommand's values. */
struct cli_common {
    const char *url;
    int format; /* enum bao_format */
};

struct cli {
    const char *name; /* "baozi put", for messages */
    const struct cli_common *common;
    struct baozi *client; /* opened by cli_open(); closed by main */
    const char *path;     /* argv[0], to find the programs beside us */
    const struct bao_options *parsed; /* who set which option */
};

struct cli_command {
    const struct bao_program *program;
    void *values; /* struct cli_common first; zeroed or preset */
    int (*run)(struct cli *cli);
    bool hidden; /* works, but help and completion do not show it */
};

#define CLI_COMMON_OPTIONS(type) \
    BAO_OPTION_URL(type, common.url), BAO_OPTION_FORMAT(type, common.format)

/* All subcommands in the order of the help (main.c). */
extern const struct cli_command *const cli_commands[];
extern const size_t cli_command_count;

/* --- client --- */

/*
 * Opens cli->client; it connects in the background. A signal (INT, TERM)
 * makes its calls return INTERRUPTED. False: a message was printed and
 * *exit_code is set.
 */
bool cli_open(struct cli *cli, uint32_t connect_ms, int *exit_code);

/* The signal that came, 0 if none did. */
int cli_signal(void);

/* Says why the last call failed; returns the exit code for it. */
int cli_fail(const struct cli *cli, enum baozi_status status);

/* A usage message of three parts; returns 64. */
int cli_usage(const struct cli *cli,
              const char *what,
              const char *why,
              const char *remedy);

/* Flushes stdout; returns exit_code, or 74 with a message if writing failed.
 */
int cli_end(const struct cli *cli, int exit_code);

/* True if the user agrees, or is not asked: `yes`, or no terminal. */
bool cli_agrees(const struct cli *cli, bool yes, const char *question);

/* Reads an item's id; false with a message of usage. */
bool cli_read_id(const struct cli *cli, const char *text, uint64_t *id);

/* What is left until `end_us` of bao_time_monotonic_us(), as a wait_ms;
 * `end_us` is UINT64_MAX for BAOZI_FOREVER. */
uint64_t cli_end_us(int64_t wait_ms);
int64_t cli_left_ms(uint64_t end_us);

/* One printable line of a text that came from elsewhere; returns `safe`. */
#define CLI_SAFE_BYTES 2048u
const char *cli_safe(char safe[CLI_SAFE_BYTES], const char *text);

/* --- JSON --- */

bool cli_json(const struct cli *cli);
/* A number that may not fit in JSON's signed one: then it is a text. */
json_t *cli_json_number(uint64_t number);
json_t *cli_json_text(const char *text); /* null for NULL */
/* Adds the bytes as key "payload" (a text, if they are UTF-8) or as
 * "payload_base64". */
void cli_json_bytes(json_t *object,
                    const char *key,
                    const void *data,
                    size_t bytes);
/* Prints it and a newline; takes it. Objects of a stream are one line each,
 * others are indented. */
int cli_print_json(const struct cli *cli, json_t *value, bool line);

/* One name of many: { "names", value } pairs of a struct. */
struct cli_member {
    const char *name;
    size_t offset; /* of a uint64_t */
};
void cli_json_members(json_t *object,
                      const struct cli_member *members,
                      const void *values);

/* "memory", "disk", ...: a name of SPEC S9. */
const char *cli_durability(enum baozi_durability level);

/* Prints how an item ended as one JSON line; `object` may have keys already
 * and is taken. Returns the exit code of the printing. */
int cli_print_outcome(const struct cli *cli,
                      const struct baozi_outcome *outcome,
                      json_t *object);

/* Says on stderr that an item ended, and not as done; returns 1. */
int cli_ended(const struct cli *cli,
              uint64_t id,
              const struct baozi_outcome *outcome);

/* --- tables --- */

#define CLI_COLUMNS_MAX 16u

struct cli_table {
    size_t columns;
    const char *const *titles; /* a title that begins with '>' aligns right */
    char **cells;              /* row by row */
    size_t count, room;
};

/* `titles` ends with NULL and is lent. */
void cli_table_init(struct cli_table *table, const char *const *titles);
/* Adds one cell; the text is copied and made printable. */
void cli_table_add(struct cli_table *table, const char *text);
/* The same with any bytes, cut to a few dozen characters. */
void cli_table_bytes(struct cli_table *table, const void *data, size_t bytes);
void cli_table_number(struct cli_table *table, uint64_t number);
/* Prints all rows aligned, and frees the table. */
void cli_table_print(struct cli_table *table);
void cli_table_free(struct cli_table *table);

/* How many columns of a terminal the text takes. */
size_t cli_width(const char *text);

#endif
