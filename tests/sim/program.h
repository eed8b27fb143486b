/*
 * program.h - what the client processes do: by chance, every verb there is.
 *
 *   program.c      when something is done, and what follows from outcomes
 *   program_do.c   one function for each kind of call
 *   program_put.c  puts
 */
#ifndef BAO_TESTS_SIM_PROGRAM_H
#define BAO_TESTS_SIM_PROGRAM_H

#include "tests/sim/client.h"
#include "tests/sim/queues.h"

#define SIM_CALLS_MAX    6u
#define SIM_GROUPS       3u
#define SIM_HEADER_BYTES 8u /* of a payload's item header */

/* Called by client*.c: it starts to work; a session begins; items came; a
 * wait was answered with an outcome. */
void program_start(struct sim_client *client);
void program_welcomed(struct sim_client *client);
void program_delivered(struct sim_client *client);
void program_outcome(struct sim_client *client,
                     const struct sim_call *call,
                     const struct bao_operation *answer,
                     const struct bao_message *message);
/* Says BYE when all its calls have ended. */
void client_end(struct sim_client *client);

/* Every fifth payload travels with a header, which names it too. */
bool program_has_header(uint64_t payload);
void program_header(uint8_t *header, uint64_t payload);

/* program_do.c, program_put.c: each submits one call, or none. */
void do_declare(struct sim_client *client, unsigned queue);
void do_put(struct sim_client *client, unsigned queue);
void do_get(struct sim_client *client, unsigned queue);
void do_subscribe(struct sim_client *client, unsigned queue);
void do_settle(struct sim_client *client);
void do_task_done(struct sim_client *client, unsigned queue);
void do_join(struct sim_client *client, unsigned queue);
void do_item(struct sim_client *client); /* wait, cancel */
void do_look(struct sim_client *client, unsigned queue);
void do_redrive(struct sim_client *client, unsigned queue);
void do_operate(struct sim_client *client, unsigned queue);
void do_mistake(struct sim_client *client); /* what is refused */
void do_give_up(struct sim_client *client);
void do_bye(struct sim_client *client);

/* What history has of a call, before anything is known. */
struct history_op ask_op(unsigned queue);
/* How long a call waits: not at all, some time, or SIM_NEVER for ever. */
uint64_t ask_wait_ms(struct sim *sim);
/* Sets the flags, if there are some. */
void ask_flags(struct sim_call *call, uint64_t flags);

/* Letter `i` of a put: a payload of so many bytes, perhaps with a header. */
void ask_letter(struct sim_call *call,
                unsigned i,
                uint64_t payload,
                size_t bytes);

/* A simple request; `queue` SIM_QUEUES = of none. Submit it afterwards. */
struct sim_call *
ask_begin(struct sim_client *client, uint64_t verb, unsigned queue);
void ask_simple(struct sim_client *client, uint64_t verb, unsigned queue);
/* Takes up to `limit` items. */
void ask_get(struct sim_client *client,
             unsigned queue,
             uint64_t wait_ms,
             uint64_t limit);
/* Settles one hold by a verb. */
void ask_settle(struct sim_client *client,
                struct sim_hold *hold,
                uint64_t verb);

#endif
