/*
 * command.h - from the text of --exec to the words of a job.
 *
 * The text is split like a shell splits it, without a shell: blanks part
 * words, '...' takes everything as it is, "..." knows \" and \\, outside of
 * quotes a backslash takes the next character as it is. Nothing is expanded.
 * A character that would mean something to a shell (| & ; < > ( ) $ `) is
 * refused unless it is quoted, so that nobody believes it works.
 *
 * Each {} in a word is replaced by the payload. A payload is never read by a
 * shell: with --shell it is the parameter "$1".
 */
#ifndef BAO_WORKER_COMMAND_H
#define BAO_WORKER_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "common/complain.h"

/* The longest argument the kernel takes, with its NUL (MAX_ARG_STRLEN). */
#define BAO_ARGUMENT_BYTES_MAX (128u * 1024u)

struct bao_command {
    char **words; /* owned, ends with NULL */
    size_t count;
    bool takes_payload; /* in an argument; else on standard input */
};

/* Splits `text`. False: *problem says why (exit code 64). */
bool bao_command_split(struct bao_command *command,
                       const char *text,
                       struct bao_problem *problem);

/* sh -c `text`; the payload is $1 if the text has it, else standard input.
 * {} is refused. */
bool bao_command_shell(struct bao_command *command,
                       const char *text,
                       struct bao_problem *problem);

void bao_command_fini(struct bao_command *command);

/*
 * The words with `payload` in its place: one block, free it with free().
 * NULL: the payload cannot be an argument; `error` (never NULL) tells why in
 * three parts on one line.
 */
char **bao_command_fill(const struct bao_command *command,
                        const void *payload,
                        size_t bytes,
                        char *error,
                        size_t error_bytes);

/* The environment variable of item header `key`: BAOZI_HEADER_CONTENT_TYPE
 * for "content-type". False: it does not fit or the key is empty. */
bool bao_header_variable(char *text, size_t bytes, const char *key);

/*
 * Keeps the end of what a job says on stderr and makes one line of it: the
 * last lines that are not blank.
 */
#define BAO_TAIL_BYTES 512u
struct bao_tail {
    char bytes[BAO_TAIL_BYTES];
    size_t count;
};
void bao_tail_add(struct bao_tail *tail, const void *data, size_t bytes);
/* Writes the last lines, at most `bytes` with the NUL; returns `text`. */
char *bao_tail_line(const struct bao_tail *tail, char *text, size_t bytes);

#endif
