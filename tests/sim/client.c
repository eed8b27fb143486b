/*
 * client.c - processes: connecting, pumping, dying.
 */
#include "tests/sim/client.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/broker.h"
#include "tests/sim/client_calls.h"
#include "tests/sim/count.h"
#include "tests/sim/network.h"
#include "tests/sim/program.h"
#include "tests/sim/queues.h"

#define RECONNECT_US       (100 * SIM_MS)
#define YOUNG_US           (10 * RECONNECT_US)
#define CONNECT_TIMEOUT_US (8 * SIM_SECOND)
#define PUMP_ROUNDS        64

static void wake_at(struct sim_client *client, uint64_t at_us);

unsigned client_life(const struct sim_client *client, unsigned queue)
{
    return queue_is_kept(client->sim, queue) ? 1 : client->start;
}

bool client_runs(const struct sim_client *client)
{
    return client->exists && client->paused_us <= client->sim->now_us;
}

static void drop_inbox(struct sim_client *client)
{
    struct bao_link *link;
    while ((link = bao_list_pop(&client->inbox)) != NULL) {
        SIM_COUNT(client->sim, DROPPED);
        message_free(BAO_OF(link, struct sim_message, link));
    }
}

/* --- the line ------------------------------------------------------------- */

static void cut(struct sim_client *client, const char *why)
{
    struct sim *sim = client->sim;
    sim_state(sim, SIM_PARTY(client->index), '-');
    sim_say(sim, SIM_PARTY(client->index), '=', "gives its line up: %s", why);
    if (client->wire != NULL && client->wire->client_end) {
        wire_leave(sim, client->wire, sim_chance(sim, 500), false);
    }
    client->wire = NULL;
    client->line_up = false;
    client->news_up = false;
    client->news_down = false;
    drop_inbox(client);
    history_event(sim->history,
                  &(struct history_event){.kind = HISTORY_CUT,
                                          .client = client->index,
                                          .us = sim->now_us});
    bao_dialogue_lost(client->dialogue, sim->now_us);
    bool young = sim->now_us - client->made_us < YOUNG_US;
    client->connect_us =
        young ? sim->now_us + RECONNECT_US / 2 + sim_below(sim, RECONNECT_US)
              : sim->now_us;
}

static void connect_if_due(struct sim_client *client)
{
    struct sim *sim = client->sim;
    if (client->wire == NULL && sim->now_us >= client->connect_us) {
        client->made_us = sim->now_us;
        client->wire = wire_new(sim, client);
        client->wire->local = client->local;
        client->wire->pid = client->pid;
    }
}

void client_connected(struct sim *sim, struct sim_wire *wire)
{
    struct sim_client *client = wire->client;
    if (client->wire == wire) {
        client->news_up = true;
        client->start = broker_life(sim);
        wake_at(client, sim->now_us);
    }
}

void client_lost(struct sim *sim, struct sim_wire *wire)
{
    struct sim_client *client = wire->client;
    if (client->wire == wire) {
        client->news_down = true;
        wake_at(client, sim->now_us);
    }
}

void client_arrived(struct sim *sim, struct sim_message *message)
{
    struct sim_client *client = message->wire->client;
    if (client->wire != message->wire) {
        message_free(message);
        return;
    }
    bao_list_push(&client->inbox, &message->link);
    wake_at(client, sim->now_us);
}

/* --- the pump ------------------------------------------------------------- */

/* False if the connection is gone. */
static bool take_news(struct sim_client *client)
{
    if (client->news_up && !client->line_up) {
        client->line_up = true;
        bao_dialogue_connected(client->dialogue, client->sim->now_us);
    }
    client->news_up = false;
    return !client->news_down;
}

static void receive(struct sim_client *client)
{
    struct bao_link *link;
    while ((link = bao_list_pop(&client->inbox)) != NULL) {
        struct sim_message *got = BAO_OF(link, struct sim_message, link);
        struct bao_message message = {.header = got->frames[0],
                                      .parts = got->frames + 1,
                                      .part_count = got->frame_count - 1};
        bao_dialogue_feed(client->dialogue, client->sim->now_us, &message);
        message_free(got);
    }
}

static void fill_frame(struct sim_message *message,
                       const struct bao_outgoing *out,
                       uint32_t at)
{
    size_t bytes = 0;
    for (size_t i = 0; i < out->piece_count; i++) {
        bytes += out->pieces[i].part == at - 1 ? out->pieces[i].bytes.bytes : 0;
    }
    uint8_t *data = message_frame(message, at, bytes);
    for (size_t i = 0; i < out->piece_count; i++) {
        if (out->pieces[i].part == at - 1) {
            memcpy(data, out->pieces[i].bytes.data, out->pieces[i].bytes.bytes);
            data += out->pieces[i].bytes.bytes;
        }
    }
}

static bool send_one(struct sim_client *client)
{
    struct bao_outgoing out;
    if (!bao_dialogue_next(client->dialogue, client->sim->now_us, &out)) {
        return false;
    }
    struct sim_message *message =
        network_message(client->wire, true, 1 + out.part_count);
    memcpy(message_frame(message, 0, out.header.bytes),
           out.header.data,
           out.header.bytes);
    for (uint32_t i = 1; i < message->frame_count; i++) {
        fill_frame(message, &out, i);
    }
    wire_send(client->sim, message);
    return true;
}

static bool pump_round(struct sim_client *client)
{
    uint64_t now_us = client->sim->now_us;
    bool sent = false;
    connect_if_due(client);
    bool alive = take_news(client);
    if (alive) {
        receive(client);
    }
    bao_dialogue_tick(client->dialogue, now_us);
    if (alive && client->line_up) {
        sent = send_one(client);
    }
    const char *why = bao_dialogue_broken(client->dialogue);
    if (!alive || why != NULL) {
        cut(client, alive ? why : "it broke");
        return true;
    }
    return sent;
}

void client_pump(struct sim_client *client)
{
    if (!client_runs(client)) {
        return;
    }
    int rounds = 0;
    while (client->exists && pump_round(client)) {
        if (++rounds == PUMP_ROUNDS) {
            wake_at(client, client->sim->now_us);
            return;
        }
    }
    client_sweep(client);
    if (!client->exists) {
        return;
    }
    uint64_t due_us = bao_dialogue_deadline(client->dialogue);
    if (client->wire == NULL && client->connect_us < due_us) {
        due_us = client->connect_us;
    }
    if (due_us != SIM_NEVER) {
        wake_at(client,
                due_us > client->sim->now_us ? due_us
                                             : client->sim->now_us + 1);
    }
}

static void wake(struct sim *sim, struct sim_event *event)
{
    struct sim_client *client = event->subject;
    if (event->at_us != client->wake_us) {
        return;
    }
    client->wake_us = SIM_NEVER;
    if (client->exists && client->paused_us > sim->now_us) {
        wake_at(client, client->paused_us);
    } else {
        client_pump(client);
    }
}

static void wake_at(struct sim_client *client, uint64_t at_us)
{
    if (client->exists && at_us < client->wake_us) {
        client->wake_us = at_us;
        sim_at(client->sim, at_us, wake, client, 0);
    }
}

/* --- birth ---------------------------------------------------------------- */

static void welcomed(void *context, bool resumed)
{
    struct sim_client *client = context;
    struct sim *sim = client->sim;
    sim_state(sim, SIM_PARTY(client->index), '.');
    if (resumed) {
        SIM_COUNT(sim, RESUMES);
        sim_say(sim, SIM_PARTY(client->index), '<', "resumes its session");
        return;
    }
    SIM_COUNT(sim, NEW_SESSIONS);
    client->session = ++sim->history->last_session;
    client->opened = 0;
    history_event(sim->history,
                  &(struct history_event){.kind = HISTORY_SESSION,
                                          .client = client->index,
                                          .us = sim->now_us});
    sim_say(sim,
            SIM_PARTY(client->index),
            '<',
            "session %llu begins",
            (unsigned long long)bao_dialogue_session(client->dialogue));
    program_welcomed(client);
}

static void open_dialogue(struct sim_client *client)
{
    struct sim *sim = client->sim;
    struct bao_dialogue_config config = {
        .host = bao_span_text("here"),
        .program = bao_span_text("sim"),
        .pid = client->pid,
        .connect_timeout_us = CONNECT_TIMEOUT_US,
        .calls = client_calls,
        .context = client,
    };
    config.calls.welcomed = welcomed;
    bao_store64(config.seed, sim_number(sim));
    bao_store64(config.seed + 8, sim_number(sim));
    client->dialogue = bao_dialogue_open(&config, sim->now_us);
    if (client->dialogue == NULL) {
        sim_fail(sim, "no memory");
    }
}

void client_start(struct sim *sim, unsigned slot)
{
    struct sim_client *client = &sim->clients[slot];
    *client = (struct sim_client){
        .sim = sim,
        .index = slot,
        .exists = true,
        .local = sim_chance(sim, 500),
        .pid = ++sim->last_pid,
        .process = ++sim->history->last_process,
        .session = ++sim->history->last_session,
        .wake_us = SIM_NEVER,
    };
    bao_list_init(&client->inbox);
    bao_list_init(&client->calls);
    bao_list_init(&client->holds);
    open_dialogue(client);
    sim_state(sim, SIM_PARTY(slot), '-');
    sim_say(sim,
            SIM_PARTY(slot),
            '=',
            "process %u starts, by %s",
            client->pid,
            client->local ? "ipc" : "tcp");
    program_start(client);
    wake_at(client, sim->now_us);
}

/* --- death ---------------------------------------------------------------- */

/* Nothing of it is left, as after _exit(). */
void client_bury(struct sim_client *client)
{
    struct bao_link *link;
    client->exists = false;
    drop_inbox(client);
    bao_dialogue_close(client->dialogue);
    client->dialogue = NULL;
    while ((link = bao_list_pop(&client->calls)) != NULL) {
        struct sim_call *call = BAO_OF(link, struct sim_call, link);
        history_op(client->sim->history, call->op)->forgotten = true;
        call_free(call);
    }
    while ((link = bao_list_pop(&client->holds)) != NULL) {
        free(BAO_OF(link, struct sim_hold, link));
    }
    sim_state(client->sim, SIM_PARTY(client->index), 'x');
}

void client_kill(struct sim *sim, unsigned slot, bool silent)
{
    struct sim_client *client = &sim->clients[slot];
    if (!client->exists) {
        return;
    }
    SIM_COUNT(sim, CRASHES);
    if (client->local) {
        SIM_COUNT(sim, CRASHES_LOCAL);
    }
    sim_say(sim,
            SIM_PARTY(slot),
            '*',
            "is killed with %u items in its hands%s",
            (unsigned)client->holds.count,
            silent && !client->local ? ", silently" : "");
    history_event(sim->history,
                  &(struct history_event){
                      .kind = HISTORY_DIED, .client = slot, .us = sim->now_us});
    if (client->wire != NULL && client->wire->client_end) {
        client->wire->gone = true;
        wire_leave(
            sim, client->wire, sim_chance(sim, 500), silent && !client->local);
    }
    client_bury(client);
}

/* --- what befalls it ------------------------------------------------------ */

static void runs_on(struct sim *sim, struct sim_event *event)
{
    struct sim_client *client = event->subject;
    if (client->exists && client->process == event->number &&
        client->paused_us <= sim->now_us) {
        client_wake(sim, client->index);
    }
}

void client_wake(struct sim *sim, unsigned slot)
{
    struct sim_client *client = &sim->clients[slot];
    if (!client->exists || client->paused_us == 0) {
        return;
    }
    client->paused_us = 0;
    sim_state(sim, SIM_PARTY(slot), client->line_up ? '.' : '-');
    sim_say(sim, SIM_PARTY(slot), '=', "runs on");
    wake_at(client, sim->now_us);
}

void client_pause(struct sim *sim, unsigned slot, uint64_t until_us)
{
    struct sim_client *client = &sim->clients[slot];
    if (!client_runs(client)) {
        return;
    }
    SIM_COUNT(sim, PAUSES);
    client->paused_us = until_us;
    sim_say(sim,
            SIM_PARTY(slot),
            '*',
            "stands still for %llu ms",
            (unsigned long long)((until_us - sim->now_us) / 1000));
    sim_state(sim, SIM_PARTY(slot), 'z');
    history_event(sim->history,
                  &(struct history_event){.kind = HISTORY_PAUSED,
                                          .client = slot,
                                          .us = until_us,
                                          .from_us = sim->now_us});
    sim_at(sim, until_us, runs_on, client, client->process);
}

void client_cut(struct sim *sim, unsigned slot, bool learns, bool broker_learns)
{
    struct sim_client *client = &sim->clients[slot];
    if (!client->exists || client->wire == NULL || !client->line_up) {
        return;
    }
    sim_say(sim,
            SIM_PARTY(slot),
            '*',
            "its line breaks%s%s",
            learns ? "" : ", unnoticed",
            broker_learns ? "" : ", and the broker does not see it");
    history_event(sim->history,
                  &(struct history_event){
                      .kind = HISTORY_CUT, .client = slot, .us = sim->now_us});
    wire_break(sim, client->wire, learns, broker_learns);
}

void clients_open(struct sim *sim)
{
    sim->clients = calloc(SIM_CLIENTS, sizeof *sim->clients);
    if (sim->clients == NULL) {
        sim_fail(sim, "no memory");
    }
    for (unsigned i = 0; i < SIM_CLIENTS - 1; i++) {
        client_start(sim, i);
    }
}

void clients_close(struct sim *sim)
{
    for (unsigned i = 0; i < SIM_CLIENTS; i++) {
        if (sim->clients[i].exists) {
            client_bury(&sim->clients[i]);
        }
    }
}
