/*
 * picture.c - lines are kept in memory and printed only when asked for.
 */
#include "tests/sim/picture.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define LINE_BYTES 400u

static const char heading[] = "        ms  b 0 1 2 3 4 5\n";

static void add(struct sim_picture *picture, const char *line, size_t bytes)
{
    if (picture->bytes + bytes + 1 > picture->capacity) {
        picture->capacity = picture->capacity * 2 + 65536;
        picture->text = realloc(picture->text, picture->capacity);
        if (picture->text == NULL) {
            abort();
        }
    }
    memcpy(picture->text + picture->bytes, line, bytes);
    picture->bytes += bytes;
    picture->text[picture->bytes] = '\0';
    picture->lines++;
}

void sim_say(struct sim *sim,
             unsigned party,
             char mark,
             const char *format,
             ...)
{
    char line[LINE_BYTES];
    uint64_t us = sim->now_us - SIM_START_US;
    int at = snprintf(line,
                      sizeof line,
                      "%7llu.%02u ",
                      (unsigned long long)(us / 1000),
                      (unsigned)(us % 1000 / 10));
    for (unsigned i = 0; i < SIM_PARTIES; i++) {
        line[at++] = ' ';
        line[at++] = i == party ? mark : sim->picture.states[i];
    }
    line[at++] = ' ';
    line[at++] = ' ';
    va_list list;
    va_start(list, format);
    size_t left = sizeof line - (size_t)at - 1;
    int more = vsnprintf(line + at, left, format, list);
    va_end(list);
    at += (size_t)more < left ? more : (int)left - 1;
    line[at++] = '\n';
    if (sim_shows) {
        if (sim->picture.lines == 0) {
            (void)fputs(heading, stdout);
        }
        (void)fwrite(line, 1, (size_t)at, stdout);
    }
    add(&sim->picture, line, (size_t)at);
}

void sim_state(struct sim *sim, unsigned party, char state)
{
    sim->picture.states[party] = state;
}

void sim_picture_print(const struct sim_picture *picture, unsigned lines)
{
    const char *from = picture->text;
    if (from == NULL) {
        return;
    }
    if (lines > 0 && lines < picture->lines) {
        from = picture->text + picture->bytes - 1;
        for (unsigned seen = 0; from > picture->text; from--) {
            if (from[-1] == '\n' && ++seen == lines) {
                break;
            }
        }
    }
    (void)fputs(heading, stdout);
    (void)fputs(from, stdout);
}

void sim_picture_fini(struct sim_picture *picture)
{
    free(picture->text);
    *picture = (struct sim_picture){0};
}
