/*
 * client_test.h - what the tests of the client library share: a real broker
 * for the whole program, a client for each test, calls that must succeed.
 */
#ifndef BAO_TESTS_CLIENT_TEST_H
#define BAO_TESTS_CLIENT_TEST_H

#include <unistd.h>

#include "common/baozi.h"
#include "common/time.h"
#include "tests/lib/broker.h"
#include "tests/lib/unit.h"

static struct test_broker broker;
static struct baozi *client;

/* Fails with the library's own words. */
static inline void is_ok(enum baozi_status status, const char *what)
{
    char text[1024];
    if (status != BAOZI_OK) {
        fail_msg("%s: %s: %s",
                 what,
                 baozi_status_name(status),
                 baozi_explain(client, text, sizeof text));
    }
}
#define OK(call) is_ok((call), #call)
#define IS(call, expected) \
    assert_string_equal(baozi_status_name(call), #expected)

static inline int start(void **state)
{
    (void)state;
    return broker_start(&broker) ? 0 : -1;
}

static inline int stop(void **state)
{
    (void)state;
    int code = broker_stop(&broker);
    broker_forget(&broker);
    return code;
}

static inline int open_client(void **state)
{
    (void)state;
    struct baozi_options options = {
        .size = sizeof options, .url = broker.ipc, .program = "test_client"};
    return baozi_open(&options, &client) == BAOZI_OK ? 0 : -1;
}

static inline int close_client(void **state)
{
    (void)state;
    return baozi_close(client) == BAOZI_OK ? 0 : -1;
}

static inline void put(const char *queue, const char *text)
{
    OK(baozi_put(client, queue, text, strlen(text), NULL, 0, NULL));
}

static inline struct baozi_item get(const char *queue)
{
    struct baozi_item item;
    OK(baozi_get(client, queue, NULL, 1000, &item));
    return item;
}

static inline void is_payload(const struct baozi_item *item, const char *text)
{
    assert_int_equal(item->bytes, strlen(text));
    assert_memory_equal(item->payload, text, strlen(text));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, open_client, close_client)

#endif
