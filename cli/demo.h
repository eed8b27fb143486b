/*
 * demo.h - the bun kitchen: who is in it and what was seen.
 *
 * Three cooks make ten items each and join; two eaters take, eat and settle
 * until they are told to stop. All are processes of their own. What the
 * summary says is counted from the lines they print, never assumed.
 */
#ifndef BAO_CLI_DEMO_H
#define BAO_CLI_DEMO_H

#include "cli/cli.h"
#include "cli/demo_process.h"

#define DEMO_COOKS  3u
#define DEMO_EATERS 2u
#define DEMO_EACH   10u /* items that a cook makes */
#define DEMO_ITEMS  64u /* room for more names than there should be */

/* One item, by the name that was printed. */
struct demo_item {
    char name[64];
    unsigned made;
    unsigned eaten;
    size_t cook; /* who made it */
};

struct demo_cook {
    struct demo_process process;
    bool returned;    /* it ended, so its join returned */
    unsigned uneaten; /* of its own items when it returned */
    bool early;       /* others' items were uneaten and nobody cooked */
};

/* Progress of --kill. */
enum demo_kill {
    DEMO_KILL_OFF,
    DEMO_KILL_WAITS,    /* for a bun that was just handed over */
    DEMO_KILL_KILLED,   /* the bun is where its eater was */
    DEMO_KILL_RETURNED, /* it is back, or with somebody else */
    DEMO_KILL_TAKEN     /* somebody else has it, or ate it */
};

struct demo {
    struct cli *cli;
    const char *url;
    const char *queue;
    const char *log; /* the own broker's */
    bool real_time;
    bool colour;
    bool own_broker;
    struct demo_process broker;
    struct demo_cook cooks[DEMO_COOKS];
    struct demo_process eaters[DEMO_EATERS];
    int mouths[DEMO_EATERS]; /* the process in the eater that eats; 0: not
                                known yet */
    struct demo_item items[DEMO_ITEMS];
    size_t item_count;
    unsigned made, eaten; /* lines */
    unsigned strange;     /* lines that fit nowhere */
    enum demo_kill kill;
    size_t victim; /* the eater that was killed */
    uint64_t victim_session;
    uint64_t bun_id;
    char bun[64];
    uint64_t seen_id; /* leased at the last look */
    uint64_t killed_us, returned_us, taken_us;
};

/* The next step of --kill; called every few milliseconds. */
void demo_kill_step(struct demo *demo);

/* How long to wait for the next look, for poll(). */
int demo_kill_poll_ms(const struct demo *demo);

/* Prints a line of what happens, as of an eater or a cook. */
void demo_say(const struct demo *demo, const char *text, bool eater);

/* Judges what was seen and says it; returns the exit code. */
int demo_verdict(struct demo *demo);

/* The item of that name, made on first sight; NULL: no room. */
struct demo_item *demo_item_find(struct demo *demo, const char *name);

#endif
