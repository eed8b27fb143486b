/*
 * options_completion.c - completion for bash, zsh and fish, from the tables.
 */
#include <string.h>

#include "common/options.h"

/* Writes "--name " for every option that the help shows. */
static void write_names(const struct bao_program *program, FILE *out)
{
    const struct bao_option *option = program->options;
    for (; option != NULL && option->name != NULL; option++) {
        if (option->help != NULL)
            (void)fprintf(out, "--%s ", option->name);
    }
    (void)fputs("--help --version", out);
}

/* "baozi queue create" as the words after the program: "queue create". */
static const char *verbs_of(const struct bao_program *command)
{
    const char *space = strchr(command->name, ' ');
    return space == NULL ? "" : space + 1;
}

/* The name as a shell function: letters, digits and underscores. */
static void function_name(const char *name, char *text, size_t bytes)
{
    size_t i = 0;
    for (; name[i] != '\0' && i + 1 < bytes; i++)
        text[i] = name[i] == '-' || name[i] == ' ' ? '_' : name[i];
    text[i] = '\0';
}

/* The first words of all commands, each once, then those behind "queue". */
static void write_verbs(const struct bao_program *const *commands,
                        size_t count,
                        const char *below,
                        FILE *out)
{
    size_t below_bytes = strlen(below);
    const char *last = "";
    size_t last_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *verb = verbs_of(commands[i]);
        if (strncmp(verb, below, below_bytes) != 0)
            continue;
        verb += below_bytes;
        size_t bytes = strcspn(verb, " ");
        if (bytes == last_bytes && strncmp(verb, last, bytes) == 0)
            continue;
        (void)fprintf(
            out, "%s%.*s", last_bytes > 0 ? " " : "", (int)bytes, verb);
        last = verb;
        last_bytes = bytes;
    }
}

/* The case branches that choose `words` by the verbs typed so far; the same
 * text serves bash and zsh. */
static void write_cases(const struct bao_program *program,
                        const struct bao_program *const *commands,
                        size_t count,
                        FILE *out)
{
    if (commands == NULL) {
        (void)fputs("    choices=\"", out);
        write_names(program, out);
        (void)fputs("\"\n", out);
        return;
    }
    (void)fputs("    case \"$verbs\" in\n    \"\") choices=\"", out);
    write_verbs(commands, count, "", out);
    (void)fputs("\" ;;\n", out);
    for (size_t i = 0; i < count; i++) {
        const char *verbs = verbs_of(commands[i]);
        if (strchr(verbs, ' ') == NULL)
            continue;
        char group[64];
        (void)snprintf(
            group, sizeof group, "%.*s ", (int)strcspn(verbs, " "), verbs);
        if (i > 0 &&
            strncmp(verbs_of(commands[i - 1]), group, strlen(group)) == 0)
            continue; /* the group was written with its first verb */
        (void)fprintf(
            out, "    \"%.*s\") choices=\"", (int)strlen(group) - 1, group);
        write_verbs(commands, count, group, out);
        (void)fputs("\" ;;\n", out);
    }
    for (size_t i = 0; i < count; i++) {
        const char *verbs = verbs_of(commands[i]);
        (void)fprintf(out, "    \"%s\"*) choices=\"", verbs);
        write_names(commands[i], out);
        (void)fputs("\" ;;\n", out);
    }
    (void)fputs("    esac\n", out);
}

static void write_bash(const struct bao_program *program,
                       const struct bao_program *const *commands,
                       size_t count,
                       FILE *out)
{
    char name[64];
    function_name(program->name, name, sizeof name);
    (void)fprintf(out,
                  "# bash completion of %s\n"
                  "_%s() {\n"
                  "    local choices=\"\" verbs=\"\" i\n"
                  "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                  "        case \"${COMP_WORDS[i]}\" in -*) ;;\n"
                  "        *) verbs=\"${verbs:+$verbs }${COMP_WORDS[i]}\" ;;\n"
                  "        esac\n"
                  "    done\n",
                  program->name,
                  name);
    write_cases(program, commands, count, out);
    (void)fprintf(out,
                  "    COMPREPLY=($(compgen -W \"$choices\" -- "
                  "\"${COMP_WORDS[COMP_CWORD]}\"))\n"
                  "}\n"
                  "complete -o default -F _%s %s\n",
                  name,
                  program->name);
}

static void write_zsh(const struct bao_program *program,
                      const struct bao_program *const *commands,
                      size_t count,
                      FILE *out)
{
    char name[64];
    function_name(program->name, name, sizeof name);
    (void)fprintf(out,
                  "#compdef %s\n"
                  "_%s() {\n"
                  "    local choices=\"\" verbs=\"\" word\n"
                  "    for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
                  "        [[ -z \"$word\" || \"$word\" == -* ]] || "
                  "verbs=\"${verbs:+$verbs }$word\"\n"
                  "    done\n",
                  program->name,
                  name);
    write_cases(program, commands, count, out);
    /* In a folder of fpath this text is the function itself. */
    (void)fprintf(out,
                  "    compadd -- ${=choices} || _files\n"
                  "}\n"
                  "if [[ \"$funcstack[1]\" == _%s ]]; then\n"
                  "    _%s\n"
                  "else\n"
                  "    compdef _%s %s\n"
                  "fi\n",
                  name,
                  name,
                  name,
                  program->name);
}

/* Writes `text` so that it may stand between single quotes. */
static void write_quoted(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'' || *text == '\\')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

/* The values of a choice as words; files are no answer then. */
static void write_fish_values(const struct bao_option *option, FILE *out)
{
    if (option->takes == BAO_TAKES_NOTHING)
        return;
    if (option->takes != BAO_TAKES_CHOICE) {
        (void)fputs(" -r", out);
        return;
    }
    (void)fputs(" -x -a '", out);
    for (const char *at = option->choices; *at != '\0'; at++)
        (void)fputc(*at == '|' ? ' ' : *at, out);
    (void)fputc('\'', out);
}

/* The condition that each of `verbs` was typed. */
static void write_fish_condition(const char *verbs, FILE *out)
{
    const char *lead = " -n '";
    while (*verbs != '\0') {
        size_t bytes = strcspn(verbs, " ");
        (void)fprintf(
            out, "%s__fish_seen_subcommand_from %.*s", lead, (int)bytes, verbs);
        lead = "; and ";
        verbs += bytes + (verbs[bytes] == ' ' ? 1 : 0);
    }
    if (lead[0] == ';')
        (void)fputc('\'', out);
}

static void write_fish_options(const char *name,
                               const struct bao_program *command,
                               FILE *out)
{
    const struct bao_option *option = command->options;
    for (; option != NULL && option->name != NULL; option++) {
        if (option->help == NULL)
            continue;
        (void)fprintf(out, "complete -c %s", name);
        write_fish_condition(verbs_of(command), out);
        if (option->letter != 0)
            (void)fprintf(out, " -s %c", option->letter);
        (void)fprintf(out, " -l %s", option->name);
        write_fish_values(option, out);
        (void)fputs(" -d '", out);
        write_quoted(option->help, out);
        (void)fputs("'\n", out);
    }
}

/* Command `i` as a word: the verb, or the second one behind its group, which
 * is a word of its own where it comes first. */
static void write_fish_verb(const char *name,
                            const struct bao_program *const *commands,
                            size_t count,
                            size_t i,
                            FILE *out)
{
    const char *verbs = verbs_of(commands[i]);
    const char *word = strchr(verbs, ' ');
    if (word == NULL) {
        (void)fprintf(out,
                      "complete -c %s -f -n __fish_use_subcommand -a %s",
                      name,
                      verbs);
    } else {
        char group[64];
        const int bytes = (int)(word - verbs);
        (void)snprintf(group, sizeof group, "%.*s", bytes + 1, verbs);
        if (i == 0 ||
            strncmp(verbs_of(commands[i - 1]), group, strlen(group)) != 0) {
            (void)fprintf(out,
                          "complete -c %s -f -n __fish_use_subcommand -a %.*s "
                          "-d 'more verbs'\n",
                          name,
                          bytes,
                          group);
        }
        (void)fprintf(out,
                      "complete -c %s -f -n '__fish_seen_subcommand_from %.*s; "
                      "and not __fish_seen_subcommand_from ",
                      name,
                      bytes,
                      group);
        write_verbs(commands, count, group, out);
        (void)fprintf(out, "' -a %s", word + 1);
    }
    (void)fputs(" -d '", out);
    write_quoted(commands[i]->purpose, out);
    (void)fputs("'\n", out);
}

static void write_fish(const struct bao_program *program,
                       const struct bao_program *const *commands,
                       size_t count,
                       FILE *out)
{
    (void)fprintf(out, "# fish completion of %s\n", program->name);
    write_fish_options(program->name, program, out);
    for (size_t i = 0; i < count; i++) {
        write_fish_verb(program->name, commands, count, i, out);
        write_fish_options(program->name, commands[i], out);
    }
}

bool bao_options_completion(const struct bao_program *program,
                            const struct bao_program *const *commands,
                            size_t command_count,
                            const char *shell,
                            FILE *out)
{
    if (strcmp(shell, "bash") == 0)
        write_bash(program, commands, command_count, out);
    else if (strcmp(shell, "zsh") == 0)
        write_zsh(program, commands, command_count, out);
    else if (strcmp(shell, "fish") == 0)
        write_fish(program, commands, command_count, out);
    else
        return false;
    return true;
}
