/*
 * command.c - from the text of --exec to the words of a job. Pure.
 */
#include "worker/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/text.h"

/* A splitter at work: words are written one after another into `bytes`. */
struct splitter {
    const char *at;
    char *out;
    char quote; /* 0, ' or " */
    bool in_word;
};

static bool refuse(struct bao_problem *problem, const char *what)
{
    problem->exit_code = BAO_EXIT_USAGE;
    bao_problem_what(problem, "--exec: %s", what);
    bao_problem_why(problem,
                    "the command is split into words like a shell does it, "
                    "but no shell runs it");
    bao_problem_remedy(problem,
                       "put quotes around it, or use --shell to run "
                       "the text with sh -c");
    return false;
}

static bool refuse_character(struct bao_problem *problem, char character)
{
    char what[64];
    (void)snprintf(what, sizeof what, "%c has no meaning here", character);
    return refuse(problem, what);
}

/* Takes one character of the text. False: *problem says why. */
static bool split_step(struct splitter *splitter, struct bao_problem *problem)
{
    char now = *splitter->at++;
    bool blank = now == ' ' || now == '\t' || now == '\n';
    if (splitter->quote == 0 && blank) {
        if (splitter->in_word)
            *splitter->out++ = '\0';
        splitter->in_word = false;
        return true;
    }
    splitter->in_word = true;
    if (now == splitter->quote) {
        splitter->quote = 0;
        return true;
    }
    if (splitter->quote == '\'') {
        *splitter->out++ = now;
        return true;
    }
    if (splitter->quote == 0 && (now == '\'' || now == '"')) {
        splitter->quote = now;
        return true;
    }
    if (now == '$' || now == '`' ||
        (splitter->quote == 0 && strchr("|&;<>()", now) != NULL))
        return refuse_character(problem, now);
    if (now == '\\') {
        char next = *splitter->at;
        if (next == '\0')
            return refuse(problem, "a backslash ends the text");
        bool plain = splitter->quote == '"' && strchr("\\\"$`", next) == NULL;
        if (!plain)
            now = *splitter->at++;
    }
    *splitter->out++ = now;
    return true;
}

/* Makes the word list over `bytes`, which holds `count` texts. */
static bool words_of(struct bao_command *command, char *bytes, size_t count)
{
    command->words = calloc(count + 2, sizeof *command->words);
    if (command->words == NULL)
        return false;
    command->words[count + 1] = bytes; /* behind the end, to free it */
    for (size_t i = 0; i < count; i++) {
        command->words[i] = bytes;
        command->takes_payload |= strstr(bytes, "{}") != NULL;
        bytes += strlen(bytes) + 1;
    }
    command->count = count;
    return true;
}

bool bao_command_split(struct bao_command *command,
                       const char *text,
                       struct bao_problem *problem)
{
    *command = (struct bao_command){0};
    char *bytes = calloc(strlen(text) + 2, 1);
    struct splitter splitter = {.at = text, .out = bytes};
    size_t count = 0;
    bool good = bytes != NULL;
    while (good && *splitter.at != '\0') {
        bool was_in_word = splitter.in_word;
        good = split_step(&splitter, problem);
        count += !was_in_word && splitter.in_word;
    }
    if (bytes == NULL)
        (void)refuse(problem, "memory ran out");
    else if (good && splitter.quote != 0)
        good = refuse(problem,
                      splitter.quote == '"' ? "a \" is never closed"
                                            : "a ' is never closed");
    else if (good && count == 0)
        good = refuse(problem, "there is no command in it");
    else if (good)
        good = words_of(command, bytes, count);
    if (!good)
        free(bytes);
    return good;
}

bool bao_command_shell(struct bao_command *command,
                       const char *text,
                       struct bao_problem *problem)
{
    *command = (struct bao_command){0};
    if (strstr(text, "{}") != NULL) {
        problem->exit_code = BAO_EXIT_USAGE;
        bao_problem_what(problem, "--shell: {} has no place in the command");
        bao_problem_why(problem,
                        "the payload would become part of the shell's "
                        "program, and anybody who may put could run it");
        bao_problem_remedy(problem, "write \"$1\" where the payload stands");
        return false;
    }
    static const char front[] = "/bin/sh\0-c\0";
    size_t length = strlen(text);
    char *bytes = calloc(sizeof front + length + sizeof "sh" + sizeof "{}", 1);
    bool parameter = strstr(text, "$1") != NULL ||
                     strstr(text, "${1") != NULL ||
                     strstr(text, "$@") != NULL || strstr(text, "$*") != NULL;
    if (bytes != NULL) {
        char *at = bytes + sizeof front - 1;
        memcpy(bytes, front, sizeof front - 1);
        memcpy(at, text, length);
        memcpy(at + length + 1, "sh", 2);
        memcpy(at + length + 4, "{}", 2);
    }
    if (bytes == NULL || !words_of(command, bytes, parameter ? 5 : 4)) {
        free(bytes);
        return refuse(problem, "memory ran out");
    }
    return true;
}

void bao_command_fini(struct bao_command *command)
{
    if (command->words != NULL)
        free(command->words[command->count + 1]);
    free(command->words);
    *command = (struct bao_command){0};
}

static size_t count_places(const char *word)
{
    size_t places = 0;
    while ((word = strstr(word, "{}")) != NULL) {
        places++;
        word += 2;
    }
    return places;
}

/* Writes `word` with the payload in each place; returns behind its NUL. */
static char *
fill_word(char *out, const char *word, const void *payload, size_t bytes)
{
    const char *place;
    while ((place = strstr(word, "{}")) != NULL) {
        memcpy(out, word, (size_t)(place - word));
        out += place - word;
        if (bytes > 0)
            memcpy(out, payload, bytes);
        out += bytes;
        word = place + 2;
    }
    size_t rest = strlen(word) + 1;
    memcpy(out, word, rest);
    return out + rest;
}

/* Bytes of all words together with the payload; 0: too long (see `error`). */
static size_t filled_bytes(const struct bao_command *command,
                           size_t bytes,
                           char *error,
                           size_t error_bytes)
{
    size_t whole = 0;
    for (size_t i = 0; i < command->count; i++) {
        size_t places = count_places(command->words[i]);
        size_t fixed = strlen(command->words[i]) - 2 * places + 1;
        if (places > 0 && (bytes > BAO_ARGUMENT_BYTES_MAX ||
                           fixed + places * bytes > BAO_ARGUMENT_BYTES_MAX)) {
            (void)snprintf(
                error,
                error_bytes,
                "the payload cannot be an argument: its %zu bytes make one "
                "longer than the 128 KiB the system allows; run the worker "
                "without {} to give it on standard input",
                bytes);
            return 0;
        }
        whole += fixed + places * bytes;
    }
    return whole;
}

char **bao_command_fill(const struct bao_command *command,
                        const void *payload,
                        size_t bytes,
                        char *error,
                        size_t error_bytes)
{
    error[0] = '\0';
    if (command->takes_payload && bytes > 0 &&
        memchr(payload, '\0', bytes) != NULL) {
        (void)snprintf(error,
                       error_bytes,
                       "the payload cannot be an argument: it has a NUL "
                       "byte, which ends arguments; run the worker without "
                       "{} to give it on standard input");
        return NULL;
    }
    size_t whole = filled_bytes(command, bytes, error, error_bytes);
    if (whole == 0)
        return NULL;
    size_t table = (command->count + 1) * sizeof(char *);
    char **words = malloc(table + whole);
    if (words == NULL) {
        (void)snprintf(error,
                       error_bytes,
                       "the command was not run: memory ran out; free "
                       "memory, then redrive the item");
        return NULL;
    }
    char *out = (char *)words + table;
    for (size_t i = 0; i < command->count; i++) {
        words[i] = out;
        out = fill_word(out, command->words[i], payload, bytes);
    }
    words[command->count] = NULL;
    BAO_ASSERT(out == (char *)words + table + whole);
    return words;
}

bool bao_header_variable(char *text, size_t bytes, const char *key)
{
    static const char prefix[] = "BAOZI_HEADER_";
    size_t length = strlen(key);
    if (length == 0 || sizeof prefix + length > bytes)
        return false;
    memcpy(text, prefix, sizeof prefix - 1);
    char *out = text + sizeof prefix - 1;
    for (size_t i = 0; i <= length; i++) {
        char letter = key[i];
        if (letter >= 'a' && letter <= 'z')
            letter = (char)(letter - 'a' + 'A');
        else if (!(letter >= 'A' && letter <= 'Z') &&
                 !(letter >= '0' && letter <= '9') && letter != '\0')
            letter = '_';
        out[i] = letter;
    }
    return true;
}

void bao_tail_add(struct bao_tail *tail, const void *data, size_t bytes)
{
    const char *from = data;
    if (bytes >= sizeof tail->bytes) {
        from += bytes - sizeof tail->bytes;
        bytes = sizeof tail->bytes;
        tail->count = 0;
    }
    if (tail->count + bytes > sizeof tail->bytes) {
        size_t gone = tail->count + bytes - sizeof tail->bytes;
        memmove(tail->bytes, tail->bytes + gone, tail->count - gone);
        tail->count -= gone;
    }
    memcpy(tail->bytes + tail->count, from, bytes);
    tail->count += bytes;
}

/* Several lines become one with " / " between them, and printable. */
static char *
write_line(char *text, size_t bytes, const char *data, size_t length)
{
    char joined[3 * BAO_TAIL_BYTES];
    size_t used = 0;
    BAO_ASSERT(length <= BAO_TAIL_BYTES);
    for (size_t i = 0; i < length; i++) {
        bool blank = data[i] == '\r' || data[i] == '\t';
        if (data[i] == '\n') {
            memcpy(joined + used, " / ", 3);
            used += 3;
        } else {
            joined[used++] = blank ? ' ' : data[i];
        }
    }
    return bao_write_escaped(text, bytes, joined, used);
}

char *bao_tail_line(const struct bao_tail *tail, char *text, size_t bytes)
{
    size_t begin = 0;
    size_t end = tail->count;
    if (end == sizeof tail->bytes) { /* the first line is not whole */
        const char *newline = memchr(tail->bytes, '\n', end);
        if (newline != NULL && newline + 1 < tail->bytes + end)
            begin = (size_t)(newline + 1 - tail->bytes);
    }
    while (end > begin && strchr("\r\n\t ", tail->bytes[end - 1]) != NULL)
        end--;
    while (begin < end && strchr("\r\n\t ", tail->bytes[begin]) != NULL)
        begin++;
    for (;;) { /* what does not fit goes at the front: the end says most */
        char escaped[12 * BAO_TAIL_BYTES + 1];
        (void)write_line(
            escaped, sizeof escaped, tail->bytes + begin, end - begin);
        if (strlen(escaped) < bytes || begin == end) {
            (void)snprintf(text, bytes, "%s", escaped);
            return text;
        }
        const char *from = tail->bytes + begin;
        const char *newline = memchr(from, '\n', end - begin);
        size_t step = newline == NULL ? 16 : (size_t)(newline + 1 - from);
        begin += step < end - begin ? step : end - begin;
    }
}
