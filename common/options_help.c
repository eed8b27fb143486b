/*
 * options_help.c - what a table says to people: --help, the nearest word,
 * completion for shells.
 */
#include <string.h>

#include "common/options.h"

#define WORD_BYTES_MAX 64u /* longer words have no neighbours */
#define LEFT_WIDTH     28  /* columns before the explanation */
#define LINE_WIDTH     79u

/* --- the nearest word --- */

static unsigned least3(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* How many letters must be changed, added, taken or swapped. */
static unsigned distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_BYTES_MAX + 1];
    size_t a_bytes = strlen(a);
    size_t b_bytes = strlen(b);
    if (a_bytes > WORD_BYTES_MAX || b_bytes > WORD_BYTES_MAX)
        return WORD_BYTES_MAX;
    for (size_t j = 0; j <= b_bytes; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a_bytes; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *before = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_bytes; j++) {
            unsigned change = a[i - 1] == b[j - 1] ? 0 : 1;
            now[j] =
                least3(above[j] + 1, now[j - 1] + 1, above[j - 1] + change);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

const char *
bao_nearest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t bytes = strlen(word);
    unsigned least = bytes < 3 ? 2 : (unsigned)(bytes / 3) + 2;
    for (size_t i = 0; i < count; i++) {
        unsigned far = distance(word, words[i]);
        if (bytes >= 2 && strncmp(word, words[i], bytes) == 0)
            far = 0; /* the beginning of it */
        if (far < least) {
            least = far;
            nearest = words[i];
        }
    }
    return nearest;
}

/* --- help --- */

static const char *value_word(const struct bao_option *option)
{
    if (option->value != NULL)
        return option->value;
    switch (option->takes) {
    case BAO_TAKES_NOTHING: return NULL;
    case BAO_TAKES_NUMBER:
    case BAO_TAKES_INTEGER: return "N";
    case BAO_TAKES_SIZE: return "SIZE";
    case BAO_TAKES_DURATION:
    case BAO_TAKES_WAIT: return "TIME";
    case BAO_TAKES_CHOICE: return option->choices;
    case BAO_TAKES_TEXT:
    case BAO_TAKES_TEXTS: return "TEXT";
    }
    return NULL;
}

/* Prints `text` from column `column` on, broken at words; its own newlines
 * count as spaces. */
static void print_wrapped(FILE *out, size_t column, const char *text)
{
    size_t at = column;
    while (*text != '\0') {
        size_t bytes = strcspn(text, " \n");
        if (at > column && at + 1 + bytes > LINE_WIDTH) {
            (void)fprintf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            (void)fputc(' ', out);
            at++;
        }
        (void)fprintf(out, "%.*s", (int)bytes, text);
        at += bytes;
        text += bytes;
        while (*text == ' ' || *text == '\n')
            text++;
    }
    (void)fputc('\n', out);
}

static void print_row(FILE *out, const char *left, const char *text)
{
    if (strlen(left) > LEFT_WIDTH - 2)
        (void)fprintf(out, "%s\n%*s", left, LEFT_WIDTH, "");
    else
        (void)fprintf(out, "%-*s", LEFT_WIDTH, left);
    print_wrapped(out, LEFT_WIDTH, text);
}

static void print_option(FILE *out, const struct bao_option *option)
{
    char left[160];
    char text[512];
    const char *value = value_word(option);
    char letter[5] = "    ";
    if (option->help == NULL)
        return;
    if (option->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    (void)snprintf(left,
                   sizeof left,
                   "  %s--%s%s%s",
                   letter,
                   option->name,
                   value != NULL ? " " : "",
                   value != NULL ? value : "");
    size_t used = (size_t)snprintf(text, sizeof text, "%s", option->help);
    if (option->takes == BAO_TAKES_TEXTS && used < sizeof text)
        used += (size_t)snprintf(
            text + used, sizeof text - used, "; may be repeated");
    if (option->initial != NULL && option->initial[0] != '\0' &&
        option->takes != BAO_TAKES_NOTHING && used < sizeof text)
        used += (size_t)snprintf(
            text + used, sizeof text - used, " (default: %s)", option->initial);
    if (option->environment != NULL && used < sizeof text)
        (void)snprintf(
            text + used, sizeof text - used, " [$%s]", option->environment);
    print_row(out, left, text);
}

static void print_usage(const struct bao_program *program, FILE *out)
{
    const struct bao_operand *row = program->operands;
    (void)fprintf(out, "Usage: %s [OPTION]...", program->name);
    for (; row != NULL && row->name != NULL; row++)
        (void)fprintf(out,
                      " %s%s%s%s",
                      row->optional ? "[" : "",
                      row->name,
                      row->optional ? "]" : "",
                      row->repeated ? "..." : "");
    (void)fputs("\n", out);
    bool told = false;
    for (row = program->operands; row != NULL && row->name != NULL; row++) {
        char left[64];
        if (row->help == NULL)
            continue;
        if (!told)
            (void)fputc('\n', out);
        told = true;
        (void)snprintf(left, sizeof left, "  %s", row->name);
        print_row(out, left, row->help);
    }
}

void bao_options_help(const struct bao_program *program, FILE *out)
{
    const struct bao_option *option = program->options;
    (void)fprintf(out, "%s - %s\n\n", program->name, program->purpose);
    print_usage(program, out);
    (void)fputs("\nOptions:\n", out);
    for (; option != NULL && option->name != NULL; option++)
        print_option(out, option);
    if (strchr(program->name, ' ') == NULL) /* not a verb's */
        print_row(out,
                  "      --completion SHELL",
                  "print completion for bash, zsh or fish");
    print_row(out, "  -h, --help", "show this and end");
    print_row(out, "      --version", "show the version and end");
    if (program->examples != NULL)
        (void)fprintf(out, "\nExamples:\n%s", program->examples);
    if (program->notes != NULL) {
        (void)fputc('\n', out);
        print_wrapped(out, 0, program->notes);
    }
    (void)fputs("\nExit codes:\n  ", out);
    print_wrapped(
        out,
        2,
        program->exits != NULL
            ? program->exits
            : "0 done; 1 a negative answer (empty, timed out, dead items)");
    (void)fputs("  64 usage, 65 bad payload, 69 broker unreachable, 74 I/O, "
                "75 try again,\n"
                "  76 protocol version, 77 denied, 78 configuration, "
                "128+N signal N\n",
                out);
}
