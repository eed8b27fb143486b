/*
 * history.c - growing arrays.
 */
#include "tests/sim/history.h"

#include <stdlib.h>

static void *grown(void *data, size_t count, size_t *capacity, size_t bytes)
{
    if (count < *capacity) {
        return data;
    }
    *capacity = *capacity * 2 + 256;
    data = realloc(data, *capacity * bytes);
    if (data == NULL) {
        abort();
    }
    return data;
}

struct sim_history *history_open(void)
{
    struct sim_history *history = calloc(1, sizeof *history);
    if (history == NULL) {
        abort();
    }
    return history;
}

void history_close(struct sim_history *history)
{
    for (size_t i = 0; i < history->op_count; i++) {
        free(history->ops[i].stat);
    }
    free(history->ops);
    free(history->deliveries);
    free(history->events);
    free(history->payloads);
    free(history);
}

uint64_t history_ask(struct sim_history *history, const struct history_op *op)
{
    history->ops = grown(
        history->ops, history->op_count, &history->op_capacity, sizeof *op);
    history->ops[history->op_count] = *op;
    return history->op_count++;
}

struct history_op *history_op(struct sim_history *history, uint64_t index)
{
    return &history->ops[index];
}

uint64_t history_deliver(struct sim_history *history,
                         const struct history_delivery *delivery)
{
    history->deliveries = grown(history->deliveries,
                                history->delivery_count,
                                &history->delivery_capacity,
                                sizeof *delivery);
    history->deliveries[history->delivery_count] = *delivery;
    return history->delivery_count++;
}

void history_event(struct sim_history *history,
                   const struct history_event *event)
{
    history->events = grown(history->events,
                            history->event_count,
                            &history->event_capacity,
                            sizeof *event);
    history->events[history->event_count++] = *event;
}

uint64_t history_payloads(struct sim_history *history, uint32_t count)
{
    uint64_t first = history->payload_count + 1;
    for (uint32_t i = 0; i < count; i++) {
        history->payloads = grown(history->payloads,
                                  history->payload_count,
                                  &history->payload_capacity,
                                  sizeof *history->payloads);
        history->payloads[history->payload_count++] = history->op_count;
    }
    return first;
}

/* --- payloads ------------------------------------------------------------- */

static uint8_t byte_at(uint64_t number, size_t i)
{
    uint64_t mixed = (number + i) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint8_t)(mixed >> 56);
}

void payload_fill(uint8_t *data, size_t bytes, uint64_t number)
{
    bao_store64(data, number);
    for (size_t i = 8; i < bytes; i++) {
        data[i] = byte_at(number, i);
    }
}

uint64_t payload_number(struct bao_span bytes)
{
    if (bytes.bytes < 8) {
        return 0;
    }
    uint64_t number = bao_load64(bytes.data);
    for (size_t i = 8; i < bytes.bytes; i++) {
        if (bytes.data[i] != byte_at(number, i)) {
            return 0;
        }
    }
    return number;
}
