/*
 * render.h - what a client hears -> a story's words.
 */
#ifndef BAO_TESTS_RENDER_H
#define BAO_TESTS_RENDER_H

#include "tests/core/text.h"
#include "tests/core/world.h"

/* An answer, a row, or a notice. `words` are those of the request (STAT shows
 * the readings that it names). */
void render_heard(struct text *text,
                  const struct world *world,
                  const struct world_heard *heard,
                  const char *words);

/* "3", "cakes/3", and "3'" for an item of a queue that was made again. */
void render_item(struct text *text, const struct world *world, uint64_t id);

#endif
