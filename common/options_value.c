/*
 * options_value.c - one text as the value of one option: read, checked
 * against its bounds, or refused in words.
 */
#include "common/options_value.h"

#include <stdio.h>
#include <string.h>

#include "common/text.h"

int bao_choice_find(const char *choices, const char *text)
{
    size_t bytes = strlen(text);
    for (int place = 0;; place++) {
        size_t length = strcspn(choices, "|");
        if (length == bytes && memcmp(choices, text, bytes) == 0)
            return place;
        if (choices[length] == '\0')
            return -1;
        choices += length + 1;
    }
}

static bool read_wait(const char *text, int64_t *wait_ms)
{
    uint64_t ms;
    if (strcmp(text, "forever") == 0) {
        *wait_ms = -1;
        return true;
    }
    if (!bao_read_duration(text, &ms) || ms > INT64_MAX)
        return false;
    *wait_ms = (int64_t)ms;
    return true;
}

static bool read_value(const struct bao_option *option,
                       const char *text,
                       union bao_value *value)
{
    switch (option->takes) {
    case BAO_TAKES_NOTHING: return bao_read_flag(text, &value->flag);
    case BAO_TAKES_NUMBER: return bao_read_number(text, &value->number);
    case BAO_TAKES_INTEGER: return bao_read_integer(text, &value->integer);
    case BAO_TAKES_SIZE: return bao_read_size(text, &value->number);
    case BAO_TAKES_DURATION: return bao_read_duration(text, &value->number);
    case BAO_TAKES_WAIT: return read_wait(text, &value->integer);
    case BAO_TAKES_CHOICE:
        value->choice = bao_choice_find(option->choices, text);
        return value->choice >= 0;
    case BAO_TAKES_TEXT:
    case BAO_TAKES_TEXTS: value->text = text; return true;
    }
    return false;
}

static bool in_bounds(const struct bao_option *option,
                      const union bao_value *value)
{
    bool bounded = option->least != 0 || option->most != 0;
    switch (option->takes) {
    case BAO_TAKES_NUMBER:
    case BAO_TAKES_SIZE:
    case BAO_TAKES_DURATION: {
        int64_t most = bounded && option->most != 0 ? option->most : INT64_MAX;
        return value->number <= (uint64_t)most &&
               (int64_t)value->number >= option->least;
    }
    case BAO_TAKES_INTEGER:
        return !bounded || (value->integer >= option->least &&
                            value->integer <= option->most);
    case BAO_TAKES_NOTHING:
    case BAO_TAKES_TEXT:
    case BAO_TAKES_WAIT:
    case BAO_TAKES_CHOICE:
    case BAO_TAKES_TEXTS: return true;
    }
    return false;
}

const char *bao_takes_words(enum bao_takes takes)
{
    switch (takes) {
    case BAO_TAKES_NOTHING: return "yes or no";
    case BAO_TAKES_NUMBER: return "a whole number";
    case BAO_TAKES_INTEGER: return "a whole number, which may be negative";
    case BAO_TAKES_SIZE: return "a size such as 4096, 64KiB or 1.5MiB";
    case BAO_TAKES_DURATION: return "a duration such as 500ms, 30s or 1h30m";
    case BAO_TAKES_WAIT:
        return "a duration such as 500ms, 30s or 1h30m, or forever";
    case BAO_TAKES_CHOICE:
    case BAO_TAKES_TEXT:
    case BAO_TAKES_TEXTS: return "a text";
    }
    return "a value";
}

int bao_origin_exit_code(enum bao_origin origin)
{
    return origin == BAO_ORIGIN_FLAG ? BAO_EXIT_USAGE : BAO_EXIT_CONFIGURATION;
}

/* How the user wrote the option: "--rate", "BAOZI_URL", "rate". */
static void spelled(const struct bao_option *option,
                    enum bao_origin origin,
                    char *text,
                    size_t bytes)
{
    if (origin == BAO_ORIGIN_ENVIRONMENT)
        (void)snprintf(text, bytes, "%s", option->environment);
    else
        (void)snprintf(text,
                       bytes,
                       "%s%s",
                       origin == BAO_ORIGIN_FLAG ? "--" : "",
                       option->name);
}

bool bao_value_refuse(const struct bao_option *option,
                      const char *text,
                      enum bao_origin origin,
                      struct bao_problem *problem)
{
    char name[96];
    spelled(option, origin, name, sizeof name);
    problem->exit_code = bao_origin_exit_code(origin);
    bao_problem_what(problem, "%s does not take '%s'", name, text);
    if (option->takes != BAO_TAKES_CHOICE) {
        bao_problem_why(
            problem, "its value is %s", bao_takes_words(option->takes));
        bao_problem_remedy(problem, "write it like that; see --help");
        return false;
    }
    char words[256] = "";
    for (const char *at = option->choices; *at != '\0'; at++) {
        char one[3] = {*at == '|' ? ',' : *at, *at == '|' ? ' ' : '\0', '\0'};
        strncat(words, one, sizeof words - strlen(words) - 1);
    }
    bao_problem_why(problem, "its value is one of: %s", words);
    bao_problem_remedy(problem, "choose one of these");
    return false;
}

static void write_bound(const struct bao_option *option,
                        int64_t bound,
                        char *text,
                        size_t bytes)
{
    if (option->takes == BAO_TAKES_DURATION)
        (void)bao_write_duration_exact(text, bytes, (uint64_t)bound);
    else if (option->takes == BAO_TAKES_SIZE)
        (void)bao_write_size(text, bytes, (uint64_t)bound);
    else
        (void)snprintf(text, bytes, "%lld", (long long)bound);
}

static bool refuse_bounds(const struct bao_option *option,
                          const char *text,
                          enum bao_origin origin,
                          struct bao_problem *problem)
{
    char name[96];
    char least[BAO_TEXT_BYTES];
    char most[BAO_TEXT_BYTES];
    spelled(option, origin, name, sizeof name);
    problem->exit_code = bao_origin_exit_code(origin);
    bao_problem_what(problem, "%s does not take '%s'", name, text);
    write_bound(option, option->least, least, sizeof least);
    write_bound(option,
                option->most != 0 ? option->most : INT64_MAX,
                most,
                sizeof most);
    if (option->most == 0)
        bao_problem_why(problem, "it must be at least %s", least);
    else
        bao_problem_why(problem, "it must be from %s to %s", least, most);
    bao_problem_remedy(problem, "give a value within these bounds");
    return false;
}

bool bao_value_read(const struct bao_option *option,
                    const char *text,
                    enum bao_origin origin,
                    union bao_value *value,
                    struct bao_problem *problem)
{
    *value = (union bao_value){.number = 0};
    if (!read_value(option, text, value))
        return bao_value_refuse(option, text, origin, problem);
    if (!in_bounds(option, value))
        return refuse_bounds(option, text, origin, problem);
    return true;
}
