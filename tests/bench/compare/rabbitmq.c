/*
 * rabbitmq.c - AMQP through librabbitmq: confirmed publishing, basic.ack for
 * each item. AMQP does not confirm acknowledgements.
 *
 * mode: classic, durable (classic, persistent messages) or quorum.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/compare/driver.h"

static amqp_connection_state_t connection;
static bool persistent;

/* Confirmations come in any order, one by one or up to a number. */
#define TAGS 65536u
static bool confirmed[TAGS]; /* by delivery tag, above `low` */
static uint64_t low;         /* all up to this one are confirmed */

static uint64_t note_confirmed(uint64_t tag, bool multiple)
{
    uint64_t count = 0;
    for (uint64_t i = multiple ? low + 1 : tag; i <= tag; i++) {
        count += !confirmed[i % TAGS];
        confirmed[i % TAGS] = true;
    }
    while (confirmed[(low + 1) % TAGS]) {
        confirmed[++low % TAGS] = false;
    }
    return count;
}

static bool check(const char *what)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(connection);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ||
           driver_fail("%s failed", what);
}

static bool connect_to(const struct driver *driver)
{
    char host[64];
    int port;
    connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    persistent = strcmp(driver->mode, "classic") != 0;
    if (sscanf(driver->url, "tcp://%63[^:]:%d", host, &port) != 2 ||
        amqp_socket_open(socket, host, port) != AMQP_STATUS_OK) {
        return driver_fail("cannot connect to %s", driver->url);
    }
    amqp_rpc_reply_t reply = amqp_login(connection,
                                        "/",
                                        0,
                                        131072,
                                        0,
                                        AMQP_SASL_METHOD_PLAIN,
                                        "guest",
                                        "guest");
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
        return driver_fail("login failed");
    }
    amqp_channel_open(connection, 1);
    return check("channel.open");
}

static bool make(struct driver *driver)
{
    amqp_table_entry_t entry = {
        .key = amqp_cstring_bytes("x-queue-type"),
        .value = {.kind = AMQP_FIELD_KIND_UTF8,
                  .value = {.bytes = amqp_cstring_bytes("quorum")}}};
    amqp_table_t quorum = {.num_entries = 1, .entries = &entry};
    if (!connect_to(driver)) {
        return false;
    }
    amqp_queue_declare(connection,
                       1,
                       amqp_cstring_bytes(driver->queue),
                       0,
                       persistent,
                       0,
                       0,
                       strcmp(driver->mode, "quorum") == 0 ? quorum
                                                           : amqp_empty_table);
    return check("queue.declare");
}

static bool start(struct driver *driver, bool takes)
{
    if (!connect_to(driver)) {
        return false;
    }
    if (!takes) {
        amqp_confirm_select(connection, 1);
        return check("confirm.select");
    }
    amqp_basic_qos(connection, 1, 0, (uint16_t)driver->window, 0);
    if (!check("basic.qos")) {
        return false;
    }
    amqp_basic_consume(connection,
                       1,
                       amqp_cstring_bytes(driver->queue),
                       amqp_empty_bytes,
                       0,
                       0,
                       0,
                       amqp_empty_table);
    return check("basic.consume");
}

static bool put(struct driver *driver, const uint8_t *data, size_t bytes)
{
    uint8_t copy[ITEM_BYTES_MAX];
    amqp_basic_properties_t properties = {._flags =
                                              AMQP_BASIC_DELIVERY_MODE_FLAG,
                                          .delivery_mode = persistent ? 2 : 1};
    memcpy(copy, data, bytes);
    return amqp_basic_publish(connection,
                              1,
                              amqp_empty_bytes,
                              amqp_cstring_bytes(driver->queue),
                              0,
                              0,
                              &properties,
                              (amqp_bytes_t){.len = bytes, .bytes = copy}) ==
               AMQP_STATUS_OK ||
           driver_fail("basic.publish failed");
}

static bool is_at_hand(void)
{
    struct pollfd fd = {.fd = amqp_get_sockfd(connection), .events = POLLIN};
    return amqp_frames_enqueued(connection) ||
           amqp_data_in_buffer(connection) || poll(&fd, 1, 0) > 0;
}

static bool confirm(struct driver *driver)
{
    do {
        amqp_frame_t frame;
        amqp_maybe_release_buffers(connection);
        if (amqp_simple_wait_frame(connection, &frame) != AMQP_STATUS_OK) {
            return driver_fail("no confirmation");
        }
        if (frame.frame_type != AMQP_FRAME_METHOD ||
            frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
            return driver_fail("a put was refused");
        }
        const amqp_basic_ack_t *ack = frame.payload.method.decoded;
        driver_confirmed(driver,
                         note_confirmed(ack->delivery_tag, ack->multiple));
    } while (is_at_hand());
    return true;
}

static bool take(struct driver *driver)
{
    struct timeval wait = {.tv_usec = DRIVER_IDLE_MS * 1000};
    do {
        amqp_envelope_t envelope;
        amqp_maybe_release_buffers(connection);
        amqp_rpc_reply_t reply =
            amqp_consume_message(connection, &envelope, &wait, 0);
        if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION &&
            reply.library_error == AMQP_STATUS_TIMEOUT) {
            return true;
        }
        if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
            return driver_fail("basic.deliver failed");
        }
        driver_took(
            driver, envelope.message.body.bytes, envelope.message.body.len);
        int status = amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
        amqp_destroy_envelope(&envelope);
        if (status != AMQP_STATUS_OK) {
            return driver_fail("basic.ack failed");
        }
        driver_confirmed(driver, 1);
    } while (is_at_hand());
    return true;
}

/* channel.close is answered behind all acknowledgements. */
static bool finish(struct driver *driver)
{
    amqp_rpc_reply_t reply =
        amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
    driver_confirmed(driver, 0);
    return reply.reply_type == AMQP_RESPONSE_NORMAL ||
           driver_fail("channel.close failed");
}

const struct system bench_system = {.name = "rabbitmq",
                                    .make = make,
                                    .open = start,
                                    .put = put,
                                    .confirm = confirm,
                                    .take = take,
                                    .finish = finish};
