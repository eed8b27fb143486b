/*
 * random.h - what the random test's files share: the run, and one function
 * for each thing that a client may do.
 */
#ifndef BAO_TESTS_RANDOM_H
#define BAO_TESTS_RANDOM_H

#include "tests/core/world.h"

#define CLIENTS      5u
#define QUEUES       6u
#define STEPS        2500u
#define REQUESTS_MAX 20000u

struct request {
    unsigned client;
    uint64_t session; /* it was sent in */
    uint64_t first;
    uint32_t count;
    uint32_t left; /* not yet answered */
    uint8_t answered[8];
    uint64_t verb;
    uint32_t lengths[4]; /* of a put's bodies */
    struct world_message message;
};

struct run {
    struct world *world;
    struct world_client *clients[CLIENTS];
    struct request *requests;
    size_t request_count;
    uint64_t answers;
    uint64_t statuses[64];
    uint64_t pushes;
    uint64_t restarts;
    bool memory; /* one of the queues is in memory only */
    struct {
        unsigned client;
        uint64_t target;
        uint64_t count;
    } asked; /* bodies that were asked for; count 0 = none */
};

extern const char *const random_names[QUEUES];

uint64_t random_below(uint64_t below);
unsigned random_chance(unsigned percent);

/* The request of this client's present session, or NULL. */
struct request *
random_find(struct run *run, const struct world_client *client, uint64_t rid);
struct bao_operation random_begin(uint64_t verb);
struct bao_operation random_begin_queue(uint64_t verb); /* any queue */
void random_add_wait(struct bao_operation *operation);
void random_send_request(struct run *run,
                         unsigned c,
                         struct bao_operation *operation,
                         const struct world_payload *payloads,
                         size_t payload_count);
void random_send_notice(struct run *run,
                        unsigned c,
                        struct bao_operation *operation);

void random_put(struct run *run, unsigned c);
void random_bodies(struct run *run); /* those that were asked for */
void random_get(struct run *run, unsigned c);
void random_settle(struct run *run, unsigned c);
void random_join(struct run *run, unsigned c);
void random_ask(struct run *run, unsigned c);
void random_subscribe(struct run *run, unsigned c);
void random_cancel(struct run *run, unsigned c);
void random_ack(struct run *run, unsigned c);
void random_operate(struct run *run, unsigned c);

#endif
