/*
 * text.h - a growing text, for transcripts.
 */
#ifndef BAO_TESTS_TEXT_H
#define BAO_TESTS_TEXT_H

#include <stddef.h>

struct text {
    char *data; /* owned, NUL at the end; NULL while empty */
    size_t bytes;
    size_t capacity;
};

__attribute__((format(printf, 2, 3))) void
text_add(struct text *text, const char *format, ...);
void text_clear(struct text *text);
void text_fini(struct text *text);
const char *text_of(const struct text *text); /* never NULL */

#endif
