/*
 * client.h - a client process: a real dialogue, driven as client_pump.c
 * drives it, with calls that wait and items that are held.
 *
 * A slot (0 to SIM_CLIENTS - 1) is one party of the picture; processes come
 * and go in it.
 */
#ifndef BAO_TESTS_SIM_CLIENT_H
#define BAO_TESTS_SIM_CLIENT_H

#include "common/dialogue.h"
#include "tests/sim/history.h"
#include "tests/sim/sim.h"

#define CALL_LETTERS 6u

struct sim_call {
    struct bao_request request;
    struct bao_link link; /* of its client */
    struct sim_client *client;
    uint64_t op; /* in the history */
    struct bao_letter letters[CALL_LETTERS];
    uint8_t *bodies[CALL_LETTERS]; /* owned */
    struct bao_queue_options options;
    char text[64];
    uint8_t ids[8 * 8];
    uint8_t tokens[8 * 8];
    struct sim_hold *hold; /* that this settles; owned by it */
    bool subscription;
};

/* An item in a client's hands. */
struct sim_hold {
    struct bao_lease lease;
    struct bao_link link; /* of its client; not of one that is being settled */
    uint64_t delivery;    /* in the history */
    unsigned queue;
    bool pushed; /* it came by itself, and work on it has not begun */
};

struct sim_client {
    struct sim *sim;
    unsigned index;
    bool exists;
    bool local;
    uint32_t pid;
    uint64_t process;
    uint64_t session; /* grows with every new one, over all clients */
    unsigned start;   /* of the broker that its wire leads to */
    struct bao_dialogue *dialogue;
    struct sim_wire *wire;
    bool line_up;
    bool news_up;
    bool news_down;
    uint64_t connect_us;
    uint64_t made_us;
    uint64_t wake_us;
    uint64_t paused_us; /* it does not run before */
    struct bao_list inbox;
    struct bao_list calls;
    struct bao_list holds;
    unsigned role;
    unsigned opened; /* queues that it declared in this life: bits */
    uint64_t think_us;
    bool leaving; /* it wants to go: cancels, then BYE */
    bool ended;   /* BYE was answered */
};

void clients_open(struct sim *sim);
/* All of them end; their slots are freed with the run. */
void clients_close(struct sim *sim);

/* A process starts in a free slot. */
void client_start(struct sim *sim, unsigned slot);
/* It is killed: no BYE; the broker learns what its machine tells it. */
void client_kill(struct sim *sim, unsigned slot, bool silent);
/* Stands still until then. */
void client_pause(struct sim *sim, unsigned slot, uint64_t until_us);
/* It runs on now if it stands still. */
void client_wake(struct sim *sim, unsigned slot);
/* Its connection breaks, as far as it knows. */
void client_cut(struct sim *sim,
                unsigned slot,
                bool learns,
                bool broker_learns);

bool client_runs(const struct sim_client *client);
/* Of the broker that it speaks with, as far as the queue is concerned: starts
 * that know nothing of each other's items are counted, so that a durable queue
 * has one life. */
unsigned client_life(const struct sim_client *client, unsigned queue);

/* Sends, takes, ticks: after anything was submitted. */
void client_pump(struct sim_client *client);

/* A call with nothing in it yet; submit it, or free it. */
struct sim_call *call_new(struct sim_client *client, uint64_t verb);
/* Submits it as `op` says; `op` is completed and noted. */
void call_submit(struct sim_call *call, struct history_op *op);
void call_cancel(struct sim_call *call);
/* Its caller goes away without waiting. */
void call_forget(struct sim_call *call);
void call_free(struct sim_call *call);
void hold_free(struct sim_client *client, struct sim_hold *hold);

/* program.c: what a client does with an outcome. */
void program_told(struct sim_call *call, const struct history_op *op);

#endif
