/*
 * config_file.c - reads the configuration file with inih.
 *
 * inih tells no line numbers and takes a long line for two; so we hand it the
 * lines ourselves, count them, and refuse what it would misread.
 */
#include "broker/config_file.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

struct reading {
    struct bao_options *options;
    FILE *file;
    const char *path;
    struct bao_problem *problem;
    unsigned line; /* the one that is read */
    bool refused;
};

/* Tells where it is; the first complaint counts. */
static void place(struct reading *reading)
{
    char what[sizeof reading->problem->what];
    memcpy(what, reading->problem->what, sizeof what);
    bao_problem_what(
        reading->problem, "%s:%u: %s", reading->path, reading->line, what);
    reading->refused = true;
}

static void refuse(struct reading *reading,
                   const char *what,
                   const char *why,
                   const char *remedy)
{
    if (reading->refused)
        return;
    reading->problem->exit_code = BAO_EXIT_CONFIGURATION;
    bao_problem_what(reading->problem, "%s", what);
    bao_problem_why(reading->problem, "%s", why);
    bao_problem_remedy(reading->problem, "%s", remedy);
    place(reading);
}

static void
refuse_file(struct bao_problem *problem, const char *path, int error)
{
    *problem = (struct bao_problem){.exit_code = BAO_EXIT_CONFIGURATION};
    bao_problem_what(problem, "cannot read the configuration %s", path);
    bao_problem_why(problem, "%s", strerror(error));
    bao_problem_remedy(problem, "mend that, then try again");
}

/* As fgets; NULL at the end, and where a line cannot be read as one. */
static char *next_line(char *text, int bytes, void *stream)
{
    struct reading *reading = stream;
    int used = 0;
    int c;
    if (reading->refused)
        return NULL;
    reading->line++;
    while ((c = getc_unlocked(reading->file)) != EOF) {
        if (c == '\0') {
            refuse(reading,
                   "a NUL in the line",
                   "a configuration is text",
                   "mend the line, or name another file");
            return NULL;
        }
        if (used + 1 == bytes) {
            char why[64];
            (void)snprintf(
                why, sizeof why, "a line has at most %d bytes", bytes - 2);
            refuse(reading,
                   "the line is too long",
                   why,
                   "shorten the value, or give it as a flag");
            return NULL;
        }
        text[used++] = (char)c;
        if (c == '\n')
            break;
    }
    text[used] = '\0';
    return used > 0 ? text : NULL;
}

/* inih calls this for each line that it can read; 0 = it is wrong. */
static int
take_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    if (reading->refused)
        return 0;
    if (section[0] != '\0') {
        refuse(reading,
               "it is in a section",
               "the configuration has no sections",
               "leave out the lines in [brackets]");
    } else if (strcmp(name, "config") == 0) {
        refuse(reading,
               "config in a configuration file",
               "a file names no other file",
               "put everything into one");
    } else if (!bao_options_set(reading->options,
                                name,
                                value,
                                BAO_ORIGIN_FILE,
                                reading->problem)) {
        place(reading);
    }
    return reading->refused ? 0 : 1;
}

bool bao_config_stream_read(struct bao_options *options,
                            FILE *file,
                            const char *path,
                            struct bao_problem *problem)
{
    struct reading reading = {
        .options = options, .file = file, .path = path, .problem = problem};
    *problem = (struct bao_problem){0};
    int wrong = ini_parse_stream(next_line, &reading, take_line, &reading);
    /* inih goes on behind a bad line: the first complaint is told. */
    if (wrong > 0 && (!reading.refused || (unsigned)wrong < reading.line)) {
        reading.refused = false;
        reading.line = (unsigned)wrong;
        refuse(&reading,
               "it is no `name = value`",
               "each line has a name, an equals sign and a value",
               "mend the line");
    }
    if (!reading.refused && (ferror(file) || wrong < 0)) {
        refuse_file(problem, path, ferror(file) ? errno : ENOMEM);
        return false;
    }
    return !reading.refused;
}

bool bao_config_file_read(struct bao_options *options,
                          const char *path,
                          struct bao_problem *problem)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        refuse_file(problem, path, errno);
        return false;
    }
    bool good = bao_config_stream_read(options, file, path, problem);
    (void)fclose(file);
    return good;
}
