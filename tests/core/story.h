/*
 * story.h - a test is a story in text, compared as text.
 *
 *   world_says("[  0] p1 put buns 'meat'  -> ok, item 1\n"
 *              "[  0] p1 join buns        .. waits\n"
 *              "[ 10] w1 get buns         -> ok, item 1 'meat', lease 1 until "
 *              "30010\n"
 *              "[ 20] w1 done 1           -> ok\n"
 *              "      p1 join buns        -> ok, done 1\n");
 *
 * A line that begins with [ms] is carried out: time passes until then, `who`
 * sends the operation, and what comes back stands behind the arrow ("waits"
 * if nothing does). A line without a time is what others hear of it, led by
 * the words of their own request (or its verb and #tag). [ms] alone only lets
 * time pass; what falls due before stands under a [ms] line of its own. The
 * whole transcript is made anew and compared, so an unexpected reply fails.
 * Runs of spaces do not matter. README.md lists the words.
 *
 * A client says HELLO when it is first named, and a queue is declared with
 * the defaults, unless the story does so itself; a queue called "nowhere"
 * never is.
 */
#ifndef BAO_TESTS_STORY_H
#define BAO_TESTS_STORY_H

#include <stdbool.h>

void world_says(const char *story);

/* The same, but a story that goes another way is only told so: for the tests
 * of the stories themselves. */
bool world_agrees(const char *story);

#endif
