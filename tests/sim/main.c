/*
 * main.c - the program sim: one seed, or many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/count.h"
#include "tests/sim/planted.h"
#include "tests/sim/sim.h"

static const char help[] =
    "sim - baozi's broker and its clients on a simulated network\n"
    "\n"
    "  sim --seed N             runs one seed\n"
    "  sim --seeds A-B          runs many\n"
    "  --durable                the broker has a log, on a disk that lies\n"
    "  --picture                prints every event of the run\n"
    "  --tail N                 of a run that fails, the last N (60; 0 = all)\n"
    "  --counts                 prints what the runs exercised\n"
    "  --must-cover             fails if something never happened\n"
    "  --planted NAME           with this bug (flavour planted)\n"
    "  --list-planted           names them\n"
    "\n"
    "The same seed tells the same story, byte for byte, wherever it runs.\n";

struct options {
    uint64_t first;
    uint64_t last;
    bool durable;
    bool counts;
    bool must_cover;
};

static int usage(const char *word)
{
    (void)fprintf(stderr, "sim: what is '%s'? See sim --help.\n", word);
    return 64;
}

static bool number_of(const char *text, uint64_t *number, const char **rest)
{
    char *end;
    *number = strtoull(text, &end, 10);
    *rest = end;
    return end != text;
}

static bool read_seeds(const char *text, struct options *options)
{
    const char *rest;
    if (!number_of(text, &options->first, &rest)) {
        return false;
    }
    options->last = options->first;
    if (*rest == '-') {
        return number_of(rest + 1, &options->last, &rest) && *rest == '\0';
    }
    return *rest == '\0';
}

/* 0, or an exit code. */
static int read_options(int count, char **words, struct options *options)
{
    for (int i = 1; i < count; i++) {
        uint64_t number;
        const char *rest;
        const char *value = i + 1 < count ? words[i + 1] : "";
        if (strcmp(words[i], "--picture") == 0) {
            sim_shows = true;
        } else if (strcmp(words[i], "--durable") == 0) {
            options->durable = true;
        } else if (strcmp(words[i], "--counts") == 0) {
            options->counts = true;
        } else if (strcmp(words[i], "--must-cover") == 0) {
            options->must_cover = true;
        } else if (strcmp(words[i], "--seed") == 0 ||
                   strcmp(words[i], "--seeds") == 0) {
            if (!read_seeds(value, options)) {
                return usage(value);
            }
            i++;
        } else if (strcmp(words[i], "--planted") == 0 &&
                   planted_choose(value)) {
            options->durable = options->durable || planted_is_durable();
            i++;
        } else if (strcmp(words[i], "--tail") == 0 &&
                   number_of(value, &number, &rest)) {
            sim_tail_lines = (unsigned)number;
            i++;
        } else {
            return usage(words[i]);
        }
    }
    return 0;
}

int main(int count, char **words)
{
    struct options options = {.first = 1, .last = 1};
    if (count > 1 && strcmp(words[1], "--help") == 0) {
        (void)fputs(help, stdout);
        return 0;
    }
    if (count > 1 && strcmp(words[1], "--list-planted") == 0) {
        for (unsigned i = 1; i < planted_count(); i++) {
            (void)printf("%s %s\n", planted_name(i), planted_text(i));
        }
        return 0;
    }
    int code = read_options(count, words, &options);
    if (code != 0) {
        return code;
    }
    uint64_t events = 0;
    uint64_t count_of_seeds = options.last - options.first + 1;
    for (uint64_t seed = options.first; seed <= options.last; seed++) {
        struct sim *sim = sim_open(seed, options.durable);
        sim_play(sim);
        events += sim->events;
        sim_counts_gather(sim);
        sim_close(sim);
    }
    (void)printf("# %llu seeds from %llu on, %llu events: nothing found\n",
                 (unsigned long long)count_of_seeds,
                 (unsigned long long)options.first,
                 (unsigned long long)events);
    if (!options.counts && !options.must_cover) {
        return 0;
    }
    bool covered = sim_counts_print(options.counts, options.durable);
    return options.must_cover && !covered ? 1 : 0;
}
