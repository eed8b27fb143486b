/*
 * options.c - reads flags, environment and settings of files into a
 * program's own struct, by its table.
 *
 * Everything goes through take(): one place reads a text as its type, checks
 * its bounds and decides by origin whether it counts.
 */
#include "common/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/options_value.h"

/* A text that we copied, a list that we made; freed by fini. */
struct copy {
    struct copy *next;
    max_align_t bytes[];
};

/* Every program has these beside its table. */
static const struct bao_option common_options[] = {
    {.name = "help", .letter = 'h', .help = "show this and end"},
    {.name = "version", .help = "show the version and end"},
    {.name = "completion",
     .takes = BAO_TAKES_CHOICE,
     .choices = "bash|zsh|fish"},
    {0},
};

void *bao_options_memory(struct bao_options *options, size_t bytes)
{
    struct copy *copy = malloc(sizeof *copy + bytes);
    if (copy == NULL)
        return NULL;
    copy->next = options->copies;
    options->copies = copy;
    return copy->bytes;
}

static const struct bao_option *
find_named(const struct bao_option *table, const char *name, size_t bytes)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (strlen(table->name) == bytes &&
            memcmp(table->name, name, bytes) == 0)
            return table;
    }
    return NULL;
}

static const struct bao_option *find_letter(const struct bao_option *table,
                                            char letter)
{
    for (; table != NULL && table->name != NULL; table++) {
        if (table->letter == letter)
            return table;
    }
    return NULL;
}

static bool
texts_add(struct bao_options *options, struct bao_texts *list, const char *text)
{
    /* Lists are short: growing by one copy each keeps this simple; the old
     * arrays go with fini. Powers of two keep it linear. */
    if ((list->count & (list->count + 1)) == 0) {
        size_t room = 2 * (list->count + 1);
        const char **grown =
            bao_options_memory(options, room * sizeof(const char *));
        if (grown == NULL)
            return false;
        if (list->count > 0)
            memcpy(grown, list->texts, list->count * sizeof(const char *));
        list->texts = grown;
    }
    list->texts[list->count++] = text;
    return true;
}

static bool store(struct bao_options *options,
                  const struct bao_option *option,
                  const union bao_value *value,
                  bool first)
{
    char *member = (char *)options->values + option->offset;
    switch (option->takes) {
    case BAO_TAKES_NOTHING:
        memcpy(member, &value->flag, sizeof value->flag);
        return true;
    case BAO_TAKES_NUMBER:
    case BAO_TAKES_SIZE:
    case BAO_TAKES_DURATION:
        memcpy(member, &value->number, sizeof value->number);
        return true;
    case BAO_TAKES_INTEGER:
    case BAO_TAKES_WAIT:
        memcpy(member, &value->integer, sizeof value->integer);
        return true;
    case BAO_TAKES_CHOICE:
        memcpy(member, &value->choice, sizeof value->choice);
        return true;
    case BAO_TAKES_TEXT:
        memcpy(member, &value->text, sizeof value->text);
        return true;
    case BAO_TAKES_TEXTS: {
        struct bao_texts *list = (struct bao_texts *)(void *)member;
        if (first)
            *list = (struct bao_texts){0};
        return texts_add(options, list, value->text);
    }
    }
    return false;
}

bool bao_options_no_memory(struct bao_problem *problem)
{
    problem->exit_code = BAO_EXIT_IO;
    bao_problem_what(problem, "the options could not be read");
    bao_problem_why(problem, "memory ran out");
    bao_problem_remedy(problem, "free memory, then repeat");
    return false;
}

/* Reads `text` for `option` and stores it unless a stronger origin did. */
static bool take(struct bao_options *options,
                 const struct bao_option *option,
                 const char *text,
                 enum bao_origin origin,
                 struct bao_problem *problem)
{
    union bao_value value;
    if (!bao_value_read(option, text, origin, &value, problem))
        return false;
    size_t row = (size_t)(option - options->program->options);
    BAO_ASSERT(row < BAO_OPTIONS_MAX);
    if (origin < options->origins[row])
        return true;
    bool first = origin > options->origins[row];
    if (!store(options, option, &value, first))
        return bao_options_no_memory(problem);
    options->origins[row] = (unsigned char)origin;
    return true;
}

/* --- the sources --- */

void bao_options_init(struct bao_options *options,
                      const struct bao_program *program,
                      void *values)
{
    struct bao_problem problem;
    *options = (struct bao_options){.program = program, .values = values};
    for (const struct bao_option *option = program->options;
         option != NULL && option->name != NULL;
         option++) {
        BAO_ASSERT(option - program->options < (long)BAO_OPTIONS_MAX);
        if (option->initial == NULL)
            continue;
        bool good = take(
            options, option, option->initial, BAO_ORIGIN_DEFAULT, &problem);
        BAO_ASSERT(good);
    }
}

void bao_options_fini(struct bao_options *options)
{
    struct copy *copy = options->copies;
    while (copy != NULL) {
        struct copy *next = copy->next;
        free(copy);
        copy = next;
    }
    options->copies = NULL;
}

bool bao_options_environment(struct bao_options *options,
                             struct bao_problem *problem)
{
    const struct bao_option *option = options->program->options;
    *problem = (struct bao_problem){0};
    for (; option != NULL && option->name != NULL; option++) {
        if (option->environment == NULL)
            continue;
        const char *text = getenv(option->environment);
        if (text == NULL || text[0] == '\0')
            continue;
        if (!take(options, option, text, BAO_ORIGIN_ENVIRONMENT, problem))
            return false;
    }
    return true;
}

/* "did you mean ...?" among the program's own names. */
static void refuse_unknown(const struct bao_options *options,
                           const char *name,
                           enum bao_origin origin,
                           struct bao_problem *problem)
{
    const char *names[BAO_OPTIONS_MAX + 4];
    size_t count = 0;
    const char *dashes = origin == BAO_ORIGIN_FLAG ? "--" : "";
    const struct bao_option *option = options->program->options;
    for (; option != NULL && option->name != NULL; option++)
        names[count++] = option->name;
    if (origin == BAO_ORIGIN_FLAG) {
        names[count++] = "help";
        names[count++] = "version";
    }
    problem->exit_code = bao_origin_exit_code(origin);
    bao_problem_what(problem, "unknown option %s%s", dashes, name);
    bao_problem_why(problem, "%s has no such option", options->program->name);
    const char *nearest = bao_nearest(name, names, count);
    if (nearest != NULL)
        bao_problem_remedy(problem, "did you mean %s%s?", dashes, nearest);
    else
        bao_problem_remedy(
            problem, "%s --help lists all options", options->program->name);
}

bool bao_options_set(struct bao_options *options,
                     const char *name,
                     const char *text,
                     enum bao_origin origin,
                     struct bao_problem *problem)
{
    *problem = (struct bao_problem){0};
    const struct bao_option *option =
        find_named(options->program->options, name, strlen(name));
    if (option == NULL) {
        refuse_unknown(options, name, origin, problem);
        return false;
    }
    size_t bytes = strlen(text) + 1;
    char *copy = bao_options_memory(options, bytes);
    if (copy == NULL)
        return bao_options_no_memory(problem);
    memcpy(copy, text, bytes);
    return take(options, option, copy, origin, problem);
}

enum bao_origin bao_options_origin(const struct bao_options *options,
                                   const char *name)
{
    const struct bao_option *table = options->program->options;
    const struct bao_option *option = find_named(table, name, strlen(name));
    BAO_ASSERT(option != NULL);
    return (enum bao_origin)options->origins[option - table];
}

bool bao_options_given(const struct bao_options *options, const char *name)
{
    return bao_options_origin(options, name) > BAO_ORIGIN_DEFAULT;
}

bool bao_options_run(struct bao_options *options,
                     int argc,
                     char *const *argv,
                     int *exit_code)
{
    struct bao_problem problem = {0};
    const struct bao_program *program = options->program;
    /* Flags first: --help must help even when the environment is wrong. */
    bool good = bao_options_parse(options, argc, argv, &problem);
    if (good && options->wants == BAO_WANTS_RUN)
        good = bao_options_environment(options, &problem) &&
               (program->check == NULL ||
                program->check(options->values, options, &problem));
    if (!good) {
        *exit_code = bao_problem_print(&problem, program->name);
        return false;
    }
    *exit_code = BAO_EXIT_OK;
    switch (options->wants) {
    case BAO_WANTS_RUN: return true;
    case BAO_WANTS_HELP: bao_options_help(program, stdout); break;
    case BAO_WANTS_VERSION:
        (void)printf("%s %s\n", program->name, BAOZI_VERSION);
        break;
    case BAO_WANTS_COMPLETION:
        (void)bao_options_completion(program, NULL, 0, options->shell, stdout);
        break;
    }
    if (fflush(stdout) != 0 || ferror(stdout))
        *exit_code = BAO_EXIT_IO;
    return false;
}

bool bao_options_read(struct bao_options *options,
                      const struct bao_program *program,
                      void *values,
                      int argc,
                      char *const *argv,
                      int *exit_code)
{
    bao_options_init(options, program, values);
    if (bao_options_run(options, argc, argv, exit_code))
        return true;
    bao_options_fini(options);
    return false;
}

/* --- the command line --- */

struct reader {
    struct bao_options *options;
    int argc;
    char *const *argv;
    int next;                          /* the word to read */
    const struct bao_operand *operand; /* the row that the next one fills */
    size_t operand_count;              /* words it has got */
    struct bao_problem *problem;
};

/* One of the options that every program has. */
static bool take_common(struct reader *reader,
                        const struct bao_option *option,
                        const char *text)
{
    struct bao_options *options = reader->options;
    if (option->takes == BAO_TAKES_CHOICE) {
        if (bao_choice_find(option->choices, text) < 0)
            return bao_value_refuse(
                option, text, BAO_ORIGIN_FLAG, reader->problem);
        options->wants = BAO_WANTS_COMPLETION;
        options->shell = text;
    } else if (options->wants == BAO_WANTS_RUN) {
        options->wants = strcmp(option->name, "help") == 0 ? BAO_WANTS_HELP
                                                           : BAO_WANTS_VERSION;
    }
    return true;
}

/* Stores `option`; `inline_value` is what stood behind "=" or the letter,
 * NULL if nothing did. */
static bool take_flag(struct reader *reader,
                      const struct bao_option *option,
                      bool common,
                      const char *inline_value)
{
    struct bao_problem *problem = reader->problem;
    const char *text = inline_value;
    if (option->takes == BAO_TAKES_NOTHING) {
        if (text != NULL) {
            problem->exit_code = BAO_EXIT_USAGE;
            bao_problem_what(problem, "--%s takes no value", option->name);
            bao_problem_why(problem, "'%s' was given to it", text);
            bao_problem_remedy(problem, "write --%s alone", option->name);
            return false;
        }
        text = "yes";
    } else if (text == NULL) {
        if (reader->next >= reader->argc) {
            problem->exit_code = BAO_EXIT_USAGE;
            bao_problem_what(problem, "--%s needs a value", option->name);
            bao_problem_why(problem,
                            "nothing follows it; its value is %s",
                            bao_takes_words(option->takes));
            bao_problem_remedy(
                problem, "see %s --help", reader->options->program->name);
            return false;
        }
        text = reader->argv[reader->next++];
    }
    if (common)
        return take_common(reader, option, text);
    return take(reader->options, option, text, BAO_ORIGIN_FLAG, problem);
}

/* "--name", "--name=value" */
static bool take_long(struct reader *reader, const char *word)
{
    const char *name = word + 2;
    size_t bytes = strcspn(name, "=");
    const char *text = name[bytes] == '=' ? name + bytes + 1 : NULL;
    const struct bao_option *table = reader->options->program->options;
    const struct bao_option *option = find_named(table, name, bytes);
    if (option != NULL)
        return take_flag(reader, option, false, text);
    option = find_named(common_options, name, bytes);
    if (option != NULL)
        return take_flag(reader, option, true, text);
    char unknown[128];
    (void)snprintf(unknown, sizeof unknown, "%.*s", (int)bytes, name);
    refuse_unknown(reader->options, unknown, BAO_ORIGIN_FLAG, reader->problem);
    return false;
}

/* "-c 4", "-c4", "-qv" */
static bool take_letters(struct reader *reader, const char *word)
{
    const struct bao_program *program = reader->options->program;
    for (const char *at = word + 1; *at != '\0'; at++) {
        bool common = false;
        const struct bao_option *option = find_letter(program->options, *at);
        if (option == NULL) {
            option = find_letter(common_options, *at);
            common = true;
        }
        if (option == NULL) {
            reader->problem->exit_code = BAO_EXIT_USAGE;
            bao_problem_what(reader->problem, "unknown option -%c", *at);
            bao_problem_why(
                reader->problem, "%s has no such option", program->name);
            bao_problem_remedy(reader->problem,
                               "%s --help lists all options; words that "
                               "begin with - go behind --",
                               program->name);
            return false;
        }
        bool rest = option->takes != BAO_TAKES_NOTHING && at[1] != '\0';
        if (!take_flag(reader, option, common, rest ? at + 1 : NULL))
            return false;
        if (rest)
            return true;
    }
    return true;
}

static bool take_operand(struct reader *reader, const char *word)
{
    struct bao_options *options = reader->options;
    const struct bao_operand *row = reader->operand;
    if (row == NULL || row->name == NULL) {
        reader->problem->exit_code = BAO_EXIT_USAGE;
        bao_problem_what(reader->problem, "unexpected word '%s'", word);
        bao_problem_why(
            reader->problem, "%s takes no more words", options->program->name);
        bao_problem_remedy(
            reader->problem, "see %s --help", options->program->name);
        return false;
    }
    char *member = (char *)options->values + row->offset;
    reader->operand_count++;
    if (row->repeated) {
        struct bao_texts *list = (struct bao_texts *)(void *)member;
        return texts_add(options, list, word) ||
               bao_options_no_memory(reader->problem);
    }
    memcpy(member, &word, sizeof word);
    reader->operand++;
    reader->operand_count = 0;
    return true;
}

static bool operands_complete(struct reader *reader)
{
    const struct bao_operand *row = reader->operand;
    if (row == NULL || row->name == NULL || row->optional ||
        reader->operand_count > 0 || reader->options->wants != BAO_WANTS_RUN)
        return true;
    const char *name = reader->options->program->name;
    reader->problem->exit_code = BAO_EXIT_USAGE;
    bao_problem_what(reader->problem, "%s is missing", row->name);
    bao_problem_why(reader->problem, "%s needs it", name);
    bao_problem_remedy(reader->problem, "see %s --help", name);
    return false;
}

bool bao_options_parse(struct bao_options *options,
                       int argc,
                       char *const *argv,
                       struct bao_problem *problem)
{
    struct reader reader = {.options = options,
                            .argc = argc,
                            .argv = argv,
                            .next = 1,
                            .operand = options->program->operands,
                            .problem = problem};
    bool words_only = false;
    *problem = (struct bao_problem){0};
    while (reader.next < argc) {
        const char *word = argv[reader.next++];
        bool good = true;
        if (words_only || word[0] != '-' || word[1] == '\0')
            good = take_operand(&reader, word);
        else if (word[1] != '-')
            good = take_letters(&reader, word);
        else if (word[2] == '\0')
            words_only = true;
        else
            good = take_long(&reader, word);
        if (!good)
            return false;
        if (options->wants != BAO_WANTS_RUN)
            return true;
    }
    return operands_complete(&reader);
}
