/*
 * edge_world.h - an edge over real sockets, and peers to try it with.
 *
 * One edge at a time, which listens on ipc and tcp; EDGE_TEST is a test of
 * both kinds. Whatever it tells is
 * counted in `world`; a test turns it until a counter reaches what it expects.
 */
#ifndef BAO_TESTS_EDGE_WORLD_H
#define BAO_TESTS_EDGE_WORLD_H

#include <sys/types.h>

#include "broker/edge_open.h"
#include "tests/lib/unit.h"

#define EDGE_OPEN_MAX 4096

/* What the edge told, and a world to tear down. */
struct edge_world {
    struct bao_edge *edge;
    char folder[64];
    char ipc[128];
    const char *tcp;
    unsigned opened;
    unsigned messages;
    unsigned closed;
    unsigned gone; /* closed with their process */
    unsigned writable;
    unsigned malformed;
    unsigned closed_twice;
    uint64_t last_peer;
    uint32_t last_pid;
    bool last_local;
    uint64_t last_closed;
    uint32_t last_frames;
    size_t last_bytes;
    char last_why[64];
    bool echo;
    bool admit;
    void (*watch)(const struct bao_edge_event *event); /* or NULL */
    uint64_t open_peers[EDGE_OPEN_MAX];
};
extern struct edge_world world;

/* The test with the own edge, and with that of libzmq. */
#define EDGE_TEST(test) EDGE_TEST_OWN(test), EDGE_TEST_LIBZMQ(test)
#define EDGE_TEST_OWN(test)                                                   \
    {                                                                         \
        .name = #test "__own", .test_func = (test), .setup_func = edge_is_own \
    }
#define EDGE_TEST_LIBZMQ(test)                         \
    {                                                  \
        .name = #test "__libzmq", .test_func = (test), \
        .setup_func = edge_is_libzmq                   \
    }
extern enum bao_edge_kind edge_kind; /* of the test that runs */
int edge_is_own(void **state);
int edge_is_libzmq(void **state);

/* Opens world.edge on `ipc` and on a free port of this host. */
bool edge_try(struct bao_edge_config config,
              const char *ipc,
              struct bao_problem *problem);
void edge_world_open_with(struct bao_edge_config config);
void edge_world_open(void);
/* Fails if the edge leaves a file behind. */
void edge_world_close(void);

/* One turn: what the edge tells is taken, what it has is flushed. */
void edge_turn(void);
/* Turns for `ms`, or until *counter reaches `goal`. True if it did. */
bool edge_run(uint64_t ms, const unsigned *counter, unsigned goal);

/* A peer that means well. */
struct friend
{
    void *context;
    void *socket;
};

struct friend friend_open(const char *url);
void friend_close(struct friend *friend);
/* A message of so many parts of so many bytes each. */
void friend_says(struct friend *friend, size_t parts, size_t bytes);

/* A plain socket, connected to world.tcp. */
int raw_open(void);
void raw_write(int raw, const void *data, size_t bytes);
/* Shakes hands as a DEALER with the given routing id. */
void raw_greet(int raw, const void *id, uint8_t id_bytes);
/* Reads so many bytes (data NULL: and forgets them) while the edge turns;
 * false if they do not come. */
bool raw_read(int raw, void *data, size_t bytes);
/* True if the other side closes within `ms`; the edge turns meanwhile. */
bool raw_is_closed(int raw, uint64_t ms);

/* A child that connects, says something and waits to be killed. */
pid_t child_open(const char *url, bool with_grandchild);
void child_kill(pid_t pid);
/* Kills what a killed child left behind: its grandchild. */
void child_kill_family(pid_t pid);

#endif
