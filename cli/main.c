/*
 * main.c - the program `baozi`: a table of subcommands.
 *
 * The verb is one word, or two ("queue create"); --url and --format may also
 * stand before it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define COMMANDS(X)   \
    X(put)            \
    X(get)            \
    X(join)           \
    X(peek)           \
    X(browse)         \
    X(queue_ls)       \
    X(queue_show)     \
    X(queue_create)   \
    X(queue_set)      \
    X(queue_pause)    \
    X(queue_resume)   \
    X(queue_purge)    \
    X(queue_shutdown) \
    X(queue_reopen)   \
    X(queue_rm)       \
    X(redrive)        \
    X(cancel)         \
    X(wait)           \
    X(stats)          \
    X(workers)        \
    X(health)         \
    X(backup)         \
    X(bench)          \
    X(log_verify)     \
    X(log_stat)       \
    X(log_dump)       \
    X(log_repair)     \
    X(demo)           \
    X(completion)     \
    X(version)        \
    X(help)

#define X(name) extern const struct cli_command cli_##name;
COMMANDS(X)
#undef X

const struct cli_command *const cli_commands[] = {
#define X(name) &cli_##name,
    COMMANDS(X)
#undef X
};
const size_t cli_command_count = sizeof cli_commands / sizeof cli_commands[0];

/* Options that may stand before the verb. */
static const char *const early_options[] = {"--url", "--format"};

static const struct bao_option no_options[] = {{0}};
static const struct bao_program baozi = {
    .name = "baozi",
    .purpose = "look at and operate a baozi broker",
    .options = no_options,
};

static const char *verbs_of(const struct cli_command *command)
{
    return command->program->name + sizeof "baozi";
}

/* --- help of the whole, version, completion --- */

static void print_help(FILE *out)
{
    (void)fprintf(out,
                  "%s - %s\n\nUsage: baozi VERB [OPTION]... [WORD]...\n\n"
                  "Verbs:\n",
                  baozi.name,
                  baozi.purpose);
    for (size_t i = 0; i < cli_command_count; i++) {
        if (!cli_commands[i]->hidden)
            (void)fprintf(out,
                          "  %-16s %s\n",
                          verbs_of(cli_commands[i]),
                          cli_commands[i]->program->purpose);
    }
    (void)fputs(
        "\nbaozi VERB --help tells all about one of them.\n"
        "\nEvery verb takes:\n"
        "  --url URL         the broker: ipc://PATH or tcp://HOST:PORT\n"
        "                    [$BAOZI_URL] (default: the local one)\n"
        "  --format FORMAT   text or json [$BAOZI_FORMAT]\n"
        "\nExamples:\n"
        "  baozi demo                       the bun kitchen, in a minute\n"
        "  baozi queue create jobs --maxsize 1000\n"
        "  baozi put jobs 'hello'           one item; prints its id\n"
        "  baozi get jobs                   takes it, prints it, settles it\n"
        "  baozi queue ls                   what is where\n"
        "\nExit codes:\n"
        "  0 done; 1 a negative answer (empty, timed out, dead items);\n"
        "  64 usage, 65 bad payload, 69 broker unreachable, 74 I/O, "
        "75 try again,\n"
        "  76 protocol version, 77 denied, 78 configuration, "
        "128+N signal N\n",
        out);
}

/* --- finding the verb --- */

/* How many of the words are the command's verbs; 0: they are not. */
static size_t verb_words(const struct cli_command *command,
                         const char *const *words,
                         size_t count)
{
    const char *verbs = verbs_of(command);
    size_t matched = 0;
    while (*verbs != '\0') {
        size_t bytes = strcspn(verbs, " ");
        if (matched == count || strlen(words[matched]) != bytes ||
            memcmp(words[matched], verbs, bytes) != 0)
            return 0;
        matched++;
        verbs += bytes + (verbs[bytes] == ' ' ? 1 : 0);
    }
    return matched;
}

/* True if `word` begins commands of two words, such as "queue". */
static bool is_group(const char *word)
{
    size_t bytes = strlen(word);
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *verbs = verbs_of(cli_commands[i]);
        if (bytes > 0 && strncmp(verbs, word, bytes) == 0 &&
            verbs[bytes] == ' ')
            return true;
    }
    return false;
}

/* Help of a group: `baozi queue --help`. */
static void print_group(const char *group)
{
    size_t bytes = strlen(group);
    (void)printf("Usage: baozi %s VERB [OPTION]... [WORD]...\n\nVerbs:\n",
                 group);
    for (size_t i = 0; i < cli_command_count; i++) {
        const char *verbs = verbs_of(cli_commands[i]);
        if (strncmp(verbs, group, bytes) == 0 && verbs[bytes] == ' ')
            (void)printf(
                "  %-16s %s\n", verbs, cli_commands[i]->program->purpose);
    }
    (void)printf("\nbaozi %s VERB --help tells all about one of them.\n",
                 group);
}

static int refuse_verb(const char *const *words, size_t count)
{
    const char *known[64];
    size_t known_count = 0;
    char what[256];
    char remedy[256];
    bool group = is_group(words[0]);
    for (size_t i = 0; i < cli_command_count && known_count < 64; i++) {
        if (!cli_commands[i]->hidden)
            known[known_count++] = verbs_of(cli_commands[i]);
    }
    if (group && (count < 2 || words[1][0] == '-')) {
        (void)snprintf(
            what, sizeof what, "baozi %s needs a second word", words[0]);
        (void)snprintf(
            remedy, sizeof remedy, "baozi %s --help lists them", words[0]);
        return bao_complain(
            "baozi", BAO_EXIT_USAGE, "the verb is not complete", what, remedy);
    }
    char verb[128];
    (void)snprintf(verb,
                   sizeof verb,
                   "%s%s%s",
                   words[0],
                   group ? " " : "",
                   group ? words[1] : "");
    const char *nearest = bao_nearest(verb, known, known_count);
    (void)snprintf(what, sizeof what, "unknown verb '%s'", verb);
    if (nearest == NULL)
        (void)snprintf(remedy, sizeof remedy, "baozi --help lists all verbs");
    else
        (void)snprintf(remedy, sizeof remedy, "did you mean %s?", nearest);
    return bao_complain(
        "baozi", BAO_EXIT_USAGE, what, "baozi has no such verb", remedy);
}

/* Runs a command with words[0 .. count) behind its verbs. */
static int run(const struct cli_command *command,
               const char *path,
               size_t count,
               char **words)
{
    struct bao_options parsed;
    struct cli cli = {.parsed = &parsed,
                      .name = command->program->name,
                      .common = command->values,
                      .path = path};
    int exit_code = 0;
    bao_options_init(&parsed, command->program, command->values);
    if (bao_options_run(&parsed, (int)count, words, &exit_code)) {
        exit_code = command->run(&cli);
        (void)baozi_close(cli.client);
        exit_code = exit_code == BAO_EXIT_OK ? cli_end(&cli, 0) : exit_code;
    }
    bao_options_fini(&parsed);
    return exit_code;
}

/* Moves options before the verb behind everything: in words[1 .. count). */
static void move_early_options(char **words, size_t count)
{
    for (size_t moves = 0; moves < count; moves++) {
        size_t taken = 0;
        for (size_t i = 0; i < 2 && count > 1; i++) {
            const char *name = early_options[i];
            size_t bytes = strlen(name);
            if (strcmp(words[1], name) == 0 && count > 2)
                taken = 2;
            else if (strncmp(words[1], name, bytes) == 0 &&
                     words[1][bytes] == '=')
                taken = 1;
        }
        if (taken == 0)
            return;
        char *kept[2] = {words[1], words[2]};
        memmove(
            words + 1, words + 1 + taken, (count - 1 - taken) * sizeof *words);
        memcpy(words + count - taken, kept, taken * sizeof *words);
    }
}

static int run_words(size_t count, char **words)
{
    move_early_options(words, count);
    if (count > 1 && words[1][0] != '-') {
        const char *const *verbs_at = (const char *const *)(words + 1);
        for (size_t i = 0; i < cli_command_count; i++) {
            size_t verbs = verb_words(cli_commands[i], verbs_at, count - 1);
            if (verbs > 0)
                return run(
                    cli_commands[i], words[0], count - verbs, words + verbs);
        }
        if (count > 2 && is_group(words[1]) &&
            (strcmp(words[2], "--help") == 0 || strcmp(words[2], "-h") == 0)) {
            print_group(words[1]);
            return BAO_EXIT_OK;
        }
        return refuse_verb(verbs_at, count - 1);
    }
    struct bao_options parsed;
    struct bao_problem problem;
    int exit_code = BAO_EXIT_USAGE;
    bao_options_init(&parsed, &baozi, NULL);
    if (!bao_options_parse(&parsed, (int)count, words, &problem)) {
        exit_code = bao_problem_print(&problem, "baozi");
    } else if (parsed.wants == BAO_WANTS_RUN) {
        exit_code = bao_complain("baozi",
                                 BAO_EXIT_USAGE,
                                 "nothing to do",
                                 "no verb was given",
                                 "baozi --help lists all verbs");
    } else if (parsed.wants == BAO_WANTS_HELP) {
        print_help(stdout);
        exit_code = BAO_EXIT_OK;
    } else {
        char verb[16];
        char shell[8];
        (void)snprintf(verb,
                       sizeof verb,
                       "%s",
                       parsed.wants == BAO_WANTS_VERSION ? "version"
                                                         : "completion");
        (void)snprintf(shell,
                       sizeof shell,
                       "%s",
                       parsed.shell != NULL ? parsed.shell : "");
        char *again[3] = {words[0], verb, shell};
        exit_code = run_words(parsed.shell != NULL ? 3 : 2, again);
    }
    bao_options_fini(&parsed);
    return exit_code;
}

int main(int argc, char **argv)
{
    return argc < 1 ? BAO_EXIT_USAGE : run_words((size_t)argc, argv);
}

/* --- help, version, completion as verbs --- */

static struct about {
    struct cli_common common;
    struct bao_texts verbs;
    const char *shell;
} about;

static const struct bao_option about_options[] = {
    CLI_COMMON_OPTIONS(struct about),
    {0},
};

static int run_version(struct cli *cli)
{
    if (cli_json(cli))
        return cli_print_json(
            cli, json_pack("{s:s}", "version", BAOZI_VERSION), false);
    (void)printf("baozi %s\n", BAOZI_VERSION);
    return BAO_EXIT_OK;
}

static const struct bao_program version_program = {
    .name = "baozi version",
    .purpose = "show the version",
    .options = about_options,
    .examples = "  baozi version\n",
};
const struct cli_command cli_version = {.program = &version_program,
                                        .values = &about,
                                        .run = run_version};

static int run_help(struct cli *cli)
{
    const char *const *words = about.verbs.texts;
    size_t count = about.verbs.count;
    (void)cli;
    if (count == 0) {
        print_help(stdout);
        return BAO_EXIT_OK;
    }
    for (size_t i = 0; i < cli_command_count; i++) {
        if (verb_words(cli_commands[i], words, count) == count) {
            bao_options_help(cli_commands[i]->program, stdout);
            return BAO_EXIT_OK;
        }
    }
    if (count == 1 && is_group(words[0])) {
        print_group(words[0]);
        return BAO_EXIT_OK;
    }
    return refuse_verb(words, count);
}

static const struct bao_operand help_operands[] = {
    {.name = "VERB",
     .offset = offsetof(struct about, verbs),
     .optional = true,
     .repeated = true},
    {0},
};
static const struct bao_program help_program = {
    .name = "baozi help",
    .purpose = "tell about a verb",
    .options = about_options,
    .operands = help_operands,
    .examples = "  baozi help put\n  baozi help queue create\n",
};
const struct cli_command cli_help = {.program = &help_program,
                                     .values = &about,
                                     .run = run_help};

static int run_completion(struct cli *cli)
{
    const struct bao_program *shown[64];
    size_t count = 0;
    for (size_t i = 0; i < cli_command_count && count < 64; i++) {
        if (!cli_commands[i]->hidden)
            shown[count++] = cli_commands[i]->program;
    }
    if (bao_options_completion(&baozi, shown, count, about.shell, stdout))
        return BAO_EXIT_OK;
    return cli_usage(cli,
                     "no such shell",
                     "completion is there for bash, zsh and fish",
                     "name one of these");
}

static const struct bao_operand completion_operands[] = {
    {.name = "SHELL",
     .offset = offsetof(struct about, shell),
     .help = "bash, zsh or fish"},
    {0},
};
static const struct bao_program completion_program = {
    .name = "baozi completion",
    .purpose = "print completion for a shell",
    .options = about_options,
    .operands = completion_operands,
    .examples = "  source <(baozi completion bash)\n"
                "  source <(baozi-worker --completion bash)\n",
    .notes = "The other programs print theirs with --completion SHELL.\n",
};
const struct cli_command cli_completion = {.program = &completion_program,
                                           .values = &about,
                                           .run = run_completion};
