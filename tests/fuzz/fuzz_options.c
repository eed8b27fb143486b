/*
 * fuzz_options.c - any command line, environment and configuration file: they
 * are read, or refused with a message of parts.
 *
 * The first byte of an input chooses the program and whether help is written;
 * the rest are texts that end with NUL: first words of the command line up to
 * an empty one, then pairs (option, value) that the environment has, up to an
 * empty one, then the configuration file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/config.h"
#include "broker/config_file.h"
#include "cli/cli.h"
#include "common/check.h"
#include "common/text.h"
#include "producer/settings.h"
#include "tests/fuzz/fuzz.h"
#include "worker/settings.h"

enum { WORDS_MAX = 40, VARIABLES_MAX = 8, VALUES_BYTES = 4096 };

extern const struct cli_command cli_put, cli_get, cli_join, cli_queue_create,
    cli_browse, cli_redrive;

/* Where a program's values are read into; large enough for each. */
static _Alignas(max_align_t) unsigned char values[VALUES_BYTES];
static FILE *nowhere;

static const struct bao_program *program_of(uint8_t byte)
{
    const struct bao_program *const programs[] = {
        &bao_worker_program,
        &bao_producer_program,
        &bao_broker_program,
        cli_put.program,
        cli_get.program,
        cli_join.program,
        cli_queue_create.program,
        cli_browse.program,
        cli_redrive.program,
    };
    return programs[byte % (sizeof programs / sizeof programs[0])];
}

/* The next text of the input, copied; owned. */
static char *next_text(struct fuzz_input *input)
{
    size_t bytes = 0;
    while (bytes < input->left && input->at[bytes] != '\0') {
        bytes++;
    }
    struct bao_span span = fuzz_bytes(input, bytes);
    (void)fuzz_byte(input); /* its NUL */
    char *text = malloc(bytes + 1);
    BAO_ASSERT(text != NULL);
    if (bytes > 0) {
        memcpy(text, span.data, bytes);
    }
    text[bytes] = '\0';
    return text;
}

/* --- what was said -------------------------------------------------------- */

static void check_text(const char *text, size_t most)
{
    char safe[600];
    size_t bytes = strnlen(text, most);
    BAO_ASSERT(bytes < most);
    bao_write_escaped(safe, sizeof safe, text, bytes);
    for (const char *at = safe; *at != '\0'; at++) {
        BAO_ASSERT((unsigned char)*at >= 0x20 && *at != 0x7f);
    }
}

static void check_problem(const struct bao_problem *problem, bool good)
{
    check_text(problem->what, sizeof problem->what);
    check_text(problem->why, sizeof problem->why);
    check_text(problem->remedy, sizeof problem->remedy);
    if (!good) {
        BAO_ASSERT(problem->exit_code >= BAO_EXIT_USAGE &&
                   problem->exit_code <= BAO_EXIT_CONFIGURATION);
        BAO_ASSERT(problem->what[0] != '\0');
        BAO_ASSERT(problem->why[0] != '\0' && problem->remedy[0] != '\0');
    }
}

/* --- the sources ------------------------------------------------------------
 */

static bool read_words(struct fuzz_input *input, struct bao_options *options)
{
    static char *words[WORDS_MAX + 2];
    struct bao_problem problem;
    static char name[] = "program";
    int count = 1;
    words[0] = name;
    while (count <= WORDS_MAX && input->left > 0) {
        words[count] = next_text(input);
        if (words[count][0] == '\0') {
            free(words[count]);
            break;
        }
        count++;
    }
    words[count] = NULL;
    bool good = bao_options_parse(options, count, words, &problem);
    check_problem(&problem, good);
    if (good && options->wants == BAO_WANTS_COMPLETION) {
        (void)bao_options_completion(
            options->program, NULL, 0, options->shell, nowhere);
    }
    /* What was read may be lent by the words: they go with the values. */
    if (good && options->wants == BAO_WANTS_RUN &&
        options->program->check != NULL) {
        problem = (struct bao_problem){0};
        good = options->program->check(values, options, &problem);
        check_problem(&problem, good);
    }
    for (int i = 1; i < count; i++) {
        free(words[i]);
    }
    return good;
}

/* The variable of an option that has one, chosen by its number. */
static const char *variable_of(const struct bao_program *program, uint8_t byte)
{
    size_t at = 0;
    for (; byte > 0 && program->options[at].name != NULL; byte--) {
        at++;
    }
    return program->options[at].environment;
}

static void read_environment(struct fuzz_input *input,
                             struct bao_options *options)
{
    const char *set[VARIABLES_MAX];
    size_t count = 0;
    struct bao_problem problem;
    while (count < VARIABLES_MAX && input->left > 1 && input->at[0] != '\0') {
        const char *name = variable_of(options->program, fuzz_byte(input));
        char *value = next_text(input);
        if (name != NULL && setenv(name, value, 1) == 0) {
            set[count++] = name;
        }
        free(value);
    }
    (void)fuzz_byte(input);
    bool good = bao_options_environment(options, &problem);
    check_problem(&problem, good);
    /* A text from the environment is lent by it. */
    bao_options_fini(options);
    memset(values, 0, sizeof values);
    bao_options_init(options, options->program, values);
    for (size_t i = 0; i < count; i++) {
        (void)unsetenv(set[i]);
    }
}

static void read_file(struct fuzz_input *input, struct bao_options *options)
{
    struct bao_problem problem;
    size_t bytes = input->left;
    char *copy = malloc(bytes + 1);
    BAO_ASSERT(copy != NULL);
    if (bytes > 0) {
        memcpy(copy, input->at, bytes);
        FILE *file = fmemopen(copy, bytes, "re");
        BAO_ASSERT(file != NULL);
        bool good =
            bao_config_stream_read(options, file, "broker.ini", &problem);
        check_problem(&problem, good);
        (void)fclose(file);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {.at = data, .left = size};
    struct bao_options options;
    uint8_t first = fuzz_byte(&input);
    const struct bao_program *program = program_of(first & 0x7fu);
    if (nowhere == NULL) {
        nowhere = fopen("/dev/null", "we");
        BAO_ASSERT(nowhere != NULL);
    }
    memset(values, 0, sizeof values);
    bao_options_init(&options, program, values);
    (void)read_words(&input, &options);
    if (program == &bao_worker_program) {
        struct bao_worker_settings *settings = (void *)values;
        bao_command_fini(&settings->command);
    }
    bao_options_fini(&options);
    memset(values, 0, sizeof values);
    bao_options_init(&options, program, values);
    read_environment(&input, &options);
    read_file(&input, &options);
    bao_options_fini(&options);
    if ((first & 0x80u) != 0) {
        bao_options_help(program, nowhere);
    }
    return 0;
}
