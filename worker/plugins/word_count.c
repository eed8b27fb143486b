/*
 * word_count.c - an example of a plugin: counts the words of each item.
 *
 *     baozi-worker texts --plugin build/plugins/word_count.so
 *
 * The result is a line "LINES WORDS BYTES", as wc writes it. --argument N
 * rejects items of more than N words, to show how that is done.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/baozi_plugin.h"

struct counter {
    unsigned long words_max; /* 0 = any */
    char result[80];
    char error[80];
};

static int
begin(const char *argument, void **state, char *error, size_t error_bytes)
{
    char *rest = NULL;
    unsigned long words_max = strtoul(argument, &rest, 10);
    if (*rest != '\0') {
        (void)snprintf(
            error, error_bytes, "the argument must be a number of words");
        return 1;
    }
    struct counter *counter = calloc(1, sizeof *counter);
    if (counter == NULL) {
        (void)snprintf(error, error_bytes, "memory ran out");
        return 1;
    }
    counter->words_max = words_max;
    *state = counter;
    return 0;
}

static enum baozi_plugin_outcome
count_words(void *state,
            const struct baozi_plugin_item *item,
            struct baozi_plugin_answer *answer)
{
    struct counter *counter = state;
    const unsigned char *text = item->payload;
    unsigned long lines = 0;
    unsigned long words = 0;
    int in_word = 0;
    for (size_t i = 0; i < item->bytes; i++) {
        int blank = isspace(text[i]) != 0;
        lines += text[i] == '\n';
        words += !blank && !in_word;
        in_word = !blank;
    }
    if (counter->words_max != 0 && words > counter->words_max) {
        (void)snprintf(counter->error,
                       sizeof counter->error,
                       "%lu words are more than %lu",
                       words,
                       counter->words_max);
        answer->error = counter->error;
        return BAOZI_PLUGIN_REJECT;
    }
    int bytes = snprintf(counter->result,
                         sizeof counter->result,
                         "%lu %lu %lu\n",
                         lines,
                         words,
                         (unsigned long)item->bytes);
    answer->result = counter->result;
    answer->result_bytes = (size_t)bytes;
    return BAOZI_PLUGIN_DONE;
}

static void end(void *state)
{
    free(state);
}

const struct baozi_plugin *baozi_plugin(void)
{
    static const struct baozi_plugin plugin = {.version = BAOZI_PLUGIN_VERSION,
                                               .name = "word_count",
                                               .init = begin,
                                               .handle = count_words,
                                               .fini = end};
    return &plugin;
}
