/*
 * client_calls.h - what client.c and client_calls.c share.
 */
#ifndef BAO_TESTS_SIM_CLIENT_CALLS_H
#define BAO_TESTS_SIM_CLIENT_CALLS_H

#include "tests/sim/client.h"

/* What a dialogue calls; without `welcomed`. */
extern const struct bao_dialogue_calls client_calls;

/* Holds whose session is over are let go; a client whose BYE was answered
 * ends. Called when no callback of the dialogue runs. */
void client_sweep(struct sim_client *client);

void client_bury(struct sim_client *client);

#endif
