/*
 * dialogue_world.h - a dialogue and its scripted broker, for stories.
 *
 * What the dialogue sends and what its requests are answered with is written
 * down as text; story() compares it with what the test expects:
 *
 *   > PUT rid=1 queue=buns lengths=4      sent, one line an operation
 *   > --                                  end of the message
 *   = PUT rid=1 status=OK id=7            a request was answered
 *   ! welcomed, resumed                   and so on
 */
#ifndef BAO_TESTS_DIALOGUE_WORLD_H
#define BAO_TESTS_DIALOGUE_WORLD_H

#include "common/dialogue.h"
#include "common/wire.h"
#include "tests/lib/script.h"
#include "tests/lib/unit.h"

#define WORLD_REQUESTS 1600
#define WORLD_START_US 1000000u

struct world_request {
    struct bao_request request;
    struct script_operation script;
    struct bao_letter letter;
    struct world *world;
};

struct world {
    struct bao_dialogue *dialogue;
    uint64_t now_us;
    char log[1 << 17];
    size_t log_bytes;
    bool quiet; /* sent messages are counted, not written down */
    unsigned messages;
    struct world_request *requests;
    size_t request_count;
    struct bao_lease leases[64];
    size_t lease_count;
};

void world_open(struct world *world, uint8_t seed);
void world_close(struct world *world);

/* Moves the clock to so many ms after the start, ticks, and sends what is to
 * be sent. */
void world_at(struct world *world, uint64_t ms);
/* Sends what is to be sent. */
void world_send(struct world *world);
/* The broker says one operation, with small bodies `body`. */
void world_hears(struct world *world, const char *line, const char *body);
/* connected + HELLO + WELCOME, and forgets what was written down. */
void world_welcome(struct world *world);
void world_connect(struct world *world);
void world_lose(struct world *world);
/* Submits a request; wait_ms < 0 = for ever; `body` NULL = none. */
struct bao_request *world_ask(struct world *world,
                              const char *line,
                              int64_t wait_ms,
                              const char *body);
/* Compares everything written down since the last story. */
void world_story(struct world *world, const char *expected);
void world_forget(struct world *world);

#endif
