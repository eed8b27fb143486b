/*
 * count.h - what the runs exercised; over a set of seeds nothing that must
 * happen may have stayed 0.
 */
#ifndef BAO_TESTS_SIM_COUNT_H
#define BAO_TESTS_SIM_COUNT_H

#include "tests/sim/sim.h"

/* X(NAME, text): things that are neither a verb nor a status nor a cause. */
#define SIM_COUNT_TABLE(X)                                              \
    X(MESSAGES, "messages")                                             \
    X(DROPPED, "messages lost with a connection")                       \
    X(DOUBLED, "messages that came twice")                              \
    X(LATE, "messages from a connection that was given up")             \
    X(STALLED, "messages held back by a partition")                     \
    X(REORDERED, "messages that overtook one on another connection")    \
    X(CUTS, "connections cut")                                          \
    X(HALF_OPEN, "connections that one side thought open")              \
    X(PARTITIONS, "partitions")                                         \
    X(PARKED, "messages parked at the edge")                            \
    X(CRASHES, "clients killed")                                        \
    X(CRASHES_LOCAL, "clients killed whose pid is watched")             \
    X(FORKS, "clients forked")                                          \
    X(PAUSES, "clients stopped and continued")                          \
    X(BROKER_PAUSES, "brokers stopped and continued")                   \
    X(RESTARTS, "brokers restarted")                                    \
    X(DRAINS, "brokers drained")                                        \
    X(NIGHTS, "hours slept by all")                                     \
    X(BYES, "clients that said BYE")                                    \
    X(RESUMES, "sessions resumed")                                      \
    X(NEW_SESSIONS, "sessions begun anew")                              \
    X(RESENT, "requests sent again")                                    \
    X(GIVEN_UP, "requests cancelled by their caller")                   \
    X(DEADLINES, "requests cancelled by their deadline")                \
    X(FORGOTTEN, "requests forgotten by their caller")                  \
    X(LEASES_LOST, "leases that their holder lost")                     \
    X(PUTS_WAITED, "puts that waited and got in")                       \
    X(GETS_WAITED, "gets that waited and got an item")                  \
    X(JOINS_WAITED, "joins that waited")                                \
    X(JOINS_QUEUE, "joins of a queue answered OK")                      \
    X(JOINS_GROUP, "joins of a group answered OK")                      \
    X(JOINS_MINE, "joins of a session's own answered OK")               \
    X(JOINS_UP_TO, "joins up to now answered OK")                       \
    X(WAITS_OK, "outcomes told")                                        \
    X(RESULTS, "results told with them")                                \
    X(DUPLICATES, "puts answered as duplicates")                        \
    X(PUT_MANY, "put_many answered OK")                                 \
    X(AUTO_GETS, "automatic gets answered OK")                          \
    X(GET_MANY, "gets of several items")                                \
    X(PUSHED, "items pushed")                                           \
    X(REDELIVERED, "items handed out again")                            \
    X(BIG_BODIES, "bodies in a frame of their own")                     \
    X(HEADERS, "items with headers")                                    \
    X(LAST_COUNT, "")                                                   \
    /* of durable runs */                                               \
    X(RECOVERIES, "starts that recovered")                              \
    X(MEMORY_PUTS, "puts into memory queues beside durable ones")       \
    X(LEASES_OUTLIVED, "items settled that were leased before a start") \
    X(STARTS_FAILED, "starts whose disk failed, or was cut")            \
    X(POWER_CUTS, "power cuts")                                         \
    X(TORN_TAILS, "torn tails cut")                                     \
    X(CHECKPOINTS, "checkpoints written")                               \
    X(CHECKPOINTS_LOADED, "checkpoints loaded")                         \
    X(COMPACTIONS, "turns that copied payloads forward")                \
    X(RECYCLED, "segments used again")                                  \
    X(SCRUBS, "turns that read the log again")                          \
    X(DISK_SLOW, "times of slow syncs")                                 \
    X(DISK_FULL, "times of a full disk")                                \
    X(DISK_FAILURES, "brokers that ended for their disk failed")        \
    X(LAST_DURABLE, "")

/* Kinds of row: numbers below mean different things. */
enum sim_count_kind {
    SIM_COUNT_NAMED,
    SIM_COUNT_ASKED, /* by verb: requests and notices that reached a broker */
    SIM_COUNT_TOLD,  /* by verb: answers OK and notices that reached a client */
    SIM_COUNT_STATUS, /* by status: outcomes of calls */
    SIM_COUNT_FACT,   /* by kind of fact */
    SIM_COUNT_CAUSE,  /* by cause of a return or death */
    SIM_COUNT_KINDS
};

enum sim_count_name {
#define X(NAME, text) SIM_##NAME,
    SIM_COUNT_TABLE(X)
#undef X
};

void sim_count(struct sim *sim, enum sim_count_kind kind, uint64_t number);
#define SIM_COUNT(sim, NAME) sim_count((sim), SIM_COUNT_NAMED, SIM_##NAME)

/* Adds those of a run to the sum of the suite. */
void sim_counts_gather(const struct sim *sim);
/* Prints the sums, for suites of durable runs or of others; false if one that
 * must have happened is 0. */
bool sim_counts_print(bool all, bool durable);

struct sim_counts *sim_counts_open(void);

#endif
