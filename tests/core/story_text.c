/*
 * story_text.c - a story's text: made comparable, taken apart, held against
 * what happened.
 */
#include "tests/core/story_text.h"

#include "tests/lib/unit.h"

/* Single spaces, no spaces at the ends of lines or inside [ ]. */
char *story_normalize(const char *text)
{
    char *to = malloc(strlen(text) + 2);
    size_t bytes = 0;
    assert_non_null(to);
    for (; *text != '\0'; text++) {
        char last = bytes == 0 ? '\n' : to[bytes - 1];
        if (*text == ' ' && (last == ' ' || last == '\n' || last == '[')) {
            continue;
        }
        if (*text == '\n' && last == ' ') {
            bytes--;
        }
        to[bytes++] = *text;
    }
    to[bytes] = '\0';
    return to;
}

/* The line's words without the arrow and what follows. */
char *story_command_part(const char *line, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    assert_non_null(copy);
    memcpy(copy, line, bytes);
    copy[bytes] = '\0';
    char *arrow = strstr(copy, " -> ");
    char *dots = strstr(copy, " .. ");
    if (arrow == NULL || (dots != NULL && dots < arrow)) {
        arrow = dots;
    }
    if (arrow != NULL) {
        *arrow = '\0';
    }
    return copy;
}

void story_report(const char *expected, const char *actual)
{
    const char *a = expected;
    const char *b = actual;
    (void)fprintf(
        stderr, "--- the story\n%s--- what happened\n%s", expected, actual);
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    while (a > expected && a[-1] != '\n') {
        a--;
        b--;
    }
    (void)fprintf(stderr,
                  "--- first difference\n  told: %.*s\n  was:  %.*s\n",
                  (int)strcspn(a, "\n"),
                  a,
                  (int)strcspn(b, "\n"),
                  b);
}
