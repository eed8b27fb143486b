/*
 * story_text.h - a story's text: made comparable, taken apart, compared.
 */
#ifndef BAO_TESTS_STORY_TEXT_H
#define BAO_TESTS_STORY_TEXT_H

#include <stddef.h>

/* Single spaces, none at the ends of lines or inside [ ]. Owned by the caller,
 * as is the next. */
char *story_normalize(const char *text);

/* The words of a line without the arrow and what follows. */
char *story_command_part(const char *line, size_t bytes);

/* Shows both transcripts and the first line that differs. */
void story_report(const char *expected, const char *actual);

#endif
