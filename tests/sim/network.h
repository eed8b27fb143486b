/*
 * network.h - connections between clients and the broker.
 *
 * A wire is one connection: two pipes that keep their order, like TCP. What
 * it may do: take its time (each pipe its own), stand still for a while (a
 * partition: nothing is lost, all comes later), break (what is under way is
 * lost), or be given up by the client while messages that it sent still reach
 * the broker. An end may learn late, or never, that the other end is gone.
 * A message may also come twice in a row: any that the broker sends, and of a
 * client's those without requests. A request that was refused is a new one
 * when it comes again (PROTOCOL.md 7.1); a transport that doubled those would
 * be none that the protocol is made for. They come twice all the same, from
 * connections that were given up.
 *
 *   client                         broker
 *     | wire_new ------ latency ----> |      (the edge says OPENED at the
 *     | <--- client_connected ------- |       first message)
 *     | wire_send(up) --------------> | edge_arrived
 *     | client_arrived <------------- | wire_send(down)
 *     | wire_leave -----------------> | edge_closed
 *     | client_lost <---------------- | wire_refuse
 */
#ifndef BAO_TESTS_SIM_NETWORK_H
#define BAO_TESTS_SIM_NETWORK_H

#include "common/list.h"
#include "tests/sim/sim.h"

/* Frames as they travel: the header, then the parts. */
struct sim_message {
    struct bao_link link; /* of whoever has it */
    struct sim_wire *wire;
    bool up;
    bool copy;       /* it came twice: this is the second */
    uint64_t number; /* in the order of sending, over all wires */
    uint32_t frame_count;
    struct bao_span frames[BAO_PARTS_MAX]; /* owned */
};

struct sim_pipe {
    struct bao_list flying; /* messages under way, in order */
    uint64_t last_us;       /* when the last message arrives */
    uint64_t stalled_us;    /* nothing arrives before */
    bool broken;            /* what is under way does not arrive */
};

struct sim_wire {
    struct bao_link link; /* of all wires */
    uint64_t number;
    struct sim_client *client;
    struct sim_pipe up;
    struct sim_pipe down;
    uint64_t latency_us; /* typical, one way */
    bool local;          /* ipc: the broker watches the process */
    uint32_t pid;
    bool client_end; /* the client has it open */
    bool broker_end; /* the broker has it open */
    bool gone;       /* the client's process is */
    uint64_t peer;   /* the edge's handle; 0 before the first message */
};

struct sim_network {
    struct bao_list wires;
    uint64_t wire_count;
    uint64_t last_number; /* of a message that arrived, for reordering */
    uint64_t sent;        /* messages */
    uint32_t slow;        /* latency of new wires: times this */
    uint32_t double_permille;
};

struct sim_network *network_open(struct sim *sim);
void network_close(struct sim_network *network);

/* A new connection; client_connected() follows if there is a broker to take
 * it, else nothing. */
struct sim_wire *wire_new(struct sim *sim, struct sim_client *client);

/* Takes the frames, which were made by network_message(). */
void wire_send(struct sim *sim, struct sim_message *message);
struct sim_message *
network_message(struct sim_wire *wire, bool up, uint32_t frame_count);
/* Memory for frame `at`; the pointer is to be filled. */
uint8_t *message_frame(struct sim_message *message, uint32_t at, size_t bytes);
void message_free(struct sim_message *message);

/* The client closes its end. `late`: what it sent still arrives; else it is
 * lost. `silent`: the broker is not told. */
void wire_leave(struct sim *sim, struct sim_wire *wire, bool late, bool silent);
/* The broker closes its end; the client learns it unless `silent`. */
void wire_refuse(struct sim *sim, struct sim_wire *wire, bool silent);
/* The connection breaks; each end learns it, or not. */
void wire_break(struct sim *sim,
                struct sim_wire *wire,
                bool client_learns,
                bool broker_learns);
/* Nothing passes before then; up, down or both. */
void wire_stall(struct sim_wire *wire, bool up, bool down, uint64_t until_us);

/* Called by the network. edge.c: */
void edge_arrived(struct sim *sim, struct sim_message *message); /* takes it */
void edge_room(struct sim *sim, struct sim_wire *wire);
void edge_closed(struct sim *sim, struct sim_wire *wire, const char *why);
/* client.c: */
void client_connected(struct sim *sim, struct sim_wire *wire);
void client_arrived(struct sim *sim, struct sim_message *message); /* takes */
void client_lost(struct sim *sim, struct sim_wire *wire);
/* broker.c: */
bool broker_listens(const struct sim *sim);

/* tap.c: looks at every message as it is sent: it must be one of the
 * protocol. True if it may come twice. */
bool tap_sent(struct sim *sim, const struct sim_message *message);

#endif
