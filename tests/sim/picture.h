/*
 * picture.h - the story of a run for people: one line an event, one column a
 * party.
 *
 *      ms  b 0 1 2 3 4 5
 *   120.31 . > . - . x .  #17 put fifo 'p17' wait 300
 *   122.90 . < . - . x .  #17 put OK id fifo/7 after 2.59 ms
 *   130.00 * . . - . x .  the broker restarts and has lost its queues
 *
 * Who acts: > asks, < is told, * suffers a fault, = does something else. The
 * others: . up, - without a connection, z paused, x not there.
 */
#ifndef BAO_TESTS_SIM_PICTURE_H
#define BAO_TESTS_SIM_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_PARTIES 7u /* the broker, then the clients */

struct sim_picture {
    char *text; /* owned */
    size_t bytes;
    size_t capacity;
    uint64_t lines;
    char states[SIM_PARTIES];
};

struct sim;

#define SIM_BROKER   0u
#define SIM_NOBODY   SIM_PARTIES
#define SIM_PARTY(c) (1u + (unsigned)(c))

/* Adds a line: `party` acts as `mark` says. */
void sim_say(struct sim *sim,
             unsigned party,
             char mark,
             const char *format,
             ...) __attribute__((format(printf, 4, 5)));
/* How a party is from now on. */
void sim_state(struct sim *sim, unsigned party, char state);
/* Prints the last `lines` lines (0: all) below a heading. */
void sim_picture_print(const struct sim_picture *picture, unsigned lines);
void sim_picture_fini(struct sim_picture *picture);

#endif
