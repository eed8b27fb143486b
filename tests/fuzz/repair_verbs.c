/*
 * repair_verbs.c - see repair_verbs.h.
 */
#include "tests/fuzz/repair_verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "common/check.h"

extern const struct cli_command cli_log_verify;
extern const struct cli_command cli_log_repair;

/* --- what is printed --- */

static struct {
    FILE *out, *err;
    FILE *memory;
    char *text;
    size_t bytes;
} mute;

/* NOLINTBEGIN(readability-identifier-naming,bugprone-reserved-identifier) */
ssize_t __real_write(int file, const void *data, size_t bytes);
ssize_t __wrap_write(int file, const void *data, size_t bytes);

/* Complaints do not go through stderr's buffer (see wrap.mk). */
ssize_t __wrap_write(int file, const void *data, size_t bytes)
{
    if (file != STDERR_FILENO || mute.memory == NULL)
        return __real_write(file, data, bytes);
    return (ssize_t)fwrite(data, 1, bytes, mute.memory);
}
/* NOLINTEND(readability-identifier-naming,bugprone-reserved-identifier) */

void repair_mute(void)
{
    mute.out = stdout;
    mute.err = stderr;
    mute.memory = open_memstream(&mute.text, &mute.bytes);
    BAO_ASSERT(mute.memory != NULL);
    stdout = mute.memory;
    stderr = mute.memory;
}

bool repair_unmute(const char *word)
{
    stdout = mute.out;
    stderr = mute.err;
    (void)fclose(mute.memory);
    mute.memory = NULL;
    const bool found = word != NULL && strstr(mute.text, word) != NULL;
    free(mute.text);
    return found;
}

/* --- the verbs --- */

static int run_verb(const struct cli_command *command,
                    const char *folder,
                    const char *flag,
                    const char *word,
                    bool *said)
{
    char *words[] = {(char *)(uintptr_t)command->program->name,
                     (char *)(uintptr_t)folder,
                     (char *)(uintptr_t) "--format",
                     (char *)(uintptr_t) "json",
                     (char *)(uintptr_t)flag,
                     NULL};
    struct bao_options parsed;
    struct bao_problem problem;
    struct cli cli = {.name = command->program->name,
                      .common = command->values,
                      .parsed = &parsed};
    bao_options_init(&parsed, command->program, command->values);
    const bool good =
        bao_options_parse(&parsed, flag == NULL ? 4 : 5, words, &problem);
    BAO_ASSERT(good);
    repair_mute();
    const int exit_code = command->run(&cli);
    *said = repair_unmute(word);
    bao_options_fini(&parsed);
    return exit_code;
}

bool repair_verify(const char *folder)
{
    bool good = false;
    const int exit_code =
        run_verb(&cli_log_verify, folder, NULL, "\"good\": true", &good);
    BAO_ASSERT(exit_code == BAO_EXIT_OK || exit_code == BAO_EXIT_NEGATIVE);
    BAO_ASSERT(good || exit_code == BAO_EXIT_NEGATIVE);
    return good;
}

int repair_mend(const char *folder, bool *changed)
{
    bool nothing = false;
    const int exit_code = run_verb(&cli_log_repair,
                                   folder,
                                   "--quarantine",
                                   "nothing was changed",
                                   &nothing);
    *changed = !nothing;
    return exit_code;
}
