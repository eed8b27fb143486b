/*
 * test_client_threads.c - many callers on one client, for the thread
 * sanitizer: every way of waiting, at once.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "common/baozi.h"
#include "tests/lib/broker.h"
#include "tests/lib/unit.h"

#define ROUNDS 150

static struct test_broker broker;
static struct baozi *client;
static _Atomic int failures;
static _Atomic int called_back;

static void check(enum baozi_status status, const char *what)
{
    char text[512];
    if (status != BAOZI_OK) {
        failures++;
        (void)fprintf(stderr,
                      "# %s: %s: %s\n",
                      what,
                      baozi_status_name(status),
                      baozi_explain(client, text, sizeof text));
    }
}
#define GOOD(call) check((call), #call)

static void *putter(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        GOOD(baozi_put(client, "t", "x", 1, NULL, BAOZI_FOREVER, NULL));
    }
    return NULL;
}

static void on_answer(void *context,
                      enum baozi_status status,
                      const struct baozi_receipt *receipt)
{
    (void)context;
    called_back++;
    failures += status != BAOZI_OK || receipt == NULL ? 1 : 0;
}

static void *async_putter(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        GOOD(baozi_put_async(
            client, "t", "x", 1, NULL, BAOZI_FOREVER, on_answer, NULL));
    }
    GOOD(baozi_flush(client, BAOZI_FOREVER));
    return NULL;
}

static void *getter(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        struct baozi_item item;
        GOOD(baozi_get(client, "t", NULL, BAOZI_FOREVER, &item));
        GOOD(baozi_touch(client, &item, 5000));
        GOOD(i % 2 == 0 ? baozi_done(client, &item)
                        : baozi_done_async(client, &item));
    }
    return NULL;
}

static void *subscriber(void *argument)
{
    (void)argument;
    struct baozi_subscription *subscription;
    GOOD(baozi_subscribe(client, "t", 4, 0, NULL, &subscription));
    for (int i = 0; i < ROUNDS; i++) {
        struct baozi_item item;
        GOOD(baozi_next(subscription, BAOZI_FOREVER, &item));
        GOOD(baozi_done(client, &item));
    }
    GOOD(baozi_unsubscribe(subscription));
    return NULL;
}

static void *poller(void *argument)
{
    (void)argument;
    char text[256];
    for (int i = 0; i < ROUNDS; i++) {
        struct baozi_item item;
        struct baozi_queue_stat stat;
        enum baozi_status status =
            baozi_get(client, "nothing", NULL, i % 3, &item);
        failures += status == BAOZI_EMPTY ? 0 : 1;
        (void)baozi_explain(client, text, sizeof text);
        GOOD(baozi_stat(client, "t", &stat));
    }
    return NULL;
}

static void *joiner(void *argument)
{
    (void)argument;
    for (int i = 0; i < ROUNDS / 10; i++) {
        struct baozi_counts counts;
        enum baozi_status status =
            baozi_join(client, "t", BAOZI_SCOPE_UP_TO, NULL, i % 20, &counts);
        failures += status == BAOZI_OK || status == BAOZI_TIMEOUT ? 0 : 1;
    }
    return NULL;
}

static void test_client_threads__agree_on_everything(void **state)
{
    (void)state;
    /* As many that take as that put. */
    void *(*const roles[])(void *) = {putter,
                                      async_putter,
                                      putter,
                                      async_putter,
                                      getter,
                                      getter,
                                      getter,
                                      subscriber,
                                      poller,
                                      poller,
                                      joiner,
                                      joiner};
    enum { COUNT = sizeof roles / sizeof roles[0] };
    pthread_t threads[COUNT];
    struct baozi_options options = {
        .size = sizeof options, .url = broker.tcp, .window = 16};
    assert_int_equal(baozi_open(&options, &client), BAOZI_OK);
    GOOD(baozi_declare(client, "t", NULL));
    GOOD(baozi_declare(client, "nothing", NULL));
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, roles[i], NULL), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    GOOD(baozi_flush(client, BAOZI_FOREVER));
    GOOD(baozi_join(client, "t", BAOZI_SCOPE_QUEUE, NULL, 5000, NULL));
    GOOD(baozi_close(client));
    assert_int_equal(failures, 0);
    assert_int_equal(called_back, 2 * ROUNDS);
}

static int start(void **state)
{
    (void)state;
    return broker_start(&broker) ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    broker_forget(&broker);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_threads__agree_on_everything),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("client_threads", tests, start, stop);
}
