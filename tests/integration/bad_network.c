/*
 * bad_network.c - a bad network for tests that are not written in C: the
 * relay of tests/lib/relay.h, told by lines on standard input what to do.
 *
 *     bad_network TARGET_PORT [SEED]
 *
 * Prints `listening PORT`. Each line is answered by one line: `ok`, counts,
 * or `what?`. It ends with its standard input.
 *
 *     WAY delay MS [JITTER_MS]    WAY is up (to the target), down or both
 *     WAY rate BYTES_PER_SECOND   0: as fast as it goes
 *     WAY stall | swallow | flow
 *     end cut | reset | orphan | half-up | half-down
 *     refuse yes | no             new connections are reset
 *     lifetime BYTES              later connections die in mid-frame; 0: no
 *     heal                        all of it is as at the start
 *     counts                      `accepted N refused N open N ended N up N
 *                                 down N lost N`, on one line
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/relay.h"

#define WORDS_MAX 4
#define LINE_MAX  256

struct words {
    const char *word[WORDS_MAX + 1]; /* "" behind the last */
    size_t count;
};

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static struct words split(char *line)
{
    struct words words = {.word = {"", "", "", "", ""}};
    char *rest = line;
    char *word;
    while (words.count < WORDS_MAX && (word = strsep(&rest, " ")) != NULL) {
        words.word[words.count++] = word;
    }
    return words;
}

static bool set_way(struct relay *relay, enum relay_way way, struct words words)
{
    struct relay_settings settings = relay_settings(relay, way);
    const char *what = words.word[1];
    uint64_t number = strtoull(words.word[2], NULL, 10);
    if (is(what, "delay")) {
        settings.delay_us = number * 1000;
        settings.jitter_us = strtoull(words.word[3], NULL, 10) * 1000;
    } else if (is(what, "rate")) {
        settings.bytes_per_second = number;
    } else if (is(what, "stall")) {
        settings.flow = RELAY_STALLS;
    } else if (is(what, "swallow")) {
        settings.flow = RELAY_SWALLOWS;
    } else if (is(what, "flow")) {
        settings.flow = RELAY_FLOWS;
    } else {
        return false;
    }
    relay_set(relay, way, &settings);
    return true;
}

static bool end_all(struct relay *relay, const char *how)
{
    static const char *const names[] = {[RELAY_CUT] = "cut",
                                        [RELAY_RESET] = "reset",
                                        [RELAY_ORPHAN] = "orphan",
                                        [RELAY_HALF_UP] = "half-up",
                                        [RELAY_HALF_DOWN] = "half-down"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is(how, names[i])) {
            relay_end_all(relay, (enum relay_end)i);
            return true;
        }
    }
    return false;
}

static bool heal(struct relay *relay)
{
    struct relay_settings fine = {.flow = RELAY_FLOWS};
    relay_refuse(relay, false);
    relay_lifetime(relay, 0);
    relay_set(relay, RELAY_UP, &fine);
    relay_set(relay, RELAY_DOWN, &fine);
    return true;
}

static bool obey(struct relay *relay, struct words words)
{
    const char *first = words.word[0];
    const char *second = words.word[1];
    if (is(first, "both")) {
        return set_way(relay, RELAY_UP, words) &&
               set_way(relay, RELAY_DOWN, words);
    }
    if (is(first, "up") || is(first, "down")) {
        return set_way(relay, is(first, "up") ? RELAY_UP : RELAY_DOWN, words);
    }
    if (is(first, "end")) {
        return end_all(relay, second);
    }
    if (is(first, "refuse") && (is(second, "yes") || is(second, "no"))) {
        relay_refuse(relay, is(second, "yes"));
        return true;
    }
    if (is(first, "lifetime") && words.count == 2) {
        relay_lifetime(relay, strtoull(second, NULL, 10));
        return true;
    }
    return is(first, "heal") && heal(relay);
}

static void answer(struct relay *relay, char *line)
{
    struct relay_counts counts = relay_counts(relay);
    if (!is(line, "counts")) {
        (void)puts(obey(relay, split(line)) ? "ok" : "what?");
        return;
    }
    (void)printf("accepted %" PRIu64 " refused %" PRIu64 " open %" PRIu64
                 " ended %" PRIu64 " up %" PRIu64 " down %" PRIu64
                 " lost %" PRIu64 "\n",
                 counts.accepted,
                 counts.refused,
                 counts.open,
                 counts.ended,
                 counts.bytes[RELAY_UP],
                 counts.bytes[RELAY_DOWN],
                 counts.lost_bytes);
}

/* Takes whole lines off the front of the text. */
static size_t obey_lines(struct relay *relay, char *text, size_t bytes)
{
    size_t begin = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\n') {
            text[i] = '\0';
            answer(relay, text + begin);
            begin = i + 1;
        }
    }
    memmove(text, text + begin, bytes - begin);
    return bytes - begin;
}

int main(int count, char **arguments)
{
    char text[LINE_MAX];
    size_t bytes = 0;
    if (count < 2) {
        (void)fputs("usage: bad_network TARGET_PORT [SEED]\n", stderr);
        return 64;
    }
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 10) : 1;
    struct relay *relay = relay_open((int)strtol(arguments[1], NULL, 10), seed);
    if (relay == NULL) {
        perror("bad_network");
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)printf("listening %d\n", relay_port(relay));
    for (;;) {
        if (!relay_turn(relay, 1000000, STDIN_FILENO)) {
            continue;
        }
        ssize_t more = read(STDIN_FILENO, text + bytes, sizeof text - bytes);
        if (more <= 0) {
            break;
        }
        bytes = obey_lines(relay, text, bytes + (size_t)more);
        if (bytes == sizeof text) {
            break; /* a line that long is no command */
        }
    }
    relay_close(relay);
    return 0;
}
