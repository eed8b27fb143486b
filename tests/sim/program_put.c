/*
 * program_put.c - puts of every kind, with payloads and options by chance.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/count.h"
#include "tests/sim/disk.h"
#include "tests/sim/nemesis.h"
#include "tests/sim/program.h"

static size_t body_bytes(struct sim *sim, unsigned queue)
{
    if (!sim_queues[queue].large) {
        return sim_between(sim, 8, 60);
    }
    if (sim->disk != NULL && !disk_takes_big(sim)) {
        return sim_between(sim, 100, 4000);
    }
    return sim_chance(sim, 300) ? sim_between(sim, 65000, 90000)
                                : sim_between(sim, 100, 20000);
}

void ask_letter(struct sim_call *call,
                unsigned i,
                uint64_t payload,
                size_t bytes)
{
    size_t header = program_has_header(payload) ? SIM_HEADER_BYTES : 0;
    uint8_t *data = malloc(header + bytes);
    if (data == NULL) {
        abort();
    }
    if (header > 0) {
        program_header(data, payload);
    }
    payload_fill(data + header, bytes, payload);
    call->bodies[i] = data;
    call->letters[i] =
        (struct bao_letter){.header = bao_span_of(data, header),
                            .payload = bao_span_of(data + header, bytes)};
    call->request.letters = call->letters;
    call->request.letter_count = i + 1;
    if (bytes >= BAO_BIG_BYTES) {
        SIM_COUNT(call->client->sim, BIG_BODIES);
    }
}

static void put_options(struct sim_call *call,
                        struct history_op *op,
                        const struct sim_queue *queue)
{
    struct sim *sim = call->client->sim;
    struct bao_operation *put = &call->request.operation;
    if (queue->options.kind == BAO_KIND_PRIORITY) {
        op->priority = (int64_t)sim_below(sim, 4) - 2;
        BAO_SET(put, PRIORITY, priority, op->priority);
    }
    if (queue->delays && sim_chance(sim, 300)) {
        op->delay_ms = sim_between(sim, 1, 1500);
        BAO_SET(put, DELAY_MS, delay_ms, op->delay_ms);
    }
    if (queue->expires && sim_chance(sim, 300)) {
        op->ttl_ms = sim_between(sim, 50, 2000);
        BAO_SET(put, TTL_MS, ttl_ms, op->ttl_ms);
    }
    if (sim_chance(sim, 300)) {
        op->group = 1 + (unsigned)sim_below(sim, SIM_GROUPS);
        (void)snprintf(call->text, sizeof call->text, "g%u", op->group);
        BAO_SET(put, GROUP, group, bao_span_text(call->text));
    }
    if (queue->keyed && op->count == 1 && sim_chance(sim, 400)) {
        /* Half of them have the last one's, while that is on its way. */
        if (sim->last_key == 0 || sim_chance(sim, 500)) {
            sim->last_key = 1 + sim_below(sim, 6);
        }
        op->key = sim->last_key;
        if (sim_chance(sim, 30)) {
            nemesis_cut_soon(sim, 20 * SIM_MS);
        }
        bao_store64(call->ids, op->key);
        BAO_SET(put, DEDUP_KEY, dedup_key, bao_span_of(call->ids, 8));
    }
    uint64_t flags = sim_chance(sim, 250) ? BAO_FLAG_WANT_RESULT : 0;
    flags |= op->count > 1 ? BAO_FLAG_ATOMIC : 0;
    flags |= op->key != 0 && sim_chance(sim, 400) ? BAO_FLAG_UNIQUE : 0;
    ask_flags(call, flags);
}

static void put_one(struct sim_client *client,
                    unsigned queue,
                    uint32_t count,
                    uint64_t wait_ms)
{
    struct sim *sim = client->sim;
    struct sim_call *call = ask_begin(client, BAO_VERB_PUT, queue);
    struct history_op op = ask_op(queue);
    op.wait_ms = wait_ms;
    op.count = count;
    op.first_payload = history_payloads(sim->history, count);
    put_options(call, &op, &sim_queues[queue]);
    for (uint32_t i = 0; i < count; i++) {
        ask_letter(call, i, op.first_payload + i, body_bytes(sim, queue));
    }
    call_submit(call, &op);
}

/* One put, several at once that travel as a vector, or a put_many. */
void do_put(struct sim_client *client, unsigned queue)
{
    struct sim *sim = client->sim;
    uint64_t wait_ms = ask_wait_ms(sim);
    switch (sim_below(sim, 6)) {
    case 0:
        put_one(client,
                queue,
                (uint32_t)sim_between(sim, 2, CALL_LETTERS - 1),
                wait_ms);
        return;
    case 1:
        for (uint64_t i = sim_between(sim, 2, 4); i > 0; i--) {
            put_one(client, queue, 1, wait_ms);
        }
        return;
    default: put_one(client, queue, 1, wait_ms); return;
    }
}
