/*
 * options_value.h - one text as the value of one option; private to
 * options.c.
 */
#ifndef BAO_OPTIONS_VALUE_H
#define BAO_OPTIONS_VALUE_H

#include "common/options.h"

union bao_value {
    bool flag;
    uint64_t number;
    int64_t integer;
    int choice;
    const char *text;
};

/* Reads `text` as what the option takes, within its bounds. False: *problem
 * says what is wrong with it. */
bool bao_value_read(const struct bao_option *option,
                    const char *text,
                    enum bao_origin origin,
                    union bao_value *value,
                    struct bao_problem *problem);

/* Says in *problem that `text` is not what the option takes; false. */
bool bao_value_refuse(const struct bao_option *option,
                      const char *text,
                      enum bao_origin origin,
                      struct bao_problem *problem);

/* The place of `text` in "one|two|three", -1 if it is not there. */
int bao_choice_find(const char *choices, const char *text);

/* "a whole number", "a duration such as ..." */
const char *bao_takes_words(enum bao_takes takes);

/* The exit code for a bad value from there. */
int bao_origin_exit_code(enum bao_origin origin);

#endif
